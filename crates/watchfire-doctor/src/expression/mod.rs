//! Diagnoses PromQL expressions: what is inferred of each part (`shape`) and what cannot work because of it (`infer`).

mod binary;
mod compare;
mod infer;
mod labels;
mod selector;
mod shape;
mod span;
#[cfg(test)]
mod tests;
mod units;

pub use infer::{Problem, diagnose};
pub use labels::LabelSet;
pub use selector::VARIABLE;
pub use shape::{Quantity, Shape};
pub(crate) use span::selector_end;
