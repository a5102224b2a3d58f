//! Promtail's file as people write it, and what is said of what it should not have.

use super::*;
use crate::logs::stages::tests::run;

fn parsed(text: &str) -> Parsed {
    parse("promtail.yml", text, &Lookup::default())
}

/// What is said of a file.
fn said_of(text: &str) -> Vec<String> {
    parsed(text).findings.iter().map(ToString::to_string).collect()
}

fn check(text: &str, expected: &[&str]) {
    assert_eq!(said_of(text), expected, "{text}");
}

const PISOVEREIGN: &str = "
server:
  http_listen_port: 9080
positions:
  filename: /nowhere/positions.yaml
clients:
  - url: http://loki:3100/loki/api/v1/push
scrape_configs:
  - job_name: pisovereign
    static_configs:
      - targets: [localhost]
        labels:
          job: pisovereign
          __path__: /var/log/pisovereign/*.log
    pipeline_stages:
      - json:
          expressions: {level: level, message: message, target: target, request_id: request_id}
      - labels:
          level:
          target:
      - timestamp:
          source: timestamp
          format: RFC3339
  - job_name: journal
    journal:
      max_age: 12h
      labels:
        job: systemd-journal
    relabel_configs:
      - source_labels: ['__journal__systemd_unit']
        target_label: 'unit'
";

#[test]
fn names_of_sources_do_not_depend_on_their_order() {
    let names = |paths: &[&str]| -> Vec<String> {
        let targets: Vec<String> = paths.iter().map(|path| format!("{{labels: {{__path__: {path}}}}}")).collect();
        let text = format!("scrape_configs: [{{job_name: j, static_configs: [{}]}}]\n", targets.join(", "));
        let mut names: Vec<String> = parsed(&text).config.unwrap().files.iter().map(|source| source.name.clone()).collect();
        names.sort();
        names
    };
    let expected = ["promtail/j//a", "promtail/j//b", "promtail/j//b 2"];
    assert_eq!((names(&["/a", "/b", "/b"]), names(&["/b", "/a", "/b"])), (expected.map(str::to_owned).into(), expected.map(str::to_owned).into()));
}

#[test]
fn pis_22_lines_of_pisovereign_get_level_target_and_their_time() {
    let Parsed { config, findings } = parsed(PISOVEREIGN);
    let said: Vec<String> = findings.iter().map(ToString::to_string).collect();
    assert_eq!(
        said,
        [
            "promtail.yml:21:9: warning: scrape_configs[0].pipeline_stages[2].timestamp: the stage json does not extract \"timestamp\"; it is read from the JSON of the line all the same"
        ]
    );
    let config = config.unwrap();
    let source = &config.files[0];
    assert_eq!(source.groups[0].paths[0].text(), "/var/log/pisovereign/*.log");
    assert_eq!(source.groups[0].labels.iter().map(|(n, v)| format!("{n}={v}")).collect::<Vec<_>>(), ["job=pisovereign"]);
    let line = r#"{"timestamp":"2024-05-06T07:08:09.5Z","level":"INFO","message":"m","target":"api","request_id":"r"}"#;
    let entry = run(&source.stages, &[line]).remove(0);
    assert_eq!(entry.time.0, 1_714_979_289_500_000_000);
    assert_eq!((entry.labels["level"].as_str(), entry.labels["target"].as_str(), entry.line.as_str()), ("INFO", "api", line));
    assert!(!entry.labels.contains_key("request_id"));
    assert_eq!(config.journals[0].max_age, std::time::Duration::from_secs(12 * 3_600));
}

#[test]
fn pis_24_positions_of_promtail_are_taken_over() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("positions.yaml");
    std::fs::write(&path, "positions:\n  /var/log/a.log: \"123\"\n  journal-j: s=1\n").unwrap();
    let text = format!(
        "positions: {{filename: {}}}\nscrape_configs:\n- job_name: j\n  static_configs: [{{labels: {{__path__: /var/log/*.log}}}}]\n  journal: {{}}\n",
        path.display()
    );
    let config = parsed(&text).config.unwrap();
    assert_eq!(config.files[0].foreign_positions, BTreeMap::from([(PathBuf::from("/var/log/a.log"), 123)]));
    assert_eq!(config.journals[0].cursor.as_deref(), Some("s=1"));
}

#[test]
fn what_is_not_understood_is_said_with_its_place() {
    let job = |rest: &str| format!("scrape_configs:\n- job_name: j\n  static_configs: [{{labels: {{__path__: /a}}}}]\n{rest}");
    check(&job(""), &[]);
    check(
        &job("  pipeline_stages:\n  - jsn: {}\n"),
        &["promtail.yml:5:5: error: scrape_configs[0].pipeline_stages[0]: unknown stage \"jsn\"; did you mean \"json\"?"],
    );
    check(
        &job("  pipeline_stages:\n  - regex: {expression: 'a('}\n"),
        &["promtail.yml:5:25: error: scrape_configs[0].pipeline_stages[0].regex.expression: cannot compile regular expression \"a(\": unclosed group"],
    );
    let geoip = "scrape_configs[0].pipeline_stages[0].geoip";
    check(
        &job("  pipeline_stages:\n  - geoip: {db: /nowhere/x.mmdb, source: ip, db_type: city}\n"),
        &[&format!(
            "promtail.yml:5:17: warning: {geoip}.db: cannot open the database \"/nowhere/x.mmdb\": No such file or directory (os error 2); lines pass the stage unchanged"
        )],
    );
    let half = said_of(&job("  pipeline_stages:\n  - geoip: {db: /nowhere/x.mmdb}\n"));
    assert!(half.iter().any(|f| f.contains("source is missing")) && half.iter().any(|f| f.contains("db_type is missing")), "{half:?}");
    let tenant =
        "scrape_configs[0].pipeline_stages[0].tenant: there is one tenant here, so all lines are its; where lines go on, tenant_id of the place counts";
    check(&job("  pipeline_stages:\n  - tenant: {value: x}\n"), &[&format!("promtail.yml:5:5: warning: {tenant}")]);
    let both = said_of(&job("  pipeline_stages:\n  - tenant: {value: x, label: y}\n"));
    assert!(both[1].ends_with("needs one of label, source and value, and only one"), "{both:?}");
    check(&job("  kafka: {}\n"), &["promtail.yml:4:10: warning: scrape_configs[0].kafka: is not carried out yet; the job reads nothing from there"]);
    check("scrape_config: []\n", &["promtail.yml:1:1: error: unknown key \"scrape_config\" in the file; did you mean \"scrape_configs\"?"]);
    let away = "clients: [{url: 'http://u:secret@logs.example/push'}, {url: 'http://loki:3100/loki/api/v1/push'}]\nscrape_configs: []\n";
    let Parsed { config, findings } = parsed(away);
    assert!(findings.is_empty(), "{findings:?}");
    assert_eq!(config.unwrap().outputs.iter().map(|output| output.url.expose().to_owned()).collect::<Vec<_>>(), ["http://u:secret@logs.example/push"]);
}

#[test]
fn every_stage_is_read() {
    let stages = r#"
  - docker: {}
  - cri: {max_partial_lines: 10}
  - json: {expressions: {a: b.c, d: ''}, source: x, drop_malformed: true}
  - logfmt: {mapping: {a: ''}}
  - regex: {expression: '(?P<a>x)'}
  - replace: {expression: '(x)', replace: '{{ .Value | ToUpper }}'}
  - template: {source: a, template: '{{ .Value }}'}
  - timestamp: {source: a, format: Unix, fallback_formats: [RFC3339], location: UTC, action_on_failure: skip}
  - labels: {a: , b: a}
  - structured_metadata: {trace_id: }
  - labeldrop: [a]
  - labelallow: [a, b]
  - static_labels: {a: b}
  - output: {source: a}
  - drop: {source: [a, b], separator: ',', expression: x, older_than: 24h, longer_than: 8kb, drop_counter_reason: r}
  - match: {selector: '{a="b"} |= "x"', pipeline_name: p, stages: [{metrics: {n: {type: Counter, config: {action: inc}}}}]}
  - match: {selector: '{a="b"}', action: drop}
  - multiline: {firstline: '^\d', max_wait_time: 3s, max_lines: 10}
  - pack: {labels: [a], ingest_timestamp: false}
  - limit: {rate: 10, burst: 20, drop: true, by_label_name: a}
  - metrics: {h: {type: Histogram, source: a, prefix: p_, config: {buckets: [1, 2]}}, g: {type: Gauge, config: {action: set}}}
  - decolorize: {}
  - sampling: {rate: 0.5}
"#;
    let text = format!("scrape_configs:\n- job_name: j\n  static_configs: [{{labels: {{__path__: /a}}}}]\n  pipeline_stages:{stages}");
    check(&text, &[]);
    let config = parsed(&text).config.unwrap();
    assert_eq!((config.files[0].stages.len(), config.metrics.len()), (30, 2));
}

/// What Promtail takes, if oddly, is no reason to collect nothing.
#[test]
fn odd_files_are_read_as_promtail_reads_them() {
    let text = "scrape_configs:\n- static_configs: [{targets: , labels: {__path__: /a}}]\n  pipeline_stages:\n  - cri:\n  - docker:\n  - decolorize:\n  - regex: {expression: '(a)'}\n";
    check(
        text,
        &["promtail.yml:7:25: warning: scrape_configs[0].pipeline_stages[3].regex.expression: has no named group, (?P<name>…), so nothing is extracted"],
    );
    let config = parsed(text).config.unwrap();
    assert_eq!((config.files[0].name.as_str(), config.files[0].stages.len()), ("promtail///a", 11));
    let floats = "scrape_configs:\n- static_configs: [{labels: {__path__: /a}}]\n  pipeline_stages:\n  - json: {expressions: {n: n}}\n  - labels: {n: }\n";
    let stages = parsed(floats).config.unwrap().files.remove(0).stages;
    let found = run(&stages, &[r#"{"n":2.0}"#, r#"{"n":1e3}"#, r#"{"n":0.25}"#, r#"{"n":7}"#, r#"{"n":null}"#]);
    let values: Vec<&str> = found.iter().map(|entry| entry.labels.get("n").map_or("-", String::as_str)).collect();
    assert_eq!(values, ["2", "1000", "0.25", "7", "-"], "numbers are written as Go writes them");
}

#[test]
fn lines_of_docker_and_cri() {
    let stages = |which: &str| {
        let text = format!("scrape_configs:\n- job_name: j\n  static_configs: [{{labels: {{__path__: /a}}}}]\n  pipeline_stages: [{which}: {{}}]");
        parsed(&text).config.unwrap().files.remove(0).stages
    };
    let entry = run(&stages("docker"), &[r#"{"log":"hi\n","stream":"stderr","time":"1970-01-01T00:00:01.000000005Z"}"#]).remove(0);
    assert_eq!((entry.line.as_str(), entry.time.0, entry.labels["stream"].as_str()), ("hi\n", 1_000_000_005, "stderr"));
    let found = run(&stages("cri"), &["1970-01-01T00:00:02Z stdout P a", "1970-01-01T00:00:03Z stdout F b"]);
    assert_eq!((found.len(), found[0].line.as_str(), found[0].time.0), (1, "ab", 2_000_000_000));
}

/// The block of the documents, where it is at hand.
#[test]
fn the_documents_file_loads() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/catalogue/config_snippets/002_500_promtail.yml");
    let Ok(text) = std::fs::read_to_string(root) else {
        eprintln!("SKIPPED: the documents' promtail.yml is not at hand");
        return;
    };
    assert_eq!(parsed(&text).config.unwrap().files.len(), 1);
}
