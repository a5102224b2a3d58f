//! What an alerting rule makes of what it computed: alerts with expanded labels and annotations, the series that tell of them, and
//! the alerts as they go out.

use std::collections::HashSet;

use watchfire_model::labels::{Labels, LabelsBuilder, METRIC_NAME};
use watchfire_model::read::Budget;
use watchfire_model::time::Timestamp;
use watchfire_query::promql::{QueryError, Sample};

use super::ask::AskError;
use super::evaluate::RuleError;
use super::file::{Language, Rule};
use super::group::Common;
use super::state::{Alert, AlertState, Raised};
use super::{ALERT_NAME, About, Ask, Expand, OutgoingAlert, SampleValue};

/// The series of alerts: one for each alert, with its state as a label.
pub const ALERTS: &str = "ALERTS";
/// The series of their beginnings: the value is the moment since which the condition holds.
pub const ALERTS_FOR_STATE: &str = "ALERTS_FOR_STATE";
/// The label of [`ALERTS`] that holds the state.
pub const ALERT_STATE: &str = "alertstate";

/// What texts are expanded with.
pub(super) struct Texts<'a> {
    pub(super) templates: &'a dyn Expand,
    pub(super) ask: &'a Ask,
    pub(super) common: &'a Common,
    pub(super) time: Timestamp,
}

/// One alert for each sample.
pub(super) fn raise(rule: &Rule, annotations: &[(String, String)], samples: Vec<Sample>, texts: &Texts<'_>, budget: &Budget) -> Result<Vec<Raised>, RuleError> {
    let mut seen = HashSet::with_capacity(samples.len());
    let mut raised = Vec::with_capacity(samples.len());
    for sample in samples {
        budget.check().map_err(|e| AskError::Query(QueryError::Read(e)))?;
        let value = match &sample.histogram {
            Some(histogram) => SampleValue::Histogram(histogram.to_string()),
            None => SampleValue::Float(sample.value),
        };
        let about = About {
            alert: &rule.name,
            labels: &sample.labels,
            value: &value,
            external_labels: &texts.common.external_labels,
            external_url: &texts.common.external_url,
            time: texts.time,
        };
        let expand = |text: &str| {
            texts.templates.expand(text, &about, texts.ask).unwrap_or_else(|error| {
                tracing::warn!(alert = rule.name, error, "cannot expand a template");
                format!("<error expanding template: {error}>")
            })
        };
        let mut labels = LabelsBuilder::from(&sample.labels);
        labels.remove(METRIC_NAME);
        for (name, text) in &rule.labels {
            labels.set(name, &expand(text));
        }
        labels.set(ALERT_NAME, &rule.name);
        let labels = labels.build();
        if !seen.insert(labels.clone()) {
            return Err(RuleError::SameLabels("alert"));
        }
        let annotations = Labels::from_pairs(annotations.iter().map(|(name, text)| (name.as_str(), expand(text))));
        raised.push(Raised { labels, annotations, value });
    }
    Ok(raised)
}

/// The two series of one alert with their values.
pub(super) fn series(labels: &Labels, state: AlertState, active_at: Timestamp) -> [(Labels, f64); 2] {
    let mut alert = LabelsBuilder::from(labels);
    alert.set(METRIC_NAME, ALERTS_FOR_STATE);
    let since = (alert.build(), active_at.millis().div_euclid(1_000) as f64);
    alert.set(METRIC_NAME, ALERTS).set(ALERT_STATE, state.name());
    [(alert.build(), 1.0), since]
}

/// An alert as it goes out.
pub(super) fn outgoing(rule: &Rule, common: &Common, alert: Alert, ends_at: i64, skew_ms: i64) -> OutgoingAlert {
    let wall = |line: i64| Timestamp(line.saturating_add(skew_ms));
    OutgoingAlert {
        starts_at: wall(alert.fired_at.unwrap_or(alert.active_at)),
        ends_at: wall(ends_at),
        resolved: alert.resolved_at.is_some(),
        labels: alert.labels,
        annotations: alert.annotations,
        generator_url: link(rule, common),
    }
}

/// Where the expression can be looked at.
fn link(rule: &Rule, common: &Common) -> String {
    let expr = query_escaped(&rule.expr.to_string());
    match rule.expr.language() {
        Language::Metrics => format!("{}/graph?g0.expr={expr}&g0.tab=1", common.external_url),
        Language::Logs => format!("{}/logs?lang=logql&expr={expr}", common.external_url),
    }
}

/// A text as a value in a query string.
fn query_escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' ' => out.push('+'),
            b if b.is_ascii_alphanumeric() || b"-_.~".contains(&b) => out.push(char::from(b)),
            b => out.push_str(&format!("%{b:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_escaped_as_queries() {
        assert_eq!(query_escaped("up{job=\"a\"} == 0"), "up%7Bjob%3D%22a%22%7D+%3D%3D+0");
    }
}
