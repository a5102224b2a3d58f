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
fn dashboards_of_the_newer_interface_are_read_in_both_schemas() {
    let first = "{\"apiVersion\": \"dashboard.grafana.app/v1beta1\", \"spec\": {\"panels\": [{\"title\": \"One\", \"targets\": [{\"expr\": \"hsi_detection_queue_size\"}]}]}}";
    has(&found(&[("d.json", first)]), Code::UnknownMetric, &["panel \"One\""]);
    let second = |query: &str| {
        format!(
            "{{\"apiVersion\": \"dashboard.grafana.app/v2beta1\", \"spec\": {{\"elements\": {{\"p\": {{\"kind\": \"Panel\", \"spec\": {{\"title\": \"Two\", \"data\": {{\"spec\": {{\"queries\": [{{\"spec\": {{\"query\": {query}}}}}]}}}}}}}}}}}}}}"
        )
    };
    let expr = "\"spec\": {\"expr\": \"hsi_detection_queue_size\"}";
    for known in ["\"kind\": \"DataQuery\", \"group\": \"prometheus\"", "\"kind\": \"prometheus\""] {
        has(&found(&[("d.json", &second(&format!("{{{known}, {expr}}}")))]), Code::UnknownMetric, &["panel \"Two\"", "hsi_detection_queue_size"]);
    }
    let other = found(&[("d.json", &second(&format!("{{\"kind\": \"DataQuery\", \"group\": \"loki\", {expr}}}")))]);
    assert!(other.is_empty(), "{other:#?}");
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
fn levels_with_the_name_of_a_counter_are_told_unless_the_panel_tells() {
    has(&of("\"targets\": [{\"expr\": \"active_streams_total\"}]"), Code::MisleadingName, &["is a level"]);
    clean("\"description\": \"active_streams_total is a level.\", \"targets\": [{\"expr\": \"active_streams_total\"}]");
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

/// Whatever form a board has, its queries are found, and those that can be parsed are not called wrong.
#[test]
fn boards_of_others_are_examined() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../ui/tests/boards/others");
    let mut looked = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let bad: Vec<_> = found(&[("d.json", &text)]).into_iter().filter(|d| d.code == Code::BadExpression).collect();
        assert!(bad.is_empty(), "{}: {bad:#?}", path.display());
        // The same board with a query that nobody can parse: it is found in this form, too.
        let broken = text.replacen("\"expr\": \"", "\"expr\": \"sum((", 1);
        if text.contains("\"group\": \"prometheus\"") || text.contains("\"type\": \"prometheus\"") {
            looked += usize::from(found(&[("d.json", &broken)]).iter().any(|d| d.code == Code::BadExpression));
        }
    }
    assert!(looked >= 8, "{looked} boards with a broken query");
}
