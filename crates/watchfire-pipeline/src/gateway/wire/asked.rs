//! A request's body: which model, whether a stream, and the body as it is sent on. It passes byte for byte unless something in it
//! must not: fields that would choose another upstream or carry a key.

use std::borrow::Cow;
use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Fields that programs like to take from a body to decide where to call and as whom. Here configuration decides.
const DROPPED: [&str; 9] =
    ["api_base", "base_url", "api_key", "api_type", "api_version", "custom_llm_provider", "extra_headers", "default_headers", "organization"];

/// What a caller asks.
#[derive(Debug)]
pub(in crate::gateway) struct Asked {
    /// The model.
    pub(in crate::gateway) model: Option<String>,
    /// Whether the answer is to come in pieces.
    pub(in crate::gateway) stream: Option<bool>,
    /// Whether a stream is to end with its usage.
    pub(in crate::gateway) include_usage: bool,
    /// The body to send.
    pub(in crate::gateway) body: Bytes,
}

/// The fields of an object as they stand, repeated ones included.
pub(super) struct Fields<'a>(pub(super) Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Fields<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
                let mut fields = Vec::new();
                while let Some((Key(key), value)) = map.next_entry()? {
                    fields.push((key, value));
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// A key, borrowed where it has no escapes.
#[derive(serde::Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'a> Fields<'a> {
    pub(super) fn of(body: &'a [u8]) -> Result<Fields<'a>, String> {
        serde_json::from_slice(body).map_err(|e| format!("cannot read the body as a JSON object: {e}"))
    }
    /// A field, read as something; of a repeated one the last, as most programs do.
    pub(super) fn get<T: serde::Deserialize<'a>>(&self, name: &str) -> Option<T> {
        let (_, raw) = self.0.iter().rfind(|(key, _)| key == name)?;
        serde_json::from_str(raw.get()).ok()
    }
    /// The object, with some fields replaced.
    pub(super) fn write(&self, replaced: &[(&str, String)]) -> Bytes {
        let mut out = BytesMut::new();
        let mut begin = b'{';
        let mut put = |key: &str, value: &str| {
            out.put_u8(std::mem::replace(&mut begin, b','));
            out.put_slice(serde_json::Value::from(key).to_string().as_bytes());
            out.put_u8(b':');
            out.put_slice(value.as_bytes());
        };
        for (key, raw) in self.0.iter().filter(|(key, _)| !replaced.iter().any(|(name, _)| name == key)) {
            put(key, raw.get());
        }
        for (key, value) in replaced {
            put(key, value);
        }
        if begin == b'{' {
            out.put_u8(b'{');
        }
        out.put_u8(b'}');
        out.freeze()
    }
}

#[derive(serde::Deserialize)]
struct StreamOptions {
    include_usage: Option<bool>,
}

impl Asked {
    /// Reads a body. `usage` asks a stream for its usage where the caller did not.
    pub(in crate::gateway) fn read(body: &Bytes) -> Result<Asked, String> {
        let mut fields = Fields::of(body)?;
        let options: Option<StreamOptions> = fields.get("stream_options");
        let mut asked = Asked {
            model: fields.get("model"),
            stream: fields.get("stream"),
            include_usage: options.is_some_and(|o| o.include_usage == Some(true)),
            body: body.clone(),
        };
        let before = fields.0.len();
        fields.0.retain(|(key, _)| !DROPPED.contains(&&**key));
        if fields.0.len() < before {
            asked.body = fields.write(&[]);
        }
        Ok(asked)
    }

    /// Asks a stream for its usage too.
    pub(in crate::gateway) fn ask_for_usage(&mut self) {
        let Ok(fields) = Fields::of(&self.body) else { return };
        let mut options: serde_json::Map<String, serde_json::Value> = fields.get("stream_options").unwrap_or_default();
        options.insert("include_usage".to_owned(), true.into());
        let body = fields.write(&[("stream_options", serde_json::Value::Object(options).to_string())]);
        self.body = body;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Asked {
        Asked::read(&Bytes::copy_from_slice(text.as_bytes())).unwrap()
    }

    #[test]
    fn a_body_passes_as_it_is() {
        let text = "{ \"model\" : \"m\",\n \"stream\":true, \"temperature\": 1e-1, \"messages\": [ {\"content\":\"\\u00e9\"} ] }";
        let asked = read(text);
        assert_eq!((asked.model.as_deref(), asked.stream, asked.include_usage), (Some("m"), Some(true), false));
        assert_eq!(asked.body, text.as_bytes());
        assert_eq!(read("{}").body, "{}");
        assert_eq!(read(r#"{"model":7,"stream":"x"}"#).model, None);
    }

    #[test]
    fn r58_fields_that_choose_an_upstream_are_dropped_however_they_are_spelled() {
        let check = |text: &str, expected: &str| assert_eq!(read(text).body, expected.as_bytes(), "{text}");
        check(r#"{"api_base":"http://evil","model":"m"}"#, r#"{"model":"m"}"#);
        check(r#"{"base_url":"x","base_url":"y"}"#, "{}");
        check(r#"{"a\u0070i_base":"x","n": 1.50 , "n":2}"#, r#"{"n":1.50,"n":2}"#);
        check(r#"{"x":{"api_base":"inner stays"},"api_key":"k"}"#, r#"{"x":{"api_base":"inner stays"}}"#);
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for text in ["", "[]", "\"x\"", "{", "{\"a\":}", "nul", "\u{feff}{}"] {
            assert!(Asked::read(&Bytes::from(text.to_owned())).is_err(), "{text}");
        }
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        drop(Asked::read(&Bytes::from(deep)));
    }

    #[test]
    fn usage_is_asked_for_beside_other_options() {
        let mut asked = read(r#"{"stream":true,"stream_options":{"include_usage":false,"x":1},"model":"m"}"#);
        asked.ask_for_usage();
        assert_eq!(asked.body, br#"{"stream":true,"model":"m","stream_options":{"include_usage":true,"x":1}}"#.as_slice());
    }
}
