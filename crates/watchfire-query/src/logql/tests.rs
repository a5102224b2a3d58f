//! Tests of the language: what parses and is printed, limits, what is left to the store, and what people wrote. What queries answer is
//! in the scripts of `testdata/logql`, which `watchfire-conformance` runs in memory and on the store.

mod detecting;
mod parsing;
mod windows;

use std::time::Duration;

use watchfire_model::labels;
use watchfire_model::labels::Labels;
use watchfire_model::logs::{LogSelection, LogSource, Nanos};
use watchfire_model::read::{Budget, ReadError};
use watchfire_model::time::{ManualClock, Timestamp};
use watchfire_testkit::logs::Logs;

use super::*;

fn budget() -> Budget {
    Budget::unlimited(ManualClock::new(Timestamp(0)))
}

fn metric(text: &str) -> Metric {
    match parse(text).unwrap() {
        Expr::Metric(metric) => metric,
        Expr::Log(_) => panic!("{text} is no metric query"),
    }
}

fn many(streams: i64, lines: i64) -> Logs {
    let logs = Logs::new();
    for stream in 0..streams {
        let labels = labels!("app" => "web", "i" => &stream.to_string());
        for line in 0..lines {
            let metadata = labels!("trace" => &format!("{stream}-{line}"));
            logs.add_line(&labels, Nanos(line * 1_000_000_000), &format!("line {line} took={line}"), &metadata);
        }
    }
    logs
}

#[test]
fn series_and_entries_are_limited() {
    let logs = many(20, 10);
    let engine = Engine { series_max: 10, entries_max: 50 };
    let at = Nanos(10_000_000_000);
    let error = engine.instant(&logs, &metric("count_over_time({app=\"web\"}[1m])"), at, &budget()).unwrap_err();
    assert!(error.to_string().starts_with("maximum number of series (10) reached"), "{error}");
    assert!(engine.instant(&logs, &metric("sum(count_over_time({app=\"web\"}[1m]))"), at, &budget()).is_ok());
    assert!(engine.instant(&logs, &metric("topk(3, count_over_time({app=\"web\"}[1m]))"), at, &budget()).is_ok());
    let log = parse_log("{app=\"web\"}").unwrap();
    let request = |limit| LinesRequest { start: Nanos(0), end: at, limit, direction: Direction::Forward, interval: Duration::ZERO };
    let error = engine.lines(&logs, &log, &request(51), &budget()).unwrap_err();
    assert_eq!(error.to_string(), "max entries limit per query exceeded, limit > max_entries_limit (51 > 50)");
    assert_eq!(engine.lines(&logs, &log, &request(50), &budget()).unwrap().list.len(), 50);
    assert_eq!(engine.lines(&logs, &log, &request(0), &budget()).unwrap().list.len(), 0);
}

#[test]
fn budgets_are_kept_and_given_back() {
    let logs = many(50, 50);
    let engine = Engine { series_max: 100_000, ..Engine::default() };
    let small = || Budget::new(ManualClock::new(Timestamp(0)), Duration::from_secs(60), 1 << 20, 200_000);
    let ask = |query: &str, budget: &Budget| {
        engine.range(&logs, &metric(query), Nanos(0), Nanos(100_000_000_000), Duration::from_secs(1), budget).map(drop).map_err(|e| e.to_string())
    };
    // Each line is a series of its own because of its structured metadata.
    assert_eq!(ask("count_over_time({app=\"web\"}[1m])", &small()).unwrap_err(), "query would need more than 200000 bytes of memory");
    // A sum around it does not need them.
    let budget = small();
    assert_eq!(ask("sum by (app) (count_over_time({app=\"web\"}[1m]))", &budget), Ok(()));
    budget.charge_memory(200_000).expect("all of it was given back");
    let cancelled = small();
    cancelled.cancel();
    assert_eq!(ask("sum(rate({app=\"web\"}[1m]))", &cancelled).unwrap_err(), "query was cancelled");
    let log = parse_log("{app=\"web\"}").unwrap();
    let request = LinesRequest { start: Nanos(0), end: Nanos(i64::MAX), limit: 5_000, direction: Direction::Backward, interval: Duration::ZERO };
    let tight = Budget::new(ManualClock::new(Timestamp(0)), Duration::from_secs(60), 1 << 20, 10_000);
    assert_eq!(engine.lines(&logs, &log, &request, &tight).unwrap_err().to_string(), "query would need more than 10000 bytes of memory");
}

#[test]
fn sums_of_very_many_streams_need_no_memory_for_each() {
    let logs = Logs::new();
    for stream in 0..50_000 {
        logs.add_line(&labels!("app" => "web", "i" => &stream.to_string()), Nanos(1_000_000_000), "line", &Labels::empty());
    }
    for query in ["sum(count_over_time({app=\"web\"}[1m]))", "sum by (app) (count_over_time({app=\"web\"}[1m]))"] {
        let small = Budget::new(ManualClock::new(Timestamp(0)), Duration::from_secs(60), 1 << 20, 3 << 20);
        let answer = Engine::default().instant(&logs, &metric(query), Nanos(2_000_000_000), &small).unwrap();
        let crate::promql::Value::Vector(samples) = answer.value else { panic!("vector expected") };
        assert_eq!(samples.iter().map(|s| s.value).collect::<Vec<_>>(), [50_000.0], "{query}");
    }
}

/// Labels are told apart whatever characters they have.
#[test]
fn series_are_not_added_together_by_what_is_between_their_labels() {
    let logs = Logs::new();
    for (a, b) in [("x\u{ff}", "y"), ("x", "\u{ff}y"), ("x\u{ff}\u{ff}y", "")] {
        logs.add_line(&labels!("app" => "web", "a" => a, "b" => b), Nanos(1_000_000_000), "line", &labels!("t" => "m"));
    }
    for query in
        ["sum by (a, b) (count_over_time({app=\"web\"}[1m]))", "sum without (t) (count_over_time({app=\"web\"}[1m]))", "count_over_time({app=\"web\"}[1m])"]
    {
        let answer = Engine::default().instant(&logs, &metric(query), Nanos(2_000_000_000), &budget()).unwrap();
        let crate::promql::Value::Vector(samples) = answer.value else { panic!("vector expected") };
        assert_eq!(samples.iter().map(|s| s.value).collect::<Vec<_>>(), [1.0, 1.0, 1.0], "{query}");
    }
}

/// A clock that goes on by a second whenever somebody looks at it.
struct Ticking(std::sync::atomic::AtomicU64);
impl watchfire_model::time::Clock for Ticking {
    fn now(&self) -> Timestamp {
        Timestamp(0)
    }
    fn monotonic(&self) -> Duration {
        Duration::from_secs(self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed))
    }
}

/// The clock is looked at after so much work, not after so many entries.
#[test]
fn entries_that_cost_much_are_seen() {
    let logs = Logs::new();
    let pairs: String = (0..5_000).map(|i| format!("n{i}=v ")).collect();
    for i in 0..20 {
        logs.add_line(&labels!("app" => "pairs"), Nanos(i), &pairs, &Labels::empty());
        logs.add_line(&labels!("app" => "small"), Nanos(i), "n1=v", &Labels::empty());
    }
    let takes_long = |query: &str| {
        let budget = || Budget::new(std::sync::Arc::new(Ticking(std::sync::atomic::AtomicU64::new(0))), Duration::from_secs(8), u64::MAX, u64::MAX);
        let request = LinesRequest { start: Nanos(0), end: Nanos(1_000), limit: 10, direction: Direction::Forward, interval: Duration::ZERO };
        let lines = Engine::default().lines(&logs, &parse_log(query).unwrap(), &request, &budget()).map(drop);
        let counted = metric(&format!("sum(count_over_time({query} | __error__!=\"x\"[1m]))"));
        let counts = Engine::default().instant(&logs, &counted, Nanos(1_000), &budget()).map(drop);
        let late = |outcome: Result<(), LogqlError>| outcome.is_err_and(|e| e.to_string().contains("timed out"));
        (late(lines), late(counts))
    };
    let chosen = (0..500).map(|i| format!("x{i}=\"a.b\"")).collect::<Vec<_>>().join(", ");
    for (work, long) in [
        ("| logfmt | n1!=\"v\"".to_owned(), false),
        ("| line_format `{{ range 20000 }}x{{ end }}` |= \"zz\"".to_owned(), true),
        ("| label_format z=`{{ range 20000 }}{{ end }}` | z=\"y\"".to_owned(), true),
        (format!("|~ {}", vec!["\"z.z\""; 60].join(" or ")), true),
        (format!("| line_format `{{{{\"{{}}\"}}}}{{{{__line__}}}}` | json {chosen} |= \"zz\""), true),
    ] {
        assert_eq!(takes_long(&format!("{{app=\"pairs\"}} {work}")), (long, long), "{work}");
    }
    assert_eq!(takes_long("{app=\"small\"} | logfmt | line_format `{{ __line__ }}` |= \"zz\""), (false, false));
}

/// Names that a logfmt stage picks are found at once, and several labels may come from one.
#[test]
fn labels_of_chosen_names() {
    let logs = Logs::new();
    logs.add_line(&labels!("app" => "web"), Nanos(1), "a=1 b=2 a=3 c", &Labels::empty());
    let request = LinesRequest { start: Nanos(0), end: Nanos(2), limit: 10, direction: Direction::Forward, interval: Duration::ZERO };
    let ask = |stage: &str| {
        let lines = Engine::default().lines(&logs, &parse_log(&format!("{{app=\"web\"}} | {stage}")).unwrap(), &request, &budget()).unwrap();
        lines.list[0].labels().to_string()
    };
    assert_eq!(ask("logfmt x=\"a\", y=\"a\", b, c, d"), "{app=\"web\", b=\"2\", x=\"3\", y=\"3\"}");
}

#[test]
fn times_are_checked() {
    let logs = Logs::new();
    let engine = Engine::default();
    let ask = |start, end, step| engine.range(&logs, &metric("vector(1)"), Nanos(start), Nanos(end), step, &budget()).map(drop).map_err(|e| e.to_string());
    assert!(ask(0, 1, Duration::ZERO).unwrap_err().contains("step"));
    assert!(ask(0, 1, Duration::from_micros(10)).unwrap_err().contains("step"));
    assert!(ask(1, 0, Duration::from_secs(1)).unwrap_err().contains("before start"));
    assert!(ask(0, 11_001_000_000_000, Duration::from_secs(1)).unwrap_err().contains("11,000"));
    assert_eq!(ask(0, 11_000_000_000_000, Duration::from_secs(1)), Ok(()));
}

#[test]
fn what_can_be_left_to_the_store() {
    let check = |query: &str, matchers: usize, contains: &[&str]| {
        let pushed = pipeline::pushed(&parse_log(query).unwrap());
        assert_eq!(
            (pushed.matchers.len(), pushed.contains.as_slice()),
            (matchers, contains.iter().map(|c| (*c).to_owned()).collect::<Vec<_>>().as_slice()),
            "{query}"
        );
    };
    check("{a=\"b\"} |= \"x\" |~ \"y\" |> \"<_>z<_>\" != \"n\" |= \"p\" or \"q\" |~ \"r.\"", 1, &["x", "y", "z"]);
    check("{a=\"b\"} | trace=\"t\" and c!=\"d\" |= \"x\"", 3, &["x"]);
    check("{a=\"b\"} | json | trace=\"t\" |= \"x\"", 1, &["x"]);
    check("{a=\"b\"} | line_format \"{{.x}}\" |= \"x\" | c=\"d\"", 1, &[]);
    check("{a=\"b\"} | decolorize | c=\"d\" |= \"x\"", 2, &[]);
    check("{a=\"b\"} | c=\"d\" or e=\"f\" | n > 5", 1, &[]);
    check("{a=\"b\"} | label_format x=y | c=\"d\"", 1, &[]);
    check("{a=\"b\"} | __error__=\"\" | detected_level=\"error\"", 1, &[]);
}

#[test]
fn entries_one_by_one() {
    let log = parse_log("{app=\"web\", trace=\"t\"} |= \"x\" | json | level=\"error\"").unwrap();
    let mut pipeline = LinePipeline::new(&log, Nanos(0)).unwrap();
    let stream = labels!("app" => "web");
    let mut line = |line: &str, metadata: &Labels| {
        let entry = watchfire_model::logs::LogLine { labels: &stream, time: Nanos(5), line, metadata };
        pipeline.line(entry)
    };
    let trace = labels!("trace" => "t");
    let found = line("{\"x\":1,\"level\":\"error\"}", &trace).unwrap();
    assert_eq!((found.stream, found.metadata, found.parsed), (stream.clone(), trace.clone(), labels!("level" => "error", "x" => "1")));
    assert!(line("{\"x\":1,\"level\":\"info\"}", &trace).is_none());
    assert!(line("{\"x\":1,\"level\":\"error\"}", &Labels::empty()).is_none());
}

/// `=` and `=~` of selectors, `|=`, and conditions on labels, as the documents use them.
#[test]
fn log_22_selectors_line_filters_and_label_filters() {
    let logs = Logs::new();
    let add = |container: &str, second: i64, line: &str, metadata: Labels| {
        logs.add_line(&labels!("container" => container), Nanos(second * 1_000_000_000), line, &metadata);
    };
    add("backend", 1, "INFO all is well", Labels::empty());
    add("backend", 2, "ERROR trace_id=abc123 failed", labels!("trace_id" => "abc123", "camera" => "front_door"));
    add("postgres", 3, "duration: 2000 ms", labels!("pg_slow_query" => "SELECT 1"));
    add("postgres", 4, "checkpoint complete", Labels::empty());
    add("ai-detector", 5, "an error", labels!("level" => "ERROR"));
    add("ai-yolo", 6, "an error", labels!("level" => "WARNING"));
    for (query, seconds) in [
        ("{container=\"backend\"}", vec![1, 2]),
        ("{container=\"backend\", camera=\"front_door\"}", vec![2]),
        ("{container=\"backend\"} |= \"ERROR\"", vec![2]),
        ("{container=\"postgres\"} | pg_slow_query != \"\"", vec![3]),
        ("{container=\"backend\"} |= \"trace_id=abc123\"", vec![2]),
        ("{container=~\"ai-.*\"} |= \"error\" | level=\"ERROR\"", vec![5]),
    ] {
        let request = LinesRequest { start: Nanos(0), end: Nanos(i64::MAX), limit: 100, direction: Direction::Forward, interval: Duration::ZERO };
        let lines = Engine::default().lines(&logs, &parse_log(query).unwrap(), &request, &budget()).unwrap();
        assert_eq!(lines.list.iter().map(|l| l.time.0 / 1_000_000_000).collect::<Vec<_>>(), seconds, "{query}");
    }
}

/// What is spared by a look at lines before they are parsed is spared only where parsing would say the same.
#[test]
fn a_look_before_parsing_changes_no_answer() {
    let logs = Logs::new();
    let lines = [
        r#"{"level":"error","n":1}"#,
        r#"{"level":"\u0065rror","n":2}"#,
        r#"{"level":"info","n":3,"note":"error"}"#,
        r#"{"level":"info","n":4}"#,
        "level=error n=5",
        "level=\"er\\u0072or\" n=6",
        "plain",
    ];
    for (i, line) in lines.iter().enumerate() {
        logs.add_line(&labels!("app" => "a"), Nanos(i as i64), line, &Labels::empty());
        logs.add_line(&labels!("app" => "b", "level" => "error"), Nanos(i as i64), line, &Labels::empty());
        logs.add_line(&labels!("app" => "c"), Nanos(i as i64), line, &labels!("level" => "error"));
    }
    let ask = |query: &str| {
        let request = LinesRequest { start: Nanos(0), end: Nanos(100), limit: 1_000, direction: Direction::Forward, interval: Duration::ZERO };
        Engine::default().lines(&logs, &parse_log(query).unwrap(), &request, &budget()).unwrap().list
    };
    for parser in ["json", "json level", "logfmt", "logfmt level", "regexp `level=(?P<level>[a-z]+)`", "pattern `level=<level> <_>`", "json | logfmt"] {
        for app in ["a", "b", "c"] {
            for condition in ["level=\"error\"", "level=\"error\" and n!=\"3\"", "level_extracted=\"info\""] {
                let quick = ask(&format!("{{app=\"{app}\"}} | {parser} | {condition}"));
                // A stage between them makes the look impossible.
                let slow = ask(&format!("{{app=\"{app}\"}} | {parser} | drop nothing | {condition}"));
                assert_eq!(quick, slow, "{parser} {app} {condition}");
            }
        }
    }
    assert_eq!(ask("{app=\"a\"} | json | level=\"error\"").len(), 2);
    assert_eq!(ask("{app=\"b\"} | json | level=\"error\"").len(), 7);
}

/// Who counts entries by their labels needs no lines.
#[test]
fn lines_are_asked_for_where_they_are_needed() {
    struct Asked(Logs, std::sync::Mutex<Vec<(bool, bool)>>);
    impl LogSource for Asked {
        fn select_logs(&self, s: &LogSelection, b: &Budget, visit: &mut watchfire_model::logs::LogVisitor<'_>) -> Result<(), ReadError> {
            self.1.lock().unwrap().push((s.lines, s.lines_without_level));
            self.0.select_logs(s, b, visit)
        }
        fn log_volume(&self, s: &LogSelection, b: &Budget) -> Result<Vec<watchfire_model::logs::StreamVolume>, ReadError> {
            self.0.log_volume(s, b)
        }
        fn log_label_names(&self, s: &LogSelection, b: &Budget) -> Result<Vec<String>, ReadError> {
            self.0.log_label_names(s, b)
        }
        fn log_label_values(&self, n: &str, s: &LogSelection, b: &Budget) -> Result<Vec<String>, ReadError> {
            self.0.log_label_values(n, s, b)
        }
    }
    let source = Asked(many(2, 3), std::sync::Mutex::default());
    for (query, lines) in [
        ("count_over_time({app=\"web\"}[1m])", false),
        ("sum by (i) (rate({app=\"web\"} | trace=~\".*-1\" | drop trace[1m]))", false),
        ("sum_over_time({app=\"web\"} | unwrap i[1m])", false),
        ("absent_over_time({app=\"web\"}[1m])", false),
        ("count_over_time({app=\"web\"} | label_format x=i, y=`{{.i}}`[1m])", false),
        ("count_over_time({app=\"web\"} | label_format y=`{{__line__}}`[1m])", true),
        ("count_over_time({app=\"web\"} |= \"x\"[1m])", true),
        ("count_over_time({app=\"web\"} | logfmt[1m])", true),
        ("bytes_over_time({app=\"web\"}[1m])", true),
        ("sum by (detected_level) (count_over_time({app=\"web\"} |= \"x\"[1m]))", true),
        // Only those of entries whose level nobody has noted.
        ("sum by (detected_level) (count_over_time({app=\"web\"}[1m]))", false),
        ("count_over_time({app=\"web\"} | detected_level=\"error\"[1m])", false),
    ] {
        Engine::default().instant(&source, &metric(query), Nanos(60_000_000_000), &budget()).unwrap();
        assert_eq!(source.1.lock().unwrap().pop(), Some((lines, query.contains("detected_level"))), "{query}");
    }
}
