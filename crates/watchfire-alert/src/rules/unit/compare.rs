//! Expected against found, and how the difference is told: in the form that promtool prints.

use watchfire_model::duration::format_millis;
use watchfire_model::number::format_exponent;
use watchfire_model::number::special;
use watchfire_model::order::Order as _;
use watchfire_query::promql::Sample;

use super::file::{AlertTest, ExpectedAlert, ExpectedSample, QueryTest};
use super::run::in_braces;

fn time(ms: i64) -> String {
    format_millis(ms.unsigned_abs())
}

/// What to say when other alerts fire than expected.
pub(super) fn alerts_differ(name: Option<&str>, test: &AlertTest, found: &[ExpectedAlert]) -> Option<String> {
    let mut expected = test.expected.clone();
    expected.order();
    if expected == found {
        return None;
    }
    let of = name.map(|n| format!("    name: {n},\n")).unwrap_or_default();
    let (expected, found) = (indented(&list(&expected), "            "), indented(&list(found), "            "));
    Some(format!("{of}    alertname: {}, time: {}, \n        exp:{expected}, \n        got:{found}", test.name, time(test.at_ms)))
}

fn list(alerts: &[ExpectedAlert]) -> String {
    if alerts.is_empty() {
        return "[]".to_owned();
    }
    let one = |(i, alert): (usize, &ExpectedAlert)| {
        let text = format!("\nLabels:{}\nAnnotations:{}", in_braces(&alert.labels), in_braces(&alert.annotations));
        format!("{i}:{}", indented(&text, "  "))
    };
    format!("[\n{}\n]", alerts.iter().enumerate().map(one).collect::<Vec<_>>().join(",\n"))
}

/// Every line but the first moved to the right; one that is alone on its line begins a new one.
fn indented(text: &str, by: &str) -> String {
    if !text.contains('\n') {
        return text.to_owned();
    }
    text.split('\n').enumerate().map(|(i, line)| if i == 0 { line.to_owned() } else { format!("{by}{line}") }).collect::<Vec<_>>().join("\n")
}

/// What to say when a query gives something else.
pub(super) fn samples_differ(test: &QueryTest, found: Result<Vec<Sample>, String>, fuzzy: bool) -> Option<String> {
    let head = format!("    expr: {}, time: {},", watchfire_model::labels::quoted(&test.text), time(test.at_ms));
    let mut found = match found {
        Ok(found) => found,
        Err(error) => return Some(format!("{head} err: {error}")),
    };
    let mut expected: Vec<&ExpectedSample> = test.expected.iter().collect();
    expected.order_by(|a, b| a.labels.cmp(&b.labels));
    found.order_by(|a, b| a.labels.cmp(&b.labels));
    if expected.len() == found.len() && expected.iter().zip(&found).all(|(e, f)| is(e, f, fuzzy)) {
        return None;
    }
    let shown_expected = expected.iter().map(|e| {
        let value = e.histogram.as_ref().map_or_else(|| number(e.value), |h| h.histogram.to_string());
        format!("{} {value}", in_braces(&e.labels))
    });
    let shown_found = found.iter().map(|f| {
        let value = f.histogram.as_ref().map_or_else(|| number(f.value), |h| h.to_string());
        format!("{} {value}", in_braces(&f.labels))
    });
    Some(format!("{head}\n        exp: {}\n        got: {}", or_nil(shown_expected.collect()), or_nil(shown_found.collect())))
}

fn or_nil(samples: Vec<String>) -> String {
    if samples.is_empty() { "nil".to_owned() } else { samples.join(", ") }
}

fn number(value: f64) -> String {
    special(value).map_or_else(|| format_exponent(value).replace('e', "E"), str::to_owned)
}

fn is(expected: &ExpectedSample, found: &Sample, fuzzy: bool) -> bool {
    let same = |a: f64, b: f64| {
        let exact = a == b || (a.is_nan() && b.is_nan());
        exact || (fuzzy && (a.next_up() == b || a.next_down() == b))
    };
    expected.labels == found.labels
        && match (&expected.histogram, &found.histogram) {
            (Some(expected), Some(found)) => expected.is(found, same),
            (None, None) => same(expected.value, found.value),
            _ => false,
        }
}
