//! What a Rust program links to report to Watchfire: the typed metrics service of the catalogs, which never blocks its caller,
//! and workers for the server's queues. It speaks public protocols only, holds a bounded amount of memory and counts what it had
//! to drop. It is no part of the server and works against any version of it.

pub mod metrics;
pub mod queue;
pub mod report;

pub use metrics::{MetricsService, get_metrics_service};
pub use report::{Dropped, Reporter, Settings};
