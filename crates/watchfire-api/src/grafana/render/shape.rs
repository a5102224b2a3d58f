//! Transformations that make other tables: reduced, merged, joined, grouped, as the page carries them out. Not those of single columns and
//! rows, which are in `transform`.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;

use super::frames::{Cell, Field, Frame, Kind, calc_name, compared, find, keep, order, reduce, rows, texts};
use super::panel::{is_set, text};
use super::transform::{CELLS_MAX, Notes, said};

/// Calculations of one step.
const CALCS_MAX: usize = 30;
/// Rows with the same texts in which a merged row looks for its place.
const LOOKED_MAX: usize = 200;
/// Columns of a table that is made here.
const COLUMNS_MAX: usize = 500;

/// A table under construction: columns and rows are there as soon as they are named.
struct Made {
    fields: Frame,
    rows: HashMap<String, usize>,
    count: usize,
    /// Rows that there is no room for, and how many columns there will be.
    left_out: usize,
    wide: usize,
    ref_id: Arc<str>,
}

impl Made {
    fn new(frames: &[Frame]) -> Made {
        let ref_id = frames.iter().flatten().next().map_or_else(|| "".into(), |field| field.ref_id.clone());
        Made { fields: Vec::new(), rows: HashMap::new(), count: 0, left_out: 0, wide: 1, ref_id }
    }
    /// The place of a column; one beyond all where there are too many.
    fn column(&mut self, name: &str, kind: Kind) -> usize {
        let at = self.fields.iter().position(|field| field.name == name).unwrap_or(self.fields.len());
        if at == self.fields.len() && at < COLUMNS_MAX {
            let mut field = Field::new(name, kind, vec![Cell::Nothing; self.count], &self.ref_id);
            field.call(name);
            self.fields.push(field);
        }
        at
    }
    /// A new row; one beyond all where there are too many.
    fn row(&mut self) -> usize {
        if self.count >= CELLS_MAX / self.fields.len().max(self.wide) {
            self.left_out += 1;
            return self.count;
        }
        for field in &mut self.fields {
            field.values.push(Cell::Nothing);
        }
        self.count += 1;
        self.count - 1
    }
    /// The row of a key, and whether it is new.
    fn row_of(&mut self, key: String) -> usize {
        if let Some(row) = self.rows.get(&key) {
            return *row;
        }
        let row = self.row();
        if row < self.count {
            self.rows.insert(key, row);
        }
        row
    }
    fn set(&mut self, column: usize, row: usize, cell: Cell) {
        if let Some(slot) = self.fields.get_mut(column).and_then(|field| field.values.get_mut(row)) {
            *slot = cell;
        }
    }
    /// The table with some of its rows, in their order.
    fn table(mut self, rows: &[usize], notes: &mut Notes) -> Vec<Frame> {
        notes.at_most(self.count + self.left_out, self.count, "rows");
        keep(&mut self.fields, rows);
        if rows.is_empty() { Vec::new() } else { vec![self.fields] }
    }
}

/// Calculations that a step names, and that are known.
fn calcs<'a>(rule: &'a Value, key: &str, notes: &mut Notes) -> Vec<&'a str> {
    let mut all = texts(rule, key);
    all.truncate(CALCS_MAX);
    all.retain(|calc| notes.knows(calc));
    all
}

/// A row for each series.
pub(super) fn reduced(frames: &[Frame], options: &Value, notes: &mut Notes) -> Vec<Frame> {
    let mut calcs = calcs(options, "reducers", notes);
    if calcs.is_empty() {
        calcs.push("max");
    }
    let mut made = Made::new(frames);
    let mut series = Vec::new();
    for frame in frames {
        for field in frame {
            if !field.is_number() && (field.kind == Kind::Time || frame.len() > 1) {
                continue;
            }
            let row = made.row();
            let mut is_named = false;
            for (name, value) in field.labels.iter() {
                if is_set(options, "labelsToFields") {
                    let column = made.column(name, Kind::Text);
                    made.set(column, row, Cell::text(value));
                    is_named = true;
                }
            }
            if !is_named {
                let column = made.column("Field", Kind::Text);
                made.set(column, row, Cell::text(field.title()));
            }
            series.push(field);
        }
    }
    for calc in calcs {
        let column = made.column(calc_name(calc), Kind::Number);
        for (row, field) in series.iter().enumerate() {
            made.set(column, row, reduce(&field.values, calc));
        }
    }
    let rows: Vec<usize> = (0..made.count).collect();
    made.table(&rows, notes)
}

/// By what rows are put together: a text is no number, even where it looks like one.
fn key(keys: &[&Field], row: usize) -> String {
    let mut out = String::new();
    for field in keys {
        let cell = field.at(row);
        out.push(if cell.number().is_some() { '#' } else { '"' });
        out.push_str(&cell.words());
        out.push('\u{1f}');
    }
    out
}

/// All rows of all tables in one. Those with the same texts and times are put together, or those with the same value in one column.
pub(super) fn merged(frames: &[Frame], by: Option<&str>, is_inner: bool, notes: &mut Notes) -> Vec<Frame> {
    let mut made = Made::new(frames);
    made.wide = frames.iter().flatten().count().max(1);
    let several = frames.iter().flatten().any(|field| field.ref_id != made.ref_id);
    // The places of the columns of each table, by which of them it is joined, and in how many tables each is.
    let mut places: Vec<Vec<usize>> = Vec::new();
    let mut tables = vec![0; COLUMNS_MAX + 1];
    for frame in frames {
        let mut own = Vec::new();
        let head = head(frame, by);
        for field in frame.iter().filter(|_| by.is_none() || head.is_some()) {
            let is_head = head.is_some_and(|head| std::ptr::eq(head, field));
            // Values of several queries stay apart, as "Value #A" does.
            let mut name = match field.name.as_str() {
                _ if by.is_some() && !is_head => field.title().to_owned(),
                "Value" if field.is_number() && several => format!("Value #{}", field.ref_id),
                _ if field.is_number() && !field.labels.is_empty() && field.name != "Value" => field.title().to_owned(),
                name => name.to_owned(),
            };
            if by.is_some() && !is_head && made.fields.iter().any(|other| other.name == name) {
                name = format!("{name} {}", field.ref_id);
            }
            // What tables are joined by is the first column, whatever it is called in each.
            let place = if is_head && !made.fields.is_empty() && !places.is_empty() { 0 } else { made.column(&name, field.kind) };
            tables[place] += 1;
            own.push(place);
        }
        places.push(own);
    }
    let full = places.iter().filter(|own| !own.is_empty()).count();
    let mut groups: Vec<Vec<usize>> = Vec::new();
    let mut seen: Vec<usize> = Vec::new();
    let mut known: HashMap<String, usize> = HashMap::new();
    let mut sources = 0;
    for (frame, own) in frames.iter().zip(&places) {
        if own.is_empty() {
            continue;
        }
        let mut keys = Vec::new();
        keys.extend(head(frame, by));
        for (field, place) in frame.iter().zip(own) {
            if by.is_none() && !field.is_number() && tables[*place] >= full {
                keys.push(field);
            }
        }
        for row in 0..rows(frame) {
            let next = groups.len();
            let group = *known.entry(key(&keys, row)).or_insert(next);
            if group == next {
                groups.push(Vec::new());
                seen.push(0);
            }
            // Only what was in all tables so far can be in all of them.
            if seen[group] == sources {
                seen[group] += 1;
            }
            // A row takes what it has no other value for.
            let is_open = |at: &usize| {
                by.is_some()
                    || frame.iter().zip(own).all(|(field, place)| {
                        let cell = made.fields.get(*place).map_or(Cell::Nothing, |column| column.at(*at));
                        cell == Cell::Nothing || cell == field.at(row)
                    })
            };
            let found = groups[group].iter().copied().take(LOOKED_MAX).find(is_open);
            let at = found.unwrap_or_else(|| made.row());
            if found.is_none() && at < made.count {
                groups[group].push(at);
            }
            for (field, place) in frame.iter().zip(own) {
                made.set(*place, at, field.at(row));
            }
        }
        sources += 1;
    }
    let mut rows = Vec::new();
    for (own, count) in groups.iter().zip(seen) {
        if !is_inner || count == sources {
            rows.extend_from_slice(own);
        }
    }
    if let Some(keys) = made.fields.first().filter(|keys| by.is_some() && keys.kind != Kind::Text) {
        order(&mut rows, &|a, b| compared(&keys.at(a), &keys.at(b)));
    }
    made.table(&rows, notes)
}

/// The column that tables are joined by.
fn head<'a>(frame: &'a Frame, by: Option<&str>) -> Option<&'a Field> {
    let by = by?;
    let is_time = by.is_empty() || by.eq_ignore_ascii_case("time");
    find(frame, by).or_else(|| frame.iter().find(|field| is_time && field.kind == Kind::Time))
}

/// All series below each other: time, what series it is, value.
pub(super) fn series(frames: &[Frame], notes: &mut Notes) -> Vec<Frame> {
    let mut made = Made::new(frames);
    for (name, kind) in [("Time", Kind::Time), ("Metric", Kind::Text), ("Value", Kind::Number)] {
        made.column(name, kind);
    }
    for frame in frames {
        let time = frame.iter().find(|field| field.kind == Kind::Time);
        for field in frame.iter().filter(|field| field.is_number()) {
            for at in 0..field.values.len() {
                let row = made.row();
                made.set(0, row, time.map_or(Cell::Nothing, |time| time.at(at)));
                made.set(1, row, Cell::text(field.title()));
                made.set(2, row, field.at(at));
            }
        }
    }
    let mut rows: Vec<usize> = (0..made.count).collect();
    let time = |row: usize| made.fields[0].at(row).number().unwrap_or(0.0);
    order(&mut rows, &|a, b| time(b).total_cmp(&time(a)));
    made.table(&rows, notes)
}

/// Labels as columns.
pub(super) fn labels(frames: &[Frame], options: &Value, notes: &mut Notes) -> Vec<Frame> {
    let wanted = texts(options, "keepLabels");
    let value_label = text(options, "valueLabel");
    let mut tables = Vec::new();
    for frame in frames {
        for field in frame.iter().filter(|field| field.is_number()) {
            let mut own = Vec::new();
            own.extend(frame.iter().find(|other| other.kind == Kind::Time).cloned());
            for (name, value) in field.labels.iter() {
                if name != value_label && (wanted.is_empty() || wanted.contains(&name)) {
                    own.push(Field::new(name, Kind::Text, vec![Cell::text(value); field.values.len()], &field.ref_id));
                }
            }
            let name = field.labels.get(value_label).unwrap_or(&field.name);
            own.push(Field::new(name, Kind::Number, field.values.clone(), &field.ref_id));
            tables.push(own);
        }
    }
    if tables.len() > 1 { merged(&tables, None, false, notes) } else { tables }
}

/// Rows with the same values in some columns are one, with calculations of the others.
pub(super) fn grouped(frames: &[Frame], options: &Value, notes: &mut Notes) -> Vec<Frame> {
    let mut out = Vec::new();
    for frame in frames {
        let mut made = Made::new(std::slice::from_ref(frame));
        let rule = |field: &Field| said(&options["fields"], field);
        let mut keys = Vec::new();
        for field in frame {
            if text(rule(field), "operation") == "groupby" {
                keys.push(field);
                made.column(field.title(), field.kind);
            }
        }
        let mut groups: Vec<Vec<usize>> = Vec::new();
        for row in 0..if keys.is_empty() { 0 } else { rows(frame) } {
            let group = made.row_of(key(&keys, row));
            groups.resize(made.count + 1, Vec::new());
            groups[group].push(row);
            for (column, field) in keys.iter().enumerate() {
                made.set(column, group, field.at(row));
            }
        }
        for field in frame {
            let rule = rule(field);
            for calc in if text(rule, "operation") == "aggregate" { calcs(rule, "aggregations", notes) } else { Vec::new() } {
                let column = made.column(&format!("{} ({calc})", field.title()), if calc.starts_with(['f', 'l', 'm']) { field.kind } else { Kind::Number });
                for (group, rows) in groups.iter().enumerate() {
                    made.set(column, group, reduce(&field.of(rows), calc));
                }
            }
        }
        let rows: Vec<usize> = (0..made.count).collect();
        out.append(&mut made.table(&rows, notes));
    }
    out
}
