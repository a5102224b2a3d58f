//! Jobs of the server's queues: [`Producer`] puts them there, [`Worker`] takes them, keeps them while it works and says how it
//! went. Both speak `/api/queues/{queue}/…` and keep no job themselves: what is not settled comes back to somebody else.

mod http;
mod job;
#[cfg(test)]
mod tests;
mod worker;

use std::time::Duration;

use serde_json::{Map, Value};

use http::Http;

pub use job::{Fate, Job};
pub use worker::{Counts, HELD_MAX, Outcome, Worker};

/// Where the queue is, and how it is used.
#[derive(Clone)]
pub struct Settings {
    /// The server's address.
    pub url: String,
    /// A token with level ingest, where authentication is on.
    pub token: Option<String>,
    /// The queue.
    pub queue: String,
    /// The worker's name, as the server shows it.
    pub worker: String,
    /// How many jobs one request brings at most, 1 to 100.
    pub count: usize,
    /// For how long a job is the worker's; it is prolonged while the worker lives.
    pub lease: Duration,
    /// How long one request waits for a job. A worker that is to stop does so after this at the latest.
    pub wait: Duration,
    /// How long one request may take otherwise.
    pub timeout: Duration,
    /// How long a request is repeated while the server is away.
    pub patience: Duration,
}
impl Settings {
    /// The usual settings for a queue.
    pub fn new(url: &str, queue: &str, worker: &str) -> Settings {
        Settings {
            url: url.to_owned(),
            token: None,
            queue: queue.to_owned(),
            worker: worker.to_owned(),
            count: 1,
            lease: Duration::from_secs(60),
            wait: Duration::from_secs(2),
            timeout: Duration::from_secs(10),
            patience: Duration::from_secs(30),
        }
    }
}
impl std::fmt::Debug for Settings {
    /// Without the token.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings").field("url", &self.url).field("queue", &self.queue).field("worker", &self.worker).finish_non_exhaustive()
    }
}

/// Why the server did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueueError {
    /// It did not get the request, or was too busy for it: nothing happened.
    Away(String),
    /// It got the request and did not answer: nobody knows what happened.
    Unanswered(String),
    /// The lease has ended: the job is somebody else's, or done.
    LeaseEnded,
    /// It refused.
    Refused {
        /// The status of its answer.
        status: u16,
        /// Its code, such as `queue_full`.
        code: String,
        /// Its words.
        message: String,
    },
}
impl QueueError {
    /// Whether the same request may succeed later and surely did nothing yet.
    fn may_be_repeated(&self) -> bool {
        matches!(self, QueueError::Away(_))
    }
}
impl std::fmt::Display for QueueError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            QueueError::Away(why) => write!(f, "cannot reach the queue: {why}"),
            QueueError::Unanswered(why) => write!(f, "cannot tell what the queue did: {why}"),
            QueueError::LeaseEnded => f.write_str("cannot settle the job: its lease has ended"),
            QueueError::Refused { status, code, message } => write!(f, "cannot use the queue: it answered {status} {code}: {message}"),
        }
    }
}
impl std::error::Error for QueueError {}

/// What went wrong with an attempt.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// In words.
    pub error: String,
    /// The class of the error; the server's settings say which are not tried again.
    pub error_type: Option<String>,
    /// The status of a service's answer.
    pub http_status: Option<u16>,
    /// The begin of that answer.
    pub response_body: Option<String>,
    /// Whether another attempt makes sense; the server decides when nothing is said.
    pub retry: Option<bool>,
}
impl Report {
    /// An error of a class.
    pub fn new(error_type: &str, error: impl std::fmt::Display) -> Report {
        Report { error: error.to_string(), error_type: Some(error_type.to_owned()), ..Report::default() }
    }
    fn body(&self) -> Vec<u8> {
        let mut map = Map::new();
        map.insert("error".to_owned(), self.error.as_str().into());
        let mut put = |key: &str, value: Option<Value>| value.map(|value| map.insert(key.to_owned(), value));
        put("error_type", self.error_type.as_deref().map(Value::from));
        put("http_status", self.http_status.map(Value::from));
        put("response_body", self.response_body.as_deref().map(Value::from));
        put("retry", self.retry.map(Value::from));
        Value::Object(map).to_string().into_bytes()
    }
}

/// A job that the queue has taken.
#[derive(Clone, Debug, PartialEq)]
pub struct Pushed {
    /// Its id, where the queue gives one.
    pub id: Option<String>,
    /// Jobs that wait now.
    pub depth: u64,
    /// Whether the producer should slow down.
    pub backpressure: bool,
}

/// Puts jobs into a queue.
pub struct Producer {
    http: Http,
    patience: Duration,
}
impl Producer {
    /// A producer; nothing is asked of the server yet.
    pub fn new(settings: &Settings) -> Producer {
        Producer { http: Http::new(settings), patience: settings.patience }
    }
    /// Puts a job at the end of the queue; when this returns, the job is durable. It is repeated while the server is away, and
    /// never after a request that may have arrived: such a job may be in the queue, and the caller decides.
    pub fn push(&self, payload: &[u8]) -> Result<Pushed, QueueError> {
        let answer = http::repeat(self.patience, &http::Pause::default(), || self.http.post("jobs", "application/octet-stream", payload))?;
        Ok(Pushed {
            id: answer["id"].as_str().map(str::to_owned),
            depth: answer["depth"].as_u64().unwrap_or(0),
            backpressure: answer["backpressure"].as_bool().unwrap_or(false),
        })
    }
}
