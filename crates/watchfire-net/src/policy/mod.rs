//! Which addresses may be reached, decided on the address of the connection and never on how a name is spelt; and CIDR
//! networks. It resolves no name and opens no connection.

mod network;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

pub use network::{Network, NetworkError};

/// What kind of place an address is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// This machine (`127.0.0.0/8`, `::1`).
    Loopback,
    /// No address (`0.0.0.0/8`, `::`), which systems take for this machine.
    Unspecified,
    /// Link-local addresses, where nothing but the neighbourhood answers.
    LinkLocal,
    /// Where clouds hand out credentials.
    Metadata,
    /// Multicast and broadcast.
    Multicast,
    /// Reserved for documentation, tests and the future.
    Reserved,
    /// Private networks.
    Private,
    /// Everything else.
    Global,
}
impl Class {
    /// The class in words.
    pub fn word(self) -> &'static str {
        match self {
            Class::Loopback => "loopback",
            Class::Unspecified => "unspecified",
            Class::LinkLocal => "link-local",
            Class::Metadata => "metadata",
            Class::Multicast => "multicast",
            Class::Reserved => "reserved",
            Class::Private => "private",
            Class::Global => "global",
        }
    }
}

/// The IPv4 address that an IPv6 address carries inside: mapped, compatible, NAT64 (RFC 6052, RFC 8215), 6to4, Teredo, ISATAP.
pub fn embedded_ipv4(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let s = ip.segments();
    let pair = |a: u16, b: u16| Ipv4Addr::from((u32::from(a) << 16) | u32::from(b));
    match s {
        [0, 0, 0, 0, 0, 0xffff, a, b] | [0, 0, 0, 0, 0xffff, 0, a, b] => Some(pair(a, b)),
        // `::1` and `::` are no compatible addresses.
        [0, 0, 0, 0, 0, 0, a, b] if a != 0 || b > 1 => Some(pair(a, b)),
        [0x64, 0xff9b, 0, 0, 0, 0, a, b] | [0x64, 0xff9b, 1, _, _, _, a, b] => Some(pair(a, b)),
        [0x2002, a, b, ..] => Some(pair(a, b)),
        [0x2001, 0, _, _, _, _, a, b] => Some(pair(!a, !b)),
        [_, _, _, _, 0 | 0x200, 0x5efe, a, b] => Some(pair(a, b)),
        _ => None,
    }
}

/// What kind of place an address is; an embedded IPv4 address decides for its IPv6 spelling.
pub fn class_of(ip: IpAddr) -> Class {
    match ip {
        IpAddr::V4(ip) => class_of_v4(ip),
        IpAddr::V6(ip) => match embedded_ipv4(ip) {
            Some(inner) => class_of_v4(inner),
            None => class_of_v6(ip),
        },
    }
}

fn class_of_v4(ip: Ipv4Addr) -> Class {
    match ip.octets() {
        [127, ..] => Class::Loopback,
        [0, ..] => Class::Unspecified,
        // AWS, GCP, Azure, ECS tasks; Alibaba; Azure's wire server; Oracle.
        [169, 254, 169, 254] | [169, 254, 170, 2 | 23] | [100, 100, 100, 200] | [168, 63, 129, 16] | [192, 0, 0, 192] => Class::Metadata,
        [169, 254, ..] => Class::LinkLocal,
        [224..=239, ..] | [255, 255, 255, 255] => Class::Multicast,
        [10, ..] | [192, 168, ..] | [172, 16..=31, ..] | [100, 64..=127, ..] => Class::Private,
        [192, 0, 0 | 2, _] | [198, 18 | 19, ..] | [198, 51, 100, _] | [203, 0, 113, _] | [240..=255, ..] => Class::Reserved,
        _ => Class::Global,
    }
}

fn class_of_v6(ip: Ipv6Addr) -> Class {
    if ip.is_loopback() {
        return Class::Loopback;
    }
    if ip.is_unspecified() {
        return Class::Unspecified;
    }
    match ip.segments() {
        // AWS and Scaleway.
        [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254] | [0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42] => Class::Metadata,
        [0xfe80..=0xfebf, ..] => Class::LinkLocal,
        [0xff00..=0xffff, ..] => Class::Multicast,
        [0xfc00..=0xfdff, ..] | [0xfec0..=0xfeff, ..] => Class::Private,
        [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] | [0x100, 0, 0, 0, ..] => Class::Reserved,
        _ => Class::Global,
    }
}

/// Where connections may go.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    everything: bool,
    own: Vec<SocketAddr>,
    allowed: Vec<Network>,
}

/// A connection that the policy forbids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot connect to {addr}: {reason} addresses are not allowed for this target")]
pub struct Forbidden {
    /// The address.
    pub addr: SocketAddr,
    /// Which rule forbids it.
    pub reason: &'static str,
}

impl Policy {
    /// For targets that an administrator wrote into the configuration: everything is allowed.
    pub fn configured() -> Policy {
        Policy { everything: true, ..Policy::default() }
    }
    /// For targets that a caller chose: no loopback, link-local, metadata, multicast, unspecified or reserved address.
    /// Private networks are allowed, because that is what is watched.
    pub fn free() -> Policy {
        Policy::default()
    }
    /// Our own listening sockets, which free targets never reach on any of our addresses.
    pub fn with_own(mut self, own: Vec<SocketAddr>) -> Policy {
        self.own = own;
        self
    }
    /// Networks that are allowed in spite of their class.
    pub fn with_allowed(mut self, allowed: Vec<Network>) -> Policy {
        self.allowed = allowed;
        self
    }
    /// Whether the address of a connection may be used. Ask with the address that is really connected to, at every redirect.
    pub fn check(&self, addr: SocketAddr) -> Result<(), Forbidden> {
        if self.everything {
            return Ok(());
        }
        let ip = plain(addr.ip());
        if self.own.iter().any(|own| own.port() == addr.port() && (own.ip().is_unspecified() || plain(own.ip()) == ip)) && class_of(ip) == Class::Loopback
            || self.own.iter().any(|own| own.port() == addr.port() && plain(own.ip()) == ip)
        {
            return Err(Forbidden { addr, reason: "our own" });
        }
        if self.allowed.iter().any(|network| network.contains(ip)) {
            return Ok(());
        }
        match class_of(ip) {
            Class::Private | Class::Global => Ok(()),
            class => Err(Forbidden { addr, reason: class.word() }),
        }
    }
}

/// IPv4 wherever an IPv6 address carries one.
fn plain(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V6(v6) => embedded_ipv4(v6).map_or(ip, IpAddr::V4),
        IpAddr::V4(_) => ip,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes() {
        for (text, class) in [
            ("127.0.0.1", Class::Loopback),
            ("127.255.255.254", Class::Loopback),
            ("::1", Class::Loopback),
            ("::ffff:127.0.0.1", Class::Loopback),
            ("64:ff9b::7f00:1", Class::Loopback),
            ("64:ff9b:1::7f00:1", Class::Loopback),
            ("2002:7f00:1::", Class::Loopback),
            ("::127.0.0.1", Class::Loopback),
            ("2001:0:0:0:0:0:80ff:fffe", Class::Loopback),
            ("fe80::5efe:7f00:1", Class::Loopback),
            ("::ffff:0:7f00:1", Class::Loopback),
            ("0.0.0.0", Class::Unspecified),
            ("0.1.2.3", Class::Unspecified),
            ("::", Class::Unspecified),
            ("::ffff:0.0.0.0", Class::Unspecified),
            ("169.254.169.254", Class::Metadata),
            ("::ffff:a9fe:a9fe", Class::Metadata),
            ("64:ff9b::a9fe:a9fe", Class::Metadata),
            ("169.254.170.2", Class::Metadata),
            ("100.100.100.200", Class::Metadata),
            ("168.63.129.16", Class::Metadata),
            ("fd00:ec2::254", Class::Metadata),
            ("192.0.0.192", Class::Metadata),
            ("169.254.1.1", Class::LinkLocal),
            ("fe80::1", Class::LinkLocal),
            ("224.0.0.1", Class::Multicast),
            ("255.255.255.255", Class::Multicast),
            ("ff02::1", Class::Multicast),
            ("240.0.0.1", Class::Reserved),
            ("192.0.2.1", Class::Reserved),
            ("2001:db8::1", Class::Reserved),
            ("10.0.0.1", Class::Private),
            ("192.168.1.1", Class::Private),
            ("172.31.0.1", Class::Private),
            ("100.64.0.1", Class::Private),
            ("fd12::1", Class::Private),
            ("8.8.8.8", Class::Global),
            ("172.32.0.1", Class::Global),
            ("2606:4700::1", Class::Global),
        ] {
            assert_eq!(class_of(text.parse().unwrap()), class, "{text}");
        }
    }

    /// Spellings of hosts go through the URL parser and the resolver to an address; the policy sees only that.
    #[test]
    fn free_targets_never_reach_this_machine_however_it_is_spelt() {
        let policy = Policy::free().with_own(vec!["0.0.0.0:8000".parse().unwrap()]);
        let spellings = [
            "http://127.0.0.1/",
            "http://127.1/",
            "http://127.0.1/",
            "http://2130706433/",
            "http://0x7f000001/",
            "http://0x7f.1/",
            "http://0177.0.0.1/",
            "http://0177.1/",
            "http://017700000001/",
            "http://0x7f.0x0.0x0.0x1/",
            "http://127.0.0.1./",
            "http://127.000.000.001/",
            "http://127.127.127.127/",
            "http://[::1]/",
            "http://[0:0:0:0:0:0:0:1]/",
            "http://[::ffff:127.0.0.1]/",
            "http://[::ffff:7f00:1]/",
            "http://[0:0:0:0:0:ffff:7f00:1]/",
            "http://[::127.0.0.1]/",
            "http://[64:ff9b::127.0.0.1]/",
            "http://[64:ff9b:1::7f00:1]/",
            "http://[2002:7f00:1::]/",
            "http://user:pass@127.0.0.1/",
            "http://example.com@127.0.0.1/",
            "http://127.0.0.1#@example.com/",
            "http://127.0.0.1?@example.com/",
            "http://127。0。0。1/",
            "http://①②⑦.⓪.⓪.①/",
            "http://%31%32%37.0.0.1/",
            "http://0/",
            "http://0.0.0.0/",
            "http://00/",
            "http://[::]/",
            "http://0x0/",
            "http://[::ffff:0:0]/",
            "http://169.254.169.254/",
            "http://2852039166/",
            "http://0xa9fea9fe/",
            "http://0xa9.0xfe.0xa9.0xfe/",
            "http://0251.0376.0251.0376/",
            "http://169.254.43518/",
            "http://169.16689662/",
            "http://[::ffff:169.254.169.254]/",
            "http://[::ffff:a9fe:a9fe]/",
            "http://[64:ff9b::a9fe:a9fe]/",
            "http://[fd00:ec2::254]/",
            "http://169.254.169.254./",
            "http://169。254。169。254/",
            "http://100.100.100.200/",
            "http://168.63.129.16/",
            "http://192.0.0.192/",
            "http://[fe80::1]/",
            "http://169.254.1.1/",
            "http://224.0.0.1/",
            "http://239.255.255.250/",
            "http://255.255.255.255/",
            "http://[ff02::1]/",
            "http://0xffffffff/",
            "http://4294967295/",
            "http:\\\\127.0.0.1\\",
            "http:127.0.0.1/",
            "http:///127.0.0.1/",
            "HTTP://127.0.0.1:80/",
            "http://[::ffff:0:127.0.0.1]/",
            "http://[2001:0:0:0:0:0:80ff:fffe]/",
        ];
        assert!(spellings.len() >= 60);
        for text in spellings {
            let url = url::Url::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"));
            let ip: IpAddr = match url.host() {
                Some(url::Host::Ipv4(ip)) => ip.into(),
                Some(url::Host::Ipv6(ip)) => ip.into(),
                other => panic!("{text} is a name: {other:?}"),
            };
            let addr = SocketAddr::new(ip, url.port_or_known_default().unwrap_or(80));
            assert!(policy.check(addr).is_err(), "{text} → {addr} is allowed");
            assert!(Policy::configured().check(addr).is_ok());
        }
    }

    #[test]
    fn what_is_watched_stays_reachable() {
        let own = vec!["192.168.1.10:8000".parse().unwrap(), "0.0.0.0:9090".parse().unwrap()];
        let policy = Policy::free().with_own(own).with_allowed(vec!["127.0.0.2/32".parse().unwrap()]);
        for (text, allowed) in [
            ("192.168.1.1:80", true),
            ("192.168.1.20:554", true),
            ("10.1.2.3:443", true),
            ("172.16.5.4:8080", true),
            ("100.64.1.1:80", true),
            ("[fd12:3456::1]:80", true),
            ("8.8.8.8:53", true),
            ("1.1.1.1:443", true),
            ("[2606:4700:4700::1111]:443", true),
            ("192.168.1.10:80", true),
            ("127.0.0.2:80", true),
            ("192.168.1.10:8000", false),
            ("[::ffff:192.168.1.10]:8000", false),
            ("127.0.0.2:9090", false),
            ("127.0.0.3:80", false),
        ] {
            assert_eq!(policy.check(text.parse().unwrap()).is_ok(), allowed, "{text}");
        }
    }
}
