//! Silences: set, changed, ended, listed.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Request, State};
use http::{StatusCode, Uri};
use watchfire_alert::manager::silences::{SILENCE_BYTES_MAX, Silence, SilenceError, SilenceState};
use watchfire_model::matcher::Matcher;
use watchfire_model::order::Order as _;
use watchfire_model::text::shortened;
use watchfire_model::time::Timestamp;

use super::shapes::{self, PostedSilence, SilenceId, time};
use super::{Query, blocking};
use crate::app::App;
use crate::server::Refusal;

fn refused(error: SilenceError) -> Refusal {
    let message = error.to_string();
    match error {
        SilenceError::NotFound(_) => Refusal::not_found(message),
        SilenceError::Invalid(_) => Refusal::bad_request(message),
        SilenceError::Full => Refusal::new(StatusCode::INSUFFICIENT_STORAGE, "full", message),
        SilenceError::NotStored(_) => Refusal::unavailable(message, 5),
    }
}

/// Whether a silence is about what a filter asks for: it has a matcher on that label that says the same.
fn is_wanted(silence: &Silence, filter: &[Matcher]) -> bool {
    filter.iter().all(|wanted| {
        let same = |m: &Matcher| m.name == wanted.name && m.op == wanted.op && m.value == wanted.value;
        let value = |m: &Matcher| m.name == wanted.name && wanted.matches_value(&m.value);
        let named = silence.matchers.iter().any(|m| same(m) || value(m));
        // What a silence does not mention is like an empty value.
        named || (!silence.matchers.iter().any(|m| m.name == wanted.name) && wanted.matches_empty())
    })
}

/// Active ones by their end, pending ones by their begin, expired ones the newest first.
fn order(a: &Silence, b: &Silence, now: Timestamp) -> std::cmp::Ordering {
    a.state(now).cmp(&b.state(now)).then_with(|| match a.state(now) {
        SilenceState::Active => a.ends_at.cmp(&b.ends_at),
        SilenceState::Pending => a.starts_at.cmp(&b.starts_at),
        SilenceState::Expired => b.ends_at.cmp(&a.ends_at),
    })
}

pub(super) async fn list(State(app): State<Arc<App>>, uri: Uri) -> Result<Json<Vec<shapes::Silence>>, Refusal> {
    let filter = Query::of(&uri).matchers("filter")?;
    blocking(move || {
        let now = app.now();
        let mut all: Vec<Silence> = app.rooms.alertmanager.silences().into_iter().filter(|s| is_wanted(s, &filter)).collect();
        all.order_by(|a, b| order(a, b, now));
        Json(all.iter().map(|s| shapes::Silence::of(s, now)).collect())
    })
    .await
}

pub(super) async fn get(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Json<shapes::Silence>, Refusal> {
    let found = blocking(move || app.rooms.alertmanager.silence(&id).map(|s| shapes::Silence::of(&s, app.now()))).await?;
    found.map(Json).ok_or_else(|| Refusal::not_found("silence not found"))
}

pub(super) async fn set(State(app): State<Arc<App>>, request: Request) -> Result<Json<SilenceId>, Refusal> {
    let body =
        axum::body::to_bytes(request.into_body(), 4 * SILENCE_BYTES_MAX).await.map_err(|_| Refusal::bad_request("the body is too large or broke off"))?;
    let posted: PostedSilence =
        serde_json::from_slice(&body).map_err(|e| Refusal::bad_request(format!("parsing silence body failed: {}", shortened(&e.to_string()))))?;
    let moment = |text: &str, what: &str| {
        time(Some(text)).map_err(Refusal::bad_request)?.ok_or_else(|| Refusal::bad_request(format!("invalid silence: {what} is missing")))
    };
    let silence = Silence {
        matchers: posted.matchers.iter().map(|m| m.matcher().map_err(Refusal::bad_request)).collect::<Result<_, _>>()?,
        starts_at: moment(&posted.starts_at, "startsAt")?,
        ends_at: moment(&posted.ends_at, "endsAt")?,
        updated_at: app.now(),
        id: posted.id.unwrap_or_default(),
        created_by: posted.created_by,
        comment: posted.comment,
    };
    let silence_id = blocking(move || app.rooms.alertmanager.set_silence(silence)).await?.map_err(refused)?;
    Ok(Json(SilenceId { silence_id }))
}

pub(super) async fn expire(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<StatusCode, Refusal> {
    blocking(move || app.rooms.alertmanager.expire_silence(&id)).await?.map_err(refused)?;
    Ok(StatusCode::OK)
}
