//! Configuration as data: files that are right, files that are wrong with the place of the mistake, every key misspelt.

use std::path::PathBuf;

use super::*;

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
    assert_eq!(config.storage, Storage { retention_ms: Some(259_200_000), retention_bytes: Some(500 << 20), out_of_order_window_ms: Some(600_000) });
    assert_eq!(config.alerting.alertmanagers[0].addresses, ["alertmanager:9093"]);
    assert_eq!(config.rule_files, ["rules/*.yml"]);
}

#[test]
fn defaults_are_prometheus_s() {
    let config = good("scrape_configs: [{job_name: a, static_configs: [{targets: ['h:1']}]}]");
    let job = &config.jobs[0];
    assert_eq!((job.interval_ms, job.timeout_ms, job.scheme, job.metrics_path.as_str()), (60_000, 10_000, "http", "/metrics"));
    assert!(job.honor_timestamps && !job.honor_labels && job.enable_compression && job.client.follow_redirects);
    assert_eq!(job.limits.body_bytes_or_default(), 32 << 20);
    assert_eq!(config.global.evaluation_interval_ms, 60_000);
    // A short interval takes the timeout with it.
    let config = good("{global: {scrape_interval: 5s}, scrape_configs: [{job_name: a, static_configs: []}, {job_name: b, scrape_interval: 1m, static_configs: []}]}");
    assert_eq!((config.jobs[0].timeout_ms, config.jobs[1].timeout_ms), (5_000, 5_000));
    assert!(good("").jobs.is_empty());
    assert!(good("global:\nscrape_configs:\n").jobs.is_empty());
}

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
    check("»scrape_config: []", "did you mean \"scrape_configs\"?");
    check("global:\n  »scrape_intervall: 15s", "did you mean \"scrape_interval\"?");
    check("global:\n  scrape_interval: »15", "must be a duration such as 30s");
    check("global:\n  scrape_interval: »15 s", "must be a duration");
    check("global:\n  scrape_interval: 5s\n  scrape_timeout: »10s", "must not be greater");
    check("global:\n  external_labels:\n    »'': x", "not a valid label name");
    check("global:\n  scrape_protocols: [»OpenMetricsText1.0]", "did you mean \"OpenMetricsText1.0.0\"?");
    check("global:\n  scrape_protocols: »[]", "must not be empty");
    check("global: »[1]", "must be a mapping, not a list");
    check("global:\n\t»scrape_interval: 1s", "tabs");
    check("global: {}\n»global: {}", "twice");
    check("scrape_configs:\n  - »static_configs: []", "job_name is missing");
    check("scrape_configs:\n  - »null", "must not be empty");
    check("scrape_configs:\n  - job_name: a\n  - job_name: »a", "the first is at p.yml:2");
    check("scrape_configs:\n  - {job_name: a, scheme: »ftp}", "must be one of http, https");
    check("scrape_configs:\n  - {job_name: a, scrape_timeout: »2m}", "must not be greater");
    check("scrape_configs:\n  - {job_name: a, honor_labels: »maybe}", "must be true or false");
    check("scrape_configs:\n  - {job_name: a, sample_limit: »-1}", "whole number");
    check("scrape_configs:\n  - {job_name: a, body_size_limit: »10XB}", "a size such as 512MB");
    check("scrape_configs:\n  - {job_name: a, »static_config: []}", "did you mean \"static_configs\"?");
    check("scrape_configs:\n  - {job_name: a, »kubernets_sd_configs: []}", "did you mean \"kubernetes_sd_configs\"?");
    check("scrape_configs:\n  - {job_name: a, dns_sd_configs: »x}", "must be a list");
    check("scrape_configs:\n  - job_name: a\n    static_configs:\n      - »target: ['x:1']", "did you mean \"targets\"?");
    check("scrape_configs:\n  - job_name: a\n    static_configs:\n      - targets: »'x:1'", "must be a list");
    check("scrape_configs:\n  - job_name: a\n    static_configs:\n      - targets: [»'ftp://x/y']", "is not a valid hostname");
    check("scrape_configs:\n  - job_name: a\n    relabel_configs:\n      - regex: »'('\n        action: drop", "");
    check("scrape_configs:\n  - job_name: a\n    relabel_configs:\n      - action: »relpace", "did you mean \"replace\"?");
    check("scrape_configs:\n  - job_name: a\n    file_sd_configs:\n      - files: [»x.txt]", "must end in .json");
    check("scrape_configs:\n  - job_name: a\n    http_sd_configs:\n      - url: »x", "must begin with http://");
    check("scrape_configs:\n  - job_name: a\n    basic_auth: {password: a, password_file: »b}", "at most one of");
    check("scrape_configs:\n  - job_name: a\n    basic_auth: {}\n    bearer_token: »x", "at most one of");
    check("scrape_configs:\n  - job_name: a\n    tls_config: »{cert_file: x}", "a certificate needs its key");
    check("scrape_configs:\n  - job_name: a\n    authorization: {type: »Basic}", "basic_auth section");
    check("scrape_configs:\n  - {job_name: a, metric_name_validation_scheme: legacy, metric_name_escaping_scheme: »allow-utf-8}", "needs metric_name_validation_scheme");
    check("rule_files: [»'a*/b.yml']", "only the file name may have one");
    check("rule_files: »a.yml", "must be a list");
    check("alerting:\n  »alertmanager: []", "did you mean \"alertmanagers\"?");
    check("alerting:\n  alertmanagers:\n    - static_configs:\n        - targets: [»'http://x:9093']", "is not a valid hostname");
    check("remote_write:\n  - »remote_timeout: 5s", "url is missing");
    check("remote_write:\n  - url: http://x\n    headers: »{Host: a}", "is reserved");
    check("storage:\n  tsdb:\n    »retention.tim: 3d", "did you mean");
    check("tracing:\n  »sampling_fraction: 1", "endpoint is missing");
    check("otlp:\n  ignore_resource_attributes: »[a]", "needs promote_all_resource_attributes");
    check("runtime:\n  gogc: »lots", "must be a whole number");
}

#[test]
fn what_is_not_carried_out_is_a_warning() {
    let check = |text: &str, words: &str| {
        let parsed = read(text);
        assert_eq!(errors(&parsed), [""; 0], "{text}");
        assert!(parsed.findings.iter().any(|f| f.message.contains(words)), "{text}\n{:#?}", parsed.findings);
    };
    check("remote_write: [{url: 'http://x/api/v1/write'}]", "read but not carried out yet");
    check("remote_read: [{url: 'http://x/api/v1/read'}]", "read but not carried out yet");
    check("scrape_configs: [{job_name: a, consul_sd_configs: [{server: 'x:1'}]}]", "this kind of discovery is not supported here");
    check("scrape_configs: [{job_name: a}]", "has no targets");
    check("storage: {tsdb: {retention.time: 3d}}", "Prometheus refuses a file with this key");
    check("global: {query_log_file: /x}", "not carried out");
    check("global: {external_labels: {a: '${NOPE}'}}", "empty or not set");
    check("rule_files: [/nonexistent/rules.yml]", "Prometheus would skip it without a word");
    check("global: {scrape_protocols: [PrometheusProto]}", "protocol buffer format is not supported");
}

#[test]
fn targets_that_are_urls() {
    let labels = |job: &str| {
        let config = good(&format!("scrape_configs: [{job}]"));
        let groups = config.jobs[0].discovery[0].initial().unwrap();
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
        labels("{job_name: blackbox-http-health, metrics_path: /probe, params: {module: [http_health]}, static_configs: [{targets: ['http://backend:8000/h']}]}"),
        [r#"http://blackbox-exporter:9115/probe?module=http_health&target=http%3A%2F%2Fbackend%3A8000%2Fh {instance="http://backend:8000/h", job="blackbox-http-health"}"#]
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
    for part in ["global:\n  scrape_interval: 1m\n  scrape_timeout: 10s\n", "password: <secret>", "username: u", "http://u:xxxxx@proxy:1/x", "- shown", "key: seen", "\"n\": \"1\"", "metrics_path: /metrics", "token_url: http://x/token", "- job_name: a\n  honor_timestamps: true"] {
        assert!(shown.contains(part), "{part:?} is missing in\n{shown}");
    }
    let again = good(&shown);
    assert_eq!(again.jobs.len(), 4);
    assert_eq!(again.rendered, shown);
    assert!(!format!("{:?}", good(text)).contains("canary"));
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

#[test]
fn an_alias_bomb_is_refused() {
    let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for i in 1..12 {
        let refs = vec![format!("*a{}", i - 1); 10].join(", ");
        text.push_str(&format!("a{i}: &a{i} [{refs}]\n"));
    }
    assert!(errors(&read(&text))[0].contains("more than a million values"));
}

/// The configuration files of the seeds are taken as they are.
#[test]
fn the_seeds_files_have_no_errors() {
    let root = option_env!("WATCHFIRE_SEEDS").map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/catalogue"), PathBuf::from);
    let dir = root.join("config_snippets");
    if !dir.is_dir() {
        eprintln!("SKIPPED: there are no seeds at {}", dir.display());
        return;
    }
    let mut files = 0;
    for name in ["000_658_blackbox_scrape.yml", "002_186_prometheus.yml", "002_557_prometheus_reduced_memory.yml", "003_381_prometheus_scrape.yml", "004_73_prometheus.yml"] {
        let text = std::fs::read_to_string(dir.join(name)).unwrap();
        let parsed = parse(name, &text, &Outside { environment: &|_| None, lookup: Lookup::default() });
        assert_eq!(errors(&parsed), [""; 0], "{name}");
        files += 1;
    }
    assert_eq!(files, 5);
}
