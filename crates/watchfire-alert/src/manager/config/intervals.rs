//! Time intervals, by which routes are muted or active: times, weekdays, days of the month (also from its end), months, years,
//! each in a place's local time. It only says whether a moment lies within.

use jiff::tz::TimeZone;
use watchfire_model::document::{Context, Node, Reader};
use watchfire_model::time::Timestamp;

/// The most intervals under one name.
const INTERVALS_MAX: usize = 1_000;

/// An inclusive range of numbers.
type Range = (i32, i32);

/// One interval: every field that is not empty must have the moment in one of its ranges.
#[derive(Clone, Debug)]
pub struct Interval {
    /// Minutes of the day; the end is not part of it.
    times: Vec<Range>,
    /// Days of the week, Sunday is 0.
    weekdays: Vec<Range>,
    /// Days of the month; negative ones count from its end.
    days: Vec<Range>,
    /// Months, January is 1.
    months: Vec<Range>,
    /// Years.
    years: Vec<Range>,
    zone: TimeZone,
}

impl Interval {
    /// Whether a moment lies within.
    pub fn contains(&self, moment: Timestamp) -> bool {
        let Ok(instant) = jiff::Timestamp::from_millisecond(moment.millis()) else { return false };
        let local = instant.to_zoned(self.zone.clone());
        let within = |ranges: &[Range], value: i32| ranges.is_empty() || ranges.iter().any(|(from, to)| (*from..=*to).contains(&value));
        let minute = i32::from(local.hour()) * 60 + i32::from(local.minute());
        let times = self.times.is_empty() || self.times.iter().any(|(from, to)| (*from..*to).contains(&minute));
        times
            && within(&self.weekdays, i32::from(local.weekday().to_sunday_zero_offset()))
            && self.contains_day(i32::from(local.day()), i32::from(local.days_in_month()))
            && within(&self.months, i32::from(local.month()))
            && within(&self.years, i32::from(local.year()))
    }

    fn contains_day(&self, day: i32, last: i32) -> bool {
        // -1 is the last day; what lies outside this month is moved to its nearest day, unless all of the range does.
        let resolve = |n: i32| if n < 0 { last + n + 1 } else { n };
        self.days.is_empty()
            || self.days.iter().any(|(from, to)| {
                let (from, to) = (resolve(*from), resolve(*to));
                from <= last && to >= 1 && (from.clamp(1, last)..=to.clamp(1, last)).contains(&day)
            })
    }
}

/// Reads the items of one `time_intervals` list.
pub(super) fn read(reader: &Reader<'_>) -> Vec<Interval> {
    let items = reader.maps("time_intervals");
    if items.len() > INTERVALS_MAX {
        reader.error_at("time_intervals", format!("more than {INTERVALS_MAX} intervals"));
        return Vec::new();
    }
    items.into_iter().map(read_one).collect()
}

fn read_one(reader: Reader<'_>) -> Interval {
    let context = reader.context();
    let interval = Interval {
        times: reader.maps("times").into_iter().filter_map(time_range).collect(),
        weekdays: ranges(&reader, "weekdays", &|text| position(&WEEKDAYS, text)),
        days: ranges(&reader, "days_of_month", &day),
        months: ranges(&reader, "months", &|text| position(&MONTHS, text).map(|n| n + 1).or_else(|| number(text, 1, 12))),
        years: ranges(&reader, "years", &|text| number(text, 0, 9999)),
        zone: zone(&reader),
    };
    let node = reader.node();
    if node.is_null() {
        context.warning(node.line, node.column, "an interval without any condition contains every moment");
    }
    reader.finish();
    interval
}

const WEEKDAYS: [&str; 7] = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];
const MONTHS: [&str; 12] = ["january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november", "december"];

fn position(names: &[&str], text: &str) -> Option<i32> {
    names.iter().position(|name| name.eq_ignore_ascii_case(text)).map(|n| n as i32)
}

fn number(text: &str, min: i32, max: i32) -> Option<i32> {
    text.parse().ok().filter(|n| (min..=max).contains(n))
}

fn day(text: &str) -> Option<i32> {
    number(text, -31, 31).filter(|n| *n != 0)
}

/// The ranges of a list of texts such as `monday:friday` or `1`.
fn ranges(reader: &Reader<'_>, key: &'static str, read: &dyn Fn(&str) -> Option<i32>) -> Vec<Range> {
    reader.list(key).iter().filter_map(|node| range(reader.context(), &reader.path_of(key), node, key == "days_of_month", read)).collect()
}

fn range(context: &Context, path: &str, node: &Node, days: bool, read: &dyn Fn(&str) -> Option<i32>) -> Option<Range> {
    let wrong = |message: String| {
        context.error(node.line, node.column, format!("{path}: {message}"));
        None
    };
    let Some(text) = node.text() else { return wrong(format!("must be a text such as 1 or 1:5, not {}", node.value.shape())) };
    let (from, to) = text.split_once(':').unwrap_or((text, text));
    let (Some(from), Some(to)) = (read(from.trim()), read(to.trim())) else {
        return wrong(format!("{text:?} is neither one nor a range of them"));
    };
    // A range of days that begins before the end of the month and ends after its beginning cannot be compared.
    let comparable = !days || (from < 0) == (to < 0);
    if comparable && from > to {
        return wrong(format!("{text:?} ends before it begins"));
    }
    if days && from < 0 && to > 0 {
        return wrong(format!("{text:?} begins at the end of the month and ends at its beginning"));
    }
    Some((from, to))
}

fn time_range(reader: Reader<'_>) -> Option<Range> {
    let (start, end) = (minutes(&reader, "start_time"), minutes(&reader, "end_time"));
    let (node, context) = (reader.node(), reader.context());
    reader.finish();
    let (start, end) = (start?, end?);
    if start >= end {
        context.error(node.line, node.column, "a range of times must begin before it ends; write two ranges for one that passes midnight");
        return None;
    }
    Some((start, end))
}

fn minutes(reader: &Reader<'_>, key: &'static str) -> Option<i32> {
    let text = reader.required_text(key);
    let read = || {
        let (hour, minute) = text.split_once(':')?;
        if hour.len() != 2 || minute.len() != 2 {
            return None;
        }
        let (hour, minute) = (number(hour, 0, 24)?, number(minute, 0, 59)?);
        (hour < 24 || minute == 0).then_some(hour * 60 + minute)
    };
    let found = read();
    if found.is_none() && !text.is_empty() {
        reader.error_at(key, format!("must be a time such as 09:30, not {text:?}"));
    }
    found
}

fn zone(reader: &Reader<'_>) -> TimeZone {
    match reader.text("location").as_deref() {
        None | Some("" | "UTC") => TimeZone::UTC,
        Some("Local") => TimeZone::system(),
        Some(name) => TimeZone::get(name).unwrap_or_else(|_| {
            reader.error_at("location", format!("there is no time zone {name:?} in this machine's database"));
            TimeZone::UTC
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use watchfire_model::document::parse_yaml;

    fn intervals(yaml: &str) -> Result<Vec<Interval>, Vec<String>> {
        let node = parse_yaml("f", &format!("time_intervals:\n{yaml}")).unwrap();
        let context = Context::new("f");
        let reader = Reader::new(&context, &node, "");
        let found = read(&reader);
        let errors: Vec<String> = context.into_findings().iter().map(ToString::to_string).collect();
        if errors.is_empty() { Ok(found) } else { Err(errors) }
    }

    fn check(yaml: &str, inside: &[&str], outside: &[&str]) {
        let all = intervals(yaml).unwrap();
        for (moments, expected) in [(inside, true), (outside, false)] {
            for moment in moments {
                let at = Timestamp::parse(moment).unwrap();
                assert_eq!(all.iter().any(|i| i.contains(at)), expected, "{yaml} {moment}");
            }
        }
    }

    #[test]
    fn fields_and_their_ranges() {
        check(
            "- times: [{start_time: '09:00', end_time: '17:00'}]",
            &["2025-01-01T09:00:00Z", "2025-01-01T16:59:59Z"],
            &["2025-01-01T17:00:00Z", "2025-01-01T08:59:59Z"],
        );
        check("- times: [{start_time: '17:00', end_time: '24:00'}]", &["2025-01-01T23:59:59Z"], &["2025-01-01T16:59:00Z", "2025-01-02T00:00:00Z"]);
        // 2025-01-06 is a Monday.
        check(
            "- weekdays: ['monday:wednesday', Saturday]",
            &["2025-01-06T00:00:00Z", "2025-01-08T12:00:00Z", "2025-01-11T12:00:00Z"],
            &["2025-01-09T00:00:00Z", "2025-01-05T00:00:00Z"],
        );
        check(
            "- days_of_month: ['1:5', '-3:-1']",
            &["2025-02-05T00:00:00Z", "2025-02-26T00:00:00Z", "2024-02-29T00:00:00Z"],
            &["2025-02-06T00:00:00Z", "2025-02-25T00:00:00Z"],
        );
        check("- days_of_month: ['31']", &["2025-01-31T00:00:00Z"], &["2025-02-28T00:00:00Z", "2025-04-30T00:00:00Z"]);
        check("- days_of_month: ['28:31']", &["2025-02-28T00:00:00Z"], &["2025-02-27T00:00:00Z"]);
        check("- days_of_month: ['10:-10']", &["2025-02-10T00:00:00Z", "2025-02-19T00:00:00Z"], &["2025-02-20T00:00:00Z", "2025-02-09T00:00:00Z"]);
        check(
            "- months: ['1:3', 'may:august', 'december']",
            &["2025-03-31T00:00:00Z", "2025-06-01T00:00:00Z", "2025-12-01T00:00:00Z"],
            &["2025-04-01T00:00:00Z", "2025-09-01T00:00:00Z"],
        );
        check("- years: ['2020:2022', '2030']", &["2021-01-01T00:00:00Z", "2030-01-01T00:00:00Z"], &["2023-01-01T00:00:00Z"]);
        check("- weekdays: [monday]\n- months: [july]", &["2025-01-06T00:00:00Z", "2025-07-02T00:00:00Z"], &["2025-01-07T00:00:00Z"]);
    }

    #[test]
    fn a_place_has_its_own_time() {
        let yaml = "- times: [{start_time: '09:00', end_time: '17:00'}]\n  weekdays: ['monday:friday']\n  location: Australia/Sydney";
        // Sydney is 11 hours ahead in January, 10 in July.
        check(yaml, &["2025-01-05T22:00:00Z", "2025-07-06T23:00:00Z"], &["2025-01-05T21:59:59Z", "2025-07-06T22:59:59Z", "2025-01-10T06:00:00Z"]);
        // The hour that daylight saving repeats is twice inside.
        check(
            "- times: [{start_time: '02:00', end_time: '03:00'}]\n  location: Europe/Berlin",
            &["2025-10-26T00:30:00Z", "2025-10-26T01:30:00Z"],
            &["2025-10-26T02:30:00Z"],
        );
    }

    #[test]
    fn what_cannot_be_meant_is_an_error() {
        for (yaml, words) in [
            ("- times: [{start_time: '17:00', end_time: '09:00'}]", "begin before it ends"),
            ("- times: [{start_time: '9:00', end_time: '10:00'}]", "must be a time such as 09:30"),
            ("- times: [{start_time: '24:01', end_time: '24:00'}]", "must be a time"),
            ("- weekdays: [mon]", "is neither one nor a range"),
            ("- weekdays: ['friday:monday']", "ends before it begins"),
            ("- days_of_month: ['0']", "is neither one"),
            ("- days_of_month: ['-1:5']", "begins at the end of the month"),
            ("- months: ['13']", "is neither one"),
            ("- location: Mars/Olympus", "no time zone"),
            ("- hours: [1]", "unknown key"),
        ] {
            let errors = intervals(yaml).unwrap_err();
            assert!(errors.iter().any(|e| e.contains(words)), "{yaml}: {errors:?}");
        }
    }
}
