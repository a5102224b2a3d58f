//! Moments and durations as Go's `time` package shows and counts them: layouts, `String`, arithmetic. No clock is read.

use std::fmt::Write;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, Zoned};

/// A moment in a time zone. Two are equal when the moments are.
#[derive(Clone, Debug)]
pub struct GoTime(Zoned);

impl PartialEq for GoTime {
    fn eq(&self, other: &GoTime) -> bool {
        self.0.timestamp() == other.0.timestamp()
    }
}

pub(super) const MONTHS: [&str; 12] =
    ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"];
pub(super) const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

pub(super) fn short(name: &str) -> &str {
    name.get(..3).unwrap_or(name)
}

/// A time zone by its name.
pub(super) fn zone(name: &str) -> Result<TimeZone, String> {
    match name {
        "" | "UTC" => Ok(TimeZone::UTC),
        "Local" => Ok(TimeZone::system()),
        name => TimeZone::get(name).map_err(|_| format!("unknown time zone {name}")),
    }
}

impl GoTime {
    /// A moment in UTC, from milliseconds since 1970. What the calendar does not reach is its end.
    pub fn from_millis(ms: i64) -> GoTime {
        let limit = if ms < 0 { Timestamp::MIN } else { Timestamp::MAX };
        GoTime(Timestamp::from_millisecond(ms).unwrap_or(limit).to_zoned(TimeZone::UTC))
    }
    /// A moment in UTC, from seconds.
    pub fn from_seconds(seconds: f64) -> Option<GoTime> {
        let nanos = (seconds * 1e9).round();
        // Go counts nanoseconds in 64 bits.
        if !(nanos.is_finite() && nanos.abs() < 9.223_372_036_854_776e18) {
            return None;
        }
        Timestamp::from_nanosecond(nanos as i128).ok().map(|t| GoTime(t.to_zoned(TimeZone::UTC)))
    }
    /// Seconds since 1970.
    pub fn seconds(&self) -> f64 {
        self.0.timestamp().as_nanosecond() as f64 / 1e9
    }
    /// The same moment elsewhere.
    pub fn within(&self, zone: &str) -> Result<GoTime, String> {
        Ok(GoTime(self.0.with_time_zone(self::zone(zone)?)))
    }
    pub(super) fn of(moment: Zoned) -> GoTime {
        GoTime(moment)
    }
    /// The same moment in UTC.
    pub fn utc(&self) -> GoTime {
        GoTime(self.0.with_time_zone(TimeZone::UTC))
    }
    /// The moment so many nanoseconds later.
    pub fn add(&self, nanos: i64) -> GoTime {
        let moved = self.0.checked_add(SignedDuration::from_nanos(nanos));
        moved.map_or_else(|_| self.clone(), GoTime)
    }
    /// The nanoseconds from `other` to this, at most what Go's durations hold.
    pub fn since(&self, other: &GoTime) -> i64 {
        let nanos = self.0.timestamp().as_nanosecond() - other.0.timestamp().as_nanosecond();
        i64::try_from(nanos).unwrap_or(if nanos < 0 { i64::MIN } else { i64::MAX })
    }
    /// One of the calendar's numbers.
    pub fn part(&self, name: &str) -> Option<i64> {
        let time = &self.0;
        Some(match name {
            "Year" => time.year().into(),
            "Month" => time.month().into(),
            "Day" => time.day().into(),
            "Hour" => time.hour().into(),
            "Minute" => time.minute().into(),
            "Second" => time.second().into(),
            "Nanosecond" => time.subsec_nanosecond().into(),
            "YearDay" => time.day_of_year().into(),
            "Weekday" => time.weekday().to_sunday_zero_offset().into(),
            "Unix" => time.timestamp().as_second(),
            "UnixMilli" => time.timestamp().as_millisecond(),
            "UnixMicro" => time.timestamp().as_microsecond(),
            "UnixNano" => i64::try_from(time.timestamp().as_nanosecond()).unwrap_or(i64::MAX),
            _ => return None,
        })
    }
    /// The English name of its month.
    pub fn month(&self) -> &'static str {
        MONTHS[(self.0.month().clamp(1, 12) - 1) as usize]
    }
    /// The English name of its weekday.
    pub fn weekday(&self) -> &'static str {
        DAYS[self.0.weekday().to_sunday_zero_offset().clamp(0, 6) as usize]
    }

    /// `2006-01-02 15:04:05.999999999 -0700 MST`
    pub fn print(&self) -> String {
        self.format("2006-01-02 15:04:05.999999999 -0700 MST")
    }

    /// The moment after a layout of Go.
    pub fn format(&self, layout: &str) -> String {
        let (mut out, mut rest) = (String::new(), layout);
        while !rest.is_empty() {
            let Some((chunk, len)) = chunk(rest) else {
                let c = rest.chars().next().map_or(1, char::len_utf8);
                out.push_str(rest.get(..c).unwrap_or(""));
                rest = rest.get(c..).unwrap_or("");
                continue;
            };
            self.put(&mut out, chunk, rest.get(..len).unwrap_or(""));
            rest = rest.get(len..).unwrap_or("");
        }
        out
    }

    fn put(&self, out: &mut String, chunk: Chunk, text: &str) {
        let time = &self.0;
        let hour12 = match time.hour() % 12 {
            0 => 12,
            hour => hour,
        };
        let written = match chunk {
            Chunk::LongMonth => write!(out, "{}", self.month()),
            Chunk::Month => write!(out, "{}", short(self.month())),
            Chunk::NumberMonth => write!(out, "{}", time.month()),
            Chunk::ZeroMonth => write!(out, "{:02}", time.month()),
            Chunk::LongWeekday => write!(out, "{}", self.weekday()),
            Chunk::Weekday => write!(out, "{}", short(self.weekday())),
            Chunk::Day => write!(out, "{}", time.day()),
            Chunk::SpaceDay => write!(out, "{:2}", time.day()),
            Chunk::ZeroDay => write!(out, "{:02}", time.day()),
            Chunk::YearDay => write!(out, "{:03}", time.day_of_year()),
            Chunk::SpaceYearDay => write!(out, "{:3}", time.day_of_year()),
            Chunk::Hour => write!(out, "{:02}", time.hour()),
            Chunk::Hour12 => write!(out, "{hour12}"),
            Chunk::ZeroHour12 => write!(out, "{hour12:02}"),
            Chunk::Minute => write!(out, "{}", time.minute()),
            Chunk::ZeroMinute => write!(out, "{:02}", time.minute()),
            Chunk::Second => write!(out, "{}", time.second()),
            Chunk::ZeroSecond => write!(out, "{:02}", time.second()),
            Chunk::LongYear => write!(out, "{:04}", time.year()),
            Chunk::Year => write!(out, "{:02}", time.year().rem_euclid(100)),
            Chunk::UpperNoon => write!(out, "{}", if time.hour() >= 12 { "PM" } else { "AM" }),
            Chunk::LowerNoon => write!(out, "{}", if time.hour() >= 12 { "pm" } else { "am" }),
            Chunk::ZoneName => {
                let name = time.strftime("%Z").to_string();
                // A zone without letters is told by its offset, as Go does.
                let named = name.starts_with(|c: char| c.is_ascii_alphabetic());
                if named { write!(out, "{name}") } else { write!(out, "{}", name.trim_end_matches(":00").replace(':', "")) }
            }
            Chunk::Offset => self.offset(out, text),
            Chunk::Fraction { trims } => {
                let digits = text.len() - 1;
                let all = format!("{:09}", time.subsec_nanosecond());
                let kept = all.get(..digits.min(9)).unwrap_or("");
                let kept = if trims { kept.trim_end_matches('0') } else { kept };
                if kept.is_empty() { Ok(()) } else { write!(out, "{}{kept}", text.get(..1).unwrap_or(".")) }
            }
        };
        // Writing to a String does not fail.
        written.unwrap_or(());
    }

    fn offset(&self, out: &mut String, text: &str) -> std::fmt::Result {
        let seconds = self.0.offset().seconds();
        if text.starts_with('Z') && seconds == 0 {
            return out.write_char('Z');
        }
        let (sign, size) = if seconds < 0 { ('-', -seconds) } else { ('+', seconds) };
        let (hours, minutes, rest) = (size / 3600, size / 60 % 60, size % 60);
        let colon = if text.contains(':') { ":" } else { "" };
        write!(out, "{sign}{hours:02}")?;
        let digits = text.bytes().filter(u8::is_ascii_digit).count();
        if digits >= 4 {
            write!(out, "{colon}{minutes:02}")?;
        }
        if digits >= 6 {
            write!(out, "{colon}{rest:02}")?;
        }
        Ok(())
    }
}

#[derive(Clone, Copy)]
pub(super) enum Chunk {
    LongMonth,
    Month,
    NumberMonth,
    ZeroMonth,
    LongWeekday,
    Weekday,
    Day,
    SpaceDay,
    ZeroDay,
    YearDay,
    SpaceYearDay,
    Hour,
    Hour12,
    ZeroHour12,
    Minute,
    ZeroMinute,
    Second,
    ZeroSecond,
    LongYear,
    Year,
    UpperNoon,
    LowerNoon,
    ZoneName,
    Offset,
    Fraction { trims: bool },
}

/// Longer ones first where one begins another.
const CHUNKS: [(&str, Chunk); 33] = [
    ("January", Chunk::LongMonth),
    ("Jan", Chunk::Month),
    ("Monday", Chunk::LongWeekday),
    ("Mon", Chunk::Weekday),
    ("MST", Chunk::ZoneName),
    ("002", Chunk::YearDay),
    ("01", Chunk::ZeroMonth),
    ("02", Chunk::ZeroDay),
    ("03", Chunk::ZeroHour12),
    ("04", Chunk::ZeroMinute),
    ("05", Chunk::ZeroSecond),
    ("06", Chunk::Year),
    ("15", Chunk::Hour),
    ("1", Chunk::NumberMonth),
    ("2006", Chunk::LongYear),
    ("2", Chunk::Day),
    ("__2", Chunk::SpaceYearDay),
    ("_2", Chunk::SpaceDay),
    ("3", Chunk::Hour12),
    ("4", Chunk::Minute),
    ("5", Chunk::Second),
    ("PM", Chunk::UpperNoon),
    ("pm", Chunk::LowerNoon),
    ("-070000", Chunk::Offset),
    ("-07:00:00", Chunk::Offset),
    ("-0700", Chunk::Offset),
    ("-07:00", Chunk::Offset),
    ("-07", Chunk::Offset),
    ("Z070000", Chunk::Offset),
    ("Z07:00:00", Chunk::Offset),
    ("Z0700", Chunk::Offset),
    ("Z07:00", Chunk::Offset),
    ("Z07", Chunk::Offset),
];

/// The chunk that a layout begins with, and its length.
pub(super) fn chunk(rest: &str) -> Option<(Chunk, usize)> {
    if let Some(tail) = rest.strip_prefix(['.', ',']) {
        for digit in ['0', '9'] {
            let digits = tail.len() - tail.trim_start_matches(digit).len();
            let ends = !tail.get(digits..).is_some_and(|t| t.starts_with(|c: char| c.is_ascii_digit()));
            if digits > 0 && ends {
                return Some((Chunk::Fraction { trims: digit == '9' }, digits + 1));
            }
        }
        return None;
    }
    // `_2006` is an underscore and a year; `Jane` is no month.
    if rest.starts_with("_2006") {
        return None;
    }
    let (text, chunk) = CHUNKS.iter().find(|(text, _)| rest.starts_with(text))?;
    let lower = |at: usize| rest.get(at..).is_some_and(|r| r.starts_with(|c: char| c.is_ascii_lowercase()));
    if matches!(chunk, Chunk::Month | Chunk::Weekday) && lower(3) {
        return None;
    }
    Some((*chunk, text.len()))
}

/// A duration as Go's `String` writes it: `1h2m3.5s`, `1.5ms`, `0s`.
pub(super) fn duration(nanos: i64) -> String {
    let (sign, size) = (if nanos < 0 { "-" } else { "" }, nanos.unsigned_abs());
    let fraction = |whole: u64, part: u64, digits: usize| {
        let text = format!("{whole}.{part:0digits$}");
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    };
    match size {
        0 => "0s".to_owned(),
        1..1_000 => format!("{sign}{size}ns"),
        1_000..1_000_000 => format!("{sign}{}µs", fraction(size / 1_000, size % 1_000, 3)),
        1_000_000..1_000_000_000 => format!("{sign}{}ms", fraction(size / 1_000_000, size % 1_000_000, 6)),
        _ => {
            let (seconds, rest) = (size / 1_000_000_000, size % 1_000_000_000);
            let mut out = sign.to_owned();
            if seconds >= 3600 {
                out += &format!("{}h", seconds / 3600);
            }
            if seconds >= 60 {
                out += &format!("{}m", seconds / 60 % 60);
            }
            out + &fraction(seconds % 60, rest, 9) + "s"
        }
    }
}
