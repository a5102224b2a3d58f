//! Cameras that are watched and streaming servers that are asked: what they need of the other rooms. Which there are comes with each load of
//! the configuration.

use std::sync::Arc;
use std::time::Duration;

use watchfire_api::app::NoSearch;
use watchfire_collect::camera::onvif::SearchError;
use watchfire_collect::camera::{self, Camera, Cameras};
use watchfire_collect::streams::{self, Server, Streams};
use watchfire_ingest::record::Recorder;
use watchfire_model::camera::CameraSearch;
use watchfire_model::live::ViewFuture;
use watchfire_model::time::SharedClock;
use watchfire_net::client::Caller;
use watchfire_net::tasks::Tasks;

use crate::settings::{Environment, Settings};

/// What the configuration says of both.
#[derive(Clone)]
pub(crate) struct Named {
    cameras: Vec<Arc<Camera>>,
    servers: Vec<Arc<Server>>,
}
impl Named {
    /// Takes it from the settings.
    pub(super) fn of(settings: &Settings) -> Named {
        Named { cameras: settings.cameras.clone(), servers: settings.streams.clone() }
    }
}

/// Whoever watches and asks.
#[derive(Clone)]
pub(crate) struct Watching {
    pub(super) cameras: Arc<Cameras>,
    pub(super) streams: Arc<Streams>,
}
impl Watching {
    /// Watches and asks these from now on.
    pub(super) fn apply(&self, named: &Named) {
        self.cameras.apply(&named.cameras);
        self.streams.apply(&named.servers, named.cameras.iter().map(|camera| camera.id.clone()));
    }
}

/// Begins to tell what is seen; as long as nothing is applied, there is nothing to tell.
pub(super) fn start(recorder: &Arc<Recorder>, environment: &Environment, caller: Arc<Caller>, tasks: &Tasks, clock: &SharedClock) -> Watching {
    let cameras = Arc::new(Cameras::new(camera::Surroundings {
        observe: recorder.clone(),
        clock: clock.clone(),
        caller: caller.clone(),
        search_path: environment.get("PATH").map(Into::into),
        tasks: tasks.clone(),
    }));
    tasks.spawn("camera_reporter", cameras.clone().run());
    let streams = Streams::new(streams::Surroundings { observe: recorder.clone(), clock: clock.clone(), caller, tasks: tasks.clone() });
    Watching { cameras, streams: Arc::new(streams) }
}

/// Looks for cameras because somebody asked for it.
pub(super) fn search(cameras: Arc<Cameras>, wait: Duration) -> ViewFuture<'static, Result<CameraSearch, NoSearch>> {
    Box::pin(async move {
        let found = cameras.search(wait).await;
        found.map_err(|error| NoSearch { busy: matches!(error, SearchError::Busy), reason: error.to_string() })
    })
}

/// Says what the exporter of the video system says at its start, where we stand in for it.
pub(super) fn announce(address: &str, settings: &Settings) {
    if let (false, Some((_, port))) = (settings.cameras.is_empty(), address.rsplit_once(':')) {
        println!("Metrics server started on port {port}");
    }
}
