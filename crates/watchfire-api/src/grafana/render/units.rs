//! How numbers are written in pictures: Grafana's names of units, as far as pictures need them. The page has a longer list.

/// A number with its unit. Without wanted decimals there are as many as three digits need.
pub(super) fn shown(value: f64, unit: &str, decimals: Option<usize>) -> String {
    if !value.is_finite() {
        return if value.is_nan() {
            "–".to_owned()
        } else if value > 0.0 {
            "∞".to_owned()
        } else {
            "-∞".to_owned()
        };
    }
    let plain = |suffix: &str| format!("{}{suffix}", digits(value, decimals));
    let by = |steps: &[(f64, &str)]| {
        let (factor, suffix) = steps.iter().rev().find(|(factor, _)| value.abs() >= *factor).or(steps.first()).copied().unwrap_or((1.0, ""));
        format!("{}{suffix}", digits(value / factor, decimals))
    };
    const K: f64 = 1_000.0;
    const KI: f64 = 1_024.0;
    let decimal = |s: [&str; 5]| by(&[(1.0, s[0]), (K, s[1]), (K * K, s[2]), (K * K * K, s[3]), (K * K * K * K, s[4])]);
    match unit {
        "" | "none" => plain(""),
        "short" => decimal(["", " K", " Mil", " Bil", " Tri"]),
        "percent" => plain("%"),
        "percentunit" => format!("{}%", digits(value * 100.0, decimals)),
        "bytes" => by(&[(1.0, " B"), (KI, " KiB"), (KI * KI, " MiB"), (KI * KI * KI, " GiB"), (KI * KI * KI * KI, " TiB")]),
        "decbytes" => decimal([" B", " kB", " MB", " GB", " TB"]),
        "decmbytes" => by(&[(1.0, " MB"), (K, " GB"), (K * K, " TB")]),
        "Bps" | "binBps" => decimal([" B/s", " kB/s", " MB/s", " GB/s", " TB/s"]),
        "bps" | "binbps" => decimal([" b/s", " kb/s", " Mb/s", " Gb/s", " Tb/s"]),
        "Mbits" => by(&[(1.0, " Mb/s"), (K, " Gb/s")]),
        "ms" => by(&[(1.0, " ms"), (K, " s"), (60.0 * K, " min"), (3_600.0 * K, " hours")]),
        "s" => by(&[(1e-9, " ns"), (1e-6, " µs"), (1e-3, " ms"), (1.0, " s"), (60.0, " min"), (3_600.0, " hours"), (86_400.0, " days")]),
        "celsius" => plain(" °C"),
        "watt" => by(&[(1.0, " W"), (K, " kW")]),
        "currencyUSD" => format!("${}", digits(value, decimals)),
        "reqps" => decimal([" req/s", "K req/s", "M req/s", "G req/s", "T req/s"]),
        "ops" => decimal([" ops/s", "K ops/s", "M ops/s", "G ops/s", "T ops/s"]),
        other => plain(&format!(" {}", other.trim_start_matches("suffix:").trim())),
    }
}

fn digits(value: f64, decimals: Option<usize>) -> String {
    let wanted = decimals.unwrap_or_else(|| match value.abs() {
        a if a == 0.0 || a >= 100.0 => 0,
        a if a >= 10.0 => 1,
        a if a >= 0.1 => 2,
        _ => 4,
    });
    let text = format!("{value:.*}", wanted.min(10));
    match decimals {
        None if text.contains('.') => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_with_their_units() {
        for (value, unit, decimals, expected) in [
            (1.0, "none", None, "1"),
            (0.0, "s", None, "0 ns"),
            (1536.0, "bytes", None, "1.5 KiB"),
            (2_500_000.0, "Bps", None, "2.5 MB/s"),
            (0.25, "percentunit", None, "25%"),
            (76.04, "none", Some(1), "76.0"),
            (90.0, "s", None, "1.5 min"),
            (1_234.0, "short", None, "1.23 K"),
            (0.5, "suffix: jobs/sec", None, "0.5 jobs/sec"),
            (12.5, "Mbits", None, "12.5 Mb/s"),
            (-5.0, "celsius", None, "-5 °C"),
            (f64::NAN, "s", None, "–"),
            (f64::INFINITY, "s", None, "∞"),
        ] {
            assert_eq!(shown(value, unit, decimals), expected, "{value} {unit}");
        }
    }
}
