//! Tables of columns, which is what the answers of a panel's queries become, as on the page: each series is one, or all of them are. How
//! many values become one, and which of two comes first. What columns look like is `fields`' affair.

use std::cmp::Ordering;
use std::sync::Arc;

use regex::Regex;
use serde_json::Value;
use watchfire_model::labels::Labels;
use watchfire_model::order::Order as _;

use super::look::Look;
use super::panel::text;

/// The largest program that a pattern of a file may become.
const PATTERN_BYTES_MAX: usize = 1 << 20;

/// What stands in one row of a column.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Cell {
    Nothing,
    Number(f64),
    Text(Arc<str>),
}

/// What the values of a column are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Time,
    Number,
    Text,
}

/// A column.
#[derive(Clone)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) labels: Labels,
    /// What the reader sees: its legend, or the name that a transformation or an override gave; nothing where it is its own name.
    pub(super) given: String,
    pub(super) ref_id: Arc<str>,
    pub(super) values: Vec<Cell>,
    pub(super) look: Arc<Look>,
}

/// A table.
pub(super) type Frame = Vec<Field>;

impl Cell {
    pub(super) fn text(text: &str) -> Cell {
        Cell::Text(text.into())
    }
    pub(super) fn number(&self) -> Option<f64> {
        match self {
            Cell::Number(number) => Some(*number),
            _ => None,
        }
    }
    /// Whether there is no value.
    pub(super) fn is_nothing(&self) -> bool {
        match self {
            Cell::Nothing => true,
            Cell::Number(number) => number.is_nan(),
            Cell::Text(_) => false,
        }
    }
    /// As a text without any looks.
    pub(super) fn words(&self) -> String {
        match self {
            Cell::Nothing => "null".to_owned(),
            Cell::Number(number) => number.to_string(),
            Cell::Text(text) => text.to_string(),
        }
    }
}

impl Kind {
    /// As matchers name it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Kind::Time => "time",
            Kind::Number => "number",
            Kind::Text => "string",
        }
    }
}

impl Field {
    pub(super) fn new(name: &str, kind: Kind, values: Vec<Cell>, ref_id: &Arc<str>) -> Field {
        Field { name: name.to_owned(), kind, labels: Labels::default(), given: String::new(), ref_id: ref_id.clone(), values, look: Arc::default() }
    }
    pub(super) fn is_number(&self) -> bool {
        self.kind == Kind::Number
    }
    pub(super) fn at(&self, row: usize) -> Cell {
        self.values.get(row).cloned().unwrap_or(Cell::Nothing)
    }
    /// The values of some rows, in their order.
    pub(super) fn of(&self, rows: &[usize]) -> Vec<Cell> {
        let mut values = Vec::with_capacity(rows.len());
        for row in rows {
            values.push(self.at(*row));
        }
        values
    }
    /// What it is called, and what transformations name it by.
    pub(super) fn title(&self) -> &str {
        if self.given.is_empty() { &self.name } else { &self.given }
    }
    /// Whether a name means it.
    pub(super) fn is(&self, name: &str) -> bool {
        self.name == name || self.title() == name
    }
    /// Gives it a name that later steps and the panel see.
    pub(super) fn call(&mut self, name: &str) {
        name.clone_into(&mut self.given);
        name.clone_into(&mut self.name);
    }
}

/// How many rows a table has.
pub(super) fn rows(frame: &Frame) -> usize {
    frame.first().map_or(0, |field| field.values.len())
}

/// Keeps some rows of a table, in their order.
pub(super) fn keep(frame: &mut Frame, rows: &[usize]) {
    for field in frame {
        field.values = field.of(rows);
    }
}

/// The column that a transformation names.
pub(super) fn find<'a>(frame: &'a Frame, name: &str) -> Option<&'a Field> {
    frame.iter().find(|field| field.is(name))
}

/// A pattern as files have it: `/pattern/flags`, or the pattern alone. Nothing for one that is none here.
pub(super) fn pattern(text: &str) -> Option<Regex> {
    let (body, flags) = text.strip_prefix('/').and_then(|rest| rest.rsplit_once('/')).unwrap_or((text, ""));
    let body = body.replace("\\/", "/");
    regex::RegexBuilder::new(&body).case_insensitive(flags.contains('i')).size_limit(PATTERN_BYTES_MAX).build().ok()
}

/// A text whose first place of a pattern is replaced, with groups as JavaScript names them: `$1`, `$&`.
pub(super) fn replaced(pattern: &Regex, text: &str, by: &str) -> String {
    let Some(groups) = pattern.captures(text) else { return text.to_owned() };
    let whole = groups.get(0).map_or(0..0, |whole| whole.range());
    let mut out = text.get(..whole.start).unwrap_or_default().to_owned();
    let mut rest = by.chars().peekable();
    while let Some(c) = rest.next() {
        let group = match rest.peek() {
            Some('$') if c == '$' => None,
            Some('&') if c == '$' => Some(0),
            Some(next) if c == '$' => next.to_digit(10).map(|group| group as usize),
            _ => None,
        };
        match group {
            Some(group) => out.push_str(groups.get(group).map_or("", |group| group.as_str())),
            None => out.push(c),
        }
        if group.is_some() || (c == '$' && rest.peek() == Some(&'$')) {
            rest.next();
        }
    }
    out.push_str(text.get(whole.end..).unwrap_or_default());
    out
}

/// Puts rows into an order.
pub(super) fn order(rows: &mut [usize], compare: &dyn Fn(usize, usize) -> Ordering) {
    rows.order_by(|a, b| compare(*a, *b));
}

/// Numbers by size, texts by their letters and the numbers before them; what is missing comes first.
pub(super) fn compared(a: &Cell, b: &Cell) -> Ordering {
    match (a, b) {
        (Cell::Number(a), Cell::Number(b)) if !a.is_nan() && !b.is_nan() => a.total_cmp(b),
        (Cell::Text(a), Cell::Text(b)) => letters(a).cmp(&letters(b)),
        _ => b.is_nothing().cmp(&a.is_nothing()),
    }
}

/// A text by which texts are ordered as people do: large letters as small ones, and numbers as long as each other.
fn letters(text: &str) -> String {
    let mut out = String::new();
    let mut number = String::new();
    for c in text.chars().chain(['\0']) {
        if c.is_ascii_digit() {
            number.push(c);
            continue;
        }
        if !number.is_empty() {
            out.push_str(&format!("{number:0>20}"));
            number.clear();
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

/// What people call a calculation; nothing for one that is not known here.
pub(super) fn calc_name(calc: &str) -> &str {
    match calc {
        "lastNotNull" => "Last *",
        "last" => "Last",
        "firstNotNull" => "First *",
        "first" => "First",
        "min" => "Min",
        "max" => "Max",
        "mean" => "Mean",
        "sum" => "Total",
        "count" => "Count",
        "range" => "Range",
        "delta" => "Delta",
        "diff" => "Difference",
        _ => "",
    }
}

/// Many values to one, by the name of a calculation.
pub(super) fn reduce(values: &[Cell], calc: &str) -> Cell {
    let (mut first, mut last) = (None, None);
    // Least, most, sum, number, and how much a counter grew: a fall is a restart from zero.
    let (mut least, mut most, mut sum, mut count, mut grown) = (f64::INFINITY, f64::NEG_INFINITY, 0.0, 0.0, 0.0);
    let [mut begin, mut before] = [f64::NAN; 2];
    for cell in values {
        if cell.is_nothing() {
            continue;
        }
        first = first.or(Some(cell));
        last = Some(cell);
        if let Some(number) = cell.number() {
            (least, most, sum, count) = (least.min(number), most.max(number), sum + number, count + 1.0);
            grown += if number < before {
                number
            } else if count > 1.0 {
                number - before
            } else {
                0.0
            };
            before = number;
            begin = if count > 1.0 { begin } else { number };
        }
    }
    let number = match calc {
        "last" => return values.last().cloned().unwrap_or(Cell::Nothing),
        "first" => return values.first().cloned().unwrap_or(Cell::Nothing),
        "lastNotNull" => return last.cloned().unwrap_or(Cell::Nothing),
        "firstNotNull" => return first.cloned().unwrap_or(Cell::Nothing),
        "count" => return Cell::Number(values.len() as f64),
        "min" => least,
        "max" => most,
        "mean" => sum / count,
        "sum" => sum,
        "range" => most - least,
        "diff" => before - begin,
        "delta" => grown,
        _ => f64::NAN,
    };
    if count > 0.0 { Cell::Number(number) } else { Cell::Nothing }
}

/// The texts of a list in a file.
pub(super) fn texts<'a>(value: &'a Value, key: &str) -> Vec<&'a str> {
    let mut all = Vec::new();
    for text in list(&value[key]) {
        all.extend(text.as_str());
    }
    all
}

/// The items of a list in a file.
pub(super) fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// The text at a key, or another where there is none.
pub(super) fn text_or<'a>(value: &'a Value, key: &str, other: &'a str) -> &'a str {
    let text = text(value, key);
    if text.is_empty() { other } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The page's own cases (`fields.test.ts`).
    #[test]
    fn calculations() {
        const NOTHING: f64 = f64::INFINITY;
        let cell = |number: f64| if number == NOTHING { Cell::Nothing } else { Cell::Number(number) };
        for (calc, values, expected) in [
            ("lastNotNull", &[1.0, 2.0, NOTHING][..], 2.0),
            ("last", &[1.0, 2.0, NOTHING], NOTHING),
            ("firstNotNull", &[NOTHING, 3.0, 4.0], 3.0),
            ("mean", &[1.0, 2.0, NOTHING, 6.0], 3.0),
            ("sum", &[1.0, 2.0, 3.0], 6.0),
            ("min", &[3.0, 1.0, 2.0], 1.0),
            ("max", &[3.0, 1.0, 2.0], 3.0),
            ("range", &[3.0, 1.0, 2.0], 2.0),
            ("diff", &[3.0, 1.0, 7.0], 4.0),
            ("count", &[1.0, NOTHING, 3.0], 3.0),
            ("delta", &[1.0, 5.0, 2.0, 4.0], 8.0),
            ("mean", &[NOTHING], NOTHING),
        ] {
            let cells: Vec<Cell> = values.iter().map(|value| cell(*value)).collect();
            assert_eq!(reduce(&cells, calc), cell(expected), "{calc} {values:?}");
        }
        assert!(!calc_name("delta").is_empty() && calc_name("p95").is_empty());
    }

    #[test]
    fn texts_are_ordered_as_people_do() {
        let mut all = ["disk10", "disk2", "Disk1", "a", "", "disk02b"].map(Cell::text).to_vec();
        all.push(Cell::Nothing);
        all.sort_by(compared);
        let expected = ["", "a", "Disk1", "disk2", "disk02b", "disk10"].map(Cell::text);
        assert_eq!((all.first(), all.get(1..)), (Some(&Cell::Nothing), Some(&expected[..])));
        assert_eq!(compared(&Cell::Number(2.0), &Cell::Number(10.0)), Ordering::Less);
    }

    #[test]
    fn patterns_of_javascript() {
        for (given, text, by, expected) in [
            ("(.*)", "a", "host $1", "host a"),
            ("/^web-(\\d+)$/", "web-7", "$1x$$ $& $", "7x$ web-7 $"),
            ("/A/i", "aa", "b", "ba"),
            ("/(ä)\\//", "xä/y", "$1$1$9", "xääy"),
            ("no", "yes", "$1", "yes"),
        ] {
            assert_eq!(replaced(&pattern(given).unwrap(), text, by), expected, "{given}");
        }
        assert!(pattern("(?=x)").is_none() && pattern("/(/").is_none());
    }
}
