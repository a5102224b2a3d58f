//! What is fuzzed of profiles: pprof files, folded stacks and forms, messages of the push service, and stacks as they are kept.

use std::sync::Arc;

use watchfire_ingest::gate::{Gate, Limits};
use watchfire_ingest::pyroscope::{Format, Ingest, Pyroscope};
use watchfire_model::batch::Origin;
use watchfire_model::meter::Meter;
use watchfire_model::profiles::Stacks;
use watchfire_model::time::{ManualClock, Timestamp};
use watchfire_testkit::memory::Memory;

use crate::kept::{self, Kept};

thread_local! {
    static RECEIVER: Kept<Pyroscope> = Kept::default();
}

fn receiver() -> Pyroscope {
    let clock = ManualClock::new(Timestamp(1_767_089_700_000));
    let meter = Meter::new();
    let gate = Gate::new(Arc::new(Memory::new()), clock.clone(), &meter, Limits::default());
    Pyroscope::new(Arc::new(gate), clock, &meter)
}

fn ingest(ingest: &Ingest<'_>, bytes: &[u8]) {
    kept::with(&RECEIVER, receiver, |receiver| drop(receiver.ingest(ingest, bytes, Origin::new("fuzz"))));
}

/// A file, and a form with files.
pub(super) fn pprof(bytes: &[u8]) {
    ingest(&Ingest { name: "a{b=c}", format: "pprof", ..Ingest::default() }, bytes);
    ingest(&Ingest { name: "a", content_type: "multipart/form-data; boundary=X", ..Ingest::default() }, bytes);
}

/// The first line is the name.
pub(super) fn folded(bytes: &[u8]) {
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let (name, body) = bytes.split_at(end);
    if let Ok(name) = std::str::from_utf8(name) {
        for format in ["folded", "lines"] {
            ingest(&Ingest { name, format, ..Ingest::default() }, body);
        }
    }
}

/// In both forms.
pub(super) fn push(bytes: &[u8]) {
    for format in [Format::Protobuf, Format::Json] {
        kept::with(&RECEIVER, receiver, |receiver| drop(receiver.push(bytes, format, Origin::new("fuzz"))));
    }
}

/// Stacks as they are kept.
pub(super) fn stacks(bytes: &[u8]) {
    if let Ok(line) = std::str::from_utf8(bytes)
        && let Some(stacks) = Stacks::read(line)
    {
        // Whoever is called stands behind the caller, and everything that is named is there.
        for (at, node) in stacks.nodes.iter().enumerate() {
            assert!(node.parent.is_none_or(|parent| (parent as usize) < at) && (node.frame as usize) < stacks.frames.len());
        }
        assert!(stacks.spans.iter().flat_map(|(_, values)| values).all(|(node, _)| (*node as usize) < stacks.nodes.len()));
        drop(stacks.of_spans(|_| true));
    }
}
