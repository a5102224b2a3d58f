//! What the configuration says about the supervision of one service, without the check and the restart themselves.

use std::time::Duration;

use watchfire_model::time::Timestamp;

use super::Now;
use crate::supervision::maintenance::Recurring;

/// Failed checks in a row before anything is done, at least.
pub const FAILURES_MIN: u32 = 3;
/// Restarts of one service within [`WINDOW`], at most; configuration may only ask for fewer.
pub const RESTARTS_MAX: u32 = 3;
/// The time over which restarts are counted.
pub const WINDOW: Duration = Duration::from_secs(600);
/// The longest wait before a restart.
pub const BACKOFF_MAX: Duration = Duration::from_secs(300);
/// Restarts by hand of one service within [`WINDOW`], at most.
pub const BY_HAND_MAX: usize = 10;
/// Services that may be supervised.
pub const SERVICES_MAX: usize = 200;

/// The rules for one service.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Its name.
    pub name: String,
    /// The time from the begin of one check to the begin of the next.
    pub interval: Duration,
    /// How long one check may take.
    pub timeout: Duration,
    /// Failed checks in a row before a restart is considered.
    pub failures: u32,
    /// Restarts without success before we give up.
    pub max_retries: u32,
    /// The wait before the first restart; it doubles with each further one.
    pub backoff_base: Duration,
    /// How long a restarted service may take until a check must go well.
    pub start_period: Duration,
    /// Restarts within [`WINDOW`].
    pub restarts_max: u32,
    /// How it is restarted, in words; `None` when it is only watched.
    pub restart: Option<String>,
    /// The other machine that is asked by the check; `None` when the check stays on this one.
    pub remote: Option<String>,
    /// Services that this one needs.
    pub depends_on: Vec<String>,
    /// Recurring windows in which it is not restarted.
    pub maintenance: Vec<Recurring>,
}

impl Rules {
    /// The usual rules for a service that is only watched.
    pub fn new(name: &str) -> Rules {
        Rules {
            name: name.to_owned(),
            interval: Duration::from_secs(15),
            timeout: Duration::from_secs(5),
            failures: FAILURES_MIN,
            max_retries: 3,
            backoff_base: Duration::from_secs(5),
            start_period: Duration::from_secs(30),
            restarts_max: RESTARTS_MAX,
            restart: None,
            remote: None,
            depends_on: Vec::new(),
            maintenance: Vec::new(),
        }
    }

    /// The wait before a restart, counted from 1: `backoff_base * 2^(attempt - 1)`, at most [`BACKOFF_MAX`].
    pub fn backoff(&self, attempt: u32) -> Duration {
        self.backoff_base.saturating_mul(2u32.saturating_pow(attempt.saturating_sub(1))).min(BACKOFF_MAX)
    }

    /// When the recurring window that holds this moment ends, if there is one.
    pub(super) fn in_window(&self, now: Now) -> Option<Timestamp> {
        self.maintenance.iter().filter_map(|window| window.until(now.wall)).max()
    }
}

/// Whether a text may be the name of a service: 1 to 64 letters, digits, `.`, `_` or `-`, beginning with a letter or digit.
pub fn is_name(text: &str) -> bool {
    let ok = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    (1..=64).contains(&text.len()) && text.bytes().all(ok) && text.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric)
}
