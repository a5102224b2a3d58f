//! Configuration as data: files that are right, files that are wrong with the place of the mistake, every key misspelt.

use std::path::PathBuf;

use super::*;
use watchfire_model::meter::Meter;

fn read(text: &str) -> Parsed {
    let environment = |name: &str| (name == "SITE").then(|| "hanoi".to_owned());
    parse("p.yml", text, &Outside { environment: &environment, lookup: Lookup::default() })
}
fn good(text: &str) -> PrometheusConfig {
    let parsed = read(text);
    parsed.config.unwrap_or_else(|| panic!("{text}\n{:#?}", parsed.findings))
}
fn errors(parsed: &Parsed) -> Vec<String> {
    parsed.findings.iter().filter(|f| f.severity == Severity::Error).map(ToString::to_string).collect()
}

/// The static addresses of the first group of Alertmanagers.
fn alertmanagers(config: &PrometheusConfig) -> Vec<String> {
    let found = config.alerting.alertmanagers[0].discovery.iter().flat_map(|d| d.initial(&watchfire_model::meter::Meter::new()).unwrap_or_default());
    found.flat_map(|g| g.targets).flatten().filter(|(name, _)| name == crate::discovery::ADDRESS).map(|(_, address)| address).collect()
}

/// A file with nearly every key that Prometheus knows.
const LARGE: &str = include_str!("tests/large.yml");

#[test]
fn a_large_file_is_read_whole() {
    let config = good(LARGE);
    let job = &config.jobs[0];
    assert_eq!((job.name.as_str(), job.interval_ms, job.timeout_ms), ("everything", 20_000, 5_000));
    assert_eq!(job.params["module"], ["a", "b"]);
    assert_eq!(job.limits.body_bytes, 10 << 20);
    assert_eq!(job.limits.samples, 500);
    assert_eq!(job.limits.labels, 40);
    assert_eq!(job.protocols, [Protocol::Text004]);
    assert_eq!(job.relabel.len(), 1);
    assert_eq!(config.global.external_labels.to_string(), r#"{cluster="x", site="hanoi-$1"}"#);
    assert_eq!(
        config.storage,
        Storage { retention_ms: Some(259_200_000), retention_bytes: Some(500 << 20), out_of_order_window_ms: Some(600_000), max_exemplars: Some(100) }
    );
    assert_eq!(alertmanagers(&config), ["alertmanager:9093"]);
    assert_eq!(config.rule_files, ["rules/*.yml"]);
}

#[test]
fn defaults_are_prometheus_s() {
    let config = good("scrape_configs: [{job_name: a, static_configs: [{targets: ['h:1']}]}]");
    let job = &config.jobs[0];
    assert_eq!((job.interval_ms, job.timeout_ms, job.scheme.as_str(), job.metrics_path.as_str()), (60_000, 10_000, "http", "/metrics"));
    assert!(job.honor_timestamps && !job.honor_labels && job.enable_compression && job.client.follow_redirects);
    assert_eq!(job.limits.body_bytes_or_default(), 32 << 20);
    assert_eq!(config.global.evaluation_interval_ms, 60_000);
    // A short interval takes the timeout with it.
    let config =
        good("{global: {scrape_interval: 5s}, scrape_configs: [{job_name: a, static_configs: []}, {job_name: b, scrape_interval: 1m, static_configs: []}]}");
    assert_eq!((config.jobs[0].timeout_ms, config.jobs[1].timeout_ms), (5_000, 5_000));
    assert!(good("").jobs.is_empty());
    assert!(good("global:\nscrape_configs:\n").jobs.is_empty());
}

/// Files with one mistake, a mark before it, and words of the message.
const MISTAKES: &[(&str, &str)] = &[
    ("»scrape_config: []", "did you mean \"scrape_configs\"?"),
    ("global:\n  »scrape_intervall: 15s", "did you mean \"scrape_interval\"?"),
    ("global:\n  scrape_interval: »15", "must be a duration such as 30s"),
    ("global:\n  scrape_interval: »15 s", "must be a duration"),
    ("global:\n  scrape_interval: 5s\n  scrape_timeout: »10s", "must not be greater"),
    ("global:\n  external_labels:\n    »'': x", "not a valid label name"),
    ("global:\n  scrape_protocols: [»OpenMetricsText1.0]", "did you mean \"OpenMetricsText1.0.0\"?"),
    ("global:\n  scrape_protocols: »[]", "must not be empty"),
    ("global: »[1]", "must be a mapping, not a list"),
    ("global:\n\t»scrape_interval: 1s", "tabs"),
    ("global: {}\n»global: {}", "twice"),
    ("scrape_configs:\n  - »static_configs: []", "job_name is missing"),
    ("scrape_configs:\n  - »null", "must not be empty"),
    ("scrape_configs:\n  - job_name: a\n  - job_name: »a", "the first is at p.yml:2"),
    ("scrape_configs:\n  - {job_name: a, scrape_timeout: »2m}", "must not be greater"),
    ("scrape_configs:\n  - {job_name: a, honor_labels: »maybe}", "must be true or false"),
    ("scrape_configs:\n  - {job_name: a, sample_limit: »-1}", "whole number"),
    ("scrape_configs:\n  - {job_name: a, body_size_limit: »10XB}", "a size such as 512MB"),
    ("scrape_configs:\n  - {job_name: a, »static_config: []}", "did you mean \"static_configs\"?"),
    ("scrape_configs:\n  - {job_name: a, »kubernets_sd_configs: []}", "did you mean \"kubernetes_sd_configs\"?"),
    ("scrape_configs:\n  - {job_name: a, dns_sd_configs: »x}", "must be a list"),
    ("scrape_configs:\n  - {job_name: a, ec2_sd_configs: »x}", "must be a list"),
    ("scrape_configs:\n  - job_name: a\n    dns_sd_configs:\n      - »type: A", "at least one name"),
    ("scrape_configs:\n  - job_name: a\n    dns_sd_configs:\n      - »{names: [x], type: A}", "need a port"),
    ("scrape_configs:\n  - job_name: a\n    static_configs:\n      - »target: ['x:1']", "did you mean \"targets\"?"),
    ("scrape_configs:\n  - job_name: a\n    static_configs:\n      - targets: »'x:1'", "must be a list"),
    ("scrape_configs:\n  - job_name: a\n    static_configs:\n      - targets: [»'ftp://x/y']", "is not a valid hostname"),
    ("scrape_configs:\n  - job_name: a\n    relabel_configs:\n      - regex: »'('\n        action: drop", ""),
    ("scrape_configs:\n  - job_name: a\n    relabel_configs:\n      - action: »relpace", "did you mean \"replace\"?"),
    ("scrape_configs:\n  - job_name: a\n    file_sd_configs:\n      - files: [»x.txt]", "must end in .json"),
    ("scrape_configs:\n  - job_name: a\n    http_sd_configs:\n      - url: »x", "must begin with http://"),
    ("scrape_configs:\n  - job_name: a\n    basic_auth: {password: a, password_file: »b}", "at most one of"),
    ("scrape_configs:\n  - job_name: a\n    basic_auth: {}\n    bearer_token: »x", "at most one of"),
    ("scrape_configs:\n  - job_name: a\n    tls_config: »{cert_file: x}", "a certificate needs its key"),
    ("scrape_configs:\n  - job_name: a\n    authorization: {type: »Basic}", "basic_auth section"),
    (
        "scrape_configs:\n  - {job_name: a, metric_name_validation_scheme: legacy, metric_name_escaping_scheme: »allow-utf-8}",
        "needs metric_name_validation_scheme",
    ),
    ("scrape_configs:\n  - {job_name: a, no_proxy: »x}", "needs a proxy_url"),
    ("scrape_configs:\n  - {job_name: a, proxy_url: 'http://x:1', proxy_from_environment: »true}", "must not be set together"),
    ("scrape_configs:\n  - job_name: a\n    proxy_connect_header: {A: »b}", "must be a list of texts"),
    ("scrape_configs:\n  - job_name: a\n    oauth2: »{client_id: a}", "token_url is missing"),
    ("rule_files: [»'a*/b.yml']", "only the file name may have one"),
    ("rule_files: »a.yml", "must be a list"),
    ("alerting:\n  »alertmanager: []", "did you mean \"alertmanagers\"?"),
    ("alerting:\n  alertmanagers:\n    - static_configs:\n        - targets: [»'http://x:9093']", "is not a valid hostname"),
    ("remote_write:\n  - »remote_timeout: 5s", "url is missing"),
    ("remote_write:\n  - url: http://x\n    headers: »{Host: a}", "is reserved"),
    ("remote_write:\n  - {url: 'http://x', name: a}\n  - {url: 'http://y', name: »a}", "more than one with the name"),
    ("remote_write:\n  - url: http://x\n    write_relabel_configs: [{action: »kep}]", "did you mean \"keep\"?"),
    ("remote_write:\n  - url: http://x\n    queue_config: {»max_shard: 3}", "did you mean \"max_shards\"?"),
    ("remote_read:\n  - {url: 'http://x', read_recent: »maybe}", "must be true or false"),
    ("remote_read:\n  - {url: 'http://x', name: a}\n  - {url: 'http://y', name: »a}", "more than one with the name"),
    ("storage:\n  tsdb:\n    »retention.tim: 3d", "did you mean"),
    ("tracing:\n  »sampling_fraction: 1", "endpoint is missing"),
    ("otlp:\n  ignore_resource_attributes: »[a]", "needs promote_all_resource_attributes"),
    ("runtime:\n  gogc: »lots", "must be a whole number"),
];

#[test]
fn mistakes_are_found_at_their_place() {
    // The mark stands before what is wrong.
    let check = |marked: &str, words: &str| {
        let (before, after) = marked.split_once('»').unwrap();
        let (line, column) = (before.lines().count().max(1), before.rsplit('\n').next().unwrap().chars().count() + 1);
        let line = if before.ends_with('\n') { line + 1 } else { line };
        let found = errors(&read(&format!("{before}{after}")));
        let place = format!("p.yml:{line}:{column}: error: ");
        assert!(found.iter().any(|f| f.starts_with(&place) && f.contains(words)), "{marked}\nwanted {place} {words:?}, found {found:#?}");
    };
    for (marked, words) in MISTAKES {
        check(marked, words);
    }
}

#[test]
fn what_is_not_carried_out_is_a_warning() {
    let check = |text: &str, words: &str| {
        let parsed = read(text);
        assert_eq!(errors(&parsed), [""; 0], "{text}");
        assert!(parsed.findings.iter().any(|f| f.message.contains(words)), "{text}\n{:#?}", parsed.findings);
    };
    check("remote_write: [{url: 'http://x/api/v1/write', sigv4: {region: x}}]", "requests are sent without it");
    check("remote_write: [{url: 'http://x/api/v1/write', queue_config: {max_samples_per_send: 0}}]", "2000 is used");
    check("remote_write: [{url: 'http://x/api/v1/write', round_robin_dns: true}]", "not carried out");
    check("remote_read: [{url: 'ftp://x/api/v1/read'}]", "only http and https");
    check("scrape_configs: [{job_name: a, consul_sd_configs: [{server: 'x:1'}]}]", "this kind of discovery is not supported here");
    check("scrape_configs: [{job_name: a}]", "has no targets");
    check("storage: {tsdb: {retention.time: 3d}}", "Prometheus refuses a file with this key");
    check("global: {query_log_file: /x}", "not carried out");
    check("global: {external_labels: {a: '${NOPE}'}}", "empty or not set");
    check(
        "scrape_configs: [{job_name: a, relabel_configs: [{target_label: y}], static_configs: [{targets: ['a/b']}]}]",
        "cannot be scraped: \"a/b\" is not a valid hostname",
    );
    check("scrape_configs: [{job_name: a, scheme: ftp}]", "nothing can be scraped with the scheme");
    check(
        "scrape_configs: [{job_name: a, oauth2: {client_id: a, token_url: 'http://x', grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer'}}]",
        "only client_credentials is carried out",
    );
    check("rule_files: [/nonexistent/rules.yml]", "Prometheus would skip it without a word");
    check(
        "scrape_configs: [{job_name: a, scrape_native_histograms: true, scrape_protocols: [PrometheusText0.0.4]}]",
        "native histograms come by PrometheusProto only",
    );
    check("scrape_configs: [{job_name: a, scrape_classic_histograms: true}]", "was renamed to always_scrape_classic_histograms");
}

#[test]
fn targets_that_are_urls() {
    let labels = |job: &str| {
        let config = good(&format!("scrape_configs: [{job}]"));
        let groups = config.jobs[0].discovery[0].initial(&Meter::new()).unwrap();
        let active = groups.iter().flat_map(|g| g.targets.iter().map(|t| crate::scrape::target::build(&config.jobs[0], g, t)));
        active
            .map(|outcome| match outcome {
                crate::scrape::target::Outcome::Active(t) => format!("{} {}", t.url(), t.labels),
                other => panic!("{other:?}"),
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(
        labels("{job_name: a, static_configs: [{targets: ['h:1', 'https://b:8000/m'], labels: {z: q}}]}"),
        [r#"http://h:1/metrics {instance="h:1", job="a", z="q"}"#, r#"https://b:8000/m {instance="b:8000", job="a", z="q"}"#]
    );
    // C-88: a probing job whose relabelling was forgotten.
    assert_eq!(
        labels(
            "{job_name: blackbox-http-health, metrics_path: /probe, params: {module: [http_health]}, static_configs: [{targets: ['http://backend:8000/h']}]}"
        ),
        [
            r#"http://blackbox-exporter:9115/probe?module=http_health&target=http%3A%2F%2Fbackend%3A8000%2Fh {instance="http://backend:8000/h", job="blackbox-http-health"}"#
        ]
    );
    let unclear = read("scrape_configs: [{job_name: x, metrics_path: /probe, params: {module: [y]}, static_configs: [{targets: ['http://b/h']}]}]");
    assert_eq!(errors(&unclear).len(), 1);
}

#[test]
fn a_job_is_the_same_until_it_changes() {
    let print = |text: &str| good(text).jobs[0].fingerprint;
    let one = print("scrape_configs:\n- job_name: a\n  static_configs: [{targets: ['h:1']}]");
    assert_eq!(one, print("# comment\n\nscrape_configs: [{job_name: a, static_configs: [{targets: ['h:1']}]}]"));
    assert_ne!(one, print("scrape_configs: [{job_name: a, static_configs: [{targets: ['h:2']}]}]"));
    assert_ne!(one, print("{global: {scrape_interval: 7s}, scrape_configs: [{job_name: a, static_configs: [{targets: ['h:1']}]}]}"));
    let secret = |s: &str| print(&format!("scrape_configs: [{{job_name: a, bearer_token: {s}, static_configs: []}}]"));
    assert_ne!(secret("x"), secret("y"));
}

#[test]
fn what_is_shown_has_defaults_and_no_secrets() {
    let text = "
scrape_configs:
  - job_name: a
    basic_auth: {username: u, password: canary1}
    proxy_url: http://u:canary2@proxy:1/x
    http_headers:
      X-Api-Key: {values: [canary3]}
      X-Other: {values: [shown], secrets: [canary4]}
    static_configs: [{targets: ['h:1'], labels: {key: seen, n: '1'}}]
  - {job_name: b, bearer_token: canary5, static_configs: []}
  - {job_name: c, authorization: {credentials: canary6}, static_configs: []}
  - {job_name: d, oauth2: {client_id: i, client_secret: canary7, token_url: 'http://x/token'}, static_configs: []}
remote_write:
  - {url: 'http://u:canary8@x/w', headers: {X-Auth: canary9}, sigv4: {secret_key: canary10}}
";
    let shown = good(text).rendered;
    assert!(!shown.contains("canary"), "{shown}");
    for part in [
        "global:\n  scrape_interval: 1m\n  scrape_timeout: 10s\n",
        "password: <secret>",
        "username: u",
        "http://u:xxxxx@proxy:1/x",
        "- shown",
        "key: seen",
        "\"n\": \"1\"",
        "metrics_path: /metrics",
        "token_url: http://x/token",
        "- job_name: a\n  honor_timestamps: true",
    ] {
        assert!(shown.contains(part), "{part:?} is missing in\n{shown}");
    }
    let again = good(&shown);
    assert_eq!(again.jobs.len(), 4);
    assert_eq!(again.rendered, shown);
    assert!(!format!("{:?}", good(text)).contains("canary"));
}

#[test]
fn remote_sections_are_read_with_the_defaults_of_prometheus() {
    let config = good(
        "remote_write:
  - url: http://u:canary@x/w
  - {name: two, url: 'https://y/w', remote_timeout: 5s, protobuf_message: io.prometheus.write.v2.Request, send_exemplars: true,
     queue_config: {max_shards: 3, min_shards: 7, retry_on_http_429: true, sample_age_limit: 1h}, metadata_config: {send: false}}
remote_read:
  - {url: 'http://x/r', required_matchers: {job: a}}
",
    );
    let [one, two] = &config.remote_write[..] else { panic!("{:?}", config.remote_write) };
    assert_eq!(
        (one.timeout_ms, one.protocol, one.queue.capacity, one.queue.max_shards, one.queue.max_samples_per_send),
        (30_000, WriteProtocol::V1, 10_000, 50, 2_000)
    );
    assert_eq!((one.queue.batch_send_deadline_ms, one.queue.min_backoff_ms, one.queue.max_backoff_ms), (5_000, 30, 5_000));
    assert_eq!((two.timeout_ms, two.protocol, two.queue.min_shards, two.queue.sample_age_limit_ms), (5_000, WriteProtocol::V2, 3, 3_600_000));
    assert!(two.send_exemplars && !two.send_native_histograms && two.queue.retry_on_http_429 && !two.metadata.send && one.metadata.send);
    assert_ne!(one.identity, two.identity);
    let read = &config.remote_read[0];
    assert_eq!((read.timeout_ms, read.read_recent, read.filter_external_labels, read.chunked_read_limit), (60_000, false, true, 50_000_000));
    assert_eq!(read.required_matchers, [("job".to_owned(), "a".to_owned())]);
    assert!(!format!("{:?}", config.remote_write).contains("canary"));
}

#[test]
fn further_scrape_config_files_are_read() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("one.yml"), "scrape_configs: [{job_name: one, static_configs: []}]").unwrap();
    std::fs::write(dir.path().join("two.yml"), "scrape_configs: [{job_name: main, static_configs: []}, {job_nam: x}]").unwrap();
    let read = |files: &str| {
        let text = format!("scrape_configs: [{{job_name: main, static_configs: []}}]\nscrape_config_files: [{files}]");
        parse("p.yml", &text, &Outside { environment: &|_| None, lookup: Lookup { directory: dir.path().to_path_buf(), monitoring_dir: None } })
    };
    let config = read("one.yml").config.unwrap();
    assert_eq!(config.jobs.iter().map(|j| j.name.as_str()).collect::<Vec<_>>(), ["main", "one"]);
    let found = errors(&read("'*.yml'"));
    assert!(found.iter().any(|f| f.contains("two.yml:1:") && f.contains("the first is at p.yml:1")), "{found:?}");
    assert!(found.iter().any(|f| f.contains("two.yml:1:") && f.contains("did you mean \"job_name\"?")), "{found:?}");
}

/// R61: every key of a large file, misspelt one at a time, is reported at its own line and column.
#[test]
fn every_misspelt_key_is_found_at_its_line() {
    let lines: Vec<&str> = LARGE.lines().collect();
    let mut tried = 0;
    for (number, line) in lines.iter().enumerate() {
        let Some((before, _)) = line.split_once(':') else { continue };
        let key = before.trim_start_matches([' ', '-']);
        let column = before.len() - key.len();
        // Keys that users choose themselves, and comments, are not misspelt.
        if key.is_empty() || key.starts_with('#') || line.contains("# free") {
            continue;
        }
        for wrong in [format!("{key}x"), key.chars().skip(1).collect::<String>() + "q"] {
            let mut changed: Vec<String> = lines.iter().map(|l| (*l).to_owned()).collect();
            changed[number] = format!("{}{}{}", line.get(..column).unwrap(), wrong, line.get(before.len()..).unwrap());
            let found = errors(&read(&changed.join("\n")));
            let place = format!("p.yml:{}:{}: error: unknown key {wrong:?}", number + 1, column + 1);
            assert!(found.iter().any(|f| f.starts_with(&place)), "line {}: {wrong}\nfound {found:#?}", number + 1);
            tried += 1;
        }
    }
    assert!(tried > 300, "only {tried} keys were tried");
}

/// R61: a value of the wrong shape at every key is reported in its line, and so is every key that stands there twice.
#[test]
fn every_wrong_shape_and_every_double_key_is_found_at_its_line() {
    let lines: Vec<&str> = LARGE.lines().collect();
    let mut tried = 0;
    for (number, line) in lines.iter().enumerate() {
        let Some((key, value)) = line.split_once(": ") else { continue };
        if line.contains("# free") {
            continue;
        }
        let check = |changed: Vec<String>, at: usize| {
            let found = errors(&read(&changed.join("\n")));
            assert!(found.iter().any(|f| f.starts_with(&format!("p.yml:{at}:"))), "line {at}: {}\nfound {found:#?}", changed[at - 1]);
        };
        let all = || lines.iter().map(|l| (*l).to_owned()).collect::<Vec<String>>();
        let mut shape = all();
        // A list of lists is right nowhere.
        shape[number] = format!("{key}: [[wrong], {{zz: [1]}}]");
        check(shape, number + 1);
        if !key.trim_start().starts_with('-') {
            let mut double = all();
            double.insert(number + 1, (*line).to_owned());
            check(double, number + 2);
        }
        assert!(!value.is_empty());
        tried += 2;
    }
    assert!(tried > 200, "only {tried} were tried");
}

proptest::proptest! {
    /// Whatever is cut out of a file or put into it: findings, never a panic; and a file that is taken is shown as one that is taken.
    #[test]
    fn damaged_files_are_read_or_refused(at in 0usize..6_500, cut in 0usize..200, put in "[\\[\\]{}:,'\"&*#| \n\t0-9a-z$-]{0,12}") {
        let from = at.min(LARGE.len());
        let text = format!("{}{put}{}", LARGE.get(..from).unwrap(), LARGE.get((from + cut).min(LARGE.len())..).unwrap());
        let parsed = read(&text);
        match parsed.config {
            Some(config) => proptest::prop_assert_eq!(errors(&read(&config.rendered)), [""; 0]),
            None => proptest::prop_assert!(!errors(&parsed).is_empty()),
        }
    }
}

#[test]
fn an_alias_bomb_is_refused() {
    let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for i in 1..12 {
        let refs = vec![format!("*a{}", i - 1); 10].join(", ");
        text.push_str(&format!("a{i}: &a{i} [{refs}]\n"));
    }
    assert!(errors(&read(&text))[0].contains("more than a million values"));
}

/// Files that Prometheus 2.42 takes as well as we do (newer keys are left out).
const RIGHT: &[&str] = &[
    "",
    "global:",
    "global: {scrape_interval: 5s}\nscrape_configs: [{job_name: a, scrape_interval: 1m}]",
    "global: {external_labels: {a: '$$x', b: '${HOME}'}}",
    "scrape_configs:\n  - job_name: a\n    params: {x: [y]}\n    static_configs: [{targets: ['h:1', 'h'], labels: {z: 1}}]",
    "scrape_configs: [{job_name: a, relabel_configs: [{target_label: __address__, replacement: 'b:1', action: Replace}], static_configs: [{targets: ['http://x/y']}]}]",
    "scrape_configs: [{job_name: a, relabel_configs: [{regex: x, action: labeldrop}, {action: labelmap, regex: '__meta_(.+)'}]}]",
    "scrape_configs: [{job_name: a, file_sd_configs: [{files: ['*.json', 'x/*.yaml']}]}]",
    "scrape_configs: [{job_name: a, body_size_limit: 10MB, sample_limit: 0, label_limit: 5}]",
    "scrape_configs: [{job_name: a, basic_auth: {username: a}, tls_config: {insecure_skip_verify: yes}}]",
    "scrape_configs: [{job_name: 'with space', scheme: https, honor_labels: true}]",
    "alerting: {alertmanagers: [{static_configs: [{targets: ['am:9093']}], timeout: 5s}]}",
    "remote_write: [{url: 'http://x/y', queue_config: {max_shards: 3}}]",
    "storage: {tsdb: {out_of_order_time_window: 30m}, exemplars: {max_exemplars: 5}}",
    "x: &x {targets: ['h:1']}\nscrape_configs: [{job_name: a, static_configs: [*x]}]",
];

/// Prometheus' own checker gives the same verdict on every file of the tables.
#[test]
fn promtool_gives_the_same_verdict() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("p.yml");
    let refused = |text: &str| {
        std::fs::write(&file, text).unwrap();
        let run = std::process::Command::new("promtool").args(["check", "config", "--syntax-only"]).arg(&file).output();
        run.map(|out| !out.status.success())
    };
    if refused("").is_err() {
        eprintln!("SKIPPED: there is no promtool");
        return;
    }
    for text in RIGHT {
        assert_eq!(errors(&read(text)).is_empty(), !refused(text).unwrap(), "{text}\n{:?}", errors(&read(text)));
    }
    let mut taken = Vec::new();
    for (marked, _) in MISTAKES {
        let text = marked.replace('»', "");
        taken.extend((!refused(&text).unwrap()).then_some(text));
    }
    assert_eq!(taken, [""; 0]);
}

/// Reads a file of the seeds, or says that there are none.
fn seed(name: &str) -> Option<PrometheusConfig> {
    let root = option_env!("WATCHFIRE_SEEDS").map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/catalogue"), PathBuf::from);
    let path = root.join("config_snippets").join(name);
    let Ok(text) = std::fs::read_to_string(&path) else {
        eprintln!("SKIPPED: there is no {}", path.display());
        return None;
    };
    let parsed = parse(name, &text, &Outside { environment: &|_| None, lookup: Lookup::default() });
    assert_eq!(errors(&parsed), [""; 0], "{name}");
    parsed.config
}
/// The first target of every job: interval in seconds, URL, labels.
fn targets(config: &PrometheusConfig) -> Vec<String> {
    let of_job = |job: &Arc<ScrapeConfig>| {
        let groups = job.discovery[0].initial(&Meter::new()).unwrap();
        let built = groups.iter().flat_map(|g| g.targets.iter().map(|t| crate::scrape::target::build(job, g, t))).collect::<Vec<_>>();
        match &built[0] {
            crate::scrape::target::Outcome::Active(t) => format!("{}x {}s {} {}", built.len(), job.interval_ms / 1000, t.url(), t.labels),
            other => panic!("{other:?}"),
        }
    };
    config.jobs.iter().map(of_job).collect()
}

#[test]
fn met_26_the_backend_job_adds_the_service_label() {
    let Some(config) = seed("003_381_prometheus_scrape.yml") else { return };
    assert_eq!(
        targets(&config),
        [r#"1x 15s http://backend:8000/api/metrics {instance="backend:8000", job="hsi-backend-metrics", service="home-security-intelligence"}"#]
    );
}

#[test]
fn pis_06_three_jobs_with_their_intervals() {
    let Some(config) = seed("002_186_prometheus.yml") else { return };
    assert_eq!(
        targets(&config),
        [
            r#"1x 10s http://pisovereign:3000/metrics/prometheus {instance="pisovereign:3000", job="pisovereign"}"#,
            r#"1x 15s http://localhost:9090/metrics {instance="localhost:9090", job="prometheus"}"#,
            r#"1x 15s http://localhost:9100/metrics {instance="localhost:9100", job="node-exporter"}"#,
        ]
    );
    assert_eq!(config.rule_files, ["/etc/prometheus/rules/*.yml"]);
    assert_eq!(alertmanagers(&config), ["alertmanager:9093"]);
}

#[test]
fn pis_26_the_reduced_setting_is_understood() {
    let Some(config) = seed("002_557_prometheus_reduced_memory.yml") else { return };
    assert_eq!(config.global.scrape_interval_ms, 30_000);
    assert_eq!(
        config.storage,
        Storage { retention_ms: Some(3 * 86_400_000), retention_bytes: Some(500 << 20), out_of_order_window_ms: None, max_exemplars: None }
    );
}

#[test]
fn prb_12_the_probe_sample_without_relabelling_is_understood() {
    let Some(config) = seed("000_658_blackbox_scrape.yml") else { return };
    assert_eq!(
        targets(&config),
        [
            r#"1x 60s http://blackbox-exporter:9115/probe?module=http_health&target=http%3A%2F%2Fbackend%3A8000%2Fapi%2Fsystem%2Fhealth {instance="http://backend:8000/api/system/health", job="blackbox-http-health"}"#
        ]
    );
}

#[test]
fn vms_11_six_jobs_with_all_their_targets() {
    let Some(config) = seed("004_73_prometheus.yml") else { return };
    let counts: Vec<String> = targets(&config).iter().map(|t| t.split_once(" http").unwrap().0.to_owned()).collect();
    assert_eq!(counts, ["6x 15s", "3x 15s", "2x 15s", "9x 15s", "1x 15s", "1x 15s"]);
}

#[test]
fn vms_12_external_labels() {
    let Some(config) = seed("004_73_prometheus.yml") else { return };
    assert_eq!(config.global.external_labels.to_string(), r#"{cluster="vms-production", datacenter="hcm"}"#);
}

#[test]
fn vms_13_instance_is_the_address() {
    let Some(config) = seed("004_73_prometheus.yml") else { return };
    assert!(targets(&config)[0].ends_with(r#"{instance="recording-node-1:9090", job="recording-nodes"}"#));
}
