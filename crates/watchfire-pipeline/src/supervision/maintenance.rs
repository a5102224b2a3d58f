//! Windows of maintenance: times in which nothing is restarted. Recurring ones stand in the configuration, one-off ones are asked for
//! while we run. Civil time is UTC moved by a fixed offset; there is no time-zone database here.

use watchfire_model::document::Reader;
use watchfire_model::time::Timestamp;

const MINUTE_MS: i64 = 60_000;
const DAY_MS: i64 = 86_400_000;
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
/// The longest one-off window.
pub const ONE_OFF_MS_MAX: i64 = 7 * DAY_MS;

/// A window that comes again every week or every day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recurring {
    /// Whether it begins on that day, Monday first.
    days: [bool; 7],
    /// When it begins, in milliseconds of the day.
    begin_ms: i64,
    length_ms: i64,
    /// How far local time is ahead of UTC.
    offset_ms: i64,
}

impl Recurring {
    /// Reads one; what is wrong with it is told to the reader.
    pub fn read(reader: Reader<'_>) -> Option<Recurring> {
        let names = reader.texts("days", true);
        let mut days = [names.is_empty(); 7];
        for name in &names {
            let known = DAYS.iter().position(|day| name.to_ascii_lowercase().starts_with(day));
            match known {
                Some(at) => days[at] = true,
                None => reader.error_at("days", format!("must be days such as mon or sunday, not {name:?}")),
            }
        }
        let at = reader.text("at");
        let begin_ms = at.as_deref().and_then(clock_ms);
        if begin_ms.is_none() {
            reader.error_at("at", "must be a time of day such as 03:00");
        }
        let length_ms = reader.duration_ms("for").and_then(|ms| i64::try_from(ms).ok()).unwrap_or(0);
        if !(1..=DAY_MS).contains(&length_ms) {
            reader.error_at("for", "must be a duration of at most a day, such as 1h");
        }
        let offset = reader.text("offset");
        let offset_ms = offset.as_deref().map_or(Some(0), offset_ms);
        if offset_ms.is_none() {
            reader.error_at("offset", "must be an offset from UTC such as +02:00");
        }
        reader.finish();
        Some(Recurring { days, begin_ms: begin_ms?, length_ms: Some(length_ms).filter(|ms| (1..=DAY_MS).contains(ms))?, offset_ms: offset_ms? })
    }

    /// When the window that holds a moment ends, if there is one.
    pub fn until(&self, now: Timestamp) -> Option<Timestamp> {
        let local = now.millis() + self.offset_ms;
        let today = local.div_euclid(DAY_MS);
        // A window is no longer than a day, so it began today or yesterday.
        [today, today - 1].into_iter().find_map(|day| {
            let begin = day * DAY_MS + self.begin_ms;
            let inside = self.days[weekday(day)] && (begin..begin + self.length_ms).contains(&local);
            inside.then(|| Timestamp(begin + self.length_ms - self.offset_ms))
        })
    }
}

/// The day of the week, Monday first, of a day since 1970-01-01, which was a Thursday.
fn weekday(day: i64) -> usize {
    (day + 3).rem_euclid(7) as usize
}

fn clock_ms(text: &str) -> Option<i64> {
    let (hours, minutes) = text.split_once(':')?;
    let (hours, minutes): (i64, i64) = (two_digits(hours)?, two_digits(minutes)?);
    ((0..24).contains(&hours) && (0..60).contains(&minutes)).then_some((hours * 60 + minutes) * MINUTE_MS)
}

fn two_digits(text: &str) -> Option<i64> {
    (matches!(text.len(), 1 | 2) && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok())?
}

fn offset_ms(text: &str) -> Option<i64> {
    let (sign, rest) = match (text.strip_prefix('+'), text.strip_prefix('-')) {
        (Some(rest), _) => (1, rest),
        (None, Some(rest)) => (-1, rest),
        (None, None) => return (text == "Z" || text.eq_ignore_ascii_case("utc")).then_some(0),
    };
    clock_ms(rest).map(|ms| sign * ms)
}

#[cfg(test)]
mod tests {
    use watchfire_model::document::{Context, parse_yaml};

    use super::*;

    fn window(text: &str) -> (Option<Recurring>, Vec<String>) {
        let node = parse_yaml("w", text).unwrap();
        let context = Context::new("w");
        let window = Recurring::read(Reader::new(&context, &node, "maintenance[0]"));
        (window, context.into_findings().into_iter().map(|f| f.message).collect())
    }

    #[test]
    fn a_window_comes_on_its_days_and_may_cross_midnight() {
        // 2025-12-30 is a Tuesday.
        let check = |text: &str, now: &str, expected: Option<&str>| {
            let (window, findings) = window(text);
            assert_eq!(findings, Vec::<String>::new(), "{text}");
            let until = window.unwrap().until(Timestamp::parse(now).unwrap());
            assert_eq!(until.map(Timestamp::rfc3339), expected.map(str::to_owned), "{text} at {now}");
        };
        check("{days: [tue], at: \"03:00\", for: 1h}", "2025-12-30T02:59:59Z", None);
        check("{days: [tue], at: \"03:00\", for: 1h}", "2025-12-30T03:00:00Z", Some("2025-12-30T04:00:00Z"));
        check("{days: tuesday, at: \"03:00\", for: 1h}", "2025-12-30T04:00:00Z", None);
        check("{days: [tue], at: \"03:00\", for: 1h}", "2025-12-31T03:30:00Z", None);
        check("{at: \"03:00\", for: 1h}", "2025-12-31T03:30:00Z", Some("2025-12-31T04:00:00Z"));
        check("{days: [mon], at: \"23:30\", for: 2h}", "2025-12-30T01:00:00Z", Some("2025-12-30T01:30:00Z"));
        check("{days: [tue], at: \"00:30\", for: 1h, offset: \"+02:00\"}", "2025-12-29T22:45:00Z", Some("2025-12-29T23:30:00Z"));
        check("{days: [mon], at: \"23:30\", for: 1h, offset: \"-05:00\"}", "2025-12-30T04:45:00Z", Some("2025-12-30T05:30:00Z"));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for text in ["{days: [noday], at: \"03:00\", for: 1h}", "{at: \"24:00\", for: 1h}", "{at: \"03:00\", for: 2d}", "{at: \"03:00\", for: 1h, offset: 2}"] {
            assert_eq!(window(text).1.len(), 1, "{text}");
        }
    }
}
