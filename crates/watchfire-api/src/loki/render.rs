//! Answers of queries as JSON text, as Loki writes them: streams with times as text in nanoseconds, and the statistics that clients show.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::HeaderMap;
use serde_json::{Value, json};
use watchfire_model::labels::Labels;
use watchfire_model::logs::{LogSelection, LogSource, LogVisitor, StreamVolume};
use watchfire_model::read::{Budget, ReadError};
use watchfire_query::logql::{Line, Lines};

use crate::prometheus::answer::to_json;
use crate::prometheus::labels::LabelsJson;

/// How many lines are written between two looks at the budget.
const LINES_PER_LOOK: usize = 1_024;

/// A source that counts what was read.
pub(super) struct Counting<'a> {
    inner: &'a dyn LogSource,
    lines: AtomicU64,
    bytes: AtomicU64,
    metadata_bytes: AtomicU64,
}
impl<'a> Counting<'a> {
    pub(super) fn new(inner: &'a dyn LogSource) -> Counting<'a> {
        Counting { inner, lines: AtomicU64::new(0), bytes: AtomicU64::new(0), metadata_bytes: AtomicU64::new(0) }
    }
    /// The statistics of a query that took so long and gave so many entries.
    pub(super) fn stats(&self, took: Duration, returned: usize) -> Value {
        let [lines, bytes, metadata] = [&self.lines, &self.bytes, &self.metadata_bytes].map(|n| n.load(Ordering::Relaxed));
        let bytes = bytes + metadata;
        let seconds = took.as_secs_f64();
        let rate = |n: u64| if seconds > 0.0 { (n as f64 / seconds) as u64 } else { 0 };
        let store = |bytes: u64, lines: u64, after: usize| {
            json!({"totalChunksRef": 0, "totalChunksDownloaded": 0, "chunksDownloadTime": 0, "chunk": {
                "headChunkBytes": 0, "headChunkLines": 0, "decompressedBytes": bytes, "decompressedLines": lines,
                "compressedBytes": 0, "totalDuplicates": 0, "postFilterLines": after}})
        };
        json!({
            "summary": {
                "bytesProcessedPerSecond": rate(bytes), "linesProcessedPerSecond": rate(lines),
                "totalBytesProcessed": bytes, "totalLinesProcessed": lines, "totalStructuredMetadataBytesProcessed": metadata,
                "totalPostFilterLines": returned, "totalEntriesReturned": returned,
                "execTime": seconds, "queueTime": 0, "subqueries": 0, "splits": 0, "shards": 0
            },
            "querier": {"store": store(bytes, lines, returned)},
            "ingester": {"totalReached": 0, "totalChunksMatched": 0, "totalBatches": 0, "totalLinesSent": 0, "store": store(0, 0, 0)},
            "cache": {},
            "index": {}
        })
    }
}
impl LogSource for Counting<'_> {
    fn select_logs(&self, selection: &LogSelection, budget: &Budget, visit: &mut LogVisitor<'_>) -> Result<(), ReadError> {
        let (mut lines, mut bytes, mut metadata) = (0, 0, 0);
        let outcome = self.inner.select_logs(selection, budget, &mut |entry| -> Result<ControlFlow<()>, ReadError> {
            lines += 1;
            bytes += entry.line.len() as u64;
            metadata += entry.metadata.packed().len() as u64;
            visit(entry)
        });
        for (total, more) in [(&self.lines, lines), (&self.bytes, bytes), (&self.metadata_bytes, metadata)] {
            total.fetch_add(more, Ordering::Relaxed);
        }
        outcome
    }
    fn log_volume(&self, selection: &LogSelection, budget: &Budget) -> Result<Vec<StreamVolume>, ReadError> {
        self.inner.log_volume(selection, budget)
    }
    fn log_label_names(&self, selection: &LogSelection, budget: &Budget) -> Result<Vec<String>, ReadError> {
        self.inner.log_label_names(selection, budget)
    }
    fn log_label_values(&self, name: &str, selection: &LogSelection, budget: &Budget) -> Result<Vec<String>, ReadError> {
        self.inner.log_label_values(name, selection, budget)
    }
}

/// Whether a client wants structured metadata and parsed labels apart from the labels of streams.
pub(super) fn wants_categories(headers: &HeaderMap) -> bool {
    headers.get("x-loki-response-encoding-flags").and_then(|v| v.to_str().ok()).is_some_and(|flags| flags.split(',').any(|f| f.trim() == "categorize-labels"))
}

fn put(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
}

/// `{"a":"b",…}`, with labels that say nothing.
fn put_labels(out: &mut Vec<u8>, labels: &Labels, empty: &[String]) {
    out.extend_from_slice(&to_json(&LabelsJson(labels)));
    if empty.is_empty() {
        return;
    }
    out.pop();
    for (at, name) in empty.iter().enumerate() {
        if at > 0 || !labels.is_empty() {
            out.push(b',');
        }
        out.extend_from_slice(&to_json(name));
        put(out, ":\"\"");
    }
    out.push(b'}');
}

/// `["nanoseconds","line"]`, with a third element where categories are wanted.
fn put_line(out: &mut Vec<u8>, line: &Line, categories: bool) {
    put(out, &format!("[\"{}\",", line.time.0));
    out.extend_from_slice(&to_json(&&*line.line));
    if categories {
        put(out, ",{");
        let mut comma = "";
        for (name, labels) in [("structuredMetadata", &line.metadata), ("parsed", &line.parsed)] {
            if !labels.is_empty() {
                put(out, &format!("{comma}\"{name}\":"));
                put_labels(out, labels, &[]);
                comma = ",";
            }
        }
        put(out, "}");
    }
    put(out, "]");
}

/// A list of streams. Its bytes are charged to the budget.
pub(super) fn streams(lines: &Lines, categories: bool, budget: &Budget) -> Result<Vec<u8>, ReadError> {
    let mut out = b"[".to_vec();
    let (mut seen, mut charged) = (0usize, 0usize);
    let all = if categories { lines.streams_categorized() } else { lines.streams() };
    for (at, stream) in all.iter().enumerate() {
        put(&mut out, if at > 0 { ",{\"stream\":" } else { "{\"stream\":" });
        put_labels(&mut out, &stream.labels, stream.empty);
        put(&mut out, ",\"values\":[");
        for (at, line) in stream.lines.iter().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            put_line(&mut out, line, categories);
            seen += 1;
            if seen.is_multiple_of(LINES_PER_LOOK) {
                budget.check()?;
                budget.charge_memory((out.len() - charged) as u64)?;
                charged = out.len();
            }
        }
        put(&mut out, "]}");
    }
    out.push(b']');
    Ok(out)
}
