//! Looking at servers that answer here in their documented shapes.

use std::sync::atomic::{AtomicU64, Ordering};

use watchfire_model::meter::Meter;
use watchfire_model::time::{ManualClock, SystemClock, Timestamp};

use super::kind::{KINDS, Session, Stream};
use super::*;
use crate::probe::tests::serve;
use crate::told::Told;

fn read(kind: &str, pages: &[Option<&str>]) -> Option<Found> {
    let kind = KINDS.into_iter().find(|known| known.name == kind).unwrap();
    let pages: Vec<Option<&[u8]>> = pages.iter().map(|page| page.map(str::as_bytes)).collect();
    (kind.read)(&pages)
}

const MEDIAMTX: &str = r#"{"itemCount": 2, "pageCount": 1, "items": [
    {"name": "front", "confName": "all", "source": {"type": "rtspSource", "id": ""}, "ready": true, "readyTime": "2026-01-01T00:00:00Z",
     "tracks": ["H264"], "bytesReceived": 1000, "bytesSent": 500, "readers": [{"type": "webRTCSession", "id": "a"}, {"type": "hlsMuxer", "id": ""}]},
    {"name": "yard", "ready": false, "readers": []}, {"ready": true}]}"#;
const MEDIAMTX_SESSIONS: &str =
    r#"{"items": [{"id": "a", "peerConnectionEstablished": true, "path": "front", "bytesSent": 9}, {"id": "b", "peerConnectionEstablished": false}]}"#;

#[test]
fn mediamtx_tells_paths_and_sessions() {
    let found = read("mediamtx", &[Some(MEDIAMTX), Some(MEDIAMTX_SESSIONS)]).unwrap();
    let front = Stream { camera: "front".into(), active: true, viewers: Some(2), bytes_in: Some(1_000), bytes_out: Some(500), ..Stream::default() };
    let yard = Stream { camera: "yard".into(), viewers: Some(0), ..Stream::default() };
    assert_eq!(found.streams, [front, yard]);
    assert_eq!(found.sessions, Some(vec![Session { id: "a".into(), established: true }, Session { id: "b".into(), established: false }]));
    assert_eq!(read("mediamtx", &[Some(MEDIAMTX), None]).unwrap().sessions, None);
    assert_eq!(read("mediamtx", &[Some("{\"error\": \"no\"}"), None]), None);
}

#[test]
fn go2rtc_tells_producers_and_consumers() {
    let page = r#"{"front": {"producers": [{"id": 1, "format_name": "rtsp", "protocol": "rtsp+tcp", "url": "rtsp://u:canary@h/", "bytes_recv": 700, "receivers": [{"id": 2, "bytes": 5}]}],
        "consumers": [{"id": 3, "format_name": "webrtc", "bytes_send": 40}, {"id": 4, "format_name": "mse/fmp4", "senders": [{"bytes": 1}, {"bytes": 2}]}]},
        "yard": {"producers": [{"url": "ffmpeg:yard"}], "consumers": null}}"#;
    let found = read("go2rtc", &[Some(page)]).unwrap();
    let front = Stream { camera: "front".into(), active: true, viewers: Some(2), bytes_in: Some(700), bytes_out: Some(43), ..Stream::default() };
    let yard = Stream { camera: "yard".into(), viewers: Some(0), ..Stream::default() };
    assert_eq!((&found.streams[0], &found.streams[1]), (&front, &yard));
    assert_eq!(found.sessions, Some(vec![Session { id: "3".into(), established: true }]));
    assert!(!format!("{found:?}").contains("canary"));
    assert_eq!(read("go2rtc", &[Some("[]")]), None);
}

#[test]
fn frigate_tells_frames_of_both_generations() {
    let cameras = r#"{"front": {"camera_fps": 5.1, "process_fps": 5.0, "skipped_fps": 0.5, "detection_fps": 1, "ffmpeg_pid": 71, "pid": 70}, "yard": {"camera_fps": 0.0}}"#;
    let new = format!(r#"{{"cameras": {cameras}, "cpu_usages": {{"71": {{"cpu": "12.5", "mem": "1.0"}}}}, "service": {{"uptime": 9}}}}"#);
    let found = read("frigate", &[Some(&new)]).unwrap();
    let front = Stream { camera: "front".into(), active: true, fps: Some(5.1), skipped_fps: Some(0.5), ffmpeg_cpu_percent: Some(12.5), ..Stream::default() };
    assert_eq!((&found.streams[0], found.streams[1].active), (&front, false));
    let old = cameras.replacen('{', r#"{"detectors": {}, "detection_fps": 1.0, "service": {}, "#, 1);
    assert_eq!(read("frigate", &[Some(&old)]).unwrap().streams.len(), 2);
    assert_eq!(read("frigate", &[Some("{}")]), None);
}

#[test]
fn nginx_rtmp_tells_streams_without_whoever_publishes() {
    let page = r#"<?xml version="1.0" encoding="utf-8" ?>
<rtmp><nginx_version>1.22</nginx_version><bw_in>1</bw_in><server><application><name>live</name><live>
<stream><name>front</name><time>9</time><bw_in>64000</bw_in><bytes_in>100</bytes_in><bw_out>1</bw_out><bytes_out>70</bytes_out>
<client><id>1</id><address>10.0.0.9</address><publishing/><active/></client><client><id>2</id></client><meta><video><width>640</width></video></meta>
<nclients>2</nclients><publishing/><active/></stream>
<stream><name>yard</name><client><id>1</id><publishing/></client><nclients>1</nclients></stream><nclients>3</nclients></live></application></server></rtmp>"#;
    let found = read("nginx-rtmp", &[Some(page)]).unwrap();
    let front = Stream {
        camera: "front".into(),
        active: true,
        viewers: Some(1),
        bytes_in: Some(100),
        bytes_out: Some(70),
        bits_per_second: Some(64_000.0),
        ..Stream::default()
    };
    let yard = Stream { camera: "yard".into(), viewers: Some(1), ..Stream::default() };
    assert_eq!(found.streams, [front, yard]);
    assert_eq!(read("nginx-rtmp", &[Some("<html><rtmp/></html>")]), None);
}

#[test]
fn what_servers_say_is_told_by_the_names_of_the_video_system() {
    let (told, mut tally, nobody) = (Told::default(), Tally::default(), BTreeSet::new());
    let second = |n: u64| Duration::from_secs(100 + n);
    tally.take("a", read("mediamtx", &[Some(MEDIAMTX), Some(MEDIAMTX_SESSIONS)]).unwrap(), second(0));
    tally.tell(&nobody, &told);
    assert_eq!((told.get("active_streams_total{}"), told.get("stream_viewers_count{camera_id=front}")), (Some(1.0), Some(2.0)));
    assert_eq!((told.get("stream_bitrate{camera_id=front,quality=source}"), told.get("stream_bytes_sent_total{}")), (None, Some(0.0)));
    assert_eq!((told.get("webrtc_connection_attempts_total{}"), told.get("stream_server_up{server=a}")), (Some(0.0), Some(1.0)));

    // Ten seconds later: b gave up, c came and is established, d came.
    let later = MEDIAMTX.replace("1000", "2000").replace("500", "1500");
    let sessions = r#"{"items": [{"id": "a", "peerConnectionEstablished": true}, {"id": "c", "peerConnectionEstablished": true}, {"id": "d"}]}"#;
    tally.take("a", read("mediamtx", &[Some(&later), Some(sessions)]).unwrap(), second(10));
    // Another server has the same camera, and one more.
    let frigate = r#"{"cameras": {"front": {"camera_fps": 5.0, "skipped_fps": 2.0}, "back": {"camera_fps": 4.0, "skipped_fps": 0.0}}, "service": {}}"#;
    let watched = BTreeSet::from(["front".to_owned()]);
    tally.take("b", read("frigate", &[Some(frigate)]).unwrap(), second(10));
    tally.take("b", read("frigate", &[Some(frigate)]).unwrap(), second(20));
    tally.tell(&watched, &told);
    assert_eq!((told.get("stream_bitrate{camera_id=front,quality=source}"), told.get("stream_bytes_sent_total{}")), (Some(800.0), Some(1_000.0)));
    for name in ["webrtc_connection_attempts_total{}", "webrtc_connections_attempts_total{}"] {
        assert_eq!(told.get(name), Some(2.0));
    }
    assert_eq!((told.get("webrtc_connections_success_total{}"), told.get("webrtc_connection_failures_total{}")), (Some(1.0), Some(1.0)));
    assert_eq!(
        (told.get("active_streams_total{}"), told.get("camera_fps{camera_id=back}"), told.get("camera_fps{camera_id=front}")),
        (Some(3.0), Some(4.0), None)
    );
    assert_eq!((told.get("camera_frames_dropped_total{camera_id=back}"), told.get("camera_frames_dropped_total{camera_id=front}")), (Some(0.0), None));
    tally.tell(&nobody, &told);
    assert_eq!((told.get("camera_fps{camera_id=front}"), told.get("camera_frames_dropped{camera_id=front}")), (Some(5.0), Some(20.0)));

    // Who does not answer says nothing any more; who is gone is gone.
    tally.absent("a");
    tally.forget("b");
    tally.tell(&nobody, &told);
    assert_eq!((told.get("active_streams_total{}"), told.get("stream_server_up{server=a}")), (Some(0.0), Some(0.0)));
    assert_eq!(
        (told.get("stream_viewers_count{camera_id=front}"), told.get("stream_server_up{server=b}"), told.get("camera_fps{camera_id=back}")),
        (None, None, None)
    );
}

#[tokio::test]
async fn a_server_that_has_moved_is_followed_within_its_address_only() {
    let elsewhere = Arc::new(AtomicU64::new(0));
    let counted = elsewhere.clone();
    let other = serve(move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
        format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{MEDIAMTX}", MEDIAMTX.len())
    })
    .await;
    let address = serve(move |line| {
        let path = line.split(' ').nth(1).and_then(|path| path.split('?').next()).unwrap_or_default();
        let to = match path {
            "/away/v3/paths/list" => format!("http://{other}/v3/paths/list"),
            "/round/v3/paths/list" => "/round/v3/paths/list".to_owned(),
            "/near/v3/paths/list" => "/v3/paths/list".to_owned(),
            _ => return format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{MEDIAMTX}", MEDIAMTX.len()),
        };
        format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
    })
    .await;
    let outside = Surroundings {
        observe: Arc::new(Told::default()),
        clock: ManualClock::new(Timestamp(0)),
        caller: Arc::new(Caller::new(SystemClock::shared())),
        tasks: Tasks::new(&Meter::new()),
    };
    let streams = Streams::new(outside);
    for (path, more, expected) in [
        ("near", "", Ok(2)),
        ("away", "", Err("somewhere else, where nobody is asked")),
        ("round", "", Err("the server answers 302")),
        ("near", ", follow_redirects: false", Err("the server answers 302")),
    ] {
        let server = config::tests::read_text(&format!("streams: [{{kind: mediamtx, url: 'http://u:canary@{address}/{path}'{more}}}]")).0.remove(0);
        match (streams.fetch(&server).await, expected) {
            (Ok(found), Ok(count)) => assert_eq!(found.streams.len(), count, "{path}"),
            (Err(said), Err(part)) => assert!(said.contains(part) && !said.contains("canary"), "{path}: {said}"),
            (found, _) => panic!("{path}{more}: {found:?}"),
        }
    }
    assert_eq!(elsewhere.load(Ordering::SeqCst), 0);
    assert_eq!(within("http://u:p@h/a/b", "c").as_deref(), Some("http://u:p@h/a/c"));
    for to in ["https://h/c", "http://h:81/c", "//i/c", "ftp://h/c", "http://["] {
        assert_eq!(within("http://h/a", to), None, "{to}");
    }
}

#[tokio::test]
async fn servers_are_asked_again_and_again_and_change_with_a_reload() {
    let asked = Arc::new(AtomicU64::new(0));
    let counted = asked.clone();
    let address = serve(move |line| {
        counted.fetch_add(1, Ordering::SeqCst);
        let (status, body) = if line.contains("/v3/paths/list") { ("200 OK", MEDIAMTX) } else { ("404 Not Found", "") };
        format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    })
    .await;
    let told = Arc::new(Told::default());
    let outside = Surroundings {
        observe: told.clone(),
        clock: ManualClock::new(Timestamp(0)),
        caller: Arc::new(Caller::new(SystemClock::shared())),
        tasks: Tasks::new(&Meter::new()),
    };
    let streams = Arc::new(Streams::new(outside));
    let text = format!(
        "streams:\n- {{kind: mediamtx, url: 'http://{address}', interval: 1s}}\n- {{kind: frigate, url: 'http://{address}/x?token=canary', interval: 1s}}\n"
    );
    let servers = config::tests::read_text(&text).0;
    streams.apply(&servers, std::iter::empty());
    let until = async |so: &(dyn Fn(&[StreamServerStatus]) -> bool + Sync)| {
        for _ in 0..1_000 {
            if so(&streams.statuses()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{:?}", streams.statuses());
    };
    until(&|all| all[0].up && all[1].error.is_some()).await;
    let all = streams.statuses();
    assert_eq!((all[0].streams, all[0].viewers, all[0].kind, all[1].up), (1, 2, "mediamtx", false));
    assert_eq!(all[1].error.as_deref(), Some("cannot get /api/stats: the server answers 404"));
    assert!(!format!("{all:?}").contains("canary"));
    assert_eq!(told.get("active_streams_total{}"), Some(1.0));
    let before = asked.load(Ordering::SeqCst);
    until(&|_| asked.load(Ordering::SeqCst) > before + 2).await;
    streams.apply(&config::tests::read_text(&text).0[..1], std::iter::empty());
    assert_eq!((streams.statuses().len(), streams.statuses()[0].up), (1, true));
    streams.apply(&[], std::iter::empty());
    assert!(streams.statuses().is_empty());
    assert_eq!(told.get("stream_server_up{server=mediamtx}"), None);
}
