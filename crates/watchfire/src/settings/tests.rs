//! Tests of settings: precedence, places of errors, the environment, the monitoring directory.

use super::*;

fn write(dir: &Path, name: &str, text: &str) -> PathBuf {
    let path = dir.join(name);
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).unwrap();
    }
    std::fs::write(&path, text).unwrap();
    path
}

fn flags(config: &Path) -> Flags {
    Flags { config: Some(config.to_path_buf()), ..Flags::default() }
}

/// Loads a file and gives the findings without the directory in front.
fn findings(text: &str, environment: &[(&str, &str)]) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let path = write(dir.path(), "w.yml", text);
    let all = match load(&flags(&path), &Environment::of(environment)) {
        Ok(loaded) => loaded.findings,
        Err(findings) => findings,
    };
    all.iter().map(|f| f.to_string().replace(&format!("{}/", dir.path().display()), "")).collect()
}

#[test]
fn r61_errors_name_their_place_and_all_come_at_once() {
    let check = |text: &str, expected: &[&str]| assert_eq!(findings(text, &[]), expected, "{text}");
    check("", &[]);
    check("server:\n  listne: 127.0.0.1:1\n", &["w.yml:2:3: error: unknown key \"listne\" in server; did you mean \"listen\"?"]);
    check(
        "server:\n  listen: 8000\nstorage:\n  max_size: big\n",
        &[
            "w.yml:2:11: error: server.listen: must be an address with a port such as 127.0.0.1:8000 or [::1]:8000, not \"8000\"",
            "w.yml:4:13: error: storage.max_size: must be a size such as 512MB, not \"big\"",
        ],
    );
    check(
        "storage:\n  retention:\n    metrics: 0s\n",
        &["w.yml:3:14: error: storage.retention.metrics: must be longer than 0; say \"unlimited\" to keep everything"],
    );
    check("storage:\n  tiers:\n    - {resolution: 5m, after: 1d, keep: 90d}\n    - {resolution: 1h, keep: unlimited}\n", &[]);
    check(
        "storage:\n  tiers:\n    - {resolution: 5h, after: 2d, keep: 1d}\n    - {after: 1d}\n    - 1h:1d\n    - {resolution: 5m}\n    - {resolution: 5m, kep: 1y}\n",
        &[
            "w.yml:3:7: error: storage.tiers[0]: windows must be a whole part of a week, such as 5m or 1h",
            "w.yml:3:7: error: storage.tiers[0]: must keep windows for longer than the time after which they are written",
            "w.yml:4:7: error: storage.tiers[1]: must say how long a window is (resolution), as in {resolution: 5m, after: 1d, keep: 90d} or 5m:1d:90d",
            "w.yml:5:7: error: storage.tiers[2]: must say how long a window is (resolution), as in {resolution: 5m, after: 1d, keep: 90d} or 5m:1d:90d",
            "w.yml:7:7: error: storage.tiers[4]: another tier has windows of this length",
            "w.yml:7:24: error: unknown key \"kep\" in storage.tiers[4]; did you mean \"keep\"?",
        ],
    );
    check("memory:\n  limit: 1MB\n", &["w.yml:2:10: error: memory.limit: must be at least 32MB"]);
    check(
        "log:\n  level: watchfire=\n",
        &["w.yml:2:10: error: log.level: must be a level such as info, or a filter such as info,watchfire=debug, not \"watchfire=\""],
    );
    check("query:\n  parallel: 0\n", &["w.yml:2:13: error: query.parallel: must be between 1 and 256"]);
    check(
        "server:\n  tls: {cert_file: w.yml, key_file: no.pem}\n",
        &["w.yml:2:37: error: server.tls.key_file: cannot read no.pem: No such file or directory (os error 2)"],
    );
    check("log:\n  level: verbos\n", &["w.yml:2:10: error: log.level: must be a level such as info, or a filter such as info,watchfire=debug, not \"verbos\""]);
    check("log:\n  level: warn,watchfire=debug\n", &[]);
    check("gpu:\n  ai_service_urls: [ftp://x]\n", &["w.yml:2:20: error: gpu.ai_service_urls: must begin with http:// or https://, not \"ftp://x\""]);
    check(
        "gpu:\n  poll_interval_seconds: 0.5\n",
        &["w.yml:2:26: warning: gpu.poll_interval_seconds: GPU_POLL_INTERVAL_SECONDS is 0.5, which is outside 1 to 60: 1 is used"],
    );
    check("prometheus: |\n  global: {}\n  global: {}\n", &["w.yml:3:3: error: key \"global\" stands here twice, first in line 2"]);
    check("promethues: x.yml\n", &["w.yml:1:1: error: unknown key \"promethues\" in the file; did you mean \"prometheus\"?"]);
    check("server: {listen: a\n", &["w.yml:2:1: error: while parsing a flow mapping, did not find expected ',' or '}'"]);
}

#[test]
fn flag_beats_environment_beats_file_beats_default() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(
        dir.path(),
        "w.yml",
        "server:\n  listen: 127.0.0.1:1\nstorage:\n  max_size: 1GB\n  tiers: [{resolution: 5m, keep: 90d}]\n  retention: {metrics: unlimited, logs: 14d}\n",
    );
    let environment = Environment::of(&[
        ("WATCHFIRE_SERVER_LISTEN", "127.0.0.1:2"),
        ("GPU_HTTP_TIMEOUT", "2.5"),
        ("WATCHFIRE_SERVER_TRUSTED_NETWORKS", "10.0.0.0/8, 192.168.0.0/16"),
    ]);
    let loaded = load(&flags(&path), &environment).ok().unwrap().settings;
    assert_eq!(loaded.server.listen.port(), 2);
    assert!(loaded.server.listen_explicit);
    assert_eq!(loaded.storage.size_max, Some(1 << 30));
    assert_eq!(loaded.storage.metrics_retention, None);
    assert_eq!(loaded.storage.logs_retention, Some(std::time::Duration::from_secs(14 * 86_400)));
    let days = |n: u64| Duration::from_secs(n * 86_400);
    assert_eq!(loaded.storage.tiers, [Tier { resolution: Duration::from_secs(300), after: days(1), keep: Some(days(90)) }]);
    let environment = Environment::of(&[("WATCHFIRE_STORAGE_TIERS", "5m:2d:90d,1h:2d:unlimited")]);
    let tier = |minutes: u64, keep| Tier { resolution: Duration::from_secs(minutes * 60), after: days(2), keep };
    assert_eq!(load(&flags(&path), &environment).ok().unwrap().settings.storage.tiers, [tier(5, Some(days(90))), tier(60, None)]);
    assert_eq!(loaded.gpu.http_timeout_s, 2.5);
    assert_eq!(loaded.gpu.poll_interval_s, 5.0);
    assert_eq!(loaded.server.trusted_networks, ["10.0.0.0/8", "192.168.0.0/16"]);
    let flags = Flags { listen: Some("localhost:3".into()), ..flags(&path) };
    assert_eq!(load(&flags, &environment).ok().unwrap().settings.server.listen.port(), 3);
}

#[test]
fn the_environment_is_checked_too() {
    assert_eq!(
        findings("", &[("WATCHFIRE_SERVER_LISTEN", "x")])[0].split(", not").next().unwrap(),
        "environment: error: server.listen: must be an address with a port such as 127.0.0.1:8000 or [::1]:8000"
    );
    assert_eq!(
        findings("", &[("WATCHFIRE_SERVER_LISTNE", "x")]),
        ["environment: warning: WATCHFIRE_SERVER_LISTNE sets nothing; did you mean WATCHFIRE_SERVER_LISTEN?"]
    );
}

#[test]
fn files_that_are_not_there_are_named_where_they_stand() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(dir.path(), "w.yml", "query: {parallel: 2}\nprometheus: none.yml\nmonitoring_dir: nowhere\n");
    let errors = load(&flags(&path), &Environment::default()).err().unwrap();
    let places: Vec<_> = errors.iter().map(|f| (f.line, f.column, f.message.contains("No such file"))).collect();
    assert_eq!(places, [(2, 13, true), (3, 17, true)], "{errors:?}");
}

#[test]
fn a_monitoring_directory_is_searched_by_usual_names() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(dir.path(), "w.yml", "monitoring_dir: monitoring\n");
    write(dir.path(), "monitoring/prometheus/prometheus.yml", "global: {}\n");
    write(dir.path(), "monitoring/alertmanager.yml", "route: {}\n");
    write(dir.path(), "monitoring/pyroscope.yml", "server: {}\n");
    let loaded = load(&flags(&path), &Environment::default()).ok().unwrap();
    assert!(matches!(&loaded.settings.foreign_of("prometheus").unwrap().source, ForeignFile::Path(p) if p.ends_with("prometheus/prometheus.yml")));
    assert_eq!(loaded.findings.len(), 1);
    assert!(loaded.findings[0].message.contains("pyroscope"));
    assert!(loaded.settings.foreign_of("alertmanager").is_some());
}

#[test]
fn the_log_of_places_that_are_away_is_bounded_by_what_there_is() {
    let check = |text: &str, size_max: Option<u64>, disk: Option<u64>, expected: u64| {
        let dir = tempfile::tempdir().unwrap();
        let path = write(dir.path(), "w.yml", text);
        let settings = load(&flags(&path), &Environment::default()).ok().unwrap().settings;
        assert_eq!(settings.forward.buffer_max(size_max, disk), expected, "{text} {size_max:?} {disk:?}");
    };
    check("", None, None, 1 << 30);
    check("", Some(400 << 20), Some(1 << 40), 100 << 20);
    check("", Some(1 << 40), Some(1000), 100);
    check("forward: {buffer_max: 5GB}", Some(1000), Some(1000), 5 << 30);
}

/// The language model's window as a file and variables have it.
fn llm(text: &str, environment: &[(&str, &str)]) -> LlmSettings {
    let dir = tempfile::tempdir().unwrap();
    let path = write(dir.path(), "w.yml", text);
    load(&flags(&path), &Environment::of(environment)).unwrap_or_else(|e| panic!("{e:?}")).settings.llm
}

#[test]
fn tok_07_the_pipelines_variables_set_window_reserve_encoding_threshold_and_truncation() {
    let usual = llm("", &[]);
    assert_eq!((usual.budget(), usual.counter().name(), usual.truncation), (watchfire_tokens::Budget::default(), "cl100k_base", true));
    let variables = [
        ("NEMOTRON_CONTEXT_WINDOW", "4096"),
        ("NEMOTRON_MAX_OUTPUT_TOKENS", "1000"),
        ("LLM_TOKENIZER_ENCODING", "o200k_base"),
        ("CONTEXT_UTILIZATION_WARNING_THRESHOLD", "0.5"),
        ("CONTEXT_TRUNCATION_ENABLED", "False"),
    ];
    let set = llm("llm: {context_window: 7, truncation: true}\n", &variables);
    assert_eq!(set.budget(), watchfire_tokens::Budget::new(4_096, 1_000, 0.5).unwrap());
    assert_eq!((set.counter().name(), set.truncation), ("o200k_base", false));
    assert!(!llm("", &[("CONTEXT_TRUNCATION_ENABLED", "0")]).truncation);
    assert_eq!(
        findings("llm: {context_window: 1000}\n", &[]),
        ["settings: error: llm: cannot keep 1536 tokens for the answer in a window of 1000: nothing is left for the prompt"]
    );
    assert_eq!(
        findings("", &[("CONTEXT_UTILIZATION_WARNING_THRESHOLD", "80")]),
        ["settings: error: llm: cannot warn above a share of 80: it must lie between 0 and 1"]
    );
    let unknown = findings("", &[("LLM_TOKENIZER_ENCODING", "cl200k")]);
    assert!(unknown[0].starts_with("environment: warning: llm.tokenizer: \"cl200k\" is no encoding, cl100k_base is used; known are gpt2, "), "{unknown:?}");
}

#[test]
fn a_tokenizer_file_counts_instead_and_a_bad_one_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let vocabulary = r#"{"a": 0, "b": 1, "ab": 2}"#;
    write(dir.path(), "tokenizer.json", &format!(r#"{{"model": {{"type": "BPE", "vocab": {vocabulary}, "merges": ["a b"]}}}}"#));
    write(dir.path(), "unigram.json", r#"{"model": {"type": "Unigram", "vocab": [["a", -1.5]]}}"#);
    let config = |name: &str| write(dir.path(), "w.yml", &format!("llm: {{tokenizer: {name}}}\n"));
    let loaded = load(&flags(&config("tokenizer.json")), &Environment::of(&[])).unwrap_or_else(|e| panic!("{e:?}"));
    assert_eq!((loaded.settings.llm.counter().name(), loaded.settings.llm.counter().count("aabb")), ("tokenizer.json", 3));
    let error = |name: &str| load(&flags(&config(name)), &Environment::of(&[])).err().map(|e| e[0].message.clone()).unwrap_or_default();
    assert!(error("unigram.json").ends_with("unigram.json: cannot count with a model of kind Unigram; only BPE is known"), "{}", error("unigram.json"));
    assert!(error("./none.json").contains("cannot open the file"), "{}", error("./none.json"));
}

#[test]
fn tok_18_another_context_at_the_models_server_is_reported() {
    let warning = |environment: &[(&str, &str)], text: &str| findings(text, environment);
    assert_eq!(
        warning(&[("CTX_SIZE", "4096")], ""),
        [
            "settings: warning: the model's server has a context of 4096 tokens (CTX_SIZE), and llm.context_window is 131072 (NEMOTRON_CONTEXT_WINDOW): prompts that pass the check do not fit there"
        ]
    );
    assert!(warning(&[("CTX_SIZE", "131072"), ("NEMOTRON_CONTEXT_WINDOW", "4096")], "")[0].ends_with("a part of it is not used"));
    assert_eq!(warning(&[("CTX_SIZE", "4096"), ("NEMOTRON_CONTEXT_WINDOW", "4096")], ""), [""; 0]);
    assert_eq!(warning(&[("CTX_SIZE", "4096")], "llm: {profile: development}\n"), [""; 0]);
}

#[test]
fn tok_19_a_profile_sets_the_window() {
    assert_eq!(llm("llm: {profile: development}\n", &[]).budget().available_for_prompt(), 2_560);
    assert_eq!(llm("llm: {profile: production}\n", &[]).budget().available_for_prompt(), 129_536);
    assert_eq!(llm("llm: {profile: development}\n", &[("NEMOTRON_CONTEXT_WINDOW", "8192")]).budget().context_window(), 8_192);
    assert!(findings("llm: {profile: staging}\n", &[])[0].contains("llm.profile"));
}

#[test]
fn queues_lie_in_the_redis_of_the_pipeline_when_it_names_one() {
    let check = |text: &str, environment: &[(&str, &str)]| {
        let dir = tempfile::tempdir().unwrap();
        let path = write(dir.path(), "w.yml", text);
        load(&flags(&path), &Environment::of(environment)).unwrap_or_else(|e| panic!("{e:?}")).settings.queues
    };
    let place = |text: &str, environment: &[(&str, &str)]| check(text, environment).redis.map(|p| (p.shown(), p.password.map(|s| s.expose().to_owned())));
    assert_eq!(place("", &[]), None);
    assert_eq!(place("", &[("REDIS_ADDR", "redis:6379"), ("REDIS_PASSWORD", "pw")]), Some(("redis://redis:6379/0".into(), Some("pw".into()))));
    assert_eq!(
        place("", &[("REDIS_ADDR", "a:1"), ("REDIS_URL", "redis://:own@b:2/3"), ("REDIS_PASSWORD", "pw")]),
        Some(("redis://b:2/3".into(), Some("own".into())))
    );
    assert_eq!(place("queues: {redis: {url: \"redis://c\"}}", &[]), Some(("redis://c:6379/0".into(), None)));
    assert_eq!(place("", &[("REDIS_PASSWORD", "pw")]), None, "a password alone names no place");
    assert_eq!(place("", &[("REDIS_URL", "unix:///tmp/canary.sock")]), None);
    let shown = format!("{:?}", check("", &[("REDIS_URL", "redis://:canary@h"), ("REDIS_PASSWORD", "canary")]));
    assert!(!shown.contains("canary"), "{shown}");
    assert!(findings("", &[("REDIS_URL", "unix:///tmp/canary.sock")])[0].starts_with("environment: warning: queues.redis.url: must be a URL such as "));
    let queues = check("queues: {names: [thumbs], max_size: 200, overflow: reject, retry: {attempts: 5, base: 2s, never: [boom]}, lease: 5m}", &[]).queues;
    assert_eq!(queues.names.iter().map(ToString::to_string).collect::<Vec<_>>(), ["detection_queue", "analysis_queue", "thumbs"]);
    assert_eq!((queues.room.jobs, queues.room.overflow.word(), queues.retry.attempts, queues.lease.as_secs()), (200, "reject", 5, 300));
    assert_eq!((queues.retry.base.as_secs(), queues.retry.cap.as_secs(), queues.retry.never), (2, 30, vec!["boom".to_owned()]));
    assert_eq!(check("", &[("QUEUE_OVERFLOW_POLICY", "shrug"), ("QUEUE_MAX_SIZE", "500")]).queues.room.overflow.word(), "reject");
    assert_eq!(
        findings("queues:\n  max_size: 5\n  names: [\"a b\"]\n  redis: {url: \"http://:canary@x\"}\n  retry: {jitter: 2}\n", &[]),
        [
            "w.yml:2:13: error: queues.max_size: must be between 100 and 100000",
            "w.yml:3:10: error: queues.names: must be letters, digits, \"_\", \"-\" and \".\", 64 at most, not \"a b\"",
            "w.yml:4:16: error: queues.redis.url: must be a URL such as redis://redis:6379/0 or rediss://:password@host:6379, or host:port",
            "w.yml:5:19: error: queues.retry.jitter: must be between 0 and 1",
        ]
    );
}

#[test]
fn trc_16_spans_are_kept_for_thirty_days_unless_told_otherwise() {
    let dir = tempfile::tempdir().unwrap();
    let of = |text: &str| load(&flags(&write(dir.path(), "w.yml", text)), &Environment::default()).ok().unwrap().settings.storage.traces_retention;
    let days = |n: u64| Some(Duration::from_secs(n * 86_400));
    assert_eq!((of("{}\n"), of("storage: {retention: {logs: 7d}}\n")), (days(30), days(30)));
    assert_eq!((of("storage: {retention: {traces: 3d}}\n"), of("storage: {retention: {traces: unlimited}}\n")), (days(3), None));
}

#[test]
fn traces_are_sampled_when_that_is_said_and_metrics_derived_unless_that_is_said() {
    let of = |text: &str, environment: &[(&str, &str)]| {
        let dir = tempfile::tempdir().unwrap();
        let path = write(dir.path(), "w.yml", text);
        load(&flags(&path), &Environment::of(environment)).map_err(|f| format!("{f:?}")).ok().unwrap().settings.traces
    };
    let usual = of("", &[]);
    assert!(usual.sampling.is_none() && usual.metrics.is_some() && usual.graph.is_some());
    let off = of("traces: {metrics: {enabled: false}, service_graph: {enabled: false}, sampling: {enabled: false, rate: 0.5}}", &[]);
    assert!(off.sampling.is_none() && off.metrics.is_none() && off.graph.is_none());
    let sampling = of("traces: {sampling: {latency: 2s, drop_endpoints: /health}}", &[("WATCHFIRE_TRACES_SAMPLING_RATE", "0.25")]).sampling.unwrap();
    assert_eq!((sampling.policies.rate, sampling.policies.latency, sampling.policies.errors), (0.25, Some(Duration::from_secs(2)), true));
    assert_eq!(of("traces: {metrics: {buckets: [10ms, 1s]}}", &[]).metrics.unwrap().buckets, [0.01, 1.0]);
    let check = |text: &str, expected: &str| assert_eq!(findings(text, &[]), [expected], "{text}");
    check("traces: {sampling: {rate: 2}}", "w.yml:1:27: error: traces.sampling.rate: must be between 0.0, which keeps none, and 1.0, which keeps all");
    check(
        "traces: {sampling: {drop_endpoints: [health]}}",
        "w.yml:1:37: error: traces.sampling.drop_endpoints: \"health\" can be no path: it must begin with / or *",
    );
    check(
        "traces: {metrics: {buckets: [1s, 10ms]}}",
        "w.yml:1:29: error: traces.metrics.buckets: must be at most 64 ascending durations such as [10ms, 100ms, 1s]",
    );
}

/// The six settings of the quick reference, and the GPU's interval beside them.
#[test]
fn stk_09_full_observability_needs_only_these_settings() {
    let environment = Environment::of(&[
        ("GPU_POLL_INTERVAL_SECONDS", "5.0"),
        ("CONTEXT_UTILIZATION_WARNING_THRESHOLD", "0.80"),
        ("CONTEXT_TRUNCATION_ENABLED", "true"),
        ("OTEL_ENABLED", "true"),
        ("OTEL_SERVICE_NAME", "nemotron-backend"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://jaeger:4317"),
    ]);
    let loaded = load(&Flags::default(), &environment).unwrap();
    assert_eq!(loaded.findings, []);
    let tracing = loaded.settings.tracing;
    assert_eq!((tracing.enabled, tracing.service_name.as_str(), tracing.sample_rate.to_string().as_str()), (true, "nemotron-backend", "1"));
    assert_eq!(tracing.endpoint.unwrap().url, "http://jaeger:4317");
    let usual = load(&Flags::default(), &Environment::of(&[])).unwrap().settings.tracing;
    assert_eq!((usual.enabled, usual.service_name.as_str(), usual.endpoint), (false, "watchfire", None), "opt-in");
}
