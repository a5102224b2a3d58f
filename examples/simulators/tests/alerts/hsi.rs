//! The home security pipeline: the alerts of its pack, and those that the server raises by itself, which look every fifteen seconds.

use std::io::Write;

use crate::cases::{Case, Cause, Row, panels_have_data, play, tell};
use crate::run::{Run, installed};

use Cause::{Done, Fault, Held, Killed};

const fn case(alert: &'static str, labels: &'static [(&'static str, &'static str)], causes: &'static [Cause], what: &'static str) -> Case {
    Case { alert, labels, causes, what, alone: false, waits: false }
}
/// The same where nothing else can be wrong, however busy the machine is.
const fn alone(alert: &'static str, labels: &'static [(&'static str, &'static str)], causes: &'static [Cause], what: &'static str) -> Case {
    Case { alone: true, ..case(alert, labels, causes, what) }
}

/// What no row of the documents names, and is worth a rule all the same.
const FURTHER: &str = r#"groups:
  - name: further conditions
    interval: 15s
    rules:
      - alert: BudgetUsedUp
        expr: hsi_budget_utilization_ratio > 1
        for: 1m
        labels: {severity: warning}
        annotations: {summary: "{{ $labels.period }}: {{ $value }}"}
      - alert: CertificateEnds
        expr: (probe_ssl_earliest_cert_expiry - time()) / 86400 < 14
        for: 1m
        labels: {severity: warning}
        annotations: {summary: "{{ $value }} days are left"}
"#;
const LOG_RULES: &str = r#"groups:
  - name: floods
    interval: 15s
    rules:
      - alert: LogFlood
        expr: sum by (container) (rate({container=~".+"}[1m])) > 100
        for: 1m
        labels: {severity: warning}
        annotations: {summary: "{{ $labels.container }} logs {{ $value }} lines a second"}
"#;

const FIRST: &[Case] = &[
    alone(
        "GPUMemoryPressure",
        &[("severity", "warning"), ("component", "gpu")],
        &[Fault("ai-yolo26", "large-model", "")],
        "another model is loaded, 57 of 64 MB are taken",
    ),
    alone(
        "HighContextUtilization",
        &[("job", "hsi-backend-metrics"), ("instance", "backend:8000"), ("severity", "warning"), ("component", "llm")],
        &[Fault("cameras", "crowd", "front_door")],
        "fifteen things are in each picture, so prompts are long",
    ),
    alone("GpuHot", &[("gpu", "mock card"), ("severity", "warning")], &[Fault("ai-yolo26", "no-fan", "")], "the card's fan stands still"),
    case("ServiceUnhealthy", &[("service", "frontend"), ("severity", "warning")], &[Killed("frontend")], "the page is killed"),
    case("ServiceRestartFailed", &[("service", "postgres"), ("severity", "error")], &[Held("postgres")], "the database is killed and cannot be started"),
    case("ServiceFailed", &[("service", "ai-enrichment"), ("severity", "critical")], &[Held("ai-enrichment")], "enrichment is killed and cannot be started"),
];

const CERTIFICATE: &[Case] = &[Case {
    waits: true,
    ..alone("CertificateEnds", &[("job", "blackbox-tls")], &[Fault("frontend", "certificate-ends", "")], "the page has a certificate for two days")
}];

const SECOND: &[Case] = &[
    alone(
        "GPUMemoryPressure",
        &[("severity", "critical"), ("component", "gpu")],
        &[Fault("ai-yolo26", "huge-model", "")],
        "two models are loaded, 63 of 64 MB are taken",
    ),
    case(
        "JobsInDeadLetters",
        &[("queue_name", "dlq:detection_queue"), ("severity", "warning")],
        &[Done(tear, clear)],
        "only half of each picture of a camera is written",
    ),
    Case { waits: true, ..alone("LogFlood", &[("container", "backend")], &[Fault("backend", "log-flood", "")], "the backend logs 400 lines a second") },
    Case {
        waits: true,
        ..case(
            "BudgetUsedUp",
            &[("period", "daily"), ("job", "hsi-backend-metrics")],
            &[Fault("backend", "budget-cut", "")],
            "the budget is cut below what is spent",
        )
    },
];

/// By itself: while its disk is full the server stores nothing of what the others need.
const DISK: &[Case] = &[alone("DiskNearlyFull", &[("severity", "critical")], &[Done(fill, empty)], "a file takes 95 % of the disk of the server's data")];

const THIRD: &[Case] = &[Case {
    waits: true,
    ..alone(
        "DetectionQueueBackedUp",
        &[("severity", "warning"), ("component", "queue")],
        &[Done(slow, catch_up)],
        "the detector takes two seconds for each picture",
    )
}];

fn tear(run: &Run) {
    run.control("POST", "/parts/cameras/fault/torn?of=back_yard");
}
/// Pictures are whole again, and somebody clears what failed.
fn clear(run: &Run) {
    run.control("DELETE", "/parts/cameras/fault/torn");
    if run.json("/api/dlq/stats")["total_count"] != 0 {
        for place in ["dlq:detection_queue", "dlq:analysis_queue"] {
            assert_eq!(run.ask("DELETE", &format!("/api/dlq/{place}")).0, 200);
        }
    }
}

fn slow(run: &Run) {
    run.control("POST", "/parts/ai-yolo26/fault/slow");
}
/// The detector is quick again, and the cameras rest until it has caught up: however slow this machine is, it does.
fn catch_up(run: &Run) {
    run.control("DELETE", "/parts/ai-yolo26/fault/slow");
    run.control("POST", "/parts/cameras/fault/off");
}

fn fill(run: &Run) {
    let (total, free) = run.data_space();
    let mut file = std::fs::File::create(run.data_dir().join("somebodys-file")).unwrap();
    let wanted = free.saturating_sub(total / 20);
    for _ in 0..wanted >> 20 {
        file.write_all(&vec![1; 1 << 20]).unwrap();
    }
}
fn empty(run: &Run) {
    // Undone again and again until it shows.
    drop(std::fs::remove_file(run.data_dir().join("somebodys-file")));
}

#[test]
fn alerts_of_the_pipeline_fire_for_their_reason_and_resolve() {
    let run = Run::start("hsi", &[], &["hsi/rules/warnings.yml"], &[FURTHER], &[LOG_RULES]);
    let mut rows: Vec<Row> = play(&run, FIRST);
    if installed("openssl", "version") {
        rows.extend(play(&run, CERTIFICATE));
    }
    rows.extend(play(&run, SECOND));
    rows.extend(play(&run, THIRD));
    run.control("DELETE", "/parts/cameras/fault/off");
    // An AI service does not tell how much memory its card has, so there is no level of pressure.
    panels_have_data(&run, "hsi", &["Memory pressure"]);
    if run.has_own_disk() {
        rows.extend(play(&run, DISK));
    }
    tell("hsi", &rows);
}
