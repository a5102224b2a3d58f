//! From a rule to a person: recording and alerting rules, their state, grouping, inhibition, silences, routing, templates and
//! receivers. It evaluates over any `read::Source` and delivers through `watchfire-net`; it stores nothing but small state and
//! answers no HTTP route of ours.

pub mod manager;
pub mod own;
pub mod receivers;
pub mod reports;
pub mod rules;
pub mod sender;
pub mod template;
