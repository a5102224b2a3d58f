//! `dns_sd_configs`: every address of a name, or every server that its SRV, MX or NS records name, is a target. Addresses come from the system's
//! resolver, other records from its name servers. These are also asked for addresses where the resolver has none: it does not tell a name
//! that nobody has, whose targets are gone, from servers that do not answer, with which the last ones stay.

mod records;

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use watchfire_model::document::{Node, Reader};
use watchfire_model::meter::Meter;
use watchfire_model::order::Order as _;
use watchfire_net::timed::Dialer;

use self::records::Servers;
use super::{ADDRESS, Discovery, Mechanism, Place, Running, Surroundings, TargetGroup, Update, left_out};

/// The registry entry.
pub const MECHANISM: Mechanism = Mechanism { key: "dns_sd_configs", read };

/// How often names are looked up when the file does not say.
pub const REFRESH_MS_DEFAULT: u64 = 30_000;
/// At most so many addresses of one name are taken.
pub const ADDRESSES_MAX: usize = 1_000;
/// Where the system says who its name servers are.
const SERVERS_FILE: &str = "/etc/resolv.conf";
/// The label that says which name an address came from.
pub const NAME_LABEL: &str = "__meta_dns_name";

/// The kind of records that are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    A,
    Aaaa,
    Srv,
    Mx,
    Ns,
}
impl Kind {
    /// The number of the type.
    fn number(self) -> u16 {
        match self {
            Kind::A => 1,
            Kind::Aaaa => 28,
            Kind::Srv => 33,
            Kind::Mx => 15,
            Kind::Ns => 2,
        }
    }
    fn is_address(self) -> bool {
        matches!(self, Kind::A | Kind::Aaaa)
    }
}

/// One entry of `dns_sd_configs`.
pub struct DnsDiscovery {
    names: Vec<String>,
    kind: Kind,
    port: u16,
    refresh_ms: u64,
}

fn read(place: &Place<'_>, node: &Node) -> Vec<Arc<dyn Discovery>> {
    place.each(node, read_one)
}

fn read_one(reader: &Reader<'_>) -> Option<DnsDiscovery> {
    let names = reader.texts("names", false);
    if names.is_empty() {
        let node = reader.node();
        reader.context().error(node.line, node.column, format!("{} must name at least one name", reader.path_of("names")));
    }
    let kind = reader.word("type", &["SRV", "A", "AAAA", "MX", "NS", "srv", "a", "aaaa", "mx", "ns"]).unwrap_or("SRV").to_ascii_uppercase();
    let port = reader.u64("port");
    let refresh_ms = reader.duration_ms("refresh_interval").filter(|ms| *ms > 0).unwrap_or(REFRESH_MS_DEFAULT);
    let kind = match kind.as_str() {
        "A" => Kind::A,
        "AAAA" => Kind::Aaaa,
        "MX" => Kind::Mx,
        "NS" => Kind::Ns,
        _ => Kind::Srv,
    };
    let number = port.and_then(|p| u16::try_from(p).ok()).filter(|p| *p > 0);
    // A record of the type SRV says its port itself.
    if (number.is_none() && kind != Kind::Srv) || (number.is_none() && port.is_some()) {
        reader.error_at("port", "types A, AAAA, MX and NS need a port from 1 to 65535");
        return None;
    }
    Some(DnsDiscovery { names, kind, port: number.unwrap_or_default(), refresh_ms })
}

impl DnsDiscovery {
    /// The targets of a name, and how many more there would be.
    async fn look_up(&self, name: &str, servers: &(dyn Fn() -> Servers + Send + Sync)) -> Result<(TargetGroup, u64), String> {
        // The resolver also knows names that stand in this machine's files.
        if self.kind.is_address()
            && let Ok(found) = tokio::net::lookup_host((name, self.port)).await
        {
            return Ok(self.group(name, found.map(|address| address.ip())));
        }
        Ok(self.named(name, &servers().records(&Dialer::new(), name, self.kind.number()).await?))
    }

    /// The targets that records name.
    fn named(&self, name: &str, records: &[String]) -> (TargetGroup, u64) {
        if self.kind.is_address() {
            return self.group(name, records.iter().filter_map(|record| record.parse().ok()));
        }
        self.settled(name, records.iter().filter_map(|record| self.target(record)).collect())
    }

    /// Each target once, in one order, and as many as there is room for.
    fn settled(&self, name: &str, mut targets: Vec<Vec<(String, String)>>) -> (TargetGroup, u64) {
        targets.order();
        targets.dedup();
        let left_out = targets.len().saturating_sub(ADDRESSES_MAX) as u64;
        targets.truncate(ADDRESSES_MAX);
        (TargetGroup { source: name.to_owned(), targets, labels: vec![(NAME_LABEL.to_owned(), name.to_owned())] }, left_out)
    }

    fn target(&self, record: &str) -> Option<Vec<(String, String)>> {
        let cells: Vec<&str> = record.split_ascii_whitespace().collect();
        let (host, port, labels) = match (self.kind, &cells[..]) {
            (Kind::Srv, [_, _, port, host]) => (host, port.parse().ok()?, vec![("__meta_dns_srv_record_target", *host), ("__meta_dns_srv_record_port", *port)]),
            (Kind::Mx, [_, host]) => (host, self.port, vec![("__meta_dns_mx_record_target", *host)]),
            (Kind::Ns, [host]) => (host, self.port, vec![("__meta_dns_ns_record_target", *host)]),
            _ => return None,
        };
        let address = format!("{}:{port}", host.trim_end_matches('.'));
        let labels = labels.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
        Some([(ADDRESS.to_owned(), address)].into_iter().chain(labels).collect())
    }

    fn group(&self, name: &str, found: impl Iterator<Item = IpAddr>) -> (TargetGroup, u64) {
        let wanted = found.filter(|ip| ip.is_ipv4() == (self.kind == Kind::A));
        self.settled(name, wanted.map(|ip| vec![(ADDRESS.to_owned(), std::net::SocketAddr::new(ip, self.port).to_string())]).collect())
    }
}

impl Discovery for DnsDiscovery {
    fn initial(&self, _meter: &Meter) -> Option<Vec<TargetGroup>> {
        None
    }
    fn run(self: Arc<Self>, from: usize, surroundings: Surroundings, updates: mpsc::Sender<Update>) -> Option<Running> {
        Some(Box::pin(async move {
            let failures =
                surroundings.meter.counter("watchfire_discovery_dns_errors_total", "Names that could not be looked up; their last addresses are kept.", &[]);
            let left_out = left_out(&surroundings.meter, "dns");
            let mut known: Vec<TargetGroup> = self.names.iter().map(|name| self.settled(name, Vec::new()).0).collect();
            let servers = || Servers::read(Path::new(SERVERS_FILE));
            let mut sent = None;
            loop {
                for group in &mut known {
                    match self.look_up(&group.source, &servers).await {
                        Ok((found, more)) => {
                            *group = found;
                            left_out.add(more);
                        }
                        Err(error) => {
                            failures.inc();
                            tracing::debug!(name = group.source, %error, "cannot look up a name; its last addresses are kept");
                        }
                    }
                }
                if sent.as_ref() != Some(&known) {
                    sent = Some(known.clone());
                    if updates.send(Update { from, groups: known.clone() }).await.is_err() {
                        return;
                    }
                }
                tokio::time::sleep(Duration::from_millis(self.refresh_ms)).await;
            }
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_the_wanted_kind_become_targets() {
        let found = || ["10.0.0.2", "::1", "10.0.0.1", "10.0.0.2"].into_iter().map(|ip| ip.parse::<IpAddr>().unwrap());
        let check = |kind, expected: &[&str]| {
            let dns = DnsDiscovery { names: vec!["x".to_owned()], kind, port: 9100, refresh_ms: 1 };
            let (group, left_out) = dns.group("x", found());
            assert_eq!(left_out, 0);
            assert_eq!(group.targets.iter().map(|t| t[0].1.as_str()).collect::<Vec<_>>(), expected);
            assert_eq!(group.labels, [(NAME_LABEL.to_owned(), "x".to_owned())]);
        };
        check(Kind::A, &["10.0.0.1:9100", "10.0.0.2:9100"]);
        check(Kind::Aaaa, &["[::1]:9100"]);
        let dns = DnsDiscovery { names: vec!["x".to_owned()], kind: Kind::A, port: 9100, refresh_ms: 1 };
        let many = (0..ADDRESSES_MAX as u32 + 5).map(|n| IpAddr::V4(std::net::Ipv4Addr::from_bits(0x0a00_0000 + n)));
        let (group, left_out) = dns.group("x", many);
        assert_eq!((group.targets.len(), left_out), (ADDRESSES_MAX, 5));
    }

    #[test]
    fn records_name_targets() {
        let check = |kind, port, records: &[&str], expected: &[&str]| {
            let dns = DnsDiscovery { names: vec!["x".to_owned()], kind, port, refresh_ms: 1 };
            let records: Vec<String> = records.iter().map(|record| (*record).to_owned()).collect();
            let shown = |target: &Vec<(String, String)>| target.iter().map(|(n, v)| format!("{n}={v}")).collect::<Vec<_>>().join(" ");
            assert_eq!(dns.named("x", &records).0.targets.iter().map(shown).collect::<Vec<_>>(), expected);
        };
        check(
            Kind::Srv,
            0,
            &["0 5 9100 b.x.", "0 5 9100 a.x.", "0 5 99999 c.", "odd"],
            &[
                "__address__=a.x:9100 __meta_dns_srv_record_target=a.x. __meta_dns_srv_record_port=9100",
                "__address__=b.x:9100 __meta_dns_srv_record_target=b.x. __meta_dns_srv_record_port=9100",
            ],
        );
        check(Kind::Mx, 25, &["10 mail.x."], &["__address__=mail.x:25 __meta_dns_mx_record_target=mail.x."]);
        check(Kind::A, 80, &["10.0.0.2", "10.0.0.1", "::1", "odd"], &["__address__=10.0.0.1:80", "__address__=10.0.0.2:80"]);
        check(Kind::Ns, 53, &["ns.x."], &["__address__=ns.x:53 __meta_dns_ns_record_target=ns.x."]);
    }

    #[tokio::test]
    async fn the_system_s_resolver_is_asked() {
        let dns = DnsDiscovery { names: vec!["localhost".to_owned()], kind: Kind::A, port: 1, refresh_ms: 1 };
        let nobody = || -> Servers { panic!("no server is asked") };
        assert_eq!(dns.look_up("localhost", &nobody).await.unwrap().0.targets[0][0].1, "127.0.0.1:1");
    }

    #[tokio::test]
    async fn a_name_that_nobody_has_loses_its_targets_and_one_that_nobody_answers_for_keeps_them() {
        // Answers that there is no such name, or breaks down, as the question's first letter says.
        let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        tokio::spawn(async move {
            let mut buffer = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
                let mut answer = buffer[..length].to_vec();
                answer[2] |= 0x80;
                answer[3] = if answer[13] == b'g' { 3 } else { 2 };
                socket.send_to(&answer, from).await.unwrap();
            }
        });
        let servers = || Servers { addresses: vec![address], search: Vec::new(), dots: 1, timeout: Duration::from_secs(30) };
        for kind in [Kind::A, Kind::Aaaa, Kind::Srv] {
            let dns = DnsDiscovery { names: Vec::new(), kind, port: 1, refresh_ms: 1 };
            // Names that end in .invalid are nobody's, so the resolver of this machine knows none either.
            let (gone, left_out) = dns.look_up("gone.invalid", &servers).await.unwrap();
            assert_eq!((gone.targets.len(), gone.source.as_str(), left_out), (0, "gone.invalid", 0), "{kind:?}");
            assert_eq!(dns.look_up("broken.invalid", &servers).await.unwrap_err(), "the servers answer with code 2", "{kind:?}");
        }
    }
}
