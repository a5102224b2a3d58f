//! Lucene's query strings and Kibana's KQL: texts → conditions over documents. They compute nothing; `documents` does.
//!
//! Sources: the documentation of Elasticsearch's `query_string`, Lucene's classic query parser, and Kibana's KQL.

mod kql;
mod parser;
mod simple;
mod term;

#[cfg(test)]
mod tests;

pub use kql::parse as parse_kql;
pub use parser::parse;
pub use simple::parse as parse_simple;
pub(crate) use term::whole as whole_regex;

use crate::documents::{Context, Filter, SearchError};

/// The longest query, in bytes.
pub const TEXT_BYTES_MAX: usize = 64 << 10;
/// How deep parentheses may nest.
pub const NESTING_MAX: usize = 100;
/// The most conditions of one query.
pub const CLAUSES_MAX: usize = 4_096;

/// The languages of Kibana's search bar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Language {
    /// KQL.
    Kql,
    /// Lucene's query strings.
    #[default]
    Lucene,
    /// Whichever of the two the text is.
    Either,
}

/// Reads a text of the search bar. Where either is possible, Lucene's ranges and operators decide for Lucene, and what is no Lucene is
/// read as KQL.
pub fn parse_as(language: Language, text: &str, context: &Context) -> Result<Filter, SearchError> {
    match language {
        Language::Kql => parse_kql(text, context),
        Language::Lucene => parse(text, context),
        Language::Either => {
            let lucene = parse(text, context);
            // Words in lower case are operators in KQL only; `bytes > 10` is no Lucene.
            let speaks_kql = text.split_whitespace().any(|word| matches!(word, "and" | "or" | "not" | ">" | "<" | ">=" | "<="));
            match parse_kql(text, context) {
                Ok(kql) if speaks_kql || lucene.is_err() => Ok(kql),
                _ => lucene,
            }
        }
    }
}

fn syntax(query: &str, at: usize, message: impl Into<String>) -> SearchError {
    SearchError::Syntax { query: query.to_owned(), column: at + 1, message: message.into() }
}

fn check_length(text: &str) -> Result<(), SearchError> {
    if text.len() > TEXT_BYTES_MAX {
        let shown = text.get(..text.floor_char_boundary(80)).unwrap_or("");
        return Err(syntax(shown, 0, format!("the query is {} bytes long, more than {TEXT_BYTES_MAX}", text.len())));
    }
    Ok(())
}
