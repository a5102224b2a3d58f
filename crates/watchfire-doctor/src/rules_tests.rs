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
    assert_eq!(of("sum by (camera_id) (rate(camera_frames_dropped_total[5m])) > 1", "on {{ $labels.camera_id }}"), []);
}

#[test]
fn rules_beside_each_other() {
    let text = "groups:\n- name: g\n  rules:\n  - {alert: A, expr: up == 0, labels: {severity: page}}\n  - {alert: A, expr: up < 1, labels: {severity: page}}\n  - {alert: B, expr: (up==0)}\n  - {alert: A, expr: up offset 1m == 0, labels: {severity: warning}}\n";
    let found = checked(text, &[]);
    assert_eq!(codes(&found), [("A", Code::DuplicateName), ("B", Code::DuplicateCondition)], "{found:?}");
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
