//! A small house for the tests of the faces: a store in memory, a clock that stands still, figures that are set by hand.

mod parts;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use serde_json::Value;
use tower::ServiceExt;
use watchfire_ingest::elasticsearch::Elasticsearch;
use watchfire_ingest::gate::{Gate, Limits};
use watchfire_ingest::influx::Influx;
use watchfire_ingest::jsonline::Jsonline;
use watchfire_ingest::loki::Loki;
use watchfire_ingest::otlp::Otlp;
use watchfire_ingest::pushgateway::Pushgateway;
use watchfire_ingest::remote_write::Version;
use watchfire_model::batch::{Batch, Metadata, MetricType, Origin, Samples, SeriesExemplars, SeriesSamples};
use watchfire_model::labels::Labels;
use watchfire_model::live::{GpuOrigin, GpuSample, GpuView, ServiceStatus, TargetStatus, ViewFuture};
use watchfire_model::logs::{LogLine, LogSelection, LogSource, LogVisitor, Nanos, StreamVolume};
use watchfire_model::matcher::{Matcher, matches_all};
use watchfire_model::meter::{Family, Meter};
use watchfire_model::observe::Unobserved;
use watchfire_model::read::{Budget, ReadError, Selection, Series, Source, Visitor};
use watchfire_model::sample::{HistogramSample, Sample};
use watchfire_model::state::{Change, StateError, StateStore, Table};
use watchfire_model::time::{ManualClock, Timestamp};
use watchfire_model::write::{Reason, Sink, WriteError, Written};
use watchfire_net::listener::Peer;
use watchfire_pipeline::gateway::{Gateway, Parts as GatewayParts};
use watchfire_pipeline::queue::embedded::Embedded;
use watchfire_pipeline::queue::{self, Queues};
use watchfire_pipeline::supervision::{Parts, Supervisor};
use watchfire_tokens::{Budget as TokenBudget, Counter, Encoding, TokenCounter};

use self::parts::{gateway, queues};
use crate::app::{
    App, BackupError, Build, Cleanup, Maintenance, QueryLimits, RecordError, Recorded, Recorder, RefusedItem, RemoteWriteError, Rooms, SignalStats,
    StorageStats,
};
use crate::auth::{Caller, Rights, Via};
use crate::server::{Doors, Hosts, Identify, Refusal, build};
pub(crate) use watchfire_testkit::state::Memory;

/// The moment at which all tests begin: 2025-12-30T10:15:00Z.
pub(crate) const NOW: Timestamp = Timestamp(1_767_089_700_000);

/// What the test house holds, to be changed by a test before and during its requests.
#[derive(Default)]
pub(crate) struct Held {
    pub(crate) series: BTreeMap<Labels, BTreeMap<i64, f64>>,
    pub(crate) histograms: BTreeMap<Labels, Vec<HistogramSample>>,
    pub(crate) exemplars: Vec<SeriesExemplars>,
    pub(crate) metadata: Vec<Metadata>,
    pub(crate) logs: Arc<watchfire_testkit::logs::Logs>,
    pub(crate) spans: Arc<watchfire_testkit::logs::Logs>,
    pub(crate) profiles: Arc<watchfire_testkit::logs::Logs>,
    pub(crate) write_error: Option<fn() -> WriteError>,
    /// Every read waits until its budget fails.
    pub(crate) stuck: bool,
    pub(crate) gpu: Vec<GpuSample>,
    pub(crate) targets: Vec<TargetStatus>,
    pub(crate) services: Vec<ServiceStatus>,
    pub(crate) cameras: Vec<watchfire_model::camera::CameraStatus>,
    pub(crate) stream_servers: Vec<watchfire_model::camera::StreamServerStatus>,
    pub(crate) camera_search: watchfire_model::camera::CameraSearch,
    pub(crate) rule_groups: Vec<watchfire_alert::rules::GroupView>,
    pub(crate) alertmanagers: Vec<String>,
    pub(crate) doctor: Option<crate::app::DoctorReport>,
    pub(crate) storage: StorageStats,
    pub(crate) preview: Cleanup,
    pub(crate) families: Vec<Family>,
    /// What callers may do; everything when nothing is said.
    pub(crate) rights: Option<Rights>,
    /// Packs whose dashboards are wanted.
    pub(crate) packs: Vec<String>,
    /// Where files of a test lie.
    pub(crate) directory: Option<tempfile::TempDir>,
}

/// The shared side of the test house.
#[derive(Default)]
pub(crate) struct House(pub(crate) Mutex<Held>);

impl House {
    pub(crate) fn held(&self) -> std::sync::MutexGuard<'_, Held> {
        self.0.lock().unwrap()
    }
    /// Stores samples as `(seconds before now, value)`.
    pub(crate) fn put(&self, labels: Labels, samples: &[(i64, f64)]) {
        let mut held = self.held();
        let known = held.series.entry(labels).or_default();
        known.extend(samples.iter().map(|(ago, value)| (NOW.millis() - ago * 1000, *value)));
    }
}

impl Source for House {
    fn select(&self, selection: &Selection, budget: &Budget, visit: &mut Visitor<'_>) -> Result<(), ReadError> {
        while self.held().stuck {
            budget.check()?;
            std::thread::yield_now();
        }
        let found: Vec<Series> = {
            let held = self.held();
            let within = |time: i64| (selection.start.millis()..=selection.end.millis()).contains(&time);
            let chosen = held.series.keys().chain(held.histograms.keys()).collect::<std::collections::BTreeSet<_>>();
            let chosen = chosen.into_iter().filter(|labels| matches_all(&selection.matchers, labels));
            chosen
                .map(|labels| {
                    let samples = held.series.get(labels).into_iter().flatten().filter(|(t, _)| within(**t));
                    let (times, values) = samples.map(|(t, v)| (*t, *v)).unzip();
                    let histograms = held.histograms.get(labels).into_iter().flatten().filter(|h| within(h.time.millis())).cloned().collect();
                    Series { labels: labels.clone(), times, values, histograms }
                })
                .filter(|s| s.cost() > 0)
                .collect()
        };
        for series in found {
            budget.charge_samples(series.cost())?;
            if let ControlFlow::Break(()) = visit(series)? {
                break;
            }
        }
        Ok(())
    }
    fn series(&self, selection: &Selection, budget: &Budget) -> Result<Vec<Labels>, ReadError> {
        let mut all = Vec::new();
        self.select(selection, budget, &mut |series| {
            budget.release_samples(series.cost());
            all.push(series.labels);
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(all)
    }
    fn exemplars(&self, selection: &Selection, _: &Budget) -> Result<Vec<SeriesExemplars>, ReadError> {
        let mut found = self.held().exemplars.clone();
        found.retain(|s| matches_all(&selection.matchers, &s.labels));
        for series in &mut found {
            series.exemplars.retain(|e| (selection.start..=selection.end).contains(&e.time));
        }
        Ok(found)
    }
    fn metadata(&self) -> Vec<Metadata> {
        self.held().metadata.clone()
    }
}

impl Sink for House {
    /// Stores everything but negative values, which stand for samples out of order.
    fn write(&self, batch: Batch) -> Result<Written, WriteError> {
        let mut held = self.held();
        if let Some(error) = held.write_error {
            return Err(error());
        }
        let mut written = Written::default();
        for series in batch.series {
            for sample in series.samples.as_slice() {
                if sample.value < 0.0 {
                    written.reject(Reason::OutOfOrder, 1);
                    written.example = Some(series.labels.to_string());
                } else {
                    held.series.entry(series.labels.clone()).or_default().insert(sample.time.millis(), sample.value);
                    written.stored += 1;
                }
            }
        }
        for stream in batch.logs {
            written.logs.stored += stream.entries.len() as u64;
            held.logs.add(stream);
        }
        for stream in batch.spans {
            written.spans.stored += stream.entries.len() as u64;
            held.spans.add(stream);
        }
        for stream in batch.profiles {
            written.profiles.stored += stream.entries.len() as u64;
            held.profiles.add(stream);
        }
        Ok(written)
    }
}

impl LogSource for House {
    fn select_logs(&self, selection: &LogSelection, budget: &Budget, visit: &mut LogVisitor<'_>) -> Result<(), ReadError> {
        let logs = self.held().logs.clone();
        logs.select_logs(selection, budget, visit)
    }
    fn log_volume(&self, selection: &LogSelection, budget: &Budget) -> Result<Vec<StreamVolume>, ReadError> {
        self.held().logs.log_volume(selection, budget)
    }
    fn log_label_names(&self, selection: &LogSelection, budget: &Budget) -> Result<Vec<String>, ReadError> {
        self.held().logs.log_label_names(selection, budget)
    }
    fn log_label_values(&self, name: &str, selection: &LogSelection, budget: &Budget) -> Result<Vec<String>, ReadError> {
        self.held().logs.log_label_values(name, selection, budget)
    }
}

/// Snapshots have fixed names, and one backup has two files.
impl Maintenance for House {
    fn delete_series(&self, sets: &[Vec<Matcher>], start: Timestamp, end: Timestamp) -> Result<(), String> {
        let mut held = self.held();
        for (labels, samples) in &mut held.series {
            if sets.iter().any(|set| matches_all(set, labels)) {
                samples.retain(|time, _| !(start..=end).contains(&Timestamp(*time)));
            }
        }
        held.series.retain(|_, samples| !samples.is_empty());
        Ok(())
    }
    fn delete_logs(&self, matchers: &[Matcher], start: Nanos, end: Nanos, filter: Option<&dyn Fn(LogLine<'_>) -> bool>) -> Result<u64, String> {
        let kept = watchfire_testkit::logs::Logs::new();
        let selection = LogSelection::new(Vec::new(), Nanos::MIN, Nanos::MAX);
        let budget = Budget::unlimited(ManualClock::new(NOW));
        let mut deleted = 0;
        let mut held = self.held();
        let visited = held.logs.select_logs(&selection, &budget, &mut |entry| {
            if matches_all(matchers, entry.labels) && start <= entry.time && entry.time < end && filter.is_none_or(|filter| filter(entry)) {
                deleted += 1;
            } else {
                kept.add_line(entry.labels, entry.time, entry.line, entry.metadata);
            }
            Ok(ControlFlow::Continue(()))
        });
        visited.map_err(|e| e.to_string())?;
        held.logs = Arc::new(kept);
        Ok(deleted)
    }
    fn clean_tombstones(&self) -> Result<(), String> {
        Ok(())
    }
    fn snapshot(&self, skip_head: bool) -> Result<String, String> {
        Ok(if skip_head { "segments" } else { "whole" }.to_owned())
    }
    fn begin_backup(&self, secrets: bool) -> Result<(String, Vec<(String, u64)>), BackupError> {
        let token = secrets.then(|| ("admin.token".to_owned(), 3));
        Ok(("backup-1".to_owned(), token.into_iter().chain([("format".to_owned(), 5)]).collect()))
    }
    fn read_backup(&self, name: &str, path: &str, offset: u64) -> Result<Vec<u8>, BackupError> {
        if (name, path) != ("backup-1", "format") {
            return Err(BackupError::Unknown);
        }
        Ok(b"hello".iter().skip(offset as usize).take(3).copied().collect())
    }
    fn end_backup(&self, name: &str) -> Result<(), BackupError> {
        if name == "backup-1" { Ok(()) } else { Err(BackupError::Unknown) }
    }
}

impl StateStore for House {
    fn get(&self, _: Table, _: &str) -> Result<Option<Vec<u8>>, StateError> {
        Ok(None)
    }
    fn scan(&self, _: Table, _: &str) -> Result<Vec<(String, Vec<u8>)>, StateError> {
        Ok(Vec::new())
    }
    fn commit(&self, _: &[Change]) -> Result<(), StateError> {
        Ok(())
    }
}

impl GpuView for House {
    fn current(&self) -> Option<GpuSample> {
        self.held().gpu.last().cloned()
    }
    fn history(&self, since: Timestamp, limit: usize) -> ViewFuture<'_, Vec<GpuSample>> {
        let mut found: Vec<_> = self.held().gpu.iter().filter(|s| s.recorded_at >= since).cloned().collect();
        let skip = found.len().saturating_sub(limit);
        found.drain(..skip);
        Box::pin(async move { found })
    }
}

impl Recorder for House {
    /// Knows one metric, `known_total`.
    fn record(&self, body: &[u8], _: Origin) -> Result<Recorded, RecordError> {
        let items: Vec<Value> = serde_json::from_slice(body).map_err(|e| RecordError::Malformed(e.to_string()))?;
        let mut outcome = Recorded::default();
        for (index, item) in items.iter().enumerate() {
            let name = item["name"].as_str().unwrap_or("").to_owned();
            if name == "known_total" {
                outcome.recorded += 1;
            } else {
                outcome.refused.push(RefusedItem { index, message: format!("no catalog declares {name:?}"), name, code: "unknown_metric" });
            }
        }
        Ok(outcome)
    }
}

/// A GPU sample with all of the documented figures.
pub(crate) fn gpu_sample(at: Timestamp) -> GpuSample {
    GpuSample {
        name: "NVIDIA RTX A5500".to_owned(),
        utilization: Some(45.0),
        memory_used_mb: Some(8192),
        memory_total_mb: Some(24576),
        temperature: Some(62.0),
        power_usage: Some(125.5),
        power_limit: Some(230.0),
        throttle_reasons: Some(4),
        inference_fps: Some(3.5),
        origin: GpuOrigin::Nvml,
        ..GpuSample::mock(at)
    }
}

/// Takes remote writes for tests: the body of a message is lines of `name value`. In version 2 a name may begin with
/// `h:` for a native histogram and `e:` for an exemplar, which are only counted.
fn take(house: &House, version: Version, body: &[u8], origin: Origin) -> Result<Written, RemoteWriteError> {
    let malformed = || RemoteWriteError::Malformed("snappy: corrupt input".to_owned());
    let text = std::str::from_utf8(body).map_err(|_| malformed())?;
    let (mut batch, mut more) = (Batch::new(origin), Written::default());
    for line in text.lines() {
        let (name, value) = line.split_once(' ').ok_or_else(malformed)?;
        let value = value.parse().map_err(|_| malformed())?;
        match (version, name.split_once(':')) {
            (Version::V2, Some(("h", _))) => (more.stored, more.histograms) = (more.stored + 1, more.histograms + 1),
            (Version::V2, Some(("e", _))) => more.exemplars += 1,
            _ => {
                let samples = Samples::One(Sample { time: NOW, value });
                batch.series.push(SeriesSamples { labels: Labels::from_pairs([("__name__", name)]), samples });
            }
        }
    }
    let mut written = house.write(batch).map_err(RemoteWriteError::Later)?;
    written.add(more);
    Ok(written)
}

/// The faces over a test house.
pub(crate) struct Faces {
    pub(crate) house: Arc<House>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) app: Arc<App>,
    router: Router,
}

/// An answer, read to its end.
pub(crate) struct Answered {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}
impl Answered {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |v| v.to_str().unwrap())
    }
}

impl Faces {
    pub(crate) fn new() -> Faces {
        Faces::with(|_| {})
    }
    /// The faces over a house that differs from the usual one.
    pub(crate) fn with(change: impl FnOnce(&mut Rooms)) -> Faces {
        let house = Arc::new(House::default());
        let clock = ManualClock::new(NOW);
        let mut rooms = rooms(&house, &clock);
        change(&mut rooms);
        let app = App::new(rooms);
        Faces { router: router(&app, &house), house, clock, app }
    }
    pub(crate) fn router(&self) -> Router {
        self.router.clone()
    }
    pub(crate) async fn send(&self, mut request: Request<Body>) -> Answered {
        request.headers_mut().entry("host").or_insert(HeaderValue::from_static("localhost:8000"));
        let request = crate::grafana::proxied(&self.app, request).await;
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap().to_vec();
        Answered { status: parts.status, headers: parts.headers, body }
    }
    pub(crate) async fn get(&self, path: &str) -> Answered {
        self.send(Request::get(path).body(Body::empty()).unwrap()).await
    }
    pub(crate) async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answered {
        let request = headers.iter().fold(Request::get(path), |r, (n, v)| r.header(*n, *v));
        self.send(request.body(Body::empty()).unwrap()).await
    }
    pub(crate) async fn form(&self, path: &str, body: &str) -> Answered {
        self.post(path, "application/x-www-form-urlencoded", body).await
    }
    pub(crate) async fn post(&self, path: &str, content_type: &str, body: &str) -> Answered {
        let request = Request::builder().method(Method::POST).uri(path).header("content-type", content_type);
        self.send(request.body(Body::from(body.to_owned())).unwrap()).await
    }
}

/// Everybody has the rights of the house, as behind a working authentication.
struct Everybody(Arc<House>);
impl Identify for Everybody {
    fn identify<'a>(&'a self, _: &'a HeaderMap, _: Option<Peer>, foreign: bool) -> ViewFuture<'a, Result<Caller, Refusal>> {
        let rights = if foreign { Rights::NONE } else { self.0.held().rights.unwrap_or(Rights::ALL) };
        let caller = if rights == Rights::NONE { Caller::anonymous() } else { Caller { name: "test".into(), rights, via: Via::Token } };
        Box::pin(async move { Ok(caller) })
    }
    fn challenge(&self) -> Option<&'static str> {
        Some("Bearer")
    }
}

/// The real pipeline over the real routes.
fn router(app: &Arc<App>, house: &Arc<House>) -> Router {
    let doors = Doors {
        hosts: Hosts::new("testhost", &[]),
        identify: Arc::new(Everybody(house.clone())),
        meter: app.rooms.meter.clone(),
        clock: app.rooms.clock.clone(),
    };
    build(crate::routes(), app.clone(), crate::page::fallback, doors)
}

/// An Alertmanager that tells nobody, with one receiver besides the default one.
fn alertmanager(clock: &Arc<ManualClock>) -> Arc<watchfire_alert::manager::Manager> {
    use watchfire_alert::manager::config::{Surroundings, parse};
    let text = "global: {smtp_auth_password: canary}\nroute: {receiver: default, group_by: [alertname], routes: [{receiver: team-x, matchers: ['team=x']}]}\nreceivers: [{name: default}, {name: team-x}]\ninhibit_rules: [{source_matchers: ['alertname=Down'], target_matchers: ['alertname=Slow'], equal: [host]}]\n";
    let parsed = parse("a.yml", text, &Surroundings { files: &|_| Vec::new(), file: &|f| f.into(), clock: clock.clone() });
    let parts = watchfire_alert::manager::engine::Parts {
        config: Arc::new(parsed.config.unwrap()),
        state: Arc::new(Memory::default()),
        clock: clock.clone(),
        meter: Meter::new(),
        external_url: "http://localhost:8000/".to_owned(),
    };
    Arc::new(watchfire_alert::manager::Manager::open(parts, Arc::new(watchfire_net::client::Caller::new(clock.clone()))).unwrap())
}

/// Exporters that say one thing.
struct Silent;
impl watchfire_model::exporter::Exporter for Silent {
    fn ask(&self, _: watchfire_model::exporter::Question) -> ViewFuture<'_, watchfire_model::exporter::Reply> {
        Box::pin(async { watchfire_model::exporter::Reply::text(200, "quiet") })
    }
}
fn exporters() -> crate::exporters::Exporters {
    let silent: Arc<dyn watchfire_model::exporter::Exporter> = Arc::new(Silent);
    crate::exporters::Exporters {
        blackbox: silent.clone(),
        json: silent.clone(),
        redis: silent.clone(),
        postgres: silent.clone(),
        node: silent.clone(),
        collect: silent,
    }
}

fn rooms(house: &Arc<House>, clock: &Arc<ManualClock>) -> Rooms {
    let tokens = Arc::new(TokenCounter::new(Counter::new(Encoding::Cl100kBase), TokenBudget::default(), true, Arc::new(Unobserved)));
    let ask = |house: &Arc<House>| house.clone();
    let (targets, services, storage, preview, families) = (ask(house), ask(house), ask(house), ask(house), ask(house));
    house.held().storage = StorageStats {
        data_dir: "./data".to_owned(),
        signals: vec![SignalStats {
            name: "metrics",
            series: 7,
            samples: 900,
            segments: 2,
            segment_bytes: 4096,
            retention: Some(Duration::from_secs(15 * 86_400)),
            ..SignalStats::default()
        }],
        log_bytes: 1000,
        state_bytes: 24,
        disk_total_bytes: 1_000_000,
        disk_used_bytes: 700_000,
        disk_free_bytes: 250_000,
        size_max: None,
        failure: None,
        offline: None,
    };
    let meter = Meter::new();
    let gate = Arc::new(Gate::new(house.clone(), clock.clone(), &meter, Limits::default()));
    let parts =
        Parts { state: Arc::new(Memory::default()), clock: clock.clone(), meter: meter.clone(), observe: Arc::new(watchfire_model::observe::Unobserved) };
    let supervisor = Supervisor::open(parts).unwrap();
    // Each look at what is held ends before the next one.
    let spans = house.held().spans.clone();
    let profiles = house.held().profiles.clone();
    Rooms {
        exporters: exporters(),
        queues: Arc::new(queues(house, clock, &meter)),
        pushgateway: Arc::new(Pushgateway::open(gate.clone(), house.clone(), clock.clone(), &meter).unwrap()),
        influx: Arc::new(Influx::new(gate.clone(), clock.clone(), &meter)),
        zipkin: Arc::new(watchfire_ingest::zipkin::Zipkin::new(gate.clone())),
        ffmpeg: Arc::new(watchfire_ingest::ffmpeg::Ffmpeg::new(gate.clone(), clock.clone(), &meter)),
        jsonline: Arc::new(Jsonline::new(gate.clone(), clock.clone(), &meter)),
        loki: Arc::new(Loki::new(gate.clone(), &meter)),
        pyroscope: Arc::new(watchfire_ingest::pyroscope::Pyroscope::new(gate.clone(), clock.clone(), &meter)),
        elasticsearch: Arc::new(Elasticsearch::new(gate.clone(), clock.clone(), &meter)),
        logs: house.clone(),
        spans,
        profiles,
        log_taps: gate.log_taps(),
        otlp: Arc::new(Otlp::new(gate, clock.clone(), &meter, watchfire_ingest::otlp::Settings::default())),
        source: house.clone(),
        query_source: house.clone(),
        sink: house.clone(),
        state: house.clone(),
        meter,
        clock: clock.clone(),
        gpu: house.clone(),
        gateway: gateway(clock, &tokens),
        tokens,
        boards: parts::boards(house, clock),
        reports: parts::reports(house, clock),
        notification_pictures: true,
        targets: Arc::new(move || targets.held().targets.clone()),
        // One job has no target.
        scrape_pools: {
            let house = house.clone();
            Arc::new(move || house.held().targets.iter().map(|t| t.scrape_pool.clone()).chain(["idle".to_owned()]).collect())
        },
        services: Arc::new(move || services.held().services.clone()),
        camera_picture: {
            let house = house.clone();
            Arc::new(move |id| house.held().cameras.iter().any(|c| c.id == id && c.picture).then(|| b"BM".to_vec()))
        },
        camera_search: {
            let house = house.clone();
            Arc::new(move |wait| {
                let search = house.held().camera_search.clone();
                // Somebody else looks whenever it is to take nine seconds.
                let busy = (wait.as_secs() == 9).then(|| crate::app::NoSearch { reason: "somebody else looks".to_owned(), busy: true });
                Box::pin(async move { busy.map_or(Ok(search), Err) })
            })
        },
        stream_servers: {
            let house = house.clone();
            Arc::new(move || house.held().stream_servers.clone())
        },
        cameras: {
            let house = house.clone();
            Arc::new(move || house.held().cameras.clone())
        },
        rule_groups: {
            let house = house.clone();
            Arc::new(move || house.held().rule_groups.clone())
        },
        alertmanagers: {
            let house = house.clone();
            Arc::new(move || house.held().alertmanagers.clone())
        },
        doctor: {
            let house = house.clone();
            Arc::new(move || house.held().doctor.clone().unwrap_or(crate::app::DoctorReport { checked_at: NOW, files: 0, findings: Vec::new(), writes: None }))
        },
        query_memory: watchfire_model::read::MemoryPool::new(256 << 20),
        supervisor,
        alertmanager: alertmanager(clock),
        workers: Arc::new(Vec::new),
        storage: Arc::new(move || storage.held().storage.clone()),
        cleanup_preview: Arc::new(move || Ok(preview.held().preview.clone())),
        cleanup: {
            let house = house.clone();
            // Nothing is due afterwards.
            Arc::new(move || Ok(std::mem::take(&mut house.held().preview)))
        },
        exposition: Arc::new(move || families.held().families.clone()),
        remote_write: {
            let house = house.clone();
            Arc::new(move |version, body, origin| take(&house, version, body, origin))
        },
        import: {
            let house = house.clone();
            Arc::new(move |version, body, origin| take(&house, version, body, origin))
        },
        maintenance: house.clone(),
        admin_api: false,
        recorder: house.clone(),
        config_yaml: Arc::new(|| "global: {}\n".to_owned()),
        flags: BTreeMap::from([("query.timeout".to_owned(), "30s".to_owned())]),
        external_labels: Arc::new(|| Labels::from_pairs([("site", "home")])),
        reload: None,
        quit: None,
        last_reload: Arc::new(|| (NOW, true)),
        started_at: NOW,
        working_dir: "/".to_owned(),
        build: Build { version: "0.1.0".to_owned(), revision: "abc".to_owned(), compiler: "rustc".to_owned() },
        limits: QueryLimits::default(),
    }
}

/// Metadata of one family.
pub(crate) fn metadata(family: &str, kind: MetricType, help: &str) -> Metadata {
    Metadata { family: family.into(), kind, help: help.into(), unit: "".into() }
}
