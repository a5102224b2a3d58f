//! `watchfire doctor`: what `check` finds, and what a running server knows besides: names that have no series, the state of the
//! machine. Without files of its own it shows what the server found in those that it has loaded.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use http::Method;
use serde_json::Value;
use watchfire_doctor::{Code, Diagnosis, Seen};
use watchfire_model::time::SystemClock;

use crate::check::{self, said};
use crate::command_line::DoctorFlags;
use crate::remote::Remote;
use crate::settings::Environment;

/// How far back a series counts as alive.
pub(crate) const ALIVE: Duration = Duration::from_secs(7 * 86_400);

/// Runs the command.
pub(crate) fn run(flags: DoctorFlags, environment: &Environment) -> ExitCode {
    match examine(flags, environment) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("watchfire: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn examine(flags: DoctorFlags, environment: &Environment) -> Result<ExitCode> {
    let remote = Remote::new(&flags.url, environment)?;
    let report = remote.ask_json(Method::GET, "/api/system/doctor", &[])?;
    let of_server: Vec<Diagnosis> = report["findings"].as_array().context("the server's answer has no findings")?.iter().filter_map(read).collect();
    let json = flags.check.json;
    let own = flags.check.config.is_some() || flags.check.monitoring_dir.is_some() || !flags.check.files.is_empty();
    if !json && let Some(line) = writes(&report["writes"]) {
        println!("{line}");
    }
    if !own {
        return Ok(said::print(&[], &of_server, json));
    }
    let (findings, gathered) = check::look(flags.check, environment);
    let mut all = gathered.check(Some(Arc::new(seen_by(&remote))));
    // Of the server's findings, those about files are about its own; the state of its machine counts here, too.
    all.extend(of_server.into_iter().filter(|d| &*d.file == "server"));
    Ok(said::print(&findings, &all, json))
}

/// What the server writes to its disk, in a line.
fn writes(value: &Value) -> Option<String> {
    let number = |key: &str| value[key].as_f64();
    let (per_day, syncs, seconds) = (number("bytes_per_day")?, number("syncs_per_second")?, number("seconds")?);
    let since = watchfire_model::duration::format_millis((seconds as u64) * 1000);
    Some(format!("server: {:.2} GB a day and {syncs:.2} syncs a second are written to the disk, by the last {since}", per_day / 1e9))
}

/// One finding of the server.
fn read(value: &Value) -> Option<Diagnosis> {
    let text = |key: &str| value[key].as_str().map(str::to_owned);
    let number = |key: &str| value[key].as_u64().and_then(|n| usize::try_from(n).ok()).unwrap_or(0);
    let name = text("code")?;
    Some(Diagnosis {
        code: Code::ALL.iter().copied().find(|c| c.name() == name)?,
        file: text("file")?.into(),
        line: number("line"),
        column: number("column"),
        subject: text("subject").unwrap_or_default(),
        message: text("message")?,
        suggestion: text("suggestion"),
    })
}

/// The names and jobs of which a server has had series lately.
fn seen_by(remote: &Remote) -> Seen {
    let now = SystemClock::shared().now().secs_f64();
    let values = |label: &str| {
        let path = format!("/api/v1/label/{label}/values?start={}&end={now}", now - ALIVE.as_secs_f64());
        let answer = remote.ask_json(Method::GET, &path, &[]).ok()?;
        Some(answer["data"].as_array()?.iter().filter_map(|v| v.as_str().map(str::to_owned)).collect())
    };
    Seen { names: values("__name__"), jobs: values("job") }
}
