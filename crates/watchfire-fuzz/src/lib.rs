//! What is fuzzed: a function per reader of foreign bytes, which must neither panic nor hang nor ask for absurd memory. The
//! wrappers in `fuzz/` run them under libFuzzer (`make fuzz`); the tests here run the committed corpora and changes of them.
//! Not for the product. To add one: a function and a line in [`TARGETS`], a wrapper in `fuzz/fuzz_targets/`, some inputs.

mod cameras;
mod configuration;
mod kept;
mod logs;
mod profiles;
mod promql;
mod pushes;
mod traces;

use std::sync::Arc;

use watchfire_ingest::exposition::{Entry, Format, Parser};
use watchfire_ingest::gate::{Gate, Limits};
use watchfire_ingest::otlp::{self, Otlp};
use watchfire_ingest::remote_write::{Decoder, Options, Version};
use watchfire_ingest::{prometheus_proto, remote_read, tsdb};
use watchfire_model::batch::Origin;
use watchfire_model::meter::Meter;
use watchfire_model::time::{ManualClock, Timestamp};
use watchfire_store::fuzzing as store;
use watchfire_testkit::memory::Memory;

/// A target: takes any bytes.
pub type Target = fn(&[u8]);

/// All targets by name.
pub const TARGETS: [(&str, Target); 41] = [
    ("promql", promql::promql),
    ("logql", logs::logql),
    ("lucene", logs::lucene),
    ("traceql", traces::traceql),
    ("pprof", profiles::pprof),
    ("folded", profiles::folded),
    ("profile_push", profiles::push),
    ("stacks", profiles::stacks),
    ("alloy", configuration::alloy),
    ("jsonpath", configuration::jsonpath),
    ("dns_message", configuration::dns_message),
    ("redis_info", configuration::redis_info),
    ("rtsp", cameras::rtsp),
    ("sdp", cameras::sdp),
    ("hls_playlist", cameras::hls_playlist),
    ("stream_pages", cameras::stream_pages),
    ("mjpeg", cameras::mjpeg),
    ("onvif", cameras::onvif),
    ("exposition_text", exposition_text),
    ("openmetrics", openmetrics),
    ("exposition_proto", exposition_proto),
    ("remote_write_v1", remote_write_v1),
    ("remote_write_v2", remote_write_v2),
    ("remote_read", remote_read),
    ("otlp_protobuf", otlp_protobuf),
    ("otlp_json", otlp_json),
    ("otlp_logs_protobuf", pushes::otlp_protobuf),
    ("otlp_logs_json", pushes::otlp_json),
    ("loki_protobuf", pushes::loki_protobuf),
    ("loki_json", pushes::loki_json),
    ("elasticsearch_bulk", pushes::elasticsearch_bulk),
    ("jsonline", pushes::jsonline),
    ("lumberjack", pushes::lumberjack),
    ("gelf", pushes::gelf),
    ("tsdb_chunk", tsdb_chunk),
    ("log_record", log_record),
    ("head_chunk", head_chunk),
    ("segment_block", segment_block),
    ("segment_index", segment_index),
    ("logs_block", logs_block),
    ("logs_index", logs_index),
];

/// The target of a name.
pub fn target(name: &str) -> Option<Target> {
    TARGETS.iter().find(|(known, _)| *known == name).map(|(_, target)| *target)
}

fn text(format: Format, bytes: &[u8]) {
    let Ok(parser) = Parser::from_bytes(format, bytes) else { return };
    for entry in parser {
        if let Ok(Entry::Sample(sample)) = entry {
            drop(sample.labels());
        }
    }
}
fn exposition_text(bytes: &[u8]) {
    text(Format::PrometheusText, bytes);
}
fn openmetrics(bytes: &[u8]) {
    text(Format::OpenMetrics, bytes);
}

/// The first byte chooses what is wanted of histograms.
fn exposition_proto(bytes: &[u8]) {
    let Some((how, body)) = bytes.split_first() else { return };
    let options = prometheus_proto::Options { native: how & 1 != 0, classic_too: how & 2 != 0, custom: how & 4 != 0 };
    drop(prometheus_proto::read::<()>(body, options, |_| Ok(())));
}

fn remote_write(version: Version, bytes: &[u8]) {
    let decoder = Decoder::new(Options { type_and_unit_labels: true, created_timestamps: true });
    if let Ok(decoded) = decoder.decode(version, bytes, Origin::new("fuzz")) {
        // What came through is sound enough to be judged.
        for sample in decoded.batch.histograms.iter().flat_map(|s| &s.samples) {
            drop(sample.value.check());
        }
    }
}
fn remote_write_v1(bytes: &[u8]) {
    remote_write(Version::V1, bytes);
}
fn remote_write_v2(bytes: &[u8]) {
    remote_write(Version::V2, bytes);
}

fn remote_read(bytes: &[u8]) {
    drop(remote_read::decode(bytes));
}

thread_local! {
    static OTLP: kept::Kept<Otlp> = kept::Kept::default();
}

fn otlp_receiver() -> Otlp {
    let clock = ManualClock::new(Timestamp(1_700_000_000_000));
    let meter = Meter::new();
    let gate = Gate::new(Arc::new(Memory::new()), clock.clone(), &meter, Limits::default());
    Otlp::new(Arc::new(gate), clock, &meter, otlp::Settings::default())
}

fn otlp(format: otlp::Format, bytes: &[u8]) {
    kept::with(&OTLP, otlp_receiver, |receiver| {
        if let Ok(received) = receiver.metrics(bytes, format, Origin::new("fuzz")) {
            drop(received.answer(format));
        }
    });
}
fn otlp_protobuf(bytes: &[u8]) {
    otlp(otlp::Format::Protobuf, bytes);
}
fn otlp_json(bytes: &[u8]) {
    otlp(otlp::Format::Json, bytes);
}

/// A chunk of Prometheus' own; the first byte is its encoding.
fn tsdb_chunk(bytes: &[u8]) {
    let Some((encoding, data)) = bytes.split_first() else { return };
    drop(tsdb::decode(*encoding, data, &mut tsdb::ChunkSamples::default()));
}

/// The first byte is the signal.
fn log_record(bytes: &[u8]) {
    store::log_headers(bytes);
    store::small_files(bytes);
    if let Some((signal, payload)) = bytes.split_first() {
        store::log_record(*signal, payload);
    }
}

/// The first two bytes are the count of samples.
fn head_chunk(bytes: &[u8]) {
    if let [low, high, data @ ..] = bytes {
        let count = u16::from_le_bytes([*low, *high]);
        store::head_chunk(data, count);
        store::head_histograms(data, count);
    }
}

/// The first two bytes are the offset and the number of the chunks.
fn segment_block(bytes: &[u8]) {
    if let [offset, chunks, raw @ ..] = bytes {
        store::block(raw, usize::from(*offset), u32::from(*chunks));
    }
}

/// The first two bytes say where the index of labels ends and that of runs begins.
fn segment_index(bytes: &[u8]) {
    if let [low, high, raw @ ..] = bytes {
        let (labels, runs) = raw.split_at(usize::from(u16::from_le_bytes([*low, *high])).min(raw.len()));
        store::indexes(labels.to_vec(), runs.to_vec());
    }
}

/// Two bytes: the number of entries; two bytes: the length of the head.
fn logs_block(bytes: &[u8]) {
    if let [rows_low, rows_high, low, high, raw @ ..] = bytes {
        let (head, columns) = raw.split_at(usize::from(u16::from_le_bytes([*low, *high])).min(raw.len()));
        store::logs_block(u32::from(u16::from_le_bytes([*rows_low, *rows_high])), head, columns);
    }
}

/// The first two bytes are the length of the footer.
fn logs_index(bytes: &[u8]) {
    if let [low, high, raw @ ..] = bytes {
        let (footer, blocks) = raw.split_at(usize::from(u16::from_le_bytes([*low, *high])).min(raw.len()));
        store::logs_index(footer, blocks);
    }
}
