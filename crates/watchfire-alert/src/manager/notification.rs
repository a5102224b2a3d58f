//! What a receiver is told: the alerts of a group as they were when it was decided to tell. It sends and formats nothing; the
//! receivers do.

use std::sync::Arc;

use watchfire_model::labels::Labels;
use watchfire_model::order::Order as _;
use watchfire_model::time::Timestamp;

use super::alert::Alert;
use crate::template::{GoTime, ListKind, MapKind, Value};

/// The year 1, which Go writes for "no time".
const ZERO_TIME: &str = "0001-01-01T00:00:00Z";
const ZERO_TIME_MS: i64 = -62_135_596_800_000;

/// An alert as it was when it was decided to tell of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    /// The alert.
    pub alert: Arc<Alert>,
    /// Whether it had ended.
    pub resolved: bool,
}
impl Told {
    /// `firing` or `resolved`.
    pub fn status(&self) -> &'static str {
        if self.resolved { "resolved" } else { "firing" }
    }
    /// When it ended; nothing while it fires.
    pub fn ends_at(&self) -> Option<Timestamp> {
        self.resolved.then_some(self.alert.ends_at)
    }
    /// The same in RFC 3339; Go's zero time while it fires.
    pub fn ends_at_text(&self) -> String {
        self.ends_at().map_or_else(|| ZERO_TIME.to_owned(), Timestamp::rfc3339)
    }
}

/// One message to one integration of a receiver.
#[derive(Clone, Debug)]
pub struct Notification {
    /// The same at every try of this message, also after a crash; different for every other message.
    pub id: String,
    /// The receiver's name.
    pub receiver: String,
    /// The group's key, the same for all messages about one group.
    pub group_key: String,
    /// The labels that the group has in common by definition.
    pub group_labels: Labels,
    /// The alerts, in the order in which they are shown.
    pub alerts: Vec<Told>,
    /// Where people find us.
    pub external_url: String,
}

impl Notification {
    /// `firing` as long as one alert fires.
    pub fn status(&self) -> &'static str {
        if self.alerts.iter().any(|told| !told.resolved) { "firing" } else { "resolved" }
    }
    /// The labels that all alerts have with one value.
    pub fn common_labels(&self) -> Labels {
        common(self.alerts.iter().map(|told| &told.alert.labels))
    }
    /// The annotations that all alerts have with one value.
    pub fn common_annotations(&self) -> Labels {
        common(self.alerts.iter().map(|told| &told.alert.annotations))
    }

    /// What templates see as `.`.
    pub fn template_data(&self) -> Value {
        let key_values = |labels: &Labels| Value::texts(MapKind::KeyValues, labels);
        let alert = |told: &Told| {
            let ends = told.ends_at().map_or(ZERO_TIME_MS, Timestamp::millis);
            Value::record(
                "template.Alert",
                vec![
                    ("Status", Value::text(told.status())),
                    ("Labels", key_values(&told.alert.labels)),
                    ("Annotations", key_values(&told.alert.annotations)),
                    ("StartsAt", Value::Time(GoTime::from_millis(told.alert.starts_at.millis()))),
                    ("EndsAt", Value::Time(GoTime::from_millis(ends))),
                    ("GeneratorURL", Value::text(&told.alert.generator_url)),
                    ("Fingerprint", Value::text(told.alert.fingerprint().to_string())),
                ],
            )
        };
        Value::record(
            "*template.Data",
            vec![
                ("Receiver", Value::text(&self.receiver)),
                ("Status", Value::text(self.status())),
                ("Alerts", Value::list_of(ListKind::Alerts, self.alerts.iter().map(alert).collect())),
                ("GroupLabels", key_values(&self.group_labels)),
                ("CommonLabels", key_values(&self.common_labels())),
                ("CommonAnnotations", key_values(&self.common_annotations())),
                ("ExternalURL", Value::text(&self.external_url)),
            ],
        )
    }
}

fn common<'a>(mut sets: impl Iterator<Item = &'a Labels> + Clone) -> Labels {
    let Some(first) = sets.next() else { return Labels::empty() };
    Labels::from_pairs(first.iter().filter(|(name, value)| sets.clone().all(|other| other.get(name) == Some(value))))
}

/// The order in which alerts are shown: by job, by instance, then by all labels.
pub(in crate::manager) fn sort(alerts: &mut [Told]) {
    // An alert without the label comes after those that have it.
    fn key(labels: &Labels) -> (bool, &str, bool, &str) {
        let (job, instance) = (labels.get("job"), labels.get("instance"));
        (job.is_none(), job.unwrap_or(""), instance.is_none(), instance.unwrap_or(""))
    }
    alerts.order_by(|a, b| {
        let (a, b) = (&a.alert.labels, &b.alert.labels);
        key(a).cmp(&key(b)).then_with(|| a.len().cmp(&b.len())).then_with(|| a.cmp(b))
    });
}

#[cfg(test)]
mod tests {
    use super::super::alert::NewAlert;
    use super::*;

    #[test]
    fn what_alerts_have_in_common() {
        let told = |pairs: &[(&str, &str)], resolved| {
            let labels = pairs.iter().map(|(n, v)| ((*n).into(), (*v).into())).collect();
            let alert = NewAlert { labels, starts_at: Some(Timestamp(1_000)), ..NewAlert::default() }.complete(Timestamp(2_000), 1).unwrap();
            Told { alert: Arc::new(alert), resolved }
        };
        let mut alerts = vec![told(&[("a", "1"), ("b", "x")], true), told(&[("a", "1"), ("b", "y"), ("job", "j")], false)];
        sort(&mut alerts);
        assert_eq!(alerts[0].alert.labels.get("job"), Some("j"), "with a job comes first");
        let all =
            Notification { id: String::new(), receiver: "r".into(), group_key: "k".into(), group_labels: Labels::empty(), alerts, external_url: String::new() };
        assert_eq!(all.common_labels().to_string(), r#"{a="1"}"#);
        assert_eq!(all.status(), "firing");
        assert_eq!((all.alerts[0].ends_at_text(), all.alerts[1].ends_at_text()), (ZERO_TIME.to_owned(), "1970-01-01T00:00:02.001Z".to_owned()));
        assert_eq!(Timestamp(ZERO_TIME_MS).rfc3339(), ZERO_TIME);
    }
}
