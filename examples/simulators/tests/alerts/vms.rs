//! The video system: thirteen alerts of its documents and the four limits of its dashboards.

use crate::cases::{Case, Cause, Row, panels_have_data, play, tell};
use crate::run::{Run, installed, is_long};

use Cause::{Fault, Killed};

/// The dashboards' limits as rules: their queries as the pack has them, and the limits that their thresholds have.
const LIMITS: &str = r#"groups:
  - name: limits of dashboards
    interval: 30s
    rules:
      - alert: Storage Capacity
        expr: 100 - (disk_space_free_bytes / disk_space_total_bytes * 100) > 95
        for: 1m
        labels: {limit: "95"}
        annotations: {summary: "{{ $value }}"}
      - alert: Frame Drops Rate
        expr: rate(camera_frames_dropped_total[5m]) > 0.01
        for: 1m
        labels: {limit: "0.01"}
        annotations: {summary: "{{ $value }}"}
      - alert: FFmpeg Process Memory
        expr: ffmpeg_process_memory_mb > 1000
        for: 1m
        labels: {limit: "1000"}
        annotations: {summary: "{{ $value }}"}
      - alert: Storage Write Latency P99
        expr: histogram_quantile(0.99, sum by (instance, device, le) (rate(disk_io_latency_ms_bucket{operation="write"}[5m]))) > 50
        for: 1m
        labels: {limit: "50"}
        annotations: {summary: "{{ $value }}"}
"#;

const fn case(alert: &'static str, labels: &'static [(&'static str, &'static str)], causes: &'static [Cause], what: &'static str) -> Case {
    Case { alert, labels, causes, what, alone: false, waits: true }
}
/// The same where nothing else can be wrong, however busy the machine is.
const fn alone(alert: &'static str, labels: &'static [(&'static str, &'static str)], causes: &'static [Cause], what: &'static str) -> Case {
    Case { alone: true, ..case(alert, labels, causes, what) }
}

/// Everything that can be wrong at the same time.
const FIRST: &[Case] = &[
    case(
        "CameraOffline",
        &[("camera_id", "cam-1-1"), ("instance", "recording-node-1:9090"), ("severity", "critical"), ("component", "recording")],
        &[Fault("cameras", "stop", "cam-1-1")],
        "the camera's ffmpeg is killed",
    ),
    case(
        "LowCameraFPS",
        &[("camera_id", "cam-2-1"), ("instance", "recording-node-2:9090"), ("severity", "warning"), ("component", "recording")],
        &[Fault("cameras", "slow", "cam-2-1")],
        "the camera takes 10 pictures per second",
    ),
    case(
        "HighFrameDropRate",
        &[("camera_id", "cam-3-1"), ("instance", "recording-node-3:9090"), ("severity", "critical"), ("component", "recording")],
        &[Fault("recording-node-3", "stuck-disk", "")],
        "the disk is stuck, pictures find no room before it",
    ),
    case(
        "HighDiskLatency",
        &[("instance", "recording-node-4:9090"), ("severity", "critical"), ("component", "storage")],
        &[Fault("recording-node-4", "slow-disk", "")],
        "each operation of the disk takes 250 ms longer",
    ),
    case(
        "DiskSpaceWarning",
        &[("instance", "recording-node-5:9090"), ("mount_point", "/recordings"), ("severity", "warning"), ("component", "storage")],
        &[Fault("recording-node-5", "disk-low", "")],
        "somebody's file leaves 16 % of the disk",
    ),
    alone(
        "DiskSpaceCritical",
        &[("instance", "recording-node-6:9090"), ("mount_point", "/recordings"), ("severity", "critical"), ("component", "storage")],
        &[Fault("recording-node-6", "disk-full", "")],
        "somebody's file leaves 3 % of the disk",
    ),
    case(
        "HighStreamLatency",
        &[("camera_id", "cam-5-1"), ("protocol", "webrtc"), ("instance", "stream-gateway-2:9091"), ("severity", "critical"), ("component", "streaming")],
        &[Fault("stream-gateway-2", "congested", "")],
        "the gateway sends four pictures per second",
    ),
    case(
        "WebRTCConnectionFailures",
        &[("instance", "stream-gateway-3:9091"), ("severity", "warning"), ("component", "streaming")],
        &[Fault("stream-gateway-3", "no-media", "")],
        "the gateway's port for media is closed",
    ),
    case(
        "SlowAPIResponses",
        &[("job", "api-servers"), ("severity", "warning"), ("component", "api")],
        &[Fault("api-server-1", "database-locked", ""), Fault("api-server-2", "database-locked", "")],
        "somebody keeps the table of recordings locked",
    ),
];

const SECOND: &[Case] = &[
    case(
        "NodeDown",
        &[("job", "node-exporter"), ("instance", "stream-gateway-1:9100"), ("severity", "critical"), ("component", "infrastructure")],
        &[Killed("stream-gateway-1")],
        "the gateway is killed",
    ),
    case(
        "HighCPUUsage",
        &[("instance", "recording-node-1:9100"), ("severity", "warning"), ("component", "infrastructure")],
        &[Fault("recording-node-1", "busy", "")],
        "a thread of the node computes without end",
    ),
    alone(
        "HighMemoryUsage",
        &[("instance", "recording-node-2:9100"), ("severity", "critical"), ("component", "infrastructure")],
        &[Fault("recording-node-2", "leak", "")],
        "the node takes memory and keeps it",
    ),
    alone(
        "HighAPIErrorRate",
        &[("severity", "critical"), ("component", "api")],
        &[Fault("api-server-1", "database-gone", "")],
        "every query of one API server fails",
    ),
    alone(
        "Storage Capacity",
        &[("instance", "recording-node-3:9090"), ("limit", "95")],
        &[Fault("recording-node-3", "disk-full", "")],
        "somebody's file leaves 3 % of the disk (dashboard)",
    ),
    case(
        "Frame Drops Rate",
        &[("instance", "recording-node-4:9090"), ("camera_id", "cam-4-1")],
        &[Fault("recording-node-4", "stuck-disk", "")],
        "the disk is stuck (dashboard)",
    ),
    case(
        "Storage Write Latency P99",
        &[("instance", "recording-node-5:9090"), ("device", "rec0")],
        &[Fault("recording-node-5", "slow-disk", "")],
        "each operation of the disk takes 250 ms longer (dashboard)",
    ),
];

const LONG: &[Case] = &[alone(
    "FFmpeg Process Memory",
    &[("instance", "recording-node-6:9090"), ("camera_id", "cam-6-1")],
    &[Fault("recording-node-6", "hoard", "cam-6-1")],
    "ffmpeg also makes a mosaic of eight thousand pictures (dashboard)",
)];

#[test]
fn alerts_of_the_video_system_fire_for_their_reason_and_resolve() {
    if !installed("ffmpeg", "-version") {
        return;
    }
    let run = Run::start("vms", &["--cameras", "1"], &["vms/rules/alerts.yml"], &[LIMITS], &[]);
    let mut rows: Vec<Row> = play(&run, FIRST);
    rows.extend(play(&run, SECOND));
    if is_long() {
        rows.extend(play(&run, LONG));
    }
    tell("vms", &rows);
    panels_have_data(&run, "vms", &[]);
}
