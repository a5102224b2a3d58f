//! What comes in by Pyroscope's ways is in the store as it was meant; what is broken is refused and counted.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::Mutex;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use watchfire_model::batch::Batch;
use watchfire_model::logs::{LogLine, StreamEntries};
use watchfire_model::profiles::{ProfileRow, Stacks, key};
use watchfire_model::time::{ManualClock, Timestamp};
use watchfire_model::write::{Reason, Sink, Written};

use super::*;
use crate::gate::Limits as GateLimits;
use crate::protobuf::Writer;

const NOW: i64 = 1_767_089_700;

#[derive(Default)]
struct Kept(Mutex<Vec<StreamEntries>>);
impl Sink for Kept {
    fn write(&self, batch: Batch) -> Result<Written, WriteError> {
        let mut written = Written::default();
        for stream in batch.profiles {
            written.profiles.stored += stream.entries.len() as u64;
            self.0.lock().unwrap().push(stream);
        }
        Ok(written)
    }
}

struct House {
    kept: Arc<Kept>,
    pyroscope: Pyroscope,
    meter: Meter,
}
fn house() -> House {
    let (kept, meter, clock) = (Arc::new(Kept::default()), Meter::new(), ManualClock::new(Timestamp(NOW * 1000)));
    let gate = Arc::new(Gate::new(kept.clone(), clock.clone(), &meter, GateLimits::default()));
    House { pyroscope: Pyroscope::new(gate, clock, &meter), kept, meter }
}
impl House {
    fn ingest(&self, ingest: &Ingest<'_>, body: &[u8]) -> Result<Received, PushError> {
        self.pyroscope.ingest(ingest, body, Origin::new("pyroscope/1.2.3.4"))
    }
    fn push(&self, body: &[u8], format: Format) -> Result<Received, PushError> {
        self.pyroscope.push(body, format, Origin::new("pyroscope/1.2.3.4"))
    }
    /// Each profile in one line: type, labels, time, and stacks with their values.
    fn kept(&self) -> Vec<String> {
        let mut told: Vec<String> = Vec::new();
        for stream in self.kept.0.lock().unwrap().iter() {
            for entry in &stream.entries {
                let row = ProfileRow::new(LogLine { labels: &stream.labels, time: entry.time, line: &entry.line, metadata: &entry.metadata });
                let labels: Vec<String> =
                    row.labels().iter().filter(|(name, _)| !name.starts_with("__")).map(|(name, value)| format!("{name}={value}")).collect();
                let kind = row.labels().get(key::PROFILE_TYPE).unwrap();
                told.push(format!("{kind} {} {} {:?}", labels.join(","), row.time().0 / 1_000_000_000, stacks(&row.stacks().unwrap())));
            }
        }
        told.sort();
        told
    }
    fn counter(&self, name: &str, label: &str) -> f64 {
        let families = self.meter.gather();
        let family = families.iter().find(|family| &*family.name == name).unwrap();
        family.points.iter().filter(|(labels, _)| label.is_empty() || labels.iter().any(|(_, value)| value == label)).map(|(_, value)| value).sum()
    }
}

fn stacks(stacks: &Stacks<'_>) -> BTreeMap<String, u64> {
    let path = |at: usize| {
        let mut names = Vec::new();
        let mut at = Some(at as u32);
        while let Some(node) = at.map(|at| stacks.nodes[at as usize]) {
            names.push(stacks.frames[node.frame as usize].name.to_string());
            at = node.parent;
        }
        names.reverse();
        names.join(";")
    };
    let mut all = BTreeMap::new();
    for (at, node) in stacks.nodes.iter().enumerate().filter(|(_, node)| node.own > 0) {
        *all.entry(path(at)).or_default() += node.own;
    }
    all
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A stack, root first, its values and its labels.
type Sampled<'a> = (&'a str, &'a [i64], &'a [(&'a str, &'a str)]);

/// A pprof file: types, then samples.
fn pprof(types: &[(&str, &str)], samples: &[Sampled<'_>]) -> Vec<u8> {
    let mut strings: Vec<String> = vec![String::new()];
    let number = |text: &str, strings: &mut Vec<String>| {
        strings.iter().position(|known| known == text).unwrap_or_else(|| {
            strings.push(text.to_owned());
            strings.len() - 1
        }) as u64
    };
    let mut out = Writer::new();
    for (kind, unit) in types {
        let (kind, unit) = (number(kind, &mut strings), number(unit, &mut strings));
        out.message(1, |out| (out.uint(1, kind), out.uint(2, unit)).0);
    }
    let mut functions: Vec<String> = Vec::new();
    for (stack, values, labels) in samples {
        let mut locations: Vec<u64> = stack
            .split(';')
            .map(|name| {
                functions.iter().position(|known| known == name).unwrap_or_else(|| {
                    functions.push(name.to_owned());
                    functions.len() - 1
                }) as u64
                    + 1
            })
            .collect();
        locations.reverse();
        let labels: Vec<(u64, u64)> = labels.iter().map(|(name, value)| (number(name, &mut strings), number(value, &mut strings))).collect();
        out.message(2, |out| {
            out.packed(1, locations.iter().copied());
            out.packed(2, values.iter().map(|value| value.cast_unsigned()));
            labels.iter().for_each(|(name, value)| out.message(3, |out| (out.uint(1, *name), out.uint(2, *value)).0));
        });
    }
    for (at, function) in functions.iter().enumerate() {
        let (id, name) = (at as u64 + 1, number(function, &mut strings));
        if function.starts_with("0x") {
            out.message(4, |out| (out.uint(1, id), out.uint(3, 255)).0);
            continue;
        }
        out.message(4, |out| {
            out.uint(1, id);
            out.message(4, |out| (out.uint(1, id), out.uint(2, 7)).0);
        });
        out.message(5, |out| (out.uint(1, id), out.uint(2, name)).0);
    }
    let (kind, unit) = (number("cpu", &mut strings), number("nanoseconds", &mut strings));
    strings.iter().for_each(|text| out.always_bytes(6, text.as_bytes()));
    out.uint(9, (NOW - 20).cast_unsigned() * 1_000_000_000);
    out.uint(10, 15_000_000_000);
    out.message(11, |out| (out.uint(1, kind), out.uint(2, unit)).0);
    out.uint(12, 10_000_000);
    out.into_bytes()
}

fn named<'a>(name: &'a str, format: &'a str) -> Ingest<'a> {
    Ingest { name, format, ..Ingest::default() }
}

#[test]
fn stk_06_folded_stacks_become_a_cpu_profile_of_the_service() {
    let house = house();
    let ingest = Ingest { from: Some(Nanos((NOW - 15) * 1_000_000_000)), until: Some(Nanos(NOW * 1_000_000_000)), ..named("backend{env=prod}", "folded") };
    let received = house.ingest(&ingest, b"main;detect;nms 3\nmain;detect 1\n\nmain;detect;nms 2\n").unwrap();
    assert_eq!(received.profiles.stored, 1);
    let expected =
        r#"process_cpu:cpu:nanoseconds:cpu:nanoseconds env=prod,service_name=backend 1767089685 {"main;detect": 10000000, "main;detect;nms": 50000000}"#;
    assert_eq!(house.kept(), [expected]);
    assert_eq!(house.counter("watchfire_pyroscope_samples_total", ""), 3.0);
    assert_eq!(house.counter("watchfire_ingest_profiles_stored_total", "pyroscope"), 1.0);
    // Lines count one each; twice as many samples a second stand for half as long. What is compressed is so by its own first bytes.
    house.kept.0.lock().unwrap().clear();
    let lines = Ingest { sample_rate: Some(200), ..named("ai-yolo26.wall", "lines") };
    house.ingest(&lines, &gzip(b"a;b\na;b\n")).unwrap();
    assert_eq!(house.kept(), [r#"wall:wall:nanoseconds:cpu:nanoseconds service_name=ai-yolo26 1767089700 {"a;b": 10000000}"#]);
}

#[test]
fn pprof_has_series_by_labels_and_profiles_by_types() {
    let house = house();
    let types = [("samples", "count"), ("cpu", "nanoseconds")];
    let file = pprof(
        &types,
        &[
            ("main;a", &[1, 10], &[]),
            ("main;a", &[2, 20], &[("thread", "t1"), ("span_id", "00f067aa0ba902b7")]),
            ("main;0xff", &[0, 5], &[]),
            ("main;b", &[-1, 0], &[]),
        ],
    );
    let received = house.ingest(&named("backend{env=prod}", "pprof"), &gzip(&file)).unwrap();
    assert_eq!(received.profiles.stored, 4);
    assert_eq!(
        house.kept(),
        [
            r#"process_cpu:cpu:nanoseconds:cpu:nanoseconds env=prod,service_name=backend 1767089680 {"main;0xff": 5, "main;a": 10}"#,
            r#"process_cpu:cpu:nanoseconds:cpu:nanoseconds env=prod,service_name=backend,thread=t1 1767089680 {"main;a": 20}"#,
            r#"process_cpu:samples:count:cpu:nanoseconds env=prod,service_name=backend 1767089680 {"main;a": 1}"#,
            r#"process_cpu:samples:count:cpu:nanoseconds env=prod,service_name=backend,thread=t1 1767089680 {"main;a": 2}"#,
        ]
    );
    assert_eq!(house.counter("watchfire_pyroscope_samples_dropped_total", "negative"), 1.0);
    let of_span = house.kept.0.lock().unwrap().iter().filter(|stream| stream.entries[0].line.contains("00f067aa0ba902b7")).count();
    assert_eq!(of_span, 2);
}

#[test]
fn forms_have_a_file_and_maybe_the_one_before() {
    let house = house();
    let types = [("alloc_space", "bytes"), ("inuse_space", "bytes")];
    let (new, before) =
        (pprof(&types, &[("main;a", &[30, 7], &[]), ("main;b", &[9, 1], &[])]), pprof(&types, &[("main;a", &[10, 3], &[]), ("main;b", &[9, 1], &[])]));
    let mut body = Vec::new();
    let config = br#"{"alloc_space":{"units":"bytes","cumulative":true},"inuse_space":{"units":"bytes","aggregation":"avg"}}"#;
    for (name, bytes) in [("profile", gzip(&new)), ("prev_profile", before), ("sample_type_config", config.to_vec())] {
        body.extend_from_slice(format!("--X\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"f\"\r\n\r\n").as_bytes());
        body.extend_from_slice(&bytes);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--X--\r\n");
    let ingest = Ingest { content_type: "multipart/form-data; boundary=X", ..named("ai-florence", "") };
    house.ingest(&ingest, &body).unwrap();
    assert_eq!(
        house.kept(),
        [
            r#"memory:alloc_space:bytes:cpu:nanoseconds service_name=ai-florence 1767089680 {"main;a": 20}"#,
            r#"memory:inuse_space:bytes:cpu:nanoseconds service_name=ai-florence 1767089680 {"main;a": 7, "main;b": 1}"#,
        ]
    );
    let nameless = house.ingest(&ingest, b"--X\r\n\r\n--X--");
    assert_eq!(nameless.unwrap_err().to_string(), "cannot read the profile: the form has no part \"profile\"");
}

/// A request of the push service with one series.
fn push_request(labels: &[(&str, &str)], profile: &[u8]) -> Vec<u8> {
    let mut out = Writer::new();
    out.message(1, |out| {
        for (name, value) in labels {
            out.message(1, |out| (out.text(1, name), out.text(2, value)).0);
        }
        out.message(2, |out| (out.always_bytes(1, profile), out.text(2, "0192-id")).0);
    });
    out.into_bytes()
}

#[test]
fn the_push_service_takes_protobuf_and_json() {
    let file = gzip(&pprof(&[("cpu", "nanoseconds")], &[("main;a", &[10], &[])]));
    let labels = [("__name__", "process_cpu"), ("service_name", "ai-enrichment"), ("__session_id__", "1")];
    let json = serde_json::json!({"series": [{
        "labels": labels.map(|(name, value)| serde_json::json!({"name": name, "value": value})),
        "samples": [{"rawProfile": STANDARD.encode(&file), "ID": "0192-id"}],
    }]});
    for (body, format) in [(push_request(&labels, &file), Format::Protobuf), (json.to_string().into_bytes(), Format::Json)] {
        let house = house();
        assert_eq!(house.push(&body, format).unwrap().profiles.stored, 1);
        assert_eq!(house.kept(), [r#"process_cpu:cpu:nanoseconds:cpu:nanoseconds service_name=ai-enrichment 1767089680 {"main;a": 10}"#]);
        assert_eq!(house.kept.0.lock().unwrap()[0].entries[0].metadata.get(key::ID), Some("0192-id"));
    }
    let house = house();
    house.push(&push_request(&[], &file), Format::Protobuf).unwrap();
    assert_eq!(house.kept(), [r#"process_cpu:cpu:nanoseconds:cpu:nanoseconds service_name=unknown_service 1767089680 {"main;a": 10}"#]);
}

#[test]
fn what_is_broken_is_refused_in_words() {
    let house = house();
    for (ingest, body, expected) in [
        (named("", "folded"), &b"a 1"[..], "cannot read the profile: the parameter name is needed: app, or app{label=value}"),
        (named("a", "folded"), b"a 1\nb", "cannot read the profile: line 2 has no count behind its stack: \"b\""),
        (named("a", "jfr"), b"FLR", "cannot take profiles as jfr: folded, lines and pprof are taken"),
        (
            Ingest { content_type: "binary/octet-stream+trie", ..named("a", "") },
            b"x",
            "cannot take profiles as binary/octet-stream+trie: folded, lines and pprof are taken",
        ),
        (named("a", "pprof"), b"\x1f\x8bxx", "cannot decompress a gzip body: "),
        (named("a", "pprof"), b"a 1", "cannot read the profile: field 12 has wire type 1, which is not used here"),
        (named("a", "pprof"), b"\x4a\x00", "cannot read the profile: it is no pprof file: it names no type of values"),
    ] {
        let error = house.ingest(&ingest, body).unwrap_err().to_string();
        assert!(error.starts_with(expected) || body == b"a 1", "{error}");
    }
    assert!(house.kept().is_empty());
    assert_eq!(house.counter("watchfire_pyroscope_malformed_total", ""), 7.0);
    let future = Ingest { from: Some(Nanos((NOW + 3600) * 1_000_000_000)), ..named("a", "folded") };
    let refused = house.ingest(&future, b"a 1").unwrap();
    assert_eq!(refused.profiles.rejected, [(Reason::TooFarFuture, 1)]);
    assert_eq!(house.counter("watchfire_ingest_profiles_rejected_total", "too_far_future"), 1.0);
}

#[test]
fn work_and_memory_are_bounded() {
    let house = house();
    // One place with many inlined calls, which many samples name many times.
    let mut out = Writer::new();
    out.message(1, |out| (out.uint(1, 1), out.uint(2, 1)).0);
    for _ in 0..100_000 {
        out.message(2, |out| {
            out.packed(1, std::iter::repeat_n(1, 100));
            out.packed(2, std::iter::repeat_n(1, 1));
        });
    }
    out.message(4, |out| {
        out.uint(1, 1);
        (0..4_000).for_each(|_| out.message(4, |out| out.uint(1, 1)));
    });
    out.message(5, |out| (out.uint(1, 1), out.uint(2, 1)).0);
    ["", "f"].iter().for_each(|text| out.always_bytes(6, text.as_bytes()));
    let error = house.ingest(&named("a", "pprof"), out.bytes()).unwrap_err();
    assert!(matches!(error, PushError::Malformed(DecodeError::TooMany(_))), "{error}");
    // A file that says no more than that there are very many texts.
    let texts = [&[0x0a, 0][..], &[0x32, 0].repeat(600_000)].concat();
    assert!(matches!(house.ingest(&named("a", "pprof"), &texts).unwrap_err(), PushError::Malformed(DecodeError::TooMany("524288 texts"))));
    let deep = vec!["f"; 10_000].join(";") + " 1";
    house.ingest(&named("a", "folded"), deep.as_bytes()).unwrap();
    assert_eq!(house.kept.0.lock().unwrap().last().map(|stream| stream.entries[0].line.matches("\n\n").count()), Some(3));
}

proptest! {
    #[test]
    fn any_bytes_are_taken_or_refused(body in prop::collection::vec(any::<u8>(), 0..200), format in prop::sample::select(vec!["pprof", "folded", "lines", ""])) {
        let house = house();
        drop(house.ingest(&named("a{b=c}", format), &body));
        drop(house.push(&body, Format::Protobuf));
        drop(house.push(&body, Format::Json));
    }

    #[test]
    fn a_file_with_a_changed_byte_is_taken_or_refused(at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>()) {
        let mut file = pprof(&[("cpu", "nanoseconds"), ("samples", "count")], &[("main;a;b", &[10, 1], &[("t", "1")]), ("main;0xff", &[3, 1], &[("span_id", "a")])]);
        let at = at.index(file.len());
        file[at] = byte;
        let house = house();
        drop(house.ingest(&named("a", "pprof"), &file));
        drop(house.ingest(&named("a", "pprof"), &file[..cut.index(file.len())]));
        drop(house.push(&push_request(&[("__name__", "x")], &file), Format::Protobuf));
    }
}
