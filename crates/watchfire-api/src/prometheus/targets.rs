//! `/api/v1/targets`, `/targets/metadata` and `/scrape_pools`: what is scraped and how it goes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::extract::{Request, State};
use serde::Serialize;
use watchfire_model::batch::Metadata;
use watchfire_model::duration::format_millis;
use watchfire_model::labels::Labels;
use watchfire_model::live::TargetStatus;
use watchfire_model::matcher::{Matcher, matches_all};
use watchfire_model::order::Order as _;
use watchfire_model::read::{Budget, Selection};

use super::answer::{ApiError, Success};
use super::gate::run;
use super::labels::LabelsJson;
use super::params::Params;
use super::promql::selectors;
use crate::app::App;

/// How far back a target's series are looked for, in milliseconds.
const METADATA_WINDOW_MS: i64 = 5 * 60 * 1000;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ActiveJson<'a> {
    discovered_labels: LabelsJson<'a>,
    labels: LabelsJson<'a>,
    scrape_pool: &'a str,
    scrape_url: &'a str,
    global_url: &'a str,
    last_error: &'a str,
    last_scrape: String,
    last_scrape_duration: f64,
    health: &'static str,
    scrape_interval: String,
    scrape_timeout: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    alias_of: Option<&'a str>,
}
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DroppedJson<'a> {
    discovered_labels: LabelsJson<'a>,
    scrape_pool: &'a str,
}
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TargetsJson<'a> {
    active_targets: Vec<ActiveJson<'a>>,
    dropped_targets: Vec<DroppedJson<'a>>,
    dropped_target_counts: BTreeMap<&'a str, u64>,
}

fn active(target: &TargetStatus) -> ActiveJson<'_> {
    let last = target.last.as_ref();
    ActiveJson {
        discovered_labels: LabelsJson(&target.discovered_labels),
        labels: LabelsJson(&target.labels),
        scrape_pool: &target.scrape_pool,
        scrape_url: &target.scrape_url,
        global_url: &target.scrape_url,
        last_error: last.map_or("", |l| &l.error),
        last_scrape: last.map_or_else(|| "0001-01-01T00:00:00Z".to_owned(), |l| l.at.rfc3339_millis()),
        last_scrape_duration: last.map_or(0.0, |l| l.duration_s),
        health: last.map_or("unknown", |l| if l.error.is_empty() { "up" } else { "down" }),
        scrape_interval: format_millis(target.interval_ms),
        scrape_timeout: format_millis(target.timeout_ms),
        alias_of: target.alias_of.as_deref(),
    }
}

/// `GET /api/v1/targets`.
pub(crate) async fn targets(State(app): State<Arc<App>>, request: Request) -> Result<Success, ApiError> {
    let params = Params::read(request).await?;
    let state = params.get("state").unwrap_or("any").to_lowercase();
    let pool = params.get("scrapePool");
    let mut all = (app.rooms.targets)();
    all.retain(|t| pool.is_none_or(|p| p == t.scrape_pool));
    all.order_by(|a, b| (&a.scrape_pool, &a.scrape_url).cmp(&(&b.scrape_pool, &b.scrape_url)));
    let mut answer = TargetsJson { active_targets: Vec::new(), dropped_targets: Vec::new(), dropped_target_counts: BTreeMap::new() };
    for target in &all {
        let dropped = answer.dropped_target_counts.entry(&target.scrape_pool).or_default();
        if target.dropped {
            *dropped += 1;
            if matches!(state.as_str(), "any" | "dropped") {
                answer.dropped_targets.push(DroppedJson { discovered_labels: LabelsJson(&target.discovered_labels), scrape_pool: &target.scrape_pool });
            }
        } else if matches!(state.as_str(), "any" | "active") {
            answer.active_targets.push(active(target));
        }
    }
    Ok(Success::of(&answer))
}

/// `GET /api/v1/scrape_pools`.
pub(crate) async fn scrape_pools(State(app): State<Arc<App>>) -> Success {
    let pools: BTreeSet<String> = (app.rooms.scrape_pools)().into_iter().collect();
    Success::of(&BTreeMap::from([("scrapePools", pools)]))
}

#[derive(Serialize)]
struct TargetMetadataJson<'a> {
    target: LabelsJson<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metric: Option<&'a str>,
    #[serde(rename = "type")]
    kind: &'static str,
    help: &'a str,
    unit: &'a str,
}

/// `GET /api/v1/targets/metadata`.
pub(crate) async fn targets_metadata(State(app): State<Arc<App>>, request: Request) -> Result<Success, ApiError> {
    let params = Params::read(request).await?;
    let limit = match params.get("limit") {
        None => usize::MAX,
        Some(text) => text.parse::<i64>().map(|n| usize::try_from(n).unwrap_or(usize::MAX)).map_err(|_| ApiError::bad_data("limit must be a number"))?,
    };
    let wanted = selectors(params.get("match_target").into_iter())?.pop().unwrap_or_default();
    let metric = params.get("metric").map(str::to_owned);
    run(&app, None, move |app, budget| {
        let targets: Vec<_> = (app.rooms.targets)().into_iter().filter(|t| !t.dropped && matches_all(&wanted, &t.labels)).collect();
        let known = app.rooms.source.metadata();
        let mut list = Vec::new();
        for target in &targets {
            let families = families_of(app, budget, &target.labels)?;
            let of_target = known.iter().filter(|m| metric.as_deref().is_none_or(|w| w == &*m.family) && exposes(&families, m));
            list.extend(of_target.map(|m| TargetMetadataJson {
                target: LabelsJson(&target.labels),
                metric: metric.is_none().then_some(&*m.family),
                kind: m.kind.name(),
                help: &m.help,
                unit: &m.unit,
            }));
        }
        if list.is_empty() && (metric.is_some() || !wanted.is_empty()) {
            return Err(ApiError::new(super::answer::ErrorKind::NotFound, "specified metadata not found"));
        }
        list.truncate(limit);
        Ok(Success::of(&list))
    })
    .await
}

/// The names of the metrics that a target delivered lately.
fn families_of(app: &App, budget: &Budget, target: &Labels) -> Result<BTreeSet<String>, ApiError> {
    let matchers = target.iter().map(|(n, v)| Matcher::equal(n, v)).collect();
    let end = app.now();
    let selection = Selection { matchers, start: end.plus_ms(-METADATA_WINDOW_MS), end };
    Ok(app.rooms.source.label_values("__name__", &selection, budget)?.into_iter().collect())
}

/// Whether a family is among the names, directly or by one of the series of a histogram or summary.
fn exposes(names: &BTreeSet<String>, family: &Metadata) -> bool {
    names.contains(&*family.family)
        || ["_bucket", "_count", "_sum", "_total", "_info"].iter().any(|suffix| names.contains(&format!("{}{suffix}", family.family)))
}
