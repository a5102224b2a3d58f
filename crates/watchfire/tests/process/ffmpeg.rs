//! The real FFmpeg against the real binary: its progress, and its process.

use std::process::{Command, Stdio};

use crate::server::{Peer, Server, installed, signal, until};

const CONFIGURATION: &str = r#"
processes:
  interval: 1s
  process_names:
  - name: "ffmpeg:{{.Matches.camera}}"
    comm: [ffmpeg]
    cmdline: ['ingest/ffmpeg/(?P<camera>[a-z]+) MARK']
    camera_id: "{{.Matches.camera}}"
"#;

/// Ten frames a second of a test picture, for a minute.
fn ffmpeg(server: &Server, camera: &str, mark: &str) -> Peer {
    let progress = format!("{}/ingest/ffmpeg/{camera}", server.url());
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-loglevel", "error", "-re", "-f", "lavfi", "-i", "testsrc=size=64x64:rate=10", "-progress", &progress]);
    command.args(["-metadata", mark, "-t", "60", "-f", "mpegts", "-y", "/dev/null"]).stdin(Stdio::null()).stdout(Stdio::null());
    Peer(command.spawn().unwrap())
}

#[test]
fn real_ffmpeg_tells_its_progress_and_is_watched() {
    if !installed("ffmpeg") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    // Other tests may run theirs beside ours.
    let mark = format!("title=t{}", std::process::id());
    std::fs::write(dir.path().join("watchfire.yml"), CONFIGURATION.replace("MARK", &format!("-metadata {mark}"))).unwrap();
    let server = Server::start(&data, &[], &[]);
    let check = |expression: &str| {
        until(expression, || server.query(expression, None), |result| result.as_array().is_some_and(|all| all.len() == 1));
    };
    let front = ffmpeg(&server, "front", &mark);
    check(r#"ffmpeg_progress_connected{camera_id="front", job="ffmpeg"} == 1"#);
    // It is slower than other bodies may be, and goes on for longer than they may take to say so.
    check(r#"ffmpeg_progress_frames_total{camera_id="front"} > 130"#);
    check(r#"camera_fps{camera_id="front"} > 5 < 15"#);
    check(r#"camera_bitrate{camera_id="front"} > 0"#);
    check(r#"time() - camera_last_frame_timestamp{camera_id="front"} < 10"#);
    check(r#"namedprocess_namegroup_num_procs{groupname="ffmpeg:front"} == 1"#);
    check(r#"ffmpeg_process_memory_mb{camera_id="front"} > 1"#);
    check(r#"ffmpeg_process_cpu_percent{camera_id="front"} > 0"#);
    check(r#"ffmpeg_process_uptime_seconds{camera_id="front"} > 10"#);
    // Asked to end it says that it has finished; killed it cannot.
    signal(front.0.id(), "INT");
    check(r#"ffmpeg_progress_ends_total{camera_id="front", reason="finished"} == 1"#);
    check(r#"ffmpeg_progress_connected{camera_id="front"} == 0"#);
    check(r#"absent(camera_fps{camera_id="front"})"#);
    let again = ffmpeg(&server, "front", &mark);
    check(r#"ffmpeg_process_restarts_total{camera_id="front"} == 1"#);
    check(r#"ffmpeg_progress_connected{camera_id="front"} == 1"#);
    drop(again);
    check(r#"ffmpeg_progress_ends_total{camera_id="front", reason="broken_off"} == 1"#);
}
