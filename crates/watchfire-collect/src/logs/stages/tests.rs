//! Stages on single lines and on blocks.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use watchfire_model::batch::{Batch, Origin};
use watchfire_model::logs::Nanos;
use watchfire_model::meter::Meter;
use watchfire_model::time::Timestamp;

use super::*;

/// Runs lines through stages; each `(place, line)` a second after the one before.
pub(crate) fn run(stages: &[Stage], lines: &[&str]) -> Vec<Entry> {
    let figures = Figures::new(&Meter::new());
    let mut pipeline = Pipeline::new(stages);
    let mut out = Vec::new();
    let labels = BTreeMap::from([("job".to_owned(), "t".to_owned())]);
    let mut around = Surroundings { now: Timestamp(1_000_000), monotonic: Duration::ZERO, figures: &figures };
    for (i, line) in lines.iter().enumerate() {
        around.monotonic = Duration::from_secs(i as u64);
        pipeline.process(Entry::new(Nanos(i as i64), (*line).to_owned(), &labels, i as u64 * 100), &around, &mut out);
        pipeline.flush(false, &around, &mut out);
    }
    pipeline.flush(true, &around, &mut out);
    assert_eq!(pipeline.held(), None);
    out
}

fn shown(entries: &[Entry]) -> Vec<String> {
    let text = |e: &Entry| {
        let labels: Vec<String> = e.labels.iter().filter(|(n, _)| *n != "job").map(|(n, v)| format!("{n}={v}")).collect();
        format!("{} {{{}}} {:?}", e.time.0, labels.join(","), e.line)
    };
    entries.iter().map(text).collect()
}

fn blocks(pattern: &str, join: Join, negate: bool) -> Stage {
    Stage::Blocks(Arc::new(Blocks {
        pattern: compile(pattern).unwrap(),
        negate,
        join,
        max_wait: Duration::from_secs(3),
        max_lines: 3,
        cut: true,
        newline: true,
        flush_pattern: None,
    }))
}

#[test]
fn json_labels_and_output() {
    let paths = |all: &[(&str, &str)]| all.iter().map(|(n, p)| ((*n).to_owned(), JsonPath::parse(p).unwrap())).collect();
    let stages = [
        Stage::step(Json { expressions: paths(&[("level", "level"), ("msg", "a.msg"), ("ts", "ts")]), source: None, drop_malformed: false }),
        Stage::step(Labels(vec![("level".into(), "level".into()), ("none".into(), "none".into())])),
        Stage::step(Time::new("ts", Formats::new(&["RFC3339".to_owned(), "Unix".to_owned()], "UTC").unwrap(), OnFailure::Skip)),
        Stage::step(Output("msg".into())),
    ];
    let lines = [r#"{"level":"info","a":{"msg":"hi"},"ts":"1970-01-01T00:00:01.5Z"}"#, "no json", r#"{"level":7,"ts":"2.25"}"#];
    assert_eq!(
        shown(&run(&stages, &lines)),
        [r#"1500000000 {level=info} "hi""#, r#"1 {} "no json""#, r#"2250000000 {level=7} "{\"level\":7,\"ts\":\"2.25\"}""#]
    );
}

#[test]
fn blocks_of_lines() {
    let lines = ["lone", "2024 a", " b", " c", " d", "2024 e"];
    let found: Vec<String> = run(&[blocks(r"^\d{4}", Join::Begins, false)], &lines).into_iter().map(|e| e.line).collect();
    assert_eq!(found, ["lone", "2024 a\n b\n c", " d", "2024 e"]);
    let found: Vec<String> = run(&[blocks(r"^\d{4}", Join::After, true)], &lines).into_iter().map(|e| e.line).collect();
    assert_eq!(found, ["lone", "2024 a\n b\n c", " d", "2024 e"]);
    let found: Vec<String> = run(&[blocks(r"\\$", Join::Before, false)], &["a\\", "b", "c"]).into_iter().map(|e| e.line).collect();
    assert_eq!(found, ["a\\\nb", "c"]);
}

#[test]
fn blocks_end_by_time_and_hold_their_place() {
    let figures = Figures::new(&Meter::new());
    let mut pipeline = Pipeline::new(&[blocks("^A", Join::Begins, false)]);
    let mut out = Vec::new();
    let at = |s| Surroundings { now: Timestamp(0), monotonic: Duration::from_secs(s), figures: &figures };
    pipeline.process(Entry::new(Nanos(1), "A".into(), &BTreeMap::new(), 70), &at(0), &mut out);
    assert_eq!((pipeline.held(), out.len()), (Some(70), 0));
    pipeline.flush(false, &at(2), &mut out);
    assert_eq!(out.len(), 0);
    pipeline.flush(false, &at(3), &mut out);
    assert_eq!((pipeline.held(), out.len()), (None, 1));
}

#[test]
fn selectors_of_stages() {
    let entry = Entry::new(Nanos(0), "GET /x 500".into(), &BTreeMap::from([("app".to_owned(), "web".to_owned())]), 0);
    for (text, expected) in [
        (r#"{app="web"}"#, true),
        (r#"{app=~"w.b", none=""} |= "500""#, true),
        (r#"{app!="web"}"#, false),
        (r#"{app="web"} != "500""#, false),
        ("{app=\"web\"} |~ `5\\d\\d$` !~ \"POST\"", true),
        ("{}", true),
    ] {
        assert_eq!(Selector::parse(text).unwrap().matches(&entry), expected, "{text}");
    }
    for text in ["", "{app}", r#"{app="web"} | json"#, r#"{app="web""#, r#"{app=~"("}"#] {
        assert!(Selector::parse(text).is_err(), "{text}");
    }
}

#[test]
fn match_drop_and_limit() {
    let drop = |expression: &str| Drop {
        sources: Vec::new(),
        separator: ";".into(),
        expression: Some(compile(expression).unwrap()),
        value: None,
        older_than: None,
        longer_than: None,
        inverted: false,
        reason: "noise".into(),
    };
    let inner = Match {
        selector: Selector::parse(r#"{job="t"} |= "x""#).unwrap(),
        stages: vec![Stage::step(StaticLabels(vec![("m".into(), "1".into())]))],
        drop: None,
    };
    let stages = [Stage::step(drop("^debug")), Stage::Match(Arc::new(inner))];
    assert_eq!(shown(&run(&stages, &["debug x", "a x", "b"])), [r#"1 {m=1} "a x""#, r#"2 {} "b""#]);
    let limit = [Stage::step(Limit::new(0.5, 1.0, true, None, 10))];
    assert_eq!(run(&limit, &["a", "b", "c", "d", "e"]).into_iter().map(|e| e.line).collect::<String>(), "ace");
}

#[test]
fn replacing_templates_and_packing() {
    let replace = |expression: &str, template: &str| {
        Stage::step(Replace { expression: compile(expression).unwrap(), source: None, replacement: Template::new("", template).unwrap() })
    };
    let line = |stage: Stage, line: &str| run(&[stage], &[line]).remove(0).line;
    assert_eq!(line(replace(r"password=(\S+)", "****"), "a password=x b password=yy"), "a password=**** b password=****");
    assert_eq!(line(replace(r"(\w+)@(\w+)", "{{ .Value | ToUpper }}"), "me@home"), "ME@HOME");
    let made = [Stage::step(Template::new("out", "{{ .job }}-{{ ToUpper .Entry }}").unwrap()), Stage::step(Output("out".into()))];
    assert_eq!(run(&made, &["x"])[0].line, "t-X");
    let pack = Stage::step(Pack { labels: vec!["job".into()], ingest_timestamp: false });
    assert_eq!(line(pack, "x"), r#"{"job":"t","_entry":"x"}"#);
    assert_eq!(line(Stage::step(Decolorize), "\u{1b}[31mred\u{1b}[0m [x"), "red [x");
}

#[test]
fn metrics_of_lines() {
    let metric = |name: &str, kind, action| Metric {
        name: name.into(),
        help: "h".into(),
        kind,
        source: "v".into(),
        value: None,
        match_all: false,
        action,
        max_idle: Duration::from_secs(300),
    };
    let metrics = Metrics::new(vec![
        metric("n_total", MetricKind::Counter, MetricAction::Inc),
        metric("last", MetricKind::Gauge, MetricAction::Set),
        metric("h", MetricKind::Histogram(vec![1.0, 5.0]), MetricAction::Inc),
    ]);
    let extract = Stage::step(Logfmt { mapping: vec![("v".into(), "v".into())], source: None });
    run(&[extract, Stage::Step(metrics.clone())], &["v=0.5", "x", "v=3", "v=9"]);
    let mut batch = Batch::new(Origin::new("files"));
    metrics.gather(Timestamp(5), Duration::from_secs(10), &mut batch);
    let mut found: Vec<String> = batch.series.iter().map(|s| format!("{} {}", s.labels, s.samples.as_slice()[0].value)).collect();
    found.sort();
    assert_eq!(
        found,
        [
            r#"h_bucket{job="t", le="+Inf"} 3"#,
            r#"h_bucket{job="t", le="1.0"} 1"#,
            r#"h_bucket{job="t", le="5.0"} 2"#,
            r#"h_count{job="t"} 3"#,
            r#"h_sum{job="t"} 12.5"#,
            r#"last{job="t"} 9"#,
            r#"n_total{job="t"} 3"#,
        ]
    );
    let mut batch = Batch::new(Origin::new("files"));
    metrics.gather(Timestamp(5), Duration::from_secs(1_000), &mut batch);
    assert!(batch.series.iter().all(|s| s.samples.as_slice()[0].value.is_nan()));
}

#[test]
fn parts_of_a_container_runtime() {
    let regex =
        Regex { expression: compile(r"^(?s)(?P<time>\S+?) (?P<stream>stdout|stderr) (?P<flags>\S+?) (?P<content>.*)$").unwrap(), source: None, labels: false };
    let stages = [
        Stage::step(regex),
        Stage::step(Labels(vec![("stream".into(), "stream".into())])),
        Stage::step(Output("content".into())),
        Stage::Parts(Arc::new(Parts { max_streams: 100, max_bytes: 1_000 })),
    ];
    let lines = ["1 stdout P ab", "1 stderr F e", "2 stdout F cd"];
    assert_eq!(shown(&run(&stages, &lines)), [r#"1 {stream=stderr} "e""#, r#"0 {stream=stdout} "abcd""#]);
}

#[test]
fn sampling_is_a_share_and_the_same_again() {
    let stage = [Stage::step(Sampling { rate: 0.3, reason: "sampling".into() })];
    let lines: Vec<String> = (0..2_000).map(|i| format!("line {i}")).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let (first, second) = (run(&stage, &lines), run(&stage, &lines));
    assert_eq!(first, second);
    assert!((500..700).contains(&first.len()), "{}", first.len());
}

#[test]
fn rarer_stages() {
    let stages = [
        Stage::step(Pattern::new("<ip> - <what>", None, false).unwrap()),
        Stage::step(Luhn { replacement: "#".into(), source: Some("what".into()), min_length: 13, delimiters: String::new() }),
        Stage::step(EventMessage { source: "what".into(), drop_invalid: false, overwrite: false }),
        Stage::step(Labels(vec![("card".into(), "card".into()), ("again".into(), "ip_extracted".into())])),
        Stage::step(Metadata(vec![("a".into(), "ip".into()), ("b".into(), "ip".into())])),
        Stage::step(DropMetadata(vec!["b".into()])),
    ];
    let found = run(&stages, &["::1 - card: 4539148803436467\nip: 2", "none"]);
    assert_eq!(shown(&found), ["0 {again=2,card=#} \"::1 - card: 4539148803436467\\nip: 2\"", "1 {} \"none\""]);
    assert_eq!(found[0].metadata.iter().map(|(n, v)| format!("{n}={v}")).collect::<Vec<_>>(), ["a=::1"]);
    let labels = run(&[Stage::step(Pattern::new("<a>=<_>", None, true).unwrap())], &["x=y"]);
    assert_eq!(shown(&labels), ["0 {a=x} \"x=y\""]);
}
