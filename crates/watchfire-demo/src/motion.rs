//! Finds movement between two pictures: pixels that changed by more than a threshold, the largest connected patch of them, its
//! box and a confidence. It knows no objects: what moved is unknown.

use crate::picture::Picture;

/// A pixel has changed when it differs by more than this; sensors are noisier than one expects.
const THRESHOLD: u8 = 24;
/// Smaller patches are noise.
const AREA_MIN: usize = 12;

/// Something that moved.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Motion {
    /// Left edge of the box, in pixels.
    pub(crate) x: usize,
    /// Upper edge.
    pub(crate) y: usize,
    /// Width of the box.
    pub(crate) width: usize,
    /// Height of the box.
    pub(crate) height: usize,
    /// Changed pixels of the patch.
    pub(crate) area: usize,
    /// The share of the picture that changed.
    pub(crate) share: f64,
    /// How sure it is that this is no noise, 0.5 to 1: the smallest area that counts against this one.
    pub(crate) confidence: f64,
}

/// The largest movement between two pictures of one size; `None` when nothing moved, or when the sizes differ.
pub(crate) fn between(before: &Picture, now: &Picture) -> Option<Motion> {
    if (before.width, before.height) != (now.width, now.height) {
        return None;
    }
    let mut changed: Vec<bool> = before.pixels.iter().zip(&now.pixels).map(|(a, b)| a.abs_diff(*b) > THRESHOLD).collect();
    let total = changed.iter().filter(|c| **c).count();
    let mut largest: Option<Patch> = None;
    let mut from = 0;
    while let Some(start) = changed.iter().skip(from).position(|c| *c).map(|i| i + from) {
        let patch = fill(&mut changed, now.width, start);
        from = start;
        if largest.as_ref().is_none_or(|l| patch.area > l.area) {
            largest = Some(patch);
        }
    }
    let patch = largest.filter(|patch| patch.area >= AREA_MIN)?;
    Some(Motion {
        x: patch.left,
        y: patch.top,
        width: patch.right - patch.left + 1,
        height: patch.bottom - patch.top + 1,
        area: patch.area,
        share: total as f64 / now.pixels.len().max(1) as f64,
        confidence: 1.0 - AREA_MIN as f64 / (2.0 * patch.area as f64),
    })
}

struct Patch {
    left: usize,
    right: usize,
    top: usize,
    bottom: usize,
    area: usize,
}

/// Takes the patch around a changed pixel out of the picture. Pixels that touch at a corner belong together.
fn fill(changed: &mut [bool], width: usize, start: usize) -> Patch {
    let (x, y) = (start % width, start / width);
    let mut patch = Patch { left: x, right: x, top: y, bottom: y, area: 0 };
    let mut next = vec![start];
    while let Some(at) = next.pop() {
        match changed.get_mut(at) {
            Some(here) if *here => *here = false,
            _ => continue,
        }
        let (x, y) = (at % width, at / width);
        patch.left = patch.left.min(x);
        patch.right = patch.right.max(x);
        patch.top = patch.top.min(y);
        patch.bottom = patch.bottom.max(y);
        patch.area += 1;
        for ny in y.saturating_sub(1)..=y + 1 {
            let row = x.saturating_sub(1)..=(x + 1).min(width - 1);
            next.extend(row.map(|nx| ny * width + nx).filter(|n| changed.get(*n) == Some(&true)));
        }
    }
    patch
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(rows: &[&str]) -> Picture {
        let pixels: Vec<u8> = rows.iter().flat_map(|r| r.bytes()).map(|b| if b == b'#' { 200 } else { 20 }).collect();
        Picture { width: rows[0].len(), height: rows.len(), pixels }
    }

    #[test]
    fn the_box_of_the_largest_patch_is_found() {
        let before = picture(&["..........", "..........", "..........", "..........", ".........."]);
        let now = picture(&["#.........", "...#####..", "...#####..", "...#####..", ".........#"]);
        let motion = between(&before, &now).unwrap();
        assert_eq!((motion.x, motion.y, motion.width, motion.height, motion.area), (3, 1, 5, 3, 15));
        assert_eq!((motion.share, motion.confidence), (17.0 / 50.0, 0.6));
        assert_eq!(between(&now, &before).unwrap(), motion);
    }

    #[test]
    fn patches_are_connected_at_corners_and_not_around_edges() {
        let before = picture(&["........", "........", "........"]);
        let now = picture(&["###.....", "###..###", "###.####"]);
        // The row above ends where the next begins: that is no connection.
        assert_eq!(between(&before, &now).map(|m| m.area), None);
        let now = picture(&["####....", "####....", "###.####"]);
        let motion = between(&before, &now).unwrap();
        assert_eq!((motion.width, motion.area), (8, 15));
    }

    #[test]
    fn noise_and_stillness_are_no_motion() {
        let before = Picture { width: 8, height: 8, pixels: vec![100; 64] };
        let noisy = Picture { pixels: (0..64).map(|i| 100 + (i % 24) as u8).collect(), ..before.clone() };
        assert_eq!(between(&before, &noisy), None);
        let other = Picture { width: 4, height: 16, pixels: vec![255; 64] };
        assert_eq!(between(&before, &other), None);
        let all = Picture { pixels: vec![255; 64], ..before.clone() };
        let motion = between(&before, &all).unwrap();
        assert_eq!((motion.width, motion.height, motion.area, motion.share), (8, 8, 64, 1.0));
    }
}
