//! Whole rule files: our own small ones, and those of the replaced products where their tables are at hand.

use std::collections::BTreeMap;
use std::path::Path;

use watchfire_alert::rules::file::{RuleFile, read};
use watchfire_pack::catalog::Catalogs;

use crate::rules::check;
use crate::{Code, Diagnosis, Job, Knowledge};

fn file(name: &str, text: &str) -> RuleFile {
    let parsed = read(name, text, None);
    parsed.file.unwrap_or_else(|| panic!("{:?}", parsed.findings))
}

fn checked(text: &str, jobs: &[&str]) -> Vec<Diagnosis> {
    let mut knowledge = Knowledge::new(Catalogs::builtin());
    if !jobs.is_empty() {
        knowledge = knowledge.with_jobs(jobs.iter().map(|j| ((*j).to_owned(), Job::default())).collect::<BTreeMap<_, _>>());
    }
    check(&[file("rules.yml", text)], &knowledge)
}

/// Rule and code of every finding.
fn codes(found: &[Diagnosis]) -> Vec<(&str, Code)> {
    found.iter().map(|d| (d.subject.as_str(), d.code)).collect()
}

#[test]
fn places_are_those_of_the_part() {
    let text = "groups:\n- name: g\n  rules:\n  - alert: A\n    expr: |\n      up == 0 and\n      hsi_events_createt_total > 1\n  - alert: B\n    expr: sum(hsi_risk_scor_bucket) > 1\n";
    let found = checked(text, &[]);
    assert_eq!(codes(&found), [("A", Code::UnknownMetric), ("B", Code::UnknownMetric)]);
    assert_eq!((found[0].line, found[1].line, found[1].column), (7, 9, 15), "{found:?}");
    assert_eq!(found[0].suggestion.as_deref(), Some("did you mean hsi_events_created_total?"));
    let shown = found[0].finding().to_string();
    assert!(shown.starts_with("rules.yml:7:") && shown.contains("A: ") && shown.ends_with("[unknown-metric]"), "{shown}");
}

#[test]
fn texts_speak_the_units_of_the_expression() {
    let rule = |expr: &str, text: &str| format!("groups:\n- name: g\n  rules:\n  - alert: A\n    expr: {expr}\n    annotations: {{d: '{text}'}}\n");
    let of = |expr: &str, text: &str| codes(&checked(&rule(expr, text), &[])).iter().map(|(_, c)| *c).collect::<Vec<_>>();
    assert_eq!(of("rate(inference_tokens_total[1h]) > 100000", "{{ $value }}/hour"), [Code::UnitMismatch]);
    assert_eq!(of("increase(inference_tokens_total[1h]) > 100000", "{{ $value }}/hour"), []);
    assert_eq!(of("rate(inference_tokens_total[1h]) * 3600 > 100000", "{{ $value }} per hour"), []);
    assert_eq!(of("rate(camera_frames_dropped_total[5m]) > 0.05", "{{ $value | humanizePercentage }}"), [Code::UnitMismatch]);
    assert_eq!(of("sum(rate(camera_frames_dropped_total[5m])) > 1", "on {{ $labels.camera_id }}"), [Code::UnknownLabel]);
    let memory = "hsi_gpu_memory_used_mb / hsi_gpu_memory_total_mb";
    let p95 = "histogram_quantile(0.95, sum by (le) (rate(hsi_stage_duration_seconds_bucket[5m])))";
    let idle = "avg by (instance) (rate(node_cpu_seconds_total{mode=\"idle\"}[5m]))";
    for (expr, text) in [
        (format!("{memory} > 0.9"), "{{ $value }}% used"),
        (format!("{memory} > 0.9"), "{{ $value | humanize }} % used"),
        (format!("{memory} * 100 > 90"), "{{ $value | humanizePercentage }} used"),
        (format!("100 - {idle} * 100 > 90"), "{{ $value | humanizePercentage }}"),
        (format!("{idle} < 0.1"), "{{ $value }}%"),
        (format!("{p95} > 1"), "{{ $value }}ms"),
        (format!("{p95} * 1000 > 1000"), "{{ $value | humanizeDuration }}"),
        (format!("{p95} * 1000 > 1000"), "{{ $value }} seconds"),
        ("increase(inference_tokens_total[5m]) > 50".to_owned(), "{{ $value }} tokens per second"),
        ("increase(inference_tokens_total[5m]) > 50".to_owned(), "{{ $value }}/s"),
        ("rate(inference_tokens_total[5m]) > 50".to_owned(), "{{ $value }} tokens/hour."),
        ("rate(inference_tokens_total[5m]) > 50".to_owned(), "{{ $value }} /minute, more than 0.5/minute"),
        ("rate(inference_tokens_total[5m]) > 50".to_owned(), "tokens / day: {{ $value }}"),
    ] {
        assert_eq!(of(&expr, text), [Code::UnitMismatch], "{expr}: {text}");
    }
    for (expr, text) in [
        (format!("{memory} > 0.9"), "{{ $value | humanizePercentage }} of 100% used"),
        (format!("{memory} * 100 > 90"), "{{ printf \"%.1f\" $value }}%"),
        (format!("100 - ({idle} * 100) > 90"), "{{ $value | humanize }}%"),
        (format!("1 - {idle} > 0.9"), "{{ $value | humanizePercentage }}"),
        (format!("{p95} > 1"), "{{ $value }}s"),
        (format!("{p95} > 1"), "{{ $value | humanizeDuration }}"),
        (format!("{p95} * 1000 > 1000"), "{{ $value }}ms"),
        ("rate(hsi_stage_duration_seconds_sum[5m]) / rate(hsi_stage_duration_seconds_count[5m]) > 5".to_owned(), "{{ $value }}s on average"),
        ("rate(inference_tokens_total[5m]) > 50".to_owned(), "{{ $value }} tokens per second"),
        ("increase(inference_tokens_total[1h]) > 50".to_owned(), "{{ $value }} tokens per hour"),
        ("rate(inference_tokens_total[5m]) > 50".to_owned(), "https://wiki.example/hour"),
        ("rate(inference_tokens_total[5m]) > 50".to_owned(), "https://wiki/{{ $labels.job }}/hourly and /day/shift"),
        ("rate(inference_tokens_total[5m]) > 50".to_owned(), "https://wiki/{{ $labels.job }}/hour"),
        ("rate(inference_tokens_total[5m]) > 50".to_owned(), "supper day, per daylight, runbook/day-shift"),
        ("increase(inference_tokens_total[5m]) > 50".to_owned(), "https://wiki/{{ $value }}/status"),
        ("rate(inference_tokens_total[5m]) > 50".to_owned(), "{{ range query \"up\" }}{{ .Labels.host }}{{ end }}"),
    ] {
        assert_eq!(of(&expr, text), [], "{expr}: {text}");
    }
    assert_eq!(of("sum by (camera_id) (rate(camera_frames_dropped_total[5m])) > 1", "on {{ $labels.camera_id }}"), []);
}

#[test]
fn rules_beside_each_other() {
    let text = "groups:\n- name: g\n  rules:\n  - {alert: A, expr: up == 0, labels: {severity: page}}\n  - {alert: A, expr: up < 1, labels: {severity: page}}\n  - {alert: B, expr: (up==0)}\n  - {alert: A, expr: up offset 1m == 0, labels: {severity: warning}}\n";
    let found = checked(text, &[]);
    assert_eq!(codes(&found), [("A", Code::DuplicateName), ("B", Code::DuplicateCondition)], "{found:?}");
}

#[test]
fn a_letter_too_few_is_noticed_where_the_product_is_watched() {
    let of = |expr: &str, jobs: &[&str]| {
        let text = format!("groups:\n- name: g\n  rules:\n  - {{alert: A, expr: '{expr}'}}\n");
        checked(&text, jobs).into_iter().filter_map(|d| d.suggestion.filter(|_| d.code == Code::UnknownMetric)).collect::<Vec<_>>()
    };
    let meant = ["did you mean camera_connection_status?".to_owned()];
    assert_eq!(of("camera_conection_status == 0", &[]), meant);
    assert_eq!(of("camera_conection_status == 0", &["recording-nodes"]), meant);
    assert_eq!(of("camera_conection_status == 0", &["something-else"]), [""; 0]);
    for good in ["camera_connection_status == 0", "http_request_total > 1", "my_own_metric > 1"] {
        assert_eq!(of(good, &[]), [""; 0], "{good}");
    }
}

#[test]
fn the_host_is_declared_as_a_whole() {
    for (expr, code) in [
        ("node_memory_MemAvailable_bytes < 0.1 * node_memory_MemTotal_byte", Code::UnknownMetric),
        ("rate(node_load1[5m]) > 0.5", Code::RateOfGauge),
        ("node_filesystem_avail_bytes / node_filesystem_size_bytes > 90", Code::UnitMismatch),
        ("node_disk_io_time_seconds_total > 10", Code::CounterWithoutRate),
    ] {
        let text = format!("groups:\n- name: g\n  rules:\n  - {{alert: A, expr: '{expr}'}}\n");
        assert!(checked(&text, &[]).iter().any(|d| d.code == code), "{expr}");
    }
}

/// One condition may be written in several ways.
#[test]
fn equal_conditions_are_known_by_what_they_ask() {
    let of = |first: &str, second: &str| {
        let text = format!(
            "groups:\n- name: g\n  rules:\n  - {{alert: A, expr: '{first}', labels: {{severity: x}}}}\n  - {{alert: B, expr: '{second}', labels: {{severity: y}}}}\n"
        );
        codes(&checked(&text, &[])).iter().map(|(_, c)| *c).collect::<Vec<_>>()
    };
    for (first, second) in [
        ("up == 0", "(up) == 0"),
        ("heat > 5", "5 < heat"),
        ("heat{a=\"1\", b=\"2\"} > 5", "heat{b=\"2\",a=\"1\"} > 5"),
        ("rate(heat{a=\"1\",b=\"2\"}[5m] offset 1h) > 5", "rate( heat{b=\"2\",a=\"1\"}[5m] offset 1h ) > 5"),
        ("used / all > 0.9", "used / all * 100 > 90"),
        ("1 - free / all > 0.9", "free / all < 0.1"),
        ("heat >= 5", "5 <= heat"),
    ] {
        assert_eq!(of(first, second), [Code::DuplicateCondition], "{first}, {second}");
    }
    for (first, second) in [
        ("heat > 5", "heat >= 5"),
        ("heat > 5", "heat < 5"),
        ("heat{a=\"1\"} > 5", "heat{a=\"2\"} > 5"),
        ("rate(heat[5m]) > 5", "rate(heat[1h]) > 5"),
        ("heat > 5", "heat > 6"),
        ("heat offset 5m > 1", "heat > 1"),
    ] {
        assert_eq!(of(first, second), [], "{first}, {second}");
    }
}

#[test]
fn two_files_that_record_one_series() {
    let record = |rule: &str| format!("groups:\n- name: g\n  rules:\n  - {rule}\n");
    let of = |first: &str, second: &str| {
        let found = check(&[file("a.yml", &record(first)), file("b.yml", &record(second))], &Knowledge::new(Catalogs::builtin()));
        found.iter().map(|d| (d.code, d.file.to_string())).collect::<Vec<_>>()
    };
    let twice = [(Code::DuplicateName, "b.yml".to_owned())];
    assert_eq!(of("{record: a, expr: sum(up)}", "{record: a, expr: sum(up offset 1m)}"), twice);
    assert_eq!(of("{record: a, expr: 'rate(x[5m])'}", "{record: a, expr: 'rate( x[5m] )'}"), twice);
    assert_eq!(of("{record: a, expr: 'x{job=\"1\"}'}", "{record: a, expr: 'x{job=\"2\"}'}"), []);
    assert_eq!(of("{record: a, expr: sum(up), labels: {b: c}}", "{record: a, expr: sum(up), labels: {b: d}}"), []);
}

fn seeds(name: &str) -> Option<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/catalogue/config_snippets").join(name);
    let text = std::fs::read_to_string(path).ok();
    if text.is_none() {
        eprintln!("SKIPPED: the seeds' {name} is not at hand");
    }
    text
}

#[test]
fn the_seeds_rules_are_found_out() {
    if let Some(text) = seeds("004_334_alert_rules.yml") {
        let found = checked(&text, &["recording-nodes", "streaming-gateways", "api-servers", "node-exporter", "postgresql", "redis"]);
        let expected = [("HighFrameDropRate", Code::UnitMismatch), ("HighDiskLatency", Code::MissingLe), ("SlowAPIResponses", Code::MissingLe)];
        assert_eq!(codes(&found), expected, "{found:#?}");
    }
    if let Some(text) = seeds("002_317_alert_rules.yml") {
        let found = checked(&text, &["pisovereign", "prometheus", "node-exporter"]);
        let expected = [("HighErrorRate", Code::NeverMatches), ("NoTraffic", Code::EverySeriesAlone), ("HighTokenUsage", Code::UnitMismatch)];
        assert_eq!(codes(&found), expected, "{found:#?}");
    }
}
