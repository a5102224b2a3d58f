//! nginx-rtmp: its page of statistics, whose address is configured as a whole.

use super::{Found, Kind, Page, STREAMS_MAX, Stream};
use crate::xml::{self, Event};

pub(super) const KIND: Kind = Kind { name: "nginx-rtmp", pages: &[Page { path: "", optional: false }], read };

/// What is read of a stream besides numbers.
#[derive(Default)]
struct Reading {
    stream: Stream,
    publishing: bool,
    clients: u64,
}

fn read(pages: &[Option<&[u8]>]) -> Option<Found> {
    let text = String::from_utf8_lossy((*pages.first()?)?).into_owned();
    let (mut found, mut path, mut current): (Found, Vec<String>, Option<Reading>) = (Found::default(), Vec::new(), None);
    let mut is_one = false;
    for event in xml::events(&text) {
        match event {
            Event::Begin(name) => {
                path.push(name.to_owned());
                is_one |= path.len() == 1 && name == "rtmp";
                match (name, &mut current) {
                    ("stream", None) => current = Some(Reading::default()),
                    // A mark of the stream itself, not of one of its clients.
                    ("publishing", Some(reading)) if path.iter().rev().nth(1).is_some_and(|above| above == "stream") => reading.publishing = true,
                    _ => {}
                }
            }
            Event::Text(text) => {
                let mut inner = path.iter().rev().map(String::as_str);
                if let (Some(name), Some("stream"), Some(reading)) = (inner.next(), inner.next(), &mut current) {
                    value(reading, name, text);
                }
            }
            Event::End(name) => {
                path.pop();
                if name == "stream"
                    && let Some(reading) = current.take()
                    && found.streams.len() < STREAMS_MAX
                {
                    found.streams.push(done(reading));
                }
            }
        }
    }
    is_one.then_some(found)
}

fn value(reading: &mut Reading, name: &str, text: &str) {
    let number = || text.parse::<u64>().ok();
    let stream = &mut reading.stream;
    match name {
        "name" => stream.camera = text.to_owned(),
        "bytes_in" => stream.bytes_in = number(),
        "bytes_out" => stream.bytes_out = number(),
        "bw_in" => stream.bits_per_second = number().map(|bits| bits as f64),
        "nclients" => reading.clients = number().unwrap_or_default(),
        _ => {}
    }
}

/// Whoever publishes counts among the clients.
fn done(reading: Reading) -> Stream {
    let Reading { stream, publishing, clients } = reading;
    Stream { active: publishing, viewers: Some(clients.saturating_sub(u64::from(publishing))), ..stream }
}
