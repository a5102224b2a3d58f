//! Finds what can never work: rules, dashboard panels, routes and probes are checked against catalogs and stored series. It
//! changes nothing and reads no file by itself; every finding says where, why and what to write instead.
//!
//! Findings rest on parsed expressions, label sets and catalogs, never on names of rules. What nothing is known about gives none.

pub mod adopt;
mod agents;
mod beside;
mod compose;
mod dashboard;
mod document;
pub mod expression;
pub mod grafana_ini;
mod knowledge;
#[cfg(test)]
mod known_rules_tests;
mod report;
mod routing;
pub mod rules;
#[cfg(test)]
mod rules_tests;
mod scraping;
mod site;
#[cfg(test)]
mod site_tests;
mod templates;
mod texts;

pub use document::{Document, Kind};
pub use knowledge::{Job, Knowledge, Live, Seen};
pub use report::{Code, Diagnosis};
pub use site::Site;
