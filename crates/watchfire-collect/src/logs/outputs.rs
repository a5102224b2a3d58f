//! Where lines are to be sent besides being kept here: `clients` of Promtail, endpoints of Alloy's `loki.write`. It reads what a
//! configuration says of one such place, and sends nothing.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use watchfire_model::document::{Context, Node, Reader, without_password};
use watchfire_net::client::{HttpOptions, read_http_options};
use watchfire_net::secret::Secret;

use crate::discovery::glob::Lookup;

/// Names of machines that we stand in for.
const OURS: [&str; 2] = ["loki", "watchfire"];
/// The names by which a machine calls itself, and the port on which it is ourselves then.
const LOCAL: ([&str; 3], u16) = (["localhost", "127.0.0.1", "[::1]"], 3100);

/// A place that takes Loki's pushes.
#[derive(Clone, Debug)]
pub struct Output {
    /// What it is called, if it has a name.
    pub name: Option<String>,
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
}

/// Whether an address is one that we stand in for.
pub fn is_ours(url: &str) -> bool {
    let Some((_, rest)) = url.split_once("://") else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().unwrap_or(0)),
        _ => (authority, 80),
    };
    OURS.contains(&host) || (LOCAL.0.contains(&host) && port == LOCAL.1)
}

/// Reads one client in Promtail's form; nothing for those that lead to ourselves.
pub(crate) fn read(context: &Context, node: &Node, path: &str, lookup: &Lookup) -> Option<Output> {
    let reader = Reader::new(context, node, path);
    let url = reader.required_text("url");
    let locate = |file: &str| -> PathBuf { lookup.join(file) };
    let client = read_http_options(&reader, &locate);
    let headers = reader.text_map("headers").into_iter().map(|(name, value)| (name, Secret::new(value))).collect();
    let duration = |key: &'static str, default: u64| Duration::from_millis(reader.duration_ms(key).unwrap_or(default));
    let (timeout, batch_wait) = (duration("timeout", 10_000), duration("batchwait", 1_000));
    let mut backoff = (Duration::from_millis(500), Duration::from_secs(300), 10);
    if let Some(inner) = reader.map("backoff_config") {
        backoff.0 = inner.duration_ms("min_period").map_or(backoff.0, Duration::from_millis);
        backoff.1 = inner.duration_ms("max_period").map_or(backoff.1, Duration::from_millis).max(backoff.0);
        backoff.2 = inner.u64("max_retries").unwrap_or(backoff.2);
        inner.finish();
    }
    let output = Output {
        name: reader.text("name").filter(|name| !name.is_empty()),
        tenant: reader.text("tenant_id").filter(|tenant| !tenant.is_empty()),
        headers,
        client: Arc::new(client),
        timeout,
        batch_wait,
        batch_bytes: reader.bytes("batchsize").unwrap_or(1 << 20).max(1),
        backoff: (backoff.0, backoff.1),
        retries: backoff.2,
        external_labels: reader.text_map("external_labels"),
        drop_rate_limited: reader.bool("drop_rate_limited_batches").unwrap_or(false),
        place: (node.line, node.column),
        url: Secret::new(url.clone()),
    };
    if !is_ours(&url) && !url.is_empty() {
        reader.warning_at("url", format!("lines are kept here; sending them on to {} is not carried out yet", without_password(&url)));
    }
    reader.finish();
    (!is_ours(&url) && !url.is_empty()).then_some(output)
}
