//! The executable specification of our PromQL: runs the scripts in `testdata/*.test` on an in-memory source.
//!
//! A script is a list of commands; `script` reads them. `load` adds samples, `clear` forgets them, `eval` asks
//! and says what must come out. Warnings and hints that are not expected are failures, so every case says them all.

mod literal;
mod script;

use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use watchfire_model::histogram::Histogram;
use watchfire_model::labels::Labels;
use watchfire_model::read::Budget;
use watchfire_model::sample::stale_nan;
use watchfire_model::time::{ManualClock, Timestamp};
use watchfire_testkit::memory::Memory;

use super::{Answer, Engine, QueryError, Value, format_value, parse};
use script::{Command, Eval, Expectation, Item, When};

/// What became of one script.
#[derive(Default)]
struct Report {
    cases: usize,
    failures: String,
}

fn run(name: &str, text: &str) -> Report {
    let mut report = Report::default();
    let commands = match script::read(text) {
        Ok(commands) => commands,
        Err(message) => {
            writeln!(report.failures, "{name}:{message}").unwrap();
            return report;
        }
    };
    let memory = Memory::new();
    for command in commands {
        match command {
            Command::Clear => memory.clear(),
            Command::Load(series) => {
                for (labels, samples) in series {
                    for (time, item) in samples {
                        match item {
                            Item::Nothing => {}
                            Item::Marker => memory.add(&labels, Timestamp(time), stale_nan()),
                            Item::Float(value) => memory.add(&labels, Timestamp(time), value),
                            Item::Histogram(literal) => memory.add_histogram(&labels, Timestamp(time), literal.histogram),
                        }
                    }
                }
            }
            Command::Eval(eval) => {
                report.cases += 1;
                if let Err(failure) = check(&memory, &eval) {
                    writeln!(report.failures, "{name}:{}: {}\n    {failure}", eval.line, eval.query).unwrap();
                }
            }
        }
    }
    report
}

fn ask(memory: &Memory, eval: &Eval, query: &str) -> Result<Answer, QueryError> {
    let engine = Engine::default();
    const SAMPLES_MAX: u64 = 1 << 40;
    let budget = Budget::new(ManualClock::new(Timestamp(0)), Duration::from_secs(1), SAMPLES_MAX, SAMPLES_MAX * 16);
    let answer = match eval.when {
        When::Instant(time) => engine.instant(memory, query, Timestamp(time), &budget),
        When::Range { start, end, step } => engine.range(memory, query, Timestamp(start), Timestamp(end), Duration::from_millis(step), &budget),
    };
    // Whatever was charged must have been given back, or long-lived budgets would run dry.
    assert!(budget.charge_samples(SAMPLES_MAX).is_ok(), "{query}: samples are still charged");
    answer
}

fn check(memory: &Memory, eval: &Eval) -> Result<(), String> {
    let answer = match (ask(memory, eval, &eval.query), eval.fail.as_deref()) {
        (Ok(answer), None) => answer,
        (Ok(_), Some(message)) => return Err(format!("should fail with {message:?}")),
        (Err(e), Some(message)) if message.is_empty() || e.to_string().trim_end() == message => return Ok(()),
        (Err(e), _) => return Err(format!("fails: {e}")),
    };
    same_texts("warnings", &answer.warnings, &eval.warnings)?;
    same_texts("infos", &answer.infos, &eval.infos)?;
    compare(&answer.value, eval)?;
    printed_again(memory, eval, &answer)
}

/// The printed form of the query must mean the same.
fn printed_again(memory: &Memory, eval: &Eval, answer: &Answer) -> Result<(), String> {
    let printed = parse(&eval.query).map_err(|e| e.to_string())?.to_string();
    let again = ask(memory, eval, &printed).map_err(|e| format!("printed as {printed}, it fails: {e}"))?;
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
    let sample = |s: &super::Sample| s.histogram.clone().map_or(Got::Float(s.value), Got::Histogram);
    match value {
        Value::Vector(samples) => samples.iter().map(|s| (s.labels.clone(), vec![Some(sample(s))])).collect(),
        Value::Matrix(series) => series.iter().map(|s| (s.labels.clone(), steps(s, eval))).collect(),
        Value::Scalar(_) | Value::String { .. } => Vec::new(),
    }
}

/// A range result step by step; the raw samples of a range vector one after the other.
fn steps(series: &super::Series, eval: &Eval) -> Vec<Option<Got>> {
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
    a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= 1e-10 * a.abs().max(b.abs())
}

fn shown_got(got: &Option<Got>) -> String {
    match got {
        None => "_".to_owned(),
        Some(Got::Float(value)) => format_value(*value),
        Some(Got::Histogram(histogram)) => literal::detailed(histogram),
    }
}

fn shown_item(item: &Item) -> String {
    match item {
        Item::Nothing => "_".to_owned(),
        Item::Marker => "stale".to_owned(),
        Item::Float(value) => format_value(*value),
        Item::Histogram(literal) => literal::detailed(&literal.histogram),
    }
}

fn shown<'a>(rows: impl Iterator<Item = (&'a Labels, Vec<String>)>) -> String {
    let text: String = rows.map(|(labels, steps)| format!("\n        {labels} {}", steps.join(" "))).collect();
    if text.is_empty() { "nothing".to_owned() } else { text }
}

#[test]
fn every_case_of_the_specification_holds() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata");
    let mut files: Vec<_> =
        std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).filter(|p| p.extension().is_some_and(|e| e == "test")).collect();
    files.sort();
    let mut total = Report::default();
    for file in files {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let report = run(&name, &std::fs::read_to_string(&file).unwrap());
        total.cases += report.cases;
        total.failures.push_str(&report.failures);
    }
    assert!(total.failures.is_empty(), "{} cases, of which fail:\n{}", total.cases, total.failures);
    assert!(total.cases >= 400, "only {} cases were found", total.cases);
}

#[test]
fn the_runner_notices_what_is_wrong() {
    const DATA: &str = "load 1m\n  m{a=\"x\"} 1 2 3\n  h {{count:3 sum:4 buckets:[1 2]}}\n\n";
    for (case, notice) in [
        ("eval instant at 1m m\n  m{a=\"x\"} 3\n", "instead of"),
        ("eval instant at 1m m\n", "instead of nothing"),
        ("eval instant at 1m m\n  m{a=\"y\"} 2\n", "instead of"),
        ("eval instant at 1m m\n  expect fail\n", "should fail"),
        ("eval instant at 1m m{\n  m{a=\"x\"} 2\n", "fails"),
        ("eval instant at 2m rate(m[2m])\n  {a=\"x\"} 0.016666666666666666\n", "infos"),
        ("eval range from 0 to 2m step 1m m\n  m{a=\"x\"} 1 2 4\n", "instead of"),
        ("eval instant at 1m 1\n  2\n", "instead of"),
        ("eval instant at 1m m\n  m{a=\"x\"} {{count:2}}\n", "instead of"),
        ("eval instant at 1m h\n  h{} 2\n", "instead of"),
        ("eval instant at 1m h\n  h{} {{count:3 sum:4 buckets:[1 3]}}\n", "instead of"),
        ("eval instant at 1m h\n  h{} {{count:3 sum:4 buckets:[1 2] offset:1}}\n", "instead of"),
        ("eval instant at 1m h\n  h{} {{count:3 sum:4 buckets:[1 2] counter_reset_hint:gauge}}\n", "instead of"),
        ("eval instant at 1m h\n  h{} {{counts:3}}\n", "unknown key"),
        ("evaluate instant at 1m 1\n", "unknown command"),
    ] {
        let failures = run("x", &format!("{DATA}{case}")).failures;
        assert!(failures.contains(notice), "{case}{failures}");
    }
    assert_eq!(run("x", &format!("{DATA}eval instant at 1m m\n  m{{a=\"x\"}} 2\n")).failures, "");
}
