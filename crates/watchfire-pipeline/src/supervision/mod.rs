//! Service supervision: checks services of the watched pipeline, tells when their status changes, and restarts those that may be
//! restarted, by rules that are carried out and recorded so that a mistake of ours never becomes a storm of restarts.
//! A folder for ways to check and one for ways to restart, a file per kind; the policy decides; the supervisor drives.

mod argv;
mod check;
pub mod engine;
pub mod maintenance;
mod metrics;
pub mod policy;
mod restart;
mod settings;
mod supervisor;
#[cfg(test)]
mod tests;
pub mod trust;

pub use check::{Check, Checking};
pub use restart::{Restart, Restarting};
pub use settings::{Definition, Outside, Settings};
pub use supervisor::{Parts, ServiceView, Snapshot, Supervisor};
