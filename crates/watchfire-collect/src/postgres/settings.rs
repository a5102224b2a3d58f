//! Settings of a PostgreSQL as metrics: names with their unit in them, values in base units.

/// A setting as a metric: what is added to its name, and its value.
pub(super) fn normalised(setting: &str, unit: &str, kind: &str) -> Option<(&'static str, f64)> {
    if kind == "bool" {
        return Some(("", f64::from(u8::from(setting == "on"))));
    }
    let number: f64 = setting.parse().ok()?;
    let (ending, scale) = match unit {
        "" => ("", 1.0),
        "ms" => ("_seconds", 0.001),
        "s" => ("_seconds", 1.0),
        "min" => ("_seconds", 60.0),
        "h" => ("_seconds", 3_600.0),
        "d" => ("_seconds", 86_400.0),
        "us" => ("_seconds", 0.000_001),
        bytes => ("_bytes", size_of(bytes)?),
    };
    // -1 stands for "as something else says" and has no unit.
    Some((ending, if number == -1.0 { number } else { scaled(number, scale) }))
}

/// Thousandths are divided: 200 ms are 0.2 s and not 0.2000…1.
fn scaled(number: f64, scale: f64) -> f64 {
    if scale < 1.0 { number / (1.0 / scale).round() } else { number * scale }
}

/// `kB`, `8kB`, `16MB` in bytes.
fn size_of(unit: &str) -> Option<f64> {
    let digits = unit.find(|c: char| !c.is_ascii_digit())?;
    let (count, word) = unit.split_at_checked(digits)?;
    let count: f64 = if count.is_empty() { 1.0 } else { count.parse().ok()? };
    let size = match word {
        "B" => 1.0,
        "kB" => 1_024.0,
        "MB" => 1_048_576.0,
        "GB" => 1_073_741_824.0,
        "TB" => 1_099_511_627_776.0,
        _ => return None,
    };
    Some(count * size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_become_base_units() {
        for (setting, unit, kind, expected) in [
            ("on", "", "bool", Some(("", 1.0))),
            ("off", "", "bool", Some(("", 0.0))),
            ("200", "ms", "integer", Some(("_seconds", 0.2))),
            ("5", "min", "integer", Some(("_seconds", 300.0))),
            ("64", "8kB", "integer", Some(("_bytes", 524_288.0))),
            ("4096", "kB", "integer", Some(("_bytes", 4_194_304.0))),
            ("1", "16MB", "integer", Some(("_bytes", 16_777_216.0))),
            ("-1", "kB", "integer", Some(("_bytes", -1.0))),
            ("0.9", "", "real", Some(("", 0.9))),
            ("x", "", "integer", None),
            ("1", "parsec", "integer", None),
        ] {
            assert_eq!(normalised(setting, unit, kind), expected, "{setting} {unit}");
        }
    }
}
