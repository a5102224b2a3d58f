//! Durations and sizes as Go programs write them: `1h30m`, `1.5s`, `250µs`; `20KB` (1000), `20KiB` (1024). No clock, no matchers.

/// Units of durations in nanoseconds; years, weeks and days as Prometheus has them.
const DURATIONS: [(&str, f64); 11] = [
    ("ns", 1.0),
    ("us", 1e3),
    ("µs", 1e3),
    ("μs", 1e3),
    ("ms", 1e6),
    ("s", 1e9),
    ("m", 60e9),
    ("h", 3_600e9),
    ("d", 86_400e9),
    ("w", 604_800e9),
    ("y", 31_536_000e9),
];

/// The nanoseconds of a duration; `None` when the text is not one or does not fit.
pub(crate) fn duration_nanos(text: &str) -> Option<i64> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    let mut total = 0.0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(|b| b.is_ascii_digit() || *b == b'.').count();
        let (number, tail) = rest.split_at_checked(digits)?;
        let letters = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at_checked(letters)?;
        let (_, size) = DURATIONS.iter().find(|(name, _)| *name == unit)?;
        // Whole numbers stay exact as far as a float holds them.
        total += number.parse::<f64>().ok()? * size;
        rest = tail;
    }
    (total < 9.223_372_036_854_775e18).then_some((sign * total) as i64)
}

/// The bytes of a size: a number, a blank or none, and a unit in any case.
pub(crate) fn bytes(text: &str) -> Option<f64> {
    let text = text.trim();
    let digits = text.bytes().take_while(|b| b.is_ascii_digit() || matches!(b, b'.' | b',')).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let unit = unit.trim().to_ascii_lowercase();
    let (prefix, binary) = match unit.strip_suffix("ib").or_else(|| unit.strip_suffix('i')) {
        Some(prefix) if !prefix.is_empty() => (prefix, true),
        _ => (unit.strip_suffix('b').unwrap_or(&unit), false),
    };
    let power = match prefix {
        "" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        "p" => 5,
        "e" => 6,
        _ => return None,
    };
    let base: f64 = if binary { 1024.0 } else { 1000.0 };
    let size = number.replace(',', "").parse::<f64>().ok()? * base.powi(power);
    size.is_finite().then_some(size.trunc())
}

/// A number as Go's `ParseFloat` reads it.
pub(crate) fn number(text: &str) -> Option<f64> {
    let body = text.strip_prefix(['+', '-']).unwrap_or(text);
    match body.as_bytes().first()? {
        b'0'..=b'9' | b'.' => {
            let hex = body.strip_prefix("0x").or_else(|| body.strip_prefix("0X"));
            match hex {
                Some(hex) => u64::from_str_radix(hex, 16).ok().map(|v| if text.starts_with('-') { -(v as f64) } else { v as f64 }),
                None => text.parse().ok(),
            }
        }
        _ => match body.to_ascii_lowercase().as_str() {
            "inf" | "infinity" => Some(if text.starts_with('-') { f64::NEG_INFINITY } else { f64::INFINITY }),
            "nan" => Some(f64::NAN),
            _ => None,
        },
    }
}

/// A duration in nanoseconds as text that parses to the same again.
pub(crate) fn format_nanos(nanos: i64) -> String {
    let (sign, size) = (if nanos < 0 { "-" } else { "" }, nanos.unsigned_abs());
    let (ms, rest) = (size / 1_000_000, size % 1_000_000);
    match rest {
        0 => format!("{sign}{}", watchfire_model::duration::format_millis(ms)),
        _ if ms == 0 => format!("{sign}{rest}ns"),
        _ => format!("{sign}{}{rest}ns", watchfire_model::duration::format_millis(ms)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, nanos) in [
            ("5m", Some(300_000_000_000)),
            ("1h30m", Some(5_400_000_000_000)),
            ("1.5s", Some(1_500_000_000)),
            ("250µs", Some(250_000)),
            ("1d", Some(86_400_000_000_000)),
            ("-2ms", Some(-2_000_000)),
            ("0", Some(0)),
            ("10", None),
            ("m", None),
            ("1x", None),
            ("", None),
            ("-", None),
            ("999999999999h", None),
        ] {
            assert_eq!(duration_nanos(text), nanos, "{text}");
        }
        for nanos in [0, 1, 300_000_000_000, 1_500_000_000, 1_000_001, -2_000_000, 86_400_000_000_000] {
            assert_eq!(duration_nanos(&format_nanos(nanos)), Some(nanos), "{nanos}");
        }
    }

    #[test]
    fn sizes() {
        for (text, size) in [
            ("20KB", Some(20_000.0)),
            ("20KiB", Some(20_480.0)),
            ("1.5 MB", Some(1_500_000.0)),
            ("42", Some(42.0)),
            ("7b", Some(7.0)),
            ("3k", Some(3_000.0)),
            ("1Gi", Some(1_073_741_824.0)),
            ("KB", None),
            ("1XB", None),
            ("", None),
            ("5m", Some(5_000_000.0)),
        ] {
            assert_eq!(bytes(text), size, "{text}");
        }
    }

    #[test]
    fn numbers() {
        for (text, value) in
            [("1", Some(1.0)), ("-1.5e3", Some(-1500.0)), ("0x10", Some(16.0)), ("Inf", Some(f64::INFINITY)), ("x", None), ("", None), (".5", Some(0.5))]
        {
            assert_eq!(number(text), value, "{text}");
        }
    }
}
