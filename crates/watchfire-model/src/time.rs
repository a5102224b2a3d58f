//! Time: the millisecond timestamp of every sample, and the `Clock` through which all code asks the time.
//! Not a calendar: civil dates are made by `jiff` where somebody needs them.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

/// Milliseconds since 1970-01-01T00:00:00Z; may be negative.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The earliest representable time.
    pub const MIN: Timestamp = Timestamp(i64::MIN);
    /// The latest representable time.
    pub const MAX: Timestamp = Timestamp(i64::MAX);

    /// From milliseconds.
    pub const fn from_millis(ms: i64) -> Timestamp {
        Timestamp(ms)
    }
    /// From seconds with a fraction, rounded to the millisecond; out-of-range values saturate.
    pub fn from_secs_f64(secs: f64) -> Timestamp {
        Timestamp((secs * 1000.0).round() as i64)
    }
    /// Milliseconds.
    pub const fn millis(self) -> i64 {
        self.0
    }
    /// Seconds with a fraction.
    pub fn secs_f64(self) -> f64 {
        self.0 as f64 / 1000.0
    }
    /// This time moved by milliseconds, saturating.
    pub const fn plus_ms(self, ms: i64) -> Timestamp {
        Timestamp(self.0.saturating_add(ms))
    }
    /// Parses RFC 3339, or seconds since 1970 with or without a fraction.
    pub fn parse(text: &str) -> Option<Timestamp> {
        if let Ok(secs) = text.parse::<f64>() {
            return (secs.is_finite() && secs.abs() < 9.0e15).then(|| Timestamp::from_secs_f64(secs));
        }
        text.parse::<jiff::Timestamp>().ok().map(|t| Timestamp(t.as_millisecond()))
    }
    /// RFC 3339 in UTC with exactly three digits: `2025-12-30T10:15:00.000Z`. Out-of-range values give the raw number.
    pub fn rfc3339_millis(self) -> String {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(t) => format!("{t:.3}"),
            Err(_) => self.0.to_string(),
        }
    }
    /// RFC 3339 in UTC; the fraction is left out when it is zero: `2025-12-30T10:15:00Z`.
    pub fn rfc3339(self) -> String {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(t) => t.to_string(),
            Err(_) => self.0.to_string(),
        }
    }
}
impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.rfc3339())
    }
}

/// Where everybody gets the time. `now` may jump (NTP, a Pi without a clock chip); `monotonic` never goes back.
pub trait Clock: Send + Sync {
    /// Wall time.
    fn now(&self) -> Timestamp;
    /// Time since some fixed moment before the process began to work.
    fn monotonic(&self) -> Duration;
}

/// A shared clock.
pub type SharedClock = Arc<dyn Clock>;

/// The machine's own clock.
pub struct SystemClock {
    start: std::time::Instant,
}
impl SystemClock {
    /// Starts the monotonic count now.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the machine's clock")]
    pub fn new() -> SystemClock {
        SystemClock { start: std::time::Instant::now() }
    }
    /// A shared system clock.
    pub fn shared() -> SharedClock {
        Arc::new(SystemClock::new())
    }
}
impl Default for SystemClock {
    fn default() -> Self {
        SystemClock::new()
    }
}
impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the machine's clock")]
    fn now(&self) -> Timestamp {
        match std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH) {
            Ok(since) => Timestamp(since.as_millis() as i64),
            Err(before) => Timestamp(-(before.duration().as_millis() as i64)),
        }
    }
    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }
}

/// A clock that stands still until a test turns it.
pub struct ManualClock {
    wall_ms: AtomicI64,
    monotonic_ms: AtomicU64,
}
impl ManualClock {
    /// A clock that shows `now`.
    pub fn new(now: Timestamp) -> Arc<ManualClock> {
        Arc::new(ManualClock { wall_ms: AtomicI64::new(now.0), monotonic_ms: AtomicU64::new(1) })
    }
    /// Lets time pass on both hands.
    pub fn advance(&self, by: Duration) {
        self.wall_ms.fetch_add(by.as_millis() as i64, Ordering::SeqCst);
        self.monotonic_ms.fetch_add(by.as_millis() as u64, Ordering::SeqCst);
    }
    /// Makes the wall clock jump; the monotonic one does not notice.
    pub fn jump_to(&self, now: Timestamp) {
        self.wall_ms.store(now.0, Ordering::SeqCst);
    }
}
impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.wall_ms.load(Ordering::SeqCst))
    }
    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.monotonic_ms.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_forms() {
        let t = Timestamp(1_767_089_700_000);
        assert_eq!(t.rfc3339(), "2025-12-30T10:15:00Z");
        assert_eq!(t.rfc3339_millis(), "2025-12-30T10:15:00.000Z");
        assert_eq!(Timestamp::parse("2025-12-30T10:15:00Z"), Some(t));
        assert_eq!(Timestamp::parse("2025-12-30T11:15:00.000+01:00"), Some(t));
        assert_eq!(Timestamp::parse("1767089700"), Some(t));
        assert_eq!(Timestamp::parse("1767089700.5"), Some(Timestamp(t.0 + 500)));
        assert_eq!(Timestamp::parse("yesterday"), None);
        assert_eq!(Timestamp::parse("inf"), None);
    }
}
