//! The language of the scripts.
//!
//! ```text
//! # A comment.
//! clear
//! memory-only
//! load 1m
//!   metric{label="x"} 1 2+3x4 7x2 _ _x3 stale NaN -Inf
//! eval instant at 5m <query>
//!   {label="x"} 3
//! eval range from 0 to 10m step 1m <query>
//!   expect warn <text, or nothing for any>
//!   {label="x"} 1 _ 3+1x2
//! ```
//!
//! `a+bxn` is a, a+b, … a+nb; `axn` is a, n+1 times; `_` is no sample. Native histograms stand in double braces (`notation` of the query language's crate). Other expectations: `fail`, `info`, `ordered`, `string`.

use watchfire_model::duration::parse_millis;
use watchfire_model::labels::Labels;

pub use watchfire_query::promql::notation::Item;
use watchfire_query::promql::notation::{series_labels, series_values};

/// A series with its samples' times and values.
pub type Stored = (Labels, Vec<(i64, Item)>);

/// One command of a script.
pub enum Command {
    /// Forget everything.
    Clear,
    /// Take samples in.
    Load(Vec<Stored>),
    /// From here to the next `clear` stores would refuse or change the samples.
    MemoryOnly,
    /// Ask, and compare.
    Eval(Eval),
}

/// A question with its expected answer.
#[derive(Clone)]
#[expect(missing_docs, reason = "named after the words of the language")]
pub struct Eval {
    pub line: usize,
    pub query: String,
    pub when: When,
    pub expected: Expectation,
    pub fail: Option<String>,
    pub warnings: Vec<String>,
    pub infos: Vec<String>,
    pub ordered: bool,
}

/// At which times, in milliseconds.
#[derive(Clone, Copy)]
#[expect(missing_docs, reason = "named after the words of the language")]
pub enum When {
    Instant(i64),
    Range { start: i64, end: i64, step: u64 },
}

/// What must come out.
#[derive(Clone, Debug)]
pub enum Expectation {
    /// A scalar.
    Number(f64),
    /// A string.
    Text(String),
    /// What each series has, step by step.
    Rows(Vec<(Labels, Vec<Item>)>),
}

/// Reads a script; the message begins with the line.
pub fn read(text: &str) -> Result<Vec<Command>, String> {
    let mut commands = Vec::new();
    let mut lines = text.lines().enumerate().map(|(i, line)| (i + 1, line)).filter(|(_, line)| !line.trim_start().starts_with('#')).peekable();
    while let Some((number, line)) = lines.next() {
        if line.trim().is_empty() {
            continue;
        }
        let mut block = Vec::new();
        while let Some((number, line)) = lines.next_if(|(_, line)| line.starts_with([' ', '\t']) && !line.trim().is_empty()) {
            block.push((number, line.trim()));
        }
        let at = |message: String| format!("{number}: {message}");
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        commands.push(match word {
            "clear" => Command::Clear,
            "memory-only" => Command::MemoryOnly,
            "load" => Command::Load(load(rest.trim(), &block)?),
            "eval" => Command::Eval(eval(number, rest.trim(), &block).map_err(at)?),
            _ => return Err(at(format!("unknown command {word}"))),
        });
    }
    Ok(commands)
}

fn millis(text: &str) -> Result<i64, String> {
    let (sign, text) = text.strip_prefix('-').map_or((1, text), |t| (-1, t));
    match (parse_millis(text), text.parse::<f64>()) {
        (Some(ms), _) => Ok(sign * ms as i64),
        (None, Ok(seconds)) => Ok(sign * (seconds * 1000.0) as i64),
        _ => Err(format!("{text} is no duration")),
    }
}

fn load(step: &str, block: &[(usize, &str)]) -> Result<Vec<Stored>, String> {
    let step = millis(step)?;
    let mut series = Vec::new();
    for (number, line) in block {
        let (labels, values) = row(line).map_err(|e| format!("{number}: {e}"))?;
        let timed = values.into_iter().enumerate().filter(|(_, v)| !matches!(v, Item::Nothing));
        series.push((labels, timed.map(|(i, v)| (i as i64 * step, v)).collect()));
    }
    Ok(series)
}

fn eval(line: usize, head: &str, block: &[(usize, &str)]) -> Result<Eval, String> {
    let (when, query) = times(head)?;
    let mut eval = Eval {
        line,
        query: query.to_owned(),
        when,
        expected: Expectation::Rows(Vec::new()),
        fail: None,
        warnings: Vec::new(),
        infos: Vec::new(),
        ordered: false,
    };
    let mut rows = Vec::new();
    for (_, line) in block {
        if let Some(expected) = line.strip_prefix("expect ") {
            let (what, text) = expected.split_once(' ').unwrap_or((expected, ""));
            match what {
                "fail" => eval.fail = Some(text.to_owned()),
                "warn" => eval.warnings.push(text.to_owned()),
                "info" => eval.infos.push(text.to_owned()),
                "ordered" => eval.ordered = true,
                "string" => eval.expected = Expectation::Text(text.to_owned()),
                _ => return Err(format!("unknown expectation {what}")),
            }
        } else if let Ok(number) = number(line) {
            eval.expected = Expectation::Number(number);
        } else {
            rows.push(row(line)?);
        }
    }
    if !rows.is_empty() {
        eval.expected = Expectation::Rows(rows);
    }
    Ok(eval)
}

/// `instant at T query` or `range from A to B step S query`.
fn times(head: &str) -> Result<(When, &str), String> {
    let mut rest = head;
    let mut word = || {
        let (word, tail) = rest.split_once(' ')?;
        rest = tail.trim_start();
        Some(word)
    };
    let when = match (word(), word()) {
        (Some("instant"), Some("at")) => When::Instant(millis(word().unwrap_or(""))?),
        (Some("range"), Some("from")) => {
            let start = millis(word().unwrap_or(""))?;
            let _to = word();
            let end = millis(word().unwrap_or(""))?;
            let _step = word();
            When::Range { start, end, step: millis(word().unwrap_or(""))?.unsigned_abs() }
        }
        _ => return Err("expected: eval instant at …, or eval range from … to … step …".to_owned()),
    };
    Ok((when, rest))
}

fn number(text: &str) -> Result<f64, String> {
    text.parse().map_err(|_| format!("{text} is no number"))
}

/// A series and its values.
fn row(line: &str) -> Result<(Labels, Vec<Item>), String> {
    let before_histograms = line.find(" {{").unwrap_or(line.len());
    let end = match line.get(..before_histograms).and_then(|text| text.rfind('}')) {
        Some(at) => at + 1,
        None => line.find(' ').unwrap_or(line.len()),
    };
    let (name, tail) = line.split_at_checked(end).ok_or("series expected")?;
    Ok((series_labels(name)?, series_values(tail)?))
}
