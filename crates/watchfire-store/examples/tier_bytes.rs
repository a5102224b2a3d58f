//! Measures what tiers cost and save: bytes per window, beside the bytes of the samples that they stand for, on the synthetic fleet.
//!
//! `cargo run --release -p watchfire-store --example tier_bytes -- [series]`

mod fleet;

use std::sync::Arc;
use std::time::Duration;

use fleet::{Random, advance, fleet};
use watchfire_model::batch::{Batch, Origin, Samples, SeriesSamples};
use watchfire_model::sample::Sample;
use watchfire_model::time::{Clock, ManualClock, Timestamp};
use watchfire_model::write::Sink;
use watchfire_store::{Options, Store, Tier};

/// A Thursday, as the weeks of tiers begin.
const START: i64 = 1_766_620_800_000;
const STEP: i64 = 15_000;
const WEEK: i64 = 7 * 24 * 3_600_000;

fn main() {
    let series = std::env::args().nth(1).and_then(|a| a.parse().ok()).unwrap_or(2000);
    let dir = std::env::temp_dir().join(format!("watchfire-tiers-{}", std::process::id()));
    let clock = ManualClock::new(Timestamp(START));
    let tier = |minutes: u64| Tier { resolution: Duration::from_secs(minutes * 60), after: Duration::from_secs(3600), keep: None };
    let open = |tiers: Vec<Tier>| {
        Store::open(Options { keeper: false, min_free_bytes: 0, tiers, ..Options::new(&dir, clock.clone() as Arc<dyn Clock>) }).expect("a store")
    };
    let store = open(Vec::new());
    let mut fleet = fleet(series);
    let mut random = Random(7);
    for step in 0..(WEEK + 3 * 3_600_000) / STEP {
        for (n, target) in fleet.iter_mut().enumerate() {
            let time = Timestamp(START + step * STEP + n as i64 * 1000 + (random.next() % 4) as i64);
            let mut batch = Batch::new(Origin::new("bench"));
            for (labels, kind, value) in target {
                advance(*kind, value, &mut random);
                batch.series.push(SeriesSamples { labels: labels.clone(), samples: Samples::One(Sample { time, value: *value }) });
            }
            store.write(batch).expect("room");
        }
        clock.advance(Duration::from_millis(STEP as u64));
        store.tick();
    }
    store.flush().expect("a flush");
    while store.merge().expect("a merge") {}
    let raw = store.stats();
    drop(store);
    println!("{series} series every 15 s for a week: {} samples in {} bytes of segments", raw.segment_samples, raw.segment_bytes);
    println!("| windows | bytes of the week | per series and day | against samples |\n|---|---|---|---|");
    let per_sample_day = raw.segment_bytes as f64 / raw.segment_samples as f64 * (24 * 3_600_000 / STEP) as f64;
    println!("| samples | | {per_sample_day:.0} | 1 |");
    let mut before = 0;
    for minutes in [5, 30, 60] {
        let store = open(vec![tier(minutes)]);
        while store.downsample().expect("room") {}
        let bytes = store.stats().tier_bytes - before;
        before += bytes;
        let per_day = bytes as f64 / series as f64 / 7.0;
        println!("| {minutes} min | {bytes} | {per_day:.0} | {:.3} |", per_day / per_sample_day);
    }
    std::fs::remove_dir_all(&dir).expect("our own directory");
}
