//! Go's template language: parser and engine, values, and the functions that the language itself has. What rules, notifications and
//! log queries add to it stands with them. It reads no file, asks no server and keeps no state.
//!
//! Sources: the documentation of Go's `text/template`, `html/template`, `fmt` and `time`.

mod error;
mod exec;
mod functions;
mod html;
mod lex;
mod limits;
mod methods;
mod number;
mod parse;
mod print;
#[cfg(test)]
mod tests;
mod time;
mod time_parse;
mod value;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use error::{Position, TemplateError};
pub use exec::Form;
pub use functions::{Functions, Kind, query_escape, text};
pub use methods::get as field;
pub use number::unquote;
pub use print::{TEXT_RESULT_BYTES_MAX, four, print, quoted, sprint};
pub use time::GoTime;
pub use value::{List, ListKind, Map, MapKind, Record, Value};

/// Longer texts are not parsed.
pub const TEXT_BYTES_MAX: usize = 1 << 20;

/// Templates that know each other, with the functions they may call.
#[derive(Clone)]
pub struct Templates {
    name: String,
    functions: Functions,
    definitions: BTreeMap<String, Definition>,
}

#[derive(Clone)]
struct Definition {
    body: Arc<parse::Body>,
    /// The name of the text that it stands in, for messages.
    parsed: Arc<str>,
}

impl Templates {
    /// An empty set.
    pub fn new(name: &str, functions: Functions) -> Templates {
        Templates { name: name.to_owned(), functions, definitions: BTreeMap::new() }
    }

    /// Adds a text under a name, with everything that it defines. Later definitions replace earlier ones.
    pub fn parse(&mut self, name: &str, text: &str) -> Result<(), TemplateError> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(TemplateError::Limit { name: name.to_owned(), reason: "its text is too long" });
        }
        let parsed = parse::parse(text, &|function| self.functions.knows(function)).map_err(|syntax| TemplateError::Syntax {
            name: name.to_owned(),
            position: syntax.at,
            message: syntax.message,
        })?;
        let file: Arc<str> = name.into();
        exec::merge(&mut self.definitions, &file, parsed.defined);
        self.definitions.insert(name.to_owned(), Definition { body: Arc::new(parsed.body), parsed: file });
        Ok(())
    }

    /// Whether there is a template of that name.
    pub fn has(&self, name: &str) -> bool {
        self.definitions.contains_key(name)
    }
    /// The names of all templates.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.definitions.keys().map(String::as_str)
    }

    /// The text of one template over some data.
    pub fn execute(&self, name: &str, data: Value, form: Form) -> Result<String, TemplateError> {
        self.execute_counted(name, data, form, &mut 0)
    }

    /// The same; the steps that it took, as a measure of the work, are added to `steps`, also where it failed.
    pub fn execute_counted(&self, name: &str, data: Value, form: Form, steps: &mut u64) -> Result<String, TemplateError> {
        let mut execution = exec::Execution::new(self, form);
        let outcome = execution.template(name, data);
        *steps = steps.saturating_add(execution.steps());
        outcome.map(|()| execution.out)
    }
}
