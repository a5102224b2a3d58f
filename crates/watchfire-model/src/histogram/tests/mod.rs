//! Tests of the form of histograms.

mod arithmetic;

use super::*;

fn valid() -> Histogram {
    Histogram {
        integer: true,
        count: 6.0,
        sum: 3.5,
        zero_count: 1.0,
        zero_threshold: 1e-128,
        positive_spans: vec![Span { offset: -2, length: 2 }, Span { offset: 3, length: 1 }],
        positive_buckets: vec![1.0, 2.0, 1.0],
        negative_spans: vec![Span { offset: 0, length: 1 }],
        negative_buckets: vec![1.0],
        ..Histogram::default()
    }
}
fn custom() -> Histogram {
    let spans = vec![Span { offset: 1, length: 2 }];
    Histogram {
        schema: CUSTOM_SCHEMA,
        count: 3.0,
        custom_bounds: [0.5, 1.0].into(),
        positive_spans: spans,
        positive_buckets: vec![1.0, 2.0],
        ..Histogram::default()
    }
}

#[test]
fn forms() {
    let check = |change: fn(&mut Histogram), expected: Result<(), HistogramError>| {
        let mut histogram = valid();
        change(&mut histogram);
        assert_eq!(histogram.check(), expected, "{histogram:?}");
    };
    check(|_| {}, Ok(()));
    check(|h| h.schema = 9, Err(HistogramError::Schema(9)));
    check(|h| h.custom_bounds = [1.0].into(), Err(HistogramError::UnexpectedBounds));
    check(|h| h.positive_spans[1].offset = -1, Err(HistogramError::SpanOffset));
    check(|h| h.positive_spans[0].offset = i32::MAX, Err(HistogramError::SpanOffset));
    check(|h| h.positive_spans[1].length = 2, Err(HistogramError::Spans { spanned: 4, buckets: 3 }));
    check(|h| h.positive_buckets[0] = -1.0, Err(HistogramError::NegativeCount));
    check(|h| h.count = 7.0, Err(HistogramError::Count { count: 7.0, sum: 6.0 }));
    check(|h| (h.count, h.sum) = (7.0, f64::NAN), Ok(()));
    check(|h| (h.count, h.integer) = (7.5, false), Ok(()));
    assert!(Histogram::stale().is_stale() && Histogram::stale().check().is_ok());
}

#[test]
fn custom_forms() {
    let check = |change: fn(&mut Histogram), expected: Result<(), HistogramError>| {
        let mut histogram = custom();
        change(&mut histogram);
        assert_eq!(histogram.check(), expected, "{histogram:?}");
    };
    check(|_| {}, Ok(()));
    check(|h| h.custom_bounds = [1.0, 1.0].into(), Err(HistogramError::CustomBounds));
    check(|h| h.custom_bounds = [1.0, f64::INFINITY].into(), Err(HistogramError::CustomBounds));
    check(|h| h.zero_count = 1.0, Err(HistogramError::CustomZeroBucket));
    check(|h| h.positive_spans[0].offset = 2, Err(HistogramError::Spans { spanned: 4, buckets: 3 }));
    check(|h| h.positive_spans[0].offset = -1, Err(HistogramError::SpanOffset));
    check(|h| h.negative_spans = vec![Span::default()], Err(HistogramError::CustomNegative));
}

#[test]
fn equal_means_equal_bits() {
    assert_eq!(Histogram::stale(), Histogram::stale());
    assert_ne!(valid(), Histogram { sum: f64::NAN, ..valid() });
}
