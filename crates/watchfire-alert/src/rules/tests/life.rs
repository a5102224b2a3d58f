//! Alerts against an oracle: a thousand histories, in each of which the oracle looks at the whole past at every step, while the
//! product remembers.

use std::collections::BTreeMap;

use watchfire_model::labels;
use watchfire_model::labels::Labels;

use super::MINUTE;
use crate::rules::{AlertBook, AlertState, RESOLVED_KEPT_MS, Raised, SampleValue, Terms};

/// A small generator of numbers: the same seed gives the same history.
struct Random(u64);
impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % n
    }
}

/// When evaluations took place, and at which of them a condition held.
type History = Vec<(i64, bool)>;

/// One stretch of life as the oracle sees it.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    began: i64,
    fired: Option<i64>,
    ended: Option<i64>,
}

/// Every stretch of the past, by the words of the documentation: an alert is pending from the first evaluation at which its
/// condition holds, fires when it held for `for`, and ends at the first evaluation at which it does not hold, or `keep_firing_for`
/// after the first of those in a row.
fn stretches(history: &[(i64, bool)], terms: Terms) -> Vec<Stretch> {
    let mut all: Vec<Stretch> = Vec::new();
    for (i, (now, holds)) in history.iter().enumerate() {
        let running = all.last().copied().filter(|s| s.ended.is_none());
        match (running, holds) {
            (None, true) => {
                let fired = (terms.for_ms <= 0).then_some(*now);
                all.push(Stretch { began: *now, fired, ended: None });
            }
            (None, false) => {}
            (Some(stretch), true) => {
                if stretch.fired.is_none() && now - stretch.began >= terms.for_ms {
                    all.last_mut().unwrap().fired = Some(*now);
                }
            }
            (Some(stretch), false) => {
                let in_a_row = history[..=i].iter().rev().take_while(|(_, holds)| !holds).last().unwrap().0;
                let kept = stretch.fired.is_some() && now - in_a_row < terms.keep_firing_for_ms;
                if !kept {
                    all.last_mut().unwrap().ended = Some(*now);
                }
            }
        }
    }
    all
}

/// What must be told at every step: a firing alert at once and then whenever the last word is older than the delay; an end at
/// once and then as often, for a quarter of an hour. `true` is an end.
fn told(history: &[(i64, bool)], terms: Terms, resend_ms: i64) -> Vec<Option<bool>> {
    let mut last: Option<(i64, i64)> = None;
    let step = |i: usize| {
        let now = history[i].0;
        let Stretch { began, fired: Some(_), ended } = stretches(&history[..=i], terms).last().copied()? else { return None };
        let told_at = last.filter(|(of, _)| *of == began).map(|(_, at)| at);
        let due = match (told_at, ended) {
            (None, _) => true,
            (Some(at), Some(end)) if end > at => true,
            (Some(at), _) => at + resend_ms < now,
        };
        let remembered = ended.is_none_or(|end| now - end <= RESOLVED_KEPT_MS);
        (due && remembered).then(|| {
            last = Some((began, now));
            ended.is_some()
        })
    };
    (0..history.len()).map(step).collect()
}

fn raised(labels: &Labels) -> Raised {
    Raised { labels: labels.clone(), annotations: Labels::empty(), value: SampleValue::Float(1.0) }
}

#[test]
fn r59_a_thousand_histories_go_as_the_oracle_says() {
    let mut seen = BTreeMap::new();
    for seed in 1..=1_000u64 {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let terms = Terms { for_ms: random.below(6) as i64 * MINUTE, keep_firing_for_ms: random.below(4) as i64 * MINUTE, limit: 0 };
        let resend_ms = [MINUTE, 2 * MINUTE, 30_000][random.below(3) as usize];
        let alerts: Vec<Labels> = (0..=random.below(3)).map(|i| labels!("alertname" => "A", "i" => &i.to_string())).collect();
        let steadiness = 2 + random.below(12);
        let (mut book, mut now) = (AlertBook::default(), 0);
        let mut histories: Vec<History> = vec![Vec::new(); alerts.len()];
        let mut words: Vec<Vec<Option<bool>>> = vec![Vec::new(); alerts.len()];
        let mut holds = vec![false; alerts.len()];
        for _ in 0..60 {
            // Now and then evaluations are left out.
            now += MINUTE * if random.below(10) == 0 { 1 + random.below(9) as i64 } else { 1 };
            for (i, h) in holds.iter_mut().enumerate() {
                *h ^= random.below(steadiness) == 0;
                histories[i].push((now, *h));
            }
            let result = alerts.iter().zip(&holds).filter(|(_, h)| **h).map(|(a, _)| raised(a)).collect();
            let active = book.step(now, result, terms).unwrap();
            let due = book.due(now, resend_ms, MINUTE);
            for (i, (alert, history)) in alerts.iter().zip(&histories).enumerate() {
                let expected = stretches(history, terms).last().copied().filter(|s| s.ended.is_none());
                let state = expected.map(|s| if s.fired.is_some() { AlertState::Firing } else { AlertState::Pending });
                let found = active.iter().find(|(labels, _, _)| labels == alert).map(|(_, state, since)| (*state, *since));
                assert_eq!(found, state.zip(expected.map(|s| s.began)), "seed {seed}, {alert}, {terms:?}, {history:?}");
                let word = due.iter().find(|(a, _)| a.labels == *alert).map(|(a, _)| a.resolved_at.is_some());
                words[i].push(word);
                *seen.entry((state, word)).or_insert(0) += 1;
            }
        }
        for (history, words) in histories.iter().zip(&words) {
            assert_eq!(*words, told(history, terms, resend_ms), "seed {seed}, {terms:?}, {history:?}");
        }
    }
    for needed in
        [(None, Some(true)), (None, None), (Some(AlertState::Pending), None), (Some(AlertState::Firing), Some(false)), (Some(AlertState::Firing), None)]
    {
        assert!(seen.get(&needed).is_some_and(|n| *n > 100), "{needed:?} hardly happened: {seen:?}");
    }
}

#[test]
fn a_word_is_good_for_four_intervals() {
    let check = |resend_ms: i64, interval_ms: i64, expected: i64| {
        let mut book = AlertBook::default();
        book.step(0, vec![raised(&labels!("a" => "b"))], Terms::default()).unwrap();
        assert_eq!(book.due(0, resend_ms, interval_ms)[0].1, expected);
    };
    check(MINUTE, 15_000, 4 * MINUTE);
    check(MINUTE, 5 * MINUTE, 20 * MINUTE);
}

#[test]
fn too_many_alerts_are_none() {
    let mut book = AlertBook::default();
    let many = |n: usize| (0..n).map(|i| raised(&labels!("i" => &i.to_string()))).collect::<Vec<_>>();
    let terms = Terms { limit: 2, ..Terms::default() };
    assert_eq!(book.step(0, many(2), terms).unwrap().len(), 2);
    assert_eq!(book.step(1, many(3), terms).unwrap_err().to_string(), "exceeded limit of 2 with 3 alerts");
    assert_eq!(book.active().count(), 0);
}
