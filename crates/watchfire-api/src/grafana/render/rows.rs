//! Panels that have a row for each series over the axis of time: state timelines and status histories. Not how often values occur, which is
//! the affair of `heat`.

use super::draw::{Line, SERIES_MAX, View, colour, more, time_axis};
use super::font;
use super::frames::Cell;
use super::list::{Anchor, Colour, Picture, fitting};

/// A row lower than this cannot be read.
const LOWEST: f64 = 14.0;
/// A row of few is no higher than this.
const HIGHEST: f64 = 60.0;
/// Letters of states.
const SIZE: f64 = 11.0;
/// Brighter fills than this have dark letters.
const BRIGHT: u32 = 140;

/// A state from one moment to another.
struct Run {
    from: i64,
    to: i64,
    text: String,
    fill: Colour,
}

/// Rows of states. Where they are cells, each step is one; else equal neighbours are one rectangle.
pub(super) fn states(picture: &mut Picture, lines: &[Line], view: &View, at: [f64; 4], is_cells: bool) {
    let theme = view.theme;
    let rows = lines.len().min(((at[3] - 22.0) / LOWEST).max(1.0) as usize).min(SERIES_MAX);
    let drawn = lines.get(..rows).unwrap_or(lines);
    let names = drawn.iter().map(|line| font::width(&line.name, SIZE)).fold(20.0, f64::max).min(at[2] * 0.3);
    let plot = [at[0] + names + 8.0, at[1], (at[2] - names - 8.0).max(10.0), (at[3] - 22.0).max(10.0)];
    let height = (plot[3] / rows.max(1) as f64).min(HIGHEST);
    let x = time_axis(picture, view, plot);
    let mut known = Vec::new();
    for (index, line) in drawn.iter().enumerate() {
        let top = plot[1] + index as f64 * height;
        let name = fitting(&line.name, SIZE, names);
        picture.text([plot[0] - 8.0, top + height / 2.0 + 4.0], SIZE, theme.ink, Anchor::End, &name);
        for run in runs(line, view, is_cells, &mut known) {
            let left = x(run.from);
            let width = x(run.to) - left - if is_cells { 1.0 } else { 0.0 };
            picture.rect([left, top + 1.0, width, height - 2.0], run.fill, 1.0);
            if font::width(&run.text, SIZE) + 6.0 <= width {
                picture.text([left + width / 2.0, top + height / 2.0 + 4.0], SIZE, letters(run.fill), Anchor::Middle, &run.text);
            }
        }
    }
    more(picture, at, theme, lines.len() - rows, "");
}

/// The states of a series in the order of time. A value holds until the next step; one that is missing or no number is a gap.
fn runs(line: &Line, view: &View, is_cells: bool, known: &mut Vec<String>) -> Vec<Run> {
    let [start, end] = view.range;
    let mut all: Vec<Run> = Vec::new();
    for (time, value) in line.points.iter().filter(|p| !p.1.is_nan()) {
        let (from, to) = ((*time).max(start), time.saturating_add(view.step_ms).min(end));
        let text = line.look.shown(&Cell::Number(*value));
        let fill = line.look.colour_of(&Cell::Number(*value)).unwrap_or_else(|| own(&text, known));
        match all.last_mut() {
            Some(last) if !is_cells && from <= last.to && last.fill == fill && last.text == text => last.to = to,
            _ => all.push(Run { from, to, text, fill }),
        }
    }
    all
}

/// The colour of a state that nothing colours: each text has its own, in the order in which they come.
fn own(text: &str, known: &mut Vec<String>) -> Colour {
    /// Texts that are told apart.
    const KNOWN_MAX: usize = 100;
    let at = known.iter().position(|other| other == text).unwrap_or(known.len());
    if at == known.len() && at < KNOWN_MAX {
        known.push(text.to_owned());
    }
    colour(at)
}

/// Letters that can be read on a fill.
fn letters(fill: Colour) -> Colour {
    let [red, green, blue] = fill.0.map(u32::from);
    let is_bright = (red * 299 + green * 587 + blue * 114) / 1_000 > BRIGHT;
    Colour(if is_bright { [0x1f, 0x24, 0x30] } else { [0xff; 3] })
}
