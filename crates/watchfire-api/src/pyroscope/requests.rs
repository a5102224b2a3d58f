//! Questions of the querier service, from protobuf or JSON: what a field means is said once for both.

use serde_json::Value as Json;
use watchfire_ingest::protobuf::{Message, Value, WireError, text};
use watchfire_ingest::pyroscope::Format;

use super::answer::PyroscopeError;

/// More items than this has no list of a question.
const ITEMS_MAX: usize = 1_024;

/// What a field of a question is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slot {
    Type,
    Selector,
    Selectors,
    Names,
    Name,
    Start,
    End,
    Nodes,
    Form,
    Spans,
    Ids,
    Stacks,
    GroupBy,
    Step,
    Aggregation,
    Limit,
    Left,
    Right,
}

/// A field of a question: its number and its name in JSON.
pub(super) type Field = (u64, &'static str, Slot);

/// The fields of `SelectMergeStacktraces`, which the two sides of a comparison have, too.
pub(super) const STACKS: &[Field] = &[
    (1, "profileTypeID", Slot::Type),
    (2, "labelSelector", Slot::Selector),
    (3, "start", Slot::Start),
    (4, "end", Slot::End),
    (5, "maxNodes", Slot::Nodes),
    (6, "format", Slot::Form),
    (7, "stackTraceSelector", Slot::Stacks),
    (8, "profileIdSelector", Slot::Ids),
];

/// A question.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Asked {
    pub(super) kind: String,
    pub(super) selector: String,
    pub(super) selectors: Vec<String>,
    pub(super) names: Vec<String>,
    pub(super) name: String,
    pub(super) start_ms: i64,
    pub(super) end_ms: i64,
    pub(super) nodes: Option<i64>,
    pub(super) spans: Vec<String>,
    pub(super) ids: Vec<String>,
    pub(super) group_by: Vec<String>,
    pub(super) step_s: f64,
    pub(super) average: bool,
    pub(super) limit: Option<usize>,
    pub(super) left: Option<Box<Asked>>,
    pub(super) right: Option<Box<Asked>>,
}

impl Asked {
    /// Reads a question.
    pub(super) fn read(body: &[u8], format: Format, fields: &[Field]) -> Result<Asked, PyroscopeError> {
        match format {
            Format::Protobuf => Asked::protobuf(body, fields),
            Format::Json if body.iter().all(u8::is_ascii_whitespace) => Ok(Asked::default()),
            Format::Json => {
                let json: Json = serde_json::from_slice(body).map_err(|error| PyroscopeError::bad(format!("cannot read the request: {error}")))?;
                Asked::json(&json, fields)
            }
        }
    }

    fn protobuf(body: &[u8], fields: &[Field]) -> Result<Asked, PyroscopeError> {
        let wire = |error: WireError| PyroscopeError::bad(format!("cannot read the request: {error}"));
        let mut asked = Asked::default();
        for field in Message::new(body) {
            let (number, value) = field.map_err(wire)?;
            let Some((_, name, slot)) = fields.iter().find(|(known, _, _)| *known == number) else { continue };
            match value {
                Value::Bytes(bytes) if matches!(slot, Slot::Left | Slot::Right) => asked.side(*slot, Asked::protobuf(bytes, STACKS)?),
                Value::Bytes(_) if *slot == Slot::Stacks => return Err(no_stacks()),
                Value::Bytes(bytes) => asked.text(*slot, text(bytes).map_err(wire)?)?,
                Value::Varint(number) => asked.number(*slot, number.cast_signed() as f64, number.cast_signed())?,
                Value::Fixed64(bits) => asked.number(*slot, f64::from_bits(bits), f64::from_bits(bits) as i64)?,
                Value::Fixed32(_) => return Err(wrong(name)),
            }
        }
        Ok(asked)
    }

    fn json(json: &Json, fields: &[Field]) -> Result<Asked, PyroscopeError> {
        let Json::Object(object) = json else { return Err(PyroscopeError::bad("cannot read the request: it is no object")) };
        let mut asked = Asked::default();
        for (key, value) in object {
            let Some((_, name, slot)) = fields.iter().find(|(_, name, _)| same(name, key)) else { continue };
            match value {
                Json::Null => {}
                side @ Json::Object(_) if matches!(slot, Slot::Left | Slot::Right) => asked.side(*slot, Asked::json(side, STACKS)?),
                Json::Object(_) if *slot == Slot::Stacks => return Err(no_stacks()),
                Json::Array(items) => {
                    for item in items {
                        asked.text(*slot, item.as_str().ok_or_else(|| wrong(name))?)?;
                    }
                }
                Json::Number(number) => {
                    let value = number.as_f64().ok_or_else(|| wrong(name))?;
                    asked.number(*slot, value, number.as_i64().unwrap_or(value as i64))?;
                }
                // 64-bit numbers are text in JSON.
                Json::String(text) => match text.parse::<i64>() {
                    Ok(number) if asked.number(*slot, number as f64, number).is_ok() => {}
                    _ => asked.text(*slot, text)?,
                },
                Json::Bool(_) | Json::Object(_) => return Err(wrong(name)),
            }
        }
        Ok(asked)
    }

    fn side(&mut self, slot: Slot, side: Asked) {
        let place = if slot == Slot::Left { &mut self.left } else { &mut self.right };
        *place = Some(Box::new(side));
    }

    fn text(&mut self, slot: Slot, text: &str) -> Result<(), PyroscopeError> {
        let list = match slot {
            Slot::Type => return set(&mut self.kind, text),
            Slot::Selector => return set(&mut self.selector, text),
            Slot::Name => return set(&mut self.name, text),
            Slot::Selectors => &mut self.selectors,
            Slot::Names => &mut self.names,
            Slot::Spans => &mut self.spans,
            Slot::Ids => &mut self.ids,
            Slot::GroupBy => &mut self.group_by,
            Slot::Form => return if text == "PROFILE_FORMAT_TREE" { Err(no_tree()) } else { Ok(()) },
            Slot::Aggregation => {
                self.average = text.ends_with("AVERAGE");
                return Ok(());
            }
            Slot::Start | Slot::End | Slot::Nodes | Slot::Stacks | Slot::Step | Slot::Limit | Slot::Left | Slot::Right => {
                return Err(PyroscopeError::bad(format!("cannot read the request: {slot:?} is no text")));
            }
        };
        if list.len() >= ITEMS_MAX {
            return Err(PyroscopeError::bad(format!("cannot read the request: a list has more than {ITEMS_MAX} items")));
        }
        list.push(text.to_owned());
        Ok(())
    }

    fn number(&mut self, slot: Slot, value: f64, whole: i64) -> Result<(), PyroscopeError> {
        match slot {
            Slot::Start => self.start_ms = whole,
            Slot::End => self.end_ms = whole,
            Slot::Nodes => self.nodes = Some(whole),
            Slot::Step => self.step_s = value,
            Slot::Limit => self.limit = usize::try_from(whole).ok().filter(|limit| *limit > 0),
            Slot::Aggregation => self.average = whole == 1,
            Slot::Form if whole == 2 => return Err(no_tree()),
            Slot::Form => {}
            other => return Err(PyroscopeError::bad(format!("cannot read the request: {other:?} is no number"))),
        }
        Ok(())
    }
}

fn set(place: &mut String, text: &str) -> Result<(), PyroscopeError> {
    text.clone_into(place);
    Ok(())
}

/// Keys may be in lower camel case, or as in the description of the protocol: `profile_typeID`.
fn same(name: &str, key: &str) -> bool {
    name.bytes().filter(|b| *b != b'_').map(|b| b.to_ascii_lowercase()).eq(key.bytes().filter(|b| *b != b'_').map(|b| b.to_ascii_lowercase()))
}

fn wrong(name: &str) -> PyroscopeError {
    PyroscopeError::bad(format!("cannot read the request: {name} has a value that it cannot have"))
}
fn no_stacks() -> PyroscopeError {
    PyroscopeError::new(http::StatusCode::NOT_IMPLEMENTED, "a selector of stack traces is not taken")
}
fn no_tree() -> PyroscopeError {
    PyroscopeError::new(http::StatusCode::NOT_IMPLEMENTED, "profiles are given as flame graphs and as pprof, not as trees")
}
