//! Text → moment after a layout of Go. What a layout does not say is the beginning of the year 0 in the zone that is given.

use jiff::civil::date;
use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Timestamp};

use super::time::{Chunk, DAYS, GoTime, MONTHS, chunk, short, zone};

/// What was read so far.
struct Parts {
    year: i16,
    month: i8,
    day: i8,
    year_day: Option<i16>,
    hour: i8,
    afternoon: Option<bool>,
    minute: i8,
    second: i8,
    nanos: i32,
    offset: Option<Offset>,
}

impl GoTime {
    /// Reads a moment. The error is a sentence.
    pub fn parse(layout: &str, text: &str, zone_name: &str) -> Result<GoTime, String> {
        let fallback = zone(zone_name)?;
        let cannot = || format!("parsing time {text:?} as {layout:?}: cannot parse");
        let mut parts = Parts { year: 0, month: 1, day: 1, year_day: None, hour: 0, afternoon: None, minute: 0, second: 0, nanos: 0, offset: None };
        let (mut format, mut rest) = (layout, text);
        while !format.is_empty() {
            match chunk(format) {
                Some((found, length)) => {
                    let written = format.get(..length).unwrap_or("");
                    rest = parts.read(found, written, rest).ok_or_else(cannot)?;
                    format = format.get(length..).unwrap_or("");
                }
                None => {
                    let c = format.chars().next().unwrap_or(' ');
                    format = format.get(c.len_utf8()..).unwrap_or("");
                    rest = rest.strip_prefix(c).ok_or_else(cannot)?;
                }
            }
        }
        if !rest.is_empty() {
            return Err(format!("parsing time {text:?}: extra text: {rest:?}"));
        }
        parts.moment(fallback).ok_or_else(|| format!("parsing time {text:?}: cannot parse: a part is out of range"))
    }
}

/// Between so many digits, and what is behind.
fn digits(text: &str, least: usize, most: usize) -> Option<(i32, &str)> {
    let length = text.bytes().take(most).take_while(u8::is_ascii_digit).count();
    let (number, rest) = text.split_at_checked(length).filter(|_| length >= least)?;
    Some((number.parse().ok()?, rest))
}

/// One of some names in any case: its place, and what is behind.
fn named<'t>(text: &'t str, names: &[&str], shorten: bool) -> Option<(usize, &'t str)> {
    names.iter().enumerate().find_map(|(i, name)| {
        let name = if shorten { short(name) } else { name };
        let begins = text.get(..name.len()).is_some_and(|t| t.eq_ignore_ascii_case(name));
        begins.then(|| Some((i, text.get(name.len()..)?))).flatten()
    })
}

impl Parts {
    /// Reads one chunk of a layout; gives what is behind it.
    fn read<'t>(&mut self, chunk: Chunk, written: &str, text: &'t str) -> Option<&'t str> {
        let two = |least: usize| digits(text, least, 2);
        let behind;
        match chunk {
            Chunk::LongMonth | Chunk::Month => {
                let (month, rest) = named(text, &MONTHS, matches!(chunk, Chunk::Month))?;
                (self.month, behind) = (i8::try_from(month + 1).ok()?, rest);
            }
            Chunk::NumberMonth | Chunk::ZeroMonth => {
                let (month, rest) = two(if matches!(chunk, Chunk::ZeroMonth) { 2 } else { 1 })?;
                (self.month, behind) = (i8::try_from(month).ok()?, rest);
            }
            Chunk::LongWeekday | Chunk::Weekday => (_, behind) = named(text, &DAYS, matches!(chunk, Chunk::Weekday))?,
            Chunk::Day | Chunk::SpaceDay | Chunk::ZeroDay => {
                let spaced = if matches!(chunk, Chunk::SpaceDay) { text.strip_prefix(' ').unwrap_or(text) } else { text };
                let (day, rest) = digits(spaced, if matches!(chunk, Chunk::ZeroDay) { 2 } else { 1 }, 2)?;
                (self.day, behind) = (i8::try_from(day).ok()?, rest);
            }
            Chunk::YearDay | Chunk::SpaceYearDay => {
                let (day, rest) = digits(text.trim_start_matches(' '), 1, 3)?;
                (self.year_day, behind) = (Some(i16::try_from(day).ok()?), rest);
            }
            Chunk::Hour | Chunk::Hour12 | Chunk::ZeroHour12 => {
                let (hour, rest) = two(if matches!(chunk, Chunk::ZeroHour12) { 2 } else { 1 })?;
                (self.hour, behind) = (i8::try_from(hour).ok()?, rest);
            }
            Chunk::Minute | Chunk::ZeroMinute => {
                let (minute, rest) = two(if matches!(chunk, Chunk::ZeroMinute) { 2 } else { 1 })?;
                (self.minute, behind) = (i8::try_from(minute).ok()?, rest);
            }
            Chunk::Second | Chunk::ZeroSecond => {
                let (second, rest) = two(if matches!(chunk, Chunk::ZeroSecond) { 2 } else { 1 })?;
                self.second = i8::try_from(second).ok()?;
                // A fraction is taken although the layout names none.
                behind = self.fraction(rest).unwrap_or(rest);
            }
            Chunk::LongYear => {
                let (year, rest) = digits(text, 4, 4)?;
                (self.year, behind) = (i16::try_from(year).ok()?, rest);
            }
            Chunk::Year => {
                let (year, rest) = two(2)?;
                (self.year, behind) = (i16::try_from(if year >= 69 { 1900 + year } else { 2000 + year }).ok()?, rest);
            }
            Chunk::UpperNoon | Chunk::LowerNoon => {
                let (half, rest) = named(text, &["AM", "PM"], false)?;
                (self.afternoon, behind) = (Some(half == 1), rest);
            }
            Chunk::ZoneName => {
                let length = text.bytes().take_while(u8::is_ascii_uppercase).count();
                let (name, rest) = text.split_at_checked(length).filter(|_| (3..=5).contains(&length))?;
                if matches!(name, "UTC" | "GMT") {
                    self.offset = Some(Offset::UTC);
                }
                behind = rest;
            }
            Chunk::Offset => behind = self.zone_offset(written, text)?,
            // Seconds have taken it already.
            Chunk::Fraction { .. } => behind = self.fraction(text).unwrap_or(text),
        }
        Some(behind)
    }

    fn fraction<'t>(&mut self, text: &'t str) -> Option<&'t str> {
        let tail = text.strip_prefix(['.', ','])?;
        let length = tail.bytes().take_while(u8::is_ascii_digit).count();
        let (digits, rest) = tail.split_at_checked(length).filter(|_| length > 0)?;
        let nine: String = digits.chars().chain(std::iter::repeat('0')).take(9).collect();
        self.nanos = nine.parse().ok()?;
        Some(rest)
    }

    fn zone_offset<'t>(&mut self, written: &str, text: &'t str) -> Option<&'t str> {
        if written.starts_with('Z') && text.starts_with('Z') {
            self.offset = Some(Offset::UTC);
            return text.get(1..);
        }
        let negative = text.starts_with('-');
        let tail = text.strip_prefix(['+', '-'])?;
        let (hours, mut rest) = digits(tail, 2, 2)?;
        let mut seconds = hours * 3600;
        let count = written.bytes().filter(u8::is_ascii_digit).count();
        for (place, unit) in [(4, 60), (6, 1)] {
            if count >= place {
                let tail = if written.contains(':') { rest.strip_prefix(':')? } else { rest };
                let (number, after) = digits(tail, 2, 2)?;
                (seconds, rest) = (seconds + number * unit, after);
            }
        }
        self.offset = Some(Offset::from_seconds(if negative { -seconds } else { seconds }).ok()?);
        Some(rest)
    }

    fn moment(&self, fallback: TimeZone) -> Option<GoTime> {
        let hour = match self.afternoon {
            None => self.hour,
            Some(_) if !(0..=12).contains(&self.hour) => return None,
            Some(afternoon) => self.hour % 12 + if afternoon { 12 } else { 0 },
        };
        let day = date_of(self.year, self.month, self.day)?;
        let day = match self.year_day {
            Some(n) => date_of(self.year, 1, 1)?.checked_add(SignedDuration::from_hours(24 * (i64::from(n) - 1))).ok()?,
            None => day,
        };
        let time = jiff::civil::Time::new(hour, self.minute, self.second, self.nanos).ok()?;
        let zone = self.offset.map_or(fallback, |offset| if offset == Offset::UTC { TimeZone::UTC } else { TimeZone::fixed(offset) });
        let moment = day.to_datetime(time).to_zoned(zone).ok()?;
        (moment.timestamp() >= Timestamp::MIN).then(|| GoTime::of(moment))
    }
}

fn date_of(year: i16, month: i8, day: i8) -> Option<jiff::civil::Date> {
    (date(2000, 1, 1).with().year(year).month(month).day(day).build()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments() {
        let check = |layout: &str, text: &str, zone: &str, expected: Option<i64>| {
            let got = GoTime::parse(layout, text, zone).ok().and_then(|t| t.part("UnixNano"));
            assert_eq!(got, expected, "{text} as {layout}");
        };
        check("2006-01-02T15:04:05Z07:00", "2021-03-04T05:06:07Z", "UTC", Some(1_614_834_367_000_000_000));
        check("2006-01-02T15:04:05Z07:00", "2021-03-04T05:06:07.25+01:00", "UTC", Some(1_614_830_767_250_000_000));
        check("2006-01-02T15:04:05.000Z07:00", "2021-03-04T05:06:07.5Z", "UTC", Some(1_614_834_367_500_000_000));
        check("Jan _2 3:04PM 2006", "Mar  4 5:06PM 2021", "UTC", Some(1_614_877_560_000_000_000));
        check("2006-01-02", "2021-03-04", "Europe/Paris", Some(1_614_812_400_000_000_000));
        check("02/Jan/2006:15:04:05 -0700", "04/Mar/2021:05:06:07 +0100", "UTC", Some(1_614_830_767_000_000_000));
        for (layout, text) in [("2006", "x"), ("2006-01-02", "2021-13-04"), ("2006-01-02", "2021-02-30"), ("15:04", "25:00"), ("2006", "2021 "), ("15:04", "1")]
        {
            check(layout, text, "UTC", None);
        }
        assert!(GoTime::parse("2006", "2021", "Nowhere/Land").is_err());
    }
}
