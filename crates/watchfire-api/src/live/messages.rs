//! The messages of `/ws/system`, both ways. GPU figures stand in `data` and once more at the top level, because both
//! forms are documented and read by existing pages.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use watchfire_model::live::{GpuSample, ServiceStatus};
use watchfire_model::time::Timestamp;

use super::beat::HostFigures;
use crate::native::GpuJson;

/// Channels that one message may name.
const CHANNELS_MAX: usize = 10;

/// How the whole system is.
#[derive(Clone, Debug, Default)]
pub struct SystemFigures {
    /// The newest GPU sample.
    pub gpu: Option<GpuSample>,
    /// Cameras that reported in the last five minutes, and that ever reported; `None` when unknown.
    pub cameras: Option<(u64, u64)>,
    /// Jobs that wait for detection and for analysis; `None` when nobody reports them.
    pub queues: (Option<u64>, Option<u64>),
    /// `healthy`, `degraded` or `unhealthy`.
    pub health: &'static str,
    /// The machine.
    pub host: HostFigures,
}

fn text(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("BUG: plain structures always serialise")
}

/// `gpu_stats`.
pub(super) fn gpu_stats(sample: &GpuSample) -> String {
    let when = sample.recorded_at.rfc3339_millis();
    let data = serde_json::to_value(GpuJson::new(sample, Some(when.clone()))).expect("BUG: plain structures always serialise");
    let mut message = Map::new();
    message.insert("type".to_owned(), "gpu_stats".into());
    message.insert("data".to_owned(), data.clone());
    if let Value::Object(fields) = data {
        message.extend(fields);
    }
    message.insert("timestamp".to_owned(), when.into());
    text(&message)
}

/// `service_status`.
pub(super) fn service_status(service: &ServiceStatus, now: Timestamp) -> String {
    text(&json!({
        "type": "service_status",
        "data": { "service": service.name, "status": service.status, "message": service.message },
        "timestamp": now.rfc3339(),
    }))
}

/// `system_status`.
pub(super) fn system_status(figures: &SystemFigures, now: Timestamp) -> String {
    let gpu = figures.gpu.as_ref();
    let host = &figures.host;
    text(&json!({
        "type": "system_status",
        "data": {
            "gpu": {
                "utilization": gpu.and_then(|g| g.utilization),
                "memory_used": gpu.and_then(|g| g.memory_used_mb),
                "memory_total": gpu.and_then(|g| g.memory_total_mb),
                "temperature": gpu.and_then(|g| g.temperature),
                "inference_fps": gpu.and_then(|g| g.inference_fps),
            },
            "cameras": { "active": figures.cameras.map(|c| c.0), "total": figures.cameras.map(|c| c.1) },
            "queue": { "pending": figures.queues.0, "processing": figures.queues.1 },
            "health": figures.health,
            "host": {
                "cpu_percent": host.cpu_percent,
                "load1": host.load1,
                "memory_used_bytes": host.memory_used_bytes,
                "memory_total_bytes": host.memory_total_bytes,
                "disk_used_percent": host.disk_used_percent,
                "network_receive_bytes_per_second": host.network_receive_bytes_per_second,
                "network_transmit_bytes_per_second": host.network_transmit_bytes_per_second,
                "uptime_seconds": host.uptime_seconds,
            },
        },
        "timestamp": now.rfc3339(),
    }))
}

#[derive(Deserialize)]
struct Incoming {
    #[serde(rename = "type")]
    kind: Option<Value>,
    channels: Option<Value>,
}

/// The answer to a client's message, if it gets one.
pub(super) fn answer(message: &str, now: Timestamp) -> Option<String> {
    let Ok(value) = serde_json::from_str::<Value>(message) else {
        return Some(error("invalid_json", "the message is not JSON"));
    };
    let Ok(Incoming { kind: Some(Value::String(kind)), channels }) = serde_json::from_value(value) else {
        return Some(error("invalid_message_format", "the message is not an object with a \"type\""));
    };
    match kind.as_str() {
        "ping" => Some(text(&json!({ "type": "pong", "timestamp": now.rfc3339() }))),
        "pong" => None,
        "subscribe" | "unsubscribe" if names_channels(channels.as_ref()) => None,
        "subscribe" | "unsubscribe" => Some(error("validation_error", &format!("\"channels\" must be a list of 1 to {CHANNELS_MAX} names"))),
        // Handled by the connection, which knows the present.
        "resync" => None,
        _ => Some(error("unknown_message_type", "known types are ping, pong, subscribe, unsubscribe, resync")),
    }
}

/// Whether a client asks for the present again.
pub(super) fn is_resync(message: &str) -> bool {
    serde_json::from_str::<Value>(message).is_ok_and(|v| v.get("type").and_then(Value::as_str) == Some("resync"))
}

fn names_channels(channels: Option<&Value>) -> bool {
    channels.and_then(Value::as_array).is_some_and(|list| (1..=CHANNELS_MAX).contains(&list.len()) && list.iter().all(Value::is_string))
}

/// The shape of every refusal on the socket.
pub(super) fn error(code: &str, message: &str) -> String {
    text(&json!({ "type": "error", "error": code, "message": message, "details": null }))
}
