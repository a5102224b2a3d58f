//! The functions that Prometheus and Alertmanager add to Go's template language, in which annotations and notifications are
//! written. The language itself is `watchfire-template`; `query` is given from outside.
//!
//! Sources: Prometheus' template reference and Alertmanager's notification reference.

mod alertmanager;
mod prometheus;
#[cfg(test)]
mod tests;

pub use alertmanager::notification_functions;
pub use prometheus::{Query, QuerySample, Rule, RuleValue, check_rule_template, rule_functions};
pub use watchfire_template::{Form, Functions, GoTime, Kind, List, ListKind, Map, MapKind, Position, Record, TEXT_BYTES_MAX, TemplateError, Templates, Value};
