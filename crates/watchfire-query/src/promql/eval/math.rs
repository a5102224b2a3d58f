//! Numbers on their own: operators, and civil time from seconds since 1970 (for any year, so without a calendar crate).

use super::super::ast::BinaryOp;

/// −1, 1, or the value itself when it is zero or NaN.
pub(in crate::promql) fn sgn(value: f64) -> f64 {
    if value < 0.0 {
        -1.0
    } else if value > 0.0 {
        1.0
    } else {
        value
    }
}

/// The larger one; NaN wins over everything but +∞.
pub(super) fn max(a: f64, b: f64) -> f64 {
    if a == f64::INFINITY || b == f64::INFINITY {
        f64::INFINITY
    } else if a.is_nan() || b.is_nan() {
        f64::NAN
    } else {
        a.max(b)
    }
}

/// The smaller one; NaN wins over everything but −∞.
pub(super) fn min(a: f64, b: f64) -> f64 {
    -max(-a, -b)
}

/// The result of an arithmetic operator.
pub(super) fn arithmetic(op: BinaryOp, a: f64, b: f64) -> f64 {
    match op {
        BinaryOp::Add => a + b,
        BinaryOp::Sub => a - b,
        BinaryOp::Mul => a * b,
        BinaryOp::Div => a / b,
        BinaryOp::Mod => a % b,
        BinaryOp::Pow => a.powf(b),
        BinaryOp::Atan2 => a.atan2(b),
        _ => f64::NAN,
    }
}

/// The same in LogQL, where a division by zero gives NaN whatever is divided.
pub(super) fn arithmetic_of(zero_division_is_nan: bool, op: BinaryOp, a: f64, b: f64) -> f64 {
    if zero_division_is_nan && b == 0.0 && matches!(op, BinaryOp::Div | BinaryOp::Mod) { f64::NAN } else { arithmetic(op, a, b) }
}

/// Whether a comparison holds.
pub(super) fn compares(op: BinaryOp, a: f64, b: f64) -> bool {
    match op {
        BinaryOp::Equal => a == b,
        BinaryOp::NotEqual => a != b,
        BinaryOp::Less => a < b,
        BinaryOp::Greater => a > b,
        BinaryOp::LessOrEqual => a <= b,
        BinaryOp::GreaterOrEqual => a >= b,
        _ => false,
    }
}

/// A moment in the calendar, in UTC, in numbers ready to be sample values.
pub(in crate::promql) struct Civil {
    pub(in crate::promql) year: f64,
    pub(in crate::promql) month: f64,
    pub(in crate::promql) day: f64,
    pub(in crate::promql) weekday: f64,
    pub(in crate::promql) day_of_year: f64,
    pub(in crate::promql) days_in_month: f64,
    pub(in crate::promql) hour: f64,
    pub(in crate::promql) minute: f64,
}
impl Civil {
    /// From whole seconds since 1970; a fraction is cut off.
    pub(super) fn from_seconds(seconds: f64) -> Civil {
        let seconds = i128::from(seconds as i64);
        let (days, in_day) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
        // Years begin in March, in eras of 400 years, so that leap days come last.
        let shifted = days + 719_468;
        let era = shifted.div_euclid(146_097);
        let day_of_era = shifted.rem_euclid(146_097);
        let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_march_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_march_year + 2) / 153;
        let day = day_of_march_year - (153 * month_from_march + 2) / 5 + 1;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        let year = year_of_era + era * 400 + i128::from(month <= 2);
        let leap = year.rem_euclid(4) == 0 && (year.rem_euclid(100) != 0 || year.rem_euclid(400) == 0);
        let days_in_month = match month {
            2 => 28 + i128::from(leap),
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        let day_of_year = if month > 2 { day_of_march_year + 60 + i128::from(leap) } else { day_of_march_year - 305 };
        Civil {
            year: year as f64,
            month: month as f64,
            day: day as f64,
            weekday: (days + 4).rem_euclid(7) as f64,
            day_of_year: day_of_year as f64,
            days_in_month: days_in_month as f64,
            hour: (in_day / 3_600) as f64,
            minute: (in_day % 3_600 / 60) as f64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn civil_time() {
        for (seconds, year, month, day, weekday, day_of_year, days, hour, minute) in [
            (0.0, 1970.0, 1.0, 1.0, 4.0, 1.0, 31.0, 0.0, 0.0),
            (951_782_399.9, 2000.0, 2.0, 28.0, 1.0, 59.0, 29.0, 23.0, 59.0),
            (951_868_800.0, 2000.0, 3.0, 1.0, 3.0, 61.0, 31.0, 0.0, 0.0),
            (1_735_689_599.0, 2024.0, 12.0, 31.0, 2.0, 366.0, 31.0, 23.0, 59.0),
            (-1.0, 1969.0, 12.0, 31.0, 3.0, 365.0, 31.0, 23.0, 59.0),
            (1_767_225_600.0, 2026.0, 1.0, 1.0, 4.0, 1.0, 31.0, 0.0, 0.0),
        ] {
            let t = Civil::from_seconds(seconds);
            assert_eq!(
                (t.year, t.month, t.day, t.weekday, t.day_of_year, t.days_in_month, t.hour, t.minute),
                (year, month, day, weekday, day_of_year, days, hour, minute),
                "{seconds}"
            );
        }
    }

    #[test]
    fn extremes_as_in_go() {
        assert!(max(1.0, f64::NAN).is_nan());
        assert_eq!(max(f64::INFINITY, f64::NAN), f64::INFINITY);
        assert_eq!(min(f64::NEG_INFINITY, f64::NAN), f64::NEG_INFINITY);
        assert_eq!(min(2.0, 1.0), 1.0);
    }
}
