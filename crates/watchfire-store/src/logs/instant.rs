//! Moments as lines write them (`2026-11-29T06:35:12.123Z`), to numbers and back, byte for byte or not at all. Not a parser of
//! dates: a form that is not known here stays text.

use std::cell::Cell;

use super::tokens::Longest;
use crate::encoding::Input;

/// The bytes of the date with the hour.
pub(super) const HOUR_BYTES: usize = 13;
/// Bytes without a fraction and a zone.
const SECOND_BYTES: usize = 19;
const PLACES_MAX: usize = 9;
/// The longest tokens of a moment with few tokens.
pub(super) const LONGEST: Longest = Longest { run: 10, chain: HOUR_BYTES as u32 };
/// How the zone may be written.
const ZONES: [&str; 4] = ["Z", "", "+00:00", "+0000"];

/// A second as it was written last: neighbours mostly share it.
#[derive(Default)]
pub(super) struct Second(Cell<Option<(i64, [u8; SECOND_BYTES])>>);

/// How a moment is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    /// Between date and time: `T` or a space.
    between: u8,
    /// Before the fraction: a point or a comma.
    point: u8,
    places: u8,
    zone: u8,
}

impl Shape {
    pub(super) fn encode(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[self.between, self.point, self.places, self.zone]);
    }
    pub(super) fn decode(input: &mut Input<'_>) -> Option<Shape> {
        let shape = Shape { between: input.u8()?, point: input.u8()?, places: input.u8()?, zone: input.u8()? };
        let known = shape.between.is_ascii() && shape.point.is_ascii() && usize::from(shape.places) <= PLACES_MAX && usize::from(shape.zone) < ZONES.len();
        known.then_some(shape)
    }
    /// The entry's time in the units of the fraction.
    #[inline]
    pub(super) fn units(self, nanos: i64) -> i64 {
        nanos.div_euclid(10i64.pow((PLACES_MAX as u32).saturating_sub(u32::from(self.places))))
    }
    /// Whether only the date with the hour is a token that filters know.
    pub(super) fn has_few_tokens(self) -> bool {
        self.places <= 5 || ZONES.get(usize::from(self.zone)) == Some(&"Z")
    }

    /// Appends a moment, given in units of the fraction. `last` holds what was written of the one before.
    #[inline]
    pub(super) fn put(self, units: i64, last: &Second, out: &mut Vec<u8>) -> Option<()> {
        let places = usize::from(self.places);
        let unit = 10i64.pow(u32::from(self.places));
        let (seconds, mut fraction) = (units.div_euclid(unit), units.rem_euclid(unit));
        let text = match last.0.get() {
            Some((second, text)) if second == seconds => text,
            _ => {
                let text = self.second(seconds)?;
                last.0.set(Some((seconds, text)));
                text
            }
        };
        out.extend_from_slice(&text);
        if places > 0 {
            let mut digits = [self.point; PLACES_MAX + 1];
            for at in (1..=places).rev() {
                digits[at] = b'0' + (fraction % 10) as u8;
                fraction /= 10;
            }
            out.extend_from_slice(&digits[..=places]);
        }
        out.extend_from_slice(ZONES.get(usize::from(self.zone))?.as_bytes());
        Some(())
    }

    fn second(self, seconds: i64) -> Option<[u8; SECOND_BYTES]> {
        let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
        let (year, month, day) = date(days).filter(|(year, ..)| (0..=9999).contains(year))?;
        let mut text = *b"0000-00-00T00:00:00";
        let mut two = |at: usize, value: i64| {
            text[at] = b'0' + (value / 10) as u8;
            text[at + 1] = b'0' + (value % 10) as u8;
        };
        two(0, year / 100);
        two(2, year % 100);
        two(5, month);
        two(8, day);
        two(11, second / 3600);
        two(14, second / 60 % 60);
        two(17, second % 60);
        text[10] = self.between;
        Some(text)
    }
}

/// How a moment is written, and the moment in units of its fraction; `None` when it would not come back as it is.
pub(super) fn read(text: &str) -> Option<(Shape, i64)> {
    let bytes = text.as_bytes();
    if bytes.len() < SECOND_BYTES || bytes[4] != b'-' || bytes[7] != b'-' || bytes[13] != b':' || bytes[16] != b':' {
        return None;
    }
    let between = bytes[10];
    if !matches!(between, b'T' | b' ') {
        return None;
    }
    let digits = |from: usize, to: usize| bytes[from..to].iter().try_fold(0i64, |n, b| Some(n * 10 + i64::from(b.is_ascii_digit().then(|| b - b'0')?)));
    let (year, month, day) = (digits(0, 4)?, digits(5, 7)?, digits(8, 10)?);
    let (hour, minute, second) = (digits(11, 13)?, digits(14, 16)?, digits(17, 19)?);
    let days = days(year, month, day);
    if !(1..=12).contains(&month) || hour > 23 || minute > 59 || second > 59 || date(days) != Some((year, month, day)) {
        return None;
    }
    let point = bytes.get(SECOND_BYTES).copied().filter(|b| matches!(b, b'.' | b','));
    let fraction = bytes[SECOND_BYTES..].iter().skip(1).take_while(|b| b.is_ascii_digit()).count();
    let places = if point.is_some() { fraction } else { 0 };
    if places > PLACES_MAX || (point.is_some() && places == 0) {
        return None;
    }
    let end = if point.is_some() { SECOND_BYTES + 1 + places } else { SECOND_BYTES };
    let zone = ZONES.iter().position(|zone| zone.as_bytes() == &bytes[end..])? as u8;
    let shape = Shape { between, point: point.unwrap_or(b'.'), places: places as u8, zone };
    let seconds = days * 86_400 + hour * 3600 + minute * 60 + second;
    let units = seconds.checked_mul(10i64.pow(places as u32))?.checked_add(digits(end - places, end)?)?;
    Some((shape, units))
}

/// Days since 1970 of a date of the Gregorian calendar.
fn days(year: i64, month: i64, day: i64) -> i64 {
    // Years begin in March, so that the leap day is the last one.
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// The date of a day since 1970.
fn date(days: i64) -> Option<(i64, i64, i64)> {
    let days = days.checked_add(719_468)?;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, carry) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    Some((year + era * 400 + carry, month, day))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_moments() {
        assert_eq!(read("1970-01-01T00:00:00Z").unwrap().1, 0);
        assert_eq!(read("2026-11-29 06:35:12.123456+00:00").unwrap().1, 1_795_934_112_123_456);
        for odd in [
            "2026-02-29T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:00:60Z",
            "2026-01-01T00:00:00.Z",
            "2026-01-01T00:00:00+01:00",
            "2026-13-01T00:00:00Z",
        ] {
            assert_eq!(read(odd), None, "{odd}");
        }
    }

    proptest! {
        #[test]
        fn what_is_read_comes_back(text in "[0-9]{4}-[01][0-9]-[0-3][0-9][T ][0-2][0-9]:[0-5][0-9]:[0-5][0-9]([.,][0-9]{1,9})?(Z|\\+00:00|\\+0000)?", nanos: i64) {
            if let Some((shape, units)) = read(&text) {
                let mut out = Vec::new();
                let difference = units.wrapping_sub(shape.units(nanos));
                shape.put(difference.wrapping_add(shape.units(nanos)), &Second::default(), &mut out).unwrap();
                prop_assert_eq!(String::from_utf8(out).unwrap(), text);
            }
        }
    }
}
