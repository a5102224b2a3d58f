//! The JSON of the Alertmanager face.

use std::collections::BTreeMap;

#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use watchfire_alert::manager::engine::{AlertView, GroupView};
use watchfire_alert::manager::silences as domain;
use watchfire_model::labels::Labels;
use watchfire_model::matcher::{MatchOp, Matcher};
use watchfire_model::text::shortened;
use watchfire_model::time::Timestamp;

type Pairs = BTreeMap<String, String>;

pub(super) fn pairs(labels: &Labels) -> Pairs {
    labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// Something that has a name.
#[derive(Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub(super) struct Named {
    pub(super) name: String,
}

/// What an alert is at the moment.
#[derive(Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(super) struct AlertStatus {
    inhibited_by: Vec<String>,
    muted_by: Vec<String>,
    silenced_by: Vec<String>,
    state: &'static str,
}

/// An alert.
#[derive(Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(super) struct Alert {
    annotations: Pairs,
    ends_at: String,
    fingerprint: String,
    receivers: Vec<Named>,
    starts_at: String,
    status: AlertStatus,
    updated_at: String,
    #[serde(rename = "generatorURL", skip_serializing_if = "String::is_empty")]
    generator_url: String,
    labels: Pairs,
}
impl Alert {
    pub(super) fn of(view: &AlertView) -> Alert {
        let alert = &view.alert;
        Alert {
            annotations: pairs(&alert.annotations),
            ends_at: alert.ends_at.rfc3339_millis(),
            fingerprint: view.fingerprint.to_string(),
            receivers: view.receivers.iter().map(|name| Named { name: name.clone() }).collect(),
            starts_at: alert.starts_at.rfc3339_millis(),
            status: AlertStatus {
                inhibited_by: view.inhibited_by.iter().map(ToString::to_string).collect(),
                muted_by: view.muted_by.clone(),
                silenced_by: view.silenced_by.clone(),
                state: view.state(),
            },
            updated_at: alert.updated_at.rfc3339_millis(),
            generator_url: alert.generator_url.clone(),
            labels: pairs(&alert.labels),
        }
    }
}

/// A group of alerts.
#[derive(Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub(super) struct Group {
    alerts: Vec<Alert>,
    labels: Pairs,
    receiver: Named,
}
impl Group {
    pub(super) fn of(view: &GroupView) -> Group {
        Group { alerts: view.alerts.iter().map(Alert::of).collect(), labels: pairs(&view.labels), receiver: Named { name: view.receiver.clone() } }
    }
}

/// An alert as somebody sends it. Times that are missing or the year 1 are filled in.
#[derive(Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(super) struct PostedAlert {
    pub(super) labels: Pairs,
    #[serde(default)]
    pub(super) annotations: Option<Pairs>,
    #[serde(default)]
    pub(super) starts_at: Option<String>,
    #[serde(default)]
    pub(super) ends_at: Option<String>,
    #[serde(default, rename = "generatorURL")]
    pub(super) generator_url: Option<String>,
}

/// A time as senders write it; nothing for Go's zero time.
pub(super) fn time(text: Option<&str>) -> Result<Option<Timestamp>, String> {
    match text {
        None | Some("") => Ok(None),
        Some(text) if text.starts_with("0001-01-01T") => Ok(None),
        Some(text) => Timestamp::parse(text).map(Some).ok_or_else(|| format!("{:?} is not a time such as 2025-12-30T10:15:00Z", shortened(text))),
    }
}

/// A matcher of a silence.
#[derive(Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(super) struct SilenceMatcher {
    #[serde(default = "equal")]
    is_equal: bool,
    is_regex: bool,
    name: String,
    value: String,
}
fn equal() -> bool {
    true
}
impl SilenceMatcher {
    fn of(matcher: &Matcher) -> SilenceMatcher {
        SilenceMatcher {
            is_equal: matches!(matcher.op, MatchOp::Equal | MatchOp::Regex),
            is_regex: matches!(matcher.op, MatchOp::Regex | MatchOp::NotRegex),
            name: matcher.name.clone(),
            value: matcher.value.clone(),
        }
    }
    pub(super) fn matcher(&self) -> Result<Matcher, String> {
        let op = match (self.is_equal, self.is_regex) {
            (true, false) => MatchOp::Equal,
            (false, false) => MatchOp::NotEqual,
            (true, true) => MatchOp::Regex,
            (false, true) => MatchOp::NotRegex,
        };
        Matcher::new(&self.name, op, &self.value).map_err(|e| e.to_string())
    }
}

/// A silence as somebody sets it.
#[derive(Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(super) struct PostedSilence {
    #[serde(default)]
    pub(super) id: Option<String>,
    pub(super) matchers: Vec<SilenceMatcher>,
    pub(super) starts_at: String,
    pub(super) ends_at: String,
    #[serde(default)]
    pub(super) created_by: String,
    #[serde(default)]
    pub(super) comment: String,
}

/// The name of a silence.
#[derive(Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub(super) struct SilenceId {
    #[serde(rename = "silenceID")]
    pub(super) silence_id: String,
}

/// What a silence does at the moment.
#[derive(Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub(super) struct SilenceStatus {
    state: &'static str,
}

/// A silence.
#[derive(Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(super) struct Silence {
    id: String,
    status: SilenceStatus,
    updated_at: String,
    comment: String,
    created_by: String,
    ends_at: String,
    matchers: Vec<SilenceMatcher>,
    starts_at: String,
}
impl Silence {
    pub(super) fn of(silence: &domain::Silence, now: Timestamp) -> Silence {
        Silence {
            id: silence.id.clone(),
            status: SilenceStatus { state: silence.state(now).word() },
            updated_at: silence.updated_at.rfc3339_millis(),
            comment: silence.comment.clone(),
            created_by: silence.created_by.clone(),
            ends_at: silence.ends_at.rfc3339_millis(),
            matchers: silence.matchers.iter().map(SilenceMatcher::of).collect(),
            starts_at: silence.starts_at.rfc3339_millis(),
        }
    }
}

/// How we stand to others: alone.
#[derive(Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub(super) struct Cluster {
    pub(super) name: String,
    pub(super) peers: Vec<String>,
    pub(super) status: &'static str,
}

/// What answers here.
#[derive(Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(super) struct Version {
    pub(super) branch: String,
    pub(super) build_date: String,
    pub(super) build_user: String,
    pub(super) go_version: String,
    pub(super) revision: String,
    pub(super) version: String,
}

/// The configuration.
#[derive(Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub(super) struct Original {
    pub(super) original: String,
}

/// The status.
#[derive(Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(super) struct Status {
    pub(super) cluster: Cluster,
    pub(super) config: Original,
    pub(super) uptime: String,
    pub(super) version_info: Version,
}

/// A notification that nobody could be told.
#[derive(Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub(super) struct DeadLetter {
    pub(super) id: String,
    pub(super) receiver: String,
    pub(super) integration: String,
    pub(super) index: usize,
    pub(super) group_key: String,
    pub(super) reason: String,
    pub(super) first_at: String,
    pub(super) last_at: String,
    pub(super) times: u64,
    pub(super) attempts: u32,
    pub(super) alerts_count: usize,
    pub(super) alerts: Vec<Pairs>,
}

/// Dead letters.
#[derive(Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub(super) struct DeadLetters {
    pub(super) total: usize,
    pub(super) items: Vec<DeadLetter>,
}
