//! Dashboards of this process: saved ones, those of packs that are enabled or whose series are there, and those of Grafana's provisioning
//! files, which are looked at again and again. What a dashboard is, is decided in `watchfire_api::grafana`.

pub(crate) mod files;
mod packs;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::sync::Notify;
use watchfire_api::grafana::Boards;
use watchfire_model::state::StateStore;
use watchfire_model::time::SharedClock;
use watchfire_net::blocking::spawn_blocking;
use watchfire_net::tasks::Tasks;
use watchfire_pack::dashboards::BUILTIN;

use self::files::{Files, Plan};

pub(crate) use packs::Wanted;

/// What keeps dashboards as the configuration says.
pub(crate) struct Dashboards {
    pub(crate) boards: Arc<Boards>,
    wanted: Arc<Wanted>,
    files: Mutex<Files>,
    /// Told when another plan is to be carried out.
    changed: Notify,
}

/// Reads saved dashboards. Blocks.
pub(crate) fn open(state: Arc<dyn StateStore>, clock: &SharedClock, wanted: Arc<Wanted>, own_port: u16) -> Result<Arc<Dashboards>> {
    let packs = BUILTIN.iter().map(|board| (board.pack, board.text().into())).collect();
    let asked = wanted.clone();
    let boards = Boards::open(state, clock.clone(), packs, Arc::new(move || asked.now()), own_port);
    let boards = Arc::new(boards.context("cannot start: saved dashboards cannot be read")?);
    Ok(Arc::new(Dashboards { boards, wanted, files: Mutex::default(), changed: Notify::new() }))
}

impl Dashboards {
    /// Carries out what the configuration says from now on. Blocks.
    pub(crate) fn apply(&self, plan: &Plan, packs: &[String]) {
        self.wanted.enable(packs);
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        files.plan = plan.clone();
        self.look(&mut files, true);
        self.changed.notify_one();
    }
    /// Looks at the files again. Blocks.
    fn look(&self, files: &mut Files, anew: bool) {
        if files.look() || anew {
            for path in self.boards.provide(files.boards(), files.plan.sources.clone()) {
                tracing::warn!(path, "another dashboard has the same uid; this one is left out");
            }
        }
    }
    /// How long until files are looked at again; nothing when there are none to look at.
    fn interval(&self) -> Option<Duration> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner).plan.interval()
    }
    /// Looks at files for ever.
    async fn run(self: Arc<Dashboards>) {
        loop {
            let interval = self.interval();
            let pause = async {
                match interval {
                    Some(interval) => tokio::time::sleep(interval).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.changed.notified() => {}
                () = pause => {
                    let looking = self.clone();
                    let look = spawn_blocking(move || {
                        let mut files = looking.files.lock().unwrap_or_else(PoisonError::into_inner);
                        looking.look(&mut files, false);
                    });
                    if let Err(error) = look.await {
                        tracing::error!(%error, "looking at dashboard files panicked");
                    }
                }
            }
        }
    }
    /// Begins to look at files.
    pub(crate) fn start(self: &Arc<Dashboards>, tasks: &Tasks) {
        tasks.spawn("dashboard_files", self.clone().run());
    }
}
