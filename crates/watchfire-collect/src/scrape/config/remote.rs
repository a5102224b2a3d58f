//! `remote_write` and `remote_read`: where copies go, and where else to look. It only reads and checks; both are carried out by
//! the crate `watchfire-forward`.

use std::collections::HashSet;
use std::sync::Arc;

use watchfire_ingest::relabel::RelabelConfig;
use watchfire_model::document::Reader;
use watchfire_model::duration::format_millis;
use watchfire_net::client::HttpOptions;
use watchfire_net::secret::Secret;

use super::http;
use super::job::relabel_rules;
use super::render::yaml_with_secrets;
use super::sections::{read_headers, read_sigv4};
use crate::discovery::glob::Lookup;

/// One place that gets a copy of everything.
#[derive(Clone, Debug)]
pub struct RemoteWrite {
    /// What it is called, if it has a name.
    pub name: Option<String>,
    /// Its address, which may hold a password.
    pub url: Secret,
    /// How long a request may take, in milliseconds.
    pub timeout_ms: u64,
    /// Further headers.
    pub headers: Vec<(String, Secret)>,
    /// What becomes of series on their way there.
    pub relabel: Vec<RelabelConfig>,
    /// Whether exemplars go there.
    pub send_exemplars: bool,
    /// Whether native histograms go there.
    pub send_native_histograms: bool,
    /// The version of the protocol.
    pub protocol: WriteProtocol,
    /// How requests are made.
    pub client: Arc<HttpOptions>,
    /// How samples are queued and sent.
    pub queue: RemoteQueue,
    /// How metadata is sent.
    pub metadata: RemoteMetadata,
    /// The section's whole text, secrets included: two that have the same are the same.
    pub identity: Secret,
}

/// The version of remote write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteProtocol {
    /// `prometheus.WriteRequest`.
    V1,
    /// `io.prometheus.write.v2.Request`.
    V2,
}

/// `queue_config`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemoteQueue {
    /// Samples that wait in memory per shard.
    pub capacity: usize,
    /// The most shards.
    pub max_shards: usize,
    /// The fewest shards.
    pub min_shards: usize,
    /// Samples per request.
    pub max_samples_per_send: usize,
    /// How long a sample waits for others, in milliseconds.
    pub batch_send_deadline_ms: u64,
    /// The first wait after a failure, in milliseconds.
    pub min_backoff_ms: u64,
    /// The longest wait, in milliseconds.
    pub max_backoff_ms: u64,
    /// Whether the answer 429 means "later" instead of "never".
    pub retry_on_http_429: bool,
    /// Samples older than this are not sent, in milliseconds; zero is without limit.
    pub sample_age_limit_ms: u64,
}

/// `metadata_config`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemoteMetadata {
    /// Whether metadata is sent at all.
    pub send: bool,
    /// How often, in milliseconds.
    pub send_interval_ms: u64,
    /// Families per request.
    pub max_samples_per_send: usize,
}

/// One place that queries read from as well.
#[derive(Clone, Debug)]
pub struct RemoteRead {
    /// What it is called, if it has a name.
    pub name: Option<String>,
    /// Its address, which may hold a password.
    pub url: Secret,
    /// How long a request may take, in milliseconds.
    pub timeout_ms: u64,
    /// The largest frame of a streamed answer, in bytes.
    pub chunked_read_limit: usize,
    /// Further headers.
    pub headers: Vec<(String, Secret)>,
    /// Whether it is asked for times that local data cover, too.
    pub read_recent: bool,
    /// Equality matchers that a selector must have for this place to be asked.
    pub required_matchers: Vec<(String, String)>,
    /// Whether the external labels select there.
    pub filter_external_labels: bool,
    /// How requests are made.
    pub client: Arc<HttpOptions>,
}

/// Reads `remote_write`.
pub(super) fn read_writes(root: &Reader<'_>, lookup: &Lookup) -> Vec<Arc<RemoteWrite>> {
    let all: Vec<_> = root.maps("remote_write").into_iter().map(|item| Arc::new(read_write(item, lookup))).collect();
    refuse_repeated(root, "remote_write", all.iter().map(|w| w.name.as_deref()));
    all
}

/// Reads `remote_read`.
pub(super) fn read_reads(root: &Reader<'_>, lookup: &Lookup) -> Vec<Arc<RemoteRead>> {
    let all: Vec<_> = root.maps("remote_read").into_iter().map(|item| Arc::new(read_read(item, lookup))).collect();
    refuse_repeated(root, "remote_read", all.iter().map(|r| r.name.as_deref()));
    all
}

fn refuse_repeated<'a>(root: &Reader<'_>, key: &'static str, names: impl Iterator<Item = Option<&'a str>>) {
    let mut seen = HashSet::new();
    for (item, name) in root.list(key).iter().zip(names) {
        if let Some(name) = name
            && !seen.insert(name)
        {
            let node = item.get("name").unwrap_or(item);
            root.context().error(node.line, node.column, format!("{key}: there is more than one with the name {name:?}"));
        }
    }
}

fn read_write(reader: Reader<'_>, lookup: &Lookup) -> RemoteWrite {
    let protocols = ["prometheus.WriteRequest", "io.prometheus.write.v2.Request"];
    if reader.bool("round_robin_dns") == Some(true) {
        reader.warning_at("round_robin_dns", "is read but not carried out: the system's resolver says which address is used");
    }
    let write = RemoteWrite {
        name: reader.text("name").filter(|n| !n.is_empty()),
        url: read_url(&reader),
        timeout_ms: at_least_one_ms(&reader, "remote_timeout", 30_000),
        headers: read_headers(&reader).into_iter().map(|(name, value)| (name, Secret::new(value))).collect(),
        relabel: relabel_rules(&reader, "write_relabel_configs"),
        send_exemplars: reader.bool("send_exemplars").unwrap_or(false),
        send_native_histograms: reader.bool("send_native_histograms").unwrap_or(false),
        protocol: if reader.word("protobuf_message", &protocols) == Some(protocols[1]) { WriteProtocol::V2 } else { WriteProtocol::V1 },
        client: Arc::new(http::read(&reader, lookup)),
        queue: read_queue(&reader),
        metadata: read_metadata(&reader),
        identity: Secret::new(yaml_with_secrets(reader.node())),
    };
    refuse_cloud_identities(&reader);
    reader.finish();
    write
}

/// Ways to sign requests that only clouds know. The keys are checked; nothing is signed.
fn refuse_cloud_identities(reader: &Reader<'_>) {
    read_sigv4(reader);
    if let Some(azure) = reader.map("azuread") {
        azure.allow(&["cloud", "managed_identity", "oauth", "sdk", "workload_identity", "scope", "certificate"]);
        azure.finish();
    }
    if let Some(google) = reader.map("google_iam") {
        google.text("credentials_file");
        google.finish();
    }
    for key in ["sigv4", "azuread", "google_iam"] {
        if reader.raw(key).is_some() {
            reader.warning_at(key, "is read but not carried out: requests are sent without it and will be refused there");
        }
    }
}

fn read_queue(reader: &Reader<'_>) -> RemoteQueue {
    let mut config = RemoteQueue {
        capacity: 10_000,
        max_shards: 50,
        min_shards: 1,
        max_samples_per_send: 2_000,
        batch_send_deadline_ms: 5_000,
        min_backoff_ms: 30,
        max_backoff_ms: 5_000,
        retry_on_http_429: false,
        sample_age_limit_ms: 0,
    };
    let Some(queue) = reader.map("queue_config") else { return config };
    config.capacity = count(&queue, "capacity", config.capacity);
    config.max_shards = count(&queue, "max_shards", config.max_shards);
    config.min_shards = count(&queue, "min_shards", config.min_shards);
    config.max_samples_per_send = count(&queue, "max_samples_per_send", config.max_samples_per_send);
    config.batch_send_deadline_ms = at_least_one_ms(&queue, "batch_send_deadline", config.batch_send_deadline_ms);
    config.min_backoff_ms = at_least_one_ms(&queue, "min_backoff", config.min_backoff_ms);
    config.max_backoff_ms = at_least_one_ms(&queue, "max_backoff", config.max_backoff_ms);
    config.retry_on_http_429 = queue.bool("retry_on_http_429").unwrap_or(false);
    config.sample_age_limit_ms = queue.duration_ms("sample_age_limit").unwrap_or(0);
    if config.min_shards > config.max_shards {
        queue.warning_at("min_shards", format!("is more than max_shards; {} shards are used", config.max_shards));
        config.min_shards = config.max_shards;
    }
    if config.min_backoff_ms > config.max_backoff_ms {
        queue.warning_at("min_backoff", "is longer than max_backoff, which is used instead");
    }
    queue.finish();
    config
}

fn read_metadata(reader: &Reader<'_>) -> RemoteMetadata {
    let mut config = RemoteMetadata { send: true, send_interval_ms: 60_000, max_samples_per_send: 2_000 };
    let Some(metadata) = reader.map("metadata_config") else { return config };
    config.send = metadata.bool("send").unwrap_or(true);
    config.send_interval_ms = at_least_one_ms(&metadata, "send_interval", config.send_interval_ms);
    config.max_samples_per_send = count(&metadata, "max_samples_per_send", config.max_samples_per_send);
    metadata.finish();
    config
}

fn read_read(reader: Reader<'_>, lookup: &Lookup) -> RemoteRead {
    let read = RemoteRead {
        name: reader.text("name").filter(|n| !n.is_empty()),
        url: read_url(&reader),
        timeout_ms: at_least_one_ms(&reader, "remote_timeout", 60_000),
        chunked_read_limit: count(&reader, "chunked_read_limit", 50_000_000),
        headers: read_headers(&reader).into_iter().map(|(name, value)| (name, Secret::new(value))).collect(),
        read_recent: reader.bool("read_recent").unwrap_or(false),
        required_matchers: reader.text_map("required_matchers"),
        filter_external_labels: reader.bool("filter_external_labels").unwrap_or(true),
        client: Arc::new(http::read(&reader, lookup)),
    };
    reader.finish();
    read
}

/// A count from 1; zero would mean that nothing ever goes on.
fn count(reader: &Reader<'_>, key: &'static str, default: usize) -> usize {
    match reader.u64(key) {
        Some(0) => {
            reader.warning_at(key, format!("must be at least 1 to have a meaning; {default} is used"));
            default
        }
        Some(n) => usize::try_from(n).unwrap_or(usize::MAX),
        None => default,
    }
}

fn at_least_one_ms(reader: &Reader<'_>, key: &'static str, default: u64) -> u64 {
    match reader.duration_ms(key) {
        Some(0) => {
            reader.warning_at(key, format!("must be longer than 0 to have a meaning; {} is used", format_millis(default)));
            default
        }
        Some(ms) => ms,
        None => default,
    }
}

fn read_url(reader: &Reader<'_>) -> Secret {
    let url = reader.required_text("url");
    if !url.is_empty() && !url.contains("://") {
        reader.error_at("url", "must be a URL such as http://host:port/path");
    } else if !url.is_empty() && !url.starts_with("http://") && !url.starts_with("https://") {
        reader.warning_at("url", "only http and https are spoken here; nothing goes through to this address");
    }
    Secret::new(url)
}
