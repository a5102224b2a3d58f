//! Pushes of logs: whatever is sent is refused, or every entry is counted once.

use std::sync::Arc;

use watchfire_ingest::elasticsearch::Elasticsearch;
use watchfire_ingest::gate::{Gate, Limits};
use watchfire_ingest::loki::{self, Loki};
use watchfire_ingest::otlp::{self, Otlp};
use watchfire_model::batch::Origin;
use watchfire_model::meter::Meter;
use watchfire_model::time::{ManualClock, Timestamp};
use watchfire_testkit::memory::Memory;

fn gate() -> (Arc<Gate>, Arc<ManualClock>, Meter) {
    let (clock, meter) = (ManualClock::new(Timestamp(1_700_000_000_000)), Meter::new());
    (Arc::new(Gate::new(Arc::new(Memory::new()), clock.clone(), &meter, Limits::default())), clock, meter)
}

fn otlp(format: otlp::Format, bytes: &[u8]) {
    let (gate, clock, meter) = gate();
    if let Ok(received) = Otlp::new(gate, clock, &meter, otlp::Settings::default()).logs(bytes, format, Origin::new("fuzz")) {
        drop(received.answer(format));
    }
}
pub(crate) fn otlp_protobuf(bytes: &[u8]) {
    otlp(otlp::Format::Protobuf, bytes);
}
pub(crate) fn otlp_json(bytes: &[u8]) {
    otlp(otlp::Format::Json, bytes);
}

fn loki(format: loki::Format, bytes: &[u8]) {
    let (gate, _, meter) = gate();
    drop(Loki::new(gate, &meter).push(format, bytes, Origin::new("fuzz")));
}
pub(crate) fn loki_protobuf(bytes: &[u8]) {
    loki(loki::Format::Protobuf, bytes);
}
pub(crate) fn loki_json(bytes: &[u8]) {
    loki(loki::Format::Json, bytes);
}

pub(crate) fn elasticsearch_bulk(bytes: &[u8]) {
    let (gate, clock, meter) = gate();
    let receiver = Elasticsearch::new(gate, clock, &meter);
    if let Ok(mut items) = receiver.read(bytes, Some("fuzz")) {
        let count = items.len();
        if receiver.store(&mut items, Origin::new("fuzz")).is_ok() {
            assert_eq!(items.len(), count, "every item has its result");
        }
    }
}
