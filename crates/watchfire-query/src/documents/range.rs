//! Ranges of values: numbers as numbers, dates as spans, addresses as addresses, everything else as text.

use std::net::IpAddr;

use super::dates::{self, Period};
use super::document::{Scalar, TIME};
use super::filter::Context;
use crate::logql::units;

/// One end of a range.
#[derive(Clone, Debug)]
pub struct Bound {
    /// As it was written.
    pub text: String,
    /// Whether the value itself belongs to the range.
    pub inclusive: bool,
    number: Option<f64>,
    period: Option<Period>,
    address: Option<IpAddr>,
}

impl Bound {
    /// Reads an end of a range.
    pub fn new(text: &str, inclusive: bool, context: &Context) -> Bound {
        Bound {
            text: text.to_owned(),
            inclusive,
            number: units::number(text.trim()),
            period: dates::period(text, context.now, &context.zone),
            address: text.trim().parse().ok(),
        }
    }

    /// Whether a time is above this as lower end. What was rounded is a span, and more than a span is more than its end.
    fn below_time(&self, time: i64) -> Option<bool> {
        let period = self.period?;
        Some(if self.inclusive { time >= period.start.0 } else { time >= period.end.0 })
    }
    /// Whether a time is below this as upper end.
    fn above_time(&self, time: i64) -> Option<bool> {
        let period = self.period?;
        Some(if self.inclusive { time < period.end.0 } else { time < period.start.0 })
    }
}

/// Values between two ends, each of which may be missing.
#[derive(Clone, Debug, Default)]
pub struct Range {
    /// The lower end.
    pub from: Option<Bound>,
    /// The upper end.
    pub to: Option<Bound>,
}

impl Range {
    /// Whether a value lies in it.
    pub fn has(&self, value: &Scalar<'_>) -> bool {
        self.from.as_ref().is_none_or(|bound| holds(value, bound, true)) && self.to.as_ref().is_none_or(|bound| holds(value, bound, false))
    }

    /// The ends as times, for the time of the entry; `None` where one is no date.
    pub fn times(&self) -> Option<(i64, i64)> {
        let from = match &self.from {
            Some(bound) => bound.period.map(|p| if bound.inclusive { p.start.0 } else { p.end.0 })?,
            None => i64::MIN,
        };
        let to = match &self.to {
            Some(bound) => bound.period.map(|p| if bound.inclusive { p.end.0 } else { p.start.0 })?,
            None => i64::MAX,
        };
        Some((from, to))
    }

    /// What is wrong with the range for a field, if anything.
    pub fn problem(&self, field: &str) -> Option<String> {
        let bounds = [&self.from, &self.to];
        let bad = bounds.into_iter().flatten().find(|bound| field == TIME && bound.period.is_none())?;
        Some(format!("failed to parse date field [{}]: neither a date nor date math", bad.text))
    }
}

fn holds(value: &Scalar<'_>, bound: &Bound, lower: bool) -> bool {
    let of_time = |time: i64| if lower { bound.below_time(time) } else { bound.above_time(time) };
    if let Scalar::Time(time) = value {
        return of_time(time.0).unwrap_or(false);
    }
    let ordered = |order: Option<std::cmp::Ordering>| {
        order.is_some_and(|order| match (lower, bound.inclusive) {
            (true, true) => order.is_ge(),
            (true, false) => order.is_gt(),
            (false, true) => order.is_le(),
            (false, false) => order.is_lt(),
        })
    };
    if let Some(limit) = bound.number {
        return match (value.number(), value.time()) {
            (Some(number), _) => ordered(number.partial_cmp(&limit)),
            // `2024` is a year where there are dates.
            (None, Some(time)) => of_time(time.0).unwrap_or(false),
            // Numbers and texts have no order between them.
            (None, None) => false,
        };
    }
    let text = value.text();
    if let Some(limit) = bound.address {
        return text.parse::<IpAddr>().is_ok_and(|address| address.is_ipv4() == limit.is_ipv4() && ordered(Some(address.cmp(&limit))));
    }
    if bound.period.is_some() {
        // What is no date is neither before nor behind one.
        return value.time().is_some_and(|time| of_time(time.0).unwrap_or(false));
    }
    ordered(Some((*text).cmp(bound.text.as_str())))
}
