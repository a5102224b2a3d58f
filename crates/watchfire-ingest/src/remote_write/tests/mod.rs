//! Tests of the decoders: against prost's encoder, against our own requests, against garbage.

mod proto;
mod round_trip;
mod v1;
mod v2;

use watchfire_model::batch::Batch;

use super::*;

fn decode(version: Version, bytes: &[u8]) -> Result<Decoded, DecodeError> {
    Decoder::default().decode(version, bytes, Origin::new("remote_write"))
}

/// A batch as lines: floats, histograms, exemplars, metadata.
fn lines(batch: &Batch) -> Vec<String> {
    let mut lines = Vec::new();
    for series in &batch.series {
        let samples: Vec<String> = series.samples.as_slice().iter().map(|s| format!("{}@{}", s.value, s.time.millis())).collect();
        lines.push(format!("{} {}", series.labels, samples.join(" ")));
    }
    for series in &batch.histograms {
        for sample in &series.samples {
            let h = &sample.value;
            let spans = |spans: &[watchfire_model::histogram::Span]| spans.iter().map(|s| format!("{}:{}", s.offset, s.length)).collect::<Vec<_>>().join(",");
            lines.push(format!(
                "{} h{}{} {:?} n={} sum={} z={}/{} +[{}]{:?} -[{}]{:?} c{:?}@{}",
                series.labels,
                h.schema,
                if h.integer { "i" } else { "f" },
                h.reset,
                h.count,
                h.sum,
                h.zero_count,
                h.zero_threshold,
                spans(&h.positive_spans),
                h.positive_buckets,
                spans(&h.negative_spans),
                h.negative_buckets,
                &*h.custom_bounds,
                sample.time.millis()
            ));
        }
    }
    for series in &batch.exemplars {
        lines.extend(series.exemplars.iter().map(|e| format!("{} # {} {}@{}", series.labels, e.labels, e.value, e.time.millis())));
    }
    lines.extend(batch.metadata.iter().map(|m| format!("{} {} {} {}", m.family, m.kind.name(), m.unit, m.help)));
    lines
}
