//! Alerts: taken from senders, listed alone and by group.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::response::Response;
use http::{StatusCode, Uri};
use watchfire_alert::manager::alert::NewAlert;
use watchfire_alert::manager::engine::AlertFilter;
use watchfire_model::matcher::{MatchOp, Matcher, anchored};
use watchfire_model::text::shortened;
use watchfire_net::inflate::DECOMPRESSED_BYTES_MAX;

use super::shapes::{Alert, Group, PostedAlert, time};
use super::{Query, blocking, refused_some};
use crate::app::App;
use crate::server::Refusal;

/// The most alerts of one request.
const POSTED_MAX: usize = 20_000;

fn filter(uri: &Uri) -> Result<AlertFilter, Refusal> {
    let query = Query::of(uri);
    query.flag("unprocessed", true)?;
    let mut receiver = query
        .first("receiver")
        .map(|text| anchored(text).map_err(|e| Refusal::bad_request(format!("failed to parse receiver param: {}", shortened(&e.to_string())))))
        .transpose()?;
    for matcher in query.matchers("receiver_matchers")? {
        // One of them is as good as an expression; others would need more than the original documents.
        receiver = Some(receiver_expression(&matcher)?);
    }
    Ok(AlertFilter {
        active: query.flag("active", true)?,
        silenced: query.flag("silenced", true)?,
        inhibited: query.flag("inhibited", true)?,
        muted: query.flag("muted", true)?,
        matchers: query.matchers("filter")?,
        receiver,
    })
}

fn receiver_expression(matcher: &Matcher) -> Result<regex::Regex, Refusal> {
    let pattern = match matcher.op {
        MatchOp::Equal => regex::escape(&matcher.value),
        MatchOp::Regex => matcher.value.clone(),
        MatchOp::NotEqual | MatchOp::NotRegex => return Err(Refusal::bad_request("receiver_matchers may only say which receivers are wanted")),
    };
    anchored(&pattern).map_err(|e| Refusal::bad_request(e.to_string()))
}

pub(super) async fn list(State(app): State<Arc<App>>, uri: Uri) -> Result<Json<Vec<Alert>>, Refusal> {
    let filter = filter(&uri)?;
    blocking(move || Json(app.rooms.alertmanager.alerts(&filter).iter().map(Alert::of).collect())).await
}

pub(super) async fn groups(State(app): State<Arc<App>>, uri: Uri) -> Result<Json<Vec<Group>>, Refusal> {
    let filter = filter(&uri)?;
    blocking(move || Json(app.rooms.alertmanager.groups(&filter).iter().map(Group::of).collect())).await
}

/// Good alerts are taken even if others are not. What could not be stored is answered 503, so that the sender says it again.
pub(super) async fn take(State(app): State<Arc<App>>, request: Request) -> Result<Response, Refusal> {
    let body = axum::body::to_bytes(request.into_body(), DECOMPRESSED_BYTES_MAX).await.map_err(|_| Refusal::bad_request("the body broke off"))?;
    let posted: Vec<PostedAlert> =
        serde_json::from_slice(&body).map_err(|e| Refusal::bad_request(format!("parsing alerts body failed: {}", shortened(&e.to_string()))))?;
    if posted.len() > POSTED_MAX {
        return Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", format!("more than {POSTED_MAX} alerts at once")));
    }
    let mut refused = Vec::new();
    let mut good = Vec::with_capacity(posted.len());
    for alert in posted {
        match new_alert(alert) {
            Ok(alert) => good.push(alert),
            Err(error) => refused.push(error),
        }
    }
    let taken = blocking(move || app.rooms.alertmanager.take(good)).await?;
    refused.extend(taken.refused.iter().map(|(_, error)| error.to_string()));
    if !taken.stored {
        return Err(Refusal::unavailable("the alerts could not be stored; people are told of them all the same", 5));
    }
    refused_some(&refused)
}

fn new_alert(posted: PostedAlert) -> Result<NewAlert, String> {
    Ok(NewAlert {
        labels: posted.labels.into_iter().collect(),
        annotations: posted.annotations.unwrap_or_default().into_iter().collect(),
        starts_at: time(posted.starts_at.as_deref())?,
        ends_at: time(posted.ends_at.as_deref())?,
        generator_url: posted.generator_url.unwrap_or_default(),
    })
}
