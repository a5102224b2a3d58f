//! Finds what can never work: rules, dashboard panels, routes and probes are checked against catalogs and stored series. It
//! changes nothing and reads no file by itself; every finding says where, why and what to write instead.
//!
//! Findings rest on parsed expressions, label sets and catalogs, never on names of rules. What nothing is known about gives none.

pub mod expression;
mod knowledge;
mod report;
pub mod rules;
#[cfg(test)]
mod rules_tests;

pub use knowledge::{Job, Knowledge, Live};
pub use report::{Code, Diagnosis};
