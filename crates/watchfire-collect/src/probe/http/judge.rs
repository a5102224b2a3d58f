//! Whether an answer is a good one. The order is the original's, so that the same metrics are there when a probe fails.

use http::HeaderMap;
use http::header::LAST_MODIFIED;
use watchfire_net::blocking::spawn_blocking;
use watchfire_net::inflate::{Limits, decode};
use watchfire_net::timed::{Body, TimedError};

use super::module::{Compression, HeaderRule, HttpModule};
use super::{Last, since};
use crate::probe::sheet::Sheet;
use crate::probe::target::Probe;

/// Bytes of a body that are held to look for expressions, where the module sets no limit.
const BODY_BYTES_MAX: usize = 10 << 20;
/// Bytes of a body that are read to its end.
const DRAINED_BYTES_MAX: u64 = 1 << 40;

pub(super) async fn judge(work: &mut Probe<'_>, module: &HttpModule, last: Last) -> bool {
    let Last { answer, encrypted, head_at, leads_on } = last;
    let (status, version, headers) = (answer.status.as_u16(), answer.version, answer.headers);
    let sheet = &mut *work.sheet;
    sheet.set("probe_http_status_code", &[], f64::from(status));
    let mut good = status_is_good(module, status);
    if !good {
        sheet.say(format!("the status {status} is not a valid one"));
    }
    if good && !(module.headers_bad.is_empty() && module.headers_wanted.is_empty()) {
        good = headers_are_good(sheet, module, &headers);
        sheet.set("probe_failed_due_to_regex", &[], f64::from(u8::from(!good)));
    }
    let declared = headers.get(http::header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<f64>().ok());
    // Answers that have no body by their status have one of length 0; to HEAD it is what would be told.
    let bodiless = matches!(status, 204 | 304) && module.method != http::Method::HEAD;
    sheet.set("probe_http_content_length", &[], if bodiless { 0.0 } else { declared.unwrap_or(-1.0) });
    if leads_on {
        since(sheet, "transfer", head_at);
    } else {
        let wanted = good && !(module.body_bad.is_empty() && module.body_wanted.is_empty());
        let Read { length, body, failed, undecoded } = read_body(module, answer.body, wanted, work.deadline).await;
        let sheet = &mut *work.sheet;
        since(sheet, "transfer", head_at);
        sheet.set("probe_http_uncompressed_body_length", &[], length as f64);
        if wanted && !undecoded {
            // What cannot be read to its end is not known to match.
            good = failed.is_none() && body_is_good(sheet, module, &body);
            sheet.set("probe_failed_due_to_regex", &[], f64::from(u8::from(!good)));
        }
        if let Some(reason) = failed {
            sheet.say(reason);
            good = false;
        }
    }
    let sheet = &mut *work.sheet;
    good &= version_is_good(sheet, module, version);
    if let Some(time) = headers.get(LAST_MODIFIED).and_then(|v| watchfire_net::backoff::http_date(v.to_str().ok()?)) {
        sheet.set("probe_http_last_modified_timestamp_seconds", &[], (time / 1_000) as f64);
    }
    sheet.set("probe_http_ssl", &[], f64::from(u8::from(encrypted)));
    if let Some(facts) = work.last_tls.take() {
        work.sheet.encryption(&facts, !module.client.tls.insecure_skip_verify);
    }
    let forbidden = if encrypted { module.fail_if_ssl } else { module.fail_if_not_ssl };
    if forbidden {
        work.sheet.say(if encrypted { "the connection is encrypted, which it must not be" } else { "the connection is not encrypted" });
    }
    good && !forbidden
}

fn status_is_good(module: &HttpModule, status: u16) -> bool {
    if module.valid_status_codes.is_empty() { (200..300).contains(&status) } else { module.valid_status_codes.contains(&status) }
}

fn headers_are_good(sheet: &mut Sheet, module: &HttpModule, headers: &HeaderMap) -> bool {
    let values = |rule: &HeaderRule| headers.get_all(rule.header.as_str()).iter().map(|v| v.as_bytes().to_vec()).collect::<Vec<_>>();
    for (rules, bad) in [(&module.headers_bad, true), (&module.headers_wanted, false)] {
        for rule in rules {
            let found = values(rule);
            if found.is_empty() {
                if rule.allow_missing {
                    continue;
                }
                sheet.say(format!("the header {} is missing", rule.header));
                return false;
            }
            let matches = found.iter().any(|value| rule.expression.is_match(value));
            if matches == bad {
                sheet.say(format!("the header {} {} {}", rule.header, if bad { "matches" } else { "does not match" }, rule.expression));
                return false;
            }
        }
    }
    true
}

/// What was read of a body.
#[derive(Default)]
struct Read {
    /// Its length after decompression, as far as it came.
    length: u64,
    /// The body itself, if somebody looks into it.
    body: Vec<u8>,
    /// Why it is not all of it.
    failed: Option<String>,
    /// Whether it came, and is not compressed as the module says.
    undecoded: bool,
}

/// Reads the body until its end, until it is too large, or until the time is over.
async fn read_body(module: &HttpModule, mut body: Body, wanted: bool, deadline: tokio::time::Instant) -> Read {
    let compression = module.compression.filter(|compression| *compression != Compression::Identity);
    let keeps = wanted || compression.is_some();
    let most = module.body_bytes_max.unwrap_or(if keeps { BODY_BYTES_MAX as u64 } else { DRAINED_BYTES_MAX });
    let mut read = Read::default();
    loop {
        let data = match tokio::time::timeout_at(deadline, body.data()).await {
            Ok(Ok(Some(data))) => data,
            Ok(Ok(None)) => break,
            Ok(Err(error)) => {
                read.failed = Some(error.to_string());
                break;
            }
            Err(_) => {
                read.failed = Some("the time was over before all of the body was there".to_owned());
                break;
            }
        };
        let room = usize::try_from(most.saturating_sub(read.length)).unwrap_or(usize::MAX);
        let taken = data.get(..room.min(data.len())).unwrap_or_default();
        read.length += taken.len() as u64;
        if keeps {
            read.body.extend_from_slice(taken);
        }
        if taken.len() < data.len() {
            read.failed = Some(TimedError::TooLarge(usize::try_from(most).unwrap_or(usize::MAX)).to_string());
            break;
        }
    }
    match compression {
        Some(compression) => decompressed(compression, read).await,
        None => read,
    }
}

/// The module says how the body is compressed, so one that is not fails.
async fn decompressed(compression: Compression, read: Read) -> Read {
    if read.failed.is_some() {
        return Read { length: 0, ..read };
    }
    let limits = Limits { compressed: usize::MAX, decompressed: BODY_BYTES_MAX.max(read.body.len()) };
    let plain = spawn_blocking(move || decode(compression.encoding(), &read.body, limits)).await;
    match plain.map_err(|_| "decompressing the body ended in a panic".to_owned()).and_then(|plain| plain.map_err(|e| e.to_string())) {
        Ok(body) => Read { length: body.len() as u64, body, ..Read::default() },
        Err(reason) => Read { failed: Some(reason), undecoded: true, ..Read::default() },
    }
}

fn body_is_good(sheet: &mut Sheet, module: &HttpModule, body: &[u8]) -> bool {
    if let Some(found) = module.body_bad.iter().find(|e| e.is_match(body)) {
        sheet.say(format!("the body matches {found}"));
        return false;
    }
    if let Some(missing) = module.body_wanted.iter().find(|e| !e.is_match(body)) {
        sheet.say(format!("the body does not match {missing}"));
        return false;
    }
    true
}

fn version_is_good(sheet: &mut Sheet, module: &HttpModule, version: http::Version) -> bool {
    let (number, name) = match version {
        http::Version::HTTP_10 => (1.0, "HTTP/1.0"),
        http::Version::HTTP_2 => (2.0, "HTTP/2.0"),
        _ => (1.1, "HTTP/1.1"),
    };
    sheet.set("probe_http_version", &[], number);
    let good = module.valid_versions.is_empty() || module.valid_versions.iter().any(|v| v == name);
    if !good {
        sheet.say(format!("{name} is not a valid version"));
    }
    good
}
