//! Where imported samples go: a running server, or a store that is opened for it. Batches are filled and sent here.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use http::Method;
use watchfire_ingest::gate::{Gate, Limits};
use watchfire_ingest::remote_write::wire::{Series, v1};
use watchfire_model::batch::{Batch, Metadata, Origin, Samples, SeriesHistograms, SeriesSamples};
use watchfire_model::labels::Labels;
use watchfire_model::meter::Meter;
use watchfire_model::sample::{HistogramSample, Sample};
use watchfire_model::time::SystemClock;
use watchfire_model::write::{Sink, WriteError};
use watchfire_store::{OpenError, Options, Store};

use super::Counts;
use crate::command_line::ImportFlags;
use crate::remote::Remote;
use crate::serve::Backfill;
use crate::settings::Environment;

/// A batch is sent when it has this many samples; a histogram counts for several.
const BATCH_COST_MAX: u64 = 50_000;
/// Recent samples of an import may take this much memory before they are written out.
const MEMORY_MAX: usize = 256 << 20;

/// The place and the batch that is being filled for it.
pub(super) struct Target {
    place: Place,
    batch: Batch,
    cost: u64,
}
enum Place {
    Server(Remote),
    Store(Arc<Store>, Box<Gate>),
}

fn new_batch() -> Batch {
    Batch::new(Origin::new("import"))
}

impl Target {
    pub(super) fn open(flags: &ImportFlags, environment: &Environment) -> Result<Target> {
        let place = match &flags.data_dir {
            None => Place::Server(Remote::new(&flags.url, environment)?),
            Some(dir) => {
                let clock = SystemClock::shared();
                let mut options = Options::new(dir, clock.clone());
                options.series_max = usize::MAX;
                options.memory_max = MEMORY_MAX;
                options.series_idle = std::time::Duration::ZERO;
                options.keeper = false;
                let store = match Store::open(options) {
                    Err(OpenError::Locked(_)) => bail!("a server works in {}; leave out --data-dir to import through it", dir.display()),
                    opened => Arc::new(opened?),
                };
                let limits = Limits { series_per_origin_max: usize::MAX, ..Limits::default() };
                let gate = Box::new(Gate::new(Arc::new(Backfill(store.clone())), clock, &Meter::new(), limits));
                Place::Store(store, gate)
            }
        };
        Ok(Target { place, batch: new_batch(), cost: 0 })
    }

    /// Adds samples of one series.
    pub(super) fn add(&mut self, labels: &Labels, floats: Vec<Sample>, histograms: Vec<HistogramSample>, counts: &mut Counts) -> Result<()> {
        // Labels count by their size, as samples do: 16 bytes each.
        self.cost += labels.memory() as u64 / 16 + floats.len() as u64 + histograms.iter().map(|h| h.value.cost()).sum::<u64>();
        if !floats.is_empty() {
            self.batch.series.push(SeriesSamples { labels: labels.clone(), samples: Samples::Many(floats) });
        }
        if !histograms.is_empty() {
            self.batch.histograms.push(SeriesHistograms { labels: labels.clone(), samples: histograms });
        }
        if self.cost >= BATCH_COST_MAX { self.send(counts) } else { Ok(()) }
    }
    /// Adds what is known of families.
    pub(super) fn describe(&mut self, families: impl Iterator<Item = Metadata>) {
        self.batch.metadata.extend(families);
    }

    fn send(&mut self, counts: &mut Counts) -> Result<()> {
        let batch = std::mem::replace(&mut self.batch, new_batch());
        self.cost = 0;
        if batch.is_empty() {
            return Ok(());
        }
        match &self.place {
            Place::Server(server) => send_to_server(server, &batch, counts),
            Place::Store(store, gate) => write_to_store(store, gate, batch, counts),
        }
    }

    /// Sends the rest and puts everything on the medium.
    pub(super) fn finish(&mut self, counts: &mut Counts) -> Result<()> {
        self.send(counts)?;
        if let Place::Store(store, _) = &self.place {
            store.flush().context("cannot write the last segment")?;
            while store.merge().context("cannot merge segments")? {}
            store.close();
        }
        Ok(())
    }
}

fn write_to_store(store: &Store, gate: &Gate, batch: Batch, counts: &mut Counts) -> Result<()> {
    let written = loop {
        match gate.write(batch.clone()) {
            Err(WriteError::Busy(_)) => store.flush().context("cannot write a segment")?,
            outcome => break outcome?,
        }
    };
    counts.stored += written.stored;
    counts.duplicates += written.duplicates;
    for (reason, count) in written.rejected {
        let example = written.example.clone();
        counts.refuse(reason.name(), count, || example.unwrap_or_default());
    }
    Ok(())
}

fn send_to_server(server: &Remote, batch: &Batch, counts: &mut Counts) -> Result<()> {
    let mut message = v1::Request::new();
    for series in &batch.series {
        message.series(&Series::floats(&series.labels, series.samples.as_slice()));
    }
    for series in &batch.histograms {
        message.series(&Series { labels: &series.labels, samples: &[], histograms: &series.samples, exemplars: &[] });
    }
    for metadata in &batch.metadata {
        message.metadata(metadata);
    }
    let answer = server.ask_json(Method::POST, "/api/system/import", message.bytes())?;
    counts.stored += answer["stored"].as_u64().context("the server did not say what it stored")?;
    counts.duplicates += answer["duplicates"].as_u64().unwrap_or(0);
    for (reason, count) in answer["rejected"].as_object().into_iter().flatten() {
        counts.refuse(reason, count.as_u64().unwrap_or(0), || answer["example"].as_str().unwrap_or_default().to_owned());
    }
    Ok(())
}
