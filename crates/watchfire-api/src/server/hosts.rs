//! Which `Host` headers we answer to, and which `Origin` is our own. This is what keeps a foreign page in somebody's
//! browser, or a foreign name that suddenly points here, from talking to us. Not authentication.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use http::{HeaderMap, HeaderValue, header};
use watchfire_net::listener::Peer;

/// Names under which unchanged programs reach the components that we replace.
const REPLACED: [&str; 34] = [
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
    "influxdb",
    "json-exporter",
    "json_exporter",
    "kibana",
    "logstash",
    "loki",
    "nemotron-backend",
    "node-exporter",
    "node_exporter",
    "opentelemetry-collector",
    "otel-collector",
    "pisovereign",
    "postgres-exporter",
    "postgres_exporter",
    "prometheus",
    "promtail",
    "pushgateway",
    "pyroscope",
    "redis-exporter",
    "redis_exporter",
    "tempo",
    "victoriametrics",
    "watchfire",
];

/// The names that we answer to. Every route has a copy, and every request makes one, so they share their lists.
#[derive(Clone, Debug, Default)]
pub struct Hosts {
    names: Arc<[String]>,
    /// Those that the configuration names: a proxy in front of us may speak TLS for them.
    configured: Arc<[String]>,
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
        let configured: Vec<String> = configured.iter().map(|n| n.trim_end_matches('.').to_ascii_lowercase()).collect();
        names.extend(configured.iter().cloned());
        Hosts { names: names.into(), configured: configured.into() }
    }

    /// Whether a request may carry the `Host` that it carries. The port does not matter.
    pub(crate) fn allow(&self, headers: &HeaderMap, peer: Option<Peer>) -> bool {
        let mut hosts = headers.get_all(header::HOST).iter();
        let (Some(host), None) = (hosts.next(), hosts.next()) else { return false };
        let Some(name) = host.to_str().ok().and_then(host_name) else { return false };
        match address(name) {
            // An address is ours when it is a loopback one or the very one that was reached.
            Some(ip) => ip.to_canonical().is_loopback() || peer.is_some_and(|p| p.local.ip() == ip.to_canonical()),
            None => self.names.contains(&name.trim_end_matches('.').to_ascii_lowercase()),
        }
    }

    /// Judges `Origin` against the `Host` that was already found to be ours.
    pub(crate) fn origin(&self, headers: &HeaderMap, tls: bool) -> From {
        let mut origins = headers.get_all(header::ORIGIN).iter();
        match (origins.next(), origins.next()) {
            (None, _) => without_origin(headers),
            (Some(origin), None) if self.is_ours(origin, headers, tls).is_some() => From::OurPage,
            _ => From::ForeignPage,
        }
    }

    fn is_ours(&self, origin: &HeaderValue, headers: &HeaderMap, tls: bool) -> Option<()> {
        let (scheme, authority) = origin.to_str().ok()?.split_once("://")?;
        let host = headers.get(header::HOST)?.to_str().ok()?;
        let proxied = || host_name(host).is_some_and(|n| self.configured.contains(&n.trim_end_matches('.').to_ascii_lowercase()));
        let default_port = match scheme {
            "http" if !tls => ":80",
            "https" if tls || proxied() => ":443",
            _ => return None,
        };
        let plain = |text: &str| text.strip_suffix(default_port).unwrap_or(text).to_ascii_lowercase();
        (plain(authority) == plain(host)).then_some(())
    }
}

/// A browser that embeds one of our answers in somebody else's page (an image, a script) sends no `Origin`, but says where
/// the page is. Following a link is not embedding: the answer is seen by a person and not by the page.
fn without_origin(headers: &HeaderMap) -> From {
    let word = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or("");
    let elsewhere = matches!(word("sec-fetch-site"), "cross-site" | "same-site");
    let followed = word("sec-fetch-mode") == "navigate" && word("sec-fetch-dest") == "document";
    if elsewhere && !followed { From::ForeignPage } else { From::Nowhere }
}

/// The address that a host name is, if it is one.
fn address(name: &str) -> Option<IpAddr> {
    match name.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']')?.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        None => name.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
    }
}

/// The name or address in front of the port; brackets of IPv6 addresses are kept. `None` when there is more than that.
fn host_name(host: &str) -> Option<&str> {
    let end = host.find(']').map_or_else(|| host.find(':').unwrap_or(host.len()), |bracket| bracket + 1);
    let (name, port) = (host.get(..end)?, host.get(end..)?);
    let digits = |text: &str| text.len() <= 5 && text.bytes().all(|b| b.is_ascii_digit());
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._[]:".contains(&b);
    let fits = !name.is_empty() && name.bytes().all(plain) && (port.is_empty() || port.strip_prefix(':').is_some_and(digits));
    fits.then_some(name)
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
            ("[::1]evil.example", false),
            ("[::1].evil.example:80", false),
            ("[127.0.0.1]", false),
            ("localhost:80:evil.example", false),
            ("localhost:evil", false),
            ("user:pass@localhost", false),
            ("localhost/evil", false),
            ("localhost:", true),
            ("[::", false),
            ("]", false),
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
            (Some("https://watch.example"), "watch.example", false, From::OurPage),
            (Some("https://watch.example:444"), "watch.example", false, From::ForeignPage),
            (Some("https://pi.local"), "pi.local", false, From::ForeignPage),
            (Some("ftp://localhost:8000"), "localhost:8000", false, From::ForeignPage),
        ] {
            let mut map = headers(&[("host", host)]);
            if let Some(text) = origin_text {
                map.append("origin", text.parse().unwrap());
            }
            let hosts = Hosts::new("pi", &["watch.example.".to_owned()]);
            assert_eq!(hosts.origin(&map, tls), expected, "{origin_text:?} at {host}");
        }
    }

    #[test]
    fn r50_embedding_pages_are_foreign_and_links_are_not() {
        for (site, mode, dest, expected) in [
            ("cross-site", "no-cors", "image", From::ForeignPage),
            ("same-site", "no-cors", "script", From::ForeignPage),
            ("cross-site", "navigate", "iframe", From::ForeignPage),
            ("cross-site", "navigate", "document", From::Nowhere),
            ("same-origin", "cors", "empty", From::Nowhere),
            ("none", "navigate", "document", From::Nowhere),
        ] {
            let map = headers(&[("host", "localhost"), ("sec-fetch-site", site), ("sec-fetch-mode", mode), ("sec-fetch-dest", dest)]);
            assert_eq!(Hosts::new("", &[]).origin(&map, false), expected, "{site} {mode} {dest}");
        }
    }

    proptest::proptest! {
        #[test]
        fn r50_whatever_is_allowed_is_a_known_name_and_a_port(
            before in "[a-z.@/\\[:]{0,4}", name in "(localhost|pi|127\\.0\\.0\\.1|\\[::1\\]|evil\\.example)", after in "[a-z0-9.:@\\]/-]{0,6}",
        ) {
            let text = format!("{before}{name}{after}");
            let allowed = Hosts::new("pi", &[]).allow(&headers(&[("host", &text)]), None);
            let (host, port) = text.rsplit_once(':').filter(|(host, _)| !host.contains(':') || host.ends_with(']')).unwrap_or((&text, ""));
            let host = host.trim_end_matches('.');
            let known = ["localhost", "pi.local", "pi", "[::1]"].contains(&host) || host.parse::<std::net::Ipv4Addr>().is_ok_and(|ip| ip.is_loopback());
            proptest::prop_assert!(!allowed || (known && port.bytes().all(|b| b.is_ascii_digit())), "{}", text);
        }
    }
}
