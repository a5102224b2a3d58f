//! Tests of the record API against the shipped catalogs: the catalogue's rows about labels and buckets by their numbers,
//! the bound on cardinality, and what concerns several calls.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use serde_json::{Value as Json, json};
use watchfire_model::batch::MetricType;
use watchfire_model::time::{ManualClock, Timestamp};
use watchfire_pack::catalog::{CatalogFile, FamilySpec, Producer};

use super::*;

struct Bench {
    recorder: Recorder,
    clock: Arc<ManualClock>,
    meter: Meter,
}
impl Bench {
    fn of(catalogs: Arc<Catalogs>) -> Bench {
        let (clock, meter) = (ManualClock::new(Timestamp(1_000_000)), Meter::new());
        let shared: SharedClock = clock.clone();
        Bench { recorder: Recorder::new(catalogs, shared, &meter, "home:3002"), clock, meter }
    }
    fn builtin() -> Bench {
        Bench::of(Catalogs::builtin())
    }
    fn with(text: &str) -> Bench {
        let (catalogs, findings) = Catalogs::read(&[CatalogFile { pack: "p", path: "f.yml", text }]);
        assert!(findings.is_empty(), "{findings:?}");
        Bench::of(Arc::new(catalogs))
    }
    fn send(&self, body: &Json) -> Outcome {
        self.recorder.record(body.to_string().as_bytes()).unwrap()
    }
    /// Codes of the refused items, by place.
    fn codes(&self, body: &Json) -> Vec<(usize, &'static str)> {
        self.send(body).refused.into_iter().map(|r| (r.index, r.code)).collect()
    }
    /// All points as text, `name{labels} value`.
    fn points(&self) -> Vec<String> {
        self.recorder.families().into_iter().flat_map(|f| f.points).map(|(l, v)| format!("{l} {v}")).collect()
    }
    fn count(&self, family: &str, label: (&str, &str)) -> f64 {
        let families = self.meter.gather();
        let points = &families.iter().find(|f| &*f.name == family).unwrap().points;
        points.iter().find(|(l, _)| l.get(label.0) == Some(label.1)).map_or(0.0, |(_, v)| *v)
    }
}

/// Takes batches and keeps them, or fails.
#[derive(Default)]
struct Kept {
    batches: Mutex<Vec<Batch>>,
    fails: Mutex<bool>,
}
impl Sink for Kept {
    fn write(&self, batch: Batch) -> Result<Written, WriteError> {
        if *self.fails.lock().unwrap() {
            return Err(WriteError::Closed);
        }
        let written = Written { stored: batch.sample_count() as u64, ..Written::default() };
        self.batches.lock().unwrap().push(batch);
        Ok(written)
    }
}
impl Kept {
    fn take(&self) -> Vec<Batch> {
        std::mem::take(&mut *self.batches.lock().unwrap())
    }
}

/// The value that a label of a shipped family comes to have.
#[track_caller]
fn shipped(name: &str, label: &str, raw: &str, expected: &str) {
    let bench = Bench::builtin();
    assert_eq!(bench.send(&json!({"name": name, "labels": {label: raw}, "value": 1})).recorded, 1, "{name} {raw}");
    let families = bench.recorder.families();
    let family = families.iter().find(|f| &*f.name == name).unwrap();
    assert_eq!(family.points[0].0.get(label), Some(expected), "{name}: {raw:?}");
}

#[test]
fn the_declaration_that_has_all_labels_is_taken() {
    let one = "produced_by: application\nlabels: {a: {}}\nfamilies:\n  x_total: {type: counter, help: One., optional_labels: [a]}\n";
    let two = "produced_by: application\nlabels: {a: {case: keep}, b: {}}\nfamilies:\n  x_total: {type: counter, help: Two., labels: [a, b]}\n";
    let file = |pack, text| CatalogFile { pack, path: pack, text };
    let bench = Bench::of(Arc::new(Catalogs::read(&[file("one", one), file("two", two)]).0));
    let item = |labels: Json| json!({"name": "x_total", "labels": labels, "value": 1});
    let body = json!([item(json!({})), item(json!({"a": "A"})), item(json!({"b": "B"})), item(json!({"a": "A", "b": "B"})), item(json!({"c": "C"}))]);
    assert_eq!(bench.codes(&body), [(4, "unknown_label")]);
    assert_eq!(bench.points(), ["x_total 1", "x_total{a=\"a\"} 1", "x_total{a=\"A\", b=\"b\"} 1", "x_total{a=\"unknown\", b=\"b\"} 1"]);
}

#[test]
fn other_types_and_endless_sums_are_refused() {
    let bench = Bench::with(
        "produced_by: application\nfamilies:\n  s: {type: summary, help: S.}\n  u: {type: unknown, help: U.}\n  c_total: {type: counter, help: C.}\n  h: {type: histogram, help: H., buckets: [1]}\n",
    );
    assert_eq!(bench.codes(&json!([{"name": "s", "value": 1}, {"name": "u", "value": 1}])), [(0, "unsupported_type"), (1, "unsupported_type")]);
    let big = |name: &str| json!({"name": name, "value": f64::MAX});
    assert_eq!(bench.codes(&json!([big("c_total"), big("c_total"), big("h"), big("h")])), [(1, "invalid_value"), (3, "invalid_value")]);
    assert_eq!(bench.points().last().unwrap(), "h_count 1");
}

#[test]
fn labels_may_be_numbers_and_may_be_missing() {
    let bench =
        Bench::with("produced_by: application\nlabels: {a: {}, b: {}}\nfamilies:\n  x_total: {type: counter, help: X., labels: [a], optional_labels: [b]}\n");
    let item = |labels: Json| json!({"name": "x_total", "labels": labels, "value": 1});
    bench.send(&json!([item(json!({})), item(json!({"a": 200})), item(json!({"a": true, "b": 1.5})), item(json!({})), item(json!({"a": "", "b": ""}))]));
    assert_eq!(
        bench.points(),
        ["x_total{a=\"200\"} 1", "x_total{a=\"true\", b=\"1.5\"} 1", "x_total{a=\"unknown\"} 2", "x_total{a=\"unknown\", b=\"unknown\"} 1"]
    );
    // Nothing was replaced: what is missing is no value that is not allowed.
    assert!(bench.meter.gather().iter().all(|f| &*f.name != "watchfire_record_values_folded_total"));
}

#[test]
fn distinct_values_are_capped() {
    let bench = Bench::with(
        "produced_by: application\nlabels: {l: {values_max: 3}}\nfamilies:\n  x_total: {type: counter, help: X., labels: [l]}\n  y_total: {type: counter, help: Y., labels: [l]}\n",
    );
    let item = |name: &str, value: &str| json!({"name": name, "labels": {"l": value}, "value": 1});
    // A refused item takes no place.
    bench.send(&json!([{"name": "x_total", "labels": {"l": "z"}, "value": -1}]));
    bench.send(&json!(["a", "b", "other", "c", "d", "e", "a"].map(|v| item("x_total", v))));
    bench.send(&item("y_total", "d"));
    assert_eq!(bench.points(), ["x_total{l=\"a\"} 2", "x_total{l=\"b\"} 1", "x_total{l=\"c\"} 1", "x_total{l=\"other\"} 3", "y_total{l=\"d\"} 1"]);
    assert_eq!(bench.count("watchfire_record_values_folded_total", ("label", "l")), 2.0);
}

#[test]
fn a_flush_writes_every_series_every_time() {
    let bench = Bench::builtin();
    let kept = Kept::default();
    assert_eq!(bench.recorder.flush(&kept).unwrap(), Written::default());
    assert!(kept.take().is_empty());
    bench.send(&json!([{"name": "hsi_events_created_total", "value": 2}, {"name": "hsi_detection_confidence", "value": 0.9}]));
    let flush = || {
        let written = bench.recorder.flush(&kept).unwrap();
        let mut batches = kept.take();
        assert_eq!((batches.len(), written.stored), (1, 11));
        batches.remove(0)
    };
    let first = flush();
    assert_eq!(&*first.origin.0, "record");
    let told: Vec<_> = first.metadata.iter().map(|m| (&*m.family, m.kind)).collect();
    assert_eq!(told, [("hsi_detection_confidence", MetricType::Histogram), ("hsi_events_created_total", MetricType::Counter)]);
    let text = |batch: &Batch| {
        batch
            .series
            .iter()
            .map(|s| format!("{} {:?}", s.labels, s.samples.as_slice().iter().map(|s| (s.time.0, s.value)).collect::<Vec<_>>()))
            .collect::<Vec<_>>()
    };
    let lines = text(&first);
    assert_eq!(lines[4], "hsi_detection_confidence_bucket{instance=\"home:3002\", job=\"app\", le=\"0.9\"} [(1000000, 1.0)]");
    assert_eq!(lines[10], "hsi_events_created_total{instance=\"home:3002\", job=\"app\"} [(1000000, 2.0)]");
    bench.clock.advance(Duration::from_secs(5));
    let second = flush();
    assert!(second.metadata.is_empty());
    assert_eq!(text(&second), lines.iter().map(|l| l.replace("1000000", "1005000")).collect::<Vec<_>>());
    bench.clock.advance(METADATA_EVERY);
    assert_eq!(flush().metadata.len(), 2);
}

#[test]
fn metadata_is_told_again_when_it_did_not_arrive_or_is_new() {
    let bench = Bench::builtin();
    let kept = Kept::default();
    bench.send(&json!({"name": "hsi_events_created_total", "value": 2}));
    *kept.fails.lock().unwrap() = true;
    assert!(matches!(bench.recorder.flush(&kept), Err(WriteError::Closed)));
    *kept.fails.lock().unwrap() = false;
    for (item, expected) in [(None, 1), (None, 0), (Some("hsi_risk_score"), 2), (Some("hsi_risk_score"), 0)] {
        if let Some(name) = item {
            bench.send(&json!({"name": name, "value": 1}));
        }
        bench.recorder.flush(&kept).unwrap();
        assert_eq!(kept.take()[0].metadata.len(), expected);
    }
}

#[test]
fn met_03_label_values_are_checked_before_they_are_recorded() {
    shipped("hsi_stage_duration_seconds", "stage", "detect; drop table", "other");
    shipped("hsi_nemotron_tokens_input_total", "camera_id", "Front/Door", "Front_Door");
    shipped("hsi_worker_restarts_total", "worker_name", "Detection Worker #1", "detection worker _1");
}

#[test]
fn met_04_objects_outside_coco_become_a_safe_value() {
    for class in ["person", "traffic light", "hair drier", "unknown"] {
        shipped("hsi_detections_by_class_total", "object_class", &class.to_uppercase(), class);
    }
    shipped("hsi_detections_by_class_total", "object_class", "unicorn", "other");
    shipped("hsi_detections_by_class_total", "object_class", "", "unknown");
}

#[test]
fn met_05_errors_outside_the_list_become_unknown_error() {
    for error in ["connection_error", "timeout_error", "validation_error", "rate_limit_error", "unknown_error"] {
        shipped("hsi_pipeline_errors_total", "error_type", error, error);
    }
    shipped("hsi_pipeline_errors_total", "error_type", "KeyError('x')", "unknown_error");
    shipped("hsi_pipeline_errors_total", "error_type", "", "unknown_error");
}

/// Every listed value is recorded as it is, any other as `other`.
#[track_caller]
fn listed(name: &str, label: &str, values: &str) {
    values.split_whitespace().for_each(|value| shipped(name, label, value, value));
    shipped(name, label, "something else", "other");
}
#[test]
fn met_13_stages_are_detect_batch_analyze() {
    listed("hsi_stage_duration_seconds", "stage", "detect batch analyze");
}
#[test]
fn met_14_services_are_the_five_ai_services() {
    listed("hsi_ai_request_duration_seconds", "service", "yolo26 nemotron florence clip enrichment");
}
#[test]
fn met_15_risk_levels_are_low_to_critical() {
    listed("hsi_events_by_risk_level_total", "level", "low medium high critical");
}
#[test]
fn met_16_caches_are_the_four_kinds() {
    listed("hsi_cache_hits_total", "cache_type", "event_stats cameras system dashboard_stats");
    listed("hsi_cache_misses_total", "cache_type", "event_stats cameras system dashboard_stats");
}
#[test]
fn met_17_enrichment_models_are_the_ten() {
    listed("hsi_enrichment_model_calls_total", "model", "brisque violence clothing vehicle pet depth pose action weather fashion-clip");
}

#[test]
fn met_24_the_cache_tells_hits_misses_invalidations_and_refreshes() {
    let bench = Bench::builtin();
    let item = |name: &str, labels: Json| json!({"name": name, "labels": labels, "value": 1});
    let outcome = bench.send(&json!([
        item("hsi_cache_hits_total", json!({"cache_type": "cameras"})),
        item("hsi_cache_misses_total", json!({"cache_type": "cameras"})),
        item("hsi_cache_invalidations_total", json!({"cache_type": "event_stats", "reason": "event_created"})),
        item("hsi_cache_stale_hits_total", json!({"cache_type": "system"})),
        item("hsi_cache_background_refresh_total", json!({"cache_type": "dashboard_stats", "status": "success"})),
    ]));
    assert_eq!((outcome.recorded, outcome.refused.len()), (5, 0));
    let points = bench.points();
    for expected in [
        r#"hsi_cache_invalidations_total{cache_type="event_stats", reason="event_created"} 1"#,
        r#"hsi_cache_background_refresh_total{cache_type="dashboard_stats", status="success"} 1"#,
    ] {
        assert!(points.iter().any(|p| p == expected), "{expected} in {points:?}");
    }
}

#[test]
fn met_29_requests_of_the_backend_are_counted_and_timed() {
    let bench = Bench::builtin();
    let outcome = bench.send(&json!([
        {"name": "http_requests_total", "labels": {"method": "GET", "endpoint": "/api/events", "status": "200"}, "value": 1},
        {"name": "http_request_duration_seconds", "labels": {"method": "GET", "endpoint": "/api/events"}, "value": 0.03},
    ]));
    assert_eq!((outcome.recorded, outcome.refused.len()), (2, 0), "{outcome:?}");
    let points = bench.points();
    assert!(points.iter().any(|p| p.starts_with("http_requests_total{") && p.contains(r#"status="200""#)), "{points:?}");
    assert!(points.iter().any(|p| p.starts_with("http_request_duration_seconds_bucket{") && p.contains(r#"le="0.05""#)), "{points:?}");
}

/// The `le` values that one observation of a family brings about.
fn edges(family: &FamilySpec) -> Vec<String> {
    let bench = Bench::builtin();
    assert_eq!(bench.send(&json!({"name": &*family.name, "value": 1})).recorded, 1, "{}", family.name);
    let families = bench.recorder.families();
    let points = &families.iter().find(|f| f.name == family.name).unwrap().points;
    points.iter().filter_map(|(l, _)| l.get("le").map(str::to_owned)).collect()
}

#[test]
fn met_30_the_edge_at_nine_tenths_is_written_0_9() {
    let edges = edges(Catalogs::builtin().family("hsi_detection_confidence").unwrap());
    assert_eq!(edges, ["0.5", "0.6", "0.7", "0.8", "0.9", "0.95", "0.99", "+Inf"]);
}

#[test]
fn met_12_bucket_edges_are_those_of_the_catalogue() {
    for (name, expected) in [
        ("hsi_stage_duration_seconds", "0.01 0.025 0.05 0.1 0.25 0.5 1.0 2.5 5.0 10.0 30.0 60.0 +Inf"),
        ("hsi_ai_request_duration_seconds", "0.1 0.25 0.5 1.0 2.5 5.0 10.0 30.0 60.0 120.0 +Inf"),
        ("hsi_detection_confidence", "0.5 0.6 0.7 0.8 0.9 0.95 0.99 +Inf"),
        ("hsi_risk_score", "10.0 20.0 30.0 40.0 50.0 60.0 70.0 80.0 90.0 100.0 +Inf"),
        ("hsi_llm_context_utilization", "0.5 0.6 0.7 0.75 0.8 0.85 0.9 0.95 1.0 +Inf"),
    ] {
        assert_eq!(edges(Catalogs::builtin().family(name).unwrap()).join(" "), expected, "{name}");
    }
    let folder = std::env::var_os("WATCHFIRE_SEEDS").map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/catalogue"), PathBuf::from);
    let Ok(text) = std::fs::read_to_string(folder.join("metrics.tsv")) else {
        eprintln!("SKIPPED: no inventory of the seeds in {}", folder.display());
        return;
    };
    let mut seen = 0;
    for row in text.lines().skip(1).map(|l| l.split('\t').collect::<Vec<_>>()).filter(|r| r[1] == "histogram" && r[10] == "family" && !r[4].is_empty()) {
        let Some(family) = Catalogs::builtin().family(row[0]).filter(|f| f.produced_by == Producer::Application).cloned() else { continue };
        seen += 1;
        let expected: Vec<f64> = row[4].split(',').map(|b| b.parse().unwrap()).chain([f64::INFINITY]).collect();
        assert_eq!(edges(&family).iter().map(|le| le.parse::<f64>().unwrap()).collect::<Vec<_>>(), expected, "{}", row[0]);
    }
    assert!(seen >= 5, "only {seen} histograms of the inventory were looked at");
}

/// The most label sets that a family's declarations allow, whatever is sent.
fn bound(family: &FamilySpec) -> usize {
    let values = |l: &watchfire_pack::catalog::LabelSpec| if l.values.is_empty() { l.values_max + 2 } else { l.values.len() + 2 } + usize::from(l.optional);
    // Beyond the limit only labels with a list still tell series apart.
    let listed: usize = family.labels.iter().filter(|l| !l.values.is_empty()).map(values).product();
    family.labels.iter().map(values).product::<usize>().min(SERIES_PER_FAMILY_MAX + listed)
}

#[test]
fn met_11_label_sanitization_keeps_cardinality_bounded() {
    let bench = Bench::builtin();
    let catalogs = Catalogs::builtin();
    let (mut labelled, mut fewest, mut fullest) = (0, usize::MAX, 0);
    for family in catalogs.iter().filter(|f| f.produced_by == Producer::Application && !f.labels.is_empty()) {
        let attack =
            |i: usize| -> BTreeMap<&str, String> { family.labels.iter().zip([1, 61, 67]).map(|(l, by)| (&*l.name, format!("attack {}", i / by))).collect() };
        let body: Vec<Json> = (0..3_000).map(|i| json!({"name": &*family.name, "labels": attack(i), "value": 1})).collect();
        bench.send(&json!(body));
        let most: usize = catalogs.declarations(&family.name).map(bound).sum();
        let families = bench.recorder.families();
        let points = &families.iter().find(|f| f.name == family.name).unwrap().points;
        let sets: BTreeSet<_> = points.iter().map(|(l, _)| l.without("le").without("__name__")).collect();
        assert!(!sets.is_empty() && sets.len() <= most, "{}: {} label sets, allowed are {most}", family.name, sets.len());
        labelled += 1;
        fewest = fewest.min(sets.len());
        fullest = fullest.max(sets.len());
    }
    assert!(labelled > 20 && fewest == 1 && fullest > 200, "{labelled} families of {fewest} to {fullest} label sets");
    let listed = bench.recorder.families();
    let classes = &listed.iter().find(|f| &*f.name == "hsi_detections_by_class_total").unwrap().points;
    assert_eq!(classes.iter().map(|(l, v)| (l.get("object_class"), *v)).collect::<Vec<_>>(), [(Some("other"), 3_000.0)]);
}

fn small() -> Bench {
    Bench::with(
        "produced_by: application\nlabels: {a: {values: [x, y]}, b: {values_max: 3}, c: {values_max: 2, charset: id, case: keep}}\nfamilies:\n  x_total: {type: counter, help: X., labels: [a], optional_labels: [b]}\n  y: {type: histogram, help: Y., labels: [b, c], buckets: [1, 2]}\n",
    )
}

fn number() -> impl Strategy<Value = Json> {
    prop_oneof![any::<f64>().prop_map(|v| json!(v)), any::<i64>().prop_map(|v| json!(v)), Just(Json::Null), "\\PC{0,4}".prop_map(Json::from)]
}

fn item() -> impl Strategy<Value = Json> {
    let name = prop_oneof![4 => Just("x_total".to_owned()), 4 => Just("y".to_owned()), 1 => "\\PC{0,12}"];
    let value = prop_oneof![any::<String>().prop_map(Json::from), any::<u64>().prop_map(Json::from), Just(Json::Null), Just(json!("x"))];
    let labels = prop::collection::btree_map(prop_oneof![8 => "[abc]", 1 => any::<String>()], value, 0..4);
    (name, labels, number()).prop_map(|(name, labels, value)| json!({"name": name, "labels": labels, "value": value}))
}

proptest! {
    #[test]
    fn whatever_is_sent_every_item_is_answered_and_series_are_bounded(items in prop::collection::vec(item(), 0..200)) {
        let bench = small();
        let outcome = bench.send(&json!(items));
        prop_assert_eq!(outcome.recorded as usize + outcome.refused.len(), items.len());
        for family in bench.recorder.families() {
            let sets: BTreeSet<_> = family.points.iter().map(|(l, _)| l.without("le").without("__name__")).collect();
            // x: (2 listed + other + unknown) × (3 + other + unknown + absent); y: (3 + other + unknown) × (2 + other + unknown).
            prop_assert!(sets.len() <= if &*family.name == "y" { 20 } else { 24 }, "{:?}", sets);
            prop_assert!(family.points.iter().all(|(l, v)| v.is_finite() && l.iter().all(|(_, v)| v.len() <= 64)));
        }
        let kept = Kept::default();
        let written = bench.recorder.flush(&kept).unwrap();
        prop_assert_eq!(written.stored as usize, bench.points().len());
    }
}
