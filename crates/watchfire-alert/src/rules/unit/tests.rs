//! Tests of tests: what holds, what fails, and how that is told.

use std::sync::Arc;

use watchfire_model::document::parse_yaml;
use watchfire_model::time::{ManualClock, Timestamp};

use super::*;
use crate::rules::{Expand, GoTemplates, file};

const RULES: &str = "groups:\n- name: second\n  rules:\n  - record: twice\n    expr: once * 2\n- name: first\n  rules:\n  - record: once\n    expr: sum(x)\n\
                     - name: alerts\n  rules:\n  - alert: High\n    expr: x > 3\n    for: 2m\n    labels: {severity: page}\n    \
                     annotations: {summary: 'x of {{ $labels.i }} is {{ $value }} at {{ $externalLabels.site }}'}\n";

fn outcome(tests: &str) -> Vec<String> {
    let templates: Arc<dyn Expand> = Arc::new(GoTemplates::new(ManualClock::new(Timestamp(0))));
    let rules = file::read("r.yml", RULES, Some(&*templates)).file.unwrap();
    let parsed = read_node("t.yml", &parse_yaml("t.yml", tests).unwrap());
    let file = parsed.file.unwrap_or_else(|| panic!("{:?}", parsed.findings));
    run(&file, &[rules], &templates)
}

const HOLDS: &str = "rule_files: [r.yml]\nevaluation_interval: 1m\ngroup_eval_order: [first, second, alerts]\ntests:\n- interval: 1m\n  external_labels: {site: home}\n  \
                     input_series:\n  - {series: 'x{i=\"a\"}', values: '1+1x10'}\n  - {series: 'x{i=\"b\"}', values: '0x3 _ _ stale 7'}\n  \
                     alert_rule_test:\n  - {eval_time: 4m, alertname: High}\n  - eval_time: 5m30s\n    alertname: High\n    exp_alerts:\n    \
                     - exp_labels: {severity: page, i: a}\n      exp_annotations: {summary: x of a is 6 at home}\n  \
                     promql_expr_test:\n  - expr: twice\n    eval_time: 2m\n    exp_samples: [{labels: 'twice', value: 6}]\n  \
                     - {expr: 'x{i=\"b\"}', eval_time: 6m}\n  - expr: 'count(ALERTS{alertstate=\"firing\"})'\n    eval_time: 6m\n    exp_samples: [{labels: '{}', value: 1}]\n";

#[test]
fn what_is_as_expected_says_nothing() {
    assert_eq!(outcome(HOLDS), [""; 0]);
}

#[test]
fn what_differs_is_told_as_promtool_tells_it() {
    let alerts = outcome(&HOLDS.replace("is 6 at home", "is 7 at home"));
    let text = "    alertname: High, time: 5m30s, \n        exp:[\n            0:\n              Labels:{alertname=\"High\", i=\"a\", severity=\"page\"}\n              \
                Annotations:{summary=\"x of a is 7 at home\"}\n            ], \n        got:[\n            0:\n              \
                Labels:{alertname=\"High\", i=\"a\", severity=\"page\"}\n              Annotations:{summary=\"x of a is 6 at home\"}\n            ]";
    assert_eq!(alerts, [text]);
    let samples = outcome(&HOLDS.replace("value: 6}", "value: 0.25}"));
    assert_eq!(samples, ["    expr: \"twice\", time: 2m,\n        exp: {__name__=\"twice\"} 2.5E-01\n        got: {__name__=\"twice\"} 6E+00"]);
    let order = outcome(&HOLDS.replace("[first, second, alerts]", "[second, first, alerts]"));
    assert!(order[0].contains("{__name__=\"twice\"} 4E+00"), "the order counts: {order:?}");
    let missing = outcome(&HOLDS.replace("{eval_time: 4m, alertname: High}", "{eval_time: 9m, alertname: High}"));
    assert!(missing[0].contains("time: 9m, \n        exp:[], \n        got:[\n"), "{missing:?}");
}

#[test]
fn what_cannot_be_read_is_said_with_its_place() {
    let check = |from: &str, to: &str, expected: &str| {
        let text = HOLDS.replace(from, to);
        let found: Vec<String> = read_node("t.yml", &parse_yaml("t.yml", &text).unwrap()).findings.iter().map(ToString::to_string).collect();
        assert!(found.iter().any(|f| f.contains(expected)), "{from} {to}: {found:?}");
    };
    check("'1+1x10'", "'1+ax10'", "t.yml:8:34: error: tests[0].input_series[0].values: +a is no number");
    check("alertname: High}", "alertnam: High}", "alertname is missing");
    check("eval_time: 2m", "eval_time: 2", "must be a duration");
    check("expr: twice", "expr: twice(", "parse error");
    check("labels: 'twice'", "labels: 'twice{'", "exp_samples[0].labels");
    check("[first, second, alerts]", "[first, first]", "group name repeated in evaluation order: first");
    check("interval: 1m\n  external", "intervall: 1m\n  external", "did you mean \"interval\"");
    check("eval_time: 4m", "eval_time: 400y", "evaluations away");
}
