//! Why a request was not answered by an upstream, in words for its caller. Addresses and secrets are not among them; the log has
//! what operators need.

use http::StatusCode;
use watchfire_net::client::{CallError, ClientError};

/// A request that is refused, or that no upstream answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The status of the answer.
    pub status: StatusCode,
    /// A word that programs can rely on.
    pub code: &'static str,
    /// The reason in words.
    pub message: String,
    /// When to try again, in seconds.
    pub retry_after_secs: Option<u64>,
}

impl Failure {
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Failure {
        Failure { status, code, message: message.into(), retry_after_secs: None }
    }
    pub(super) fn after(self, secs: u64) -> Failure {
        Failure { retry_after_secs: Some(secs.max(1)), ..self }
    }
    pub(super) fn bad_request(message: String) -> Failure {
        Failure::new(StatusCode::BAD_REQUEST, "bad_request", message)
    }
    pub(super) fn no_model(message: String) -> Failure {
        Failure::new(StatusCode::NOT_FOUND, "model_not_found", message)
    }

    /// What a call that came to nothing is told as.
    pub(super) fn of_call(upstream: &str, error: &CallError) -> Failure {
        let gateway = |code, words: String| Failure::new(StatusCode::BAD_GATEWAY, code, words);
        match error {
            CallError::Client(ClientError::Connect { .. }) => gateway("upstream_unreachable", format!("cannot connect to the upstream {upstream}")),
            CallError::Client(ClientError::Timeout(limit)) => {
                Failure::new(StatusCode::GATEWAY_TIMEOUT, "upstream_timeout", format!("the upstream {upstream} did not answer within {limit:?}"))
            }
            CallError::Client(_) => gateway("upstream_broken", format!("the upstream {upstream} broke off, or does not speak HTTP")),
            _ => gateway("upstream_misconfigured", format!("the credentials for the upstream {upstream} cannot be had; the log says why")),
        }
    }

    /// What the metrics of the pipeline call it, after the service's name.
    pub(super) fn error_type(&self) -> &'static str {
        match self.code {
            "upstream_timeout" => "timeout",
            "upstream_broken" => "server_error",
            _ => "connection_error",
        }
    }
}

/// Whether not a byte of the request can have been sent.
pub(super) fn is_unsent(error: &CallError) -> bool {
    matches!(error, CallError::Client(ClientError::Connect { .. }))
}
