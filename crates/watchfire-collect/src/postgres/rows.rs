//! Answers to questions of a `queries.yaml` as metrics, read as postgres_exporter reads them. Which questions there are stands in `own`.

use std::collections::HashSet;
use std::pin::pin;

use futures_util::StreamExt as _;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, SimpleQueryMessage, SimpleQueryRow};
use watchfire_ingest::exposition::format_value;
use watchfire_model::batch::MetricType;
use watchfire_model::labels::{Labels, METRIC_NAME, is_classic_metric_name};
use watchfire_model::logs::Nanos;
use watchfire_model::meter::Family;
use watchfire_net::client::chain;

use super::ROWS_MAX;
use super::own::{OwnColumn, OwnQuery, Usage};

/// Bytes of one answer that are taken.
const BYTES_MAX: usize = 16 << 20;
/// Series of one answer that are taken.
const SERIES_MAX: usize = 100_000;

/// What became of one answer.
#[derive(Default)]
pub(super) struct Made {
    pub(super) families: Vec<Family>,
    /// Why it is not whole.
    pub(super) cut: Option<String>,
    /// Values that are none, and the first of them.
    pub(super) left_out: u64,
    pub(super) example: String,
    seen: HashSet<Labels>,
}

/// Asks. Every series gets the labels that are shared.
pub(super) async fn ask(client: &Client, query: &OwnQuery, shared: &[(&str, &str)]) -> Result<Made, String> {
    let told = |e: tokio_postgres::Error| chain(&e);
    // Values come as text, which every type has; what their types are only a prepared statement tells. It is one statement, too.
    let statement = client.prepare(&query.sql).await.map_err(told)?;
    let kinds: Vec<Type> = statement.columns().iter().map(|column| column.type_().clone()).collect();
    let mut messages = pin!(client.simple_query_raw(&query.sql).await.map_err(told)?);
    let (mut made, mut rows, mut bytes) = (Made::default(), 0, 0);
    while let Some(message) = messages.next().await {
        let SimpleQueryMessage::Row(row) = message.map_err(told)? else { continue };
        rows += 1;
        bytes += (0..row.len()).map(|at| cell(&row, at).map_or(0, str::len)).sum::<usize>();
        if rows > ROWS_MAX || bytes > BYTES_MAX || made.seen.len() > SERIES_MAX {
            made.cut = Some(format!("more than {ROWS_MAX} rows, {SERIES_MAX} series or {BYTES_MAX} bytes; the rest is left out"));
            break;
        }
        made.take(query, &kinds, &row, shared);
    }
    Ok(made)
}

fn cell(row: &SimpleQueryRow, at: usize) -> Option<&str> {
    row.try_get(at).ok().flatten()
}

impl Made {
    fn take(&mut self, query: &OwnQuery, kinds: &[Type], row: &SimpleQueryRow, shared: &[(&str, &str)]) {
        let place = |name: &str| row.columns().iter().position(|column| column.name() == name);
        let mut labels: Vec<(&str, &str)> = shared.to_vec();
        let texts: Vec<(&str, String)> = query
            .columns
            .iter()
            .filter(|column| column.usage == Usage::Label)
            .filter_map(|column| place(&column.name).map(|at| (column.name.as_str(), label(cell(row, at), kinds.get(at)))))
            .collect();
        labels.extend(texts.iter().filter(|(_, text)| !text.is_empty()).map(|(name, text)| (*name, text.as_str())));
        for (at, column) in row.columns().iter().enumerate() {
            let (name, text) = (column.name(), cell(row, at));
            let Some(listed) = query.columns.iter().find(|known| known.name == name) else {
                if beside_histogram(query, name) {
                    continue;
                }
                let metric = format!("{}_{name}", query.namespace);
                match number(text, kinds.get(at)).filter(|_| is_classic_metric_name(&metric)) {
                    Some(value) => self.put(&metric, MetricType::Unknown, &format!("Unknown metric from {}", query.namespace), &labels, value),
                    None => self.leave_out(&metric),
                }
                continue;
            };
            let metric = format!("{}_{name}", query.namespace);
            let (metric, kind, value) = match &listed.usage {
                Usage::Label | Usage::Discard => continue,
                Usage::Histogram => {
                    self.histogram(&metric, listed, row, at, &labels);
                    continue;
                }
                Usage::Value(kind) => (metric, *kind, number(text, kinds.get(at))),
                Usage::Mapped(words) => {
                    let word = text.and_then(|text| words.iter().find(|(word, _)| word == text)).map(|(_, value)| *value);
                    (metric, MetricType::Gauge, word.or_else(|| number(text, kinds.get(at))))
                }
                Usage::Duration => (format!("{metric}_milliseconds"), MetricType::Gauge, number(text, kinds.get(at)).or_else(|| milliseconds(text?))),
            };
            match value {
                Some(value) => self.put(&metric, kind, &listed.help, &labels, value),
                None => self.leave_out(&metric),
            }
        }
    }

    /// A histogram: bounds in one column, how many are at or below each in another, and two for sum and number.
    fn histogram(&mut self, metric: &str, listed: &OwnColumn, row: &SimpleQueryRow, at: usize, labels: &[(&str, &str)]) {
        let beside = |ending: &str| {
            let name = format!("{}_{ending}", listed.name);
            row.columns().iter().position(|column| column.name() == name).and_then(|at| cell(row, at))
        };
        let whole = |text: Option<&str>| text.and_then(|text| text.trim().parse::<f64>().ok());
        let (bounds, counts) = (cell(row, at).and_then(array), beside("bucket").and_then(array));
        let (Some(bounds), Some(counts), Some(sum), Some(count)) = (bounds, counts, whole(beside("sum")), whole(beside("count"))) else {
            return self.leave_out(metric);
        };
        let bucket = format!("{metric}_bucket");
        for (bound, value) in bounds.iter().zip(&counts).filter(|(bound, _)| bound.is_finite()) {
            let le = format_value(*bound);
            let mut labels = labels.to_vec();
            labels.push(("le", &le));
            self.point(metric, &bucket, MetricType::Histogram, &listed.help, &labels, *value);
        }
        let mut endless = labels.to_vec();
        endless.push(("le", "+Inf"));
        self.point(metric, &bucket, MetricType::Histogram, &listed.help, &endless, count);
        self.point(metric, &format!("{metric}_sum"), MetricType::Histogram, &listed.help, labels, sum);
        self.point(metric, &format!("{metric}_count"), MetricType::Histogram, &listed.help, labels, count);
    }

    fn put(&mut self, metric: &str, kind: MetricType, help: &str, labels: &[(&str, &str)], value: f64) {
        self.point(metric, metric, kind, help, labels, value);
    }

    fn point(&mut self, family: &str, name: &str, kind: MetricType, help: &str, labels: &[(&str, &str)], value: f64) {
        let labels = Labels::from_pairs(labels.iter().copied().chain([(METRIC_NAME, name)]));
        // Two values of one series would make the whole answer unreadable.
        if !self.seen.insert(labels.clone()) {
            return self.leave_out(name);
        }
        let at = self.families.iter().position(|known| &*known.name == family).unwrap_or_else(|| {
            self.families.push(Family::new(family, kind, help));
            self.families.len() - 1
        });
        self.families[at].points.push((labels, value));
    }

    fn leave_out(&mut self, name: &str) {
        self.left_out += 1;
        if self.example.is_empty() {
            name.clone_into(&mut self.example);
        }
    }
}

/// Whether a column holds a part of a histogram.
fn beside_histogram(query: &OwnQuery, name: &str) -> bool {
    let stem = ["_bucket", "_sum", "_count"].iter().find_map(|ending| name.strip_suffix(ending));
    stem.is_some_and(|stem| query.columns.iter().any(|column| column.usage == Usage::Histogram && column.name == stem))
}

/// A value as a number. Nothing is no number, but a value all the same.
fn number(text: Option<&str>, kind: Option<&Type>) -> Option<f64> {
    let Some(text) = text else { return Some(f64::NAN) };
    match kind {
        Some(&Type::BOOL) => Some(f64::from(u8::from(text == "t"))),
        Some(&Type::TIMESTAMP | &Type::TIMESTAMPTZ | &Type::DATE) => seconds(text).or_else(|| text.parse().ok()),
        _ => text.parse().ok(),
    }
}

/// A value as a label.
fn label(text: Option<&str>, kind: Option<&Type>) -> String {
    let text = text.unwrap_or_default();
    match kind {
        Some(&Type::BOOL) if !text.is_empty() => (text == "t").to_string(),
        Some(&Type::TIMESTAMP | &Type::TIMESTAMPTZ | &Type::DATE) => seconds(text).map_or_else(|| text.to_owned(), |seconds| seconds.to_string()),
        _ => text.to_owned(),
    }
}

/// Whole seconds since 1970 of a time as the server writes it.
fn seconds(text: &str) -> Option<f64> {
    let mut whole = text.replacen(' ', "T", 1);
    match whole.split_once('T') {
        None => whole.push_str("T00:00:00Z"),
        Some((_, clock)) if !clock.contains(['+', '-', 'Z']) => whole.push('Z'),
        Some(_) => {}
    }
    Nanos::parse_rfc3339(&whole).map(|time| time.0.div_euclid(1_000_000_000) as f64)
}

/// `200ms`, `1m30s`; -1 stands for nothing.
fn milliseconds(text: &str) -> Option<f64> {
    watchfire_model::duration::parse_millis(text.trim()).map(|ms| ms as f64)
}

/// The numbers of an array of the server's.
fn array(text: &str) -> Option<Vec<f64>> {
    let inner = text.trim().strip_prefix('{')?.strip_suffix('}')?;
    inner.split(',').filter(|item| !item.is_empty()).map(|item| item.trim().parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_as_their_types_have_them() {
        for (text, kind, expected) in [
            ("t", Type::BOOL, Some(1.0)),
            ("2.50", Type::NUMERIC, Some(2.5)),
            ("Infinity", Type::FLOAT8, Some(f64::INFINITY)),
            ("2020-01-01 00:00:01.5+00", Type::TIMESTAMPTZ, Some(1_577_836_801.0)),
            ("2020-01-01 05:30:00+05:30", Type::TIMESTAMPTZ, Some(1_577_836_800.0)),
            ("2020-01-01 00:00:00", Type::TIMESTAMP, Some(1_577_836_800.0)),
            ("2020-01-01", Type::DATE, Some(1_577_836_800.0)),
            ("infinity", Type::TIMESTAMP, Some(f64::INFINITY)),
            ("01:00:00", Type::INTERVAL, None),
            ("t", Type::TEXT, None),
        ] {
            assert_eq!(number(Some(text), Some(&kind)), expected, "{text} {kind}");
        }
        assert!(number(None, Some(&Type::TEXT)).is_some_and(f64::is_nan));
        assert_eq!(label(Some("t"), Some(&Type::BOOL)), "true");
        assert_eq!(label(Some("2020-01-01"), Some(&Type::DATE)), "1577836800");
        assert_eq!((label(None, Some(&Type::BOOL)), label(Some("t"), Some(&Type::TEXT))), (String::new(), "t".to_owned()));
        assert_eq!((array("{0.5,1}"), array("{}"), array("{NULL}"), array("1")), (Some(vec![0.5, 1.0]), Some(Vec::new()), None, None));
        assert_eq!((milliseconds("1m30s"), milliseconds("-1"), milliseconds("x")), (Some(90_000.0), None, None));
    }
}
