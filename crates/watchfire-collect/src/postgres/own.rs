//! A `queries.yaml` as postgres_exporter reads it: what users ask their databases besides, and what each column becomes. It asks nothing.

use std::fmt::Write as _;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use watchfire_model::batch::MetricType;
use watchfire_model::document::{Context, Finding, Node, Reader, Severity, parse_yaml};
use watchfire_model::labels::{is_classic_label_name, is_classic_metric_name};

use super::versions::Versions;

/// Questions of one file.
const QUERIES_MAX: usize = 1_000;
/// Columns that one question names.
const COLUMNS_MAX: usize = 1_000;
/// Words of a column and their numbers.
const WORDS_MAX: usize = 1_000;

const USAGES: [&str; 7] = ["LABEL", "COUNTER", "GAUGE", "HISTOGRAM", "MAPPEDMETRIC", "DURATION", "DISCARD"];

/// What one file asks.
#[derive(Clone, Debug, Default)]
pub struct Queries {
    /// The file, as the figure about it names it.
    pub(super) file: String,
    /// SHA-256 of its text.
    pub(super) hashsum: String,
    pub(super) list: Vec<OwnQuery>,
}

/// One question.
#[derive(Clone, Debug)]
pub(super) struct OwnQuery {
    /// What stands before the columns in names.
    pub(super) namespace: String,
    /// Nothing where a question of ours is only switched off.
    pub(super) sql: String,
    pub(super) columns: Vec<OwnColumn>,
    /// It is for the database that the address names, not for discovered ones.
    pub(super) master: bool,
    /// How long an answer is good.
    pub(super) cache: Duration,
    /// The servers that are asked.
    pub(super) versions: Option<Versions>,
}

/// A column that the file names.
#[derive(Clone, Debug)]
pub(super) struct OwnColumn {
    pub(super) name: String,
    pub(super) usage: Usage,
    pub(super) help: String,
}

/// What becomes of it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Usage {
    Label,
    Value(MetricType),
    /// Bounds; the columns beside it hold counts, sum and number.
    Histogram,
    /// Words that stand for numbers.
    Mapped(Vec<(String, f64)>),
    /// Milliseconds.
    Duration,
    Discard,
}

/// Reads a file from its text.
pub fn parse(file: &str, text: &str) -> (Option<Queries>, Vec<Finding>) {
    let (list, findings) = match parse_yaml(file, text) {
        Ok(root) => read(file, &root),
        Err(finding) => return (None, vec![*finding]),
    };
    let mut hashsum = String::with_capacity(64);
    for byte in Sha256::digest(text) {
        let _infallible = write!(hashsum, "{byte:02x}");
    }
    let failed = findings.iter().any(|f| f.severity == Severity::Error);
    ((!failed).then(|| Queries { file: file.to_owned(), hashsum, list }), findings)
}

/// What is wrong with a file, and nothing else.
pub fn check(file: &str, root: &Node) -> Vec<Finding> {
    read(file, root).1
}

/// Whether a document looks like such a file.
pub fn is_queries(root: &Node) -> bool {
    root.entries().unwrap_or(&[]).iter().any(|(_, query)| query.get("query").is_some() && query.get("metrics").is_some_and(|m| m.items().is_some()))
}

fn read(file: &str, root: &Node) -> (Vec<OwnQuery>, Vec<Finding>) {
    let context = Context::new(file);
    let reader = Reader::new(&context, root, "");
    let mut list = Vec::new();
    for (key, node) in reader.entries() {
        if list.len() >= QUERIES_MAX {
            context.error(key.line, key.column, format!("more than {QUERIES_MAX} queries"));
            break;
        }
        if !is_classic_metric_name(&key.text) {
            context.error(key.line, key.column, format!("{:?} cannot be the start of a metric's name", &*key.text));
        }
        list.push(read_query(&key.text, &Reader::new(&context, node, &key.text)));
    }
    (list, context.into_findings())
}

fn read_query(namespace: &str, query: &Reader<'_>) -> OwnQuery {
    let mut columns: Vec<OwnColumn> = Vec::new();
    for listed in query.maps("metrics") {
        for (key, node) in listed.entries() {
            if columns.len() >= COLUMNS_MAX {
                query.error_at("metrics", format!("more than {COLUMNS_MAX} columns"));
                break;
            }
            // Of two the later one counts, as there.
            columns.retain(|known| *known.name != *key.text);
            columns.push(read_column(namespace, &key.text, &Reader::new(query.context(), node, &listed.path_of(&key.text))));
        }
    }
    let sql = query.text("query").unwrap_or_default();
    if sql.trim().is_empty() {
        query.context().warning(query.node().line, query.node().column, format!("{namespace} has no query, so nothing is asked for it"));
    }
    let versions = query.text("runonserver").filter(|text| !text.trim().is_empty());
    let versions = versions.and_then(|text| Versions::parse(&text).map_err(|reason| query.error_at("runonserver", reason)).ok());
    let parsed = OwnQuery {
        namespace: namespace.to_owned(),
        sql,
        columns,
        master: query.bool("master").unwrap_or(false),
        cache: Duration::from_secs(query.u64("cache_seconds").unwrap_or(0)),
        versions,
    };
    query.warn_of_others(&["query", "metrics", "master", "cache_seconds", "runonserver"], "a queries.yaml");
    parsed
}

fn read_column(namespace: &str, name: &str, column: &Reader<'_>) -> OwnColumn {
    let usage = match column.word("usage", &USAGES) {
        Some("LABEL") => Usage::Label,
        Some("COUNTER") => Usage::Value(MetricType::Counter),
        Some("GAUGE") => Usage::Value(MetricType::Gauge),
        Some("HISTOGRAM") => Usage::Histogram,
        Some("MAPPEDMETRIC") => Usage::Mapped(read_words(column)),
        Some("DURATION") => Usage::Duration,
        _ => {
            if column.raw("usage").is_none() {
                let (line, place) = (column.node().line, column.node().column);
                column.context().warning(line, place, format!("{} says no usage, so the column is left out", column.path_of("usage")));
            }
            Usage::Discard
        }
    };
    let wrong = |what: &str| column.context().error(column.node().line, column.node().column, format!("{}: {name:?} {what}", column.path_of("usage")));
    match usage {
        Usage::Discard => {}
        Usage::Label if name == "server" => wrong("is a label of every series here; name the column otherwise"),
        Usage::Label if !is_classic_label_name(name) || name.starts_with("__") => wrong("is no name of a label"),
        Usage::Label => {}
        _ if !is_classic_metric_name(&format!("{namespace}_{name}")) => wrong("cannot end the name of a metric"),
        _ => {}
    }
    let help = column.text("description").unwrap_or_default();
    column.warn_of_others(&["usage", "description", "metric_mapping", "pg_version"], "a queries.yaml");
    OwnColumn { name: name.to_owned(), usage, help }
}

fn read_words(column: &Reader<'_>) -> Vec<(String, f64)> {
    let mut words = Vec::new();
    let Some(mapping) = column.map("metric_mapping") else { return words };
    for (key, node) in mapping.entries() {
        match node.as_f64() {
            _ if words.len() >= WORDS_MAX => {
                mapping.context().error(key.line, key.column, format!("more than {WORDS_MAX} words"));
                break;
            }
            Some(number) => words.push((key.text.to_string(), number)),
            None => mapping.context().error(node.line, node.column, format!("{} must be a number", mapping.path_of(&key.text))),
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_as_it_is() {
        let text = "a:\n  query: SELECT 1\n  master: true\n  cache_seconds: 30\n  runonserver: '>=10.0.0'\n  metrics:\n    - who:\n        usage: LABEL\n        \
                    description: Who\n    - {n: {usage: COUNTER}, state: {usage: MAPPEDMETRIC, metric_mapping: {on: 1, off: 0}}}\n    - rest: {usage: DISCARD}\n";
        let (queries, findings) = parse("q.yaml", text);
        assert!(findings.is_empty(), "{findings:?}");
        let queries = queries.unwrap();
        assert_eq!((queries.hashsum.len(), queries.list.len()), (64, 1));
        let query = &queries.list[0];
        assert!(query.master && query.cache.as_secs() == 30 && query.versions.as_ref().is_some_and(|v| v.have(100_000) && !v.have(90_600)));
        let usages: Vec<_> = query.columns.iter().map(|c| (c.name.as_str(), &c.usage)).collect();
        let words = Usage::Mapped(vec![("on".to_owned(), 1.0), ("off".to_owned(), 0.0)]);
        let expected = [("who", &Usage::Label), ("n", &Usage::Value(MetricType::Counter)), ("state", &words), ("rest", &Usage::Discard)];
        assert_eq!(usages, expected);
    }

    #[test]
    fn what_is_wrong_has_its_place() {
        for (text, expected) in [
            ("a:\n  query: x\n  metrics:\n    - n: {usage: GUAGE}\n", "q.yaml:4:18: error: a.metrics[0].n.usage: must be one of"),
            ("a:\n  query: x\n  metrics:\n    - \"a b\": {usage: GAUGE}\n", "q.yaml:4:14: error: a.metrics[0].a b.usage: \"a b\" cannot end"),
            ("a:\n  query: x\n  metrics:\n    - server: {usage: LABEL}\n", "q.yaml:4:15: error: a.metrics[0].server.usage: \"server\" is a label of every"),
            ("a:\n  runonserver: '>=ten'\n  query: x\n", "q.yaml:2:16: error: a.runonserver: \"ten\" is no version"),
            ("9:\n  query: x\n", "q.yaml:1:1: error: \"9\" cannot be the start"),
            ("a:\n  query: x\n  metrics: {n: {usage: GAUGE}}\n", "q.yaml:3:12: error: a.metrics: must be a list"),
            ("a:\n  query: x\n  metrics:\n    - n: {usage: MAPPEDMETRIC, metric_mapping: {on: yes}}\n", "must be a number"),
        ] {
            let (queries, findings) = parse("q.yaml", text);
            let said: Vec<String> = findings.iter().map(ToString::to_string).collect();
            assert!(queries.is_none() && said.iter().any(|line| line.contains(expected)), "{text}: {said:?}");
        }
        let (queries, findings) = parse("q.yaml", "a:\n  metrics: [{n: {}}]\n  colour: red\n");
        assert!(queries.is_some() && findings.len() == 3, "{findings:?}");
    }
}
