//! `profiling:`, whether profiles of this process are pushed, and where to. Taking them is elsewhere.

use std::time::Duration;

use watchfire_model::document::Reader;

/// `profiling:`
#[derive(Clone, Debug)]
pub(crate) struct ProfilingSettings {
    pub(crate) enabled: bool,
    /// A server with Pyroscope's interface; ourselves when it is none.
    pub(crate) url: Option<String>,
    pub(crate) interval: Duration,
}

impl ProfilingSettings {
    /// Reads the section.
    pub(super) fn read(profiling: Reader<'_>) -> ProfilingSettings {
        let interval = profiling.duration_ms("interval").unwrap_or(15_000);
        if interval < 1_000 {
            profiling.error_at("interval", "must be at least 1s");
        }
        let url = profiling.text("url").filter(|url| !url.is_empty());
        if url.as_ref().is_some_and(|url| !url.starts_with("http://") && !url.starts_with("https://")) {
            profiling.error_at("url", "must begin with http:// or https://");
        }
        let settings = ProfilingSettings { enabled: profiling.bool("enabled").unwrap_or(false), url, interval: Duration::from_millis(interval.max(1_000)) };
        profiling.finish();
        settings
    }
}
