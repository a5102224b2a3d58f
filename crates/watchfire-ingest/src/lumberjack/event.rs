//! An event as a document: what Beats send is JSON with `@timestamp` and `@metadata`, which says for whom the event is and is no part of it.
//! It becomes what the same document would be that came by a bulk request.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use watchfire_model::labels::Labels;
use watchfire_model::logs::{LogEntry, Nanos};
use watchfire_model::write::Reason;

use crate::elasticsearch::{Item, Verb};

/// Where events go whose sender does not say what it is.
const INDEX: &str = "beats";

/// What a Beat says about itself.
#[derive(Default, serde::Deserialize)]
struct Metadata {
    beat: Option<String>,
    version: Option<String>,
}

/// The members of an object as they are written: numbers keep their digits.
#[derive(Default)]
struct Members<'a>(Vec<(String, &'a RawValue)>);
impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Members<'de>, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = Members<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an event, which is an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut all = Vec::new();
                while let Some(member) = map.next_entry()? {
                    all.push(member);
                }
                Ok(Members(all))
            }
        }
        reader.deserialize_map(Read)
    }
}

/// Reads an event in JSON.
pub(super) fn of_json(text: &[u8], now: Nanos) -> Result<(Labels, LogEntry), Reason> {
    let Members(members) = serde_json::from_slice(text).map_err(|_| Reason::InvalidValue)?;
    let (about, rest): (Vec<_>, Vec<_>) = members.into_iter().partition(|(name, _)| name == "@metadata");
    let about = about.first().and_then(|(_, value)| serde_json::from_str(value.get()).ok()).unwrap_or_default();
    let mut document = b"{".to_vec();
    for (at, (name, value)) in rest.iter().enumerate() {
        if at > 0 {
            document.push(b',');
        }
        serde_json::to_writer(&mut document, name).map_err(|_| Reason::InvalidValue)?;
        document.push(b':');
        document.extend_from_slice(value.get().as_bytes());
    }
    document.push(b'}');
    entry(&document, &about, now)
}

/// Reads an event of pairs, as the first version has them. What it calls `line` is called `message` since.
pub(super) fn of_pairs(pairs: Vec<(String, String)>, now: Nanos) -> Result<(Labels, LogEntry), Reason> {
    let renamed = |name: String| if name == "line" { "message".to_owned() } else { name };
    let event: Map<String, Value> = pairs.into_iter().map(|(name, value)| (renamed(name), Value::String(value))).collect();
    entry(Value::Object(event).to_string().as_bytes(), &Metadata::default(), now)
}

fn entry(document: &[u8], about: &Metadata, now: Nanos) -> Result<(Labels, LogEntry), Reason> {
    let named = match (&about.beat, &about.version) {
        (Some(beat), Some(version)) => format!("{beat}-{version}").to_lowercase(),
        (Some(beat), None) => beat.to_lowercase(),
        _ => INDEX.to_owned(),
    };
    // A name that is none is the sender's mistake; its events are not lost for it.
    let read = [named.as_str(), INDEX].into_iter().find_map(|index| Item::single(Verb::Create, index, None, document, now).entry.ok());
    read.ok_or(Reason::InvalidValue)
}
