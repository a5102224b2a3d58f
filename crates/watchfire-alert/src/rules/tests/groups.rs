//! Groups evaluated step by step.

use watchfire_model::labels;
use watchfire_model::time::Timestamp;

use super::*;

#[test]
fn results_are_stored_under_the_rule_s_name_and_labels_and_end_when_they_vanish() {
    let stage = stage();
    let group = group(&file_of("  - record: job:up:sum\n    expr: sum by (job, x) (up)\n    labels: {team: a, x: ''}\n"));
    stage.memory.add_series(&labels!("__name__" => "up", "job" => "a", "x" => "1"), [(0, 1.0), (MINUTE, 1.0)]);
    stage.memory.add_series(&labels!("__name__" => "up", "job" => "b"), [(0, 3.0)]);
    stage.evaluate(&group, 0);
    assert_eq!(stage.shown("job:up:sum", 0), [r#"job:up:sum{job="a", team="a"} 1"#, r#"job:up:sum{job="b", team="a"} 3"#]);
    stage.memory.add(&labels!("__name__" => "up", "job" => "b"), Timestamp(1), watchfire_model::sample::stale_nan());
    stage.evaluate(&group, MINUTE);
    assert_eq!(stage.shown("job:up:sum", MINUTE), [r#"job:up:sum{job="a", team="a"} 1"#]);
    let ended = stage.surroundings.asker.ask_metrics(&watchfire_query::promql::parse("job:up:sum").unwrap(), Timestamp(2 * MINUTE), Duration::MAX).unwrap();
    assert_eq!(ended.len(), 1, "the series that vanished was marked as ended");
    let view = only_rule(&group);
    assert_eq!((view.health, view.last_evaluation), (Health::Ok, Some(Timestamp(MINUTE))));
}

#[test]
fn a_rule_sees_what_the_rule_before_it_gave_at_the_same_evaluation() {
    let stage = stage();
    let group = group(&file_of("  - record: a\n    expr: vector(2)\n  - record: b\n    expr: a * 10\n  - record: s\n    expr: 7\n"));
    stage.evaluate(&group, MINUTE);
    assert_eq!(stage.shown("b", MINUTE), ["b 20"]);
    assert_eq!(stage.shown("s", MINUTE), ["s 7"], "a scalar is a sample without labels");
}

#[test]
fn failures_are_told_in_prometheus_words() {
    let check = |rules: &str, limit: usize, expected: &str| {
        let stage = stage();
        for i in 0..3 {
            stage.memory.add(&labels!("__name__" => "x", "i" => &i.to_string()), Timestamp(0), 1.0);
        }
        let group = group(&file_of(rules).replace("  rules:", &format!("  limit: {limit}\n  rules:")));
        stage.evaluate(&group, 0);
        let view = only_rule(&group);
        assert_eq!((view.health, view.last_error.as_deref()), (Health::Err, Some(expected)), "{rules}");
        stage.evaluate(&group, 60_000);
        assert_eq!(only_rule(&group).failing_since, Some(Timestamp(0)), "it has failed since the first time");
        assert!(stage.last("r", 0).is_empty() && stage.last("ALERTS", 0).is_empty());
    };
    check("  - record: r\n    expr: x\n    labels: {i: same}\n", 0, "vector contains metrics with the same labelset after applying rule labels");
    check("  - alert: R\n    expr: x\n    labels: {i: same}\n", 0, "vector contains metrics with the same labelset after applying alert labels");
    check("  - record: r\n    expr: x\n", 2, "exceeded limit of 2 with 3 series");
    check("  - alert: R\n    expr: x\n", 2, "exceeded limit of 2 with 3 alerts");
    check("  - record: r\n    expr: '\"text\"'\n", 0, "rule result is not a vector or scalar");
}

#[test]
fn an_alert_has_series_texts_and_a_life() {
    let stage = stage();
    let text = "  - alert: Down\n    expr: up == 0\n    for: 2m\n    labels: {severity: critical, where: '{{ $labels.job }}'}\n    \
                annotations: {summary: '{{ $labels.job }} is {{ $value }} in {{ $externalLabels.site }}', bad: '{{ template \"x\" }}'}\n";
    let common = Common { external_labels: labels!("site" => "home"), external_url: "http://w".to_owned(), ..Common::default() };
    let group = groups(&file_of(text), &common, true).remove(0);
    let up = labels!("__name__" => "up", "job" => "a");
    for minute in 0..=3 {
        stage.memory.add(&up, Timestamp(minute * MINUTE), 0.0);
    }
    stage.evaluate(&group, 0);
    assert_eq!(stage.shown("ALERTS", 0), [r#"ALERTS{alertname="Down", alertstate="pending", job="a", severity="critical", where="a"} 1"#]);
    assert_eq!(stage.told.take(), []);
    stage.evaluate(&group, MINUTE);
    stage.evaluate(&group, 2 * MINUTE);
    let firing = r#"ALERTS{alertname="Down", alertstate="firing", job="a", severity="critical", where="a"} 1"#;
    assert_eq!(stage.shown("ALERTS", 2 * MINUTE), [firing], "the pending series has ended");
    assert_eq!(stage.shown("ALERTS_FOR_STATE", 2 * MINUTE), [r#"ALERTS_FOR_STATE{alertname="Down", job="a", severity="critical", where="a"} 0"#]);
    let told = stage.told.take().remove(0);
    assert_eq!((told.starts_at, told.ends_at, told.resolved), (Timestamp(2 * MINUTE), Timestamp(6 * MINUTE), false));
    assert_eq!(told.annotations.get("summary"), Some("a is 0 in home"));
    assert!(told.annotations.get("bad").is_some_and(|t| t.starts_with("<error expanding template: ")), "{told:?}");
    assert_eq!(told.generator_url, "http://w/graph?g0.expr=up+%3D%3D+0&g0.tab=1");
    let view = only_rule(&group);
    assert_eq!((view.state, view.alerts[0].active_at, view.alerts[0].value), (AlertState::Firing, Timestamp(0), 0.0));

    stage.memory.add(&up, Timestamp(3 * MINUTE + 1), 1.0);
    stage.evaluate(&group, 4 * MINUTE);
    let told = stage.told.take().remove(0);
    assert_eq!((told.starts_at, told.ends_at, told.resolved), (Timestamp(2 * MINUTE), Timestamp(4 * MINUTE), true));
    assert!(stage.last("ALERTS", 4 * MINUTE).is_empty());
    assert_eq!((only_rule(&group).state, only_rule(&group).alerts.len()), (AlertState::Inactive, 0));
}

#[test]
fn a_text_may_ask_at_the_moment_of_the_evaluation() {
    let stage = stage();
    let group = group(&file_of("  - alert: A\n    expr: vector(1)\n    annotations: {x: '{{ with query \"y\" }}{{ . | first | value }}{{ end }}'}\n"));
    stage.memory.add_series(&labels!("__name__" => "y"), [(0, 5.0), (MINUTE, 6.0), (2 * MINUTE, 7.0)]);
    stage.evaluate(&group, MINUTE);
    assert_eq!(stage.told.take()[0].annotations.get("x"), Some("6"));
}

#[test]
fn an_offset_looks_behind_and_writes_there() {
    let stage = stage();
    let text = file_of("  - record: r\n    expr: x\n").replace("  rules:", "  query_offset: 1m\n  rules:");
    stage.memory.add_series(&labels!("__name__" => "x"), [(0, 1.0), (MINUTE, 2.0)]);
    stage.evaluate(&group(&text), MINUTE);
    assert_eq!(stage.shown("r", 0), ["r 1"]);
    assert!(stage.last("r", MINUTE).is_empty());
}

#[test]
fn r26_a_jump_of_the_clock_ends_no_alert() {
    let stage = stage();
    let group = group(&file_of("  - alert: A\n    expr: up == 0\n    for: 1m\n"));
    let up = labels!("__name__" => "up");
    stage.memory.add_series(&up, [(0, 0.0), (MINUTE, 0.0)]);
    stage.evaluate(&group, 0);
    stage.evaluate(&group, MINUTE);
    assert_eq!(stage.told.take().len(), 1);
    // A year later by the wall clock, a minute later by the other.
    let year = 365 * 24 * 60 * MINUTE;
    let jumped = Tick { line: 2 * MINUTE, at: Timestamp(year), missed: 0, jumped: true };
    group.tell_again(&jumped, &stage.surroundings);
    let told = stage.told.take().remove(0);
    assert_eq!((told.resolved, told.ends_at), (false, Timestamp(year + 4 * MINUTE)), "it is told again with an end that lies ahead");
    assert_eq!(told.starts_at, Timestamp(year - MINUTE));
    stage.memory.add(&up, Timestamp(year + MINUTE), 0.0);
    group.evaluate(&Tick { line: 3 * MINUTE, at: Timestamp(year + MINUTE), missed: 0, jumped: false }, &stage.surroundings);
    let view = only_rule(&group);
    assert_eq!((view.state, view.alerts[0].active_at), (AlertState::Firing, Timestamp(year - 2 * MINUTE)));
}

#[test]
fn figures_are_told_under_prometheus_names_where_a_rule_asks_for_them() {
    let stage = stage();
    let group = group(&file_of("  - alert: A\n    expr: rate(prometheus_rule_evaluation_failures_total[5m]) > 0\n  - record: r\n    expr: '\"x\"'\n"));
    stage.evaluate(&group, 0);
    let asked = crate::rules::figures::asked_for([&group].into_iter());
    let mut families = Vec::new();
    crate::rules::figures::tell([&group].into_iter(), &asked, &mut families);
    let value = |name: &str| families.iter().find(|f| &*f.name == name).map(|f| f.points[0].1);
    assert_eq!(value("watchfire_rule_evaluations_total"), Some(2.0));
    assert_eq!(value("prometheus_rule_evaluation_failures_total"), Some(1.0));
    assert_eq!(value("prometheus_rule_evaluations_total"), None);
}
