//! One request about a queue and what its answer means, and how requests are repeated. It knows no leases.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use ureq::Agent;

use super::{QueueError, Settings};

/// The most of an answer that is read: a lease brings at most 16 MiB of payloads, which JSON and base64 make longer.
const ANSWER_BYTES_MAX: u64 = 48 << 20;
const PAUSE_FIRST: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);

pub(super) struct Http {
    agent: Agent,
    base: String,
    token: Option<String>,
    timeout: Duration,
}
impl Http {
    pub(super) fn new(settings: &Settings) -> Http {
        let config = Agent::config_builder().http_status_as_error(false).max_redirects(0).build();
        let base = format!("{}/api/queues/{}", settings.url.trim_end_matches('/'), settings.queue);
        let token = settings.token.as_ref().map(|token| format!("Bearer {token}"));
        Http { agent: Agent::new_with_config(config), base, token, timeout: settings.timeout }
    }
    pub(super) fn post(&self, path: &str, content_type: &str, body: &[u8]) -> Result<Value, QueueError> {
        self.post_waiting(path, content_type, body, Duration::ZERO)
    }
    /// The same to a path that answers only after so long.
    pub(super) fn post_waiting(&self, path: &str, content_type: &str, body: &[u8], wait: Duration) -> Result<Value, QueueError> {
        let mut request = self.agent.post(format!("{}/{path}", self.base)).header("content-type", content_type);
        if let Some(token) = &self.token {
            request = request.header("authorization", token);
        }
        let request = request.config().timeout_global(Some(self.timeout + wait)).build();
        let mut response = request.send(body).map_err(|error| failure(&error))?;
        let status = response.status().as_u16();
        let text = response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_string();
        let text = text.map_err(|error| QueueError::Unanswered(format!("the answer broke off: {error}")))?;
        let told = serde_json::from_str::<Value>(&text);
        match status {
            200..=299 => told.map_err(|_| QueueError::Unanswered("the answer is no JSON".to_owned())),
            _ => Err(refusal(status, &told.unwrap_or(Value::Null))),
        }
    }
}

fn refusal(status: u16, told: &Value) -> QueueError {
    let text = |key: &str| told["error"][key].as_str().unwrap_or_default().to_owned();
    let code = text("code");
    match status {
        404 if code == "unknown_lease" => QueueError::LeaseEnded,
        // A queue that is full is not away: the producer has to know.
        429 if code == "queue_full" => QueueError::Refused { status, code, message: text("message") },
        408 | 429 | 503 => QueueError::Away(format!("the server answered {status}: {}", text("message"))),
        500..=599 => QueueError::Unanswered(format!("the server answered {status}: {}", text("message"))),
        _ => QueueError::Refused { status, code, message: text("message") },
    }
}

/// An error before the first byte was sent leaves no doubt that nothing happened.
fn failure(error: &ureq::Error) -> QueueError {
    match error {
        ureq::Error::BadUri(_) | ureq::Error::TlsRequired => QueueError::Refused { status: 0, code: "address".to_owned(), message: error.to_string() },
        ureq::Error::HostNotFound | ureq::Error::ConnectionFailed | ureq::Error::Timeout(ureq::Timeout::Connect | ureq::Timeout::Resolve) => {
            QueueError::Away(error.to_string())
        }
        ureq::Error::Io(io) if io.kind() == std::io::ErrorKind::ConnectionRefused => QueueError::Away(error.to_string()),
        _ => QueueError::Unanswered(error.to_string()),
    }
}

/// Waits that end at once when they are to.
#[derive(Default)]
pub(super) struct Pause {
    over: Mutex<bool>,
    changed: Condvar,
}
impl Pause {
    /// Waits; returns whether it is over.
    pub(super) fn wait(&self, time: Duration) -> bool {
        let over = self.over.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(over, time, |over| !*over);
        waited.map_or(true, |(over, _)| *over)
    }
    pub(super) fn end(&self) {
        *self.over.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }
    pub(super) fn is_over(&self) -> bool {
        *self.over.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long to wait before each repetition, until the patience is at its end.
pub(super) struct Patience {
    left: Duration,
    next: Duration,
}
impl Patience {
    pub(super) fn new(patience: Duration) -> Patience {
        Patience { left: patience, next: PAUSE_FIRST }
    }
    /// The next wait; `None` when there was enough of it.
    pub(super) fn next(&mut self) -> Option<Duration> {
        let wait = self.next.min(self.left);
        self.left -= wait;
        self.next = (self.next * 2).min(PAUSE_MAX);
        (!wait.is_zero()).then_some(wait)
    }
}

/// Asks again while nothing happened, until the patience or the pause ends.
pub(super) fn repeat<T>(patience: Duration, pause: &Pause, mut ask: impl FnMut() -> Result<T, QueueError>) -> Result<T, QueueError> {
    let mut patience = Patience::new(patience);
    loop {
        let error = match ask() {
            Err(error) if error.may_be_repeated() => error,
            settled => return settled,
        };
        match patience.next() {
            Some(wait) if !pause.wait(wait) => {}
            _ => return Err(error),
        }
    }
}
