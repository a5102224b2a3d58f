//! What a Rust program links to report to Watchfire: the typed metrics service of the catalogs. It speaks public protocols
//! only, never blocks the caller, holds a bounded amount of memory and counts what it had to drop. It is no part of the server
//! and works against any version of it.

pub mod metrics;
pub mod report;

pub use metrics::{MetricsService, get_metrics_service};
pub use report::{Dropped, Reporter, Settings};
