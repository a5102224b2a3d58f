//! The letters of pictures: outlines of DejaVu Sans (see `LICENSE` beside it), which `scripts/pack_font.py` has packed. Western, Greek and
//! Cyrillic letters and the signs of units; any other character is a box. It shapes nothing: letters stand side by side.
//!
//! The packed file is gzip around: the number of characters; for each, in ascending order, its code, its advance and where its outline
//! begins (16 bits each, little endian); then the outlines: the number of contours, and for each contour the number of its points, a bit
//! for each point that lies on the curve, and the differences of x and y from the point before as zigzag varints. A contour begins on the
//! curve; two points beside each other are never both off it.

use std::io::Read as _;
use std::sync::OnceLock;

use flate2::read::GzDecoder;

/// Units of an em.
const UNITS: f64 = 1_024.0;
/// More than the unpacked file has, so that damage cannot fill the memory.
const BYTES_MAX: u64 = 1 << 20;
const ENTRY_BYTES: usize = 6;
/// What stands for a character that is not there.
const MISSING: char = '\u{fffd}';

static PACKED: &[u8] = include_bytes!("sans.bin.gz");

/// A point of an outline in ems from the beginning of the base line, y upwards; whether it is on the curve.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Point {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) on: bool,
}

fn bytes() -> &'static [u8] {
    static UNPACKED: OnceLock<Vec<u8>> = OnceLock::new();
    UNPACKED.get_or_init(|| {
        let mut all = Vec::new();
        if let Err(error) = GzDecoder::new(PACKED).take(BYTES_MAX).read_to_end(&mut all) {
            tracing::error!(%error, "the letters of pictures cannot be unpacked");
        }
        all
    })
}

fn word(bytes: &[u8], at: usize) -> Option<usize> {
    let pair = bytes.get(at..at + 2)?;
    Some(usize::from(u16::from_le_bytes(pair.try_into().ok()?)))
}

/// Advance and place of the outline of a character.
fn entry(c: char) -> Option<(usize, usize)> {
    let bytes = bytes();
    let count = word(bytes, 0)?;
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = (low + high) / 2;
        let at = 2 + middle * ENTRY_BYTES;
        match word(bytes, at)?.cmp(&(c as usize)) {
            std::cmp::Ordering::Less => low = middle + 1,
            std::cmp::Ordering::Greater => high = middle,
            std::cmp::Ordering::Equal => return Some((word(bytes, at + 2)?, 2 + count * ENTRY_BYTES + word(bytes, at + 4)?)),
        }
    }
    None
}

/// Characters without a width that would be boxes: marks over others, joiners, choices between variants.
fn is_unseen(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{300}'..='\u{36f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}')
}

fn entry_or_box(c: char) -> Option<(usize, usize)> {
    if is_unseen(c) { None } else { entry(c).or_else(|| entry(MISSING)) }
}

/// How far a character moves the next one, in ems.
pub(super) fn advance(c: char) -> f64 {
    entry_or_box(c).map_or(0.0, |(advance, _)| advance as f64 / UNITS)
}

/// How wide a text is in a size.
pub(super) fn width(text: &str, size: f64) -> f64 {
    text.chars().map(advance).sum::<f64>() * size
}

/// The closed contours of a character.
pub(super) fn outline(c: char) -> Vec<Vec<Point>> {
    let read = || {
        let (_, at) = entry_or_box(c)?;
        let mut reader = Reader(bytes().get(at..)?);
        let contours = reader.byte()?;
        (0..contours).map(|_| reader.contour()).collect::<Option<Vec<_>>>()
    };
    read().unwrap_or_default()
}

struct Reader<'a>(&'a [u8]);
impl Reader<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }
    fn number(&mut self) -> Option<i32> {
        let mut value = 0u32;
        for shift in (0..28).step_by(7) {
            let byte = self.byte()?;
            value |= u32::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                let half = i32::try_from(value >> 1).ok()?;
                return Some(if value & 1 == 0 { half } else { -half - 1 });
            }
        }
        None
    }
    fn contour(&mut self) -> Option<Vec<Point>> {
        let count = usize::from(self.byte()?);
        let (flags, rest) = self.0.split_at_checked(count.div_ceil(8))?;
        self.0 = rest;
        let (mut x, mut y) = (0i32, 0i32);
        let mut points = Vec::with_capacity(count);
        for index in 0..count {
            x = x.checked_add(self.number()?)?;
            y = y.checked_add(self.number()?)?;
            let on = flags.get(index / 8)? >> (index % 8) & 1 == 1;
            points.push(Point { x: f64::from(x) / UNITS, y: f64::from(y) / UNITS, on });
        }
        Some(points)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_letter_has_an_outline() {
        let count = word(bytes(), 0).unwrap();
        assert!(count > 400, "{count}");
        let mut before = None;
        for index in 0..count {
            let c = char::from_u32(word(bytes(), 2 + index * ENTRY_BYTES).unwrap() as u32).unwrap();
            assert!(before < Some(c), "{c}");
            before = Some(c);
            let contours = outline(c);
            assert!(advance(c) > 0.0, "{c}");
            assert_eq!(contours.is_empty(), c.is_whitespace(), "{c}");
            for contour in &contours {
                assert!(contour.len() > 2 && contour[0].on, "{c}");
                assert!(contour.windows(2).all(|w| w[0].on || w[1].on), "{c}");
                assert!(contour.iter().all(|p| (-1.0..2.0).contains(&p.x) && (-1.0..2.0).contains(&p.y)), "{c}");
            }
        }
        for c in "aZ09 %°µ²€äöüßÄÖÜéñçłőжΩ≤≥∞–…→".chars() {
            assert!(entry(c).is_some(), "{c}");
        }
    }

    #[test]
    fn what_is_not_there_is_a_box_and_what_is_unseen_is_nothing() {
        assert_eq!(outline('漢'), outline('\u{fffd}'));
        assert!(!outline('漢').is_empty());
        for c in ['\u{301}', '\u{fe0f}', '\n', '\u{202e}'] {
            assert!(outline(c).is_empty() && advance(c) == 0.0, "{c:?}");
        }
        assert_eq!(width("", 10.0), 0.0);
        assert!((width("ii", 10.0) - 2.0 * width("i", 10.0)).abs() < 1e-9 && width("W", 10.0) > width("i", 10.0));
    }
}
