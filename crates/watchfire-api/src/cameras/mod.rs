//! The face of watched cameras: `/api/cameras`. It shows what is known of each now; their history is among the metrics. Cameras are looked
//! for only when an administrator says so, and what is found is shown and nothing else.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, RawQuery, State};
use axum::response::IntoResponse;
#[cfg(test)]
use schemars::JsonSchema;
use serde::Serialize;
use watchfire_model::camera::{CameraFound, CameraSearch, CameraStatus, StreamServerStatus};

use crate::app::App;
use crate::native::{Query, invalid};
use crate::server::{Level, Parameter, Place, Refusal, Route};

/// How long answers are waited for, in seconds.
const SEARCH_SECONDS: i64 = 3;
const SEARCH_SECONDS_MAX: i64 = 10;

/// All cameras.
#[derive(Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
struct CamerasJson {
    /// The cameras, ascending by id.
    cameras: Vec<CameraJson>,
    /// Streaming servers, in the order of the configuration.
    servers: Vec<ServerJson>,
    /// When this was so.
    timestamp: String,
}

/// One streaming server.
#[derive(Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
struct ServerJson {
    /// What it is called.
    name: String,
    /// `mediamtx`, `go2rtc`, `frigate` or `nginx-rtmp`.
    kind: &'static str,
    /// Where it is, without name and password.
    url: String,
    /// Whether it tells its streams.
    up: bool,
    /// Streams that run.
    streams: u64,
    /// Who looks at them.
    viewers: u64,
    /// Why it does not.
    error: Option<String>,
}

/// One camera; what is not known is null.
#[derive(Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
struct CameraJson {
    /// What it is called in labels.
    id: String,
    /// What people call it.
    name: String,
    /// `offline`, `frozen` or `online`.
    status: &'static str,
    /// Where it is, without name and password.
    url: String,
    /// `tcp` or `udp` by RTSP; `hls`, `mjpeg` or `snapshot` by HTTP, `http` while that is not known.
    transport: &'static str,
    /// How its pictures are encoded.
    codec: Option<String>,
    /// The width of its pictures.
    width: Option<u32>,
    /// Their height.
    height: Option<u32>,
    /// Pictures per second.
    fps: Option<f64>,
    /// Pictures per second that there should be.
    expected_fps: Option<f64>,
    /// What it sends.
    bits_per_second: Option<f64>,
    /// How unevenly its packets arrive.
    jitter_ms: Option<f64>,
    /// The time between the last two pictures that stand by themselves.
    keyframe_interval_seconds: Option<f64>,
    /// How old a picture is when it can be seen.
    latency_ms: Option<f64>,
    /// Packets that arrived.
    packets: u64,
    /// Packets that did not.
    packets_lost: u64,
    /// Pictures that are missing or have holes.
    frames_dropped: u64,
    /// Sessions that were begun again.
    reconnects: u64,
    /// When the last picture arrived.
    last_frame_at: Option<String>,
    /// What is wrong with its pictures, as far as they are looked at: `black`, `covered`, `blurred`, `moved`, `identical`.
    faults: Vec<&'static str>,
    /// Where its latest picture is, if it may be shown.
    picture: Option<String>,
    /// Why there is no session, or why pictures are not looked at.
    error: Option<String>,
}

impl CameraJson {
    fn new(camera: CameraStatus) -> CameraJson {
        let status = match (camera.connected, camera.frozen) {
            (false, _) => "offline",
            (true, true) => "frozen",
            (true, false) => "online",
        };
        let ms = |duration: Duration| duration.as_secs_f64() * 1_000.0;
        // Ids are letters, digits, underscores and hyphens.
        let picture = camera.picture.then(|| format!("/api/cameras/{}/picture", camera.id));
        CameraJson {
            id: camera.id,
            name: camera.name,
            status,
            url: camera.url,
            transport: camera.transport,
            codec: camera.codec,
            width: camera.width,
            height: camera.height,
            fps: camera.fps,
            expected_fps: camera.expected_fps,
            bits_per_second: camera.bits_per_second,
            jitter_ms: camera.jitter.map(ms),
            keyframe_interval_seconds: camera.keyframe_interval.map(|d| d.as_secs_f64()),
            latency_ms: camera.latency.map(ms),
            packets: camera.packets,
            packets_lost: camera.packets_lost,
            frames_dropped: camera.frames_dropped,
            reconnects: camera.reconnects,
            last_frame_at: camera.last_frame.map(|t| t.rfc3339_millis()),
            faults: camera.faults,
            picture,
            error: camera.error,
        }
    }
}

/// `GET /api/cameras`.
async fn list(State(app): State<Arc<App>>) -> Json<CamerasJson> {
    let cameras = (app.rooms.cameras)().into_iter().map(CameraJson::new).collect();
    let server =
        |s: StreamServerStatus| ServerJson { name: s.name, kind: s.kind, url: s.url, up: s.up, streams: s.streams, viewers: s.viewers, error: s.error };
    let servers = (app.rooms.stream_servers)().into_iter().map(server).collect();
    Json(CamerasJson { cameras, servers, timestamp: app.now().rfc3339() })
}

/// `GET /api/cameras/{id}/picture`.
async fn picture(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<impl IntoResponse, Refusal> {
    let found = (app.rooms.camera_picture)(&id).ok_or_else(|| Refusal::not_found("there is no picture of this camera, or it may not be shown"))?;
    Ok(([("content-type", "image/bmp"), ("cache-control", "no-store")], found))
}

/// What came of looking for cameras.
#[derive(Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
struct SearchJson {
    /// Devices that say they are cameras, ascending by address.
    found: Vec<FoundJson>,
    /// Our addresses, each of which asked its own network.
    asked_from: Vec<String>,
    /// Answers that are none, are of something else, or were too many.
    left_out: u64,
    /// When this was so.
    timestamp: String,
}

/// A device; its texts are its own words, and what it did not say is null.
#[derive(Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
struct FoundJson {
    /// Where its answer came from.
    address: String,
    /// What it calls itself.
    name: Option<String>,
    /// The model.
    hardware: Option<String>,
    /// Where it says it hangs.
    location: Option<String>,
    /// Its page for programs, if that is at the same address; nobody has asked there.
    service: Option<String>,
    /// The id of the camera at this address that is watched already.
    watched_as: Option<String>,
    /// Lines for `watchfire.yml`.
    snippet: String,
}

impl FoundJson {
    fn new(found: CameraFound) -> FoundJson {
        let CameraFound { address, name, hardware, location, service, watched_as, snippet } = found;
        FoundJson { address: address.to_string(), name, hardware, location, service, watched_as, snippet }
    }
}

/// `POST /api/cameras/discover`.
async fn discover(State(app): State<Arc<App>>, RawQuery(query): RawQuery) -> Result<Json<SearchJson>, Refusal> {
    let seconds = Query::new(query).integer("seconds")?.unwrap_or(SEARCH_SECONDS);
    if !(1..=SEARCH_SECONDS_MAX).contains(&seconds) {
        return Err(invalid("seconds", &seconds.to_string(), &format!("between 1 and {SEARCH_SECONDS_MAX}")));
    }
    let search = (app.rooms.camera_search)(Duration::from_secs(seconds.unsigned_abs())).await;
    let CameraSearch { found, asked_from, left_out } = search.map_err(|no| match no.busy {
        true => Refusal::too_many(no.reason, SEARCH_SECONDS_MAX.unsigned_abs()),
        false => Refusal::unavailable(no.reason, SEARCH_SECONDS_MAX.unsigned_abs()),
    })?;
    Ok(Json(SearchJson {
        found: found.into_iter().map(FoundJson::new).collect(),
        asked_from: asked_from.iter().map(ToString::to_string).collect(),
        left_out,
        timestamp: app.now().rfc3339(),
    }))
}

/// The routes of the face.
pub fn routes() -> Vec<Route<Arc<App>>> {
    let all = [
        Route::get("/api/cameras", Level::Read, list).summary("Watched cameras and how they are").answers::<CamerasJson>(200, "The cameras"),
        Route::get("/api/cameras/{id}/picture", Level::Read, picture)
            .summary("The latest picture of a camera that was looked at, small and gray")
            .path_parameter("id", "The camera")
            .answers_with(200, "image/bmp", "The picture"),
        Route::post("/api/cameras/discover", Level::Admin, discover)
            .summary("Looks for cameras in the networks of this machine")
            .description(
                "One question by multicast (WS-Discovery, as ONVIF has it), and answers for some seconds. What is found is shown only: no address in an \
                 answer is asked for anything, and nothing is configured. One search at a time; another one is answered 429.",
            )
            .parameter(Parameter {
                name: "seconds",
                place: Place::Query,
                required: false,
                kind: "integer",
                description: "How long answers are waited for, 1 to 10; default 3",
            })
            .answers::<SearchJson>(200, "What was found"),
    ];
    all.into_iter().map(|route| route.tag("cameras")).collect()
}
