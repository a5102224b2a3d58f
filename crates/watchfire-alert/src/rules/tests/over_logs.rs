//! Rules over logs: the same life of alerts, the same series, another language.

use watchfire_model::labels::Labels;
use watchfire_model::logs::Nanos;

use super::*;
use crate::rules::file::read_logs;

fn log_groups(rules: &str, restored: bool) -> Vec<Group> {
    let root = watchfire_model::document::parse_yaml("loki.yml", &file_of(rules)).unwrap();
    let parsed = read_logs("loki.yml", &root, None);
    let file = parsed.file.unwrap_or_else(|| panic!("{:?}", parsed.findings));
    let common = Arc::new(Common { external_url: "http://w".to_owned(), ..Common::default() });
    file.groups.iter().map(|group| Group::new(&file, group, &common, restored)).collect()
}

impl Stage {
    /// An error of a program at a moment.
    fn line(&self, app: &str, ms: i64, text: &str) {
        let labels = Labels::from_pairs([("app", app)]);
        self.logs.add_line(&labels, Nanos::from_millis(ms), text, &Labels::empty());
    }
}

const ERRORS: &str = "  - alert: Errors
    expr: 'sum by (app) (count_over_time({app=~\".+\"} |= \"ERROR\" [5m])) > 1'
    for: 2m
    labels: {severity: page}
    annotations: {summary: '{{ $labels.app }} wrote {{ $value }} errors, {{ with query `sum(count_over_time({app=\"web\"}[5m]))` }}{{ . | first | value }}{{ end }} lines'}
";

#[test]
fn alerts_over_logs_wait_fire_and_end() {
    let stage = stage();
    let group = log_groups(ERRORS, true).remove(0);
    for second in [1, 2, 3] {
        stage.line("web", second * 1_000, "ERROR boom");
    }
    stage.line("web", 4_000, "fine");
    stage.line("api", 4_000, "ERROR once");
    stage.evaluate(&group, MINUTE);
    assert_eq!(stage.shown("ALERTS", MINUTE), ["ALERTS{alertname=\"Errors\", alertstate=\"pending\", app=\"web\", severity=\"page\"} 1"]);
    assert!(stage.told.take().is_empty());
    stage.evaluate(&group, 3 * MINUTE);
    let told = stage.told.take();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].annotations.get("summary"), Some("web wrote 3 errors, 4 lines"));
    assert!(told[0].generator_url.starts_with("http://w/logs?lang=logql&expr=sum+by"), "{}", told[0].generator_url);
    // The lines have left the window.
    stage.evaluate(&group, 6 * MINUTE);
    let told = stage.told.take();
    assert_eq!(told.iter().map(|a| (a.labels.get("app"), a.resolved)).collect::<Vec<_>>(), [(Some("web"), true)]);
    assert!(stage.last("ALERTS", 6 * MINUTE).is_empty());
}

#[test]
fn a_restart_does_not_make_alerts_over_logs_wait_again() {
    let stage = stage();
    let before = log_groups(ERRORS, true).remove(0);
    for second in 1..9 {
        stage.line("web", second * 20_000, "ERROR boom");
    }
    stage.evaluate(&before, MINUTE);
    stage.evaluate(&before, 2 * MINUTE);
    let after = log_groups(ERRORS, false).remove(0);
    stage.evaluate(&after, 3 * MINUTE);
    after.restore(&tick(3 * MINUTE), &stage.surroundings);
    // It had waited for a minute, the outage does not count, and one is left.
    assert!(stage.told.take().is_empty());
    stage.evaluate(&after, 4 * MINUTE);
    assert_eq!(stage.told.take().len(), 1, "a wait that began anew would last a minute longer");
}

#[test]
fn recording_rules_over_logs_write_metrics() {
    let stage = stage();
    stage.line("web", 1_000, "took=3");
    stage.line("web", 2_000, "took=5");
    let rules = "  - {record: 'app:took:max', expr: 'max by (app) (max_over_time({app=\"web\"} | logfmt | unwrap took [5m]))', labels: {of: logs}}\n";
    let group = log_groups(rules, true).remove(0);
    stage.evaluate(&group, MINUTE);
    assert_eq!(stage.shown("app:took:max", MINUTE), ["app:took:max{app=\"web\", of=\"logs\"} 5"]);
    let view = group.view();
    assert_eq!((view.language, view.rules[0].health), (file::Language::Logs, Health::Ok));
}

#[test]
fn a_rule_over_logs_that_fails_says_why() {
    let stage = stage();
    stage.line("web", 1_000, "took=long");
    let group = log_groups("  - {record: r, expr: 'sum_over_time({app=\"web\"} | logfmt | unwrap took [5m])'}\n", true).remove(0);
    stage.evaluate(&group, MINUTE);
    let view = only_rule(&group);
    assert_eq!(view.health, Health::Err);
    assert!(view.last_error.as_deref().is_some_and(|e| e.contains("SampleExtractionErr")), "{:?}", view.last_error);
}
