//! A running server as the commands see it: its address, the token for it, and one request at a time.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use http::Method;
use serde_json::Value;
use watchfire_net::client::{Client, Credentials, Request, Response};
use watchfire_net::inflate::Limits;
use watchfire_net::tls::ClientTls;

use crate::settings::Environment;

/// How long one request may take: a snapshot of much data is not made at once.
const TIMEOUT: Duration = Duration::from_secs(600);
/// The largest answer.
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// How often a request is sent again when the server is busy.
const TRIES: u32 = 60;
/// How long a query may take, and it is sent once: a server that gave up on it would do so again.
const QUERY_TIMEOUT: Duration = Duration::from_secs(40);

/// How long a report may take: its questions, its pictures, its way to the mail server, and reports before it.
const REPORT_TIMEOUT: Duration = Duration::from_secs(300);

/// A server.
pub(crate) struct Remote {
    runtime: tokio::runtime::Runtime,
    client: Client,
    base: String,
    token: Option<String>,
    timeout: Duration,
    tries: u32,
}
impl Remote {
    /// The server at an address; the one of the environment where nobody says another.
    pub(crate) fn new(url: &str, environment: &Environment) -> Result<Remote> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start")?;
        let base = environment.get("WATCHFIRE_URL").filter(|_| url == crate::command_line::DEFAULT_URL).unwrap_or(url);
        let token = environment.get("WATCHFIRE_TOKEN").map(str::to_owned);
        let base = base.trim_end_matches('/').to_owned();
        Ok(Remote { runtime, client: Client::new(ClientTls::default()), base, token, timeout: TIMEOUT, tries: TRIES })
    }
    /// The same for somebody who waits before a terminal.
    pub(crate) fn for_queries(url: &str, environment: &Environment) -> Result<Remote> {
        Ok(Remote { timeout: QUERY_TIMEOUT, tries: 1, ..Remote::new(url, environment)? })
    }

    /// The same for a report, which may take two minutes and wait for others.
    pub(crate) fn for_reports(url: &str, environment: &Environment) -> Result<Remote> {
        Ok(Remote { timeout: REPORT_TIMEOUT, tries: 1, ..Remote::new(url, environment)? })
    }

    /// Sends a request and gives the answer's body. A busy server is asked again.
    pub(crate) fn ask(&self, method: Method, path: &str, body: &[u8]) -> Result<Vec<u8>> {
        let url = format!("{}{path}", self.base);
        let mut tries = 0;
        loop {
            tries += 1;
            let response = self.runtime.block_on(self.send(method.clone(), &url, body)).with_context(|| format!("cannot ask {}", self.base))?;
            if response.status == http::StatusCode::SERVICE_UNAVAILABLE && tries < self.tries {
                self.runtime.block_on(tokio::time::sleep(Duration::from_secs(1)));
                continue;
            }
            if response.status.is_success() {
                return Ok(response.body.to_vec());
            }
            let told = serde_json::from_slice::<Value>(&response.body).unwrap_or(Value::Null);
            let text = String::from_utf8_lossy(&response.body);
            // Loki says it in plain text.
            let plain = Some(text.trim()).filter(|text| told.is_null() && !text.is_empty());
            // Jaeger's interface has a list of them.
            let listed = told["errors"][0]["msg"].as_str();
            let reason = told["error"]["message"].as_str().or(told["error"].as_str()).or(listed).or(plain).unwrap_or("no reason was given");
            // A command has no log-in: it shows what the environment gives it.
            let how = if response.status == http::StatusCode::UNAUTHORIZED { "; the token is taken from WATCHFIRE_TOKEN" } else { "" };
            bail!("{} answered {}: {}{how}", self.base, response.status, printable(reason));
        }
    }
    /// The same for an answer in JSON.
    pub(crate) fn ask_json(&self, method: Method, path: &str, body: &[u8]) -> Result<Value> {
        let answer = self.ask(method, path, body)?;
        serde_json::from_slice(&answer).with_context(|| format!("{} answered without JSON", self.base))
    }
    async fn send(&self, method: Method, url: &str, body: &[u8]) -> Result<Response> {
        let mut request = Request::get(url, self.timeout);
        request.method = method;
        request.body = body.to_vec().into();
        request.limits = Limits { compressed: ANSWER_BYTES_MAX, decompressed: ANSWER_BYTES_MAX };
        if let Some(token) = &self.token {
            request.credentials = Credentials::Header { scheme: "Bearer".into(), value: token.as_str().into() };
        }
        Ok(self.client.send(request).await?)
    }
}

/// What a server says, without what would drive a terminal.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\t' { '\u{fffd}' } else { c }).collect()
}

/// Percent-encodes a query parameter.
pub(crate) fn form_encode(text: &str) -> String {
    text.bytes().map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}
