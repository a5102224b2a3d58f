//! Rules and alerts over groups that are set by hand. The bodies are those of Prometheus.

use std::time::Duration;

use http::StatusCode;
use watchfire_alert::rules::file::{Language, RuleKind};
use watchfire_alert::rules::{AlertState, AlertView, GroupView, Health, RuleView};
use watchfire_model::labels;
use watchfire_model::time::Timestamp;

use crate::testing::Faces;

fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect()
}

fn rule(name: &str, kind: RuleKind) -> RuleView {
    RuleView {
        name: name.to_owned(),
        query: "up == 0".to_owned(),
        labels: Vec::new(),
        health: Health::Unknown,
        last_error: None,
        failing_since: None,
        duration: Duration::ZERO,
        last_evaluation: None,
        kind,
        state: AlertState::Inactive,
        alerts: Vec::new(),
    }
}

fn group(file: &str, name: &str, rules: Vec<RuleView>) -> GroupView {
    GroupView {
        name: name.to_owned(),
        file: file.into(),
        language: Language::Metrics,
        interval: Duration::from_secs(30),
        limit: 0,
        duration: Duration::ZERO,
        last_evaluation: None,
        rules,
    }
}

fn faces() -> Faces {
    let faces = Faces::new();
    let kind = RuleKind::Alert { for_ms: 90_000, keep_firing_for_ms: 0, annotations: pairs(&[("summary", "{{ $value }}")]) };
    let alert = AlertView {
        labels: labels!("alertname" => "Down", "severity" => "page"),
        annotations: labels!("summary" => "1"),
        state: AlertState::Firing,
        active_at: Timestamp(1_700_000_000_123),
        keep_firing_since: None,
        value: 1.0,
    };
    let down = RuleView {
        labels: pairs(&[("severity", "page")]),
        health: Health::Ok,
        duration: Duration::from_micros(1_500),
        last_evaluation: Some(Timestamp(1_700_000_030_000)),
        state: AlertState::Firing,
        alerts: vec![alert],
        ..rule("Down", kind)
    };
    let failed = RuleView { health: Health::Err, last_error: Some("no".to_owned()), ..rule("a:b", RuleKind::Record) };
    faces.house.held().rule_groups = vec![group("b.yml", "two", vec![rule("c:d", RuleKind::Record)]), group("a.yml", "one", vec![down, failed])];
    faces
}

#[tokio::test]
async fn rules_and_alerts_have_the_shapes_of_the_original() {
    let faces = faces();
    let alert = concat!(
        r#"{"labels":{"alertname":"Down","severity":"page"},"annotations":{"summary":"1"},"state":"firing","#,
        r#""activeAt":"2023-11-14T22:13:20.123Z","value":"1e+00"}"#
    );
    let down = format!(
        concat!(
            r#"{{"state":"firing","name":"Down","query":"up == 0","duration":90,"keepFiringFor":0,"labels":{{"severity":"page"}},"#,
            r#""annotations":{{"summary":"{{{{ $value }}}}"}},"alerts":[{}],"health":"ok","evaluationTime":0.0015,"#,
            r#""lastEvaluation":"2023-11-14T22:13:50Z","type":"alerting"}}"#
        ),
        alert
    );
    let failed =
        r#"{"name":"a:b","query":"up == 0","health":"err","lastError":"no","evaluationTime":0,"lastEvaluation":"0001-01-01T00:00:00Z","type":"recording"}"#;
    let one = format!(
        r#"{{"name":"one","file":"a.yml","rules":[{down},{failed}],"interval":30,"limit":0,"evaluationTime":0,"lastEvaluation":"0001-01-01T00:00:00Z"}}"#
    );
    let text = faces.get("/api/v1/rules?rule_group[]=one").await.text();
    assert_eq!(text, format!(r#"{{"status":"success","data":{{"groups":[{one}]}}}}"#));
    assert_eq!(faces.get("/api/v1/alerts").await.text(), format!(r#"{{"status":"success","data":{{"alerts":[{alert}]}}}}"#));
}

#[tokio::test]
async fn filters_choose_rules_and_pages_follow_one_another() {
    let faces = faces();
    let names = async |query: &str| {
        let answer = faces.get(&format!("/api/v1/rules?{query}")).await;
        let groups = answer.json()["data"]["groups"].as_array().cloned().unwrap_or_default();
        groups.iter().flat_map(|g| g["rules"].as_array().cloned().unwrap_or_default()).map(|r| r["name"].as_str().unwrap_or("").to_owned()).collect::<Vec<_>>()
    };
    for (query, expected) in [
        ("", vec!["Down", "a:b", "c:d"]),
        ("type=alert", vec!["Down"]),
        ("type=RECORD", vec!["a:b", "c:d"]),
        ("rule_name[]=Down&rule_name[]=c:d", vec!["Down", "c:d"]),
        ("rule_group[]=two", vec!["c:d"]),
        ("file[]=a.yml", vec!["Down", "a:b"]),
        ("match[]={severity=%22page%22}", vec!["Down"]),
        ("match[]={severity=%22x%22}", vec![]),
    ] {
        assert_eq!(names(query).await, expected, "{query}");
    }
    let without = faces.get("/api/v1/rules?exclude_alerts=true&rule_name[]=Down").await;
    assert_eq!(without.json()["data"]["groups"][0]["rules"][0]["alerts"], serde_json::Value::Null);

    let first = faces.get("/api/v1/rules?group_limit=1").await.json();
    assert_eq!(first["data"]["groups"][0]["name"], "one");
    let token = first["data"]["groupNextToken"].as_str().unwrap().to_owned();
    let second = faces.get(&format!("/api/v1/rules?group_limit=1&group_next_token={token}")).await.json();
    assert_eq!((&second["data"]["groups"][0]["name"], second["data"].get("groupNextToken")), (&serde_json::json!("two"), None));
    for (query, expected) in [
        ("type=x", "invalid parameter \"type\": not supported value \"x\""),
        ("exclude_alerts=maybe", "error converting exclude_alerts"),
        ("group_limit=0", "group_limit needs to be greater than 0"),
        ("group_limit=x", "group_limit needs to be a valid number"),
        ("group_next_token=x", "group_limit needs to be present in order to paginate over the groups"),
        ("group_limit=1&group_next_token=x", "invalid group_next_token 'x'. were rule groups changed?"),
        ("match[]=(", "invalid parameter \"match[]\""),
    ] {
        let answer = faces.get(&format!("/api/v1/rules?{query}")).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{query}");
        assert!(answer.json()["error"].as_str().unwrap().contains(expected), "{query}: {}", answer.text());
    }
}

#[tokio::test]
async fn alertmanagers_are_named() {
    let faces = faces();
    faces.house.held().alertmanagers = vec!["http://am:9093/api/v2/alerts".to_owned()];
    let expected = r#"{"status":"success","data":{"activeAlertmanagers":[{"url":"http://am:9093/api/v2/alerts"}],"droppedAlertmanagers":[]}}"#;
    assert_eq!(faces.get("/api/v1/alertmanagers").await.text(), expected);
}
