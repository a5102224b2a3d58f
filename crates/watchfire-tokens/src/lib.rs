//! How many tokens a text is, whether a prompt fits a model's window, and how to make it fit. Plain synchronous code without
//! sockets, files of its own or an async runtime: the server and the SDK link the same.

mod budget;
mod classes;
mod counter;
mod embedded;
mod model;
mod profile;
mod prompt;
mod split;
#[cfg(test)]
mod tests;
mod token_counter;
mod tokenizer_json;

pub use budget::{Budget, BudgetError, CONTEXT_WINDOW, MAX_OUTPUT_TOKENS, Validation, WARNING_THRESHOLD};
pub use counter::{Counter, CounterError};
pub use embedded::Encoding;
pub use profile::{PROFILES, Profile};
pub use prompt::{SECTIONS, Truncation, truncate};
pub use token_counter::{Prepared, TokenCounter};
pub use tokenizer_json::{TOKENIZER_JSON_BYTES_MAX, TokenizerError};
