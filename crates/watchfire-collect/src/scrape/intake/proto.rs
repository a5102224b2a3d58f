//! The protobuf exposition.

use watchfire_ingest::label_bytes::LabelBytes;
use watchfire_ingest::prometheus_proto::{Entry, Stop, WrongHistogram, read};

use super::families::{set, set_text};
use super::{Found, Intake, IntakeError, Round};

impl Intake {
    pub(super) fn read_proto(&mut self, body: &[u8], round: &mut Round<'_>) -> Result<(), IntakeError> {
        let extras = round.job.extras;
        let options = round.job.histograms.options();
        // In this format the labels of a metric stand once and are meant by each of its buckets. A text has them each time.
        let mut labels = LabelBytes::of_body(body.len());
        let done = read(body, options, |entry| {
            match entry {
                Entry::Family { name, kind, help, unit } => {
                    self.families.change(name, |m| set(&mut m.kind, kind) | set_text(&mut m.help, help) | set_text(&mut m.unit, unit));
                }
                Entry::Sample(sample) => {
                    labels.take(sample.key.len()).map_err(|error| IntakeError::LabelLimit(error.to_string()))?;
                    let found = Found {
                        key: sample.key,
                        kind: sample.kind(),
                        about: (sample.kind(), sample.unit()),
                        content: sample.content.clone(),
                        time: sample.time(),
                        created: if extras.created_timestamps { sample.created } else { 0 },
                        exemplars: sample.exemplars,
                        expected: false,
                    };
                    self.sample(found, || sample.names().map_err(IntakeError::from), round)?;
                }
                // A native histogram that is none makes the scrape a failed one; a classic one that is none is left out.
                Entry::Wrong(WrongHistogram::Native(wrong)) => return Err(IntakeError::Histogram(wrong.to_string())),
                Entry::Wrong(WrongHistogram::Classic(wrong)) => {
                    tracing::debug!(job = round.job.name, %wrong, "a classic histogram cannot become a native one");
                    round.counts.unconverted += 1;
                }
            }
            Ok(())
        });
        done.map_err(|stop| match stop {
            Stop::Invalid(error) => error.into(),
            Stop::Visitor(error) => error,
        })
    }
}
