//! OTLP in JSON → the same message in protobuf, so that one decoder serves both. A table says which keys a message has;
//! keys may be in lower camel case or in snake case, unknown ones are passed over, 64-bit numbers may be text. It grows
//! with its input and keeps no tree, so that a large body costs no more than its size.

mod schema;

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

#[cfg(test)]
pub(crate) use schema::ANY_VALUE;
pub(crate) use schema::Schema;
use schema::{Field, Kind};
pub(crate) use schema::{LOGS_REQUEST, METRICS_REQUEST, TRACES_REQUEST};

/// Reads a JSON text as a message and writes it in protobuf.
pub(crate) fn transcode(json: &[u8], schema: &'static Schema) -> Result<Vec<u8>, serde_json::Error> {
    let mut out = Vec::with_capacity(json.len());
    let mut reader = serde_json::Deserializer::from_slice(json);
    MessageSeed { schema, out: &mut out }.deserialize(&mut reader)?;
    reader.end()?;
    Ok(out)
}

/// A message whose fields are appended.
struct MessageSeed<'a> {
    schema: &'static Schema,
    out: &'a mut Vec<u8>,
}
impl<'de> DeserializeSeed<'de> for MessageSeed<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_map(self)
    }
}
impl<'de> Visitor<'de> for MessageSeed<'_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key_seed(KeySeed(self.schema))? {
            match key {
                Some(field) => map.next_value_seed(FieldSeed { field, out: self.out })?,
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

/// A key of a message: the field that it names, if any.
struct KeySeed(&'static Schema);
impl<'de> DeserializeSeed<'de> for KeySeed {
    type Value = Option<&'static Field>;
    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Self::Value, D::Error> {
        reader.deserialize_str(self)
    }
}
impl Visitor<'_> for KeySeed {
    type Value = Option<&'static Field>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }
    fn visit_str<E: Error>(self, key: &str) -> Result<Self::Value, E> {
        Ok(self.0.iter().find(|field| field.is_named(key)))
    }
}

/// The value of a field, with its tag.
struct FieldSeed<'a> {
    field: &'static Field,
    out: &'a mut Vec<u8>,
}
impl<'de> DeserializeSeed<'de> for FieldSeed<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_any(self)
    }
}
impl<'de> Visitor<'de> for FieldSeed<'_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.field.repeated { f.write_str("a list") } else { f.write_str(self.field.kind.expected()) }
    }
    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        if !self.field.repeated {
            return Err(A::Error::custom(format_args!("{} is not a list", self.field.name)));
        }
        while items.next_element_seed(ItemSeed { field: self.field, out: &mut *self.out })?.is_some() {}
        Ok(())
    }
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        self.one()?.visit_map(map)
    }
    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.one()?.visit_bool(value)
    }
    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.one()?.visit_i64(value)
    }
    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.one()?.visit_u64(value)
    }
    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.one()?.visit_f64(value)
    }
    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        self.one()?.visit_str(value)
    }
}
impl<'a> FieldSeed<'a> {
    fn one<E: Error>(self) -> Result<ItemSeed<'a>, E> {
        if self.field.repeated { Err(E::custom(format_args!("{} must be a list", self.field.name))) } else { Ok(ItemSeed { field: self.field, out: self.out }) }
    }
}

/// One value of a field, with its tag.
struct ItemSeed<'a> {
    field: &'static Field,
    out: &'a mut Vec<u8>,
}
impl ItemSeed<'_> {
    fn tag(&mut self, wire_type: u64) {
        push_varint(self.out, u64::from(self.field.number) << 3 | wire_type);
    }
    fn word(mut self, bits: u64) {
        self.tag(1);
        self.out.extend_from_slice(&bits.to_le_bytes());
    }
    fn half_word(mut self, bits: u32) {
        self.tag(5);
        self.out.extend_from_slice(&bits.to_le_bytes());
    }
    fn varint(mut self, value: u64) {
        self.tag(0);
        push_varint(self.out, value);
    }
    fn bytes(mut self, bytes: &[u8]) {
        self.tag(2);
        push_varint(self.out, bytes.len() as u64);
        self.out.extend_from_slice(bytes);
    }
    fn wrong<E: Error>(&self, found: impl fmt::Display) -> E {
        E::custom(format_args!("{} must be {}, not {found}", self.field.name, self.field.kind.expected()))
    }
    /// A whole number within the limits of its kind.
    fn whole<E: Error>(self, value: i128) -> Result<(), E> {
        let fits = |low: i128, high: i128| (low..=high).contains(&value);
        match self.field.kind {
            Kind::Double => self.word((value as f64).to_bits()),
            Kind::Fixed64 if fits(0, u64::MAX.into()) => self.word(value as u64),
            Kind::Fixed32 if fits(0, u32::MAX.into()) => self.half_word(value as u32),
            Kind::Sfixed64 if fits(i64::MIN.into(), i64::MAX.into()) => self.word((value as i64).cast_unsigned()),
            Kind::Int64 if fits(i64::MIN.into(), i64::MAX.into()) => self.varint((value as i64).cast_unsigned()),
            Kind::Uint64 if fits(0, u64::MAX.into()) => self.varint(value as u64),
            Kind::Uint32 if fits(0, u32::MAX.into()) => self.varint(value as u64),
            Kind::Sint32 if fits(i32::MIN.into(), i32::MAX.into()) => {
                let number = value as i32;
                self.varint(u64::from((number.cast_unsigned() << 1) ^ (number >> 31).cast_unsigned()));
            }
            Kind::Enum(_) if fits(i32::MIN.into(), i32::MAX.into()) => self.varint((value as i64).cast_unsigned()),
            _ => return Err(self.wrong(value)),
        }
        Ok(())
    }
}
impl<'de> DeserializeSeed<'de> for ItemSeed<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_any(self)
    }
}
impl<'de> Visitor<'de> for ItemSeed<'_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.field.kind.expected())
    }
    fn visit_map<A: MapAccess<'de>>(mut self, map: A) -> Result<(), A::Error> {
        let Kind::Message(schema) = self.field.kind else { return Err(self.wrong("an object")) };
        self.tag(2);
        // The length is not known yet; a number of fixed width, which is as valid, leaves room for it.
        let at = self.out.len();
        self.out.extend_from_slice(&[0; LENGTH_BYTES]);
        MessageSeed { schema: schema(), out: &mut *self.out }.visit_map(map)?;
        let length = self.out.len() - at - LENGTH_BYTES;
        write_length(&mut self.out[at..at + LENGTH_BYTES], length);
        Ok(())
    }
    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        if !matches!(self.field.kind, Kind::Bool) {
            return Err(self.wrong(value));
        }
        self.varint(value.into());
        Ok(())
    }
    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.whole(value.into())
    }
    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.whole(value.into())
    }
    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        if matches!(self.field.kind, Kind::Double) {
            self.word(value.to_bits());
            return Ok(());
        }
        // Some writers have only one type for numbers.
        if value.fract() == 0.0 && value.abs() < 9.0e15 { self.whole(value as i128) } else { Err(self.wrong(value)) }
    }
    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        match self.field.kind {
            Kind::Text => self.bytes(value.as_bytes()),
            Kind::Bytes => match from_base64(value) {
                Some(bytes) => self.bytes(&bytes),
                None => return Err(self.wrong("text that is no base64")),
            },
            Kind::Id(bytes_max) => match id(value, bytes_max) {
                Some(bytes) => self.bytes(&bytes),
                None => return Err(self.wrong(format_args!("{value:?}"))),
            },
            Kind::Double => match value {
                "NaN" => self.word(watchfire_model::sample::NORMAL_NAN_BITS),
                "Infinity" => self.word(f64::INFINITY.to_bits()),
                "-Infinity" => self.word(f64::NEG_INFINITY.to_bits()),
                text => match text.parse::<f64>() {
                    Ok(number) if number.is_finite() => self.word(number.to_bits()),
                    _ => return Err(self.wrong(format_args!("{value:?}"))),
                },
            },
            Kind::Enum(names) => match names.iter().find(|(name, _)| *name == value) {
                Some((_, number)) => self.varint(*number),
                None => return Err(self.wrong(format_args!("{value:?}"))),
            },
            Kind::Bool | Kind::Message(_) => return Err(self.wrong("text")),
            _ => match value.parse::<i128>() {
                Ok(number) => return self.whole(number),
                Err(_) => match value.parse::<f64>() {
                    Ok(number) => return self.visit_f64(number),
                    Err(_) => return Err(self.wrong(format_args!("{value:?}"))),
                },
            },
        }
        Ok(())
    }
}

/// A variable-length number, as protobuf has it.
fn push_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Bytes of a length that is written before it is known: 35 bits are more than any body has.
const LENGTH_BYTES: usize = 5;

fn write_length(place: &mut [u8], length: usize) {
    let mut rest = length;
    let last = place.len() - 1;
    for (at, byte) in place.iter_mut().enumerate() {
        *byte = (rest & 0x7f) as u8 | if at < last { 0x80 } else { 0 };
        rest >>= 7;
    }
}

fn from_base64(text: &str) -> Option<Vec<u8>> {
    [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD].iter().find_map(|engine| engine.decode(text).ok())
}

/// The id of a trace or span: OTLP has it in hexadecimal, generic writers of protobuf's JSON have it in base64.
fn id(text: &str, bytes_max: usize) -> Option<Vec<u8>> {
    let hex = |pair: &[u8; 2]| std::str::from_utf8(pair).ok().and_then(|p| u8::from_str_radix(p, 16).ok());
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if rest.is_empty() && (pairs.is_empty() || pairs.len() == bytes_max) && text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return pairs.iter().map(hex).collect();
    }
    from_base64(text).filter(|bytes| bytes.len() == bytes_max)
}

#[cfg(test)]
mod tests;
