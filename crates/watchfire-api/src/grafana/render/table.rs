//! Tables as pictures: columns with their titles, as wide as what they hold lets them be, and as many rows as there is room for. What the
//! columns are is the affair of `fields`.

use super::draw::{View, moment, more};
use super::fields::Figure;
use super::font;
use super::frames::{Cell, Field, Frame, Kind, find, rows as count_of};
use super::list::{Anchor, Picture, fitting};
use super::panel::{Panel, is_set, text};
use super::transform::sorted;

const ROW: f64 = 18.0;
const SIZE: f64 = 12.0;
/// Rows and columns of a picture.
const ROWS_MAX: usize = 120;
const COLUMNS_MAX: usize = 30;
/// A column narrower than this cannot be read.
const NARROWEST: f64 = 40.0;
/// Between what stands in two columns.
const GAP: f64 = 12.0;
/// So much of a text is looked at.
const CHARS_MAX: usize = 300;

/// Whether tables are series that nobody put together: they are shown as a list.
pub(super) fn are_series(frames: &[Frame]) -> bool {
    let is_one = |frame: &Frame| matches!(frame.as_slice(), [time, value] if time.kind == Kind::Time && value.kind == Kind::Number);
    frames.len() > 1 && frames.iter().all(is_one)
}

/// The names and the values of series as a table.
pub(super) fn list(figures: Vec<Figure>, panel: &Panel) -> Frame {
    let ref_id = "".into();
    let [mut names, mut values] = [Kind::Text, Kind::Number].map(|kind| Field::new("", kind, Vec::new(), &ref_id));
    values.look = panel.look.clone();
    for figure in figures {
        names.values.push(Cell::text(&figure.name));
        values.values.push(figure.value);
    }
    vec![names, values]
}

/// Draws the table that a panel shows of several: the first, unless it says another.
pub(super) fn table(picture: &mut Picture, panel: &Panel, frames: &[Frame], view: &View, at: [f64; 4]) {
    let theme = view.theme;
    let wanted = panel.options["frameIndex"].as_u64().unwrap_or(0) as usize;
    let Some(frame) = frames.get(wanted).or(frames.last()) else { return };
    let head = usize::from(panel.options["showHeader"] != false && frame.iter().any(|field| !field.title().is_empty()));
    let sort = &panel.options["sortBy"][0];
    let by = text(sort, "displayName");
    let mut rows: Vec<usize> = (0..count_of(frame)).collect();
    if let Some(by) = find(frame, by) {
        rows = sorted(by, is_set(sort, "desc"));
    }
    let all = rows.len();
    rows.truncate((((at[3] / ROW) as usize).saturating_sub(head)).clamp(1, ROWS_MAX));
    let most = COLUMNS_MAX.min((at[2] / NARROWEST).max(1.0) as usize);
    // Columns with their texts, and what there is no room for.
    let (mut fields, mut columns, mut widths, mut left_out) = (Vec::new(), Vec::new(), Vec::new(), 0);
    for field in frame {
        if field.look.hidden || field.look.no_column {
            continue;
        }
        if fields.len() >= most {
            left_out += 1;
            continue;
        }
        let mut texts = Vec::new();
        let mut width: f64 = 0.0;
        for index in 0..rows.len() + head {
            let cell = index.checked_sub(head).and_then(|index| rows.get(index)).map(|row| field.at(*row));
            let words = match (cell, field.kind) {
                (None, _) => field.title().to_owned(),
                (Some(Cell::Number(ms)), Kind::Time) => moment(ms as i64, "%Y-%m-%d %H:%M:%S", &view.zone),
                (Some(cell), _) => field.look.shown(&cell),
            };
            let words: String = words.chars().take(CHARS_MAX).collect();
            width = width.max(font::width(&words, SIZE));
            texts.push(words);
        }
        fields.push(field);
        columns.push(texts);
        widths.push(width + GAP);
    }
    fit(&mut widths, at[2]);
    let mut left = at[0];
    for ((field, texts), width) in fields.iter().zip(&columns).zip(&widths) {
        for (index, words) in texts.iter().enumerate() {
            let top = at[1] + index as f64 * ROW;
            let row = index.checked_sub(head).and_then(|index| rows.get(index)).filter(|_| field.look.filled);
            if let Some(colour) = row.and_then(|row| field.look.colour_of(&field.at(*row))) {
                picture.rect([left, top, width - 2.0, ROW], colour, 0.3);
            }
            let (x, anchor) = if field.kind == Kind::Number { (left + width - GAP / 2.0, Anchor::End) } else { (left + 2.0, Anchor::Start) };
            picture.text([x, top + 13.0], SIZE, theme.ink, anchor, &fitting(words, SIZE, width - GAP / 2.0));
        }
        left += width;
    }
    for index in 0..rows.len() + head {
        let base = at[1] + (index + 1) as f64 * ROW;
        picture.line([at[0], base], [at[0] + at[2], base], theme.faint, false);
    }
    let mut besides = String::new();
    for (count, what) in [(left_out, "columns"), (frames.len() - 1, "tables")] {
        if count > 0 {
            besides.push_str(&format!(", {count} {what}"));
        }
    }
    more(picture, at, theme, all - rows.len(), &besides);
}

/// Makes columns together as wide as the table. Only the widest lose where that is too much.
fn fit(widths: &mut [f64], room: f64) {
    let mut most = room;
    for _ in 0..30 {
        widths.iter_mut().for_each(|width| *width = width.min(most));
        let all: f64 = widths.iter().sum();
        if all <= room * 1.001 {
            break;
        }
        most *= room / all;
    }
    let stretch = (room / widths.iter().sum::<f64>().max(1.0)).max(1.0);
    widths.iter_mut().for_each(|width| *width *= stretch);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_widest_columns_lose() {
        for (mut widths, expected) in [(vec![20.0, 20.0], vec![150.0, 150.0]), (vec![20.0, 1_000.0, 2_000.0], vec![20.0, 140.0, 140.0]), (vec![], vec![])] {
            fit(&mut widths, 300.0);
            assert!(widths.iter().zip(&expected).all(|(a, b): (&f64, &f64)| (a - b).abs() < 1.0), "{widths:?}");
        }
    }
}
