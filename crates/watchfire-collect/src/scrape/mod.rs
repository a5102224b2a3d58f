//! Scraping: fetch expositions on a schedule as Prometheus does, and hand the samples to the store.
//!
//! `config` reads `prometheus.yml`; `target` makes targets from discovered addresses; `manager`, `pool` and `worker`
//! keep one loop per target; `fetch` makes the request; `intake` turns a body into a batch by way of a `cache`.
//! It parses no exposition itself (`watchfire_ingest` does), keeps no sample and evaluates no rule.

pub mod alias;
mod cache;
pub mod config;
pub mod fetch;
mod format;
mod in_process;
pub mod intake;
mod manager;
mod net_fetch;
#[cfg(test)]
mod net_tests;
mod pool;
#[cfg(test)]
mod proto_tests;
pub mod target;
#[cfg(test)]
mod tests;
mod worker;

pub use alias::{Alias, Aliases, default_aliases, no_aliases};
pub use fetch::Fetch;
pub use in_process::{Face, InProcess};
pub use manager::{Manager, Surroundings};
pub use net_fetch::NetFetch;
