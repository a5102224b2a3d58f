//! Watching as a whole, against cameras that are made here and misbehave on purpose.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use watchfire_model::meter::Meter;
use watchfire_model::time::SystemClock;

use super::*;
use crate::told::Told;

/// How a made camera behaves.
#[derive(Clone, Copy, PartialEq)]
enum Manner {
    /// Sends a picture every few milliseconds.
    Good,
    /// Sends ten and then no more.
    Stalls,
    /// Leaves a number out after ten.
    Loses,
    /// Shows another size after ten.
    Resizes,
    /// Hangs up after ten.
    HangsUp,
    /// Offers sound only.
    Deaf,
    /// Answers with something else.
    Babbles,
}

/// An address where each visitor has a camera that is made to itself. One whose visitor leaves has nothing more to do.
pub(super) async fn visited<F: Future<Output = std::io::Result<()>> + Send + 'static>(camera: impl Fn(TcpStream) -> F + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(camera(stream));
        }
    });
    address
}

/// A camera that asks for digest authentication as `admin` with `p@ss`. Counts its sessions.
async fn made(manner: Manner) -> (SocketAddr, Arc<AtomicUsize>) {
    let sessions = Arc::new(AtomicUsize::new(0));
    let counted = sessions.clone();
    let address = visited(move |stream| {
        counted.fetch_add(1, Ordering::SeqCst);
        let counted = counted.clone();
        async move {
            let served = serve(stream, manner).await;
            counted.fetch_sub(1, Ordering::SeqCst);
            served
        }
    });
    (address.await, sessions)
}

async fn serve(mut stream: TcpStream, manner: Manner) -> std::io::Result<()> {
    let mut heard = Vec::new();
    let (mut nonce, mut udp) = (0, None);
    loop {
        let text = String::from_utf8_lossy(&heard).into_owned();
        let Some(end) = text.find("\r\n\r\n") else {
            if stream.read_buf(&mut heard).await? == 0 {
                return Ok(());
            }
            continue;
        };
        heard.drain(..end + 4);
        let head = text.get(..end).unwrap();
        if head.starts_with('$') {
            continue;
        }
        let line = |name: &str| head.lines().find_map(|l| l.strip_prefix(name)).unwrap_or_default().trim().to_owned();
        let number = line("CSeq:");
        if manner == Manner::Babbles {
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await?;
            continue;
        }
        let method = head.split(' ').next().unwrap_or_default().to_owned();
        let proven = line("Authorization:").contains(&format!("nonce=\"n{nonce}\""));
        if method != "OPTIONS" && !proven {
            nonce += 1;
            let answer =
                format!("RTSP/1.0 401 Unauthorized\r\nCSeq: {number}\r\nWWW-Authenticate: Digest realm=\"cam\", nonce=\"n{nonce}\", qop=\"auth\"\r\n\r\n");
            stream.write_all(answer.as_bytes()).await?;
            continue;
        }
        let kind = if manner == Manner::Deaf { "audio" } else { "video" };
        let body = format!("v=0\r\nm={kind} 0 RTP/AVP 26\r\na=framerate:50\r\na=control:track1\r\n");
        let more = match method.as_str() {
            "OPTIONS" => "Public: DESCRIBE, SETUP, PLAY, GET_PARAMETER\r\n\r\n".to_owned(),
            "DESCRIBE" => format!("Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}", body.len()),
            "SETUP" if line("Transport:").contains("client_port=") => {
                let port: u16 = line("Transport:").split("client_port=").nth(1).unwrap().split('-').next().unwrap().parse().unwrap();
                let socket = UdpSocket::bind("127.0.0.1:0").await?;
                let own = socket.local_addr()?.port();
                udp = Some((socket, SocketAddr::from(([127, 0, 0, 1], port))));
                format!("Session: 7;timeout=4\r\nTransport: RTP/AVP;unicast;client_port={port}-{};server_port={own}-{}\r\n\r\n", port + 1, own.wrapping_add(1))
            }
            "SETUP" => "Session: 7;timeout=4\r\nTransport: RTP/AVP/TCP;interleaved=2-3\r\n\r\n".to_owned(),
            _ => "\r\n".to_owned(),
        };
        stream.write_all(format!("RTSP/1.0 200 OK\r\nCSeq: {number}\r\n{more}").as_bytes()).await?;
        if method == "PLAY" {
            return show(stream, udp, manner).await;
        }
    }
}

async fn show(mut stream: TcpStream, udp: Option<(UdpSocket, SocketAddr)>, manner: Manner) -> std::io::Result<()> {
    let (mut sequence, mut ignored) = (65_530u16, [0; 512]);
    for picture in 0..u32::MAX {
        match manner {
            Manner::Stalls if picture >= 10 => std::future::pending::<()>().await,
            Manner::HangsUp if picture >= 10 => return Ok(()),
            Manner::Loses if picture == 10 => sequence = sequence.wrapping_add(1),
            _ => {}
        }
        let width = if manner == Manner::Resizes && picture >= 10 { 40 } else { 80 };
        let time = picture * 1_800;
        let mut packet = vec![0x80, 0x80 | 26];
        packet.extend(sequence.to_be_bytes());
        packet.extend(time.to_be_bytes());
        packet.extend([0, 0, 0, 1, 0, 0, 0, 0, 1, 80, width, 60]);
        packet.extend(picture.to_be_bytes());
        sequence = sequence.wrapping_add(1);
        match &udp {
            Some((socket, to)) => {
                socket.send_to(&packet, *to).await?;
                if let Ok(Ok(0)) = tokio::time::timeout(std::time::Duration::from_millis(1), stream.read(&mut ignored)).await {
                    return Ok(());
                }
            }
            None => {
                let mut framed = vec![b'$', 2, 0, packet.len() as u8];
                framed.extend(packet);
                stream.write_all(&framed).await?;
            }
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

pub(super) fn watching() -> (Arc<Cameras>, Arc<Told>) {
    let told = Arc::new(Told::default());
    let clock = SystemClock::shared();
    let caller = Arc::new(Caller::new(clock.clone()));
    let search_path = std::env::var_os("PATH");
    let outside = Surroundings { observe: told.clone(), clock, caller, search_path, tasks: Tasks::new(&Meter::new()) };
    (Arc::new(Cameras::new(outside)), told)
}

fn camera(address: SocketAddr, more: &str) -> Vec<Arc<Camera>> {
    let (cameras, findings) = config::tests::read_text(&format!("cameras:\n- {{id: front, url: 'rtsp://admin:p%40ss@{address}/live', {more}}}\n"));
    assert_eq!(findings, [""; 0]);
    cameras
}

/// Waits until something is so.
pub(super) async fn until(cameras: &Cameras, what: &str, so: impl Fn(&CameraStatus) -> bool) -> CameraStatus {
    for _ in 0..2_000 {
        if let Some(status) = cameras.statuses().into_iter().find(|s| so(s)) {
            return status;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{what} never came true: {:?}", cameras.statuses());
}

#[tokio::test]
async fn pictures_come_by_both_ways_and_figures_are_told() {
    for transport in ["tcp", "udp"] {
        let (address, _) = made(Manner::Good).await;
        let (cameras, told) = watching();
        cameras.apply(&camera(address, &format!("transport: {transport}, fps: 50")));
        let status = until(&cameras, "a rate", |s| s.fps.is_some_and(|fps| fps > 0.0)).await;
        assert_eq!((status.connected, status.frozen, status.transport, status.error), (true, false, transport, None));
        assert_eq!((status.codec.as_deref(), status.width, status.height, status.packets_lost), (Some("JPEG"), Some(640), Some(480), 0));
        assert_eq!(status.url, format!("rtsp://{address}/live"));
        assert!(status.last_frame.is_some() && status.keyframe_interval.is_some() && status.bits_per_second > Some(0.0), "{transport}");
        cameras.report();
        assert_eq!(told.get("camera_connection_status{camera_id=front}"), Some(1.0));
        assert_eq!(told.get("camera_frozen{camera_id=front}"), Some(0.0));
        assert_eq!((told.get("camera_width_pixels{camera_id=front}"), told.get("camera_expected_fps{camera_id=front}")), (Some(640.0), Some(50.0)));
        assert_eq!(told.get("camera_frames_dropped_total{camera_id=front}"), told.get("camera_frames_dropped{camera_id=front}"));
        let frames = told.get("camera_frames_total{camera_id=front}").unwrap();
        let more = until(&cameras, "more pictures", |s| s.packets as f64 > frames).await.packets;
        cameras.report();
        let now = told.get("camera_frames_total{camera_id=front}").unwrap();
        assert!(now >= more as f64, "a counter grows by what is new: {now}, {more}");
    }
}

#[tokio::test]
async fn a_camera_that_stalls_is_connected_and_frozen() {
    let (address, _) = made(Manner::Stalls).await;
    let (cameras, told) = watching();
    cameras.apply(&camera(address, "frozen_after: 2s"));
    let status = until(&cameras, "frozen", |s| s.frozen).await;
    assert_eq!((status.connected, status.packets), (true, 10));
    cameras.report();
    assert_eq!((told.get("camera_frozen{camera_id=front}"), told.get("camera_connection_status{camera_id=front}")), (Some(1.0), Some(1.0)));
}

#[tokio::test]
async fn cameras_that_lose_packets_change_their_size_or_hang_up() {
    let (address, _) = made(Manner::Loses).await;
    let (cameras, _) = watching();
    cameras.apply(&camera(address, ""));
    until(&cameras, "a loss", |s| s.packets > 12 && s.packets_lost == 1).await;

    let (address, _) = made(Manner::Resizes).await;
    let (cameras, told) = watching();
    cameras.apply(&camera(address, ""));
    until(&cameras, "another size", |s| s.width == Some(320)).await;
    cameras.report();
    assert_eq!(told.get("camera_resolution_changes_total{camera_id=front}"), Some(1.0));

    let (address, _) = made(Manner::HangsUp).await;
    let (cameras, told) = watching();
    cameras.apply(&camera(address, ""));
    until(&cameras, "another session", |s| s.reconnects >= 1).await;
    until(&cameras, "its end", |s| s.error.as_deref() == Some("the camera closed the connection")).await;
    cameras.report();
    assert!(told.get("camera_session_errors_total{camera_id=front,reason=closed}") >= Some(1.0));
    assert!(told.get("camera_reconnects_total{camera_id=front}") >= Some(1.0));
}

#[tokio::test]
async fn what_keeps_a_session_from_beginning_is_told_without_the_password() {
    let nobody = watchfire_testkit::ports::nobody();
    let good = made(Manner::Good).await.0;
    let (deaf, babbles) = (made(Manner::Deaf).await.0, made(Manner::Babbles).await.0);
    for (address, more, expected, reason) in [
        (nobody, "", "cannot connect to", "connect"),
        (deaf, "", "cannot receive pictures: the camera offers none", "description"),
        (babbles, "", "cannot read what the camera sends as RTSP", "protocol"),
    ] {
        let (cameras, told) = watching();
        cameras.apply(&camera(address, more));
        let status = until(&cameras, expected, |s| s.error.is_some()).await;
        let error = status.error.clone().unwrap();
        assert!(error.contains(expected), "{error}");
        assert_eq!((status.connected, status.frozen, status.fps), (false, false, None));
        assert!(!format!("{status:?}").contains("p@ss") && !format!("{status:?}").contains("admin"));
        cameras.report();
        assert_eq!(told.get("camera_connection_status{camera_id=front}"), Some(0.0));
        assert!(told.get(&format!("camera_session_errors_total{{camera_id=front,reason={reason}}}")) >= Some(1.0), "{reason}");
    }
    let (cameras, _) = watching();
    let stranger = config::tests::read_text(&format!("cameras:\n- {{id: front, url: 'rtsp://{good}/live'}}\n")).0;
    cameras.apply(&stranger);
    until(&cameras, "no name", |s| s.error.as_deref() == Some("cannot log in: the camera asks for a name and a password, and there are none")).await;
}

#[tokio::test]
async fn another_configuration_leaves_one_session_and_what_is_gone_is_taken_back() {
    let (address, sessions) = made(Manner::Good).await;
    let (cameras, told) = watching();
    let first = camera(address, "");
    cameras.apply(&first);
    until(&cameras, "a session", |s| s.packets > 5).await;
    let before = cameras.statuses()[0].packets;
    cameras.apply(&camera(address, ""));
    assert!(cameras.statuses()[0].packets >= before, "the same camera keeps its session");
    cameras.report();
    cameras.apply(&camera(address, "name: Front door"));
    until(&cameras, "the other name", |s| s.name == "Front door" && s.packets > 5).await;
    assert_eq!(sessions.load(Ordering::SeqCst), 1);
    assert!(told.get("camera_frames_total{camera_id=front}") > Some(5.0));
    cameras.apply(&[]);
    assert!(cameras.statuses().is_empty() && told.0.lock().unwrap().is_empty());
    for _ in 0..2_000 {
        if sessions.load(Ordering::SeqCst) == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the session with a camera that is watched no more goes on");
}

#[tokio::test]
async fn a_stream_is_watched_like_a_camera() {
    let playlist = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:00Z\n#EXTINF:2,\nseg.ts\n";
    let address = crate::probe::tests::serve(move |line| {
        let body = if line.contains("index.m3u8?token=canary") { playlist.to_owned() } else { "x".repeat(2_500) };
        format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    })
    .await;
    let (watching, told) = watching();
    let text = format!("cameras:\n- {{id: gate, url: 'http://{address}/index.m3u8?token=canary', frozen_after: 2s}}\n");
    watching.apply(&config::tests::read_text(&text).0);
    let status = until(&watching, "a stream", |s| s.connected && s.bits_per_second.is_some()).await;
    assert_eq!((status.transport, status.fps, status.bits_per_second, status.url), ("hls", None, Some(10_000.0), format!("http://{address}/index.m3u8")));
    watching.report();
    assert_eq!((told.get("stream_bitrate{camera_id=gate,quality=source}"), told.get("camera_fps{camera_id=gate}")), (Some(10_000.0), None));
    assert!(told.get("stream_latency_ms{camera_id=gate,protocol=hls}") > Some(1e9) && told.get("hls_playlist_requests_total{}") >= Some(1.0));
    assert_eq!((told.get("camera_hls_segments_total{camera_id=gate}"), told.get("camera_frames_total{camera_id=gate}")), (Some(1.0), None));
    // Its playlist shows nothing new for three segments.
    until(&watching, "frozen", |s| s.connected && s.frozen).await;
    watching.apply(&[]);
    assert_eq!(told.0.lock().unwrap().keys().cloned().collect::<Vec<_>>(), ["hls_playlist_requests_total{}"]);
}
