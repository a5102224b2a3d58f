//! One series of a message, taken apart: borrowed labels, its samples, histograms and exemplars. The pieces are used again
//! for the next series. Here labels are put in order and series that cannot be are refused.

use watchfire_model::batch::{Samples, SeriesExemplars, SeriesHistograms, SeriesSamples};
use watchfire_model::labels::Labels;
use watchfire_model::sample::{Exemplar, HistogramSample, Sample};
use watchfire_model::time::Timestamp;
use watchfire_model::write::Reason;

use super::{Decoded, LABELS_MAX};
use crate::protobuf::{Message, Value, WireError};

/// The pieces of one series.
#[derive(Default)]
pub(super) struct Pieces<'a> {
    pub(super) pairs: Vec<(&'a str, &'a str)>,
    pub(super) samples: Vec<Sample>,
    pub(super) histograms: Vec<HistogramSample>,
    pub(super) exemplars: Vec<Exemplar>,
    /// Why the labels cannot be, once that is known.
    pub(super) problem: Option<String>,
    /// Histograms that are none, and what is wrong with the first of them.
    pub(super) wrong: Option<(u64, String)>,
    /// Exemplars that are refused.
    pub(super) exemplars_refused: u64,
}

impl<'a> Pieces<'a> {
    pub(super) fn clear(&mut self) {
        self.pairs.clear();
        self.samples.clear();
        self.histograms.clear();
        self.exemplars.clear();
        (self.problem, self.wrong, self.exemplars_refused) = (None, None, 0);
    }

    pub(super) fn add_pair(&mut self, name: &'a str, value: &'a str) {
        if self.pairs.len() < LABELS_MAX {
            self.pairs.push((name, value));
        } else {
            self.problem = Some(format!("a series with more than {LABELS_MAX} labels"));
        }
    }
    pub(super) fn add_wrong(&mut self, words: String) {
        self.wrong.get_or_insert((0, words)).0 += 1;
    }

    /// Books what is refused of a series that can be.
    pub(super) fn book(&mut self, out: &mut Decoded) {
        if let Some((count, words)) = self.wrong.take() {
            out.refuse(Reason::InvalidHistogram, count, &words);
        }
        out.exemplars_refused += std::mem::take(&mut self.exemplars_refused);
    }

    /// Puts the labels in order; `None` when the series cannot be, which is booked.
    pub(super) fn labels(&mut self, out: &mut Decoded) -> Option<Labels> {
        self.book(out);
        if !self.pairs.windows(2).all(|w| w[0].0 < w[1].0) {
            self.pairs.sort_unstable();
            if let Some(twice) = self.pairs.windows(2).find(|w| w[0].0 == w[1].0) {
                self.problem.get_or_insert_with(|| format!("a series with two labels {:?}", twice[0].0));
            }
        }
        let refusal = match self.problem.take() {
            Some(problem) => Some((Reason::InvalidLabels, problem)),
            None => {
                let bytes = self.pairs.iter().map(|(n, v)| n.len() + v.len()).sum();
                out.labels.take(bytes).err().map(|error| (Reason::LabelBytes, error.to_string()))
            }
        };
        if let Some((reason, words)) = refusal {
            out.refuse(reason, (self.samples.len() + self.histograms.len()) as u64, &words);
            out.exemplars_refused += self.exemplars.len() as u64;
            return None;
        }
        Some(Labels::from_sorted(&self.pairs))
    }

    /// Moves what the series has into the batch.
    pub(super) fn store(&mut self, labels: Labels, out: &mut Decoded) {
        // An exemplar without a time belongs to the newest sample that came with it.
        let newest = self.samples.iter().map(|s| s.time).chain(self.histograms.iter().map(|h| h.time)).max();
        let before = self.exemplars.len();
        self.exemplars.retain_mut(|e| {
            if e.time == Timestamp(0) {
                e.time = newest.unwrap_or(e.time);
            }
            e.time != Timestamp(0)
        });
        out.exemplars_refused += (before - self.exemplars.len()) as u64;
        if !self.exemplars.is_empty() {
            out.batch.exemplars.push(SeriesExemplars { labels: labels.clone(), exemplars: std::mem::take(&mut self.exemplars) });
        }
        if !self.histograms.is_empty() {
            out.batch.histograms.push(SeriesHistograms { labels: labels.clone(), samples: std::mem::take(&mut self.histograms) });
        }
        let samples = match self.samples[..] {
            [] => return,
            [one] => Samples::One(one),
            _ => Samples::Many(self.samples.clone()),
        };
        out.batch.series.push(SeriesSamples { labels, samples });
    }
}

/// Reads a `Sample` of either version and the time at which its count began, or 0.
pub(super) fn read_sample(message: &[u8]) -> Result<(Sample, i64), WireError> {
    let (mut sample, mut start) = (Sample { time: Timestamp(0), value: 0.0 }, 0);
    for field in Message::new(message) {
        match field? {
            (1, Value::Fixed64(bits)) => sample.value = f64::from_bits(bits),
            (2, Value::Varint(ms)) => sample.time = Timestamp(ms.cast_signed()),
            (3, Value::Varint(ms)) => start = ms.cast_signed(),
            _ => {}
        }
    }
    Ok((sample, start))
}
