//! The environment as a configuration document: `WATCHFIRE_<KEY>` for every key of `watchfire.yml`, and the names that
//! the watched systems already use. This is the only place that reads the environment.

use std::collections::BTreeMap;

use watchfire_model::document::{Finding, Key, Node, Severity, Value, nearest};

use super::jaeger;

/// Keys that a variable can set. `a.b` is `WATCHFIRE_A_B`; lists are separated by commas.
const KEYS: &[(&str, bool)] = &[
    ("server.listen", false),
    ("server.data_dir", false),
    ("server.trusted_networks", true),
    ("server.allowed_hosts", true),
    ("server.tls.cert_file", false),
    ("server.tls.key_file", false),
    ("server.enable_lifecycle", false),
    ("server.enable_admin_api", false),
    ("server.insecure_no_auth", false),
    ("auth.enabled", false),
    ("auth.session_idle", false),
    ("storage.retention.metrics", false),
    ("storage.retention.logs", false),
    ("storage.retention.traces", false),
    ("storage.retention.profiles", false),
    ("storage.tiers", true),
    ("storage.max_size", false),
    ("storage.sync_interval", false),
    ("storage.out_of_order_window", false),
    ("storage.series_max", false),
    ("storage.source_series_max", false),
    ("memory.limit", false),
    ("query.timeout", false),
    ("query.parallel", false),
    ("query.samples_max", false),
    ("query.memory_max", false),
    ("query.lookback", false),
    ("rules.external_url", false),
    ("rules.resend_delay", false),
    ("rules.for_outage_tolerance", false),
    ("rules.for_grace_period", false),
    ("ingest.type_and_unit_labels", false),
    ("ingest.created_timestamps", false),
    ("otlp.grpc_listen", false),
    ("otlp.http_listen", false),
    ("statsd.listen", false),
    ("syslog.listen", false),
    ("syslog.tls_listen", false),
    ("gelf.listen", false),
    ("beats.listen", false),
    ("forward.buffer_max", false),
    ("forward.logs_age_max", false),
    ("gpu.poll_interval_seconds", false),
    ("gpu.stats_history_minutes", false),
    ("gpu.http_timeout", false),
    ("gpu.ai_service_urls", true),
    ("gpu.database_url", false),
    ("llm.profile", false),
    ("llm.context_window", false),
    ("llm.max_output_tokens", false),
    ("llm.tokenizer", false),
    ("llm.warning_threshold", false),
    ("llm.truncation", false),
    ("llm.server_context_window", false),
    ("queues.names", true),
    ("queues.max_size", false),
    ("queues.max_bytes", false),
    ("queues.overflow", false),
    ("queues.backpressure", false),
    ("queues.lease", false),
    ("queues.dead_max_size", false),
    ("queues.dead_max_bytes", false),
    ("queues.undo_max_bytes", false),
    ("queues.retry.attempts", false),
    ("queues.retry.base", false),
    ("queues.retry.cap", false),
    ("queues.retry.jitter", false),
    ("queues.retry.never", true),
    ("queues.redis.url", false),
    ("queues.redis.password", false),
    ("queues.redis.ca_file", false),
    ("queues.redis.refresh_interval", false),
    ("gateway.upstream", false),
    ("gateway.listen", true),
    ("gateway.connect_timeout", false),
    ("gateway.include_usage", false),
    ("gateway.concurrency.max", false),
    ("gateway.concurrency.queue", false),
    ("gateway.concurrency.queue_timeout", false),
    ("gateway.budget.daily_usd", false),
    ("gateway.budget.monthly_usd", false),
    ("gateway.budget.when_exceeded", false),
    ("gateway.budget.time_zone", false),
    ("gateway.prompts.check", false),
    ("gateway.prompts.truncate", false),
    ("redis_exporter.url", false),
    ("redis_exporter.password", false),
    ("redis_exporter.check_keys", true),
    ("redis_exporter.check_single_keys", true),
    ("redis_exporter.count_keys", true),
    ("redis_exporter.check_streams", true),
    ("redis_exporter.check_single_streams", true),
    ("postgres_exporter.url", false),
    ("postgres_exporter.uri", false),
    ("postgres_exporter.user", false),
    ("postgres_exporter.password", false),
    ("postgres_exporter.password_file", false),
    ("postgres_exporter.queries", false),
    ("postgres_exporter.config_file", false),
    ("postgres_exporter.auto_discover_databases", false),
    ("postgres_exporter.exclude_databases", false),
    ("postgres_exporter.include_databases", false),
    ("postgres_exporter.disable_default_metrics", false),
    ("postgres_exporter.disable_settings_metrics", false),
    ("postgres_exporter.constant_labels", false),
    ("host.interval", false),
    ("host.root", false),
    ("host.name", false),
    ("host.textfile_directory", true),
    ("profiling.enabled", false),
    ("profiling.url", false),
    ("profiling.interval", false),
    ("log.level", false),
    ("log.file", false),
    ("log.format", false),
    ("log.keep", false),
    ("services.watch", true),
    ("services.interval", false),
    ("services.timeout", false),
    ("services.container_socket", false),
    ("drop_in", false),
    ("logs.rule_files", true),
    ("tracing.enabled", false),
    ("tracing.service_name", false),
    ("tracing.endpoint", false),
    ("tracing.headers", false),
    ("tracing.protocol", false),
    ("tracing.insecure", false),
    ("tracing.sample_rate", false),
    ("traces.metrics.enabled", false),
    ("traces.metrics.dimensions", true),
    ("traces.metrics.buckets", true),
    ("traces.metrics.series_max", false),
    ("traces.metrics.idle", false),
    ("traces.service_graph.enabled", false),
    ("traces.service_graph.buckets", true),
    ("traces.service_graph.wait", false),
    ("traces.service_graph.waiting_max", false),
    ("traces.service_graph.series_max", false),
    ("traces.service_graph.idle", false),
    ("traces.sampling.enabled", false),
    ("traces.sampling.errors", false),
    ("traces.sampling.latency", false),
    ("traces.sampling.drop_endpoints", true),
    ("traces.sampling.rate", false),
    ("traces.sampling.traces_per_second", false),
    ("traces.sampling.decision_wait", false),
    ("traces.sampling.traces_max", false),
    ("traces.sampling.bytes_max", false),
    ("packs", true),
    ("monitoring_dir", false),
];

/// Names of the watched systems and the key that each one sets; of two for one key the later one counts.
const SEED_NAMES: &[(&str, &str)] = &[
    ("GPU_POLL_INTERVAL_SECONDS", "gpu.poll_interval_seconds"),
    ("GPU_STATS_HISTORY_MINUTES", "gpu.stats_history_minutes"),
    ("GPU_HTTP_TIMEOUT", "gpu.http_timeout"),
    ("DATABASE_URL", "gpu.database_url"),
    ("NEMOTRON_CONTEXT_WINDOW", "llm.context_window"),
    ("NEMOTRON_MAX_OUTPUT_TOKENS", "llm.max_output_tokens"),
    ("LLM_TOKENIZER_ENCODING", "llm.tokenizer"),
    ("CONTEXT_UTILIZATION_WARNING_THRESHOLD", "llm.warning_threshold"),
    ("CONTEXT_TRUNCATION_ENABLED", "llm.truncation"),
    ("CTX_SIZE", "llm.server_context_window"),
    ("REDIS_ADDR", "queues.redis.url"),
    ("REDIS_URL", "queues.redis.url"),
    ("REDIS_PASSWORD", "queues.redis.password"),
    ("REDIS_EXPORTER_CHECK_KEYS", "redis_exporter.check_keys"),
    ("REDIS_EXPORTER_CHECK_SINGLE_KEYS", "redis_exporter.check_single_keys"),
    ("REDIS_EXPORTER_COUNT_KEYS", "redis_exporter.count_keys"),
    ("REDIS_EXPORTER_CHECK_STREAMS", "redis_exporter.check_streams"),
    ("REDIS_EXPORTER_CHECK_SINGLE_STREAMS", "redis_exporter.check_single_streams"),
    ("DATA_SOURCE_NAME", "postgres_exporter.url"),
    ("DATA_SOURCE_URI", "postgres_exporter.uri"),
    ("DATA_SOURCE_USER", "postgres_exporter.user"),
    ("DATA_SOURCE_PASS", "postgres_exporter.password"),
    ("DATA_SOURCE_PASS_FILE", "postgres_exporter.password_file"),
    ("PG_EXPORTER_EXTEND_QUERY_PATH", "postgres_exporter.queries"),
    ("PG_EXPORTER_AUTO_DISCOVER_DATABASES", "postgres_exporter.auto_discover_databases"),
    ("PG_EXPORTER_EXCLUDE_DATABASES", "postgres_exporter.exclude_databases"),
    ("PG_EXPORTER_INCLUDE_DATABASES", "postgres_exporter.include_databases"),
    ("PG_EXPORTER_DISABLE_DEFAULT_METRICS", "postgres_exporter.disable_default_metrics"),
    ("PG_EXPORTER_DISABLE_SETTINGS_METRICS", "postgres_exporter.disable_settings_metrics"),
    ("PG_EXPORTER_CONSTANT_LABELS", "postgres_exporter.constant_labels"),
    ("QUEUE_MAX_SIZE", "queues.max_size"),
    ("QUEUE_OVERFLOW_POLICY", "queues.overflow"),
    ("QUEUE_BACKPRESSURE_THRESHOLD", "queues.backpressure"),
    ("PYROSCOPE_ENABLED", "profiling.enabled"),
    ("PYROSCOPE_URL", "profiling.url"),
    ("OTEL_ENABLED", "tracing.enabled"),
    ("OTEL_SERVICE_NAME", "tracing.service_name"),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "tracing.endpoint"),
    ("OTEL_EXPORTER_OTLP_HEADERS", "tracing.headers"),
    ("OTEL_EXPORTER_OTLP_PROTOCOL", "tracing.protocol"),
    ("OTEL_EXPORTER_OTLP_INSECURE", "tracing.insecure"),
    ("OTEL_TRACE_SAMPLE_RATE", "tracing.sample_rate"),
    ("AI_MAX_CONCURRENT_INFERENCES", "gateway.concurrency.max"),
    ("COLLECTOR_OTLP_GRPC_HOST_PORT", "otlp.grpc_listen"),
    ("COLLECTOR_OTLP_HTTP_HOST_PORT", "otlp.http_listen"),
    ("BADGER_SPAN_STORE_TTL", "storage.retention.traces"),
];

/// Variables of ours that are no key of the file.
const OTHER_NAMES: [&str; 6] = ["WATCHFIRE_CONFIG", "WATCHFIRE_BIN", "WATCHFIRE_SEEDS", "WATCHFIRE_URL", "WATCHFIRE_TOKEN", "WATCHFIRE_CRASH_KILLS"];

/// The variables that concern us, read once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Environment(BTreeMap<String, String>);

impl Environment {
    /// Reads the process's environment.
    pub(crate) fn read() -> Environment {
        Environment(std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?))).collect())
    }
    /// An environment made of pairs.
    #[cfg(test)]
    pub(crate) fn of(pairs: &[(&str, &str)]) -> Environment {
        Environment(pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect())
    }
    /// One variable; an empty one counts as absent.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|v| !v.is_empty())
    }

    /// The variables as a document, and warnings about names that begin like ours and are none.
    pub(crate) fn as_document(&self) -> (Node, Vec<Finding>) {
        let mut root = Node { value: Value::Map(Vec::new()), line: 0, column: 0 };
        for key in jaeger::switched_off(self) {
            put(&mut root, key, scalar("off"));
        }
        for (name, key) in SEED_NAMES {
            if let Some(value) = self.get(name) {
                put(&mut root, key, scalar(value));
            }
        }
        for (key, list) in KEYS {
            if let Some(value) = self.get(&variable(key)) {
                let node = match list {
                    true => Node { value: Value::List(value.split(',').map(|v| scalar(v.trim())).collect()), line: 0, column: 0 },
                    false => scalar(value),
                };
                put(&mut root, key, node);
            }
        }
        let mut findings = self.unknown();
        findings.extend(jaeger::explained(self));
        (root, findings)
    }

    fn unknown(&self) -> Vec<Finding> {
        let ours: Vec<String> = KEYS.iter().map(|(k, _)| variable(k)).chain(OTHER_NAMES.map(str::to_owned)).collect();
        let mut findings = Vec::new();
        for name in self.0.keys().filter(|n| n.starts_with("WATCHFIRE_") && !ours.contains(n)) {
            let hint = nearest(name, ours.iter().map(String::as_str)).map(|n| format!("; did you mean {n}?")).unwrap_or_default();
            findings.push(Finding {
                severity: Severity::Warning,
                file: "environment".into(),
                line: 0,
                column: 0,
                message: format!("{name} sets nothing{hint}"),
            });
        }
        findings
    }
    /// The names of set variables that begin with a prefix.
    pub(crate) fn names<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.keys().map(String::as_str).filter(move |name| name.starts_with(prefix) && self.get(name).is_some())
    }
}

fn variable(key: &str) -> String {
    format!("WATCHFIRE_{}", key.replace('.', "_").to_uppercase())
}

fn scalar(text: &str) -> Node {
    Node { value: Value::Scalar { text: text.into(), plain: true }, line: 0, column: 0 }
}

fn key(text: &str) -> Key {
    Key { text: text.into(), line: 0, column: 0 }
}

/// Puts a value at a dotted path, making the mappings on the way.
fn put(root: &mut Node, path: &str, node: Node) {
    let (first, rest) = path.split_once('.').map_or((path, None), |(a, b)| (a, Some(b)));
    let Value::Map(entries) = &mut root.value else { return };
    let at = entries.iter().position(|(k, _)| &*k.text == first).unwrap_or_else(|| {
        entries.push((key(first), Node { value: Value::Map(Vec::new()), line: 0, column: 0 }));
        entries.len() - 1
    });
    match rest {
        Some(rest) => put(&mut entries[at].1, rest, node),
        None => entries[at].1 = node,
    }
}

/// Lays one document over another: mappings are merged, everything else is replaced.
pub(crate) fn merge(mut under: Node, over: Node) -> Node {
    match (&mut under.value, over.value) {
        (Value::Map(entries), Value::Map(more)) => {
            for (k, node) in more {
                match entries.iter().position(|(have, _)| have.text == k.text) {
                    Some(at) => {
                        let old = std::mem::replace(&mut entries[at].1, scalar(""));
                        entries[at].1 = merge(old, node);
                    }
                    None => entries.push((k, node)),
                }
            }
            under
        }
        (_, value) => Node { value, line: over.line, column: over.column },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use watchfire_model::document::Context;

    #[test]
    fn every_variable_is_a_key_of_the_file() {
        let all: Vec<(String, &str)> = KEYS.iter().map(|(key, _)| (variable(key), "1")).collect();
        let environment = Environment(all.into_iter().map(|(k, v)| (k, v.to_owned())).collect());
        let (document, unknown) = environment.as_document();
        assert_eq!(unknown, []);
        let context = Context::new("environment");
        super::super::read(&context, &document, std::path::Path::new(""));
        let strange: Vec<_> = context.into_findings().into_iter().filter(|f| f.message.contains("unknown key")).collect();
        assert_eq!(strange, []);
    }
}
