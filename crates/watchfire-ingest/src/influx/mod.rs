//! Influx line protocol: each field of each line becomes a sample of the series `measurement_field` with the line's tags
//! as labels, as VictoriaMetrics names them. Texts have no place in a metric and are counted. A bad line is refused alone.

mod line;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use watchfire_model::batch::{self, Batch, Origin, SeriesSamples};
use watchfire_model::labels::{Labels, METRIC_NAME};
use watchfire_model::meter::{Counter, Meter};
use watchfire_model::sample::Sample;
use watchfire_model::time::{SharedClock, Timestamp};
use watchfire_model::write::{Reason, Sink, WriteError, Written};

use crate::gate::Gate;
use crate::label_bytes::{LABELS_MAX, LabelBytes};

use line::{Line, Reader};

/// A batch goes to the gate when it holds so many samples, or the labels of a batch.
const BATCH_SAMPLES: usize = 10_000;

/// The unit of times without one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// Nanoseconds.
    #[default]
    Nanoseconds,
    /// Microseconds.
    Microseconds,
    /// Milliseconds.
    Milliseconds,
    /// Seconds.
    Seconds,
    /// Minutes.
    Minutes,
    /// Hours.
    Hours,
}
impl Precision {
    /// Reads the parameter `precision` of both versions of the interface.
    pub fn from_name(name: &str) -> Option<Precision> {
        Some(match name {
            "" | "n" | "ns" => Precision::Nanoseconds,
            "u" | "us" | "µ" | "µs" => Precision::Microseconds,
            "ms" => Precision::Milliseconds,
            "s" => Precision::Seconds,
            "m" => Precision::Minutes,
            "h" => Precision::Hours,
            _ => return None,
        })
    }
    fn millis(self, time: i64) -> i64 {
        match self {
            Precision::Nanoseconds => time.div_euclid(1_000_000),
            Precision::Microseconds => time.div_euclid(1_000),
            Precision::Milliseconds => time,
            Precision::Seconds => time.saturating_mul(1_000),
            Precision::Minutes => time.saturating_mul(60_000),
            Precision::Hours => time.saturating_mul(3_600_000),
        }
    }
}

/// What became of a body.
#[derive(Clone, Debug, Default)]
pub struct Received {
    /// Lines that could not be read.
    pub bad_lines: u64,
    /// The first of them, in words and with its number.
    pub first_error: Option<String>,
    /// The samples.
    pub written: Written,
}

/// Takes Influx lines. Share it in an `Arc`; every method may be called from any thread and may block.
pub struct Influx {
    gate: Arc<Gate>,
    clock: SharedClock,
    lines: Counter,
    bad_lines: Counter,
    texts: Counter,
}

impl Influx {
    /// A receiver that writes through the gate.
    pub fn new(gate: Arc<Gate>, clock: SharedClock, meter: &Meter) -> Influx {
        Influx {
            gate,
            clock,
            lines: meter.counter("watchfire_influx_lines_total", "Lines of Influx line protocol that were read.", &[]),
            bad_lines: meter.counter("watchfire_influx_bad_lines_total", "Lines of Influx line protocol that could not be read.", &[]),
            texts: meter.counter("watchfire_influx_text_fields_total", "Fields of Influx lines that hold text and were left out.", &[]),
        }
    }

    /// Takes a body. `database` becomes the label `db` of lines that have none.
    pub fn write(&self, body: &[u8], precision: Precision, database: &str, origin: Origin) -> Result<Received, WriteError> {
        let now = self.clock.now();
        let mut received = Received::default();
        let mut samples = Samples::new(&self.gate, origin.clone());
        let mut lines = 0u64;
        for (number, line) in Reader::new(body) {
            let line = match line {
                Ok(line) => line,
                Err(reason) => {
                    received.bad_lines += 1;
                    received.first_error.get_or_insert_with(|| format!("line {number}: {reason}"));
                    continue;
                }
            };
            lines += 1;
            let time = line.time.map_or(now, |time| Timestamp(precision.millis(time)));
            samples.add_line(&line, time, database)?;
        }
        samples.flush()?;
        self.lines.add(lines);
        self.bad_lines.add(received.bad_lines);
        self.texts.add(samples.texts);
        let mut refused = samples.refused.clone();
        received.written = samples.written;
        received.written.add(samples.refused);
        // A line that cannot be read has no samples to count; it counts as one.
        if received.bad_lines > 0 {
            refused.reject(Reason::InvalidValue, received.bad_lines);
        }
        self.gate.book_refused(&origin, &refused);
        Ok(received)
    }
}

/// The samples of a body on their way to the gate, and what became of them.
struct Samples<'a> {
    gate: &'a Gate,
    batch: Batch,
    labels: LabelBytes,
    written: Written,
    /// What is refused here: samples with labels of too many bytes.
    refused: Written,
    /// Texts that were left out.
    texts: u64,
}
impl<'a> Samples<'a> {
    fn new(gate: &'a Gate, origin: Origin) -> Samples<'a> {
        let (written, refused) = Default::default();
        Samples { gate, batch: Batch::new(origin), labels: LabelBytes::default(), written, refused, texts: 0 }
    }

    /// The tags stand once in a line and are meant by each of its fields.
    fn add_line(&mut self, line: &Line, time: Timestamp, database: &str) -> Result<(), WriteError> {
        let tags: usize = line.tags.iter().map(|(n, v)| n.len() + v.len()).sum();
        let shared = tags + database.len() + line.measurement.len();
        for (field, value) in &line.fields {
            let Some(value) = value else {
                self.texts += 1;
                continue;
            };
            if line.tags.len() > LABELS_MAX {
                self.refuse(Reason::LabelCount, || format!("{} tags, more than {LABELS_MAX}", line.tags.len()));
                continue;
            }
            if let Err(error) = self.labels.take(shared + field.len()) {
                self.refuse(Reason::LabelBytes, || error.to_string());
                continue;
            }
            let name = if line.measurement.is_empty() { field.clone() } else { format!("{}_{field}", line.measurement) };
            let mut pairs: Vec<(&str, &str)> = vec![("db", database)];
            pairs.extend(line.tags.iter().map(|(n, v)| (n.as_str(), v.as_str())));
            pairs.push((METRIC_NAME, &name));
            let sample = Sample { time, value: *value };
            self.batch.series.push(SeriesSamples { labels: Labels::from_pairs(pairs), samples: batch::Samples::One(sample) });
            if self.batch.series.len() >= BATCH_SAMPLES || self.labels.fill_a_batch() {
                self.flush()?;
            }
        }
        Ok(())
    }

    fn refuse(&mut self, reason: Reason, words: impl FnOnce() -> String) {
        self.refused.reject(reason, 1);
        self.refused.example.get_or_insert_with(|| format!("{reason}: {}", words()));
    }

    fn flush(&mut self) -> Result<(), WriteError> {
        self.labels.next_batch();
        let next = Batch::new(self.batch.origin.clone());
        let full = std::mem::replace(&mut self.batch, next);
        if !full.is_empty() {
            self.written.add(self.gate.write(full)?);
        }
        Ok(())
    }
}
