//! Relabelling with Prometheus' actions, defaults and rules: label sets are rewritten, kept or dropped. Rules are read
//! from `relabel_configs` lists of any file; what they are applied to is the caller's business.

mod apply;
mod config;
mod expand;

pub use apply::{Verdict, apply};
pub use config::{Action, RelabelConfig, read_list};

#[cfg(test)]
mod tests;
