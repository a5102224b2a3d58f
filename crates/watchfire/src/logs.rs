//! `watchfire logs`: asks a running server a LogQL query and prints lines, oldest first, or a table of numbers. It only talks HTTP, so
//! it works against any server that answers like Loki.

use anyhow::Result;
use http::Method;
use serde_json::Value;
use watchfire_model::logs::Nanos;
use watchfire_model::order::Order as _;

use crate::command_line::LogsFlags;
use crate::query::{series, table};
use crate::remote::{Remote, form_encode, printable};
use crate::settings::Environment;

/// Runs the command.
pub(crate) fn run(flags: &LogsFlags, environment: &Environment) -> Result<()> {
    let form = format!("query={}&since={}&limit={}", form_encode(&flags.expression), form_encode(&flags.since), flags.limit);
    let answer = Remote::for_queries(&flags.url, environment)?.ask_json(Method::GET, &format!("/loki/api/v1/query_range?{form}"), &[])?;
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
    all.order_by_key(|(time, _)| *time);
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
