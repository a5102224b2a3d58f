//! `output.elasticsearch` and `output.logstash`: where events go on to. The others are warnings.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use watchfire_model::document::Reader;
use watchfire_net::client::{Authorization, HttpOptions, SecretSource, TlsOptions};
use watchfire_net::secret::Secret;

use crate::logs::outputs::{BATCH_BYTES_MAX, BATCH_ENTRIES_MAX, Destination, Output, is_ours};

/// Outputs that are not carried out.
const OTHERS: [&str; 5] = ["kafka", "redis", "file", "console", "discard"];
/// Keys that are about how Beats do it.
const IGNORED: [&str; 17] = [
    "allow_older_versions",
    "compression_level",
    "escape_html",
    "idle_connection_timeout",
    "indices",
    "loadbalance",
    "max_retries",
    "non_indexable_policy",
    "parameters",
    "pipelines",
    "pipelining",
    "preset",
    "proxy_disable",
    "queue",
    "slow_start",
    "ttl",
    "worker",
];

/// Reads `output`; what leads to ourselves is none.
pub(super) fn read(output: Reader<'_>) -> Vec<Output> {
    let mut found = Vec::new();
    if let Some(reader) = output.map("elasticsearch") {
        found.extend(elasticsearch(&reader));
        reader.finish();
    }
    if let Some(reader) = output.map("logstash") {
        found.extend(logstash(&reader));
        reader.finish();
    }
    for key in OTHERS {
        if output.raw(key).is_some() {
            output.warning_at(key, "is not carried out; events are kept here");
        }
    }
    output.finish();
    found
}

fn elasticsearch(reader: &Reader<'_>) -> Option<Output> {
    let tls = read_tls(reader);
    let protocol = match reader.word("protocol", &["http", "https"]) {
        Some("https") => "https",
        _ if tls.is_some() => "https",
        _ => "http",
    };
    let path = reader.text("path").unwrap_or_default();
    let path = path.trim_matches('/');
    let hosts = reader.texts("hosts", true);
    let authorization = authorization(reader);
    let url = |host: &String| -> Secret {
        let (scheme, rest) = host.split_once("://").unwrap_or((protocol, host));
        let (authority, own_path) = rest.split_once('/').unwrap_or((rest, path));
        let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let port = if has_port { "" } else { ":9200" };
        Secret::new(format!("{scheme}://{authority}{port}/{}", own_path.trim_matches('/')).trim_end_matches('/').to_owned())
    };
    let index = reader.text("index").filter(|index| !index.is_empty()).unwrap_or_else(|| "filebeat-%{+yyyy.MM.dd}".to_owned());
    let pipeline = reader.text("pipeline").filter(|name| !name.is_empty());
    let mut urls: Vec<Secret> = hosts.iter().filter(|host| !is_ours(host)).map(url).collect();
    let first = (!urls.is_empty()).then(|| urls.remove(0));
    let client = HttpOptions { authorization, tls: tls.unwrap_or_default(), follow_redirects: false, ..HttpOptions::default() };
    let common = common(reader, client, 90_000, 1_600)?;
    Some(Output { url: first?, destination: Destination::Elasticsearch { others: urls, index, pipeline }, ..common })
}

fn logstash(reader: &Reader<'_>) -> Option<Output> {
    let tls = read_tls(reader);
    let hosts = reader.texts("hosts", true);
    let index = reader.text("index").filter(|index| !index.is_empty()).unwrap_or_else(|| "filebeat".to_owned());
    let place = |host: &String| match host.rsplit_once(':').and_then(|(name, port)| Some((name.to_owned(), port.parse().ok()?))) {
        Some(place) => place,
        None => (host.clone(), 5_044),
    };
    let hosts: Vec<(String, u16)> = hosts.iter().filter(|host| !is_ours(host)).map(place).collect();
    let common = common(reader, HttpOptions::default(), 30_000, 2_048)?;
    let (host, port) = hosts.first()?;
    Some(Output { url: Secret::new(format!("lumberjack://{host}:{port}")), destination: Destination::Logstash { hosts, tls, index }, ..common })
}

/// What both have; nothing for one that is switched off.
fn common(reader: &Reader<'_>, client: HttpOptions, timeout_ms: u64, entries: u64) -> Option<Output> {
    let mut backoff = (Duration::from_secs(1), Duration::from_secs(60));
    if let Some(inner) = reader.map("backoff") {
        backoff.0 = inner.duration_ms("init").map_or(backoff.0, Duration::from_millis).max(Duration::from_millis(1));
        backoff.1 = inner.duration_ms("max").map_or(backoff.1, Duration::from_millis).max(backoff.0);
        inner.finish();
    }
    if reader.raw("proxy_url").is_some() {
        reader.warning_at("proxy_url", "is not used here; the connection is made directly");
    }
    reader.allow(&IGNORED);
    reader.allow(&["workers", "proxy_headers", "proxy_use_local_resolver", "kerberos"]);
    let entries = reader.u64("bulk_max_size").filter(|n| *n > 0).unwrap_or(entries);
    let headers = reader.text_map("headers").into_iter().map(|(name, value)| (name, Secret::new(value))).collect();
    let node = reader.node();
    let output = Output {
        name: None,
        destination: Destination::Loki,
        url: Secret::default(),
        tenant: None,
        headers,
        client: Arc::new(client),
        timeout: Duration::from_millis(reader.duration_ms("timeout").unwrap_or(timeout_ms).max(1)),
        batch_wait: Duration::from_secs(1),
        batch_bytes: BATCH_BYTES_MAX,
        batch_entries: usize::try_from(entries).unwrap_or(BATCH_ENTRIES_MAX).min(BATCH_ENTRIES_MAX),
        backoff,
        // Filebeat never gives events up either.
        retries: 0,
        external_labels: Vec::new(),
        drop_rate_limited: false,
        place: (node.line, node.column),
        sources: BTreeSet::new(),
    };
    reader.bool("enabled").unwrap_or(true).then_some(output)
}

fn authorization(reader: &Reader<'_>) -> Authorization {
    let inline = |text: String| SecretSource::Inline(Secret::new(text));
    let (user, password, key) = (reader.text("username"), reader.text("password"), reader.text("api_key"));
    match (key, user) {
        (Some(key), _) if !key.is_empty() => Authorization::Header { scheme: "ApiKey".to_owned(), credentials: inline(STANDARD.encode(key)) },
        (_, Some(user)) if !user.is_empty() => Authorization::Basic { user: inline(user), password: password.map(inline) },
        _ => Authorization::None,
    }
}

/// `ssl`; nothing where it is not there or switched off.
fn read_tls(reader: &Reader<'_>) -> Option<TlsOptions> {
    let ssl = reader.map("ssl")?;
    let source = |text: String| if text.contains("-----BEGIN") { SecretSource::Inline(Secret::new(text)) } else { SecretSource::File(text.into()) };
    let authorities = ssl.texts("certificate_authorities", true);
    if authorities.len() > 1 {
        ssl.warning_at("certificate_authorities", "only the first is used; put several into one file");
    }
    let mode = ssl.word("verification_mode", &["full", "strict", "certificate", "none"]);
    if mode == Some("certificate") {
        ssl.warning_at("verification_mode", "the name in the certificate is checked all the same");
    }
    let options = TlsOptions {
        ca: authorities.into_iter().next().map(source),
        cert: ssl.text("certificate").map(source),
        key: ssl.text("key").map(source),
        server_name: None,
        insecure_skip_verify: mode == Some("none"),
    };
    if ssl.text("key_passphrase").is_some() {
        ssl.warning_at("key_passphrase", "keys must not be encrypted here");
    }
    ssl.allow(&["supported_protocols", "cipher_suites", "curve_types", "renegotiation", "ca_trusted_fingerprint", "ca_sha256"]);
    let enabled = ssl.bool("enabled").unwrap_or(true);
    ssl.finish();
    enabled.then_some(options)
}
