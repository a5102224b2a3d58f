//! Heatmaps: how often values fall into each bucket over time, the more the stronger. Buckets are those of a classic histogram, or each series
//! is one. Values that are no counts yet are not put into buckets here.

use std::collections::BTreeMap;

use watchfire_model::order::Order as _;

use super::draw::{Line, View, share, time_axis};
use super::font;
use super::list::{Anchor, Colour, Picture, fitting};

/// What counts are drawn in.
const FILL: Colour = Colour([0xe0, 0x7b, 0x28]);
/// Shades of it.
const LEVELS: f64 = 10.0;
/// Cells of a picture are at most so many, side by side and one above the other.
const CELLS_MAX: [usize; 2] = [200, 100];
/// No cell is smaller than this.
const CELL: [f64; 2] = [4.0, 3.0];
const SIZE: f64 = 11.0;

/// A bucket: its name, and how much is in it at each moment.
struct Bucket {
    name: String,
    counts: BTreeMap<i64, f64>,
}

/// Draws buckets, the lowest at the foot.
pub(super) fn heatmap(picture: &mut Picture, lines: &[Line], view: &View, at: [f64; 4]) {
    let theme = view.theme;
    let buckets = buckets(lines);
    let names = buckets.iter().map(|bucket| font::width(&bucket.name, SIZE)).fold(20.0, f64::max).min(at[2] * 0.3);
    let plot = [at[0] + names + 8.0, at[1] + 4.0, (at[2] - names - 8.0).max(10.0), (at[3] - 26.0).max(10.0)];
    let x = time_axis(picture, view, plot);
    let [columns, rows] = [0, 1].map(|side| ((plot[2 + side] / CELL[side]) as usize).clamp(1, CELLS_MAX[side]));
    let [start, end] = view.range;
    // As many steps and buckets as are needed become one cell.
    let steps = (end.saturating_sub(start) / view.step_ms.max(1)).max(1) as usize;
    let span = view.step_ms.max(1).saturating_mul(steps.div_ceil(columns) as i64);
    let together = buckets.len().div_ceil(rows).max(1);
    let groups: Vec<&[Bucket]> = buckets.chunks(together).collect();
    let cells: Vec<BTreeMap<i64, f64>> = groups.iter().map(|group| cells(group, start, span)).collect();
    let most = cells.iter().flat_map(BTreeMap::values).copied().filter(|count| count.is_finite()).fold(0.0, f64::max);
    let height = plot[3] / groups.len().max(1) as f64;
    let each = (SIZE / height).ceil().max(1.0) as usize;
    for (index, (group, cells)) in groups.iter().zip(&cells).enumerate() {
        let top = plot[1] + plot[3] - (index + 1) as f64 * height;
        if let Some(last) = group.last().filter(|_| index % each == 0) {
            let name = fitting(&last.name, SIZE, names);
            picture.text([plot[0] - 8.0, top + height / 2.0 + 4.0], SIZE, theme.ink, Anchor::End, &name);
        }
        // Neighbours of one shade are one rectangle.
        let mut run: Option<(i64, i64, f64)> = None;
        for (column, count) in cells {
            let level = (share(*count, most) * LEVELS).ceil();
            let open = run.filter(|(_, to, shade)| to == column && *shade == level);
            if open.is_none() {
                shaded(picture, run, &x, [start, span, end], [top, height]);
            }
            run = Some((open.map_or(*column, |(from, ..)| from), column + 1, level));
        }
        shaded(picture, run, &x, [start, span, end], [top, height]);
    }
}

fn shaded(picture: &mut Picture, run: Option<(i64, i64, f64)>, x: &dyn Fn(i64) -> f64, [start, span, end]: [i64; 3], [top, height]: [f64; 2]) {
    let Some((from, to, level)) = run.filter(|(_, _, level)| *level > 0.0) else { return };
    let [left, right] = [from, to].map(|column| x(start.saturating_add(column.saturating_mul(span)).min(end)));
    picture.rect([left, top, right - left, height], FILL, level / LEVELS);
}

/// What is in buckets together, by the number of the cell.
fn cells(group: &[Bucket], start: i64, span: i64) -> BTreeMap<i64, f64> {
    let mut sums = BTreeMap::new();
    for (time, count) in group.iter().flat_map(|bucket| &bucket.counts) {
        *sums.entry(time.saturating_sub(start) / span.max(1)).or_default() += count.max(0.0);
    }
    sums
}

/// Series as buckets. What a classic histogram counts up to its bounds, over all of its series, becomes what lies between them.
fn buckets(lines: &[Line]) -> Vec<Bucket> {
    let known = |line: &Line| line.points.iter().filter(|p| !p.1.is_nan()).copied().collect::<BTreeMap<i64, f64>>();
    let mut bounded: Vec<(f64, Bucket)> = Vec::new();
    for line in lines {
        let Some(bound) = line.bound else { continue };
        match bounded.iter_mut().find(|(other, _)| *other == bound) {
            Some((_, bucket)) => known(line).into_iter().for_each(|(time, count)| *bucket.counts.entry(time).or_default() += count),
            None => bounded.push((bound, Bucket { name: name(bound), counts: known(line) })),
        }
    }
    bounded.order_by(|a, b| a.0.total_cmp(&b.0));
    let mut below: BTreeMap<i64, f64> = BTreeMap::new();
    let mut all = Vec::new();
    for (_, mut bucket) in bounded {
        let up_to = bucket.counts.clone();
        bucket.counts.iter_mut().for_each(|(time, count)| *count -= below.get(time).copied().unwrap_or(0.0));
        below = up_to;
        all.push(bucket);
    }
    all.extend(lines.iter().filter(|line| line.bound.is_none()).map(|line| Bucket { name: line.name.clone(), counts: known(line) }));
    all
}

fn name(bound: f64) -> String {
    match bound.abs() {
        f64::INFINITY => if bound > 0.0 { "+Inf" } else { "-Inf" }.to_owned(),
        size if size >= 1e9 || (size > 0.0 && size < 1e-6) => format!("{bound:e}"),
        _ => bound.to_string(),
    }
}
