//! What is kept of dashboards: versions and their bounds, restarts, what files bring.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use watchfire_model::time::{ManualClock, Timestamp};

use super::*;
use crate::testing::Memory;

fn open(state: &Arc<Memory>) -> Boards {
    Boards::open(state.clone(), ManualClock::new(Timestamp(1_000)), Vec::new(), Arc::new(Vec::new), 8000).unwrap()
}
fn model(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}
fn save(boards: &Boards, value: Value) -> Result<Saved, GrafanaError> {
    boards.save(Save { model: model(value), folder: None, folder_id: 0, overwrite: true, message: String::new(), by: "eva".to_owned(), restored_from: 0 })
}
fn of_file(text: &'static str, changeable: bool) -> FixedBoard {
    FixedBoard::read(text, "Team", FixedOrigin::File { path: "a.json".to_owned(), changeable }, 5).unwrap()
}

#[test]
fn what_was_acknowledged_is_there_after_a_restart() {
    let state = Arc::new(Memory::default());
    let boards = open(&state);
    let saved = save(&boards, json!({"uid": "a", "title": "A"})).unwrap();
    boards.make_folder(Some("f"), "F", "eva").unwrap();
    boards.add_source(&model(json!({"name": "S", "type": "loki", "url": "http://loki:3100"}))).unwrap();
    let again = open(&state);
    assert_eq!(again.get("a").unwrap().listed.title, "A");
    assert_eq!(again.folder("f").unwrap().folder.title, "F");
    assert!(again.source_list().iter().any(|s| s.record.name == "S" && s.not_followed.is_none()));
    let next = save(&again, json!({"title": "B"})).unwrap();
    assert!(next.id > saved.id + 2, "numbers are not given twice: {}", next.id);
}

#[test]
fn the_last_versions_are_kept_and_nothing_else() {
    let state = Arc::new(Memory::default());
    let boards = open(&state);
    for i in 0..25 {
        save(&boards, json!({"uid": "a", "title": format!("A{i}")})).unwrap();
    }
    let versions: Vec<u64> = boards.versions("a").unwrap().iter().map(|v| v.version).collect();
    assert_eq!(versions, (6..=25).rev().collect::<Vec<_>>());
    let stored = |table| state.0.lock().unwrap().keys().filter(|(t, _)| *t == table).count();
    assert_eq!(stored(MODELS), VERSIONS_MAX);
    let large = "x".repeat(BOARD_BYTES_MAX - 100);
    for _ in 0..5 {
        save(&boards, json!({"uid": "a", "title": "A", "text": large})).unwrap();
    }
    assert_eq!(boards.versions("a").unwrap().len(), 4, "no more than four megabytes of them");
    boards.remove("a").unwrap();
    assert_eq!((stored(MODELS), stored(BOARDS)), (0, 0));
}

#[test]
fn all_of_them_have_a_bound() {
    let boards = open(&Arc::new(Memory::default()));
    let large = "x".repeat(BOARD_BYTES_MAX - 100);
    let error = (0..40).find_map(|i| save(&boards, json!({"uid": format!("b{i}"), "title": "B", "text": large})).err()).unwrap();
    assert_eq!(error.status, 507);
    assert_eq!(boards.list().len(), ALL_BYTES_MAX / BOARD_BYTES_MAX);
}

#[test]
fn a_record_that_cannot_be_read_is_passed_over() {
    let state = Arc::new(Memory::default());
    let boards = open(&state);
    save(&boards, json!({"uid": "a", "title": "A"})).unwrap();
    save(&boards, json!({"uid": "b", "title": "B"})).unwrap();
    state.0.lock().unwrap().insert((BOARDS, "a".to_owned()), b"{".to_vec());
    state.0.lock().unwrap().insert((MODELS, model_key("b", 1)), b"[]".to_vec());
    let again = open(&state);
    assert_eq!(again.list().len(), 1);
    assert_eq!(again.get("b").err().map(|e| e.status.as_u16()), Some(500));
}

#[test]
fn files_count_until_they_are_saved_over_and_again_once_they_change() {
    let boards = open(&Arc::new(Memory::default()));
    let first = r#"{"uid": "f", "title": "From file"}"#;
    assert_eq!(boards.provide(vec![of_file(first, false), of_file(first, false)], Vec::new()), ["a.json"], "one uid, two files");
    let found = boards.get("f").unwrap();
    assert_eq!((found.listed.folder.title.as_str(), found.can_save, found.file.as_deref()), ("Team", false, Some("a.json")));
    assert_eq!(save(&boards, json!({"uid": "f", "title": "Mine"})).unwrap_err().message, "Cannot save provisioned dashboard");
    assert_eq!(boards.remove("f").unwrap_err().status, 400);
    boards.provide(vec![of_file(first, true)], Vec::new());
    save(&boards, json!({"uid": "f", "title": "Mine"})).unwrap();
    assert_eq!(boards.get("f").unwrap().listed.title, "Mine");
    assert_eq!(boards.list().iter().map(|l| l.title.as_str()).collect::<Vec<_>>(), ["Mine"]);
    boards.provide(vec![of_file(r#"{"uid": "f", "title": "Newer"}"#, true)], Vec::new());
    assert_eq!(boards.get("f").unwrap().listed.title, "Newer");
    boards.provide(Vec::new(), Vec::new());
    assert_eq!(boards.get("f").unwrap().listed.title, "Mine", "the file is gone, what was saved is not");
}

#[test]
fn files_that_are_no_dashboards_say_why() {
    let read = |text: &'static str| FixedBoard::read(text, "", FixedOrigin::File { path: "p".to_owned(), changeable: false }, 0);
    for (text, words) in [
        ("{", "no JSON"),
        ("[]", "no JSON object"),
        ("{\"panels\": []}", "no title"),
        ("{\"apiVersion\": \"dashboard.grafana.app/v2\", \"spec\": {}}", "no title"),
    ] {
        assert!(read(text).unwrap_err().contains(words), "{text}");
    }
    let wrapped = read(r#"{"meta": {}, "dashboard": {"uid": "x y", "title": "T", "tags": ["a", 1]}}"#).unwrap();
    assert_eq!((wrapped.title.as_str(), &wrapped.tags[..]), ("T", &["a".to_owned()][..]));
    assert!(is_uid(&wrapped.uid), "its own is none: {}", wrapped.uid);
    assert_eq!(wrapped.folder_uid, "");
}

#[test]
fn data_sources_that_name_a_replaced_program_mean_ourselves() {
    for (kind, url, ours) in [
        ("prometheus", "http://prometheus:9090", true),
        ("prometheus", "http://localhost:9090/", true),
        ("prometheus", "http://127.0.0.1:8000", true),
        ("prometheus", "http://prometheus:9091", false),
        ("prometheus", "http://loki:9090", false),
        ("loki", "http://loki:3100", true),
        ("loki", "loki:3100", true),
        ("tempo", "http://tempo:3200", true),
        ("jaeger", "http://jaeger:16686", true),
        ("grafana-pyroscope-datasource", "http://pyroscope:4040", true),
        ("alertmanager", "http://alertmanager:9093", true),
        ("prometheus", "http://[", false),
        ("mysql", "db:3306", false),
    ] {
        assert_eq!(not_followed(kind, url, 8000).is_none(), ours, "{kind} {url}");
    }
}

#[test]
fn files_share_their_text_and_are_read_once() {
    let read = |text: &str| FixedBoard::read(text.to_owned(), "", FixedOrigin::File { path: "p".to_owned(), changeable: false }, 0).unwrap();
    let board = read(r#"{"title": "T", "panels": []}"#);
    assert!(std::ptr::eq(&**board.text, &**board.clone().text), "no second copy");
    for (text, expected) in [
        (r#"{"title": "T", "panels": []}"#, true),
        (r#"{"title": "T", "rows": []}"#, true),
        (r#"{"dashboard": {"title": "T", "panels": []}}"#, true),
        (r#"{"title": "T"}"#, false),
    ] {
        assert_eq!(read(text).has_panels(), expected, "{text}");
    }
}
