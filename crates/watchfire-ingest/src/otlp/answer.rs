//! Answers of OTLP, alike for every signal: what was not kept of a request that was taken, and the status of one that was not.

use watchfire_model::write::Reason;

use super::Format;
use crate::protobuf::Writer;

/// An `Export…ServiceResponse`, which is empty when everything was kept. `key` is what JSON calls the number of what was not.
pub(super) fn partial(format: Format, key: &str, rejected: u64, message: impl Fn() -> String) -> Vec<u8> {
    match (format, rejected) {
        (Format::Protobuf, 0) => Vec::new(),
        (Format::Json, 0) => b"{}".to_vec(),
        (Format::Protobuf, rejected) => {
            let mut out = Writer::new();
            out.message(1, |partial| {
                partial.uint(1, rejected);
                partial.text(2, &message());
            });
            out.into_bytes()
        }
        (Format::Json, rejected) => {
            let partial = serde_json::json!({ key: rejected.to_string(), "errorMessage": message() });
            serde_json::json!({"partialSuccess": partial}).to_string().into_bytes()
        }
    }
}

/// What was refused, in words.
pub(super) fn message(rejected: u64, total: u64, items: &str, reasons: &[(Reason, u64)], example: Option<&str>) -> String {
    let reasons: Vec<String> = reasons.iter().map(|(reason, count)| format!("{reason}: {count}")).collect();
    let example = example.map(|e| format!("; for example {e}")).unwrap_or_default();
    format!("{rejected} of {total} {items} were refused ({}){example}", reasons.join(", "))
}

/// A `google.rpc.Status`: what a request that was not taken is answered with. The code is one of gRPC's.
pub fn status(format: Format, code: u16, message: &str) -> Vec<u8> {
    match format {
        Format::Protobuf => {
            let mut out = Writer::new();
            out.uint(1, code.into());
            out.text(2, message);
            out.into_bytes()
        }
        Format::Json => serde_json::json!({"code": code, "message": message}).to_string().into_bytes(),
    }
}
