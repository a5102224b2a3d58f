//! What is known about the labels of alerts before any fires: enough to say which matchers they can meet, and which they must.

use std::collections::{BTreeMap, BTreeSet};

use watchfire_alert::rules::file::Rule;
use watchfire_model::document::Node;
use watchfire_model::matcher::{MatchOp, Matcher};

use crate::document::{Document, Kind};
use crate::expression::Shape;
use crate::knowledge::Knowledge;

/// What a label of an alert can be.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    /// One of these, and always there.
    OneOf(BTreeSet<String>),
    /// Always there.
    Any,
    /// Perhaps there.
    Perhaps,
    /// Never there.
    Missing,
}

/// An alert that a rule can raise.
#[derive(Clone, Debug)]
pub(crate) struct Alert {
    pub(crate) name: String,
    values: BTreeMap<String, Value>,
    /// What labels that are not named are.
    others: Value,
}

/// What is added to alerts on their way out.
#[derive(Clone, Debug, Default)]
pub(crate) struct OnTheWay {
    external: BTreeMap<String, String>,
    /// Whether anything else may happen to labels.
    open: bool,
}
impl OnTheWay {
    /// What the configurations say; without one, anything may happen.
    pub(crate) fn of(documents: &[Document]) -> OnTheWay {
        let mut way = OnTheWay { open: true, ..OnTheWay::default() };
        for document in documents.iter().filter(|d| d.kind() == Kind::Prometheus) {
            way.open = document.node.get("alerting").is_some_and(|a| a.get("alert_relabel_configs").is_some());
            let labels = document.node.get("global").and_then(|g| g.get("external_labels")).and_then(Node::entries).unwrap_or(&[]);
            way.external.extend(labels.iter().filter_map(|(key, value)| Some((key.text.to_string(), value.text()?.to_owned()))));
        }
        way
    }
}

impl Alert {
    pub(crate) fn new(rule: &Rule, shape: &Shape, knowledge: &Knowledge, way: &OnTheWay) -> Alert {
        let one = |value: &str| Value::OneOf(BTreeSet::from([value.to_owned()]));
        let mut values: BTreeMap<String, Value> = BTreeMap::new();
        for name in &shape.labels.always {
            values.insert(name.clone(), Value::Any);
        }
        for name in shape.labels.sometimes.iter().chain(&shape.labels.of_targets) {
            values.entry(name.clone()).or_insert(Value::Perhaps);
        }
        if let Some(jobs) = &shape.jobs
            && shape.labels.always.contains("job")
        {
            values.insert("job".to_owned(), Value::OneOf(jobs.clone()));
            if let Some(instances) = knowledge.instances(jobs).filter(|i| shape.labels.always.contains("instance") && !i.is_empty()) {
                values.insert("instance".to_owned(), Value::OneOf(instances));
            }
        }
        for (name, value) in &rule.labels {
            let value = match value.as_str() {
                "" => Value::Missing,
                text if text.contains("{{") => Value::Any,
                text => one(text),
            };
            values.insert(name.clone(), value);
        }
        values.insert("alertname".to_owned(), one(&rule.name));
        for (name, value) in &way.external {
            if values.get(name).is_none_or(|v| *v == Value::Missing) {
                values.insert(name.clone(), one(value));
            }
        }
        if way.open {
            // Relabelling may replace anything but is hardly ever used for the name.
            values.values_mut().filter(|v| **v == Value::Missing).for_each(|v| *v = Value::Perhaps);
        }
        let others = if way.open || !shape.labels.exact { Value::Perhaps } else { Value::Missing };
        Alert { name: rule.name.clone(), values, others }
    }

    pub(crate) fn value(&self, label: &str) -> &Value {
        self.values.get(label).unwrap_or(&self.others)
    }
    /// Whether it can meet a matcher.
    pub(crate) fn may(&self, matcher: &Matcher) -> bool {
        match self.value(&matcher.name) {
            Value::OneOf(values) => values.iter().any(|v| matcher.matches_value(v)),
            Value::Any => !(matcher.op == MatchOp::Equal && matcher.value.is_empty()),
            Value::Perhaps => true,
            Value::Missing => matcher.matches_empty(),
        }
    }
    /// Whether it meets a matcher in any case.
    pub(crate) fn must(&self, matcher: &Matcher) -> bool {
        let takes_all = matcher.op == MatchOp::Regex && matcher.value == ".*";
        match self.value(&matcher.name) {
            Value::OneOf(values) => values.iter().all(|v| matcher.matches_value(v)),
            Value::Any => takes_all || (matcher.op == MatchOp::Regex && matcher.value == ".+") || (matcher.op == MatchOp::NotEqual && matcher.value.is_empty()),
            Value::Perhaps => takes_all,
            Value::Missing => matcher.matches_empty(),
        }
    }
}

/// Why a label of two alerts is never equal; nothing when it may be.
pub(crate) fn differ(source: &Alert, target: &Alert, label: &str) -> Option<Difference> {
    match (source.value(label), target.value(label)) {
        (Value::OneOf(a), Value::OneOf(b)) if a.is_disjoint(b) => Some(Difference::Values(first(a), first(b))),
        (Value::OneOf(_) | Value::Any, Value::Missing) => Some(Difference::MissingInTarget),
        (Value::Missing, Value::OneOf(_) | Value::Any) => Some(Difference::MissingInSource),
        _ => None,
    }
}

fn first(values: &BTreeSet<String>) -> String {
    values.first().cloned().unwrap_or_default()
}

/// How labels differ.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Difference {
    /// There is no common value; one of each.
    Values(String, String),
    /// The target has no such label.
    MissingInTarget,
    /// The source has no such label.
    MissingInSource,
}
