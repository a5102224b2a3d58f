//! What is known about the labels of alerts before any fires: enough to say which matchers they can meet, and which they must.

use std::collections::{BTreeMap, BTreeSet};

use watchfire_alert::own::{self, OwnAlert};
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

/// An alert that a rule can raise, or Watchfire by itself.
#[derive(Clone, Debug)]
pub(crate) struct Alert {
    pub(crate) name: String,
    /// Whether no rule raises it. Such alerts make routes alive, but nobody has written them, so nothing is said about them.
    pub(crate) own: bool,
    values: BTreeMap<String, Value>,
    /// What labels that are not named are.
    others: Value,
}

/// What is added to alerts on their way out.
#[derive(Clone, Debug, Default)]
pub(crate) struct OnTheWay {
    /// Labels that are added.
    external: BTreeMap<String, Value>,
    /// Whether anything else may happen to labels.
    open: bool,
}
impl OnTheWay {
    /// What the configurations say; without one, anything may happen. Where a site has several, an alert may pass any of them.
    pub(crate) fn of(documents: &[Document]) -> OnTheWay {
        let of_prometheus = || documents.iter().filter(|d| d.kind() == Kind::Prometheus);
        let open =
            of_prometheus().next().is_none() || of_prometheus().any(|d| d.node.get("alerting").is_some_and(|a| a.get("alert_relabel_configs").is_some()));
        // Files that only list jobs send no alerts.
        let sends = |d: &&Document| ["global", "alerting", "rule_files"].iter().any(|key| d.node.get(key).is_some());
        let senders = of_prometheus().filter(sends).count();
        let mut seen: BTreeMap<&str, (usize, BTreeSet<String>)> = BTreeMap::new();
        for document in of_prometheus().filter(sends) {
            let labels = document.node.get("global").and_then(|g| g.get("external_labels")).and_then(Node::entries).unwrap_or(&[]);
            for (key, value) in labels {
                let (times, values) = seen.entry(&key.text).or_default();
                *times += 1;
                values.extend(value.text().map(str::to_owned));
            }
        }
        let external = seen.into_iter().map(|(label, (times, values))| {
            let value = if times == senders { Value::OneOf(values) } else { Value::Perhaps };
            (label.to_owned(), value)
        });
        OnTheWay { external: external.collect(), open }
    }

    /// What becomes of the labels of an alert, and what labels are that it does not name.
    fn finish(&self, name: &str, own: bool, mut values: BTreeMap<String, Value>, exact: bool) -> Alert {
        for (label, value) in &self.external {
            if values.get(label).is_none_or(|v| *v == Value::Missing) {
                values.insert(label.clone(), value.clone());
            }
        }
        if self.open {
            // Relabelling may replace anything but is hardly ever used for the name.
            values.values_mut().filter(|v| **v == Value::Missing).for_each(|v| *v = Value::Perhaps);
        }
        let others = if self.open || !exact { Value::Perhaps } else { Value::Missing };
        Alert { name: name.to_owned(), own, values, others }
    }
}

fn one(value: &str) -> Value {
    Value::OneOf(BTreeSet::from([value.to_owned()]))
}

impl Alert {
    pub(crate) fn new(rule: &Rule, shape: &Shape, knowledge: &Knowledge, way: &OnTheWay) -> Alert {
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
        way.finish(&rule.name, false, values, shape.labels.exact)
    }

    /// Those that Watchfire raises by itself.
    pub(crate) fn all_own(way: &OnTheWay) -> impl Iterator<Item = Alert> {
        own::ALL.iter().map(|OwnAlert { name, severity, about }| {
            let known = [("alertname", one(name)), ("severity", one(severity)), ("job", one(own::JOB)), ("instance", Value::Any), (about, Value::Any)];
            way.finish(name, true, known.into_iter().map(|(label, value)| (label.to_owned(), value)).collect(), true)
        })
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
