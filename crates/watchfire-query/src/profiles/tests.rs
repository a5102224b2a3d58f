//! Profiles merged, compared and told over time, from a source in memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use watchfire_model::logs::{Nanos, StreamEntries};
use watchfire_model::matcher::Matcher;
use watchfire_model::profiles::{Frame, Frames, NewProfile, ProfileType, StackTree, key};
use watchfire_model::read::Budget;
use watchfire_model::time::{ManualClock, Timestamp};
use watchfire_testkit::logs::Logs;

use super::*;

const CPU: &str = "process_cpu:cpu:nanoseconds:cpu:nanoseconds";
const SECOND: i64 = 1_000_000_000;

/// Adds a profile: stacks with values and spans.
fn add(source: &Logs, service: &str, second: i64, stacks: &[(&str, i64, Option<&str>)]) {
    let (mut frames, mut tree) = (Frames::default(), StackTree::default());
    for (stack, value, span) in stacks {
        let mut node = StackTree::ROOT;
        for name in stack.split(';') {
            let frame = frames.number(Frame { name, file: "a.py", line: name.len() as u32 }).unwrap();
            node = tree.callee(node, frame).unwrap();
        }
        tree.add(node, *value, *span);
    }
    let labels = ProfileType::parse(CPU).unwrap().labels(&[(key::SERVICE, service), ("env", "prod")]);
    let new = NewProfile { time: Nanos(second * SECOND), duration: 15, period: 10, id: service };
    source.add(StreamEntries { labels, entries: vec![new.entry(&frames, &tree).unwrap().unwrap()] });
}

fn budget() -> Budget {
    Budget::unlimited(ManualClock::new(Timestamp(0)))
}
fn question(text: &str) -> Question {
    Question::new(parse(text).unwrap(), Range::ALL)
}
fn merged(source: &Logs, question: &Question) -> Merged {
    merge(source, question, Detail::Functions, &budget()).unwrap()
}

/// Stacks by their values, from a flame graph of one side or of two.
fn stacks(graph: &FlameGraph, sides: usize) -> BTreeMap<String, Vec<i64>> {
    let wide = 3 * sides + 1;
    // Each bar of the level before: where it begins and ends, and its path.
    let mut above = vec![(0, i64::MAX, String::new())];
    let mut found = BTreeMap::new();
    for level in &graph.levels {
        let (mut end, mut bars) = (0, Vec::new());
        for bar in level.chunks(wide) {
            let begin = end + bar[0];
            end = begin + bar[1];
            let (_, _, path) = above.iter().rev().find(|(from, to, _)| *from <= begin && end <= *to && *from < *to).unwrap();
            let name = &graph.names[bar[wide - 1] as usize];
            let path = if path.is_empty() { name.clone() } else { format!("{path};{name}") };
            found.insert(path.clone(), (0..sides).map(|side| bar[3 * side + 2]).collect());
            bars.push((begin, end, path));
        }
        above = bars;
    }
    found.retain(|_, own: &mut Vec<i64>| own.iter().any(|own| *own > 0));
    found
}

fn source() -> Arc<Logs> {
    let source = Arc::new(Logs::new());
    add(&source, "backend", 10, &[("main;detect;nms", 30, Some("00f067aa0ba902b7")), ("main;detect", 10, None), ("main;store", 5, None)]);
    add(&source, "backend", 25, &[("main;detect;nms", 20, None), ("main;detect;resize", 1, None)]);
    add(&source, "yolo", 25, &[("main;infer", 100, None)]);
    source
}

#[test]
fn stk_08_slow_functions_are_found_over_many_profiles() {
    let graph = FlameGraph::single(&merged(&source(), &question(&format!("{CPU}{{service_name=\"backend\"}}"))), NODES_DEFAULT);
    assert_eq!((graph.total, graph.max_self, graph.sides), (66, 50, [66, 0]));
    assert_eq!(graph.names[0], "total");
    let expected = [("total;main;detect", 10), ("total;main;detect;nms", 50), ("total;main;detect;resize", 1), ("total;main;store", 5)];
    assert_eq!(stacks(&graph, 1), expected.map(|(path, own)| (path.to_owned(), vec![own])).into());
    // The root; what it calls; two callees of which the second begins where the first ends; below the first one, behind its own 10.
    assert_eq!(graph.levels, [vec![0, 66, 0, 0], vec![0, 66, 0, 1], vec![0, 61, 10, 2, 0, 5, 5, 5], vec![10, 50, 50, 3, 0, 1, 1, 4]]);
}

#[test]
fn stk_08_before_and_after_are_compared() {
    let mut both = Merged::new(Detail::Functions);
    for (side, second) in [(Side::Left, 10), (Side::Right, 25)] {
        let range = Range { start: Nanos(second * SECOND), end: Nanos((second + 1) * SECOND) };
        let question = Question { range, ..question("{service_name=\"backend\"}") };
        both.read(&*source(), &question, side, &budget()).unwrap();
    }
    let graph = FlameGraph::diff(&both, NODES_DEFAULT);
    assert_eq!((graph.total, graph.sides), (66, [45, 21]));
    assert_eq!(graph.levels[0], [0, 45, 0, 0, 21, 0, 0]);
    let of = |path: &str| {
        let mut nodes: Vec<(Vec<i64>, String)> = Vec::new();
        for level in &graph.levels {
            nodes.extend(level.chunks(7).map(|bar| (bar.to_vec(), graph.names[bar[6] as usize].clone())));
        }
        nodes.into_iter().find(|(_, name)| name == path).unwrap().0
    };
    assert_eq!((of("nms")[1..3].to_vec(), of("nms")[4..6].to_vec()), (vec![30, 30], vec![20, 20]));
    assert_eq!((of("store")[1], of("store")[4], of("resize")[1], of("resize")[4]), (5, 0, 0, 1));
}

#[test]
fn nodes_that_are_too_many_become_other() {
    let source = Logs::new();
    let names: Vec<String> = (0..100).map(|n| format!("main;f{n:02}")).collect();
    let stacks: Vec<(&str, i64, Option<&str>)> = names.iter().enumerate().map(|(n, name)| (name.as_str(), 1 + (n as i64) / 98 * 50, None)).collect();
    add(&source, "a", 1, &stacks);
    let graph = FlameGraph::single(&merged(&source, &question("{}")), 4);
    let expected = [("total;main;f98", 51), ("total;main;f99", 51), ("total;main;other", 98)];
    assert_eq!(super::tests::stacks(&graph, 1), expected.map(|(path, own)| (path.to_owned(), vec![own])).into());
    assert_eq!(graph.total, 200);
    assert_eq!(FlameGraph::single(&merged(&source, &question("{}")), 0).levels.len(), 2);
}

#[test]
fn samples_of_spans_and_profiles_by_id_are_found() {
    for source in [Logs::new(), Logs::honouring_hints()] {
        add(&source, "backend", 10, &[("main;a", 30, Some("00f067aa0ba902b7")), ("main;b", 10, None)]);
        add(&source, "backend", 25, &[("main;a", 30, Some("ffffffffffffffff"))]);
        let of_span = merged(&source, &Question { spans: vec!["00f067aa0ba902b7".to_owned()], ..question("{}") });
        assert_eq!((FlameGraph::single(&of_span, 10).total, of_span.profiles), (30, 1));
        let both = Question { spans: vec!["00f067aa0ba902b7".to_owned(), "ffffffffffffffff".to_owned()], ..question("{}") };
        assert_eq!(FlameGraph::single(&merged(&source, &both), 10).total, 60);
        assert_eq!(over_time(&source, &both, 15 * SECOND, &[], Aggregation::Sum, &budget()).unwrap()[0].1.iter().map(|(_, v)| v).sum::<f64>(), 60.0);
        let by_id = |id: &str| merged(&source, &Question { ids: vec![id.to_owned()], ..question("{}") }).profiles;
        assert_eq!((by_id("backend"), by_id("x")), (2, 0));
    }
}

#[test]
fn stk_07_values_over_time_by_labels() {
    let source = source();
    let range = Range { start: Nanos(10 * SECOND), end: Nanos(40 * SECOND) };
    let question = Question { range, ..question("{}") };
    let told = |by: &[&str], aggregation| {
        let by: Vec<String> = by.iter().map(|name| (*name).to_owned()).collect();
        let groups = over_time(&*source, &question, 15 * SECOND, &by, aggregation, &budget()).unwrap();
        groups.into_iter().map(|(labels, points)| (labels.to_string(), points)).collect::<Vec<_>>()
    };
    assert_eq!(told(&[], Aggregation::Sum), [("{}".to_owned(), vec![(0, 45.0), (1, 121.0)])]);
    assert_eq!(told(&[], Aggregation::Average), [("{}".to_owned(), vec![(0, 45.0), (1, 60.5)])]);
    assert_eq!(
        told(&["service_name", "nothing"], Aggregation::Sum),
        [("{service_name=\"backend\"}".to_owned(), vec![(0, 45.0), (1, 21.0)]), ("{service_name=\"yolo\"}".to_owned(), vec![(1, 100.0)])]
    );
}

#[test]
fn stk_07_services_types_and_labels_are_listed() {
    let source = source();
    let range = Range::ALL;
    assert_eq!(types(&*source, &[], range, &budget()).unwrap(), [CPU]);
    assert_eq!(label_values(&*source, "service_name", &[], range, &budget()).unwrap(), ["backend", "yolo"]);
    let sets = [parse("{service_name=\"yolo\"}").unwrap()];
    assert_eq!(label_values(&*source, "service_name", &sets, range, &budget()).unwrap(), ["yolo"]);
    assert!(label_names(&*source, &sets, range, &budget()).unwrap().contains(&"env".to_owned()));
    let names = ["service_name".to_owned(), "__profile_type__".to_owned()];
    let found: Vec<String> = series(&*source, &[], &names, range, &budget()).unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(found, ["backend", "yolo"].map(|s| format!("{{__profile_type__=\"{CPU}\", service_name=\"{s}\"}}")));
}

#[test]
fn selectors_have_a_type_and_matchers_or_one_of_them() {
    let shown = |text: &str| parse(text).map(|all| all.iter().map(|m| format!("{}{}{}", m.name, m.op.symbol(), m.value)).collect::<Vec<_>>());
    let kind = format!("__profile_type__={CPU}");
    assert_eq!(shown(&format!("{CPU}{{service_name=\"a\", env=~\"p.*\"}}")).unwrap(), [kind.as_str(), "service_name=a", "env=~p.*"]);
    assert_eq!(shown(CPU).unwrap(), [kind.as_str()]);
    assert_eq!(shown(" {} ").unwrap(), Vec::<String>::new());
    assert_eq!(shown("{\"otel.scope.name\"=\"x\",}").unwrap(), ["otel.scope.name=x"]);
    assert_eq!(with_type(CPU, "").unwrap().len(), 1);
    for text in ["cpu{}", "{a=}", "{a=\"b\"", "x", "{a=\"b\"} or {b=\"c\"}"] {
        assert!(parse(text).is_err(), "{text}");
    }
    assert_eq!(parse(&"x".repeat(20_000)), Err(SelectorError::Long(20_000)));
}

#[test]
fn lines_are_told_where_they_are_wanted() {
    let merged = merge(&*source(), &question("{service_name=\"yolo\"}"), Detail::Lines, &budget()).unwrap();
    assert_eq!(merged.places()[1], Place { name: "infer".to_owned(), file: "a.py".to_owned(), line: 5 });
    assert_eq!(merged.stacks().collect::<Vec<_>>(), [(None, 0, 0), (Some(0), 1, 100)]);
    assert_eq!((merged.duration, merged.period, merged.damaged), (15, 10, 0));
}

#[test]
fn what_is_no_profile_is_counted_and_memory_is_charged() {
    let source = source();
    let labels = ProfileType::parse(CPU).unwrap().labels(&[(key::SERVICE, "broken")]);
    source.add_line(&labels, Nanos(1), "no profile", &watchfire_model::labels::Labels::empty());
    let question = question("{}");
    assert_eq!((merged(&source, &question).damaged, merged(&source, &question).profiles), (1, 3));
    let small = Budget::new(ManualClock::new(Timestamp(0)), std::time::Duration::from_secs(1), u64::MAX, 300);
    assert!(merge(&*source, &question, Detail::Functions, &small).is_err());
    let by_service = Matcher::equal(key::SERVICE, "yolo");
    assert_eq!(merge(&*source, &Question::new(vec![by_service], Range::ALL), Detail::Functions, &budget()).unwrap().profiles, 1);
}

proptest! {
    #[test]
    fn a_flame_graph_has_all_values_and_no_more_bars_than_are_wanted(
        stacks in prop::collection::vec(("[a-d](;[a-d]){0,4}", 1..50i64), 1..40), nodes_max in 1..30usize,
    ) {
        let source = Logs::new();
        let samples: Vec<(&str, i64, Option<&str>)> = stacks.iter().map(|(stack, value)| (stack.as_str(), *value, None)).collect();
        add(&source, "a", 1, &samples);
        let merged = merged(&source, &question("{}"));
        let total: i64 = stacks.iter().map(|(_, value)| value).sum();
        let whole = FlameGraph::single(&merged, NODES_MAX);
        let mut expected: BTreeMap<String, Vec<i64>> = BTreeMap::new();
        for (stack, value) in &stacks {
            expected.entry(format!("total;{stack}")).or_insert_with(|| vec![0])[0] += value;
        }
        prop_assert_eq!(super::tests::stacks(&whole, 1), expected);
        let part = FlameGraph::single(&merged, nodes_max);
        let bars = part.levels.iter().flat_map(|level| level.chunks(4)).filter(|bar| part.names[bar[3] as usize] != "other").count();
        prop_assert!(bars <= nodes_max && part.total == total);
        prop_assert_eq!(super::tests::stacks(&part, 1).values().map(|own| own[0]).sum::<i64>(), total);
        let diff = FlameGraph::diff(&merged, nodes_max);
        prop_assert_eq!((diff.total, diff.sides), (total, [total, 0]));
    }
}
