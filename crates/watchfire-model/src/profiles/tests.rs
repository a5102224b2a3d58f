//! Profiles there and back, whatever is in them.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::labels;

/// Stacks as they are pushed: frames from the root on, a value, a span.
type Sample = (Vec<(String, String, u32)>, i64, Option<String>);

fn entry(samples: &[Sample]) -> Option<LogEntry> {
    let (mut frames, mut tree) = (Frames::default(), StackTree::default());
    for (stack, value, span) in samples {
        let mut node = StackTree::ROOT;
        for (name, file, line) in stack {
            let frame = frames.number(Frame { name, file, line: *line }).unwrap();
            node = tree.callee(node, frame).unwrap();
        }
        tree.add(node, *value, span.as_deref());
    }
    NewProfile { time: Nanos(7), duration: 15, period: 0, id: "p" }.entry(&frames, &tree).unwrap()
}

/// The same from what is kept: values by stack, and by span and stack.
fn again(stacks: &Stacks<'_>) -> (BTreeMap<String, u64>, BTreeMap<String, u64>) {
    let path = |mut at: u32| {
        let mut path = Vec::new();
        loop {
            let node = stacks.nodes[at as usize];
            let frame = &stacks.frames[node.frame as usize];
            path.push(format!("{:?}{:?}{}", frame.name, frame.file, frame.line));
            match node.parent {
                Some(parent) => at = parent,
                None => break,
            }
        }
        path.reverse();
        path.join(";")
    };
    let own = stacks.nodes.iter().enumerate().filter(|(_, node)| node.own > 0).map(|(at, node)| (path(at as u32), node.own)).collect();
    let path = &path;
    let of_spans = stacks.spans.iter().flat_map(|(span, values)| values.iter().map(move |(at, value)| (format!("{span} {}", path(*at)), *value))).collect();
    (own, of_spans)
}

fn samples() -> impl Strategy<Value = Vec<Sample>> {
    let frame = ("[a-c\\\\\n\t;é ]{0,3}", "[x\n]{0,2}", 0..3u32);
    let sample = (prop::collection::vec(frame, 1..6), -3..40i64, prop::option::of("[0-9a-f]{1,2}"));
    prop::collection::vec(sample, 0..30)
}

proptest! {
    #[test]
    fn what_is_kept_is_what_came(samples in samples()) {
        let (mut own, mut of_spans) = (BTreeMap::<String, i64>::new(), BTreeMap::<String, i64>::new());
        for (stack, value, span) in &samples {
            let path: Vec<String> = stack.iter().map(|(name, file, line)| format!("{name:?}{file:?}{line}")).collect();
            *own.entry(path.join(";")).or_default() += value;
            if let Some(span) = span {
                *of_spans.entry(format!("{span} {}", path.join(";"))).or_default() += value;
            }
        }
        own.retain(|_, value| *value > 0);
        let entry = entry(&samples);
        prop_assert_eq!(entry.is_some(), !own.is_empty());
        if let Some(entry) = entry {
            let stacks = Stacks::read(&entry.line).unwrap();
            let (kept, kept_spans) = again(&stacks);
            prop_assert_eq!(kept.values().sum::<u64>().to_string(), entry.metadata.get(key::TOTAL).unwrap());
            prop_assert_eq!(kept, own.into_iter().map(|(path, value)| (path, value.unsigned_abs())).collect());
            for (path, value) in kept_spans {
                prop_assert_eq!(value, of_spans[&path].unsigned_abs());
            }
        }
    }

    #[test]
    fn whatever_stands_there_is_read_or_not(line in "(v1\\*2\n\n)?[a\t0,\n)!A-C]{0,60}") {
        drop(Stacks::read(&line));
    }

    #[test]
    fn what_is_cut_or_changed_never_panics(samples in samples(), at in any::<prop::sample::Index>(), byte in any::<char>()) {
        if let Some(entry) = entry(&samples) {
            let chars: Vec<char> = entry.line.chars().collect();
            let at = at.index(chars.len());
            drop(Stacks::read(&chars[..at].iter().collect::<String>()));
            let mut changed = chars;
            changed[at] = byte;
            drop(Stacks::read(&changed.iter().collect::<String>()));
        }
    }
}

fn frame(name: &str) -> (String, String, u32) {
    (name.to_owned(), "a.py".to_owned(), 3)
}

#[test]
fn a_profile_in_the_form_of_version_1() {
    let samples: Vec<Sample> = vec![
        (vec![frame("main"), frame("detect")], 30, Some("00f067aa0ba902b7".to_owned())),
        (vec![frame("main"), frame("detect")], 10, None),
        (vec![frame("main")], 20, None),
    ];
    let entry = entry(&samples).unwrap();
    assert_eq!(&*entry.line, "v1*10\n\ndetect\ta.py\t3\nmain\ta.py\t3\n\nqEEs!t3FL\n\n2,4\n\n00f067aa0ba902b7\t1,3\n");
    assert_eq!(entry.metadata, labels!(":duration" => "15", ":id" => "p", ":total" => "60"));
    let stacks = Stacks::read(&entry.line).unwrap().of_spans(|span| span == "00f067aa0ba902b7");
    assert_eq!(stacks.nodes.iter().map(|node| node.own).collect::<Vec<_>>(), [0, 30]);
}

#[test]
fn profiles_that_differ_a_little_have_long_texts_in_common() {
    let stacks: Vec<Sample> = (0..50).map(|n| (vec![frame("main"), frame(&format!("f{n:02}"))], 10 + n, None)).collect();
    let (one, other) = (entry(&stacks[1..]).unwrap(), entry(&stacks).unwrap());
    // Behind the frame that is new everything stands as before.
    let tail = |line: &str| line.split("\n\n").nth(2).unwrap().split(')').skip(1).collect::<Vec<_>>().join(")");
    assert!(tail(&other.line).ends_with(&tail(&one.line)));
}

#[test]
fn types_have_five_parts() {
    let id = "process_cpu:cpu:nanoseconds:cpu:nanoseconds";
    let kind = ProfileType::parse(id).unwrap();
    assert_eq!((kind.name, kind.sample_unit, kind.to_string().as_str()), ("process_cpu", "nanoseconds", id));
    assert_eq!(ProfileType::parse("memory:inuse_space:bytes:space:bytes:delta").unwrap().period_unit, "bytes");
    assert_eq!([ProfileType::parse("a:b:c:d"), ProfileType::parse("a:b:c:d:e:f"), ProfileType::parse("")], [None; 3]);
    let labels = kind.labels(&[("service_name", "backend"), ("__name__", "x"), ("__delta__", "false")]);
    assert_eq!((labels.get("service_name"), labels.get("__name__"), labels.get("__delta__")), (Some("backend"), Some("process_cpu"), None));
}

#[test]
fn large_profiles_are_refused() {
    let mut tree = StackTree::default();
    for frame in 0..NODES_MAX as u32 {
        tree.callee(StackTree::ROOT, frame).unwrap();
    }
    assert_eq!(tree.callee(StackTree::ROOT, u32::MAX), Err(TooLarge));
}
