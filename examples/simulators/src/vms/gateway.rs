//! A streaming gateway: takes its share of the cameras from their nodes and passes them on, by datagrams after a handshake over HTTP (as
//! WebRTC does, without its encryption) and as playlists with segments (as HLS does).

use std::collections::BTreeMap;
use std::io::{ErrorKind, Result};
use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::live::{self, Ring};
use crate::faults::Known;
use crate::http::{self, Request, Response};
use crate::part::Part;
use crate::plan::Plan;
use crate::{clock, host};

/// The port for media at the gateway's address.
const MEDIA_PORT: u16 = 3478;
/// A viewer that has not shown itself by then could not be connected.
const HANDSHAKE_MS: f64 = 2_000.0;
/// A viewer that was silent for so long has gone.
const SILENT_MS: f64 = 3_000.0;
/// A congested gateway needs so long for each picture.
const CONGESTED_MS: u64 = 250;
const SESSIONS_MAX: usize = 1_000;
const TIMEOUT: Duration = Duration::from_secs(5);

const FAULTS: &[Known] = &[
    ("congested", "each picture takes a quarter of a second to send, so viewers fall behind"),
    ("no-media", "the port for media is closed, so no viewer gets a connection"),
    host::BUSY,
    host::LEAK,
];

/// One viewer by datagrams.
struct Session {
    camera: String,
    asked: Instant,
    /// Where it is, once it has shown itself, and when it last did.
    at: Option<(SocketAddr, Instant)>,
}

struct Gateway {
    part: Arc<Part>,
    cameras: BTreeMap<String, (String, Ring)>,
    sessions: Mutex<(u64, BTreeMap<u64, Session>)>,
    /// Viewers by playlists, with the last time that each asked.
    playlists: Mutex<BTreeMap<(String, String), Instant>>,
    media: Mutex<Option<Arc<UdpSocket>>>,
}

pub(crate) fn run(name: &str, plan: Plan) -> Result<()> {
    let part = Part::new(name, plan, FAULTS);
    let number: usize = name.rsplit_once('-').and_then(|(_, n)| n.parse().ok()).unwrap_or(1);
    let mine = part.plan.all_cameras().into_iter().enumerate().filter(|(i, _)| i % part.plan.gateways == number - 1);
    let cameras = mine.map(|(_, (camera, node))| (camera, (part.plan.address(&node), Ring::default()))).collect();
    let gateway = Arc::new(Gateway { part: part.clone(), cameras, sessions: Mutex::default(), playlists: Mutex::default(), media: Mutex::default() });
    for counter in [ATTEMPTS, ATTEMPTS_TOO, FAILURES, SUCCESSES, SENT, "hls_playlist_requests_total"] {
        part.metrics.add(counter, &[], 0.0);
    }
    for camera in gateway.cameras.keys().cloned().collect::<Vec<_>>() {
        let pulling = gateway.clone();
        // A node that is away is asked again.
        part.every(500, move |_| drop(pulling.pull(&camera)))?;
    }
    let listening = gateway.clone();
    part.every(50, move |_| drop(listening.listen()))?;
    let telling = gateway.clone();
    part.every(250, move |_| telling.tell())?;
    host::serve(&part)?;
    part.serve("/metrics", move |request| gateway.answer(request))?;
    part.live()
}

const ATTEMPTS: &str = "webrtc_connection_attempts_total";
const ATTEMPTS_TOO: &str = "webrtc_connections_attempts_total";
const FAILURES: &str = "webrtc_connection_failures_total";
const SUCCESSES: &str = "webrtc_connections_success_total";
const SENT: &str = "stream_bytes_sent_total";

impl Gateway {
    fn sessions(&self) -> MutexGuard<'_, (u64, BTreeMap<u64, Session>)> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// Takes a camera's pictures from its node for as long as they come.
    fn pull(&self, camera: &str) -> Result<()> {
        let Some((node, ring)) = self.cameras.get(camera) else { return Ok(()) };
        let (_, _, mut reader) = http::open(node, &format!("GET /live/{camera} HTTP/1.1\r\n"), b"", TIMEOUT)?;
        let (mut since, mut bytes) = (clock::now(), 0);
        loop {
            let frame = live::read(&mut reader)?;
            bytes += frame.picture.len();
            ring.put(Arc::new(frame));
            let seconds = since.elapsed().as_secs_f64();
            if seconds >= 2.0 {
                self.part.metrics.set("stream_bitrate", &[("camera_id", camera), ("quality", "main")], bytes as f64 * 8.0 / seconds);
                (since, bytes) = (clock::now(), 0);
            }
        }
    }
    /// Hears viewers at the port for media, as long as it is open.
    fn listen(self: &Arc<Gateway>) -> Result<()> {
        if self.part.faults.is("no-media") {
            return Ok(());
        }
        let socket = Arc::new(UdpSocket::bind((self.part.plan.ip(&self.part.name).as_str(), MEDIA_PORT))?);
        socket.set_read_timeout(Some(Duration::from_millis(100)))?;
        *self.media.lock().unwrap_or_else(PoisonError::into_inner) = Some(socket.clone());
        let mut datagram = [0; 256];
        while !self.part.faults.is("no-media") {
            match socket.recv_from(&mut datagram) {
                Ok((length, from)) => self.hear(&String::from_utf8_lossy(datagram.get(..length).unwrap_or_default()), from),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::ConnectionRefused) => {}
                Err(error) => return Err(error),
            }
        }
        *self.media.lock().unwrap_or_else(PoisonError::into_inner) = None;
        Ok(())
    }
    /// `hello ID` of a viewer that shows itself, `alive ID` and `report ID MS` of one that is connected.
    fn hear(self: &Arc<Gateway>, words: &str, from: SocketAddr) {
        let mut words = words.split(' ');
        let (Some(word), Some(id)) = (words.next(), words.next().and_then(|id| id.parse::<u64>().ok())) else { return };
        let mut sessions = self.sessions();
        let Some(session) = sessions.1.get_mut(&id) else { return };
        let is_new = session.at.is_none();
        if word == "hello" || !is_new {
            session.at = Some((from, clock::now()));
        }
        if let Some(ms) = words.next().and_then(|ms| ms.parse::<f64>().ok()).filter(|_| word == "report") {
            self.part.metrics.set("stream_latency_ms", &[("camera_id", &session.camera), ("protocol", "webrtc")], ms);
        }
        if is_new && word == "hello" {
            self.part.metrics.add(SUCCESSES, &[], 1.0);
            let (gateway, camera) = (self.clone(), session.camera.clone());
            drop(sessions);
            // Without a thread the viewer gets no picture, and comes again.
            drop(std::thread::Builder::new().name("viewer".into()).spawn(move || gateway.show(id, &camera)));
        }
    }
    /// Sends pictures to a viewer until it has gone. It goes on from where it was, so that a slow way shows as delay.
    fn show(&self, id: u64, camera: &str) {
        let Some((_, ring)) = self.cameras.get(camera) else { return };
        let mut number = ring.end();
        loop {
            let Some(to) = self.sessions().1.get(&id).and_then(|session| session.at).map(|(to, _)| to) else { return };
            let Some((frame, next)) = ring.next(number) else { continue };
            number = next;
            let socket = self.media.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let datagram = [&frame.stamp_ms.to_be_bytes()[..], &frame.picture].concat();
            // A datagram that is lost is lost.
            if let Some(Ok(sent)) = socket.map(|socket| socket.send_to(&datagram, to)) {
                self.part.metrics.add(SENT, &[], sent as f64);
            }
            if self.part.faults.is("congested") {
                clock::pause_ms(CONGESTED_MS);
            }
        }
    }
    /// Ends what is over and says how many watch.
    fn tell(&self) {
        let mut viewers: BTreeMap<&str, u64> = self.cameras.keys().map(|camera| (camera.as_str(), 0)).collect();
        let mut sessions = self.sessions();
        sessions.1.retain(|_, session| match session.at {
            None if clock::ms_since(session.asked) > HANDSHAKE_MS => {
                self.part.metrics.add(FAILURES, &[], 1.0);
                false
            }
            Some((_, heard)) => clock::ms_since(heard) < SILENT_MS,
            None => true,
        });
        let connected = sessions.1.values().filter(|session| session.at.is_some());
        connected.for_each(|session| *viewers.entry(self.cameras.get_key_value(&session.camera).map_or("", |(name, _)| name)).or_default() += 1);
        let mut playlists = self.playlists.lock().unwrap_or_else(PoisonError::into_inner);
        playlists.retain(|_, asked| clock::ms_since(*asked) < SILENT_MS);
        playlists.keys().for_each(|(camera, _)| *viewers.entry(self.cameras.get_key_value(camera).map_or("", |(name, _)| name)).or_default() += 1);
        self.part.metrics.set("active_streams_total", &[], viewers.values().sum::<u64>() as f64);
        for (camera, count) in viewers {
            self.part.metrics.set("stream_viewers_count", &[("camera_id", camera)], count as f64);
            if count == 0 {
                for protocol in ["webrtc", "hls"] {
                    self.part.metrics.forget("stream_latency_ms", &[("camera_id", camera), ("protocol", protocol)]);
                }
            }
        }
    }
    fn answer(&self, request: &Request) -> Option<Response> {
        let (kind, rest) = request.path.strip_prefix('/')?.split_once('/')?;
        let (camera, name) = rest.split_once('/').map_or((rest, ""), |(camera, name)| (camera, name));
        let (node, _) = self.cameras.get(camera)?;
        match (kind, name) {
            ("webrtc", "") => Some(self.offer(camera)),
            ("hls", "index.m3u8") => self.playlist(camera, node, request),
            ("hls", name) => {
                let (status, body) = http::ask(node, "GET", &format!("/segments/{camera}/{name}"), b"", TIMEOUT).ok()?;
                self.part.metrics.add(SENT, &[], body.len() as f64);
                (status == 200).then(|| Response::bytes(body))
            }
            _ => None,
        }
    }
    /// Somebody wants to watch: a session that waits for its first datagram.
    fn offer(&self, camera: &str) -> Response {
        self.part.metrics.add(ATTEMPTS, &[], 1.0);
        self.part.metrics.add(ATTEMPTS_TOO, &[], 1.0);
        let mut sessions = self.sessions();
        if sessions.1.len() >= SESSIONS_MAX {
            self.part.metrics.add(FAILURES, &[], 1.0);
            return Response::status_json(503, &json!({"error": "too many sessions"}));
        }
        sessions.0 += 1;
        let id = sessions.0;
        sessions.1.insert(id, Session { camera: camera.to_owned(), asked: clock::now(), at: None });
        Response::json(&json!({"session": id, "media": format!("{}:{MEDIA_PORT}", self.part.plan.ip(&self.part.name))}))
    }
    fn playlist(&self, camera: &str, node: &str, request: &Request) -> Option<Response> {
        self.part.metrics.add("hls_playlist_requests_total", &[], 1.0);
        let viewer = request.query.get("viewer").cloned().unwrap_or_default();
        self.playlists.lock().unwrap_or_else(PoisonError::into_inner).insert((camera.to_owned(), viewer), clock::now());
        if let Some(ms) = request.query.get("latency_ms").and_then(|ms| ms.parse().ok()) {
            self.part.metrics.set("stream_latency_ms", &[("camera_id", camera), ("protocol", "hls")], ms);
        }
        let (_, body) = http::ask(node, "GET", &format!("/segments/{camera}"), b"", TIMEOUT).ok()?;
        let segments: Value = serde_json::from_slice(&body).ok()?;
        let mut text = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:1\n".to_owned();
        for segment in segments.as_array()?.iter().rev().take(4).rev() {
            let seconds = (segment["last_ms"].as_f64()? - segment["first_ms"].as_f64()?) / 1_000.0;
            text.push_str(&format!("#EXTINF:{seconds:.3},\n{}\n", segment["name"].as_str()?));
        }
        self.part.metrics.add(SENT, &[], text.len() as f64);
        Some(Response::text(200, text))
    }
}
