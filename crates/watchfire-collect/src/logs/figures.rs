//! What is counted while lines are collected. Every line that does not arrive is counted with its reason.

use watchfire_model::meter::{Counter, Family, Gauge, Meter};

/// The counters of all sources.
pub struct Figures {
    meter: Meter,
    /// Lines that were read.
    pub lines: Counter,
    /// Bytes that were read, compressed ones as they are once unpacked.
    pub bytes: Counter,
    /// Lines in which bytes that are no text were replaced.
    pub replaced: Counter,
    /// Lines that were too long and lost their end.
    pub shortened: Counter,
    /// Files that are open.
    pub files: Gauge,
    /// Files that were found emptied or begun anew.
    pub truncated: Counter,
    /// Files whose reading failed.
    pub failed: Counter,
    /// Files that were not opened because too many are open.
    pub left_out: Counter,
    /// Batches that the sink did not take at once; they wait.
    pub refused: Counter,
    /// Commits of positions that failed.
    pub positions_failed: Counter,
}

impl Figures {
    /// Makes the counters.
    pub fn new(meter: &Meter) -> Figures {
        let count = |name, help| meter.counter(name, help, &[]);
        Figures {
            lines: count("watchfire_logs_lines_read_total", "Log lines that were read from files, containers and the journal."),
            bytes: count("watchfire_logs_bytes_read_total", "Bytes of log lines that were read, after decompression."),
            replaced: count("watchfire_logs_lines_replaced_total", "Log lines in which bytes that are no UTF-8 were replaced."),
            shortened: count("watchfire_logs_lines_shortened_total", "Log lines that were too long and are kept without their end."),
            files: meter.gauge("watchfire_logs_files_open", "Log files that are being read.", &[]),
            truncated: count("watchfire_logs_files_truncated_total", "Times that a log file was emptied or begun anew under its name."),
            failed: count("watchfire_logs_file_errors_total", "Log files that could not be read; they are tried again."),
            left_out: count("watchfire_logs_files_left_out_total", "Log files that were not opened because too many are open."),
            refused: count("watchfire_logs_batches_refused_total", "Batches of log lines that the store did not take at once; they wait."),
            positions_failed: count("watchfire_logs_positions_failed_total", "Times that positions of log files could not be kept."),
            meter: meter.clone(),
        }
    }
    /// Where they are counted.
    pub(crate) fn meter(&self) -> &Meter {
        &self.meter
    }
    /// Everything that is counted of collecting lines.
    pub fn families(&self) -> Vec<Family> {
        let mut families = self.meter.gather();
        families.retain(|family| family.name.starts_with("watchfire_logs_"));
        families
    }
    /// Counts lines that a stage drops. Reasons come from configuration, so there are few.
    pub fn dropped(&self, reason: &str, lines: u64) {
        let help = "Log lines that stages of the configuration dropped, by reason.";
        self.meter.counter("watchfire_logs_lines_dropped_total", help, &[("reason", reason)]).add(lines);
    }
    /// Counts what a stage could not do with a line; the line goes on.
    pub fn stage_failed(&self, stage: &str) {
        self.meter.counter("watchfire_logs_stage_errors_total", "Log lines with which a stage could do nothing, by stage.", &[("stage", stage)]).inc();
    }
}
