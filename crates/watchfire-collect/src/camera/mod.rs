//! Cameras: one session with each, whose packets are counted and looked at from outside. `config` reads `cameras:`, `rtsp` speaks with a
//! camera, `hls` follows a stream that somebody offers of it, `mjpeg` receives pictures by HTTP, `web` asks for both, `figures` counts, `watch` begins sessions again, `report` tells the figures by the names that catalogs declare. `onvif` looks for
//! cameras when it is told to, `picture` looks at
//! a picture now and then, if it is asked to. Nothing is decoded here and nothing recorded.

pub mod config;
mod figures;
pub mod hls;
pub mod mjpeg;
pub mod onvif;
pub mod picture;
mod report;
pub mod rtsp;
#[cfg(test)]
mod tests;
mod watch;
mod web;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use watchfire_model::camera::{CameraSearch, CameraStatus};
use watchfire_model::observe::Observe;
use watchfire_model::time::SharedClock;
use watchfire_net::client::Caller;
use watchfire_net::tasks::Tasks;
use watchfire_net::timed::Dialer;

pub use self::config::Camera;
use self::onvif::{SearchError, Searcher};
use self::picture::decoder::Decoder;
use self::report::Reported;
use self::watch::{Watched, Ways};

/// How often figures are told, as the exporter of the video system does.
const REPORT_EVERY: Duration = Duration::from_secs(10);

/// What watching cameras needs from outside.
pub struct Surroundings {
    /// Takes what is seen.
    pub observe: Arc<dyn Observe>,
    /// The time.
    pub clock: SharedClock,
    /// Makes requests.
    pub caller: Arc<Caller>,
    /// Where programs are: `ffmpeg` decodes pictures, where they are to be looked at.
    pub search_path: Option<OsString>,
    /// Where watching runs.
    pub tasks: Tasks,
}

/// Watches cameras. Share it in an `Arc`.
pub struct Cameras {
    outside: Surroundings,
    dialer: Dialer,
    decoder: Arc<Decoder>,
    running: Mutex<BTreeMap<String, Running>>,
    searcher: Searcher,
}

/// One camera that is watched.
struct Running {
    watched: Arc<Watched>,
    reported: Arc<Mutex<Reported>>,
    /// Ends the session when it is dropped or told.
    stop: oneshot::Sender<()>,
    /// Tells when the session is over.
    ended: oneshot::Receiver<()>,
}

impl Cameras {
    /// Watches none yet.
    pub fn new(outside: Surroundings) -> Cameras {
        let decoder = Arc::new(Decoder::new(outside.search_path.as_ref()));
        Cameras { outside, dialer: Dialer::new(), decoder, running: Mutex::default(), searcher: Searcher::default() }
    }

    /// Watches these from now on. A camera that stays as it is keeps its session; one that changes gets another when the old one is over.
    pub fn apply(&self, cameras: &[Arc<Camera>]) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let gone: Vec<String> = running.keys().filter(|id| !cameras.iter().any(|camera| camera.id == **id)).cloned().collect();
        for id in gone {
            if let Some(old) = running.remove(&id) {
                // Nobody waits for the session to end; what it finds until then is not told any more.
                let _over_already = old.stop.send(());
                old.reported.lock().unwrap_or_else(PoisonError::into_inner).retire(&id, &*self.outside.observe);
            }
        }
        for camera in cameras {
            if running.get(&camera.id).is_some_and(|same| same.watched.camera == *camera) {
                continue;
            }
            let old = running.remove(&camera.id);
            running.insert(camera.id.clone(), self.start(camera, old));
        }
    }

    fn start(&self, camera: &Arc<Camera>, old: Option<Running>) -> Running {
        let watched = Arc::new(Watched::new(camera.clone(), self.outside.clock.clone()));
        let (stop, stopped) = oneshot::channel();
        let (ending, ended) = oneshot::channel();
        // Counters go on from where they were.
        let reported = old.as_ref().map_or_else(Arc::default, |old| old.reported.clone());
        reported.lock().unwrap_or_else(PoisonError::into_inner).begin_again();
        let before = old.map(|old| {
            let _over_already = old.stop.send(());
            old.ended
        });
        let ways = Ways { dialer: self.dialer.clone(), caller: self.outside.caller.clone(), decoder: self.decoder.clone() };
        let work = watched.clone();
        self.outside.tasks.spawn("cameras", async move {
            if let Some(before) = before {
                // An error means that it ended as well.
                drop(before.await);
            }
            work.run(&ways, stopped).await;
            drop(ending);
        });
        Running { watched, reported, stop, ended }
    }

    /// Tells the figures of all cameras for ever; ends only when the future is dropped.
    pub async fn run(self: Arc<Self>) {
        let mut ticks = tokio::time::interval(REPORT_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.report();
        }
    }

    /// Tells the figures of all cameras once.
    pub fn report(&self) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        for (id, one) in running.iter() {
            let mut reported = one.reported.lock().unwrap_or_else(PoisonError::into_inner);
            reported.tell(id, &one.watched, &*self.outside.observe);
        }
    }

    /// The latest picture of a camera as a file, where the configuration lets it be shown.
    pub fn picture(&self, id: &str) -> Option<Vec<u8>> {
        let watched = self.running.lock().unwrap_or_else(PoisonError::into_inner).get(id)?.watched.clone();
        watched.picture()
    }

    /// Looks for cameras in the networks of this machine, and waits so long for answers.
    pub async fn search(&self, wait: Duration) -> Result<CameraSearch, SearchError> {
        let hosts = {
            let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
            running.iter().map(|(id, one)| (one.watched.camera.source.host(), id.clone())).collect()
        };
        self.searcher.search(wait, &onvif::addresses_of(hosts).await).await
    }

    /// How each camera is doing now, ascending by id.
    pub fn statuses(&self) -> Vec<CameraStatus> {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.values().map(|one| one.watched.status()).collect()
    }
}
