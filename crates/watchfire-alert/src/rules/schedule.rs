//! When a group is evaluated: at an offset of its own, so that groups do not all come at once, and by the monotonic clock, so that
//! a wrong wall clock delays nothing. It sleeps and evaluates nothing.

use std::time::Duration;

use watchfire_model::labels::Labels;
use watchfire_model::time::Timestamp;

/// By how much wall and monotonic clock may drift apart before the moments of evaluations are set right.
const DRIFT_MAX_MS: i64 = 1_000;
/// From here on the wall clock has jumped: what lies in the store is at other moments than before.
const JUMP_MS: i64 = 30_000;

/// One evaluation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tick {
    /// When it takes place on the group's own line of time, which never jumps.
    pub line: i64,
    /// The same by the wall clock: samples get this time.
    pub at: Timestamp,
    /// How many evaluations were left out before it.
    pub missed: u64,
    /// Whether the wall clock has jumped since the one before.
    pub jumped: bool,
}
impl Tick {
    /// What must be added to the line of time to get wall time.
    pub fn skew_ms(&self) -> i64 {
        self.at.millis() - self.line
    }
}

/// The plan of one group.
#[derive(Clone, Debug)]
pub struct Schedule {
    interval_ms: i64,
    /// The last moment on the line; the first evaluation is one interval after it.
    line: i64,
    /// The monotonic clock at that moment.
    monotonic_ms: i64,
    skew_ms: i64,
}

impl Schedule {
    /// A plan that begins now. The offset is the same at every start.
    pub fn new(file: &str, group: &str, interval_ms: u64, wall: Timestamp, monotonic: Duration) -> Schedule {
        let interval_ms = i64::try_from(interval_ms).unwrap_or(i64::MAX).max(1);
        let offset = (Labels::from_pairs([("file", file), ("group", group)]).hash_value() % interval_ms.unsigned_abs()) as i64;
        let ago = wall.millis().saturating_sub(offset).rem_euclid(interval_ms);
        let line = wall.millis().saturating_sub(ago);
        Schedule { interval_ms, line, monotonic_ms: millis(monotonic).saturating_sub(ago), skew_ms: 0 }
    }

    /// How long to wait for the next evaluation.
    pub fn wait(&self, monotonic: Duration) -> Duration {
        let due = self.monotonic_ms.saturating_add(self.interval_ms);
        Duration::from_millis(u64::try_from(due.saturating_sub(millis(monotonic))).unwrap_or(0))
    }

    /// The evaluation that takes place now. When the one before took too long, those between are left out.
    pub fn tick(&mut self, wall: Timestamp, monotonic: Duration) -> Tick {
        let since = millis(monotonic).saturating_sub(self.monotonic_ms);
        let steps = (since / self.interval_ms).max(1);
        self.line = self.line.saturating_add(steps.saturating_mul(self.interval_ms));
        self.monotonic_ms = self.monotonic_ms.saturating_add(steps.saturating_mul(self.interval_ms));
        let late = millis(monotonic).saturating_sub(self.monotonic_ms);
        let drift = wall.millis().saturating_sub(self.line.saturating_add(self.skew_ms).saturating_add(late));
        if drift.abs() > DRIFT_MAX_MS {
            self.skew_ms = self.skew_ms.saturating_add(drift);
        }
        let at = Timestamp(self.line.saturating_add(self.skew_ms));
        Tick { line: self.line, at, missed: (steps - 1).unsigned_abs(), jumped: drift.abs() > JUMP_MS }
    }
}

fn millis(monotonic: Duration) -> i64 {
    i64::try_from(monotonic.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn plan(wall: i64) -> Schedule {
        Schedule::new("f", "g", 60_000, Timestamp(wall), 100 * SECOND)
    }

    #[test]
    fn the_offset_is_the_group_s_own_and_always_the_same() {
        let first = |file: &str, wall: i64| {
            let mut plan = Schedule::new(file, "g", 60_000, Timestamp(wall), 100 * SECOND);
            let wait = plan.wait(100 * SECOND);
            assert!(wait > Duration::ZERO && wait <= 60 * SECOND, "{wait:?}");
            let tick = plan.tick(Timestamp(wall + wait.as_millis() as i64), 100 * SECOND + wait);
            assert_eq!((tick.at.millis(), tick.missed), (wall + wait.as_millis() as i64, 0));
            tick.at.millis().rem_euclid(60_000)
        };
        let offset = first("f", 1_700_000_000_123);
        assert_eq!(first("f", 1_700_000_000_123), offset);
        assert_eq!(first("f", 1_733_333_333_777), offset);
        assert_eq!(first("f", -5), offset);
        assert_ne!(first("other", 1_700_000_000_123), offset);
    }

    #[test]
    fn what_was_too_slow_is_left_out_and_counted() {
        let mut plan = plan(1_700_000_000_000);
        let wait = plan.wait(100 * SECOND);
        let (mut wall, mut monotonic) = (1_700_000_000_000 + wait.as_millis() as i64, 100 * SECOND + wait);
        let first = plan.tick(Timestamp(wall), monotonic);
        wall += 150_000;
        monotonic += 150 * SECOND;
        assert_eq!(plan.wait(monotonic), Duration::ZERO);
        let second = plan.tick(Timestamp(wall), monotonic);
        assert_eq!((second.missed, second.line - first.line, second.at.millis() - first.at.millis()), (1, 120_000, 120_000));
        assert_eq!(plan.wait(monotonic), 30 * SECOND);
    }

    #[test]
    fn r28_a_jump_of_the_wall_clock_moves_the_samples_and_not_the_line() {
        for jump in [5_000, -5_000, 3_600_000, -3_600_000, 157_680_000_000, -1_700_000_000_000] {
            let mut plan = plan(1_700_000_000_000);
            let wait = plan.wait(100 * SECOND);
            let (mut wall, mut monotonic) = (1_700_000_000_000 + wait.as_millis() as i64, 100 * SECOND + wait);
            let first = plan.tick(Timestamp(wall), monotonic);
            assert!(!first.jumped);
            wall += jump;
            for step in 1..4 {
                wall += 60_000;
                monotonic += 60 * SECOND;
                let tick = plan.tick(Timestamp(wall), monotonic);
                assert_eq!((tick.line - first.line, tick.missed), (step * 60_000, 0));
                assert_eq!(tick.at.millis(), wall);
                assert_eq!(tick.jumped, step == 1 && jump.abs() > JUMP_MS, "{jump}");
            }
        }
    }

    #[test]
    fn a_little_lateness_and_drift_change_nothing() {
        let mut plan = plan(1_700_000_000_000);
        let wait = plan.wait(100 * SECOND);
        let monotonic = 100 * SECOND + wait;
        let wall = 1_700_000_000_000 + wait.as_millis() as i64;
        let first = plan.tick(Timestamp(wall + 700), monotonic + Duration::from_millis(12));
        assert_eq!(first.at.millis(), wall);
    }
}
