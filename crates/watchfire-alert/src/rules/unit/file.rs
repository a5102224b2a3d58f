//! The files of tests, with the places where they stand.

use watchfire_model::document::{Context, Finding, Node, Reader, Severity};
use watchfire_model::duration::parse_millis;
use watchfire_model::labels::Labels;
use watchfire_query::promql::notation::{Item, Literal, series_labels, series_values};
use watchfire_query::promql::{Expr, parse};

/// How often rules are evaluated when the file does not say.
const INTERVAL_MS: i64 = 60_000;
/// At most so many evaluations are made for one test.
const EVALUATIONS_MAX: i64 = 1_000_000;
/// At most so many values may the series of one file have together.
const VALUES_MAX: usize = 5_000_000;

/// A valid file of tests.
#[derive(Clone, Debug)]
pub struct TestFile {
    /// The patterns of rule files, relative to the file.
    pub rule_files: Vec<String>,
    /// How often rules are evaluated, in milliseconds.
    pub interval_ms: i64,
    /// Names of groups in the order of their evaluation.
    pub order: Vec<String>,
    /// Whether numbers may differ in their last digit.
    pub fuzzy: bool,
    /// The tests.
    pub tests: Vec<TestGroup>,
}

/// Series, and what must become of them.
#[derive(Clone, Debug)]
pub struct TestGroup {
    /// Its name, if it has one.
    pub name: Option<String>,
    /// The distance of values, in milliseconds.
    pub interval_ms: i64,
    /// The series.
    pub series: Vec<(Labels, Vec<Item>)>,
    /// Alerts that must fire.
    pub alerts: Vec<AlertTest>,
    /// Answers that must come.
    pub queries: Vec<QueryTest>,
    /// Labels that templates see.
    pub external_labels: Labels,
    /// The address that templates see.
    pub external_url: String,
}

/// Which alerts of a name must fire at a time.
#[derive(Clone, Debug)]
pub struct AlertTest {
    /// When, in milliseconds.
    pub at_ms: i64,
    /// The name.
    pub name: String,
    /// All of them.
    pub expected: Vec<ExpectedAlert>,
}

/// One alert that must fire.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ExpectedAlert {
    /// Its labels, the name among them.
    pub labels: Labels,
    /// Its annotations.
    pub annotations: Labels,
}

/// What a query must give.
#[derive(Clone, Debug)]
pub struct QueryTest {
    /// The query.
    pub expr: Expr,
    /// Its text.
    pub text: String,
    /// When, in milliseconds.
    pub at_ms: i64,
    /// All samples.
    pub expected: Vec<ExpectedSample>,
}

/// One sample that must come.
#[derive(Clone, Debug)]
pub struct ExpectedSample {
    /// Its labels.
    pub labels: Labels,
    /// Its value.
    pub value: f64,
    /// The native histogram that stands instead of a value.
    pub histogram: Option<Literal>,
}

/// What came of reading.
pub struct Parsed {
    /// The file; `None` when a finding is an error.
    pub file: Option<TestFile>,
    /// What there is to say.
    pub findings: Vec<Finding>,
}

/// Whether a document is a file of tests.
pub fn is_test_file(root: &Node) -> bool {
    root.get("tests").is_some() && root.get("groups").is_none()
}

/// Reads a file from its tree.
pub fn read_node(file: &str, root: &Node) -> Parsed {
    let context = Context::new(file);
    let reader = Reader::new(&context, root, "");
    let interval_ms = duration(&reader, "evaluation_interval").filter(|ms| *ms > 0).unwrap_or(INTERVAL_MS);
    let mut values = 0;
    let test_file = TestFile {
        rule_files: reader.texts("rule_files", false),
        interval_ms,
        order: reader.texts("group_eval_order", false),
        fuzzy: reader.bool("fuzzy_compare").unwrap_or(false),
        tests: reader.maps("tests").into_iter().map(|test| read_test(test, interval_ms, &mut values)).collect(),
    };
    for (i, name) in test_file.order.iter().enumerate() {
        if test_file.order[..i].contains(name) {
            reader.error_at("group_eval_order", format!("group name repeated in evaluation order: {name}"));
        }
    }
    reader.finish();
    let findings = context.into_findings();
    let failed = findings.iter().any(|f| f.severity == Severity::Error);
    Parsed { file: (!failed).then_some(test_file), findings }
}

fn duration(reader: &Reader<'_>, key: &'static str) -> Option<i64> {
    reader.duration_ms(key).map(|ms| i64::try_from(ms).unwrap_or(i64::MAX))
}

/// A moment of a test; one that is too many evaluations away is an error.
fn moment(reader: &Reader<'_>, interval_ms: i64) -> i64 {
    // A bare number of seconds is no duration, but a zero is.
    let at = reader.raw("eval_time").and_then(Node::text).map_or(Some(0), |t| parse_millis(t).and_then(|ms| i64::try_from(ms).ok()));
    match at {
        Some(at) if at / interval_ms <= EVALUATIONS_MAX => at,
        Some(_) => {
            reader.error_at("eval_time", format!("is more than {EVALUATIONS_MAX} evaluations away"));
            0
        }
        None => {
            reader.error_at("eval_time", "must be a duration such as 30s or 1h30m");
            0
        }
    }
}

fn labels(pairs: Vec<(String, String)>) -> Labels {
    Labels::from_pairs(pairs)
}

fn read_test(reader: Reader<'_>, interval_ms: i64, values: &mut usize) -> TestGroup {
    let test = TestGroup {
        name: reader.text("name").filter(|n| !n.is_empty()),
        interval_ms: duration(&reader, "interval").filter(|ms| *ms > 0).unwrap_or(interval_ms),
        series: reader.maps("input_series").into_iter().filter_map(|series| read_series(series, values)).collect(),
        alerts: reader.maps("alert_rule_test").into_iter().map(|test| read_alert_test(test, interval_ms)).collect(),
        queries: reader.maps("promql_expr_test").into_iter().filter_map(|test| read_query_test(test, interval_ms)).collect(),
        external_labels: labels(reader.text_map("external_labels")),
        external_url: reader.text("external_url").unwrap_or_default(),
    };
    reader.finish();
    test
}

fn read_series(reader: Reader<'_>, values: &mut usize) -> Option<(Labels, Vec<Item>)> {
    let series = series_labels(&reader.required_text("series")).map_err(|e| reader.error_at("series", e)).ok();
    let items = series_values(&reader.text("values").unwrap_or_default()).map_err(|e| reader.error_at("values", e)).ok();
    *values += items.as_ref().map_or(0, Vec::len);
    if *values > VALUES_MAX {
        reader.error_at("values", format!("more than {VALUES_MAX} values in one file"));
        return None;
    }
    reader.finish();
    Some((series?, items?))
}

fn read_alert_test(reader: Reader<'_>, interval_ms: i64) -> AlertTest {
    let name = reader.required_text("alertname");
    let expected = reader.maps("exp_alerts").into_iter().map(|alert| {
        let mut pairs = alert.text_map("exp_labels");
        pairs.push((crate::rules::ALERT_NAME.to_owned(), name.clone()));
        let expected = ExpectedAlert { labels: labels(pairs), annotations: labels(alert.text_map("exp_annotations")) };
        alert.finish();
        expected
    });
    let test = AlertTest { at_ms: moment(&reader, interval_ms), expected: expected.collect(), name: name.clone() };
    reader.finish();
    test
}

fn read_query_test(reader: Reader<'_>, interval_ms: i64) -> Option<QueryTest> {
    let text = reader.required_text("expr");
    let expr = if text.is_empty() { None } else { parse(&text).map_err(|e| reader.error_at("expr", e.to_string())).ok() };
    let expected = reader.maps("exp_samples").into_iter().filter_map(read_sample).collect();
    let at_ms = moment(&reader, interval_ms);
    reader.finish();
    Some(QueryTest { expr: expr?, text, at_ms, expected })
}

fn read_sample(reader: Reader<'_>) -> Option<ExpectedSample> {
    let labels = series_labels(&reader.text("labels").unwrap_or_default()).map_err(|e| reader.error_at("labels", e)).ok();
    let text = reader.text("value").unwrap_or_else(|| "0".to_owned());
    let value = number(&text);
    if value.is_none() {
        reader.error_at("value", format!("must be a number, not {text:?}"));
    }
    let histogram = reader.text("histogram").filter(|h| !h.is_empty()).and_then(|h| Literal::read(h.trim()).map_err(|e| reader.error_at("histogram", e)).ok());
    reader.finish();
    Some(ExpectedSample { labels: labels?, value: value?, histogram })
}

/// A number as YAML or Prometheus writes it.
fn number(text: &str) -> Option<f64> {
    match text.trim_start_matches(['+', '-']) {
        ".inf" | ".Inf" | ".INF" => Some(if text.starts_with('-') { f64::NEG_INFINITY } else { f64::INFINITY }),
        ".nan" | ".NaN" | ".NAN" => Some(f64::NAN),
        _ => text.replace('_', "").parse().ok(),
    }
}
