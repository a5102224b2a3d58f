//! Tests of relabelling: each action, defaults, templates, refusals.

use watchfire_model::document::{Context, parse_yaml};
use watchfire_model::labels::{Labels, LabelsBuilder};

use super::*;

fn rules(yaml: &str) -> (Vec<RelabelConfig>, Vec<String>) {
    let node = parse_yaml("f.yml", yaml).unwrap();
    let context = Context::new("f.yml");
    let rules = read_list(&context, Some(&node), "relabel_configs");
    (rules, context.into_findings().iter().map(ToString::to_string).collect())
}

#[track_caller]
fn check(yaml: &str, input: &[(&str, &str)], expected: Option<&str>) {
    let (rules, findings) = rules(yaml);
    assert_eq!(findings, [""; 0]);
    let mut builder = LabelsBuilder::from(&Labels::from_pairs(input.iter().copied()));
    let verdict = apply(&rules, &mut builder);
    let found = (verdict == Verdict::Keep).then(|| builder.build().to_string());
    assert_eq!(found.as_deref(), expected, "{yaml}");
}

#[test]
fn every_action_does_what_prometheus_does() {
    let a = [("a", "foo"), ("b", "bar"), ("c", "baz")];
    check("[{source_labels: [a], regex: 'f(.*)', target_label: d, replacement: 'ch${1}-ch${1}'}]", &a, Some(r#"{a="foo", b="bar", c="baz", d="choo-choo"}"#));
    check(
        "[{source_labels: [a, b], regex: 'f(.*);(.*)r', target_label: a, replacement: 'b${1}${2}m'}, {source_labels: [c, a], regex: '(b).*b(.*)ba(.*)', target_label: d, replacement: '$1$2$2$3'}]",
        &a,
        Some(r#"{a="boobam", b="bar", c="baz", d="boooom"}"#),
    );
    check("[{source_labels: [a], regex: '.*o.*', action: drop}]", &a, None);
    check("[{source_labels: [a], regex: 'o', action: drop}]", &a, Some(r#"{a="foo", b="bar", c="baz"}"#));
    check("[{source_labels: [a], regex: 'f|o', action: keep}]", &a, None);
    check("[{source_labels: [a], regex: 'f.*', action: Keep}]", &a, Some(r#"{a="foo", b="bar", c="baz"}"#));
    check("[{source_labels: [a], regex: no, target_label: d, replacement: x}]", &a, Some(r#"{a="foo", b="bar", c="baz"}"#));
    check("[{source_labels: [a], regex: 'f(.*)', target_label: b, replacement: ''}]", &a, Some(r#"{a="foo", c="baz"}"#));
    check("[{target_label: d, replacement: static}]", &a, Some(r#"{a="foo", b="bar", c="baz", d="static"}"#));
    check("[{source_labels: [a], target_label: b}]", &a, Some(r#"{a="foo", b="foo", c="baz"}"#));
    check("[{source_labels: [none], target_label: b}]", &a, Some(r#"{a="foo", c="baz"}"#));
    check("[{source_labels: [a, b], separator: '', target_label: d}]", &a, Some(r#"{a="foo", b="bar", c="baz", d="foobar"}"#));
    check("[{source_labels: [c], action: hashmod, modulus: 1000, target_label: d}]", &a, Some(r#"{a="foo", b="bar", c="baz", d="976"}"#));
    check("[{source_labels: [a], action: hashmod, modulus: 1000, target_label: d}]", &[("a", "foo\nbar")], Some(r#"{a="foo\nbar", d="734"}"#));
    check(
        "[{regex: '(b.*)', action: labelmap, replacement: 'bar_${1}'}]",
        &[("a", "foo"), ("b1", "bar"), ("b2", "baz")],
        Some(r#"{a="foo", b1="bar", b2="baz", bar_b1="bar", bar_b2="baz"}"#),
    );
    check(
        "[{regex: '__meta_(my.*)', action: labelmap}]",
        &[("__meta_my_bar", "aaa"), ("__meta_other", "x"), ("my_bar", "z")],
        Some(r#"{__meta_my_bar="aaa", __meta_other="x", my_bar="aaa"}"#),
    );
    check("[{regex: 'b.*', action: labeldrop}]", &[("a", "foo"), ("b1", "bar"), ("b2", "baz")], Some(r#"{a="foo"}"#));
    check("[{regex: 'b.*', action: labelkeep}]", &[("a", "foo"), ("b1", "bar"), ("b2", "baz")], Some(r#"{b1="bar", b2="baz"}"#));
    check(
        "[{source_labels: [a], action: lowercase, target_label: l}, {source_labels: [a], action: uppercase, target_label: u}]",
        &[("a", "bAr123Foo")],
        Some(r#"{a="bAr123Foo", l="bar123foo", u="BAR123FOO"}"#),
    );
    check("[{source_labels: [x], action: keepequal, target_label: y}]", &[("x", "main"), ("y", "main")], Some(r#"{x="main", y="main"}"#));
    check("[{source_labels: [x], action: keepequal, target_label: y}]", &[("x", "main"), ("y", "other")], None);
    check("[{source_labels: [x], action: dropequal, target_label: y}]", &[("x", "main"), ("y", "main")], None);
    check("[{source_labels: [x], action: dropequal, target_label: y}]", &[("x", "main"), ("y", "other")], Some(r#"{x="main", y="other"}"#));
}

#[test]
fn templates_follow_go() {
    let a = [("a", "some-name-value")];
    check(
        "[{source_labels: [a], regex: 'some-([^-]+)-([^,]+)', target_label: '${1}', replacement: '${2}'}]",
        &a,
        Some(r#"{a="some-name-value", name="value"}"#),
    );
    check("[{source_labels: [a], regex: 'some-([^-]+)-([^,]+)', target_label: '${3}', replacement: '${2}'}]", &a, Some(r#"{a="some-name-value"}"#));
    check(
        "[{source_labels: [a], regex: '(?P<x>[^-]+)-.*', target_label: d, replacement: '$x $$ ${x}y $xy $ ${ ${x ${1}2 $12 $01'}]",
        &a,
        Some(r#"{a="some-name-value", d="some $ somey  $ ${ ${x some2  "}"#),
    );
    check("[{source_labels: [a], regex: '(?s:(.*))', target_label: d, replacement: '$0!'}]", &[("a", "x\ny")], Some(r#"{a="x\ny", d="x\ny!"}"#));
    check("[{regex: '', source_labels: [z], target_label: d, replacement: 'none'}]", &a, Some(r#"{a="some-name-value", d="none"}"#));
}

#[test]
fn bad_rules_are_refused_with_their_place() {
    for (yaml, expected) in [
        ("- {action: hashmod, target_label: a}", "modulus: action hashmod needs a modulus from 1"),
        ("- {source_labels: [a]}", "target_label: action replace needs a target_label"),
        ("- {action: replce, target_label: x}", "unknown relabel action \"replce\"; did you mean \"replace\"?"),
        ("- {action: keep, regex: '('}", "cannot compile regular expression"),
        ("- {action: lowercase, target_label: x, replacement: y}", "action lowercase takes no replacement"),
        ("- {action: labeldrop, source_labels: [a], regex: x}", "action labeldrop takes no source_labels"),
        ("- {action: keepequal, target_label: a, regex: x}", "action keepequal takes no regex"),
        ("- {action: keep, source_label: [a]}", "did you mean \"source_labels\"?"),
        ("- {action: keep, source_labels: a}", "must be a list"),
        ("{a: b}", "must be a list"),
    ] {
        let (rules, findings) = rules(yaml);
        assert!(findings.iter().any(|f| f.contains(expected)), "{yaml}: {findings:?}");
        assert!(rules.is_empty() || yaml.contains("source_label:"), "{yaml}");
    }
}
