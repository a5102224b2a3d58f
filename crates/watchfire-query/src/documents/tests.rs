//! Tests of searches as scripts (`testdata/search`): documents, questions in every language, and which documents answer.
//!
//! `load` streams with `OFFSET "line" {metadata}`, the offset from now; documents are numbered in their order from 1. `lucene`, `kql`,
//! `either` and `query` ask, then the numbers of what is found; `search` takes a body, then parts of the answer that must be in it;
//! `fail LANGUAGE TEXT`, then a part of the message.

mod composite;
mod limits;

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use serde_json::Value;
use watchfire_model::labels::Labels;
use watchfire_model::logs::{LogSelection, LogSource, Nanos};
use watchfire_model::read::Budget;
use watchfire_model::time::{ManualClock, Timestamp};
use watchfire_testkit::logs::Logs;

use super::*;
use crate::logql::{parse_selector, units};
use crate::lucene::{self, Language};

fn now() -> Nanos {
    dates::instant("2024-05-15T12:00:00Z").unwrap()
}

fn budget() -> Budget {
    Budget::unlimited(ManualClock::new(Timestamp(0)))
}

fn everything() -> LogSelection {
    LogSelection::new(Vec::new(), Nanos::MIN, Nanos::MAX)
}

fn labels_of(text: &str) -> Labels {
    let matchers = parse_selector(text).unwrap_or_else(|e| panic!("{text}: {e}"));
    Labels::from_pairs(matchers.iter().map(|m| (m.name.as_str(), m.value.as_str())))
}

/// Splits a line in backticks from what is behind it.
fn line_of(text: &str) -> (&str, &str) {
    let inner = text.strip_prefix('`').unwrap_or_else(|| panic!("lines stand in backticks: {text}"));
    let (line, rest) = inner.split_once('`').unwrap();
    (line, rest.trim())
}

fn filter(language: &str, text: &str) -> Result<Filter, String> {
    let mut context = Context::new(now());
    context.default_and = language == "and";
    let filter = match language {
        "lucene" | "and" => lucene::parse(text, &context),
        "kql" => lucene::parse_kql(text, &context),
        "either" => lucene::parse_as(Language::Either, text, &context),
        "simple" => return lucene::parse_simple(text, &context),
        "query" => query(&serde_json::from_str(text).unwrap(), &context),
        other => panic!("unknown language {other}"),
    };
    filter.map_err(|e| e.to_string())
}

fn found(logs: &Logs, filter: &Filter) -> String {
    let mut ids: Vec<u64> = Vec::new();
    matching(logs, &everything(), filter, &budget(), &mut |document| {
        ids.push(document.id().parse().unwrap());
        Ok(std::ops::ControlFlow::Continue(()))
    })
    .unwrap();
    assert_eq!(count(logs, &everything(), filter, &budget()).unwrap(), ids.len() as u64);
    ids.sort_unstable();
    ids.iter().map(u64::to_string).collect::<Vec<_>>().join(" ")
}

/// Whether all that is expected is there, at any depth.
fn holds(got: &Value, expected: &Value) -> bool {
    match (got, expected) {
        (Value::Object(got), Value::Object(expected)) => expected.iter().all(|(name, value)| got.get(name).is_some_and(|got| holds(got, value))),
        (Value::Array(got), Value::Array(expected)) => got.len() == expected.len() && got.iter().zip(expected).all(|(g, e)| holds(g, e)),
        (Value::Number(a), Value::Number(b)) => a.as_f64().zip(b.as_f64()).is_some_and(|(a, b)| (a - b).abs() <= 1e-9 * a.abs().max(1.0)),
        (got, expected) => got == expected,
    }
}

fn searched(logs: &Logs, body: &str) -> Result<Value, String> {
    let request = Request::read(&serde_json::from_str(body).unwrap(), &Context::new(now())).map_err(|e| e.to_string())?;
    let answer = search(logs, &everything(), &request, &budget()).map_err(|e| e.to_string())?;
    let ids: Vec<String> = answer.hits.iter().map(|hit| hit.id.clone()).collect();
    let mut json = answer.json("logs");
    json.insert("ids".into(), ids.join(" ").into());
    Ok(Value::Object(json))
}

fn run(path: &Path, wrong: &mut Vec<String>) -> usize {
    let text = fs::read_to_string(path).unwrap();
    let (mut logs, mut stream, mut number, mut cases) = (Logs::honouring_hints(), Labels::empty(), 0, 0);
    let mut lines = text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty() && !l.trim_start().starts_with('#')).peekable();
    while let Some((at, head)) = lines.next() {
        let place = format!("{}:{} {head}", path.display(), at + 1);
        let mut body: Vec<&str> = Vec::new();
        while let Some((_, line)) = lines.peek()
            && line.starts_with(' ')
        {
            body.push(line.trim());
            lines.next();
        }
        cases += 1;
        let (command, argument) = head.split_once(' ').unwrap_or((head, ""));
        match command {
            "load" => {
                for line in body {
                    if line.starts_with('{') {
                        stream = labels_of(line);
                        continue;
                    }
                    let (offset, rest) = line.split_once(' ').unwrap();
                    let (line, metadata) = line_of(rest.trim());
                    number += 1;
                    let metadata = if metadata.is_empty() { Labels::empty() } else { labels_of(metadata) };
                    let time = Nanos(now().0 + units::duration_nanos(offset).unwrap());
                    logs.add_line(&stream, time, line, &metadata.with("_id", &number.to_string()));
                }
            }
            "clear" => (logs, number) = (Logs::honouring_hints(), 0),
            "fail" => {
                let (language, text) = argument.split_once(' ').unwrap_or((argument, ""));
                let error = if language == "search" { searched(&logs, text).map(drop) } else { filter(language, text).map(drop) };
                let error = error.expect_err(&place);
                wrong.extend(body.iter().filter(|part| !error.contains(**part)).map(|part| format!("{place}\ngot      {error}\nexpected {part}")));
            }
            "search" => {
                let got = searched(&logs, argument).unwrap_or_else(|e| panic!("{place}: {e}"));
                let expected: Value = serde_json::from_str(&body.concat()).unwrap_or_else(|e| panic!("{place}: {e}"));
                if !holds(&got, &expected) {
                    wrong.push(format!("{place}\ngot      {got}\nexpected {expected}"));
                }
            }
            language => match filter(language, argument) {
                Ok(filter) => {
                    let (got, expected) = (found(&logs, &filter), body.concat());
                    if got != expected {
                        wrong.push(format!("{place}\ngot      {got}\nexpected {expected}\nas       {filter:?}"));
                    }
                }
                Err(error) => wrong.push(format!("{place}: {error}")),
            },
        }
    }
    cases
}

#[test]
fn scripts_hold() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/search");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|f| f.unwrap().path()).filter(|p| p.extension().is_some_and(|e| e == "searchtest")).collect();
    files.sort();
    assert!(files.len() >= 4, "{files:?}");
    let mut wrong = Vec::new();
    let cases: usize = files.iter().map(|path| run(path, &mut wrong)).sum();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    assert!(cases > 150, "{cases} cases");
}

#[test]
fn times_of_a_condition_bound_what_is_read() {
    let check = |text: &str, expected: (&str, &str)| {
        let (from, to) = filter("lucene", text).unwrap().times();
        let shown = |time: i64| if time == i64::MIN || time == i64::MAX { "-".to_owned() } else { dates::format(Nanos(time)) };
        assert_eq!((shown(from).as_str(), shown(to).as_str()), expected, "{text}");
    };
    check("a AND @timestamp:[now-1h TO now]", ("2024-05-15T11:00:00.000Z", "2024-05-15T12:00:00.000Z"));
    check("@timestamp:[2024-05-01 TO 2024-05-02]", ("2024-05-01T00:00:00.000Z", "2024-05-03T00:00:00.000Z"));
    check("@timestamp:{2024-05-01 TO 2024-05-03}", ("2024-05-02T00:00:00.000Z", "2024-05-03T00:00:00.000Z"));
    check("@timestamp:>=now/d", ("2024-05-15T00:00:00.000Z", "-"));
    check("a OR @timestamp:>=now/d", ("-", "-"));
    check("NOT @timestamp:>=now/d", ("-", "-"));
}

#[test]
fn memory_of_hits_and_buckets_is_charged_and_given_back() {
    let logs = Logs::new();
    for i in 0..500 {
        logs.add_line(&Labels::from_pairs([("app", "a")]), Nanos(i), &format!("{{\"n\":{i}}}"), &Labels::empty());
    }
    let ask = |body: &str, memory: u64| {
        let budget = Budget::new(ManualClock::new(Timestamp(0)), std::time::Duration::from_secs(60), 1 << 20, memory);
        let request = Request::read(&serde_json::from_str(body).unwrap(), &Context::new(now())).unwrap();
        let answer = search(&logs, &everything(), &request, &budget).map(|a| a.total.unwrap_or(0)).map_err(|e| e.to_string());
        (answer, budget)
    };
    assert_eq!(ask("{\"size\":400}", 20_000).0.unwrap_err(), "query would need more than 20000 bytes of memory");
    let (answer, budget) = ask("{\"size\":10}", 20_000);
    assert_eq!(answer, Ok(500));
    budget.charge_memory(20_000).expect("all of it was given back");
    assert_eq!(ask("{\"size\":0,\"aggs\":{\"n\":{\"terms\":{\"field\":\"n\"}}}}", 20_000).0.unwrap_err(), "query would need more than 20000 bytes of memory");
}

/// Events as Filebeat sends them: what is configured lies below `fields`.
fn surveillance() -> Logs {
    let logs = Logs::new();
    let mut id = 0;
    let mut add = |minutes: i64, line: &str| {
        id += 1;
        let time = Nanos(now().0 - minutes * 60_000_000_000);
        logs.add_line(&labels_of("{job=\"filebeat\"}"), time, line, &labels_of(&format!("{{_id=\"{id}\"}}")));
    };
    add(30, r#"{"fields":{"component":"recording"},"level":"ERROR","message":"camera 7: connection failed after 3 tries"}"#);
    add(90, r#"{"fields":{"component":"recording"},"level":"ERROR","message":"disk full"}"#);
    add(10, r#"{"fields":{"component":"api"},"level":"ERROR","status":502,"response_time":30,"message":"bad gateway"}"#);
    add(20, r#"{"fields":{"component":"api"},"level":"INFO","status":500,"response_time":1800,"message":"slow"}"#);
    add(5, r#"{"fields":{"component":"api"},"level":"INFO","status":200,"response_time":1000,"message":"ok"}"#);
    add(1, r#"{"fields":{"component":"auth"},"event":"failed_login","message":"wrong password"}"#);
    add(2, r#"{"fields":{"component":"auth"},"event":"unauthorized_access","message":"no right"}"#);
    add(3, r#"{"fields":{"component":"auth"},"event":"login","message":"hello"}"#);
    logs
}

#[test]
fn vms_38_five_searches() {
    let logs = surveillance();
    for (text, expected) in [
        ("component:recording AND level:ERROR AND @timestamp:[now-1h TO now]", "1"),
        ("message:\"connection failed\" AND component:recording", "1"),
        ("component:api AND status:>=500 AND @timestamp:[now-15m TO now]", "3"),
        ("component:api AND response_time:>1000", "4"),
        ("component:auth AND (event:failed_login OR event:unauthorized_access)", "6 7"),
    ] {
        for language in ["lucene", "either"] {
            assert_eq!(found(&logs, &filter(language, text).unwrap()), expected, "{text}");
        }
    }
}

#[test]
fn vms_39_events_have_fields() {
    let logs = surveillance();
    for (field, expected) in [
        ("component", "1 2 3 4 5 6 7 8"),
        ("level", "1 2 3 4 5"),
        ("message", "1 2 3 4 5 6 7 8"),
        ("status", "3 4 5"),
        ("response_time", "3 4 5"),
        ("event", "6 7 8"),
        ("@timestamp", "1 2 3 4 5 6 7 8"),
    ] {
        assert_eq!(found(&logs, &filter("lucene", &format!("_exists_:{field}")).unwrap()), expected, "{field}");
        assert_eq!(found(&logs, &filter("kql", &format!("{field}: *")).unwrap()), expected, "{field}");
    }
}

/// Every search of the documents, as it stands there.
#[test]
fn what_people_wrote_is_read() {
    let Ok(catalogue) = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/catalogue/queries.tsv")) else {
        println!("SKIPPED: no catalogue of queries here");
        return;
    };
    let mut count = 0;
    for line in catalogue.lines() {
        let Some(("lucene/kql", rest)) = line.split_once('\t') else { continue };
        let text = rest.split('\t').next().unwrap_or("");
        for language in ["lucene", "either"] {
            filter(language, text).unwrap_or_else(|e| panic!("{text}: {e}"));
        }
        count += 1;
    }
    assert!(count >= 5, "{count}");
}

fn pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "a",
        "level:",
        "ERROR",
        " AND ",
        " OR ",
        " NOT ",
        " and ",
        " or ",
        " not ",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        "TO",
        " TO ",
        "\"",
        "\"a b\"",
        "*",
        "?",
        "~",
        "~2",
        "^2",
        ":",
        ">",
        ">=",
        "<",
        "=",
        "/",
        "/a.*/",
        "\\",
        "+",
        "-",
        "!",
        "&&",
        "||",
        " ",
        "now-1h",
        "2024-01-01",
        "@timestamp:",
        "_exists_:",
        "5",
        "é",
        "\u{0}",
        "|",
    ]);
    prop::collection::vec(piece, 0..14).prop_map(|pieces| pieces.concat())
}

fn ask_all(text: &str) {
    let logs = Logs::new();
    logs.add_line(&labels_of("{level=\"ERROR\"}"), now(), "{\"a\":\"b\",\"n\":5}", &Labels::empty());
    logs.add_line(&labels_of("{level=\"INFO\"}"), now(), "a plain text", &Labels::empty());
    for language in ["lucene", "and", "kql", "either", "simple"] {
        if let Ok(filter) = filter(language, text) {
            count(&logs, &everything(), &filter, &budget()).unwrap();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]
    #[test]
    fn pieces_in_any_order_never_panic(text in pieces()) {
        ask_all(&text);
    }

    #[test]
    fn any_text_never_panics(text in "\\PC{0,60}") {
        ask_all(&text);
    }

    #[test]
    fn any_date_never_panics(text in "(now)?[-+/|0-9TZ:.a-yMH ]{0,20}") {
        if let Some(period) = dates::period(&text, now(), &jiff::tz::TimeZone::UTC) {
            prop_assert!(period.start <= period.end);
        }
    }
}

#[test]
fn pages_that_go_on_have_each_document_once() {
    let logs = Logs::new();
    for i in 0..200i64 {
        // Four documents in each millisecond, three values of a field, which some do not have.
        let line = if i % 7 == 0 { "{}".to_owned() } else { format!("{{\"n\":{}}}", i % 3) };
        logs.add_line(&Labels::from_pairs([("app", "a")]), Nanos(i * 250_000), &line, &Labels::from_pairs([("_id", format!("d{i}"))]));
    }
    let budget = Budget::unlimited(ManualClock::new(Timestamp(0)));
    for sort in ["[]", r#"["_doc"]"#, r#"[{"@timestamp":"desc"}]"#, r#"[{"n":"desc"}]"#, r#"[{"n":"asc"},{"@timestamp":"asc"}]"#] {
        let sort: Value = serde_json::from_str(sort).unwrap();
        let mut request = Request::read(&serde_json::json!({"size": 13, "sort": sort}), &Context::new(now())).unwrap();
        request.tie(Some(&sort)).unwrap();
        let mut seen = std::collections::BTreeSet::new();
        let mut pages = 0;
        loop {
            let found = search(&logs, &everything(), &request, &budget).unwrap();
            assert_eq!(found.total, (pages == 0).then_some(200), "{sort}");
            let Some(last) = found.hits.last() else { break };
            request.go_on(last.sort.as_ref().unwrap());
            assert!(found.hits.into_iter().all(|hit| seen.insert(hit.id)), "{sort}: nothing comes twice");
            pages += 1;
        }
        assert_eq!((seen.len(), pages), (200, 16), "{sort}");
    }
    // Where nothing is counted, reading ends with the page.
    let request = Request::read(&serde_json::json!({"size": 2, "sort": [{"@timestamp": "asc"}], "track_total_hits": false}), &Context::new(now())).unwrap();
    let counting = Counting { logs, read: std::sync::atomic::AtomicUsize::new(0) };
    assert_eq!(search(&counting, &everything(), &request, &budget).unwrap().hits.len(), 2);
    let read = counting.read.load(std::sync::atomic::Ordering::Relaxed);
    assert!(read < 20, "{read}");
}

/// Counts what is visited.
struct Counting {
    logs: Logs,
    read: std::sync::atomic::AtomicUsize,
}
impl LogSource for Counting {
    fn select_logs(&self, s: &LogSelection, b: &Budget, visit: &mut watchfire_model::logs::LogVisitor<'_>) -> Result<(), watchfire_model::read::ReadError> {
        self.logs.select_logs(s, b, &mut |line| {
            self.read.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            visit(line)
        })
    }
    fn log_volume(&self, s: &LogSelection, b: &Budget) -> Result<Vec<watchfire_model::logs::StreamVolume>, watchfire_model::read::ReadError> {
        self.logs.log_volume(s, b)
    }
    fn log_label_names(&self, s: &LogSelection, b: &Budget) -> Result<Vec<String>, watchfire_model::read::ReadError> {
        self.logs.log_label_names(s, b)
    }
    fn log_label_values(&self, n: &str, s: &LogSelection, b: &Budget) -> Result<Vec<String>, watchfire_model::read::ReadError> {
        self.logs.log_label_values(n, s, b)
    }
}
