//! `io.prometheus.write.v2.Request`, to be sent with `Content-Type: application/x-protobuf;proto=io.prometheus.write.v2.Request`
//! and `X-Prometheus-Remote-Write-Version: 2.0.0`. Texts stand once, in the table of symbols; series refer to them.

use std::sync::Arc;

use hashbrown::HashMap;

use super::{Labels, Metadata, Series, histogram, type_number};
use crate::protobuf::Writer;

/// A request of version 2.0 in the making.
#[derive(Debug, Default)]
pub struct Request {
    symbols: HashMap<Arc<str>, u32>,
    table: Writer,
    series: Writer,
    whole: Writer,
    refs: Vec<u32>,
}
impl Request {
    /// An empty request.
    pub fn new() -> Request {
        Request::default()
    }

    /// Adds a series with what is known about its family. The same series may be added more than once.
    pub fn series(&mut self, series: &Series<'_>, metadata: Option<&Metadata>) {
        self.refer(series.labels);
        let about = metadata.map(|m| (type_number(m.kind), self.symbol(&m.help), self.symbol(&m.unit)));
        // References of exemplars are looked up first: the series' message is written in one go.
        let mut refs = std::mem::take(&mut self.refs);
        let own = refs.len();
        for exemplar in series.exemplars {
            for (name, value) in &exemplar.labels {
                refs.extend([self.symbol(name), self.symbol(value)]);
            }
        }
        let (own, mut further) = refs.split_at(own);
        self.series.message(5, |w| {
            w.packed(1, own.iter().map(|r| u64::from(*r)));
            for sample in series.samples {
                w.message(2, |w| {
                    w.double(1, sample.value);
                    w.int(2, sample.time.millis());
                });
            }
            for sample in series.histograms {
                w.message(3, |w| histogram::write(sample, w));
            }
            for exemplar in series.exemplars {
                let (these, rest) = further.split_at_checked(2 * exemplar.labels.len()).unwrap_or((further, &[]));
                further = rest;
                w.message(4, |w| {
                    w.packed(1, these.iter().map(|r| u64::from(*r)));
                    w.double(2, exemplar.value);
                    w.int(3, exemplar.time.millis());
                });
            }
            if let Some((kind, help, unit)) = about {
                w.message(5, |w| {
                    w.uint(1, kind);
                    w.uint(3, u64::from(help));
                    w.uint(4, u64::from(unit));
                });
            }
        });
        self.refs = refs;
    }

    fn refer(&mut self, labels: &Labels) {
        let mut refs = std::mem::take(&mut self.refs);
        refs.clear();
        for (name, value) in labels {
            refs.extend([self.symbol(name), self.symbol(value)]);
        }
        self.refs = refs;
    }

    /// The number of a text in the table. The empty text is always number 0.
    fn symbol(&mut self, text: &str) -> u32 {
        if self.symbols.is_empty() {
            self.symbols.insert("".into(), 0);
            self.table.always_bytes(4, b"");
        }
        if let Some(number) = self.symbols.get(text) {
            return *number;
        }
        let number = self.symbols.len() as u32;
        self.symbols.insert(text.into(), number);
        self.table.always_bytes(4, text.as_bytes());
        number
    }

    /// The message, not compressed.
    pub fn bytes(&mut self) -> &[u8] {
        self.whole.clear();
        self.whole.append(&self.table);
        self.whole.append(&self.series);
        self.whole.bytes()
    }
    /// Empties it for the next one.
    pub fn clear(&mut self) {
        self.symbols.clear();
        self.table.clear();
        self.series.clear();
    }
}
