//! What reaches the block device under the load of a small machine: 5,000 series every 15 s, in virtual time, on an ext4 file
//! system of its own. What is synced is on the device, so the pace of the clock changes nothing.

use std::fs;
use std::time::Duration;

use watchfire_model::batch::{Batch, Origin, Samples, SeriesSamples};
use watchfire_model::labels::Labels;
use watchfire_model::sample::Sample;
use watchfire_model::state::{Change, INSTALLATION};
use watchfire_model::time::{Clock, ManualClock, Timestamp};
use watchfire_model::write::Sink;
use watchfire_store::{Options, Store};

use crate::namespace::{Ext4, Unavailable};
use crate::oracle::START;
use crate::{Outcome, Random};

/// Five targets of a thousand series, each every 15 seconds.
const TARGETS: i64 = 5;
const SERIES: i64 = 1_000;
const INTERVAL_S: i64 = 15;
/// Small durable facts that change: positions of readers, states of alerts.
const STATE_INTERVAL_S: i64 = 60;
/// What a small flash card bears.
const BYTES_PER_DAY_MAX: f64 = 1.5e9;
const SYNCS_PER_SECOND_MAX: f64 = 1.0;
const IMAGE_BYTES: u64 = 2 << 30;
/// The file system's own commits go on behind the syncs.
const SECTOR_BYTES: u64 = 512;

pub(crate) fn run(minutes: u64, random: &mut Random) -> Outcome {
    match measure(minutes, random) {
        Ok(Ok(words)) => Outcome::Passed(words),
        Ok(Err(fault)) => Outcome::Fault(fault),
        Err(Unavailable(reason)) => Outcome::Skipped(reason),
    }
}

fn measure(minutes: u64, random: &mut Random) -> Result<Result<String, String>, Unavailable> {
    let disk = Ext4::of_size(IMAGE_BYTES)?;
    let written = |disk: &Ext4| -> Result<u64, Unavailable> {
        disk.sync()?;
        let path = format!("/sys/block/{}/stat", disk.device()?);
        let stat = fs::read_to_string(&path).map_err(|e| Unavailable(format!("{path}: {e}")))?;
        let sectors = stat.split_whitespace().nth(6).and_then(|n| n.parse::<u64>().ok());
        Ok(sectors.ok_or_else(|| Unavailable(format!("{path} has no count of sectors")))? * SECTOR_BYTES)
    };
    let before = written(&disk)?;
    let clock = ManualClock::new(Timestamp(START));
    let store = Store::open(Options { keeper: false, min_free_bytes: 0, ..Options::new(disk.dir().join("data"), clock.clone()) })
        .map_err(|e| Unavailable(e.to_string()))?;
    let seconds = minutes as i64 * 60;
    let mut values = vec![0.0; (TARGETS * SERIES) as usize];
    for second in 0..seconds {
        clock.advance(Duration::from_secs(1));
        if second % (INTERVAL_S / TARGETS) == 0 {
            let target = second / (INTERVAL_S / TARGETS) % TARGETS;
            if let Err(error) = store.write(scrape(target, clock.now(), &mut values, random)) {
                return Ok(Err(format!("second {second}: {error}")));
            }
        }
        if second % STATE_INTERVAL_S == 0 {
            let change = Change::Put(INSTALLATION, "budget".to_owned(), second.to_string().into_bytes());
            store.state().commit(&[change]).map_err(|e| Unavailable(e.to_string()))?;
        }
        store.tick();
    }
    let ours = store.stats().written;
    store.close();
    let device = written(&disk)? - before;
    let day = 86_400.0 / seconds as f64;
    let (per_day, handed, syncs) = (device as f64 * day, ours.bytes() as f64 * day, ours.syncs as f64 / seconds as f64);
    let words = format!(
        "{minutes} minutes of 5,000 series every 15 s: {:.2} GB a day reach the device ({:.2} GB handed to the system: log {:.2}, segments {:.2}, state {:.2}), {syncs:.2} syncs a second",
        per_day / 1e9,
        handed / 1e9,
        ours.log as f64 * day / 1e9,
        ours.segments as f64 * day / 1e9,
        ours.state as f64 * day / 1e9,
    );
    let within = per_day <= BYTES_PER_DAY_MAX && syncs <= SYNCS_PER_SECOND_MAX;
    // Less than what was handed over cannot be: then the wrong device was looked at.
    if device < ours.log {
        return Ok(Err(format!("the device saw less than was synced: {words}")));
    }
    Ok(if within { Ok(words) } else { Err(words) })
}

/// One scrape: some series stand still, some count, some are measured.
fn scrape(target: i64, now: Timestamp, values: &mut [f64], random: &mut Random) -> Batch {
    let mut batch = Batch::new(Origin::new("budget"));
    batch.series.extend((0..SERIES).map(|n| {
        let value = &mut values[(target * SERIES + n) as usize];
        match n % 4 {
            0 => {}
            1 => *value += random.below(50) as f64,
            2 => *value = random.below(1 << 20) as f64 / 1024.0,
            _ if random.below(20) == 0 => *value += 1.0,
            _ => {}
        }
        let labels = Labels::from_pairs([
            ("__name__", format!("budget_{}_total", n / 10)),
            ("cpu", (n % 10).to_string()),
            ("instance", format!("10.0.0.{target}:9100")),
            ("job", "node".to_owned()),
        ]);
        SeriesSamples { labels, samples: Samples::One(Sample { time: now, value: *value }) }
    }));
    batch
}
