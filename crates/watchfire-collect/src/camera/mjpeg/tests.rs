//! Cameras that give pictures by HTTP, made here, some of which misbehave on purpose.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::size::tests::jpeg;
use crate::camera::config::tests::read_text;
use crate::camera::picture::decoder::Decoder;
use crate::camera::rtsp::codec::Codec;
use crate::camera::tests::{until, visited, watching};
use std::time::Duration;

/// How a made camera behaves.
#[derive(Clone, Copy, PartialEq)]
enum Manner {
    Good,
    /// Shows the same picture again and again.
    Freezes,
    /// Sends ten pictures and then no more.
    Stalls,
    /// Sends ten pictures and goes.
    HangsUp,
    /// Puts something else between its pictures.
    Babbles,
    /// Says that it sends pictures and sends a page.
    Page,
}

/// A camera that wants a proof of the password on some paths; counts its connections that asked for pictures.
async fn made(manner: Manner) -> (SocketAddr, Arc<AtomicU32>) {
    let shown = Arc::new(AtomicU32::new(0));
    let counted = shown.clone();
    let address = visited(move |stream| {
        let counted = counted.clone();
        async move { serve(stream, manner, &counted).await }
    });
    (address.await, shown)
}

async fn serve(mut stream: TcpStream, manner: Manner, shown: &AtomicU32) -> std::io::Result<()> {
    let mut heard = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&heard).to_ascii_lowercase();
        let Some(end) = text.find("\r\n\r\n") else {
            if stream.read_buf(&mut heard).await? == 0 {
                return Ok(());
            }
            continue;
        };
        heard.drain(..end + 4);
        let head = text.get(..end).unwrap();
        let path = head.split(' ').nth(1).unwrap_or_default();
        let number = shown.load(Ordering::SeqCst);
        if path.starts_with("/locked")
            && !(head.contains("digest username=\"viewer\"") && head.contains(&format!("uri=\"{path}\"")) && head.contains("nonce=\"n1\""))
        {
            let body = "who are you?";
            let answer = format!(
                "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Digest realm=\"cam\", nonce=\"n1\", qop=\"auth\"\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            stream.write_all(answer.as_bytes()).await?;
            continue;
        }
        if path.contains("moved") {
            stream.write_all(b"HTTP/1.1 302 Found\r\nLocation: /video\r\nContent-Length: 0\r\n\r\n").await?;
            continue;
        }
        shown.fetch_add(1, Ordering::SeqCst);
        if path.contains("snap") {
            let picture = if manner == Manner::Page { b"<html>".to_vec() } else { jpeg(640, 480, &number.to_be_bytes()) };
            stream.write_all(format!("HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: {}\r\n\r\n", picture.len()).as_bytes()).await?;
            stream.write_all(&picture).await?;
            continue;
        }
        return show(stream, manner, !path.contains("nameless")).await;
    }
}

async fn show(mut stream: TcpStream, manner: Manner, named: bool) -> std::io::Result<()> {
    let kind = if named { "multipart/x-mixed-replace; boundary=--frame" } else { "application/octet-stream" };
    stream.write_all(format!("HTTP/1.0 200 OK\r\nContent-Type: {kind}\r\n\r\n").as_bytes()).await?;
    for number in 0..u32::MAX {
        match manner {
            Manner::Stalls if number == 10 => std::future::pending::<()>().await,
            Manner::HangsUp if number == 10 => return Ok(()),
            _ => {}
        }
        let rest = if manner == Manner::Freezes { 7 } else { number };
        let picture = jpeg(if number < 20 { 640 } else { 800 }, 480, &rest.to_be_bytes());
        stream.write_all(format!("--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {}\r\n\r\n", picture.len()).as_bytes()).await?;
        // A picture rarely comes in one piece.
        stream.write_all(&picture[..10]).await?;
        stream.flush().await?;
        stream.write_all(&picture[10..]).await?;
        stream.write_all(b"\r\n").await?;
        if manner == Manner::Babbles {
            stream.write_all(b"--frame\r\nContent-Type: text/plain\r\n\r\nhello\r\n").await?;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

#[tokio::test]
async fn a_stream_of_pictures_is_found_counted_and_measured() {
    for (path, more) in [("video", ""), ("nameless", ""), ("locked/video?x=1", "username: viewer, password: canary"), ("moved", "kind: mjpeg")] {
        let (address, _) = made(Manner::Good).await;
        let (cameras, told) = watching();
        let (read, findings) = read_text(&format!("cameras:\n- {{id: front, url: 'http://{address}/{path}', fps: 25, {more}}}\n"));
        assert_eq!(findings, [""; 0]);
        cameras.apply(&read);
        let status = until(&cameras, "a rate", |s| s.fps.is_some_and(|fps| fps > 0.0) && s.width == Some(800)).await;
        assert_eq!((status.connected, status.frozen, status.transport, status.error), (true, false, "mjpeg", None), "{path}");
        assert_eq!((status.codec.as_deref(), status.height, status.packets), (Some("JPEG"), Some(480), 0));
        assert!(status.bits_per_second > Some(0.0) && status.last_frame.is_some() && status.jitter.is_none());
        cameras.report();
        assert!(told.get("camera_frames_total{camera_id=front}") > Some(20.0));
        assert_eq!(told.get("camera_resolution_changes_total{camera_id=front}"), Some(1.0));
        assert_eq!((told.get("camera_connection_status{camera_id=front}"), told.get("camera_frozen{camera_id=front}")), (Some(1.0), Some(0.0)));
        assert_eq!((told.get("camera_frames_dropped_total{camera_id=front}"), told.get("camera_expected_fps{camera_id=front}")), (Some(0.0), Some(25.0)));
        assert!(told.get("camera_bitrate{camera_id=front}").is_some() && told.get("camera_received_bytes_total{camera_id=front}") > Some(100.0));
        assert_eq!((told.get("camera_packets_received_total{camera_id=front}"), told.get("camera_hls_segments_total{camera_id=front}")), (None, None));
    }
}

#[tokio::test]
async fn single_pictures_are_asked_for_again_and_again() {
    let (address, shown) = made(Manner::Good).await;
    let (cameras, told) = watching();
    let text = format!("cameras:\n- {{id: front, url: 'http://{address}/locked/snap.jpg', username: viewer, password: canary, interval: 1s}}\n");
    cameras.apply(&read_text(&text).0);
    let status = until(&cameras, "a picture", |s| s.connected && s.last_frame.is_some()).await;
    assert_eq!((status.transport, status.fps, status.width, status.error, status.frozen), ("snapshot", None, Some(640), None, false));
    for _ in 0..2_000 {
        if shown.load(Ordering::SeqCst) >= 3 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(shown.load(Ordering::SeqCst) >= 3);
    cameras.report();
    assert!(told.get("camera_frames_total{camera_id=front}") >= Some(2.0));
    assert_eq!((told.get("camera_fps{camera_id=front}"), told.get("camera_reconnects_total{camera_id=front}")), (None, Some(0.0)));
    cameras.apply(&[]);
    assert!(told.get("camera_frames_total{camera_id=front}").is_none());
}

#[tokio::test]
async fn pictures_that_stay_the_same_or_away_are_a_frozen_camera() {
    for manner in [Manner::Freezes, Manner::Stalls] {
        let (address, _) = made(manner).await;
        let (cameras, _) = watching();
        cameras.apply(&read_text(&format!("cameras:\n- {{id: front, url: 'http://{address}/video', frozen_after: 2s}}\n")).0);
        let status = until(&cameras, "frozen", |s| s.frozen).await;
        assert!(status.connected && status.error.is_none(), "{status:?}");
    }
}

#[tokio::test]
async fn what_goes_wrong_is_told_without_the_password() {
    for (manner, path, more, expected, reason) in [
        (Manner::HangsUp, "video", "", "cannot get pictures: the camera ended the stream", "closed"),
        (Manner::Page, "snap.jpg", "", "cannot get pictures: what comes is no JPEG", "description"),
        (Manner::Good, "locked/video", "", "cannot get the stream: the server answers 401", "log_in"),
        (Manner::Good, "locked/snap", "kind: snapshot, username: viewer2, password: canary", "cannot get the picture: the server answers 401", "log_in"),
    ] {
        let (address, _) = made(manner).await;
        let (cameras, told) = watching();
        cameras.apply(&read_text(&format!("cameras:\n- {{id: front, url: 'http://{address}/{path}', {more}}}\n")).0);
        let status = until(&cameras, expected, |s| s.error.as_deref() == Some(expected)).await;
        assert!(!format!("{status:?}").contains("canary"), "{status:?}");
        cameras.report();
        assert!(told.get(&format!("camera_session_errors_total{{camera_id=front,reason={reason}}}")) >= Some(1.0), "{reason}");
    }
    let (address, _) = made(Manner::HangsUp).await;
    let (cameras, _) = watching();
    cameras.apply(&read_text(&format!("cameras:\n- {{id: front, url: 'http://{address}/video'}}\n")).0);
    until(&cameras, "another session", |s| s.reconnects >= 1).await;
    let (address, _) = made(Manner::Babbles).await;
    let (cameras, _) = watching();
    cameras.apply(&read_text(&format!("cameras:\n- {{id: front, url: 'http://{address}/video'}}\n")).0);
    until(&cameras, "parts that are no pictures", |s| s.connected && s.frames_dropped > 3).await;
}

/// Looks at a picture with `ffmpeg`, where it is.
#[tokio::test]
async fn a_picture_of_the_stream_is_looked_at() {
    let Some(real) = real_picture("320x240").await else {
        println!("SKIPPED: ffmpeg is not installed");
        return;
    };
    let address = crate::probe::tests::serve_bytes(move |_| {
        let mut answer = format!("HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", real.len()).into_bytes();
        answer.extend(&real);
        answer
    })
    .await;
    let (cameras, told) = watching();
    cameras.apply(&read_text(&format!("cameras:\n- {{id: front, url: 'http://{address}/snap', picture_check: {{show: true}}}}\n")).0);
    until(&cameras, "a picture that was looked at", |s| s.picture).await;
    assert!(cameras.picture("front").is_some_and(|bmp| bmp.starts_with(b"BM")));
    cameras.report();
    assert!(told.get("camera_picture_brightness{camera_id=front}") > Some(5.0));
}

#[tokio::test]
async fn a_picture_of_too_many_points_is_not_decoded() {
    let decoder = Decoder::new(std::env::var_os("PATH").as_ref());
    for (size, expected) in [("3840x2160", true), ("9000x4000", false)] {
        let Some(real) = real_picture(size).await else {
            println!("SKIPPED: ffmpeg is not installed");
            return;
        };
        assert_eq!(decoder.decode(Codec::Jpeg, &real).await.is_ok(), expected, "{size}");
    }
}

async fn real_picture(size: &str) -> Option<Vec<u8>> {
    let source = format!("color=gray:size={size}:duration=1");
    let made = tokio::process::Command::new("ffmpeg")
        .args(["-loglevel", "quiet", "-f", "lavfi", "-i", &source, "-frames:v", "1", "-f", "mjpeg", "pipe:1"])
        .output()
        .await
        .ok()?;
    (made.status.success() && made.stdout.starts_with(&[0xff, 0xd8])).then_some(made.stdout)
}
