//! Who wants to know: callbacks on every sample, and callbacks on changes of memory pressure. A callback that panics is counted
//! and logged; the others are still called.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use watchfire_model::live::{GpuSample, MemoryPressure};
use watchfire_model::meter::Counter;

type OnSample = Arc<dyn Fn(&GpuSample) + Send + Sync>;
type OnPressure = Arc<dyn Fn(MemoryPressure, MemoryPressure) + Send + Sync>;

/// The callbacks and the current level.
pub(crate) struct Callbacks {
    on_sample: Mutex<Vec<OnSample>>,
    on_pressure: Mutex<Vec<OnPressure>>,
    level: AtomicU8,
    panics: Counter,
}

impl Callbacks {
    pub(crate) fn new(panics: Counter) -> Callbacks {
        Callbacks { on_sample: Mutex::default(), on_pressure: Mutex::default(), level: AtomicU8::new(0), panics }
    }

    pub(crate) fn add_sample(&self, callback: OnSample) {
        self.on_sample.lock().unwrap_or_else(PoisonError::into_inner).push(callback);
    }

    pub(crate) fn add_pressure(&self, callback: OnPressure) {
        self.on_pressure.lock().unwrap_or_else(PoisonError::into_inner).push(callback);
    }

    /// The level that the last sample showed.
    pub(crate) fn pressure(&self) -> MemoryPressure {
        match self.level.load(Ordering::Acquire) {
            0 => MemoryPressure::Normal,
            1 => MemoryPressure::Warning,
            _ => MemoryPressure::Critical,
        }
    }

    /// Tells a sample, and the pressure if it changed.
    pub(crate) fn tell(&self, sample: &GpuSample) {
        let (old, new) = (self.pressure(), sample.pressure());
        // The level is visible before anybody is told, so that a callback that looks sees what it was told.
        self.level.store(level_number(new), Ordering::Release);
        if new != old {
            log_change(new, old);
            // Called without the lock: a callback may add another one.
            let callbacks = self.on_pressure.lock().unwrap_or_else(PoisonError::into_inner).clone();
            for callback in callbacks {
                self.guard(|| callback(new, old));
            }
        }
        let callbacks = self.on_sample.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for callback in callbacks {
            self.guard(|| callback(sample));
        }
    }

    fn guard(&self, call: impl FnOnce()) {
        if catch_unwind(AssertUnwindSafe(call)).is_err() {
            self.panics.inc();
            tracing::error!(target: "watchfire::gpu", "a callback of the GPU monitor panicked");
        }
    }
}

/// The number of a level as stored in `watchfire_gpu_memory_pressure`.
pub(crate) fn level_number(level: MemoryPressure) -> u8 {
    match level {
        MemoryPressure::Normal => 0,
        MemoryPressure::Warning => 1,
        MemoryPressure::Critical => 2,
    }
}

fn log_change(new: MemoryPressure, old: MemoryPressure) {
    if new > old {
        tracing::warn!(target: "watchfire::gpu", new = new.name(), old = old.name(), "GPU memory pressure rises");
    } else {
        tracing::info!(target: "watchfire::gpu", new = new.name(), old = old.name(), "GPU memory pressure falls");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use watchfire_model::time::Timestamp;

    fn sample(used: u64, total: u64) -> GpuSample {
        GpuSample { memory_used_mb: Some(used), memory_total_mb: Some(total), ..GpuSample::mock(Timestamp(0)) }
    }

    /// Feeds a series of uses of 1000 MB and returns the changes that a callback saw.
    fn check(used: &[u64], expected: &[(&str, &str)]) {
        let callbacks = Callbacks::new(Counter::default());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let into = seen.clone();
        callbacks.add_pressure(Arc::new(move |new, old| into.lock().unwrap().push((new.name(), old.name()))));
        for used in used {
            callbacks.tell(&sample(*used, 1000));
        }
        assert_eq!(*seen.lock().unwrap(), expected, "{used:?}");
    }

    #[test]
    fn gpu_18_below_85_percent_is_normal() {
        check(&[0, 500, 849], &[]);
        check(&[900, 849], &[("WARNING", "NORMAL"), ("NORMAL", "WARNING")]);
    }

    #[test]
    fn gpu_19_from_85_to_below_95_percent_is_a_warning() {
        check(&[850], &[("WARNING", "NORMAL")]);
        check(&[949], &[("WARNING", "NORMAL")]);
    }

    #[test]
    fn gpu_20_from_95_percent_is_critical() {
        check(&[950], &[("CRITICAL", "NORMAL")]);
        check(&[1000, 949], &[("CRITICAL", "NORMAL"), ("WARNING", "CRITICAL")]);
    }

    #[test]
    fn gpu_21_the_limits_are_constants() {
        // No setting exists that could move them: the level is a function of the sample alone.
        const { assert!(watchfire_model::live::PRESSURE_WARNING_PERCENT == 85.0) };
        const { assert!(watchfire_model::live::PRESSURE_CRITICAL_PERCENT == 95.0) };
        assert_eq!(sample(8499, 10_000).pressure(), MemoryPressure::Normal);
        assert_eq!(sample(9499, 10_000).pressure(), MemoryPressure::Warning);
    }

    #[test]
    fn gpu_22_callbacks_run_on_changes_only() {
        check(&[860, 870, 900, 960, 970, 100, 100], &[("WARNING", "NORMAL"), ("CRITICAL", "WARNING"), ("NORMAL", "CRITICAL")]);
    }

    #[test]
    fn gpu_24_a_change_is_visible_at_once_and_to_those_who_ask_later() {
        let callbacks = Arc::new(Callbacks::new(Counter::default()));
        let seen = Arc::new(Mutex::new(None));
        let (into, asked) = (seen.clone(), callbacks.clone());
        callbacks.add_pressure(Arc::new(move |_, _| *into.lock().unwrap() = Some(asked.pressure())));
        callbacks.tell(&sample(990, 1000));
        assert_eq!(*seen.lock().unwrap(), Some(MemoryPressure::Critical));
        assert_eq!(callbacks.pressure(), MemoryPressure::Critical);
        callbacks.tell(&GpuSample::mock(Timestamp(1)));
        assert_eq!(callbacks.pressure(), MemoryPressure::Normal, "no figures mean no pressure");
    }

    #[test]
    fn a_panicking_callback_does_not_hurt_the_others() {
        let panics = Counter::default();
        let callbacks = Callbacks::new(panics.clone());
        let called = Counter::default();
        let (a, b) = (called.clone(), called.clone());
        callbacks.add_pressure(Arc::new(|_, _| panic!("first")));
        callbacks.add_pressure(Arc::new(move |_, _| a.inc()));
        callbacks.add_sample(Arc::new(|_| panic!("second")));
        callbacks.add_sample(Arc::new(move |_| b.inc()));
        callbacks.tell(&sample(990, 1000));
        assert_eq!((called.get(), panics.get()), (2, 2));
    }
}
