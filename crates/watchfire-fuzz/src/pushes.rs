//! Pushes of logs: whatever is sent is refused, or every entry is counted once.

use std::sync::Arc;

use watchfire_ingest::elasticsearch::Elasticsearch;
use watchfire_ingest::gate::{Gate, Limits};
use watchfire_ingest::gelf::Gelf;
use watchfire_ingest::jsonline::{Jsonline, Parameters};
use watchfire_ingest::loki::{self, Loki};
use watchfire_ingest::lumberjack::Lumberjack;
use watchfire_ingest::otlp::{self, Otlp};
use watchfire_model::batch::Origin;
use watchfire_model::meter::Meter;
use watchfire_model::time::{ManualClock, Timestamp};
use watchfire_testkit::memory::Memory;

use crate::kept::{self, Kept};

thread_local! {
    static OTLP: Kept<Otlp> = Kept::default();
    static LOKI: Kept<Loki> = Kept::default();
    static ELASTICSEARCH: Kept<Elasticsearch> = Kept::default();
    static JSONLINE: Kept<Jsonline> = Kept::default();
}

fn gate() -> (Arc<Gate>, Arc<ManualClock>, Meter) {
    let (clock, meter) = (ManualClock::new(Timestamp(1_700_000_000_000)), Meter::new());
    (Arc::new(Gate::new(Arc::new(Memory::new()), clock.clone(), &meter, Limits::default())), clock, meter)
}

fn otlp_receiver() -> Otlp {
    let (gate, clock, meter) = gate();
    Otlp::new(gate, clock, &meter, otlp::Settings::default())
}
fn otlp(format: otlp::Format, bytes: &[u8]) {
    kept::with(&OTLP, otlp_receiver, |receiver| {
        if let Ok(received) = receiver.logs(bytes, format, Origin::new("fuzz")) {
            drop(received.answer(format));
        }
    });
}
pub(crate) fn otlp_protobuf(bytes: &[u8]) {
    otlp(otlp::Format::Protobuf, bytes);
}
pub(crate) fn otlp_json(bytes: &[u8]) {
    otlp(otlp::Format::Json, bytes);
}

fn loki_receiver() -> Loki {
    let (gate, _, meter) = gate();
    Loki::new(gate, &meter)
}
fn loki(format: loki::Format, bytes: &[u8]) {
    kept::with(&LOKI, loki_receiver, |receiver| drop(receiver.push(format, bytes, Origin::new("fuzz"))));
}
pub(crate) fn loki_protobuf(bytes: &[u8]) {
    loki(loki::Format::Protobuf, bytes);
}
pub(crate) fn loki_json(bytes: &[u8]) {
    loki(loki::Format::Json, bytes);
}

fn elasticsearch_receiver() -> Elasticsearch {
    let (gate, clock, meter) = gate();
    Elasticsearch::new(gate, clock, &meter)
}
pub(crate) fn elasticsearch_bulk(bytes: &[u8]) {
    kept::with(&ELASTICSEARCH, elasticsearch_receiver, |receiver| {
        if let Ok(mut items) = receiver.read(bytes, Some("fuzz")) {
            let count = items.len();
            if receiver.store(&mut items, Origin::new("fuzz")).is_ok() {
                assert_eq!(items.len(), count, "every item has its result");
            }
        }
    });
}

fn jsonline_receiver() -> Jsonline {
    let (gate, clock, meter) = gate();
    Jsonline::new(gate, clock, &meter)
}
pub(crate) fn jsonline(bytes: &[u8]) {
    let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()).count() as u64;
    kept::with(&JSONLINE, jsonline_receiver, |receiver| {
        if let Ok(written) = receiver.take(bytes, &Parameters::default(), Origin::new("lines/fuzz")) {
            assert!(written.logs.rejected_total() <= lines, "no line is refused twice");
        }
    });
}

/// The first byte says in pieces of which size the rest comes.
pub(crate) fn lumberjack(bytes: &[u8]) {
    let Some((size, rest)) = bytes.split_first() else { return };
    let (gate, clock, meter) = gate();
    let mut session = Arc::new(Lumberjack::new(gate, clock, &meter)).session("fuzz");
    let mut answer = Vec::new();
    for piece in rest.chunks(usize::from(*size).max(1)) {
        if session.take(piece, &mut answer).is_err() {
            break;
        }
    }
    assert!(answer.len().is_multiple_of(6), "acknowledgements are whole");
}

/// Datagrams behind their lengths in two bytes.
pub(crate) fn gelf(mut bytes: &[u8]) {
    let (gate, clock, meter) = gate();
    let gelf = Gelf::new(gate, clock, &meter);
    gelf.take(bytes);
    while let Some((length, rest)) = bytes.split_first_chunk::<2>() {
        let (datagram, behind) = rest.split_at(usize::from(u16::from_be_bytes(*length)).min(rest.len()));
        gelf.take_datagram(datagram, std::net::Ipv4Addr::LOCALHOST.into());
        bytes = behind;
    }
    gelf.flush().expect("the test store takes everything");
}
