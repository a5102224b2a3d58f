//! The lines of a bulk request: an action, then its document where it has one. Blank lines do not count.

use serde::Deserialize;
use watchfire_model::logs::Nanos;
use watchfire_model::text::shortened;

use super::{ITEMS_MAX, Item, Verb};

/// Why a request is no bulk request. Nothing of it was taken.
#[derive(Debug, thiserror::Error)]
pub enum BulkError {
    /// There is nothing in it.
    #[error("request body is required")]
    Empty,
    /// A line is no action.
    #[error("Malformed action/metadata line [{line}], {message}")]
    Action {
        /// Its number, from 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
    /// An action has no document.
    #[error("Malformed content, the document of the action in line [{0}] is missing")]
    NoDocument(usize),
    /// More than a request may have.
    #[error("cannot take a bulk request with more than {ITEMS_MAX} items")]
    TooMany,
}

/// What stands in an action. Other keys change nothing here.
#[derive(Default, Deserialize)]
struct Target {
    #[serde(rename = "_index")]
    index: Option<String>,
    #[serde(rename = "_id", default, deserialize_with = "text")]
    id: Option<String>,
}

/// An id may be a number.
fn text<'de, D: serde::Deserializer<'de>>(reader: D) -> Result<Option<String>, D::Error> {
    Ok(match serde_json::Value::deserialize(reader)? {
        serde_json::Value::Null => None,
        serde_json::Value::String(text) => Some(text),
        other => Some(other.to_string()),
    })
}

/// Reads a request. `index` is where documents go whose action names no place.
pub(super) fn read(body: &[u8], index: Option<&str>, now: Nanos) -> Result<Vec<Item>, BulkError> {
    let mut lines = body.split(|b| *b == b'\n').enumerate().map(|(at, line)| (at + 1, line.trim_ascii())).filter(|(_, line)| !line.is_empty());
    let mut items = Vec::new();
    while let Some((number, line)) = lines.next() {
        let (verb, target) = action(line).map_err(|message| BulkError::Action { line: number, message })?;
        let source = match verb {
            Verb::Delete => &b"{}"[..],
            _ => lines.next().ok_or(BulkError::NoDocument(number))?.1,
        };
        if items.len() >= ITEMS_MAX {
            return Err(BulkError::TooMany);
        }
        items.push(Item::new(verb, target.index.as_deref().or(index).unwrap_or(""), target.id, source, now));
    }
    if items.is_empty() { Err(BulkError::Empty) } else { Ok(items) }
}

fn action(line: &[u8]) -> Result<(Verb, Target), String> {
    #[derive(Deserialize)]
    struct Action {
        index: Option<Target>,
        create: Option<Target>,
        update: Option<Target>,
        delete: Option<Target>,
    }
    let shown = || shortened(&String::from_utf8_lossy(line)).into_owned();
    let action: Action =
        serde_json::from_slice(line).map_err(|e| format!("expected an object with one action, found [{}]: {}", shown(), shortened(&e.to_string())))?;
    match action {
        Action { index: Some(target), .. } => Ok((Verb::Index, target)),
        Action { create: Some(target), .. } => Ok((Verb::Create, target)),
        Action { update: Some(target), .. } => Ok((Verb::Update, target)),
        Action { delete: Some(target), .. } => Ok((Verb::Delete, target)),
        _ => Err(format!("expected field [create], [delete], [index] or [update] but found [{}]", shown())),
    }
}
