//! Our own gauges about storage, computed when somebody reads the meter. Counters are kept where the events happen.

use std::sync::{Arc, Weak};

use watchfire_model::batch::MetricType;
use watchfire_model::meter::Family;

use crate::engine::Engine;
use crate::state::RedbState;

/// Adds the gauges to the engine's meter. They vanish with the engine.
pub(crate) fn register(engine: &Arc<Engine>, state: &Arc<RedbState>) {
    let (weak_engine, weak_state) = (Arc::downgrade(engine), Arc::downgrade(state));
    engine.options.meter.on_gather(move |out| {
        if let (Some(engine), Some(state)) = (Weak::upgrade(&weak_engine), Weak::upgrade(&weak_state)) {
            gather(&engine, &state, out);
        }
    });
}

fn gather(engine: &Engine, state: &RedbState, out: &mut Vec<Family>) {
    let stats = engine.stats();
    let mut gauge = |name: &str, help: &str, value: f64| out.push(Family::new(name, MetricType::Gauge, help).with(&[], value));
    gauge("watchfire_storage_head_series", "Series in memory.", stats.series as f64);
    gauge("watchfire_storage_head_samples", "Samples in memory.", stats.head_samples as f64);
    gauge("watchfire_storage_head_bytes", "Bytes that samples occupy in memory.", stats.head_bytes as f64);
    gauge("watchfire_storage_segments", "Segments on disk.", stats.segments as f64);
    gauge("watchfire_storage_segment_samples", "Samples in segments.", stats.segment_samples as f64);
    gauge("watchfire_storage_tombstones", "Deletions that no merge has carried out in the files yet.", stats.tombstones as f64);
    gauge("watchfire_storage_exemplars", "Exemplars in memory.", stats.exemplars as f64);
    gauge("watchfire_storage_exemplar_bytes", "Bytes of memory that exemplars occupy.", stats.exemplar_bytes as f64);
    gauge("watchfire_storage_free_bytes", "Room on the file system.", stats.free_bytes as f64);
    gauge("watchfire_storage_quarantined_files", "Damaged files in quarantine.", stats.quarantined as f64);
    gauge("watchfire_storage_writable", "Whether writes are accepted.", f64::from(u8::from(stats.refusing.is_none())));
    gauge("watchfire_storage_replay_seconds", "How long reading the write-ahead log back took at the last start.", stats.replay.duration_ms as f64 / 1000.0);
    gauge("watchfire_storage_clean_start", "Whether the run before this one ended in good order.", f64::from(u8::from(stats.replay.clean)));
    gauge("watchfire_storage_log_streams", "Streams of logs that are written to.", stats.logs.streams as f64);
    gauge("watchfire_storage_log_head_entries", "Log entries in memory.", stats.logs.head_entries as f64);
    gauge("watchfire_storage_log_head_bytes", "Bytes that log entries occupy in memory.", stats.logs.head_bytes as f64);
    gauge("watchfire_storage_log_segments", "Segments of logs on disk.", stats.logs.segments as f64);
    gauge("watchfire_storage_log_segment_entries", "Log entries in segments.", stats.logs.segment_entries as f64);
    gauge("watchfire_storage_log_segment_raw_bytes", "Bytes of lines and structured metadata in segments, as they came.", stats.logs.segment_raw_bytes as f64);
    gauge("watchfire_storage_log_moved_labels", "Names of labels that became structured metadata.", stats.logs.moved_names as f64);
    gauge("watchfire_storage_span_streams", "Streams of spans that are written to: resource, scope, name and kind.", stats.spans.streams as f64);
    gauge("watchfire_storage_head_spans", "Spans in memory.", stats.spans.head_entries as f64);
    gauge("watchfire_storage_span_head_bytes", "Bytes that spans occupy in memory.", stats.spans.head_bytes as f64);
    gauge("watchfire_storage_span_segments", "Segments of spans on disk.", stats.spans.segments as f64);
    gauge("watchfire_storage_segment_spans", "Spans in segments.", stats.spans.segment_entries as f64);
    gauge("watchfire_storage_profile_streams", "Series of profiles that are written to.", stats.profiles.streams as f64);
    gauge("watchfire_storage_head_profiles", "Profiles in memory.", stats.profiles.head_entries as f64);
    gauge("watchfire_storage_profile_head_bytes", "Bytes that profiles occupy in memory.", stats.profiles.head_bytes as f64);
    gauge("watchfire_storage_profile_segments", "Segments of profiles on disk.", stats.profiles.segments as f64);
    gauge("watchfire_storage_segment_profiles", "Profiles in segments.", stats.profiles.segment_entries as f64);
    for (name, help, time) in [
        ("watchfire_storage_oldest_log_entry_timestamp_seconds", "The time of the oldest log entry.", stats.logs.oldest),
        ("watchfire_storage_newest_log_entry_timestamp_seconds", "The time of the newest log entry.", stats.logs.newest),
        ("watchfire_storage_oldest_span_timestamp_seconds", "When the oldest span began.", stats.spans.oldest),
        ("watchfire_storage_newest_span_timestamp_seconds", "When the newest span began.", stats.spans.newest),
        ("watchfire_storage_oldest_profile_timestamp_seconds", "When the oldest profile began.", stats.profiles.oldest),
        ("watchfire_storage_newest_profile_timestamp_seconds", "When the newest profile began.", stats.profiles.newest),
        ("watchfire_storage_oldest_sample_timestamp_seconds", "The time of the oldest sample.", stats.oldest),
        ("watchfire_storage_newest_sample_timestamp_seconds", "The time of the newest sample.", stats.newest),
    ] {
        if let Some(time) = time {
            gauge(name, help, time as f64 / 1000.0);
        }
    }
    let mut bytes = Family::new("watchfire_storage_bytes", MetricType::Gauge, "Bytes on disk by kind.");
    bytes.point(&[("kind", "wal")], stats.wal_bytes as f64);
    bytes.point(&[("kind", "metrics")], stats.segment_bytes as f64);
    bytes.point(&[("kind", "tiers")], stats.tier_bytes as f64);
    bytes.point(&[("kind", "logs")], stats.logs.segment_bytes as f64);
    bytes.point(&[("kind", "traces")], stats.spans.segment_bytes as f64);
    bytes.point(&[("kind", "profiles")], stats.profiles.segment_bytes as f64);
    bytes.point(&[("kind", "state")], state.bytes() as f64);
    out.push(bytes);
    out.push(
        Family::new("watchfire_storage_wal_written_bytes_total", MetricType::Counter, "Bytes written to the write-ahead log.")
            .with(&[], stats.wal_written_bytes as f64),
    );
}
