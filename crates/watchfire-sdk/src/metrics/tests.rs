//! The typed families against the catalog, and the service's behaviours.

use std::sync::Arc;

use watchfire_model::batch::MetricType;
use watchfire_pack::catalog::{Catalogs, Producer};

use super::answers::Answers;
use super::from_catalogs::{PACKS, module, path};
use super::{Counter, Gauge, Histogram, MetricsService, get_metrics_service, hsi, sanitize_object_class};

/// Lines may be broken differently.
fn words(text: &str) -> Vec<&str> {
    text.split_whitespace().collect()
}

#[test]
fn the_names_are_those_of_the_catalogs() {
    for pack in PACKS {
        let written = std::fs::read_to_string(path(pack)).unwrap();
        assert_eq!(words(&written), words(&module(pack)), "run: cargo run -p watchfire-sdk --example write_names");
    }
}

fn names(pack: &str) -> Vec<(String, MetricType, String)> {
    let catalogs = Catalogs::builtin();
    let own = catalogs.iter().filter(|f| &*f.pack == pack && f.name.starts_with("hsi_") && f.produced_by == Producer::Application);
    own.map(|f| (f.name.to_string(), f.kind, f.unit.to_string())).collect()
}

#[test]
fn met_01_own_metrics_begin_with_hsi() {
    let catalogs = Catalogs::builtin();
    let others: Vec<&str> = catalogs
        .iter()
        .filter(|f| &*f.pack == "hsi" && f.produced_by == Producer::Application && !f.name.starts_with("hsi_"))
        .map(|f| &*f.name)
        .filter(|name| !name.starts_with("http_"))
        .collect();
    // The HTTP server's two names are shared with other products, and a breaker counts calls under the name of its library.
    assert!(others.iter().all(|name| *name == "circuit_breaker_calls_total"), "{others:?}");
    assert!(names("hsi").len() >= 40);
}

#[test]
fn met_02_endings_tell_the_type() {
    for (name, kind, unit) in names("hsi") {
        assert_eq!(kind == MetricType::Counter, name.ends_with("_total"), "{name}");
        if kind == MetricType::Histogram && unit == "seconds" {
            assert!(name.ends_with("_seconds"), "{name}");
        }
    }
}

#[test]
fn met_06_there_is_one_metrics_service() {
    let elsewhere = std::thread::spawn(|| std::ptr::from_ref(get_metrics_service()) as usize).join().unwrap();
    assert_eq!(std::ptr::from_ref(get_metrics_service()) as usize, elsewhere);
}

/// What one use of the service sends.
fn sent(use_it: impl FnOnce(&MetricsService)) -> Vec<String> {
    let (settings, requests) = crate::report::tests::server(vec![Some((200, "{}"))]);
    let service = MetricsService::start(settings).unwrap();
    use_it(&service);
    assert!(service.flush(crate::report::tests::PATIENCE));
    crate::report::tests::sorted(&requests.recv().unwrap())
}

#[test]
fn met_07_an_event_raises_the_counter_by_one() {
    assert_eq!(sent(MetricsService::record_event_created), [r#"{"name":"hsi_events_created_total","labels":{},"value":1.0}"#]);
}

#[test]
fn met_08_a_detection_is_counted_by_its_cleaned_class() {
    let item = |class: &str, times: f64| format!(r#"{{"name":"hsi_detections_by_class_total","labels":{{"object_class":"{class}"}},"value":{times:?}}}"#);
    let found = sent(|service| {
        for class in [" Person", "person", "<script>", "unicorn", "", "traffic light"] {
            service.record_detection_by_class(class);
        }
    });
    assert_eq!(found, [item("other", 2.0), item("person", 2.0), item("traffic light", 1.0), item("unknown", 1.0)]);
}

#[test]
fn met_09_a_stage_observes_its_duration() {
    let found = sent(|service| service.observe_stage_duration("detect", 0.245));
    assert_eq!(found, [r#"{"name":"hsi_stage_duration_seconds","labels":{"stage":"detect"},"value":0.245}"#]);
}

/// What one use of the answers of a server sends.
fn told(use_it: impl FnOnce(&Arc<Answers>)) -> Vec<String> {
    let (settings, requests) = crate::report::tests::server(vec![Some((200, "{}"))]);
    let service = Arc::new(MetricsService::start(settings).unwrap());
    use_it(&Answers::new(service.clone()));
    assert!(service.flush(crate::report::tests::PATIENCE));
    crate::report::tests::sorted(&requests.recv().unwrap())
}
fn value(items: &[String], name: &str) -> Option<f64> {
    let item = items.iter().find(|i| i.starts_with(&format!("{{\"name\":\"{name}\"")))?;
    item.rsplit(':').next()?.trim_end_matches('}').parse().ok()
}

#[test]
fn pis_02_outcomes_of_requests_are_counted_by_their_class() {
    let sent = told(|answers| [200, 204, 301, 404, 500, 503, 503].into_iter().for_each(|status| answers.begin().end(status)));
    let of = |name: &str| value(&sent, name);
    assert_eq!(of("http_requests_success_total"), Some(2.0), "{sent:?}");
    assert_eq!((of("http_requests_client_error_total"), of("http_requests_server_error_total")), (Some(1.0), Some(3.0)));
    assert!(sent.contains(&r#"{"name":"http_requests_total","labels":{"status":"503"},"value":2.0}"#.to_owned()), "{sent:?}");
    assert!(sent.contains(&r#"{"name":"http_requests_total","labels":{"status":"301"},"value":1.0}"#.to_owned()), "{sent:?}");
}

#[test]
fn pis_03_requests_under_way_fall_back_when_they_end() {
    let (settings, requests) = crate::report::tests::server(vec![Some((200, "{}"))]);
    let service = Arc::new(MetricsService::start(settings).unwrap());
    let answers = Answers::new(service.clone());
    let active = || {
        assert!(service.flush(crate::report::tests::PATIENCE));
        value(&crate::report::tests::sorted(&requests.recv().unwrap()), "http_requests_active")
    };
    let (one, two) = (answers.begin(), answers.begin());
    assert_eq!(active(), Some(2.0));
    one.end(200);
    assert_eq!(active(), Some(1.0));
    // Whoever asked went away: there is no answer, and nothing is under way.
    drop(two);
    assert_eq!(active(), Some(0.0));
}

#[test]
fn pis_04_times_are_a_histogram_and_a_mean() {
    let sent = told(|answers| (0..3).for_each(|_| answers.begin().end(200)));
    let times: Vec<f64> =
        sent.iter().filter(|i| i.contains("\"http_response_time_ms\"")).filter_map(|i| i.rsplit(':').next()?.trim_end_matches('}').parse().ok()).collect();
    assert_eq!(times.len(), 3, "{sent:?}");
    let mean = times.iter().sum::<f64>() / 3.0;
    assert!((value(&sent, "http_response_time_avg_ms").unwrap() - mean).abs() < 1e-9, "{sent:?}");
    let family = Catalogs::builtin();
    let family = family.iter().find(|f| &*f.name == "http_response_time_ms" && &*f.pack == "pisovereign").unwrap();
    assert_eq!((family.kind, family.buckets.first(), family.buckets.last()), (MetricType::Histogram, Some(&5.0), Some(&10_000.0)));
}

#[test]
fn pis_05_inference_is_healthy_or_not() {
    assert_eq!(value(&told(|answers| answers.inference_healthy(true)), "inference_healthy"), Some(1.0));
    assert_eq!(value(&told(|answers| answers.inference_healthy(false)), "inference_healthy"), Some(0.0));
}

#[test]
fn met_10_the_names_of_the_originals_exist() {
    let Counter(events, []) = hsi::EVENTS_CREATED_TOTAL;
    let Counter(detections, labels) = hsi::DETECTIONS_BY_CLASS_TOTAL;
    let Histogram(durations, stage) = hsi::STAGE_DURATION_SECONDS;
    let Gauge(depth, []) = hsi::DETECTION_QUEUE_DEPTH;
    assert_eq!((events, detections, durations), ("hsi_events_created_total", "hsi_detections_by_class_total", "hsi_stage_duration_seconds"));
    assert_eq!((labels, stage, depth), (["object_class"], ["stage"], "hsi_detection_queue_depth"));
    assert_eq!(sanitize_object_class("Dog"), "dog");
}

#[test]
fn an_unlabelled_value_is_left_out() {
    let found = sent(|service| service.increment(&super::vms::HTTP_REQUESTS_TOTAL, ["get", "", "200"]));
    assert_eq!(found, [r#"{"name":"http_requests_total","labels":{"method":"get","status":"200"},"value":1.0}"#]);
}

#[test]
fn classes_are_those_of_the_catalog() {
    let catalogs = Catalogs::builtin();
    let spec = catalogs.family("hsi_detections_by_class_total").unwrap().label("object_class").unwrap();
    let theirs: Vec<&str> = spec.values.iter().map(|v| &**v).filter(|v| *v != "unknown").collect();
    assert_eq!(theirs, super::coco::CLASSES);
}
