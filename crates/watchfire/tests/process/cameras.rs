//! Cameras in the real process: a real RTSP server whose cameras freeze, drop frames and grow when they are told to, and the names that the
//! video system has for what it sees.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use watchfire_pack::catalog::Catalogs;

use crate::server::{BINARY, Peer, Server, free_port, installed, request, signal, until};

/// Without this machine's own metrics, so that a test is small.
const QUIET: [(&str, &str); 1] = [("WATCHFIRE_HOST_ROOT", "/nonexistent")];

/// A real RTSP server (GStreamer's). It asks for digest authentication as `admin` with `canary-p@ss`, and does what words in a file say.
const CAMERA: &str = r#"
import sys
import gi
gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer

Gst.init(None)
words, made = sys.argv[1], []
server = GstRtspServer.RTSPServer()
server.set_address("127.0.0.1")
server.set_service("0")
auth = GstRtspServer.RTSPAuth()
auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
token = GstRtspServer.RTSPToken()
token.set_string("media.factory.role", "viewer")
auth.add_digest("admin", "canary-p@ss", token)
server.set_auth(auth)
allowed = GstRtspServer.RTSPPermissions()
for right in ("access", "construct"):
    allowed.add_permission_for_role("viewer", "media.factory." + right, True)
source = "videotestsrc is-live=true pattern=ball ! capsfilter name=size caps=video/x-raw,width=320,height=240,framerate=25/1 ! identity name=lossy ! valve name=valve ! "
coders = {
    "/h264": "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=25 ! rtph264pay name=pay0 pt=96 config-interval=1",
    "/mjpeg": "videoconvert ! video/x-raw,format=I420 ! jpegenc ! rtpjpegpay name=pay0 pt=26",
}
for path, coder in coders.items():
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch("( " + source + coder + " )")
    factory.set_permissions(allowed)
    factory.connect("media-configure", lambda _, media: made.append(media.get_element()))
    server.get_mount_points().add_factory(path, factory)

def listen():
    try:
        said = open(words).read().split()
    except OSError:
        said = []
    for element in made:
        element.get_by_name("valve").set_property("drop", "freeze" in said)
        element.get_by_name("lossy").set_property("drop-probability", 0.3 if "drop" in said else 0.0)
        width, height = (640, 480) if "grow" in said else (320, 240)
        caps = Gst.Caps.from_string(f"video/x-raw,width={width},height={height},framerate=25/1")
        if not element.get_by_name("size").get_property("caps").is_equal(caps):
            element.get_by_name("size").set_property("caps", caps)
    return True

GLib.timeout_add(100, listen)
server.attach(None)
print(server.get_bound_port(), flush=True)
GLib.MainLoop().run()
"#;

/// The real server, its port and the file of its words; nothing where it is not installed.
fn real_cameras(dir: &Path) -> Option<(Peer, u16, PathBuf)> {
    let (script, words) = (dir.join("camera.py"), dir.join("words"));
    std::fs::write(&script, CAMERA).unwrap();
    let started = Command::new("/usr/bin/python3").arg(script).arg(&words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = started.ok()?;
    let mut port = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut port).unwrap();
    let peer = Peer(child);
    let Ok(port) = port.trim().parse() else {
        eprintln!("SKIPPED: GStreamer's RTSP server is not installed, so no real camera was watched");
        return None;
    };
    Some((peer, port, words))
}

fn camera(server: &Server, id: &str) -> Value {
    let list = server.json("/api/cameras")["cameras"].clone();
    list.as_array().unwrap().iter().find(|c| c["id"] == id).cloned().unwrap_or(Value::Null)
}

/// The value of a series at `/metrics`.
fn shown(server: &Server, series: &str) -> Option<f64> {
    let text = server.get("/metrics").unwrap().text();
    text.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok())
}

/// The pack's rule with times of a test.
const RULES: &str =
    "groups:\n- name: cameras\n  interval: 1s\n  rules:\n  - {alert: CameraFrozen, expr: camera_frozen == 1, for: 3s, labels: {severity: critical}}\n";

#[test]
fn real_cameras_freeze_drop_frames_and_grow() {
    let dir = tempfile::tempdir().unwrap();
    let Some((_cameras, port, words)) = real_cameras(dir.path()) else { return };
    let config = dir.path().join("watchfire.yml");
    let write = |more: &str| {
        let text = format!(
            "prometheus: {{global: {{evaluation_interval: 1s}}, rule_files: [rules.yml]}}\ncameras:\n\
             - {{id: front, name: Front door, url: 'rtsp://admin:canary-p%40ss@127.0.0.1:{port}/h264', frozen_after: 2s, fps: 25, picture_check: {{interval: 10s, show: true}}}}\n\
             - {{id: yard, url: 'rtsp://127.0.0.1:{port}/mjpeg', username: admin, password: canary-p@ss, transport: udp, frozen_after: 2s}}\n{more}"
        );
        std::fs::write(&config, text).unwrap();
    };
    std::fs::write(dir.path().join("rules.yml"), RULES).unwrap();
    write(&format!("- {{id: stranger, url: 'rtsp://admin:canary-wrong@127.0.0.1:{port}/h264?x=1'}}\n"));
    let server = Server::start(&dir.path().join("data"), &["--config", &config.display().to_string()], &QUIET);
    for (id, codec) in [("front", "H264"), ("yard", "JPEG")] {
        let good = |c: &Value| c["status"] == "online" && c["fps"].as_f64().is_some_and(|fps| (15.0..=30.0).contains(&fps));
        let found = until("a live camera", || camera(&server, id), good);
        assert_eq!((&found["codec"], &found["width"], &found["height"], &found["error"]), (&json!(codec), &json!(320), &json!(240), &Value::Null));
        assert!(found["bits_per_second"].as_f64() > Some(1_000.0) && found["jitter_ms"].is_number() && found["last_frame_at"].is_string(), "{found}");
    }
    // A picture of the session that there is can be seen; of a camera that allows none there is none.
    if installed("ffmpeg") {
        let picture = until("a picture", || server.get("/api/cameras/front/picture").unwrap(), |answer| answer.status == 200);
        assert!(picture.body.starts_with(b"BM") && picture.head.contains("image/bmp"), "{}", picture.head);
        until("its brightness", || shown(&server, "camera_picture_brightness{camera_id=\"front\"}"), |found| *found > Some(0.0));
    }
    assert_eq!(server.get("/api/cameras/yard/picture").unwrap().status, 404);
    let stranger = camera(&server, "stranger");
    assert_eq!((&stranger["status"], &stranger["error"]), (&json!("offline"), &json!("cannot log in: the camera does not take the name and the password")));

    // A frozen camera stays connected, and its alert comes within its time.
    std::fs::write(&words, "freeze").unwrap();
    until("frozen", || camera(&server, "front"), |c| c["status"] == "frozen");
    until("frozen over UDP", || camera(&server, "yard"), |c| c["status"] == "frozen");
    let firing = || server.json("/api/v1/alerts")["data"]["alerts"].to_string();
    until("the alert", firing, |text| text.contains("\"camera_id\":\"front\"") && text.contains("\"state\":\"firing\""));
    assert_eq!(shown(&server, "camera_connection_status{camera_id=\"front\"}"), Some(1.0));

    // Frames that are left out and another size are told.
    std::fs::write(&words, "drop grow").unwrap();
    let grown = until("another size", || camera(&server, "front"), |c| c["width"] == 640 && c["status"] == "online");
    let before = grown["frames_dropped"].as_u64().unwrap();
    until("dropped frames", || camera(&server, "front"), |c| c["frames_dropped"].as_u64() > Some(before));
    until("the change", || shown(&server, "camera_resolution_changes_total{camera_id=\"front\"}"), |n| *n >= Some(1.0));

    // A camera that the configuration names no more is gone with its series; the others keep their sessions.
    write("");
    signal(server.pid(), "HUP");
    until("two cameras", || camera(&server, "stranger"), Value::is_null);
    until("no series", || shown(&server, "camera_fps{camera_id=\"stranger\"}"), Option::is_none);
    assert_eq!(camera(&server, "front")["reconnects"], 0);

    for place in [
        "/api/cameras",
        "/metrics",
        "/api/v1/targets",
        "/api/v1/status/config",
        "/api/v1/status/flags",
        "/api/system/doctor",
        "/api/v1/series?match[]={camera_id!=''}",
    ] {
        let text = server.get(place).unwrap().text();
        assert!(!text.contains("canary"), "{place}: {text}");
    }
    assert!(!server.log().contains("canary"), "{}", server.log());
}

/// A page of nginx-rtmp as its documentation has it.
const STATISTICS: &str = "<rtmp><server><application><name>live</name><live><stream><name>gate</name><bw_in>64000</bw_in><bytes_out>5</bytes_out>\
    <nclients>3</nclients><publishing/></stream></live></application></server></rtmp>";

#[test]
fn a_real_stream_by_hls_is_watched_and_a_streaming_server_asked() {
    if !installed("ffmpeg") {
        return;
    }
    let (dir, port) = (tempfile::tempdir().unwrap(), free_port());
    let media = dir.path().join("media");
    std::fs::create_dir(&media).unwrap();
    std::fs::write(media.join("stat"), STATISTICS).unwrap();
    let quiet = |program: &str, arguments: &[&str]| {
        Peer(Command::new(program).args(arguments).current_dir(&media).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    };
    let encoder = ["-re", "-f", "lavfi", "-i", "testsrc=size=320x240:rate=25", "-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-f", "hls"];
    let playlist = ["-hls_time", "1", "-hls_list_size", "4", "-hls_flags", "program_date_time+delete_segments+omit_endlist", "index.m3u8"];
    let ffmpeg = quiet("ffmpeg", &[&encoder[..], &playlist[..]].concat());
    let _web = quiet("/usr/bin/python3", &["-m", "http.server", &port.to_string(), "--bind", "127.0.0.1"]);
    let config = dir.path().join("watchfire.yml");
    let text = format!(
        "cameras: [{{id: gate, url: 'http://127.0.0.1:{port}/index.m3u8?token=canary', frozen_after: 2s}}]\nstreams: [{{kind: nginx-rtmp, url: 'http://127.0.0.1:{port}/stat', interval: 1s}}]\n"
    );
    std::fs::write(&config, text).unwrap();
    let server = Server::start(&dir.path().join("data"), &["--config", &config.display().to_string()], &QUIET);
    let live = until("a live stream", || camera(&server, "gate"), |c| c["status"] == "online" && c["bits_per_second"].as_f64() > Some(1_000.0));
    assert_eq!((&live["transport"], &live["fps"], &live["url"]), (&json!("hls"), &Value::Null, &json!(format!("http://127.0.0.1:{port}/index.m3u8"))));
    let latency = until("its latency", || shown(&server, "stream_latency_ms{camera_id=\"gate\",protocol=\"hls\"}"), Option::is_some);
    assert!((0.0..60_000.0).contains(&latency.unwrap()), "{latency:?}");
    assert!(shown(&server, "hls_playlist_requests_total") > Some(0.0));
    until("the streams of the server", || shown(&server, "active_streams_total"), |found| *found == Some(1.0));
    assert_eq!(shown(&server, "stream_viewers_count{camera_id=\"gate\"}"), Some(2.0));
    let servers = server.json("/api/cameras")["servers"].clone();
    assert_eq!((&servers[0]["kind"], &servers[0]["up"], &servers[0]["viewers"]), (&json!("nginx-rtmp"), &json!(true), &json!(2)));
    drop(ffmpeg);
    until("a stream that stands still", || camera(&server, "gate"), |c| c["status"] == "frozen");
    assert!(!server.log().contains("canary") && !server.get("/api/cameras").unwrap().text().contains("canary"));
}

/// A server over which names are told; its exposition afterwards.
fn told(families: &[(&str, &str, &[&str])]) -> (tempfile::TempDir, Server, String) {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"), &[], &QUIET);
    let items: Vec<Value> = families
        .iter()
        .map(|(name, _, labels)| {
            let labels: serde_json::Map<String, Value> = labels.iter().map(|label| ((*label).to_owned(), json!(value_of(label)))).collect();
            json!({"name": name, "labels": labels, "value": 1})
        })
        .collect();
    let answer = request(server.address, "POST", "/api/metrics/record", &[("Content-Type", "application/json")], json!(items).to_string().as_bytes()).unwrap();
    assert_eq!((answer.status, answer.json()["recorded"].as_u64()), (200, Some(families.len() as u64)), "{}", answer.text());
    let text = server.get("/metrics").unwrap().text();
    (dir, server, text)
}

/// A value that a label may have.
fn value_of(label: &str) -> &'static str {
    match label {
        "method" => "get",
        "status" => "200",
        "protocol" => "webrtc",
        "job_type" => "lpr",
        _ => "front",
    }
}

/// Every name stands there with its type and its labels.
#[track_caller]
fn exposed(text: &str, families: &[(&str, &str, &[&str])]) {
    for (name, kind, labels) in families {
        assert!(text.contains(&format!("# TYPE {name} {kind}\n")), "{name} is no {kind}");
        let mut sorted = labels.to_vec();
        sorted.sort_unstable();
        let labels: Vec<String> = sorted.iter().map(|label| format!("{label}=\"{}\"", value_of(label))).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let series = if *kind == "histogram" { format!("\n{name}_count{labels} ") } else { format!("\n{name}{labels} ") };
        assert!(text.contains(&series), "{series} is not in {text}");
    }
}

#[test]
fn vms_02_recording_nodes_have_their_names_and_labels() {
    let families: &[(&str, &str, &[&str])] = &[
        ("camera_connection_status", "gauge", &["camera_id"]),
        ("camera_fps", "gauge", &["camera_id"]),
        ("camera_bitrate", "gauge", &["camera_id"]),
        ("camera_frames_dropped", "gauge", &["camera_id"]),
        ("camera_frames_dropped_total", "counter", &["camera_id"]),
        ("camera_last_frame_timestamp", "gauge", &["camera_id"]),
        ("ffmpeg_process_cpu_percent", "gauge", &["camera_id"]),
        ("ffmpeg_process_memory_mb", "gauge", &["camera_id"]),
        ("ffmpeg_process_uptime_seconds", "gauge", &["camera_id"]),
        ("ffmpeg_process_restarts_total", "counter", &["camera_id"]),
    ];
    let (_dir, server, text) = told(families);
    exposed(&text, families);
    // The list of names has one label more, which the exporter does not give.
    let more = json!([{"name": "camera_connection_status", "labels": {"camera_id": "back", "status": "online"}, "value": 1}]).to_string();
    let answer = request(server.address, "POST", "/api/metrics/record", &[("Content-Type", "application/json")], more.as_bytes()).unwrap();
    assert_eq!(answer.json()["recorded"], 1, "{}", answer.text());
    assert_eq!(shown(&server, "camera_connection_status{camera_id=\"back\",status=\"online\"}"), Some(1.0));
    // Disks and interfaces are looked at by ourselves.
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"), &[], &[]);
    for (name, label) in [
        ("disk_space_free_bytes", "mount_point"),
        ("disk_space_used_bytes", "mount_point"),
        ("network_bytes_sent_total", "interface"),
        ("network_bytes_received_total", "interface"),
        ("network_errors_total", "interface"),
        ("network_drops_total", "interface"),
    ] {
        let found = until(name, || server.query(&format!("{name}{{{label}!=''}}"), None), |found| found.as_array().is_some_and(|a| !a.is_empty()));
        assert!(found[0]["metric"][label].is_string(), "{found}");
    }
    for (name, labels) in
        [("disk_io_read_bytes_total", vec!["device"]), ("disk_io_write_bytes_total", vec!["device"]), ("disk_io_latency_ms", vec!["device", "operation"])]
    {
        // There may be no disk here; what it would be called is declared.
        let catalogs = Catalogs::builtin();
        let declared: Vec<&str> = catalogs.family(name).unwrap().labels.iter().map(|l| &*l.name).collect();
        assert_eq!(declared, labels, "{name}");
    }
}

#[test]
fn vms_03_streaming_gateways_have_their_names_and_labels() {
    let families: &[(&str, &str, &[&str])] = &[
        ("active_streams_total", "gauge", &[]),
        ("stream_viewers_count", "gauge", &["camera_id"]),
        ("stream_bitrate", "gauge", &["camera_id", "quality"]),
        ("stream_latency_ms", "gauge", &["camera_id", "protocol"]),
        ("webrtc_connection_failures_total", "counter", &[]),
        ("webrtc_connection_attempts_total", "counter", &[]),
        ("webrtc_connections_attempts_total", "counter", &[]),
        ("webrtc_connections_success_total", "counter", &[]),
        ("stream_bytes_sent_total", "counter", &[]),
        ("hls_playlist_requests_total", "counter", &[]),
    ];
    exposed(&told(families).2, families);
}

#[test]
fn vms_04_api_servers_have_their_names_and_labels() {
    let families: &[(&str, &str, &[&str])] = &[
        ("http_requests_total", "counter", &["method", "endpoint", "status"]),
        ("http_request_duration_seconds", "histogram", &["method", "endpoint"]),
        ("active_connections_total", "gauge", &[]),
        ("websocket_connections_total", "gauge", &[]),
        ("jwt_token_validations_total", "counter", &["result"]),
        ("database_query_duration_seconds", "histogram", &["query_type"]),
    ];
    exposed(&told(families).2, families);
}

#[test]
fn vms_05_ai_workers_have_their_names_and_labels() {
    let families: &[(&str, &str, &[&str])] = &[
        ("ai_jobs_queued_total", "gauge", &["job_type"]),
        ("ai_jobs_processed_total", "counter", &["job_type", "status"]),
        ("ai_processing_duration_seconds", "gauge", &["job_type"]),
        ("lpr_detection_accuracy", "gauge", &["camera_id"]),
        ("motion_events_detected_total", "counter", &["camera_id"]),
    ];
    exposed(&told(families).2, families);
}

/// A configuration with one camera that nobody can reach, started without the helper that hides what is printed.
fn with_an_absent_camera(port: u16, dir: &Path) -> (Peer, BufReader<std::process::ChildStdout>) {
    let config = dir.join("watchfire.yml");
    std::fs::write(&config, format!("cameras: [{{id: front, url: 'rtsp://127.0.0.1:{}/', timeout: 1s}}]\n", free_port())).unwrap();
    let mut child = Command::new(BINARY)
        .args(["serve", "--listen", &format!("127.0.0.1:{port}"), "--data-dir"])
        .arg(dir.join("data"))
        .args(["--config", &config.display().to_string()])
        .envs(QUIET)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let printed = BufReader::new(child.stdout.take().unwrap());
    (Peer(child), printed)
}

#[test]
fn vms_06_the_exporter_serves_metrics_and_goes_on_updating_them() {
    let (dir, port) = (tempfile::tempdir().unwrap(), free_port());
    let (_server, _printed) = with_an_absent_camera(port, dir.path());
    let address = format!("127.0.0.1:{port}").parse().unwrap();
    let errors = || {
        let text = request(address, "GET", "/metrics", &[], b"").map(|a| a.text()).unwrap_or_default();
        text.lines().find_map(|l| l.strip_prefix("camera_session_errors_total{camera_id=\"front\",reason=\"connect\"} ")?.parse::<f64>().ok())
    };
    let first = until("figures of the camera", errors, Option::is_some);
    until("newer figures", errors, |now| *now > first);
}

#[test]
fn vms_07_fps_status_and_dropped_frames_are_told_for_each_camera() {
    let families: &[(&str, &str, &[&str])] = &[
        ("camera_fps", "gauge", &["camera_id"]),
        ("camera_connection_status", "gauge", &["camera_id"]),
        ("camera_frames_dropped_total", "counter", &["camera_id"]),
    ];
    let (_dir, server, text) = told(families);
    exposed(&text, families);
    let record = |value: f64| {
        let body = json!([{"name": "camera_frames_dropped_total", "labels": {"camera_id": "front"}, "value": value}]).to_string();
        request(server.address, "POST", "/api/metrics/record", &[("Content-Type", "application/json")], body.as_bytes()).unwrap().status
    };
    assert_eq!((record(4.0), record(0.0), record(-1.0)), (200, 200, 422), "a count grows by what was dropped and never falls");
    assert_eq!(shown(&server, "camera_frames_dropped_total{camera_id=\"front\"}"), Some(5.0));
}

#[test]
fn vms_08_the_time_of_a_segment_is_observed() {
    let families: &[(&str, &str, &[&str])] = &[("segment_processing_seconds", "histogram", &["camera_id"])];
    let (_dir, _server, text) = told(families);
    exposed(&text, families);
    for line in
        ["segment_processing_seconds_bucket{camera_id=\"front\",le=\"0.75\"} 0\n", "segment_processing_seconds_bucket{camera_id=\"front\",le=\"1.0\"} 1\n"]
    {
        assert!(text.contains(line), "{line} is not in {text}");
    }
}

#[test]
fn vms_09_the_port_is_told_at_the_start() {
    let (dir, port) = (tempfile::tempdir().unwrap(), free_port());
    let (_server, printed) = with_an_absent_camera(port, dir.path());
    let expected = format!("Metrics server started on port {port}");
    assert!(printed.lines().take(5).any(|line| line.is_ok_and(|line| line == expected)), "nobody said {expected:?}");
}

#[test]
fn vms_10_help_texts_are_those_of_the_exporter() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"), &[], &QUIET);
    let text = server.get("/metrics").unwrap().text();
    for (name, help) in [
        ("camera_fps", "Current FPS of camera"),
        ("camera_connection_status", "Camera connection status (1=up, 0=down)"),
        ("camera_frames_dropped_total", "Total frames dropped"),
        ("segment_processing_seconds", "Time to process segment"),
    ] {
        assert!(text.contains(&format!("# HELP {name} {help}\n")), "{name}");
    }
}
