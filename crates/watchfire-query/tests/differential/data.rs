//! The data of the differential test: deterministic, with gaps, resets, late starts, odd values, and never on a whole second.
//!
//! Prometheus 2.42 has windows closed on the left, 3.x open; as no sample lies on a window's border, both see the same.

use std::fmt::Write;

use watchfire_model::labels::Labels;
use watchfire_testkit::memory::Memory;

/// The time of the first samples in milliseconds.
pub(crate) const BASE: i64 = 1_700_000_000_000;
const STEP: i64 = 15_000;
const COUNT: i64 = 480;

/// A small generator, so that every run sees the same numbers.
pub(crate) struct Random(u64);
impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random(seed)
    }
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
    pub(crate) fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }
    fn unit(&mut self) -> f64 {
        (self.next() % 1_000_000) as f64 / 1_000_000.0
    }
}

/// Fills a memory and writes the same as OpenMetrics text.
pub(crate) fn make() -> (Memory, String) {
    let mut random = Random::new(0x5eed_1234_abcd_0001);
    let mut all: Vec<(Labels, Vec<(i64, f64)>)> = Vec::new();
    counters(&mut random, &mut all);
    gauges(&mut random, &mut all);
    histograms(&mut random, &mut all);
    let memory = Memory::new();
    let mut text = String::new();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    for (labels, samples) in &all {
        memory.add_series(labels, samples.iter().copied());
        for (time, value) in samples {
            let value = if value.is_infinite() { if *value > 0.0 { "+Inf".to_owned() } else { "-Inf".to_owned() } } else { value.to_string() };
            let shown = labels.to_string();
            let shown = if shown.contains('{') { shown.replace(", ", ",") } else { format!("{shown}{{}}") };
            writeln!(text, "{shown} {value} {}.{:03}", time / 1000, time % 1000).unwrap();
        }
    }
    text.push_str("# EOF\n");
    (memory, text)
}

fn times(random: &mut Random, from: i64, to: i64) -> Vec<i64> {
    let phase = 137 + (random.below(14_000) as i64);
    (from..to).map(|i| BASE + i * STEP + phase + random.below(700) as i64).map(|t| if t % 1000 == 0 { t + 1 } else { t }).collect()
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    Labels::from_pairs(pairs.iter().copied())
}

fn counters(random: &mut Random, all: &mut Vec<(Labels, Vec<(i64, f64)>)>) {
    for instance in ["a", "b", "c"] {
        for (method, code) in [("get", "200"), ("get", "500"), ("put", "200")] {
            // One instance starts late, one ends early; values begin high so that extrapolation to zero never applies.
            let (from, to) = match instance {
                "b" => (120, COUNT),
                "c" => (0, 300),
                _ => (0, COUNT),
            };
            let mut value = 1e6;
            let mut samples = Vec::new();
            for time in times(random, from, to) {
                value += (random.below(2000) as f64) / 8.0;
                if random.below(90) == 0 {
                    value = 1e6;
                }
                if random.below(25) != 0 {
                    samples.push((time, value));
                }
            }
            all.push((labels(&[("__name__", "requests_total"), ("instance", instance), ("method", method), ("code", code)]), samples));
        }
        let errors: Vec<_> = times(random, 0, COUNT)
            .into_iter()
            .scan(0.0, |v, t| {
                *v += (random.below(3)) as f64;
                Some((t, *v + 5e5))
            })
            .collect();
        all.push((labels(&[("__name__", "errors_total"), ("instance", instance), ("method", "get")]), errors));
        let info = times(random, 0, COUNT).into_iter().map(|t| (t, 1.0)).collect();
        all.push((labels(&[("__name__", "build_info"), ("instance", instance), ("version", if instance == "a" { "1.0" } else { "2.0" })]), info));
    }
}

fn gauges(random: &mut Random, all: &mut Vec<(Labels, Vec<(i64, f64)>)>) {
    for (i, instance) in ["a", "b", "c"].iter().enumerate() {
        for zone in ["x", "y"] {
            let samples = times(random, 0, COUNT).into_iter().map(|t| (t, (random.unit() - 0.5) * 100.0 * (i as f64 + 1.0))).collect();
            all.push((labels(&[("__name__", "temperature"), ("instance", instance), ("zone", zone)]), samples));
            let samples = times(random, 0, COUNT).into_iter().map(|t| (t, 20.0 + random.unit() * 10.0)).collect();
            all.push((labels(&[("__name__", "limit"), ("instance", instance), ("zone", zone)]), samples));
        }
        let state = times(random, 0, COUNT).into_iter().map(|t| (t, random.below(3) as f64)).collect();
        all.push((labels(&[("__name__", "state"), ("instance", instance)]), state));
    }
    // A gauge with gaps longer than the lookback, and one with values that are no numbers.
    let sparse = times(random, 0, COUNT).into_iter().enumerate().filter(|(i, _)| i / 40 % 2 == 0).map(|(_, t)| (t, random.unit())).collect();
    all.push((labels(&[("__name__", "sparse")]), sparse));
    let odd = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -1.5, 2.5, 1e300, -1e300];
    for instance in ["a", "b"] {
        let samples = times(random, 0, COUNT).into_iter().map(|t| (t, odd[random.below(odd.len())])).collect();
        all.push((labels(&[("__name__", "odd"), ("instance", instance)]), samples));
    }
    let constant = times(random, 0, COUNT).into_iter().map(|t| (t, 42.0)).collect();
    all.push((labels(&[("__name__", "constant"), ("text", "disk-10/é \"q\" \\ end")]), constant));
}

fn histograms(random: &mut Random, all: &mut Vec<(Labels, Vec<(i64, f64)>)>) {
    for instance in ["a", "b"] {
        let times = times(random, 0, COUNT);
        let bounds = ["0.1", "0.5", "1", "2.5", "10", "+Inf"];
        let mut counts = [1000.0; 6];
        let mut columns: Vec<Vec<(i64, f64)>> = vec![Vec::new(); bounds.len() + 2];
        let mut sum = 1e5;
        for time in times {
            let seen = random.below(40);
            for _ in 0..seen {
                let bucket = random.below(bounds.len());
                counts.iter_mut().skip(bucket).for_each(|c| *c += 1.0);
                sum += bucket as f64 * 0.75;
            }
            for (column, count) in columns.iter_mut().zip(counts) {
                column.push((time, count));
            }
            columns[bounds.len()].push((time, counts[bounds.len() - 1]));
            columns[bounds.len() + 1].push((time, sum));
        }
        for (bound, column) in bounds.iter().zip(&columns) {
            all.push((labels(&[("__name__", "latency_seconds_bucket"), ("instance", instance), ("le", bound)]), column.clone()));
        }
        all.push((labels(&[("__name__", "latency_seconds_count"), ("instance", instance)]), columns[bounds.len()].clone()));
        all.push((labels(&[("__name__", "latency_seconds_sum"), ("instance", instance)]), columns[bounds.len() + 1].clone()));
    }
}
