//! The options of the prober `http`.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use http::Method;
use regex::bytes::Regex;
use watchfire_model::document::Reader;
use watchfire_net::client::{HttpOptions, Locate, read_http_options};
use watchfire_net::inflate::Encoding;
use watchfire_net::timed::{Family, Preference};

use crate::probe::config::{read_expression, read_expressions, read_preference};

/// The most bytes of a body to be sent.
const BODY_BYTES_MAX: u64 = 4 << 20;

/// How a body is to be compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compression {
    Identity,
    Gzip,
    Deflate,
}
impl Compression {
    pub(super) fn word(self) -> &'static str {
        match self {
            Compression::Identity => "identity",
            Compression::Gzip => "gzip",
            Compression::Deflate => "deflate",
        }
    }
    pub(super) fn encoding(self) -> Encoding {
        match self {
            Compression::Identity => Encoding::Identity,
            Compression::Gzip => Encoding::Gzip,
            Compression::Deflate => Encoding::Deflate,
        }
    }
}

/// A rule for a header.
#[derive(Clone, Debug)]
pub(super) struct HeaderRule {
    pub(super) header: String,
    pub(super) expression: Regex,
    pub(super) allow_missing: bool,
}

/// Where the body to be sent comes from.
#[derive(Clone, Debug)]
enum Sent {
    Text(Bytes),
    File(PathBuf),
}

/// All options.
#[derive(Clone, Debug)]
pub(in crate::probe) struct HttpModule {
    pub(super) valid_status_codes: Vec<u16>,
    pub(super) valid_versions: Vec<String>,
    pub(super) preference: Preference,
    pub(super) skip_resolve_with_proxy: bool,
    pub(super) fail_if_ssl: bool,
    pub(super) fail_if_not_ssl: bool,
    pub(super) method: Method,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body_bad: Vec<Regex>,
    pub(super) body_wanted: Vec<Regex>,
    pub(super) headers_bad: Vec<HeaderRule>,
    pub(super) headers_wanted: Vec<HeaderRule>,
    sent: Sent,
    pub(super) compression: Option<Compression>,
    /// Bytes of a body; none for no limit but ours.
    pub(super) body_bytes_max: Option<u64>,
    pub(super) http2: bool,
    pub(super) client: Arc<HttpOptions>,
}

impl HttpModule {
    pub(in crate::probe) fn read(reader: Reader<'_>, locate: Locate<'_>) -> HttpModule {
        let mut client = read_http_options(&reader, locate);
        let http2 = reader.bool("enable_http2").unwrap_or(true);
        if reader.bool("no_follow_redirects").unwrap_or(false) {
            reader.warning_at("no_follow_redirects", "is the old name; follow_redirects: false says the same");
            client.follow_redirects = false;
        }
        let compression = read_compression(&reader);
        let headers = reader.text_map("headers");
        let encoding = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("accept-encoding"));
        if let (Some(wanted), Some((_, value))) = (compression, encoding)
            && !value.split([',', ';']).any(|word| word.trim() == wanted.word() || word.trim() == "*")
        {
            reader.error_at("headers", format!("Accept-Encoding {value:?} does not allow the compression {}", wanted.word()));
        }
        let body = reader.text("body");
        let file = reader.text("body_file").filter(|f| !f.is_empty());
        if body.is_some() && file.is_some() {
            reader.error_at("body_file", "at most one of body and body_file may be set");
        }
        let module = HttpModule {
            valid_status_codes: read_codes(&reader),
            valid_versions: reader.texts("valid_http_versions", false),
            preference: read_preference(&reader),
            skip_resolve_with_proxy: reader.bool("skip_resolve_phase_with_proxy").unwrap_or(false),
            fail_if_ssl: reader.bool("fail_if_ssl").unwrap_or(false),
            fail_if_not_ssl: reader.bool("fail_if_not_ssl").unwrap_or(false),
            method: read_method(&reader),
            headers,
            body_bad: read_expressions(&reader, "fail_if_body_matches_regexp"),
            body_wanted: read_expressions(&reader, "fail_if_body_not_matches_regexp"),
            headers_bad: read_rules(&reader, "fail_if_header_matches"),
            headers_wanted: read_rules(&reader, "fail_if_header_not_matches"),
            sent: file.map_or_else(|| Sent::Text(body.unwrap_or_default().into()), |file| Sent::File(locate(&file))),
            compression,
            body_bytes_max: reader.bytes("body_size_limit").filter(|bytes| *bytes > 0),
            http2,
            client: Arc::new(client),
        };
        reader.finish();
        module
    }

    /// A module that fetches a page, or posts something to it.
    pub(in crate::probe) fn fetching(client: Arc<HttpOptions>, mut headers: Vec<(String, String)>, body: Option<String>) -> HttpModule {
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("accept")) {
            headers.push(("Accept".to_owned(), "application/json".to_owned()));
        }
        HttpModule {
            valid_status_codes: Vec::new(),
            valid_versions: Vec::new(),
            preference: Preference { family: Family::V4, fallback: true },
            skip_resolve_with_proxy: true,
            fail_if_ssl: false,
            fail_if_not_ssl: false,
            method: if body.is_some() { Method::POST } else { Method::GET },
            headers,
            body_bad: Vec::new(),
            body_wanted: Vec::new(),
            headers_bad: Vec::new(),
            headers_wanted: Vec::new(),
            sent: Sent::Text(body.unwrap_or_default().into()),
            compression: None,
            body_bytes_max: None,
            http2: true,
            client,
        }
    }

    /// The name that is asked for, where that is not the host of the URL.
    pub(super) fn host_header(&self, hostname: Option<&str>) -> Option<String> {
        let set = self.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("host")).map(|(_, value)| value.clone());
        set.or_else(|| hostname.map(str::to_owned))
    }

    /// The body to be sent. A file is read at each probe; it blocks, and is small.
    pub(super) fn body(&self) -> Result<Bytes, String> {
        match &self.sent {
            Sent::Text(text) => Ok(text.clone()),
            Sent::File(path) => {
                use std::io::Read;
                let mut bytes = Vec::new();
                let read = std::fs::File::open(path).and_then(|file| file.take(BODY_BYTES_MAX).read_to_end(&mut bytes));
                read.map_err(|e| format!("cannot read {}: {e}", path.display()))?;
                Ok(bytes.into())
            }
        }
    }
}

fn read_codes(reader: &Reader<'_>) -> Vec<u16> {
    let texts = reader.texts("valid_status_codes", false);
    let code = |text: &String| {
        let code = text.parse().ok().filter(|code| (100..1000).contains(code));
        if code.is_none() {
            reader.error_at("valid_status_codes", format!("{text:?} is no status code"));
        }
        code
    };
    texts.iter().filter_map(code).collect()
}

fn read_method(reader: &Reader<'_>) -> Method {
    let text = reader.text("method").filter(|m| !m.is_empty()).unwrap_or_else(|| "GET".to_owned());
    Method::from_bytes(text.as_bytes()).unwrap_or_else(|_| {
        reader.error_at("method", format!("{text:?} is no method"));
        Method::GET
    })
}

fn read_rules(reader: &Reader<'_>, key: &'static str) -> Vec<HeaderRule> {
    let rule = |rule: Reader<'_>| {
        let header = rule.required_text("header");
        let expression = read_expression(&rule, "regexp");
        if rule.raw("regexp").is_none() {
            rule.error_at("regexp", "is missing");
        }
        let allow_missing = rule.bool("allow_missing").unwrap_or(false);
        rule.finish();
        Some(HeaderRule { header, expression: expression?, allow_missing })
    };
    reader.maps(key).into_iter().filter_map(rule).collect()
}

fn read_compression(reader: &Reader<'_>) -> Option<Compression> {
    match reader.word("compression", &["gzip", "deflate", "br", "identity"])? {
        "gzip" => Some(Compression::Gzip),
        "deflate" => Some(Compression::Deflate),
        "br" => {
            reader.error_at("compression", "br (Brotli) is not decompressed here; gzip and deflate are");
            None
        }
        _ => Some(Compression::Identity),
    }
}
