//! The rules of the shipped packs do what the documents say: names, times, severities, texts, and that each fires and stops.

#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it must be")]

use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

use watchfire_alert::rules::file::{self, Rule, RuleFile, RuleKind};
use watchfire_alert::rules::{Expand, GoTemplates, unit};
use watchfire_model::document::parse_yaml;
use watchfire_model::time::{ManualClock, Timestamp};

fn templates() -> Arc<dyn Expand> {
    Arc::new(GoTemplates::new(ManualClock::new(Timestamp(0))))
}

fn rules_of(pack: &str) -> RuleFile {
    let file = if pack == "hsi" { "rules/warnings.yml" } else { "rules/alerts.yml" };
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packs").join(pack).join(file);
    let parsed = file::read("alerts.yml", &std::fs::read_to_string(path).unwrap(), Some(&*templates()));
    assert_eq!(parsed.findings, []);
    parsed.file.unwrap()
}

fn rules(file: &RuleFile) -> Vec<&Rule> {
    file.groups.iter().flat_map(|g| &g.rules).collect()
}

fn label<'a>(rule: &'a Rule, name: &str) -> &'a str {
    rule.labels.iter().find(|(n, _)| n == name).map_or("", |(_, v)| v)
}

fn for_minutes(rule: &Rule) -> u64 {
    match rule.kind {
        RuleKind::Alert { for_ms, .. } => for_ms / 60_000,
        RuleKind::Record => 0,
    }
}

/// Runs series of one value a minute over a pack's rules; every expectation is a minute, an alert, and its labels and
/// annotations in YAML when it must fire.
fn check(pack: &str, series: &[(&str, &str)], expected: &[(u64, &str, Option<&str>)]) {
    let mut text = String::from("rule_files: [alerts.yml]\ntests:\n- interval: 1m\n  input_series:\n");
    for (name, values) in series {
        writeln!(text, "  - {{series: '{name}', values: '{values}'}}").unwrap();
    }
    text.push_str("  alert_rule_test:\n");
    for (minute, alert, fires) in expected {
        let alerts = fires.map_or("[]".to_owned(), |f| format!("[{f}]"));
        writeln!(text, "  - {{eval_time: {minute}m, alertname: {alert}, exp_alerts: {alerts}}}").unwrap();
    }
    let parsed = unit::read_node("t.yml", &parse_yaml("t.yml", &text).unwrap());
    let tests = parsed.file.unwrap_or_else(|| panic!("{text}\n{:?}", parsed.findings));
    let failures = unit::run(&tests, &[rules_of(pack)], &templates());
    assert!(failures.is_empty(), "{series:?}\n{}", failures.join("\n"));
}

/// The same for one alert without labels of its series, and with its texts: quiet a minute before, firing, quiet at the end.
fn fires_and_stops(series: &[(&str, &str)], alert: &str, severity: &str, at: u64, texts: (&str, &str), end: u64) {
    let firing = format!("{{exp_labels: {{severity: {severity}}}, exp_annotations: {{summary: '{}', description: '{}'}}}}", texts.0, texts.1);
    check("pisovereign", series, &[(at - 1, alert, None), (at, alert, Some(&firing)), (end, alert, None)]);
}

#[test]
fn pis_16_eight_alert_rules_fire_and_stop() {
    let file = rules_of("pisovereign");
    let known: Vec<_> = rules(&file).iter().map(|r| format!("{} {}m {}", r.name, for_minutes(r), label(r, "severity"))).collect();
    assert_eq!(
        known,
        [
            "PiSovereignDown 1m critical",
            "InferenceEngineUnhealthy 2m critical",
            "HighResponseTime 5m warning",
            "HighInferenceTime 5m warning",
            "HighErrorRate 5m warning",
            "InferenceFailures 5m warning",
            "NoTraffic 15m info",
            "HighTokenUsage 60m info"
        ]
    );
    let down = "{exp_labels: {severity: critical, job: pisovereign}, exp_annotations: {summary: The assistant does not answer, description: Nobody could scrape it for a minute.}}";
    let up = [("up{job=\"pisovereign\"}", "0x4 1x5")];
    check(
        "pisovereign",
        &up,
        &[(0, "PiSovereignDown", None), (1, "PiSovereignDown", Some(down)), (4, "PiSovereignDown", Some(down)), (5, "PiSovereignDown", None)],
    );
    let healthy = ("The inference engine is not healthy", "It has reported so for two minutes.");
    fires_and_stops(&[("inference_healthy", "0x4 1x5")], "InferenceEngineUnhealthy", "critical", 2, healthy, 5);
    fires_and_stops(
        &[("http_response_time_avg_ms", "6000x7 90x5")],
        "HighResponseTime",
        "warning",
        5,
        ("Answers are slow", "On average an answer takes 6000 ms."),
        9,
    );
    fires_and_stops(
        &[("inference_time_avg_ms", "12500x7 90x5")],
        "HighInferenceTime",
        "warning",
        5,
        ("Inference is slow", "On average one takes 12500 ms."),
        9,
    );
    let errors = [
        ("http_requests_server_error_total", "0+10x12 120x12"),
        ("http_requests_total{status=\"200\"}", "0+90x24"),
        ("http_requests_total{status=\"500\"}", "0+10x24"),
    ];
    fires_and_stops(&errors, "HighErrorRate", "warning", 6, ("Many requests fail", "10% of the requests end in a server error."), 24);
    let failures = [("inference_requests_failed_total", "0+25x12 300x12"), ("inference_requests_total", "0+100x24")];
    fires_and_stops(&failures, "InferenceFailures", "warning", 6, ("Many inferences fail", "25% of the inferences fail."), 24);
    let silence = ("Nobody asks anything", "No request has come for a quarter of an hour.");
    fires_and_stops(&[("http_requests_total", "5x30 5+10x10")], "NoTraffic", "info", 16, silence, 36);
    // One quiet status is no silence.
    let quiet = [("http_requests_total{status=\"200\"}", "0+10x40"), ("http_requests_total{status=\"500\"}", "5x40")];
    check("pisovereign", &quiet, &[(20, "NoTraffic", None), (40, "NoTraffic", None)]);
    let tokens = ("Many tokens are used", "6.667M tokens per second.");
    fires_and_stops(&[("inference_tokens_total", "0+400000000x100 40000000000x80")], "HighTokenUsage", "info", 61, tokens, 170);
}

/// The warnings of the pipeline's documents that are rules: 85 % and 95 % of the GPU's memory, prompts near the limit, a full queue.
#[test]
fn gpu_memory_prompts_and_the_queue_are_warned_of() {
    let memory = |percent: &str| vec![("hsi_gpu_memory_used_mb", percent.to_owned()), ("hsi_gpu_memory_total_mb", "100x12".to_owned())];
    let pressure = |severity: &str, summary: &str, value: &str, how: &str| {
        format!(
            "{{exp_labels: {{severity: {severity}, component: gpu}}, exp_annotations: {{summary: {summary}, description: \"{value} % of the GPU's memory are in use: work {how}.\"}}}}"
        )
    };
    let warning = pressure("warning", "GPU memory runs short", "85", "should slow down");
    let critical = pressure("critical", "GPU memory is nearly full", "95", "must slow down a lot");
    for (values, minute, fires) in [("84x12", 5, None), ("85x12", 5, Some(&warning)), ("95x12", 5, Some(&critical)), ("95x4 84x8", 9, None)] {
        let series = memory(values);
        let series: Vec<(&str, &str)> = series.iter().map(|(name, values)| (*name, values.as_str())).collect();
        check("hsi", &series, &[(minute, "GPUMemoryPressure", fires.map(String::as_str))]);
    }
    let near = "{exp_labels: {severity: warning, component: llm}, exp_annotations: {summary: Prompts come near the limit of the context, description: 5 prompts of the last five minutes filled more than four fifths of what they may.}}";
    check(
        "hsi",
        &[("hsi_prompts_high_utilization_total", "0x10 0+1x10 11x20")],
        &[(9, "HighContextUtilization", None), (19, "HighContextUtilization", Some(near)), (35, "HighContextUtilization", None)],
    );
    let waiting = "{exp_labels: {severity: warning, component: queue}, exp_annotations: {summary: The detector cannot keep up, description: 120 images wait for detection.}}";
    let depths = [("hsi_detection_queue_depth{job=\"a\"}", "120x8 3x9"), ("hsi_detection_queue_depth{job=\"b\"}", "110x8 3x9")];
    check("hsi", &depths, &[(4, "DetectionQueueBackedUp", None), (5, "DetectionQueueBackedUp", Some(waiting)), (12, "DetectionQueueBackedUp", None)]);
}

#[test]
fn pis_17_texts_take_the_value_as_a_percentage_and_as_a_short_number() {
    let file = rules_of("pisovereign");
    let texts: Vec<String> = rules(&file)
        .iter()
        .filter_map(|r| match &r.kind {
            RuleKind::Alert { annotations, .. } => Some(annotations.iter().map(|(_, text)| text.clone()).collect::<String>()),
            RuleKind::Record => None,
        })
        .collect();
    for form in ["{{ $value }}", "{{ $value | humanizePercentage }}", "{{ $value | humanize }}"] {
        assert!(texts.iter().any(|t| t.contains(form)), "{form}");
    }
}

#[test]
fn vms_21_thirteen_rules_in_five_groups_with_their_intervals() {
    let file = rules_of("vms");
    let groups: Vec<_> = file.groups.iter().map(|g| (g.name.as_str(), g.interval_ms.unwrap() / 1_000, g.rules.len())).collect();
    let expected = [("camera_alerts", 30, 3), ("storage_alerts", 60, 3), ("streaming_alerts", 30, 2), ("system_alerts", 30, 3), ("api_alerts", 30, 2)];
    assert_eq!(groups, expected);
    let times: Vec<_> = rules(&file).iter().map(|r| (r.name.as_str(), for_minutes(r))).collect();
    let expected = [
        ("CameraOffline", 2),
        ("HighFrameDropRate", 5),
        ("LowCameraFPS", 3),
        ("DiskSpaceCritical", 5),
        ("DiskSpaceWarning", 10),
        ("HighDiskLatency", 5),
        ("HighStreamLatency", 2),
        ("WebRTCConnectionFailures", 5),
        ("NodeDown", 1),
        ("HighCPUUsage", 10),
        ("HighMemoryUsage", 5),
        ("HighAPIErrorRate", 5),
        ("SlowAPIResponses", 10),
    ];
    assert_eq!(times, expected);
}

#[test]
fn vms_22_every_alert_has_a_severity_and_a_component() {
    let file = rules_of("vms");
    let mut components: Vec<&str> = rules(&file).iter().map(|r| label(r, "component")).collect();
    components.dedup();
    assert_eq!(components, ["recording", "storage", "streaming", "infrastructure", "api"]);
    assert!(rules(&file).iter().all(|r| matches!(label(r, "severity"), "critical" | "warning")));
}

#[test]
fn vms_23_texts_name_the_camera_the_host_and_the_value() {
    let drops = "{exp_labels: {severity: critical, component: recording, camera_id: front}, exp_annotations: {summary: Camera front drops frames, \
                 description: Camera front drops 0.50 frames per second.}}";
    check("vms", &[("camera_frames_dropped_total{camera_id=\"front\"}", "0+30x9")], &[(6, "HighFrameDropRate", Some(drops))]);
    let full = "{exp_labels: {severity: critical, component: storage, instance: nvr}, exp_annotations: {summary: The disk of nvr is nearly full, \
                description: 5% of the disk of nvr is left.}}";
    let disk = [("disk_space_free_bytes{instance=\"nvr\"}", "5x9"), ("disk_space_total_bytes{instance=\"nvr\"}", "100x9")];
    check("vms", &disk, &[(5, "DiskSpaceCritical", Some(full))]);
    let busy = "{exp_labels: {severity: warning, component: infrastructure, instance: nvr}, exp_annotations: {summary: Host nvr is busy, \
                description: 95 percent of its processors are in use.}}";
    check("vms", &[("node_cpu_seconds_total{instance=\"nvr\", mode=\"idle\", cpu=\"0\"}", "0+3x20")], &[(11, "HighCPUUsage", Some(busy))]);
}

#[test]
fn vms_24_a_disconnected_camera_raises_camera_offline_after_two_minutes() {
    let offline = "{exp_labels: {severity: critical, component: recording, camera_id: back}, exp_annotations: {summary: Camera back is offline, \
                   description: Camera back has not been connected for two minutes.}}";
    let cameras = [("camera_connection_status{camera_id=\"back\"}", "1x4 0x5 1x5"), ("camera_connection_status{camera_id=\"front\"}", "1x15")];
    check(
        "vms",
        &cameras,
        &[(6, "CameraOffline", None), (7, "CameraOffline", Some(offline)), (10, "CameraOffline", Some(offline)), (11, "CameraOffline", None)],
    );
}
