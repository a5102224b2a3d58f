//! Times as Pyroscope's clients write them: `now`, `now-1h`, and numbers whose size tells their unit. For who takes and for who asks.

use watchfire_model::duration;
use watchfire_model::logs::Nanos;

const SECOND: i64 = 1_000_000_000;
const MILLISECOND: i64 = 1_000_000;
const MICROSECOND: i64 = 1_000;

/// Reads a time: seconds, milliseconds, microseconds or nanoseconds since 1970, `now`, `now-15m`, or RFC 3339.
pub fn parse(text: &str, now: Nanos) -> Option<Nanos> {
    let text = text.trim();
    if let Some(offset) = text.strip_prefix("now") {
        if offset.is_empty() {
            return Some(now);
        }
        let back = i64::try_from(duration::parse(offset.strip_prefix('-')?)?.as_nanos()).ok()?;
        return now.0.checked_sub(back).map(Nanos);
    }
    if let Ok(number) = text.parse::<i64>() {
        let unit = match number.unsigned_abs() {
            0..100_000_000_000 => SECOND,
            100_000_000_000..100_000_000_000_000 => MILLISECOND,
            100_000_000_000_000..100_000_000_000_000_000 => MICROSECOND,
            _ => 1,
        };
        return number.checked_mul(unit).map(Nanos);
    }
    match text.parse::<f64>() {
        Ok(seconds) => (seconds.abs() < 9.2e9).then_some(Nanos((seconds * SECOND as f64) as i64)),
        Err(_) => Nanos::parse_rfc3339(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_of_a_number_tells_its_unit() {
        let now = Nanos(1_767_089_700 * SECOND);
        for (text, expected) in [
            ("now", Some(now.0)),
            ("now-1h", Some(now.0 - 3_600 * SECOND)),
            ("1767089700", Some(now.0)),
            ("1767089700.5", Some(now.0 + SECOND / 2)),
            ("1767089700001", Some(now.0 + MILLISECOND)),
            ("1767089700000001", Some(now.0 + MICROSECOND)),
            ("1767089700000000001", Some(now.0 + 1)),
            ("2025-12-30T10:15:00Z", Some(now.0)),
            ("now+1h", None),
            ("now-x", None),
            ("yesterday", None),
            ("NaN", None),
            ("", None),
        ] {
            assert_eq!(parse(text, now).map(|time| time.0), expected, "{text}");
        }
    }
}
