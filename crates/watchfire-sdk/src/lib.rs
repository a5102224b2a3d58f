//! What a Rust program links to report to Watchfire: one call sets up traces and logs with ids in every line; spans, middleware for
//! axum and reqwest, the typed metrics service of the catalogs, and workers for the server's queues. It speaks public protocols only,
//! never blocks its caller, holds a bounded amount of memory and counts what it had to drop. It is no part of the server and works
//! against any version of it. The guide is in the README:
#![doc = ""]
#![doc = include_str!("../README.md")]

#[cfg(feature = "axum")]
pub mod axum;
#[cfg(feature = "logs")]
mod background;
#[cfg(feature = "logs")]
pub mod ids;
#[cfg(feature = "logs")]
pub mod logs;
#[cfg(feature = "metrics")]
pub mod metrics;
#[cfg(feature = "queue")]
pub mod queue;
#[cfg(feature = "metrics")]
pub mod report;
#[cfg(feature = "reqwest")]
pub mod reqwest;
#[cfg(feature = "logs")]
mod setup;
#[cfg(feature = "traces")]
pub mod traces;

#[cfg(feature = "metrics")]
pub use metrics::{MetricsService, get_metrics_service};
#[cfg(feature = "metrics")]
pub use report::{Dropped, Reporter, Settings};
#[cfg(feature = "logs")]
pub use setup::{END_PATIENCE, Lost, Setup, SetupError, Telemetry, setup};
#[cfg(feature = "traces")]
pub use traces::{TraceSettings, TraceSpan, get_trace_id, trace_function, trace_span};
