//! The check `http`: a request and what its answer must be like. Credentials are sent to the configured host only, and never shown.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use ::http::{Method, Uri};
use regex::Regex;
use watchfire_model::document::{Node, Reader};
use watchfire_net::client::{Client, ClientError, Request, without_credentials};
use watchfire_net::inflate::Limits;
use watchfire_net::secret::Secret;
use watchfire_net::tls::ClientTls;

use super::{Check, Checking, Kind, elsewhere, failure, seen};
use crate::supervision::policy::Verdict;
use crate::supervision::settings::Outside;

pub(super) const KIND: Kind = Kind { key: "http", read };

/// The largest answer that is looked at; what is larger is no health page.
const BODY_BYTES_MAX: usize = 256 << 10;

/// One rule about the body.
#[derive(Debug)]
enum Rule {
    Matches(Regex),
    MatchesNot(Regex),
    /// The value at a dotted path of a JSON body, as text.
    Json(String, String),
}

pub(super) struct Http {
    client: Client,
    url: Secret,
    shown: String,
    host: String,
    port: u16,
    method: Method,
    headers: Vec<(String, Secret)>,
    statuses: Vec<(u16, u16)>,
    rules: Vec<Rule>,
    follow_redirects: bool,
}

/// One client serves all checks with the usual TLS; each request makes its own connection.
fn usual_client() -> Client {
    static CLIENT: OnceLock<Client> = OnceLock::new();
    CLIENT.get_or_init(|| Client::new(ClientTls::default())).clone()
}

impl Http {
    /// A GET that wants any 2xx.
    pub(super) fn plain(url: String) -> Result<Http, String> {
        let shown = without_credentials(&url);
        let uri: Uri = shown.parse().map_err(|_| "must be a URL such as http://localhost:8090/health".to_owned())?;
        let default_port = match uri.scheme_str() {
            Some("http") => 80,
            Some("https") => 443,
            _ => return Err("must begin with http:// or https://".to_owned()),
        };
        let host = uri.host().filter(|h| !h.is_empty()).ok_or("must name a host")?.to_owned();
        Ok(Http {
            client: usual_client(),
            port: uri.port_u16().unwrap_or(default_port),
            url: Secret::new(url),
            // A query may hold a key.
            shown: shown.split('?').next().unwrap_or_default().to_owned(),
            host,
            method: Method::GET,
            headers: Vec::new(),
            statuses: vec![(200, 299)],
            rules: Vec::new(),
            follow_redirects: true,
        })
    }

    fn judge(&self, status: u16, body: &[u8]) -> Verdict {
        if !self.statuses.iter().any(|(low, high)| (*low..=*high).contains(&status)) {
            return seen(format!("{} answers with status {status}", self.shown));
        }
        for rule in &self.rules {
            if let Err(why) = rule.holds(body) {
                return seen(format!("{}: {why}", self.shown));
            }
        }
        Verdict::Healthy
    }
}

impl Rule {
    fn holds(&self, body: &[u8]) -> Result<(), String> {
        let text = String::from_utf8_lossy(body);
        match self {
            Rule::Matches(pattern) if !pattern.is_match(&text) => Err(format!("the body does not match {pattern}")),
            Rule::MatchesNot(pattern) if pattern.is_match(&text) => Err(format!("the body matches {pattern}")),
            Rule::Json(path, expected) => {
                let value: serde_json::Value = serde_json::from_slice(body).map_err(|_| "the body is not JSON".to_owned())?;
                let found = path.split('.').try_fold(&value, |at, key| match at {
                    serde_json::Value::Array(items) => items.get(key.parse::<usize>().ok()?),
                    other => other.get(key),
                });
                let found = match found {
                    Some(serde_json::Value::String(text)) => text.clone(),
                    Some(other) => other.to_string(),
                    None => return Err(format!("the body has no {path}")),
                };
                let found: String = found.chars().take(64).collect();
                if &found == expected { Ok(()) } else { Err(format!("{path} is {found:?}, not {expected:?}")) }
            }
            Rule::Matches(_) | Rule::MatchesNot(_) => Ok(()),
        }
    }
}

impl Check for Http {
    fn look(&self, within: Duration) -> Checking<'_> {
        Box::pin(async move {
            let request = Request {
                method: self.method.clone(),
                secret_headers: self.headers.clone(),
                limits: Limits::both(BODY_BYTES_MAX),
                follow_redirects: self.follow_redirects,
                // A connection that is kept may be dead by the next check, which says nothing about the service.
                ..Request::get(self.url.expose(), within).header("connection", "close")
            };
            match self.client.send(request).await {
                Ok(answer) => self.judge(answer.status.as_u16(), &answer.body),
                Err(error @ (ClientError::Request { .. } | ClientError::Tls(_))) => super::unseen(error.to_string()),
                Err(error @ (ClientError::Body(_) | ClientError::Redirect(_))) => seen(error.to_string()),
                Err(error) => failure(error.to_string(), &self.host, self.port).await,
            }
        })
    }
    fn target(&self) -> String {
        self.shown.clone()
    }
    fn remote(&self) -> Option<String> {
        elsewhere(&self.host)
    }
}

fn read(reader: &Reader<'_>, outside: &Outside<'_>) -> Option<Arc<dyn Check>> {
    if reader.raw("http").and_then(Node::text).is_some() {
        return made(reader, "http", Http::plain(outside.text(reader, "http")?));
    }
    let more = reader.map("http")?;
    let url = outside.text(&more, "url");
    if url.is_none() && more.raw("url").is_none() {
        more.error_at("url", "is missing");
    }
    let plain = url.and_then(|url| Http::plain(url).map_err(|why| more.error_at("url", why)).ok());
    let method = more.word("method", &["GET", "HEAD", "POST"]).unwrap_or("GET");
    let headers = more.map("headers").map(|headers| read_headers(&headers, outside)).unwrap_or_default();
    let statuses = read_statuses(&more);
    let rules = read_rules(&more);
    let follow_redirects = more.bool("follow_redirects").unwrap_or(true);
    let tls = read_tls(&more, outside);
    more.finish();
    let client = if tls == ClientTls::default() { usual_client() } else { Client::new(tls) };
    let check = Http { client, method: method.parse().unwrap_or_default(), headers, statuses: statuses?, rules: rules?, follow_redirects, ..plain? };
    Some(Arc::new(check))
}

fn made(reader: &Reader<'_>, key: &'static str, check: Result<Http, String>) -> Option<Arc<dyn Check>> {
    match check {
        Ok(check) => Some(Arc::new(check)),
        Err(why) => {
            reader.error_at(key, why);
            None
        }
    }
}

fn read_headers(headers: &Reader<'_>, outside: &Outside<'_>) -> Vec<(String, Secret)> {
    let mut found = Vec::new();
    for (key, node) in headers.entries() {
        let fits = ::http::HeaderName::from_bytes(key.text.as_bytes()).is_ok();
        let value = node.text().map(|text| outside.expanded(text));
        match value {
            Some(Ok(value)) if fits && ::http::HeaderValue::from_str(&value).is_ok() => found.push((key.text.to_string(), Secret::new(value))),
            Some(Err(why)) => headers.error_at(&key.text, why),
            _ => headers.error_at(&key.text, "must be a header with a text that a header can hold"),
        }
    }
    found
}

fn read_statuses(reader: &Reader<'_>) -> Option<Vec<(u16, u16)>> {
    let texts = reader.texts("status", true);
    let read = |text: &String| {
        let (low, high) = text.split_once('-').unwrap_or((text, text));
        let range = match text.strip_suffix("xx") {
            Some(class) => class.parse::<u16>().ok().map(|c| (c * 100, c * 100 + 99)),
            None => low.parse().ok().zip(high.parse().ok()),
        };
        range.filter(|(low, high)| (100..=599).contains(low) && low <= high && *high <= 599)
    };
    let ranges: Option<Vec<_>> = texts.iter().map(read).collect();
    match ranges {
        Some(ranges) if ranges.is_empty() => Some(vec![(200, 299)]),
        Some(ranges) => Some(ranges),
        None => {
            reader.error_at("status", "must be statuses such as 200, 2xx or 200-399");
            None
        }
    }
}

fn read_rules(reader: &Reader<'_>) -> Option<Vec<Rule>> {
    let mut rules = Vec::new();
    let mut good = true;
    for (key, make) in [("body_matches", Rule::Matches as fn(Regex) -> Rule), ("body_matches_not", Rule::MatchesNot)] {
        for text in reader.texts(key, true) {
            match Regex::new(&text) {
                Ok(pattern) => rules.push(make(pattern)),
                Err(error) => {
                    good = false;
                    reader.error_at(key, format!("is no regular expression: {error}"));
                }
            }
        }
    }
    rules.extend(reader.text_map("json").into_iter().map(|(path, expected)| Rule::Json(path, expected)));
    good.then_some(rules)
}

fn read_tls(reader: &Reader<'_>, outside: &Outside<'_>) -> ClientTls {
    let mut tls = ClientTls::default();
    if let Some(section) = reader.map("tls") {
        tls.insecure_skip_verify = section.bool("insecure_skip_verify").unwrap_or(false);
        tls.server_name = section.text("server_name");
        if let Some(path) = section.text("ca_file") {
            match Secret::from_file(&outside.base.join(path)) {
                Ok(pem) => tls.ca_pem = Some(pem),
                Err(error) => section.error_at("ca_file", error.to_string()),
            }
        }
        section.finish();
    }
    tls
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_and_statuses_are_judged() {
        let mut check = Http::plain("http://user:hunter2@localhost:1/health?key=hunter2".to_owned()).unwrap();
        assert_eq!(check.target(), "http://localhost:1/health");
        check.rules = vec![
            Rule::Matches(Regex::new("ok").unwrap()),
            Rule::MatchesNot(Regex::new("degraded").unwrap()),
            Rule::Json("model.loaded".to_owned(), "true".to_owned()),
        ];
        let judge = |status, body: &str| match check.judge(status, body.as_bytes()) {
            Verdict::Healthy => String::new(),
            Verdict::Failed { why, .. } | Verdict::Unknown { why } => why,
        };
        assert_eq!(judge(200, r#"{"status":"ok","model":{"loaded":true}}"#), "");
        assert!(judge(503, "").ends_with("status 503"));
        assert!(judge(200, "{}").ends_with("does not match ok"));
        assert!(judge(200, r#"{"status":"ok degraded"}"#).ends_with("matches degraded"));
        assert!(judge(200, r#"{"status":"ok"}"#).ends_with("has no model.loaded"));
        assert!(judge(200, r#"{"status":"ok","model":{"loaded":false}}"#).ends_with("is \"false\", not \"true\""));
        assert!(judge(200, "ok").ends_with("is not JSON"));
    }

    #[test]
    fn only_web_addresses_are_taken() {
        for url in ["ftp://x/", "localhost:80", "http://", "file:///etc/passwd", "unix:/run/docker.sock"] {
            assert!(Http::plain(url.to_owned()).is_err(), "{url}");
        }
    }
}
