//! What the faces see of the rooms below: every closure of `Rooms`, made from the running parts.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use watchfire_api::app::{Ask, Build, Cleanup, QueryLimits, Rooms, SignalStats, StorageStats, WorkerStatus};
use watchfire_collect::gpu::GpuMonitor;
use watchfire_collect::scrape::Manager;
use watchfire_ingest::gate::{Gate, Limits};
use watchfire_ingest::record::Recorder;
use watchfire_model::live::ServiceStatus;
use watchfire_model::meter::Meter;
use watchfire_model::order::Order as _;
use watchfire_model::read::{MemoryPool, Source};
use watchfire_model::time::{SharedClock, Timestamp};
use watchfire_net::tasks::Tasks;
use watchfire_pipeline::gateway::Gateway;
use watchfire_pipeline::supervision::Supervisor;
use watchfire_store::{CleanupPreview, LogStats, Store};
use watchfire_tokens::TokenCounter;

use super::maintenance::Keeper;
use super::prometheus::Reloader;
use crate::settings::Settings;

/// The running parts of the house.
pub(crate) struct Parts {
    pub(crate) store: Arc<Store>,
    pub(crate) query_source: Arc<dyn Source>,
    pub(crate) query_memory: MemoryPool,
    pub(crate) alerting: Arc<super::alerting::Alerting>,
    pub(crate) alertmanager: Arc<watchfire_alert::manager::Manager>,
    pub(crate) doctor: Arc<super::doctor::Doctor>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) gpu: GpuMonitor,
    pub(crate) manager: Arc<Manager>,
    pub(crate) reloader: Arc<Reloader>,
    pub(crate) protocols: Arc<super::protocols::Protocols>,
    pub(crate) exporters: watchfire_api::exporters::Exporters,
    pub(crate) cameras: super::cameras::Watching,
    pub(crate) queues: super::queues::Running,
    pub(crate) tokens: Arc<TokenCounter>,
    pub(crate) boards: Arc<watchfire_api::grafana::Boards>,
    pub(crate) supervisor: Supervisor,
    pub(crate) gateway: Gateway,
    pub(crate) tasks: Tasks,
    pub(crate) meter: Meter,
    pub(crate) clock: SharedClock,
    pub(crate) quit: Arc<dyn Fn() + Send + Sync>,
}

/// Makes the faces' view.
pub(crate) fn rooms(parts: Parts, settings: &Settings) -> Rooms {
    let reports = super::reports::open(&parts, settings);
    let Parts {
        store,
        query_source,
        query_memory,
        alerting,
        alertmanager,
        doctor,
        gate,
        recorder,
        gpu,
        manager,
        reloader,
        protocols,
        exporters,
        cameras,
        queues,
        tokens,
        boards,
        supervisor,
        gateway,
        tasks,
        meter,
        clock,
        quit,
    } = parts;
    let lifecycle = settings.server.enable_lifecycle;
    let retention = settings.storage.metrics_retention;
    let started_at = clock.now();
    Rooms {
        source: store.clone(),
        query_source,
        sink: gate.clone(),
        state: store.state(),
        targets: {
            let manager = manager.clone();
            Arc::new(move || manager.targets())
        },
        rule_groups: {
            let alerting = alerting.clone();
            Arc::new(move || alerting.groups())
        },
        alertmanagers: Arc::new(move || alerting.alertmanagers()),
        doctor: Arc::new(move || doctor.report()),
        query_memory,
        scrape_pools: Arc::new(move || manager.pools()),
        services: services(gpu.clone(), supervisor.clone(), queues.clone()),
        stream_servers: {
            let streams = cameras.streams.clone();
            Arc::new(move || streams.statuses())
        },
        camera_picture: {
            let cameras = cameras.cameras.clone();
            Arc::new(move |id| cameras.picture(id))
        },
        camera_search: {
            let cameras = cameras.cameras.clone();
            Arc::new(move |wait| super::cameras::search(cameras.clone(), wait))
        },
        cameras: Arc::new(move || cameras.cameras.statuses()),
        supervisor,
        queues: queues.queues,
        alertmanager,
        gpu: Arc::new(gpu),
        workers: Arc::new(move || tasks.statuses().into_iter().map(|t| WorkerStatus { name: t.name, running: t.running, message: t.message }).collect()),
        storage: storage_of(&store, settings),
        cleanup_preview: cleanup(store.clone(), Store::cleanup_preview, clock.clone(), retention),
        cleanup: cleanup(store.clone(), Store::cleanup, clock.clone(), retention),
        exposition: exposition(meter.clone(), recorder.clone()),
        remote_write: {
            let receiver = super::receive::RemoteWrite::new(gate.clone(), &meter, settings.ingest.remote_write());
            Arc::new(move |version, message, origin| receiver.take(version, message, origin))
        },
        exporters,
        otlp: protocols.otlp.clone(),
        import: {
            let limits = Limits { series_per_origin_max: usize::MAX, ..Limits::default() };
            let gate = Arc::new(Gate::new(Arc::new(super::Backfill(store.clone())), clock.clone(), &meter, limits));
            let receiver = super::receive::RemoteWrite::new(gate, &meter, watchfire_ingest::remote_write::Options::default());
            Arc::new(move |version, message, origin| receiver.take(version, message, origin))
        },
        maintenance: Arc::new(Keeper { store: store.clone(), data_dir: settings.server.data_dir.clone(), clock: clock.clone() }),
        admin_api: settings.server.enable_admin_api,
        pushgateway: protocols.pushgateway.clone(),
        influx: protocols.influx.clone(),
        zipkin: protocols.zipkin.clone(),
        jsonline: protocols.jsonline.clone(),
        ffmpeg: protocols.ffmpeg.clone(),
        loki: protocols.loki.clone(),
        pyroscope: protocols.pyroscope.clone(),
        elasticsearch: protocols.elasticsearch.clone(),
        logs: store.clone(),
        spans: store.spans(),
        profiles: store.profiles(),
        log_taps: gate.log_taps(),
        recorder: Arc::new(super::receive::Recording(recorder)),
        tokens,
        boards,
        reports,
        notification_pictures: settings.notification_pictures,
        gateway,
        config_yaml: {
            let reloader = reloader.clone();
            Arc::new(move || reloader.rendered())
        },
        flags: flags(settings),
        external_labels: {
            let reloader = reloader.clone();
            Arc::new(move || reloader.external_labels())
        },
        last_reload: {
            let reloader = reloader.clone();
            Arc::new(move || reloader.last())
        },
        reload: lifecycle.then(|| -> Ask<Result<(), String>> { Arc::new(move || reloader.reload()) }),
        quit: lifecycle.then(|| -> Ask<()> { Arc::new(move || quit()) }),
        started_at,
        working_dir: std::env::current_dir().map(|d| d.display().to_string()).unwrap_or_default(),
        build: build(),
        limits: QueryLimits {
            timeout: settings.query.timeout,
            parallel: settings.query.parallel,
            lookback: settings.query.lookback,
            samples_max: settings.query.samples_max,
            memory_max: settings.query.memory_max.min(crate::memory::shares(settings.memory_limit).queries),
            ..QueryLimits::default()
        },
        meter,
        clock,
    }
}

/// What this binary is.
pub(crate) fn build() -> Build {
    Build {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        revision: option_env!("WATCHFIRE_REVISION").unwrap_or("unknown").to_owned(),
        compiler: concat!("rustc ", env!("CARGO_PKG_RUST_VERSION")).to_owned(),
    }
}

/// The supervised services, and the database of the GPU monitor and the Redis of the queues unless they are among them.
fn services(gpu: GpuMonitor, supervisor: Supervisor, queues: super::queues::Running) -> watchfire_api::app::Ask<Vec<ServiceStatus>> {
    Arc::new(move || {
        let mut all = supervisor.statuses();
        for own in std::iter::once(gpu.database_status()).chain(queues.redis_status()) {
            if !all.iter().any(|s| s.name == own.name) {
                all.push(own);
            }
        }
        all
    })
}

/// Figures about the store and its disk.
pub(super) fn storage_of(store: &Arc<Store>, settings: &Settings) -> Ask<StorageStats> {
    let kept = &settings.storage;
    let retention = [kept.metrics_retention, kept.logs_retention, kept.traces_retention, kept.profiles_retention];
    storage(store.clone(), settings.server.data_dir.clone(), retention, kept.size_max)
}

fn storage(store: Arc<Store>, data_dir: PathBuf, retention: [Option<Duration>; 4], size_max: Option<u64>) -> Ask<StorageStats> {
    Arc::new(move || {
        let stats = store.stats();
        let disk = rustix::fs::statvfs(&data_dir).ok();
        let [disk_total_bytes, disk_used_bytes, disk_free_bytes] =
            disk.map_or([0; 3], |s| [s.f_blocks, s.f_blocks.saturating_sub(s.f_bfree), s.f_bavail].map(|blocks| blocks * s.f_frsize));
        let metrics = SignalStats {
            name: "metrics",
            series: stats.series,
            samples: stats.head_samples + stats.segment_samples,
            segments: stats.segments,
            segment_bytes: stats.segment_bytes,
            oldest: stats.oldest.map(Timestamp),
            newest: stats.newest.map(Timestamp),
            retention: retention[0],
        };
        let entries = |name, stats: &LogStats, retention| SignalStats {
            name,
            series: stats.streams,
            samples: stats.head_entries + stats.segment_entries,
            segments: stats.segments,
            segment_bytes: stats.segment_bytes,
            oldest: stats.oldest.map(Timestamp),
            newest: stats.newest.map(Timestamp),
            retention,
        };
        StorageStats {
            data_dir: data_dir.display().to_string(),
            signals: vec![
                metrics,
                entries("logs", &stats.logs, retention[1]),
                entries("traces", &stats.spans, retention[2]),
                entries("profiles", &stats.profiles, retention[3]),
            ],
            log_bytes: stats.wal_bytes,
            state_bytes: stats.state_bytes,
            disk_total_bytes,
            disk_used_bytes,
            disk_free_bytes,
            size_max,
            failure: stats.refusing,
            offline: stats.offline.map(|offline| offline.to_string()),
        }
    })
}

fn cleanup(store: Arc<Store>, work: fn(&Store) -> CleanupPreview, clock: SharedClock, retention: Option<Duration>) -> Ask<Result<Cleanup, String>> {
    Arc::new(move || {
        let told = work(&store);
        Ok(Cleanup {
            segments: told.files.len() as u64,
            samples: told.files.iter().map(|f| f.samples).sum(),
            bytes: told.bytes,
            retention,
            keep_from: retention.map(|r| clock.now().plus_ms(-(r.as_millis() as i64))),
            held: told.held,
        })
    })
}

/// `/metrics`: our own families, then what programs recorded and what the catalogs declare.
fn exposition(meter: Meter, recorder: Arc<Recorder>) -> Ask<Vec<watchfire_model::meter::Family>> {
    Arc::new(move || {
        let mut families = meter.gather();
        families.extend(recorder.families());
        families.order_by(|a, b| a.name.cmp(&b.name));
        families
    })
}

/// The effective settings as `/api/v1/status/flags` shows them. No secret is among them.
fn flags(settings: &Settings) -> BTreeMap<String, String> {
    let duration = |d: Option<Duration>| d.map_or_else(|| "unlimited".to_owned(), |d| watchfire_model::duration::format_millis(d.as_millis() as u64));
    let pairs = [
        ("config.file", settings.file.display().to_string()),
        ("web.listen-address", settings.server.listen.to_string()),
        ("web.enable-lifecycle", settings.server.enable_lifecycle.to_string()),
        ("web.enable-admin-api", settings.server.enable_admin_api.to_string()),
        ("web.enable-remote-write-receiver", "true".to_owned()),
        ("storage.tsdb.path", settings.server.data_dir.display().to_string()),
        ("storage.tsdb.retention.time", duration(settings.storage.metrics_retention)),
        ("storage.tsdb.retention.size", settings.storage.size_max.map_or_else(|| "0B".to_owned(), |b| format!("{b}B"))),
        ("storage.tsdb.out-of-order-window", duration(Some(settings.storage.out_of_order_window))),
        ("query.timeout", duration(Some(settings.query.timeout))),
        ("query.max-concurrency", settings.query.parallel.to_string()),
        ("query.max-samples", settings.query.samples_max.to_string()),
        ("query.lookback-delta", duration(Some(settings.query.lookback))),
        ("memory.limit", format!("{}B", settings.memory_limit)),
        ("log.level", settings.log.level.clone()),
        ("packs", settings.packs.join(",")),
    ];
    pairs.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()
}
