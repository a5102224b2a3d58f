//! Our templates beside the real ones: a corpus of rule annotations by `promtool test rules`, one of notification texts by
//! `amtool template render`. What the programs refuse, we refuse; what they write, we write. Skipped, and said so, where they are
//! absent.

#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it must be")]

use std::fmt::Write;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use watchfire_alert::template::{
    Form, Functions, GoTime, ListKind, MapKind, Query, QuerySample, Rule, RuleValue, Templates, Value, notification_functions, rule_functions,
};
use watchfire_model::labels::Labels;
use watchfire_model::time::{ManualClock, SharedClock, Timestamp};

/// Annotations over the sample `m{instance="pi.lan:9100", job="node"} 1234567.891`.
const ANNOTATIONS: &str = include_str!("corpus/annotations.txt");
/// Notification texts over the data in `data()`.
const NOTIFICATIONS: &str = include_str!("corpus/notifications.txt");

fn lines(corpus: &str) -> impl Iterator<Item = String> + '_ {
    corpus.lines().filter(|l| !l.is_empty() && !l.starts_with("# ")).map(|l| l.replace("\\n", "\n"))
}

fn is_there(program: &str) -> bool {
    let there = Command::new(program).arg("--version").output().is_ok();
    if !there {
        eprintln!("SKIPPED: {program} is not installed, so no template was compared");
    }
    there
}

fn clock() -> SharedClock {
    ManualClock::new(Timestamp(60_000))
}

fn functions_of_rules() -> Functions {
    let query: Query = Arc::new(|text| {
        let sample = |job: &str, value| QuerySample { labels: Labels::from_pairs([("__name__", "two"), ("job", job)]), value };
        match text {
            // Sorted, because Prometheus gives samples in any order.
            "sort(two)" => Ok(vec![sample("a", 1.5), sample("b", 2.0)]),
            "none" => Ok(Vec::new()),
            other => Err(format!("cannot ask {other}")),
        }
    });
    rule_functions(query, "", clock())
}

fn ours(template: &str) -> Result<String, String> {
    let labels = Labels::from_pairs([("__name__", "m"), ("instance", "pi.lan:9100"), ("job", "node")]);
    let nothing = Labels::default();
    let rule = Rule { alert: "A", labels: &labels, external_labels: &nothing, external_url: "", value: RuleValue::Float(1_234_567.891) };
    rule.expand(template, functions_of_rules()).map_err(|e| e.to_string())
}

fn yaml(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// What promtool finds for the annotations, each in an alert of its own: nothing when all are as expected.
fn promtool(dir: &Path, cases: &[(String, String)]) -> String {
    let (mut rules, mut tests) = (String::from("groups:\n- name: g\n  rules:\n"), String::new());
    for (n, (template, expected)) in cases.iter().enumerate() {
        writeln!(rules, "  - alert: A{n}\n    expr: m\n    annotations: {{a: {}}}", yaml(template)).unwrap();
        writeln!(
            tests,
            "  - eval_time: 1m\n    alertname: A{n}\n    exp_alerts:\n    - exp_labels: {{job: node, instance: 'pi.lan:9100'}}\n      exp_annotations: {{a: {}}}",
            yaml(expected)
        )
        .unwrap();
    }
    let test = format!(
        "rule_files: [rules.yml]\nevaluation_interval: 1m\ntests:\n- interval: 1m\n  input_series:\n  - {{series: 'm{{job=\"node\",instance=\"pi.lan:9100\"}}', values: '1234567.891x5'}}\n  - {{series: 'two{{job=\"a\"}}', values: '1.5x5'}}\n  - {{series: 'two{{job=\"b\"}}', values: '2x5'}}\n  alert_rule_test:\n{tests}"
    );
    std::fs::write(dir.join("rules.yml"), rules).unwrap();
    std::fs::write(dir.join("test.yml"), test).unwrap();
    let output = Command::new("promtool").args(["test", "rules", "test.yml"]).current_dir(dir).output().unwrap();
    if output.status.success() { String::new() } else { format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)) }
}

#[test]
fn annotations_are_those_of_prometheus() {
    if !is_there("promtool") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let all: Vec<String> = lines(ANNOTATIONS).collect();
    assert!(all.len() > 100, "only {} cases", all.len());
    let good: Vec<(String, String)> = all.iter().filter_map(|t| Some((t.clone(), ours(t).ok()?))).collect();
    let found = promtool(dir.path(), &good);
    assert!(found.is_empty(), "{found}");
    // The comparison notices what is wrong.
    assert!(!promtool(dir.path(), &[("{{ $value }}".to_owned(), "1234567.891".to_owned())]).is_empty());
}

/// What an engine refuses while it runs stands in the annotation; what it cannot parse, promtool says. Either way our message, place
/// included, must be in theirs.
#[test]
fn errors_are_those_of_prometheus() {
    if !is_there("promtool") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (mut cases, mut wrong) = (0, Vec::new());
    for template in lines(ANNOTATIONS) {
        let Err(error) = ours(&template) else { continue };
        // The words about regular expressions are those of the library.
        if error.contains("parsing regexp") {
            continue;
        }
        cases += 1;
        let found = promtool(dir.path(), &[(template.clone(), String::new())]);
        let plain = found.replace("__alert_A0", "__alert_A").replace("Value float64 }", "Value interface {} }").replace("\\\\", "\\").replace("\\\"", "\"");
        if !plain.contains(&error.replace("\\\"", "\"")) {
            let theirs = plain.lines().rfind(|l| l.contains("template: ") || l.contains("Annotations")).unwrap_or(&plain);
            wrong.push(format!("{template}\n  ours:   {error}\n  theirs: {}", theirs.trim()));
        }
    }
    assert!(cases > 20, "only {cases} cases");
    assert!(wrong.is_empty(), "{} of {cases}:\n{}", wrong.len(), wrong.join("\n"));
}

fn data() -> (Value, String) {
    let alert = |status: &str, zone: &str, at: i64| {
        let labels = [("alertname", "Hot"), ("zone", zone)];
        let value = Value::record(
            "template.Alert",
            vec![
                ("Status", Value::text(status)),
                ("Labels", Value::texts(MapKind::KeyValues, labels)),
                ("Annotations", Value::texts(MapKind::KeyValues, [("summary", "it's <hot>")])),
                ("StartsAt", Value::Time(GoTime::from_millis(at))),
                ("EndsAt", Value::Time(GoTime::from_millis(at + 90_500))),
                ("GeneratorURL", Value::text("http://prom/graph?g0.expr=up")),
                ("Fingerprint", Value::text("abc")),
            ],
        );
        let time = |ms: i64| Timestamp(ms).rfc3339_millis();
        let json = serde_json::json!({
            "status": status, "labels": {"alertname": "Hot", "zone": zone}, "annotations": {"summary": "it's <hot>"},
            "startsAt": time(at), "endsAt": time(at + 90_500), "generatorURL": "http://prom/graph?g0.expr=up", "fingerprint": "abc",
        });
        (value, json)
    };
    let alerts = [alert("firing", "attic", 1_700_000_000_123), alert("resolved", "cellar", 1_699_990_000_000)];
    let group = [("alertname", "Hot"), ("b", "2"), ("a", "1 & one")];
    let value = Value::record(
        "*template.Data",
        vec![
            ("Receiver", Value::text("team-x")),
            ("Status", Value::text("firing")),
            ("Alerts", Value::list_of(ListKind::Alerts, alerts.iter().map(|(v, _)| v.clone()).collect())),
            ("GroupLabels", Value::texts(MapKind::KeyValues, group)),
            ("CommonLabels", Value::texts(MapKind::KeyValues, [("alertname", "Hot")])),
            ("CommonAnnotations", Value::texts(MapKind::KeyValues, [("summary", "it's <hot>")])),
            ("ExternalURL", Value::text("http://am.example/")),
        ],
    );
    let json = serde_json::json!({
        "receiver": "team-x", "status": "firing", "alerts": alerts.iter().map(|(_, j)| j).collect::<Vec<_>>(),
        "groupLabels": {"alertname": "Hot", "b": "2", "a": "1 & one"}, "commonLabels": {"alertname": "Hot"},
        "commonAnnotations": {"summary": "it's <hot>"}, "externalURL": "http://am.example/",
    });
    (value, json.to_string())
}

#[test]
fn notifications_are_those_of_alertmanager() {
    if !is_there("amtool") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (value, json) = data();
    let shared = "{{ define \"shared\" }}[{{ .Status }}]{{ end }}";
    std::fs::write(dir.path().join("data.json"), json).unwrap();
    std::fs::write(dir.path().join("shared.tmpl"), shared).unwrap();
    let (mut cases, mut wrong) = (0, Vec::new());
    for text in lines(NOTIFICATIONS) {
        for (form, kind) in [(Form::Plain, "text"), (Form::Html, "html")] {
            let mut templates = Templates::new("t", notification_functions(clock()));
            templates.parse("shared.tmpl", shared).unwrap();
            let found = templates.parse("t", &text).and_then(|()| templates.execute("t", value.clone(), form)).map_err(|e| e.to_string());
            let output = Command::new("amtool")
                .args(["template", "render", "--template.glob=shared.tmpl", "--template.data=data.json"])
                .args([format!("--template.type={kind}"), format!("--template.text={text}")])
                .current_dir(dir.path())
                .output()
                .unwrap();
            let theirs = String::from_utf8_lossy(&output.stdout);
            let same = match &found {
                Ok(found) => output.status.success() && theirs == *found,
                Err(_) => !output.status.success(),
            };
            cases += 1;
            if !same {
                wrong.push(format!("{kind} {text}\n  ours: {found:?}\n  theirs: {theirs:?} {}", String::from_utf8_lossy(&output.stderr)));
            }
        }
    }
    assert!(cases > 80, "only {cases} cases");
    assert!(wrong.is_empty(), "{} of {cases}:\n{}", wrong.len(), wrong.join("\n"));
}
