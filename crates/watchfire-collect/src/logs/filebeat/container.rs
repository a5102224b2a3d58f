//! Lines of container log files: JSON of Docker, or lines of the container runtime interface, told apart by their first byte.

use serde_json::Value;

use super::event::time;
use crate::logs::Entry;
use crate::logs::stages::{Step, Surroundings, Verdict};

/// Takes the runtime's part off a line.
#[derive(Clone, Debug)]
pub(super) struct ContainerLine {
    /// The only stream that is wanted, if not all.
    pub(super) stream: Option<String>,
}

impl Step for ContainerLine {
    fn name(&self) -> &'static str {
        "container"
    }
    fn apply(&self, entry: &mut Entry, around: &Surroundings<'_>) -> Verdict {
        let found = if entry.line.starts_with('{') { docker(&entry.line) } else { cri(&entry.line) };
        let Some((at, stream, partial, text)) = found else {
            around.figures.stage_failed("container");
            return Verdict::Keep;
        };
        if self.stream.as_ref().is_some_and(|wanted| *wanted != stream) {
            return Verdict::Drop("stream".into());
        }
        entry.time = watchfire_model::logs::Nanos(at);
        entry.line = text;
        entry.labels.insert("stream".to_owned(), stream.clone());
        entry.extracted.insert("stream".to_owned(), Value::String(stream));
        entry.extracted.insert("flags".to_owned(), Value::String(if partial { "P" } else { "F" }.to_owned()));
        Verdict::Keep
    }
}

fn docker(line: &str) -> Option<(i64, String, bool, String)> {
    let value: Value = serde_json::from_str(line).ok()?;
    let text = value.get("log")?.as_str()?;
    let stream = value.get("stream").and_then(Value::as_str).unwrap_or("stdout").to_owned();
    let whole = text.strip_suffix('\n');
    Some((time(value.get("time")?.as_str()?)?, stream, whole.is_none(), whole.unwrap_or(text).to_owned()))
}

fn cri(line: &str) -> Option<(i64, String, bool, String)> {
    let mut parts = line.splitn(4, ' ');
    let (at, stream, flags) = (time(parts.next()?)?, parts.next()?, parts.next()?);
    matches!(stream, "stdout" | "stderr").then(|| (at, stream.to_owned(), flags.starts_with('P'), parts.next().unwrap_or("").to_owned()))
}
