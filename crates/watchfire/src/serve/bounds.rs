//! What the gate and the store take, and how much of it: settings in their own terms. It reads nothing and opens nothing.

use std::time::Duration;

use watchfire_ingest::gate::{Limits, LogLimits};
use watchfire_ingest::loki::config::LokiConfig;
use watchfire_model::meter::Meter;
use watchfire_model::time::SharedClock;
use watchfire_store::Options;

use crate::memory;
use crate::settings::Settings;

/// How many series one sender or one target may have, and how many all targets of a job: as many for each as a sender, as long as it is
/// not more than half of what there may be in all.
pub(super) fn series(settings: &Settings) -> (usize, usize) {
    let storage = &settings.storage;
    (storage.source_series_max as usize, (storage.series_max / 2).max(storage.source_series_max) as usize)
}

/// What the gate lets pass.
pub(super) fn limits(settings: &Settings, loki: &LokiConfig) -> Limits {
    let age = |keep: Option<Duration>| keep.map(|keep| i64::try_from(keep.as_millis()).unwrap_or(i64::MAX));
    let spans = LogLimits { age_ms_max: age(settings.storage.traces_retention), ..LogLimits::for_spans() };
    let profiles = LogLimits { age_ms_max: age(settings.storage.profiles_retention), ..LogLimits::for_profiles() };
    let logs = super::loki::limits(&super::loki::policy(&settings.storage, loki), loki);
    let (series_per_origin_max, series_of_parts_max) = series(settings);
    Limits { series_per_origin_max, series_of_parts_max, logs, spans, profiles, ..Limits::default() }
}

/// How the store is opened.
pub(super) fn store(settings: &Settings, loki: &LokiConfig, clock: &SharedClock, meter: &Meter) -> Options {
    let storage = &settings.storage;
    let mut options = Options::new(&settings.server.data_dir, clock.clone());
    options.meter = meter.clone();
    options.sync_interval = storage.sync_interval;
    options.retention = storage.metrics_retention;
    options.tiers.clone_from(&storage.tiers);
    options.size_max = storage.size_max;
    options.series_max = storage.series_max as usize;
    options.out_of_order_window = storage.out_of_order_window;
    options.exemplars_max = storage.exemplars_max.map_or(options.exemplars_max, |n| n as usize);
    options.memory_max = memory::shares(settings.memory_limit).store as usize;
    // The head goes into a segment when it has half of the share; indexes that are read again for each query cost more than the queries.
    options.index_cache_bytes = options.memory_max / 8 * 3;
    options.block_cache_bytes = options.block_cache_bytes.min(options.memory_max / 8);
    options.exemplars_bytes_max = options.exemplars_bytes_max.min(options.memory_max / 8);
    options.logs = super::loki::policy(storage, loki);
    options.spans.retention = storage.traces_retention;
    options.profiles.retention = storage.profiles_retention;
    let share = options.memory_max;
    for entries in [&mut options.logs, &mut options.spans, &mut options.profiles] {
        entries.memory_max = entries.memory_max.min(share / 4);
        entries.unit_bytes = entries.unit_bytes.min(share / 16);
        entries.index_cache_bytes = entries.index_cache_bytes.min(share / 8);
    }
    options
}
