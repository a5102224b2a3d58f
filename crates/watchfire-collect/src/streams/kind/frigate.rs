//! Frigate: `/api/stats`.

use serde_json::Value;

use super::{Found, Kind, Page, STREAMS_MAX, Stream, object};

pub(super) const KIND: Kind = Kind { name: "frigate", pages: &[Page { path: "/api/stats", optional: false }], read };

fn read(pages: &[Option<&[u8]>]) -> Option<Found> {
    let page = object(*pages.first()?)?;
    let usages = page.get("cpu_usages");
    // Older versions have the cameras at the top.
    let cameras = page.get("cameras").and_then(Value::as_object).unwrap_or(&page);
    let known = cameras.iter().filter(|(_, camera)| camera.get("camera_fps").is_some());
    let streams: Vec<Stream> = known.take(STREAMS_MAX).map(|(name, camera)| stream(name, camera, usages)).collect();
    (page.contains_key("service") || !streams.is_empty()).then_some(Found { streams, sessions: None })
}

fn stream(name: &str, camera: &Value, usages: Option<&Value>) -> Stream {
    let number = |key: &str| camera.get(key).and_then(Value::as_f64).filter(|n| n.is_finite() && *n >= 0.0);
    let fps = number("camera_fps");
    let cpu = || {
        let pid = camera.get("ffmpeg_pid")?.as_u64()?.to_string();
        let share = usages?.get(&pid)?.get("cpu")?;
        share.as_f64().or_else(|| share.as_str()?.parse().ok()).filter(|n: &f64| n.is_finite())
    };
    Stream {
        camera: name.to_owned(),
        active: fps.is_some_and(|fps| fps > 0.0),
        fps,
        skipped_fps: number("skipped_fps"),
        ffmpeg_cpu_percent: cpu(),
        ..Stream::default()
    }
}
