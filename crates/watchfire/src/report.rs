//! `watchfire report`: asks a running server for a report as it would be sent now and prints it, or has it sent. What a report says is
//! decided there; this only talks HTTP.

use std::io::Write as _;

use anyhow::{Context, Result};
use http::Method;
use serde_json::Value;

use crate::command_line::{ReportFlags, ReportForm};
use crate::remote::{Remote, form_encode, printable};
use crate::settings::Environment;

/// Runs the command.
pub(crate) fn run(flags: &ReportFlags, environment: &Environment) -> Result<()> {
    // A server makes one report at a time; a second one waits, but not for ever.
    let remote = Remote::for_reports(&flags.url, environment)?;
    let Some(name) = &flags.name else {
        for line in listed(&remote.ask_json(Method::GET, "/api/reports", &[])?) {
            println!("{line}");
        }
        return Ok(());
    };
    let name = form_encode(name);
    if flags.send {
        remote.ask(Method::POST, &format!("/api/reports/{name}/send"), &[])?;
        println!("sent");
        return Ok(());
    }
    let form = flags.print.unwrap_or(ReportForm::Text);
    let made = remote.ask(Method::GET, &format!("/api/reports/{name}/preview?format={}", form.word()), &[])?;
    let mut out = std::io::stdout().lock();
    let written = match form {
        // What programs wrote into their logs stands there and must not drive a terminal.
        ReportForm::Text => out.write_all(String::from_utf8_lossy(&made).split('\n').map(printable).collect::<Vec<_>>().join("\n").as_bytes()),
        ReportForm::Html | ReportForm::Mail => out.write_all(&made),
    };
    written.and_then(|()| out.flush()).context("cannot print the report")
}

/// One line per report: its name, how often, and how it stands.
fn listed(answer: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().map(printable);
    let line = |report: &Value| {
        let sent = text(&report["sent_at"]).map_or("never sent".to_owned(), |at| format!("last sent {at}"));
        let failed = text(&report["error"]).map_or(String::new(), |error| format!("; the last try failed: {error}"));
        format!("{}  {}  {sent}{failed}", text(&report["name"]).unwrap_or_default(), text(&report["schedule"]).unwrap_or_default())
    };
    let lines: Vec<String> = answer["reports"].as_array().into_iter().flatten().map(line).collect();
    if lines.is_empty() { vec!["no reports are configured".to_owned()] } else { lines }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn reports_are_lines_that_drive_no_terminal() {
        let answer = json!({"reports": [
            {"name": "day", "schedule": "daily", "sent_at": null, "failures": 0, "error": null},
            {"name": "week", "schedule": "weekly", "sent_at": "2026-01-02T07:00:00Z", "failures": 2, "error": "450 \u{1b}[2Jlater"},
        ]});
        assert_eq!(listed(&answer), ["day  daily  never sent", "week  weekly  last sent 2026-01-02T07:00:00Z; the last try failed: 450 \u{fffd}[2Jlater"]);
        assert_eq!(listed(&json!({"reports": []})), ["no reports are configured"]);
    }
}
