//! Our own voice: one JSON object a line (or plain text on a terminal), to standard error, when asked to a file, and what is severe to our own store.
//! Spans lend their request_id, correlation_id, trace_id and span_id to every event inside them. No log is ever evaluated,
//! and control characters never reach a terminal.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::fs::{self, File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result};
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{EnvFilter, Registry};
use watchfire_model::time::SharedClock;

use crate::own_log::{Kept, OwnLog};
use crate::settings::LogSettings;
use crate::spans::{Own, SpanLayer};

/// A log file is renamed to `<name>.1` when it reaches this size, so that it can never fill a disk.
const FILE_BYTES_MAX: u64 = 16 << 20;
/// Names that events take over from the spans around them.
const INHERITED: [&str; 4] = ["request_id", "correlation_id", "trace_id", "span_id"];

/// Starts logging for the whole process; gives the lines that are to be stored.
pub(crate) fn start(settings: &LogSettings, clock: SharedClock, spans: Own) -> Result<Kept> {
    let json = match settings.format {
        "json" => true,
        "text" => false,
        _ => !io::stderr().is_terminal(),
    };
    let file = settings.file.as_deref().map(LogFile::open).transpose()?;
    let filter: EnvFilter = settings.level.parse().context("cannot read log.level")?;
    let kept = settings.keep.map(|least| Arc::new(OwnLog::new(least)));
    let subscriber = Registry::default().with(Filter(filter)).with(LogLayer { clock, json, file, kept: kept.clone() }).with(spans.map(SpanLayer));
    tracing::subscriber::set_global_default(subscriber).context("cannot start logging")?;
    Ok(kept)
}

/// An append-only file with one predecessor.
struct LogFile {
    path: PathBuf,
    state: Mutex<(File, u64)>,
}
impl LogFile {
    fn open(path: &Path) -> Result<LogFile> {
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).with_context(|| format!("cannot create {}", parent.display()))?;
        }
        let file = Self::append(path).with_context(|| format!("cannot open the log file {}", path.display()))?;
        let size = file.metadata()?.len();
        Ok(LogFile { path: path.to_path_buf(), state: Mutex::new((file, size)) })
    }
    fn append(path: &Path) -> io::Result<File> {
        OpenOptions::new().create(true).append(true).open(path)
    }
    /// Writes a line. A full disk must not stop the program, so a failed line is lost here (standard error still has it).
    fn line(&self, line: &str) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.1 + line.len() as u64 > FILE_BYTES_MAX
            && fs::rename(&self.path, self.path.with_extension("log.1")).is_ok()
            && let Ok(fresh) = Self::append(&self.path)
        {
            *state = (fresh, 0);
        }
        if state.0.write_all(line.as_bytes()).is_ok() {
            state.1 += line.len() as u64;
        }
    }
}

/// What is asked for, and our own spans whatever is asked for: they lend their ids to lines of any level.
struct Filter(EnvFilter);
impl Filter {
    fn keeps(metadata: &Metadata<'_>) -> bool {
        metadata.is_span() && *metadata.level() <= Level::INFO && metadata.target().starts_with("watchfire")
    }
}
impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Filter {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if Filter::keeps(metadata) { Interest::always() } else { Layer::<S>::register_callsite(&self.0, metadata) }
    }
    fn enabled(&self, metadata: &Metadata<'_>, context: Context<'_, S>) -> bool {
        Filter::keeps(metadata) || Layer::<S>::enabled(&self.0, metadata, context)
    }
    fn max_level_hint(&self) -> Option<LevelFilter> {
        Layer::<S>::max_level_hint(&self.0).map(|level| level.max(LevelFilter::INFO))
    }
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        self.0.on_new_span(attributes, id, context);
    }
    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        Layer::<S>::on_record(&self.0, id, values, context);
    }
    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        Layer::<S>::on_enter(&self.0, id, context);
    }
    fn on_exit(&self, id: &Id, context: Context<'_, S>) {
        Layer::<S>::on_exit(&self.0, id, context);
    }
    fn on_close(&self, id: Id, context: Context<'_, S>) {
        Layer::<S>::on_close(&self.0, id, context);
    }
}

struct LogLayer {
    clock: SharedClock,
    json: bool,
    file: Option<LogFile>,
    kept: Kept,
}

/// The inherited fields of one span.
#[derive(Default)]
pub(crate) struct Inherited(pub(crate) BTreeMap<&'static str, String>);
impl Visit for Inherited {
    fn record_str(&mut self, field: &Field, value: &str) {
        if let Some(name) = INHERITED.iter().find(|n| **n == field.name()) {
            self.0.insert(name, value.to_owned());
        }
    }
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

/// The fields of one event.
#[derive(Default)]
struct Fields {
    message: String,
    rest: Map<String, Value>,
}
impl Fields {
    fn put(&mut self, field: &Field, value: Value) {
        self.rest.insert(field.name().to_owned(), value);
    }
}
impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => value.clone_into(&mut self.message),
            _ => self.put(field, value.into()),
        }
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for LogLayer {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut inherited = Inherited::default();
        attributes.record(&mut inherited);
        span.extensions_mut().insert(inherited);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(inherited) = span.extensions_mut().get_mut::<Inherited>() {
            values.record(inherited);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let mut inherited = BTreeMap::new();
        for span in context.event_scope(event).into_iter().flatten() {
            if let Some(Inherited(names)) = span.extensions().get() {
                for (name, value) in names {
                    inherited.entry(*name).or_insert_with(|| value.clone());
                }
            }
        }
        let metadata = event.metadata();
        let (level, now) = (metadata.level().as_str(), self.clock.now());
        let time = now.rfc3339_millis();
        let kept = self.kept.as_ref().filter(|kept| kept.wants(*metadata.level()));
        if self.json || self.file.is_some() || kept.is_some() {
            let line = json_line(&time, level, metadata.target(), &fields, &inherited);
            if let Some(file) = &self.file {
                file.line(&line);
            }
            if let Some(kept) = kept {
                kept.take(now, *metadata.level(), &line, inherited.iter().map(|(name, value)| (*name, value.clone())).collect());
            }
            if self.json {
                print_line(&line);
            }
        }
        if !self.json {
            print_line(&text_line(&time, level, metadata.target(), &fields, &inherited));
        }
    }
}

/// Standard error may be closed or full; there is nobody left to tell then.
fn print_line(line: &str) {
    drop(io::stderr().lock().write_all(line.as_bytes()));
}

fn json_line(time: &str, level: &str, target: &str, fields: &Fields, inherited: &BTreeMap<&str, String>) -> String {
    let mut object = Map::new();
    object.insert("timestamp".into(), time.into());
    object.insert("level".into(), level.into());
    object.insert("message".into(), fields.message.as_str().into());
    object.insert("target".into(), target.into());
    for (name, value) in inherited {
        object.insert((*name).to_owned(), value.as_str().into());
    }
    for (name, value) in &fields.rest {
        object.entry(name.as_str()).or_insert_with(|| value.clone());
    }
    let mut line = Value::Object(object).to_string();
    line.push('\n');
    line
}

fn text_line(time: &str, level: &str, target: &str, fields: &Fields, inherited: &BTreeMap<&str, String>) -> String {
    let mut line = format!("{time} {level:5} {target}: {}", fields.message);
    for (name, value) in &fields.rest {
        line.push_str(&format!(" {name}={value}"));
    }
    for (name, value) in inherited {
        line.push_str(&format!(" {name}={value}"));
    }
    let mut line: String = line.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use watchfire_model::time::{ManualClock, Timestamp};

    fn logged(dir: &Path, work: impl FnOnce()) -> Vec<Value> {
        let path = dir.join("logs/security.log");
        let layer = LogLayer { clock: ManualClock::new(Timestamp(1_767_089_700_000)), json: true, file: Some(LogFile::open(&path).unwrap()), kept: None };
        tracing::subscriber::with_default(Registry::default().with(layer), work);
        fs::read_to_string(path).unwrap().lines().map(|l| serde_json::from_str(l).unwrap()).collect()
    }

    #[test]
    fn events_carry_the_ids_of_their_spans() {
        let dir = tempfile::tempdir().unwrap();
        let lines = logged(dir.path(), || {
            let span = tracing::info_span!("request", request_id = "r-1", trace_id = tracing::field::Empty, path = "/x");
            let _in = span.enter();
            span.record("trace_id", "abc");
            tracing::warn!(target: "watchfire::gpu", temperature = 86.5, "GPU is hot\u{1b}[31m");
        });
        assert_eq!(lines.len(), 1);
        let expected = serde_json::json!({
            "timestamp": "2025-12-30T10:15:00.000Z", "level": "WARN", "message": "GPU is hot\u{1b}[31m", "target": "watchfire::gpu",
            "request_id": "r-1", "trace_id": "abc", "temperature": 86.5,
        });
        assert_eq!(lines[0], expected);
    }

    #[test]
    fn text_lines_hold_no_control_characters() {
        let fields = Fields { message: "a\u{1b}[2J\nb".into(), rest: Map::new() };
        let line = text_line("t", "INFO", "x", &fields, &BTreeMap::new());
        assert_eq!(line.chars().filter(|c| c.is_control()).collect::<String>(), "\n");
    }

    #[test]
    fn a_log_file_does_not_grow_without_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("w.log");
        let file = LogFile::open(&path).unwrap();
        let line = "x".repeat(1 << 20);
        for _ in 0..40 {
            file.line(&line);
        }
        let total: u64 = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().metadata().unwrap().len()).sum();
        assert!(total <= 2 * FILE_BYTES_MAX && total > FILE_BYTES_MAX, "{total}");
    }
}
