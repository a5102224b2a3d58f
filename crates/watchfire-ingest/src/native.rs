//! The last step of every decoder of native histograms: the form is checked, and a resolution finer than the finest that is
//! kept becomes that one. It reads no bytes.

use watchfire_model::histogram::{Histogram, HistogramError, SCHEMA_MAX};

/// The finest schema that the formats have room for. Those beyond the finest kept one are reserved, and reduced as in Prometheus.
const SCHEMA_RESERVED_MAX: i8 = 52;

/// A histogram that can be computed with, or what is wrong with it.
pub fn settled(mut histogram: Histogram) -> Result<Histogram, HistogramError> {
    let schema = histogram.schema;
    let finer = schema > SCHEMA_MAX && schema <= SCHEMA_RESERVED_MAX;
    if finer {
        // The form of a finer histogram is that of the finest; only then its spans can be relied upon.
        histogram.schema = SCHEMA_MAX;
    }
    histogram.check()?;
    if finer {
        histogram.schema = schema;
        histogram = histogram.reduced(SCHEMA_MAX);
    }
    Ok(histogram)
}

#[cfg(test)]
mod tests {
    use super::*;
    use watchfire_model::histogram::Span;

    #[test]
    fn finer_schemas_are_reduced_and_others_refused() {
        let of = |schema| Histogram {
            schema,
            integer: true,
            count: 4.0,
            positive_spans: vec![Span { offset: 1, length: 4 }],
            positive_buckets: vec![1.0; 4],
            ..Histogram::default()
        };
        assert_eq!(settled(of(8)).unwrap(), of(8));
        let reduced = settled(of(10)).unwrap();
        assert_eq!((reduced.schema, &reduced.positive_buckets[..], reduced.positive_spans[0]), (8, &[4.0][..], Span { offset: 1, length: 1 }));
        assert_eq!(settled(of(53)), Err(HistogramError::Schema(53)));
        assert_eq!(settled(of(-5)), Err(HistogramError::Schema(-5)));
        let wrong = Histogram { positive_buckets: vec![1.0], ..of(10) };
        assert!(matches!(settled(wrong), Err(HistogramError::Spans { .. })));
    }
}
