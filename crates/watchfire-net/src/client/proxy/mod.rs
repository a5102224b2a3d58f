//! Which proxy a request goes through, by the rules of Go's HTTP clients, so that settings mean here what they mean in
//! Prometheus. It decides only; `connector` opens the way and `handshake` speaks with the proxy.

pub(super) mod connector;
mod handshake;
mod no_proxy;
#[cfg(test)]
mod tests;

use base64::Engine;
use http::Uri;
use http::header::{HeaderName, HeaderValue};
use url::{Host, Url};

use self::no_proxy::NoProxy;
use super::redirect::without_userinfo;
use crate::secret::Secret;

/// Why a proxy cannot be used. The address is not repeated, for it may hold a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProxyError {
    /// The address is none.
    #[error("cannot use this address of a proxy: it must look like http://host:port, https://host:port or socks5://host:port")]
    Address,
    /// A header for `CONNECT` cannot be sent.
    #[error("cannot send the header {0:?} to a proxy")]
    Header(String),
}

/// How one speaks with a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    Http,
    Https,
    Socks5,
}

/// One proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Server {
    pub(super) scheme: Scheme,
    /// The name or address, with brackets around IPv6.
    pub(super) host: String,
    pub(super) port: u16,
    /// Who we say we are: name and password.
    pub(super) user: Option<(Secret, Secret)>,
}
impl Server {
    /// Reads an address; without a scheme it is that of an HTTP proxy.
    fn parse(text: &str) -> Result<Server, ProxyError> {
        let text = text.trim();
        let whole = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let (clear, user) = without_userinfo(&whole);
        let url = Url::parse(&clear).map_err(|_| ProxyError::Address)?;
        let (scheme, port) = match url.scheme() {
            "http" => (Scheme::Http, 80),
            "https" => (Scheme::Https, 443),
            "socks5" | "socks5h" => (Scheme::Socks5, 1080),
            _ => return Err(ProxyError::Address),
        };
        let host = match url.host() {
            Some(Host::Domain(name)) if !name.is_empty() => name.to_owned(),
            Some(Host::Ipv4(ip)) => ip.to_string(),
            Some(Host::Ipv6(ip)) => format!("[{ip}]"),
            _ => return Err(ProxyError::Address),
        };
        let user = user.map(|(name, password)| (Secret::new(name), Secret::new(password)));
        Ok(Server { scheme, host, port: url.port().unwrap_or(port), user })
    }

    /// The value of `Proxy-Authorization`.
    pub(super) fn authorization(&self) -> Option<Secret> {
        let (user, password) = self.user.as_ref()?;
        let pair = format!("{}:{}", user.expose(), password.expose());
        Some(Secret::new(format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))))
    }
}

/// The proxies of one client and what goes past them. The default has none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies {
    http: Option<Server>,
    https: Option<Server>,
    /// What goes out directly; `None` when everything, this machine included, goes through the proxy.
    past: Option<NoProxy>,
    connect_headers: Vec<(String, Secret)>,
}

impl Proxies {
    /// One proxy for everything. With a `no_proxy` list, what it names and this machine itself is reached directly.
    pub fn one(url: &str, no_proxy: Option<&str>) -> Result<Proxies, ProxyError> {
        let server = Server::parse(url)?;
        Ok(Proxies { http: Some(server.clone()), https: Some(server), past: no_proxy.map(NoProxy::parse), connect_headers: Vec::new() })
    }

    /// The proxies that `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` name, in capitals or not. One that cannot be used is
    /// left out with a warning.
    pub fn from_environment(environment: &dyn Fn(&str) -> Option<String>) -> Proxies {
        let either = |names: [&str; 2]| names.into_iter().find_map(|name| environment(name).filter(|value| !value.is_empty()));
        let server = |names: [&str; 2]| {
            let read = Server::parse(&either(names)?);
            if let Err(error) = &read {
                tracing::warn!(variable = names[0], %error, "the proxy of the environment is not used");
            }
            read.ok()
        };
        let past = NoProxy::parse(&either(["NO_PROXY", "no_proxy"]).unwrap_or_default());
        Proxies { http: server(["HTTP_PROXY", "http_proxy"]), https: server(["HTTPS_PROXY", "https_proxy"]), past: Some(past), connect_headers: Vec::new() }
    }

    /// The same with headers for every `CONNECT`.
    pub fn with_connect_headers(mut self, headers: Vec<(String, Secret)>) -> Result<Proxies, ProxyError> {
        for (name, value) in &headers {
            let fit = HeaderName::from_bytes(name.as_bytes()).is_ok() && HeaderValue::from_str(value.expose()).is_ok();
            if !fit {
                return Err(ProxyError::Header(name.clone()));
            }
        }
        self.connect_headers = headers;
        Ok(self)
    }

    /// Whether everything goes out directly.
    pub fn is_empty(&self) -> bool {
        self.http.is_none() && self.https.is_none()
    }

    /// Whether a URL goes through a proxy.
    pub fn applies_to(&self, uri: &Uri) -> bool {
        self.choose(uri).is_some()
    }

    /// What the proxy of a URL wants to see in the request itself.
    pub fn authorization_for(&self, uri: &Uri) -> Option<Secret> {
        self.authorization(uri)
    }

    /// The proxy for a URL, if it goes through one.
    pub(super) fn choose(&self, uri: &Uri) -> Option<&Server> {
        let secure = uri.scheme_str() == Some("https");
        let server = if secure { self.https.as_ref() } else { self.http.as_ref() }?;
        let host = uri.host()?;
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let direct = self.past.as_ref().is_some_and(|past| past.names(host, port));
        (!direct).then_some(server)
    }

    /// What a proxy wants to see in the request itself: plain HTTP goes to it unwrapped.
    pub(super) fn authorization(&self, uri: &Uri) -> Option<Secret> {
        let server = self.choose(uri).filter(|server| uri.scheme_str() == Some("http") && server.scheme != Scheme::Socks5)?;
        server.authorization()
    }
}
