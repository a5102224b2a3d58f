//! Series as tests write them: `metric{label="x"}` with `1 2+3x4 7x2 _ _x3 stale NaN {{schema:0 count:1}}`. `a+bxn` is a, a+b, …
//! a+nb; `axn` is a, n+1 times; `_` is no sample. Not part of the query language: nothing that is asked holds this.

mod literal;

use watchfire_model::labels::Labels;
use watchfire_model::matcher::MatchOp;

pub use literal::{Literal, detailed};

use super::parse_selector;

/// At most so many places may one text hold.
pub const PLACES_MAX: usize = 1_000_000;

/// One place in a series.
#[derive(Clone, Debug)]
pub enum Item {
    /// No sample.
    Nothing,
    /// The staleness marker.
    Marker,
    /// A number.
    Float(f64),
    /// A native histogram.
    Histogram(Literal),
}

/// The labels of a series: `{}`, a name, or a name and labels.
pub fn series_labels(text: &str) -> Result<Labels, String> {
    let text = text.trim();
    if text == "{}" {
        return Ok(Labels::empty());
    }
    let matchers = parse_selector(text).map_err(|e| e.to_string())?;
    if matchers.iter().any(|m| m.op != MatchOp::Equal) {
        return Err(format!("{text} is no series"));
    }
    Ok(Labels::from_pairs(matchers.iter().map(|m| (m.name.as_str(), m.value.as_str()))))
}

/// The places of a series, one after another.
pub fn series_values(text: &str) -> Result<Vec<Item>, String> {
    let mut values = Vec::new();
    for item in items(text) {
        add_values(&item, &mut values)?;
    }
    Ok(values)
}

/// Splits at spaces, but not within the braces of histograms.
fn items(text: &str) -> Vec<String> {
    let (mut items, mut item, mut open) = (Vec::new(), String::new(), 0i32);
    for c in text.chars() {
        open += i32::from(c == '{') - i32::from(c == '}');
        if c.is_whitespace() && open == 0 {
            items.extend(Some(std::mem::take(&mut item)).filter(|i| !i.is_empty()));
        } else {
            item.push(c);
        }
    }
    items.extend(Some(item).filter(|i| !i.is_empty()));
    items
}

fn add_values(item: &str, values: &mut Vec<Item>) -> Result<(), String> {
    let repeated = item.rsplit_once('x').filter(|(_, times)| !times.contains('}'));
    let (value, times) = match repeated {
        Some((value, times)) => (value, times.parse::<usize>().map_err(|_| format!("{item}: how often?"))?),
        None => (item, 0),
    };
    if values.len().saturating_add(times) >= PLACES_MAX {
        return Err(format!("{item}: more than {PLACES_MAX} values"));
    }
    match value {
        "_" => values.extend(std::iter::repeat_n(Item::Nothing, times.max(1))),
        "stale" => values.push(Item::Marker),
        _ if value.starts_with("{{") => add_histograms(value, times, values)?,
        _ => {
            let (first, increment) = increment(value)?;
            values.extend((0..=times).map(|i| Item::Float(first + increment * i as f64)));
        }
    }
    Ok(())
}

/// `{{…}}`, `{{…}}+{{…}}` or `{{…}}-{{…}}`.
fn add_histograms(value: &str, times: usize, values: &mut Vec<Item>) -> Result<(), String> {
    let (first, rest) = value.split_once("}}").map(|(a, b)| (format!("{a}}}}}"), b)).ok_or(format!("{value}: }}}} expected"))?;
    let mut literal = Literal::read(&first)?;
    let increment = match rest.chars().next() {
        Some(sign @ ('+' | '-')) => Some((Literal::read(rest.trim_start_matches(sign))?, sign == '-')),
        Some(_) => return Err(format!("{rest}: + or - expected")),
        None => None,
    };
    for i in 0..=times {
        if let Some((by, falls)) = increment.as_ref().filter(|_| i > 0) {
            literal = literal.advanced(by, *falls)?;
        }
        values.push(Item::Histogram(literal.clone()));
    }
    Ok(())
}

fn number(text: &str) -> Result<f64, String> {
    text.parse().map_err(|_| format!("{text} is no number"))
}

/// `a`, `a+b` or `a-b`; the sign of an exponent is none of these.
fn increment(text: &str) -> Result<(f64, f64), String> {
    if let Ok(value) = number(text) {
        return Ok((value, 0.0));
    }
    let split = text.char_indices().skip(1).find(|(i, c)| matches!(c, '+' | '-') && !text.get(..*i).is_some_and(|t| t.ends_with(['e', 'E'])));
    let (first, rest) = split.and_then(|(i, _)| text.split_at_checked(i)).ok_or(format!("{text} is no number"))?;
    Ok((number(first)?, number(rest)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_by_examples() {
        let check = |text: &str, expected: &str| {
            let word = |item: &Item| match item {
                Item::Nothing => "_".to_owned(),
                Item::Marker => "stale".to_owned(),
                Item::Float(value) => value.to_string(),
                Item::Histogram(literal) => literal.histogram.to_string(),
            };
            let found = series_values(text).map_or_else(|e| e, |items| items.iter().map(word).collect::<Vec<_>>().join(" "));
            assert_eq!(found, expected, "{text}");
        };
        check("1 2+3x2 -1x1 1-2x1 _ _x3 stale NaN 0x2", "1 2 5 8 -1 -1 1 -1 _ _ _ _ stale NaN 0 0 0");
        check("1e-2+1e+1x1", "0.01 10.01");
        check("1xy", "1xy: how often?");
        check("one", "one is no number");
        check("0x9000000000", "0x9000000000: more than 1000000 values");
        check("{{count:1", "{{count:1: }} expected");
    }

    proptest::proptest! {
        #[test]
        fn no_text_is_too_strange(pieces in proptest::collection::vec(proptest::sample::select(&[
            "1", "+", "-", "x", "3", "_", " ", "stale", "NaN", "e5", "{{", "}}", "schema:", "count:", "sum:", "offset:", "n_offset:", "buckets:[", "1 2]",
            "custom_values:[", "z_bucket:1 ", "2147483647", "-2147483648", "1e300", "counter_reset_hint:gauge ", "é",
        ][..]), 0..14)) {
            let text: String = pieces.concat();
            let found = series_values(&text);
            proptest::prop_assert!(found.is_ok_and(|items| items.len() <= PLACES_MAX) || series_values(&text).is_err());
        }
    }

    #[test]
    fn absurd_histograms_end_in_words() {
        for one in [
            "offset:2147483647 buckets:[1 2]",
            "schema:100 buckets:[1]",
            "schema:-53 custom_values:[1 2] buckets:[1 2 3]",
            "schema:-4 n_offset:-2147483648 n_buckets:[1 2]",
        ] {
            for other in
                ["offset:-2147483648 buckets:[1 2]", "schema:8 offset:2147483646 buckets:[1 2 3]", "schema:-53 custom_values:[2 1] buckets:[9]", "count:nan"]
            {
                let text = format!("{{{{{one}}}}}+{{{{{other}}}}}x3 {{{{{other}}}}}-{{{{{one}}}}}x3");
                let found = series_values(&text);
                assert!(found.as_ref().is_ok_and(|items| items.len() == 8) || found.is_err(), "{text}");
            }
        }
    }

    #[test]
    fn labels_by_examples() {
        assert_eq!(series_labels("{}").unwrap(), Labels::empty());
        assert_eq!(series_labels("up{a=\"b\"}").unwrap().to_string(), "up{a=\"b\"}");
        assert!(series_labels("up{a=~\"b\"}").is_err() && series_labels("").is_err());
    }
}
