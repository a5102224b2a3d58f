//! What flags and variables of replaced programs become: a key of `watchfire.yml`, the same variable, something that is so anyway, or
//! nothing, with the reason. A table; whoever adds a key of the configuration adds its row.

/// What one setting becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Becomes {
    /// A key with the same value.
    Key(&'static str),
    /// A key that is `true` when the flag is given without a value, or with `true`.
    Switch(&'static str),
    /// The variable keeps its name; it sets this key.
    Variable(&'static str),
    /// It names the configuration file, which is taken over.
    Config,
    /// It names the port, which is taken over with the container's ports.
    Port,
    /// It is so anyway, or there is nothing to set.
    Already(&'static str),
    /// It is not honoured.
    No(&'static str),
}
use Becomes::{Already, Config, Key, No, Port, Switch, Variable};

const OWN_DATA: &str = "everything lies in server.data_dir";
const ONE_PROCESS: &str = "one process has no cluster";
const NO_LOGIN_OF_OTHERS: &str = "people log in as auth.users says";
const SPANS: &str = "spans are kept in our own store, for storage.retention.traces";
const NO_JVM: &str = "no Java runs here; memory.limit holds the whole process";
const TLS: &str = "write server.tls and auth into watchfire.yml";
const COLLECTORS: &str = "which collectors run cannot be chosen; all of them are cheap";

/// Rows: the program (empty for any), the flag without hyphens or the variable (a trailing `*` for all that begin so), what it becomes.
const TABLE: &[(&str, &str, Becomes)] = &[
    ("Prometheus", "storage.tsdb.retention.time", Key("storage.retention.metrics")),
    ("Prometheus", "storage.tsdb.retention", Key("storage.retention.metrics")),
    ("Prometheus", "storage.tsdb.retention.size", Key("storage.max_size")),
    ("Prometheus", "storage.tsdb.path", Already(OWN_DATA)),
    ("Prometheus", "storage.tsdb.wal-compression", Already("the write-ahead log has its own form")),
    ("Prometheus", "storage.tsdb.no-lockfile", Already("one process at a time uses a data directory")),
    ("Prometheus", "storage.tsdb.*", No("the store has its own shape; docs/reference/durability.md says what it promises")),
    ("Prometheus", "storage.remote.*", No("limits of remote read are fixed, docs/reference/remote-write.md")),
    ("Prometheus", "storage.agent.path", Already(OWN_DATA)),
    ("Prometheus", "agent", Already("remote_write is carried out beside our own store; a short storage.retention.metrics makes it small")),
    ("Prometheus", "web.enable-lifecycle", Switch("server.enable_lifecycle")),
    ("Prometheus", "web.enable-admin-api", Switch("server.enable_admin_api")),
    ("Prometheus", "web.enable-remote-write-receiver", Already("remote write is always taken")),
    ("Prometheus", "web.enable-otlp-receiver", Already("OTLP is always taken")),
    ("Prometheus", "web.external-url", Key("rules.external_url")),
    ("Prometheus", "web.console.*", No("console templates are not served; the page and its dashboards take their place")),
    ("Prometheus", "web.page-title", No("the page keeps its name")),
    ("Prometheus", "web.route-prefix", No("faces stand at the root of their ports; a proxy may add a prefix")),
    ("Prometheus", "query.timeout", Key("query.timeout")),
    ("Prometheus", "query.max-concurrency", Key("query.parallel")),
    ("Prometheus", "query.max-samples", Key("query.samples_max")),
    ("Prometheus", "query.lookback-delta", Key("query.lookback")),
    ("Prometheus", "rules.alert.for-outage-tolerance", Key("rules.for_outage_tolerance")),
    ("Prometheus", "rules.alert.for-grace-period", Key("rules.for_grace_period")),
    ("Prometheus", "rules.alert.resend-delay", Key("rules.resend_delay")),
    ("Prometheus", "enable-feature", No("features are not switched by name; docs/reference/prometheus-yml.md says what is carried out")),
    ("Alertmanager", "storage.path", Already(OWN_DATA)),
    ("Alertmanager", "web.external-url", Key("rules.external_url")),
    ("Alertmanager", "cluster.*", Already(ONE_PROCESS)),
    ("Alertmanager", "data.retention", No("silences that ended are shown for five days, docs/reference/alertmanager.md")),
    ("Grafana", "GF_SECURITY_ADMIN_USER", Variable("auth.users")),
    ("Grafana", "GF_SECURITY_ADMIN_PASSWORD", Variable("auth.users")),
    ("Grafana", "GF_SECURITY_ADMIN_USER__FILE", Variable("auth.users")),
    ("Grafana", "GF_SECURITY_ADMIN_PASSWORD__FILE", Variable("auth.users")),
    ("Grafana", "GF_USERS_ALLOW_SIGN_UP", Already("nobody can sign up")),
    ("Grafana", "GF_AUTH_ANONYMOUS_ENABLED", No("who may read without logging in stands in server.trusted_networks")),
    ("Grafana", "GF_AUTH_*", No(NO_LOGIN_OF_OTHERS)),
    ("Grafana", "GF_SERVER_ROOT_URL", Key("rules.external_url")),
    ("Grafana", "GF_SERVER_*", No("addresses stand in server.listen, TLS in server.tls")),
    ("Grafana", "GF_INSTALL_PLUGINS", No("there are no plugins; a panel whose type is unknown says so")),
    ("Grafana", "GF_PLUGINS_*", No("there are no plugins; a panel whose type is unknown says so")),
    ("Grafana", "GF_DATABASE_*", Already(OWN_DATA)),
    ("Grafana", "GF_SESSION_*", Already("sessions are kept with everything else")),
    ("Grafana", "GF_PATHS_*", Already("dashboards come from the monitoring directory")),
    ("Grafana", "GF_ANALYTICS_*", Already("nothing is reported to anybody")),
    ("Grafana", "GF_LOG_LEVEL", Key("log.level")),
    ("Grafana", "GF_LOG_*", Already("log.format and log.file say how we log")),
    ("Grafana", "GF_SMTP_*", No("mail goes out through the receivers of alertmanager.yml")),
    ("Grafana", "GF_*", No("this setting of Grafana has no counterpart")),
    ("Loki", "config.expand-env", No("variables in the file are not expanded; write their values")),
    ("Loki", "target", Already(ONE_PROCESS)),
    ("Promtail", "config.expand-env", No("variables in the file are not expanded; write their values")),
    ("Promtail", "client.url", No("lines go into our own store; clients of promtail.yml elsewhere are carried out")),
    ("Alloy", "storage.path", Already(OWN_DATA)),
    ("Alloy", "disable-reporting", Already("nothing is reported to anybody")),
    ("Alloy", "stability.level", Already("components are carried out whatever their stability")),
    ("Jaeger", "COLLECTOR_OTLP_ENABLED", Variable("otlp.grpc_listen and otlp.http_listen")),
    ("Jaeger", "COLLECTOR_OTLP_GRPC_HOST_PORT", Variable("otlp.grpc_listen")),
    ("Jaeger", "COLLECTOR_OTLP_HTTP_HOST_PORT", Variable("otlp.http_listen")),
    ("Jaeger", "BADGER_SPAN_STORE_TTL", Variable("storage.retention.traces")),
    ("Jaeger", "BADGER_*", Already(SPANS)),
    ("Jaeger", "SPAN_STORAGE_TYPE", Already(SPANS)),
    ("Jaeger", "ES_MAX_SPAN_AGE", No("say storage.retention.traces")),
    ("Jaeger", "ES_*", Already(SPANS)),
    ("Jaeger", "es.*", Already(SPANS)),
    ("Jaeger", "collector.otlp.enabled", Already("OTLP is always taken")),
    ("Jaeger", "collector.zipkin.host-port", Already("Zipkin's spans are taken on port 9411")),
    ("Jaeger", "query.base-path", No("faces stand at the root of their ports; a proxy may add a prefix")),
    ("Jaeger", "QUERY_BASE_PATH", No("faces stand at the root of their ports; a proxy may add a prefix")),
    ("Jaeger", "MEMORY_MAX_TRACES", Already(SPANS)),
    ("Jaeger", "memory.max-traces", Already(SPANS)),
    ("Jaeger", "COLLECTOR_ZIPKIN_HOST_PORT", Already("Zipkin's spans are taken on port 9411")),
    ("Jaeger", "SAMPLING_*", No("sampling at the end of traces stands in traces.sampling")),
    ("Elasticsearch", "discovery.*", Already(ONE_PROCESS)),
    ("Elasticsearch", "cluster.*", Already(ONE_PROCESS)),
    ("Elasticsearch", "node.*", Already(ONE_PROCESS)),
    ("Elasticsearch", "network.host", Already("addresses stand in server.listen")),
    ("Elasticsearch", "bootstrap.memory_lock", Already(NO_JVM)),
    ("Elasticsearch", "ES_JAVA_OPTS", Already(NO_JVM)),
    ("Elasticsearch", "ES_HEAP_SIZE", Already(NO_JVM)),
    ("Elasticsearch", "ES_MEMORY_LIMIT", Already(NO_JVM)),
    ("Elasticsearch", "xpack.security.enabled", Already("who may do what stands in auth")),
    ("Elasticsearch", "ELASTIC_PASSWORD", No("make a token or a user in auth; Elasticsearch's accounts are not taken over")),
    ("Elasticsearch", "xpack.*", No("extensions of Elasticsearch have no counterpart")),
    ("Kibana", "ELASTICSEARCH_HOSTS", Already("it is this process")),
    ("Kibana", "ELASTICSEARCH_*", No(NO_LOGIN_OF_OTHERS)),
    ("Logstash", "LS_JAVA_OPTS", Already(NO_JVM)),
    ("Filebeat", "strict.perms", Already("whose file it is does not matter")),
    ("Filebeat", "e", Already("what we log goes to standard error")),
    ("redis_exporter", "REDIS_ADDR", Variable("queues.redis.url, and the redis exporter's face looks there too")),
    ("redis_exporter", "REDIS_PASSWORD", Variable("queues.redis.password")),
    ("redis_exporter", "REDIS_EXPORTER_CHECK_KEYS", Variable("redis_exporter.check_keys")),
    ("redis_exporter", "REDIS_EXPORTER_CHECK_SINGLE_KEYS", Variable("redis_exporter.check_single_keys")),
    ("redis_exporter", "REDIS_EXPORTER_COUNT_KEYS", Variable("redis_exporter.count_keys")),
    ("redis_exporter", "REDIS_EXPORTER_CHECK_STREAMS", Variable("redis_exporter.check_streams")),
    ("redis_exporter", "REDIS_EXPORTER_CHECK_SINGLE_STREAMS", Variable("redis_exporter.check_single_streams")),
    ("redis_exporter", "redis.addr", Key("redis_exporter.url")),
    ("redis_exporter", "redis.password", Key("redis_exporter.password")),
    ("redis_exporter", "check-keys", Key("redis_exporter.check_keys")),
    ("redis_exporter", "check-single-keys", Key("redis_exporter.check_single_keys")),
    ("redis_exporter", "count-keys", Key("redis_exporter.count_keys")),
    ("redis_exporter", "check-streams", Key("redis_exporter.check_streams")),
    ("redis_exporter", "check-single-streams", Key("redis_exporter.check_single_streams")),
    ("redis_exporter", "REDIS_PASSWORD_FILE", No("write redis_exporter.password_file into watchfire.yml")),
    ("redis_exporter", "redis.password-file", No("write redis_exporter.password_file into watchfire.yml")),
    ("redis_exporter", "REDIS_USER", No("write the user into the address: redis://user@redis:6379")),
    ("postgres_exporter", "DATA_SOURCE_NAME", Variable("postgres_exporter.url")),
    ("postgres_exporter", "DATA_SOURCE_URI", Variable("postgres_exporter.uri")),
    ("postgres_exporter", "DATA_SOURCE_USER", Variable("postgres_exporter.user")),
    ("postgres_exporter", "DATA_SOURCE_PASS", Variable("postgres_exporter.password")),
    ("postgres_exporter", "DATA_SOURCE_PASS_FILE", Variable("postgres_exporter.password_file")),
    ("postgres_exporter", "DATA_SOURCE_*", No("write the whole address into DATA_SOURCE_NAME or postgres_exporter.url")),
    ("postgres_exporter", "PG_EXPORTER_EXTEND_QUERY_PATH", Variable("postgres_exporter.queries")),
    ("postgres_exporter", "extend.query-path", Key("postgres_exporter.queries")),
    ("postgres_exporter", "PG_EXPORTER_AUTO_DISCOVER_DATABASES", Variable("postgres_exporter.auto_discover_databases")),
    ("postgres_exporter", "PG_EXPORTER_EXCLUDE_DATABASES", Variable("postgres_exporter.exclude_databases")),
    ("postgres_exporter", "PG_EXPORTER_INCLUDE_DATABASES", Variable("postgres_exporter.include_databases")),
    ("postgres_exporter", "PG_EXPORTER_DISABLE_DEFAULT_METRICS", Variable("postgres_exporter.disable_default_metrics")),
    ("postgres_exporter", "PG_EXPORTER_DISABLE_SETTINGS_METRICS", Variable("postgres_exporter.disable_settings_metrics")),
    ("postgres_exporter", "PG_EXPORTER_CONSTANT_LABELS", Variable("postgres_exporter.constant_labels")),
    ("postgres_exporter", "auto-discover-databases", Switch("postgres_exporter.auto_discover_databases")),
    ("postgres_exporter", "exclude-databases", Key("postgres_exporter.exclude_databases")),
    ("postgres_exporter", "include-databases", Key("postgres_exporter.include_databases")),
    ("postgres_exporter", "disable-default-metrics", Switch("postgres_exporter.disable_default_metrics")),
    ("postgres_exporter", "disable-settings-metrics", Switch("postgres_exporter.disable_settings_metrics")),
    ("postgres_exporter", "constantLabels", Key("postgres_exporter.constant_labels")),
    ("postgres_exporter", "config.file", Key("postgres_exporter.config_file")),
    ("postgres_exporter", "collector.*", Already(COLLECTORS)),
    ("node_exporter", "path.rootfs", Key("host.root")),
    ("node_exporter", "path.procfs", Key("host.root")),
    ("node_exporter", "path.sysfs", Already("host.root leads to /sys")),
    ("node_exporter", "collector.textfile.directory", Key("host.textfile_directory")),
    ("node_exporter", "collector.textfile", Already("it runs where host.textfile_directory is set")),
    ("node_exporter", "collector.*", No(COLLECTORS)),
    ("node_exporter", "no-collector.*", No(COLLECTORS)),
    ("Pushgateway", "persistence.file", Already("pushed groups are kept with everything else")),
    ("Pushgateway", "persistence.interval", Already("pushed groups are kept with everything else")),
    ("", "config.file", Config),
    ("", "config", Config),
    ("", "c", Config),
    ("", "web.listen-address", Port),
    ("", "server.http.listen-addr", Port),
    ("", "server.http-listen-port", Port),
    ("", "GF_SERVER_HTTP_PORT", Port),
    ("", "SERVER_PORT", Port),
    ("", "http.port", Port),
    ("", "web.config.file", No(TLS)),
    ("", "web.*", No("addresses stand in server.listen, TLS in server.tls")),
    ("", "log.level", Key("log.level")),
    ("", "log.format", Key("log.format")),
    ("", "LOG_LEVEL", Key("log.level")),
    ("", "TZ", Already("times are in UTC; the page shows those of the browser")),
    ("", "PUID", Already("whose process it is says the container")),
    ("", "PGID", Already("whose process it is says the container")),
];

/// What a setting of a program becomes; nothing is known of some. A row that a prefix covers is found before the prefix.
pub(super) fn becomes(program: &str, name: &str) -> Option<Becomes> {
    let rows = || TABLE.iter().filter(|(of, ..)| of.is_empty() || *of == program);
    let exact = rows().find(|(_, n, _)| *n == name);
    // Ports that are named like others of their program come first.
    exact.or_else(|| rows().find(|(_, n, _)| n.strip_suffix('*').is_some_and(|start| name.starts_with(start)))).map(|(.., b)| *b)
}

/// The value as ours, where the spelling differs.
pub(super) fn spelled(key: &str, value: &str) -> Option<String> {
    Some(match (key, value) {
        ("log.format", "logfmt" | "console") => "text".to_owned(),
        ("log.format", "json") => value.to_owned(),
        ("log.format", _) => return None,
        // Our key names the directory that holds proc and sys.
        ("host.root", _) => match value.strip_suffix("/proc").unwrap_or(value) {
            "" => "/".to_owned(),
            root => root.to_owned(),
        },
        ("log.level", _) => {
            let level = value.to_ascii_lowercase();
            ["error", "warn", "info", "debug", "trace"].contains(&&*level).then_some(level)?
        }
        _ => value.to_owned(),
    })
}

/// Whether what a variable holds is not to be shown.
pub(super) fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["password", "secret", "token", "api_key", "data_source_name", "credential"].iter().any(|part| name.contains(part)) && !name.ends_with("file")
}

/// Every variable that keeps its name, and every key, for tests of whoever reads them.
pub fn promised() -> (Vec<&'static str>, Vec<&'static str>) {
    let variables = TABLE.iter().filter(|(.., b)| matches!(b, Variable(_))).map(|(_, name, _)| *name).collect();
    let keys = TABLE.iter().filter_map(|(.., b)| if let Key(key) | Switch(key) = b { Some(*key) } else { None }).collect();
    (variables, keys)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longer_name_decides() {
        assert_eq!(becomes("Grafana", "GF_SECURITY_ADMIN_USER"), Some(Variable("auth.users")));
        assert_eq!(becomes("Grafana", "GF_SERVER_HTTP_PORT"), Some(Port));
        assert!(matches!(becomes("Grafana", "GF_UNHEARD_OF"), Some(No(_))));
        assert_eq!(becomes("Loki", "GF_SECURITY_ADMIN_USER"), None);
        assert_eq!(becomes("Prometheus", "web.listen-address"), Some(Port));
        assert!(matches!(becomes("Prometheus", "web.cors.origin"), Some(No(_))));
        assert!(is_secret("GF_SECURITY_ADMIN_PASSWORD") && !is_secret("GF_SECURITY_ADMIN_PASSWORD__FILE") && !is_secret("TZ"));
        assert_eq!(
            (spelled("log.format", "logfmt").as_deref(), spelled("log.level", "WARN").as_deref(), spelled("log.level", "dbg")),
            (Some("text"), Some("warn"), None)
        );
    }
}
