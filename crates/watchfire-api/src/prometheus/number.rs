//! Numbers and times as Prometheus writes them in JSON, where they are not the query language's business: scalars never
//! have an exponent, samples do at the extremes. Measured against Prometheus 2.42.

use std::io::Write;

use watchfire_model::time::Timestamp;

/// Go's `strconv.FormatFloat(v, 'f', -1, 64)`: shortest digits, never an exponent.
pub(crate) fn plain(value: f64) -> String {
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    value.to_string()
}

/// A time in vectors and matrices: seconds, with exactly three digits when there is a fraction.
pub(crate) fn write_time(out: &mut Vec<u8>, time: Timestamp) {
    let ms = time.millis();
    let size = ms.unsigned_abs();
    let sign = if ms < 0 { "-" } else { "" };
    let written = match size % 1000 {
        0 => write!(out, "{sign}{}", size / 1000),
        rest => write!(out, "{sign}{}.{rest:03}", size / 1000),
    };
    written.expect("BUG: writing to memory cannot fail");
}

/// A time beside a scalar or string: seconds as a float.
pub(crate) fn write_time_plain(out: &mut Vec<u8>, time: Timestamp) {
    out.extend_from_slice(time.secs_f64().to_string().as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use watchfire_query::promql::format_value;

    #[test]
    fn values_as_prometheus_writes_them() {
        for (value, in_sample, in_scalar) in [
            (2.0, "2", "2"),
            (1e21, "1e+21", "1000000000000000000000"),
            (1e20, "100000000000000000000", "100000000000000000000"),
            (1e-6, "0.000001", "0.000001"),
            (1e-7, "1e-07", "0.0000001"),
            (f64::NAN, "NaN", "NaN"),
            (f64::NEG_INFINITY, "-Inf", "-Inf"),
            (f64::INFINITY, "+Inf", "+Inf"),
            (-0.0, "-0", "-0"),
            (0.1 + 0.2, "0.30000000000000004", "0.30000000000000004"),
            (123_456_789_012_345_678.0, "123456789012345680", "123456789012345680"),
        ] {
            assert_eq!(format_value(value), in_sample);
            assert_eq!(plain(value), in_scalar);
        }
        assert_eq!(format_value(1.5e300), "1.5e+300");
        assert_eq!(plain(1e300).len(), 301);
    }

    #[test]
    fn times() {
        let check = |ms, expected: &str| {
            let mut out = Vec::new();
            write_time(&mut out, Timestamp(ms));
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        };
        check(1_700_000_000_500, "1700000000.500");
        check(1_700_000_000_000, "1700000000");
        check(5, "0.005");
        check(-1_500, "-1.500");
        let mut out = Vec::new();
        write_time_plain(&mut out, Timestamp(1_700_000_000_500));
        assert_eq!(out, b"1700000000.5");
    }
}
