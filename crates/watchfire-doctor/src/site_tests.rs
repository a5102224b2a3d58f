//! Whole sites: the files of the replaced products where they are at hand, each known defect by its number, and files without
//! defects that must stay without findings.

use std::path::Path;
use std::sync::Arc;

use watchfire_alert::rules::file::{Language, language_of, read_logs, read_node};
use watchfire_model::document::parse_yaml;
use watchfire_pack::catalog::Catalogs;

use crate::{Code, Diagnosis, Document, Kind, Seen, Site};

/// A site of texts.
pub(crate) fn site(files: &[(&str, &str)]) -> Site {
    let mut site = Site::default();
    for (name, text) in files {
        if name.ends_with(".ini") {
            site.inis.push(((*name).into(), (*text).to_owned()));
            continue;
        }
        let node = parse_yaml(name, text).unwrap_or_else(|f| panic!("{f}"));
        let document = Document { name: (*name).into(), node };
        if document.kind() == Kind::Rules {
            let parsed = match language_of(name, &document.node) {
                Language::Metrics => read_node(name, &document.node, None),
                Language::Logs => read_logs(name, &document.node, None),
            };
            site.rules.push(parsed.file.unwrap_or_else(|| panic!("{:?}", parsed.findings)));
        }
        site.documents.push(document);
    }
    site
}

pub(crate) fn found(files: &[(&str, &str)]) -> Vec<Diagnosis> {
    site(files).check(Catalogs::builtin(), None)
}

/// What `check` would print.
fn lines(found: &[Diagnosis]) -> Vec<String> {
    found.iter().map(|d| d.finding().to_string()).collect()
}

#[track_caller]
pub(crate) fn has(found: &[Diagnosis], code: Code, words: &[&str]) {
    let fits = |d: &&Diagnosis| d.code == code && words.iter().all(|w| format!("{}: {}", d.subject, d.message).contains(w));
    assert!(found.iter().any(|d| fits(&d)), "{code:?} {words:?} in {:#?}", lines(found));
}

fn seed(name: &str) -> Option<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/catalogue/config_snippets").join(name);
    let text = std::fs::read_to_string(path).ok();
    if text.is_none() {
        eprintln!("SKIPPED: the documents' {name} is not at hand");
    }
    text
}

/// The findings of the video system's files together.
fn vms() -> Option<Vec<Diagnosis>> {
    let files = [("prometheus.yml", "004_73_prometheus.yml"), ("alert_rules.yml", "004_334_alert_rules.yml"), ("alertmanager.yml", "004_501_alertmanager.yml")];
    let texts: Option<Vec<(&str, String)>> = files.iter().map(|(name, file)| Some((*name, seed(file)?))).collect();
    Some(found(&texts?.iter().map(|(n, t)| (*n, t.as_str())).collect::<Vec<_>>()))
}
/// The same of the assistant.
fn pisovereign() -> Option<Vec<Diagnosis>> {
    let files =
        [("prometheus.yml", "002_186_prometheus.yml"), ("alert_rules.yml", "002_317_alert_rules.yml"), ("alertmanager.yml", "002_407_alertmanager.yml")];
    let texts: Option<Vec<(&str, String)>> = files.iter().map(|(name, file)| Some((*name, seed(file)?))).collect();
    Some(found(&texts?.iter().map(|(n, t)| (*n, t.as_str())).collect::<Vec<_>>()))
}

#[test]
fn c_15_an_error_rate_whose_sides_never_meet() {
    let Some(found) = pisovereign() else { return };
    has(&found, Code::NeverMatches, &["HighErrorRate", "status"]);
}
#[test]
fn c_16_every_status_code_is_judged_alone() {
    let Some(found) = pisovereign() else { return };
    has(&found, Code::EverySeriesAlone, &["NoTraffic", "status"]);
}
#[test]
fn c_17_tokens_per_second_called_per_hour() {
    let Some(found) = pisovereign() else { return };
    has(&found, Code::UnitMismatch, &["HighTokenUsage", "per hour"]);
}
#[test]
fn c_23_quantiles_of_a_base_name() {
    let Some(found) = vms() else { return };
    has(&found, Code::MissingLe, &["HighDiskLatency", "disk_io_latency_ms_bucket"]);
    has(&found, Code::MissingLe, &["SlowAPIResponses", "http_request_duration_seconds_bucket"]);
}
#[test]
fn c_24_rule_files_that_nobody_loads() {
    let Some(found) = vms() else { return };
    has(&found, Code::RulesNotLoaded, &["alert_rules.yml"]);
    let asked =
        [("prometheus.yml", "rule_files: [a.yml]\nscrape_configs: [{job_name: a}]\n"), ("a.yml", "groups: [{name: a, rules: [{record: b, expr: up}]}]\n")];
    assert_eq!(lines(&super::site_tests::found(&asked)), [""; 0]);
    // Promtail evaluates no rules, also without the place that its lines went to.
    let reads = "scrape_configs:\n- {job_name: l, static_configs: [{targets: [localhost], labels: {__path__: /var/log/*.log}}]}\n";
    let containers = "scrape_configs: [{job_name: c, docker_sd_configs: [{host: 'unix:///run/docker.sock'}]}]\n";
    for beside in [("lines.yml", reads), ("promtail.yml", containers)] {
        let found = super::site_tests::found(&[asked[0], asked[1], beside]);
        assert!(!found.iter().any(|d| d.code == Code::RulesNotLoaded), "{:?}", lines(&found));
    }
}
/// What the server makes by itself is no scrape job, and is there.
#[test]
fn jobs_of_our_own_are_known() {
    let scraping = "rule_files: [r.yml]\nscrape_configs: [{job_name: p}]\n";
    let ours = "probes:\n- {name: web, module: http_2xx}\n- {module: icmp_ping}\ncontainers: {job: boxes}\n";
    let with = |job: &str| {
        let rules = format!("groups:\n- name: g\n  rules:\n  - {{alert: A, expr: 'up{{job=\"{job}\"}} == 0'}}\n");
        let found = super::site_tests::found(&[("prometheus.yml", scraping), ("watchfire.yml", ours), ("r.yml", &rules)]);
        lines(&found.into_iter().filter(|d| d.code == Code::UnknownJob).collect::<Vec<_>>()).concat()
    };
    for job in ["node", "gpu", "app", "web", "probe-icmp_ping", "boxes"] {
        assert_eq!(with(job), "", "{job}");
    }
    for (job, said) in [("cadvisor", "the jobs are p"), ("wep", "did you mean job=\"web\"?")] {
        assert!(with(job).contains(said), "{}", with(job));
    }
}
#[test]
fn c_25_instances_with_different_ports_are_never_equal() {
    let Some(found) = vms() else { return };
    has(&found, Code::InhibitionNeverMatches, &["NodeDown never silences", "CameraOffline", "HighFrameDropRate", ":9100", ":9090"]);
    let with = found.iter().filter(|d| d.code == Code::InhibitionNeverMatches).map(|d| &d.message).collect::<Vec<_>>();
    assert!(!with.iter().any(|m| m.contains("HighMemoryUsage") || m.contains("HighCPUUsage")), "{with:?}");
}
#[test]
fn c_26_a_sum_loses_the_label_that_must_be_equal() {
    let Some(found) = vms() else { return };
    has(&found, Code::InhibitionNeverMatches, &["NodeDown never silences HighAPIErrorRate", "no label instance"]);
}
#[test]
fn c_30_a_rate_shown_as_a_percentage() {
    let Some(found) = vms() else { return };
    has(&found, Code::UnitMismatch, &["HighFrameDropRate", "percentage"]);
}
#[test]
fn c_32_levels_with_the_names_of_counters() {
    let (Some(streams), Some(ai)) = (seed("004_275_dashboard_live_streaming.yml"), seed("004_306_dashboard_ai_processing.yml")) else { return };
    has(&found(&[("d.yml", &streams)]), Code::MisleadingName, &["Active Streams", "active_streams_total"]);
    has(&found(&[("d.yml", &ai)]), Code::MisleadingName, &["AI Job Queue Depth", "ai_jobs_queued_total"]);
}
#[test]
fn c_33_bytes_shown_as_megabytes() {
    let Some(text) = seed("004_245_dashboard_recording_performance.yml") else { return };
    let found = found(&[("d.yml", &text)]);
    has(&found, Code::UnitMismatch, &["Disk Write Throughput", "MB/s", "bytes per second"]);
    has(&found, Code::MissingLe, &["Storage Write Latency P99"]);
    assert_eq!(found.len(), 2, "{:#?}", lines(&found));
}
/// The catalog declares the seed's metric as a gauge of the last duration, as which it can be drawn; a histogram cannot.
#[test]
fn c_34_a_histogram_drawn_by_its_base_name() {
    let text = "panels:\n- {title: Latency, type: graph, query: http_request_duration_seconds}\n- {title: Mean, type: graph, query: 'rate(http_request_duration_seconds_sum[5m]) / rate(http_request_duration_seconds_count[5m])'}\n";
    let found = found(&[("d.yml", text)]);
    has(&found, Code::HistogramBaseName, &["Latency"]);
    assert_eq!(found.len(), 1, "{:#?}", lines(&found));
}
#[test]
fn c_63_targets_that_the_container_cannot_reach() {
    let (Some(compose), Some(prometheus)) = (seed("002_74_docker_compose.yml"), seed("002_186_prometheus.yml")) else { return };
    let found = found(&[("docker-compose.yml", &compose), ("prometheus.yml", &prometheus)]);
    has(&found, Code::TargetNotThere, &["job node-exporter", "localhost:9100"]);
    has(&found, Code::TargetNotThere, &["alertmanagers", "alertmanager"]);
    assert!(!lines(&found).iter().any(|l| l.contains("localhost:9090")), "{:#?}", lines(&found));
}
#[test]
fn c_64_a_time_that_no_stage_extracts() {
    let Some(text) = seed("002_500_promtail.yml") else { return };
    let found = found(&[("promtail.yml", &text)]);
    has(&found, Code::FieldNotExtracted, &["pisovereign", "timestamp"]);
    assert_eq!(found.len(), 1, "{:#?}", lines(&found));
}
#[test]
fn c_65_a_retention_that_nobody_applies_and_a_schema_that_is_refused() {
    let Some(text) = seed("002_466_loki.yml") else { return };
    let found = found(&[("loki.yml", &text)]);
    has(&found, Code::RetentionNotApplied, &["compactor"]);
    has(&found, Code::SchemaRefused, &["v11", "boltdb-shipper"]);
    let right = "schema_config: {configs: [{from: 2024-01-01, store: tsdb, schema: v13}]}\nlimits_config: {retention_period: 7d}\ncompactor: {retention_enabled: true}\n";
    assert_eq!(lines(&super::site_tests::found(&[("loki.yml", right)])), [""; 0]);
}
#[test]
fn c_67_a_section_that_grafana_ignores() {
    let Some(text) = seed("002_570_grafana.ini") else { return };
    let found = found(&[("grafana.ini", &text)]);
    has(&found, Code::SettingIgnored, &["[session]"]);
    assert_eq!((found.len(), found[0].line > 1), (1, true));
}
#[test]
fn c_68_fields_that_are_not_where_they_are_looked_for() {
    let Some(text) = seed("004_582_filebeat.yml") else { return };
    let found = found(&[("filebeat.yml", &text)]);
    has(&found, Code::FieldsBelow, &["component", "/var/log/vms/recording-engine/*.log"]);
    assert_eq!(found.len(), 3, "{:#?}", lines(&found));
    let right = text.replace("    fields:\n", "    fields_under_root: true\n    fields:\n");
    assert_eq!(lines(&super::site_tests::found(&[("filebeat.yml", &right)])), [""; 0]);
}
#[test]
fn c_71_alerts_that_reach_nobody() {
    let Some(found) = pisovereign() else { return };
    has(&found, Code::SilentReceiver, &["receiver default", "NoTraffic", "HighTokenUsage"]);
    has(&found, Code::SilentReceiver, &["receiver warning", "HighErrorRate"]);
}
#[test]
fn c_88_urls_scraped_as_hosts() {
    let Some(text) = seed("000_658_blackbox_scrape.yml") else { return };
    let found = found(&[("scrape.yml", &text)]);
    has(&found, Code::TargetIsUrl, &["blackbox-http-health", "backend:8000"]);
    let relabelled = format!("{text}  relabel_configs: [{{source_labels: [__address__], target_label: __param_target}}]\n");
    assert_eq!(lines(&super::site_tests::found(&[("scrape.yml", &relabelled)])), [""; 0]);
}

#[test]
fn sound_rules_of_the_documents_have_no_findings() {
    let defective = ["HighErrorRate", "NoTraffic", "HighTokenUsage", "HighFrameDropRate", "HighDiskLatency", "SlowAPIResponses"];
    for found in [vms(), pisovereign()].into_iter().flatten() {
        let others: Vec<String> =
            found.iter().filter(|d| &*d.file == "alert_rules.yml" && !defective.contains(&d.subject.as_str())).map(|d| d.message.clone()).collect();
        assert_eq!(others, [""; 0]);
    }
}

#[test]
fn pushed_jobs_are_not_unknown() {
    let rules = "groups: [{name: a, rules: [{alert: A, expr: 'up{job=\"batch\"} == 0'}]}]\n";
    let config =
        "rule_files: [a.yml]\nscrape_configs:\n- job_name: pushed\n  honor_labels: true\n  static_configs: [{targets: ['push:9091']}]\n- job_name: web\n";
    assert_eq!(lines(&found(&[("prometheus.yml", config), ("a.yml", rules)])), [""; 0]);
    let strict = config.replace("honor_labels: true", "honor_labels: false");
    has(&found(&[("prometheus.yml", &strict), ("a.yml", rules)]), Code::UnknownJob, &["batch"]);
}

#[test]
fn the_running_server_knows_more() {
    let names = |names: &[&str]| Some(names.iter().map(|n| (*n).to_owned()).collect());
    let seen = Seen { names: names(&["present", "up"]), jobs: names(&["remote"]) };
    let rules = "groups: [{name: a, rules: [{alert: A, expr: present > 1}, {alert: B, expr: gone > 1}, {alert: C, expr: 'up{job=\"remote\"} == 0'}]}]\n";
    let config = "rule_files: [a.yml]\nscrape_configs: [{job_name: web}]\n";
    let found = site(&[("prometheus.yml", config), ("a.yml", rules)]).check(Catalogs::builtin(), Some(Arc::new(seen)));
    has(&found, Code::UnknownMetric, &["B", "gone"]);
    assert_eq!(found.len(), 1, "{:#?}", lines(&found));
}

/// Alerts of rules over logs take routes, too; of their expressions nothing is known.
#[test]
fn rules_over_logs_belong_to_the_site() {
    let logs = "groups:\n- name: g\n  rules:\n  - {alert: Errors, expr: 'sum by (app) (rate({app=\"x\"} |= \"e\" [5m])) > 1', labels: {severity: page}, annotations: {d: '{{ $labels.app }}'}}\n  - {alert: More, expr: 'sum by (app) (rate({app=\"x\"} |= \"e\" [5m]))>1'}\n";
    let metrics = "groups: [{name: g, rules: [{alert: Down, expr: up == 0}]}]\n";
    let manager = |name: &str| {
        format!("route: {{receiver: a, routes: [{{match: {{alertname: {name}}}}}]}}\nreceivers: [{{name: a, webhook_configs: [{{url: 'http://x/'}}]}}]\n")
    };
    let of = |name: &str| {
        let manager = manager(name);
        let files = [("prometheus.yml", "rule_files: [m.yml]\n"), ("m.yml", metrics), ("loki-rules.yml", logs), ("alertmanager.yml", manager.as_str())];
        super::site_tests::found(&files).iter().map(|d| (d.code, d.subject.clone())).collect::<Vec<_>>()
    };
    assert_eq!(of("Errors"), [(Code::DuplicateCondition, "More".to_owned())]);
    assert_eq!(of("Gone").len(), 2, "no rule raises it");
}
