//! The `no_proxy` list: names, domains, addresses, networks and ports, as Go's `httpproxy` understands them.

use std::net::IpAddr;

/// What is reached without a proxy. The machine itself always is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct NoProxy(Vec<Entry>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Entry {
    /// `*`.
    Everything,
    /// An address and its leading bits that count; a port if one is named.
    Network { ip: IpAddr, bits: u8, port: Option<String> },
    /// A domain with a dot before it; `whole` when the name without the dot counts too.
    Domain { suffix: String, whole: bool, port: Option<String> },
}

impl NoProxy {
    /// Reads a list with commas. What makes no sense is passed over.
    pub(super) fn parse(list: &str) -> NoProxy {
        NoProxy(list.split(',').filter_map(|part| entry(&part.trim().to_lowercase())).collect())
    }

    /// Whether a host (brackets around IPv6 or not) and a port are reached directly.
    pub(super) fn names(&self, host: &str, port: u16) -> bool {
        let host = host.trim_start_matches('[').trim_end_matches(']').to_lowercase();
        let ip = host.parse::<IpAddr>().ok().map(|ip| ip.to_canonical());
        if host == "localhost" || ip.is_some_and(|ip| ip.is_loopback()) {
            return true;
        }
        let port = port.to_string();
        let same_port = |wanted: &Option<String>| wanted.as_ref().is_none_or(|wanted| *wanted == port);
        self.0.iter().any(|entry| match entry {
            Entry::Everything => true,
            Entry::Network { ip: net, bits, port } => same_port(port) && ip.is_some_and(|ip| within(ip, *net, *bits)),
            Entry::Domain { suffix, whole, port } => {
                same_port(port) && (host.ends_with(suffix.as_str()) || (*whole && Some(host.as_str()) == suffix.strip_prefix('.')))
            }
        })
    }
}

fn entry(text: &str) -> Option<Entry> {
    if text == "*" {
        return Some(Entry::Everything);
    }
    if let Some((ip, bits)) = text.split_once('/').and_then(|(ip, bits)| Some((ip.parse::<IpAddr>().ok()?, bits.parse::<u8>().ok()?)))
        && bits <= width(ip)
    {
        return Some(Entry::Network { ip, bits, port: None });
    }
    let (host, port) = host_and_port(text);
    let port = port.filter(|port| !port.is_empty()).map(str::to_owned);
    if let Ok(ip) = host.parse::<IpAddr>() {
        let ip = ip.to_canonical();
        return Some(Entry::Network { ip, bits: width(ip), port });
    }
    let host = if host.starts_with("*.") { host.strip_prefix('*')? } else { host };
    match host.strip_prefix('.') {
        _ if host.is_empty() => None,
        Some(_) => Some(Entry::Domain { suffix: host.to_owned(), whole: false, port }),
        None => Some(Entry::Domain { suffix: format!(".{host}"), whole: true, port }),
    }
}

/// Splits `host:port` and `[v6]:port`; a bare IPv6 address has no port.
fn host_and_port(text: &str) -> (&str, Option<&str>) {
    if let Some((host, port)) = text.strip_prefix('[').and_then(|rest| rest.split_once("]:")) {
        return (host, Some(port));
    }
    match text.split_once(':') {
        Some((host, port)) if !port.contains(':') => (host, Some(port)),
        _ => (text, None),
    }
}

fn width(ip: IpAddr) -> u8 {
    if ip.is_ipv4() { 32 } else { 128 }
}

/// Whether the leading bits of two addresses of the same family agree.
fn within(ip: IpAddr, net: IpAddr, bits: u8) -> bool {
    match (ip, net) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (a.to_bits() ^ b.to_bits()).checked_shr(32 - u32::from(bits)).unwrap_or(0) == 0,
        (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits()).checked_shr(128 - u32::from(bits)).unwrap_or(0) == 0,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_understood_as_go_understands_them() {
        for (list, host, port, direct) in [
            ("", "example.org", 80, false),
            ("", "localhost", 80, true),
            ("", "127.8.9.1", 80, true),
            ("", "[::1]", 80, true),
            ("", "localhost.org", 80, false),
            ("*", "example.org", 80, true),
            ("example.org", "example.org", 80, true),
            ("example.org", "EXAMPLE.org", 80, true),
            ("Example.ORG", "a.b.example.org", 443, true),
            ("example.org", "badexample.org", 80, false),
            (".example.org", "example.org", 80, false),
            (".example.org", "a.example.org", 80, true),
            ("*.example.org", "example.org", 80, false),
            ("*.example.org", "a.example.org", 80, true),
            ("example.org:8080", "example.org", 8080, true),
            ("example.org:8080", "a.example.org", 8080, true),
            ("example.org:8080", "example.org", 80, false),
            ("a.net, example.org ,,b.net", "example.org", 80, true),
            ("10.0.0.0/8", "10.200.3.4", 80, true),
            ("10.0.0.0/8", "11.0.0.1", 80, false),
            ("10.0.0.0/8", "10.example.org", 80, false),
            ("0.0.0.0/0", "8.8.8.8", 80, true),
            ("10.0.0.0/33", "10.0.0.1", 80, false),
            ("192.168.1.7", "192.168.1.7", 9100, true),
            ("192.168.1.7:9100", "192.168.1.7", 9100, true),
            ("192.168.1.7:9100", "192.168.1.7", 80, false),
            ("192.168.1.7", "[::ffff:192.168.1.7]", 80, true),
            ("fd00::/8", "[fd12::1]", 80, true),
            ("fd00::/8", "[fe80::1]", 80, false),
            ("::/0", "[2001:db8::1]", 80, true),
            ("[2001:db8::1]:443", "[2001:db8::1]", 443, true),
            ("[2001:db8::1]:443", "[2001:db8::1]", 80, false),
            ("2001:db8::1", "[2001:db8::1]", 80, true),
            (":80", "example.org", 80, false),
        ] {
            assert_eq!(NoProxy::parse(list).names(host, port), direct, "{list:?} {host}:{port}");
        }
    }
}
