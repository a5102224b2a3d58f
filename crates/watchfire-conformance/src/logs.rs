//! LogQL's specification: scripts (`crates/watchfire-query/testdata/logql`) that `load` streams with lines, `eval` queries with their
//! answers, and name queries that `fail`. Every query is asked of sources in memory that honour hints and that do not, and of the real
//! store with its entries in the head and in segments.
//!
//! `eval lines FROM TO [forward|backward] [limit N] [interval D] QUERY`, then `TIME {labels} "line"` in order;
//! `eval instant TIME QUERY`, then `{labels} value`; `eval range FROM TO STEP QUERY`, then `{labels} v v _ v`;
//! `fail QUERY`, then a part of the message. Times are durations since 1970. Entries of one time in two streams have no order.

#![expect(clippy::unwrap_used, reason = "a script that cannot be read ends the test")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use watchfire_model::batch::{Batch, Origin};
use watchfire_model::duration::parse_millis;
use watchfire_model::labels;
use watchfire_model::labels::{Labels, LabelsBuilder};
use watchfire_model::logs::{LogEntry, LogSource, Nanos, StreamEntries};
use watchfire_model::read::Budget;
use watchfire_model::time::{ManualClock, Timestamp};
use watchfire_model::write::Sink;
use watchfire_query::logql::{Direction, Engine, Expr, Line, LinesRequest, LogqlError, Metric, parse, parse_log, parse_selector};
use watchfire_query::promql::{Answer, Value};
use watchfire_store::{Options, Store};
use watchfire_testkit::logs::Logs;

/// The time at which stores are opened: long after the entries of the scripts, which begin in 1970.
const NOW_MS: i64 = 1_767_089_700_000;

fn budget() -> Budget {
    Budget::unlimited(ManualClock::new(Timestamp(0)))
}

/// A series with its points, or its one value.
type Row = (Labels, Vec<Option<f64>>);

const NOBODY: usize = 1_000;

fn labels_of(text: &str) -> Labels {
    let matchers = parse_selector(text).unwrap_or_else(|e| panic!("{text}: {e}"));
    Labels::from_pairs(matchers.iter().map(|m| (m.name.as_str(), m.value.as_str())))
}

fn split(text: &str, at: usize) -> (&str, &str) {
    let (before, behind) = text.split_at(at);
    (before, behind.trim())
}

/// Splits `{labels} rest` behind the braces, minding quotes.
fn braces(text: &str) -> (&str, &str) {
    let mut quoted = false;
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '}' if !quoted => return split(text, at + 1),
            _ => {}
        }
    }
    panic!("no braces in {text}")
}

fn time(text: &str) -> Nanos {
    Nanos(parse_millis(text).unwrap_or_else(|| panic!("{text} is no time")) as i64 * 1_000_000)
}

fn line_of(text: &str) -> (String, &str) {
    let quote = text.get(..1).unwrap();
    let mut end = None;
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' if quote == "\"" => escaped = true,
            c if quote.starts_with(c) => {
                end = Some(at);
                break;
            }
            _ => {}
        }
    }
    let end = end.unwrap_or_else(|| panic!("line without end: {text}"));
    let (quoted, rest) = split(text, end + 1);
    let text = match quoted.strip_prefix('`').and_then(|q| q.strip_suffix('`')) {
        Some(raw) => raw.to_owned(),
        None => serde_json::from_str(quoted).unwrap(),
    };
    (text, rest)
}

/// One of the places that are asked.
enum Place {
    Memory(Logs),
    Store { store: Store, flushed: bool, _dir: TempDir },
}
impl Place {
    fn store(flushed: bool) -> Place {
        let dir = tempfile::tempdir().unwrap();
        let clock: Arc<ManualClock> = ManualClock::new(Timestamp(NOW_MS));
        let options = Options { retention: None, keeper: false, min_free_bytes: 0, ..Options::new(dir.path().join("data"), clock) };
        Place::Store { store: Store::open(options).unwrap(), flushed, _dir: dir }
    }
    fn add(&self, streams: &[StreamEntries]) {
        match self {
            Place::Memory(logs) => streams.iter().for_each(|stream| logs.add(stream.clone())),
            Place::Store { store, flushed, .. } => {
                let mut batch = Batch::new(Origin::new("conformance"));
                batch.logs = streams.to_vec();
                let sent = streams.iter().map(|s| s.entries.len() as u64).sum::<u64>();
                let written = store.write(batch).unwrap();
                assert_eq!(written.logs.stored, sent, "{written:?}");
                if *flushed {
                    store.flush_logs().unwrap();
                }
            }
        }
    }
    fn source(&self) -> &dyn LogSource {
        match self {
            Place::Memory(logs) => logs,
            Place::Store { store, .. } => store,
        }
    }
}

struct Script {
    places: Vec<Place>,
    engine: Engine,
}

impl Script {
    fn new() -> Script {
        Script {
            places: vec![Place::Memory(Logs::new()), Place::Memory(Logs::honouring_hints()), Place::store(false), Place::store(true)],
            engine: Engine { series_max: NOBODY, entries_max: NOBODY },
        }
    }

    fn load(&self, body: &[&str]) {
        let mut streams: Vec<StreamEntries> = Vec::new();
        for text in body {
            if text.starts_with('{') {
                streams.push(StreamEntries { labels: labels_of(text), entries: Vec::new() });
                continue;
            }
            let (at, rest) = text.split_once(' ').unwrap();
            let (line, metadata) = line_of(rest.trim());
            let metadata = if metadata.is_empty() { Labels::empty() } else { labels_of(metadata) };
            streams.last_mut().unwrap().entries.push(LogEntry { time: time(at), line: line.into(), metadata });
        }
        self.places.iter().for_each(|place| place.add(&streams));
    }

    fn lines(&self, arguments: &str) -> Result<Vec<Vec<String>>, String> {
        let mut words = arguments;
        let mut word = || {
            let (first, rest) = words.trim_start().split_once(' ').unwrap();
            words = rest;
            first.to_owned()
        };
        let mut request = LinesRequest { start: time(&word()), end: time(&word()), limit: NOBODY, direction: Direction::Forward, interval: Duration::ZERO };
        while !words.trim_start().starts_with(['{', '(']) {
            let (option, rest) = words.trim_start().split_once(' ').unwrap();
            words = rest;
            let mut argument = || {
                let (first, rest) = words.trim_start().split_once(' ').unwrap();
                words = rest;
                first.to_owned()
            };
            match option {
                "forward" => request.direction = Direction::Forward,
                "backward" => request.direction = Direction::Backward,
                "limit" => request.limit = argument().parse().unwrap(),
                "interval" => request.interval = Duration::from_nanos(time(&argument()).0 as u64),
                other => panic!("unknown option {other}"),
            }
        }
        let log = parse_log(words.trim()).map_err(|e| e.to_string())?;
        let answer = |place: &Place| -> Result<Vec<String>, String> {
            let lines = self.engine.lines(place.source(), &log, &request, &budget()).map_err(|e| e.to_string())?;
            Ok(without_ties(lines.list.iter().map(|line| (line.time.0, shown(line))).collect()))
        };
        self.places.iter().map(answer).collect()
    }

    fn numbers(&self, query: &str, ask: impl Fn(&dyn LogSource, &Metric) -> Result<Answer, LogqlError>) -> Result<Vec<Vec<Row>>, String> {
        let Expr::Metric(metric) = parse(query).map_err(|e| e.to_string())? else { return Err("a log query gives no numbers".to_owned()) };
        self.places.iter().map(|place| ask(place.source(), &metric).map(|a| flat(&a.value)).map_err(|e| e.to_string())).collect()
    }
}

/// Lines of one time in the order of their texts: streams have none among each other.
fn without_ties(mut lines: Vec<(i64, String)>) -> Vec<String> {
    lines.chunk_by_mut(|a, b| a.0 == b.0).for_each(<[_]>::sort);
    lines.into_iter().map(|(_, text)| text).collect()
}

fn shown(line: &Line) -> String {
    let mut labels = LabelsBuilder::from(&line.labels());
    for name in &line.empty {
        labels.set(name, "\u{0}");
    }
    let text = labels.build().to_string().replace("\\x00", "");
    format!("{} {} {}", line.time.0, text, watchfire_model::labels::quoted(&line.line))
}

/// Series with their points by step number, in milliseconds here.
fn flat(value: &Value) -> Vec<Row> {
    match value {
        Value::Scalar(point) => vec![(labels!("scalar" => "1"), vec![Some(point.value)])],
        Value::Vector(samples) => samples.iter().map(|s| (s.labels.clone(), vec![Some(s.value)])).collect(),
        Value::Matrix(series) => series
            .iter()
            .map(|s| {
                // The points with their times, made comparable by whoever knows the steps.
                (s.labels.clone(), s.points.iter().flat_map(|p| [Some(p.time.0 as f64), Some(p.value)]).collect())
            })
            .collect(),
        Value::String { text, .. } => panic!("text {text}"),
    }
}

fn number(text: &str) -> Option<f64> {
    (text != "_").then(|| text.parse().ok().unwrap_or_else(|| panic!("{text} is no number")))
}

fn same(a: f64, b: f64) -> bool {
    a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= 1e-9 * a.abs().max(b.abs())
}

fn check_numbers(place: &str, got: Vec<Row>, expected: &[Row], ordered: bool) -> Vec<String> {
    let sorted = |mut all: Vec<Row>| {
        if !ordered {
            all.sort_by(|a, b| a.0.cmp(&b.0));
        }
        all
    };
    let (got, expected) = (sorted(got), sorted(expected.to_vec()));
    let equal = got.len() == expected.len()
        && got.iter().zip(&expected).all(|(a, b)| {
            a.0 == b.0 && a.1.len() == b.1.len() && a.1.iter().zip(&b.1).all(|(a, b)| a.is_none() == b.is_none() && a.zip(*b).is_none_or(|(a, b)| same(a, b)))
        });
    if equal { Vec::new() } else { vec![format!("{place}\ngot      {got:?}\nexpected {expected:?}")] }
}

/// Runs a script; gives the number of its cases and adds what is wrong.
pub fn run(path: &Path, wrong: &mut Vec<String>) -> usize {
    let text = std::fs::read_to_string(path).unwrap();
    let mut script = Script::new();
    let mut cases = 0;
    let mut lines = text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty() && !l.trim_start().starts_with('#')).peekable();
    while let Some((number_of_line, head)) = lines.next() {
        let place = format!("{}:{} {head}", path.display(), number_of_line + 1);
        let mut body: Vec<&str> = Vec::new();
        while let Some((_, line)) = lines.peek()
            && line.starts_with(' ')
        {
            body.push(line.trim());
            lines.next();
        }
        cases += 1;
        if head == "load" {
            script.load(&body);
        } else if head == "clear" {
            script = Script::new();
        } else if let Some(arguments) = head.strip_prefix("eval lines ") {
            let answers = script.lines(arguments).unwrap_or_else(|e| panic!("{place}: {e}"));
            let expected: Vec<(i64, String)> = body
                .iter()
                .map(|line| {
                    let (at, rest) = line.split_once(' ').unwrap();
                    let (labels, text) = braces(rest.trim());
                    let labels = labels_with_empty(labels);
                    (time(at).0, format!("{} {labels} {}", time(at).0, watchfire_model::labels::quoted(&line_of(text).0)))
                })
                .collect();
            let expected = without_ties(expected);
            for answer in answers {
                if answer != expected {
                    wrong.push(format!("{place}\ngot      {answer:#?}\nexpected {expected:#?}"));
                }
            }
        } else if let Some(arguments) = head.strip_prefix("eval instant ") {
            let (at, query) = arguments.split_once(' ').unwrap();
            let ordered = query.contains("sort") || query.contains("topk") || query.contains("bottomk");
            let answers = script.numbers(query, |source, metric| script.engine.instant(source, metric, time(at), &budget()));
            let expected: Vec<_> = body
                .iter()
                .map(|line| match line.strip_prefix("scalar ") {
                    Some(value) => (labels!("scalar" => "1"), vec![number(value)]),
                    None => {
                        let (labels, value) = braces(line);
                        (labels_of(labels), vec![number(value)])
                    }
                })
                .collect();
            for answer in answers.unwrap_or_else(|e| panic!("{place}: {e}")) {
                wrong.extend(check_numbers(&place, answer, &expected, ordered));
            }
        } else if let Some(arguments) = head.strip_prefix("eval range ") {
            let mut words = arguments.splitn(4, ' ');
            let mut word = || words.next().unwrap();
            let (from, to, step, query) = (time(word()), time(word()), time(word()), word());
            let ask = |source: &dyn LogSource, metric: &Metric| script.engine.range(source, metric, from, to, Duration::from_nanos(step.0 as u64), &budget());
            let expected: Vec<_> = body
                .iter()
                .map(|line| {
                    let (labels, values) = braces(line);
                    let at = |i: usize| (from.0 / 1_000_000 + i as i64 * (step.0 / 1_000_000)) as f64;
                    let points = values.split_whitespace().enumerate().filter_map(|(i, v)| number(v).map(|v| [Some(at(i)), Some(v)]));
                    (labels_of(labels), points.flatten().collect())
                })
                .collect();
            for answer in script.numbers(query, ask).unwrap_or_else(|e| panic!("{place}: {e}")) {
                wrong.extend(check_numbers(&place, answer, &expected, false));
            }
        } else if let Some(query) = head.strip_prefix("fail ") {
            let error = match parse(query) {
                Err(error) => error.to_string(),
                Ok(Expr::Log(_)) => script.lines(&format!("0s 1h {query}")).expect_err(&place),
                Ok(Expr::Metric(_)) => script.numbers(query, |source, metric| script.engine.instant(source, metric, time("1h"), &budget())).expect_err(&place),
            };
            for part in body {
                if !error.contains(part) {
                    wrong.push(format!("{place}\ngot      {error}\nexpected {part}"));
                }
            }
        } else {
            panic!("{place}: unknown command");
        }
    }
    cases
}

/// As lines are shown: a label may be set to nothing.
fn labels_with_empty(text: &str) -> String {
    let mut labels = LabelsBuilder::new();
    for matcher in parse_selector(text).unwrap() {
        labels.set(&matcher.name, if matcher.value.is_empty() { "\u{0}" } else { &matcher.value });
    }
    labels.build().to_string().replace("\\x00", "")
}
