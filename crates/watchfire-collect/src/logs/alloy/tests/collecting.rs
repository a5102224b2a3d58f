//! What is collected by a file: sources, stages, where lines go, and a container engine's socket from end to end.

use std::sync::{Arc, Mutex};

use tokio::net::UnixListener;
use watchfire_model::meter::Meter;
use watchfire_model::time::{ManualClock, Timestamp};

use super::*;
use crate::logs::containers::tests::{House, engine, frame, kept};
use crate::logs::containers::{self, socket_problem};
use crate::logs::outputs::Destination;
use crate::logs::stages::tests::run;
use crate::logs::{Surroundings, stages::Stage};

/// The example of the documentation, which is a file as people have it.
const EXAMPLE: &str = include_str!("../../../../../../examples/alloy/config.alloy");

fn example(socket: &std::path::Path) -> Parsed {
    parsed(&EXAMPLE.replace("/run/user/1000/podman/podman.sock", &socket.display().to_string()))
}

#[test]
fn log_12_containers_are_found_read_parsed_and_forwarded() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("podman.sock");
    let _engine = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let Parsed { config, findings } = example(&socket);
    assert_eq!(findings, []);
    let config = config.unwrap();
    let source = &config.containers[0];
    assert_eq!(
        (source.name.clone(), &source.socket, source.refresh.as_secs()),
        (format!("alloy/loki.source.docker.containers/{}", socket.display()), &socket, 5)
    );
    assert_eq!((config.containers.len(), source.discovery.len(), source.stages.len(), config.outputs.len()), (1, 2, 9, 0));
}

/// The lines that come out of a container's log.
async fn collected(name: &'static str, lines: &[&str]) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("podman.sock");
    let log = lines.iter().enumerate().flat_map(|(i, line)| frame(1, &format!("1970-01-01T00:00:0{i}Z {line}\n"))).collect();
    let engine = tokio::spawn(engine(UnixListener::bind(&socket).unwrap(), Arc::new(Mutex::new(Vec::new())), (name, log)));
    let source = example(&socket).config.unwrap().containers.remove(0);
    let house = Arc::new(House::default());
    let names = Arc::new([source.name.clone()].into());
    let clock = ManualClock::new(Timestamp(100_000));
    let reading = tokio::spawn(containers::run(source, Surroundings::new(house.clone(), house.clone(), clock.clone(), &Meter::new()), names));
    kept(&house, &clock).await;
    reading.abort();
    engine.abort();
    let mut found = house.lines.lock().unwrap().clone();
    found.sort();
    found
}

#[tokio::test]
async fn log_14_the_job_is_always_the_same() {
    let found = collected("backend", &["job=other up"]).await;
    assert_eq!(found, ["0 {container=\"backend\", image=\"hsi/backend:1\", job=\"podman-containers\", level=\"UNKNOWN\"} job=other up"]);
}

#[tokio::test]
async fn log_15_the_level_is_taken_from_the_line() {
    let found = collected("backend", &["INFO up", "an ERROR came", "WARNINGS are no level", "{\"level\": \"WARNING\"}", "2026 - DEBUG - x"]).await;
    let levels: Vec<&str> = found.iter().filter_map(|line| line.split("level=\"").nth(1)?.split('"').next()).collect();
    assert_eq!(levels, ["INFO", "ERROR", "UNKNOWN", "WARNING", "DEBUG"]);
}

#[tokio::test]
async fn log_16_labels_are_taken_from_the_line() {
    let trace = "0123456789abcdef0123456789abcdef";
    let plain = format!("camera=front_door trace_id={trace} span_id=0123456789abcdef batch_id=123e4567-e89b-12d3-a456-426614174000 duration=12.5");
    // What is too short is no such id; and the same in JSON.
    let json = format!("{{\"trace_id\": \"{trace}\", \"span_id\": \"12\"}}");
    let found = collected("backend", &[&plain, &json]).await;
    let begin = "container=\"backend\", ";
    assert_eq!(
        found[0],
        format!(
            "0 {{batch_id=\"123e4567-e89b-12d3-a456-426614174000\", camera=\"front_door\", {begin}duration_ms=\"12.5\", image=\"hsi/backend:1\", \
             job=\"podman-containers\", level=\"UNKNOWN\", span_id=\"0123456789abcdef\", trace_id=\"{trace}\"}} {plain}"
        )
    );
    assert!(found[1].contains(&format!("trace_id=\"{trace}\"")) && !found[1].contains("span_id=\"1"), "{found:?}");
}

#[tokio::test]
async fn log_17_durations_and_events_of_postgres() {
    let lines = [
        "2026-01-23 10:00:00 UTC [7] u@d LOG:  duration: 1234.5 ms  statement: SELECT 1",
        "[8] @ LOG:  checkpoint starting: time",
        "LOG:  connection received",
    ];
    let found = collected("postgres", &lines).await;
    assert!(found[0].contains("pg_duration_ms=\"1234.5\"") && !found[0].contains("pg_event"), "{found:?}");
    assert!(found[1].contains("pg_event=\"checkpoint\"") && found[2].contains("pg_event=\"connection\""), "{found:?}");
    let other = collected("backend", &lines[..1]).await;
    assert!(!other[0].contains("pg_duration_ms"), "{other:?}");
}

#[test]
fn log_09_a_socket_that_is_not_there_is_said_with_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("podman.sock");
    let problem = socket_problem(&socket).unwrap();
    assert!(problem.starts_with(&format!("cannot connect to the container engine at unix://{}: there is nothing at this path", socket.display())), "{problem}");
    assert!(problem.contains("systemctl --user enable --now podman.socket"), "{problem}");
    // With its place in the file, too. It may be there later, so it is no error.
    let Parsed { config, findings } = example(&socket);
    let found: Vec<_> = findings.iter().map(|f| (f.line, f.column, f.severity, f.message.clone())).collect();
    assert_eq!(found, [(10, 21, Severity::Warning, format!("discovery.docker.containers.host: {problem}"))]);
    assert_eq!(config.unwrap().containers.len(), 1);
}

#[test]
fn log_10_what_is_at_the_path_must_be_a_socket() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("podman.sock");
    std::fs::create_dir(&socket).unwrap();
    assert!(socket_problem(&socket).unwrap().contains("it is a directory, not a socket"));
    assert!(example(&socket).findings[0].message.contains("it is a directory, not a socket"));
    std::fs::remove_dir(&socket).unwrap();
    std::fs::write(&socket, "").unwrap();
    assert!(socket_problem(&socket).unwrap().ends_with("it is a file, not a socket"));
    std::fs::remove_file(&socket).unwrap();
    let _engine = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    assert_eq!(socket_problem(&socket), None);
}

/// A file source with these statements behind it.
fn files(rest: &str) -> String {
    format!("loki.source.file \"f\" {{\n  targets    = [{{__path__ = \"/var/log/*.log\", job = \"j\"}}]\n  forward_to = [loki.process.p.receiver]\n}}\n{rest}")
}
const WRITE: &str = "loki.write \"w\" {\n  endpoint { url = sys.env(\"LOKI_URL\") }\n}\n";

/// The stages of a `loki.process`.
fn process(stages: &str) -> Vec<Stage> {
    let text = files(&format!("loki.process \"p\" {{\n{stages}\n  forward_to = [loki.write.w.receiver]\n}}\n{WRITE}"));
    let Parsed { config, findings } = parsed(&text);
    assert_eq!(findings, [], "{stages}");
    config.unwrap().files.remove(0).stages
}

#[test]
fn every_stage_is_read() {
    let all = r#"
  stage.docker {}
  stage.cri { | max_partial_lines = 10 | }
  stage.json { | expressions = {a = "b.c", d = ""} | source = "x" | drop_malformed = true | }
  stage.logfmt { | mapping = {a = ""} | }
  stage.regex { | expression = "(?P<a>x)" | labels_from_groups = true | }
  stage.replace { | expression = "(x)" | replace = "{{ .Value|ToUpper }}" | }
  stage.template { | source = "a" | template = "{{ .Value }}" | }
  stage.timestamp { | source = "a" | format = "Unix" | fallback_formats = ["RFC3339"] | location = "UTC" | action_on_failure = "skip" | }
  stage.labels { | values = {a = null, b = "a"} | }
  stage.structured_metadata { | values = {trace_id = ""} | }
  stage.label_drop { | values = ["a"] | }
  stage.label_keep { | values = ["a", "b"] | }
  stage.static_labels { | values = {a = "b"} | }
  stage.output { | source = "a" | }
  stage.drop { | source = "a,b" | separator = "," | expression = "x" | older_than = "24h" | longer_than = "8KB" | drop_counter_reason = "r" | }
  stage.match { | selector = `{a="b"} |= "x"` | pipeline_name = "p" | stage.metrics { | metric.counter { | name = "n" | action = "inc" | } | } | }
  stage.match { | selector = `{a="b"}` | action = "drop" | drop_counter_reason = "r" | }
  stage.multiline { | firstline = `^\d` | max_wait_time = "3s" | max_lines = 10 | }
  stage.pack { | labels = ["a"] | ingest_timestamp = false | }
  stage.limit { | rate = 10 | burst = 20 | drop = true | by_label_name = "a" | }
  stage.metrics { | metric.histogram { | name = "h" | source = "a" | prefix = "p_" | buckets = [1, 2] | } | metric.gauge { | name = "g" | action = "set" | } | }
  stage.decolorize {}
  stage.sampling { | rate = 0.5 | drop_counter_reason = "r" | }
  stage.pattern { | pattern = "<a> <_>" | source = "a" | labels_from_groups = true | }
  stage.eventlogmessage { | source = "m" | overwrite_existing = true | drop_invalid_labels = true | }
  stage.luhn { | replacement = "x" | min_length = 9 | delimiters = "-" | source = "a" | }
  stage.structured_metadata_drop { | values = ["a"] | }
  stage.structured_metadata { | values = {b = "c"} | regex = "^meta_" | }
  stage.structured_metadata { | regex = "^meta_" | }
  stage.truncate { | rule { | limit = "1KiB" | suffix = "…" | } | rule { | limit = "8B" | source_type = "label" | sources = ["a"] | } | }
"#;
    assert_eq!(process(&all.replace(" | ", "\n")).len(), 38);
}

#[test]
fn stages_work_as_they_do_in_promtail() {
    let entry = run(&process("stage.json {\n expressions = {lvl = \"level\", msg = \"\"}\n}\nstage.labels {\n values = {level = \"lvl\"}\n}\nstage.output {\n source = \"msg\"\n}"), &[r#"{"level":"warn","msg":"hi"}"#]).remove(0);
    assert_eq!((entry.line.as_str(), entry.labels["level"].as_str()), ("hi", "warn"));
    let stages = process("stage.metrics {\n metric.counter {\n name = \"lines_total\"\n action = \"inc\"\n match_all = true\n }\n}");
    assert!(format!("{stages:?}").contains("loki_process_custom_lines_total"));
    let metadata = "stage.static_labels {\n values = {env = \"x\", meta_b = \"2\"}\n}\nstage.regex {\n expression = \"(?P<meta_a>\\\\w+)\"\n}\n";
    let entry = run(&process(&format!("{metadata}stage.structured_metadata {{\n values = {{env = \"\"}}\n regex = \"^meta_\"\n}}")), &["one two"]).remove(0);
    let shown: Vec<String> = entry.metadata.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!((shown.join(","), entry.labels.len()), ("env=x,meta_a=one,meta_b=2".to_owned(), 1));
}

#[test]
fn what_is_too_long_is_shortened_and_said() {
    let rules = "stage.static_labels {\n values = {a = \"12345678\", b = \"12345678\"}\n}\nstage.truncate {\n rule {\n limit = \"6B\"\n suffix = \"..\"\n }\n\
                 rule {\n limit = \"5B\"\n source_type = \"label\"\n sources = [\"a\"]\n }\n}\nstage.structured_metadata {\n values = {truncated = \"\"}\n}";
    let entry = run(&process(rules), &["ab€defgh"]).remove(0);
    assert_eq!((entry.line.as_str(), entry.labels["a"].as_str(), entry.labels["b"].as_str()), ("ab..", "12345", "12345678"));
    assert_eq!(entry.metadata["truncated"], "label,line");
    assert_eq!(run(&process(rules), &["ab"]).remove(0).metadata["truncated"], "label");
    let bad = |stage: &str| said(&files(&format!("loki.process \"p\" {{\n  {stage}\n  forward_to = [loki.write.w.receiver]\n}}\n{WRITE}")));
    assert!(bad("stage.truncate {}")[0].contains("needs at least one rule"));
    assert!(bad("stage.truncate {\n rule {\n limit = \"2B\"\n suffix = \"...\"\n }\n}")[0].contains("longer than the suffix"));
    assert!(bad("stage.truncate {\n rule {\n limit = \"2B\"\n sources = [\"a\"]\n }\n}")[0].contains("not possible where source_type is line"));
    assert!(bad("stage.windowsevent {}")[0].contains("not carried out"));
}

#[test]
fn lines_may_go_several_ways() {
    let text = files(&format!(
        "loki.process \"p\" {{\n  forward_to = [loki.write.w.receiver, loki.relabel.r.receiver, loki.write.away.receiver]\n}}\n\
         loki.relabel \"r\" {{\n  rule {{\n    replacement = \"twice\"\n    target_label = \"job\"\n  }}\n  forward_to = [loki.write.w.receiver]\n}}\n\
         loki.write \"away\" {{\n  endpoint {{\n    url = \"https://u:secret@logs.example/push\"\n    tenant_id = \"t\"\n    batch_wait = \"2s\"\n    max_backoff_retries = 3\n    \
         basic_auth {{\n      username = \"a\"\n      password = \"b\"\n    }}\n  }}\n  external_labels = {{site = \"x\"}}\n}}\n{WRITE}"
    ));
    let Parsed { config, findings } = parsed(&text);
    assert!(findings.is_empty(), "{findings:?}");
    let config = config.unwrap();
    let mut found: Vec<String> = run(&config.files[0].stages, &["one"]).iter().map(|e| e.labels["job"].clone()).collect();
    found.sort();
    // What is only sent on is kept once, whatever the number of places.
    assert_eq!(found, ["t", "twice"]);
    let output = &config.outputs[0];
    assert_eq!((output.tenant.as_deref(), output.batch_wait.as_secs(), output.retries, output.external_labels.len()), (Some("t"), 2, 3, 1));
    assert_eq!(output.sources, ["files/alloy/loki.source.file.f".to_owned()].into());
}

#[test]
fn what_leads_nowhere_in_circles_or_to_what_is_missing_is_said() {
    check(
        &files("loki.process \"p\" {\n  forward_to = []\n}\n"),
        &[
            "1:1: warning: loki.source.file.f: its lines lead nowhere, so nothing is read",
            "6:16: warning: loki.process.p forwards to nothing, so its lines are dropped",
        ],
    );
    let circle = "loki.process \"p\" {\n  forward_to = [loki.relabel.r.receiver]\n}\nloki.relabel \"r\" {\n  forward_to = [loki.process.p.receiver]\n}\n";
    check(&files(circle), &["9:17: error: this closes a circle: loki.process.p → loki.relabel.r → loki.process.p"]);
    check(&files(""), &["3:17: error: loki.source.file.f: there is no component \"loki.process.p\""]);
    check(
        &files("loki.process \"p\" {\n  forward_to = [loki.write.w]\n}\nloki.write \"w\" {}\n"),
        &["6:17: error: loki.process.p: loki.write.w is a component; name what it exports, such as loki.write.w.receiver"],
    );
    check(
        &files(&format!("loki.process \"p\" {{\n  forward_to = [loki.write.w.receiver]\n  stage.jsn {{}}\n}}\n{WRITE}")),
        &["7:3: error: loki.process.p: there is no stage \"jsn\"; did you mean stage.json?"],
    );
    check(
        &files(&format!("loki.process \"p\" {{\n  forward_to = [loki.write.w.receiver]\n  stage.regex {{\n    expression = \"a(\"\n  }}\n}}\n{WRITE}")),
        &["8:18: error: loki.process.p[0].regex.expression: cannot compile regular expression \"a(\": unclosed group"],
    );
    check("loki.sorce.file \"f\" {}\n", &["1:1: error: there is no component \"loki.sorce.file\"; did you mean loki.source.file?"]);
    check("loki.source.kafka \"k\" {\n  brokers = [1]\n}\n", &["1:1: warning: loki.source.kafka.k: this component is not carried out"]);
    check("loki.write {}\n", &["1:1: error: loki.write needs a label: loki.write \"a_name\" { … }"]);
    check(&format!("{WRITE}{WRITE}"), &["4:1: error: loki.write.w stands here for the second time"]);
}

#[test]
fn what_depends_on_something_that_is_not_carried_out_is_not_either() {
    let text = format!(
        "remote.vault \"v\" {{}}\nloki.source.file \"f\" {{\n  targets = [{{__path__ = remote.vault.v.data.path}}]\n  forward_to = [loki.write.w.receiver]\n}}\n{WRITE}"
    );
    check(
        &text,
        &[
            "1:1: warning: remote.vault.v: this component is not carried out",
            "3:3: warning: loki.source.file.f is not carried out, because it needs remote.vault.v, which is not",
            "6:1: warning: loki.write.w: nothing is sent here",
        ],
    );
}

#[test]
fn files_are_found_by_patterns_and_relabelled_each() {
    let text = format!(
        "local.file_match \"m\" {{\n  path_targets = [{{__path__ = \"/var/log/*/*.log\", __path_exclude__ = \"/var/log/x/*\", job = \"j\"}}]\n  ignore_older_than = \"1h\"\n}}\n\
         discovery.relabel \"r\" {{\n  targets = local.file_match.m.targets\n  rule {{\n    source_labels = [\"__path__\"]\n    regex = \"/var/log/([^/]+)/.*\"\n    target_label = \"app\"\n  }}\n  \
         rule {{\n    source_labels = [\"app\"]\n    regex = \"secret\"\n    action = \"drop\"\n  }}\n}}\n\
         loki.source.file \"f\" {{\n  targets = discovery.relabel.r.output\n  forward_to = [loki.write.w.receiver]\n  tail_from_end = true\n}}\n{WRITE}"
    );
    let Parsed { config, findings } = parsed(&text);
    assert_eq!(findings, []);
    let source = config.unwrap().files.remove(0);
    let group = &source.groups[0];
    assert_eq!((group.paths[0].text(), group.excludes.len(), group.from_end, group.ignore_older.unwrap().as_secs()), ("/var/log/*/*.log", 1, true, 3_600));
    let labels = |path: &str| group.labels_of(std::path::Path::new(path)).map(|labels| labels.into_iter().map(|(n, v)| format!("{n}={v}")).collect::<Vec<_>>());
    assert_eq!(labels("/var/log/web/a.log").unwrap(), ["app=web", "job=j"]);
    assert_eq!(labels("/var/log/secret/a.log"), None);
}

#[test]
fn the_journal_and_local_files() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("unit"), "x.service").unwrap();
    let text = format!(
        "local.file \"u\" {{\n  filename = \"unit\"\n}}\nlocal.file \"gone\" {{\n  filename = \"gone\"\n}}\n\
         loki.source.journal \"j\" {{\n  max_age = \"12h\"\n  matches = \"_SYSTEMD_UNIT=\" + local.file.u.content\n  labels = {{job = \"journal\", empty = local.file.gone.content}}\n  \
         relabel_rules = loki.relabel.r.rules\n  forward_to = [loki.write.w.receiver]\n}}\n\
         loki.relabel \"r\" {{\n  forward_to = []\n  rule {{\n    source_labels = [\"__journal__systemd_unit\"]\n    target_label = \"unit\"\n  }}\n}}\n{WRITE}"
    );
    let lookup = Lookup { directory: dir.path().to_path_buf(), monitoring_dir: None };
    let Parsed { config, findings } = parse("c.alloy", &text, &Outside { environment: &|_| None, host: "pi", lookup });
    let said: Vec<String> = findings.iter().map(ToString::to_string).collect();
    let url = "c.alloy:21:20: error: loki.write.w.endpoint.url is missing";
    assert!(
        said.iter().any(|line| line.contains("c.alloy:5:14: warning: local.file.gone: cannot read gone: "))
            && said.iter().any(|line| line.contains("url is missing")),
        "{said:?} {url}"
    );
    assert!(config.is_none(), "an address from an empty variable is none");
    let environment = |_: &str| Some("http://loki:3100/".to_owned());
    let lookup = Lookup { directory: dir.path().to_path_buf(), monitoring_dir: None };
    let journal = parse("c.alloy", &text, &Outside { environment: &environment, host: "pi", lookup }).config.unwrap().journals.remove(0);
    assert_eq!((journal.matches, journal.max_age.as_secs(), journal.relabel.len()), (vec!["_SYSTEMD_UNIT=x.service".to_owned()], 43_200, 1));
}

#[test]
fn opentelemetry_ends_with_ourselves() {
    let text = |endpoint: &str| {
        format!(
            "otelcol.receiver.otlp \"in\" {{\n  grpc {{\n    endpoint = \"0.0.0.0:4317\"\n  }}\n  output {{\n    traces = [otelcol.processor.batch.b.input]\n  }}\n}}\n\
             otelcol.processor.batch \"b\" {{\n  output {{\n    traces = [otelcol.exporter.otlp.jaeger.input]\n  }}\n}}\n\
             otelcol.exporter.otlp \"jaeger\" {{\n  client {{\n    endpoint = \"{endpoint}\"\n    tls {{\n      insecure = true\n    }}\n  }}\n}}\n"
        )
    };
    check(&text("jaeger:4317"), &[]);
    check(&text("tempo.example:4317"), &[]);
    let outside = |text: &str| {
        let lookup = Lookup { directory: std::path::PathBuf::from("/nowhere"), monitoring_dir: None };
        parse("c.alloy", text, &Outside { environment: &|_| None, host: "pi", lookup }).config.unwrap().span_outputs
    };
    assert_eq!(outside(&text("jaeger:4317")).len(), 0);
    let output = outside(&text("tempo.example:4317")).remove(0);
    let grpc = Some(("tempo.example".to_owned(), 4317, false));
    assert_eq!((output.name.as_deref(), output.destination), (Some("otelcol.exporter.otlp.jaeger"), Destination::Otlp { grpc, gzip: true }));
    let other = text("far.example:4317")
        .replace("traces = [otelcol.exporter", "logs = [otelcol.exporter")
        .replace("traces = [otelcol.processor", "logs = [otelcol.processor");
    check(
        &other,
        &["16:16: warning: otelcol.exporter.otlp.jaeger: logs that are received by OTLP are kept here; sending them on to far.example is not carried out"],
    );
    let over_http = text("x").replace("exporter.otlp.jaeger", "exporter.otlphttp.jaeger").replace("exporter.otlp \"jaeger\"", "exporter.otlphttp \"jaeger\"");
    let over_http = over_http
        .replace("endpoint = \"x\"", "endpoint = \"https://far.example/otlp/v1/traces\"\n    compression = \"none\"\n    headers = { \"X-Own\" = \"a\" }");
    check(&over_http, &[]);
    let output = outside(&over_http).remove(0);
    assert_eq!((output.url.expose(), output.headers.len()), ("https://far.example:4318/otlp/v1/traces", 1));
    assert_eq!(output.destination, Destination::Otlp { grpc: None, gzip: false });
}

#[test]
fn scraping_becomes_jobs() {
    let text = |rest: &str| {
        format!(
            "prometheus.exporter.self \"own\" {{}}\nprometheus.scrape \"apps\" {{\n  targets = array.concat(prometheus.exporter.self.own.targets, [{{__address__ = \"app:8000\", env = \"prod\"}}])\n  \
             scrape_interval = \"15s\"\n  metrics_path = \"/m\"\n{rest}  forward_to = [prometheus.relabel.r.receiver]\n}}\n\
             prometheus.relabel \"r\" {{\n  rule {{\n    source_labels = [\"__name__\"]\n    regex = \"go_.*\"\n    action = \"drop\"\n  }}\n  forward_to = [prometheus.remote_write.w.receiver]\n}}\n\
             prometheus.remote_write \"w\" {{\n  endpoint {{\n    url = \"http://prometheus:9090/api/v1/write\"\n  }}\n}}\n"
        )
    };
    let Parsed { config, findings } = parsed(&text(""));
    assert_eq!(findings, []);
    let job = config.unwrap().jobs.remove(0);
    assert_eq!((job.name.as_str(), job.metrics_path.as_str(), job.interval_ms), ("prometheus.scrape.apps", "/m", 15_000));
    check(&text("  scrape_timeout = \"2x\"\n"), &["6:20: error: prometheus.scrape.apps.scrape_timeout: must be a duration such as 30s or 1h30m, not \"2x\""]);
}

#[test]
fn addresses_for_syslog() {
    let text = format!(
        "loki.source.syslog \"s\" {{\n  listener {{\n    address = \"127.0.0.1:1514\"\n    labels = {{job = \"s\"}}\n    use_incoming_timestamp = true\n  }}\n  \
         listener {{\n    address = \"localhost:1515\"\n    protocol = \"udp\"\n  }}\n  forward_to = [loki.process.p.receiver]\n}}\n\
         loki.process \"p\" {{\n  stage.regex {{\n    expression = \"(?P<x>a)\"\n  }}\n  forward_to = [loki.write.w.receiver]\n}}\n{WRITE}"
    );
    let Parsed { config, findings } = parsed(&text);
    assert_eq!(findings, []);
    let sources = config.unwrap().syslog;
    let shown: Vec<_> =
        sources.iter().map(|s| (s.name.as_str(), s.address.to_string(), s.datagrams, s.use_incoming_timestamp, s.labels.len(), s.stages.is_empty())).collect();
    assert_eq!(
        shown,
        [
            ("alloy/loki.source.syslog.s", "127.0.0.1:1514".to_owned(), false, true, 1, false),
            ("alloy/loki.source.syslog.s 2", "127.0.0.1:1515".to_owned(), true, false, 0, false)
        ]
    );
}

#[test]
fn addresses_for_pushes() {
    let source = |rest: &str| {
        let to = "forward_to = [loki.process.p.receiver]";
        format!(
            "loki.source.api \"in\" {{\n  {rest}\n  {to}\n}}\nloki.process \"p\" {{\n  stage.decolorize {{}}\n  forward_to = [loki.write.w.receiver]\n}}\n{WRITE}"
        )
    };
    let all = "http {\n listen_address = \"127.0.0.1\"\n listen_port = 9999\n }\n labels = {job = \"in\"}\n use_incoming_timestamp = true\n relabel_rules = loki.relabel.r.rules";
    let rules = "loki.relabel \"r\" {\n  forward_to = []\n  rule {\n    action = \"labeldrop\"\n    regex = \"secret\"\n  }\n}\n";
    for (rest, expected) in [(all, ("127.0.0.1:9999", true, 1, 1)), ("", ("0.0.0.0:8080", false, 0, 0))] {
        let Parsed { config, findings } = parsed(&(source(rest) + if rest.is_empty() { "" } else { rules }));
        assert_eq!(findings, []);
        let mut config = config.unwrap();
        let found = config.pushed.remove(0);
        assert_eq!((&*found.address.to_string(), found.use_incoming_timestamp, found.labels.len(), found.relabel.len()), expected);
        assert_eq!((found.name.as_str(), found.stages.len()), ("alloy/loki.source.api.in", 1));
    }
    check(&source("http {\n listen_port = \"x\"\n }"), &["3:16: error: loki.source.api.in.http.listen_port: must be a whole number from 0, not \"x\""]);
}
