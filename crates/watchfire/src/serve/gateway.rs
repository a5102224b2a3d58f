//! The gateway before language models, put together: what it is told, what counts and keeps for it, the GPU's memory pressure, and
//! what is done for it now and then.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use watchfire_collect::gpu::GpuMonitor;
use watchfire_ingest::record::Recorder;
use watchfire_model::meter::Meter;
use watchfire_model::state::StateStore;
use watchfire_model::time::SharedClock;
use watchfire_net::blocking::spawn_blocking;
use watchfire_net::client::{Caller, Pooling};
use watchfire_net::tasks::Tasks;
use watchfire_pipeline::gateway::{Gateway, Parts};
use watchfire_tokens::TokenCounter;

use crate::settings::{Environment, Settings};

/// The journal of model calls, in the data directory.
const JOURNAL: &str = "model-calls.journal";
/// How often sums are kept. A power cut costs what came since; our own death costs nothing.
const EVERY: Duration = Duration::from_secs(5);
/// Idle connections go before the usual inference servers close theirs, which is after five seconds: a request on a connection that
/// is just being closed would fail, and must not be sent again.
const IDLE: Duration = Duration::from_secs(4);
/// Idle connections to one upstream.
const IDLE_MAX: usize = 32;

/// What the gateway meets.
pub(super) struct Surroundings<'a> {
    pub(super) settings: &'a Settings,
    pub(super) environment: &'a Environment,
    pub(super) tokens: &'a Arc<TokenCounter>,
    pub(super) recorder: &'a Arc<Recorder>,
    pub(super) gpu: &'a GpuMonitor,
    pub(super) state: Arc<dyn StateStore>,
    pub(super) clock: &'a SharedClock,
    pub(super) meter: &'a Meter,
    pub(super) tasks: &'a Tasks,
}

/// Opens it and lets it run.
pub(super) fn start(with: &Surroundings<'_>) -> Result<Gateway> {
    let own = &with.settings.gateway;
    let pooling = Pooling { connect: Some(own.connect), idle: IDLE, idle_per_host: IDLE_MAX };
    let environment = |name: &str| with.environment.get(name).map(str::to_owned);
    let recorded = with.recorder.clone();
    let parts = Parts {
        settings: own.gateway.clone(),
        caller: Arc::new(Caller::new(with.clock.clone()).with_environment(&environment).with_pooling(pooling)),
        counter: with.tokens.clone(),
        observe: with.recorder.clone(),
        total: Arc::new(move |family| recorded.total(family)),
        state: with.state.clone(),
        journal: with.settings.server.data_dir.join(JOURNAL),
        clock: with.clock.clone(),
        zone: own.time_zone.clone().or_else(|| environment("TZ")),
        meter: with.meter.clone(),
    };
    let gateway = Gateway::open(parts).context("cannot start the gateway")?;
    gateway.set_pressure(with.gpu.pressure());
    let follows = gateway.clone();
    with.gpu.on_pressure(move |level, _| follows.set_pressure(level));
    let tended = gateway.clone();
    with.tasks.spawn("gateway", async move {
        let mut ticks = tokio::time::interval(EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if tended.rests() {
                continue;
            }
            let gateway = tended.clone();
            if let Err(error) = spawn_blocking(move || gateway.tend()).await {
                tracing::error!(%error, "tending the gateway panicked");
            }
        }
    });
    Ok(gateway)
}
