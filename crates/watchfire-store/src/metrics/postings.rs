//! Selection by label: which series satisfy all matchers. It works on any `Index`, in memory or in a segment,
//! and knows neither samples nor times.

use hashbrown::HashSet;
use watchfire_model::matcher::Matcher;
use watchfire_model::order::Order as _;

/// Is shown a value and a way to its series.
pub(crate) type EachValue<'a> = dyn FnMut(&str, &mut dyn FnMut() -> Vec<u32>) + 'a;

/// An inverted index: from label pairs to ascending lists of series numbers.
pub(crate) trait Index {
    /// All series, ascending.
    fn all(&self) -> Vec<u32>;
    /// The series with a label pair, ascending.
    fn postings(&self, name: &str, value: &str) -> Vec<u32>;
    /// How many values a label has.
    fn value_count(&self, name: &str) -> usize;
    /// Shows every value of a label; `list` gives its series on demand.
    fn each_value(&self, name: &str, each: &mut EachValue<'_>);
    /// The value of a label of one series, or the empty text.
    fn label(&self, series: u32, name: &str) -> &str;
}

/// The series that satisfy all matchers, ascending.
pub(crate) fn select(index: &dyn Index, matchers: &[Matcher]) -> Vec<u32> {
    // Matchers with a known value set are exact and cheap: they come first, the smallest list first.
    let mut lists: Vec<Vec<u32>> = Vec::new();
    let mut rest: Vec<&Matcher> = Vec::new();
    for matcher in matchers {
        match matcher.value_set() {
            Some(values) if !matcher.matches_empty() => lists.push(union(values.iter().map(|v| index.postings(&matcher.name, v)))),
            _ => rest.push(matcher),
        }
    }
    lists.order_by_key(Vec::len);
    let mut candidates = lists.into_iter().reduce(|a, b| intersect(&a, &b));
    rest.order_by_key(|m| m.matches_empty());
    for matcher in rest {
        candidates = Some(match candidates {
            Some(candidates) if candidates.len() <= index.value_count(&matcher.name).max(64) => {
                candidates.into_iter().filter(|series| matcher.matches_value(index.label(*series, &matcher.name))).collect()
            }
            candidates => {
                let inverted = matcher.matches_empty();
                let hits = matching_values(index, matcher, inverted);
                match candidates {
                    None if inverted => subtract(&index.all(), &hits),
                    None => hits,
                    Some(candidates) if inverted => subtract(&candidates, &hits),
                    Some(candidates) => intersect(&candidates, &hits),
                }
            }
        });
        if candidates.as_ref().is_some_and(Vec::is_empty) {
            break;
        }
    }
    candidates.unwrap_or_else(|| index.all())
}

/// The series whose value of the matcher's label matches (or, `inverted`, does not match).
fn matching_values(index: &dyn Index, matcher: &Matcher, inverted: bool) -> Vec<u32> {
    let mut lists = Vec::new();
    index.each_value(&matcher.name, &mut |value, list| {
        if matcher.matches_value(value) != inverted {
            lists.push(list());
        }
    });
    union(lists.into_iter())
}

/// Joins ascending lists.
pub(crate) fn union(mut lists: impl Iterator<Item = Vec<u32>>) -> Vec<u32> {
    let Some(mut out) = lists.next() else { return Vec::new() };
    let mut joined = false;
    for list in lists {
        out.extend_from_slice(&list);
        joined = true;
    }
    if joined {
        out.sort_unstable();
        out.dedup();
    }
    out
}

fn intersect(a: &[u32], b: &[u32]) -> Vec<u32> {
    let (small, large) = if a.len() <= b.len() { (a, b) } else { (b, a) };
    if large.len() / 16 > small.len() {
        return small.iter().copied().filter(|x| large.binary_search(x).is_ok()).collect();
    }
    let mut out = Vec::with_capacity(small.len());
    let mut at = 0;
    for x in small {
        while at < large.len() && large[at] < *x {
            at += 1;
        }
        if large.get(at) == Some(x) {
            out.push(*x);
        }
    }
    out
}

fn subtract(a: &[u32], b: &[u32]) -> Vec<u32> {
    let mut out = Vec::with_capacity(a.len());
    let mut at = 0;
    for x in a {
        while at < b.len() && b[at] < *x {
            at += 1;
        }
        if b.get(at) != Some(x) {
            out.push(*x);
        }
    }
    out
}

/// Adds, in no order, the values that a label has among the chosen series (`None`: among all).
pub(crate) fn values(index: &dyn Index, name: &str, chosen: Option<&[u32]>, out: &mut HashSet<String>) {
    match chosen {
        Some(chosen) if chosen.len() <= index.value_count(name).max(64) => {
            for series in chosen {
                add(index.label(*series, name), out);
            }
        }
        _ => index.each_value(name, &mut |value, list| {
            if !out.contains(value) && chosen.is_none_or(|chosen| !intersect(chosen, &list()).is_empty()) {
                out.insert(value.to_owned());
            }
        }),
    }
}

fn add(value: &str, out: &mut HashSet<String>) {
    if !value.is_empty() && !out.contains(value) {
        out.insert(value.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn list_operations_equal_sets(a: BTreeSet<u8>, b: BTreeSet<u8>) {
            let list = |s: &BTreeSet<u8>| s.iter().map(|x| u32::from(*x)).collect::<Vec<_>>();
            let (la, lb) = (list(&a), list(&b));
            prop_assert_eq!(intersect(&la, &lb), list(&(&a & &b)));
            prop_assert_eq!(subtract(&la, &lb), list(&(&a - &b)));
            prop_assert_eq!(union([la, lb].into_iter()), list(&(&a | &b)));
        }
    }
}
