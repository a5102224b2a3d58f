//! `watchfire logs`: asks a running server a LogQL query and prints lines, oldest first, or a table of numbers. It only talks HTTP, so
//! it works against any server that answers like Loki.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use watchfire_model::logs::Nanos;
use watchfire_net::client::{Client, Credentials, Request};
use watchfire_net::tls::ClientTls;

use crate::command_line::LogsFlags;
use crate::query::{series, table};
use crate::remote::form_encode;
use crate::settings::Environment;

/// Runs the command.
pub(crate) fn run(flags: &LogsFlags, environment: &Environment) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(e) => {
            eprintln!("watchfire: cannot start: {e}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(ask(flags, environment)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("watchfire: {e:#}");
            ExitCode::FAILURE
        }
    }
}

async fn ask(flags: &LogsFlags, environment: &Environment) -> Result<()> {
    let client = Client::new(ClientTls::default());
    let given = flags.url != crate::command_line::DEFAULT_URL;
    let base = environment.get("WATCHFIRE_URL").filter(|_| !given).unwrap_or(&flags.url).trim_end_matches('/').to_owned();
    let expression = form_encode(&flags.expression);
    let since = form_encode(&flags.since);
    let url = format!("{base}/loki/api/v1/query_range?query={expression}&since={since}&limit={}", flags.limit);
    let mut request = Request::get(url, Duration::from_secs(40));
    if let Some(token) = environment.get("WATCHFIRE_TOKEN") {
        request.credentials = Credentials::Header { scheme: "Bearer".into(), value: token.into() };
    }
    let response = client.send(request).await.with_context(|| format!("cannot ask {base}"))?;
    if !response.status.is_success() {
        // Errors of this interface are text, and no terminal is driven by them.
        bail!("{}", printable(String::from_utf8_lossy(&response.body).trim()));
    }
    let answer: Value = serde_json::from_slice(&response.body).with_context(|| format!("{base} answered {} without JSON", response.status))?;
    if flags.json {
        println!("{answer}");
        return Ok(());
    }
    let data = &answer["data"];
    let shown = if data["resultType"] == "streams" { lines(data) } else { table(data, &Value::Null) };
    for line in shown {
        println!("{line}");
    }
    Ok(())
}

/// Text without what would drive a terminal.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\t' { '\u{fffd}' } else { c }).collect()
}

/// `time {labels} line`, oldest first.
fn lines(data: &Value) -> Vec<String> {
    let mut all: Vec<(i64, String)> = Vec::new();
    for stream in data["result"].as_array().into_iter().flatten() {
        let labels = series(&stream["stream"]);
        for value in stream["values"].as_array().into_iter().flatten() {
            let time: i64 = value[0].as_str().and_then(|t| t.parse().ok()).unwrap_or(0);
            all.push((time, format!("{} {labels} {}", Nanos(time).rfc3339(), printable(value[1].as_str().unwrap_or("")))));
        }
    }
    if all.is_empty() {
        return vec!["no lines".to_owned()];
    }
    all.sort_by_key(|(time, _)| *time);
    all.into_iter().map(|(_, text)| text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn lines_in_order_of_time_that_drive_no_terminal() {
        let data = json!({"resultType": "streams", "result": [
            {"stream": {"app": "b"}, "values": [["2000000000", "second\u{1b}[2J"]]},
            {"stream": {"app": "a"}, "values": [["3000000001", "third"], ["1", "first"]]},
        ]});
        assert_eq!(
            lines(&data),
            [
                "1970-01-01T00:00:00.000000001Z {app=\"a\"} first",
                "1970-01-01T00:00:02Z {app=\"b\"} second\u{fffd}[2J",
                "1970-01-01T00:00:03.000000001Z {app=\"a\"} third"
            ]
        );
        assert_eq!(lines(&json!({"result": []})), ["no lines"]);
    }
}
