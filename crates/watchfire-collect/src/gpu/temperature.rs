//! Warns in the log when a GPU gets hot: once when it passes 85 °C, again only after it was below 80 °C in between.

use std::collections::HashSet;

/// Above this a GPU is hot.
pub(crate) const HOT_CELSIUS: f64 = 85.0;
/// Below this a hot GPU counts as cooled down, so that a value that swings around the limit does not fill the log.
pub(crate) const COOLED_CELSIUS: f64 = 80.0;

#[derive(Default)]
pub(crate) struct Watch {
    hot: HashSet<u32>,
}

impl Watch {
    /// Looks at a temperature; true when it was worth a warning.
    pub(crate) fn look(&mut self, gpu: u32, name: &str, celsius: Option<f64>) -> bool {
        let Some(celsius) = celsius else { return false };
        if celsius > HOT_CELSIUS && self.hot.insert(gpu) {
            tracing::warn!(target: "watchfire::gpu", gpu, name, celsius, "GPU temperature is above 85 C");
            return true;
        }
        if celsius < COOLED_CELSIUS && self.hot.remove(&gpu) {
            tracing::info!(target: "watchfire::gpu", gpu, name, celsius, "GPU temperature is back to normal");
        }
        false
    }
}
