//! Dense buckets of OpenTelemetry → sparse native histograms: scales above the finest schema are reduced, runs of empty
//! buckets are left out. Bucket 0 is (1, base] there and (1/base, 1] here, so every index moves up by one.

use watchfire_model::histogram::{CUSTOM_SCHEMA, Histogram, SCHEMA_MAX, SCHEMA_MIN, Span};

use super::points::Buckets;

/// The coarsest scale that a native histogram has.
pub(super) const SCALE_MIN: i32 = SCHEMA_MIN as i32;
/// What the zero bucket holds at most when the sender does not say, as Prometheus has it.
pub(super) const ZERO_THRESHOLD: f64 = 1e-128;
/// So many empty buckets between two others are written out; more begin a new span.
const GAP_MAX: i64 = 2;

/// An exponential histogram, of one point or added up from several.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Exponents {
    pub(super) scale: i32,
    /// Zero when the sender does not say; never negative, never without bound.
    pub(super) zero_threshold: f64,
    pub(super) zero_count: u64,
    pub(super) count: u64,
    pub(super) sum: f64,
    pub(super) positive: Buckets,
    pub(super) negative: Buckets,
}

/// An exponential histogram as a native one, or why it cannot be one.
pub(super) fn exponential(from: &Exponents) -> Result<Histogram, String> {
    if from.scale < SCALE_MIN {
        return Err(format!("cannot convert exponential to native histogram. Scale must be >= {SCALE_MIN}, was {}", from.scale));
    }
    let finest = i32::from(SCHEMA_MAX);
    let shift = u32::try_from(from.scale - finest).unwrap_or(0).min(62);
    let (positive_spans, positive_buckets) = layout(&from.positive.counts, from.positive.offset, shift, 1)?;
    let (negative_spans, negative_buckets) = layout(&from.negative.counts, from.negative.offset, shift, 1)?;
    Ok(Histogram {
        schema: from.scale.min(finest) as i8,
        integer: true,
        zero_threshold: if from.zero_threshold > 0.0 { from.zero_threshold } else { ZERO_THRESHOLD },
        zero_count: from.zero_count as f64,
        count: from.count as f64,
        sum: from.sum,
        positive_spans,
        positive_buckets,
        negative_spans,
        negative_buckets,
        ..Histogram::default()
    })
}

/// An explicit histogram as a native one with the same bounds.
pub(super) fn custom(bounds: &[f64], counts: &[u64], count: u64, sum: f64) -> Result<Histogram, String> {
    let (positive_spans, positive_buckets) = layout(counts, 0, 0, 0)?;
    Ok(Histogram {
        schema: CUSTOM_SCHEMA,
        integer: true,
        count: count as f64,
        sum,
        positive_spans,
        positive_buckets,
        custom_bounds: bounds.into(),
        ..Histogram::default()
    })
}

fn layout(counts: &[u64], offset: i32, shift: u32, up: i64) -> Result<(Vec<Span>, Vec<f64>), String> {
    let (mut spans, mut buckets): (Vec<Span>, Vec<f64>) = (Vec::new(), Vec::new());
    // The index behind the last bucket written, and the bucket that is still being added up.
    let mut end = 0i64;
    let mut open: Option<(i64, f64)> = None;
    let mut close = |index: i64, count: f64| -> Result<(), String> {
        let gap = index - end;
        match spans.last_mut() {
            Some(span) if gap <= GAP_MAX => {
                buckets.extend(std::iter::repeat_n(0.0, gap as usize));
                span.length += gap as u32 + 1;
            }
            _ => {
                let offset = i32::try_from(gap).map_err(|_| format!("bucket index {index} is out of range"))?;
                spans.push(Span { offset, length: 1 });
            }
        }
        buckets.push(count);
        end = index + 1;
        Ok(())
    };
    for (at, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
        let index = ((i64::from(offset) + at as i64) >> shift) + up;
        open = match open {
            Some((before, sum)) if before == index => Some((index, sum + *count as f64)),
            Some((before, sum)) => {
                close(before, sum)?;
                Some((index, *count as f64))
            }
            None => Some((index, *count as f64)),
        };
    }
    if let Some((index, count)) = open {
        close(index, count)?;
    }
    Ok((spans, buckets))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts() {
        let check = |counts: &[u64], offset, shift, spans: &[(i32, u32)], buckets: &[f64]| {
            let (found, values) = layout(counts, offset, shift, 1).unwrap();
            let found: Vec<(i32, u32)> = found.iter().map(|s| (s.offset, s.length)).collect();
            assert_eq!((found.as_slice(), values.as_slice()), (spans, buckets), "{counts:?} {offset} {shift}");
        };
        check(&[], 5, 0, &[], &[]);
        check(&[0, 0], 5, 0, &[], &[]);
        check(&[4, 3, 2, 1], 0, 0, &[(1, 4)], &[4.0, 3.0, 2.0, 1.0]);
        check(&[0, 0, 2], -1, 0, &[(2, 1)], &[2.0]);
        check(&[1, 0, 0, 2], -1, 0, &[(0, 4)], &[1.0, 0.0, 0.0, 2.0]);
        check(&[1, 0, 0, 0, 2], -1, 0, &[(0, 1), (3, 1)], &[1.0, 2.0]);
        // Two and two become one: indexes -3 … 2 are buckets -2, -1, -1, 0, 0, 1 and then one up.
        check(&[1, 2, 3, 4, 5, 6], -3, 1, &[(-1, 4)], &[1.0, 5.0, 9.0, 6.0]);
        check(&[1, 1, 1, 1], -4, 4, &[(0, 1)], &[4.0]);
        assert!(layout(&[1], i32::MAX, 0, 1).is_err());
        assert_eq!(layout(&[1], i32::MIN, 0, 1).unwrap().0[0].offset, i32::MIN + 1);
    }

    #[test]
    fn scales() {
        let of = |scale| Exponents { scale, count: 3, positive: Buckets { offset: 0, counts: vec![1, 2] }, ..Exponents::default() };
        let fine = exponential(&of(10)).unwrap();
        assert_eq!((fine.schema, fine.positive_buckets.as_slice(), fine.zero_threshold), (8, &[3.0][..], ZERO_THRESHOLD));
        assert_eq!(exponential(&of(-4)).unwrap().schema, -4);
        assert_eq!(exponential(&of(-5)).unwrap_err(), "cannot convert exponential to native histogram. Scale must be >= -4, was -5");
        assert_eq!(exponential(&of(i32::MAX)).unwrap().positive_buckets, [3.0]);
        assert_eq!(exponential(&Exponents { zero_threshold: 0.5, ..of(0) }).unwrap().zero_threshold, 0.5);
    }

    #[test]
    fn custom_bounds() {
        let histogram = custom(&[1.0, 2.0], &[0, 3, 1], 4, 6.5).unwrap();
        assert_eq!(histogram.check(), Ok(()));
        assert_eq!((&*histogram.custom_bounds, histogram.positive_spans[0].offset, histogram.sum), (&[1.0, 2.0][..], 1, 6.5));
    }
}
