//! Influx line protocol: each field of each line becomes a sample of the series `measurement_field` with the line's tags
//! as labels, as VictoriaMetrics names them. Texts have no place in a metric and are counted. A bad line is refused alone.

mod line;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use watchfire_model::batch::{Batch, Origin, Samples, SeriesSamples};
use watchfire_model::labels::{Labels, METRIC_NAME};
use watchfire_model::meter::{Counter, Meter};
use watchfire_model::sample::Sample;
use watchfire_model::time::{SharedClock, Timestamp};
use watchfire_model::write::{Reason, Sink, WriteError, Written};

use crate::gate::Gate;

use line::{Line, Reader};

/// A batch goes to the gate when it holds so many samples.
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
        let mut batch = Batch::new(origin.clone());
        let (mut lines, mut texts) = (0u64, 0u64);
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
            texts += push(&mut batch, &line, time, database);
            if batch.series.len() >= BATCH_SAMPLES {
                let full = std::mem::replace(&mut batch, Batch::new(origin.clone()));
                received.written.add(self.gate.write(full)?);
            }
        }
        if !batch.is_empty() {
            received.written.add(self.gate.write(batch)?);
        }
        self.lines.add(lines);
        self.bad_lines.add(received.bad_lines);
        self.texts.add(texts);
        // A line that cannot be read has no samples to count; it counts as one.
        let mut refused = Written::default();
        if received.bad_lines > 0 {
            refused.reject(Reason::InvalidValue, received.bad_lines);
        }
        self.gate.book_refused(&origin, &refused);
        Ok(received)
    }
}

/// Adds the samples of a line; gives the number of texts that were left out.
fn push(batch: &mut Batch, line: &Line, time: Timestamp, database: &str) -> u64 {
    let mut texts = 0;
    for (field, value) in &line.fields {
        let Some(value) = value else {
            texts += 1;
            continue;
        };
        let name = if line.measurement.is_empty() { field.clone() } else { format!("{}_{field}", line.measurement) };
        let mut pairs: Vec<(&str, &str)> = vec![("db", database)];
        pairs.extend(line.tags.iter().map(|(n, v)| (n.as_str(), v.as_str())));
        pairs.push((METRIC_NAME, &name));
        batch.series.push(SeriesSamples { labels: Labels::from_pairs(pairs), samples: Samples::One(Sample { time, value: *value }) });
    }
    texts
}
