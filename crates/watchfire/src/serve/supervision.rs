//! Service supervision in the house: opened with what is stored, told who listens, run as a task. What it does is the pipeline's
//! business.

use std::sync::Arc;

use anyhow::{Context, Result};
use watchfire_api::App;
use watchfire_ingest::record::Recorder;
use watchfire_model::meter::Meter;
use watchfire_model::state::StateStore;
use watchfire_model::time::SharedClock;
use watchfire_net::tasks::Tasks;
use watchfire_pipeline::supervision::{Parts, Supervisor};

use crate::settings::Settings;

/// A supervisor that knows the services of the settings and does nothing yet.
pub(super) fn open(settings: &Settings, state: Arc<dyn StateStore>, recorder: &Arc<Recorder>, clock: &SharedClock, meter: &Meter) -> Result<Supervisor> {
    let parts = Parts { state, clock: clock.clone(), meter: meter.clone(), observe: recorder.clone() };
    let supervisor = Supervisor::open(parts).context("cannot start service supervision")?;
    supervisor.apply(&settings.services).context("cannot start service supervision")?;
    Ok(supervisor)
}

/// Begins to supervise; every change goes to whoever listens on `/ws/system`.
pub(super) fn start(supervisor: Supervisor, app: &Arc<App>, tasks: &Tasks) {
    let live = app.clone();
    supervisor.on_change(move |service, at| live.hub.publish_service(service, at));
    tasks.spawn("service_supervisor", supervisor.run());
}
