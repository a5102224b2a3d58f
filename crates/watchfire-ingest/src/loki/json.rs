//! A push in JSON: `{"streams": [{"stream": {…}, "values": [["nanoseconds", "line", {metadata}], …]}]}`, or the older form with
//! `labels` as text and `entries` of `ts` and `line`. It is read without a tree, and each entry is counted before it is read, so that a
//! body costs no more than the entries that are taken.

use std::fmt;
use std::sync::Arc;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use watchfire_model::batch::Origin;
use watchfire_model::labels::Labels;
use watchfire_model::logs::{LogEntry, Nanos};
use watchfire_model::text::shortened;
use watchfire_model::write::Reason;

use super::{DecodeError, Decoded, ENTRIES_MAX};
use crate::label_bytes::LABELS_MAX;

/// Reads a request.
pub(super) fn decode(body: &[u8], origin: Origin) -> Result<Decoded, DecodeError> {
    let mut decoded = Decoded::new(origin);
    let mut reader = serde_json::Deserializer::from_slice(body);
    let outcome = Request(&mut decoded).deserialize(&mut reader).and_then(|()| reader.end());
    if decoded.entries > ENTRIES_MAX {
        return Err(DecodeError::TooMany);
    }
    outcome?;
    Ok(decoded)
}

/// The keys that mean something.
#[derive(serde::Deserialize)]
#[serde(field_identifier, rename_all = "camelCase")]
enum Key {
    Streams,
    Stream,
    Labels,
    Values,
    Entries,
    #[serde(alias = "ts")]
    Timestamp,
    Line,
    #[serde(alias = "structured_metadata")]
    StructuredMetadata,
    #[serde(other)]
    Other,
}

/// The whole request.
struct Request<'a>(&'a mut Decoded);
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
        while let Some(key) = map.next_key()? {
            match key {
                Key::Streams => map.next_value_seed(Streams(&mut *self.0))?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

struct Streams<'a>(&'a mut Decoded);
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
        while items.next_element_seed(Stream(&mut *self.0))?.is_some() {}
        Ok(())
    }
}

/// A stream. Its labels may stand behind its entries.
struct Stream<'a>(&'a mut Decoded);
impl<'de> DeserializeSeed<'de> for Stream<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_map(self)
    }
}
impl<'de> Visitor<'de> for Stream<'_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of labels and entries")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let (mut set, mut text, mut entries) = (None::<Pairs>, None::<String>, Vec::new());
        while let Some(key) = map.next_key()? {
            match key {
                Key::Stream => set = map.next_value()?,
                Key::Labels => text = map.next_value()?,
                Key::Values | Key::Entries => map.next_value_seed(Entries { decoded: &mut *self.0, entries: &mut entries })?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        match (set, text) {
            (Some(Pairs::Set(labels)), _) => self.0.stream(labels, entries),
            (Some(Pairs::TooMany(count)), _) => self.0.refuse(Reason::LabelCount, entries.len(), || format!("{count} labels, more than {LABELS_MAX}")),
            (None, Some(text)) => self.0.stream_of_text(&text, entries),
            (None, None) => self.0.refuse(Reason::InvalidLabels, entries.len(), || "at least one label pair is required per stream".to_owned()),
        }
        Ok(())
    }
}

/// The entries of a stream.
struct Entries<'a> {
    decoded: &'a mut Decoded,
    entries: &'a mut Vec<LogEntry>,
}
impl<'de> DeserializeSeed<'de> for Entries<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_seq(self)
    }
}
impl<'de> Visitor<'de> for Entries<'_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of entries")
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while let Some(entry) = items.next_element_seed(Entry(&mut *self.decoded))? {
            self.entries.extend(entry);
        }
        Ok(())
    }
}

/// Names and values; numbers and truth values count as their text.
enum Pairs {
    Set(Labels),
    /// So many that no set is made of them.
    TooMany(usize),
}
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
                while pairs.len() < LABELS_MAX {
                    match map.next_entry::<String, Scalar>()? {
                        Some((name, value)) => pairs.push((name, value.0)),
                        None => return Ok(Pairs::Set(Labels::from_pairs(pairs))),
                    }
                }
                let mut count = pairs.len();
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {
                    count += 1;
                }
                Ok(if count > LABELS_MAX { Pairs::TooMany(count) } else { Pairs::Set(Labels::from_pairs(pairs)) })
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

/// A line, without a text of its own on the way.
struct Line(Arc<str>);
impl<'de> Deserialize<'de> for Line {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Line, D::Error> {
        struct Read;
        impl Visitor<'_> for Read {
            type Value = Line;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a line")
            }
            fn visit_str<E: Error>(self, value: &str) -> Result<Line, E> {
                Ok(Line(Arc::from(value)))
            }
        }
        reader.deserialize_str(Read)
    }
}

/// Nanoseconds as a text or a number, or RFC 3339.
struct Time(Nanos);
impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Time, D::Error> {
        struct Read;
        impl Visitor<'_> for Read {
            type Value = Time;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a time in nanoseconds")
            }
            fn visit_str<E: Error>(self, value: &str) -> Result<Time, E> {
                let time = value.parse().ok().map(Nanos).or_else(|| Nanos::parse_rfc3339(value));
                time.map(Time).ok_or_else(|| E::custom(format_args!("{:?} is no time in nanoseconds", shortened(value))))
            }
            fn visit_i64<E: Error>(self, value: i64) -> Result<Time, E> {
                Ok(Time(Nanos(value)))
            }
            fn visit_u64<E: Error>(self, value: u64) -> Result<Time, E> {
                i64::try_from(value).map(|nanos| Time(Nanos(nanos))).map_err(|_| E::custom(format_args!("{value} is no time in nanoseconds")))
            }
            fn visit_f64<E: Error>(self, value: f64) -> Result<Time, E> {
                let whole = value.fract() == 0.0 && value.abs() < 9.2e18;
                if whole { Ok(Time(Nanos(value as i64))) } else { Err(E::custom(format_args!("{value} is no time in nanoseconds"))) }
            }
        }
        reader.deserialize_any(Read)
    }
}

/// `["nanoseconds", "line", {metadata}]`, or `{"ts": …, "line": …, "structuredMetadata": {…}}`. Nothing comes of one that is refused.
struct Entry<'a>(&'a mut Decoded);
impl Entry<'_> {
    fn finish<E: Error>(self, time: Option<Time>, line: Option<Line>, metadata: Option<Pairs>) -> Result<Option<LogEntry>, E> {
        let time = time.ok_or_else(|| E::custom("an entry has no time"))?.0;
        let line = line.ok_or_else(|| E::custom("an entry has no line"))?.0;
        let metadata = match metadata {
            None => Labels::empty(),
            Some(Pairs::Set(set)) => set,
            Some(Pairs::TooMany(count)) => {
                self.0.too_much_metadata(count);
                return Ok(None);
            }
        };
        Ok(Some(LogEntry { time, line, metadata }))
    }
}
impl<'de> DeserializeSeed<'de> for Entry<'_> {
    type Value = Option<LogEntry>;
    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Option<LogEntry>, D::Error> {
        self.0.count().map_err(D::Error::custom)?;
        reader.deserialize_any(self)
    }
}
impl<'de> Visitor<'de> for Entry<'_> {
    type Value = Option<LogEntry>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of time, line and perhaps structured metadata")
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Option<LogEntry>, A::Error> {
        let (time, line) = (items.next_element()?, items.next_element()?);
        let metadata: Option<Option<Pairs>> = items.next_element()?;
        while items.next_element::<IgnoredAny>()?.is_some() {}
        self.finish(time, line, metadata.flatten())
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Option<LogEntry>, A::Error> {
        let (mut time, mut line, mut metadata) = (None, None, None);
        while let Some(key) = map.next_key()? {
            match key {
                Key::Timestamp => time = Some(map.next_value()?),
                Key::Line => line = Some(map.next_value()?),
                Key::StructuredMetadata => metadata = map.next_value()?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        self.finish(time, line, metadata)
    }
}
