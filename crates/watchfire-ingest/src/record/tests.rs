//! Tests of recording: what is taken, what is refused with which code, what the exposition shows, bounds.

use std::sync::Mutex;

use proptest::prelude::*;
use watchfire_model::batch::Batch;
use watchfire_model::time::{ManualClock, Timestamp};
use watchfire_pack::catalog::{CatalogFile, Charset, LabelSpec};

use super::*;
use crate::exposition::{Format, render};

#[derive(Default)]
struct Kept(Mutex<Vec<Batch>>);
impl Sink for Kept {
    fn write(&self, batch: Batch) -> Result<Written, WriteError> {
        let stored = batch.sample_count() as u64;
        self.0.lock().unwrap().push(batch);
        Ok(Written { stored, ..Written::default() })
    }
}

fn recorder() -> (Recorder, Arc<Kept>, Meter) {
    let (kept, meter) = (Arc::new(Kept::default()), Meter::new());
    (Recorder::new(Catalogs::builtin(), ManualClock::new(Timestamp(5)), &meter, ""), kept, meter)
}

fn exposition(recorder: &Recorder) -> String {
    render(Format::PrometheusText, &recorder.families())
}

#[track_caller]
fn check(body: &str, accepted: u64, errors: &[&str], lines: &[&str]) {
    let (recorder, _, _) = recorder();
    let outcome = recorder.record(body.as_bytes()).unwrap();
    let found: Vec<String> = outcome.refused.iter().map(|e| format!("{} {}: {}", e.index, e.code, e.message)).collect();
    assert_eq!((outcome.recorded, found), (accepted, errors.iter().map(|&e| e.to_owned()).collect()), "{body}");
    let text = exposition(&recorder);
    for line in lines {
        assert!(text.lines().any(|l| l == *line), "{line} is not in {text}");
    }
}

#[test]
fn items_are_counted_set_and_observed() {
    check(
        r#"[{"name":"hsi_events_created_total","value":1},{"name":"hsi_events_created_total","labels":{},"value":2.5},{"name":"hsi_detection_queue_depth","value":7},{"name":"hsi_detection_queue_depth","value":-3}]"#,
        4,
        &[],
        &["hsi_events_created_total 3.5", "hsi_detection_queue_depth -3"],
    );
    check(
        r#"[{"name":"hsi_stage_duration_seconds","labels":{"stage":"detect"},"value":0.025},{"name":"hsi_stage_duration_seconds","labels":{"stage":"detect"},"value":0.03},{"name":"hsi_stage_duration_seconds","labels":{"stage":"detect"},"value":100}]"#,
        3,
        &[],
        &[
            "hsi_stage_duration_seconds_bucket{le=\"0.01\",stage=\"detect\"} 0",
            "hsi_stage_duration_seconds_bucket{le=\"0.025\",stage=\"detect\"} 1",
            "hsi_stage_duration_seconds_bucket{le=\"1.0\",stage=\"detect\"} 2",
            "hsi_stage_duration_seconds_bucket{le=\"60.0\",stage=\"detect\"} 2",
            "hsi_stage_duration_seconds_bucket{le=\"+Inf\",stage=\"detect\"} 3",
            "hsi_stage_duration_seconds_sum{stage=\"detect\"} 100.055",
            "hsi_stage_duration_seconds_count{stage=\"detect\"} 3",
        ],
    );
    check(
        r#"{"name":"hsi_detection_confidence","value":0.92}"#,
        1,
        &[],
        &["hsi_detection_confidence_bucket{le=\"0.9\"} 0", "hsi_detection_confidence_bucket{le=\"0.95\"} 1"],
    );
    check("[]", 0, &[], &["# TYPE hsi_risk_score histogram", "# TYPE http_requests_total counter", "# TYPE camera_fps gauge"]);
}

#[test]
fn a_name_of_several_packs_is_told_apart_by_its_labels() {
    check(
        r#"[{"name":"http_requests_total","value":1},{"name":"http_requests_total","labels":{"method":"GET","endpoint":"/API/x","status":200},"value":1}]"#,
        2,
        &[],
        &["http_requests_total 1", "http_requests_total{endpoint=\"/API/x\",method=\"get\",status=\"200\"} 1"],
    );
}

#[test]
fn bad_items_are_refused_and_good_ones_are_recorded() {
    check(
        r#"[{"name":"hsi_event_created_total","value":1},{"name":"hsi_events_created_total","value":1},{"name":"no","value":1},5,{"value":1},{"name":"a"},{"name":"hsi_events_created_total","value":-1},{"name":"hsi_events_created_total","value":"1"},{"name":"hsi_events_created_total","value":1,"time":5},{"name":"hsi_events_created_total","labels":{"x":"y"},"value":1},{"name":"hsi_stage_duration_seconds","value":1},{"name":"hsi_stage_duration_seconds","labels":{"stage":["a"]},"value":1},{"name":"hsi_gpu_temperature","value":1},{"name":"hsi_detections_by_class_total","labels":{"object_klass":"car"},"value":1}]"#,
        2,
        &[
            "0 unknown_metric: no catalog declares \"hsi_event_created_total\"; did you mean \"hsi_events_created_total\"?",
            "2 unknown_metric: no catalog declares \"no\"",
            "3 invalid_item: an item must be an object",
            "4 invalid_item: name is missing",
            "5 invalid_item: value is missing",
            "6 invalid_value: hsi_events_created_total is a counter and cannot go down by 1",
            "7 invalid_value: value must be a number",
            "8 invalid_item: unknown key \"time\"; an item has name, labels and value",
            "9 unknown_label: hsi_events_created_total has no label \"x\"; it has none",
            "11 invalid_item: label \"stage\" must be a text",
            "12 not_recordable: hsi_gpu_temperature is produced by json_exporter, not by applications",
            "13 unknown_label: hsi_detections_by_class_total has no label \"object_klass\"; it has object_class",
        ],
        &["hsi_events_created_total 1", "hsi_stage_duration_seconds_count{stage=\"unknown\"} 1"],
    );
}

#[test]
fn bodies_have_limits() {
    let (recorder, _, _) = recorder();
    let deep = format!("{}{}", "[".repeat(65), "]".repeat(65));
    assert_eq!(recorder.record(deep.as_bytes()), Err(RecordError::TooDeep));
    let hidden = format!("[{{\"name\":\"{}\",\"value\":1}}]", "[".repeat(100));
    assert_eq!(recorder.record(hidden.as_bytes()).unwrap().refused.len(), 1);
    assert!(matches!(recorder.record(&vec![b' '; BODY_BYTES_MAX + 1]), Err(RecordError::TooLarge(_))));
    let many = format!("[{}5]", "5,".repeat(ITEMS_MAX));
    assert!(matches!(recorder.record(many.as_bytes()), Err(RecordError::TooLarge(_))));
    for text in ["", "5", "\"x\"", "[1", "[] []", "nul", "{\"name\":\"hsi_events_created_total\",\"value\":1},"] {
        assert!(matches!(recorder.record(text.as_bytes()), Err(RecordError::Syntax(_))), "{text}");
    }
    let half = br#"[{"name":"hsi_events_created_total","value":1},"#;
    assert!(recorder.record(half).is_err());
    assert!(!exposition(&recorder).contains("hsi_events_created_total 1"), "nothing of a broken body is taken");
    let wrong = format!("[{}5]", "5,".repeat(ITEMS_MAX - 1));
    let outcome = recorder.record(wrong.as_bytes()).unwrap();
    assert_eq!(outcome.refused.len(), ITEMS_MAX);
}

#[test]
fn label_values_are_sanitised() {
    let count = |label: &str, value: &str, name: &str, out: &str| {
        let body = serde_json::json!([{"name": name, "labels": {label: value}, "value": 1}]).to_string();
        check(&body, 1, &[], &[&format!("{name}{{{label}=\"{out}\"}} 1")]);
    };
    for (value, out) in
        [("person", "person"), (" Person ", "person"), ("zzz<script>", "other"), ("", "unknown"), ("traffic light", "traffic light"), ("unknown", "unknown")]
    {
        count("object_class", value, "hsi_detections_by_class_total", out);
    }
    for (value, out) in [("timeout_error", "timeout_error"), ("rate_limit_error", "rate_limit_error"), ("disk melted", "unknown_error"), ("", "unknown_error")]
    {
        count("error_type", value, "hsi_pipeline_errors_total", out);
    }
    for (value, out) in [("Front_Door-1", "Front_Door-1"), ("front door/é", "front_door__"), ("", "unknown"), (&*"x".repeat(100), &*"x".repeat(64))] {
        count("camera_id", value, "hsi_nemotron_tokens_input_total", out);
    }
    for (value, out) in [
        ("  Detection Worker ", "detection worker"),
        ("a<<b>>c", "a_b_c"),
        ("__x__", "x"),
        ("\"\n", "unknown"),
        ("a/b:c.d-e", "a/b:c.d-e"),
        (&*"y".repeat(100), &*"y".repeat(64)),
    ] {
        count("worker_name", value, "hsi_worker_restarts_total", out);
    }
    count("level", "CRITICAL", "hsi_events_by_risk_level_total", "critical");
    count("level", "apocalyptic", "hsi_events_by_risk_level_total", "other");
    count("model", "Nemotron-3/8B", "hsi_gpu_seconds_total", "Nemotron-3/8B");
}

#[test]
fn the_number_of_series_is_bounded() {
    let (recorder, _, meter) = recorder();
    let item = |name: &str, label: &str, i: usize| Item { name: name.to_owned(), labels: vec![(label.to_owned(), format!("v{i}"))], value: 1.0 };
    let outcome = recorder.record_items((0..1000).map(|i| item("hsi_worker_restarts_total", "worker_name", i)));
    assert_eq!(outcome.recorded, 1000);
    let families = recorder.families();
    let family = families.iter().find(|f| &*f.name == "hsi_worker_restarts_total").unwrap();
    assert_eq!(family.points.len(), 65, "64 values and the overflow value");
    assert_eq!(family.points.iter().map(|(_, v)| v).sum::<f64>(), 1000.0, "nothing is lost");
    let folded = meter.gather().into_iter().find(|f| &*f.name == "watchfire_record_values_folded_total").unwrap();
    assert_eq!(folded.points[0].1, 936.0);
}

#[test]
fn the_number_of_series_of_a_family_is_bounded_over_all_labels() {
    let text = "produced_by: application\nlabels: {a: {}, b: {}}\nfamilies:\n  x_total: {type: counter, help: X., labels: [a, b]}\n";
    let (catalogs, findings) = Catalogs::read(&[CatalogFile { pack: "p", path: "f", text }]);
    assert!(findings.is_empty());
    let recorder = Recorder::new(Arc::new(catalogs), ManualClock::new(Timestamp(5)), &Meter::new(), "");
    let items = (0..100).flat_map(|a| {
        (0..100).map(move |b| Item { name: "x_total".to_owned(), labels: vec![("a".to_owned(), a.to_string()), ("b".to_owned(), b.to_string())], value: 1.0 })
    });
    assert_eq!(recorder.record_items(items).recorded, 10_000);
    let points = &recorder.families()[0].points;
    assert_eq!(points.len(), SERIES_PER_FAMILY_MAX + 1);
    assert_eq!(points.iter().map(|(_, v)| v).sum::<f64>(), 10_000.0);
}

#[test]
fn values_go_into_the_store_as_job_app() {
    let (recorder, kept, _) = recorder();
    assert_eq!(recorder.flush(&*kept).unwrap(), Written::default());
    assert!(kept.0.lock().unwrap().is_empty());
    recorder.record(br#"[{"name":"hsi_events_created_total","value":2},{"name":"hsi_risk_score","value":50}]"#).unwrap();
    assert_eq!(recorder.flush(&*kept).unwrap().stored, 14);
    let batches = kept.0.lock().unwrap();
    let series = &batches[0].series;
    assert_eq!(series[0].labels.to_string(), r#"hsi_events_created_total{job="app"}"#);
    assert_eq!(series[0].samples.as_slice(), [Sample { time: Timestamp(5), value: 2.0 }]);
    assert_eq!(&*batches[0].origin.0, "record");
    assert_eq!(batches[0].metadata.len(), 2);
    assert!(series.iter().any(|s| s.labels.to_string() == r#"hsi_risk_score_bucket{job="app", le="50.0"}"#));
}

#[test]
fn stored_series_name_their_instance_and_totals_are_known() {
    let recorder = Recorder::new(Catalogs::builtin(), ManualClock::new(Timestamp(5)), &Meter::new(), "pi");
    assert_eq!(recorder.total("hsi_detections_by_class_total"), None);
    let outcome = recorder.record(br#"[{"name":"hsi_detections_by_class_total","labels":{"object_class":"car"},"value":2},{"name":"hsi_detections_by_class_total","labels":{"object_class":"cat"},"value":3},{"name":"x"}]"#).unwrap();
    assert_eq!((outcome.recorded, &*outcome.refused[0].name), (2, "x"));
    assert_eq!(recorder.total("hsi_detections_by_class_total"), Some(5.0));
    assert_eq!(recorder.total("no_such"), None);
    let kept = Kept::default();
    recorder.flush(&kept).unwrap();
    assert_eq!(kept.0.lock().unwrap()[0].series[0].labels.to_string(), r#"hsi_detections_by_class_total{instance="pi", job="app", object_class="car"}"#);
}

#[test]
fn concurrent_recording_loses_nothing() {
    let (recorder, _, _) = recorder();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..500 {
                    recorder.record(br#"[{"name":"hsi_events_created_total","value":1},{"name":"hsi_risk_score","value":5}]"#).unwrap();
                }
            });
        }
    });
    let text = exposition(&recorder);
    assert!(text.contains("\nhsi_events_created_total 2000\n") && text.contains("\nhsi_risk_score_count 2000\n"));
}

#[test]
fn every_shown_family_stands_there_once() {
    let (recorder, _, _) = recorder();
    let families = recorder.families();
    assert!(families.windows(2).all(|w| w[0].name < w[1].name));
    assert!(!families.iter().any(|f| f.name.starts_with("hsi_gpu_temp")), "what the JSON exporter makes is not exposed here");
    assert!(families.len() > 100);
}

fn spec() -> impl Strategy<Value = LabelSpec> {
    (any::<bool>(), any::<bool>(), any::<bool>(), 1..70usize).prop_map(|(id, lowercase, closed, max_length)| LabelSpec {
        name: "l".into(),
        optional: false,
        values: if closed { vec!["a".into(), "b c".into()] } else { Vec::new() },
        otherwise: "other".into(),
        empty: "unknown".into(),
        max_length,
        values_max: 10,
        charset: if id { Charset::Id } else { Charset::Text },
        lowercase,
    })
}

proptest! {
    #[test]
    fn sanitised_values_are_short_clean_and_stable(spec in spec(), raw in ".{0,200}") {
        let value = sanitize(&spec, &raw);
        prop_assert!(!value.is_empty());
        prop_assert!(value.chars().count() <= spec.max_length.max(7));
        prop_assert!(value.chars().all(|c| c.is_ascii_alphanumeric() || "_-./: ".contains(c)));
        if value.chars().count() <= spec.max_length { prop_assert_eq!(sanitize(&spec, &value), value); }
    }

    #[test]
    fn no_body_makes_it_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        let (recorder, _, _) = recorder();
        let _unused = recorder.record(&body);
    }

    #[test]
    fn no_nearly_valid_body_makes_it_panic(body in r#"[\[{]([\[\]{},:"0-9a-z]|"name":|"value":1|"labels":\{|"hsi_events_created_total"){0,20}"#) {
        let (recorder, _, _) = recorder();
        let _unused = recorder.record(body.as_bytes());
    }
}

/// What is watched no more leaves no series behind: the exposition lacks it, the store hears that it ended, and its place is free.
#[test]
fn a_value_has_room_again_when_the_last_series_with_it_is_retired() {
    let (recorder, _, _) = recorder();
    let fails = |id: &str, reason| recorder.observe("camera_session_errors_total", &[("camera_id", id), ("reason", reason)], 1.0);
    (0..256).for_each(|n| fails(&format!("c{n}"), "closed"));
    fails("c0", "stalled");
    fails("c0", "stalled");
    let has = |id: &str| exposition(&recorder).contains(&format!("{{camera_id=\"{id}\""));
    recorder.retire("camera_session_errors_total", &[("camera_id", "c0"), ("reason", "closed")]);
    fails("new", "closed");
    assert!(has("c0") && !has("new"), "another series has the value still");
    recorder.retire("camera_session_errors_total", &[("camera_id", "c0")]);
    recorder.retire("camera_session_errors_total", &[("camera_id", "c0")]);
    fails("new", "closed");
    fails("newer", "closed");
    assert!(!has("c0") && has("new") && !has("newer"));
}

#[test]
fn series_that_are_retired_end() {
    let (recorder, kept, _) = recorder();
    let front = [("camera_id", "front")];
    recorder.observe("camera_fps", &front, 25.0);
    recorder.observe("camera_fps", &[("camera_id", "back")], 12.0);
    recorder.flush(&*kept).unwrap();
    recorder.retire("camera_fps", &front);
    recorder.retire("no_such_family", &front);
    assert!(exposition(&recorder).contains("camera_fps{camera_id=\"back\"} 12") && !exposition(&recorder).contains("front"));
    recorder.flush(&*kept).unwrap();
    let batches = kept.0.lock().unwrap();
    let values = |batch: &Batch, id: &str| -> Vec<u64> {
        let of = batch.series.iter().filter(|s| s.labels.get("camera_id") == Some(id));
        of.map(|s| if let Samples::One(sample) = s.samples { sample.value.to_bits() } else { 0 }).collect()
    };
    assert_eq!(values(&batches[1], "front"), [stale_nan().to_bits()]);
    assert_eq!(values(&batches[1], "back"), [12f64.to_bits()]);
    drop(batches);
    recorder.flush(&*kept).unwrap();
    assert!(values(&kept.0.lock().unwrap()[2], "front").is_empty(), "an end is told once");
    // A value is looked for as it was stored.
    recorder.observe("camera_fps", &[("camera_id", "live/cam 1")], 9.0);
    assert!(exposition(&recorder).contains("} 9\n"));
    recorder.retire("camera_fps", &[("camera_id", "live/cam 1")]);
    assert!(!exposition(&recorder).contains("} 9\n"));
    recorder.flush(&*kept).unwrap();
    // Who is there again before the end was told has not ended.
    recorder.retire("camera_fps", &[("camera_id", "back")]);
    recorder.observe("camera_fps", &[("camera_id", "back")], 13.0);
    recorder.flush(&*kept).unwrap();
    assert_eq!(values(kept.0.lock().unwrap().last().unwrap(), "back"), [13f64.to_bits()]);
}
