//! A bucket for every stretch of time: of one length, or of the calendar. Empty ones between others are there, too.

use std::collections::BTreeMap;

use jiff::tz::{AmbiguousOffset, Offset, TimeZone};
use jiff::{Unit, Zoned};
use serde_json::{Map, Value, json};
use watchfire_model::logs::Nanos;
use watchfire_model::order::Order as _;

use super::super::document::{Document, TIME};
use super::super::error::SearchError;
use super::super::filter::Context;
use super::super::{date_patterns, dates};
use super::{Aggregation, Answer, Bucket, fail, too_many_buckets};
use crate::logql::units;

#[derive(Clone, Copy, Debug)]
enum Interval {
    /// In milliseconds.
    Fixed(i64),
    Calendar(Unit),
    /// Three months.
    Quarter,
}

/// `date_histogram`
#[derive(Clone, Debug)]
pub(super) struct DateHistogram {
    field: String,
    interval: Interval,
    zone: TimeZone,
    /// In milliseconds.
    offset: i64,
    least: u64,
    /// Buckets are there from the one of the first moment to that of the second, also without documents.
    extended: Option<(i64, i64)>,
    /// The first and the last bucket that documents may be in.
    limits: (i64, i64),
    keyed: bool,
    descending: bool,
    by_count: bool,
    missing: Option<i64>,
    /// How moments are written, where that is said.
    format: Option<String>,
}

impl DateHistogram {
    pub(super) fn read(body: &Map<String, Value>, context: &Context) -> Result<DateHistogram, SearchError> {
        let text = |key: &str| body.get(key).and_then(Value::as_str);
        let Some(field) = text("field") else { return fail("[date_histogram] requires a [field]") };
        let interval = match (text("calendar_interval"), text("fixed_interval"), text("interval")) {
            (Some(calendar), ..) => match calendar_interval(calendar) {
                Some(interval) => interval,
                None => return fail(format!("The supplied interval [{calendar}] could not be parsed as a calendar interval.")),
            },
            (None, Some(fixed), _) => fixed_interval(fixed)?,
            (None, None, Some(either)) => calendar_interval(either).map_or_else(|| fixed_interval(either), Ok)?,
            _ => return fail("Invalid interval specified, must be non-null and non-empty: [calendar_interval] or [fixed_interval]"),
        };
        let zone = match text("time_zone") {
            Some(name) => match dates::zone(name) {
                Some(zone) => zone,
                None => return fail(format!("unknown time-zone ID: {name}")),
            },
            None => TimeZone::UTC,
        };
        let offset = match text("offset") {
            Some(offset) => match units::duration_nanos(offset) {
                Some(nanos) => nanos / 1_000_000,
                None => return fail(format!("failed to parse [offset] with value [{offset}]")),
            },
            None => body.get("offset").and_then(Value::as_i64).unwrap_or(0),
        };
        let date = |value: &Value| -> Option<i64> {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            dates::period(&text, context.now, &zone).map(|p| p.start.millis())
        };
        let extended = body.get("extended_bounds").and_then(|b| Some((date(b.get("min")?)?, date(b.get("max")?)?)));
        let hard = body.get("hard_bounds").map_or((None, None), |b| (b.get("min").and_then(date), b.get("max").and_then(date)));
        let (by_count, direction) = match body.get("order").and_then(Value::as_object).and_then(|o| o.iter().next()) {
            Some((name, direction)) => (name == "_count", direction.as_str()),
            None => (false, None),
        };
        if let Some(problem) = text("format").and_then(date_patterns::problem) {
            return fail(problem);
        }
        let mut histogram = DateHistogram {
            field: field.to_owned(),
            interval,
            offset,
            least: body.get("min_doc_count").and_then(Value::as_u64).unwrap_or(0),
            extended,
            keyed: body.get("keyed").and_then(Value::as_bool).unwrap_or(false),
            descending: direction == Some("desc"),
            by_count,
            missing: body.get("missing").and_then(date),
            format: text("format").map(str::to_owned),
            limits: (i64::MIN, i64::MAX),
            zone,
        };
        histogram.limits = (hard.0.map_or(i64::MIN, |from| histogram.floor(from)), hard.1.map_or(i64::MAX, |to| histogram.floor(to)));
        Ok(histogram)
    }

    /// Whether it is about the time of entries.
    pub(super) fn is_of_time(&self) -> bool {
        self.field == TIME
    }

    /// Whether empty buckets are there, too.
    pub(super) fn has_all(&self) -> bool {
        self.least == 0
    }

    /// The beginnings of the buckets that a document belongs to, in milliseconds.
    pub(super) fn keys(&self, document: &Document<'_>) -> Vec<i64> {
        let mut keys = Vec::new();
        document.each_value(&self.field, &mut |value| {
            if let Some(time) = value.time() {
                let key = self.floor(time.millis());
                if !keys.contains(&key) {
                    keys.push(key);
                }
            }
        });
        let (from, to) = self.limits;
        if keys.is_empty() {
            keys.extend(self.missing.map(|time| self.floor(time)));
        }
        keys.retain(|key| (from..=to).contains(key));
        keys
    }

    /// The beginning of the bucket of a moment.
    fn floor(&self, millis: i64) -> i64 {
        let shifted = millis.saturating_sub(self.offset);
        let start = match self.interval {
            Interval::Fixed(length) => self.floor_fixed(shifted, length),
            Interval::Calendar(unit) => dates::floor(&self.zoned(shifted), unit).map_or(shifted, |start| dates::in_nanos(&start).millis()),
            Interval::Quarter => {
                let month = dates::floor(&self.zoned(shifted), Unit::Month);
                let back = month.as_ref().map_or(0, |m| i64::from((m.month() - 1) % 3));
                month.and_then(|m| dates::add(&m, Unit::Month, -back)).map_or(shifted, |start| dates::in_nanos(&start).millis())
            }
        };
        start.saturating_add(self.offset)
    }

    /// The beginning of the bucket behind another one.
    fn next(&self, key: i64) -> Option<i64> {
        let start = key.saturating_sub(self.offset);
        let next = match self.interval {
            Interval::Fixed(length) => self.next_fixed(start, length)?,
            Interval::Calendar(unit) => dates::in_nanos(&dates::add(&self.zoned(start), unit, 1)?).millis(),
            Interval::Quarter => dates::in_nanos(&dates::add(&self.zoned(start), Unit::Month, 3)?).millis(),
        };
        (next > start).then_some(next.saturating_add(self.offset))
    }

    /// The last moment, not behind this one, at which the clocks of the zone show a multiple of a length; the moment at which they were put
    /// forward where they skipped it.
    fn floor_fixed(&self, millis: i64, length: i64) -> i64 {
        let wall = |offset: Offset| i64::from(offset.seconds()) * 1_000;
        let shown = millis.saturating_add(wall(self.zoned(millis).offset()));
        let floored = shown.div_euclid(length).saturating_mul(length);
        let plain = dates::zoned(Nanos::from_millis(floored), &TimeZone::UTC).datetime();
        match self.zone.to_ambiguous_zoned(plain).offset() {
            AmbiguousOffset::Unambiguous { offset } => floored.saturating_sub(wall(offset)),
            AmbiguousOffset::Fold { before, after } => {
                let second = floored.saturating_sub(wall(after));
                if second <= millis { second } else { floored.saturating_sub(wall(before)) }
            }
            AmbiguousOffset::Gap { .. } => {
                // The clocks were put forward between the multiple and the moment.
                let changes = self.zone.preceding(self.zoned(millis.saturating_add(1)).timestamp());
                changes.map(|change| change.timestamp().as_millisecond()).find(|at| *at <= millis).unwrap_or(millis)
            }
        }
    }

    /// The beginning of the next bucket of a fixed length.
    fn next_fixed(&self, start: i64, length: i64) -> Option<i64> {
        if self.zone.to_fixed_offset().is_ok() {
            return start.checked_add(length);
        }
        // A day on which clocks are put back is longer than its hours.
        let mut far = start.checked_add(length)?;
        while self.floor_fixed(far, length) <= start {
            far = far.checked_add(length)?;
        }
        // Where they are put forward, another bucket may begin in between.
        let mut next = self.floor_fixed(far, length);
        loop {
            let before = self.floor_fixed(next.checked_sub(1)?, length);
            if before <= start {
                return Some(next);
            }
            next = before;
        }
    }

    fn zoned(&self, millis: i64) -> Zoned {
        dates::zoned(Nanos::from_millis(millis), &self.zone)
    }

    pub(super) fn finish(&self, aggregation: &Aggregation, known: BTreeMap<i64, Bucket<'_>>, answer: &mut Answer<'_>) -> Result<Value, SearchError> {
        let mut known: BTreeMap<i64, Option<Bucket<'_>>> = known.into_iter().map(|(key, bucket)| (key, Some(bucket))).collect();
        if self.least == 0 {
            self.fill(&mut known, answer.left())?;
        }
        let mut rows = Vec::with_capacity(known.len());
        for (key, bucket) in known {
            let bucket = match bucket {
                Some(bucket) if bucket.count < self.least => continue,
                Some(bucket) => bucket,
                None => Bucket::new(aggregation),
            };
            answer.bucket()?;
            let mut out = Map::new();
            let text = self.shown(key);
            out.insert("key_as_string".into(), text.clone().into());
            out.insert("key".into(), key.into());
            let count = bucket.count;
            bucket.write(&mut out, answer)?;
            rows.push((count, text, Value::Object(out)));
        }
        if self.by_count {
            rows.order_by_key(|(count, ..)| *count);
        }
        if self.descending {
            rows.reverse();
        }
        if self.keyed {
            let named: Map<String, Value> = rows.into_iter().map(|(_, text, out)| (text, out)).collect();
            return Ok(json!({ "buckets": named }));
        }
        Ok(json!({ "buckets": rows.into_iter().map(|(_, _, out)| out).collect::<Vec<_>>() }))
    }

    /// The moment that a text means: one in the format of the buckets, another date, or milliseconds.
    pub(super) fn moment(&self, text: &str, now: Nanos) -> Option<i64> {
        let iso = self.format.as_deref().and_then(|format| date_patterns::iso(text, format));
        dates::period(iso.as_deref().unwrap_or(text), now, &self.zone).map(|period| period.start.millis())
    }

    /// Whether it is said how moments are written.
    pub(super) fn has_format(&self) -> bool {
        self.format.is_some()
    }

    /// A moment as text, with the offset of the zone.
    pub(super) fn shown(&self, millis: i64) -> String {
        match self.format.as_deref() {
            Some("epoch_millis") => return millis.to_string(),
            Some("epoch_second") => return millis.div_euclid(1_000).to_string(),
            _ => {}
        }
        if let Some(text) = self.format.as_deref().and_then(|format| date_patterns::shown(&self.zoned(millis), format)) {
            return text;
        }
        if self.zone == TimeZone::UTC { dates::format(Nanos::from_millis(millis)) } else { self.zoned(millis).strftime("%Y-%m-%dT%H:%M:%S%.3f%:z").to_string() }
    }

    /// Puts empty buckets between the first and the last one, and up to the bounds; `most` is how many there may be.
    fn fill(&self, known: &mut BTreeMap<i64, Option<Bucket<'_>>>, most: usize) -> Result<(), SearchError> {
        let ends = known.first_key_value().zip(known.last_key_value()).map(|((first, _), (last, _))| (*first, *last));
        let (least, greatest) = self.limits;
        let bounds = self.extended.map(|(from, to)| (self.floor(from).max(least), self.floor(to).min(greatest)));
        let Some((first, last)) = (match (ends, bounds) {
            (Some((first, last)), Some((from, to))) => Some((first.min(from), last.max(to))),
            (ends, bounds) => ends.or(bounds),
        }) else {
            return Ok(());
        };
        let mut key = first;
        let mut count = 0;
        while key <= last {
            known.entry(key).or_insert(None);
            count += 1;
            if count > most {
                return too_many_buckets();
            }
            match self.next(key) {
                Some(next) => key = next,
                None => break,
            }
        }
        Ok(())
    }
}

fn calendar_interval(text: &str) -> Option<Interval> {
    Some(match text {
        "second" | "1s" => Interval::Calendar(Unit::Second),
        "minute" | "1m" => Interval::Calendar(Unit::Minute),
        "hour" | "1h" => Interval::Calendar(Unit::Hour),
        "day" | "1d" => Interval::Calendar(Unit::Day),
        "week" | "1w" => Interval::Calendar(Unit::Week),
        "month" | "1M" => Interval::Calendar(Unit::Month),
        "quarter" | "1q" => Interval::Quarter,
        "year" | "1y" => Interval::Calendar(Unit::Year),
        _ => return None,
    })
}

/// The milliseconds of a unit; of those of the calendar what they have on average.
pub(super) fn unit_millis(text: &str) -> Option<f64> {
    let seconds = match calendar_interval(text) {
        Some(Interval::Quarter) => 7_889_238.0,
        Some(Interval::Calendar(Unit::Year)) => 31_556_952.0,
        Some(Interval::Calendar(Unit::Month)) => 2_629_746.0,
        Some(Interval::Calendar(Unit::Week)) => 604_800.0,
        Some(Interval::Calendar(Unit::Day)) => 86_400.0,
        Some(Interval::Calendar(Unit::Hour)) => 3_600.0,
        Some(Interval::Calendar(Unit::Minute)) => 60.0,
        Some(_) => 1.0,
        None => units::duration_nanos(text).filter(|nanos| *nanos > 0)? as f64 / 1e9,
    };
    Some(seconds * 1e3)
}

fn fixed_interval(text: &str) -> Result<Interval, SearchError> {
    match units::duration_nanos(text).map(|nanos| nanos / 1_000_000) {
        Some(millis) if millis > 0 && !text.ends_with(['w', 'y']) => Ok(Interval::Fixed(millis)),
        _ => fail(format!("failed to parse setting [date_histogram.fixedInterval] with value [{text}] as a time value")),
    }
}
