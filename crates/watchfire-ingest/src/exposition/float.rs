//! Floats as Go's `strconv.FormatFloat(f, 'g', -1, 64)` writes them: the shortest digits that read back, with an exponent
//! from 1e+06 upwards and below 1e-04. Parsing is in `scan`.

use watchfire_model::batch::MetricType;

use super::scan::number;

/// A sample value as the text formats write it: `1`, `0.25`, `1e+06`, `NaN`, `+Inf`.
pub fn format_value(value: f64) -> String {
    let mut out = String::new();
    push_value(&mut out, value);
    out
}

pub(crate) fn push_value(out: &mut String, value: f64) {
    use std::fmt::Write;
    if value.is_nan() {
        out.push_str("NaN");
        return;
    }
    if value.is_infinite() {
        out.push_str(if value > 0.0 { "+Inf" } else { "-Inf" });
        return;
    }
    let size = value.abs();
    if value == 0.0 || (1e-4..1e6).contains(&size) {
        // Writing to a String cannot fail.
        let _infallible = write!(out, "{value}");
        return;
    }
    // Rust writes 1e6 and 1e-5 where Go writes 1e+06 and 1e-05.
    let text = format!("{value:e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |e| ('-', e));
    let _infallible = write!(out, "{digits}e{sign}{exponent:0>2}");
}

/// A bucket bound or quantile in its one canonical form: like a value, but whole numbers end in `.0`.
pub fn format_bound(bound: f64) -> String {
    let mut text = format_value(bound);
    if bound.is_finite() && !text.contains(['.', 'e']) {
        text.push_str(".0");
    }
    text
}

/// The canonical form of `le` of a histogram or `quantile` of a summary, when it differs from what is written.
pub(crate) fn normalize_bound(kind: MetricType, name: &str, raw: &str) -> Option<String> {
    let bound = match kind {
        MetricType::Histogram => name == "le",
        MetricType::Summary => name == "quantile",
        _ => false,
    };
    if !bound {
        return None;
    }
    let text = format_bound(number(raw)?);
    (text != raw).then_some(text)
}
