//! The lines that are sent: JSON as a web service writes it, a third of it random. The same number is always the same line.

use std::fmt::Write as _;

/// Milliseconds that the lines are spread over: a day.
pub(crate) const SPAN_MS: i64 = 86_400_000;
/// Streams, told apart by `app`.
pub(crate) const STREAMS: usize = 10;
/// A text that stands in few lines.
pub(crate) const NEEDLE: &str = "needle-7f3a9c";
/// One line in so many has it.
const NEEDLE_EVERY: u64 = 200_003;
/// The levels, in the order of their frequency.
pub(crate) const LEVELS: [&str; 4] = ["info", "debug", "warn", "error"];

const MESSAGES: [&str; 12] = [
    "request completed",
    "user signed in",
    "cache miss, loading from database",
    "payment authorised",
    "order placed",
    "inventory reserved",
    "email queued for delivery",
    "retrying upstream call after timeout",
    "session expired",
    "rate limit reached for client",
    "cannot connect to database replica",
    "background job finished",
];
const METHODS: [&str; 4] = ["GET", "POST", "PUT", "DELETE"];
const PATHS: [&str; 6] = ["/api/orders", "/api/users", "/api/cart", "/api/checkout", "/health", "/api/search"];
const STATUSES: [u16; 10] = [200, 200, 200, 201, 204, 302, 400, 404, 500, 503];

/// A small random generator.
pub(crate) struct Random(pub(crate) u64);
impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}

/// How many lines there are, and when the last of them was written.
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) lines: u64,
    pub(crate) end_ms: i64,
}

/// One line.
pub(crate) struct Line {
    pub(crate) stream: usize,
    pub(crate) time_ms: i64,
    pub(crate) status: u16,
    pub(crate) path: &'static str,
    pub(crate) text: String,
}

impl Plan {
    pub(crate) fn start_ms(&self) -> i64 {
        self.end_ms - SPAN_MS
    }

    pub(crate) fn line(&self, n: u64) -> Line {
        let mut random = Random(n.wrapping_mul(0x1234_5678_9abc_def1));
        let time_ms = self.start_ms() + (i128::from(SPAN_MS) * i128::from(n) / i128::from(self.lines)) as i64;
        let level = match random.below(100) {
            0..82 => 0,
            82..93 => 1,
            93..98 => 2,
            _ => 3,
        };
        let message = MESSAGES[random.below(12) as usize];
        let needle = if n % NEEDLE_EVERY == NEEDLE_EVERY / 2 { format!(" {NEEDLE}") } else { String::new() };
        let method = METHODS[random.below(4) as usize];
        let path = PATHS[random.below(6) as usize];
        let status = STATUSES[random.below(10) as usize];
        let (duration, user) = (random.below(2_000), random.below(50_000));
        let (high, low) = (random.next(), random.next());
        let stream = random.below(STREAMS as u64) as usize;
        let (at, level_name) = (rfc3339(time_ms), LEVELS[level]);
        let text = format!(
            r#"{{"ts":"{at}","level":"{level_name}","msg":"{message}{needle}","method":"{method}","path":"{path}","status":{status},"duration_ms":{duration},"user_id":{user},"trace_id":"{high:016x}{low:016x}"}}"#
        );
        Line { stream, time_ms, status, path, text }
    }

    /// How many lines make about so many bytes.
    pub(crate) fn lines_of(&self, bytes: usize) -> u64 {
        const SOME: u64 = 1_000;
        let length: usize = (0..SOME).map(|n| self.line(n).text.len()).sum();
        (bytes as u64 * SOME / length as u64).max(1)
    }

    /// So many bytes of lines, about.
    pub(crate) fn of_bytes(bytes: usize, end_ms: i64) -> Plan {
        Plan { lines: Plan { lines: 1_000, end_ms }.lines_of(bytes), end_ms }
    }
}

/// `2026-01-02T03:04:05.678Z`
fn rfc3339(time_ms: i64) -> String {
    let (days, ms) = (time_ms.div_euclid(86_400_000), time_ms.rem_euclid(86_400_000));
    // Days since 1970 as a date of the Gregorian calendar, counted in eras of 400 years that begin on the first of March.
    let z = days + 719_468;
    let (era, day_of_era) = (z.div_euclid(146_097), z.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let mut out = String::with_capacity(24);
    // Writing to a text cannot fail.
    let _infallible = write!(out, "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:03}Z", ms / 3_600_000, ms / 60_000 % 60, ms / 1_000 % 60, ms % 1_000);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_the_same_every_time_and_in_the_order_of_their_times() {
        let plan = Plan::of_bytes(1 << 20, 1_767_052_800_000);
        let bytes: usize = (0..plan.lines).map(|n| plan.line(n).text.len()).sum();
        assert!((1_000_000..1_100_000).contains(&bytes), "{bytes}");
        let times: Vec<i64> = (0..plan.lines).map(|n| plan.line(n).time_ms).collect();
        assert!(times.is_sorted() && times[0] == plan.start_ms() && times[times.len() - 1] < plan.end_ms);
        assert_eq!(plan.line(7).text, plan.line(7).text);
        assert!(serde_json::from_str::<serde_json::Value>(&plan.line(100_001).text).unwrap()["msg"].as_str().unwrap().ends_with(NEEDLE));
    }

    #[test]
    fn dates() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (1_709_210_096_789, "2024-02-29T12:34:56.789Z"),
            (1_767_225_599_999, "2025-12-31T23:59:59.999Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(rfc3339(ms), text);
        }
    }
}
