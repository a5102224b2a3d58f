//! One message to the server and what its answer means. It holds nothing back and retries nothing.

use serde_json::{Map, Value, json};
use ureq::Agent;

use super::Settings;
use super::buffer::Message;

/// The most of an answer that is read: errors name a hundred items at most.
const ANSWER_BYTES_MAX: u64 = 256 << 10;

/// What became of a message.
pub(super) enum Answer {
    /// It was recorded but for so many items.
    Taken { refused: u64 },
    /// Nothing of it was or ever will be recorded.
    Refused,
    /// Nothing of it was recorded; it may be sent again.
    Later,
    /// Nobody knows.
    Unanswered,
}

pub(super) struct Server {
    agent: Agent,
    url: String,
    token: Option<String>,
}

impl Server {
    pub(super) fn new(settings: &Settings) -> Server {
        let config = Agent::config_builder().timeout_global(Some(settings.timeout)).http_status_as_error(false).max_redirects(0).build();
        let url = format!("{}/api/metrics/record", settings.url.trim_end_matches('/'));
        let token = settings.token.as_ref().map(|token| format!("Bearer {token}"));
        Server { agent: Agent::new_with_config(config), url, token }
    }

    pub(super) fn send(&self, message: &Message) -> Answer {
        let mut request = self.agent.post(&self.url).header("content-type", "application/json");
        if let Some(token) = &self.token {
            request = request.header("authorization", token);
        }
        let mut response = match request.send(body(message)) {
            Ok(response) => response,
            Err(error) => return failure(&error),
        };
        match response.status().as_u16() {
            200..=299 | 422 => {
                let text = response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_string();
                let refused = text.ok().and_then(|text| serde_json::from_str::<Value>(&text).ok()?.get("refused")?.as_u64());
                Answer::Taken { refused: refused.unwrap_or(0) }
            }
            408 | 429 | 503 => Answer::Later,
            500..=599 => Answer::Unanswered,
            _ => Answer::Refused,
        }
    }
}

fn body(message: &Message) -> Vec<u8> {
    let items = message.items().map(|(key, value)| {
        let labels: Map<String, Value> = key.labels.iter().map(|(name, value)| ((*name).to_owned(), Value::from(value.as_str()))).collect();
        json!({"name": key.name, "labels": labels, "value": value})
    });
    Value::from_iter(items).to_string().into_bytes()
}

/// An error before the first byte was sent leaves no doubt that nothing was recorded.
fn failure(error: &ureq::Error) -> Answer {
    match error {
        ureq::Error::BadUri(_) | ureq::Error::TlsRequired => Answer::Refused,
        ureq::Error::HostNotFound | ureq::Error::ConnectionFailed | ureq::Error::Timeout(ureq::Timeout::Connect | ureq::Timeout::Resolve) => Answer::Later,
        ureq::Error::Io(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => Answer::Later,
        _ => Answer::Unanswered,
    }
}
