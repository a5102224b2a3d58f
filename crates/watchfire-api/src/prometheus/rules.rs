//! `/api/v1/rules`, `/alerts` and `/alertmanagers`, in the shapes that Grafana and promtool's friends read.

use std::collections::HashSet;
use std::sync::Arc;

use axum::extract::{Request, State};
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::json;
use sha2::{Digest, Sha256};
use watchfire_alert::rules::file::{Language, RuleKind};
use watchfire_alert::rules::{AlertState, AlertView, GroupView, RuleView};
use watchfire_model::labels::Labels;
use watchfire_model::matcher::{Matcher, matches_all};
use watchfire_model::number::{format_exponent, special};
use watchfire_model::order::Order as _;
use watchfire_model::time::Timestamp;

use super::answer::{ApiError, Success};
use super::labels::LabelsJson;
use super::params::Params;
use super::promql::selectors;
use crate::app::App;

/// A moment as Go writes it; the zero time when there was none.
fn moment(time: Option<Timestamp>) -> String {
    time.map_or_else(|| "0001-01-01T00:00:00Z".to_owned(), Timestamp::rfc3339)
}

/// A value with an exponent of at least two digits: `1e+00`.
fn value(value: f64) -> String {
    special(value).map_or_else(|| format_exponent(value), str::to_owned)
}

/// Seconds as Go writes them: whole ones without a fraction.
struct Seconds(f64);
impl Serialize for Seconds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.fract() == 0.0 && self.0.abs() < 1e15 { serializer.serialize_i64(self.0 as i64) } else { serializer.serialize_f64(self.0) }
    }
}

/// Names and texts as they are written, empty ones included.
struct Pairs<'a>(&'a [(String, String)]);
impl Serialize for Pairs<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, text) in self.0 {
            map.serialize_entry(name, text)?;
        }
        map.end()
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AlertJson<'a> {
    labels: LabelsJson<'a>,
    annotations: LabelsJson<'a>,
    state: &'static str,
    active_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    keep_firing_since: Option<String>,
    value: String,
}
impl<'a> From<&'a AlertView> for AlertJson<'a> {
    fn from(alert: &'a AlertView) -> AlertJson<'a> {
        AlertJson {
            labels: LabelsJson(&alert.labels),
            annotations: LabelsJson(&alert.annotations),
            state: alert.state.name(),
            active_at: alert.active_at.rfc3339(),
            keep_firing_since: alert.keep_firing_since.map(Timestamp::rfc3339),
            value: value(alert.value),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AlertingJson<'a> {
    state: &'static str,
    name: &'a str,
    query: &'a str,
    duration: Seconds,
    keep_firing_for: Seconds,
    labels: Pairs<'a>,
    annotations: Pairs<'a>,
    /// Nothing when they are not wanted.
    alerts: Option<Vec<AlertJson<'a>>>,
    #[serde(flatten)]
    last: LastJson<'a>,
    r#type: &'static str,
}

#[derive(Serialize)]
struct RecordingJson<'a> {
    name: &'a str,
    query: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    labels: Option<Pairs<'a>>,
    #[serde(flatten)]
    last: LastJson<'a>,
    r#type: &'static str,
}

/// How the last evaluation went.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LastJson<'a> {
    health: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_error: Option<&'a str>,
    evaluation_time: Seconds,
    last_evaluation: String,
}

#[derive(Serialize)]
#[serde(untagged)]
enum RuleJson<'a> {
    Alerting(AlertingJson<'a>),
    Recording(RecordingJson<'a>),
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct GroupJson<'a> {
    name: &'a str,
    file: &'a str,
    /// Only where rules over logs are asked for, too.
    #[serde(skip_serializing_if = "Option::is_none")]
    language: Option<&'static str>,
    rules: Vec<RuleJson<'a>>,
    interval: Seconds,
    limit: usize,
    evaluation_time: Seconds,
    last_evaluation: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RulesJson<'a> {
    groups: Vec<GroupJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group_next_token: Option<String>,
}

fn rule_json(rule: &RuleView, alerts: bool) -> RuleJson<'_> {
    let last = LastJson {
        health: rule.health.name(),
        last_error: rule.last_error.as_deref(),
        evaluation_time: Seconds(rule.duration.as_secs_f64()),
        last_evaluation: moment(rule.last_evaluation),
    };
    match &rule.kind {
        RuleKind::Alert { for_ms, keep_firing_for_ms, annotations } => RuleJson::Alerting(AlertingJson {
            state: rule.state.name(),
            name: &rule.name,
            query: &rule.query,
            duration: Seconds(*for_ms as f64 / 1000.0),
            keep_firing_for: Seconds(*keep_firing_for_ms as f64 / 1000.0),
            labels: Pairs(&rule.labels),
            annotations: Pairs(annotations),
            alerts: alerts.then(|| rule.alerts.iter().map(AlertJson::from).collect()),
            last,
            r#type: "alerting",
        }),
        RuleKind::Record => {
            let labels = (!rule.labels.is_empty()).then(|| Pairs(&rule.labels));
            RuleJson::Recording(RecordingJson { name: &rule.name, query: &rule.query, labels, last, r#type: "recording" })
        }
    }
}

/// What is asked for.
struct Asked {
    alerting: bool,
    recording: bool,
    alerts: bool,
    names: HashSet<String>,
    groups: HashSet<String>,
    files: HashSet<String>,
    matchers: Vec<Vec<Matcher>>,
    page: Option<usize>,
    token: Option<String>,
    /// Whether rules over logs are wanted beside those over metrics, which is an extension of ours.
    logs: bool,
}

impl Asked {
    fn read(params: &Params) -> Result<Asked, ApiError> {
        let kind = params.get("type").unwrap_or("").to_lowercase();
        if !matches!(kind.as_str(), "" | "alert" | "record") {
            return Err(ApiError::parameter("type", format!("not supported value {kind:?}")));
        }
        let set = |name: &'static str| params.all(name).map(str::to_owned).collect();
        let (page, token) = read_page(params)?;
        Ok(Asked {
            alerting: kind != "record",
            recording: kind != "alert",
            alerts: !read_flag(params, "exclude_alerts")?,
            names: set("rule_name[]"),
            groups: set("rule_group[]"),
            files: set("file[]"),
            matchers: selectors(params.all("match[]"))?,
            page,
            token,
            logs: read_flag(params, "logs")?,
        })
    }

    fn wants_group(&self, group: &GroupView) -> bool {
        (self.groups.is_empty() || self.groups.contains(&group.name)) && (self.files.is_empty() || self.files.contains(&*group.file))
    }

    fn wants(&self, rule: &RuleView) -> bool {
        let kind = if rule.kind.is_alert() { self.alerting } else { self.recording };
        let labels = || Labels::from_pairs(rule.labels.iter().map(|(n, v)| (n.as_str(), v.as_str())));
        let matched = self.matchers.is_empty() || {
            let labels = labels();
            self.matchers.iter().any(|set| matches_all(set, &labels))
        };
        kind && (self.names.is_empty() || self.names.contains(&rule.name)) && matched
    }
}

fn read_flag(params: &Params, name: &'static str) -> Result<bool, ApiError> {
    match params.get(name) {
        None | Some("0" | "f" | "F" | "false" | "False" | "FALSE") => Ok(false),
        Some("1" | "t" | "T" | "true" | "True" | "TRUE") => Ok(true),
        Some(text) => Err(ApiError::parameter(name, format!("error converting {name}: {text:?} is neither true nor false"))),
    }
}

fn read_page(params: &Params) -> Result<(Option<usize>, Option<String>), ApiError> {
    let token = params.get("group_next_token").map(str::to_owned);
    let Some(text) = params.get("group_limit") else {
        return match token {
            Some(_) => Err(ApiError::parameter("group_limit", "group_limit needs to be present in order to paginate over the groups")),
            None => Ok((None, None)),
        };
    };
    let limit: i64 = text.parse().map_err(|_| ApiError::parameter("group_limit", format!("group_limit needs to be a valid number: {text:?}")))?;
    match usize::try_from(limit) {
        Ok(limit) if limit > 0 => Ok((Some(limit), token)),
        _ => Err(ApiError::parameter("group_limit", "group_limit needs to be greater than 0")),
    }
}

/// What names a group in a page's end. It says nothing of the group itself.
fn token_of(group: &GroupView) -> String {
    let digest = Sha256::digest(format!("{};{}", group.file, group.name));
    digest.iter().take(20).map(|byte| format!("{byte:02x}")).collect()
}

/// The groups that are asked for, with the token of the first of the next page.
fn page<'a>(groups: &'a [GroupView], asked: &Asked) -> Result<RulesJson<'a>, ApiError> {
    let begin = match &asked.token {
        None => 0,
        Some(token) => groups
            .iter()
            .position(|g| token_of(g) == *token)
            .ok_or_else(|| ApiError::parameter("group_next_token", format!("invalid group_next_token '{token}'. were rule groups changed?")))?,
    };
    let mut answer = RulesJson { groups: Vec::new(), group_next_token: None };
    for group in groups.iter().skip(begin).filter(|g| asked.wants_group(g)) {
        let rules: Vec<_> = group.rules.iter().filter(|r| asked.wants(r)).map(|r| rule_json(r, asked.alerts)).collect();
        if rules.is_empty() {
            continue;
        }
        if asked.page.is_some_and(|max| answer.groups.len() == max) {
            answer.group_next_token = Some(token_of(group));
            break;
        }
        answer.groups.push(GroupJson {
            name: &group.name,
            file: &group.file,
            language: asked.logs.then_some(match group.language {
                Language::Metrics => "promql",
                Language::Logs => "logql",
            }),
            rules,
            interval: Seconds(group.interval.as_secs_f64()),
            limit: group.limit,
            evaluation_time: Seconds(group.duration.as_secs_f64()),
            last_evaluation: moment(group.last_evaluation),
        });
    }
    Ok(answer)
}

/// `GET /api/v1/rules`.
pub(crate) async fn rules(State(app): State<Arc<App>>, request: Request) -> Result<Success, ApiError> {
    let params = Params::read(request).await?;
    let logs = read_flag(&params, "logs")?;
    let mut groups = (app.rooms.rule_groups)();
    groups.retain(|group| logs || group.language == Language::Metrics);
    groups.order_by(|a, b| (&a.file, &a.name).cmp(&(&b.file, &b.name)));
    listed(&groups, &params)
}

/// What is asked for of groups, in their order.
pub(crate) fn listed(groups: &[GroupView], params: &Params) -> Result<Success, ApiError> {
    Ok(Success::of(&page(groups, &Asked::read(params)?)?))
}

/// `GET /api/v1/alerts`.
pub(crate) async fn alerts(State(app): State<Arc<App>>) -> Success {
    let mut groups = (app.rooms.rule_groups)();
    groups.retain(|group| group.language == Language::Metrics);
    active_alerts(&groups)
}

/// The alerts of groups that are not over.
pub(crate) fn active_alerts(groups: &[GroupView]) -> Success {
    let all = groups.iter().flat_map(|g| &g.rules).flat_map(|r| &r.alerts);
    Success::of(&json!({ "alerts": all.filter(|a| a.state != AlertState::Inactive).map(AlertJson::from).collect::<Vec<_>>() }))
}

/// `GET /api/v1/alertmanagers`.
pub(crate) async fn alertmanagers(State(app): State<Arc<App>>) -> Success {
    let active: Vec<_> = (app.rooms.alertmanagers)().into_iter().map(|url| json!({ "url": url })).collect();
    Success::of(&json!({ "activeAlertmanagers": active, "droppedAlertmanagers": [] }))
}
