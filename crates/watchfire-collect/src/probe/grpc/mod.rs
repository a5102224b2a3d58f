//! The prober `grpc`: asks the standard health service (`grpc.health.v1.Health/Check`) over HTTP/2 on a connection of its own.

#[cfg(test)]
mod tests;

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, Request, Uri};
use watchfire_model::document::Reader;
use watchfire_net::client::{AGENT, Locate, TlsOptions};
use watchfire_net::timed::{Asked, Preference, TimedError, Version};

use super::config::{read_preference, read_tls};
use super::target::{Probe, host_and_port};

const PHASES: &str = "probe_grpc_duration_seconds";
/// The words of the health service; each is the number of its place.
const WORDS: [&str; 4] = ["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"];
const SERVING: u64 = 1;
/// Bytes of an answer.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// Status codes of gRPC.
const UNKNOWN: f64 = 2.0;
const DEADLINE_EXCEEDED: f64 = 4.0;
const UNAVAILABLE: f64 = 14.0;

/// All options.
#[derive(Clone, Debug)]
pub(super) struct GrpcModule {
    preference: Preference,
    service: String,
    encrypted: bool,
    tls: TlsOptions,
}

impl GrpcModule {
    pub(super) fn read(reader: Reader<'_>, locate: Locate<'_>) -> GrpcModule {
        let module = GrpcModule {
            preference: read_preference(&reader),
            service: reader.text("service").unwrap_or_default(),
            encrypted: reader.bool("tls").unwrap_or(false),
            tls: read_tls(&reader, locate),
        };
        reader.finish();
        module
    }
}

/// Probes a target.
pub(super) async fn probe(work: &mut Probe<'_>, module: &GrpcModule) -> bool {
    work.sheet.set("probe_grpc_ssl", &[], 0.0);
    // Zero says that there is no certificate, as it is there.
    work.sheet.set("probe_ssl_earliest_cert_expiry", &[], 0.0);
    work.sheet.set("probe_grpc_status_code", &[], 0.0);
    work.sheet.set(PHASES, &[("phase", "resolve")], 0.0);
    // One that names no port is looked up all the same, and cannot be reached.
    let (host, port) = target(work.target).map_or_else(|reason| (work.target.to_owned(), Err(reason)), |(host, port)| (host, Ok(port)));
    let Some((ip, took)) = work.resolve(&host, module.preference).await else { return false };
    work.sheet.phase(PHASES, "resolve", took);
    work.sheet.set(PHASES, &[("phase", "check")], 0.0);
    for word in WORDS {
        work.sheet.set("probe_grpc_healthcheck_response", &[("serving_status", word)], 0.0);
    }
    // Until something is known, it took too long.
    work.sheet.set("probe_grpc_status_code", &[], DEADLINE_EXCEEDED);
    let begin = tokio::time::Instant::now();
    let outcome = match port {
        Ok(port) => check(work, module, &host, SocketAddr::new(ip, port)).await,
        Err(reason) => Err((UNAVAILABLE, reason)),
    };
    work.sheet.phase(PHASES, "check", begin.elapsed());
    let (code, serving) = match outcome {
        Ok(answer) => answer,
        Err((code, reason)) => {
            work.sheet.say(reason);
            (code, None)
        }
    };
    work.sheet.set("probe_grpc_status_code", &[], code);
    if let Some(word) = serving.and_then(|n| WORDS.get(usize::try_from(n).ok()?)) {
        work.sheet.set("probe_grpc_healthcheck_response", &[("serving_status", word)], 1.0);
        work.sheet.say(format!("the service says {word}"));
    }
    code == 0.0 && serving == Some(SERVING)
}

/// `host:port`, or a URL whose host and port are taken.
fn target(text: &str) -> Result<(String, u16), String> {
    let plain = text.split_once("://").map_or(text, |(_, rest)| rest.split('/').next().unwrap_or(rest));
    let usual = if text.starts_with("https://") { Some(443) } else { text.starts_with("http://").then_some(80) };
    host_and_port(plain, usual)
}

type Unanswered = (f64, String);

async fn check(work: &mut Probe<'_>, module: &GrpcModule, host: &str, to: SocketAddr) -> Result<(f64, Option<u64>), Unanswered> {
    let unavailable = |reason: String| (UNAVAILABLE, reason);
    let link = work.dialer.connect(to, None, work.policy).await.map_err(|e| unavailable(work.refused(e)))?;
    let name = work.hostname.unwrap_or(host);
    let link = if module.encrypted {
        let tls = work.client_tls(&module.tls).await.map_err(unavailable)?;
        work.dialer.encrypt(link, name, &tls, &[b"h2"]).await.map_err(|e| unavailable(e.to_string()))?
    } else {
        link
    };
    let tls = link.tls.clone();
    let authority = if host.contains(':') { format!("[{host}]:{}", to.port()) } else { format!("{host}:{}", to.port()) };
    let scheme = if module.encrypted { "https" } else { "http" };
    let uri: Uri = format!("{scheme}://{authority}/grpc.health.v1.Health/Check").parse().map_err(|e: http::uri::InvalidUri| (UNKNOWN, e.to_string()))?;
    let request = Request::post(uri)
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("user-agent", AGENT)
        .body(Bytes::from(question(&module.service)))
        .map_err(|e| (UNKNOWN, e.to_string()))?;
    let answer = link.exchange(Asked { request, host: host.to_owned(), version: Version::Two }).await.map_err(|e| unavailable(e.to_string()))?;
    // Who does not speak HTTP/2 behind it is not told to be encrypted.
    if let Some(facts) = &tls {
        work.sheet.set("probe_grpc_ssl", &[], 1.0);
        work.sheet.earliest_expiry(facts);
        work.sheet.set("probe_tls_version_info", &[("version", facts.version)], 1.0);
        work.sheet.set("probe_tls_cipher_info", &[("cipher", &facts.cipher)], 1.0);
    }
    let (status, headers) = (answer.status, answer.headers);
    let (body, trailers) = answer.body.collect(ANSWER_BYTES_MAX).await.map_err(|e: TimedError| (UNKNOWN, e.to_string()))?;
    match code(&trailers).or_else(|| code(&headers)) {
        Some(code) => Ok((code, serving(&body))),
        // Somebody who does not speak gRPC: the statuses of HTTP have their own translation.
        None => Err((from_http(status.as_u16()), format!("answered {status} without a status of gRPC"))),
    }
}

fn code(headers: &HeaderMap) -> Option<f64> {
    headers.get("grpc-status")?.to_str().ok()?.parse::<u32>().ok().map(f64::from)
}

fn from_http(status: u16) -> f64 {
    match status {
        400 => 13.0,
        401 => 16.0,
        403 => 7.0,
        404 => 12.0,
        429 | 502 | 503 | 504 => UNAVAILABLE,
        _ => UNKNOWN,
    }
}

/// The question: one message with the name of the service.
fn question(service: &str) -> Vec<u8> {
    let mut message = Vec::new();
    if !service.is_empty() {
        message.push(0x0a);
        let mut length = service.len();
        while length >= 0x80 {
            message.push((length & 0x7f) as u8 | 0x80);
            length >>= 7;
        }
        message.push(length as u8);
        message.extend_from_slice(service.as_bytes());
    }
    let mut framed = vec![0];
    framed.extend((message.len() as u32).to_be_bytes());
    framed.extend(message);
    framed
}

/// The number in the first field of the first message. A message without it says zero.
fn serving(body: &[u8]) -> Option<u64> {
    let (&compressed, rest) = body.split_first()?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let message = rest.get(..u32::from_be_bytes(*length) as usize).filter(|_| compressed == 0)?;
    match message.split_first() {
        None => Some(0),
        Some((0x08, rest)) => {
            let mut value = 0u64;
            for (at, byte) in rest.iter().enumerate().take(9) {
                value |= u64::from(byte & 0x7f) << (7 * at);
                if byte & 0x80 == 0 {
                    return Some(value);
                }
            }
            None
        }
        Some(_) => None,
    }
}
