//! What cameras see and detectors look for: bright boxes on a dark ground, in grey pictures as binary PGM.

use std::io::{Error, ErrorKind, Result};

pub(crate) const WIDTH: usize = 160;
pub(crate) const HEIGHT: usize = 120;
/// Points brighter than this belong to something.
const BRIGHT: u8 = 128;
/// Smaller patches are noise.
const AREA_MIN: usize = 12;
const HEADER: &[u8] = b"P5\n160 120\n255\n";

/// Something that was found.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Found {
    pub(crate) class: &'static str,
    pub(crate) confidence: f64,
    pub(crate) area: usize,
    pub(crate) x: usize,
    pub(crate) y: usize,
}

/// Draws boxes (x, y, width, height); their edges are grey, so that not all of a box is surely bright.
pub(crate) fn draw(boxes: &[(usize, usize, usize, usize)], step: usize) -> Vec<u8> {
    let mut points: Vec<u8> = (0..WIDTH * HEIGHT).map(|i| 20 + ((i * 7 + step * 13) % 17) as u8).collect();
    for (left, top, width, height) in boxes {
        for y in *top..(top + height).min(HEIGHT) {
            for x in *left..(left + width).min(WIDTH) {
                if let Some(point) = points.get_mut(y * WIDTH + x) {
                    *point = if (x * 5 + y * 3 + step).is_multiple_of(11) { 110 } else { 220 };
                }
            }
        }
    }
    [HEADER, &points].concat()
}

/// Finds patches of bright points. What is no whole picture is an error.
pub(crate) fn detect(file: &[u8]) -> Result<Vec<Found>> {
    let points = file.strip_prefix(HEADER).filter(|points| points.len() == WIDTH * HEIGHT);
    let points = points.ok_or_else(|| Error::new(ErrorKind::InvalidData, "cannot read the picture: it is not whole"))?;
    let mut bright: Vec<bool> = points.iter().map(|point| *point > BRIGHT).collect();
    let mut found = Vec::new();
    for start in 0..bright.len() {
        if bright.get(start) == Some(&true) {
            found.extend(patch(&mut bright, start));
        }
    }
    Ok(found)
}

/// Takes one connected patch out and says what it looks like: by the shape of its box, as sure as the box is full.
fn patch(bright: &mut [bool], start: usize) -> Option<Found> {
    let (mut left, mut right, mut top, mut bottom, mut area) = (WIDTH, 0, HEIGHT, 0, 0);
    let mut next = vec![start];
    while let Some(at) = next.pop() {
        match bright.get_mut(at) {
            Some(here) if *here => *here = false,
            _ => continue,
        }
        let (x, y) = (at % WIDTH, at / WIDTH);
        (left, right, top, bottom, area) = (left.min(x), right.max(x), top.min(y), bottom.max(y), area + 1);
        for row in y.saturating_sub(1)..=(y + 1).min(HEIGHT - 1) {
            next.extend((x.saturating_sub(1)..=(x + 1).min(WIDTH - 1)).map(|column| row * WIDTH + column));
        }
    }
    if area < AREA_MIN {
        return None;
    }
    let (width, height) = (right - left + 1, bottom - top + 1);
    let class = if height * 2 >= width * 3 {
        "person"
    } else if width * 2 >= height * 3 {
        "car"
    } else {
        "cat"
    };
    Some(Found { class, confidence: area as f64 / (width * height) as f64, area, x: left, y: top })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_are_found_with_their_class() {
        let found = detect(&draw(&[(5, 5, 10, 30), (50, 40, 40, 15), (120, 80, 12, 12)], 3)).unwrap();
        assert_eq!(found.iter().map(|f| f.class).collect::<Vec<_>>(), ["person", "car", "cat"]);
        assert!(found.iter().all(|f| f.confidence > 0.85 && f.confidence < 1.0), "{found:?}");
        assert_eq!(detect(&draw(&[], 0)).unwrap(), []);
    }

    #[test]
    fn what_is_torn_is_no_picture() {
        let whole = draw(&[(5, 5, 10, 30)], 0);
        for torn in [&whole[..whole.len() / 2], b"", b"P5\n", &[whole.clone(), vec![0]].concat()] {
            assert!(detect(torn).is_err());
        }
    }
}
