//! go2rtc: `/api/streams`. Addresses of producers, in which passwords may stand, are not read.

use serde_json::Value;

use super::{Found, Kind, Page, STREAMS_MAX, Session, Stream, object};

pub(super) const KIND: Kind = Kind { name: "go2rtc", pages: &[Page { path: "/api/streams", optional: false }], read };

fn read(pages: &[Option<&[u8]>]) -> Option<Found> {
    let page = object(*pages.first()?)?;
    let mut found = Found { sessions: Some(Vec::new()), ..Found::default() };
    for (camera, stream) in page.iter().take(STREAMS_MAX) {
        let Some(stream) = stream.as_object() else { continue };
        let list = |key: &str| stream.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let (producers, consumers) = (list("producers"), list("consumers"));
        let received: Vec<u64> = producers.iter().filter_map(|producer| bytes(producer, "bytes_recv", "receivers")).collect();
        let sent: Vec<u64> = consumers.iter().filter_map(|consumer| bytes(consumer, "bytes_send", "senders")).collect();
        // A consumer of WebRTC is there once the two sides have found each other.
        let sessions = consumers.iter().filter(|c| c.get("format_name").and_then(Value::as_str) == Some("webrtc")).filter_map(|c| c.get("id"));
        found.sessions.get_or_insert_default().extend(sessions.map(|id| Session { id: id.to_string(), established: true }));
        found.streams.push(Stream {
            camera: camera.clone(),
            active: !received.is_empty(),
            viewers: Some(consumers.len() as u64),
            bytes_in: (!received.is_empty()).then(|| received.iter().copied().fold(0, u64::saturating_add)),
            bytes_out: (!sent.is_empty()).then(|| sent.iter().copied().fold(0, u64::saturating_add)),
            ..Stream::default()
        });
    }
    Some(found)
}

/// What a producer or consumer has moved: by itself, or track by track.
fn bytes(side: &Value, whole: &str, tracks: &str) -> Option<u64> {
    let of = |value: &Value| value.get("bytes").and_then(Value::as_u64);
    side.get(whole).and_then(Value::as_u64).or_else(|| {
        let tracks = side.get(tracks)?.as_array()?;
        tracks.iter().map(of).try_fold(0u64, |sum, bytes| Some(sum.saturating_add(bytes?)))
    })
}
