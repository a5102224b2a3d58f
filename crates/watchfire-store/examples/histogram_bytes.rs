//! Measures what native histograms cost: bytes per sample in the log, in memory and in segments, and CPU time per sample.
//!
//! `cargo run --release -p watchfire-store --example histogram_bytes -- [series] [hours]`

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use watchfire_model::batch::{Batch, Origin, SeriesHistograms};
use watchfire_model::histogram::{Histogram, Span};
use watchfire_model::labels::Labels;
use watchfire_model::read::{Budget, Selection, Source};
use watchfire_model::sample::HistogramSample;
use watchfire_model::time::{Clock, ManualClock, Timestamp};
use watchfire_model::write::Sink;
use watchfire_store::{Options, Store};

const START: i64 = 1_767_052_800_000;
const STEP: i64 = 15_000;
const BUCKETS: usize = 60;

fn cpu() -> f64 {
    let t = clock_gettime(ClockId::ProcessCPUTime);
    t.tv_sec as f64 + t.tv_nsec as f64 / 1e9
}

struct Random(u64);
impl Random {
    /// Between 0 and 1.
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// Lets requests happen: their latencies are spread about a mean, in the logarithm, so buckets fill as those of real services do.
fn observe(histogram: &mut Histogram, requests: usize, random: &mut Random) {
    for _ in 0..requests {
        let normal: f64 = (0..6).map(|_| random.next()).sum::<f64>() - 3.0;
        let bucket = ((BUCKETS as f64 / 2.0) + normal * 9.0).clamp(0.0, BUCKETS as f64 - 1.0) as usize;
        histogram.positive_buckets[bucket] += 1.0;
        histogram.count += 1.0;
        histogram.sum += 0.01 * 2f64.powf((bucket as f64 - 30.0 + random.next()) / 8.0);
    }
}

fn main() {
    let arguments: Vec<usize> = std::env::args().skip(1).filter_map(|a| a.parse().ok()).collect();
    let series = arguments.first().copied().unwrap_or(100);
    let hours = arguments.get(1).copied().unwrap_or(6);
    println!("{series} series of native histograms (schema 3, up to {BUCKETS} buckets), every 15 s, {hours} h");
    println!("| requests per scrape | log, B | memory, B | segments, B | write, µs | read, µs |\n|---|---|---|---|---|---|");
    for requests in [0, 5, 100] {
        let dir = std::env::temp_dir().join(format!("watchfire-histograms-{}", std::process::id()));
        let clock = ManualClock::new(Timestamp(START));
        let store = Store::open(Options { keeper: false, min_free_bytes: 0, memory_max: usize::MAX, ..Options::new(&dir, clock.clone()) }).expect("a store");
        let mut random = Random(7);
        let empty = Histogram {
            schema: 3,
            integer: true,
            zero_threshold: 1e-128,
            positive_spans: vec![Span { offset: -30, length: BUCKETS as u32 }],
            positive_buckets: vec![0.0; BUCKETS],
            ..Histogram::default()
        };
        let mut fleet = vec![empty; series];
        fleet.iter_mut().for_each(|h| observe(h, 10_000, &mut random));
        let (mut spent, mut samples) = (0.0, 0u64);
        for step in 0..(hours as i64 * 3_600_000 / STEP) {
            let time = Timestamp(START + step * STEP);
            let mut batch = Batch::new(Origin::new("bench"));
            for (n, histogram) in fleet.iter_mut().enumerate() {
                observe(histogram, requests, &mut random);
                let labels = Labels::from_pairs([("__name__", "http_request_duration_seconds".to_owned()), ("handler", n.to_string())]);
                batch.histograms.push(SeriesHistograms { labels, samples: vec![HistogramSample { time, value: Arc::new(histogram.clone()) }] });
            }
            clock.advance(Duration::from_millis(STEP as u64));
            let began = cpu();
            samples += store.write(batch).expect("room").stored;
            spent += cpu() - began;
        }
        let in_memory = store.stats();
        store.flush().expect("a flush");
        let flushed = store.stats();
        let began = cpu();
        let selection = Selection { matchers: vec![], start: Timestamp::MIN, end: Timestamp::MAX };
        let mut read = 0;
        let result = store.select(&selection, &Budget::unlimited(clock.clone() as Arc<dyn Clock>), &mut |s| {
            read += s.histograms.len() as u64;
            Ok(ControlFlow::Continue(()))
        });
        result.expect("a readable store");
        assert_eq!(read, samples);
        let per = |bytes: u64| bytes as f64 / samples as f64;
        let micros = |seconds: f64| seconds * 1e6 / samples as f64;
        println!(
            "| {requests} | {:.0} | {:.0} | {:.1} | {:.1} | {:.1} |",
            per(in_memory.wal_written_bytes),
            per(in_memory.head_bytes),
            per(flushed.segment_sample_bytes),
            micros(spent),
            micros(cpu() - began)
        );
        drop(store);
        std::fs::remove_dir_all(&dir).expect("our own directory");
    }
}
