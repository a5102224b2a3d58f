//! MediaMTX, by version 3 of its control API: `/v3/paths/list`, `/v3/webrtcsessions/list`.

use serde_json::Value;

use super::{Found, Kind, Page, SESSIONS_MAX, STREAMS_MAX, Session, Stream, object};

pub(super) const KIND: Kind = Kind {
    name: "mediamtx",
    pages: &[
        Page { path: "/v3/paths/list?itemsPerPage=1000", optional: false },
        // A server without WebRTC has no such page.
        Page { path: "/v3/webrtcsessions/list?itemsPerPage=1000", optional: true },
    ],
    read,
};

fn read(pages: &[Option<&[u8]>]) -> Option<Found> {
    let paths = object(*pages.first()?)?;
    let streams = paths.get("items")?.as_array()?.iter().take(STREAMS_MAX).filter_map(stream).collect();
    let sessions = pages.get(1).and_then(|page| object(*page)).and_then(|page| {
        let items = page.get("items")?.as_array()?;
        Some(items.iter().take(SESSIONS_MAX).filter_map(session).collect())
    });
    Some(Found { streams, sessions })
}

fn stream(item: &Value) -> Option<Stream> {
    let number = |key: &str| item.get(key).and_then(Value::as_u64);
    Some(Stream {
        camera: item.get("name")?.as_str()?.to_owned(),
        active: item.get("ready").and_then(Value::as_bool).unwrap_or(false),
        viewers: item.get("readers").and_then(Value::as_array).map(|readers| readers.len() as u64),
        bytes_in: number("bytesReceived"),
        bytes_out: number("bytesSent"),
        ..Stream::default()
    })
}

fn session(item: &Value) -> Option<Session> {
    Some(Session { id: item.get("id")?.as_str()?.to_owned(), established: item.get("peerConnectionEstablished").and_then(Value::as_bool).unwrap_or(false) })
}
