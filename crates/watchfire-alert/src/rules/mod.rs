//! Recording and alerting rules as Prometheus has them, from the file to the alert that somebody must be told of.
//!
//! `file` reads rule files; `manager` runs their groups, each by its `schedule`; `evaluate` is one evaluation of a `group`, with
//! `ask` for its queries, `recording` and `alerting` for its results and `state` for the life of alerts; `restore` takes up what
//! was before a restart; `unit` runs tests of rules; `slo` makes rules of objectives; `view`, `figures` and `durations` tell how it goes. `expand` is the seam to the templates in rules, `notify` the seam
//! to whoever takes alerts. How alerts reach a person is not decided here.

mod alerting;
mod ask;
mod durations;
mod evaluate;
mod expand;
mod figures;
pub mod file;
mod group;
mod manager;
mod notify;
mod recording;
mod restore;
mod schedule;
pub mod slo;
mod state;
#[cfg(test)]
mod tests;
pub mod unit;
mod view;

pub use alerting::{ALERT_STATE, ALERTS, ALERTS_FOR_STATE};
pub use ask::{AskError, Asker, Limits};
pub use durations::Durations;
pub use evaluate::RuleError;
pub use expand::{About, Ask, AskedSample, Expand, GoTemplates, SampleValue};
pub use group::{Common, Group, Health, Surroundings};
pub use manager::{EVALUATIONS_PARALLEL, Manager};
pub use notify::{Notify, OutgoingAlert};
pub use restore::Restore;
pub use schedule::{Schedule, Tick};
pub use state::{Alert, AlertBook, AlertState, LimitExceeded, RESOLVED_KEPT_MS, Raised, Terms};
pub use view::{AlertView, GroupView, RuleView};

/// The name of an alert is this label of it.
pub const ALERT_NAME: &str = "alertname";
