//! The mean of the latest few times, as gauges named average tell it.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// How many count.
const COUNT: usize = 6;

#[derive(Default)]
pub(crate) struct Recent(Mutex<VecDeque<f64>>);

impl Recent {
    /// Takes one more and gives the mean.
    pub(crate) fn mean_with(&self, value: f64) -> f64 {
        let mut latest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        latest.push_back(value);
        if latest.len() > COUNT {
            latest.pop_front();
        }
        latest.iter().sum::<f64>() / latest.len() as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_latest_count() {
        let recent = Recent::default();
        assert_eq!((recent.mean_with(1.0), recent.mean_with(3.0)), (1.0, 2.0));
        (0..COUNT).for_each(|_| assert!(recent.mean_with(9.0) > 2.0));
        assert_eq!(recent.mean_with(9.0), 9.0);
    }
}
