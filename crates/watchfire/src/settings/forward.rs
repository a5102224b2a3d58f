//! `forward:`: how much, and for how long, the log may stay for places that are away.

use std::time::Duration;

use watchfire_model::document::Reader;

/// How long log lines wait for places that are away, unless the settings say otherwise.
const LOGS_AGE_MAX: Duration = Duration::from_secs(7 * 86_400);

/// `forward:`
#[derive(Debug)]
pub(crate) struct ForwardSettings {
    /// How many bytes of the log may stay for places that are away, if that is set.
    buffer_max: Option<u64>,
    /// How long log lines wait for them.
    pub(crate) logs_age_max: Duration,
}
impl ForwardSettings {
    pub(super) fn read(forward: Reader<'_>) -> ForwardSettings {
        let settings = ForwardSettings {
            buffer_max: forward.bytes("buffer_max"),
            logs_age_max: forward.duration_ms("logs_age_max").map_or(LOGS_AGE_MAX, Duration::from_millis),
        };
        forward.finish();
        settings
    }
    /// The same with the default: 1 GiB, but not more than a quarter of what all data may take, nor a tenth of the file system.
    pub(crate) fn buffer_max(&self, size_max: Option<u64>, disk_bytes: Option<u64>) -> u64 {
        let shares = [size_max.map(|max| max / 4), disk_bytes.map(|all| all / 10), Some(1 << 30)];
        self.buffer_max.or(shares.into_iter().flatten().min()).unwrap_or(1 << 30)
    }
}
