//! `log:`, what is logged, in which form and where to. Logging itself is elsewhere.

use std::path::{Path, PathBuf};

use watchfire_model::document::Reader;

/// `log:`
#[derive(Debug)]
pub(crate) struct LogSettings {
    pub(crate) level: String,
    pub(crate) file: Option<PathBuf>,
    pub(crate) format: &'static str,
    /// The least severe lines that our own store keeps.
    pub(crate) keep: Option<tracing::Level>,
}

impl LogSettings {
    /// Reads the section.
    pub(super) fn read(log: Reader<'_>, base: &Path) -> LogSettings {
        let settings = LogSettings {
            level: log.text("level").unwrap_or_else(|| "info".to_owned()),
            file: log.text("file").map(|p| base.join(p)),
            format: log.word("format", &["auto", "json", "text"]).unwrap_or("auto"),
            keep: log.word("keep", &["off", "error", "warn", "info", "debug"]).unwrap_or("warn").parse().ok(),
        };
        if !is_log_filter(&settings.level) {
            log.error_at("level", format!("must be a level such as info, or a filter such as info,watchfire=debug, not {:?}", settings.level));
        }
        log.finish();
        settings
    }
}

/// Whether every part of a filter ends in a level. The parser alone takes a misspelt level for the name of a module, and
/// then nothing is logged at all.
fn is_log_filter(text: &str) -> bool {
    let is_level = |word: &str| !word.trim().is_empty() && word.trim().parse::<tracing_subscriber::filter::LevelFilter>().is_ok();
    let parts_end_well = text.split(',').all(|part| is_level(part.rsplit_once('=').map_or(part, |(_, level)| level)));
    parts_end_well && text.parse::<tracing_subscriber::EnvFilter>().is_ok()
}
