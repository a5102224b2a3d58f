//! Runs scripts on a subject and compares. Warnings and hints that are not expected are failures, so every case says them all.

use std::sync::Arc;

use watchfire_model::histogram::Histogram;
use watchfire_model::labels::Labels;
use watchfire_query::promql::{Answer, Sample, Series, Value, format_value, parse};

use watchfire_query::promql::notation::detailed;

use crate::script::{self, Command, Eval, Expectation, Item, Stored, When};
use crate::subject::{Outcome, Subject};

/// What became of one script.
#[derive(Default)]
pub struct Report {
    /// How many questions it asks.
    pub cases: usize,
    /// How many of them could not be asked this way.
    pub skipped: usize,
    /// What does not hold, one text for each.
    pub failures: Vec<String>,
}
impl Report {
    /// The failures as one text.
    pub fn text(&self) -> String {
        self.failures.join("\n")
    }
}

/// Runs one script; `name` stands in the messages.
pub fn run(subject: &mut dyn Subject, name: &str, text: &str) -> Report {
    let mut report = Report::default();
    let commands = match script::read(text) {
        Ok(commands) => commands,
        Err(message) => {
            report.failures.push(format!("{name}:{message}"));
            return report;
        }
    };
    let mut cleared = subject.clear();
    // What one block after another loads is taken in at once: subjects that mind the order of time get the oldest first.
    let mut pending: Vec<Stored> = Vec::new();
    let mut left_out = false;
    for command in commands {
        match command {
            Command::MemoryOnly => left_out = !subject.is_exact(),
            Command::Clear => {
                left_out = false;
                pending.clear();
                cleared = cleared.and_then(|()| subject.clear());
            }
            Command::Load(series) => pending.extend(series),
            Command::Eval(eval) => {
                report.cases += 1;
                if left_out {
                    report.skipped += 1;
                    continue;
                }
                let loaded = if pending.is_empty() { Ok(()) } else { subject.load(&std::mem::take(&mut pending)) };
                let held = cleared.clone().and(loaded).and_then(|()| check(subject, &eval));
                match held {
                    Ok(true) => {}
                    Ok(false) => report.skipped += 1,
                    Err(failure) => report.failures.push(format!("{name}:{}: {}\n    {failure}", eval.line, eval.query)),
                }
            }
        }
    }
    report
}

/// Whether a case holds; false when it could not be asked.
fn check(subject: &mut dyn Subject, eval: &Eval) -> Result<bool, String> {
    let relaxed = (!subject.is_exact()).then(|| without_hints(eval));
    let eval = relaxed.as_ref().unwrap_or(eval);
    let answer = match (subject.ask(eval, &eval.query), eval.fail.as_deref()) {
        (Outcome::Skipped, _) => return Ok(false),
        (Outcome::Answered(answer), None) => answer,
        (Outcome::Answered(_), Some(message)) => return Err(format!("should fail with {message:?}")),
        (Outcome::Failed(e), Some(message)) if message.is_empty() || e.trim_end() == message => return Ok(true),
        (Outcome::Failed(e), _) => return Err(format!("fails: {e}")),
    };
    let warnings = if subject.is_exact() { answer.warnings.clone() } else { without_conflicts(&answer.warnings) };
    same_texts("warnings", &warnings, &eval.warnings)?;
    same_texts("infos", &answer.infos, &eval.infos)?;
    compare(&answer.value, eval)?;
    if subject.is_exact() {
        printed_again(subject, eval, &answer)?;
    }
    Ok(true)
}

/// What is expected where hints about resets are judged anew: the same, whatever the hints.
fn without_hints(eval: &Eval) -> Eval {
    let mut eval = eval.clone();
    eval.warnings = without_conflicts(&eval.warnings);
    if let Expectation::Rows(rows) = &mut eval.expected {
        for item in rows.iter_mut().flat_map(|(_, items)| items) {
            if let Item::Histogram(literal) = item {
                literal.hint_given = false;
            }
        }
    }
    eval
}

/// Warnings but those that hints contradict each other.
fn without_conflicts(warnings: &[String]) -> Vec<String> {
    warnings.iter().filter(|w| !w.contains("conflicting counter resets")).cloned().collect()
}

/// The printed form of the query must mean the same.
fn printed_again(subject: &mut dyn Subject, eval: &Eval, answer: &Answer) -> Result<(), String> {
    let printed = parse(&eval.query).map_err(|e| e.to_string())?.to_string();
    let again = match subject.ask(eval, &printed) {
        Outcome::Answered(again) => again,
        Outcome::Failed(e) => return Err(format!("printed as {printed}, it fails: {e}")),
        Outcome::Skipped => return Ok(()),
    };
    if format!("{:?}", again.value) == format!("{:?}", answer.value) { Ok(()) } else { Err(format!("printed as {printed}, it gives another result")) }
}

fn same_texts(what: &str, got: &[String], want: &[String]) -> Result<(), String> {
    let meets = |got: &String, want: &String| want.is_empty() || got == want;
    if got.len() == want.len() && got.iter().zip(want).all(|(g, w)| meets(g, w)) { Ok(()) } else { Err(format!("{what} are {got:?} instead of {want:?}")) }
}

/// What a result has at one step.
enum Got {
    Float(f64),
    Histogram(Arc<Histogram>),
}

/// Labels and samples, `None` where there is none.
type Row = (Labels, Vec<Option<Got>>);

/// Results in one shape.
fn rows(value: &Value, eval: &Eval) -> Vec<Row> {
    let sample = |s: &Sample| s.histogram.clone().map_or(Got::Float(s.value), Got::Histogram);
    match value {
        Value::Vector(samples) => samples.iter().map(|s| (s.labels.clone(), vec![Some(sample(s))])).collect(),
        Value::Matrix(series) => series.iter().map(|s| (s.labels.clone(), steps(s, eval))).collect(),
        Value::Scalar(_) | Value::String { .. } => Vec::new(),
    }
}

/// A range result step by step; the raw samples of a range vector one after the other.
fn steps(series: &Series, eval: &Eval) -> Vec<Option<Got>> {
    let floats = series.points.iter().map(|p| (p.time.0, Got::Float(p.value)));
    let mut all: Vec<(i64, Got)> = floats.chain(series.histograms.iter().map(|h| (h.time.0, Got::Histogram(h.value.clone())))).collect();
    all.sort_by_key(|(time, _)| *time);
    let When::Range { start, end, step } = eval.when else {
        return all.into_iter().map(|(_, got)| Some(got)).collect();
    };
    let mut all = all.into_iter().peekable();
    (start..=end).step_by(step as usize).map(|time| all.next_if(|(t, _)| *t == time).map(|(_, got)| got)).collect()
}

fn compare(value: &Value, eval: &Eval) -> Result<(), String> {
    match (value, &eval.expected) {
        (Value::Scalar(point), Expectation::Number(want)) => {
            same(point.value, *want).then_some(()).ok_or_else(|| format!("is {} instead of {}", format_value(point.value), format_value(*want)))
        }
        (Value::String { text, .. }, Expectation::Text(want)) => (text == want).then_some(()).ok_or_else(|| format!("is {text:?}")),
        (Value::Vector(_) | Value::Matrix(_), Expectation::Rows(want)) => compare_rows(rows(value, eval), want, eval.ordered),
        (other, want) => Err(format!("is a {} instead of {want:?}", other.type_code())),
    }
}

fn compare_rows(mut got: Vec<Row>, want: &[(Labels, Vec<Item>)], ordered: bool) -> Result<(), String> {
    let mut want: Vec<_> = want.iter().collect();
    if !ordered {
        got.sort_by(|a, b| a.0.cmp(&b.0));
        want.sort_by(|a, b| a.0.cmp(&b.0));
    }
    let same_value = |(got, want): (&Option<Got>, &Item)| match (got, want) {
        (Some(Got::Float(a)), Item::Float(b)) => same(*a, *b),
        (Some(Got::Histogram(got)), Item::Histogram(want)) => want.is(got, same),
        (None, Item::Nothing) => true,
        _ => false,
    };
    let same_row = |(got, want): (&Row, &&(Labels, Vec<Item>))| got.0 == want.0 && got.1.len() == want.1.len() && got.1.iter().zip(&want.1).all(same_value);
    if got.len() == want.len() && got.iter().zip(&want).all(same_row) {
        return Ok(());
    }
    let got = got.iter().map(|(labels, steps)| (labels, steps.iter().map(shown_got).collect()));
    let want = want.iter().map(|(labels, steps)| (labels, steps.iter().map(shown_item).collect()));
    Err(format!("gives {} instead of {}", shown(got), shown(want)))
}

fn same(a: f64, b: f64) -> bool {
    a == b || (a.is_nan() && b.is_nan()) || (a.is_finite() && b.is_finite() && (a - b).abs() <= 1e-10 * a.abs().max(b.abs()))
}

fn shown_got(got: &Option<Got>) -> String {
    match got {
        None => "_".to_owned(),
        Some(Got::Float(value)) => format_value(*value),
        Some(Got::Histogram(histogram)) => detailed(histogram),
    }
}

fn shown_item(item: &Item) -> String {
    match item {
        Item::Nothing => "_".to_owned(),
        Item::Marker => "stale".to_owned(),
        Item::Float(value) => format_value(*value),
        Item::Histogram(literal) => detailed(&literal.histogram),
    }
}

fn shown<'a>(rows: impl Iterator<Item = (&'a Labels, Vec<String>)>) -> String {
    let text: String = rows.map(|(labels, steps)| format!("\n        {labels} {}", steps.join(" "))).collect();
    if text.is_empty() { "nothing".to_owned() } else { text }
}
