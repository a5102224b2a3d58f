//! Summation that loses less: Neumaier's variant of Kahan's. Every compensated sum of the house is this one; means and variances
//! that are built on it belong to who computes them.

/// A running sum with its compensation.
#[derive(Clone, Copy, Debug, Default)]
pub struct Compensated {
    /// The sum as rounding left it.
    pub sum: f64,
    /// What rounding has lost of it so far.
    pub lost: f64,
}
impl Compensated {
    /// A sum that begins with a number.
    pub fn starting(at: f64) -> Compensated {
        Compensated { sum: at, lost: 0.0 }
    }
    /// Adds a number. After an overflow nothing is compensated any more.
    #[inline]
    pub fn add(&mut self, value: f64) {
        let total = self.sum + value;
        self.lost = if total.is_infinite() {
            0.0
        } else if self.sum.abs() >= value.abs() {
            self.lost + ((self.sum - total) + value)
        } else {
            self.lost + ((value - total) + self.sum)
        };
        self.sum = total;
    }
    /// The sum; an overflow stays infinite.
    pub fn value(&self) -> f64 {
        if self.sum.is_infinite() { self.sum } else { self.plain() }
    }
    /// The sum with whatever the compensation is.
    pub fn plain(&self) -> f64 {
        self.sum + self.lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_rounding_loses_comes_back() {
        let sum = |values: &[f64]| {
            values.iter().fold(Compensated::default(), |mut sum, v| {
                sum.add(*v);
                sum
            })
        };
        assert_eq!(sum(&[1.0, 1e100, 1.0, -1e100]).value(), 2.0);
        assert_eq!(sum(&[0.1; 10]).value(), 1.0);
        assert_eq!(sum(&[f64::MAX, f64::MAX]).value(), f64::INFINITY);
        assert!(sum(&[f64::INFINITY, f64::NEG_INFINITY]).value().is_nan());
    }
}
