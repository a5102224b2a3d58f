//! Rules of the home security pipeline that are known never to work, each by its row in the table of facts about the original, and
//! beside each what would work. The rules are written here from that table's words.

use crate::Code;
use crate::site_tests::{found, has};

/// Its jobs, as far as these rules need them.
const SCRAPING: &str = "rule_files: [rules.yml]
scrape_configs:
- {job_name: hsi-backend-metrics, honor_labels: true, static_configs: [{targets: ['backend:8000']}]}
- {job_name: hsi-telemetry, static_configs: [{targets: ['json-exporter:7979']}]}
- {job_name: hsi-gpu, static_configs: [{targets: ['json-exporter:7979']}]}
- {job_name: hsi-stats, static_configs: [{targets: ['json-exporter:7979']}]}
- {job_name: prometheus, static_configs: [{targets: ['localhost:9090']}]}
";

fn of(rules: &str) -> Vec<crate::Diagnosis> {
    found(&[("prometheus.yml", SCRAPING), ("rules.yml", &format!("groups:\n- name: g\n  rules:\n{rules}"))])
}
fn alert(expr: &str) -> Vec<crate::Diagnosis> {
    of(&format!("  - alert: A\n    expr: >-\n      {expr}\n"))
}
#[track_caller]
fn clean(expr: &str) {
    let found = alert(expr);
    assert!(found.is_empty(), "{expr}: {found:#?}");
}

#[test]
fn row_01_a_bucket_that_there_is_not() {
    let part = |le: &str| {
        format!(
            "sum(rate(hsi_stage_duration_seconds_bucket{{stage=\"detect\",le=\"{le}\"}}[5m])) / sum(rate(hsi_stage_duration_seconds_count{{stage=\"detect\"}}[5m])) < 0.9"
        )
    };
    has(&alert(&part("2")), Code::UnknownBucket, &["no bucket le=\"2\""]);
    clean(&part("2.5"));
}
#[test]
fn row_02_a_bucket_in_another_spelling() {
    has(&alert("rate(hsi_stage_duration_seconds_bucket{stage=\"analyze\",le=\"30\"}[5m]) > 1"), Code::UnknownBucket, &["le=\"30.0\""]);
    clean("rate(hsi_stage_duration_seconds_bucket{stage=\"analyze\",le=\"30.0\"}[5m]) > 1");
}
#[test]
fn row_03_error_types_that_are_not_allowed() {
    for kind in ["detection", "analysis"] {
        has(&alert(&format!("rate(hsi_pipeline_errors_total{{error_type=\"{kind}\"}}[5m]) > 1")), Code::UnknownLabelValue, &[kind]);
    }
    clean("rate(hsi_pipeline_errors_total{error_type=\"detection_processing_error\"}[5m]) > 1");
}
#[test]
fn row_04_series_of_two_probes_are_joined() {
    has(&alert("hsi_gpu_utilization < 10 and hsi_total_detections > 0"), Code::NeverMatches, &["hsi-gpu", "hsi-stats"]);
    clean("hsi_gpu_utilization < 10 and on () hsi_total_detections > 0");
    clean("hsi_gpu_memory_used_mb / hsi_gpu_memory_total_mb > 0.9");
}
#[test]
fn row_05_only_one_side_has_the_camera() {
    has(&alert("rate(hsi_nemotron_tokens_output_total[5m]) == 0 and rate(hsi_events_created_total[5m]) > 0"), Code::NeverMatches, &["camera_id"]);
    clean("sum(rate(hsi_nemotron_tokens_output_total[5m])) == 0 and sum(rate(hsi_events_created_total[5m])) > 0");
}
#[test]
fn row_06_a_part_over_a_sum_without_its_labels() {
    for level in ["critical", "low"] {
        let expr = format!("rate(hsi_events_by_risk_level_total{{level=\"{level}\"}}[1h]) / sum(rate(hsi_events_by_risk_level_total[1h])) > 0.9");
        has(&alert(&expr), Code::NeverMatches, &["level"]);
    }
    clean("sum(rate(hsi_events_by_risk_level_total{level=\"low\"}[1h])) / sum(rate(hsi_events_by_risk_level_total[1h])) > 0.9");
}
#[test]
fn row_07_up_and_absent_have_different_labels() {
    has(&alert("up{job=\"hsi-gpu\"} == 1 and absent(hsi_gpu_utilization)"), Code::NeverMatches, &["instance"]);
    clean("up{job=\"hsi-gpu\"} == 1 and on () absent(hsi_gpu_utilization)");
}
#[test]
fn row_08_failures_divided_by_themselves() {
    has(&alert("rate(circuit_breaker_calls_total{result=\"failure\"}[5m]) / rate(circuit_breaker_calls_total[5m]) > 0.5"), Code::DividedByItself, &["result"]);
    has(
        &alert("rate(circuit_breaker_calls_total{result=\"failure\"}[5m]) / rate(circuit_breaker_calls_total{result=\"failure\"}[5m]) > 0.5"),
        Code::DividedByItself,
        &[],
    );
    clean(
        "sum without (result) (rate(circuit_breaker_calls_total{result=\"failure\"}[5m])) / sum without (result) (rate(circuit_breaker_calls_total[5m])) > 0.5",
    );
    clean("rate(circuit_breaker_calls_total{result=\"failure\"}[5m]) / ignoring (result) sum without (result) (rate(circuit_breaker_calls_total[5m])) > 0.5");
}
#[test]
fn row_09_a_service_by_its_former_name() {
    let quantile =
        |service: &str| format!("histogram_quantile(0.95, sum by (le) (rate(hsi_ai_request_duration_seconds_bucket{{service=\"{service}\"}}[5m]))) > 5");
    has(&alert(&quantile("rtdetr")), Code::UnknownLabelValue, &["rtdetr"]);
    clean(&quantile("yolo26"));
}
#[test]
fn row_10_a_threshold_at_the_highest_bucket() {
    let quantile = |limit: u32| format!("histogram_quantile(0.95, sum by (le) (rate(hsi_nemotron_inference_seconds_bucket[5m]))) > {limit}");
    for limit in [30, 60] {
        has(&alert(&quantile(limit)), Code::BeyondTopBucket, &["highest finite bucket is 30"]);
    }
    clean(&quantile(10));
}
#[test]
fn row_11_a_timeout_that_is_the_highest_bucket() {
    has(
        &alert("histogram_quantile(0.95, sum by (le) (rate(hsi_ai_request_duration_seconds_bucket{service=\"nemotron\"}[5m]))) > 120"),
        Code::BeyondTopBucket,
        &["120"],
    );
}
#[test]
fn row_12_a_metric_that_prometheus_does_not_have() {
    has(
        &alert("prometheus_tsdb_storage_blocks_bytes / (prometheus_tsdb_storage_blocks_bytes + prometheus_tsdb_storage_bytes_free) > 0.8"),
        Code::UnknownMetric,
        &["prometheus_tsdb_storage_bytes_free"],
    );
    clean("prometheus_tsdb_storage_blocks_bytes / prometheus_tsdb_retention_limit_bytes > 0.8");
}
#[test]
fn row_13_a_label_that_prometheus_does_not_set() {
    has(&alert("rate(prometheus_target_scrape_pool_sync_total{status=\"failed\"}[5m]) > 0.1"), Code::UnknownLabel, &["status"]);
    clean("rate(prometheus_target_scrape_pool_sync_total{scrape_job=\"hsi-gpu\"}[5m]) > 0.1");
}
#[test]
fn row_14_a_depth_that_two_jobs_tell() {
    has(&alert("hsi_detection_queue_depth > 100"), Code::SeveralSources, &["hsi-backend-metrics", "hsi-telemetry"]);
    clean("hsi_detection_queue_depth{job=\"hsi-telemetry\"} > 100");
    clean("max without (job, instance) (hsi_detection_queue_depth) > 100");
    has(&alert("sum(hsi_detection_queue_depth) > 100"), Code::SeveralSources, &["counts more than once"]);
    // Two products that have one name by chance are no two sources of one thing, unless they are added up.
    let of_both = |expr: &str| {
        let scraping = "rule_files: [r.yml]\nscrape_configs: [{job_name: api-servers}, {job_name: pisovereign}]\n";
        found(&[("prometheus.yml", scraping), ("r.yml", &format!("groups: [{{name: g, rules: [{{alert: A, expr: '{expr}'}}]}}]\n"))])
    };
    assert_eq!(of_both("sum by (job) (rate(http_requests_total[5m])) == 0"), []);
    has(&of_both("sum(rate(http_requests_total[5m])) > 9"), Code::SeveralSources, &["different programs"]);
}
#[test]
fn row_15_one_fault_many_alerts() {
    let found = of("  - {alert: AIGPUMemoryWarning, expr: hsi_gpu_memory_used_mb / hsi_gpu_memory_total_mb * 100 > 85, labels: {severity: warning}}
  - {alert: HSIGPUMemoryElevated, expr: hsi_gpu_memory_used_mb / hsi_gpu_memory_total_mb > 0.75, labels: {severity: warning}}
  - {alert: AIGPUMemoryCritical, expr: hsi_gpu_memory_used_mb / hsi_gpu_memory_total_mb * 100 > 95, labels: {severity: critical}}
  - {alert: HSIGPUMemoryHigh, expr: (hsi_gpu_memory_used_mb / hsi_gpu_memory_total_mb) > 0.9, labels: {severity: critical}}
  - {alert: GPUMemoryHigh, expr: DCGM_FI_DEV_FB_USED / DCGM_FI_DEV_FB_TOTAL > 0.8, labels: {severity: warning}}
  - {alert: GPUMemoryHigh, expr: 'hsi_gpu_memory_used_mb{gpu=\"\"} / hsi_gpu_memory_total_mb > 0.9', labels: {severity: critical}}
");
    has(&found, Code::OverlappingAlerts, &["HSIGPUMemoryElevated", "AIGPUMemoryWarning", "0.75 instead of 0.85"]);
    has(&found, Code::OverlappingAlerts, &["HSIGPUMemoryHigh", "AIGPUMemoryCritical"]);
    has(&found, Code::DuplicateName, &["GPUMemoryHigh", "watches something else"]);
    assert_eq!(found.len(), 3, "{found:#?}");
}
#[test]
fn stages_and_inhibited_alerts_do_not_overlap() {
    let stages = "  - {alert: Warm, expr: heat > 75, labels: {severity: warning}}\n  - {alert: Hot, expr: heat > 85, labels: {severity: critical}}\n";
    assert_eq!(of(stages), []);
    let same = stages.replace("critical", "warning");
    has(&of(&same), Code::OverlappingAlerts, &["Hot", "Warm"]);
    let manager = "route: {receiver: a}\nreceivers: [{name: a, email_configs: [{to: a@b}]}]\ninhibit_rules: [{source_match: {alertname: Hot}, target_match: {alertname: Warm}}]\n";
    let rules = format!("groups:\n- name: g\n  rules:\n{same}");
    assert_eq!(found(&[("prometheus.yml", SCRAPING), ("rules.yml", &rules), ("alertmanager.yml", manager)]), []);
}

/// The alert path of the original: one webhook on the backend for everything, reached twice by critical alerts.
#[test]
fn the_backend_is_told_that_the_backend_is_down() {
    let manager = "route:
  receiver: default
  routes:
  - {match: {severity: critical}, receiver: critical, continue: true}
  - {match: {component: gpu}, receiver: gpu}
receivers:
- {name: default, webhook_configs: [{url: 'http://backend:8000/api/webhooks/alerts'}]}
- {name: critical, webhook_configs: [{url: 'http://backend:8000/api/webhooks/alerts'}]}
- {name: gpu, webhook_configs: [{url: 'http://backend:8000/api/webhooks/alerts'}]}
";
    let rules = "groups: [{name: g, rules: [{alert: Hot, expr: hsi_gpu_temperature > 85, labels: {severity: critical, component: gpu}}]}]\n";
    let found = found(&[("prometheus.yml", SCRAPING), ("rules.yml", rules), ("alertmanager.yml", manager)]);
    has(&found, Code::ReceiverIsWatched, &["backend:8000", "hsi-backend-metrics"]);
    has(&found, Code::DeliveredTwice, &["Hot", "backend:8000 of them"]);
}

/// What we ship ourselves works, objectives included.
#[test]
fn the_rules_of_packs_have_no_findings() {
    let mut site = crate::Site::default();
    for text in watchfire_pack::rules::BUILTIN {
        site.shipped_rules.extend(watchfire_alert::rules::file::read(text.path, text.text, None).file);
    }
    let templates = watchfire_alert::rules::GoTemplates::new(watchfire_model::time::ManualClock::new(watchfire_model::time::Timestamp(0)));
    for text in watchfire_pack::rules::SLOS {
        site.shipped_rules.extend(watchfire_alert::rules::slo::read_file(text.path, text.text, &templates).file);
    }
    assert_eq!(site.shipped_rules.len(), watchfire_pack::rules::BUILTIN.len() + watchfire_pack::rules::SLOS.len());
    let found = site.check(watchfire_pack::catalog::Catalogs::builtin(), None);
    assert!(found.is_empty(), "{found:#?}");
    // An objective is said once, not once for each of its windows.
    let wrong = "slos: [{name: a, objective: 99, ratio: 'rate(hsi_stage_duration_seconds_bucket{le=\"2\"}[$window])'}]";
    site.shipped_rules = watchfire_alert::rules::slo::read_file("w.yml", wrong, &templates).file.into_iter().collect();
    let found = site.check(watchfire_pack::catalog::Catalogs::builtin(), None);
    assert_eq!(found.iter().map(|d| (d.code, d.line)).collect::<Vec<_>>(), [(Code::UnknownBucket, 1)]);
}

#[test]
fn the_dashboards_of_packs_have_no_findings() {
    let mut site = crate::Site::default();
    for board in watchfire_pack::dashboards::BUILTIN {
        site.add(board.path, watchfire_model::document::parse_yaml(board.path, &board.text()).unwrap());
    }
    assert!(site.documents.len() >= 14 && site.documents.iter().all(|d| d.kind() == crate::Kind::Dashboard));
    let found = site.check(watchfire_pack::catalog::Catalogs::builtin(), None);
    assert!(found.is_empty(), "{:#?}", found.iter().map(|d| d.finding().to_string()).collect::<Vec<_>>());
}

#[test]
fn sound_rules_in_the_usual_style_have_no_findings() {
    let files = [
        ("node.yml", include_str!("../testdata/clean/node.yml")),
        ("prometheus-rules.yml", include_str!("../testdata/clean/prometheus.yml")),
        ("alertmanager-rules.yml", include_str!("../testdata/clean/alertmanager.yml")),
    ];
    let alone = found(&files);
    assert!(alone.is_empty(), "{alone:#?}");
    let scraping = "rule_files: ['*.yml']
scrape_configs:
- {job_name: node, static_configs: [{targets: ['a:9100'], labels: {cluster: x}}]}
- {job_name: prometheus, static_configs: [{targets: ['localhost:9090']}]}
- {job_name: alertmanager, dns_sd_configs: [{names: [a]}]}
- {job_name: blackbox-http, static_configs: [{targets: ['http://a/']}], relabel_configs: [{source_labels: [__address__], target_label: __param_target}]}
- {job_name: redis, static_configs: [{targets: ['r:9121']}]}
- {job_name: hsi-backend-metrics, static_configs: [{targets: ['b:8000']}]}
";
    let mut with_jobs: Vec<(&str, &str)> = files.to_vec();
    with_jobs.push(("prometheus.yml", scraping));
    let together = found(&with_jobs);
    assert!(together.is_empty(), "{together:#?}");
}
