//! How much of each pixel lies within an outline: straight edges, summed row by row as signed areas. Overlapping parts of one direction
//! count once. It knows no shapes and no colours.

use watchfire_model::order::Order as _;

/// An edge that goes down by `sign` 1 or up by -1; its upper end comes first.
struct Edge {
    top: [f64; 2],
    bottom: [f64; 2],
    sign: f32,
}

/// Places further away are moved here, where sums of them are still exact.
const FAR: f64 = 1e7;

/// Closed outlines in pixels.
#[derive(Default)]
pub(super) struct Outline {
    edges: Vec<Edge>,
}

impl Outline {
    /// Adds a closed contour; one with a place that is no number is none.
    pub(super) fn contour(&mut self, points: &[[f64; 2]]) {
        if points.iter().flatten().any(|n| n.is_nan()) {
            return;
        }
        let near = |point: &[f64; 2]| point.map(|n| n.clamp(-FAR, FAR));
        let Some(mut last) = points.last().map(near) else { return };
        for point in points {
            let point = near(point);
            self.edge(last, point);
            last = point;
        }
    }
    fn edge(&mut self, from: [f64; 2], to: [f64; 2]) {
        if from[1] != to[1] {
            let down = from[1] < to[1];
            let (top, bottom) = if down { (from, to) } else { (to, from) };
            self.edges.push(Edge { top, bottom, sign: if down { 1.0 } else { -1.0 } });
        }
    }

    /// Gives each row that the outline touches within the window (left, top, right, bottom in whole pixels): the row, the first pixel, and
    /// how much of each pixel from there on is covered, from 0 to 1.
    pub(super) fn rows(mut self, window: [usize; 4], mut row: impl FnMut(usize, usize, &[f32])) {
        let [left, top, right, bottom] = window;
        self.edges.retain(|e| e.bottom[1] > top as f64 && e.top[1] < bottom as f64);
        if left >= right || self.edges.is_empty() {
            return;
        }
        self.edges.order_by(|a, b| a.top[1].total_cmp(&b.top[1]));
        let lowest = self.edges.iter().map(|e| e.bottom[1]).fold(0.0, f64::max);
        let first = self.edges.first().map_or(0, |e| e.top[1].max(top as f64) as usize);
        let last = (lowest.ceil() as usize).min(bottom);
        let mut sums = vec![0.0f32; right - left + 2];
        let mut active: Vec<usize> = Vec::new();
        let mut next = 0;
        for y in first..last {
            while self.edges.get(next).is_some_and(|e| e.top[1] < (y + 1) as f64) {
                active.push(next);
                next += 1;
            }
            let mut span = Span { sums: &mut sums, first: usize::MAX, last: 0, width: (right - left) as f64 };
            active.retain(|index| {
                let Some(edge) = self.edges.get(*index) else { return false };
                span.add(edge, y as f64, left as f64);
                edge.bottom[1] > (y + 1) as f64
            });
            let (from, to) = (span.first, span.last);
            if from > to {
                continue;
            }
            let mut sum = 0.0;
            for value in sums.iter_mut().take(to + 1).skip(from) {
                sum += *value;
                *value = sum.abs().min(1.0);
            }
            let shown = to.min(right - left - 1) + 1;
            if from < shown
                && let Some(covered) = sums.get(from..shown)
            {
                row(y, left + from, covered);
            }
            sums.iter_mut().take(to + 1).skip(from).for_each(|value| *value = 0.0);
        }
    }
}

/// The sums of one row, and where there are any. What lies left of the window counts at its first pixel, what lies right of it nowhere.
struct Span<'a> {
    sums: &'a mut [f32],
    first: usize,
    last: usize,
    width: f64,
}
impl Span<'_> {
    fn put(&mut self, at: usize, value: f32) {
        if let Some(sum) = self.sums.get_mut(at) {
            *sum += value;
        }
    }
    /// The part of an edge within a row.
    fn add(&mut self, edge: &Edge, y: f64, left: f64) {
        let (top, bottom) = (edge.top[1].max(y), edge.bottom[1].min(y + 1.0));
        if bottom <= top {
            return;
        }
        let slope = (edge.bottom[0] - edge.top[0]) / (edge.bottom[1] - edge.top[1]);
        let x = |at: f64| (edge.top[0] + (at - edge.top[1]) * slope - left).clamp(0.0, self.width);
        let (a, b) = (x(top), x(bottom));
        let (from, to) = (a.min(b), a.max(b));
        let height = (bottom - top) as f32 * edge.sign;
        let (first, last) = (from as usize, to.ceil() as usize);
        self.first = self.first.min(first);
        self.last = self.last.max(last.max(first + 1));
        if last <= first + 1 {
            // Within one pixel: what is right of the edge's middle is covered.
            let right = ((from + to) / 2.0 - first as f64) as f32;
            self.put(first, height * (1.0 - right));
            self.put(first + 1, height * right);
            return;
        }
        // Across several: for each pixel the height of the edge so far, times what is right of it.
        let per_pixel = f64::from(height) / (to - from);
        let mut before = 0.0f64;
        for pixel in first..last {
            let (start, end) = ((pixel as f64).max(from), ((pixel + 1) as f64).min(to));
            let here = per_pixel * (end - start);
            let right = (start + end) / 2.0 - pixel as f64;
            self.put(pixel, (before + here * (1.0 - right)) as f32);
            before = here * right;
        }
        self.put(last, before as f32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn covered(contours: &[&[[f64; 2]]], window: [usize; 4]) -> Vec<Vec<f32>> {
        let mut outline = Outline::default();
        contours.iter().for_each(|c| outline.contour(c));
        let mut all = vec![vec![0.0; window[2] - window[0]]; window[3] - window[1]];
        outline.rows(window, |y, x, row| all[y - window[1]][x - window[0]..x - window[0] + row.len()].copy_from_slice(row));
        all
    }
    fn square(x: f64, y: f64, side: f64) -> [[f64; 2]; 4] {
        [[x, y], [x + side, y], [x + side, y + side], [x, y + side]]
    }

    #[test]
    fn areas() {
        assert_eq!(covered(&[&square(1.0, 1.0, 2.0)], [0, 0, 4, 4]), [[0., 0., 0., 0.], [0., 1., 1., 0.], [0., 1., 1., 0.], [0., 0., 0., 0.]]);
        assert_eq!(covered(&[&square(0.5, 0.5, 1.0)], [0, 0, 2, 2]), [[0.25, 0.25], [0.25, 0.25]]);
        // Both halves of a triangle.
        assert_eq!(covered(&[&[[0.0, 0.0], [2.0, 2.0], [0.0, 2.0]]], [0, 0, 2, 2]), [[0.5, 0.0], [1.0, 0.5]]);
        // Twice over each other is once, and a hole is a hole.
        assert_eq!(covered(&[&square(0.0, 0.0, 2.0), &square(0.0, 0.0, 2.0)], [0, 0, 2, 2]), [[1.0, 1.0], [1.0, 1.0]]);
        let mut hole = square(1.0, 0.0, 1.0);
        hole.reverse();
        assert_eq!(covered(&[&square(0.0, 0.0, 3.0), &hole], [0, 0, 3, 1]), [[1.0, 0.0, 1.0]]);
    }

    #[test]
    fn nothing_reaches_beyond_the_window() {
        assert_eq!(covered(&[&square(-100.0, -100.0, 1_000.0)], [3, 3, 5, 5]), [[1.0, 1.0], [1.0, 1.0]]);
        assert_eq!(covered(&[&square(-10.0, -10.0, 5.0), &square(100.0, 0.0, 5.0)], [0, 0, 2, 2]), [[0.0; 2]; 2]);
        assert_eq!(covered(&[&[[f64::NAN, 0.0], [f64::INFINITY, 5.0], [1.0, 9.0]]], [0, 0, 2, 2]), [[0.0; 2]; 2]);
        assert_eq!(covered(&[&[[1e300, 0.0], [-1e300, 5.0], [1e300, 9.0]], &[]], [0, 0, 1, 1]).len(), 1);
    }

    proptest! {
        #[test]
        fn the_sum_is_the_area(points in proptest::collection::vec((0.0f64..20.0, 0.0f64..20.0), 3)) {
            let points: Vec<[f64; 2]> = points.into_iter().map(|(x, y)| [x, y]).collect();
            let sum: f64 = covered(&[&points], [0, 0, 20, 20]).iter().flatten().map(|v| f64::from(*v)).sum();
            let [a, b, c] = [points[0], points[1], points[2]];
            let area = ((b[0] - a[0]) * (c[1] - a[1]) - (c[0] - a[0]) * (b[1] - a[1])).abs() / 2.0;
            prop_assert!((sum - area).abs() < 0.02, "{sum} {area}");
        }
        #[test]
        fn any_outline_is_taken(points in proptest::collection::vec((any::<f64>(), any::<f64>()), 0..9), left in 0usize..4, top in 0usize..4) {
            let points: Vec<[f64; 2]> = points.into_iter().map(|(x, y)| [x, y]).collect();
            let rows = covered(&[&points], [left, top, left + 7, top + 7]);
            prop_assert!(rows.iter().flatten().all(|v| (0.0..=1.0).contains(v)));
        }
    }
}
