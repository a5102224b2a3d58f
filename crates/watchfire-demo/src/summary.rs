//! What the demo tells: lines while it runs, and the table at its end. Where answers come from a stand-in, every line says so.

use std::io::Write;

use serde_json::{Value, json};

use crate::ledger::{Ledger, Line};

/// What is put before every line when no model answers.
pub(crate) const STAND_IN: &str = "the answers come from a stand-in, no model";

/// Prints lines.
pub(crate) struct Voice {
    pub(crate) is_stand_in: bool,
    /// Whether lines are for a person beside a program that reads the summary.
    pub(crate) aside: bool,
}
impl Voice {
    /// Prints a line. A terminal that is gone does not end the demo.
    pub(crate) fn say(&self, text: &str) {
        let line = match self.is_stand_in {
            true => format!("demo ({STAND_IN}): {text}\n"),
            false => format!("demo: {text}\n"),
        };
        // What comes from a server is not to drive a terminal.
        let line: String = line.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect();
        drop(if self.aside { std::io::stderr().write_all(line.as_bytes()) } else { std::io::stdout().write_all(line.as_bytes()) });
    }
}

/// How a run ended.
#[derive(Debug)]
pub struct Summary {
    pub(crate) detection: Line,
    pub(crate) analysis: Line,
    pub(crate) torn: u64,
    pub(crate) detections: u64,
    pub(crate) truncated: u64,
    pub(crate) events: [u64; 4],
    /// Observations that the server did not get or refused.
    pub(crate) unreported: u64,
    pub(crate) is_stand_in: bool,
    pub(crate) broke_off: Option<String>,
}
impl Summary {
    pub(crate) fn new(ledger: &Ledger, lines: (Line, Line), unreported: u64, is_stand_in: bool, broke_off: Option<String>) -> Summary {
        Summary {
            detection: lines.0,
            analysis: lines.1,
            torn: ledger.torn.get(),
            detections: ledger.detections.get(),
            truncated: ledger.truncated.get(),
            events: [0, 1, 2, 3].map(|i: usize| ledger.events.get(i).map_or(0, crate::ledger::Count::get)),
            unreported,
            is_stand_in,
            broke_off,
        }
    }
    /// Whether nothing was lost and nothing broke.
    pub fn is_clean(&self) -> bool {
        self.detection.adds_up() && self.analysis.adds_up() && self.unreported == 0 && self.broke_off.is_none()
    }
    /// For programs.
    pub fn json(&self) -> Value {
        json!({
            "detection_queue": self.detection.json(),
            "analysis_queue": self.analysis.json(),
            "torn_on_purpose": self.torn,
            "detections": self.detections,
            "prompts_truncated": self.truncated,
            "events": {"low": self.events[0], "medium": self.events[1], "high": self.events[2], "critical": self.events[3]},
            "unreported": self.unreported,
            "stand_in": self.is_stand_in,
            "broke_off": self.broke_off,
            "clean": self.is_clean(),
        })
    }
    /// The table, for people.
    pub(crate) fn lines(&self) -> Vec<String> {
        let row = |name: &str, l: &Line| {
            format!("{name:<16} {:>7} {:>7} {:>7} {:>8} {:>6} {:>8} {:>8}", l.pushed, l.done, l.dead, l.waiting, l.lost, l.retried, l.refused)
        };
        let [low, medium, high, critical] = self.events;
        let mut lines = vec![
            format!("{:<16} {:>7} {:>7} {:>7} {:>8} {:>6} {:>8} {:>8}", "", "pushed", "done", "dead", "waiting", "lost", "retried", "refused"),
            row("detection_queue", &self.detection),
            row("analysis_queue", &self.analysis),
            format!("{} movements found; {} pictures were torn on purpose; {} prompts were shortened", self.detections, self.torn, self.truncated),
            format!("events: {low} low, {medium} medium, {high} high, {critical} critical"),
        ];
        if self.unreported > 0 {
            lines.push(format!("{} observations and spans did not reach the server", self.unreported));
        }
        if let Some(why) = &self.broke_off {
            lines.push(format!("broke off: {why}"));
        }
        lines.push(if self.is_clean() { "nothing was lost" } else { "something was lost or broke" }.to_owned());
        lines
    }
}
