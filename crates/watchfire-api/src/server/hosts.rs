//! Which `Host` headers we answer to, and which `Origin` is our own. This is what keeps a foreign page in somebody's
//! browser, or a foreign name that suddenly points here, from talking to us. Not authentication.

use std::net::IpAddr;

use http::{HeaderMap, header};
use watchfire_net::listener::Peer;

/// Names under which unchanged programs reach the components that we replace.
const REPLACED: [&str; 30] = [
    "alertmanager",
    "alloy",
    "backend",
    "blackbox",
    "blackbox-exporter",
    "blackbox_exporter",
    "elasticsearch",
    "grafana",
    "jaeger",
    "host.containers.internal",
    "host.docker.internal",
    "json-exporter",
    "json_exporter",
    "kibana",
    "logstash",
    "loki",
    "nemotron-backend",
    "node-exporter",
    "node_exporter",
    "pisovereign",
    "postgres-exporter",
    "postgres_exporter",
    "prometheus",
    "promtail",
    "pyroscope",
    "redis-exporter",
    "redis_exporter",
    "tempo",
    "victoriametrics",
    "watchfire",
];

/// The names that we answer to.
#[derive(Clone, Debug, Default)]
pub struct Hosts {
    names: Vec<String>,
}
impl Hosts {
    /// Loopback names, the host's own name, names of replaced components, and the configured ones.
    pub fn new(host_name: &str, configured: &[String]) -> Hosts {
        let mut names: Vec<String> = REPLACED.iter().map(|n| (*n).to_owned()).collect();
        names.push("localhost".to_owned());
        if !host_name.is_empty() {
            names.push(host_name.to_ascii_lowercase());
            names.push(format!("{}.local", host_name.to_ascii_lowercase()));
        }
        names.extend(configured.iter().map(|n| n.to_ascii_lowercase()));
        Hosts { names }
    }

    /// Whether a request may carry the `Host` that it carries. The port does not matter.
    pub(crate) fn allow(&self, headers: &HeaderMap, peer: Option<Peer>) -> bool {
        let mut hosts = headers.get_all(header::HOST).iter();
        let (Some(host), None) = (hosts.next(), hosts.next()) else { return false };
        let Some(name) = host.to_str().ok().and_then(host_name) else { return false };
        match name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
            // An address is ours when it is a loopback one or the very one that was reached.
            Ok(ip) => ip.to_canonical().is_loopback() || peer.is_some_and(|p| p.local.ip() == ip.to_canonical()),
            Err(_) => self.names.contains(&name.trim_end_matches('.').to_ascii_lowercase()),
        }
    }
}

/// The name or address in front of the port; brackets of IPv6 addresses are kept.
fn host_name(host: &str) -> Option<&str> {
    let name = match host.find(']') {
        Some(end) => host.get(..=end)?,
        None => host.split(':').next()?,
    };
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._[]:".contains(&b);
    (!name.is_empty() && name.bytes().all(plain)).then_some(name)
}

/// Where a request says that it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum From {
    /// No browser said anything.
    Nowhere,
    /// Our own page.
    OurPage,
    /// Somebody else's page, or one that hides.
    ForeignPage,
}

/// Judges `Origin` against the `Host` that was already found to be ours.
pub(crate) fn origin(headers: &HeaderMap, tls: bool) -> From {
    let mut origins = headers.get_all(header::ORIGIN).iter();
    match (origins.next(), origins.next()) {
        (None, _) => From::Nowhere,
        (Some(origin), None) => {
            let scheme = if tls { "https://" } else { "http://" };
            let ours = || {
                let authority = origin.to_str().ok()?.strip_prefix(scheme)?;
                let host = headers.get(header::HOST)?.to_str().ok()?;
                let default_port = if tls { ":443" } else { ":80" };
                let plain = |text: &str| text.strip_suffix(default_port).unwrap_or(text).to_ascii_lowercase();
                (plain(authority) == plain(host)).then_some(())
            };
            if ours().is_some() { From::OurPage } else { From::ForeignPage }
        }
        _ => From::ForeignPage,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(*name, value.parse().unwrap());
        }
        map
    }

    #[test]
    fn r50_hosts() {
        let hosts = Hosts::new("Pi", &["watch.example".to_owned()]);
        let peer = Peer::new("192.168.1.9:5".parse().unwrap(), "192.168.1.2:8000".parse().unwrap(), false);
        for (host, allowed) in [
            ("localhost", true),
            ("localhost:8000", true),
            ("LOCALHOST:1", true),
            ("127.0.0.1:8000", true),
            ("127.8.8.8", true),
            ("[::1]:8000", true),
            ("[::ffff:127.0.0.1]", true),
            ("192.168.1.2:8000", true),
            ("192.168.1.3:8000", false),
            ("0.0.0.0:8000", false),
            ("pi", true),
            ("pi.local:8000", true),
            ("backend:8000", true),
            ("loki", true),
            ("watch.example:443", true),
            ("watch.example.", true),
            ("evil.example", false),
            ("localhost.evil.example", false),
            ("127.0.0.1.evil.example", false),
            ("evil.example:localhost", false),
            ("localhost@evil.example", false),
            ("2130706433", false),
            ("", false),
        ] {
            assert_eq!(hosts.allow(&headers(&[("host", host)]), Some(peer)), allowed, "{host}");
        }
        assert!(!hosts.allow(&HeaderMap::new(), Some(peer)));
        assert!(!hosts.allow(&headers(&[("host", "localhost"), ("host", "evil.example")]), Some(peer)));
    }

    #[test]
    fn r50_origins() {
        for (origin_text, host, tls, expected) in [
            (None, "localhost:8000", false, From::Nowhere),
            (Some("http://localhost:8000"), "localhost:8000", false, From::OurPage),
            (Some("http://localhost"), "localhost:80", false, From::OurPage),
            (Some("https://localhost:8000"), "localhost:8000", false, From::ForeignPage),
            (Some("https://pi.local"), "pi.local", true, From::OurPage),
            (Some("http://localhost:8001"), "localhost:8000", false, From::ForeignPage),
            (Some("http://evil.example"), "localhost:8000", false, From::ForeignPage),
            (Some("http://localhost.evil.example:8000"), "localhost:8000", false, From::ForeignPage),
            (Some("null"), "localhost:8000", false, From::ForeignPage),
            (Some(""), "localhost:8000", false, From::ForeignPage),
        ] {
            let mut map = headers(&[("host", host)]);
            if let Some(text) = origin_text {
                map.append("origin", text.parse().unwrap());
            }
            assert_eq!(origin(&map, tls), expected, "{origin_text:?} at {host}");
        }
    }
}
