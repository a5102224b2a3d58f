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
    // Requests may be told by model, failures are not.
    let models = [failures[0], ("inference_requests_total{model=\"a\"}", "0+40x24"), ("inference_requests_total{model=\"b\"}", "0+60x24")];
    fires_and_stops(&models, "InferenceFailures", "warning", 6, ("Many inferences fail", "25% of the inferences fail."), 24);
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

#[test]
fn a_frozen_camera_raises_its_alert_within_a_minute() {
    let frozen = "{exp_labels: {severity: critical, component: recording, camera_id: back}, exp_annotations: {summary: Camera back is frozen, \
                  description: 'Camera back is connected, and has given no new picture for a minute.'}}";
    let cameras = [("camera_frozen{camera_id=\"back\"}", "0x4 1x3 0x5"), ("camera_frozen{camera_id=\"front\"}", "0x15")];
    check("cameras", &cameras, &[(5, "CameraFrozen", None), (6, "CameraFrozen", Some(frozen)), (8, "CameraFrozen", Some(frozen)), (9, "CameraFrozen", None)]);
}

#[test]
fn cameras_that_change_lose_or_come_and_go_raise_alerts() {
    let texts = |alert: &str, summary: &str, description: &str| {
        (
            alert.to_owned(),
            format!(
                "{{exp_labels: {{severity: warning, component: recording, camera_id: back}}, exp_annotations: {{summary: '{summary}', description: '{description}'}}}}"
            ),
        )
    };
    let changed = texts(
        "CameraResolutionChanged",
        "The pictures of camera back have another size",
        "The size of the pictures of camera back changed within a quarter of an hour.",
    );
    let lost = texts("CameraPacketsLost", "Packets of camera back are lost", "10% of the packets of camera back do not arrive.");
    let again =
        texts("CameraReconnects", "Camera back comes and goes", "The session with camera back had to be begun again 15 times within a quarter of an hour.");
    let quiet = "0x40";
    for (series, values, (alert, fires), at) in [
        (vec!["camera_resolution_changes_total"], vec!["0x4 1x40"], changed, 6),
        (vec!["camera_packets_lost_total", "camera_packets_received_total"], vec!["0+10x40", "0+90x40"], lost, 10),
        (vec!["camera_reconnects_total"], vec!["0+1x40"], again, 30),
    ] {
        let names: Vec<String> = series.iter().map(|name| format!("{name}{{camera_id=\"back\"}}")).collect();
        let input: Vec<(&str, &str)> = names.iter().map(String::as_str).zip(values.iter().copied()).collect();
        check("cameras", &input, &[(at, &alert, Some(&fires))]);
        let calm: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), quiet)).collect();
        check("cameras", &calm, &[(at, &alert, None)]);
    }
}

#[test]
fn faulty_pictures_and_silent_streaming_servers_raise_alerts() {
    let covered = "{exp_labels: {severity: warning, component: recording, camera_id: back, fault: covered}, exp_annotations: {summary: The picture of camera back is covered, \
                   description: For two minutes the pictures of camera back have been covered.}}";
    let pictures = [
        ("camera_picture_fault{camera_id=\"back\", fault=\"covered\"}", "0x2 1x4 0x5"),
        ("camera_picture_fault{camera_id=\"back\", fault=\"identical\"}", "1x15"),
    ];
    check("cameras", &pictures, &[(4, "CameraPictureFault", None), (5, "CameraPictureFault", Some(covered)), (8, "CameraPictureFault", None)]);
    let down = "{exp_labels: {severity: warning, component: streaming, server: media}, exp_annotations: {summary: media does not tell its streams, \
                description: For two minutes the streaming server media has not told its streams.}}";
    check(
        "cameras",
        &[("stream_server_up{server=\"media\"}", "1x2 0x4 1x5")],
        &[(4, "StreamServerDown", None), (5, "StreamServerDown", Some(down)), (8, "StreamServerDown", None)],
    );
}

/// Series that raise an alert at a minute, and what it says then.
struct Case<'a> {
    alert: &'a str,
    series: &'a [(&'a str, &'a str)],
    at: u64,
    labels: &'a str,
    summary: &'a str,
    description: &'a str,
}

/// Every case fires, with its texts, and is quiet while nothing is wrong; every rule of the pack has a case.
fn each_fires(pack: &str, cases: &[Case<'_>], calm: &[(&str, &str)]) {
    for case in cases {
        let fires = format!("{{exp_labels: {{{}}}, exp_annotations: {{summary: \"{}\", description: \"{}\"}}}}", case.labels, case.summary, case.description);
        check(pack, case.series, &[(case.at, case.alert, Some(&fires))]);
    }
    let file = rules_of(pack);
    for rule in rules(&file) {
        assert!(cases.iter().any(|case| case.alert == &*rule.name), "no case for {}", rule.name);
        check(pack, calm, &[(420, &rule.name, None)]);
    }
}

#[test]
fn what_a_machine_cannot_put_right_raises_alerts() {
    let disk = "{device=\"/dev/a\", fstype=\"ext4\", mountpoint=\"/\", instance=\"pi\"}";
    let (avail, whole) = (format!("node_filesystem_avail_bytes{disk}"), format!("node_filesystem_size_bytes{disk}"));
    let (free, files) = (format!("node_filesystem_files_free{disk}"), format!("node_filesystem_files{disk}"));
    let read_only = format!("node_filesystem_readonly{disk}");
    let in_labels = |labels: &str| format!("severity: {labels}, instance: pi");
    let of_disk = "device: /dev/a, fstype: ext4, mountpoint: /, instance: pi, component: disk";
    let gpu = "{gpu=\"0\", gpu_name=\"A\"}";
    let pressure = format!("watchfire_gpu_memory_pressure{gpu}");
    let damaged = format!("watchfire_gpu_ecc_uncorrected_errors_total{gpu}");
    let (killed, stalls) = (in_labels("critical, component: memory"), in_labels("warning, component: memory"));
    let (clock, network) = (in_labels("warning, component: clock"), in_labels("warning, device: eth0, component: network"));
    let (disk_warning, disk_critical) = (format!("severity: warning, {of_disk}"), format!("severity: critical, {of_disk}"));
    let cases = [
        Case {
            alert: "HostKilledProcess",
            series: &[("node_vmstat_oom_kill{instance=\"pi\"}", "0x5 1x20")],
            at: 8,
            labels: &killed,
            summary: "pi ran out of memory",
            description: "The kernel of pi killed a process within a quarter of an hour because there was no memory.",
        },
        Case {
            alert: "HostMemoryStalls",
            series: &[("node_pressure_memory_stalled_seconds_total{instance=\"pi\"}", "0+15x30")],
            at: 12,
            labels: &stalls,
            summary: "Programs on pi wait for memory",
            description: "25% of the time nothing on pi could run for want of memory.",
        },
        Case {
            alert: "HostDiskFillsSoon",
            series: &[(&avail, "39-0.1x420"), (&whole, "100x420")],
            at: 120,
            labels: &disk_warning,
            summary: "/ of pi is full within a day",
            description: "If it goes on as in the last six hours, / of pi has no room in a day.",
        },
        Case {
            alert: "HostDiskFull",
            series: &[(&avail, "4x20"), (&whole, "100x20")],
            at: 6,
            labels: &disk_critical,
            summary: "/ of pi is full",
            description: "4% of / of pi is left.",
        },
        Case {
            alert: "HostFilesFull",
            series: &[(&free, "2x20"), (&files, "100x20")],
            at: 6,
            labels: &disk_warning,
            summary: "/ of pi can have few more files",
            description: "2% of the files that / of pi can have are left.",
        },
        Case {
            alert: "HostDiskReadOnly",
            series: &[(&read_only, "0x60 1x20")],
            at: 65,
            labels: &disk_critical,
            summary: "/ of pi cannot be written any more",
            description: "/ of pi was writable an hour ago and is read-only: the kernel does that when a disk fails.",
        },
        Case {
            alert: "HostClockWrong",
            series: &[("node_timex_sync_status{instance=\"pi\"}", "0x30"), ("node_timex_maxerror_seconds{instance=\"pi\"}", "16x30")],
            at: 16,
            labels: &clock,
            summary: "Nobody keeps the clock of pi right",
            description: "The clock of pi is not synchronised; times of samples, lines and alerts drift.",
        },
        Case {
            alert: "HostNetworkErrors",
            series: &[
                ("node_network_receive_errs_total{instance=\"pi\", device=\"eth0\"}", "0+120x30"),
                ("node_network_transmit_errs_total{instance=\"pi\", device=\"eth0\"}", "0+60x30"),
            ],
            at: 20,
            labels: &network,
            summary: "eth0 of pi has errors",
            description: "3.0 packets a second of eth0 of pi are broken: cable, plug or driver.",
        },
        Case {
            alert: "GpuMemoryFull",
            series: &[(&pressure, "1x3 2x20")],
            at: 8,
            labels: "severity: critical, gpu: \"0\", gpu_name: A, component: gpu",
            summary: "The memory of GPU 0 is full",
            description: "The memory of GPU 0 (A) has been critically full for two minutes; the next model does not fit.",
        },
        Case {
            alert: "GpuMemoryDamaged",
            series: &[(&damaged, "0x5 2x20")],
            at: 10,
            labels: "severity: critical, gpu: \"0\", gpu_name: A, component: gpu",
            summary: "GPU 0 has errors in its memory",
            description: "GPU 0 (A) had errors within an hour that its memory could not correct.",
        },
    ];
    let calm: Vec<(&str, &str)> = vec![
        ("node_vmstat_oom_kill{instance=\"pi\"}", "7x430"),
        ("node_pressure_memory_stalled_seconds_total{instance=\"pi\"}", "0+1x430"),
        (&avail, "60-0.001x430"),
        (&whole, "100x430"),
        (&free, "50x430"),
        (&files, "100x430"),
        (&read_only, "1x430"),
        ("node_timex_sync_status{instance=\"pi\"}", "1x430"),
        ("node_timex_maxerror_seconds{instance=\"pi\"}", "16x430"),
        ("node_network_receive_errs_total{instance=\"pi\", device=\"eth0\"}", "0+1x430"),
        ("node_network_transmit_errs_total{instance=\"pi\", device=\"eth0\"}", "0+1x430"),
        (&pressure, "1x430"),
        (&damaged, "3x430"),
    ];
    each_fires("host", &cases, &calm);
}

#[test]
fn what_goes_wrong_with_watchfire_itself_raises_alerts() {
    let of = |alert, series, at, labels, summary, description| Case { alert, series, at, labels, summary, description };
    let here = "instance: a, severity: critical";
    let warning = "instance: a, severity: warning";
    let cases = [
        of(
            "TargetDown",
            &[("up{instance=\"a\", job=\"j\"}", "1x2 0x10")],
            8,
            "instance: a, job: j, severity: warning",
            "a of j does not answer",
            "a of job j could not be scraped for five minutes.",
        ),
        of(
            "WatchfireCannotWrite",
            &[("watchfire_storage_writable{instance=\"a\"}", "1x2 0x10")],
            4,
            here,
            "Watchfire refuses what is sent to it",
            "The disk is full, read-only or broken. What can be read still is.",
        ),
        of(
            "WatchfireDamagedFiles",
            &[("watchfire_storage_quarantined_files{instance=\"a\"}", "0x2 2x10")],
            3,
            warning,
            "Watchfire found damaged files",
            "2 damaged files lie in quarantine; what was in them is missing from answers.",
        ),
        of(
            "WatchfireRefusesSamples",
            &[("watchfire_ingest_samples_rejected_total{instance=\"a\", reason=\"too_old\"}", "0+30x30")],
            20,
            "instance: a, reason: too_old, severity: warning",
            "Samples are refused: too_old",
            "0.5 samples a second are refused because of too_old.",
        ),
        of(
            "WatchfireRefusesLogs",
            &[("watchfire_ingest_log_entries_rejected_total{instance=\"a\", reason=\"too_old\"}", "0+60x30")],
            20,
            "instance: a, reason: too_old, severity: warning",
            "Log lines are refused: too_old",
            "1.0 log lines a second are refused because of too_old.",
        ),
        of(
            "WatchfireRulesFail",
            &[("watchfire_rule_evaluation_failures_total{instance=\"a\", rule_group=\"g\"}", "0+1x30")],
            10,
            "instance: a, rule_group: g, severity: warning",
            "Rules of g fail",
            "Rules of g could not be evaluated, so that their alerts cannot fire.",
        ),
        of(
            "WatchfireTellsNobody",
            &[("watchfire_alert_notifications_given_up_total{instance=\"a\"}", "0+1x30")],
            20,
            here,
            "Notifications reach nobody",
            "15 notifications were given up within a quarter of an hour.",
        ),
        of(
            "WatchfireConfigurationNotLoaded",
            &[("watchfire_config_last_reload_successful{instance=\"a\"}", "1x2 0x10")],
            8,
            warning,
            "The configuration that lies there is not the one that runs",
            "The last attempt to load the configuration failed; the one before it is in force, and the next start would fail.",
        ),
        of(
            "WatchfireForwardingBehind",
            &[("watchfire_forward_buffered_bytes{instance=\"a\", remote_name=\"far\"}", "536870912x30")],
            16,
            "instance: a, remote_name: far, severity: warning",
            "far is far behind",
            "512MiB wait for far.",
        ),
        of(
            "WatchfireForwardingLost",
            &[("watchfire_forward_lost_samples_total{instance=\"a\", remote_name=\"far\"}", "0+10x30")],
            20,
            "instance: a, remote_name: far, severity: critical",
            "far does not get everything",
            "150 samples left the buffer before far took them.",
        ),
        of(
            "WatchfireTaskEnded",
            &[("watchfire_task_panics_total{instance=\"a\", task=\"t\"}", "0x5 1x20")],
            10,
            "instance: a, task: t, severity: critical",
            "A part of Watchfire ended: t",
            "t ended by a fault of ours within an hour. Start again, and tell us what the log says.",
        ),
    ];
    let calm = [
        ("up{instance=\"a\", job=\"j\"}", "1x430"),
        ("watchfire_storage_writable{instance=\"a\"}", "1x430"),
        ("watchfire_storage_quarantined_files{instance=\"a\"}", "0x430"),
        ("watchfire_ingest_samples_rejected_total{instance=\"a\", reason=\"too_old\"}", "9x430"),
        ("watchfire_ingest_log_entries_rejected_total{instance=\"a\", reason=\"too_old\"}", "9x430"),
        ("watchfire_rule_evaluation_failures_total{instance=\"a\", rule_group=\"g\"}", "2x430"),
        ("watchfire_alert_notifications_given_up_total{instance=\"a\"}", "3x430"),
        ("watchfire_config_last_reload_successful{instance=\"a\"}", "1x430"),
        ("watchfire_forward_buffered_bytes{instance=\"a\", remote_name=\"far\"}", "4096x430"),
        ("watchfire_forward_lost_samples_total{instance=\"a\", remote_name=\"far\"}", "5x430"),
        ("watchfire_task_panics_total{instance=\"a\", task=\"t\"}", "1x430"),
    ];
    each_fires("watchfire", &cases, &calm);
}

#[test]
fn every_alert_has_a_line_in_the_readme_of_its_pack() {
    for pack in ["cameras", "host", "hsi", "pisovereign", "vms", "watchfire"] {
        let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packs").join(pack).join("README.md")).unwrap();
        let file = rules_of(pack);
        for rule in rules(&file) {
            let row = format!("| `{}` | ", rule.name);
            assert!(readme.lines().any(|line| line.starts_with(&row) && line.len() > row.len() + 20), "{pack}: {}", rule.name);
        }
    }
}
