//! Tests of rules in the format of `promtool test rules`: series go in, rules are evaluated step by step, and alerts and answers to
//! queries are compared. It touches no database of the house and asks no clock.

mod compare;
mod file;
mod run;
mod storage;
#[cfg(test)]
mod tests;

pub use file::{AlertTest, ExpectedAlert, ExpectedSample, Parsed, QueryTest, TestFile, TestGroup, is_test_file, read_node};
pub use run::run;
