//! The groups as others see them: families for an exposition, and the JSON of a Pushgateway's `/api/v1/metrics`.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use watchfire_model::batch::MetricType;
use watchfire_model::labels::{Labels, METRIC_NAME};
use watchfire_model::meter;
use watchfire_model::time::Timestamp;

use super::Key;
use super::group::{Group, OWN_HELP};
use super::parse::{Family, OWN};
use crate::exposition::format_value;

/// All groups by family.
pub(super) fn families(groups: &BTreeMap<Key, Group>) -> Vec<meter::Family> {
    let mut all: BTreeMap<&str, meter::Family> = BTreeMap::new();
    for (name, help) in OWN.into_iter().zip(OWN_HELP) {
        all.insert(name, meter::Family::new(name, MetricType::Gauge, help));
    }
    for (key, group) in groups {
        for (name, family) in &group.families {
            let shown = all.entry(name).or_insert_with(|| meter::Family::new(name, family.kind, &family.help));
            shown.points.extend(family.samples.iter().map(|(labels, value)| (key.complete(labels), *value)));
        }
        for (labels, value) in group.series(key) {
            if let Some(own) = all.get_mut(labels.metric_name()).filter(|f| OWN.contains(&&*f.name)) {
                own.points.push((labels.clone(), value));
            }
        }
    }
    all.into_values().filter(|f| !f.points.is_empty()).collect()
}

/// All groups as JSON.
pub(super) fn describe(groups: &BTreeMap<Key, Group>) -> Value {
    let group = |(key, group): (&Key, &Group)| {
        let mut shown = Map::new();
        shown.insert("labels".to_owned(), json!(key.0));
        shown.insert("last_push_successful".to_owned(), (group.pushed_ms >= group.failed_ms).into());
        for (name, family) in &group.families {
            shown.insert(name.clone(), describe_family(family, key));
        }
        for ((name, help), ms) in OWN.into_iter().zip(OWN_HELP).zip([group.pushed_ms, group.failed_ms]) {
            let sample = (Labels::from_pairs([(METRIC_NAME, name)]), ms as f64 / 1000.0);
            let family = Family { kind: MetricType::Gauge, help: help.to_owned(), pushed_ms: group.pushed_ms, samples: vec![sample] };
            shown.insert(name.to_owned(), describe_family(&family, key));
        }
        Value::Object(shown)
    };
    groups.iter().map(group).collect()
}

fn describe_family(family: &Family, key: &Key) -> Value {
    // Parts of one histogram or summary stand together, under the labels that they share.
    let mut metrics: BTreeMap<Labels, Map<String, Value>> = BTreeMap::new();
    for (labels, value) in &family.samples {
        let name = labels.metric_name();
        let shared = key.complete(labels).without(METRIC_NAME).without("le").without("quantile");
        let metric = metrics.entry(shared).or_default();
        let value = Value::from(format_value(*value));
        let mut inside = |list: &str, label: &str| {
            if let Value::Object(map) = metric.entry(list).or_insert_with(|| json!({})) {
                map.insert(labels.get(label).unwrap_or("").to_owned(), value.clone());
            }
        };
        match family.kind {
            MetricType::Histogram if name.ends_with("_bucket") => inside("buckets", "le"),
            MetricType::Summary if labels.get("quantile").is_some() => inside("quantiles", "quantile"),
            MetricType::Histogram | MetricType::Summary if name.ends_with("_sum") => drop(metric.insert("sum".to_owned(), value)),
            MetricType::Histogram | MetricType::Summary if name.ends_with("_count") => drop(metric.insert("count".to_owned(), value)),
            _ => drop(metric.insert("value".to_owned(), value)),
        }
    }
    let metrics: Vec<Value> = metrics
        .into_iter()
        .map(|(labels, mut metric)| {
            metric.insert("labels".to_owned(), labels.iter().map(|(n, v)| (n.to_owned(), Value::from(v))).collect::<Map<_, _>>().into());
            Value::Object(metric)
        })
        .collect();
    let kind = if family.kind == MetricType::Unknown { "UNTYPED".to_owned() } else { family.kind.name().to_uppercase() };
    json!({"time_stamp": Timestamp(family.pushed_ms).rfc3339_millis(), "type": kind, "help": family.help, "metrics": metrics})
}
