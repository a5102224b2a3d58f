//! What objectives become, what they compute, and what is refused.

use std::fmt::Write;
use std::sync::Arc;

use watchfire_model::document::parse_yaml;
use watchfire_model::time::{ManualClock, Timestamp};

use super::read_file;
use crate::rules::file::{RuleFile, RuleKind};
use crate::rules::{Expand, GoTemplates, unit};

fn templates() -> Arc<dyn Expand> {
    Arc::new(GoTemplates::new(ManualClock::new(Timestamp(0))))
}

fn rules(text: &str) -> RuleFile {
    let parsed = read_file("s.yml", text, &*templates());
    parsed.file.unwrap_or_else(|| panic!("{:?}", parsed.findings))
}

/// Name and expression of every rule.
fn shown(file: &RuleFile) -> Vec<(String, String)> {
    file.groups.iter().flat_map(|g| &g.rules).map(|r| (r.name.clone(), r.expr.text().to_owned())).collect()
}

fn pack() -> RuleFile {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packs/hsi/slos/service_levels.yml");
    rules(&std::fs::read_to_string(path).unwrap())
}

#[test]
fn the_names_of_the_pipeline_come_out() {
    let file = pack();
    let group = &file.groups[0];
    let names: Vec<&str> = group.rules.iter().map(|r| r.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "hsi:api_availability:ratio_rate1h",
            "hsi:api_availability:ratio_rate6h",
            "hsi:api_availability:ratio_rate1d",
            "hsi:api_availability:ratio_rate30d",
            "hsi:burn_rate:api_availability_1h",
            "hsi:burn_rate:api_availability_6h",
            "hsi:burn_rate:api_availability_1d",
            "hsi:error_budget:api_availability_remaining",
            "HSIAPIAvailabilityFastBurn",
            "HSIAPIAvailabilitySlowBurn",
        ]
    );
    let shown = shown(&file);
    let of = |name: &str| shown.iter().find(|(n, _)| n == name).map(|(_, e)| e.as_str()).unwrap();
    assert_eq!(of("hsi:api_availability:ratio_rate30d"), "avg_over_time(probe_success{job=\"blackbox-http-ready\"}[30d])");
    assert_eq!(of("hsi:burn_rate:api_availability_1h"), "(1 - hsi:api_availability:ratio_rate1h) / 0.005");
    assert_eq!(of("hsi:error_budget:api_availability_remaining"), "1 - (1 - hsi:api_availability:ratio_rate30d) / 0.005");
    assert_eq!(of("HSIAPIAvailabilityFastBurn"), "hsi:burn_rate:api_availability_1h > 14.4 and hsi:burn_rate:api_availability_6h > 6");
    assert_eq!(of("HSIAPIAvailabilitySlowBurn"), "hsi:burn_rate:api_availability_1d > 3");
    let fast = group.rules.iter().find(|r| r.name == "HSIAPIAvailabilityFastBurn").unwrap();
    let pairs = |pairs: &[(&str, &str)]| pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect::<Vec<_>>();
    assert_eq!(fast.labels, pairs(&[("component", "slo"), ("severity", "critical"), ("slo", "api_availability")]));
    let RuleKind::Alert { for_ms, annotations, .. } = &fast.kind else { panic!("it is no alert") };
    assert_eq!((*for_ms, annotations[0].1.as_str()), (120_000, "The objective is 99.5 % over 30d; at this rate it will not be met."));
}

#[test]
fn the_usual_alerts_follow_from_period_and_objective() {
    let conditions = |more: &str| {
        let file = rules(
            &format!("slos:\n- {{name: a, good: 'g[$window]', total: 't[$window]', {more}}}\n")
                .replace("g[$window]", "rate(g[$window])")
                .replace("t[$window]", "rate(t[$window])"),
        );
        shown(&file).into_iter().filter(|(name, _)| name.ends_with("Burn")).collect::<Vec<_>>()
    };
    let alert = |name: &str, long: (&str, &str), short: &str| {
        (name.to_owned(), format!("slo:burn_rate:a_{0} > {2} and slo:burn_rate:a_{1} > {2}", long.0, short, long.1))
    };
    let month = [
        alert("AFastBurn", ("1h", "14.4"), "5m"),
        alert("AMediumBurn", ("6h", "6"), "30m"),
        alert("ASlowBurn", ("1d", "3"), "2h"),
        alert("AVerySlowBurn", ("3d", "1"), "6h"),
    ];
    assert_eq!(conditions("objective: 99.9"), month);
    // A week has a quarter of the hours; what would be slower than allowed is no alarm.
    let week = [alert("AFastBurn", ("1h", "3.36"), "5m"), alert("AMediumBurn", ("6h", "1.4"), "30m")];
    assert_eq!(conditions("objective: 99.9, period: 7d"), week);
    // With 90 %, nothing burns faster than ten times.
    assert_eq!(conditions("objective: 90"), month[1..]);
    assert_eq!(conditions("objective: 99.9, alerts: []"), []);
}

/// Ten of a thousand fail, which is ten times what 99.9 % allow; then everything does.
#[test]
fn events_are_counted_and_alerts_fire_and_stop() {
    let file = rules(
        "slos:\n- name: api\n  objective: 99.9\n  good: sum(rate(req_total{code!~\"5..\"}[$window]))\n  total: sum(rate(req_total[$window]))\n  alerts:\n  - {name: Fast, burn: {5m: 14.4, 1h: 14.4}, for: 2m}\n",
    );
    let mut text = String::from("rule_files: [r.yml]\nevaluation_interval: 1m\ntests:\n- interval: 1m\n  input_series:\n");
    text.push_str("  - {series: 'req_total{code=\"200\"}', values: '0+990x120 118800x10 118800+1000x400'}\n");
    text.push_str("  - {series: 'req_total{code=\"500\"}', values: '0+10x120 1200+1000x10 11200x400'}\n  promql_expr_test:\n");
    for (minute, expr, value) in [
        (100, "round(slo:api:ratio_rate1h, 0.0001)", "0.99"),
        (100, "round(slo:burn_rate:api_5m, 0.01)", "10"),
        (100, "round(slo:error_budget:api_remaining, 0.01)", "-9"),
        (129, "round(slo:api:ratio_rate5m, 0.0001)", "0"),
        (129, "round(slo:burn_rate:api_5m, 0.01)", "1000"),
    ] {
        writeln!(text, "  - {{expr: '{expr}', eval_time: {minute}m, exp_samples: [{{labels: '{{}}', value: {value}}}]}}").unwrap();
    }
    text.push_str("  alert_rule_test:\n");
    let fires = "[{exp_labels: {severity: critical, slo: api}, exp_annotations: {summary: 'api spends its budget of errors 1k times too fast', description: 'The objective is 99.9 % over 30d; at this rate it will not be met.'}}]";
    for (minute, alerts) in [(118, "[]"), (121, "[]"), (129, fires), (140, "[]")] {
        writeln!(text, "  - {{eval_time: {minute}m, alertname: ApiFast, exp_alerts: {alerts}}}").unwrap();
    }
    let parsed = unit::read_node("t.yml", &parse_yaml("t.yml", &text).unwrap());
    let tests = parsed.file.unwrap_or_else(|| panic!("{:?}", parsed.findings));
    assert_eq!(unit::run(&tests, &[file], &templates()), [""; 0]);
}

/// Where only failures were ever counted, the good part is nothing and not unknown; without events there is no part.
#[test]
fn nothing_good_is_zero_and_nothing_at_all_is_absent() {
    let file = rules(
        "slos:\n- {name: a, objective: 99, good: 'sum(rate(r_total{code=\"200\"}[$window]))', total: 'sum(rate(r_total[$window]))', windows: [5m], alerts: []}\n",
    );
    let check = |values: &str, samples: &str| {
        let text = format!(
            "rule_files: [r.yml]\nevaluation_interval: 1m\ntests:\n- interval: 1m\n  input_series: [{{series: 'r_total{{code=\"500\"}}', values: '{values}'}}]\n  promql_expr_test: [{{expr: 'slo:a:ratio_rate5m', eval_time: 9m, exp_samples: {samples}}}]\n"
        );
        let parsed = unit::read_node("t.yml", &parse_yaml("t.yml", &text).unwrap());
        let tests = parsed.file.unwrap_or_else(|| panic!("{:?}", parsed.findings));
        assert_eq!(unit::run(&tests, std::slice::from_ref(&file), &templates()), [""; 0]);
    };
    check("0+5x20", "[{labels: 'slo:a:ratio_rate5m{}', value: 0}]");
    check("7x20", "[]");
}

#[test]
fn what_cannot_work_is_refused_at_its_place() {
    let check = |body: &str, expected: &str| {
        let found: Vec<String> = read_file("s.yml", &format!("slos:\n- {body}\n"), &*templates()).findings.iter().map(ToString::to_string).collect();
        assert!(found.iter().any(|f| f.contains(expected) && f.starts_with("s.yml:2:")), "{body}: {found:?}");
    };
    let ratio = "ratio: 'avg_over_time(p[$window])'";
    check(&format!("{{name: a, {ratio}}}"), "objective");
    check(&format!("{{name: a, objective: 100, {ratio}}}"), "above 0 and below 100");
    check(&format!("{{name: a b, objective: 99, {ratio}}}"), "names of series");
    check("{name: a, objective: 99}", "either good and total, or ratio");
    check("{name: a, objective: 99, good: 'rate(a[$window])'}", "either good and total, or ratio");
    check("{name: a, objective: 99, ratio: up}", "must hold $window");
    check("{name: a, objective: 99, ratio: 'sum(p[$window]'}", "could not parse expression");
    check("{name: a, objective: 99, good: 'scalar(rate(a[$window]))', total: 'rate(b[$window])'}", "could not be put together");
    check(&format!("{{name: a, objective: 99, {ratio}, period: month}}"), "durations such as 1h");
    check(&format!("{{name: a, objective: 99, {ratio}, windows: [soon]}}"), "durations such as 1h");
    check(&format!("{{name: a, objective: 90, {ratio}, alerts: [{{name: F, burn: {{1h: 14.4}}}}]}}"), "never above 10");
    check(&format!("{{name: a, objective: 99, {ratio}, alerts: [{{name: F}}]}}"), "must hold windows");
    check(&format!("{{name: a, objective: 99, {ratio}, alerts: [{{name: F, burn: {{1h: fast}}}}]}}"), "a number above 0");
    check(&format!("{{name: a, objective: 99, {ratio}, annotations: {{summary: '{{{{ nope }}}}'}}}}"), "not defined");
    check(&format!("{{name: a, objectiv: 99, {ratio}}}"), "did you mean \"objective\"?");
    let twice = format!("{{name: a, objective: 99, {ratio}}}");
    let found = read_file("s.yml", &format!("slos:\n- {twice}\n- {twice}\n"), &*templates()).findings;
    assert!(found.iter().any(|f| f.line == 3 && f.message.contains("already")), "{found:?}");
}
