//! Where lines go on to besides being kept here: `clients` of Promtail, endpoints of Alloy's `loki.write`, outputs of Filebeat. It reads
//! what a configuration says of one such place; sending is `watchfire-forward`'s.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use watchfire_model::document::{Context, Node, Reader};
use watchfire_net::client::{HttpOptions, TlsOptions, read_http_options};
use watchfire_net::secret::Secret;

use crate::discovery::glob::Lookup;

/// Names of machines that we stand in for.
const OURS: [&str; 4] = ["loki", "elasticsearch", "logstash", "watchfire"];
/// The names by which a machine calls itself, and the ports on which it is ourselves then.
const LOCAL: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];
const LOCAL_PORTS: [u16; 3] = [3100, 9200, 5044];
/// The most bytes of lines that go together, whatever the configuration says.
pub const BATCH_BYTES_MAX: u64 = 8 << 20;
/// The most lines that go together.
pub const BATCH_ENTRIES_MAX: usize = 50_000;

/// A place that lines go on to.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    /// What it is called, if it has a name.
    pub name: Option<String>,
    /// What is spoken there.
    pub destination: Destination,
    /// Its address, which may hold a password.
    pub url: Secret,
    /// The tenant that lines are sent for.
    pub tenant: Option<String>,
    /// Headers of every request.
    pub headers: Vec<(String, Secret)>,
    /// How requests are made: credentials, TLS, proxies.
    pub client: Arc<HttpOptions>,
    /// How long a request may take.
    pub timeout: Duration,
    /// How long lines wait for others.
    pub batch_wait: Duration,
    /// How many bytes of lines go together.
    pub batch_bytes: u64,
    /// How many lines go together.
    pub batch_entries: usize,
    /// The shortest and the longest pause after a failure.
    pub backoff: (Duration, Duration),
    /// How often a batch is tried again; 0 is without end.
    pub retries: u64,
    /// Labels that lines get which do not have them.
    pub external_labels: Vec<(String, String)>,
    /// Whether batches are dropped that the other side has no room for now.
    pub drop_rate_limited: bool,
    /// Where it stands, for messages.
    pub place: (usize, usize),
    /// The origins of the lines that go there; filled in when the configuration is whole.
    pub sources: BTreeSet<String>,
}

/// What is spoken at a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Loki's pushes.
    Loki,
    /// Elasticsearch's bulk requests.
    Elasticsearch {
        /// Further addresses of the cluster.
        others: Vec<Secret>,
        /// The index, which may name fields and the date.
        index: String,
        /// The ingest pipeline.
        pipeline: Option<String>,
    },
    /// OTLP, for spans, all log lines or metrics.
    Otlp {
        /// Host, port and whether there is TLS, where it is gRPC; else it is HTTP.
        grpc: Option<(String, u16, bool)>,
        /// Whether requests are compressed.
        gzip: bool,
    },
    /// Lumberjack, version 2.
    Logstash {
        /// Host and port of each that takes lines; one after the other.
        hosts: Vec<(String, u16)>,
        /// The TLS side, if it is spoken.
        tls: Option<TlsOptions>,
        /// What the events say they come from.
        index: String,
    },
}

/// Host and port of an address; a port of zero where none is written.
fn host_and_port(url: &str) -> (&str, u16) {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().unwrap_or(0)),
        _ => (authority, 0),
    }
}

/// Whether an address is one that we stand in for: what would go there is here already.
pub fn is_ours(url: &str) -> bool {
    let (host, port) = host_and_port(url);
    OURS.contains(&host) || (LOCAL.contains(&host) && LOCAL_PORTS.contains(&port))
}

impl Output {
    /// Whether it leads to one of our own ports on this machine.
    pub fn leads_to(&self, own: &[u16]) -> bool {
        let here = |host: &str, port: u16| watchfire_net::dial::is_here(host) && own.contains(&port);
        match &self.destination {
            Destination::Logstash { hosts, .. } => hosts.iter().any(|(host, port)| here(host, *port)),
            Destination::Otlp { grpc: Some((host, port, _)), .. } => here(host, *port),
            Destination::Loki | Destination::Elasticsearch { .. } | Destination::Otlp { grpc: None, .. } => {
                let (host, port) = host_and_port(self.url.expose());
                here(host, if port == 0 { 80 } else { port })
            }
        }
    }
}

/// Reads one client in Promtail's form; nothing for those that lead to ourselves.
pub(crate) fn read(context: &Context, node: &Node, path: &str, lookup: &Lookup) -> Option<Output> {
    let reader = Reader::new(context, node, path);
    let url = reader.required_text("url");
    let client = read_http_options(&reader, &|file| lookup.file(file));
    let headers = reader.text_map("headers").into_iter().map(|(name, value)| (name, Secret::new(value))).collect();
    let wait = |key: &'static str, default: u64| Duration::from_millis(reader.duration_ms(key).unwrap_or(default));
    let (timeout, batch_wait) = (wait("timeout", 10_000), wait("batchwait", 1_000));
    // Promtail gives a batch up after ten tries, because it waits in memory. Here it waits on disk, so only who asks for that gets it.
    let (mut backoff, mut retries) = ((Duration::from_millis(500), Duration::from_secs(300)), 0);
    if let Some(inner) = reader.map("backoff_config") {
        backoff.0 = inner.duration_ms("min_period").map_or(backoff.0, Duration::from_millis).max(Duration::from_millis(1));
        backoff.1 = inner.duration_ms("max_period").map_or(backoff.1, Duration::from_millis).max(backoff.0);
        retries = inner.u64("max_retries").unwrap_or(0);
        inner.finish();
    }
    let output = Output {
        name: reader.text("name").filter(|name| !name.is_empty()),
        destination: Destination::Loki,
        tenant: reader.text("tenant_id").filter(|tenant| !tenant.is_empty()),
        headers,
        client: Arc::new(client),
        timeout: timeout.max(Duration::from_millis(1)),
        batch_wait,
        batch_bytes: reader.bytes("batchsize").unwrap_or(1 << 20).clamp(1, BATCH_BYTES_MAX),
        batch_entries: BATCH_ENTRIES_MAX,
        backoff,
        retries,
        external_labels: reader.text_map("external_labels"),
        drop_rate_limited: reader.bool("drop_rate_limited_batches").unwrap_or(false),
        place: (node.line, node.column),
        url: Secret::new(url.clone()),
        sources: BTreeSet::new(),
    };
    let speaks = ["http://", "https://"].iter().any(|scheme| url.starts_with(scheme));
    if !speaks && !url.is_empty() {
        reader.error_at("url", "must begin with http:// or https://");
    }
    reader.finish();
    (speaks && !is_ours(&url)).then_some(output)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ourselves() {
        for (url, expected) in [
            ("http://loki:3100/loki/api/v1/push", true),
            ("http://u:p@loki/push", true),
            ("http://localhost:3100/loki/api/v1/push", true),
            ("http://[::1]:3100/push", true),
            ("http://localhost:3200/push", false),
            ("http://logs.example:3100/push", false),
            ("http://loki.example:3100/push", false),
            ("elasticsearch:9200", true),
            ("logstash:5044", true),
        ] {
            assert_eq!(is_ours(url), expected, "{url}");
        }
    }

    #[test]
    fn a_client_as_promtail_has_it() {
        let text = "url: https://logs.example/loki/api/v1/push\nname: far\ntenant_id: t\nbatchwait: 2s\nbatchsize: 1000\ntimeout: 3s\n\
                    basic_auth: {username: u, password: p}\nheaders: {X-A: b}\nexternal_labels: {site: home}\n\
                    backoff_config: {min_period: 1s, max_period: 10s, max_retries: 4}\ndrop_rate_limited_batches: true\n";
        let node = watchfire_model::document::parse_yaml("p.yml", text).unwrap();
        let context = Context::new("p.yml");
        let output = read(&context, &node, "clients[0]", &Lookup::default()).unwrap();
        assert!(context.into_findings().is_empty());
        assert_eq!(
            (output.tenant.as_deref(), output.batch_bytes, output.batch_wait, output.timeout),
            (Some("t"), 1_000, Duration::from_secs(2), Duration::from_secs(3))
        );
        assert_eq!((output.backoff, output.retries), ((Duration::from_secs(1), Duration::from_secs(10)), 4));
        assert!(output.drop_rate_limited && !output.leads_to(&[80]) && output.external_labels == [("site".to_owned(), "home".to_owned())]);
        let context = Context::new("p.yml");
        let node = watchfire_model::document::parse_yaml("p.yml", "url: logs.example\n").unwrap();
        assert!(read(&context, &node, "clients[0]", &Lookup::default()).is_none());
        assert_eq!(context.into_findings().len(), 1);
    }
}
