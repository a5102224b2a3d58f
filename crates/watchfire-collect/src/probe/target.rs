//! One probe at work: whom it looks at, what it may reach, where it writes what it finds. It decides nothing about targets.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use watchfire_net::client::{Authorization, Caller, HttpOptions, Prepared, TlsOptions, read_client_tls};
use watchfire_net::policy::Policy;
use watchfire_net::timed::{Dialer, Preference, TimedError, TlsFacts, measured};
use watchfire_net::tls::ClientTls;

use super::sheet::Sheet;

/// Where a target comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// The configuration names it.
    Named,
    /// Somebody asked for it: it never gets credentials, nor is it reached where [`Policy`] does not allow it.
    AdHoc,
}

/// One probe.
pub(super) struct Probe<'a> {
    pub(super) dialer: &'a Dialer,
    pub(super) policy: &'a Policy,
    pub(super) caller: &'a Caller,
    pub(super) target: &'a str,
    /// A name to ask for instead of the target's.
    pub(super) hostname: Option<&'a str>,
    pub(super) trust: Trust,
    pub(super) timeout: Duration,
    /// When the time is over.
    pub(super) deadline: tokio::time::Instant,
    pub(super) sheet: &'a mut Sheet,
    /// What the last handshake settled.
    pub(super) last_tls: Option<TlsFacts>,
    /// Set when an address may not be reached.
    pub(super) forbidden: &'a mut Option<String>,
}

impl Probe<'_> {
    /// Why there is no connection, in words; that an address is forbidden is noted for whoever asked.
    pub(super) fn refused(&mut self, error: TimedError) -> String {
        let text = error.to_string();
        if matches!(error, TimedError::Forbidden(_)) {
            *self.forbidden = Some(text.clone());
        }
        text
    }

    /// Finds the target's address and notes it.
    pub(super) async fn resolve(&mut self, host: &str, preference: Preference) -> Option<(IpAddr, Duration)> {
        let (took, found) = measured(self.dialer.resolve(host, preference)).await;
        match found {
            Ok(ip) => {
                self.sheet.address(ip, took);
                Some((ip, took))
            }
            Err(error) => {
                self.sheet.no_address(took);
                self.sheet.say(error.to_string());
                None
            }
        }
    }

    /// Credentials, TLS and proxies as options say.
    pub(super) async fn prepare(&self, options: &Arc<HttpOptions>) -> Result<Prepared, String> {
        let stripped;
        let options = match self.trust {
            Trust::Named => options,
            Trust::AdHoc => {
                let tls = without_identity(&options.tls);
                stripped = Arc::new(HttpOptions { authorization: Authorization::None, headers: Vec::new(), tls, ..HttpOptions::clone(options) });
                &stripped
            }
        };
        self.caller.prepare(options, self.timeout).await.map_err(|e| e.to_string())
    }

    /// TLS options with their files read.
    pub(super) async fn client_tls(&self, options: &TlsOptions) -> Result<ClientTls, String> {
        let stripped = without_identity(options);
        let options = if self.trust == Trust::Named { options } else { &stripped };
        read_client_tls(options).await.map_err(|e| e.to_string())
    }
}

fn without_identity(tls: &TlsOptions) -> TlsOptions {
    TlsOptions { cert: None, key: None, ..tls.clone() }
}

/// `host:port`, `[::1]:port`; the port may be missing where there is a usual one.
pub(super) fn host_and_port(target: &str, usual: Option<u16>) -> Result<(String, u16), String> {
    if let Ok(address) = target.parse::<SocketAddr>() {
        return Ok((address.ip().to_string(), address.port()));
    }
    let bare = target.trim_start_matches('[').trim_end_matches(']');
    if let (Ok(ip), Some(port)) = (bare.parse::<IpAddr>(), usual) {
        return Ok((ip.to_string(), port));
    }
    match target.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && !host.contains(':') => Ok((host.to_owned(), port.parse().map_err(|_| format!("{port:?} is no port"))?)),
        None if !target.is_empty() => usual.map(|port| (target.to_owned(), port)).ok_or_else(|| format!("the target {target:?} names no port")),
        _ => Err(format!("cannot use {target:?} as host:port")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports() {
        for (text, usual, expected) in [
            ("postgres:5432", None, Ok(("postgres", 5432))),
            ("127.0.0.1:1", None, Ok(("127.0.0.1", 1))),
            ("[::1]:53", None, Ok(("::1", 53))),
            ("::1", Some(53), Ok(("::1", 53))),
            ("[::1]", Some(53), Ok(("::1", 53))),
            ("dns", Some(53), Ok(("dns", 53))),
            ("dns", None, Err("the target \"dns\" names no port")),
            ("dns:x", None, Err("\"x\" is no port")),
            ("::1", None, Err("cannot use \"::1\" as host:port")),
            (":1", None, Err("cannot use \":1\" as host:port")),
        ] {
            let found = host_and_port(text, usual);
            assert_eq!(found, expected.map(|(h, p)| (h.to_owned(), p)).map_err(str::to_owned), "{text}");
        }
    }
}
