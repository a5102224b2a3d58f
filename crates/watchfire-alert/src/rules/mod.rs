//! Recording and alerting rules as Prometheus has them, from the file to the alert that somebody must be told of.
//!
//! `file` reads rule files, `expand` is the seam to the templates in them, `notify` the seam to whoever takes alerts. How alerts
//! reach a person is not decided here.

mod expand;
pub mod file;
mod notify;

pub use expand::{About, Ask, AskedSample, Expand, SampleValue};
pub use notify::{Notify, OutgoingAlert};

/// The name of an alert is this label of it.
pub const ALERT_NAME: &str = "alertname";
