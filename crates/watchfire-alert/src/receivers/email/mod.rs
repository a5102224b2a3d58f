//! `email_configs`: one mail for each notification, with a text or HTML body or both, to a mail server that passes it on. It keeps
//! no connection and signs nothing.

mod address;
mod dialogue;
mod login;
mod message;

use std::sync::Arc;
use std::time::Duration;

use watchfire_model::document::Reader;
use watchfire_net::client::{SecretSource, TlsOptions, read_client_tls, read_secret, read_tls_options};
use watchfire_net::dial::is_here;

use self::address::{Mailbox, parse_list};
use self::dialogue::{Envelope, Security, Server};
use self::login::Login;
use super::exchange::{group_name, missing, read_secret_text};
use super::texts::Writer;
use super::{DELIVERY_TIME_MAX, Delivered, DeliveryError, Integration, Kind, Making, Outside, TemplateText};
use crate::manager::notification::Notification;

/// The templates that all kinds share come with the first kind that uses them.
pub(super) const KIND: Kind = Kind {
    key: "email_configs",
    name: "email",
    send_resolved: false,
    fields: &[],
    templates: concat!(include_str!("../default.tmpl"), include_str!("default.tmpl")),
    make: Some(make),
};

/// The port at which TLS begins before anything is said.
const IMPLICIT_TLS_PORT: u16 = 465;
/// The most people of one mail.
const RECIPIENTS_MAX: usize = 100;
/// Time that is left for goodbye.
const GOODBYE: Duration = Duration::from_secs(1);

struct Email {
    host: String,
    port: u16,
    hello: String,
    security: Security,
    tls: TlsOptions,
    username: String,
    password: Option<SecretSource>,
    secret: Option<SecretSource>,
    identity: String,
    from: TemplateText,
    to: TemplateText,
    headers: Vec<(String, TemplateText)>,
    /// Stands there unless `headers` has its own.
    subject: TemplateText,
    html: TemplateText,
    text: TemplateText,
    threading: Option<Threading>,
}

/// How mails about one group are tied together.
#[derive(Clone, Copy, PartialEq)]
enum Threading {
    Group,
    GroupAndDay,
}

fn make(reader: &Reader<'_>, making: &Making<'_>) -> Option<Arc<dyn Integration>> {
    let smtp = &making.global.smtp;
    let smarthost = reader.text("smarthost").filter(|host| !host.is_empty()).or_else(|| smtp.smarthost.clone());
    let Some((host, port)) = smarthost.as_deref().and_then(host_and_port) else {
        let message = if smarthost.is_some() { "smarthost must be host:port" } else { "there is no mail server: smarthost or smtp_smarthost must be set" };
        missing(reader, message);
        read_rest(reader, making);
        return None;
    };
    let from = making.template(reader, "from", smtp.from.as_deref().unwrap_or_default());
    if from.is_empty() {
        missing(reader, "there is no sender: from or smtp_from must be set");
    }
    let username = reader.text("auth_username").or_else(|| smtp.auth_username.clone()).unwrap_or_default();
    let security = read_security(reader, making, port);
    if security == Security::Open && !username.is_empty() && !is_here(host) {
        reader.warning_at("require_tls", "is false: user name, password and mails may cross the network in the clear");
    }
    let email = Email {
        host: host.to_owned(),
        port,
        hello: read_hello(reader, smtp.hello.as_deref()),
        security,
        tls: if reader.raw("tls_config").is_some() { read_tls_options(reader, "tls_config", making.locate) } else { smtp.tls.clone() },
        username,
        password: read_secret(reader, "auth_password", "auth_password_file", making.locate).or_else(|| smtp.auth_password.clone()),
        secret: read_secret(reader, "auth_secret", "auth_secret_file", making.locate).or_else(|| smtp.auth_secret.clone()),
        identity: reader.text("auth_identity").or_else(|| smtp.auth_identity.clone()).unwrap_or_default(),
        to: read_to(reader, making),
        headers: read_headers(reader, making),
        subject: making.template_of(r#"{{ template "email.default.subject" . }}"#),
        html: making.template(reader, "html", r#"{{ template "email.default.html" . }}"#),
        text: making.template(reader, "text", ""),
        threading: read_threading(reader),
        from,
    };
    Some(Arc::new(email))
}

/// Says of the keys that nobody can use without a server that they are known.
fn read_rest(reader: &Reader<'_>, making: &Making<'_>) {
    read_to(reader, making);
    reader.allow(&["from", "hello", "auth_username", "auth_password", "auth_password_file", "auth_secret", "auth_secret_file", "auth_identity"]);
    reader.allow(&["headers", "html", "text", "require_tls", "force_implicit_tls", "tls_config", "threading"]);
}

/// `host:port`; an IPv6 address stands in brackets.
fn host_and_port(text: &str) -> Option<(&str, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    let fits = !bare.is_empty() && !bare.contains(['{', ' ', '/']) && (bare == host) != bare.contains(':');
    fits.then_some((bare, port.parse().ok()?))
}

fn read_security(reader: &Reader<'_>, making: &Making<'_>, port: u16) -> Security {
    let smtp = &making.global.smtp;
    let required = reader.bool("require_tls").unwrap_or(smtp.require_tls);
    match reader.bool("force_implicit_tls").or(smtp.force_implicit_tls).unwrap_or(port == IMPLICIT_TLS_PORT) {
        true => Security::Implicit,
        false if required => Security::Upgrade,
        false => Security::Open,
    }
}

fn read_hello(reader: &Reader<'_>, global: Option<&str>) -> String {
    let hello = reader.text("hello").or(global.map(str::to_owned)).filter(|h| !h.is_empty()).unwrap_or_else(|| "localhost".to_owned());
    if !hello.bytes().all(|b| b.is_ascii_graphic()) {
        reader.error_at("hello", "must be the name of a host");
    }
    hello
}

fn read_to(reader: &Reader<'_>, making: &Making<'_>) -> TemplateText {
    reader.required_text("to");
    let to = making.template(reader, "to", "");
    if to.is_template() {
        reader.warning_at("to", "is a template: whoever can send alerts chooses who gets mail");
    } else if !to.is_empty() && parse_list(&to.source).is_none() {
        reader.error_at("to", "must be addresses such as a@example.com, Name <b@example.com>");
    }
    to
}

/// Headers by the names in which they are sent; one name twice is an error.
fn read_headers(reader: &Reader<'_>, making: &Making<'_>) -> Vec<(String, TemplateText)> {
    let mut headers: Vec<(String, TemplateText)> = Vec::new();
    for (name, text) in making.template_map(reader, "headers") {
        let name = message::canonical(&name);
        if !message::is_header_name(&name) {
            reader.error_at("headers", format!("{name:?} is no name of a header"));
        } else if headers.iter().any(|(known, _)| *known == name) {
            reader.error_at("headers", format!("the header {name:?} stands there twice"));
        } else if message::is_ours(&name) {
            reader.error_at("headers", format!("the header {name:?} is made here"));
        } else {
            headers.push((name, text));
        }
    }
    headers
}

fn read_threading(reader: &Reader<'_>) -> Option<Threading> {
    let map = reader.map("threading")?;
    let is_on = map.bool("enabled").unwrap_or(false);
    let by_date = map.word("thread_by_date", &["none", "daily"]).unwrap_or("daily");
    map.finish();
    is_on.then_some(if by_date == "none" { Threading::Group } else { Threading::GroupAndDay })
}

fn never(reason: impl Into<String>) -> DeliveryError {
    DeliveryError::Never(reason.into())
}

impl Email {
    fn envelope(&self, writer: &Writer) -> Result<Envelope, DeliveryError> {
        let senders = parse_list(&writer.text(&self.from)?).ok_or_else(|| never("cannot send mail: the sender is no address"))?;
        let [from] = senders.as_slice() else { return Err(never("cannot send mail: there must be exactly one sender")) };
        let to = parse_list(&writer.text(&self.to)?).ok_or_else(|| never("cannot send mail: the recipients are no addresses"))?;
        if to.len() > RECIPIENTS_MAX {
            return Err(never(format!("cannot send mail to more than {RECIPIENTS_MAX} recipients")));
        }
        Ok(Envelope { from: from.address.clone(), to: to.into_iter().map(|mailbox: Mailbox| mailbox.address).collect() })
    }

    fn message(&self, notification: &Notification, writer: &Writer, outside: &Outside) -> Result<String, DeliveryError> {
        let mut mail = message::Mail::new(&notification.id, outside.clock.now());
        for (name, text) in &self.headers {
            mail.header(name, &writer.text(text)?);
        }
        let defaults = [("Subject", &self.subject), ("To", &self.to), ("From", &self.from)];
        for (name, text) in defaults.into_iter().filter(|(name, _)| !self.headers.iter().any(|(known, _)| known == name)) {
            mail.header(name, &writer.text(text)?);
        }
        if let Some(threading) = self.threading {
            mail.thread(&group_name(notification), threading == Threading::GroupAndDay);
        }
        if !self.text.is_empty() {
            mail.part("text/plain", &writer.text(&self.text)?);
        }
        if !self.html.is_empty() {
            mail.part("text/html", &writer.html(&self.html)?);
        }
        Ok(mail.finish())
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
}

impl Integration for Email {
    fn deliver<'a>(&'a self, notification: &'a Notification, outside: &'a Outside) -> Delivered<'a> {
        Box::pin(async move {
            let writer = Writer::new(notification);
            let envelope = self.envelope(&writer)?;
            let message = self.message(notification, &writer, outside)?;
            let later = |reason: String| DeliveryError::Later { reason, after: None };
            let server = Server {
                host: &self.host,
                port: self.port,
                hello: &self.hello,
                security: self.security,
                tls: read_client_tls(&self.tls).await.map_err(|error| later(error.to_string()))?,
                login: self.login().await?,
            };
            let limit = DELIVERY_TIME_MAX - GOODBYE;
            let sent = tokio::time::timeout(limit, server.send(&envelope, &message)).await;
            let refused = sent.unwrap_or_else(|_| Err(later(format!("the mail server did not take the mail within {} s", limit.as_secs()))))?;
            for reason in refused {
                tracing::warn!(receiver = notification.receiver, %reason, "a mail went to the other recipients only");
            }
            Ok(())
        })
    }
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
