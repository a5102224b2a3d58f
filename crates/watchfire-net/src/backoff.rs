//! How long to wait before trying again: exponential with full jitter, and what `Retry-After` asks for.
//! It only computes; the caller waits.

use std::time::Duration;

use watchfire_model::time::Timestamp;

/// Doubles from `base` to `max`; each wait is drawn from the whole span, so that many clients do not come back together.
#[derive(Clone, Debug)]
pub struct Backoff {
    base: Duration,
    max: Duration,
    attempt: u32,
    seed: u64,
}
impl Backoff {
    /// A fresh one. Different seeds give different waits.
    pub fn new(base: Duration, max: Duration, seed: u64) -> Backoff {
        Backoff { base, max, attempt: 0, seed }
    }
    /// The next wait, at least a tenth of the span.
    pub fn next_wait(&mut self) -> Duration {
        let span = self.base.saturating_mul(2u32.saturating_pow(self.attempt)).min(self.max);
        self.attempt = self.attempt.saturating_add(1);
        // One step of splitmix64: no random number generator is needed to spread retries.
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.seed;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let share = ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64;
        span.mul_f64(0.1 + 0.9 * share)
    }
    /// Begins anew after a success.
    pub fn reset(&mut self) {
        self.attempt = 0;
    }
}

/// Reads a `Retry-After` header: seconds, or an HTTP date relative to `now`. At most one day.
pub fn retry_after(value: &str, now: Timestamp) -> Option<Duration> {
    const DAY: Duration = Duration::from_secs(86_400);
    if let Ok(seconds) = value.trim().parse::<u64>() {
        return Some(Duration::from_secs(seconds).min(DAY));
    }
    let at = http_date(value.trim())?;
    Some(Duration::from_millis(at.saturating_sub(now.millis()).max(0) as u64).min(DAY))
}

/// `Sun, 06 Nov 1994 08:49:37 GMT` in milliseconds since 1970.
pub fn http_date(text: &str) -> Option<i64> {
    let mut parts = text.split_whitespace().skip(1);
    let day: i64 = parts.next()?.parse().ok()?;
    let month = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let name = parts.next()?;
    let month = month.iter().position(|m| *m == name)? as i64 + 1;
    let year: i64 = parts.next()?.parse().ok()?;
    let mut clock = parts.next()?.split(':').map(|n| n.parse::<i64>().ok());
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    (parts.next()? == "GMT" && (1970..=9999).contains(&year)).then_some(())?;
    // Days since 1970-01-01 of a Gregorian date, counting years from March so that the leap day comes last.
    let (y, m) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let days = y * 365 + y / 4 - y / 100 + y / 400 + (m * 306 + 5) / 10 + day - 1 - 719_468;
    Some((days * 86_400 + hour * 3_600 + minute * 60 + second) * 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_maximum_and_begin_anew() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60), 7);
        for attempt in 0..20u32 {
            let span = Duration::from_secs(2u64.pow(attempt.min(6)).min(60));
            let wait = backoff.next_wait();
            assert!(wait <= span && wait >= span.mul_f64(0.1), "{attempt}: {wait:?}");
        }
        backoff.reset();
        assert!(backoff.next_wait() <= Duration::from_secs(1));
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = Timestamp(784_111_777_000 - 5_000);
        for (text, expected) in [
            ("7", Some(7)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(5)),
            ("Sun, 06 Nov 1994 08:49:00 GMT", Some(0)),
            ("soon", None),
            ("999999999", Some(86_400)),
        ] {
            assert_eq!(retry_after(text, now), expected.map(Duration::from_secs), "{text}");
        }
    }
}
