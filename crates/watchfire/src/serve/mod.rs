//! `watchfire serve`: puts the rooms together, runs them, takes them apart in order. It decides nothing that a room decides.

mod alerting;
pub(crate) mod alertmanager;
mod alertmanagers;
mod bounds;
mod cameras;
mod collecting;
mod doctor;
pub(crate) mod exporters;
mod gateway;
pub(crate) mod grafana;
mod heartbeat;
mod listen;
pub(crate) mod logs;
pub(crate) mod loki;
mod maintenance;
mod own_alerts;
mod own_profile;
pub(crate) mod prometheus;
mod protocols;
mod queues;
mod receive;
mod reports;
mod rooms;
mod scraping;
mod sockets;
mod supervision;
mod tokens;
mod traces;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::signal::unix::{SignalKind, signal};
use watchfire_api::App;
use watchfire_api::auth::{AuthError, check_bind};
use watchfire_collect::gpu::database::Address;
use watchfire_collect::gpu::{self, GpuMonitor};
use watchfire_collect::scrape::{self, Manager};
use watchfire_forward::read::{Parts as ReadParts, RemoteSource};
use watchfire_forward::write::{Forwarder, Parts as WriteParts};
use watchfire_ingest::gate::Gate;
use watchfire_ingest::record::Recorder;
use watchfire_model::document::{Finding, Severity};
use watchfire_model::meter::Meter;
use watchfire_model::read::MemoryPool;
use watchfire_model::time::{SharedClock, SystemClock};
use watchfire_net::client::{Caller, Client};
use watchfire_net::tasks::Tasks;
use watchfire_net::tls::{ClientTls, client_config};
use watchfire_pack::catalog::Catalogs;
use watchfire_pipeline::gateway::Gateway;
use watchfire_store::{OpenError, Options, Store};

use self::prometheus::Configured;
use crate::own_log::{self, Kept};
use crate::settings::{self, Environment, Flags, IngestSettings, Settings};
use crate::spans::{self, Own};
use crate::{logging, memory};

pub(crate) use maintenance::{Backfill, files_below, new_backup_dir};
pub(crate) use rooms::build;

/// How long a clean stop may take before we leave anyway.
const STOP_PATIENCE: Duration = Duration::from_secs(4);
/// Idle blocking threads stay for a little longer than the usual interval of collectors, who need one each time.
const BLOCKING_KEEP_ALIVE: Duration = Duration::from_secs(20);
/// By then the start is over.
const START_UP: Duration = Duration::from_secs(20);
/// How long code stays in memory that nobody runs any more, at most.
const CODE_IDLE: Duration = Duration::from_secs(600);
/// How often recorded application metrics are stored.
const RECORD_INTERVAL: Duration = Duration::from_secs(5);

/// Runs the command.
pub(crate) fn run(flags: Flags, environment: Environment) -> ExitCode {
    memory::use_few_arenas(&environment);
    let (settings, configured) = match configure(&flags, &environment) {
        Ok(configured) => configured,
        Err(findings) => {
            for finding in &findings {
                eprintln!("{finding}");
            }
            return ExitCode::from(2);
        }
    };
    let server = &settings.server;
    for address in settings.addresses() {
        if let Err(refused) = check_bind(address, &settings.auth, server.insecure_no_auth) {
            eprintln!("watchfire: {refused}");
            return ExitCode::from(2);
        }
    }
    match start(settings, configured, flags, environment) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("watchfire: {}", without_repetition(&error));
            if error.is::<AuthError>() {
                return ExitCode::from(2);
            }
            match error.downcast_ref::<OpenError>() {
                Some(OpenError::Newer { .. }) => ExitCode::from(3),
                _ => ExitCode::FAILURE,
            }
        }
    }
}

/// Settings, Prometheus configuration and rules, or every error there is. Warnings are printed and do not stop anybody.
fn configure(flags: &Flags, environment: &Environment) -> Result<(Settings, Configured), Vec<Finding>> {
    let loaded = settings::load(flags, environment)?;
    let (configured, findings) = prometheus::read_all(&loaded.settings, environment);
    for finding in loaded.findings.iter().chain(&findings).filter(|f| f.severity == Severity::Warning) {
        eprintln!("{finding}");
    }
    let configured = configured.ok_or(findings)?;
    let mut settings = loaded.settings;
    for diagnosis in crate::check::site::alert_path(&settings) {
        eprintln!("{}", diagnosis.finding());
    }
    settings.storage.take_over(&configured.prometheus.storage);
    settings.storage.logs_retention = loki::policy(&settings.storage, &configured.loki).retention;
    Ok((settings, configured))
}

fn start(settings: Settings, configured: Configured, flags: Flags, environment: Environment) -> Result<ExitCode> {
    let clock = SystemClock::shared();
    let own = spans::asked_for(&settings.tracing, &clock);
    let kept = logging::start(&settings.log, clock.clone(), own.clone())?;
    // Two workers serve an edge box; blocking threads are for file and query work and go away when idle.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(32 + settings.query.parallel)
        .thread_keep_alive(BLOCKING_KEEP_ALIVE)
        .thread_name("watchfire")
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let outcome = runtime.block_on(Box::pin(serve(settings, configured, flags, environment, clock, (own, kept))));
    runtime.shutdown_timeout(Duration::from_secs(1));
    outcome
}

async fn serve(settings: Settings, configured: Configured, flags: Flags, environment: Environment, clock: SharedClock, voice: (Own, Kept)) -> Result<ExitCode> {
    let meter = Meter::new();
    let tasks = Tasks::new(&meter);
    let mut signals = Signals::new()?;
    let bound = listen::bind(&settings)?;
    let sockets = sockets::bind(&settings)?;
    let options = bounds::store(&settings, &configured.loki, &clock, &meter);
    let Some(store) = open_until_told(options, &mut signals).await? else { return Ok(ExitCode::SUCCESS) };
    let store = Arc::new(store);
    let replay = store.stats().replay;
    tracing::info!(
        frames = replay.frames,
        samples = replay.samples,
        clean = replay.clean,
        quarantined = replay.quarantined,
        ms = replay.duration_ms,
        "store opened"
    );

    let limits = bounds::limits(&settings, &configured.loki);
    let sampler = traces::sampler(&settings, store.clone(), &clock, &meter);
    let gate = Gate::new(store.clone(), clock.clone(), &meter, limits);
    let gate = Arc::new(sampler.iter().fold(gate, |gate, sampler| gate.with_sampler(sampler.clone())));
    let instance = settings.host.name.clone().unwrap_or_else(host_name);
    let recorder = Arc::new(Recorder::new(Catalogs::builtin(), clock.clone(), &meter, &instance));
    let gpu = start_gpu(&settings, &environment, &instance, &gate, &recorder, &clock, &meter)?;
    let auth = listen::authenticate(&settings, store.state(), &clock)?;
    let own_token = auth.is_enabled().then(|| auth.own_token().clone());
    let aliases = scrape::default_aliases(&bound.own_address(), own_token);
    let scraping = scraping::Thread::start()?;
    let host = exporters::host_collector(&settings, &instance, &meter, &clock)?;
    let collector = logs::open(&gate, store.state(), &clock, &meter, &tasks, &settings.server.trusted_networks);
    let answering = Arc::new(exporters::Answering::new(&settings, &bound, (host.clone(), collector.clone()), caller(&environment, &clock), &clock, &meter)?);
    let fetch = Arc::new(answering.in_process(Arc::new(scrape::NetFetch::through(caller(&environment, &clock))), &bound));
    let manager = start_scraping(scraping.runtime(), &settings.ingest, &instance, fetch, aliases.clone(), &gate, &tasks, &clock, &meter);
    let listed = manager.clone();
    answering.access.listed_by(Box::new(move || listed.targets()));
    let protocols = Arc::new(protocols::Protocols::new(&settings, &gate, store.state(), &clock, &meter)?);
    let disk_bytes = rustix::fs::statvfs(&settings.server.data_dir).map(|s| s.f_blocks * s.f_frsize).ok();
    store.set_tail_bytes_max(settings.forward.buffer_max(settings.storage.size_max, disk_bytes));
    let supervisor = supervision::open(&settings, store.state(), &recorder, &clock, &meter)?;
    let (forwarder, remote) = start_forwarding(&store, &environment, &clock, &meter);
    store.set_log_tail_age_max(settings.forward.logs_age_max);
    let parts = || write_parts(&store, &environment, &clock, &meter);
    let sending = Arc::new(logs::Sending::new(parts, &settings, bound.own_ports()));
    let query_memory = MemoryPool::new(memory::shares(settings.memory_limit).queries);
    let inside = alertmanager::open(
        watchfire_alert::manager::engine::Parts {
            config: configured.alertmanager.clone(),
            state: store.state(),
            clock: clock.clone(),
            meter: meter.clone(),
            external_url: settings.rules.external_url.clone().unwrap_or_else(|| bound.own_url(&settings)),
        },
        caller(&environment, &clock),
    )?;
    let alerting = alerting::Parts {
        inside: inside.clone(),
        source: remote.clone(),
        logs: store.clone(),
        sink: gate.clone(),
        memory: query_memory.clone(),
        caller: caller(&environment, &clock),
        aliases,
        tasks: tasks.clone(),
        meter: meter.clone(),
        clock: clock.clone(),
        own_url: bound.own_url(&settings),
    };
    let alerting = Arc::new(alerting::Alerting::new(alerting, &settings));
    let cameras = cameras::start(&recorder, &environment, caller(&environment, &clock), &tasks, &clock);
    let wanted_packs = grafana::Wanted::new(remote.clone(), query_memory.clone(), clock.clone());
    let dashboards = grafana::open(store.state(), &clock, wanted_packs, bound.own_port())?;
    let carried_out_by = prometheus::CarriedOutBy {
        dashboards: dashboards.clone(),
        manager: manager.clone(),
        protocols: protocols.clone(),
        forwarder: forwarder.clone(),
        remote: remote.clone(),
        supervisor: supervisor.clone(),
        alerting: alerting.clone(),
        alertmanager: inside.clone(),
        logs: collector,
        sending: sending.clone(),
        answering: answering.clone(),
        cameras: cameras.clone(),
        loki: loki::LogRoom { store: store.clone(), gate: gate.clone(), loki: protocols.loki.clone(), storage: settings.storage.clone() },
    };
    let tokens = tokens::start(&settings.llm, &recorder, &tasks);
    let gateway = gateway::start(&gateway::Surroundings {
        settings: &settings,
        environment: &environment,
        tokens: &tokens,
        recorder: &recorder,
        gpu: &gpu,
        state: store.state(),
        clock: &clock,
        meter: &meter,
        tasks: &tasks,
    })?;
    let open_to_all = !auth.is_enabled() && !settings.server.listen.ip().is_loopback();
    let doctor = doctor::Doctor {
        flags: flags.clone(),
        environment: environment.clone(),
        source: remote.clone(),
        memory: query_memory.clone(),
        storage: rooms::storage_of(&store, &settings),
        written: {
            let store = store.clone();
            Arc::new(move || store.stats().written)
        },
        over_limit: {
            let gate = gate.clone();
            Arc::new(move || gate.over_limit())
        },
        open_at: open_to_all.then(|| settings.server.listen.to_string()),
        clock: clock.clone(),
        started: clock.monotonic(),
        last: std::sync::Mutex::default(),
        kept: std::sync::Mutex::default(),
    };
    let profile_caller = caller(&environment, &clock);
    let beating = heartbeat::start(&settings.heartbeat, &alerting, &inside, caller(&environment, &clock), &clock, &meter);
    let reloader = Arc::new(prometheus::Reloader::start(flags, environment, carried_out_by, clock.clone(), &meter, configured));
    let queues = queues::start(&settings, store.state(), &recorder, &clock, &meter, &tasks)?;
    let watched = own_alerts::Watched {
        supervisor: supervisor.clone(),
        gpu: gpu.clone(),
        queues: queues.queues.clone(),
        data_dir: settings.server.data_dir.clone(),
        heartbeat: settings.heartbeat.alert,
        instance: instance.clone(),
    };
    let parts = rooms::Parts {
        store: store.clone(),
        boards: dashboards.boards.clone(),
        query_source: remote,
        query_memory,
        alerting: alerting.clone(),
        alertmanager: inside.clone(),
        doctor: Arc::new(doctor),
        gate: gate.clone(),
        recorder: recorder.clone(),
        gpu: gpu.clone(),
        manager: manager.clone(),
        reloader: reloader.clone(),
        protocols: protocols.clone(),
        exporters: answering.exporters(),
        cameras,
        queues,
        supervisor: supervisor.clone(),
        tokens,
        gateway: gateway.clone(),
        tasks: tasks.clone(),
        meter: meter.clone(),
        clock: clock.clone(),
        quit: signals.quit(),
    };
    let app = App::new(rooms::rooms(parts, &settings));
    let looking = collecting::Parts { settings: &settings, instance: &instance, tasks: &tasks, gate: &gate, meter: &meter, clock: &clock };
    collecting::start(&looking, host, || profile_caller.clone());
    start_recording(&tasks, recorder, gate.clone());
    dashboards.start(&tasks);
    tasks.spawn("reports", app.rooms.reports.clone().run());
    own_log::start(voice.1, &instance, &gate, &tasks, &meter);
    spans::start(voice.0, &settings.tracing, &gate, bound.own_ports(), &tasks, &meter);
    let spans = traces::start(&settings.traces, &instance, sampler, &gate, &tasks, &clock, &meter);
    start_forgetting(&tasks);
    tasks.spawn("backup_tidier", maintenance::tidy_hourly(settings.server.data_dir.clone(), clock.clone()));
    protocols.start(&tasks);
    sockets.start(&protocols, &tasks);
    supervision::start(supervisor, &app, &tasks);
    tasks.spawn("own_alerts", own_alerts::run(watched, alerting.notify(), clock.clone()));
    let (pyroscope, store_too) = (protocols.pyroscope.clone(), store.clone());
    let parts = own_profile::Parts { pyroscope, store: store_too, caller: profile_caller, instance: instance.clone(), clock: clock.clone() };
    own_profile::start(&settings.profiling, parts, &tasks, &meter);
    if settings.heartbeat.url.is_some() {
        tasks.spawn("heartbeat", beating);
    }
    tasks.spawn("alertmanager", inside.run(tasks.clone()));
    let live = app.clone();
    gpu.on_sample(move |sample| live.hub.publish_gpu(sample));
    tasks.spawn("gpu_monitor", gpu.run());
    tasks.spawn("system_broadcaster", watchfire_api::live::beat(app.clone()));
    let addresses = listen::serve(bound, &settings, app, &auth, &tasks, &clock, &meter, &reloader)?;
    announce(&addresses, &settings);

    let code = signals.wait(&reloader).await;
    shut_down(&manager, &tasks, (forwarder, sending), gateway, spans, &store).await;
    drop(scraping);
    Ok(code)
}

/// Opens the store, unless somebody wants us to end first: reading a long log back takes a while, and whoever asks politely must not
/// have to kill us, which would count as a start that died.
async fn open_until_told(options: Options, signals: &mut Signals) -> Result<Option<Store>> {
    let stop = options.stop.clone();
    let mut opening = tokio::task::spawn_blocking(move || Store::open(options));
    let opened = tokio::select! {
        opened = &mut opening => opened,
        _ = signals.terminate.recv() => stopped(&stop, opening).await,
        _ = signals.interrupt.recv() => stopped(&stop, opening).await,
    };
    match opened.context("opening the store panicked")? {
        Err(OpenError::Stopped) => Ok(None),
        // It was nearly done when we were told; it ends in good order.
        Ok(store) if stop.load(Ordering::Relaxed) => {
            store.close();
            Ok(None)
        }
        opened => Ok(Some(opened?)),
    }
}

async fn stopped<T>(stop: &AtomicBool, opening: tokio::task::JoinHandle<T>) -> Result<T, tokio::task::JoinError> {
    tracing::info!("told to end while the store is opened");
    stop.store(true, Ordering::Relaxed);
    opening.await
}

fn start_gpu(
    settings: &Settings,
    environment: &Environment,
    instance: &str,
    gate: &Arc<Gate>,
    recorder: &Arc<Recorder>,
    clock: &SharedClock,
    meter: &Meter,
) -> Result<GpuMonitor> {
    let mut gpu = gpu::Settings::new(instance);
    gpu.search_path = environment.get("PATH").map(Into::into);
    gpu.root.clone_from(&settings.host.root);
    let wanted = &settings.gpu;
    // What had to be moved into its limits was said when the settings were read.
    gpu.set_poll_interval_seconds(wanted.poll_interval_s);
    gpu.set_history_minutes(wanted.history_minutes);
    gpu.set_http_timeout_seconds(wanted.http_timeout_s);
    gpu.ai_health_urls.clone_from(&wanted.ai_service_urls);
    if let Some(url) = &wanted.database_url {
        // The system's authorities cost memory, so they are loaded only for a database that insists on them.
        let encryption = Address::insists_on_encryption(url.expose()).then(|| client_config(&ClientTls::default())).transpose()?;
        match Address::parse(url.expose(), encryption.map(Arc::new)) {
            Ok(address) => gpu.database = Some(address),
            // DATABASE_URL belongs to the watched program and may well name another kind of database.
            Err(error) if environment.get("DATABASE_URL").is_some() => tracing::warn!(%error, "DATABASE_URL is not used for gpu_stats"),
            Err(error) => return Err(error).context("cannot use gpu.database_url"),
        }
    }
    let recorded = recorder.clone();
    let parts = gpu::Parts {
        clock: clock.clone(),
        sink: gate.clone(),
        meter: meter.clone(),
        detections: Some(Arc::new(move || recorded.total("hsi_detections_processed_total"))),
        fetch: Some(Arc::new(Client::new(ClientTls::default()))),
    };
    Ok(GpuMonitor::new(gpu, parts))
}

#[expect(clippy::too_many_arguments, reason = "the rooms that scraping meets; a struct would only rename them")]
fn start_scraping(
    runtime: tokio::runtime::Handle,
    ingest: &IngestSettings,
    instance: &str,
    fetch: Arc<dyn scrape::Fetch>,
    aliases: scrape::Aliases,
    gate: &Arc<Gate>,
    tasks: &Tasks,
    clock: &SharedClock,
    meter: &Meter,
) -> Arc<Manager> {
    Arc::new(Manager::new(scrape::Surroundings {
        runtime,
        sink: gate.clone(),
        clock: clock.clone(),
        meter: meter.clone(),
        tasks: tasks.clone(),
        fetch,
        aliases,
        extras: ingest.scraping(),
        offset_seed: watchfire_model::labels::Labels::from_pairs([("host", instance)]).hash_value(),
    }))
}

/// What sends on what is stored, and what queries read beside it.
fn start_forwarding(store: &Arc<Store>, environment: &Environment, clock: &SharedClock, meter: &Meter) -> (Arc<Forwarder>, Arc<RemoteSource>) {
    let (caller, runtime) = (caller(environment, clock), tokio::runtime::Handle::current());
    let begin = store.clone();
    let read = ReadParts { local: store.clone(), local_begin: Arc::new(move || begin.stats().oldest), caller, meter: meter.clone(), runtime };
    (Arc::new(Forwarder::new(write_parts(store, environment, clock, meter))), Arc::new(RemoteSource::new(read)))
}

fn write_parts(store: &Arc<Store>, environment: &Environment, clock: &SharedClock, meter: &Meter) -> WriteParts {
    let runtime = tokio::runtime::Handle::current();
    WriteParts { store: store.clone(), caller: caller(environment, clock), clock: clock.clone(), meter: meter.clone(), runtime }
}

/// What makes requests as configuration says.
fn caller(environment: &Environment, clock: &SharedClock) -> Arc<Caller> {
    Arc::new(Caller::new(clock.clone()).with_environment(&|name| environment.get(name).map(str::to_owned)))
}

/// Gives memory of code back that is not in use: what only the start needed, and what a rare request needed.
fn start_forgetting(tasks: &Tasks) {
    tasks.spawn("memory_trimmer", async {
        tokio::time::sleep(START_UP).await;
        loop {
            memory::forget_idle_code();
            tokio::time::sleep(CODE_IDLE).await;
        }
    });
}

/// Stores recorded application metrics now and then.
fn start_recording(tasks: &Tasks, recorder: Arc<Recorder>, gate: Arc<Gate>) {
    tasks.spawn("recorder", async move {
        let mut ticks = tokio::time::interval(RECORD_INTERVAL);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if recorder.is_empty() {
                continue;
            }
            let (recorder, gate) = (recorder.clone(), gate.clone());
            match tokio::task::spawn_blocking(move || recorder.flush(&*gate)).await {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => tracing::warn!(%error, "recorded metrics were not stored; the next try holds them too"),
                Err(error) => tracing::error!(%error, "storing recorded metrics panicked"),
            }
        }
    });
}

/// The name that series of this machine carry.
fn host_name() -> String {
    rustix::system::uname().nodename().to_str().ok().filter(|n| !n.is_empty()).unwrap_or("localhost").to_owned()
}

/// Tells people where to look; programs read the log.
fn announce(addresses: &[String], settings: &Settings) {
    if let Some((first, faces)) = addresses.split_first() {
        println!("Watchfire is at {first}/");
        if !faces.is_empty() {
            println!("It answers in the place of others at {}", faces.join(", "));
        }
    }
    for address in addresses {
        tracing::info!(address, "listening");
        cameras::announce(address, settings);
    }
    if !settings.auth.enabled && !settings.server.listen.ip().is_loopback() {
        println!("WARNING: authentication is off and the address is open: everybody who reaches it may read and change everything.");
        tracing::warn!("authentication is off and the address is open");
    }
}

async fn shut_down(
    manager: &Manager,
    tasks: &Tasks,
    passing_on: (Arc<Forwarder>, Arc<logs::Sending>),
    gateway: Gateway,
    spans: traces::Spans,
    store: &Arc<Store>,
) {
    tracing::info!("stopping");
    let late = async {
        manager.shutdown().await;
        tasks.shut_down(STOP_PATIENCE).await
    };
    match tokio::time::timeout(STOP_PATIENCE, late).await {
        Ok(late) if late.is_empty() => {}
        Ok(late) => tracing::warn!(?late, "some tasks did not end in time"),
        Err(_) => tracing::warn!("not everything ended in time"),
    }
    let store = store.clone();
    let close = move || {
        passing_on.0.stop();
        passing_on.1.stop();
        gateway.tend();
        spans.finish();
        store.close();
    };
    if let Err(error) = tokio::task::spawn_blocking(close).await {
        tracing::error!(%error, "closing the store panicked");
    }
}

/// What the operating system, or `/-/quit`, may ask of us.
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    hang_up: tokio::signal::unix::Signal,
    quit: Arc<tokio::sync::Notify>,
}
impl Signals {
    fn new() -> Result<Signals> {
        let on = |kind| signal(kind).context("cannot listen to signals");
        Ok(Signals {
            terminate: on(SignalKind::terminate())?,
            interrupt: on(SignalKind::interrupt())?,
            hang_up: on(SignalKind::hangup())?,
            quit: Arc::new(tokio::sync::Notify::new()),
        })
    }

    /// What `/-/quit` calls.
    fn quit(&self) -> Arc<dyn Fn() + Send + Sync> {
        let quit = self.quit.clone();
        Arc::new(move || quit.notify_one())
    }

    /// Reloads on SIGHUP until somebody wants us to end; after that a second signal ends us at once.
    async fn wait(&mut self, reloader: &Arc<prometheus::Reloader>) -> ExitCode {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => break,
                _ = self.interrupt.recv() => break,
                () = self.quit.notified() => break,
                _ = self.hang_up.recv() => {
                    let reloader = reloader.clone();
                    // A failed reload has told its findings; the configuration before runs on.
                    drop(tokio::task::spawn_blocking(move || reloader.reload()).await);
                }
            }
        }
        for kind in [SignalKind::terminate(), SignalKind::interrupt()] {
            if let Ok(mut again) = signal(kind) {
                tokio::task::spawn(async move {
                    again.recv().await;
                    std::process::exit(130);
                });
            }
        }
        ExitCode::SUCCESS
    }
}

/// An error with its causes. Errors of our own crates name their cause in their sentence already.
fn without_repetition(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |said, cause| match said {
        said if said.is_empty() => cause,
        said if said.contains(&cause) => said,
        said => format!("{said}: {cause}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_said_once() {
        let taken = || std::io::Error::from(std::io::ErrorKind::AddrInUse);
        let check = |error: anyhow::Error, expected: &str| assert_eq!(without_repetition(&error), expected);
        check(anyhow::Error::new(taken()).context(format!("cannot listen on x: {}", taken())), &format!("cannot listen on x: {}", taken()));
        check(anyhow::Error::new(taken()).context("cannot start"), &format!("cannot start: {}", taken()));
    }
}
