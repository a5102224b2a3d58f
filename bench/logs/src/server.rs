//! The servers under test: how each is started, where it takes Loki's pushes, and how each is asked the same questions.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use bench_harness::client::encoded;
use bench_harness::process::{Process, find, free_port};
use serde_json::Value;

use crate::workload::{NEEDLE, Plan};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    VictoriaLogs,
    Loki,
    Watchfire,
}

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    Last100,
    Needle,
    ByLevel,
    JsonField,
    Scan,
}

impl Ask {
    pub(crate) const ALL: [Ask; 5] = [Ask::Last100, Ask::Needle, Ask::ByLevel, Ask::JsonField, Ask::Scan];

    pub(crate) fn title(self) -> &'static str {
        match self {
            Ask::Last100 => "the last 100 lines of one stream",
            Ask::Needle => "a needle over everything",
            Ask::ByLevel => "a count by level over a day, a number every five minutes",
            Ask::JsonField => "a count of `status` 503 below `/api/cart`, fields of the JSON",
            Ask::Scan => "a count by an expression that no index helps with",
        }
    }
}

/// An expression without a text that every match has; it is found nowhere.
const NOWHERE: &str = "[x-z]{3}[^a-z ][x-z]{2}";
/// Bytes of one request as Loki is set up here, so that its limits are no part of the comparison.
const LOKI_CONFIG: &str = r#"auth_enabled: false
server: {http_listen_address: 127.0.0.1, http_listen_port: PORT, grpc_listen_port: GRPC, log_level: error, grpc_server_max_recv_msg_size: 67108864, grpc_server_max_send_msg_size: 67108864}
common: {path_prefix: DIR, replication_factor: 1, instance_addr: 127.0.0.1, ring: {kvstore: {store: inmemory}}}
schema_config: {configs: [{from: 2020-01-01, store: tsdb, object_store: filesystem, schema: v13, index: {prefix: index_, period: 24h}}]}
storage_config: {filesystem: {directory: DIR/chunks}}
query_range: {cache_results: false}
ingester: {max_chunk_age: 48h}
limits_config: {ingestion_rate_mb: 10000, ingestion_burst_size_mb: 10000, per_stream_rate_limit: 10GB, per_stream_rate_limit_burst: 10GB, reject_old_samples: false, max_query_series: 10000, query_timeout: 300s, split_queries_by_interval: 0}
analytics: {reporting_enabled: false}
"#;

impl Kind {
    pub(crate) const ALL: [Kind; 3] = [Kind::VictoriaLogs, Kind::Loki, Kind::Watchfire];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::VictoriaLogs => "victoria-logs",
            Kind::Loki => "loki",
            Kind::Watchfire => "watchfire",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|k| k.name() == name)
    }

    /// Where the program lies, under one of the names that it is packed with.
    pub(crate) fn installed(self) -> Option<PathBuf> {
        match self {
            Kind::VictoriaLogs => find("victoria-logs").or_else(|| find("victoria-logs-prod")),
            Kind::Loki => find("loki"),
            Kind::Watchfire => None,
        }
    }

    fn ready_path(self) -> &'static str {
        match self {
            Kind::VictoriaLogs => "/health",
            Kind::Loki => "/ready",
            Kind::Watchfire => "/-/ready",
        }
    }

    /// VictoriaLogs makes fields of the JSON, as it does by itself.
    pub(crate) fn push_path(self) -> &'static str {
        if self == Kind::VictoriaLogs { "/insert/loki/api/v1/push?_msg_field=msg" } else { "/loki/api/v1/push" }
    }

    /// The question as it is asked.
    pub(crate) fn query(self, ask: Ask) -> String {
        match (self, ask) {
            (Kind::VictoriaLogs, Ask::Last100) => "{app=\"service-3\"} | sort by (_time) desc limit 100".into(),
            (Kind::VictoriaLogs, Ask::Needle) => format!("{{env=\"prod\"}} \"{NEEDLE}\""),
            (Kind::VictoriaLogs, Ask::ByLevel) => "{env=\"prod\"} | stats by (level) count() hits".into(),
            (Kind::VictoriaLogs, Ask::JsonField) => "{env=\"prod\"} status:=503 path:=\"/api/cart\" | stats count() hits".into(),
            (Kind::VictoriaLogs, Ask::Scan) => format!("{{env=\"prod\"}} _msg:~\"{NOWHERE}\" | stats count() hits"),
            (_, Ask::Last100) => "{app=\"service-3\"}".into(),
            (_, Ask::Needle) => format!("{{env=\"prod\"}} |= \"{NEEDLE}\""),
            (_, Ask::ByLevel) => "sum by (detected_level) (count_over_time({env=\"prod\"}[5m]))".into(),
            (_, Ask::JsonField) => "sum(count_over_time({env=\"prod\"} | json | status=\"503\" and path=\"/api/cart\" [1d]))".into(),
            (_, Ask::Scan) => format!("sum(count_over_time({{env=\"prod\"}} |~ `{NOWHERE}` [1d]))"),
        }
    }

    /// The path of a question about the day of the plan.
    pub(crate) fn path(self, ask: Ask, plan: &Plan) -> String {
        let query = encoded(&self.query(ask));
        // A day ends with the moment of the question: what is at its end exactly belongs to it.
        let (start, end) = (plan.start_ms() - 1, plan.end_ms - 1);
        match (self, ask) {
            (Kind::VictoriaLogs, Ask::Last100) => format!("/select/logsql/query?query={query}&start={start}ms&end={end}ms"),
            (Kind::VictoriaLogs, Ask::Needle) => format!("/select/logsql/query?query={query}&start={start}ms&end={end}ms&limit=1000"),
            (Kind::VictoriaLogs, Ask::ByLevel) => format!("/select/logsql/stats_query_range?query={query}&start={start}ms&end={end}ms&step=5m"),
            (Kind::VictoriaLogs, _) => format!("/select/logsql/stats_query?query={query}&start={start}ms&end={end}ms&time={end}ms"),
            (_, Ask::Last100) => format!("/loki/api/v1/query_range?query={query}&start={start}000000&end={}000000&limit=100&direction=backward", plan.end_ms),
            (_, Ask::Needle) => format!("/loki/api/v1/query_range?query={query}&start={start}000000&end={}000000&limit=1000", plan.end_ms),
            (_, Ask::ByLevel) => {
                // Every window is asked for once: the first ends five minutes after the first line.
                format!("/loki/api/v1/query_range?query={query}&start={}000000&end={end}000000&step=300", start + 300_000)
            }
            (_, _) => format!("/loki/api/v1/query?query={query}&time={end}000000"),
        }
    }

    /// How many lines an answer has, or the sum of its numbers.
    pub(crate) fn found(self, ask: Ask, body: &str) -> Result<f64> {
        if self == Kind::VictoriaLogs && matches!(ask, Ask::Last100 | Ask::Needle) {
            return Ok(body.lines().filter(|line| !line.trim().is_empty()).count() as f64);
        }
        let answer: Value = serde_json::from_str(body).context("the answer is not JSON")?;
        let rows = answer["data"]["result"].as_array().context("an answer without rows")?;
        let number = |point: &Value| point[1].as_str().and_then(|n| n.parse::<f64>().ok()).unwrap_or(0.0);
        let lines = matches!(ask, Ask::Last100 | Ask::Needle);
        let of = |row: &Value| match (row["values"].as_array(), lines) {
            (Some(values), true) => values.len() as f64,
            (Some(values), false) => values.iter().map(number).sum(),
            (None, _) => number(&row["value"]),
        };
        Ok(rows.iter().map(of).sum())
    }
}

/// How a server is run in this benchmark.
pub(crate) struct Setup {
    pub(crate) kind: Kind,
    pub(crate) binary: PathBuf,
    pub(crate) dir: PathBuf,
    /// Further lines of our configuration.
    pub(crate) settings: String,
}

/// A running server.
pub(crate) struct Server {
    pub(crate) address: String,
    pub(crate) process: Process,
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

impl Setup {
    pub(crate) fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// Starts the server and waits until it says that it is ready.
    pub(crate) fn start(&self) -> Result<Server> {
        fs::create_dir_all(&self.dir)?;
        let (port, data) = (free_port()?, self.data());
        let address = format!("127.0.0.1:{port}");
        let mut arguments: Vec<String> = Vec::new();
        match self.kind {
            Kind::Watchfire => {
                let config = self.dir.join("watchfire.yml");
                // This machine's own metrics stay out, so that all servers do the same work.
                fs::write(&config, format!("host: {{interval: 1h}}\n{}\n", self.settings))?;
                arguments.extend(["serve".into(), "--config".into(), shown(&config), "--listen".into(), address.clone(), "--data-dir".into(), shown(&data)]);
            }
            Kind::Loki => {
                let config = self.dir.join("loki.yml");
                let text = LOKI_CONFIG.replace("DIR", &shown(&data)).replace("PORT", &port.to_string()).replace("GRPC", &free_port()?.to_string());
                fs::write(&config, text)?;
                arguments.extend([format!("-config.file={}", shown(&config)), "-target=all".into()]);
            }
            Kind::VictoriaLogs => arguments.extend([
                format!("-storageDataPath={}", shown(&data)),
                format!("-httpListenAddr={address}"),
                "-retentionPeriod=100y".into(),
                "-loggerLevel=WARN".into(),
            ]),
        }
        let process = Process::start(&self.binary, &arguments, &self.dir.join("log"))?;
        let mut server = Server { address, process };
        server.process.wait_ready(&server.address, self.kind.ready_path()).with_context(|| self.kind.name().to_owned())?;
        Ok(server)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_counted() {
        let loki = r#"{"data":{"result":[{"stream":{},"values":[["1","a"],["2","b"]]},{"stream":{},"values":[["1","a"]]}]}}"#;
        let numbers = r#"{"data":{"result":[{"metric":{},"values":[[1,"3"],[2,"4"]]},{"metric":{},"value":[1,"5"]}]}}"#;
        assert_eq!(Kind::Watchfire.found(Ask::Needle, loki).unwrap(), 3.0);
        assert_eq!(Kind::Loki.found(Ask::ByLevel, numbers).unwrap(), 12.0);
        assert_eq!(Kind::VictoriaLogs.found(Ask::Needle, "{\"a\":1}\n{\"a\":2}\n").unwrap(), 2.0);
        assert_eq!(Kind::VictoriaLogs.found(Ask::Scan, numbers).unwrap(), 12.0);
        assert!(Kind::Watchfire.found(Ask::Scan, "no").is_err());
    }
}
