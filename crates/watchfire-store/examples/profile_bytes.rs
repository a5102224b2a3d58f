//! Bytes of profiles on disk: a service whose profiles differ a little from one to the next, as they came and as they are kept.
//!
//! `cargo run --release -p watchfire-store --example profile_bytes -- [stacks] [profiles]`

use std::time::Duration;

use watchfire_model::batch::{Batch, Origin};
use watchfire_model::logs::{Nanos, StreamEntries};
use watchfire_model::profiles::{Frame, Frames, NewProfile, ProfileType, StackTree, key};
use watchfire_model::time::{ManualClock, Timestamp};
use watchfire_model::write::Sink;
use watchfire_store::{Options, Store};

const START: i64 = 1_767_052_800;

/// Numbers that are the same at every run.
struct Dice(u64);
impl Dice {
    fn next(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below.max(1)
    }
}

fn main() {
    let argument = |at: usize, default: u64| std::env::args().nth(at).map_or(default, |text| text.parse().expect("a number"));
    let (stacks, profiles) = (argument(1, 400), argument(2, 240));
    let dir = tempfile::tempdir().expect("a directory");
    let clock = ManualClock::new(Timestamp(START * 1000));
    let store = Store::open(Options { keeper: false, min_free_bytes: 0, ..Options::new(dir.path(), clock.clone()) }).expect("a store");
    let mut dice = Dice(7);
    let functions: Vec<(String, String)> = (0..stacks)
        .map(|n| (format!("{}_{}", ["detect", "resize", "store", "parse", "encode"][n as usize % 5], n), format!("/app/backend/services/module_{}.py", n / 7)))
        .collect();
    // Stacks are 10 to 29 deep, and most of a stack is that of another one.
    let mut known: Vec<Vec<usize>> = Vec::new();
    for _ in 0..stacks {
        let mut stack: Vec<usize> = match known.get(dice.next(known.len() as u64) as usize) {
            Some(other) => other[..dice.next(other.len() as u64) as usize].to_vec(),
            None => Vec::new(),
        };
        while stack.len() < 10 + dice.next(20) as usize {
            stack.push(dice.next(stacks) as usize);
        }
        known.push(stack);
    }
    let kind = ProfileType::parse("process_cpu:cpu:nanoseconds:cpu:nanoseconds").expect("a type");
    let labels = kind.labels(&[(key::SERVICE, "backend"), ("env", "prod")]);
    let (mut samples, mut frames_seen, mut plain) = (0u64, 0u64, 0u64);
    for number in 0..profiles {
        let (mut frames, mut tree) = (Frames::default(), StackTree::default());
        // In 15 seconds a part of all stacks is met, some of them often.
        for stack in &known {
            if dice.next(3) == 0 {
                continue;
            }
            let mut node = StackTree::ROOT;
            for function in stack {
                let (name, file) = &functions[*function];
                let frame = frames.number(Frame { name, file, line: 10 + (*function as u32 % 90) }).expect("few frames");
                node = tree.callee(node, frame).expect("few nodes");
                plain += name.len() as u64 + 1;
            }
            tree.add(node, 10_000_000 * (1 + dice.next(12).pow(2) as i64), None);
            samples += 1;
            frames_seen += stack.len() as u64;
        }
        let time = Nanos((START + 15 * number as i64) * 1_000_000_000);
        let new = NewProfile { time, duration: 15_000_000_000, period: 10_000_000, id: "" };
        let entry = new.entry(&frames, &tree).expect("a small profile").expect("a profile");
        clock.advance(Duration::from_secs(15));
        let mut batch = Batch::new(Origin::new("bench"));
        batch.profiles = vec![StreamEntries { labels: labels.clone(), entries: vec![entry] }];
        store.write(batch).expect("room");
    }
    store.flush().expect("room");
    let stats = store.stats().profiles;
    let per = |bytes: u64| bytes as f64 / samples as f64;
    println!("{profiles} profiles, {samples} stacks with values, {frames_seen} frames");
    println!("folded text {:.1} bytes a stack, lines {:.1}, on disk {:.2}", per(plain), per(stats.segment_raw_bytes), per(stats.segment_bytes));
    println!("{} bytes a profile on disk", stats.segment_bytes / profiles.max(1));
}
