//! Connect's protocol as far as it is spoken here: one message in a request, one in the answer, both in protobuf or both in JSON.

use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::{Serialize, Serializer};
use watchfire_ingest::protobuf::Writer;
use watchfire_ingest::pyroscope::Format;

use crate::prometheus::answer::to_json;

/// The media types that are taken.
pub(super) const TYPES: [&str; 2] = ["application/proto", "application/json"];

/// The server let only the two types pass.
pub(super) fn format_of(headers: &HeaderMap) -> Format {
    let media = headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("");
    if media.to_ascii_lowercase().contains("json") { Format::Json } else { Format::Protobuf }
}

/// A message that can be written in both forms.
pub(super) trait Message: Serialize {
    /// Its fields in protobuf.
    fn fields(&self, out: &mut Writer);
}

/// An answer in the form of the request.
pub(super) fn answer(message: &impl Message, format: Format) -> Response {
    let (body, media) = match format {
        Format::Json => (to_json(message), TYPES[1]),
        Format::Protobuf => {
            let mut out = Writer::new();
            message.fields(&mut out);
            (out.into_bytes(), TYPES[0])
        }
    };
    (StatusCode::OK, [(CONTENT_TYPE, HeaderValue::from_static(media))], body).into_response()
}

/// A 64-bit number, which is text in JSON.
pub(super) fn int64<S: Serializer>(value: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

/// A list of them.
pub(super) fn int64s<S: Serializer>(values: &[i64], serializer: S) -> Result<S::Ok, S::Error> {
    struct Text(i64);
    impl Serialize for Text {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_str(&self.0)
        }
    }
    serializer.collect_seq(values.iter().map(|value| Text(*value)))
}
