//! Where spans, log lines and metrics go on to by OTLP: places of our own configuration, and exporters of Alloy in the same form. It reads what is said of one
//! place; sending is `watchfire-forward`'s.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use watchfire_model::document::{Key, Node, Reader, Value as Tree};
use watchfire_net::client::{Authorization, read_http_options};
use watchfire_net::secret::Secret;

use super::outputs::{BATCH_BYTES_MAX, BATCH_ENTRIES_MAX, Destination, Output};
use crate::discovery::glob::Lookup;

/// Where OTLP's traces are taken over HTTP, unless an address says it.
const HTTP_PATH: &str = "/v1/traces";
const GRPC_PORT: u16 = 4317;
const HTTP_PORT: u16 = 4318;
/// What may go to a place, as it is called in addresses.
const SIGNALS: [&str; 3] = ["metrics", "logs", "traces"];
/// Spans, lines or points that go together unless it is said.
const BATCH_SPANS: usize = 8_192;

/// An address in pieces.
struct Endpoint {
    secure: bool,
    host: String,
    port: Option<u16>,
    /// What follows, with its slash.
    path: String,
}

impl Endpoint {
    /// Without a scheme it is plain, unless something is said of TLS.
    fn parse(text: &str, secure: bool) -> Option<Endpoint> {
        let (secure, rest) = match text.split_once("://") {
            Some(("http", rest)) => (false, rest),
            Some(("https", rest)) => (true, rest),
            Some(_) => return None,
            None => (secure, text),
        };
        let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(port.parse().ok().filter(|port| *port > 0)?)),
            _ => (authority, None),
        };
        let odd = |c: char| c.is_whitespace() || c.is_control() || "@?#".contains(c);
        (!host.is_empty() && !host.contains(odd)).then(|| Endpoint { secure, host: host.to_owned(), port, path: path.to_owned() })
    }
    fn url(&self, port: u16, path: &str) -> String {
        format!("{}://{}:{}{path}", if self.secure { "https" } else { "http" }, self.host, self.port.unwrap_or(port))
    }
}

/// What goes to a place, each by an output of its own.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outputs {
    /// Where samples go.
    pub metrics: Vec<Output>,
    /// Where log lines go, whoever brought them.
    pub logs: Vec<Output>,
    /// Where spans go.
    pub traces: Vec<Output>,
}

/// Reads a place that takes several signals, under the paths that OTLP gives them below its address, and adds its outputs.
pub fn read_signals(reader: Reader<'_>, lookup: &Lookup, outputs: &mut Outputs) {
    let said = reader.texts("signals", true);
    if let Some(unknown) = said.iter().find(|signal| !SIGNALS.contains(&signal.as_str())) {
        reader.error_at("signals", format!("{unknown:?} is none of {}", SIGNALS.join(", ")));
    }
    let place = place(&reader, lookup, "batch_entries", &|path| path.trim_end_matches('/').to_owned());
    reader.finish();
    let Some(place) = place else { return };
    let [metrics, logs, traces] = SIGNALS.map(|signal| {
        let wanted = said.is_empty() || said.iter().any(|said| said == signal);
        let url = match &place.destination {
            Destination::Otlp { grpc: None, .. } => Secret::new(format!("{}/v1/{signal}", place.url.expose())),
            _ => place.url.clone(),
        };
        wanted.then(|| Output { url, ..place.clone() })
    });
    outputs.metrics.extend(metrics);
    outputs.logs.extend(logs);
    outputs.traces.extend(traces);
}

/// Reads one place for spans. What is wrong is told by the reader.
pub fn read(reader: Reader<'_>, lookup: &Lookup) -> Option<Output> {
    let output = place(&reader, lookup, "batch_spans", &|path| if matches!(path, "" | "/") { HTTP_PATH.to_owned() } else { path.to_owned() });
    reader.finish();
    output
}

/// Reads one place; `path` makes that of HTTP of what the address says.
fn place(reader: &Reader<'_>, lookup: &Lookup, batch_entries: &'static str, path: &dyn Fn(&str) -> String) -> Option<Output> {
    let endpoint = reader.required_text("endpoint");
    let is_grpc = reader.word("protocol", &["grpc", "http"]) != Some("http");
    let gzip = reader.word("compression", &["gzip", "none"]) != Some("none");
    let says_tls = reader.raw("tls_config").is_some();
    let client = read_http_options(reader, &|file| lookup.file(file));
    if is_grpc && matches!(client.authorization, Authorization::Oauth2(_)) {
        reader.error_at("oauth2", "is carried out over HTTP only; say protocol: http");
    }
    let wait = |key: &'static str, default: u64| Duration::from_millis(reader.duration_ms(key).unwrap_or(default));
    let least = wait("min_backoff", 500).max(Duration::from_millis(1));
    let parsed = Endpoint::parse(&endpoint, says_tls);
    let (url, destination) = match &parsed {
        Some(place) if is_grpc => {
            let address = (place.host.clone(), place.port.unwrap_or(GRPC_PORT), place.secure);
            (place.url(GRPC_PORT, ""), Destination::Otlp { grpc: Some(address), gzip })
        }
        Some(place) => (place.url(HTTP_PORT, &path(&place.path)), Destination::Otlp { grpc: None, gzip }),
        None => (String::new(), Destination::Otlp { grpc: None, gzip }),
    };
    if parsed.is_none() && !endpoint.is_empty() {
        reader.error_at("endpoint", "must be host:port, or begin with http:// or https://, without a name and a password");
    }
    parsed.is_some().then(|| Output {
        name: reader.text("name").filter(|name| !name.is_empty()),
        destination,
        tenant: None,
        headers: reader.text_map("headers").into_iter().map(|(name, value)| (name, Secret::new(value))).collect(),
        client: Arc::new(client),
        timeout: wait("timeout", 10_000).max(Duration::from_millis(1)),
        batch_wait: wait("batch_wait", 1_000),
        batch_bytes: reader.bytes("batch_bytes").unwrap_or(1 << 20).clamp(1, BATCH_BYTES_MAX),
        batch_entries: reader.u64(batch_entries).map_or(BATCH_SPANS, |n| usize::try_from(n).unwrap_or(usize::MAX)).clamp(1, BATCH_ENTRIES_MAX),
        backoff: (least, wait("max_backoff", 30_000).max(least)),
        // They lie on disk, so they are tried for ever.
        retries: 0,
        external_labels: Vec::new(),
        drop_rate_limited: false,
        place: (reader.node().line, reader.node().column),
        url: Secret::new(url),
        sources: BTreeSet::new(),
    })
}

/// What Alloy's client has by other names, and what means nothing here: connections and queues are our own.
const RENAMED: [(&str, &str); 2] = [("tls", "tls_config"), ("traces_endpoint", "endpoint")];
const NOTHING_HERE: [&str; 17] = [
    "keepalive",
    "read_buffer_size",
    "write_buffer_size",
    "wait_for_ready",
    "balancer_name",
    "authority",
    "max_idle_conns",
    "max_idle_conns_per_host",
    "max_conns_per_host",
    "idle_conn_timeout",
    "disable_keep_alives",
    "http2_read_idle_timeout",
    "http2_ping_timeout",
    "force_attempt_http2",
    "include_system_ca_certs_pool",
    "cookies",
    "compression_params",
];

/// An exporter of Alloy in our own form: what stands in its block `client`, and how it tries again.
pub(crate) fn of_exporter(client: &Node, again: Option<&Node>, is_grpc: bool, name: &str) -> Node {
    let key = |text: &str, like: &Node| Key { text: text.into(), line: like.line, column: like.column };
    let mut place: Vec<(Key, Node)> = Vec::new();
    let tls = client.get("tls");
    let insecure = tls.and_then(|tls| tls.get("insecure")).and_then(Node::as_bool).unwrap_or(false);
    for (name, value) in client.entries().unwrap_or(&[]) {
        let text = RENAMED.iter().find(|(theirs, _)| *theirs == &*name.text).map_or(&*name.text, |(_, ours)| ours);
        if NOTHING_HERE.contains(&text) {
            continue;
        }
        let value = match text {
            "tls_config" => without(value, &["insecure", "reload_interval", "cipher_suites", "include_system_ca_certs_pool"]),
            // Without a scheme theirs is encrypted.
            "endpoint" if !value.text().is_some_and(|text| text.contains("://")) => {
                let scheme = if insecure { "http" } else { "https" };
                scalar(&format!("{scheme}://{}", value.text().unwrap_or_default()), value)
            }
            _ => value.clone(),
        };
        place.push((key(text, client), value));
    }
    for (theirs, ours) in [("initial_interval", "min_backoff"), ("max_interval", "max_backoff")] {
        if let Some(value) = again.and_then(|again| again.get(theirs)) {
            place.push((key(ours, value), value.clone()));
        }
    }
    place.push((key("protocol", client), scalar(if is_grpc { "grpc" } else { "http" }, client)));
    place.push((key("name", client), scalar(name, client)));
    Node { value: Tree::Map(place), line: client.line, column: client.column }
}

fn scalar(text: &str, like: &Node) -> Node {
    Node { value: Tree::Scalar { text: text.into(), plain: false }, line: like.line, column: like.column }
}

fn without(node: &Node, keys: &[&str]) -> Node {
    let entries = node.entries().unwrap_or(&[]).iter().filter(|(key, _)| !keys.contains(&&*key.text)).cloned().collect();
    Node { value: Tree::Map(entries), line: node.line, column: node.column }
}

#[cfg(test)]
mod tests {
    use watchfire_model::document::{Context, parse_yaml};

    use super::*;

    fn of(text: &str) -> (Option<Output>, Vec<String>) {
        let context = Context::new("w.yml");
        let node = parse_yaml("w.yml", text).unwrap();
        let output = read(Reader::new(&context, &node, "forward[0]"), &Lookup::default());
        (output, context.into_findings().iter().map(ToString::to_string).collect())
    }

    #[test]
    fn places_are_read() {
        let check = |text: &str, url: &str, grpc: Option<(&str, u16, bool)>| {
            let (output, findings) = of(text);
            let output = output.unwrap_or_else(|| panic!("{text}: {findings:?}"));
            let expected = Destination::Otlp { grpc: grpc.map(|(host, port, secure)| (host.to_owned(), port, secure)), gzip: !text.contains("none") };
            assert_eq!((output.url.expose(), &output.destination), (url, &expected), "{text}");
            assert!(findings.is_empty(), "{findings:?}");
        };
        check("endpoint: http://tempo:4317", "http://tempo:4317", Some(("tempo", 4317, false)));
        check("endpoint: tempo", "http://tempo:4317", Some(("tempo", 4317, false)));
        check("{endpoint: 'tempo:1', tls_config: {insecure_skip_verify: true}}", "https://tempo:1", Some(("tempo", 1, true)));
        check("{endpoint: 'https://[::1]:5', compression: none}", "https://[::1]:5", Some(("[::1]", 5, true)));
        check("{endpoint: jaeger, protocol: http}", "http://jaeger:4318/v1/traces", None);
        check("{endpoint: 'https://x/otlp/v1/traces', protocol: http, bearer_token: t, headers: {A: b}}", "https://x:4318/otlp/v1/traces", None);
    }

    #[test]
    fn what_is_wrong_is_told() {
        for (text, words) in [
            ("{}", "endpoint"),
            ("endpoint: ftp://x", "must be host:port"),
            ("endpoint: u:p@x:1", "must be host:port"),
            ("{endpoint: 'x:0'}", "must be host:port"),
            ("{endpoint: x, protocol: thrift}", "protocol"),
            ("{endpoint: x, oauth2: {client_id: a, client_secret: b, token_url: 'http://t'}}", "over HTTP only"),
            ("{endpoint: x, sise: 3}", "unknown key \"sise\""),
        ] {
            let (_, findings) = of(text);
            assert!(findings.iter().any(|finding| finding.contains(words)), "{text}: {findings:?}");
        }
    }
}
