//! Draws a panel out of its answers: lines over time, single values, gauges, bars. States over time are drawn by `rows`, heatmaps by
//! `heat`, lines of logs by `logs`, tables by `table`. What it cannot draw it says in words.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::tz::TimeZone;

use super::fields::{Figure, figures, lines};
use super::frames::{Cell, Frame, Kind};
use super::list::{Anchor, Colour, Picture, fitting};
use super::look::{Colours, Look};
use super::panel::Panel;
use super::{heat, logs, rows, table, units};

/// Colours of series, in their order. They can be told apart on both papers, also by eyes that lack a kind of cone.
const COLOURS: [Colour; 8] = [
    Colour([0x35, 0x5b, 0x8f]),
    Colour([0x7f, 0xb4, 0x77]),
    Colour([0xf3, 0x8e, 0x21]),
    Colour([0x81, 0x56, 0xcf]),
    Colour([0xb9, 0x2e, 0x30]),
    Colour([0x35, 0x9b, 0xa0]),
    Colour([0xb7, 0x90, 0x40]),
    Colour([0xbf, 0x8a, 0xdb]),
];
/// Series that are drawn; more are counted in words.
pub(super) const SERIES_MAX: usize = 30;
/// Ends of axes are drawn up to here, so that their distance is a number, too.
const END_MAX: f64 = 1e300;
pub(super) const PAD: f64 = 10.0;
pub(super) const HEAD: f64 = 26.0;

/// The colours of a picture.
#[derive(Clone, Copy)]
pub(super) struct Theme {
    pub(super) paper: Colour,
    pub(super) ink: Colour,
    pub(super) faint: Colour,
}
pub(super) const LIGHT: Theme = Theme { paper: Colour([0xff, 0xff, 0xff]), ink: Colour([0x1f, 0x24, 0x30]), faint: Colour([0xcf, 0xd4, 0xdc]) };
pub(super) const DARK: Theme = Theme { paper: Colour([0x18, 0x1b, 0x20]), ink: Colour([0xe4, 0xe7, 0xec]), faint: Colour([0x3a, 0x40, 0x4a]) };

/// A series with its name: times in milliseconds and values.
pub(super) struct Line {
    pub(super) name: String,
    pub(super) points: Vec<(i64, f64)>,
    /// The upper bound of the bucket that it counts, where a query asks for buckets.
    pub(super) bound: Option<f64>,
    pub(super) look: Arc<Look>,
}

/// What is to be drawn.
pub(super) enum Content {
    Frames(Vec<Frame>),
    Buckets(Vec<Line>),
    Logs(Vec<logs::Entry>),
    /// Why there is nothing.
    Failed(String),
}

/// How a panel is looked at.
#[derive(Clone)]
pub(super) struct View {
    /// From when to when, in milliseconds.
    pub(super) range: [i64; 2],
    /// How far moments of answers are from each other, in milliseconds.
    pub(super) step_ms: i64,
    pub(super) theme: Theme,
    /// In which the times of axes are told.
    pub(super) zone: TimeZone,
}

/// Draws a panel in a size. What it does not show is said at its foot.
pub(super) fn draw(panel: &Panel, content: &Content, notes: &[String], view: &View, size: [f64; 2]) -> Picture {
    let theme = view.theme;
    let mut picture = Picture::new(size[0], size[1]);
    picture.rect([0.0, 0.0, size[0], size[1]], theme.paper, 1.0);
    picture.text([PAD, 18.0], 14.0, theme.ink, Anchor::Start, &fitting(&panel.title, 14.0, size[0] - 2.0 * PAD));
    let mut inner = [PAD, HEAD, size[0] - 2.0 * PAD, size[1] - HEAD - PAD];
    if !notes.is_empty() {
        picture.text([PAD, size[1] - 4.0], 10.0, theme.ink, Anchor::Start, &fitting(&notes.join("; "), 10.0, inner[2]));
        inner[3] -= 8.0;
    }
    match content {
        Content::Failed(reason) => words(&mut picture, inner, theme, reason),
        _ if panel.kind == "text" => words(&mut picture, inner, theme, &panel.text),
        Content::Logs(entries) if entries.is_empty() => words(&mut picture, inner, theme, panel.look.nothing()),
        Content::Logs(entries) => logs::lines(&mut picture, entries, view, inner),
        Content::Buckets(lines) if is_empty(lines) => words(&mut picture, inner, theme, panel.look.nothing()),
        Content::Buckets(lines) => heat::heatmap(&mut picture, lines, view, inner),
        Content::Frames(frames) if !frames.iter().any(has_values) => words(&mut picture, inner, theme, panel.look.nothing()),
        Content::Frames(frames) => match panel.kind.as_str() {
            "table" if !table::are_series(frames) => table::table(&mut picture, panel, frames, view, inner),
            "timeseries" | "graph" | "state-timeline" | "status-history" => {
                let lines = lines(frames);
                match panel.kind.as_str() {
                    _ if is_empty(&lines) => words(&mut picture, inner, theme, panel.look.nothing()),
                    "timeseries" | "graph" => over_time(&mut picture, panel, &lines, view, inner),
                    kind => rows::states(&mut picture, &lines, view, inner, kind == "status-history"),
                }
            }
            "stat" | "singlestat" | "gauge" | "bargauge" | "piechart" | "barchart" | "table" => {
                let all = figures(frames, panel);
                match panel.kind.as_str() {
                    _ if all.is_empty() => words(&mut picture, inner, theme, panel.look.nothing()),
                    "gauge" => gauges(&mut picture, &all, inner, theme),
                    "stat" | "singlestat" => values(&mut picture, &all, inner, theme),
                    "table" => table::table(&mut picture, panel, &[table::list(all, panel)], view, inner),
                    _ => bars(&mut picture, &all, inner, theme),
                }
            }
            other => words(&mut picture, inner, theme, &format!("panels of type {other} are not drawn as pictures")),
        },
    }
    picture
}

fn is_empty(lines: &[Line]) -> bool {
    lines.iter().all(|line| line.points.iter().all(|point| point.1.is_nan()))
}

/// Whether there is more in a table than times.
fn has_values(frame: &Frame) -> bool {
    frame.iter().any(|field| field.kind != Kind::Time && field.values.iter().any(|cell| !cell.is_nothing()))
}

/// Says how much more there is, beside the title.
pub(super) fn more(picture: &mut Picture, at: [f64; 4], theme: Theme, count: usize, besides: &str) {
    if count > 0 || !besides.is_empty() {
        let words = if count > 0 { format!("{count} more{besides}") } else { format!("more{}", besides.trim_start_matches(',')) };
        picture.text([at[0] + at[2], at[1] - 12.0], 10.0, theme.ink, Anchor::End, &words);
    }
}

fn words(picture: &mut Picture, at: [f64; 4], theme: Theme, text: &str) {
    picture.text([at[0] + at[2] / 2.0, at[1] + at[3] / 2.0], 13.0, theme.ink, Anchor::Middle, &fitting(text, 13.0, at[2]));
}

/// Part of a whole between nothing and all; what cannot be told is nothing.
pub(super) fn share(part: f64, whole: f64) -> f64 {
    let share = part / whole;
    if share.is_nan() { 0.0 } else { share.clamp(0.0, 1.0) }
}

/// Bounds of the axis, the lower one below the upper, and the distance of its marks. A file may give any ends, and answers hold any values.
fn scale(low: f64, high: f64) -> (f64, f64, f64) {
    let [low, high] = [low, high].map(|end| if end.is_nan() { 0.0 } else { end.clamp(-END_MAX, END_MAX) });
    let (low, high) = if high > low { (low, high) } else { (low - low.abs().max(1.0) * 0.1, high + high.abs().max(1.0) * 0.1) };
    let rough = (high - low) / 4.0;
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].iter().map(|m| m * power).find(|s| *s >= rough).unwrap_or(rough);
    let (from, to) = ((low / step).floor() * step, (high / step).ceil() * step);
    // Numbers so near each other that no step lies between them.
    if from < to { (from, to, step) } else { (low - 1.0, low + low.abs().max(1.0), low.abs().max(1.0)) }
}

/// Whether two series are measured on one axis.
fn is_one_axis(a: &Look, b: &Look) -> bool {
    a.unit == b.unit && a.min == b.min && a.max == b.max
}

/// The colour of a series over time: its own, unless something says one.
fn line_colour(line: &Line, index: usize) -> Colour {
    let last = || line.points.iter().rev().find(|point| !point.1.is_nan()).and_then(|point| line.look.colour_of(&Cell::Number(point.1)));
    match line.look.colours {
        Colours::Fixed(fixed) => fixed,
        Colours::Steps => last().unwrap_or(colour(index)),
        _ => colour(index),
    }
}

/// Points as they are drawn: stacked ones on each other, some downwards.
fn placed(lines: &[Line]) -> Vec<Vec<(i64, f64)>> {
    let mut stacks: [BTreeMap<i64, f64>; 2] = Default::default();
    let mut all = Vec::new();
    for line in lines {
        let mut points = line.points.clone();
        let sums = &mut stacks[usize::from(line.look.turned)];
        for (time, value) in &mut points {
            if line.look.turned {
                *value = -*value;
            }
            if line.look.stacked {
                let sum = sums.entry(*time).or_default();
                *sum += if value.is_nan() { 0.0 } else { *value };
                *value = *sum;
            }
        }
        all.push(points);
    }
    all
}

fn over_time(picture: &mut Picture, panel: &Panel, lines: &[Line], view: &View, at: [f64; 4]) {
    let theme = view.theme;
    let drawn = &lines[..lines.len().min(SERIES_MAX)];
    more(picture, at, theme, lines.len() - drawn.len(), "");
    let Some(first) = drawn.first() else { return };
    let rows = drawn.len().div_ceil(3).min(4);
    let legend = rows as f64 * 16.0 + 4.0;
    // What is measured otherwise than the first series has its axis on the right.
    let right = drawn.iter().find(|line| !is_one_axis(&line.look, &first.look));
    let margin = if right.is_some() { 124.0 } else { 64.0 };
    let plot = [at[0] + 60.0, at[1] + 4.0, (at[2] - margin).max(10.0), (at[3] - 22.0 - legend).max(10.0)];
    let x = time_axis(picture, view, plot);
    let placed = placed(drawn);
    for (side, look) in [(0, &first.look), (1, right.map_or(&first.look, |line| &line.look))].into_iter().take(1 + usize::from(right.is_some())) {
        let own = || drawn.iter().zip(&placed).enumerate().filter(move |(_, (line, _))| is_one_axis(&line.look, &first.look) == (side == 0));
        let finite = || own().flat_map(|(_, (_, points))| points).map(|p| p.1).filter(|v| v.is_finite());
        let steps = if side == 0 && panel.threshold_lines { look.steps.as_slice() } else { &[] };
        let marks = || steps.iter().map(|s| s.0).filter(|v| v.is_finite());
        let low = look.min.unwrap_or_else(|| finite().chain(marks()).fold(0.0, f64::min));
        let high = look.max.unwrap_or_else(|| finite().chain(marks()).fold(low, f64::max));
        let (low, high, step) = scale(low, high);
        let y = |value: f64| plot[1] + plot[3] - (value.clamp(low, high) - low) / (high - low) * plot[3];
        let mut mark = low;
        for _ in 0..12 {
            if mark > high + step / 2.0 {
                break;
            }
            let words = fitting(&units::shown(mark, &look.unit, None), 11.0, 56.0);
            if side == 0 {
                picture.line([plot[0], y(mark)], [plot[0] + plot[2], y(mark)], theme.faint, false);
                picture.text([plot[0] - 6.0, y(mark) + 4.0], 11.0, theme.ink, Anchor::End, &words);
            } else {
                picture.text([plot[0] + plot[2] + 6.0, y(mark) + 4.0], 11.0, theme.ink, Anchor::Start, &words);
            }
            mark += step;
        }
        for (value, colour) in steps.iter().filter(|(v, _)| v.is_finite()) {
            picture.line([plot[0], y(*value)], [plot[0] + plot[2], y(*value)], colour.unwrap_or(theme.ink), true);
        }
        // A gap is where a point is missing that its neighbours let expect.
        for (index, (line, points)) in own() {
            let colour = line_colour(line, index);
            let gap = points.windows(2).map(|w| w[1].0 - w[0].0).min().unwrap_or(i64::MAX).saturating_mul(2);
            let mut run: Vec<[f64; 2]> = Vec::new();
            let mut last = None;
            for (time, value) in points {
                if (value.is_nan() || last.is_some_and(|l| time - l > gap)) && !run.is_empty() {
                    picture.path(std::mem::take(&mut run), colour);
                }
                if !value.is_nan() {
                    run.push([x(*time), y(*value)]);
                    last = Some(*time);
                }
            }
            if !run.is_empty() {
                picture.path(run, colour);
            }
        }
    }
    let width = at[2] / 3.0;
    for (index, line) in drawn.iter().take(rows * 3).enumerate() {
        let (column, row) = ((index % 3) as f64, (index / 3) as f64);
        let (left, top) = (at[0] + column * width, at[1] + at[3] - legend + 14.0 + row * 16.0);
        picture.rect([left, top - 8.0, 10.0, 10.0], line_colour(line, index), 1.0);
        picture.text([left + 14.0, top], 11.0, theme.ink, Anchor::Start, &fitting(&line.name, 11.0, width - 18.0));
    }
}

/// Writes the times below a plot, and tells where in it a moment is.
pub(super) fn time_axis(picture: &mut Picture, view: &View, plot: [f64; 4]) -> impl Fn(i64) -> f64 + use<> {
    let [start, end] = view.range;
    let length = end.saturating_sub(start).max(1) as f64;
    let x = move |time: i64| plot[0] + time.saturating_sub(start) as f64 / length * plot[2];
    for part in 0..=4 {
        let time = start + (length * f64::from(part) / 4.0) as i64;
        let shown = told(time, length, &view.zone);
        let anchor = if part == 4 { Anchor::End } else { Anchor::Middle };
        picture.text([x(time), plot[1] + plot[3] + 16.0], 11.0, view.theme.ink, anchor, &shown);
    }
    x
}

/// A moment on an axis of a length, short: the time of day, or the day with it or without it.
fn told(ms: i64, length: f64, zone: &TimeZone) -> String {
    const DAY: f64 = 86_400_000.0;
    let form = if length <= 600_000.0 {
        "%H:%M:%S"
    } else if length <= DAY {
        "%H:%M"
    } else if length <= 4.0 * DAY {
        "%m-%d %H:%M"
    } else if length <= 360.0 * DAY {
        "%m-%d"
    } else {
        "%Y-%m-%d"
    };
    moment(ms, form, zone)
}

/// A moment in a form; nothing for one that no calendar has.
pub(super) fn moment(ms: i64, form: &str, zone: &TimeZone) -> String {
    jiff::Timestamp::from_millisecond(ms).map_or_else(|_| String::new(), |moment| moment.to_zoned(zone.clone()).strftime(form).to_string())
}

/// The colour of a series.
pub(super) fn colour(index: usize) -> Colour {
    COLOURS.get(index % COLOURS.len()).copied().unwrap_or(COLOURS[0])
}

/// Cells side by side, or one below the other where that is wider.
fn cells(count: usize, at: [f64; 4]) -> Vec<[f64; 4]> {
    let count = count.clamp(1, SERIES_MAX);
    let columns = (1..=count).max_by(|a, b| least(*a, count, at).total_cmp(&least(*b, count, at))).unwrap_or(1);
    let rows = count.div_ceil(columns);
    let (width, height) = (at[2] / columns as f64, at[3] / rows as f64);
    (0..count).map(|i| [at[0] + (i % columns) as f64 * width, at[1] + (i / columns) as f64 * height, width, height]).collect()
}
fn least(columns: usize, count: usize, at: [f64; 4]) -> f64 {
    (at[2] / columns as f64 / 2.0).min(at[3] / count.div_ceil(columns) as f64)
}

/// The colour of a figure, when anything says one.
fn figure_colour(figure: &Figure, index: usize) -> Option<Colour> {
    figure.look.colour_of(&figure.value).or((figure.look.colours == Colours::Series).then(|| colour(index)))
}

fn values(picture: &mut Picture, figures: &[Figure], at: [f64; 4], theme: Theme) {
    for (index, (figure, cell)) in figures.iter().zip(cells(figures.len(), at)).enumerate() {
        let text = figure.look.shown(&figure.value);
        let size = (cell[2] / (text.chars().count().max(3) as f64 * 0.6)).min(cell[3] * 0.5).clamp(8.0, 72.0);
        let middle = [cell[0] + cell[2] / 2.0, cell[1] + cell[3] / 2.0];
        let ink = figure_colour(figure, index).unwrap_or(theme.ink);
        picture.text([middle[0], middle[1] + size / 3.0], size, ink, Anchor::Middle, &fitting(&text, size, cell[2].max(size * 4.0)));
        if figures.len() > 1 {
            picture.text([middle[0], cell[1] + 12.0], 11.0, theme.ink, Anchor::Middle, &fitting(&figure.name, 11.0, cell[2]));
        }
    }
    more(picture, at, theme, figures.len().saturating_sub(SERIES_MAX), "");
}

/// The ends of a gauge.
fn ends(look: &Look, value: f64) -> (f64, f64) {
    let top = if look.unit == "percentunit" { 1.0 } else { 100.0 };
    let low = look.min.unwrap_or(0.0);
    let high = look.max.unwrap_or_else(|| value.max(top));
    if high > low { (low, high) } else { (low, low + low.abs().max(1.0)) }
}

fn gauges(picture: &mut Picture, figures: &[Figure], at: [f64; 4], theme: Theme) {
    for (index, (figure, cell)) in figures.iter().zip(cells(figures.len(), at)).enumerate() {
        let look = &figure.look;
        let value = figure.value.number().unwrap_or(f64::NAN);
        let (low, high) = ends(look, value);
        let radius = (cell[2] * 0.42).min(cell[3] * 0.68).max(8.0);
        let centre = [cell[0] + cell[2] / 2.0, cell[1] + cell[3] * 0.84];
        let angle = |v: f64| share(v - low, high - low) * std::f64::consts::PI;
        let width = radius * 0.22;
        let said = figure_colour(figure, index);
        picture.arc(centre, radius - width / 2.0, [0.0, std::f64::consts::PI], theme.faint, width);
        if value > low {
            picture.arc(centre, radius - width / 2.0, [0.0, angle(value)], said.unwrap_or(COLOURS[0]), width);
        }
        let bounds = look.steps.iter().filter(|(v, _)| v.is_finite() && *v < high);
        for (from, colour) in bounds.filter_map(|(from, colour)| Some((*from, (*colour)?))) {
            picture.arc(centre, radius + 3.0, [angle(from), angle(high)], colour, 3.0);
        }
        let size = (radius * 0.34).clamp(9.0, 48.0);
        picture.text([centre[0], centre[1] - size * 0.2], size, said.unwrap_or(theme.ink), Anchor::Middle, &look.shown(&figure.value));
        if figures.len() > 1 {
            picture.text([centre[0], centre[1] + 14.0], 11.0, theme.ink, Anchor::Middle, &fitting(&figure.name, 11.0, cell[2]));
        }
    }
    more(picture, at, theme, figures.len().saturating_sub(SERIES_MAX), "");
}

fn bars(picture: &mut Picture, figures: &[Figure], at: [f64; 4], theme: Theme) {
    let drawn = &figures[..figures.len().min(SERIES_MAX)];
    let number = |figure: &Figure| figure.value.number().unwrap_or(f64::NAN);
    let most = drawn.iter().map(number).filter(|v| v.is_finite()).fold(f64::MIN_POSITIVE, f64::max);
    let height = (at[3] / drawn.len().max(1) as f64).min(40.0);
    for (index, figure) in drawn.iter().enumerate() {
        let look = &figure.look;
        let top = at[1] + index as f64 * height;
        let share = share(number(figure), look.max.unwrap_or(most).max(f64::MIN_POSITIVE));
        // A single threshold is what a new panel has, and says nothing.
        let is_own = look.colours == Colours::Unsaid && look.steps.len() < 2;
        let fill = figure_colour(figure, index).filter(|_| !is_own).unwrap_or(colour(index));
        picture.rect([at[0], top + 2.0, at[2] * share, height - 4.0], fill, 0.35);
        let size = (height * 0.45).clamp(8.0, 13.0);
        let base = top + height / 2.0 + size / 3.0;
        picture.text([at[0] + 4.0, base], size, theme.ink, Anchor::Start, &fitting(&figure.name, size, at[2] * 0.65));
        picture.text([at[0] + at[2] - 4.0, base], size, theme.ink, Anchor::End, &look.shown(&figure.value));
    }
    more(picture, at, theme, figures.len() - drawn.len(), "");
}
