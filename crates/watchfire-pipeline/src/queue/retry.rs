//! When a job that failed is tried again, and when not any more. It only computes; nobody waits here.

use std::time::Duration;

/// How jobs are retried.
#[derive(Clone, Debug, PartialEq)]
pub struct RetryPolicy {
    /// Attempts in all, the first included.
    pub attempts: u32,
    /// The wait after the first failure.
    pub base: Duration,
    /// The longest wait, before jitter.
    pub cap: Duration,
    /// Up to this share of the wait is added by chance, so that jobs that failed together do not come back together.
    pub jitter: f64,
    /// Classes of errors that no further attempt can mend.
    pub never: Vec<String>,
}
impl Default for RetryPolicy {
    fn default() -> RetryPolicy {
        RetryPolicy {
            attempts: 3,
            base: Duration::from_secs(1),
            cap: Duration::from_secs(30),
            jitter: 0.25,
            never: ["validation_error", "file_not_found", "invalid_image"].map(str::to_owned).to_vec(),
        }
    }
}

/// What is known about a failure when it is judged.
#[derive(Clone, Copy, Debug, Default)]
pub struct Judged<'a> {
    /// How often the job failed, this time included.
    pub failed: u32,
    /// The class of the error.
    pub error_type: Option<&'a str>,
    /// The status of the answer that was the failure.
    pub http_status: Option<u16>,
    /// What the worker itself says about another attempt.
    pub retry: Option<bool>,
}

impl RetryPolicy {
    /// The wait until the next attempt; `None` when there is none. `chance` is between 0 and 1.
    pub fn wait(&self, failure: Judged<'_>, chance: f64) -> Option<Duration> {
        let hopeless = match failure.retry {
            Some(retry) => !retry,
            None => failure.http_status.is_some_and(is_final) || failure.error_type.is_some_and(|class| self.is_never(class)),
        };
        (!hopeless && failure.failed < self.attempts).then(|| self.delay(failure.failed, chance))
    }
    /// The wait after so many failures.
    pub fn delay(&self, failed: u32, chance: f64) -> Duration {
        let plain = self.base.saturating_mul(2u32.saturating_pow(failed.saturating_sub(1))).min(self.cap);
        plain.mul_f64(1.0 + self.jitter * chance.clamp(0.0, 1.0))
    }
    fn is_never(&self, class: &str) -> bool {
        let class = plain(class);
        self.never.iter().any(|known| plain(known) == class)
    }
}

/// A request that was refused as it is will be refused again, but for those that were only too early or too many.
fn is_final(status: u16) -> bool {
    (400..500).contains(&status) && !matches!(status, 401 | 403 | 408 | 409 | 423 | 425 | 429)
}

/// `module.FileNotFoundError` and `file_not_found` are one class.
fn plain(class: &str) -> String {
    let last = class.rsplit(['.', ':']).next().unwrap_or(class);
    let letters: String = last.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    letters.strip_suffix("error").or_else(|| letters.strip_suffix("exception")).map_or(letters.clone(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(failed: u32) -> Judged<'static> {
        Judged { failed, ..Judged::default() }
    }

    #[test]
    fn the_originals_defaults() {
        let policy = RetryPolicy::default();
        let secs = |failed, chance| policy.delay(failed, chance).as_secs_f64();
        for (failed, expected) in [(1, 1.0), (2, 2.0), (3, 4.0), (5, 16.0), (6, 30.0), (40, 30.0)] {
            assert_eq!(secs(failed, 0.0), expected, "{failed}");
            assert_eq!(secs(failed, 1.0), expected * 1.25, "{failed}");
        }
        assert!(policy.wait(failure(1), 0.5).is_some());
        assert!(policy.wait(failure(2), 0.5).is_some());
        assert_eq!(policy.wait(failure(3), 0.5), None);
    }

    #[test]
    fn some_errors_are_never_retried() {
        let policy = RetryPolicy::default();
        let check = |error_type, http_status, retry, expected: bool| {
            let judged = Judged { failed: 1, error_type, http_status, retry };
            assert_eq!(policy.wait(judged, 0.0).is_some(), expected, "{judged:?}");
        };
        check(Some("TimeoutError"), None, None, true);
        check(Some("FileNotFoundError"), None, None, false);
        check(Some("pydantic.ValidationError"), None, None, false);
        check(Some("invalid_image"), None, None, false);
        check(None, Some(503), None, true);
        check(None, Some(429), None, true);
        check(None, Some(422), None, false);
        check(Some("FileNotFoundError"), Some(404), Some(true), true);
        check(None, None, Some(false), false);
    }

    proptest::proptest! {
        #[test]
        fn waits_stay_within_their_bounds(failed in 1u32..200, chance in 0.0f64..=1.0) {
            let wait = RetryPolicy::default().delay(failed, chance).as_secs_f64();
            let plain = f64::from(2u32.saturating_pow(failed - 1)).min(30.0);
            proptest::prop_assert!(wait >= plain && wait <= plain * 1.25 + 1e-9);
        }
    }
}
