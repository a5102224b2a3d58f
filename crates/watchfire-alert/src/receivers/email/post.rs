//! A mail server with everything that is needed to hand it a mail: its place, its protection, who we are. Notifications and reports are
//! sent through it. What stands in a mail is somebody else's business.

use std::time::Duration;

use watchfire_model::document::Reader;
use watchfire_net::client::{Locate, SecretSource, TlsOptions, read_client_tls, read_secret, read_tls_options};
use watchfire_net::dial::is_here;

use super::dialogue::{Envelope, Security, Server};
use super::login::Login;
use crate::manager::config::Smtp;
use crate::receivers::exchange::read_secret_text;
use crate::receivers::{DELIVERY_TIME_MAX, DeliveryError};

/// The port at which TLS begins before anything is said.
const IMPLICIT_TLS_PORT: u16 = 465;
/// Time that is left for goodbye.
const GOODBYE: Duration = Duration::from_secs(1);

/// A mail server, and how to talk to it.
pub(crate) struct Post {
    host: String,
    port: u16,
    hello: String,
    security: Security,
    tls: TlsOptions,
    username: String,
    password: Option<SecretSource>,
    secret: Option<SecretSource>,
    identity: String,
}

/// The keys of a mail server over those that stand elsewhere. The sender is read by whoever sends.
pub(crate) fn overlay(reader: &Reader<'_>, base: &Smtp, locate: Locate<'_>) -> Smtp {
    let hello = reader.text("hello").or_else(|| base.hello.clone()).filter(|h| !h.is_empty());
    if hello.as_deref().is_some_and(|hello| !hello.bytes().all(|b| b.is_ascii_graphic())) {
        reader.error_at("hello", "must be the name of a host");
    }
    Smtp {
        from: base.from.clone(),
        smarthost: reader.text("smarthost").filter(|host| !host.is_empty()).or_else(|| base.smarthost.clone()),
        hello,
        auth_username: reader.text("auth_username").or_else(|| base.auth_username.clone()),
        auth_password: read_secret(reader, "auth_password", "auth_password_file", locate).or_else(|| base.auth_password.clone()),
        auth_secret: read_secret(reader, "auth_secret", "auth_secret_file", locate).or_else(|| base.auth_secret.clone()),
        auth_identity: reader.text("auth_identity").or_else(|| base.auth_identity.clone()),
        require_tls: reader.bool("require_tls").unwrap_or(base.require_tls),
        force_implicit_tls: reader.bool("force_implicit_tls").or(base.force_implicit_tls),
        tls: if reader.raw("tls_config").is_some() { read_tls_options(reader, "tls_config", locate) } else { base.tls.clone() },
    }
}

impl Post {
    /// The server that these settings name. The error is a sentence.
    pub(crate) fn of(smtp: &Smtp) -> Result<Post, &'static str> {
        let smarthost = smtp.smarthost.as_deref().ok_or("there is no mail server: smarthost or smtp_smarthost must be set")?;
        let (host, port) = host_and_port(smarthost).ok_or("smarthost must be host:port")?;
        let security = match smtp.force_implicit_tls.unwrap_or(port == IMPLICIT_TLS_PORT) {
            true => Security::Implicit,
            false if smtp.require_tls => Security::Upgrade,
            false => Security::Open,
        };
        Ok(Post {
            host: host.to_owned(),
            port,
            hello: smtp.hello.clone().unwrap_or_else(|| "localhost".to_owned()),
            security,
            tls: smtp.tls.clone(),
            username: smtp.auth_username.clone().unwrap_or_default(),
            password: smtp.auth_password.clone(),
            secret: smtp.auth_secret.clone(),
            identity: smtp.auth_identity.clone().unwrap_or_default(),
        })
    }

    /// Whether a name and a password may cross a network that others read.
    pub(crate) fn is_exposed(&self) -> bool {
        self.security == Security::Open && !self.username.is_empty() && !is_here(&self.host)
    }

    async fn login(&self) -> Result<Option<Login>, DeliveryError> {
        if self.username.is_empty() {
            return Ok(None);
        }
        let mut read = [None, None];
        for (slot, source) in read.iter_mut().zip([&self.password, &self.secret]) {
            if let Some(source) = source {
                *slot = Some(read_secret_text(source).await?);
            }
        }
        let [password, secret] = read;
        Ok(Some(Login { username: self.username.clone(), identity: self.identity.clone(), password, secret }))
    }

    /// Hands a mail over, once, within a time. Gives what the server said of recipients that it refused while it took others.
    pub(crate) async fn send(&self, envelope: &Envelope, message: &str, limit: Duration) -> Result<Vec<String>, DeliveryError> {
        let later = |reason: String| DeliveryError::Later { reason, after: None };
        let server = Server {
            host: &self.host,
            port: self.port,
            hello: &self.hello,
            security: self.security,
            tls: read_client_tls(&self.tls).await.map_err(|error| later(error.to_string()))?,
            login: self.login().await?,
        };
        let limit = limit.min(DELIVERY_TIME_MAX).saturating_sub(GOODBYE);
        let sent = tokio::time::timeout(limit, server.send(envelope, message)).await;
        sent.unwrap_or_else(|_| Err(later(format!("the mail server did not take the mail within {} s", limit.as_secs()))))
    }
}

/// `host:port`; an IPv6 address stands in brackets.
fn host_and_port(text: &str) -> Option<(&str, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    let fits = !bare.is_empty() && !bare.contains(['{', ' ', '/']) && (bare == host) != bare.contains(':');
    fits.then_some((bare, port.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        for (text, expected) in [
            ("smtp.example.com:587", Some(("smtp.example.com", 587))),
            ("[::1]:25", Some(("::1", 25))),
            ("::1:25", None),
            ("[mail]:25", None),
            ("mail", None),
            ("mail:", None),
            (":25", None),
            ("mail:99999", None),
            ("{{ .x }}:25", None),
        ] {
            assert_eq!(host_and_port(text), expected, "{text}");
        }
    }
}
