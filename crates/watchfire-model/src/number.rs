//! Numbers as text, the way Go's formatting writes them: in messages, labels and the text of histograms.
//! How the HTTP interface or a store writes numbers is their own business.

/// Go's `%g` and `%v`: the shortest exact form, with an exponent below 1e-4 and from 1e+06 on.
pub fn format_short(value: f64) -> String {
    if let Some(text) = special(value) {
        return text.to_owned();
    }
    let scientific = format!("{value:e}");
    let exponent: i32 = scientific.split_once('e').and_then(|(_, e)| e.parse().ok()).unwrap_or(0);
    if value != 0.0 && !(-4..6).contains(&exponent) { format_exponent(value) } else { value.to_string() }
}

/// The shortest exact form with an exponent of at least two digits: `1.5e+300`.
pub fn format_exponent(value: f64) -> String {
    let scientific = format!("{value:e}");
    match scientific.split_once('e') {
        Some((mantissa, exponent)) => {
            let (sign, digits) = exponent.strip_prefix('-').map_or(('+', exponent), |d| ('-', d));
            format!("{mantissa}e{sign}{digits:0>2}")
        }
        None => scientific,
    }
}

/// What is no finite number: `NaN`, `+Inf`, `-Inf`.
pub fn special(value: f64) -> Option<&'static str> {
    if value.is_nan() {
        Some("NaN")
    } else if value.is_infinite() {
        Some(if value > 0.0 { "+Inf" } else { "-Inf" })
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_forms() {
        let check = |value: f64, expected: &str| assert_eq!(format_short(value), expected);
        check(1e6, "1e+06");
        check(123_456.0, "123456");
        check(123_456_789.0, "1.23456789e+08");
        check(0.5, "0.5");
        check(1e-4, "0.0001");
        check(1e-7, "1e-07");
        check(-0.0, "-0");
        check(f64::INFINITY, "+Inf");
        check(f64::NAN, "NaN");
    }
}
