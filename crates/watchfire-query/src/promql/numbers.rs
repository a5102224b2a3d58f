//! Numbers as text, the way Go writes and reads them: in queries, messages, labels and answers.

use watchfire_model::number::{format_exponent, special};

pub(super) use watchfire_model::number::format_short;

/// Reads a number literal: decimal, `0x`, octal with a leading zero, floats, `Inf` and `NaN` in any case.
pub(super) fn parse_number(text: &str) -> Option<f64> {
    let lower = text.to_ascii_lowercase();
    match lower.as_str() {
        "inf" => return Some(f64::INFINITY),
        "nan" => return Some(f64::NAN),
        _ => {}
    }
    let separated_well = !lower.starts_with('_') && !lower.contains("__");
    let digits = if separated_well { lower.replace('_', "") } else { lower.clone() };
    if let Some(hex) = digits.strip_prefix("0x") {
        return i64::from_str_radix(hex, 16).ok().map(|n| n as f64);
    }
    if digits.len() > 1
        && digits.starts_with('0')
        && let Ok(n) = i64::from_str_radix(&digits, 8)
    {
        return Some(n as f64);
    }
    if let Ok(n) = digits.parse::<i64>() {
        return Some(n as f64);
    }
    separators_well_placed(&lower).then(|| digits.parse().ok()).flatten()
}

/// Whether every `_` stands between two digits.
fn separators_well_placed(text: &str) -> bool {
    let bytes = text.as_bytes();
    let digit = |at: Option<usize>| at.and_then(|i| bytes.get(i)).is_some_and(u8::is_ascii_digit);
    bytes.iter().enumerate().all(|(i, b)| *b != b'_' || (digit(i.checked_sub(1)) && digit(Some(i + 1))))
}

/// Reads a bucket bound (`le`) or another float in a label: Go's forms, so `+Inf`, `inf` and `infinity` too.
pub(super) fn parse_float(text: &str) -> Option<f64> {
    text.trim().len().eq(&text.len()).then(|| text.parse().ok()).flatten()
}

/// The shortest exact decimal without an exponent (Go's `'f', -1`), with `+Inf`, `-Inf` and `NaN`.
pub(super) fn format_plain(value: f64) -> String {
    special(value).map_or_else(|| value.to_string(), str::to_owned)
}

/// A sample value as the HTTP interface writes it: plain, or with an exponent when very small or very large.
pub fn format_value(value: f64) -> String {
    let size = value.abs();
    if value != 0.0 && size.is_finite() && !(1e-6..1e21).contains(&size) {
        return format_exponent(value);
    }
    format_plain(value)
}

/// Go's `%.2g`.
pub(super) fn format_two_digits(value: f64) -> String {
    if let Some(text) = special(value) {
        return text.to_owned();
    }
    let scientific = format!("{value:.1e}");
    let Some((mantissa, exponent)) = scientific.split_once('e') else { return scientific };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if value == 0.0 {
        return "0".to_owned();
    }
    if (-4..2).contains(&exponent) {
        let decimals = usize::try_from(1 - exponent).unwrap_or(0);
        let text = format!("{value:.decimals$}");
        return if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text };
    }
    let mantissa = mantissa.strip_suffix(".0").unwrap_or(mantissa);
    format!("{mantissa}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_go_writes_them() {
        for (value, plain, api, short) in [
            (1e6, "1000000", "1000000", "1e+06"),
            (123_456.0, "123456", "123456", "123456"),
            (123_456_789.0, "123456789", "123456789", "1.23456789e+08"),
            (0.5, "0.5", "0.5", "0.5"),
            (1e-7, "0.0000001", "1e-07", "1e-07"),
            (1e21, "1000000000000000000000", "1e+21", "1e+21"),
            (f64::INFINITY, "+Inf", "+Inf", "+Inf"),
            (-0.0, "-0", "-0", "-0"),
        ] {
            assert_eq!(format_plain(value), plain);
            assert_eq!(format_value(value), api);
            assert_eq!(format_short(value), short);
        }
        for (value, text) in [(10.0, "10"), (0.01, "0.01"), (1234.0, "1.2e+03"), (0.000_012, "1.2e-05"), (9.99, "10"), (2.0, "2")] {
            assert_eq!(format_two_digits(value), text);
        }
    }

    #[test]
    fn numbers_are_read_as_go_reads_them() {
        for (text, value) in [
            ("010", Some(8.0)),
            ("08", Some(8.0)),
            ("0x1F", Some(31.0)),
            ("1_000", Some(1000.0)),
            ("1_000.5", Some(1000.5)),
            ("1_23.50_0_0e+1_2", Some(1.235e14)),
            ("123_.5", None),
            ("123._5", None),
            ("1__2.5", None),
            ("1.5_", None),
            (".5", Some(0.5)),
            ("1e3", Some(1000.0)),
            ("5.", Some(5.0)),
            ("iNf", Some(f64::INFINITY)),
            ("99999999999999999999", Some(1e20)),
        ] {
            assert_eq!(parse_number(text), value, "{text}");
        }
    }
}
