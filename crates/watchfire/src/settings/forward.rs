//! `forward:`: places of OTLP that everything goes on to; how much, and for how long, the log may stay for places that are away.

use std::path::Path;
use std::time::Duration;

use watchfire_collect::discovery::glob::Lookup;
use watchfire_collect::logs::otlp::{Outputs, read_signals};
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
    /// Where what is stored goes on to by OTLP.
    pub(crate) otlp: Outputs,
}
impl ForwardSettings {
    pub(super) fn read(forward: Reader<'_>, base: &Path) -> ForwardSettings {
        let lookup = Lookup { directory: base.to_path_buf(), monitoring_dir: None };
        let mut otlp = Outputs::default();
        forward.maps("otlp").into_iter().for_each(|place| read_signals(place, &lookup, &mut otlp));
        let settings = ForwardSettings {
            buffer_max: forward.bytes("buffer_max"),
            logs_age_max: forward.duration_ms("logs_age_max").map_or(LOGS_AGE_MAX, Duration::from_millis),
            otlp,
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
