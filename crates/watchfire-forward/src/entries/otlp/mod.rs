//! Spans, log lines and metrics as requests of OTLP, over HTTP or gRPC, and what the other side's answer means. Sockets are those of `watchfire-net`.

mod logs;
mod metrics;

use std::io::Write;
use std::time::Duration;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::StatusCode;
use watchfire_ingest::otlp::spans::protobuf;
use watchfire_ingest::protobuf::{Message, Value, Writer, text};
use watchfire_model::logs::LogLine;
use watchfire_model::spans::SpanRow;
use watchfire_net::client::{GrpcAnswer, GrpcClient, read_identity};

use super::Kind;
use super::outcome::{Item, Outcome};
use super::target::Target;

/// The method of gRPC.
fn method(kind: Kind) -> &'static str {
    match kind {
        Kind::Logs => "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
        Kind::Spans => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
        Kind::Metrics => "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    }
}

/// How a place is spoken to.
pub(super) enum Client {
    Http { gzip: bool },
    Grpc { client: Box<GrpcClient>, gzip: bool },
}

impl Client {
    /// Sends some items once.
    pub(super) async fn send(&mut self, target: &Target, items: &[Item]) -> Outcome {
        let message = encode(target.kind, items);
        match self {
            Client::Http { gzip } => {
                let encoding = gzip.then_some("gzip");
                let body = if *gzip { compressed(&message) } else { message };
                match target.post(target.output.url.expose(), "application/x-protobuf", encoding, body.into()).await {
                    Err(outcome) => outcome,
                    Ok(answer) if answer.status.is_success() => taken(&answer.body),
                    // What is wrong with a request today is wrong with it tomorrow; who may not write today may be allowed to tomorrow.
                    Ok(answer) => target.judge(&answer, |status| {
                        matches!(
                            status,
                            StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE | StatusCode::UNSUPPORTED_MEDIA_TYPE | StatusCode::UNPROCESSABLE_ENTITY
                        )
                    }),
                }
            }
            Client::Grpc { client, gzip } => {
                let (tls, mut headers) = match read_identity(&target.output.client).await {
                    Ok(identity) => identity,
                    Err(error) => return Outcome::again(error.to_string()),
                };
                headers.extend(target.output.headers.iter().cloned());
                let body = if *gzip { compressed(&message) } else { message };
                match client.call(method(target.kind), &headers, &tls, (&body, *gzip), target.output.timeout).await {
                    Ok(answer) => judge(&answer),
                    Err(error) => Outcome::again(error.to_string()),
                }
            }
        }
    }
}

/// The request of one kind; that of spans is `ExportTraceServiceRequest { 1: ResourceSpans* }`.
fn encode(kind: Kind, items: &[Item]) -> Vec<u8> {
    match kind {
        Kind::Logs => return logs::encode(items),
        Kind::Metrics => return metrics::encode(items),
        Kind::Spans => {}
    }
    let mut out = Writer::new();
    protobuf(&mut out, 1, items.iter().map(row));
    out.into_bytes()
}

fn row(item: &Item) -> SpanRow<'_> {
    SpanRow::new(LogLine { labels: &item.labels, time: item.time, line: &item.line, metadata: &item.metadata })
}

/// KeyValue { 1: key, 2: AnyValue { 1: text } }.
fn attribute(out: &mut Writer, field: u32, key: &str, value: &str) {
    out.message(field, |pair| {
        pair.text(1, key);
        pair.message(2, |any| any.always_bytes(1, value.as_bytes()));
    });
}

/// An id of so many bytes.
fn id<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut id = [0; N];
    if text.len() != 2 * N {
        return None;
    }
    for (byte, digits) in id.iter_mut().zip(text.as_bytes().chunks(2)) {
        let digits = std::str::from_utf8(digits).ok().filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))?;
        *byte = u8::from_str_radix(digits, 16).ok()?;
    }
    Some(id)
}

fn compressed(message: &[u8]) -> Vec<u8> {
    let mut out = GzEncoder::new(Vec::new(), Compression::fast());
    // Writing to memory does not fail.
    match out.write_all(message).and_then(|()| out.finish()) {
        Ok(bytes) => bytes,
        Err(error) => unreachable!("BUG: {} bytes cannot be compressed: {error}", message.len()),
    }
}

/// What a success says, of any kind: `Export…ServiceResponse { 1: partial success { 1: rejected items, 2: message } }`.
fn taken(body: &Bytes) -> Outcome {
    let mut rejected = 0;
    let mut why = String::new();
    for field in Message::new(body) {
        // An answer in JSON, or one that cannot be read, is a success all the same.
        let Ok((1, Value::Bytes(partial))) = field else { return Outcome::Taken };
        for field in Message::new(partial) {
            match field {
                Ok((1, Value::Varint(count))) => rejected = count,
                Ok((2, Value::Bytes(message))) => why = text(message).unwrap_or("").chars().take(256).collect(),
                _ => {}
            }
        }
    }
    if rejected == 0 { Outcome::Taken } else { Outcome::Partly(rejected, why) }
}

/// The codes of gRPC that will be the same tomorrow: the message is wrong, or too large where no time is told.
const INVALID_ARGUMENT: u32 = 3;
const RESOURCE_EXHAUSTED: u32 = 8;
const FAILED_PRECONDITION: u32 = 9;
const OUT_OF_RANGE: u32 = 11;

fn judge(answer: &GrpcAnswer) -> Outcome {
    let why = format!("the other side answers status {} of gRPC: {}", answer.status, answer.message.chars().take(256).collect::<String>());
    let after = retry_delay(&answer.details);
    match answer.status {
        0 => taken(&answer.body),
        INVALID_ARGUMENT | FAILED_PRECONDITION | OUT_OF_RANGE => Outcome::Refused(format!("grpc_status_{}", answer.status), why),
        RESOURCE_EXHAUSTED if after.is_none() && answer.message.contains("larger than max") => Outcome::Refused("grpc_status_8".to_owned(), why),
        status => Outcome::Again { after, why, too_much: status == RESOURCE_EXHAUSTED },
    }
}

/// When the other side wants to be asked again: `google.rpc.Status { 3: Any { 1: type, 2: RetryInfo { 1: Duration { 1: s, 2: ns } } } }`.
fn retry_delay(details: &[u8]) -> Option<Duration> {
    for field in Message::new(details) {
        let Ok((3, Value::Bytes(any))) = field else { continue };
        let (mut is_retry, mut value) = (false, &[][..]);
        for field in Message::new(any) {
            match field {
                Ok((1, Value::Bytes(kind))) => is_retry = text(kind).is_ok_and(|kind| kind.ends_with("google.rpc.RetryInfo")),
                Ok((2, Value::Bytes(bytes))) => value = bytes,
                _ => {}
            }
        }
        if !is_retry {
            continue;
        }
        for field in Message::new(value) {
            let Ok((1, Value::Bytes(duration))) = field else { continue };
            let (mut seconds, mut nanos) = (0u64, 0u64);
            for field in Message::new(duration) {
                match field {
                    Ok((1, Value::Varint(number))) => seconds = number,
                    Ok((2, Value::Varint(number))) => nanos = number,
                    _ => {}
                }
            }
            return Some(Duration::from_secs(seconds.min(3_600)) + Duration::from_nanos(nanos.min(999_999_999)));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u32, message: &str, details: Vec<u8>) -> GrpcAnswer {
        GrpcAnswer { status, message: message.to_owned(), details, body: Bytes::new() }
    }

    #[test]
    fn what_statuses_of_grpc_mean() {
        let mut details = Writer::new();
        details.uint(1, 14);
        details.message(3, |any| {
            any.text(1, "type.googleapis.com/google.rpc.RetryInfo");
            any.message(2, |info| {
                info.message(1, |duration| {
                    duration.uint(1, 2);
                    duration.uint(2, 500_000_000);
                });
            });
        });
        let details = details.into_bytes();
        let again = |outcome: Outcome| matches!(outcome, Outcome::Again { .. });
        assert_eq!(judge(&answer(0, "", Vec::new())), Outcome::Taken);
        for status in [1, 2, 4, 5, 7, 8, 10, 12, 13, 14, 15, 16] {
            assert!(again(judge(&answer(status, "later", Vec::new()))), "{status}");
        }
        for status in [3, 9, 11] {
            assert!(matches!(judge(&answer(status, "no", Vec::new())), Outcome::Refused(..)), "{status}");
        }
        assert!(matches!(judge(&answer(8, "grpc: received message larger than max (5 vs. 4)", Vec::new())), Outcome::Refused(..)));
        let Outcome::Again { after, too_much, .. } = judge(&answer(8, "slow down", details)) else { panic!("it may come again") };
        assert_eq!((after, too_much), (Some(Duration::from_millis(2_500)), true));
    }

    #[test]
    fn what_a_success_says() {
        let mut body = Writer::new();
        body.message(1, |partial| {
            partial.uint(1, 3);
            partial.text(2, "too old");
        });
        assert_eq!(taken(&body.into_bytes().into()), Outcome::Partly(3, "too old".to_owned()));
        for whole in [&b""[..], b"{}", b"\x0a\x00", b"\xff"] {
            assert_eq!(taken(&Bytes::from_static(whole)), Outcome::Taken);
        }
    }
}
