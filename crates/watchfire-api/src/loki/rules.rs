//! Rules over logs as Loki gives them: its own answers are YAML by namespace, which is the name of a file; those below
//! `/prometheus` have the shapes of Prometheus. Rules are files, so nothing is written here.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};
use watchfire_alert::rules::file::{Language, RuleKind};
use watchfire_alert::rules::{GroupView, RuleView};
use watchfire_model::duration::format_millis;
use watchfire_model::order::Order as _;

use super::answer::LokiError;
use crate::app::App;
use crate::prometheus::answer::{ApiError, Success};
use crate::prometheus::params::Params;
use crate::prometheus::rules::{active_alerts, listed};

/// All groups over logs, with their namespaces instead of their files. Files of one name stand under their whole path.
fn groups(app: &App) -> Vec<GroupView> {
    let mut groups = (app.rooms.rule_groups)();
    groups.retain(|group| group.language == Language::Logs);
    let mut files: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for group in &groups {
        files.entry(last_part(&group.file)).or_default().insert(&group.file);
    }
    let unique: BTreeSet<String> = files.iter().filter(|(_, files)| files.len() == 1).map(|(name, _)| (*name).to_owned()).collect();
    for group in &mut groups {
        if unique.contains(last_part(&group.file)) {
            group.file = last_part(&group.file).into();
        }
    }
    groups.order_by(|a, b| (&a.file, &a.name).cmp(&(&b.file, &b.name)));
    groups
}

fn last_part(file: &str) -> &str {
    file.rsplit('/').next().unwrap_or(file)
}

/// `GET /loki/api/v1/rules`: all namespaces. Without any rule, Loki says 404.
pub(super) async fn all(State(app): State<Arc<App>>) -> Result<Response, LokiError> {
    namespaces(&groups(&app))
}

/// `GET /loki/api/v1/rules/{namespace}`.
pub(super) async fn namespace(State(app): State<Arc<App>>, Path(name): Path<String>) -> Result<Response, LokiError> {
    let mut groups = groups(&app);
    groups.retain(|group| *group.file == *name);
    namespaces(&groups)
}

/// `GET /loki/api/v1/rules/{namespace}/{group}`.
pub(super) async fn group(State(app): State<Arc<App>>, Path((namespace, name)): Path<(String, String)>) -> Result<Response, LokiError> {
    let groups = groups(&app);
    let group = groups.iter().find(|group| *group.file == *namespace && group.name == name);
    let group = group.ok_or_else(|| LokiError::new(StatusCode::NOT_FOUND, "group does not exist"))?;
    let mut out = String::new();
    write_group(&mut out, group, ["", ""]);
    Ok(yaml(out))
}

/// `GET /prometheus/api/v1/rules`.
pub(super) async fn prometheus_rules(State(app): State<Arc<App>>, request: Request) -> Result<Success, ApiError> {
    listed(&groups(&app), &Params::read(request).await?)
}

/// `GET /prometheus/api/v1/alerts`.
pub(super) async fn prometheus_alerts(State(app): State<Arc<App>>) -> Success {
    active_alerts(&groups(&app))
}

fn namespaces(groups: &[GroupView]) -> Result<Response, LokiError> {
    if groups.is_empty() {
        return Err(LokiError::new(StatusCode::NOT_FOUND, "no rule groups found"));
    }
    let mut out = String::new();
    let mut before = None;
    for group in groups {
        if before != Some(&group.file) {
            put(&mut out, &[&scalar(&group.file), ":"]);
        }
        before = Some(&group.file);
        write_group(&mut out, group, ["    - ", "      "]);
    }
    Ok(yaml(out))
}

fn yaml(text: String) -> Response {
    let mut response = (StatusCode::OK, text).into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/yaml"));
    response
}

/// A line of these parts.
fn put(out: &mut String, parts: &[&str]) {
    for part in parts {
        out.push_str(part);
    }
    out.push('\n');
}

/// A group; the first of the indents is that of its first line.
fn write_group(out: &mut String, group: &GroupView, [first, others]: [&str; 2]) {
    put(out, &[first, "name: ", &scalar(&group.name)]);
    put(out, &[others, "interval: ", &millis(group.interval.as_millis())]);
    if group.limit > 0 {
        put(out, &[others, "limit: ", &group.limit.to_string()]);
    }
    put(out, &[others, "rules:"]);
    for rule in &group.rules {
        write_rule(out, rule, others);
    }
}

fn write_rule(out: &mut String, rule: &RuleView, indent: &str) {
    let key = if rule.kind.is_alert() { "alert" } else { "record" };
    put(out, &[indent, "    - ", key, ": ", &scalar(&rule.name)]);
    put(out, &[indent, "      expr: ", &scalar(&rule.query)]);
    let RuleKind::Alert { for_ms, keep_firing_for_ms, annotations } = &rule.kind else {
        return write_pairs(out, "labels", &rule.labels, indent);
    };
    for (key, ms) in [("for", *for_ms), ("keep_firing_for", *keep_firing_for_ms)] {
        if ms > 0 {
            put(out, &[indent, "      ", key, ": ", &format_millis(ms)]);
        }
    }
    write_pairs(out, "labels", &rule.labels, indent);
    write_pairs(out, "annotations", annotations, indent);
}

fn write_pairs(out: &mut String, key: &str, pairs: &[(String, String)], indent: &str) {
    if pairs.is_empty() {
        return;
    }
    put(out, &[indent, "      ", key, ":"]);
    for (name, value) in pairs {
        put(out, &[indent, "        ", &scalar(name), ": ", &scalar(value)]);
    }
}

fn millis(ms: u128) -> String {
    format_millis(u64::try_from(ms).unwrap_or(u64::MAX))
}

/// A text as YAML has it: bare where that means the same text, else in double quotes.
fn scalar(text: &str) -> String {
    let begins = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let bare = text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'/'));
    let word = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"].iter().any(|word| text.eq_ignore_ascii_case(word));
    if begins && bare && !word {
        return text.to_owned();
    }
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            // What YAML may take for the end of a line, or not print.
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}') => {
                // Writing to a text cannot fail.
                write!(quoted, "\\u{:04X}", u32::from(c)).ok();
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;
    use serde_json::json;
    use watchfire_alert::rules::file::read_logs;
    use watchfire_alert::rules::{AlertState, AlertView, Health};
    use watchfire_model::document::parse_yaml;
    use watchfire_model::labels;
    use watchfire_model::time::Timestamp;

    use super::*;
    use crate::testing::Faces;

    fn rule(name: &str, kind: RuleKind, alerts: Vec<AlertView>) -> RuleView {
        RuleView {
            name: name.to_owned(),
            query: "sum by (app)(count_over_time({app=~\".+\"} |= \"a\\\"b\"[5m])) > 1".to_owned(),
            labels: vec![("severity".to_owned(), "page".to_owned())],
            health: Health::Ok,
            last_error: None,
            failing_since: None,
            duration: Duration::from_millis(2),
            last_evaluation: Some(Timestamp(1_700_000_000_000)),
            kind,
            state: if alerts.is_empty() { AlertState::Inactive } else { AlertState::Firing },
            alerts,
        }
    }
    fn faces() -> Faces {
        let faces = Faces::new();
        let group = |file: &str, name: &str, language, rules| GroupView {
            name: name.to_owned(),
            file: file.into(),
            language,
            interval: Duration::from_secs(90),
            limit: 0,
            duration: Duration::ZERO,
            last_evaluation: None,
            rules,
        };
        let alert = AlertView {
            labels: labels!("alertname" => "Errors", "app" => "web"),
            annotations: labels!("summary" => "many"),
            state: AlertState::Firing,
            active_at: Timestamp(1_700_000_000_000),
            keep_firing_since: None,
            value: 3.0,
        };
        let annotations = vec![("summary".to_owned(), "{{ $labels.app }}: \"many\"\n".to_owned())];
        let errors = rule("Errors", RuleKind::Alert { for_ms: 120_000, keep_firing_for_ms: 60_000, annotations }, vec![alert]);
        faces.house.held().rule_groups = vec![
            group("/etc/rules/fake/b.yml", "two", Language::Logs, vec![rule("app:errors", RuleKind::Record, Vec::new())]),
            group("/etc/rules/fake/a.yml", "one", Language::Logs, vec![errors]),
            group("/etc/prometheus/m.yml", "metrics", Language::Metrics, vec![rule("Other", RuleKind::Record, Vec::new())]),
        ];
        faces
    }

    const ONE: &str = "name: one
interval: 1m30s
rules:
    - alert: Errors
      expr: \"sum by (app)(count_over_time({app=~\\\".+\\\"} |= \\\"a\\\\\\\"b\\\"[5m])) > 1\"
      for: 2m
      keep_firing_for: 1m
      labels:
        severity: page
      annotations:
        summary: \"{{ $labels.app }}: \\\"many\\\"\\n\"
";

    #[tokio::test]
    async fn groups_are_yaml_by_namespace() {
        let faces = faces();
        let one = faces.get("/loki/api/v1/rules/a.yml/one").await;
        assert_eq!((one.status, one.text().as_str(), one.header("content-type")), (StatusCode::OK, ONE, "application/yaml"));
        let all = faces.get("/loki/loki/api/v1/rules").await.text();
        assert!(
            all.starts_with("a.yml:\n    - name: one\n      interval: 1m30s\n      rules:\n          - alert: Errors\n")
                && all.contains("\nb.yml:\n    - name: two\n"),
            "{all}"
        );
        assert!(!all.contains("metrics"), "{all}");
        let b = faces.get("/loki/api/v1/rules/b.yml").await.text();
        assert!(b.starts_with("b.yml:\n") && !b.contains("a.yml"), "{b}");
        for (path, expected) in [("c.yml", "no rule groups found\n"), ("a.yml/two", "group does not exist\n"), ("m.yml", "no rule groups found\n")] {
            let none = faces.get(&format!("/loki/api/v1/rules/{path}")).await;
            assert_eq!((none.status, none.text().as_str()), (StatusCode::NOT_FOUND, expected), "{path}");
        }
    }

    /// What is given is a rule file again.
    #[tokio::test]
    async fn what_is_given_can_be_loaded() {
        let text = faces().get("/loki/api/v1/rules").await.text();
        for (namespace, groups) in parse_yaml("l.yml", &text).unwrap().entries().unwrap() {
            let root =
                watchfire_model::document::Node { value: watchfire_model::document::Value::Map(vec![(key("groups"), groups.clone())]), line: 1, column: 1 };
            let parsed = read_logs(&namespace.text, &root, None);
            assert!(parsed.file.is_some(), "{:?}", parsed.findings);
        }
    }

    fn key(text: &str) -> watchfire_model::document::Key {
        parse_yaml("k.yml", &format!("{text}: 1")).unwrap().entries().unwrap()[0].0.clone()
    }

    #[tokio::test]
    async fn the_shapes_of_prometheus_hold_rules_over_logs_only() {
        let faces = faces();
        let answer = faces.get("/prometheus/api/v1/rules").await.json();
        let groups = answer["data"]["groups"].as_array().unwrap();
        assert_eq!(
            groups.iter().map(|g| (g["file"].clone(), g["name"].clone())).collect::<Vec<_>>(),
            [(json!("a.yml"), json!("one")), (json!("b.yml"), json!("two"))]
        );
        assert_eq!((&groups[0]["rules"][0]["state"], &groups[0]["rules"][0]["alerts"][0]["value"]), (&json!("firing"), &json!("3e+00")));
        let alerts = faces.get("/loki/prometheus/api/v1/alerts").await.json();
        assert_eq!(alerts["data"]["alerts"][0]["labels"], json!({"alertname": "Errors", "app": "web"}));
        let metrics = faces.get("/api/v1/rules").await.json();
        assert_eq!(metrics["data"]["groups"].as_array().unwrap().len(), 1);
        assert_eq!(faces.get("/api/v1/alerts").await.json()["data"]["alerts"], json!([]));
        let both = faces.get("/api/v1/rules?logs=true").await.json();
        let languages: Vec<_> = both["data"]["groups"].as_array().unwrap().iter().map(|g| g["language"].clone()).collect();
        assert_eq!(languages, [json!("promql"), json!("logql"), json!("logql")]);
    }

    proptest! {
        #[test]
        fn every_text_comes_back(text in "\\PC{0,12}|[ -~\\n\\t\u{7f}\u{85}\u{2028}]{0,12}") {
            let parsed = parse_yaml("x.yml", &format!("k: {}\n", scalar(&text))).unwrap();
            prop_assert_eq!(parsed.get("k").unwrap().text(), Some(text.as_str()));
        }
    }
}
