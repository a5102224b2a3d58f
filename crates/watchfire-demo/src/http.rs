//! Requests with JSON to the server and to the model. It repeats nothing: jobs are tried again by their queue.

use std::time::Duration;

use serde_json::Value;
use ureq::Agent;

/// The most of an answer that is read.
const ANSWER_BYTES_MAX: u64 = 4 << 20;

/// What was answered.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) text: String,
}
impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or(Value::Null)
    }
}

/// Why there is no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum Silence {
    #[error("cannot connect: {0}")]
    NotConnected(String),
    #[error("no answer in time")]
    TimedOut,
    #[error("the connection broke: {0}")]
    Broken(String),
}

/// One address, with the token for it.
pub(crate) struct Http {
    agent: Agent,
    base: String,
    token: Option<String>,
}
impl Http {
    pub(crate) fn new(base: &str, token: Option<&str>) -> Http {
        let config = Agent::config_builder().http_status_as_error(false).max_redirects(0).build();
        Http { agent: Agent::new_with_config(config), base: base.trim_end_matches('/').to_owned(), token: token.map(|t| format!("Bearer {t}")) }
    }
    pub(crate) fn get(&self, path: &str, timeout: Duration) -> Result<Answer, Silence> {
        let mut request = self.agent.get(format!("{}{path}", self.base));
        if let Some(token) = &self.token {
            request = request.header("authorization", token);
        }
        read(request.config().timeout_global(Some(timeout)).build().call())
    }
    pub(crate) fn post(&self, path: &str, body: &Value, headers: &[(&str, &str)], timeout: Duration) -> Result<Answer, Silence> {
        let mut request = self.agent.post(format!("{}{path}", self.base)).header("content-type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(token) = &self.token {
            request = request.header("authorization", token);
        }
        read(request.config().timeout_global(Some(timeout)).build().send(body.to_string()))
    }
}

fn read(answered: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Result<Answer, Silence> {
    let mut response = answered.map_err(|error| silence(&error))?;
    let text = response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_string().map_err(|error| silence(&error))?;
    Ok(Answer { status: response.status().as_u16(), text })
}

fn silence(error: &ureq::Error) -> Silence {
    match error {
        ureq::Error::Timeout(_) => Silence::TimedOut,
        ureq::Error::HostNotFound | ureq::Error::ConnectionFailed => Silence::NotConnected(error.to_string()),
        ureq::Error::Io(io) if io.kind() == std::io::ErrorKind::ConnectionRefused => Silence::NotConnected(error.to_string()),
        _ => Silence::Broken(error.to_string()),
    }
}
