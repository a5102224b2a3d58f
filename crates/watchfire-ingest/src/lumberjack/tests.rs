//! Tests of Lumberjack: frames in pieces, packed and not, acknowledgements, what is too long, what is refused.

use std::io::Write;
use std::sync::Mutex;

use proptest::prelude::*;
use watchfire_model::time::{ManualClock, Timestamp};
use watchfire_model::write::LogsWritten;

use super::*;
use crate::gate::{Limits, LogLimits};

const NOW: i64 = 1_767_089_700_000_000_000;

#[derive(Default)]
struct Kept {
    entries: Mutex<Vec<String>>,
    largest: Mutex<usize>,
    closed: Mutex<bool>,
}
impl Sink for Kept {
    fn write(&self, batch: Batch) -> Result<Written, WriteError> {
        if *self.closed.lock().unwrap() {
            return Err(WriteError::Busy("test".to_owned()));
        }
        let found: Vec<String> =
            batch.logs.iter().flat_map(|s| s.entries.iter().map(|e| format!("{} {} {} {}", s.labels, e.time.0 - NOW, e.line, e.metadata))).collect();
        let mut largest = self.largest.lock().unwrap();
        *largest = found.len().max(*largest);
        let stored = found.len() as u64;
        self.entries.lock().unwrap().extend(found);
        Ok(Written { logs: LogsWritten { stored, ..LogsWritten::default() }, ..Written::default() })
    }
}

fn receiver() -> (Arc<Lumberjack>, Arc<Kept>) {
    let (clock, meter, kept) = (ManualClock::new(Timestamp(NOW / 1_000_000)), Meter::new(), Arc::new(Kept::default()));
    let limits = Limits { logs: LogLimits { detect_levels: false, ..LogLimits::default() }, ..Limits::default() };
    let gate = Arc::new(Gate::new(kept.clone(), clock.clone(), &meter, limits));
    (Arc::new(Lumberjack::new(gate, clock, &meter)), kept)
}

fn window(version: u8, events: u32) -> Vec<u8> {
    [&[version, b'W'][..], &events.to_be_bytes()].concat()
}
fn json(sequence: u32, text: &str) -> Vec<u8> {
    [b"2J", &sequence.to_be_bytes()[..], &u32::try_from(text.len()).unwrap().to_be_bytes(), text.as_bytes()].concat()
}
fn pairs(sequence: u32, all: &[(&str, &str)]) -> Vec<u8> {
    let text = |text: &str| [&u32::try_from(text.len()).unwrap().to_be_bytes()[..], text.as_bytes()].concat();
    let body: Vec<u8> = all.iter().flat_map(|(name, value)| [text(name), text(value)].concat()).collect();
    [b"1D", &sequence.to_be_bytes()[..], &u32::try_from(all.len()).unwrap().to_be_bytes(), &body].concat()
}
fn packed(frames: &[u8]) -> Vec<u8> {
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    zlib.write_all(frames).unwrap();
    let body = zlib.finish().unwrap();
    [b"2C", &u32::try_from(body.len()).unwrap().to_be_bytes()[..], &body].concat()
}

/// The numbers that were acknowledged.
fn acknowledged(mut answer: &[u8], version: u8) -> Vec<u32> {
    let mut all = Vec::new();
    while let Some((frame, rest)) = answer.split_first_chunk::<6>() {
        assert_eq!(frame[..2], [version, b'A']);
        all.push(u32::from_be_bytes(frame[2..].try_into().unwrap()));
        answer = rest;
    }
    assert!(answer.is_empty());
    all
}

#[test]
fn events_are_documents_however_they_come() {
    let event = r#"{"@timestamp":"2025-12-30T10:15:00.001Z","@metadata":{"beat":"filebeat","type":"_doc","version":"8.19.0"},"message":"m","host":{"name":"h"},"big":12345678901234567890123}"#;
    let expected = r#"{_index="filebeat-8.19.0", host="h"} 1000000 {"@timestamp":"2025-12-30T10:15:00.001Z","message":"m","host":{"name":"h"},"big":12345678901234567890123} {}"#;
    for frames in [json(1, event), packed(&json(1, event))] {
        for size in [1, 7, 4096] {
            let (all, kept) = receiver();
            let (mut session, mut answer) = (all.session("test"), Vec::new());
            for piece in [window(b'2', 1), frames.clone()].concat().chunks(size) {
                assert!(answer.is_empty(), "acknowledged before it was there");
                session.take(piece, &mut answer).unwrap();
            }
            assert_eq!(acknowledged(&answer, b'2'), [1]);
            assert_eq!(*kept.entries.lock().unwrap(), [expected]);
        }
    }
    let (all, kept) = receiver();
    let (mut session, mut answer) = (all.session("test"), Vec::new());
    let frames = pairs(1_000, &[("line", "a line"), ("host", "h"), ("file", "/x")]);
    for piece in [window(b'1', 1), packed(&frames), window(b'1', 1), frames].concat().chunks(3) {
        session.take(piece, &mut answer).unwrap();
    }
    assert_eq!(acknowledged(&answer, b'1'), [1_000, 1_000]);
    assert_eq!(*kept.entries.lock().unwrap(), [r#"{_index="beats", host="h"} 0 {"message":"a line","host":"h","file":"/x"} {}"#; 2]);
}

#[test]
fn windows_are_stored_and_acknowledged_in_parts() {
    let (all, kept) = receiver();
    let (mut session, mut answer) = (all.session("test"), Vec::new());
    let frames: Vec<u8> = (1..=2_500).flat_map(|i| json(i, &format!("{{\"message\":\"{i}\"}}"))).collect();
    session.take(&[window(b'2', 0), window(b'2', 2_500), packed(&frames)].concat(), &mut answer).unwrap();
    assert_eq!(acknowledged(&answer, b'2'), [1_000, 2_000, 2_500]);
    assert_eq!((kept.entries.lock().unwrap().len(), *kept.largest.lock().unwrap()), (2_500, BATCH_EVENTS));
    // Equal events of one window are several; the same window again gives the same ones.
    kept.entries.lock().unwrap().clear();
    let twice = [window(b'2', 2), json(1, r#"{"a":1}"#), json(2, r#"{"a":1}"#)].concat();
    session.take(&twice, &mut answer).unwrap();
    session.take(&twice, &mut answer).unwrap();
    let entries = kept.entries.lock().unwrap();
    assert!(entries[0] != entries[1] && entries[..2] == entries[2..], "{entries:?}");
}

#[test]
fn what_is_not_stored_is_not_acknowledged() {
    let (all, kept) = receiver();
    let (mut session, mut answer) = (all.session("test"), Vec::new());
    session.take(&[window(b'2', 3), json(1, r#"{"a":1}"#)].concat(), &mut answer).unwrap();
    *kept.closed.lock().unwrap() = true;
    let failed = session.take(&json(2, r#"{"a":2}"#), &mut answer).unwrap_err();
    assert!(matches!(failed, SessionError::Store(_)), "{failed}");
    assert_eq!(acknowledged(&answer, b'2'), [1]);
}

#[test]
fn what_can_never_be_stored_is_acknowledged_and_counted() {
    let (all, kept) = receiver();
    let (mut session, mut answer) = (all.session("test"), Vec::new());
    let long = format!("{{\"message\":\"{}\"}}", "x".repeat(frame::EVENT_BYTES_MAX));
    let frames = [json(1, "no event"), json(2, &long), json(3, r#"{"message":"good"}"#), json(4, r#"{"@timestamp":"2099-01-01T00:00:00Z"}"#)].concat();
    for bytes in [frames.clone(), packed(&frames)] {
        answer.clear();
        for piece in [window(b'2', 4), bytes].concat().chunks(10_000) {
            session.take(piece, &mut answer).unwrap();
        }
        assert_eq!(acknowledged(&answer, b'2').last(), Some(&4));
        assert_eq!(kept.entries.lock().unwrap().drain(..).count(), 1);
    }
}

#[test]
fn what_is_no_frame_ends_the_connection() {
    for (bytes, words) in [
        (b"GET / HTTP/1.1".to_vec(), "version 'G'"),
        (b"2Q\0\0\0\0".to_vec(), "letter 'Q'"),
        (b"2C\xff\xff\xff\xff".to_vec(), "a packed frame of 4294967295 bytes"),
        (b"2D\0\0\0\x01\xff\xff\xff\xff".to_vec(), "4294967295 pairs"),
        (b"2D\0\0\0\x01\0\0\0\x01\xff\xff\xff\xff".to_vec(), "an event in pairs of more than"),
        (b"2C\0\0\0\x04abcd".to_vec(), "cannot unpack"),
        (packed(&packed(b"")), "holds a packed frame"),
        (packed(b"2W\0\0"), "holds half a frame"),
        (packed(b"2J\0\0\0\x01\0\0\0\x09{}"), "holds half a frame"),
    ] {
        let (all, _) = receiver();
        let failed = all.session("test").take(&bytes, &mut Vec::new()).unwrap_err().to_string();
        assert!(failed.contains(words), "{failed}");
    }
}

#[test]
fn begun_frames_of_all_connections_are_bounded() {
    let (all, _) = receiver();
    let frame = [b"2C", &u32::try_from(frame::PACKED_BYTES_MAX).unwrap().to_be_bytes()[..], &vec![0; frame::PACKED_BYTES_MAX - 1]].concat();
    let mut sessions: Vec<Session> = (0..=frame::HELD_BYTES_MAX / frame::PACKED_BYTES_MAX).map(|_| all.session("test")).collect();
    let outcomes: Vec<bool> = sessions.iter_mut().map(|session| session.take(&frame, &mut Vec::new()).is_ok()).collect();
    assert_eq!(outcomes.iter().filter(|ok| !**ok).count(), 2, "{outcomes:?}");
    drop(sessions);
    all.session("test").take(&frame, &mut Vec::new()).unwrap();
}

#[test]
fn bombs_are_found_out() {
    let (all, _) = receiver();
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    // Events that are too long, one after the other, of which nothing is kept.
    let event = json(1, &" ".repeat(8 << 20));
    (0..=frame::UNPACKED_BYTES_MAX / event.len()).for_each(|_| zlib.write_all(&event).unwrap());
    let body = zlib.finish().unwrap();
    let frame = [b"2C", &u32::try_from(body.len()).unwrap().to_be_bytes()[..], &body].concat();
    let failed = all.session("test").take(&frame, &mut Vec::new()).unwrap_err().to_string();
    assert!(failed.contains("after decompression"), "{failed}");
}

proptest! {
    #[test]
    fn any_bytes_are_taken_or_refused(pieces in proptest::collection::vec((0..4usize, proptest::collection::vec(any::<u8>(), 0..40)), 0..10)) {
        let (all, _) = receiver();
        let (mut session, mut answer) = (all.session("test"), Vec::new());
        for (kind, bytes) in pieces {
            let text = String::from_utf8_lossy(&bytes);
            let frame = match kind {
                0 => bytes,
                1 => json(1, &text),
                2 => pairs(2, &[("a", &text), (&text, "")]),
                _ => packed(&bytes),
            };
            if session.take(&frame, &mut answer).is_err() {
                break;
            }
        }
    }
}
