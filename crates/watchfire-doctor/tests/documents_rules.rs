//! The 21 alert rules of the replaced products' documents, as they stand there: each fires and stops on data in the form in which its
//! product has them, or the doctor says why it never will. Skipped where the documents' tables are not at hand.

#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it must be")]

use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

use watchfire_alert::rules::file::{RuleFile, read};
use watchfire_alert::rules::{Expand, GoTemplates, unit};
use watchfire_doctor::{Code, Knowledge, rules};
use watchfire_model::document::parse_yaml;
use watchfire_model::time::{ManualClock, Timestamp};
use watchfire_pack::catalog::Catalogs;

/// Series of one value a minute.
type Series = &'static [(&'static str, &'static str)];
enum Fate {
    /// It fires at one minute and is quiet at a later one.
    Fires(u64, u64),
    /// It never fires, because of this.
    Never(Code),
}
use Fate::{Fires, Never};

const PISOVEREIGN: [(&str, Series, Fate); 8] = [
    ("PiSovereignDown", &[("up{job=\"pisovereign\"}", "0x4 1x20")], Fires(1, 6)),
    ("InferenceEngineUnhealthy", &[("inference_healthy{}", "0x4 1x20")], Fires(2, 6)),
    ("HighResponseTime", &[("http_response_time_avg_ms{}", "6000x7 90x20")], Fires(5, 9)),
    ("HighInferenceTime", &[("inference_time_avg_ms{}", "12500x7 90x20")], Fires(5, 9)),
    (
        "HighErrorRate",
        &[
            ("http_requests_server_error_total{}", "0+50x40"),
            ("http_requests_total{status=\"200\"}", "0+50x40"),
            ("http_requests_total{status=\"500\"}", "0+50x40"),
        ],
        Never(Code::NeverMatches),
    ),
    ("InferenceFailures", &[("inference_requests_failed_total{}", "0+25x12 300x20"), ("inference_requests_total{}", "0+100x32")], Fires(6, 24)),
    ("NoTraffic", &[("http_requests_total{status=\"200\"}", "5x32 5+10x20")], Fires(17, 40)),
    ("HighTokenUsage", &[("inference_tokens_total{}", "0+400000000x100 40000000000x80")], Fires(61, 170)),
];

const VMS: [(&str, Series, Fate); 13] = [
    ("CameraOffline", &[("camera_connection_status{camera_id=\"back\"}", "1x2 0x6 1x20")], Fires(6, 10)),
    ("HighFrameDropRate", &[("camera_frames_dropped_total{camera_id=\"back\"}", "0+30x12 360x20")], Fires(6, 20)),
    ("LowCameraFPS", &[("camera_fps{camera_id=\"back\"}", "12x6 25x20")], Fires(3, 8)),
    ("DiskSpaceCritical", &[("disk_space_free_bytes{instance=\"n\"}", "5x8 50x20"), ("disk_space_total_bytes{instance=\"n\"}", "100x28")], Fires(5, 10)),
    ("DiskSpaceWarning", &[("disk_space_free_bytes{instance=\"n\"}", "15x14 50x20"), ("disk_space_total_bytes{instance=\"n\"}", "100x34")], Fires(10, 16)),
    (
        "HighDiskLatency",
        &[
            ("disk_io_latency_ms_bucket{instance=\"n\", le=\"100.0\"}", "0x40"),
            ("disk_io_latency_ms_bucket{instance=\"n\", le=\"500.0\"}", "0+10x40"),
            ("disk_io_latency_ms_bucket{instance=\"n\", le=\"+Inf\"}", "0+10x40"),
        ],
        Never(Code::MissingLe),
    ),
    ("HighStreamLatency", &[("stream_latency_ms{protocol=\"webrtc\", camera_id=\"back\"}", "1500x5 90x20")], Fires(2, 7)),
    ("WebRTCConnectionFailures", &[("webrtc_connection_failures_total{}", "0+25x12 300x20"), ("webrtc_connection_attempts_total{}", "0+100x32")], Fires(6, 24)),
    ("NodeDown", &[("up{job=\"node-exporter\", instance=\"n:9100\"}", "0x4 1x20")], Fires(1, 6)),
    ("HighCPUUsage", &[("node_cpu_seconds_total{instance=\"n\", mode=\"idle\", cpu=\"0\"}", "0+3x20 60+59x20")], Fires(11, 25)),
    (
        "HighMemoryUsage",
        &[("node_memory_MemAvailable_bytes{instance=\"n\"}", "5x8 50x20"), ("node_memory_MemTotal_bytes{instance=\"n\"}", "100x28")],
        Fires(5, 10),
    ),
    ("HighAPIErrorRate", &[("http_requests_total{status=\"200\"}", "0+80x32"), ("http_requests_total{status=\"502\"}", "0+20x12 240x20")], Fires(6, 24)),
    (
        "SlowAPIResponses",
        &[
            ("http_request_duration_seconds_bucket{le=\"1.0\"}", "0x40"),
            ("http_request_duration_seconds_bucket{le=\"5.0\"}", "0+10x40"),
            ("http_request_duration_seconds_bucket{le=\"+Inf\"}", "0+10x40"),
        ],
        Never(Code::MissingLe),
    ),
];

fn check(name: &str, table: &[(&str, Series, Fate)]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/catalogue/config_snippets").join(name);
    let Ok(text) = std::fs::read_to_string(path) else {
        eprintln!("SKIPPED: the documents' {name} is not at hand");
        return;
    };
    let templates: Arc<dyn Expand> = Arc::new(GoTemplates::new(ManualClock::new(Timestamp(0))));
    let file = read("r.yml", &text, Some(&*templates)).file.unwrap();
    let alerts: Vec<&str> = file.groups.iter().flat_map(|g| &g.rules).map(|r| r.name.as_str()).collect();
    assert_eq!(alerts, table.iter().map(|(rule, ..)| *rule).collect::<Vec<_>>());
    let found = rules::check(std::slice::from_ref(&file), &Knowledge::new(Catalogs::builtin()));
    for (rule, series, fate) in table {
        let firing: Vec<(u64, bool)> = match fate {
            Fires(at, quiet) => vec![(*at, true), (*quiet, false)],
            Never(_) => (0..40).map(|minute| (minute, false)).collect(),
        };
        run(&file, &templates, rule, series, &firing);
        if let Never(why) = fate {
            assert!(found.iter().any(|d| d.subject == *rule && d.code == *why), "{rule}: {found:#?}");
        }
    }
}

/// Whether an alert fires at minutes.
fn run(file: &RuleFile, templates: &Arc<dyn Expand>, rule: &str, series: Series, firing: &[(u64, bool)]) {
    let mut text = String::from("rule_files: [r.yml]\nevaluation_interval: 30s\ntests:\n- interval: 1m\n  input_series:\n");
    for (name, values) in series {
        writeln!(text, "  - {{series: '{name}', values: '{values}'}}").unwrap();
    }
    text.push_str("  promql_expr_test:\n");
    for (minute, fires) in firing {
        let samples = if *fires { "[{labels: '{}', value: 1}]" } else { "[]" };
        writeln!(text, "  - {{eval_time: {minute}m, expr: 'count(ALERTS{{alertname=\"{rule}\", alertstate=\"firing\"}})', exp_samples: {samples}}}").unwrap();
    }
    let parsed = unit::read_node("t.yml", &parse_yaml("t.yml", &text).unwrap());
    let tests = parsed.file.unwrap_or_else(|| panic!("{text}\n{:?}", parsed.findings));
    let failures = unit::run(&tests, std::slice::from_ref(file), templates);
    assert!(failures.is_empty(), "{rule}\n{}", failures.join("\n"));
}

#[test]
fn pis_16_the_documents_eight_rules_fire_or_the_doctor_says_why_not() {
    check("002_317_alert_rules.yml", &PISOVEREIGN);
}

#[test]
fn vms_21_the_documents_thirteen_rules_fire_or_the_doctor_says_why_not() {
    check("004_334_alert_rules.yml", &VMS);
}
