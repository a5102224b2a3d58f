//! `logs:`, what is done with stored logs. Where logs come from and how long they are kept is said elsewhere.

use watchfire_model::document::Reader;

/// `logs:`
#[derive(Debug)]
pub(crate) struct LogsSettings {
    /// Patterns of files with rules over logs, beside the file that names them. They change with a reload.
    pub(crate) rule_files: Vec<String>,
}
impl LogsSettings {
    /// Reads the section.
    pub(super) fn read(logs: Reader<'_>) -> LogsSettings {
        let settings = LogsSettings { rule_files: logs.texts("rule_files", true) };
        logs.finish();
        settings
    }
}
