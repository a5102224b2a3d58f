//! The mean built on the compensated sum, and quantiles.

pub(super) use watchfire_model::sum::Compensated;

/// A running mean: the sum divided at the end, or, once the sum would overflow, a mean corrected value by value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mean {
    total: Compensated,
    count: f64,
    incremental: bool,
}
impl Mean {
    pub(crate) fn starting(at: f64) -> Mean {
        Mean { total: Compensated::starting(at), count: 1.0, incremental: false }
    }
    #[inline]
    pub(crate) fn add(&mut self, value: f64) {
        self.count += 1.0;
        if !self.incremental {
            let mut next = self.total;
            next.add(value);
            if !next.sum.is_infinite() {
                self.total = next;
                return;
            }
            self.incremental = true;
            let before = self.count - 1.0;
            self.total = Compensated { sum: self.total.sum / before, lost: self.total.lost / before };
        }
        let share = (self.count - 1.0) / self.count;
        self.total = Compensated { sum: share * self.total.sum, lost: share * self.total.lost };
        self.total.add(value / self.count);
    }
    pub(crate) fn value(&self) -> f64 {
        if self.incremental { self.total.plain() } else { self.total.sum / self.count + self.total.lost / self.count }
    }
}

/// The φ-quantile of numbers, which are sorted by this; NaN counts as the smallest.
pub(crate) fn quantile(q: f64, values: &mut [f64]) -> f64 {
    if values.is_empty() || q.is_nan() {
        return f64::NAN;
    }
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    values.sort_unstable_by(|a, b| nan_first(*a, *b));
    let last = (values.len() - 1) as f64;
    let rank = q * last;
    let lower = rank.floor().max(0.0);
    let upper = (lower + 1.0).min(last);
    let weight = rank - rank.floor();
    values[lower as usize] * (1.0 - weight) + values[upper as usize] * weight
}

/// Ascending order with NaN before everything.
pub(super) fn nan_first(a: f64, b: f64) -> std::cmp::Ordering {
    match (a.is_nan(), b.is_nan()) {
        (true, true) => std::cmp::Ordering::Equal,
        (true, false) => std::cmp::Ordering::Less,
        (false, true) => std::cmp::Ordering::Greater,
        _ => a.partial_cmp(&b).unwrap_or(std::cmp::Ordering::Equal),
    }
}
