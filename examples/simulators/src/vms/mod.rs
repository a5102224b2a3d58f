//! The video management system: cameras that push RTSP, recording nodes that write what comes to their disks, gateways that pass it on to
//! viewers, API servers with a table of recordings, a worker that looks at pictures, and the people who watch and ask.

mod ai;
mod api;
mod cameras;
mod disk;
mod gateway;
mod live;
mod node;
mod people;
mod recorder;

use std::io::{Error, Result};

use crate::plan::Plan;

/// The size of a recording node's disk.
pub(crate) const DISK_BYTES: u64 = disk::BYTES;

/// Lives as one of the parts.
pub(crate) fn run(name: &str, plan: Plan) -> Result<()> {
    match name.trim_end_matches(|c: char| c.is_ascii_digit()) {
        "recording-node-" => node::run(name, plan),
        "stream-gateway-" => gateway::run(name, plan),
        "api-server-" => api::run(name, plan),
        "ai-worker" => ai::run(plan),
        "cameras" => cameras::run(plan),
        "people" => people::run(plan),
        _ => Err(Error::other(format!("cannot be {name}: the video system has no such part"))),
    }
}
