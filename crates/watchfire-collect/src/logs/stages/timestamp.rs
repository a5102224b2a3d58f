//! The stage that takes a line's time from what is extracted.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use watchfire_model::labels::Labels;
use watchfire_model::logs::Nanos;
use watchfire_template::GoTime;

use super::{Step, Surroundings, Verdict};
use crate::logs::Entry;

/// Streams whose last time is remembered, for lines whose own cannot be read.
const STREAMS_MAX: usize = 10_000;

/// How a time is written.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Format {
    /// So many of these units since 1970, with a fraction perhaps.
    Unix(i64),
    Layout(String),
    /// As Elastic's tools name it.
    Iso8601,
}

/// How times may be written; the first that fits counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Formats {
    all: Vec<Format>,
    zone: String,
}
impl Formats {
    /// Formats by name or as layouts of Go, and the zone of times that tell none. The error is a sentence.
    pub fn new(texts: &[String], zone: &str) -> Result<Formats, String> {
        GoTime::from_millis(0).within(zone)?;
        Ok(Formats { all: texts.iter().map(|text| named(text)).collect(), zone: zone.to_owned() })
    }
    /// Reads a time.
    pub fn read(&self, text: &str) -> Option<Nanos> {
        self.all.iter().find_map(|format| match format {
            Format::Unix(unit) => unix(text, *unit),
            Format::Layout(layout) => GoTime::parse(layout, text, &self.zone).ok().and_then(|time| nanos(&time)),
            Format::Iso8601 => ["2006-01-02T15:04:05Z07:00", "2006-01-02T15:04:05Z0700", "2006-01-02T15:04:05", "2006-01-02 15:04:05"]
                .iter()
                .find_map(|layout| GoTime::parse(layout, text, &self.zone).ok().and_then(|time| nanos(&time))),
        })
    }
}

fn nanos(time: &GoTime) -> Option<Nanos> {
    time.part("UnixNano").map(Nanos)
}

fn unix(text: &str, unit: i64) -> Option<Nanos> {
    let (whole, fraction) = text.trim().split_once('.').unwrap_or((text.trim(), ""));
    let whole: i64 = whole.parse().ok()?;
    let mut nanos = whole.checked_mul(unit)?;
    let mut place = unit / 10;
    for digit in fraction.chars() {
        nanos = nanos.checked_add(i64::from(digit.to_digit(10)?) * place)?;
        place /= 10;
    }
    Some(Nanos(nanos))
}

fn named(text: &str) -> Format {
    Format::Layout(
        match text {
            "Unix" | "UNIX" => return Format::Unix(1_000_000_000),
            "UnixMs" | "UNIX_MS" => return Format::Unix(1_000_000),
            "UnixUs" => return Format::Unix(1_000),
            "UnixNs" => return Format::Unix(1),
            "ISO8601" => return Format::Iso8601,
            "ANSIC" => "Mon Jan _2 15:04:05 2006",
            "UnixDate" => "Mon Jan _2 15:04:05 MST 2006",
            "RubyDate" => "Mon Jan 02 15:04:05 -0700 2006",
            "RFC822" => "02 Jan 06 15:04 MST",
            "RFC822Z" => "02 Jan 06 15:04 -0700",
            "RFC850" => "Monday, 02-Jan-06 15:04:05 MST",
            "RFC1123" => "Mon, 02 Jan 2006 15:04:05 MST",
            "RFC1123Z" => "Mon, 02 Jan 2006 15:04:05 -0700",
            "RFC3339" => "2006-01-02T15:04:05Z07:00",
            "RFC3339Nano" => "2006-01-02T15:04:05.999999999Z07:00",
            layout => layout,
        }
        .to_owned(),
    )
}

/// What becomes of a line whose time cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    /// It gets the last time of its stream and a nanosecond.
    Fudge,
    /// It keeps the time at which it was read.
    Skip,
}

/// Takes the time from what is extracted.
#[derive(Debug)]
pub struct Time {
    /// The extracted value.
    pub source: String,
    /// How it is written.
    pub formats: Formats,
    /// What becomes of a line whose time cannot be read.
    pub on_failure: OnFailure,
    last: Mutex<HashMap<Labels, Nanos>>,
}
impl Time {
    /// Such a stage.
    pub fn new(source: &str, formats: Formats, on_failure: OnFailure) -> Time {
        Time { source: source.to_owned(), formats, on_failure, last: Mutex::default() }
    }
}
impl Step for Time {
    fn name(&self) -> &'static str {
        "timestamp"
    }
    fn apply(&self, entry: &mut Entry, around: &Surroundings<'_>) -> Verdict {
        let given = entry.text(&self.source);
        let read = given.as_deref().and_then(|text| self.formats.read(text));
        if given.is_some() && read.is_none() {
            around.figures.stage_failed("timestamp");
        }
        if let Some(time) = read {
            entry.time = time;
        }
        if self.on_failure == OnFailure::Fudge {
            let stream = Labels::from_pairs(&entry.labels);
            let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            if last.len() >= STREAMS_MAX && !last.contains_key(&stream) {
                last.clear();
            }
            if read.is_none()
                && let Some(last) = last.get(&stream)
            {
                entry.time = Nanos(last.0.saturating_add(1));
            }
            last.insert(stream, entry.time);
        }
        Verdict::Keep
    }
}
