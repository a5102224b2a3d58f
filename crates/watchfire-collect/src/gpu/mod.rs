//! The GPU monitor: looks at the GPU every few seconds by the best source that works, keeps an hour of samples in memory, tells
//! callbacks, the store and, when asked to, a PostgreSQL table. Not a face: REST and WebSocket answers are rendered elsewhere.
//!
//! A source is one file in `source/` and one line in `source::in_order`.

mod callbacks;
pub mod database;
mod detections;
mod hailo;
mod jetson;
mod monitor;
mod names;
mod ring;
mod settings;
pub mod source;
mod sysfs;
mod temperature;

pub use monitor::{DetectionsTotal, GpuMonitor, Parts};
pub use settings::Settings;

/// What can go wrong with GPU figures.
#[derive(Debug, thiserror::Error)]
pub enum GpuError {
    /// A source gave no figures.
    #[error("cannot read the GPU with {source_name}: {problem}")]
    Source {
        /// The source's name.
        source_name: &'static str,
        /// What happened.
        problem: String,
    },
    /// The database did not do what it was asked.
    #[error("cannot {action} the table gpu_stats")]
    Database {
        /// What was tried.
        action: &'static str,
        /// Why it failed.
        source: tokio_postgres::Error,
    },
    /// The database did not answer in time.
    #[error("cannot {0} the table gpu_stats within the time limit")]
    DatabaseTimeout(&'static str),
    /// The database wants encryption and there is none to offer, or the connection was refused.
    #[error("cannot connect to the database: {0}")]
    Connect(String),
}
