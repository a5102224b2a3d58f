//! The self collector: what our meter says, and what the kernel says about our process, stored like everybody's figures.
//! It never feeds on itself: its writes make no series, no log line and no work that grows with their number.

mod process;

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use watchfire_net::blocking::spawn_blocking;

use watchfire_model::batch::{Batch, Metadata, Origin, Samples, SeriesSamples};
use watchfire_model::labels::{Labels, LabelsBuilder};
use watchfire_model::meter::{Counter, Family, Meter};
use watchfire_model::sample::{Sample, stale_nan};
use watchfire_model::time::SharedClock;
use watchfire_model::write::Sink;

/// The most series that we keep about ourselves; what is beyond is left out and counted.
const SERIES_MAX: usize = 10_000;
/// Metadata is repeated every so many polls.
const METADATA_EVERY: u64 = 240;

/// What the self collector needs to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The label `instance`.
    pub instance: String,
    /// Pause between two polls.
    pub interval: Duration,
}

#[derive(Default)]
struct State {
    /// Labels of the meter → labels with job and instance, and the poll in which they were last seen.
    series: HashMap<Labels, (Labels, u64)>,
    families: usize,
    poll: u64,
}

/// Stores our own figures. Cheap to clone.
#[derive(Clone)]
pub struct OwnCollector {
    settings: Arc<Settings>,
    meter: Meter,
    clock: SharedClock,
    state: Arc<Mutex<State>>,
    batches_failed: Counter,
    series_left_out: Counter,
}

impl OwnCollector {
    /// Makes the collector and adds the figures of our process to the meter, so that `/metrics` shows them too.
    pub fn new(settings: Settings, meter: Meter, clock: SharedClock) -> OwnCollector {
        OwnCollector::below(Path::new("/"), settings, meter, clock)
    }

    fn below(root: &Path, settings: Settings, meter: Meter, clock: SharedClock) -> OwnCollector {
        let process = process::Process::new(root);
        meter.on_gather(move |out: &mut Vec<Family>| process.gather(out));
        let failed_help = "Batches of a collector that the store did not take.";
        let left_out_help = "Series of this host that were left out because there were too many.";
        OwnCollector {
            batches_failed: meter.counter("watchfire_collect_batches_failed_total", failed_help, &[("collector", "own")]),
            series_left_out: meter.counter("watchfire_collect_series_left_out_total", left_out_help, &[("collector", "own")]),
            settings: Arc::new(settings),
            meter,
            clock,
            state: Arc::default(),
        }
    }

    /// One look at ourselves, ready to be stored. Blocks for some small file reads.
    pub fn poll(&self) -> Batch {
        let families = self.meter.gather();
        let time = self.clock.now();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.poll += 1;
        let poll = state.poll;
        let mut batch = Batch::new(Origin::new("self"));
        batch.series.reserve(state.series.len() + 16);
        if families.len() != state.families || poll.is_multiple_of(METADATA_EVERY) {
            state.families = families.len();
            batch.metadata.extend(families.iter().map(metadata));
        }
        for (labels, value) in families.iter().flat_map(|f| &f.points) {
            let full = state.series.len() >= SERIES_MAX;
            let labels = match state.series.get_mut(labels) {
                // The same series twice in one poll would be a conflict with itself.
                Some((_, seen)) if *seen == poll => continue,
                Some((labels, seen)) => {
                    *seen = poll;
                    labels.clone()
                }
                None if full => {
                    self.series_left_out.inc();
                    continue;
                }
                None => {
                    let target = self.target(labels);
                    state.series.insert(labels.clone(), (target.clone(), poll));
                    target
                }
            };
            batch.series.push(SeriesSamples { labels, samples: Samples::One(Sample { time, value: *value }) });
        }
        state.series.retain(|_, (labels, seen)| {
            if *seen != poll {
                let sample = Sample { time, value: stale_nan() };
                batch.series.push(SeriesSamples { labels: labels.clone(), samples: Samples::One(sample) });
            }
            *seen == poll
        });
        batch
    }

    /// Polls for ever and writes to the sink; ends only when the future is dropped.
    pub async fn run(self, sink: Arc<dyn Sink>) {
        let mut ticks = tokio::time::interval(self.settings.interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let (own, sink) = (self.clone(), sink.clone());
            let written = spawn_blocking(move || sink.write(own.poll())).await;
            // Counted, not logged: a log line per failed write would be stored as well, and would fail as well.
            if !matches!(written, Ok(Ok(_))) {
                self.batches_failed.inc();
            }
        }
    }

    fn target(&self, labels: &Labels) -> Labels {
        let mut builder = LabelsBuilder::from(labels);
        builder.set("job", "watchfire").set("instance", &self.settings.instance);
        builder.build()
    }
}

fn metadata(family: &Family) -> Metadata {
    Metadata { family: family.name.clone(), kind: family.kind, help: family.help.clone(), unit: family.unit.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use watchfire_model::sample::is_stale;
    use watchfire_model::time::{ManualClock, Timestamp};

    fn own(meter: &Meter) -> OwnCollector {
        let settings = Settings { instance: "pi".to_owned(), interval: Duration::from_secs(15) };
        OwnCollector::new(settings, meter.clone(), ManualClock::new(Timestamp(5000)))
    }

    fn value(batch: &Batch, series: &str) -> Option<f64> {
        batch.series.iter().find(|s| s.labels.to_string() == series).map(|s| s.samples.as_slice()[0].value)
    }

    #[test]
    fn meter_and_process_are_stored_with_job_and_instance() {
        let meter = Meter::new();
        meter.counter("watchfire_x_total", "X.", &[("kind", "a")]).add(3);
        let batch = own(&meter).poll();
        assert_eq!(value(&batch, r#"watchfire_x_total{instance="pi", job="watchfire", kind="a"}"#), Some(3.0));
        for (name, at_least) in [
            ("process_resident_memory_bytes", 100_000.0),
            ("process_virtual_memory_bytes", 100_000.0),
            ("process_open_fds", 3.0),
            ("process_max_fds", 3.0),
            ("process_cpu_seconds_total", 0.0),
            ("process_threads", 1.0),
            ("process_start_time_seconds", 1e9),
        ] {
            let found = value(&batch, &format!(r#"{name}{{instance="pi", job="watchfire"}}"#));
            assert!(found.is_some_and(|v| v >= at_least), "{name}: {found:?}");
        }
        assert!(batch.metadata.iter().any(|m| &*m.family == "process_cpu_seconds_total"));
        assert!(meter.gather().iter().any(|f| &*f.name == "process_open_fds"), "the exposition shows them too");
    }

    #[test]
    fn it_never_feeds_on_itself() {
        let meter = Meter::new();
        let own = own(&meter);
        let first = own.poll();
        for _ in 0..50 {
            let next = own.poll();
            assert_eq!(next.series.len(), first.series.len(), "its own work makes no series");
            assert!(next.metadata.is_empty());
        }
    }

    #[test]
    fn a_series_that_vanishes_is_ended() {
        let meter = Meter::new();
        let shown = Arc::new(Mutex::new(true));
        let asked = shown.clone();
        meter.on_gather(move |out| {
            if *asked.lock().unwrap() {
                out.push(Family::new("watchfire_y", watchfire_model::batch::MetricType::Gauge, "Y.").with(&[], 1.0));
            }
        });
        let own = own(&meter);
        own.poll();
        *shown.lock().unwrap() = false;
        let series = r#"watchfire_y{instance="pi", job="watchfire"}"#;
        assert!(value(&own.poll(), series).is_some_and(is_stale));
        assert_eq!(value(&own.poll(), series), None);
    }
}
