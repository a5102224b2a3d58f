//! `dns_sd_configs` of types A and AAAA: every address of a name is a target. The system's resolver is asked, which knows
//! no SRV, MX or NS records: those types are read and said to find nothing.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use watchfire_model::document::{Node, Reader};
use watchfire_model::meter::Meter;
use watchfire_model::order::Order as _;

use super::{ADDRESS, Discovery, Mechanism, Place, Running, Surroundings, TargetGroup, Update};

/// The registry entry.
pub const MECHANISM: Mechanism = Mechanism { key: "dns_sd_configs", read };

/// How often names are looked up when the file does not say.
pub const REFRESH_MS_DEFAULT: u64 = 30_000;
/// At most so many addresses of one name are taken.
pub const ADDRESSES_MAX: usize = 1_000;
/// The label that says which name an address came from.
pub const NAME_LABEL: &str = "__meta_dns_name";

/// The kind of addresses that are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    A,
    Aaaa,
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
        kind => {
            let key = if kind != "SRV" && port.is_none() { "port" } else { "type" };
            if key == "port" {
                reader.error_at("type", format!("type {kind} needs a port"));
            } else {
                reader.warning_at("type", format!("{kind} records are not looked up here: no targets come from this entry; A and AAAA are supported"));
            }
            return None;
        }
    };
    let port = port.and_then(|p| u16::try_from(p).ok()).filter(|p| *p > 0);
    if port.is_none() {
        reader.error_at("port", "types A and AAAA need a port from 1 to 65535");
    }
    Some(DnsDiscovery { names, kind, port: port?, refresh_ms })
}

impl DnsDiscovery {
    async fn look_up(&self, name: &str) -> Result<TargetGroup, std::io::Error> {
        let found = tokio::net::lookup_host((name, self.port)).await?;
        Ok(self.group(name, found.map(|address| address.ip())))
    }

    fn group(&self, name: &str, found: impl Iterator<Item = IpAddr>) -> TargetGroup {
        let mut addresses: Vec<String> = found
            .filter(|ip| ip.is_ipv4() == (self.kind == Kind::A))
            .take(ADDRESSES_MAX)
            .map(|ip| std::net::SocketAddr::new(ip, self.port).to_string())
            .collect();
        addresses.order();
        addresses.dedup();
        let targets = addresses.into_iter().map(|address| vec![(ADDRESS.to_owned(), address)]).collect();
        TargetGroup { source: name.to_owned(), targets, labels: vec![(NAME_LABEL.to_owned(), name.to_owned())] }
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
            let mut known: Vec<TargetGroup> = self.names.iter().map(|name| self.group(name, std::iter::empty())).collect();
            let mut sent = None;
            loop {
                for group in &mut known {
                    match self.look_up(&group.source).await {
                        Ok(found) => *group = found,
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
            let group = dns.group("x", found());
            assert_eq!(group.targets.iter().map(|t| t[0].1.as_str()).collect::<Vec<_>>(), expected);
            assert_eq!(group.labels, [(NAME_LABEL.to_owned(), "x".to_owned())]);
        };
        check(Kind::A, &["10.0.0.1:9100", "10.0.0.2:9100"]);
        check(Kind::Aaaa, &["[::1]:9100"]);
    }

    #[tokio::test]
    async fn the_system_s_resolver_is_asked() {
        let dns = DnsDiscovery { names: vec!["localhost".to_owned()], kind: Kind::A, port: 1, refresh_ms: 1 };
        assert_eq!(dns.look_up("localhost").await.unwrap().targets[0][0].1, "127.0.0.1:1");
    }
}
