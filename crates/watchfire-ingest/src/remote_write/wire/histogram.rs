//! A native histogram as a message: the same in both versions. Integer histograms have deltas between buckets, float ones
//! the counts themselves.

use watchfire_model::histogram::{CounterReset, Histogram, Span};
use watchfire_model::sample::HistogramSample;

use crate::protobuf::Writer;

/// Writes the content of a `Histogram` message.
pub(super) fn write(sample: &HistogramSample, out: &mut Writer) {
    let histogram: &Histogram = &sample.value;
    if histogram.integer {
        out.always_uint(1, histogram.count as u64);
    } else {
        out.always_double(2, histogram.count);
    }
    out.double(3, histogram.sum);
    out.sint(4, i64::from(histogram.schema));
    out.double(5, histogram.zero_threshold);
    if histogram.integer {
        out.always_uint(6, histogram.zero_count as u64);
    } else {
        out.always_double(7, histogram.zero_count);
    }
    spans(out, 8, &histogram.negative_spans);
    buckets(out, histogram.integer, 9, &histogram.negative_buckets);
    spans(out, 11, &histogram.positive_spans);
    buckets(out, histogram.integer, 12, &histogram.positive_buckets);
    let reset = match histogram.reset {
        CounterReset::Unknown => 0,
        CounterReset::Reset => 1,
        CounterReset::NotReset => 2,
        CounterReset::Gauge => 3,
    };
    out.uint(14, reset);
    out.int(15, sample.time.millis());
    out.packed_doubles(16, &histogram.custom_bounds);
}

fn spans(out: &mut Writer, field: u32, spans: &[Span]) {
    for span in spans {
        out.message(field, |w| {
            w.sint(1, i64::from(span.offset));
            w.uint(2, u64::from(span.length));
        });
    }
}

/// Deltas go into `field`, counts into the one after it.
fn buckets(out: &mut Writer, integer: bool, field: u32, counts: &[f64]) {
    if !integer {
        out.packed_doubles(field + 1, counts);
        return;
    }
    let befores = std::iter::once(&0.0).chain(counts);
    out.packed_signed(field, counts.iter().zip(befores).map(|(count, before)| *count as i64 - *before as i64));
}
