//! Draws a panel out of its series: lines over time, single values, gauges, bars, a table of texts. States over time are drawn by `rows`,
//! heatmaps by `heat`, lines of logs by `logs`. What it cannot draw it says in words.

use jiff::tz::TimeZone;

use super::list::{Anchor, Colour, Picture, fitting};
use super::panel::Panel;
use super::{heat, logs, rows, units};

/// Colours of series, in their order.
const COLOURS: [Colour; 10] = [
    Colour([0x3f, 0x7f, 0xca]),
    Colour([0x4f, 0x9d, 0x58]),
    Colour([0xe0, 0x7b, 0x28]),
    Colour([0x8e, 0x62, 0xc4]),
    Colour([0xd0, 0x43, 0x3f]),
    Colour([0x2f, 0x9a, 0xa0]),
    Colour([0xd6, 0xa2, 0x1e]),
    Colour([0xc2, 0x54, 0x91]),
    Colour([0x7a, 0x8b, 0x3c]),
    Colour([0x6b, 0x7a, 0x8f]),
];
/// Series that are drawn; more are counted in words.
pub(super) const SERIES_MAX: usize = 30;
/// Rows of a table.
const ROWS_MAX: usize = 30;
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
}

/// What is to be drawn.
pub(super) enum Content {
    Lines(Vec<Line>),
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

/// Draws a panel in a size.
pub(super) fn draw(panel: &Panel, content: &Content, view: &View, size: [f64; 2]) -> Picture {
    let theme = view.theme;
    let mut picture = Picture::new(size[0], size[1]);
    picture.rect([0.0, 0.0, size[0], size[1]], theme.paper, 1.0);
    picture.text([PAD, 18.0], 14.0, theme.ink, Anchor::Start, &fitting(&panel.title, 14.0, size[0] - 2.0 * PAD));
    let inner = [PAD, HEAD, size[0] - 2.0 * PAD, size[1] - HEAD - PAD];
    match content {
        Content::Failed(reason) => words(&mut picture, inner, theme, reason),
        Content::Lines(lines) if lines.iter().all(|l| l.points.iter().all(|p| p.1.is_nan())) && panel.kind != "text" => {
            words(&mut picture, inner, theme, panel.nothing())
        }
        Content::Logs(entries) if entries.is_empty() => words(&mut picture, inner, theme, panel.nothing()),
        Content::Logs(entries) => logs::lines(&mut picture, entries, view, inner),
        Content::Lines(lines) => match panel.kind.as_str() {
            "timeseries" | "graph" => over_time(&mut picture, panel, lines, view, inner),
            "stat" | "singlestat" => values(&mut picture, panel, lines, inner, theme),
            "gauge" => gauges(&mut picture, panel, lines, inner, theme),
            "bargauge" | "piechart" | "barchart" => bars(&mut picture, panel, lines, inner, theme),
            "table" => table(&mut picture, panel, lines, inner, theme),
            "state-timeline" => rows::states(&mut picture, panel, lines, view, inner, false),
            "heatmap" => heat::heatmap(&mut picture, lines, view, inner),
            "status-history" => rows::states(&mut picture, panel, lines, view, inner, true),
            "text" => words(&mut picture, inner, theme, &panel.text),
            other => words(&mut picture, inner, theme, &format!("panels of type {other} are not drawn as pictures")),
        },
    }
    picture
}

fn words(picture: &mut Picture, at: [f64; 4], theme: Theme, text: &str) {
    picture.text([at[0] + at[2] / 2.0, at[1] + at[3] / 2.0], 13.0, theme.ink, Anchor::Middle, &fitting(text, 13.0, at[2]));
}

/// One value out of a series.
fn reduced(panel: &Panel, line: &Line) -> f64 {
    let all = || line.points.iter().map(|p| p.1).filter(|v| !v.is_nan());
    let sum = || all().sum::<f64>();
    match panel.reduce.as_str() {
        "mean" => sum() / all().count() as f64,
        "sum" | "total" => sum(),
        "max" => all().reduce(f64::max).unwrap_or(f64::NAN),
        "min" => all().reduce(f64::min).unwrap_or(f64::NAN),
        "first" | "firstNotNull" => all().next().unwrap_or(f64::NAN),
        _ => all().next_back().unwrap_or(f64::NAN),
    }
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

fn over_time(picture: &mut Picture, panel: &Panel, lines: &[Line], view: &View, at: [f64; 4]) {
    let theme = view.theme;
    let drawn = &lines[..lines.len().min(SERIES_MAX)];
    let rows = drawn.len().div_ceil(3).min(4);
    let legend = rows as f64 * 16.0 + 4.0;
    let plot = [at[0] + 60.0, at[1] + 4.0, (at[2] - 64.0).max(10.0), (at[3] - 22.0 - legend).max(10.0)];
    let mut sums: std::collections::BTreeMap<i64, f64> = std::collections::BTreeMap::new();
    let placed: Vec<Vec<(i64, f64)>> = drawn
        .iter()
        .map(|line| {
            let stack = |(time, value): &(i64, f64)| {
                let sum = sums.entry(*time).or_default();
                *sum += if value.is_nan() { 0.0 } else { *value };
                (*time, *sum)
            };
            if panel.stacked { line.points.iter().map(stack).collect() } else { line.points.clone() }
        })
        .collect();
    let finite = || placed.iter().flatten().map(|p| p.1).filter(|v| v.is_finite());
    let marks = || panel.steps.iter().map(|s| s.0).filter(|v| panel.threshold_lines && v.is_finite());
    let low = panel.min.unwrap_or_else(|| finite().chain(marks()).fold(0.0, f64::min));
    let high = panel.max.unwrap_or_else(|| finite().chain(marks()).fold(low, f64::max));
    let (low, high, step) = scale(low, high);
    let y = |value: f64| plot[1] + plot[3] - (value.clamp(low, high) - low) / (high - low) * plot[3];
    let x = time_axis(picture, view, plot);
    let mut mark = low;
    for _ in 0..12 {
        if mark > high + step / 2.0 {
            break;
        }
        picture.line([plot[0], y(mark)], [plot[0] + plot[2], y(mark)], theme.faint, false);
        picture.text([plot[0] - 6.0, y(mark) + 4.0], 11.0, theme.ink, Anchor::End, &fitting(&units::shown(mark, &panel.unit, None), 11.0, 56.0));
        mark += step;
    }
    for (value, colour) in panel.steps.iter().filter(|(v, _)| panel.threshold_lines && v.is_finite()) {
        picture.line([plot[0], y(*value)], [plot[0] + plot[2], y(*value)], colour.unwrap_or(theme.ink), true);
    }
    // A gap is where a point is missing that its neighbours let expect.
    for (index, points) in placed.iter().enumerate() {
        let gap = points.windows(2).map(|w| w[1].0 - w[0].0).min().unwrap_or(i64::MAX).saturating_mul(2);
        let mut run: Vec<[f64; 2]> = Vec::new();
        let mut last = None;
        for (time, value) in points {
            if (value.is_nan() || last.is_some_and(|l| time - l > gap)) && !run.is_empty() {
                picture.path(std::mem::take(&mut run), colour(index));
            }
            if !value.is_nan() {
                run.push([x(*time), y(*value)]);
                last = Some(*time);
            }
        }
        if !run.is_empty() {
            picture.path(run, colour(index));
        }
    }
    let width = at[2] / 3.0;
    for (index, line) in drawn.iter().take(rows * 3).enumerate() {
        let (column, row) = ((index % 3) as f64, (index / 3) as f64);
        let (left, top) = (at[0] + column * width, at[1] + at[3] - legend + 14.0 + row * 16.0);
        picture.rect([left, top - 8.0, 10.0, 10.0], colour(index), 1.0);
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

fn values(picture: &mut Picture, panel: &Panel, lines: &[Line], at: [f64; 4], theme: Theme) {
    for (line, cell) in lines.iter().zip(cells(lines.len(), at)) {
        let value = reduced(panel, line);
        let text = panel.shown(value);
        let size = (cell[2] / (text.chars().count().max(3) as f64 * 0.6)).min(cell[3] * 0.5).clamp(8.0, 72.0);
        let middle = [cell[0] + cell[2] / 2.0, cell[1] + cell[3] / 2.0];
        picture.text([middle[0], middle[1] + size / 3.0], size, panel.colour_of(value).unwrap_or(theme.ink), Anchor::Middle, &text);
        if lines.len() > 1 {
            picture.text([middle[0], cell[1] + 12.0], 11.0, theme.ink, Anchor::Middle, &fitting(&line.name, 11.0, cell[2]));
        }
    }
}

/// The ends of a gauge.
fn ends(panel: &Panel, value: f64) -> (f64, f64) {
    let top = if panel.unit == "percentunit" { 1.0 } else { 100.0 };
    let low = panel.min.unwrap_or(0.0);
    let high = panel.max.unwrap_or_else(|| value.max(top));
    if high > low { (low, high) } else { (low, low + low.abs().max(1.0)) }
}

fn gauges(picture: &mut Picture, panel: &Panel, lines: &[Line], at: [f64; 4], theme: Theme) {
    for (line, cell) in lines.iter().zip(cells(lines.len(), at)) {
        let value = reduced(panel, line);
        let (low, high) = ends(panel, value);
        let radius = (cell[2] * 0.42).min(cell[3] * 0.68).max(8.0);
        let centre = [cell[0] + cell[2] / 2.0, cell[1] + cell[3] * 0.84];
        let angle = |v: f64| share(v - low, high - low) * std::f64::consts::PI;
        let width = radius * 0.22;
        picture.arc(centre, radius - width / 2.0, [0.0, std::f64::consts::PI], theme.faint, width);
        if value > low {
            picture.arc(centre, radius - width / 2.0, [0.0, angle(value)], panel.colour_of(value).unwrap_or(COLOURS[0]), width);
        }
        let bounds = panel.steps.iter().filter(|(v, _)| v.is_finite() && *v < high);
        for (from, colour) in bounds.filter_map(|(from, colour)| Some((*from, (*colour)?))) {
            picture.arc(centre, radius + 3.0, [angle(from), angle(high)], colour, 3.0);
        }
        let size = (radius * 0.34).clamp(9.0, 48.0);
        picture.text([centre[0], centre[1] - size * 0.2], size, panel.colour_of(value).unwrap_or(theme.ink), Anchor::Middle, &panel.shown(value));
        if lines.len() > 1 {
            picture.text([centre[0], centre[1] + 14.0], 11.0, theme.ink, Anchor::Middle, &fitting(&line.name, 11.0, cell[2]));
        }
    }
}

fn bars(picture: &mut Picture, panel: &Panel, lines: &[Line], at: [f64; 4], theme: Theme) {
    let drawn = &lines[..lines.len().min(SERIES_MAX)];
    let most = drawn.iter().map(|l| reduced(panel, l)).filter(|v| v.is_finite()).fold(f64::MIN_POSITIVE, f64::max);
    let high = panel.max.unwrap_or(most).max(f64::MIN_POSITIVE);
    let height = (at[3] / drawn.len().max(1) as f64).min(40.0);
    for (index, line) in drawn.iter().enumerate() {
        let value = reduced(panel, line);
        let top = at[1] + index as f64 * height;
        let share = share(value, high);
        let fill = if panel.steps.len() > 1 { panel.colour_of(value).unwrap_or(colour(index)) } else { colour(index) };
        picture.rect([at[0], top + 2.0, at[2] * share, height - 4.0], fill, 0.35);
        let size = (height * 0.45).clamp(8.0, 13.0);
        let base = top + height / 2.0 + size / 3.0;
        picture.text([at[0] + 4.0, base], size, theme.ink, Anchor::Start, &fitting(&line.name, size, at[2] * 0.65));
        picture.text([at[0] + at[2] - 4.0, base], size, theme.ink, Anchor::End, &panel.shown(value));
    }
}

fn table(picture: &mut Picture, panel: &Panel, lines: &[Line], at: [f64; 4], theme: Theme) {
    let rows = ((at[3] / 18.0) as usize).clamp(1, ROWS_MAX);
    for (index, line) in lines.iter().take(rows).enumerate() {
        let base = at[1] + index as f64 * 18.0 + 13.0;
        picture.line([at[0], base + 5.0], [at[0] + at[2], base + 5.0], theme.faint, false);
        picture.text([at[0], base], 12.0, theme.ink, Anchor::Start, &fitting(&line.name, 12.0, at[2] * 0.7));
        picture.text([at[0] + at[2], base], 12.0, theme.ink, Anchor::End, &panel.shown(reduced(panel, line)));
    }
    if lines.len() > rows {
        picture.text([at[0] + at[2], at[1] + at[3]], 10.0, theme.ink, Anchor::End, &format!("{} more", lines.len() - rows));
    }
}
