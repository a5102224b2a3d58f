//! Acts on the watched AI pipeline: queues with retry and dead letters, supervision and restart of services, the gateway before
//! language models. What it sees it tells through `observe::Observe`; it keeps no telemetry and answers no HTTP route of ours.

pub mod gateway;
pub mod queue;
pub mod supervision;
