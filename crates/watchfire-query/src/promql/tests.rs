//! Tests of the front door: parsing, printing and evaluating as other crates do it.

use std::time::Duration;

use watchfire_model::histogram::{CUSTOM_SCHEMA, CounterReset, Histogram, Span};
use watchfire_model::labels;
use watchfire_model::read::Budget;
use watchfire_model::time::{ManualClock, Timestamp};
use watchfire_testkit::memory::Memory;

use super::*;

fn budget() -> Budget {
    Budget::unlimited(ManualClock::new(Timestamp(0)))
}

#[test]
fn an_instant_and_a_range_query() {
    let memory = Memory::new();
    for (job, factor) in [("a", 1.0), ("b", 2.0)] {
        memory.add_series(&labels!("__name__" => "requests_total", "job" => job), (0..100).map(|i| (i * 15_000, i as f64 * factor)));
    }
    let engine = Engine::default();
    let answer = engine.instant(&memory, "sum(rate(requests_total[5m])) * 60", Timestamp(600_000), &budget()).unwrap();
    let Value::Vector(samples) = answer.value else { panic!("vector expected") };
    assert_eq!(samples.len(), 1);
    assert!((samples[0].value - 12.0).abs() < 1e-9, "{samples:?}");
    let expr = parse("requests_total{job='b'} > 50").unwrap();
    let answer = engine.range(&memory, &expr, Timestamp(0), Timestamp(600_000), Duration::from_secs(60), &budget()).unwrap();
    let Value::Matrix(series) = answer.value else { panic!("matrix expected") };
    assert_eq!(series.len(), 1);
    assert_eq!(series[0].points.len(), 4);
    assert_eq!(series[0].points[0].value, 56.0);
}

fn small_budget() -> Budget {
    Budget::new(ManualClock::new(Timestamp(0)), Duration::from_secs(60), 20_000, 1 << 20)
}

#[test]
fn limits_are_enforced() {
    let long = format!("1{}", " ".repeat(TEXT_BYTES_MAX));
    assert!(parse(&long).unwrap_err().message.contains("bytes long"));
    let nested = |n: usize| format!("{}1{}", "(".repeat(n), ")".repeat(n));
    assert!(parse(&nested(NESTING_MAX - 1)).is_ok());
    assert!(parse(&nested(NESTING_MAX)).unwrap_err().message.contains("nested"));
    assert!(parse(&"-".repeat(10_000)).unwrap_err().message.contains("nested"));
    assert!(parse(&vec!["1"; 200].join(" + ")).is_ok());
    assert!(parse(&vec!["1"; 5_000].join("+")).unwrap_err().message.contains("nested"));
    assert!(parse(&vec!["1"; 5_000].join("^")).unwrap_err().message.contains("nested"));
    assert!(parse(&format!("a[{}1]", "1+".repeat(5_000))).unwrap_err().message.contains("operators"));
    assert!(parse(&format!("a[{}1]", "-".repeat(5_000))).unwrap_err().message.contains("nested"));
}

/// The highest tree that parses is evaluated, printed and dropped on an ordinary thread's stack.
#[test]
fn the_highest_tree_fits_the_stack() {
    let memory = Memory::new();
    memory.add(&labels!("__name__" => "a", "i" => "1"), Timestamp(0), 1.0);
    let chain = vec!["a"; 250].join(" + ");
    let nested = format!("{}a{}", "abs(sum(".repeat(31), "))".repeat(31));
    for (query, value) in [(chain, 250.0), (nested, 1.0)] {
        let expr = parse(&query).unwrap();
        assert_eq!(expr.to_string(), query);
        let Value::Vector(samples) = Engine::default().instant(&memory, &expr, Timestamp(0), &budget()).unwrap().value else { panic!("vector expected") };
        assert_eq!(samples[0].value, value);
    }
}

#[test]
fn budgets_are_kept() {
    let memory = Memory::new();
    for i in 0..100 {
        memory.add_series(&labels!("__name__" => "m", "i" => &i.to_string()), (0..1000).map(|t| (t * 1000, 1.0)));
    }
    let engine = Engine::default();
    let ask = |query: &str, budget: &Budget| {
        engine.range(&memory, query, Timestamp(0), Timestamp(1_000_000), Duration::from_secs(1), budget).map(|_| ()).map_err(|e| e.to_string())
    };
    assert_eq!(ask("m", &small_budget()).unwrap_err(), "query would load more than 20000 samples into memory");
    assert!(ask("m{i='1'}", &small_budget()).is_ok());
    assert!(ask("rate(m{i='1'}[5m])", &small_budget()).is_ok());
    assert_eq!(ask("sum_over_time(vector(1)[10000s:1ms])", &small_budget()).unwrap_err(), "query would load more than 20000 samples into memory");
    for scalar in ["time()", "scalar(nothing)", "time() + 1"] {
        let query = format!("max_over_time(vector({scalar})[10000s:1ms])");
        assert_eq!(ask(&query, &small_budget()).unwrap_err(), "query would load more than 20000 samples into memory");
    }
    // One series after the other is read, so a rate at one time needs little.
    assert!(engine.instant(&memory, "topk(1e9, rate(m[5m]))", Timestamp(1_000_000), &small_budget()).is_ok());
    // Labels count too.
    let tight = Budget::new(ManualClock::new(Timestamp(0)), Duration::from_secs(60), 20_000, 5_000);
    assert_eq!(engine.instant(&memory, "m", Timestamp(0), &tight).unwrap_err().to_string(), "query would need more than 5000 bytes of memory");
    let cancelled = small_budget();
    cancelled.cancel();
    assert_eq!(ask("m", &cancelled).unwrap_err(), "query was cancelled");
}

#[test]
fn selectors_and_functions_can_be_listed() {
    let expr = parse("sum(rate(a{b='c'}[5m])) / on () group_left d offset 5m + max_over_time(e[5m:1m])").unwrap();
    let names: Vec<_> = expr.selectors().iter().map(|s| s.to_string()).collect();
    assert_eq!(names, ["a{b=\"c\"}", "d offset 5m", "e"]);
    assert!(functions().len() > 80);
    let mut sorted: Vec<_> = functions().iter().map(|f| f.name).collect();
    sorted.sort_unstable();
    sorted.dedup();
    assert_eq!(sorted.len(), functions().len());
    assert!(function("rate").is_some_and(|f| f.args == [ValueType::Matrix] && !f.experimental));
    assert_eq!(parse_selector("{a=~'b|c', \"d.e\"!='f'}").unwrap().len(), 2);
    assert_eq!(parse_selector("up[5m]").unwrap_err().to_string(), "1:3: parse error: unexpected \"[\"");
    assert_eq!(parse_selector("1").unwrap_err().to_string(), "1:1: parse error: unexpected number \"1\"");
}

#[test]
fn queries_are_printed_canonically() {
    for (text, printed) in [
        ("a", "a"),
        ("{__name__='a'}", "{__name__=\"a\"}"),
        ("{'a.b',c='d'}", "{\"a.b\",c=\"d\"}"),
        ("a{b='c',d=~\"e\"}", "a{b=\"c\",d=~\"e\"}"),
        ("rate(a[300])", "rate(a[5m])"),
        ("a[5m:] offset -1m @ 10", "a[5m:] @ 10.000 offset -1m"),
        ("sum(a) by(b,'c.d')", "sum by (b, \"c.d\") (a)"),
        ("topk without(x)(5,a)", "topk without (x) (5, a)"),
        ("a+on(b)group_left(c)d", "a + on (b) group_left (c) d"),
        ("a==bool 1000000", "a == bool 1e+06"),
        ("-a^2", "-a ^ 2"),
        ("(a)", "(a)"),
        ("1h30m+-5m", "1h30m + -5m"),
        ("a[step()+1m:(2m*range())]", "a[step() + 1m:(2m * range())]"),
        ("a offset -(1m)", "a offset -(1m)"),
        ("'it''s'", ""),
        ("\"\\\"\\n\\x41\"", "\"\\\"\\nA\""),
        ("a@start()", "a @ start()"),
        ("a + fill(0) b", "a + fill_left (0) fill_right (0) b"),
    ] {
        let got = parse(text).map_or(String::new(), |e| e.to_string());
        assert_eq!(got, printed, "{text}");
    }
}

/// Series that a selector finds: what `=` asks for, the simplest text for `=~`, and buckets where a histogram is meant.
fn add_load(memory: &Memory, selector: &VectorSelector, histogram: bool) {
    let mut labels = watchfire_model::labels::LabelsBuilder::new();
    for matcher in &selector.matchers {
        let value = matcher.value.split('|').next().unwrap_or("").replace('.', "0");
        labels.set(&matcher.name, if matcher.op.symbol() == "=" { &matcher.value } else { &value });
    }
    let buckets: &[&str] = if histogram && labels.get("le").is_empty() { &["0.5", "1", "+Inf"] } else { &[""] };
    for (i, le) in buckets.iter().enumerate() {
        let labels = if le.is_empty() { labels.build() } else { labels.build().with("le", le) };
        memory.add_series(&labels, (0..400).map(|t| (t * 15_000, (t * (i as i64 + 1)) as f64)));
    }
}

/// The PromQL texts of the tables, where the directory with them is there.
fn catalogue() -> Option<Vec<String>> {
    let given = std::env::var_os("WATCHFIRE_SEEDS").map(std::path::PathBuf::from);
    let directory = given.unwrap_or_else(|| std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/catalogue"));
    let directory = if directory.join("catalogue").is_dir() { directory.join("catalogue") } else { directory };
    if !directory.is_dir() {
        eprintln!("SKIPPED: {} is not there, no catalogue to run", directory.display());
        return None;
    }
    // Elided or described in words in the catalogue itself.
    const NO_QUERIES: [&str; 3] = ["histogram_quantile(0.95, ...)", "Budget calculation", "Burn rate calculation"];
    let mut found = Vec::new();
    for (file, column) in [("queries.tsv", "query"), ("dashboards.tsv", "query"), ("alerts.tsv", "expr"), ("recording_rules.tsv", "expr")] {
        let text = std::fs::read_to_string(directory.join(file)).unwrap();
        let mut lines = text.lines();
        let at = lines.next().unwrap().split('\t').position(|h| h == column).unwrap();
        for line in lines {
            let fields: Vec<&str> = line.split('\t').collect();
            let written = fields.get(at).copied().unwrap_or("").replace('\u{23ce}', "\n");
            // Rows of other languages, of other pages, suggestions and built-in conditions are no PromQL.
            let foreign = (file == "queries.tsv" && fields[0] != "promql") || ["HSI ", "Jaeger", "Pyroscope"].iter().any(|p| fields[0].starts_with(p));
            let in_words = fields.get(1).is_some_and(|f| f.contains("built-in")) || written.contains("not written") || NO_QUERIES.contains(&written.as_str());
            if !foreign && !in_words {
                found.extend(written.split(" ;; ").map(str::to_owned));
            }
        }
    }
    Some(found)
}

#[test]
fn met_31_every_query_of_the_catalogue_runs_and_gives_data_under_load() {
    let Some(queries) = catalogue() else { return };
    assert!(queries.len() > 100, "only {} queries", queries.len());
    for query in queries {
        let expr = parse(&query).unwrap_or_else(|e| panic!("{query}: {e}"));
        let memory = Memory::new();
        let engine = Engine::default();
        let idle = engine.range(&memory, &expr, Timestamp(0), Timestamp(60_000), Duration::from_secs(15), &budget());
        assert!(idle.is_ok(), "{query}: {idle:?}");
        for selector in expr.selectors() {
            add_load(&memory, selector, query.contains("histogram_quantile"));
        }
        let answer = engine.instant(&memory, &expr, Timestamp(5_900_000), &budget()).unwrap_or_else(|e| panic!("{query}: {e}"));
        let filters = matches!(&expr.root().kind, NodeKind::Binary(binary) if binary.op.is_comparison()) || query.starts_with("count(");
        let Value::Vector(samples) = &answer.value else { panic!("{query}: {answer:?}") };
        assert!(filters || !samples.is_empty(), "{query} gives nothing under load: {answer:?}");
    }
}

mod random {
    //! Random texts and random queries: nothing may panic, and what is printed must be read back the same.

    use proptest::prelude::*;

    use super::*;

    fn name() -> impl Strategy<Value = String> {
        prop_oneof![
            4 => prop::sample::select(vec!["a", "b", "c", "sum", "by", "offset", "start", "x:y", "fill", "step", "inf_", "and"]).prop_map(str::to_owned),
            1 => "[a-z_]{1,4}",
        ]
    }
    fn duration() -> impl Strategy<Value = String> {
        prop::sample::select(vec!["5m", "1ms", "90", "1h30m", "1m+30s", "(2m*2)", "step()", "max_of(1m, range())", "2^5", "-(-1m)", "0.5"])
            .prop_map(str::to_owned)
    }
    fn labels() -> impl Strategy<Value = String> {
        prop::collection::vec(prop::sample::select(vec!["i", "k", "le", "by", "\"q.r\"", "__name__"]), 0..3).prop_map(|l| format!("({})", l.join(",")))
    }
    fn selector() -> impl Strategy<Value = String> {
        let matcher = (
            prop::sample::select(vec!["i", "k", "le", "'q.r'", "__name__"]),
            prop::sample::select(vec!["=", "!=", "=~", "!~"]),
            prop::sample::select(vec!["''", "'1'", "'a|b'", "\".*\"", "`.+`", "'a\\n\"'"]),
        );
        let braces = prop::collection::vec(matcher, 0..3).prop_map(|m| m.into_iter().map(|(n, o, v)| format!("{n}{o}{v}")).collect::<Vec<_>>().join(","));
        (
            prop::option::of(name()),
            braces,
            prop::sample::select(vec!["", "", "", " offset 1m", " offset -2m", " @ 60", " @ end()", " @ start() offset 5", " smoothed", " anchored offset 1m"]),
        )
            .prop_map(|(name, braces, modifier)| match name {
                Some(name) if braces.is_empty() => format!("{name}{modifier}"),
                name => format!("{}{{{braces}}}{modifier}", name.unwrap_or_default()),
            })
    }
    fn expression() -> impl Strategy<Value = String> {
        let number = prop::sample::select(vec!["1", "-2", "0.5", "NaN", "Inf", "1e300", "0x10", "3m", "time()", "pi()", "scalar(a)"]).prop_map(str::to_owned);
        let leaf = prop_oneof![2 => number, 4 => selector(), 1 => Just("vector(time())".to_owned()), 1 => Just("'text'".to_owned())];
        leaf.prop_recursive(5, 40, 4, |inner| {
            let op = prop::sample::select(vec!["+", "-", "*", "/", "%", "^", "atan2", "==", "!=", "<", ">=", "> bool", "and", "or", "unless", "</"]);
            let matching = prop_oneof![4 => Just(String::new()), 1 => labels().prop_map(|l| format!("on {l}")), 1 => labels().prop_map(|l| format!("ignoring {l}")), 1 => (labels(), labels()).prop_map(|(a, b)| format!("on {a} group_left {b}")), 1 => labels().prop_map(|l| format!("ignoring {l} group_right")), 1 => Just("fill(0)".to_owned())];
            let instant: Vec<&str> = functions().iter().filter(|f| f.args == [ValueType::Vector]).map(|f| f.name).collect();
            let window: Vec<&str> = functions().iter().filter(|f| f.args == [ValueType::Matrix]).map(|f| f.name).collect();
            let aggregation = prop::sample::select(vec!["sum", "avg", "min", "max", "count", "group", "stddev", "stdvar"]);
            let ranking = prop::sample::select(vec!["topk", "bottomk", "limitk", "quantile", "limit_ratio"]);
            prop_oneof![
                4 => (inner.clone(), op, matching, inner.clone()).prop_map(|(a, op, m, b)| format!("{a} {op} {m} {b}")),
                1 => inner.clone().prop_map(|e| format!("({e})")),
                1 => inner.clone().prop_map(|e| format!("-{e}")),
                2 => (prop::sample::select(instant), inner.clone()).prop_map(|(f, e)| format!("{f}({e})")),
                2 => (prop::sample::select(window.clone()), name(), duration()).prop_map(|(f, n, d)| format!("{f}({n}[{d}])")),
                2 => (prop::sample::select(window), inner.clone(), duration(), prop::option::of(duration())).prop_map(|(f, e, r, s)| format!("{f}(({e})[{r}:{}])", s.unwrap_or_default())),
                2 => (aggregation, prop::sample::select(vec!["by", "without"]), labels(), inner.clone()).prop_map(|(a, by, l, e)| format!("{a} {by} {l} ({e})")),
                1 => (ranking, inner.clone(), inner.clone()).prop_map(|(a, k, e)| format!("{a}({k}, {e})")),
                1 => (inner.clone(), inner.clone()).prop_map(|(q, e)| format!("histogram_quantile({q}, {e})")),
                1 => inner.clone().prop_map(|e| format!("count_values('v', {e})")),
                1 => inner.prop_map(|e| format!("label_replace({e}, 'k', '$1', 'i', '(.*)')")),
            ]
        })
    }
    fn data() -> Memory {
        let memory = Memory::new();
        for (s, name) in ["a", "b", "c", "sum", "x:y"].iter().enumerate() {
            for i in 0..3 {
                let labels = labels!("__name__" => name, "i" => &i.to_string(), "le" => ["0.1", "1", "+Inf"][i], "k" => if s % 2 == 0 { "a" } else { "" });
                let value = |t: i64| match (t + s as i64 * 7) % 11 {
                    0 => f64::NAN,
                    1 => f64::INFINITY,
                    2 => watchfire_model::sample::stale_nan(),
                    n => (n * 3 - t) as f64,
                };
                memory.add_series(&labels, (0..40).filter(|t| (t / 5 + i as i64) % 3 != 0).map(|t| (t * 17_000, value(t))));
            }
        }
        for (s, name) in ["a", "b", "c", "x:y"].iter().enumerate() {
            for i in 0..3u32 {
                let labels = labels!("__name__" => name, "i" => &i.to_string(), "le" => ["0.1", "1", "+Inf"][i as usize], "k" => "native");
                for t in (0..40u32).filter(|t| (t / 4 + i) % 4 != 0) {
                    if (t + i) % 13 == 5 {
                        memory.add(&labels, Timestamp(i64::from(t) * 17_000), f64::from(t));
                    } else {
                        memory.add_histogram(&labels, Timestamp(i64::from(t) * 17_000), native(t + 7 * i, s));
                    }
                }
            }
        }
        memory
    }
    /// Histograms that change their form now and then.
    fn native(n: u32, kind: usize) -> Histogram {
        let counts: Vec<f64> = (0..n % 5).map(|b| f64::from((n * 3 + b) % 17)).collect();
        let populated = counts.iter().sum::<f64>();
        let span = Span { offset: (n / 20 % 3) as i32, length: counts.len() as u32 };
        let resets = [CounterReset::Unknown, CounterReset::Gauge, CounterReset::NotReset, CounterReset::Reset];
        let mut histogram = Histogram {
            schema: [0, 1, 0, 3][kind],
            reset: resets[(n % 11).min(3) as usize],
            count: populated + f64::from(n % 3),
            sum: if n.is_multiple_of(9) { f64::NAN } else { populated * 1.5 },
            zero_count: f64::from(n % 3),
            zero_threshold: [0.0, 0.001, 0.5][kind % 3],
            positive_spans: vec![span],
            positive_buckets: counts,
            ..Histogram::default()
        };
        if kind == 1 && n % 7 < 5 {
            let bounds: Vec<f64> = (0..12).filter(|b| !(n / 8 + b).is_multiple_of(4)).map(f64::from).collect();
            histogram = Histogram { schema: CUSTOM_SCHEMA, zero_count: 0.0, zero_threshold: 0.0, custom_bounds: bounds.into(), ..histogram };
        } else if kind == 2 {
            (histogram.negative_spans, histogram.negative_buckets) = (histogram.positive_spans.clone(), histogram.positive_buckets.clone());
        }
        if n % 10 == 3 {
            return Histogram::stale();
        }
        histogram
    }
    #[test]
    fn the_histograms_of_random_queries_are_well_formed() {
        for n in 0..200 {
            for kind in 0..4 {
                assert_eq!(native(n, kind).check(), Ok(()));
            }
        }
    }

    #[test]
    fn random_queries_are_worth_the_trouble() {
        use proptest::strategy::ValueTree;
        let mut runner = proptest::test_runner::TestRunner::deterministic();
        let texts: Vec<String> = (0..500).map(|_| expression().new_tree(&mut runner).unwrap().current()).collect();
        let parsed: Vec<Expr> = texts.iter().filter_map(|t| parse(t).ok()).collect();
        let memory = data();
        let answered = parsed.iter().filter(|e| Engine::default().instant(&memory, *e, Timestamp(301_000), &small_budget()).is_ok()).count();
        eprintln!("{} of 500 parse, {answered} are answered", parsed.len());
        assert!(parsed.len() > 150 && answered > 100);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

        #[test]
        fn garbage_never_panics(text in "\\PC{0,60}") {
            if let Ok(expr) = parse(&text) {
                prop_assert!(parse(&expr.to_string()).is_ok());
            }
        }

        #[test]
        fn garbage_of_words_never_panics(words in prop::collection::vec(prop::sample::select(vec!["a", "sum", "by", "(", ")", "{", "}", "[", "]", "5m", "1", "'x'", ",", ":", "+", "-", "==", "bool", "on", "offset", "@", "start", "group_left", "rate", "=~", "!=", "=", "#", "\n", "\\", "\"", "é"]), 0..25)) {
            let text: String = words.join(" ");
            if let Ok(expr) = parse(&text) {
                prop_assert!(parse(&expr.to_string()).is_ok());
            }
        }

        #[test]
        fn printing_is_stable(text in expression()) {
            if let Ok(expr) = parse(&text) {
                let printed = expr.to_string();
                let again = parse(&printed);
                prop_assert!(again.is_ok(), "{} -> {}: {:?}", text, printed, again);
                prop_assert_eq!(again.unwrap().to_string(), printed);
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

        #[test]
        fn evaluation_never_panics_and_agrees_with_its_print(text in expression()) {
            if let Ok(expr) = parse(&text) {
                let (memory, engine) = (data(), Engine::default());
                let printed = parse(&expr.to_string()).unwrap();
                let instant = |e: &Expr| engine.instant(&memory, e, Timestamp(301_000), &small_budget()).map(|a| format!("{:?}", a.value)).map_err(|e| e.to_string());
                prop_assert_eq!(instant(&expr), instant(&printed));
                let range = |e: &Expr| engine.range(&memory, e, Timestamp(1_000), Timestamp(661_000), Duration::from_secs(60), &small_budget()).map(|a| format!("{:?}", a.value)).map_err(|e| e.to_string());
                prop_assert_eq!(range(&expr), range(&printed));
            }
        }

        /// A range query is nothing but instant queries one after the other, where `@` and the query's own times play no part.
        #[test]
        fn a_range_query_is_many_instant_queries(text in expression()) {
            let own_times = ["@", "step()", "range()", "start", "sort"].iter().any(|w| text.contains(w));
            if let Ok(expr) = parse(&text) && !own_times && matches!(expr.value_type(), ValueType::Vector) {
                let (memory, engine) = (data(), Engine::default());
                let range = engine.range(&memory, &expr, Timestamp(31_000), Timestamp(331_000), Duration::from_secs(100), &small_budget());
                let Ok(Answer { value: Value::Matrix(series), .. }) = range else { return Ok(()) };
                for time in [31_000, 131_000, 231_000, 331_000] {
                    let Ok(Answer { value: Value::Vector(samples), .. }) = engine.instant(&memory, &expr, Timestamp(time), &small_budget()) else {
                        return Err(TestCaseError::fail("instant query fails where the range query does not"));
                    };
                    let shown = |value: f64, histogram: Option<&Histogram>| histogram.map_or_else(|| value.to_bits().to_string(), |h| format!("{h:?}"));
                    let mut instant: Vec<(String, String)> =
                        samples.iter().map(|s| (s.labels.to_string(), shown(s.value, s.histogram.as_deref()))).collect();
                    let at = |s: &Series| {
                        let float = s.points.iter().find(|p| p.time.0 == time).map(|p| shown(p.value, None));
                        let sample = float.or_else(|| s.histograms.iter().find(|h| h.time.0 == time).map(|h| shown(0.0, Some(&h.value))))?;
                        Some((s.labels.to_string(), sample))
                    };
                    let mut ranged: Vec<(String, String)> = series.iter().filter_map(at).collect();
                    instant.sort();
                    ranged.sort();
                    prop_assert_eq!(instant, ranged, "{} at {}", text, time);
                }
            }
        }
    }
}

/// A function as the reference writes it: what may be missing in brackets, what may be repeated before dots.
fn signature(function: &Function) -> String {
    let letter = |kind: &ValueType| match kind {
        ValueType::Scalar => "s",
        ValueType::Vector => "v",
        ValueType::Matrix => "m",
        ValueType::String => "t",
    };
    let mut args: Vec<String> = function.args.iter().map(|kind| letter(kind).to_owned()).collect();
    match (function.variadic, args.pop()) {
        (0, Some(last)) => args.push(last),
        (1, Some(last)) => args.push(format!("[{last}]")),
        (-1, Some(last)) => args.extend([last, "...".to_owned()]),
        (_, Some(_)) => args.push("...".to_owned()),
        (_, None) => {}
    }
    format!("{}({})", function.name, args.join(", "))
}

#[test]
fn the_reference_lists_every_function() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/functions.md")).unwrap();
    let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("| `")).collect();
    for function in functions() {
        let gives = if function.returns == ValueType::Scalar { "number" } else { "vector" };
        let begin = format!("| `{}` | {gives} | {}", signature(function), if function.experimental { "(exp.) " } else { "" });
        let found = rows.iter().find(|row| row.starts_with(&begin)).unwrap_or_else(|| panic!("no row begins with {begin:?}"));
        assert_eq!(found.contains("(exp.)"), function.experimental, "{found}");
    }
    assert_eq!(rows.len(), functions().len(), "a row for each function, and no other");
}
