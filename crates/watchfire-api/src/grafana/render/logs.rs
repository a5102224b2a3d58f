//! Panels of logs: the newest lines as rows of text, the newest first. How lines are asked for is `queries`' affair.

use std::sync::Arc;

use super::draw::{View, moment};
use super::font;
use super::list::{Anchor, Colour, Picture, fitting};

/// How high a row is.
const ROW: f64 = 16.0;
/// The most rows of a picture.
const ROWS_MAX: usize = 180;
/// So much of a line is looked at; no picture is wide enough for more.
const CHARS_MAX: usize = 1_500;
const SIZE: f64 = 11.0;
/// The colour of times, on either paper.
const MUTED: Colour = Colour([0x6b, 0x7a, 0x8f]);

/// A line with its time in milliseconds.
pub(super) struct Entry {
    pub(super) time: i64,
    pub(super) line: Arc<str>,
}

/// How many lines there is room for below the title.
pub(super) fn rows(height: f64) -> usize {
    ((height / ROW).max(1.0) as usize).min(ROWS_MAX)
}

/// Draws lines, each cut where the picture ends.
pub(super) fn lines(picture: &mut Picture, entries: &[Entry], view: &View, at: [f64; 4]) {
    const DAY: i64 = 86_400_000;
    let form = if view.range[1].saturating_sub(view.range[0]) > DAY { "%m-%d %H:%M:%S" } else { "%H:%M:%S" };
    for (index, entry) in entries.iter().take(rows(at[3])).enumerate() {
        let base = at[1] + index as f64 * ROW + 12.0;
        let time = moment(entry.time, form, &view.zone);
        let room = font::width(&time, SIZE) + 8.0;
        picture.text([at[0], base], SIZE, MUTED, Anchor::Start, &time);
        let line: String = entry.line.chars().take(CHARS_MAX).collect();
        picture.text([at[0] + room, base], SIZE, view.theme.ink, Anchor::Start, &fitting(&line, SIZE, at[2] - room));
    }
}
