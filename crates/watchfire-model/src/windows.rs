//! Windows: what a series of floats did in each stretch of time, exactly enough for the functions over ranges that need no single
//! sample. Whoever has the windows of a range has its minimum, maximum, sum, count, first and last value, and its increase over
//! counter resets. It is no sampling: nothing is interpolated.

use crate::labels::Labels;
use crate::sample::is_stale;
use crate::sum::Compensated;

/// One window of one series; there is none where the series has no sample. Staleness markers are no samples.
/// Windows are open on the left, as the ranges of PromQL are: a sample at a multiple of the length is the last one of its window.
#[derive(Clone, Copy, Debug, Default)]
pub struct Window {
    /// Its first moment, in milliseconds: one after a multiple of its length. Its last moment is the next multiple.
    pub start: i64,
    /// Samples in it.
    pub count: u32,
    /// Their sum, added in the order of time with compensation for what rounding loses.
    pub sum: f64,
    /// The least value; NaN only when all are.
    pub min: f64,
    /// The greatest value; NaN only when all are.
    pub max: f64,
    /// The first value.
    pub first: f64,
    /// When it was.
    pub first_time: i64,
    /// The last value.
    pub last: f64,
    /// When it was.
    pub last_time: i64,
    /// The sum of the values right before those that are lower: what counter resets within the window have hidden. The increase
    /// over windows is the last value minus the first plus all corrections, plus each window's last value where the next one's
    /// first is lower.
    pub correction: f64,
}

impl PartialEq for Window {
    /// Equal means equal bits.
    fn eq(&self, other: &Window) -> bool {
        let floats = |w: &Window| [w.sum, w.min, w.max, w.first, w.last, w.correction].map(f64::to_bits);
        let integers = |w: &Window| (w.start, w.count, w.first_time, w.last_time);
        floats(self) == floats(other) && integers(self) == integers(other)
    }
}

/// The windows of one series, ascending, each at most once.
#[derive(Clone, Debug, Default)]
pub struct WindowSeries {
    /// Its labels.
    pub labels: Labels,
    /// How long each window is, in milliseconds.
    pub resolution_ms: i64,
    /// Its windows.
    pub windows: Vec<Window>,
    /// Whether it has native histograms, beside windows or alone; they are in no window. Those whose samples have been removed do
    /// not count.
    pub histograms: bool,
}
impl WindowSeries {
    /// How many float samples it counts for in a budget.
    pub fn cost(&self) -> u64 {
        self.windows.len() as u64 * (size_of::<Window>() as u64).div_ceil(16)
    }
}

/// What a source keeps as windows of one length beyond the time of the samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// How long a window is, in milliseconds.
    pub resolution_ms: i64,
    /// From this moment on the windows tell of all samples that are kept in any form.
    pub since: i64,
    /// The last moment for which windows are stored; those of later ones are made of samples.
    pub until: i64,
    /// The last moment for which samples have been removed that windows still tell of; the smallest number when there is none.
    pub alone_until: i64,
}

/// Where the window of a moment begins.
pub fn window_start(time: i64, resolution_ms: i64) -> i64 {
    time.saturating_sub(1).div_euclid(resolution_ms).saturating_mul(resolution_ms).saturating_add(1)
}

/// Makes windows of samples whose times ascend.
pub fn reduce(times: &[i64], values: &[f64], resolution_ms: i64) -> Vec<Window> {
    let mut windows: Vec<Window> = Vec::new();
    let mut sum = Compensated::default();
    for (time, value) in times.iter().copied().zip(values.iter().copied()).filter(|(_, value)| !is_stale(*value)) {
        let start = window_start(time, resolution_ms);
        match windows.last_mut() {
            Some(window) if window.start == start => {
                sum.add(value);
                window.add(time, value, sum.value());
            }
            _ => {
                sum = Compensated::starting(value);
                windows.push(Window {
                    start,
                    count: 1,
                    sum: value,
                    min: value,
                    max: value,
                    first: value,
                    first_time: time,
                    last: value,
                    last_time: time,
                    correction: 0.0,
                });
            }
        }
    }
    windows
}

impl Window {
    /// Adds a sample; `sum` is the sum with it.
    fn add(&mut self, time: i64, value: f64, sum: f64) {
        self.count = self.count.saturating_add(1);
        self.sum = sum;
        if value < self.min || self.min.is_nan() {
            self.min = value;
        }
        if value > self.max || self.max.is_nan() {
            self.max = value;
        }
        if value < self.last {
            self.correction += self.last;
        }
        (self.last, self.last_time) = (value, time);
    }
}

/// The increase of a counter over consecutive windows, without extrapolation; `None` without windows.
pub fn increase(windows: &[Window]) -> Option<f64> {
    let (first, last) = (windows.first()?, windows.last()?);
    let mut correction = 0.0;
    let mut before: Option<&Window> = None;
    for window in windows {
        if let Some(before) = before
            && window.first < before.last
        {
            correction += before.last;
        }
        correction += window.correction;
        before = Some(window);
    }
    Some(last.last - first.first + correction)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::stale_nan;
    use proptest::prelude::*;

    #[test]
    fn a_window_tells_what_happened() {
        let windows = reduce(&[-5, 0, 3, 9, 10, 25], &[1.0, 4.0, 2.0, 7.0, f64::NAN, stale_nan()], 10);
        assert_eq!(windows.iter().map(|w| (w.start, w.count)).collect::<Vec<_>>(), [(-9, 2), (1, 3)]);
        let (w, last) = (windows[0], windows[1]);
        assert_eq!((w.sum, w.min, w.max, w.first, w.first_time, w.last, w.last_time, w.correction), (5.0, 1.0, 4.0, 1.0, -5, 4.0, 0, 0.0));
        assert_eq!((last.min, last.max, last.first, last.first_time, last.last_time, last.correction), (2.0, 7.0, 2.0, 3, 10, 0.0));
        assert!(last.last.is_nan() && last.sum.is_nan());
        assert_eq!(increase(&[]), None);
        let sums = |values: &[f64]| reduce(&(1..).take(values.len()).collect::<Vec<_>>(), values, 10)[0].sum;
        assert_eq!((sums(&[1e16, 1.0, -1e16]), sums(&[f64::MAX, f64::MAX, 1.0])), (1.0, f64::INFINITY));
    }

    proptest! {
        /// Windows of whole numbers tell the increase exactly, wherever they are cut.
        #[test]
        fn the_increase_is_that_of_the_samples(values in proptest::collection::vec(0u16..50, 1..200), resolution in 1i64..40) {
            let values: Vec<f64> = values.into_iter().map(f64::from).collect();
            let times: Vec<i64> = (0..values.len() as i64).collect();
            let resets: f64 = values.windows(2).filter(|pair| pair[1] < pair[0]).map(|pair| pair[0]).sum();
            let expected = values[values.len() - 1] - values[0] + resets;
            let windows = reduce(&times, &values, resolution);
            prop_assert_eq!(increase(&windows), Some(expected));
            prop_assert_eq!(windows.iter().map(|w| w.count as usize).sum::<usize>(), values.len());
            prop_assert_eq!(windows.iter().map(|w| w.sum).sum::<f64>(), values.iter().sum::<f64>());
            let least = windows.iter().map(|w| w.min).fold(f64::INFINITY, f64::min);
            prop_assert_eq!(least, values.iter().copied().fold(f64::INFINITY, f64::min));
        }
    }
}
