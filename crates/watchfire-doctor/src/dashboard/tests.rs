//! Panels with and without defects, and the variables of dashboards.

use super::variables::replaced;
use crate::Code;
use crate::expression::VARIABLE;
use crate::site_tests::{found, has};

fn panel(body: &str) -> String {
    format!("{{\"panels\": [{{\"title\": \"P\", \"type\": \"timeseries\", {body}}}]}}")
}
fn of(body: &str) -> Vec<crate::Diagnosis> {
    found(&[("d.json", &panel(body))])
}
#[track_caller]
fn clean(body: &str) {
    let found = of(body);
    assert!(found.is_empty(), "{body}: {found:#?}");
}

#[test]
fn variables_become_what_can_be_parsed() {
    let first = |text: &str| replaced(text)[0].clone();
    assert_eq!(first("rate(a[$__rate_interval])"), "rate(a[5m])");
    assert_eq!(first("rate(a[${res}:1m])"), "rate(a[5m:1m])");
    assert_eq!(first("a * $__range_s"), "a * 300");
    assert_eq!(first("a{b=~\"$c\", d=\"${e:regex}\"}"), format!("a{{b=~\"{VARIABLE}\", d=\"{VARIABLE}\"}}"));
    assert_eq!(first("label_replace(a, \"b\", \"$1\", \"c\", \"(.*)$\")"), "label_replace(a, \"b\", \"$1\", \"c\", \"(.*)$\")");
    assert_eq!(first("a{b=\"\\\"$c\"}"), format!("a{{b=\"\\\"{VARIABLE}\"}}"));
    assert_eq!(first("[[metric]]{x=\"y\"}"), format!("{VARIABLE}{{x=\"y\"}}"));
    assert_eq!(replaced("topk($n, a)")[1], "topk(1, a)");
    assert_eq!(replaced("up").len(), 1);
}

#[test]
fn variables_are_never_unknown() {
    clean("\"targets\": [{\"expr\": \"up{job=\\\"$job\\\"}\"}]");
    clean("\"targets\": [{\"expr\": \"sum by ($by) (rate(hsi_pipeline_errors_total{error_type=~\\\"$type\\\"}[$__rate_interval]))\"}]");
    clean("\"targets\": [{\"expr\": \"topk($n, hsi_worker_status{worker_name=\\\"$w\\\"})\"}]");
    clean("\"targets\": [{\"expr\": \"hsi_${x}_total\"}]");
}

#[test]
fn queries_of_panels_are_checked_like_those_of_rules() {
    has(&of("\"targets\": [{\"expr\": \"hsi_detection_queue_size\"}]"), Code::UnknownMetric, &["panel \"P\"", "hsi_detection_queue_size"]);
    has(&of("\"targets\": [{\"expr\": \"hsi_worker_status{name=\\\"x\\\"}\"}]"), Code::UnknownLabel, &["name"]);
    let inside =
        "{\"dashboard\": {\"panels\": [{\"type\": \"row\", \"panels\": [{\"title\": \"In\", \"targets\": [{\"expr\": \"hsi_detection_queue_size\"}]}]}]}}";
    has(&found(&[("d.json", inside)]), Code::UnknownMetric, &["panel \"In\""]);
    let old = "{\"rows\": [{\"panels\": [{\"title\": \"Old\", \"targets\": [{\"expr\": \"hsi_detection_queue_size\"}]}]}]}";
    has(&found(&[("d.json", old)]), Code::UnknownMetric, &["panel \"Old\""]);
}

#[test]
fn only_queries_in_promql_are_read() {
    clean("\"datasource\": {\"type\": \"loki\"}, \"targets\": [{\"expr\": \"{job=\\\"x\\\"} |= \\\"y\\\"\"}]");
    clean("\"datasource\": \"Loki\", \"targets\": [{\"expr\": \"hsi_detection_queue_size\"}]");
    clean("\"targets\": [{\"expr\": \"{job=\\\"x\\\"} |= \\\"y\\\"\"}]");
    let bad = "\"datasource\": {\"type\": \"prometheus\"}, \"targets\": [{\"expr\": \"sum(\"}]";
    has(&of(bad), Code::BadExpression, &["cannot be parsed"]);
    let mixed = "\"datasource\": {\"type\": \"mixed\"}, \"targets\": [{\"datasource\": {\"type\": \"prometheus\"}, \"expr\": \"hsi_detection_queue_size\"}]";
    has(&of(mixed), Code::UnknownMetric, &[]);
}

#[test]
fn totals_are_drawn_as_rates() {
    has(&of("\"targets\": [{\"expr\": \"hsi_events_created_total\"}]"), Code::CounterWithoutRate, &["only rises"]);
    has(&of("\"targets\": [{\"expr\": \"sum(hsi_events_created_total)\"}]"), Code::CounterWithoutRate, &["only rises"]);
    clean("\"targets\": [{\"expr\": \"rate(hsi_events_created_total[5m])\"}]");
    clean("\"targets\": [{\"expr\": \"hsi_detection_queue_depth{job=\\\"hsi-telemetry\\\"}\"}]");
    let stat = "{\"panels\": [{\"title\": \"P\", \"type\": \"stat\", \"targets\": [{\"expr\": \"hsi_events_created_total\"}]}]}";
    assert_eq!(found(&[("d.json", stat)]), []);
}

#[test]
fn units_fit_what_the_query_gives() {
    let shown = |expr: &str, unit: &str| of(&format!("\"fieldConfig\": {{\"defaults\": {{\"unit\": \"{unit}\"}}}}, \"targets\": [{{\"expr\": \"{expr}\"}}]"));
    let bytes = "rate(network_bytes_sent_total[5m])";
    for (expr, unit) in [
        (bytes, "MBs"),
        (bytes, "bps"),
        ("hsi_gpu_memory_used_mb", "bytes"),
        ("hsi_budget_utilization_ratio", "percent"),
        ("hsi_gpu_utilization", "percentunit"),
        ("hsi_detect_latency_avg_ms", "s"),
        ("disk_space_free_bytes / disk_space_total_bytes", "percent"),
    ] {
        has(&shown(expr, unit), Code::UnitMismatch, &["P", unit]);
    }
    for (expr, unit) in [
        (bytes, "Bps"),
        (bytes, "short"),
        ("rate(network_bytes_sent_total[5m]) * 8", "bps"),
        ("rate(network_bytes_sent_total[5m]) / 1000000", "MBs"),
        ("hsi_budget_utilization_ratio", "percentunit"),
        ("hsi_budget_utilization_ratio * 100", "percent"),
        ("disk_space_free_bytes / disk_space_total_bytes * 100", "percent"),
        ("hsi_detect_latency_avg_ms", "ms"),
        ("something_else", "MBs"),
    ] {
        assert_eq!(shown(expr, unit), [], "{expr} in {unit}");
    }
}

#[test]
fn legends_ask_for_labels_that_are_there() {
    let legend = |expr: &str, legend: &str| of(&format!("\"targets\": [{{\"expr\": \"{expr}\", \"legendFormat\": \"{legend}\"}}]"));
    has(&legend("hsi_worker_status", "{{worker}}"), Code::UnknownLabel, &["legend", "worker"]);
    has(&legend("sum(hsi_worker_status)", "{{worker_name}}"), Code::UnknownLabel, &["legend"]);
    assert_eq!(legend("hsi_worker_status", "{{ worker_name }} on {{instance}}"), []);
    assert_eq!(legend("something", "{{anything}}"), []);
}
