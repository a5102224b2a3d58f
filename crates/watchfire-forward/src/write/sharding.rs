//! How many shards a target needs: enough to send what comes in and to catch up with what lies behind, as Prometheus computes it.
//! It only computes; who reads the log starts and ends shards.

/// How much of a moving average the newest value makes.
const WEIGHT: f64 = 0.2;
/// The share of what lies behind that is to be sent in a second.
const CATCH_UP: f64 = 0.05;
/// Within this distance of the present number nothing changes.
const TOLERANCE: f64 = 0.3;

/// A rate per second that follows slowly.
#[derive(Default)]
struct Rate {
    last: f64,
    per_s: Option<f64>,
}

impl Rate {
    fn observe(&mut self, total: f64, seconds: f64) -> f64 {
        let now = (total - self.last) / seconds;
        self.last = total;
        *self.per_s.insert(self.per_s.map_or(now, |before| before + WEIGHT * (now - before)))
    }
}

/// Totals since the start.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Totals {
    /// Items read from the log.
    pub(super) read: u64,
    /// Items of them that nobody wants to send.
    pub(super) dropped: u64,
    /// Items that were sent.
    pub(super) sent: u64,
    /// Seconds that all shards spent sending.
    pub(super) sending_s: f64,
}

/// Watches one target.
#[derive(Default)]
pub(super) struct Sharding {
    read: Rate,
    dropped: Rate,
    sent: Rate,
    sending: Rate,
}

impl Sharding {
    /// The number of shards to have, at least `min` and at most `max`; `behind_s` is how far what was sent lies behind.
    pub(super) fn desired(&mut self, totals: Totals, seconds: f64, behind_s: f64, now: usize, (min, max): (usize, usize)) -> f64 {
        let read = self.read.observe(totals.read as f64, seconds);
        let dropped = self.dropped.observe(totals.dropped as f64, seconds);
        let sent = self.sent.observe(totals.sent as f64, seconds);
        let sending = self.sending.observe(totals.sending_s, seconds);
        if sent <= 0.0 {
            return now as f64;
        }
        let wanted = read * sent / (dropped + sent);
        let per_item = sending / sent;
        let desired = per_item * (wanted + CATCH_UP * behind_s.max(0.0) * wanted);
        let present = now as f64;
        if (present * (1.0 - TOLERANCE)..=present * (1.0 + TOLERANCE)).contains(&desired) {
            return present;
        }
        desired.ceil().clamp(min as f64, max as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_as_it_takes() {
        // 1000 items a second that take 5 ms each need five shards; a minute behind asks for three times more on top.
        let totals = |seconds: u64| Totals { read: 1000 * seconds, dropped: 0, sent: 1000 * seconds, sending_s: 5.0 * seconds as f64 };
        let check = |behind_s: f64, now: usize, expected: f64| {
            let mut sharding = Sharding::default();
            assert_eq!(sharding.desired(totals(10), 10.0, behind_s, now, (1, 50)), expected, "{behind_s} s behind with {now}");
        };
        check(0.0, 1, 5.0);
        check(0.0, 5, 5.0);
        check(0.0, 4, 4.0);
        check(60.0, 1, 20.0);
        check(3600.0, 1, 50.0);
        let mut idle = Sharding::default();
        assert_eq!(idle.desired(Totals::default(), 10.0, 99.0, 3, (1, 50)), 3.0, "nothing goes through: more shards would not help");
    }
}
