//! Loki's file as people write it, and what is said of what it should not have.

use super::*;

fn check(text: &str, expected: &[&str]) {
    let found: Vec<String> = parse("loki.yml", text).findings.iter().map(|f| f.to_string().trim_start_matches("loki.yml:").to_owned()).collect();
    assert_eq!(found, expected, "{text}");
}
fn config(text: &str) -> LokiConfig {
    let Parsed { config, findings } = parse("loki.yml", text);
    config.unwrap_or_else(|| panic!("{findings:?}"))
}
const DAY: Duration = Duration::from_secs(86_400);

const PISOVEREIGN: &str = "
auth_enabled: false
server:
  http_listen_port: 3100
common:
  path_prefix: /loki
  storage:
    filesystem:
      chunks_directory: /loki/chunks
      rules_directory: /loki/rules
  replication_factor: 1
  ring: {kvstore: {store: inmemory}}
schema_config:
  configs: [{from: 2020-10-24, store: boltdb-shipper, object_store: filesystem, schema: v11, index: {prefix: index_, period: 24h}}]
limits_config:
  retention_period: 168h
";

#[test]
fn log_24_lines_go_after_what_the_file_says() {
    let found = config(PISOVEREIGN);
    assert_eq!(found.retention, Some(Some(7 * DAY)));
    check(PISOVEREIGN, &["14:3: warning: schema_config: is not needed: our own store has one form for all times"]);
    let reduced = "limits_config: {retention_period: 72h, ingestion_rate_mb: 4, ingestion_burst_size_mb: 6, max_streams_per_user: 10000}\n";
    check(reduced, &[]);
    let found = config(reduced);
    assert_eq!(found.retention, Some(Some(3 * DAY)));
    assert_eq!((found.limits.rate, found.limits.streams), (Some((4_194_304.0, 6_291_456.0)), Some(10_000)));
    // 0 is for ever, and what is not said is left as it is.
    assert_eq!(config("limits_config: {retention_period: 0s}").retention, Some(None));
    assert_eq!(config("auth_enabled: false").retention, None);
    let tables = |deletes: bool| config(&format!("table_manager: {{retention_deletes_enabled: {deletes}, retention_period: 48h}}")).retention;
    assert_eq!((tables(true), tables(false)), (Some(Some(2 * DAY)), None));
}

#[test]
fn streams_have_their_own_time_by_priority() {
    let rules = config(
        "limits_config:\n  retention_stream:\n  - {selector: '{level=\"DEBUG\"}', priority: 1, period: 24h}\n  - {selector: '{app=~\"a|b\", level!=\"x\"}', priority: 2, period: 0s}\n  \
         - {selector: '{level=`DEBUG`}', priority: 1, period: 48h}\n",
    )
    .streams;
    let shown: Vec<(String, Option<u64>)> = rules.iter().map(|r| (r.matchers[0].value.to_string(), r.keep.map(|keep| keep.as_secs() / 3_600))).collect();
    assert_eq!(shown, [("a|b".to_owned(), None), ("DEBUG".to_owned(), Some(24)), ("DEBUG".to_owned(), Some(48))]);
    check(
        "limits_config:\n  retention_stream:\n  - {selector: '{a=}', period: 24h}\n",
        &["3:16: error: limits_config.retention_stream[0].selector: expected a quoted value at column 4"],
    );
    check("limits_config:\n  retention_stream:\n  - {selector: '{a=\"b\"}'}\n", &["3:5: error: limits_config.retention_stream[0].period is missing"]);
}

#[test]
fn what_is_not_understood_is_said_with_its_place() {
    check("limit_config: {}\n", &["1:1: error: unknown key \"limit_config\" in the file; did you mean \"limits_config\"?"]);
    check("limits_config:\n  retention_peroid: 1h\n", &["2:3: error: unknown key \"retention_peroid\" in limits_config; did you mean \"retention_period\"?"]);
    check(
        "limits_config:\n  retention_period: soon\n",
        &["2:21: error: limits_config.retention_period: must be a duration such as 30s or 1h30m, not \"soon\""],
    );
    check(
        "limits_config:\n  retention_period: 1h\n",
        &["2:21: warning: limits_config.retention_period: Loki takes nothing shorter than 24h; here it counts as it is written"],
    );
    check("limits_config:\n  ingestion_rate_mb: 0\n", &["2:22: error: limits_config.ingestion_rate_mb: must be above 0"]);
    check("limits_config:\n  ruler_remote_write_url: x\n  bloom_ngram_length: 4\n  split_queries_by_interval: 1h\n", &[]);
    check(
        "limits_config:\n  creation_grace_period: 1h\n",
        &["2:26: warning: limits_config.creation_grace_period: no entry may be more than ten minutes ahead of our clock"],
    );
    check("limits_config:\n  blocked_queries: [{pattern: x}]\n", &["2:20: warning: limits_config.blocked_queries: has no effect here"]);
    check(
        "auth_enabled: true\n",
        &["1:15: warning: auth_enabled: there are no tenants here: X-Scope-OrgID is taken and not looked at; who may do what is set by auth in watchfire.yml"],
    );
    check(
        "server: {http_listen_port: 3101, log_level: warn}\n",
        &["1:28: warning: server.http_listen_port: is not opened; Loki's interface is below /loki on our own port, and on 3100 with --drop-in"],
    );
    check(
        "common: {storage: {s3: {bucketnames: logs}}}\n",
        &["1:20: warning: common.storage.s3: is not needed: our own store keeps lines in the data directory"],
    );
    check("ruler: {storage: {type: local, local: {directory: /rules}}, rule_path: /tmp}\ncompactor: {retention_enabled: true}\n", &[]);
}

#[test]
fn limits_are_read() {
    let found = config(
        "limits_config:\n  per_stream_rate_limit: 3MB\n  per_stream_rate_limit_burst: 15MB\n  max_global_streams_per_user: 5000\n  max_streams_per_user: 0\n  max_line_size: 64KB\n  \
         max_line_size_truncate: true\n  max_label_names_per_series: 20\n  max_label_value_length: 100\n  reject_old_samples_max_age: 168h\n  creation_grace_period: 5m\n  \
         allow_structured_metadata: false\n  discover_log_levels: false\n  max_entries_limit_per_query: 100\n  max_query_length: 721h\n  max_query_lookback: 0s\n",
    );
    let limits = &found.limits;
    assert_eq!((limits.stream_rate.map(|(rate, _)| rate > 2_900_000.0), limits.streams, limits.truncate), (Some(true), Some(5_000), Some(true)));
    assert_eq!((limits.labels, limits.value_bytes, limits.age, limits.allow_metadata), (Some(20), Some(100), Some(7 * DAY), Some(false)));
    assert_eq!(limits.detect_levels, Some(false));
    assert_eq!((limits.future, limits.rate), (Some(Duration::from_secs(300)), None));
    assert_eq!((found.queries.entries, found.queries.length.is_some(), found.queries.lookback), (Some(100), true, None));
    assert_eq!(config("limits_config: {reject_old_samples: false, reject_old_samples_max_age: 1h}").limits.age, None);
    assert_eq!(config("limits_config: {reject_old_samples: true}").limits.age, Some(7 * DAY));
}

/// The blocks of the documents, where they are at hand.
#[test]
fn the_documents_files_load() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/catalogue/config_snippets");
    for name in ["002_466_loki.yml", "002_585_loki_optimized.yml"] {
        let Ok(text) = std::fs::read_to_string(root.join(name)) else {
            eprintln!("SKIPPED: the documents' {name} is not at hand");
            continue;
        };
        assert!(config(&text).retention.is_some());
    }
}
