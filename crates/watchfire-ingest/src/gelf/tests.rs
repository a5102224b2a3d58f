//! Tests of GELF: messages in their forms, chunks in any order, limits, storing.

use std::io::Write;

use proptest::prelude::*;
use watchfire_model::batch::Batch;
use watchfire_model::time::{ManualClock, Timestamp};
use watchfire_model::write::{LogsWritten, Sink, Written};

use super::*;
use crate::gate::{Limits as GateLimits, LogLimits};

const NOW: i64 = 1_767_089_700_000_000_000;
const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

#[derive(Default)]
struct Kept(Mutex<Vec<String>>);
impl Sink for Kept {
    fn write(&self, batch: Batch) -> Result<Written, WriteError> {
        let entries = batch.logs.iter().flat_map(|s| s.entries.iter().map(|e| format!("{} {} {} {}", s.labels, e.time.0 - NOW, e.line, e.metadata)));
        let mut all = self.0.lock().unwrap();
        let before = all.len();
        all.extend(entries);
        Ok(Written { logs: LogsWritten { stored: (all.len() - before) as u64, ..LogsWritten::default() }, ..Written::default() })
    }
}

struct Bench {
    gelf: Gelf,
    kept: Arc<Kept>,
    clock: Arc<ManualClock>,
    meter: Meter,
}
impl Bench {
    fn new() -> Bench {
        let (clock, meter, kept) = (ManualClock::new(Timestamp(NOW / 1_000_000)), Meter::new(), Arc::new(Kept::default()));
        let limits = GateLimits { logs: LogLimits { detect_levels: false, ..LogLimits::default() }, ..GateLimits::default() };
        let gate = Arc::new(Gate::new(kept.clone(), clock.clone(), &meter, limits));
        Bench { gelf: Gelf::new(gate, clock.clone(), &meter), kept, clock, meter }
    }
    fn stored(&self) -> Vec<String> {
        self.gelf.flush().unwrap();
        std::mem::take(&mut *self.kept.0.lock().unwrap())
    }
    fn dropped(&self) -> Vec<(String, u64)> {
        let families = self.meter.gather();
        let family = families.iter().find(|f| &*f.name == "watchfire_gelf_messages_dropped_total").unwrap();
        family.points.iter().filter(|(_, count)| *count > 0.0).map(|(labels, count)| (labels.get("reason").unwrap().to_owned(), *count as u64)).collect()
    }
}

fn chunk(id: u8, number: u8, count: u8, part: &[u8]) -> Vec<u8> {
    [&[0x1e, 0x0f][..], &[id; 8], &[number, count], part].concat()
}

#[test]
fn messages_become_entries() {
    let bench = Bench::new();
    for (message, expected) in [
        (
            r#"{"version":"1.1","host":"h","short_message":"short","full_message":"full\ntext","timestamp":1767089700.000123,"level":3,"_user_id":9001,"_some.info":"foo","_container_name":"web"}"#,
            r#"{container="web", host="h", job="gelf", level="error"} 123000 full
text {short_message="short", some_info="foo", user_id="9001"}"#,
        ),
        (r#" {"short_message":"x","timestamp":"1767089700.5","level":"6","facility":"f"} "#, r#"{job="gelf", level="info"} 500000000 x {facility="f"}"#),
        (r#"{"message":"x","timestamp":0,"level":99,"_a":{"b":[1]},"_n":null}"#, r#"{job="gelf"} 0 x {a="{\"b\":[1]}"}"#),
        (r#"{"short_message":"x","timestamp":1.7670897e9}"#, r#"{job="gelf"} 0 x {}"#),
    ] {
        bench.gelf.take(message.as_bytes());
        assert_eq!(bench.stored(), [expected], "{message}");
    }
    for message in ["{}", "[]", "x", r#"{"short_message":""}"#, r#"{"short_message":7}"#, "\u{fffd}"] {
        bench.gelf.take(message.as_bytes());
    }
    bench.gelf.take(b"");
    assert_eq!(bench.dropped(), [("malformed".to_owned(), 6)]);
}

#[test]
fn datagrams_may_be_packed_and_in_chunks() {
    let bench = Bench::new();
    let message = br#"{"short_message":"hello there"}"#;
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(message).unwrap();
    let gzip = gzip.finish().unwrap();
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    zlib.write_all(message).unwrap();
    let zlib = zlib.finish().unwrap();
    for packed in [&message[..], &gzip, &zlib] {
        bench.gelf.take_datagram(packed, PEER);
        let parts: Vec<&[u8]> = packed.chunks(packed.len().div_ceil(3)).collect();
        // In any order; one comes twice.
        for number in [2, 0, 0, 1] {
            bench.gelf.take_datagram(&chunk(7, number, 3, parts[usize::from(number)]), PEER);
        }
        assert_eq!(bench.stored(), [r#"{job="gelf"} 0 hello there {}"#; 2]);
    }
    assert!(bench.dropped().is_empty());
}

#[test]
fn chunks_that_make_no_message_are_counted() {
    let bench = Bench::new();
    for wrong in [chunk(1, 0, 0, b"x"), chunk(1, 3, 3, b"x"), chunk(1, 0, 129, b"x"), vec![0x1e, 0x0f, 1]] {
        bench.gelf.take_datagram(&wrong, PEER);
    }
    assert_eq!(bench.dropped(), [("chunk".to_owned(), 4)]);
    bench.gelf.take_datagram(&chunk(1, 0, 2, b"{"), PEER);
    bench.gelf.take_datagram(&chunk(1, 0, 2, b"other"), PEER);
    bench.gelf.take_datagram(&chunk(1, 1, 3, b"other"), PEER);
    // Somebody else's message of the same name is another one.
    bench.gelf.take_datagram(&chunk(1, 1, 2, b"}"), IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1)));
    bench.clock.advance(Duration::from_secs(6));
    bench.gelf.flush().unwrap();
    assert_eq!(bench.dropped(), [("chunk".to_owned(), 6), ("incomplete".to_owned(), 2)]);
    // Bombs do not go off.
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    zlib.write_all(&vec![b' '; MESSAGE_BYTES_MAX + 1]).unwrap();
    bench.gelf.take_datagram(&zlib.finish().unwrap(), PEER);
    assert!(bench.dropped().contains(&("unpacked".to_owned(), 1)));
}

#[test]
fn what_waits_for_chunks_is_bounded() {
    let bench = Bench::new();
    for i in 0..chunks::MESSAGES_MAX + 10 {
        let mut one = chunk(0, 0, 2, b"x");
        one[2..6].copy_from_slice(&u32::try_from(i).unwrap().to_be_bytes());
        bench.gelf.take_datagram(&one, PEER);
    }
    assert_eq!(bench.dropped(), [("too_many_chunks".to_owned(), 10)]);
    let bench = Bench::new();
    let part = vec![0u8; 60_000];
    for i in 0..200u8 {
        bench.gelf.take_datagram(&chunk(i, 0, 2, &part), PEER);
    }
    let fits = u64::try_from(chunks::BYTES_MAX / 60_200).unwrap();
    let dropped = bench.dropped();
    assert!(dropped[0].0 == "too_many_chunks" && (200 - fits..=200 - fits + 2).contains(&dropped[0].1), "{dropped:?}");
    // The room comes back with time.
    bench.clock.advance(Duration::from_secs(6));
    bench.gelf.take_datagram(&chunk(1, 0, 2, br#"{"short_message":"#), PEER);
    bench.gelf.take_datagram(&chunk(1, 1, 2, br#""x"}"#), PEER);
    assert_eq!(bench.stored().len(), 1);
}

proptest! {
    #[test]
    fn any_datagrams_are_read_or_counted(datagrams in proptest::collection::vec((any::<bool>(), proptest::collection::vec(any::<u8>(), 0..60)), 0..20)) {
        let bench = Bench::new();
        for (is_chunk, bytes) in datagrams {
            bench.gelf.take_datagram(&if is_chunk { [&[0x1e, 0x0f][..], &[1; 8], &bytes].concat() } else { bytes.clone() }, PEER);
            bench.gelf.take(&bytes);
        }
        bench.stored();
    }
}
