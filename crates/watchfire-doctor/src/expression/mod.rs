//! Diagnoses PromQL expressions: what is inferred of each part (`shape`) and what cannot work because of it (`infer`).

mod compare;
mod infer;
mod labels;
mod shape;
#[cfg(test)]
mod tests;

pub use infer::{Problem, diagnose};
pub use labels::LabelSet;
pub use shape::{Quantity, Shape};
