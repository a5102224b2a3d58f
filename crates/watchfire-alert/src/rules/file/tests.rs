//! Rule files by examples: what is taken, and what is said of the others. A `»` marks the place of the finding.

use watchfire_model::document::Severity;

use super::*;
use crate::rules::{About, Ask, Expand};

/// Knows one thing about templates: braces close.
struct Braces;
impl Expand for Braces {
    fn check(&self, alert: &str, text: &str) -> Result<(), String> {
        if text.matches("{{").count() == text.matches("}}").count() { Ok(()) } else { Err(format!("template: __alert_{alert}:1: unclosed action")) }
    }
    fn expand(&self, text: &str, _about: &About<'_>, _ask: &Ask) -> Result<String, String> {
        Ok(text.to_owned())
    }
}

fn check(marked: &str, severity: Severity, message: &str) {
    let before = marked.split('»').next().unwrap();
    let place = (before.lines().count().max(1), before.lines().last().unwrap_or("").chars().count() + 1);
    let place = if before.ends_with('\n') { (before.lines().count() + 1, 1) } else { place };
    let parsed = read("r.yml", &marked.replace('»', ""), Some(&Braces));
    let found: Vec<_> = parsed.findings.iter().map(ToString::to_string).collect();
    let hit = parsed.findings.iter().find(|f| f.severity == severity && f.message.contains(message));
    let hit = hit.unwrap_or_else(|| panic!("{marked}\nwanted {message}, found {found:?}"));
    assert_eq!((hit.line, hit.column), place, "{marked}\n{found:?}");
    assert_eq!(parsed.file.is_none(), severity == Severity::Error, "{marked}");
}

const GROUP: &str = "groups:\n- name: g\n  rules:\n";

#[test]
fn a_whole_file_is_read() {
    let text = "groups:\n- name: g\n  interval: 30s\n  limit: 5\n  query_offset: 1m\n  labels: {team: a, tier: x}\n  rules:\n\
                - record: job:up:sum\n    expr: sum by (job) (up)\n    labels: {team: b, instance: ''}\n\
                - alert: Down\n    expr: |\n      up\n        == 0\n    for: 1m\n    keep_firing_for: 2m\n    annotations: {b: '{{ $value }}', a: x}\n";
    let parsed = read("r.yml", &text.replace("\n- record", "\n  - record").replace("\n- alert", "\n  - alert"), None);
    assert_eq!(parsed.findings, []);
    let file = parsed.file.unwrap();
    let group = &file.groups[0];
    assert_eq!((group.interval_ms, group.limit, group.query_offset_ms), (Some(30_000), 5, Some(60_000)));
    let pairs = |list: &[(String, String)]| list.iter().map(|(n, v)| format!("{n}={v}")).collect::<Vec<_>>().join(",");
    assert_eq!(pairs(&group.rules[0].labels), "instance=,team=b,tier=x", "a rule's own label wins, and an empty one stays");
    assert_eq!(group.rules[0].kind, RuleKind::Record);
    let RuleKind::Alert { for_ms, keep_firing_for_ms, annotations } = &group.rules[1].kind else { panic!("an alert") };
    assert_eq!((*for_ms, *keep_firing_for_ms, pairs(annotations).as_str()), (60_000, 120_000, "a=x,b={{ $value }}"));
    assert_eq!(group.rules[1].expr.to_string(), "up == 0");
    assert_eq!((group.rules[1].at.line, group.rules[1].expr_at.line), (11, 13));
}

#[test]
fn empty_files_hold_no_rules() {
    for text in ["", "groups: []\n", "groups:\n- name: g\n"] {
        let parsed = read("r.yml", text, None);
        assert!(parsed.findings.is_empty() && parsed.file.is_some_and(|f| f.groups.iter().all(|g| g.rules.is_empty())), "{text}");
    }
}

#[test]
fn what_prometheus_refuses_is_refused_with_its_place() {
    let rule = |text: &str, message: &str| check(&format!("{GROUP}{text}"), Severity::Error, message);
    rule("  - »record: a\n    alert: A\n    expr: up\n", "only one of 'record' and 'alert' must be set");
    rule("  - »expr: up\n", "one of 'record' or 'alert' must be set");
    rule("  - »alert: A\n", "field 'expr' must be set in rule");
    rule("  - alert: A\n    expr: »sum(\n", "could not parse expression: 1:5: parse error: unclosed left parenthesis");
    rule("  - record: a\n    expr: up\n    for: »5m\n", "invalid field 'for' in recording rule");
    rule("  - record: a\n    expr: up\n    keep_firing_for: »5m\n", "invalid field 'keep_firing_for' in recording rule");
    rule("  - record: a\n    expr: up\n    annotations: »{x: y}\n", "invalid field 'annotations' in recording rule");
    rule("  - record: »a{b=\"c\"}\n    expr: up\n", "braces present in the recording rule name");
    rule("  - record: a\n    expr: up\n    labels: {»__name__: y}\n", "invalid label name: __name__");
    rule("  - alert: A\n    expr: up\n    for: »5\n", "must be a duration");
    rule("  - alert: A\n    expr: up\n    annotations:\n      x: »'{{ $value'\n", "annotation \"x\": template: __alert_A:1: unclosed action");
    rule("  - alert: A\n    expr: up\n    labels: {x: »'{{'}\n", "label \"x\": template: __alert_A");
    rule("  - alert: A\n    expr: up\n    »anotations: {}\n", "did you mean \"annotations\"?");
    check("groups:\n- »rules: []\n", Severity::Error, "groups[0].name is missing");
    check("groups:\n- name: g\n- name: »g\n", Severity::Error, "is repeated in the same file");
    check("groups:\n- name: g\n  limit: »many\n", Severity::Error, "must be a whole number");
    check("groups:\n- name: g\n  »concurrency: 2\n", Severity::Error, "unknown key");
    check("groups: »{}\n", Severity::Error, "must be a list");
    check("»group: []\n", Severity::Error, "did you mean \"groups\"?");
}

#[test]
fn what_is_odd_is_a_warning() {
    let twice = "  - alert: A\n    expr: up\n    labels: {a: b}\n";
    check(&format!("{GROUP}{twice}{}", twice.replace("- alert", "- »alert")), Severity::Warning, "duplicate alert A{a=\"b\"}: the one in line 4");
    check("groups:\n- name: g\n  limit: »-1\n", Severity::Warning, "a limit below zero is none");
    check("groups:\n- name: g\n  partial_response_strategy: »warn\n", Severity::Warning, "Thanos");
    let different = read("r.yml", &format!("{GROUP}{twice}{}", twice.replace("a: b", "a: c")), None);
    assert_eq!(different.findings, []);
}

/// Pieces of rule files and of tests, in any order.
const PIECES: [&str; 24] = [
    "groups:\n",
    "tests:\n",
    "- name: g\n",
    "  rules:\n",
    "  - alert: A\n",
    "    expr: up\n",
    "    expr: |\n      sum(\n",
    "    for: ",
    "99999999999999y\n",
    "    labels: {a: '{{ $value }}'}\n",
    "    annotations: *x\n",
    "  limit: -9223372036854775808\n",
    "  input_series:\n",
    "  - {series: 'x', values: '",
    "1x999999",
    " -1-1x3 {{schema:5 offset:2147483647 buckets:[1 2]}}x3",
    " {{count:1 custom_values:[1 2] n_buckets:[",
    "stale _x5'}\n",
    "  promql_expr_test:\n",
    "  - {expr: 'x', eval_time: 292y}\n",
    "\t",
    "é",
    "'",
    "&x ",
];

proptest::proptest! {
    #[test]
    fn no_text_is_too_strange(pieces in proptest::collection::vec(proptest::sample::select(&PIECES[..]), 0..30)) {
        let text = pieces.concat();
        let parsed = read("f.yml", &text, Some(&Braces));
        proptest::prop_assert!(parsed.file.is_some() || !parsed.findings.is_empty());
        if let Ok(root) = watchfire_model::document::parse_yaml("f.yml", &text) {
            let tests = crate::rules::unit::read_node("f.yml", &root);
            proptest::prop_assert!(tests.file.is_some() || !tests.findings.is_empty());
        }
    }
}

/// What is wrong with LogQL is said where it stands in the file.
#[test]
fn rules_over_logs_are_read_as_logql() {
    let read = |text: &str| super::read_logs("l.yml", &watchfire_model::document::parse_yaml("l.yml", text).unwrap(), None);
    let check = |rule: &str, expected: &str| {
        let parsed = read(&format!("groups:\n- name: g\n  rules:\n  - record: r\n{rule}"));
        let found = parsed.findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        assert!(found.starts_with(expected), "{found}");
    };
    check(
        "    expr: sum(rate({a=\"b\"} |= \"c\" [5m])\n",
        "l.yml:5:40: error: groups[0].rules[0].expr: could not parse expression: parse error at line 1, col 30: ",
    );
    check("    expr: |\n      sum(\n        rate({a=\"b\"} |~ [5m])\n      )\n", "l.yml:7:");
    check("    expr: '{a=\"b\"} |= \"c\"'\n", "l.yml:5:11: error: groups[0].rules[0].expr: could not parse expression: it selects lines and gives no numbers");
    check("    expr: sum(rate({a=\"b\"} |= \"c\" [5m]))\n", "");
    assert_eq!(read("groups: [{name: g, rules: [{record: r, expr: 'rate({a=\"b\"}[5m])'}]}]\n").file.unwrap().language, Language::Logs);
}

#[test]
fn the_language_of_a_file_that_nobody_names_is_found_out() {
    let of = |name: &str, expr: &str| {
        let text = format!("groups: [{{name: g, rules: [{{record: r, expr: '{expr}'}}]}}]\n");
        super::language_of(name, &watchfire_model::document::parse_yaml(name, &text).unwrap())
    };
    assert_eq!(of("rules.yml", "sum(rate({a=\"b\"} |= \"c\" [5m]))"), Language::Logs);
    assert_eq!(of("rules.yml", "sum(rate({a=\"b\"}[5m]))"), Language::Metrics);
    assert_eq!(of("loki-rules.yml", "sum(rate({a=\"b\"}[5m]))"), Language::Logs);
    assert_eq!(of("loki-rules.yml", "avg(up == 0)"), Language::Metrics);
    assert_eq!(of("rules.yml", "sum("), Language::Metrics);
}
