//! The text of a histogram and its buckets, as Prometheus shows them: `{count:4, sum:5, (1,2]:3, (2,4]:1}`.

use std::fmt;

use super::Histogram;
use super::buckets::Bucket;
use crate::number::format_short;

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let open = if self.lower_inclusive { '[' } else { '(' };
        let close = if self.upper_inclusive { ']' } else { ')' };
        write!(f, "{open}{},{}{close}:{}", format_short(self.lower), format_short(self.upper), format_short(self.count))
    }
}

impl fmt::Display for Histogram {
    /// All populated buckets in ascending order.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{count:{}, sum:{}", format_short(self.count), format_short(self.sum))?;
        let mut below: Vec<Bucket> = self.below_zero().collect();
        below.reverse();
        for bucket in below.into_iter().chain([self.zero_bucket()]).chain(self.above_zero()).filter(|b| b.count != 0.0) {
            write!(f, ", {bucket}")?;
        }
        f.write_str("}")
    }
}

#[cfg(test)]
mod tests {
    use super::super::{CUSTOM_SCHEMA, Span};
    use super::*;

    #[test]
    fn texts() {
        let check = |histogram: Histogram, expected: &str| assert_eq!(histogram.to_string(), expected);
        let spans = |offset, length| vec![Span { offset, length }];
        check(Histogram::default(), "{count:0, sum:0}");
        check(
            Histogram {
                count: 9.5,
                sum: -2e6,
                zero_count: 2.0,
                zero_threshold: 0.001,
                positive_spans: spans(-1, 3),
                positive_buckets: vec![1.0, 0.0, 3.5],
                negative_spans: spans(0, 2),
                negative_buckets: vec![1.0, 2.0],
                ..Histogram::default()
            },
            "{count:9.5, sum:-2e+06, [-2,-1):2, [-1,-0.5):1, [-0.001,0.001]:2, (0.25,0.5]:1, (1,2]:3.5}",
        );
        check(
            Histogram {
                schema: CUSTOM_SCHEMA,
                count: 6.0,
                sum: f64::NAN,
                positive_spans: spans(0, 3),
                positive_buckets: vec![1.0, 2.0, 3.0],
                custom_bounds: [5.0, 10.0].into(),
                ..Histogram::default()
            },
            "{count:6, sum:NaN, [-Inf,5]:1, (5,10]:2, (10,+Inf]:3}",
        );
    }
}
