//! A push in JSON: `{"streams": [{"stream": {…}, "values": [["nanoseconds", "line", {metadata}], …]}]}`, or the older form with
//! `labels` as text and `entries` of `ts` and `line`. It is read without a tree, so that a body costs no more than its entries.

use std::fmt;
use std::sync::Arc;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use watchfire_model::batch::Origin;
use watchfire_model::labels::Labels;
use watchfire_model::logs::{LogEntry, Nanos};

use super::{DecodeError, Decoded};

/// Reads a request.
pub(super) fn decode(body: &[u8], origin: Origin) -> Result<Decoded, DecodeError> {
    let mut decoded = Decoded::new(origin);
    let mut reader = serde_json::Deserializer::from_slice(body);
    let mut too_many = false;
    let outcome = Request { decoded: &mut decoded, too_many: &mut too_many }.deserialize(&mut reader).and_then(|()| reader.end());
    if too_many {
        return Err(DecodeError::TooMany);
    }
    outcome?;
    Ok(decoded)
}

/// The whole request.
struct Request<'a> {
    decoded: &'a mut Decoded,
    too_many: &'a mut bool,
}
impl<'de> DeserializeSeed<'de> for Request<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_map(self)
    }
}
impl<'de> Visitor<'de> for Request<'_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with streams")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            if key == "streams" {
                map.next_value_seed(Streams { decoded: &mut *self.decoded, too_many: &mut *self.too_many })?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

struct Streams<'a> {
    decoded: &'a mut Decoded,
    too_many: &'a mut bool,
}
impl<'de> DeserializeSeed<'de> for Streams<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_seq(self)
    }
}
impl<'de> Visitor<'de> for Streams<'_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of streams")
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while let Some(stream) = items.next_element::<Stream>()? {
            let entries: Vec<LogEntry> = stream.values.into_iter().chain(stream.entries).map(|entry| entry.0).collect();
            if self.decoded.count(entries.len()).is_err() {
                *self.too_many = true;
                return Err(A::Error::custom("too many entries"));
            }
            match (stream.stream, stream.labels) {
                (Some(labels), _) => self.decoded.stream(labels.0, entries),
                (None, Some(text)) => self.decoded.stream_of_text(&text, entries),
                (None, None) => self.decoded.refuse("at least one label pair is required per stream", entries.len()),
            }
        }
        Ok(())
    }
}

#[derive(serde::Deserialize)]
struct Stream {
    stream: Option<Pairs>,
    labels: Option<String>,
    #[serde(default)]
    values: Vec<Entry>,
    #[serde(default)]
    entries: Vec<Entry>,
}

/// Names and values; numbers and truth values count as their text.
struct Pairs(Labels);
impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Pairs, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = Pairs;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of names and texts")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs: Vec<(String, String)> = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, Scalar>()? {
                    pairs.push((name, value.0));
                }
                Ok(Pairs(Labels::from_pairs(pairs)))
            }
        }
        reader.deserialize_map(Read)
    }
}

/// A text, or what is nearly one.
struct Scalar(String);
impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Scalar, D::Error> {
        struct Read;
        impl Visitor<'_> for Read {
            type Value = Scalar;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }
            fn visit_str<E: Error>(self, value: &str) -> Result<Scalar, E> {
                Ok(Scalar(value.to_owned()))
            }
            fn visit_string<E: Error>(self, value: String) -> Result<Scalar, E> {
                Ok(Scalar(value))
            }
            fn visit_bool<E: Error>(self, value: bool) -> Result<Scalar, E> {
                Ok(Scalar(value.to_string()))
            }
            fn visit_i64<E: Error>(self, value: i64) -> Result<Scalar, E> {
                Ok(Scalar(value.to_string()))
            }
            fn visit_u64<E: Error>(self, value: u64) -> Result<Scalar, E> {
                Ok(Scalar(value.to_string()))
            }
            fn visit_f64<E: Error>(self, value: f64) -> Result<Scalar, E> {
                Ok(Scalar(value.to_string()))
            }
        }
        reader.deserialize_any(Read)
    }
}

/// `["nanoseconds", "line", {metadata}]`, or `{"ts": …, "line": …, "structuredMetadata": {…}}`.
struct Entry(LogEntry);
impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Entry, D::Error> {
        reader.deserialize_any(ReadEntry)
    }
}
struct ReadEntry;
impl ReadEntry {
    fn entry<E: Error>(time: &str, line: Option<String>, metadata: Option<Pairs>) -> Result<Entry, E> {
        let nanos = time.parse().ok().or_else(|| Nanos::parse_rfc3339(time).map(|t| t.0));
        let nanos = nanos.ok_or_else(|| E::custom(format_args!("{:?} is no time in nanoseconds", super::shortened(time))))?;
        let line = line.ok_or_else(|| E::custom("an entry has no line"))?;
        Ok(Entry(LogEntry { time: Nanos(nanos), line: Arc::from(line), metadata: metadata.map_or_else(Labels::empty, |pairs| pairs.0) }))
    }
}
impl<'de> Visitor<'de> for ReadEntry {
    type Value = Entry;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of time, line and perhaps structured metadata")
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Entry, A::Error> {
        let time: Scalar = items.next_element()?.ok_or_else(|| A::Error::custom("an entry has no time"))?;
        let line: Option<String> = items.next_element()?;
        let metadata: Option<Option<Pairs>> = items.next_element()?;
        while items.next_element::<IgnoredAny>()?.is_some() {}
        ReadEntry::entry(&time.0, line, metadata.flatten())
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entry, A::Error> {
        let (mut time, mut line, mut metadata) = (None, None, None);
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "ts" | "timestamp" => time = Some(map.next_value::<Scalar>()?),
                "line" => line = Some(map.next_value::<String>()?),
                "structuredMetadata" | "structured_metadata" => metadata = Some(map.next_value::<Pairs>()?),
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        ReadEntry::entry(&time.ok_or_else(|| A::Error::custom("an entry has no time"))?.0, line, metadata)
    }
}
