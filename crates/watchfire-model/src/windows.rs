//! Windows: what a series of floats did in each stretch of time, exactly enough for the functions over ranges that need no single
//! sample. Whoever has the windows of a range has its minimum, maximum, sum, count, first and last value, and its increase over
//! counter resets. It is no sampling: nothing is interpolated.

use crate::labels::Labels;
use crate::sample::is_stale;

/// One window of one series; there is none where the series has no sample. Staleness markers are no samples.
#[derive(Clone, Copy, Debug, Default)]
pub struct Window {
    /// Where it begins, in milliseconds: a multiple of its length. A sample at its end belongs to the next one.
    pub start: i64,
    /// Samples in it.
    pub count: u32,
    /// Their sum, added in the order of time.
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
}
impl WindowSeries {
    /// How many float samples it counts for in a budget.
    pub fn cost(&self) -> u64 {
        self.windows.len() as u64 * (size_of::<Window>() as u64).div_ceil(16)
    }
}

/// Where the window of a moment begins.
pub fn window_start(time: i64, resolution_ms: i64) -> i64 {
    time.div_euclid(resolution_ms).saturating_mul(resolution_ms)
}

/// Makes windows of samples whose times ascend.
pub fn reduce(times: &[i64], values: &[f64], resolution_ms: i64) -> Vec<Window> {
    let mut windows: Vec<Window> = Vec::new();
    for (time, value) in times.iter().copied().zip(values.iter().copied()).filter(|(_, value)| !is_stale(*value)) {
        let start = window_start(time, resolution_ms);
        match windows.last_mut() {
            Some(window) if window.start == start => window.add(time, value),
            _ => windows.push(Window {
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
            }),
        }
    }
    windows
}

impl Window {
    fn add(&mut self, time: i64, value: f64) {
        self.count = self.count.saturating_add(1);
        self.sum += value;
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
        assert_eq!(windows.iter().map(|w| (w.start, w.count)).collect::<Vec<_>>(), [(-10, 1), (0, 3), (10, 1)]);
        let w = windows[1];
        assert_eq!((w.sum, w.min, w.max, w.first, w.first_time, w.last, w.last_time, w.correction), (13.0, 2.0, 7.0, 4.0, 0, 7.0, 9, 4.0));
        assert!(windows[2].min.is_nan() && windows[2].sum.is_nan());
        assert_eq!(increase(&[]), None);
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
