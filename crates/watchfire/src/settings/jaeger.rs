//! Variables of Jaeger and of the Elasticsearch behind it, as installations have them: those that mean something here are carried out,
//! the others are explained in one line. No value is told: some are addresses with passwords.

use watchfire_model::document::{Finding, Severity};

use super::Environment;

/// Whether Jaeger takes OTLP.
const OTLP: &str = "COLLECTOR_OTLP_ENABLED";
/// Where Jaeger keeps spans.
const STORAGE: &str = "SPAN_STORAGE_TYPE";

/// What has nothing to choose or to reach here.
const NOTHING_HERE: [&str; 17] = [
    STORAGE,
    "ES_SERVER_URLS",
    "ES_USERNAME",
    "ES_PASSWORD",
    "ES_INDEX_PREFIX",
    "ES_TAGS_AS_FIELDS_ALL",
    "ES_NUM_SHARDS",
    "ES_NUM_REPLICAS",
    "ES_BULK_SIZE",
    "ES_BULK_WORKERS",
    "ES_BULK_ACTIONS",
    "ES_BULK_FLUSH_INTERVAL",
    "ES_MAX_SPAN_AGE",
    "ES_HEAP_SIZE",
    "ES_MEMORY_LIMIT",
    "MEMORY_MAX_TRACES",
    "COLLECTOR_ZIPKIN_HOST_PORT",
];

/// The keys of our own file that are switched off.
pub(super) fn switched_off(environment: &Environment) -> &'static [&'static str] {
    let off = environment.get(OTLP).is_some_and(|value| value.eq_ignore_ascii_case("false") || value == "0");
    if off { &["otlp.grpc_listen", "otlp.http_listen"] } else { &[] }
}

/// What there is to say of those that change nothing.
pub(super) fn explained(environment: &Environment) -> Option<Finding> {
    let set: Vec<&str> = NOTHING_HERE.into_iter().filter(|name| environment.get(name).is_some()).collect();
    if set.is_empty() {
        return None;
    }
    let kept = match environment.get(STORAGE) {
        Some("memory") => "spans are kept on disk all the same, and a restart does not lose them",
        _ => "spans are kept in our own store",
    };
    let message = format!(
        "{} of Jaeger: {kept}, for storage.retention.traces; there is nothing to set, and no Elasticsearch is asked (docs/reference/jaeger.md)",
        set.join(", ")
    );
    Some(Finding { severity: Severity::Warning, file: "environment".into(), line: 0, column: 0, message })
}

#[cfg(test)]
mod tests {
    use super::super::{Flags, Listen, Settings, load};
    use super::*;

    fn of(pairs: &[(&str, &str)]) -> (Settings, Vec<String>) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("w.yml");
        std::fs::write(&path, "{}").unwrap();
        let loaded = load(&Flags { config: Some(path), ..Flags::default() }, &Environment::of(pairs)).map_err(|f| format!("{f:?}")).ok().unwrap();
        (loaded.settings, loaded.findings.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn trc_13_where_jaeger_keeps_spans_is_explained_in_one_line() {
        let expected = |kept: &str, names: &str| {
            format!(
                "environment: warning: {names} of Jaeger: {kept}, for storage.retention.traces; there is nothing to set, and no Elasticsearch is asked (docs/reference/jaeger.md)"
            )
        };
        let (_, findings) =
            of(&[("SPAN_STORAGE_TYPE", "elasticsearch"), ("ES_SERVER_URLS", "http://u:secret@elasticsearch:9200"), ("ES_INDEX_PREFIX", "jaeger")]);
        assert_eq!(findings, [expected("spans are kept in our own store", "SPAN_STORAGE_TYPE, ES_SERVER_URLS, ES_INDEX_PREFIX")]);
        let (_, findings) = of(&[("SPAN_STORAGE_TYPE", "memory")]);
        assert_eq!(findings, [expected("spans are kept on disk all the same, and a restart does not lose them", "SPAN_STORAGE_TYPE")]);
        assert_eq!(of(&[]).1, [""; 0]);
    }

    #[test]
    fn trc_20_bulk_writes_shards_and_tags_have_nothing_to_set() {
        let all = [
            ("ES_BULK_SIZE", "5000000"),
            ("ES_BULK_WORKERS", "1"),
            ("ES_BULK_FLUSH_INTERVAL", "200ms"),
            ("ES_NUM_SHARDS", "1"),
            ("ES_NUM_REPLICAS", "0"),
            ("ES_TAGS_AS_FIELDS_ALL", "true"),
        ];
        let (_, findings) = of(&all);
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert!(all.iter().all(|(name, _)| findings[0].contains(name)), "{findings:?}");
    }

    #[test]
    fn trc_24_otlp_is_taken_unless_jaegers_variable_says_otherwise() {
        let (settings, findings) = of(&[("COLLECTOR_OTLP_ENABLED", "true")]);
        assert_eq!((settings.otlp.grpc, settings.otlp.http, findings.len()), (Listen::Usual, Listen::Usual, 0));
        let (settings, _) = of(&[("COLLECTOR_OTLP_ENABLED", "false")]);
        assert_eq!((settings.otlp.grpc, settings.otlp.http), (Listen::Off, Listen::Off));
        let (settings, _) = of(&[("COLLECTOR_OTLP_GRPC_HOST_PORT", ":5317"), ("BADGER_SPAN_STORE_TTL", "72h0m0s")]);
        assert_eq!(settings.otlp.grpc, Listen::At(([127, 0, 0, 1], 5317).into()));
        assert_eq!(settings.storage.traces_retention, Some(std::time::Duration::from_secs(72 * 3_600)));
    }
}
