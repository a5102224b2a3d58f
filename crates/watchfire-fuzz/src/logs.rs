//! Query languages over logs: whatever is written is refused with a place, or evaluated within its budget; printed again it means
//! the same.

use std::time::Duration;

use watchfire_model::labels::Labels;
use watchfire_model::logs::{LogSelection, Nanos};
use watchfire_model::read::Budget;
use watchfire_model::time::{ManualClock, Timestamp};
use watchfire_query::documents::{self, Context, Filter, Request};
use watchfire_query::logql::{Direction, Engine, Expr, LinesRequest, parse};
use watchfire_query::lucene::{Language, parse_as, parse_simple};
use watchfire_testkit::logs::Logs;

const SAMPLES_MAX: u64 = 100_000;
const MEMORY_MAX: u64 = 8 << 20;

fn data() -> Logs {
    let logs = Logs::honouring_hints();
    let lines = [
        "GET /a 200 10.0.0.1",
        r#"{"level":"error","status":500,"user":{"name":"x"},"took":"1.5s"}"#,
        "level=warn msg=\"two words\" n=5",
        "",
        r#"{"_entry":"packed","a":"b"}"#,
        "\u{1b}[31mred\u{1b}[0m",
    ];
    for (app, trace) in [("a", "t1"), ("b", "")] {
        let (labels, metadata) = (Labels::from_pairs([("app", app)]), Labels::from_pairs([("trace", trace), ("n", "7")]));
        for (i, line) in lines.iter().enumerate() {
            logs.add_line(&labels, Nanos(i as i64 * 15_000_000_000), line, &metadata);
        }
    }
    logs
}

pub(crate) fn budget() -> Budget {
    Budget::new(ManualClock::new(Timestamp(0)), Duration::from_secs(1), SAMPLES_MAX, MEMORY_MAX)
}

pub(crate) fn logql(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(expr) = parse(text) else { return };
    let printed = expr.to_string();
    for again in [printed.clone(), expr.pretty()] {
        match parse(&again) {
            Ok(parsed) => assert_eq!(parsed.to_string(), printed, "printed again, {text:?} is another query"),
            Err(error) => panic!("{text:?} is printed as {again:?}, which does not parse: {error}"),
        }
    }
    let (logs, engine) = (data(), Engine::default());
    match expr {
        Expr::Log(log) => {
            let request = LinesRequest { start: Nanos(0), end: Nanos(90_000_000_000), limit: 100, direction: Direction::Backward, interval: Duration::ZERO };
            drop(engine.lines(&logs, &log, &request, &budget()));
        }
        Expr::Metric(metric) => {
            drop(engine.instant(&logs, &metric, Nanos(60_000_000_000), &budget()));
            drop(engine.range(&logs, &metric, Nanos(0), Nanos(300_000_000_000), Duration::from_secs(30), &budget()));
        }
    }
}

/// Query strings of all kinds, and bodies of searches.
pub(crate) fn lucene(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (logs, context) = (data(), Context::new(Nanos(60_000_000_000)));
    let selection = LogSelection::new(Vec::new(), Nanos::MIN, Nanos::MAX);
    let ask = |filter: &Filter| drop(documents::count(&logs, &selection, filter, &budget()));
    for language in [Language::Lucene, Language::Kql, Language::Either] {
        if let Ok(filter) = parse_as(language, text, &context) {
            ask(&filter);
        }
    }
    if let Ok(filter) = parse_simple(text, &context) {
        ask(&filter);
    }
    if let Ok(request) = serde_json::from_str(text).map_err(drop).and_then(|body| Request::read(&body, &context).map_err(drop)) {
        drop(documents::search(&logs, &selection, &request, &budget()));
    }
}
