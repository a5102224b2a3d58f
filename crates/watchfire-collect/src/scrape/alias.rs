//! Addresses that mean ourselves: names of containers that Watchfire replaces, and `localhost:<port of a face>`. An alias
//! is followed only while nobody answers at the real address, so a container that still runs is scraped as before.

use std::sync::Arc;

use watchfire_net::secret::Secret;

/// What an address stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alias {
    /// Where we listen ourselves: `127.0.0.1:8000`.
    pub address: String,
    /// What stands before the target's path there: empty or `/blackbox`.
    pub path_prefix: String,
    /// The component that is replaced, for the list of targets: `prometheus`.
    pub component: String,
    /// A token for ourselves, when we ask for one.
    pub token: Option<Secret>,
}

/// Finds the alias of a host and a port.
pub type Aliases = Arc<dyn Fn(&str, u16) -> Option<Alias> + Send + Sync>;

/// One row of the default table: the replaced component, its host names, its port, and the prefix of its face.
struct Row {
    component: &'static str,
    hosts: &'static [&'static str],
    port: u16,
    path_prefix: &'static str,
}

/// What is replaced today; a new face adds its row.
const TABLE: [Row; 9] = [
    Row { component: "prometheus", hosts: &["prometheus", "localhost", "127.0.0.1"], port: 9090, path_prefix: "" },
    Row { component: "alertmanager", hosts: &["alertmanager", "localhost", "127.0.0.1"], port: 9093, path_prefix: "" },
    Row {
        component: "blackbox_exporter",
        hosts: &["blackbox", "blackbox-exporter", "blackbox_exporter", "localhost", "127.0.0.1"],
        port: 9115,
        path_prefix: "/blackbox",
    },
    Row { component: "json_exporter", hosts: &["json-exporter", "json_exporter", "localhost", "127.0.0.1"], port: 7979, path_prefix: "/json" },
    Row { component: "redis_exporter", hosts: &["redis-exporter", "redis_exporter", "localhost", "127.0.0.1"], port: 9121, path_prefix: "/redis" },
    Row { component: "postgres_exporter", hosts: &["postgres-exporter", "postgres_exporter", "localhost", "127.0.0.1"], port: 9187, path_prefix: "/postgres" },
    Row { component: "node_exporter", hosts: &["node-exporter", "node_exporter", "localhost", "127.0.0.1"], port: 9100, path_prefix: "/node" },
    Row { component: "alloy", hosts: &["alloy", "localhost", "127.0.0.1"], port: 12345, path_prefix: "/collect" },
    Row { component: "promtail", hosts: &["promtail", "localhost", "127.0.0.1"], port: 9080, path_prefix: "/collect" },
];

/// The default table, answered by whoever listens at `address`.
pub fn default_aliases(address: &str, token: Option<Secret>) -> Aliases {
    let address = address.to_owned();
    Arc::new(move |host, port| {
        let row = TABLE.iter().find(|row| row.port == port && row.hosts.contains(&host))?;
        Some(Alias { address: address.clone(), path_prefix: row.path_prefix.to_owned(), component: row.component.to_owned(), token: token.clone() })
    })
}

/// No address means ourselves.
pub fn no_aliases() -> Aliases {
    Arc::new(|_, _| None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_table() {
        let aliases = default_aliases("127.0.0.1:8000", None);
        for (host, port, component) in [
            ("prometheus", 9090, Some("prometheus")),
            ("localhost", 9090, Some("prometheus")),
            ("alertmanager", 9093, Some("alertmanager")),
            ("localhost", 9093, Some("alertmanager")),
            ("alertmanager", 9090, None),
            ("blackbox-exporter", 9115, Some("blackbox_exporter")),
            ("json-exporter", 7979, Some("json_exporter")),
            ("redis-exporter", 9121, Some("redis_exporter")),
            ("postgres-exporter", 9187, Some("postgres_exporter")),
            ("redis-master", 9121, None),
            ("node-exporter", 9100, Some("node_exporter")),
            ("localhost", 9100, Some("node_exporter")),
            ("alloy", 12345, Some("alloy")),
            ("promtail", 9080, Some("promtail")),
            ("recording-node-1", 9100, None),
            ("backend", 9090, None),
        ] {
            assert_eq!(aliases(host, port).map(|a| a.component), component.map(str::to_owned), "{host}:{port}");
        }
    }
}
