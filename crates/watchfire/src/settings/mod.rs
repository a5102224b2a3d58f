//! `watchfire.yml`, the environment and the command line become one set of checked settings.
//! Precedence: flag, environment, file, default. It reads; it opens no socket and no store.

mod collecting;
mod environment;
mod exporters;
mod flags;
mod foreign;
mod forward;
mod gateway;
mod gpu;
mod grafana;
mod jaeger;
mod llm;
mod log;
mod logs;
mod profiling;
mod queues;
mod rules;
mod services;
mod sockets;
#[cfg(test)]
mod tests;
mod tiers;
mod traces;
mod tracing;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use watchfire_alert::receivers::heartbeat::Heartbeat;
use watchfire_alert::rules::slo::{self, Slo};
use watchfire_api::auth;
use watchfire_model::document::{Context, Finding, Node, Reader, Severity, Value, parse_yaml};
use watchfire_store::Tier;

pub(crate) use collecting::CollectingSettings;
pub(crate) use environment::Environment;
pub(crate) use exporters::{PostgresExporterSettings, RedisExporterSettings};
pub(crate) use foreign::{FOREIGN, Foreign, ForeignFile};
pub(crate) use forward::ForwardSettings;
pub(crate) use gateway::GatewaySettings;
pub(crate) use gpu::GpuSettings;
pub(crate) use llm::LlmSettings;
pub(crate) use log::LogSettings;
pub(crate) use logs::LogsSettings;
pub(crate) use profiling::ProfilingSettings;
pub(crate) use queues::QueueSettings;
pub(crate) use rules::RuleSettings;
pub(crate) use sockets::{SocketSettings, TlsPaths};
pub(crate) use traces::TraceSettings;
pub(crate) use tracing::{Endpoint, TracingSettings};

/// The address that is used unless told otherwise.
pub(crate) const DEFAULT_LISTEN: &str = "127.0.0.1:8000";

/// What the command line can override.
#[derive(Clone, Debug, Default)]
pub(crate) struct Flags {
    pub(crate) config: Option<PathBuf>,
    pub(crate) data_dir: Option<PathBuf>,
    pub(crate) listen: Option<String>,
    pub(crate) monitoring_dir: Option<PathBuf>,
    pub(crate) drop_in: bool,
    pub(crate) memory_limit: Option<String>,
    pub(crate) insecure_no_auth: bool,
}

/// Everything that the wiring needs to know.
#[derive(Debug)]
pub(crate) struct Settings {
    /// The file that was read, or the name it would have.
    pub(crate) file: PathBuf,
    pub(crate) server: ServerSettings,
    pub(crate) auth: auth::Settings,
    pub(crate) storage: StorageSettings,
    pub(crate) memory_limit: u64,
    pub(crate) query: QuerySettings,
    pub(crate) rules: RuleSettings,
    pub(crate) ingest: IngestSettings,
    pub(crate) otlp: OtlpSettings,
    /// `statsd:`, `syslog:`, `gelf:`, `beats:`
    pub(crate) sockets: SocketSettings,
    pub(crate) forward: ForwardSettings,
    pub(crate) gpu: GpuSettings,
    pub(crate) llm: LlmSettings,
    pub(crate) queues: QueueSettings,
    pub(crate) gateway: GatewaySettings,
    pub(crate) host: HostSettings,
    /// `processes:`, `containers:`, `llm_servers:`
    pub(crate) collecting: CollectingSettings,
    pub(crate) profiling: ProfilingSettings,
    pub(crate) log: LogSettings,
    pub(crate) logs: LogsSettings,
    pub(crate) traces: TraceSettings,
    /// Our own spans.
    pub(crate) tracing: TracingSettings,
    /// Packs whose rules and objectives are wanted. They change with a reload.
    pub(crate) packs: Vec<String>,
    /// Who is to miss us when we fall silent.
    pub(crate) heartbeat: Heartbeat,
    /// Whether notifications carry pictures of panels.
    pub(crate) notification_pictures: bool,
    /// Reports by mail.
    pub(crate) reports: Vec<watchfire_alert::reports::Report>,
    /// Service level objectives of our own file. They change with a reload.
    pub(crate) slos: Vec<Slo>,
    /// Supervised services. They change with a reload.
    pub(crate) services: watchfire_pipeline::supervision::Settings,
    /// `redis_exporter:`
    pub(crate) redis_exporter: RedisExporterSettings,
    pub(crate) postgres_exporter: PostgresExporterSettings,
    /// Targets that are probed. They change with a reload.
    pub(crate) probes: Vec<watchfire_collect::probe::native::Entry>,
    /// Cameras that are watched. They change with a reload.
    pub(crate) cameras: Vec<std::sync::Arc<watchfire_collect::camera::Camera>>,
    /// Streaming servers that are asked. They change with a reload.
    pub(crate) streams: Vec<std::sync::Arc<watchfire_collect::streams::Server>>,
    /// Foreign configuration by kind: named in the file, or found in the monitoring directory.
    pub(crate) foreign: Vec<Foreign>,
    pub(crate) monitoring_dir: Option<PathBuf>,
    pub(crate) drop_in: bool,
}

/// `server:`
#[derive(Debug)]
pub(crate) struct ServerSettings {
    pub(crate) listen: SocketAddr,
    /// Whether the address was asked for: then a taken port is fatal.
    pub(crate) listen_explicit: bool,
    pub(crate) data_dir: PathBuf,
    pub(crate) trusted_networks: Vec<String>,
    pub(crate) allowed_hosts: Vec<String>,
    pub(crate) tls: Option<(PathBuf, PathBuf)>,
    pub(crate) enable_lifecycle: bool,
    pub(crate) enable_admin_api: bool,
    pub(crate) insecure_no_auth: bool,
}

/// `storage:`
#[derive(Clone, Debug)]
pub(crate) struct StorageSettings {
    /// `None` is unlimited.
    pub(crate) metrics_retention: Option<Duration>,
    /// `None` is unlimited.
    pub(crate) logs_retention: Option<Duration>,
    /// How long spans are kept; `None` is for ever.
    pub(crate) traces_retention: Option<Duration>,
    /// How long profiles are kept; `None` is for ever.
    pub(crate) profiles_retention: Option<Duration>,
    /// Which windows are kept longer than samples.
    pub(crate) tiers: Vec<Tier>,
    pub(crate) size_max: Option<u64>,
    pub(crate) sync_interval: Duration,
    pub(crate) out_of_order_window: Duration,
    pub(crate) series_max: u64,
    pub(crate) source_series_max: u64,
    /// How many exemplars are kept, where `prometheus.yml` says so.
    pub(crate) exemplars_max: Option<u64>,
    /// Whether our own file says how long and how late; else `prometheus.yml` may.
    given: (bool, bool),
    /// How long logs are kept by our own file alone, and whether it says so; else `loki.yml` may.
    logs_own: (Option<Duration>, bool),
}
impl StorageSettings {
    /// How long logs are kept, where a `loki.yml` may have something to say of it. Within, `None` is for ever.
    pub(crate) fn logs_kept(&self, theirs: Option<Option<Duration>>) -> Option<Duration> {
        theirs.filter(|_| !self.logs_own.1).unwrap_or(self.logs_own.0)
    }
    /// Takes over what a `prometheus.yml` says and our own file does not.
    pub(crate) fn take_over(&mut self, theirs: &watchfire_collect::scrape::config::Storage) {
        let millis = |ms: u64| Duration::from_millis(ms);
        if let (false, Some(ms)) = (self.given.0, theirs.retention_ms) {
            self.metrics_retention = Some(millis(ms));
        }
        if let (false, Some(ms)) = (self.given.1, theirs.out_of_order_window_ms) {
            self.out_of_order_window = millis(ms);
        }
        self.size_max = self.size_max.or(theirs.retention_bytes);
        self.exemplars_max = theirs.max_exemplars;
    }
}

/// `query:`
#[derive(Debug)]
pub(crate) struct QuerySettings {
    pub(crate) timeout: Duration,
    pub(crate) parallel: usize,
    pub(crate) samples_max: u64,
    pub(crate) memory_max: u64,
    pub(crate) lookback: Duration,
}

/// `otlp:`
#[derive(Debug)]
pub(crate) struct OtlpSettings {
    pub(crate) grpc: Listen,
    pub(crate) http: Listen,
}

/// An address beside the main one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listen {
    /// The usual port on the main address; when it is taken, there is none.
    Usual,
    /// This one was asked for: when it is taken, we do not start.
    At(SocketAddr),
    /// None.
    Off,
}

/// `ingest:`, what is done with extras that data bring along.
#[derive(Debug)]
pub(crate) struct IngestSettings {
    /// Whether type and unit of a metric become the labels `__type__` and `__unit__`.
    pub(crate) type_and_unit_labels: bool,
    /// Whether the time at which a counter began becomes a sample of value 0.
    pub(crate) created_timestamps: bool,
}
impl IngestSettings {
    pub(crate) fn remote_write(&self) -> watchfire_ingest::remote_write::Options {
        let IngestSettings { type_and_unit_labels, created_timestamps } = *self;
        watchfire_ingest::remote_write::Options { type_and_unit_labels, created_timestamps }
    }
    pub(crate) fn scraping(&self) -> watchfire_collect::scrape::config::Extras {
        let IngestSettings { type_and_unit_labels, created_timestamps } = *self;
        watchfire_collect::scrape::config::Extras { type_and_unit_labels, created_timestamps }
    }
}

/// `host:`
#[derive(Debug)]
pub(crate) struct HostSettings {
    pub(crate) interval: Duration,
    pub(crate) root: PathBuf,
    pub(crate) name: Option<String>,
    /// Where other programs leave files with metrics.
    pub(crate) textfile_directories: Vec<PathBuf>,
}

/// Settings with what there is to say about them.
pub(crate) struct Loaded {
    pub(crate) settings: Settings,
    pub(crate) findings: Vec<Finding>,
}

impl Settings {
    /// The addresses that were asked for.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        let more = [self.otlp.grpc, self.otlp.http];
        let asked = more.into_iter().filter_map(|listen| if let Listen::At(address) = listen { Some(address) } else { None });
        let gateway = self.gateway.listen.iter().map(|(address, _)| *address);
        std::iter::once(self.server.listen).chain(asked).chain(gateway).collect()
    }
    /// What the process takes at its start, as texts to compare.
    pub(crate) fn sections(&self) -> Vec<(&'static str, String)> {
        vec![
            ("server", format!("{:?}", self.server)),
            ("auth", format!("{:?}", self.auth)),
            ("storage", format!("{:?}", self.storage)),
            ("memory", self.memory_limit.to_string()),
            ("query", format!("{:?}", self.query)),
            ("rules", format!("{:?}", self.rules)),
            ("ingest", format!("{:?}", self.ingest)),
            ("otlp", format!("{:?}", self.otlp)),
            ("statsd, syslog, gelf or beats", format!("{:?}", self.sockets)),
            ("forward", format!("{:?}", self.forward)),
            ("gpu", format!("{:?}", self.gpu)),
            ("llm", format!("{:?}", self.llm)),
            ("queues", format!("{:?}", self.queues)),
            ("gateway", format!("{:?}", self.gateway)),
            ("host", format!("{:?}", self.host)),
            ("processes", format!("{:?}", self.collecting.processes)),
            ("containers", format!("{:?}", self.collecting.containers)),
            ("llm_servers", format!("{:?}", self.collecting.llm_servers)),
            ("profiling", format!("{:?}", self.profiling)),
            ("log", format!("{:?}", self.log)),
            ("traces", format!("{:?}", self.traces)),
            ("tracing", format!("{:?}", self.tracing)),
            ("heartbeat", format!("{:?}", self.heartbeat)),
            ("notifications", self.notification_pictures.to_string()),
            ("reports", format!("{:?}", self.reports)),
            ("redis_exporter", format!("{:?}", self.redis_exporter)),
            ("postgres_exporter", format!("{:?}", self.postgres_exporter.url)),
        ]
    }
}

/// Reads everything. An error finding means that the settings must not be used.
pub(crate) fn load(flags: &Flags, environment: &Environment) -> Result<Loaded, Vec<Finding>> {
    let mut findings = Vec::new();
    let file = file(flags, environment);
    let (name, node) = match &file {
        Some(path) => read_file(path).map_err(|f| vec![*f])?,
        None => ("watchfire.yml".to_owned(), empty()),
    };
    let base = file.as_deref().and_then(Path::parent).map(Path::to_path_buf).unwrap_or_default();
    findings.extend(only_findings(&name, &node, &base));
    let (overlay, unknown) = environment.as_document();
    findings.extend(unknown);
    findings.extend(only_findings("environment", &overlay, &base));
    let merged = environment::merge(node, overlay);
    let (services, more) = services::read(&name, &merged, file.as_deref(), environment);
    findings.extend(more);
    if findings.iter().any(|f| f.severity == Severity::Error) {
        return Err(findings);
    }

    // The pieces are sound one by one; what flags and the whole have to say is found here.
    let context = Context::new("settings");
    let mut settings = read(&context, &merged, &base);
    settings.file = PathBuf::from(name);
    settings.services = services;
    flags::apply(&mut settings, flags, &context);
    settings.llm.check(&context);
    let mut foreign_findings = settings.find_foreign(&context);
    foreign_findings.extend(grafana::complete(&mut settings, environment));
    findings.extend(context.into_findings().into_iter().filter(|f| !findings.iter().any(|g| g.message == f.message)).collect::<Vec<_>>());
    findings.extend(foreign_findings);
    if findings.iter().any(|f| f.severity == Severity::Error) { Err(findings) } else { Ok(Loaded { settings, findings }) }
}

/// The file of ours that is read, if there is one.
pub(crate) fn file(flags: &Flags, environment: &Environment) -> Option<PathBuf> {
    flags.config.clone().or_else(|| default_file(environment))
}

fn default_file(environment: &Environment) -> Option<PathBuf> {
    environment.get("WATCHFIRE_CONFIG").map(PathBuf::from).or_else(|| Some(PathBuf::from("watchfire.yml")).filter(|p| p.is_file()))
}

fn empty() -> Node {
    Node { value: Value::Null, line: 0, column: 0 }
}

fn read_file(path: &Path) -> Result<(String, Node), Box<Finding>> {
    let name = path.display().to_string();
    parse_yaml(&name, &crate::text_file::read(path)?).map(|node| (name, node))
}

/// Reads a document only to learn what is wrong with it.
fn only_findings(name: &str, node: &Node, base: &Path) -> Vec<Finding> {
    let context = Context::new(name);
    read(&context, node, base);
    context.into_findings()
}

fn read(context: &Context, node: &Node, base: &Path) -> Settings {
    let root = Reader::new(context, node, "");
    let nothing = empty();
    let section = |key: &'static str| root.map(key).unwrap_or_else(|| Reader::new(context, &nothing, key));
    let memory_limit = read_memory(section("memory"));
    let settings = Settings {
        file: PathBuf::from("watchfire.yml"),
        server: read_server(section("server"), base),
        auth: read_auth(section("auth"), base),
        storage: read_storage(section("storage")),
        memory_limit,
        query: read_query(section("query"), memory_limit),
        rules: RuleSettings::read(section("rules")),
        ingest: read_ingest(section("ingest")),
        otlp: read_otlp(section("otlp")),
        sockets: SocketSettings::read(section, base),
        forward: ForwardSettings::read(section("forward"), base),
        gpu: GpuSettings::read(section("gpu")),
        llm: LlmSettings::read(section("llm"), base),
        queues: QueueSettings::read(section("queues"), base),
        gateway: GatewaySettings::read(section("gateway"), base),
        host: read_host(section("host")),
        collecting: CollectingSettings::read(&root, section, base),
        profiling: ProfilingSettings::read(section("profiling")),
        log: LogSettings::read(section("log"), base),
        logs: LogsSettings::read(section("logs")),
        traces: TraceSettings::read(section("traces"), base),
        tracing: TracingSettings::read(section("tracing")),
        packs: read_packs(&root),
        heartbeat: Heartbeat::read(section("heartbeat"), &|path| base.join(path)),
        notification_pictures: read_notifications(section("notifications")),
        reports: watchfire_alert::reports::read_list(&root, &|path| base.join(path)),
        slos: slo::read_list(&root, &*crate::rule_files::templates()),
        services: watchfire_pipeline::supervision::Settings::default(),
        redis_exporter: RedisExporterSettings::read(section("redis_exporter"), base),
        postgres_exporter: PostgresExporterSettings::read(section("postgres_exporter"), base),
        probes: watchfire_collect::probe::native::read(&root),
        cameras: watchfire_collect::camera::config::read(&root, &|path| base.join(path)),
        streams: watchfire_collect::streams::config::read(&root, &|path| base.join(path)),
        foreign: FOREIGN.iter().filter_map(|kind| Foreign::named(&root, *kind, base)).collect(),
        monitoring_dir: read_monitoring_dir(&root, base),
        drop_in: root.bool("drop_in").unwrap_or(false),
    };
    root.allow(&["services"]);
    root.finish();
    settings
}

/// `notifications:`
fn read_notifications(notifications: Reader<'_>) -> bool {
    let pictures = notifications.bool("pictures").unwrap_or(false);
    notifications.finish();
    pictures
}

fn read_monitoring_dir(root: &Reader<'_>, base: &Path) -> Option<PathBuf> {
    let dir = base.join(root.text("monitoring_dir")?);
    if let Err(error) = std::fs::read_dir(&dir) {
        root.error_at("monitoring_dir", format!("cannot read the directory {}: {error}", dir.display()));
    }
    Some(dir)
}

/// Names of packs; a name that no pack has is an error.
fn read_packs(root: &Reader<'_>) -> Vec<String> {
    let known: std::collections::BTreeSet<&str> = watchfire_pack::catalog::Catalogs::builtin_files().iter().map(|f| f.pack).collect();
    let wanted = root.texts("packs", true);
    for name in wanted.iter().filter(|n| !known.contains(n.as_str())) {
        let hint = watchfire_model::document::nearest(name, known.iter().copied()).map(|n| format!("; did you mean {n:?}?")).unwrap_or_default();
        root.error_at("packs", format!("there is no pack {name:?}{hint}"));
    }
    wanted
}

/// Password files are looked up beside the configuration, like every other file.
fn read_auth(auth: Reader<'_>, base: &Path) -> auth::Settings {
    let mut settings = auth::Settings::read(auth);
    for user in &mut settings.users {
        if let auth::PasswordSource::File(path) = &mut user.password {
            *path = base.join(&*path);
        }
    }
    settings
}

fn read_server(server: Reader<'_>, base: &Path) -> ServerSettings {
    let listen = server.text("listen");
    let address = listen.as_deref().and_then(|text| parse_listen(text).map_err(|e| server.error_at("listen", e)).ok());
    let tls = server.map("tls").map(|tls| {
        let pair = (base.join(tls.required_text("cert_file")), base.join(tls.required_text("key_file")));
        for (key, path) in [("cert_file", &pair.0), ("key_file", &pair.1)] {
            if tls.raw(key).is_some()
                && let Err(error) = std::fs::File::open(path)
            {
                tls.error_at(key, format!("cannot read {}: {error}", path.display()));
            }
        }
        tls.finish();
        pair
    });
    let trusted_networks = server.texts("trusted_networks", true);
    for text in &trusted_networks {
        if let Err(error) = text.parse::<watchfire_net::policy::Network>() {
            server.error_at("trusted_networks", error.to_string());
        }
    }
    let settings = ServerSettings {
        listen: address.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 8000))),
        listen_explicit: listen.is_some(),
        data_dir: server.text("data_dir").map_or_else(|| PathBuf::from("data"), |p| base.join(p)),
        trusted_networks,
        allowed_hosts: server.texts("allowed_hosts", true),
        tls,
        enable_lifecycle: server.bool("enable_lifecycle").unwrap_or(false),
        enable_admin_api: server.bool("enable_admin_api").unwrap_or(false),
        insecure_no_auth: server.bool("insecure_no_auth").unwrap_or(false),
    };
    server.finish();
    settings
}

/// `ADDR:PORT`, `:PORT` (loopback) or `localhost:PORT`.
pub(crate) fn parse_listen(text: &str) -> Result<SocketAddr, String> {
    let full = match text.strip_prefix(':') {
        Some(port) => format!("127.0.0.1:{port}"),
        None => text.replacen("localhost:", "127.0.0.1:", 1),
    };
    full.parse().map_err(|_| format!("must be an address with a port such as {DEFAULT_LISTEN} or [::1]:8000, not {text:?}"))
}

/// A retention: a duration or `unlimited`.
fn retention(reader: &Reader<'_>, key: &'static str, default_days: u64) -> Option<Duration> {
    if reader.raw(key).and_then(Node::text) == Some("unlimited") {
        return None;
    }
    match reader.duration_ms(key) {
        Some(0) => {
            reader.error_at(key, "must be longer than 0; say \"unlimited\" to keep everything");
            None
        }
        Some(ms) => Some(Duration::from_millis(ms)),
        None => Some(Duration::from_secs(default_days * 86_400)),
    }
}

fn read_storage(storage: Reader<'_>) -> StorageSettings {
    let ms = |key: &'static str, default: u64| Duration::from_millis(storage.duration_ms(key).unwrap_or(default));
    let month = Some(Duration::from_secs(30 * 86_400));
    let [mut metrics_retention, mut logs_retention, mut traces_retention, mut profiles_retention] = [month; 4];
    let mut logs_given = false;
    let mut given = (false, storage.raw("out_of_order_window").is_some());
    if let Some(keep) = storage.map("retention") {
        given.0 = keep.raw("metrics").is_some();
        logs_given = keep.raw("logs").is_some();
        metrics_retention = retention(&keep, "metrics", 30);
        logs_retention = retention(&keep, "logs", 30);
        traces_retention = retention(&keep, "traces", 30);
        profiles_retention = retention(&keep, "profiles", 30);
        keep.finish();
    }
    let settings = StorageSettings {
        metrics_retention,
        logs_retention,
        traces_retention,
        profiles_retention,
        tiers: tiers::read(&storage),
        size_max: storage.bytes("max_size"),
        sync_interval: ms("sync_interval", 5_000),
        out_of_order_window: ms("out_of_order_window", 7_200_000),
        series_max: storage.u64("series_max").unwrap_or(100_000),
        source_series_max: storage.u64("source_series_max").unwrap_or(10_000),
        exemplars_max: None,
        given,
        logs_own: (logs_retention, logs_given),
    };
    storage.finish();
    settings
}

fn read_memory(memory: Reader<'_>) -> u64 {
    const SMALLEST: u64 = 32 << 20;
    let limit = memory.bytes("limit");
    if limit.is_some_and(|l| l < SMALLEST) {
        memory.error_at("limit", "must be at least 32MB");
    }
    memory.finish();
    limit.unwrap_or_else(crate::memory::default_limit)
}

fn read_query(query: Reader<'_>, memory_limit: u64) -> QuerySettings {
    let settings = QuerySettings {
        timeout: Duration::from_millis(query.duration_ms("timeout").unwrap_or(30_000)),
        parallel: query.u64("parallel").unwrap_or(4) as usize,
        samples_max: query.u64("samples_max").unwrap_or(5_000_000),
        memory_max: query.bytes("memory_max").unwrap_or((64 << 20).max(memory_limit / 8)),
        lookback: Duration::from_millis(query.duration_ms("lookback").unwrap_or(300_000)),
    };
    if !(1..=256).contains(&settings.parallel) {
        query.error_at("parallel", "must be between 1 and 256");
    }
    query.finish();
    settings
}

fn read_otlp(otlp: Reader<'_>) -> OtlpSettings {
    let settings = OtlpSettings { grpc: read_listen(&otlp, "grpc_listen"), http: read_listen(&otlp, "http_listen") };
    otlp.finish();
    settings
}

/// `off`, an address, or nothing.
fn read_listen(reader: &Reader<'_>, key: &'static str) -> Listen {
    match reader.text(key).as_deref() {
        None => Listen::Usual,
        Some("off") => Listen::Off,
        Some(text) => parse_listen(text).map_or_else(
            |error| {
                reader.error_at(key, format!("{error}; or \"off\""));
                Listen::Off
            },
            Listen::At,
        ),
    }
}

fn read_ingest(ingest: Reader<'_>) -> IngestSettings {
    let flag = |key| ingest.bool(key).unwrap_or(false);
    let settings = IngestSettings { type_and_unit_labels: flag("type_and_unit_labels"), created_timestamps: flag("created_timestamps") };
    ingest.finish();
    settings
}

fn read_host(host: Reader<'_>) -> HostSettings {
    let interval = host.duration_ms("interval").unwrap_or(15_000);
    if interval < 1_000 {
        host.error_at("interval", "must be at least 1s");
    }
    let settings = HostSettings {
        interval: Duration::from_millis(interval.max(1_000)),
        root: host.text("root").map_or_else(|| PathBuf::from("/"), PathBuf::from),
        name: host.text("name"),
        textfile_directories: host.texts("textfile_directory", true).into_iter().filter(|path| !path.is_empty()).map(PathBuf::from).collect(),
    };
    host.finish();
    settings
}
