//! `prometheus.WriteRequest`, to be sent with `Content-Type: application/x-protobuf` and
//! `X-Prometheus-Remote-Write-Version: 0.1.0`.

use super::{Labels, Metadata, Series, histogram, type_number};
use crate::protobuf::Writer;

/// A request of version 1.0 in the making.
#[derive(Debug, Default)]
pub struct Request {
    out: Writer,
}
impl Request {
    /// An empty request.
    pub fn new() -> Request {
        Request::default()
    }
    /// Adds a series. The same series may be added more than once.
    pub fn series(&mut self, series: &Series<'_>) {
        self.out.message(1, |w| {
            labels(w, series.labels);
            for sample in series.samples {
                w.message(2, |w| {
                    w.double(1, sample.value);
                    w.int(2, sample.time.millis());
                });
            }
            for exemplar in series.exemplars {
                w.message(3, |w| {
                    labels(w, &exemplar.labels);
                    w.double(2, exemplar.value);
                    w.int(3, exemplar.time.millis());
                });
            }
            for sample in series.histograms {
                w.message(4, |w| histogram::write(sample, w));
            }
        });
    }
    /// Adds what is known about a family.
    pub fn metadata(&mut self, metadata: &Metadata) {
        self.out.message(3, |w| {
            w.uint(1, type_number(metadata.kind));
            w.text(2, &metadata.family);
            w.text(4, &metadata.help);
            w.text(5, &metadata.unit);
        });
    }
    /// The message, not compressed.
    pub fn bytes(&self) -> &[u8] {
        self.out.bytes()
    }
    /// Empties it for the next one.
    pub fn clear(&mut self) {
        self.out.clear();
    }
}

fn labels(out: &mut Writer, labels: &Labels) {
    for (name, value) in labels {
        out.message(1, |w| {
            w.text(1, name);
            w.text(2, value);
        });
    }
}
