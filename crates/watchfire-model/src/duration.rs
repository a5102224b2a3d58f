//! Durations and byte sizes as configuration files write them: `1h30m`, `500ms`, `15d`; `512MB`, `20KiB`, `1.5GB`.
//! Prometheus' duration grammar (units descending, each at most once, integers); sizes are powers of two like Prometheus'.

use std::time::Duration;

const UNITS: [(&str, u64); 7] = [("y", 31_536_000_000), ("w", 604_800_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Parses a Prometheus duration (`1h30m`, `0`); `None` when the text is not one or overflows.
pub fn parse(text: &str) -> Option<Duration> {
    parse_millis(text).map(Duration::from_millis)
}

/// The same in milliseconds.
pub fn parse_millis(text: &str) -> Option<u64> {
    if text == "0" {
        return Some(0);
    }
    let mut rest = text;
    let mut total = 0u64;
    let mut next_unit = 0;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, tail) = rest.split_at_checked(digits)?;
        let letters = tail.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, tail) = tail.split_at_checked(letters)?;
        let at = UNITS.iter().position(|(u, _)| *u == unit)?;
        if at < next_unit {
            return None;
        }
        next_unit = at + 1;
        total = total.checked_add(number.parse::<u64>().ok()?.checked_mul(UNITS[at].1)?)?;
        rest = tail;
    }
    (!text.is_empty() && total <= i64::MAX as u64).then_some(total)
}

/// Writes a duration the way Prometheus does: `1h30m`, `15s`, `0s`; years and weeks only when they come out even.
pub fn format_millis(ms: u64) -> String {
    if ms == 0 {
        return "0s".to_owned();
    }
    let mut rest = ms;
    let mut out = String::new();
    for (unit, size) in UNITS {
        let exact_only = matches!(unit, "y" | "w" | "d");
        if exact_only && (!rest.is_multiple_of(size) || rest == 0) {
            continue;
        }
        if rest >= size {
            out.push_str(&format!("{}{unit}", rest / size));
            rest %= size;
        }
    }
    out
}

/// Parses a size in bytes: a number with an optional fraction and B, KB/KiB, MB/MiB, … (all powers of 1024); a bare number is bytes.
pub fn parse_bytes(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.bytes().take_while(|b| b.is_ascii_digit() || *b == b'.').count();
    let (number, unit) = text.split_at_checked(digits)?;
    let power = match unit.trim().to_ascii_uppercase().as_str() {
        "" | "B" => 0,
        "K" | "KB" | "KIB" => 1,
        "M" | "MB" | "MIB" => 2,
        "G" | "GB" | "GIB" => 3,
        "T" | "TB" | "TIB" => 4,
        "P" | "PB" | "PIB" => 5,
        "E" | "EB" | "EIB" => 6,
        _ => return None,
    };
    let bytes = number.parse::<f64>().ok()? * 1024f64.powi(power);
    (bytes.is_finite() && bytes >= 0.0 && bytes < u64::MAX as f64).then_some(bytes as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, ms) in [
            ("1h30m", Some(5_400_000)),
            ("0", Some(0)),
            ("0s", Some(0)),
            ("1d", Some(86_400_000)),
            ("5ms", Some(5)),
            ("1m1h", None),
            ("1.5h", None),
            ("", None),
            ("15", None),
            ("-1s", None),
            ("99999999999y", None),
        ] {
            assert_eq!(parse_millis(text), ms, "{text}");
        }
        for (ms, text) in [(0, "0s"), (15_000, "15s"), (5_400_000, "1h30m"), (86_400_000, "1d"), (90_000_000, "25h"), (1_500, "1s500ms"), (604_800_000, "1w")] {
            assert_eq!(format_millis(ms), text);
        }
    }

    #[test]
    fn sizes() {
        for (text, bytes) in [("512MB", Some(536_870_912)), ("1.5KiB", Some(1536)), ("7", Some(7)), ("1XB", None), ("", None), ("GB", None)] {
            assert_eq!(parse_bytes(text), bytes, "{text}");
        }
    }
}
