//! Outlines of lines, rings and letters, in pixels. How much of a pixel they cover is `coverage`'s affair.

use std::f64::consts::PI;

use super::super::font;
use super::super::list::DASH;
use super::coverage::Outline;

/// The most dashes of one line.
const DASHES_MAX: usize = 2_000;
/// A corner of a line through points that is sharper than this reaches no further out than so many half widths.
const CORNER_MAX: f64 = 2.0;
/// About how long the straight parts of a curve are, in pixels, and how many there are.
const PART: f64 = 2.5;
const PARTS: [f64; 2] = [8.0, 720.0];

/// A straight line; `dashes` is the scale in which dashes are drawn.
pub(super) fn straight(outline: &mut Outline, from: [f64; 2], to: [f64; 2], width: f64, dashes: Option<f64>) {
    let (dx, dy) = (to[0] - from[0], to[1] - from[1]);
    let length = dx.hypot(dy);
    if !(length > 0.0 && length.is_finite()) {
        return;
    }
    let (along, half) = ([dx / length, dy / length], width / 2.0);
    let across = [-along[1] * half, along[0] * half];
    let mut piece = |start: f64, end: f64| {
        let at = |distance: f64, side: f64| [from[0] + along[0] * distance + across[0] * side, from[1] + along[1] * distance + across[1] * side];
        outline.contour(&[at(start, 1.0), at(end, 1.0), at(end, -1.0), at(start, -1.0)]);
    };
    let Some(scale) = dashes else { return piece(0.0, length) };
    let [dash, gap] = DASH.map(|n| n * scale);
    for index in 0..DASHES_MAX {
        let start = index as f64 * (dash + gap);
        if start >= length {
            break;
        }
        piece(start, (start + dash).min(length));
    }
}

/// A line through points with mitred corners, as one contour: there along its left side, back along its right one.
pub(super) fn through(outline: &mut Outline, points: &[[f64; 2]], width: f64) {
    let mut kept: Vec<[f64; 2]> = Vec::with_capacity(points.len());
    for point in points.iter().filter(|p| p.iter().all(|n| n.is_finite())) {
        // Corners between points that lie on each other have no direction.
        if kept.last().is_none_or(|last| (last[0] - point[0]).hypot(last[1] - point[1]) > 0.01) {
            kept.push(*point);
        }
    }
    if let [only] = kept.as_slice() {
        return disc(outline, *only, width);
    }
    let half = width / 2.0;
    let normals: Vec<[f64; 2]> = kept
        .windows(2)
        .map(|w| {
            let (dx, dy) = (w[1][0] - w[0][0], w[1][1] - w[0][1]);
            let length = dx.hypot(dy);
            [-dy / length * half, dx / length * half]
        })
        .collect();
    let mut left = Vec::with_capacity(kept.len() * 2);
    let mut right = Vec::with_capacity(kept.len() * 2);
    for (index, point) in kept.iter().enumerate() {
        let before = index.checked_sub(1).and_then(|i| normals.get(i)).or(normals.first());
        let after = normals.get(index).or(normals.last());
        let (Some(before), Some(after)) = (before, after) else { return };
        for offset in corner(*before, *after, half) {
            left.push([point[0] + offset[0], point[1] + offset[1]]);
            right.push([point[0] - offset[0], point[1] - offset[1]]);
        }
    }
    right.reverse();
    left.extend(right);
    outline.contour(&left);
}

/// What is added to a point for the left side: one place where both edges meet, or one for each edge where that is far away.
fn corner(before: [f64; 2], after: [f64; 2], half: f64) -> Vec<[f64; 2]> {
    let sum = [before[0] + after[0], before[1] + after[1]];
    let square = sum[0] * sum[0] + sum[1] * sum[1];
    // The sum of two normals of length h is 2 h cos(a) long, the corner is h / cos(a) away.
    let factor = 2.0 * half * half / square;
    if square > 0.0 && factor * square.sqrt() <= CORNER_MAX * half { vec![[sum[0] * factor, sum[1] * factor]] } else { vec![before, after] }
}

fn parts(length: f64) -> usize {
    if length.is_finite() { (length / PART).ceil().clamp(PARTS[0], PARTS[1]) as usize } else { PARTS[0] as usize }
}

pub(super) fn disc(outline: &mut Outline, centre: [f64; 2], radius: f64) {
    let parts = parts(2.0 * PI * radius);
    let points: Vec<[f64; 2]> = (0..parts)
        .map(|part| {
            let angle = 2.0 * PI * part as f64 / parts as f64;
            [centre[0] + radius * angle.cos(), centre[1] + radius * angle.sin()]
        })
        .collect();
    outline.contour(&points);
}

/// Part of a ring whose middle has a radius, from one angle to another, clockwise from the left.
pub(super) fn ring(outline: &mut Outline, centre: [f64; 2], radius: f64, [from, to]: [f64; 2], width: f64) {
    let (outer, inner) = (radius + width / 2.0, (radius - width / 2.0).max(0.0));
    let parts = parts(outer * (to - from).abs());
    let at = |radius: f64, part: usize| {
        let angle = from + (to - from) * part as f64 / parts as f64;
        [centre[0] - radius * angle.cos(), centre[1] - radius * angle.sin()]
    };
    let points: Vec<[f64; 2]> = (0..=parts).map(|part| at(outer, part)).chain((0..=parts).rev().map(|part| at(inner, part))).collect();
    outline.contour(&points);
}

/// A letter whose base line begins at a place.
pub(super) fn letter(outline: &mut Outline, c: char, at: [f64; 2], size: f64) {
    for contour in font::outline(c) {
        let place = |p: &font::Point| [at[0] + p.x * size, at[1] - p.y * size];
        let mut points: Vec<[f64; 2]> = Vec::with_capacity(contour.len() * 2);
        for (index, point) in contour.iter().enumerate() {
            if point.on {
                points.push(place(point));
                continue;
            }
            let (Some(from), Some(to)) = (points.last().copied(), contour.get((index + 1) % contour.len()).map(place)) else { continue };
            let control = place(point);
            let length = (control[0] - from[0]).hypot(control[1] - from[1]) + (to[0] - control[0]).hypot(to[1] - control[1]);
            let parts = (length / PART).ceil().clamp(2.0, 16.0) as usize;
            for part in 1..parts {
                let t = part as f64 / parts as f64;
                let (a, b, c) = ((1.0 - t) * (1.0 - t), 2.0 * t * (1.0 - t), t * t);
                points.push([a * from[0] + b * control[0] + c * to[0], a * from[1] + b * control[1] + c * to[1]]);
            }
        }
        outline.contour(&points);
    }
}
