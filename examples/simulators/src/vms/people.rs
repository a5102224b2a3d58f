//! The people: some watch cameras at the gateways, some ask the API for recordings. They are the system's only load, and tell gateways how
//! late their pictures come.

use std::io::{Error, ErrorKind, Result};
use std::net::UdpSocket;
use std::time::Duration;

use serde_json::{Value, json};

use crate::part::Part;
use crate::plan::Plan;
use crate::{clock, http};

/// People who ask each API server.
const ASKING: usize = 6;
/// How long somebody who looks around stays with a camera.
const LOOK_MS: f64 = 2_000.0;
/// How often a viewer tells how late pictures come.
const REPORT_MS: f64 = 500.0;
/// A viewer that gets no picture for so long gives up.
const PATIENCE: Duration = Duration::from_millis(1_500);
const TIMEOUT: Duration = Duration::from_secs(5);

pub(crate) fn run(plan: Plan) -> Result<()> {
    let part = Part::new("people", plan, &[]);
    part.serve("/metrics", |_| None)?;
    for (i, (camera, _)) in part.plan.all_cameras().into_iter().enumerate() {
        let gateway = part.plan.address(&format!("stream-gateway-{}", i % part.plan.gateways + 1));
        // Somebody stays with each camera; somebody looks around, so that there are new connections all the time; somebody has a player for
        // playlists. Each comes again when the connection ends.
        for (pause, stays) in [(300, true), (500, false)] {
            let (gateway, camera) = (gateway.clone(), camera.clone());
            part.every(pause, move |_| drop(watch(&gateway, &camera, stays)))?;
        }
        let mut late = None;
        part.every(1_000, move |_| late = play(&gateway, &camera, late).ok().flatten())?;
    }
    for api in 1..=part.plan.apis {
        for person in 0..ASKING {
            let (address, mut token) = (part.plan.address(&format!("api-server-{api}")), String::new());
            part.every(150, move |part| drop(ask(part, &address, person, &mut token)))?;
        }
    }
    part.live()
}

/// Watches a camera by datagrams, for ever or for a short look.
fn watch(gateway: &str, camera: &str, stays: bool) -> Result<()> {
    let (_, body) = http::ask(gateway, "POST", &format!("/webrtc/{camera}"), b"{}", TIMEOUT)?;
    let offered: Value = serde_json::from_slice(&body)?;
    let (Some(id), Some(media)) = (offered["session"].as_u64(), offered["media"].as_str()) else {
        return Err(Error::new(ErrorKind::InvalidData, "cannot watch: the gateway has no room"));
    };
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.connect(media)?;
    socket.send(format!("hello {id}").as_bytes())?;
    let (began, mut told) = (clock::now(), clock::now());
    let mut datagram = vec![0; 64 << 10];
    while stays || clock::ms_since(began) < LOOK_MS {
        let length = socket.recv(&mut datagram)?;
        let stamp = datagram.get(..length).and_then(|d| d.first_chunk::<8>()).map(|bytes| u64::from_be_bytes(*bytes));
        if let Some(stamp) = stamp
            && clock::ms_since(told) > REPORT_MS
        {
            told = clock::now();
            let words = if stays { format!("report {id} {}", clock::unix_ms().saturating_sub(stamp)) } else { format!("alive {id}") };
            socket.send(words.as_bytes())?;
        }
    }
    Ok(())
}

/// Asks for a playlist and its newest segment; how old that one's last picture is.
fn play(gateway: &str, camera: &str, late: Option<u64>) -> Result<Option<u64>> {
    let report = late.map(|ms| format!("&latency_ms={ms}")).unwrap_or_default();
    let (_, body) = http::ask(gateway, "GET", &format!("/hls/{camera}/index.m3u8?viewer=1{report}"), b"", TIMEOUT)?;
    let text = String::from_utf8_lossy(&body).into_owned();
    let Some(newest) = text.lines().rfind(|line| line.ends_with(".mjpeg")) else { return Ok(None) };
    let (_, segment) = http::ask(gateway, "GET", &format!("/hls/{camera}/{newest}"), b"", TIMEOUT)?;
    let last = newest.trim_end_matches(".mjpeg").rsplit_once('-').and_then(|(_, last)| last.parse::<u64>().ok());
    Ok(last.filter(|_| !segment.is_empty()).map(|last| clock::unix_ms().saturating_sub(last)))
}

/// Asks for the cameras and for recordings of one; logs in when the token is not taken.
fn ask(part: &Part, address: &str, person: usize, token: &mut String) -> Result<()> {
    let cameras = part.plan.all_cameras();
    let camera = cameras.get(person % cameras.len().max(1)).map_or("", |(camera, _)| camera);
    let bearer = format!("Bearer {token}");
    for target in ["/api/cameras".to_owned(), format!("/api/recordings?camera={camera}")] {
        let (status, _) = http::ask_with(address, "GET", &target, &[("authorization", &bearer)], b"", TIMEOUT)?;
        if status == 401 {
            let (_, body) = http::ask(address, "POST", "/api/login", json!({"user": format!("person-{person}")}).to_string().as_bytes(), TIMEOUT)?;
            let answer: Value = serde_json::from_slice(&body)?;
            answer["token"].as_str().unwrap_or_default().clone_into(token);
            return Ok(());
        }
    }
    Ok(())
}
