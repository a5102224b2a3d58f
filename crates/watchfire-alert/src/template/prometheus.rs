//! The functions and the data of templates in alerting rules. Names and texts are those of Prometheus' template reference.

use std::net::IpAddr;
use std::sync::Arc;

use regex::Regex;
use watchfire_model::labels::Labels;
use watchfire_model::time::SharedClock;

use watchfire_template::{Form, Functions, GoTime, Kind, List, MapKind, TemplateError, Templates, Value, field as get, four, print, query_escape, text};

/// One sample of an answer to `query`.
#[derive(Clone, Debug)]
pub struct QuerySample {
    /// Its labels.
    pub labels: Labels,
    /// Its value.
    pub value: f64,
}

/// Answers `query` at the moment of the evaluation; errors are sentences.
pub type Query = Arc<dyn Fn(&str) -> Result<Vec<QuerySample>, String> + Send + Sync>;

fn labels_map(labels: &Labels) -> Value {
    Value::texts(MapKind::Texts, labels.iter())
}

/// The functions that templates in rules may call.
pub fn rule_functions(query: Query, external_url: &str, clock: SharedClock) -> Functions {
    let mut all = Functions::builtin();
    texts(&mut all);
    numbers(&mut all);
    samples(&mut all, query);
    let (address, prefix) = (external_url.to_owned(), path_of(external_url));
    all.add("externalURL", &[], move |_| Ok(Value::text(&address)));
    all.add("pathPrefix", &[], move |_| Ok(Value::text(&prefix)));
    all.add("now", &[], move |_| Ok(Value::Float(clock.now().secs_f64())));
    // Carried out by the engine.
    all.add("tmpl", &[Kind::Text, Kind::Any], |_| Ok(Value::Nil));
    all
}

fn path_of(url: &str) -> String {
    let behind = url.split_once("://").map_or(url, |(_, rest)| rest);
    behind.find('/').and_then(|at| behind.get(at..)).unwrap_or("").trim_end_matches('/').to_owned()
}

fn texts(all: &mut Functions) {
    all.add("toUpper", &[Kind::Text], |a| Ok(Value::text(text(a, 0).to_uppercase())));
    all.add("toLower", &[Kind::Text], |a| Ok(Value::text(text(a, 0).to_lowercase())));
    all.add("title", &[Kind::Text], |a| Ok(Value::text(title(text(a, 0)))));
    all.add("safeHtml", &[Kind::Text], |a| Ok(Value::Html(text(a, 0).into())));
    all.add("match", &[Kind::Text, Kind::Text], |a| Ok(Value::Bool(expression(text(a, 0))?.is_match(text(a, 1)))));
    all.add("reReplaceAll", &[Kind::Text, Kind::Text, Kind::Text], |a| Ok(Value::text(expression(text(a, 0))?.replace_all(text(a, 2), text(a, 1)))));
    all.add("graphLink", &[Kind::Text], |a| Ok(Value::text(format!("/graph?g0.expr={}&g0.tab=0", query_escape(text(a, 0))))));
    all.add("tableLink", &[Kind::Text], |a| Ok(Value::text(format!("/graph?g0.expr={}&g0.tab=1", query_escape(text(a, 0))))));
    all.add("stripPort", &[Kind::Text], |a| Ok(Value::text(host_and_port(text(a, 0)).map_or(text(a, 0), |(host, _)| host))));
    all.add("stripDomain", &[Kind::Text], |a| Ok(Value::text(strip_domain(text(a, 0)))));
    all.add("urlQueryEscape", &[Kind::Text], |a| Ok(Value::text(query_escape(text(a, 0)))));
    all.add_variadic("args", &[], Kind::Any, |a| {
        let entries = a.iter().enumerate().map(|(n, value)| (format!("arg{n}"), value.clone())).collect();
        Ok(Value::Map(Arc::new(watchfire_template::Map { entries, kind: MapKind::Any })))
    });
}

/// The first letter of every word in upper case, the others as they are.
fn title(text: &str) -> String {
    let mut before = ' ';
    text.chars()
        .map(|c| {
            // What follows an apostrophe is the beginning of a word, too.
            let begins = !(before.is_alphanumeric() || before == '_');
            before = c;
            if begins { c.to_uppercase().next().unwrap_or(c) } else { c }
        })
        .collect()
}

/// A regular expression of a template. It may match anywhere.
pub(super) fn expression(pattern: &str) -> Result<Regex, String> {
    // The library shows the pattern over several lines; what is wrong stands in the last one.
    Regex::new(pattern).map_err(|error| {
        let text = error.to_string();
        let reason = text.lines().last().unwrap_or("").trim_start_matches("error: ");
        format!("error parsing regexp: {reason}: `{pattern}`")
    })
}

/// `host:port` or `[host]:port`, as Go splits it.
fn host_and_port(text: &str) -> Option<(&str, &str)> {
    let (host, port) = text.rsplit_once(':')?;
    match host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
        Some(inner) => Some((inner, port)),
        None if host.contains([':', '[', ']']) => None,
        None => Some((host, port)),
    }
}

fn strip_domain(text: &str) -> String {
    let (host, port) = host_and_port(text).map_or((text, None), |(host, port)| (host, Some(port)));
    if host.parse::<IpAddr>().is_ok() {
        return text.to_owned();
    }
    let short = host.split('.').next().unwrap_or(host);
    match port.filter(|port| !port.is_empty()) {
        Some(port) if short.contains(':') => format!("[{short}]:{port}"),
        Some(port) => format!("{short}:{port}"),
        None => short.to_owned(),
    }
}

/// A number, or a text that is one.
pub(super) fn to_float(value: &Value) -> Result<f64, String> {
    match value {
        Value::Float(value) => Ok(*value),
        Value::Int(value) => Ok(*value as f64),
        Value::Duration(nanos) => Ok(*nanos as f64 / 1e9),
        Value::Text(text) | Value::Html(text) => parse_float(text).ok_or_else(|| format!("strconv.ParseFloat: parsing {text:?}: invalid syntax")),
        other => Err(format!("can't convert {} to float", other.type_name())),
    }
}

fn parse_float(text: &str) -> Option<f64> {
    match text.trim_start_matches(['+', '-']).to_ascii_lowercase().as_str() {
        "inf" | "infinity" => Some(if text.starts_with('-') { f64::NEG_INFINITY } else { f64::INFINITY }),
        "nan" => Some(f64::NAN),
        _ => text.parse().ok(),
    }
}

fn numbers(all: &mut Functions) {
    all.add("humanize", &[Kind::Any], |a| to_float(&a[0]).map(|v| Value::text(humanize(v))));
    all.add("humanize1024", &[Kind::Any], |a| to_float(&a[0]).map(|v| Value::text(humanize1024(v))));
    all.add("humanizeDuration", &[Kind::Any], |a| to_float(&a[0]).map(|v| Value::text(humanize_duration(v))));
    all.add("humanizePercentage", &[Kind::Any], |a| to_float(&a[0]).map(|v| Value::text(format!("{}%", four(v * 100.0)))));
    all.add("humanizeTimestamp", &[Kind::Any], |a| {
        let seconds = to_float(&a[0])?;
        if !seconds.is_finite() {
            return Ok(Value::text(four(seconds)));
        }
        GoTime::from_seconds(seconds).map(|time| Value::text(time.print())).ok_or_else(|| overflow(seconds))
    });
    all.add("toTime", &[Kind::Any], |a| {
        let seconds = to_float(&a[0])?;
        GoTime::from_seconds(seconds).map(Value::Time).ok_or_else(|| overflow(seconds))
    });
    all.add("toDuration", &[Kind::Any], |a| {
        let nanos = to_float(&a[0])? * 1e9;
        if nanos.abs() < 9.223_372_036_854_776e18 { Ok(Value::Duration(nanos as i64)) } else { Err(overflow(nanos / 1e9)) }
    });
    all.add("parseDuration", &[Kind::Text], |a| {
        let ms = watchfire_model::duration::parse_millis(text(a, 0)).ok_or_else(|| format!("not a valid duration string: {:?}", text(a, 0)))?;
        Ok(Value::Float(ms as f64 / 1000.0))
    });
}

fn overflow(seconds: f64) -> String {
    format!("{} cannot be represented as a nanoseconds timestamp since it overflows int64", print(&Value::Float(seconds * 1e9)))
}

const SMALL: [&str; 8] = ["m", "u", "n", "p", "f", "a", "z", "y"];

/// The number made at least 1 by a prefix for small ones.
fn small(value: f64) -> (f64, &'static str) {
    let (mut value, mut prefix) = (value, "");
    for next in SMALL {
        if value.abs() >= 1.0 {
            break;
        }
        (prefix, value) = (next, value * 1000.0);
    }
    (value, prefix)
}

fn humanize(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return four(value);
    }
    let (mut number, mut prefix) = (value, "");
    if value.abs() >= 1.0 {
        for next in ["k", "M", "G", "T", "P", "E", "Z", "Y"] {
            if number.abs() < 1000.0 {
                break;
            }
            (prefix, number) = (next, number / 1000.0);
        }
    } else {
        (number, prefix) = small(value);
    }
    four(number) + prefix
}

fn humanize1024(value: f64) -> String {
    if value.abs() <= 1.0 || !value.is_finite() {
        return four(value);
    }
    let (mut number, mut prefix) = (value, "");
    for next in ["ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"] {
        if number.abs() < 1024.0 {
            break;
        }
        (prefix, number) = (next, number / 1024.0);
    }
    four(number) + prefix
}

pub(super) fn humanize_duration(value: f64) -> String {
    if !value.is_finite() {
        return four(value);
    }
    if value == 0.0 {
        return four(value) + "s";
    }
    if value.abs() < 1.0 {
        let (number, prefix) = small(value);
        return format!("{}{prefix}s", four(number));
    }
    let (sign, size) = (if value < 0.0 { "-" } else { "" }, value.abs());
    let whole = size as u64;
    let (days, hours, minutes, seconds) = (whole / 86_400, whole / 3_600 % 24, whole / 60 % 60, whole % 60);
    match () {
        () if days != 0 => format!("{sign}{days}d {hours}h {minutes}m {seconds}s"),
        () if hours != 0 => format!("{sign}{hours}h {minutes}m {seconds}s"),
        () if minutes != 0 => format!("{sign}{minutes}m {seconds}s"),
        () => format!("{sign}{}s", four(size)),
    }
}

fn sample(sample: QuerySample) -> Value {
    Value::record("*template.sample", vec![("Labels", labels_map(&sample.labels)), ("Value", Value::Float(sample.value))])
}

fn field(value: &Value, name: &str) -> Option<Value> {
    get(value, name, &[])?.ok()
}

fn label_of(value: &Value, name: &str) -> String {
    let labels = field(value, "Labels");
    labels.and_then(|labels| field(&labels, name)).and_then(|v| v.as_text().map(str::to_owned)).unwrap_or_default()
}

fn samples(all: &mut Functions, query: Query) {
    all.add("query", &[Kind::Text], move |a| query(text(a, 0)).map(|found| Value::list(found.into_iter().map(sample).collect())));
    all.add("first", &[Kind::Samples], |a| match &a[0] {
        Value::List(list) if !list.items.is_empty() => Ok(list.items[0].clone()),
        _ => Err("first() called on vector with no elements".into()),
    });
    all.add("label", &[Kind::Text, Kind::Sample], |a| Ok(Value::text(label_of(&a[1], text(a, 0)))));
    all.add("value", &[Kind::Sample], |a| Ok(field(&a[0], "Value").unwrap_or(Value::Nil)));
    all.add("strvalue", &[Kind::Sample], |a| Ok(Value::text(label_of(&a[0], "__value__"))));
    all.add("sortByLabel", &[Kind::Text, Kind::Samples], |a| {
        let Value::List(list) = &a[1] else { return Ok(Value::Nil) };
        let mut items = list.items.clone();
        items.sort_by_cached_key(|item| label_of(item, text(a, 0)));
        Ok(Value::List(Arc::new(List { items, kind: list.kind })))
    });
}

/// What a template in a rule sees.
#[derive(Clone, Debug)]
pub struct Rule<'a> {
    /// The alert's name, which messages show.
    pub alert: &'a str,
    /// The labels of the sample.
    pub labels: &'a Labels,
    /// The configured external labels.
    pub external_labels: &'a Labels,
    /// The configured address.
    pub external_url: &'a str,
    /// The value of the sample; a histogram is given as its text.
    pub value: RuleValue<'a>,
}

/// The value of a sample.
#[derive(Clone, Debug)]
pub enum RuleValue<'a> {
    /// A number.
    Float(f64),
    /// A histogram as text.
    Histogram(&'a str),
}

/// Makes short names of the data.
const PREFIX: &str = "{{$labels := .Labels}}{{$externalLabels := .ExternalLabels}}{{$externalURL := .ExternalURL}}{{$value := .Value}}";

impl Rule<'_> {
    fn data(&self) -> Value {
        let value = match self.value {
            RuleValue::Float(value) => Value::Float(value),
            RuleValue::Histogram(text) => Value::text(text),
        };
        Value::record(
            "struct { Labels map[string]string; ExternalLabels map[string]string; ExternalURL string; Value interface {} }",
            vec![
                ("Labels", labels_map(self.labels)),
                ("ExternalLabels", labels_map(self.external_labels)),
                ("ExternalURL", Value::text(self.external_url)),
                ("Value", value),
            ],
        )
    }

    /// The text of a label or annotation.
    pub fn expand(&self, template: &str, functions: Functions) -> Result<String, TemplateError> {
        // Most texts hold no action at all.
        if !template.contains("{{") {
            return Ok(template.to_owned());
        }
        let name = format!("__alert_{}", self.alert);
        let mut templates = Templates::new(&name, functions);
        templates.parse(&name, &format!("{PREFIX}{template}"))?;
        templates.execute(&name, self.data(), Form::Plain)
    }
}

/// Finds out whether a text of a rule can be parsed, as `promtool check rules` does.
pub fn check_rule_template(alert: &str, template: &str, functions: Functions) -> Result<(), TemplateError> {
    let name = format!("__alert_{alert}");
    Templates::new(&name, functions).parse(&name, &format!("{PREFIX}{template}"))
}
