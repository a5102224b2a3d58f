//! Settings of the GPU monitor: checked values inside, whatever the user wrote outside. The environment is read by the binary.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use super::database::Address;

/// `GPU_POLL_INTERVAL_SECONDS` when it is not set, and its limits.
const POLL_INTERVAL_SECONDS: (f64, f64, f64) = (5.0, 1.0, 60.0);
/// `GPU_STATS_HISTORY_MINUTES` when it is not set, and its limits.
const HISTORY_MINUTES: (f64, f64, f64) = (60.0, 1.0, 1440.0);
/// `GPU_HTTP_TIMEOUT` in seconds when it is not set, and its limits.
const HTTP_TIMEOUT_SECONDS: (f64, f64, f64) = (5.0, 0.1, 60.0);

/// What the GPU monitor needs to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Pause between two polls.
    pub poll_interval: Duration,
    /// How long samples stay in memory.
    pub history: Duration,
    /// Time limit of one `/health` request to an AI service.
    pub http_timeout: Duration,
    /// The label `instance` of the stored series.
    pub instance: String,
    /// Where the NVIDIA Management Library is; `None` looks where the system's loader looks.
    pub nvml_library: Option<OsString>,
    /// The `nvidia-smi` program; a bare name is looked up in `PATH`.
    pub nvidia_smi_program: OsString,
    /// The `hailortcli` program; looked up likewise.
    pub hailortcli_program: OsString,
    /// The value of `PATH`, by which a machine without such a program is known without starting a process.
    pub search_path: Option<OsString>,
    /// Where `/sys` is; `/` but in tests.
    pub root: PathBuf,
    /// `/health` addresses of AI services, asked in this order.
    pub ai_health_urls: Vec<String>,
    /// The database that gets one row per poll.
    pub database: Option<Address>,
}

impl Settings {
    /// The defaults for a host of this name.
    pub fn new(instance: &str) -> Settings {
        Settings {
            poll_interval: Duration::from_secs_f64(POLL_INTERVAL_SECONDS.0),
            history: Duration::from_secs_f64(HISTORY_MINUTES.0 * 60.0),
            http_timeout: Duration::from_secs_f64(HTTP_TIMEOUT_SECONDS.0),
            instance: instance.to_owned(),
            nvml_library: None,
            nvidia_smi_program: OsString::from("nvidia-smi"),
            hailortcli_program: OsString::from("hailortcli"),
            search_path: None,
            root: PathBuf::from("/"),
            ai_health_urls: Vec::new(),
            database: None,
        }
    }

    /// Takes `GPU_POLL_INTERVAL_SECONDS`; a value outside 1 to 60 is moved to the nearer limit and the warning says so.
    pub fn set_poll_interval_seconds(&mut self, seconds: f64) -> Option<String> {
        let (value, warning) = clamp("GPU_POLL_INTERVAL_SECONDS", seconds, POLL_INTERVAL_SECONDS);
        self.poll_interval = Duration::from_secs_f64(value);
        warning
    }

    /// Takes `GPU_STATS_HISTORY_MINUTES`; a value outside 1 to 1440 is moved to the nearer limit and the warning says so.
    pub fn set_history_minutes(&mut self, minutes: f64) -> Option<String> {
        let (value, warning) = clamp("GPU_STATS_HISTORY_MINUTES", minutes, HISTORY_MINUTES);
        self.history = Duration::from_secs_f64(value * 60.0);
        warning
    }

    /// Takes `GPU_HTTP_TIMEOUT`; a value outside 0.1 to 60 is moved to the nearer limit and the warning says so.
    pub fn set_http_timeout_seconds(&mut self, seconds: f64) -> Option<String> {
        let (value, warning) = clamp("GPU_HTTP_TIMEOUT", seconds, HTTP_TIMEOUT_SECONDS);
        self.http_timeout = Duration::from_secs_f64(value);
        warning
    }
}

fn clamp(name: &str, asked: f64, (default, min, max): (f64, f64, f64)) -> (f64, Option<String>) {
    if asked.is_nan() {
        return (default, Some(format!("{name} is not a number, {default} is used")));
    }
    let value = asked.clamp(min, max);
    let warning = (value != asked).then(|| format!("{name} is {asked}, which is outside {min} to {max}: {value} is used"));
    (value, warning)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(set: fn(&mut Settings, f64) -> Option<String>, get: fn(&Settings) -> Duration, asked: f64, expected: f64, warns: bool) {
        let mut settings = Settings::new("host");
        let warning = set(&mut settings, asked);
        assert_eq!((get(&settings).as_secs_f64(), warning.is_some()), (expected, warns), "asked for {asked}: {warning:?}");
    }

    #[test]
    fn gpu_07_poll_interval_is_five_seconds_and_stays_between_one_and_sixty() {
        assert_eq!(Settings::new("host").poll_interval, Duration::from_secs(5));
        for (asked, expected, warns) in [
            (1.0, 1.0, false),
            (60.0, 60.0, false),
            (2.5, 2.5, false),
            (0.2, 1.0, true),
            (-3.0, 1.0, true),
            (61.0, 60.0, true),
            (f64::NAN, 5.0, true),
            (f64::INFINITY, 60.0, true),
        ] {
            check(Settings::set_poll_interval_seconds, |s| s.poll_interval, asked, expected, warns);
        }
    }

    #[test]
    fn gpu_08_history_is_an_hour_and_stays_between_a_minute_and_a_day() {
        assert_eq!(Settings::new("host").history, Duration::from_secs(3600));
        for (asked, expected, warns) in [(1.0, 60.0, false), (1440.0, 86_400.0, false), (0.0, 60.0, true), (1441.0, 86_400.0, true)] {
            check(Settings::set_history_minutes, |s| s.history, asked, expected, warns);
        }
    }

    #[test]
    fn gpu_09_http_timeout_is_five_seconds() {
        assert_eq!(Settings::new("host").http_timeout, Duration::from_secs(5));
        check(Settings::set_http_timeout_seconds, |s| s.http_timeout, 2.5, 2.5, false);
        check(Settings::set_http_timeout_seconds, |s| s.http_timeout, 0.0, 0.1, true);
    }
}
