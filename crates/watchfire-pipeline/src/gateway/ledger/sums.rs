//! What is added up: exchanges, tokens and money, by day, month and ever, for each model, upstream, camera and caller. Plain sums in
//! memory with their bounds; where they are kept is not known here.

use std::collections::{BTreeMap, HashMap};

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::super::names::OTHER;
use super::super::prices::Pico;

/// Keys of one period; what comes beyond is added to a key of which everything is `other`.
pub(super) const KEYS_MAX: usize = 500;
/// Days that are kept by day.
pub(super) const DAYS_MAX: usize = 62;
/// Months that are kept by month.
pub(super) const MONTHS_MAX: usize = 36;

/// Whose exchange it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub(in crate::gateway) struct Key {
    #[serde(rename = "m")]
    pub(in crate::gateway) model: String,
    #[serde(rename = "u")]
    pub(in crate::gateway) upstream: String,
    #[serde(rename = "c")]
    pub(in crate::gateway) camera: String,
    #[serde(rename = "w")]
    pub(in crate::gateway) caller: String,
}
impl Key {
    fn other() -> Key {
        Key { model: OTHER.to_owned(), upstream: OTHER.to_owned(), camera: OTHER.to_owned(), caller: OTHER.to_owned() }
    }
}

/// What exchanges came to. Tokens that an upstream told and tokens that we counted ourselves are never mixed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(in crate::gateway) struct Sums {
    /// Exchanges that ran, failed and partial ones included.
    #[serde(rename = "n")]
    pub(in crate::gateway) exchanges: u64,
    /// Those that were answered with an error or not at all.
    #[serde(rename = "f")]
    pub(in crate::gateway) failed: u64,
    /// Those that broke off on the way.
    #[serde(rename = "p")]
    pub(in crate::gateway) partial: u64,
    /// Tokens of prompts, as told.
    #[serde(rename = "i")]
    pub(in crate::gateway) input: u64,
    /// Tokens of answers, as told.
    #[serde(rename = "o")]
    pub(in crate::gateway) output: u64,
    /// Tokens of prompts, as we counted where nothing was told.
    #[serde(rename = "ei")]
    pub(in crate::gateway) estimated_input: u64,
    /// The same of answers.
    #[serde(rename = "eo")]
    pub(in crate::gateway) estimated_output: u64,
    /// What it cost.
    #[serde(rename = "c")]
    pub(in crate::gateway) cost: Pico,
    /// How long upstreams worked on it.
    #[serde(rename = "t")]
    pub(in crate::gateway) millis: u64,
}
impl Sums {
    pub(in crate::gateway) fn add(&mut self, more: &Sums) {
        let add = |a: &mut u64, b: u64| *a = a.saturating_add(b);
        add(&mut self.exchanges, more.exchanges);
        add(&mut self.failed, more.failed);
        add(&mut self.partial, more.partial);
        add(&mut self.input, more.input);
        add(&mut self.output, more.output);
        add(&mut self.estimated_input, more.estimated_input);
        add(&mut self.estimated_output, more.estimated_output);
        add(&mut self.cost, more.cost);
        add(&mut self.millis, more.millis);
    }
}

/// A span of time that has sums of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(in crate::gateway) enum Period {
    /// All time.
    Ever,
    /// A month: its year and number.
    Month(i16, i8),
    /// A day.
    Day(Date),
}
impl Period {
    pub(super) fn of_day(date: Date) -> [Period; 3] {
        [Period::Day(date), Period::month(date), Period::Ever]
    }
    pub(in crate::gateway) fn month(date: Date) -> Period {
        Period::Month(date.year(), date.month())
    }
}

/// The sums of one period.
pub(in crate::gateway) type Rows = HashMap<Key, Sums>;

/// All sums.
#[derive(Default)]
pub(in crate::gateway) struct Books(pub(super) BTreeMap<Period, Rows>);

impl Books {
    /// Adds what an exchange came to; gives the keys under which it was added.
    pub(super) fn add(&mut self, date: Date, key: &Key, sums: &Sums) -> [(Period, Key); 3] {
        Period::of_day(date).map(|period| {
            let rows = self.0.entry(period).or_default();
            let key = if rows.len() >= KEYS_MAX && !rows.contains_key(key) { Key::other() } else { key.clone() };
            rows.entry(key.clone()).or_default().add(sums);
            (period, key)
        })
    }

    /// The sums of a period.
    pub(in crate::gateway) fn rows(&self, period: Period) -> impl Iterator<Item = (&Key, &Sums)> {
        self.0.get(&period).into_iter().flatten()
    }

    /// All of a period together.
    pub(in crate::gateway) fn total(&self, period: Period) -> Sums {
        let mut total = Sums::default();
        self.rows(period).for_each(|(_, sums)| total.add(sums));
        total
    }

    /// The periods there are, ascending: all time, months, days.
    pub(in crate::gateway) fn periods(&self) -> impl DoubleEndedIterator<Item = Period> {
        self.0.keys().copied()
    }

    /// Forgets the oldest days and months above their bounds, and names them.
    pub(super) fn forget(&mut self) -> Vec<(Period, Key)> {
        let (mut days, mut months) = (0, 0);
        let too_old = move |period: &Period| match period {
            Period::Ever => false,
            Period::Day(_) => {
                days += 1;
                days > DAYS_MAX
            }
            Period::Month(..) => {
                months += 1;
                months > MONTHS_MAX
            }
        };
        let old: Vec<Period> = self.0.keys().rev().copied().filter(too_old).collect();
        let mut gone = Vec::new();
        for period in old {
            for key in self.0.remove(&period).unwrap_or_default().into_keys() {
                gone.push((period, key));
            }
        }
        gone
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn key(n: usize) -> Key {
        Key { model: format!("m{n}"), upstream: "u".into(), camera: "c".into(), caller: "w".into() }
    }

    #[test]
    fn keys_and_periods_are_bounded_and_nothing_is_lost() {
        let mut books = Books::default();
        let one = Sums { exchanges: 1, input: 2, ..Sums::default() };
        for n in 0..KEYS_MAX + 50 {
            books.add(date(2026, 1, 1), &key(n), &one);
        }
        assert_eq!(books.rows(Period::Ever).count(), KEYS_MAX + 1);
        assert_eq!(books.total(Period::Ever).exchanges as usize, KEYS_MAX + 50);
        let mut day = date(2026, 1, 2);
        for _ in 0..100 {
            books.add(day, &key(1), &one);
            day = day.tomorrow().unwrap();
        }
        let gone = books.forget();
        assert!(gone.len() > KEYS_MAX && gone.iter().all(|(period, _)| matches!(period, Period::Day(_))));
        assert_eq!(books.periods().filter(|p| matches!(p, Period::Day(_))).count(), DAYS_MAX);
        assert_eq!(books.total(Period::Ever).exchanges as usize, KEYS_MAX + 150);
        assert_eq!(books.total(Period::Month(2026, 1)).exchanges as usize, KEYS_MAX + 50 + 30);
    }
}
