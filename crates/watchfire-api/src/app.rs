//! `App`: what every face shares, namely the rooms below (store, gate, collectors) behind narrow seams, the query gate
//! and the live hub. Not a place for logic: handlers live in the folders of their faces.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use watchfire_alert::rules::GroupView;
use watchfire_doctor::Diagnosis;
use watchfire_ingest::gate::LogTaps;
use watchfire_ingest::remote_write::Version;
use watchfire_model::batch::Origin;
use watchfire_model::camera::{CameraSearch, CameraStatus, StreamServerStatus};
use watchfire_model::labels::Labels;
use watchfire_model::live::{GpuView, ServiceStatus, TargetStatus, ViewFuture};
use watchfire_model::logs::{LogLine, LogSource, Nanos};
use watchfire_model::matcher::Matcher;
use watchfire_model::meter::{Family, Meter};
use watchfire_model::read::{Budget, MemoryPool, Source};
use watchfire_model::state::StateStore;
use watchfire_model::time::{SharedClock, Timestamp};
use watchfire_model::write::{Sink, WriteError, Written};
use watchfire_pipeline::gateway::Gateway;
use watchfire_pipeline::queue::Queues;
use watchfire_pipeline::supervision::Supervisor;
use watchfire_tokens::TokenCounter;

use crate::live::Hub;
use crate::loki::{Deletion, Tails};
use crate::prometheus::gate::QueryGate;
use crate::server::Spec;

/// A question to another room that is asked anew at each request.
pub type Ask<T> = Arc<dyn Fn() -> T + Send + Sync>;
/// Gives a picture by the name of what shows it. Does not block.
pub type Picture = Arc<dyn Fn(&str) -> Option<Vec<u8>> + Send + Sync>;

/// Looks for cameras for so long. Why not comes in words, and whether it is worth trying again.
pub type CameraSearching = Arc<dyn Fn(Duration) -> ViewFuture<'static, Result<CameraSearch, NoSearch>> + Send + Sync>;

/// Why cameras were not looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoSearch {
    /// The reason in words.
    pub reason: String,
    /// Whether somebody else looks.
    pub busy: bool,
}

/// Takes a remote-write message.
pub type TakeRemoteWrite = Arc<dyn Fn(Version, &[u8], Origin) -> Result<Written, RemoteWriteError> + Send + Sync>;

/// Why nothing of a remote-write message was stored.
#[derive(Debug)]
pub enum RemoteWriteError {
    /// It is larger than allowed; it will never be taken.
    TooLarge(String),
    /// It cannot be read; it will never be taken.
    Malformed(String),
    /// It may be taken later.
    Later(WriteError),
}

/// Everything the faces need from the rest of the house. The binary fills it in.
pub struct Rooms {
    /// Where stored data are read.
    pub source: Arc<dyn Source>,
    /// What queries read: the same, and what other places have beside it.
    pub query_source: Arc<dyn Source>,
    /// Where received data go: the gate.
    pub sink: Arc<dyn Sink>,
    /// Small durable state.
    pub state: Arc<dyn StateStore>,
    /// Our own meter.
    pub meter: Meter,
    /// The time.
    pub clock: SharedClock,
    /// The GPU monitor.
    pub gpu: Arc<dyn GpuView>,
    /// All scrape targets, dropped ones included.
    pub targets: Ask<Vec<TargetStatus>>,
    /// The names of all scrape jobs, those without targets included.
    pub scrape_pools: Ask<Vec<String>>,
    /// Groups of rules with their alerts.
    pub rule_groups: Ask<Vec<GroupView>>,
    /// The addresses of Alertmanagers outside that are told of alerts.
    pub alertmanagers: Ask<Vec<String>>,
    /// What the doctor finds in what is loaded. May block.
    pub doctor: Ask<DoctorReport>,
    /// Memory that queries and rules share.
    pub query_memory: MemoryPool,
    /// All watched services. A service that is missing here is not configured.
    pub services: Ask<Vec<ServiceStatus>>,
    /// All cameras of the configuration.
    pub cameras: Ask<Vec<CameraStatus>>,
    /// The latest picture of a camera as a file of the format BMP, where it may be shown.
    pub camera_picture: Picture,
    /// Looks for cameras in the networks of this machine, and waits so long for answers.
    pub camera_search: CameraSearching,
    /// All streaming servers of the configuration.
    pub stream_servers: Ask<Vec<StreamServerStatus>>,
    /// The Alertmanager inside. May block.
    pub alertmanager: Arc<watchfire_alert::manager::Manager>,
    /// What supervises services.
    pub supervisor: Supervisor,
    /// Our own background workers.
    pub workers: Ask<Vec<WorkerStatus>>,
    /// Figures about the store and its disk.
    pub storage: Ask<StorageStats>,
    /// What a cleanup would remove if it ran now. Changes nothing; may block.
    pub cleanup_preview: Ask<Result<Cleanup, String>>,
    /// Removes that, and tells what it removed. May block.
    pub cleanup: Ask<Result<Cleanup, String>>,
    /// All families of `/metrics`: ours, recorded ones, declared ones without samples.
    pub exposition: Ask<Vec<Family>>,
    /// Takes a remote-write message, which is already decompressed: decodes and stores it. May block.
    pub remote_write: TakeRemoteWrite,
    /// Takes pushed groups of metrics.
    pub pushgateway: Arc<watchfire_ingest::pushgateway::Pushgateway>,
    /// Takes Influx lines.
    pub influx: Arc<watchfire_ingest::influx::Influx>,
    /// Takes lines of JSON.
    pub jsonline: Arc<watchfire_ingest::jsonline::Jsonline>,
    /// Takes the progress of FFmpeg.
    pub ffmpeg: Arc<watchfire_ingest::ffmpeg::Ffmpeg>,
    /// Takes Zipkin's spans.
    pub zipkin: Arc<watchfire_ingest::zipkin::Zipkin>,
    /// Takes Loki's push.
    pub loki: Arc<watchfire_ingest::loki::Loki>,
    /// Takes profiles.
    pub pyroscope: Arc<watchfire_ingest::pyroscope::Pyroscope>,
    /// Takes documents of Elasticsearch's clients.
    pub elasticsearch: Arc<watchfire_ingest::elasticsearch::Elasticsearch>,
    /// Where stored log entries are read.
    pub logs: Arc<dyn LogSource>,
    /// Where stored spans are read: see `watchfire_model::spans`.
    pub spans: Arc<dyn LogSource>,
    /// Where stored profiles are read: see `watchfire_model::profiles`.
    pub profiles: Arc<dyn LogSource>,
    /// Where log entries are heard as they come in.
    pub log_taps: LogTaps,
    /// Who answers at the faces of exporters.
    pub exporters: crate::exporters::Exporters,
    /// Takes OTLP.
    pub otlp: Arc<watchfire_ingest::otlp::Otlp>,
    /// The same for an import: samples of any age are taken.
    pub import: TakeRemoteWrite,
    /// Work on what is stored.
    pub maintenance: Arc<dyn Maintenance>,
    /// Whether `/api/v1/admin/tsdb/*` is enabled.
    pub admin_api: bool,
    /// Takes the items of `POST /api/metrics/record`. May block.
    pub recorder: Arc<dyn Recorder>,
    /// Queues of jobs and their dead letters.
    pub queues: Arc<Queues>,
    /// Reports by mail.
    pub reports: Arc<watchfire_alert::reports::Reports>,
    /// Whether notifications carry pictures of the panels that their alerts name.
    pub notification_pictures: bool,
    /// Dashboards and their folders.
    pub boards: Arc<crate::grafana::Boards>,
    /// Counts the tokens of prompts. May block.
    pub tokens: Arc<TokenCounter>,
    /// Passes requests on to language models.
    pub gateway: Gateway,
    /// The effective configuration, secrets already replaced.
    pub config_yaml: Ask<String>,
    /// The effective flags, secrets already replaced.
    pub flags: BTreeMap<String, String>,
    /// Labels that federation and remote read add.
    pub external_labels: Ask<Labels>,
    /// Loads the configuration anew; `None` when `POST /-/reload` is not enabled.
    pub reload: Option<Ask<Result<(), String>>>,
    /// Asks the process to end; `None` when `POST /-/quit` is not enabled.
    pub quit: Option<Ask<()>>,
    /// When the last configuration was loaded, and whether the last attempt went well.
    pub last_reload: Ask<(Timestamp, bool)>,
    /// When the process started.
    pub started_at: Timestamp,
    /// The directory that the process works in, for `/api/v1/status/runtimeinfo`.
    pub working_dir: String,
    /// What was built.
    pub build: Build,
    /// What one query may cost.
    pub limits: QueryLimits,
}

/// What was built: shown by `/api/v1/status/buildinfo`.
#[derive(Clone, Debug)]
pub struct Build {
    /// Our own version.
    pub version: String,
    /// The commit, or `unknown`.
    pub revision: String,
    /// The compiler.
    pub compiler: String,
}

/// What one query may cost, and how many may run.
#[derive(Clone, Debug)]
pub struct QueryLimits {
    /// Wall time of one query, its wait in the queue included.
    pub timeout: Duration,
    /// Queries that run at the same time.
    pub parallel: usize,
    /// Queries that wait; one more is answered 429.
    pub queue: usize,
    /// The longest query text, in bytes.
    pub text_bytes_max: usize,
    /// Points per series of a range query.
    pub points_max: i64,
    /// Samples held at once.
    pub samples_max: u64,
    /// Bytes held at once.
    pub memory_max: u64,
    /// How far back a value still counts as the present one.
    pub lookback: Duration,
}
impl Default for QueryLimits {
    fn default() -> QueryLimits {
        QueryLimits {
            timeout: Duration::from_secs(30),
            parallel: 4,
            queue: 16,
            text_bytes_max: 16 << 10,
            points_max: 11_000,
            samples_max: 5_000_000,
            memory_max: 64 << 20,
            lookback: Duration::from_secs(300),
        }
    }
}

/// Figures about the store.
#[derive(Clone, Debug, Default)]
pub struct StorageStats {
    /// Where the data are.
    pub data_dir: String,
    /// One entry per kind of data (`metrics`, …).
    pub signals: Vec<SignalStats>,
    /// Bytes of the write-ahead log.
    pub log_bytes: u64,
    /// Bytes of the small state file.
    pub state_bytes: u64,
    /// Size of the file system that holds the data.
    pub disk_total_bytes: u64,
    /// What is used there. With what is free it is less than the size where a part is reserved for root.
    pub disk_used_bytes: u64,
    /// What is free there for us.
    pub disk_free_bytes: u64,
    /// The configured limit of our own size.
    pub size_max: Option<u64>,
    /// Why the store cannot write at the moment, if so.
    pub failure: Option<String>,
    /// Which data are offline because starts that read them died, and how they come back.
    pub offline: Option<String>,
}

/// Figures about one kind of stored data.
#[derive(Clone, Debug, Default)]
pub struct SignalStats {
    /// `metrics`, `logs`, `traces`, `profiles`.
    pub name: &'static str,
    /// Series or streams that are known.
    pub series: u64,
    /// Samples or entries that are kept.
    pub samples: u64,
    /// Immutable files.
    pub segments: u64,
    /// Their bytes.
    pub segment_bytes: u64,
    /// The oldest item.
    pub oldest: Option<Timestamp>,
    /// The newest item.
    pub newest: Option<Timestamp>,
    /// How long items are kept; `None` for ever.
    pub retention: Option<Duration>,
}

/// What a cleanup would remove, or removed.
#[derive(Clone, Debug, Default)]
pub struct Cleanup {
    /// Whole files that would go, or went.
    pub segments: u64,
    /// Samples in them.
    pub samples: u64,
    /// Bytes that would become free, or did.
    pub bytes: u64,
    /// How long items are kept; `None` for ever.
    pub retention: Option<Duration>,
    /// What would be the oldest moment kept; `None` when nothing is too old.
    pub keep_from: Option<Timestamp>,
    /// Whether the clock has jumped, so that nothing goes for its age.
    pub held: bool,
}

/// What the doctor found.
#[derive(Clone, Debug)]
pub struct DoctorReport {
    /// When it looked.
    pub checked_at: Timestamp,
    /// How many files it looked at.
    pub files: usize,
    /// What it found.
    pub findings: Vec<Diagnosis>,
    /// What the store writes; nothing while that says little.
    pub writes: Option<Writes>,
}

/// What the store has written since the start, and what that makes in the long run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Writes {
    /// For how long.
    pub seconds: f64,
    /// Bytes in that time.
    pub bytes: u64,
    /// Bytes in a day at this pace.
    pub bytes_per_day: f64,
    /// Syncs a second.
    pub syncs_per_second: f64,
}

/// How one of our own background workers is doing.
#[derive(Clone, Debug)]
pub struct WorkerStatus {
    /// Its name.
    pub name: String,
    /// Whether it runs.
    pub running: bool,
    /// A sentence for people when there is something to say.
    pub message: Option<String>,
}

/// What became of one list of `POST /api/metrics/record`.
#[derive(Clone, Debug, Default)]
pub struct Recorded {
    /// Items that were recorded.
    pub recorded: u64,
    /// Items that were refused, in the order of the list.
    pub refused: Vec<RefusedItem>,
}

/// One refused item of `POST /api/metrics/record`.
#[derive(Clone, Debug)]
pub struct RefusedItem {
    /// Its place in the list, from zero.
    pub index: usize,
    /// The metric it named.
    pub name: String,
    /// A stable code, for example `unknown_metric`.
    pub code: &'static str,
    /// A sentence for people.
    pub message: String,
}

/// Why a whole body of `POST /api/metrics/record` was refused.
#[derive(Debug)]
pub enum RecordError {
    /// It is not the JSON that is expected.
    Malformed(String),
    /// It has more bytes or items than allowed.
    TooLarge(String),
    /// The data cannot be taken now; try again later.
    Unavailable(String),
}

/// Takes the items of `POST /api/metrics/record`.
pub trait Recorder: Send + Sync {
    /// Records what is good in a JSON list of `{name, labels, value}` and says what is not. May block.
    fn record(&self, body: &[u8], origin: Origin) -> Result<Recorded, RecordError>;
}

/// Why a part of a backup was not given.
#[derive(Debug)]
pub enum BackupError {
    /// There is no such backup, or no such file in it.
    Unknown,
    /// The file system refused something.
    Failed(String),
}

/// Work on what is stored. All of it may block, and errors are sentences.
pub trait Maintenance: Send + Sync {
    /// Deletes what the series of any of the sets have between two moments, both inclusive.
    fn delete_series(&self, sets: &[Vec<Matcher>], start: Timestamp, end: Timestamp) -> Result<(), String>;
    /// Deletes the log entries of the selected streams with `start <= time < end`, those that the filter wants if there is one,
    /// and tells how many.
    fn delete_logs(&self, matchers: &[Matcher], start: Nanos, end: Nanos, filter: Option<&dyn Fn(LogLine<'_>) -> bool>) -> Result<u64, String>;
    /// Gives back the room of what was deleted.
    fn clean_tombstones(&self) -> Result<(), String>;
    /// Makes a snapshot, with recent samples or without them, and gives its name.
    fn snapshot(&self, skip_head: bool) -> Result<String, String>;
    /// Makes a snapshot to be fetched and gives its name and its files: paths and sizes in bytes. The admin token is in it only
    /// when secrets are wanted.
    fn begin_backup(&self, secrets: bool) -> Result<(String, Vec<(String, u64)>), BackupError>;
    /// The next bytes of one of its files, as many as fit into one answer; none at the end.
    fn read_backup(&self, name: &str, path: &str, offset: u64) -> Result<Vec<u8>, BackupError>;
    /// Removes it.
    fn end_backup(&self, name: &str) -> Result<(), BackupError>;
}

/// What every handler gets.
pub struct App {
    /// The rest of the house.
    pub rooms: Rooms,
    /// Who listens on `/ws/system`.
    pub hub: Hub,
    /// Admits queries.
    pub queries: QueryGate,
    /// Deletions of log entries that were carried out lately.
    pub(crate) log_deletions: Mutex<Vec<Deletion>>,
    /// Who follows logs.
    pub(crate) log_tails: Tails,
    /// Searches of Elasticsearch's interface that go on over several requests.
    pub(crate) searches: crate::elasticsearch::Contexts,
    /// Other names of indices.
    pub(crate) aliases: crate::elasticsearch::Aliases,
    /// What was noted at moments.
    pub(crate) annotations: crate::grafana::Annotations,
    /// Admits pictures of panels.
    pub(crate) pictures: crate::grafana::PictureGate,
    /// Held while the doctor looks.
    pub(crate) doctor_turn: Arc<tokio::sync::Mutex<()>>,
    others: OnceLock<Vec<Spec>>,
    openapi: OnceLock<Bytes>,
    started: Duration,
}
impl App {
    /// Puts the faces on top of the rest of the house.
    pub fn new(rooms: Rooms) -> Arc<App> {
        let started = rooms.clock.monotonic();
        let queries = QueryGate::new(&rooms.limits, &rooms.meter);
        let pictures = crate::grafana::PictureGate::new(rooms.limits.timeout, &rooms.meter);
        let hub = Hub::new(&rooms.meter);
        let searches = crate::elasticsearch::Contexts::new(&rooms.meter);
        let aliases = crate::elasticsearch::Aliases::new(rooms.state.clone());
        let annotations = crate::grafana::Annotations::new(rooms.state.clone());
        let app = Arc::new(App {
            annotations,
            hub,
            queries,
            log_deletions: Mutex::default(),
            log_tails: Tails::default(),
            searches,
            aliases,
            pictures,
            doctor_turn: Arc::default(),
            others: OnceLock::new(),
            openapi: OnceLock::new(),
            started,
            rooms,
        });
        app.rooms.reports.painted_by(crate::reports::painter(&app));
        if app.rooms.notification_pictures {
            app.rooms.alertmanager.pictures().painted_by(crate::reports::panel_painter(&app), &app.rooms.meter);
        }
        app
    }
    /// Names routes that others serve beside the faces (authentication), so that they are described too. The first call
    /// counts; it comes before the first request.
    pub fn describe_too(&self, others: Vec<Spec>) {
        let _known = self.others.get_or_init(|| others);
    }
    /// The description of the interface, made when it is first asked for.
    pub(crate) fn openapi(&self) -> Bytes {
        let others = self.others.get().map_or(&[][..], Vec::as_slice);
        self.openapi.get_or_init(|| crate::openapi::document(&self.rooms.build.version, others).into()).clone()
    }
    /// The time now.
    pub fn now(&self) -> Timestamp {
        self.rooms.clock.now()
    }
    /// How long the faces have been up.
    pub fn uptime(&self) -> Duration {
        self.rooms.clock.monotonic().saturating_sub(self.started)
    }
    /// A budget for one query that begins now, at most as long as the limit.
    pub fn budget(&self, timeout: Option<Duration>) -> Budget {
        let limits = &self.rooms.limits;
        let timeout = timeout.map_or(limits.timeout, |t| t.min(limits.timeout));
        Budget::within(Some(self.rooms.query_memory.clone()), self.rooms.clock.clone(), timeout, limits.samples_max, limits.memory_max)
    }
}
