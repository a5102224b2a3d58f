//! Log entries as documents with fields, as Elasticsearch's clients and Kibana ask for them: conditions over fields, the query DSL,
//! searches with sorting and aggregations. The text languages are in `lucene`. It knows no HTTP and keeps no index.

mod aggregations;
pub mod analysis;
mod criterion;
mod date_patterns;
pub mod dates;
mod document;
mod dsl;
mod error;
mod filter;
mod hits;
mod range;
mod request;
mod search;
mod sort;

#[cfg(test)]
mod tests;

pub use criterion::{Choices, PHRASE_WORDS_MAX, Test, WORDS_MAX, Words};
pub use document::{Document, FIELD_BYTES_MAX, Scalar};
pub use dsl::query;
pub use error::SearchError;
pub use filter::{Context, DEFAULT_FIELDS_MAX, FieldNames, Filter, name_problem};
pub use hits::{Hit, NAMELESS};
pub use range::{Bound, Range};
pub use request::{BUCKETS_MAX, FieldChoice, Request, SourceChoice, TimeForm, WINDOW_MAX};
pub use search::{Searched, count, matching, search};
