//! Dates as Elasticsearch reads them: ISO texts with parts missing, milliseconds since 1970, and date math (`now-15m/d`,
//! `2024-01-01||+1M`). A date names a span: a day, an hour, a millisecond.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, Unit, Zoned};
use watchfire_model::logs::Nanos;

/// A span of time: `start <= t < end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period {
    /// First moment, inclusive.
    pub start: Nanos,
    /// Last moment, exclusive.
    pub end: Nanos,
}

const MILLISECOND: i64 = 1_000_000;

fn moment(nanos: Nanos) -> Timestamp {
    let limit = if nanos.0 < 0 { Timestamp::MIN } else { Timestamp::MAX };
    Timestamp::from_nanosecond(i128::from(nanos.0)).unwrap_or(limit)
}

fn nanos(time: &Zoned) -> Nanos {
    let nanos = time.timestamp().as_nanosecond();
    Nanos(i64::try_from(nanos).unwrap_or(if nanos < 0 { i64::MIN } else { i64::MAX }))
}

/// A time zone: a name, `UTC`, `Z`, or an offset.
pub fn zone(name: &str) -> Option<TimeZone> {
    match name {
        "" | "Z" | "UTC" | "GMT" => Some(TimeZone::UTC),
        name if name.starts_with(['+', '-']) => {
            let (seconds, rest) = offset(name)?;
            rest.is_empty().then_some(())?;
            jiff::tz::Offset::from_seconds(seconds).ok().map(TimeZone::fixed)
        }
        name => TimeZone::get(name).ok(),
    }
}

/// `2024-01-02T03:04:05.678Z`
pub fn format(time: Nanos) -> String {
    moment(time).to_zoned(TimeZone::UTC).strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// What a text means as a moment, if it is one; bare numbers are none.
pub fn instant(text: &str) -> Option<Nanos> {
    let text = text.trim();
    if !text.contains('-') {
        return None;
    }
    iso(text, &TimeZone::UTC).map(|period| period.start)
}

/// The span that a text means, with date math.
pub fn period(text: &str, now: Nanos, zone: &TimeZone) -> Option<Period> {
    let text = text.trim();
    if let Some(math) = text.strip_prefix("now") {
        return apply(Period { start: now, end: Nanos(now.0.saturating_add(1)) }, math, zone);
    }
    if let Some((date, math)) = text.split_once("||") {
        return apply(anchor(date, zone)?, math, zone);
    }
    anchor(text, zone)
}

/// A date or a number of milliseconds. Four digits are a year.
fn anchor(text: &str, zone: &TimeZone) -> Option<Period> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) && text.len() != 4 {
        let start = text.parse::<i64>().ok()?.checked_mul(MILLISECOND)?;
        return Some(Period { start: Nanos(start), end: Nanos(start.saturating_add(MILLISECOND)) });
    }
    iso(text, zone)
}

fn digits(text: &str, count: usize) -> Option<(i64, &str)> {
    let (number, rest) = text.split_at_checked(count)?;
    number.bytes().all(|b| b.is_ascii_digit()).then_some(())?;
    Some((number.parse().ok()?, rest))
}

/// Seconds of `+01:00`, `-0530` or `+01`, and what is behind.
fn offset(text: &str) -> Option<(i32, &str)> {
    let negative = text.starts_with('-');
    let (hours, rest) = digits(text.strip_prefix(['+', '-'])?, 2)?;
    let tail = rest.strip_prefix(':').unwrap_or(rest);
    let (minutes, rest) = digits(tail, 2).unwrap_or((0, rest));
    let seconds = i32::try_from(hours * 3600 + minutes * 60).ok()?;
    Some((if negative { -seconds } else { seconds }, rest))
}

/// `yyyy[-MM[-dd[THH[:mm[:ss[.fraction]]]]]][zone]`, or with slashes between the parts of the date.
fn iso(text: &str, zone: &TimeZone) -> Option<Period> {
    let (year, mut rest) = digits(text, 4)?;
    let (mut month, mut day, mut unit) = (1, 1, Unit::Year);
    if let Some(tail) = rest.strip_prefix(['-', '/']) {
        (month, rest) = digits(tail, 2)?;
        unit = Unit::Month;
        if let Some(tail) = rest.strip_prefix(['-', '/']) {
            (day, rest) = digits(tail, 2)?;
            unit = Unit::Day;
        }
    }
    let date = Date::new(i16::try_from(year).ok()?, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()?;
    let mut time = (0, 0, 0, 0);
    let mut precise = None;
    if unit == Unit::Day
        && let Some(tail) = rest.strip_prefix(['T', ' '])
        && !tail.is_empty()
    {
        (time.0, rest) = digits(tail, 2)?;
        unit = Unit::Hour;
        if let Some(tail) = rest.strip_prefix(':') {
            (time.1, rest) = digits(tail, 2)?;
            unit = Unit::Minute;
            if let Some(tail) = rest.strip_prefix(':') {
                (time.2, rest) = digits(tail, 2)?;
                unit = Unit::Second;
                if let Some(tail) = rest.strip_prefix(['.', ',']) {
                    let length = tail.bytes().take_while(u8::is_ascii_digit).count();
                    let (fraction, behind) = tail.split_at_checked(length).filter(|_| length > 0)?;
                    let nine: String = fraction.chars().chain(std::iter::repeat('0')).take(9).collect();
                    time.3 = nine.parse::<i32>().ok()?;
                    precise = Some(if length > 3 { 1 } else { MILLISECOND });
                    rest = behind;
                }
            }
        }
    }
    let zone = match rest.trim_start() {
        "" => zone.clone(),
        "Z" | "z" => TimeZone::UTC,
        rest => {
            let (seconds, behind) = offset(rest)?;
            behind.is_empty().then_some(())?;
            TimeZone::fixed(jiff::tz::Offset::from_seconds(seconds).ok()?)
        }
    };
    let time = Time::new(i8::try_from(time.0).ok()?, i8::try_from(time.1).ok()?, i8::try_from(time.2).ok()?, time.3).ok()?;
    let start = DateTime::from_parts(date, time).to_zoned(zone).ok()?;
    let end = match precise {
        Some(length) => Nanos(nanos(&start).0.saturating_add(length)),
        None => nanos(&start.checked_add(Span::new().try_units(unit)?).ok()?),
    };
    Some(Period { start: nanos(&start), end })
}

/// One unit of a length, as a span.
trait Units: Sized {
    fn try_units(self, unit: Unit) -> Option<Self>;
}
impl Units for Span {
    fn try_units(self, unit: Unit) -> Option<Span> {
        let span = match unit {
            Unit::Year => self.try_years(1),
            Unit::Month => self.try_months(1),
            Unit::Week => self.try_weeks(1),
            Unit::Day => self.try_days(1),
            Unit::Hour => self.try_hours(1),
            Unit::Minute => self.try_minutes(1),
            _ => self.try_seconds(1),
        };
        span.ok()
    }
}

/// `y`, `M`, `w`, `d`, `h` or `H`, `m`, `s`.
fn unit_of(letter: char) -> Option<Unit> {
    Some(match letter {
        'y' => Unit::Year,
        'M' => Unit::Month,
        'w' => Unit::Week,
        'd' => Unit::Day,
        'h' | 'H' => Unit::Hour,
        'm' => Unit::Minute,
        's' => Unit::Second,
        _ => return None,
    })
}

/// `+1M`, `-15m`, `/d`, one after another.
fn apply(from: Period, math: &str, zone: &TimeZone) -> Option<Period> {
    let mut period = from;
    let mut rest = math;
    while let Some(sign) = rest.chars().next() {
        let tail = rest.get(1..)?;
        let count = tail.bytes().take_while(u8::is_ascii_digit).count();
        let (number, tail) = tail.split_at_checked(count)?;
        let letter = tail.chars().next()?;
        let unit = unit_of(letter)?;
        rest = tail.get(letter.len_utf8()..)?;
        let start = moment(period.start).to_zoned(zone.clone());
        match sign {
            '/' if number.is_empty() => {
                let start = floor(&start, unit)?;
                let end = start.checked_add(Span::new().try_units(unit)?).ok()?;
                period = Period { start: nanos(&start), end: nanos(&end) };
            }
            '+' | '-' => {
                let amount: i64 = if number.is_empty() { 1 } else { number.parse().ok()? };
                let amount = if sign == '-' { -amount } else { amount };
                let moved = add(&start, unit, amount)?;
                let length = period.end.0.saturating_sub(period.start.0);
                period = Period { start: nanos(&moved), end: Nanos(nanos(&moved).0.saturating_add(length)) };
            }
            _ => return None,
        }
    }
    Some(period)
}

/// So many units later.
pub(super) fn add(time: &Zoned, unit: Unit, amount: i64) -> Option<Zoned> {
    let span = Span::new();
    let span = match unit {
        Unit::Year => span.try_years(amount),
        Unit::Month => span.try_months(amount),
        Unit::Week => span.try_weeks(amount),
        Unit::Day => span.try_days(amount),
        Unit::Hour => span.try_hours(amount),
        Unit::Minute => span.try_minutes(amount),
        _ => span.try_seconds(amount),
    };
    time.checked_add(span.ok()?).ok()
}

/// The beginning of the year, month, week (Monday), day, hour, minute or second.
pub(super) fn floor(time: &Zoned, unit: Unit) -> Option<Zoned> {
    let first = |date: Date| date.to_zoned(time.time_zone().clone()).ok();
    match unit {
        Unit::Year => first(Date::new(time.year(), 1, 1).ok()?),
        Unit::Month => first(Date::new(time.year(), time.month(), 1).ok()?),
        Unit::Week => {
            let back = i64::from(time.weekday().to_monday_zero_offset());
            first(time.date().checked_sub(Span::new().try_days(back).ok()?).ok()?)
        }
        Unit::Day => first(time.date()),
        _ => {
            let unit = match unit {
                Unit::Hour => 3_600,
                Unit::Minute => 60,
                _ => 1,
            };
            // Offsets of time zones are whole minutes nearly everywhere; hours are those of the wall.
            let offset = i64::from(time.offset().seconds());
            let wall = time.timestamp().as_second() + offset;
            let floored = wall.div_euclid(unit) * unit - offset;
            Timestamp::from_second(floored).ok().map(|t| t.to_zoned(time.time_zone().clone()))
        }
    }
}

/// A moment in a time zone.
pub(super) fn zoned(time: Nanos, zone: &TimeZone) -> Zoned {
    moment(time).to_zoned(zone.clone())
}
/// The moment in nanoseconds.
pub(super) fn in_nanos(time: &Zoned) -> Nanos {
    nanos(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods() {
        let now = instant("2024-05-15T10:20:30.500Z").unwrap();
        let check = |text: &str, start: &str, end: &str| {
            let got = period(text, now, &TimeZone::UTC).map(|p| (format(p.start), format(p.end)));
            assert_eq!(got, Some((start.to_owned(), end.to_owned())), "{text}");
        };
        check("now/d", "2024-05-15T00:00:00.000Z", "2024-05-16T00:00:00.000Z");
        check("now-15m", "2024-05-15T10:05:30.500Z", "2024-05-15T10:05:30.500Z");
        check("now-1d/d", "2024-05-14T00:00:00.000Z", "2024-05-15T00:00:00.000Z");
        check("now/w", "2024-05-13T00:00:00.000Z", "2024-05-20T00:00:00.000Z");
        check("now/M", "2024-05-01T00:00:00.000Z", "2024-06-01T00:00:00.000Z");
        check("now/y+1h", "2024-01-01T01:00:00.000Z", "2025-01-01T01:00:00.000Z");
        check("now/h", "2024-05-15T10:00:00.000Z", "2024-05-15T11:00:00.000Z");
        check("2024-01-31||+1M", "2024-02-29T00:00:00.000Z", "2024-03-01T00:00:00.000Z");
        check("2024-01-31||/M", "2024-01-01T00:00:00.000Z", "2024-02-01T00:00:00.000Z");
        check("2024", "2024-01-01T00:00:00.000Z", "2025-01-01T00:00:00.000Z");
        check("2024-02", "2024-02-01T00:00:00.000Z", "2024-03-01T00:00:00.000Z");
        check("2024-02-03T04:05", "2024-02-03T04:05:00.000Z", "2024-02-03T04:06:00.000Z");
        check("2024-02-03T04:05:06.7Z", "2024-02-03T04:05:06.700Z", "2024-02-03T04:05:06.701Z");
        check("2024-02-03T04:05:06+02:00", "2024-02-03T02:05:06.000Z", "2024-02-03T02:05:07.000Z");
        check("2024-02-03 04:05:06", "2024-02-03T04:05:06.000Z", "2024-02-03T04:05:07.000Z");
        check("1700000000000", "2023-11-14T22:13:20.000Z", "2023-11-14T22:13:20.001Z");
        for text in ["", "x", "now-", "now-1", "now/x", "now*2", "2024-13", "2024-01-01T", "2024-01-01||", "2024-01-01||x", "24-01-01"] {
            let got = period(text, now, &TimeZone::UTC);
            assert!(got.is_none() || text.ends_with("||") || text.ends_with('T'), "{text}: {got:?}");
        }
        let paris = zone("Europe/Paris").unwrap();
        assert_eq!(format(period("now/d", now, &paris).unwrap().start), "2024-05-14T22:00:00.000Z");
        assert!(zone("+05:30").is_some() && zone("Nowhere").is_none());
    }
}
