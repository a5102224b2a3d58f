//! Tokens as Grafana's tools make them: `/api/auth/keys` and `/api/serviceaccounts`. They are tokens like all others, under names that say whose
//! they are; a service account is an entry of its own, which nobody knows the token of. It decides nothing about access.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, RawQuery, Request};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::{Value, json};
use url::form_urlencoded;
use watchfire_model::time::Timestamp;
use watchfire_net::inflate::Limits;

use super::Caller;
use super::level::Level;
use super::routes::{BODY_BYTES_MAX, internal, json as body_of, off_reactor};
use super::service::{Auth, NAMES_MAX, random_token};
use crate::grafana::number_of;
use crate::server::{Content, Refusal, Route};

/// What names of service accounts begin with; the name of a token of theirs follows after a dot.
const ACCOUNT: &str = "sa-";
/// The longest name of an account, a token or a key.
const NAME_CHARS_MAX: usize = 28;

type Found = (String, Level, i64);

/// The routes.
pub(super) fn routes<S: Clone + Send + Sync + 'static>(auth: &Arc<Auth>) -> Vec<Route<S>> {
    /// A handler that brings the service along.
    macro_rules! with {
        (|$auth:ident $(, $arg:pat => $type:ty)*| $body:expr) => {{
            let shared = auth.clone();
            move |$($arg: $type),*| { let $auth = shared.clone(); async move { $body } }
        }};
    }
    let id = |route: Route<S>| route.path_parameter("id", "Its number");
    let tokens = "/api/serviceaccounts/{id}/tokens";
    let all = vec![
        Route::get("/api/auth/keys", Level::Admin, with!(|auth| Json(keys(&auth)))).summary("Tokens, as Grafana lists API keys"),
        Route::post("/api/auth/keys", Level::Admin, with!(|auth, caller => Caller, request => Request| make_key(&auth, &caller, request).await))
            .takes(Content::Json)
            .summary("Makes a token, as Grafana makes an API key"),
        id(Route::delete("/api/auth/keys/{id}", Level::Admin, with!(|auth, caller => Caller, Path(id) => Path<String>| remove_key(&auth, &caller, &id).await)))
            .summary("Revokes a token"),
        Route::get("/api/serviceaccounts/search", Level::Admin, with!(|auth, RawQuery(query) => RawQuery| Json(search(&auth, query.as_deref().unwrap_or("")))))
            .summary("Service accounts")
            .query_parameter("query", "Part of a name")
            .query_parameter("perpage", "How many; 1000 by default")
            .query_parameter("page", "Which page of so many, from 1"),
        Route::post("/api/serviceaccounts", Level::Admin, with!(|auth, caller => Caller, request => Request| make_account(&auth, &caller, request).await))
            .takes(Content::Json)
            .summary("Makes a service account"),
        id(Route::get("/api/serviceaccounts/{id}", Level::Admin, with!(|auth, Path(id) => Path<String>| account(&auth, &id).map(|a| Json(shown(&auth, &a))))))
            .summary("One service account"),
        id(Route::delete(
            "/api/serviceaccounts/{id}",
            Level::Admin,
            with!(|auth, caller => Caller, Path(id) => Path<String>| remove_account(&auth, &caller, &id).await),
        ))
        .summary("Removes a service account with its tokens"),
        id(Route::get(tokens, Level::Admin, with!(|auth, Path(id) => Path<String>| account(&auth, &id).map(|a| Json(tokens_of(&auth, &a))))))
            .summary("Its tokens"),
        id(Route::post(
            tokens,
            Level::Admin,
            with!(|auth, caller => Caller, Path(id) => Path<String>, request => Request| make_token(&auth, &caller, &id, request).await),
        ))
        .takes(Content::Json)
        .summary("Makes a token for it"),
        id(Route::delete(
            "/api/serviceaccounts/{id}/tokens/{token}",
            Level::Admin,
            with!(|auth, caller => Caller, Path((id, token)) => Path<(String, String)>| remove_token(&auth, &caller, &id, &token).await),
        ))
        .path_parameter("token", "The token's number")
        .summary("Revokes one of its tokens"),
    ];
    all.into_iter().map(|route| route.errors(crate::grafana::envelope).body_limits(Limits::both(BODY_BYTES_MAX)).tag("grafana")).collect()
}

/// A name without anything that names of tokens cannot have; dots stand between an account and its token.
fn name(body: &Value) -> Result<String, Refusal> {
    let given = body["name"].as_str().unwrap_or_default().trim();
    if given.is_empty() || given.chars().count() > NAME_CHARS_MAX {
        return Err(Refusal::bad_request(format!("name must have 1 to {NAME_CHARS_MAX} characters")));
    }
    Ok(given.chars().map(|c| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_') { c } else { '-' }).collect())
}

/// What a role may do here. Nobody gets more than was asked for.
fn level(body: &Value) -> Result<Level, Refusal> {
    match body["role"].as_str().unwrap_or("Viewer") {
        "" | "Viewer" => Ok(Level::Read),
        "Admin" => Ok(Level::Admin),
        "None" => Err(Refusal::bad_request("there is no role None here: every token may look at least, which is Viewer")),
        "Editor" => Err(Refusal::bad_request("there is no role Editor here: who may change dashboards is Admin, who may look is Viewer")),
        _ => Err(Refusal::bad_request("invalid role value: it is Viewer or Admin")),
    }
}

fn role(level: Level) -> &'static str {
    if level == Level::Admin { "Admin" } else { "Viewer" }
}

fn check_life(body: &Value) -> Result<(), Refusal> {
    match body["secondsToLive"].as_i64() {
        Some(seconds) if seconds > 0 => Err(Refusal::bad_request("tokens do not expire here: leave secondsToLive out, and revoke them")),
        _ => Ok(()),
    }
}

fn is_account(name: &str) -> bool {
    name.starts_with(ACCOUNT) && !name.contains('.')
}

fn number(id: &str) -> Result<i64, Refusal> {
    id.parse().map_err(|_| Refusal::bad_request("id is invalid"))
}

/// Keeps a token under a name that nobody has.
async fn put(auth: &Arc<Auth>, caller: &Caller, name: String, level: Level, taken: (StatusCode, &'static str)) -> Result<(String, String), Refusal> {
    let by = caller.name.clone();
    off_reactor(auth, move |auth| {
        let known = auth.token_list();
        if known.iter().any(|(other, ..)| *other == name) {
            return Err(Refusal::new(taken.0, "exists", taken.1));
        }
        if known.len() >= NAMES_MAX {
            return Err(Refusal::unprocessable("there are too many tokens; revoke some first"));
        }
        let token = random_token().map_err(internal)?;
        auth.put_token(&name, &token, level).map_err(internal)?;
        tracing::info!(name, level = level.word(), by = &*by, "token made");
        Ok((name, token.expose().to_owned()))
    })
    .await
}

async fn forget(auth: &Arc<Auth>, caller: &Caller, names: Vec<String>) -> Result<(), Refusal> {
    let by = caller.name.clone();
    off_reactor(auth, move |auth| {
        for name in names {
            auth.remove_token(&name).map_err(internal)?;
            tracing::info!(name, by = &*by, "token revoked");
        }
        Ok(())
    })
    .await
}

fn keys(auth: &Auth) -> Value {
    let own = auth.token_list().into_iter().filter(|(name, ..)| !name.starts_with(ACCOUNT));
    own.map(|(name, level, _)| json!({"id": number_of(&name), "name": name, "role": role(level)})).collect()
}

async fn make_key(auth: &Arc<Auth>, caller: &Caller, request: Request) -> Result<Json<Value>, Refusal> {
    let body: Value = body_of(request).await?;
    let (name, level) = (name(&body)?, level(&body)?);
    check_life(&body)?;
    if name.starts_with(ACCOUNT) {
        return Err(Refusal::bad_request("names that begin with sa- are those of service accounts"));
    }
    let (name, key) = put(auth, caller, name, level, (StatusCode::CONFLICT, "API key, organization ID and name must be unique")).await?;
    Ok(Json(json!({"id": number_of(&name), "name": name, "key": key})))
}

async fn remove_key(auth: &Arc<Auth>, caller: &Caller, id: &str) -> Result<Json<Value>, Refusal> {
    let id = number(id)?;
    let known = auth.token_list().into_iter().map(|(name, ..)| name).find(|name| !name.starts_with(ACCOUNT) && number_of(name) == id);
    forget(auth, caller, vec![known.ok_or_else(|| Refusal::not_found("API key not found"))?]).await?;
    Ok(Json(json!({"message": "API key deleted"})))
}

/// The account of a number.
fn account(auth: &Auth, id: &str) -> Result<Found, Refusal> {
    let id = number(id)?;
    auth.token_list().into_iter().find(|(name, ..)| is_account(name) && number_of(name) == id).ok_or_else(|| Refusal::not_found("service account not found"))
}

/// Names and ages of its tokens.
fn of_account(auth: &Auth, account: &str) -> Vec<Found> {
    auth.token_list().into_iter().filter(|(name, ..)| name.strip_prefix(account).is_some_and(|rest| rest.starts_with('.'))).collect()
}

fn shown(auth: &Auth, (name, level, created_ms): &Found) -> Value {
    json!({
        "id": number_of(name), "name": name.strip_prefix(ACCOUNT), "login": name, "orgId": 1, "isDisabled": false, "role": role(*level), "avatarUrl": "",
        "tokens": of_account(auth, name).len(), "createdAt": Timestamp(*created_ms).rfc3339(),
    })
}

fn search(auth: &Auth, query: &str) -> Value {
    let asked: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let of = |name: &str| asked.iter().find(|(n, _)| n == name).map(|(_, value)| value.to_lowercase()).unwrap_or_default();
    let (word, per_page) = (of("query"), of("perpage").parse().ok().filter(|n| *n > 0).unwrap_or(1_000usize));
    let page = of("page").parse().ok().filter(|n| *n > 0).unwrap_or(1usize);
    let all: Vec<Found> = auth.token_list().into_iter().filter(|(name, ..)| is_account(name) && name.to_lowercase().contains(&word)).collect();
    let list: Vec<Value> = all.iter().skip((page - 1).saturating_mul(per_page)).take(per_page).map(|a| shown(auth, a)).collect();
    json!({"totalCount": all.len(), "serviceAccounts": list, "page": page, "perPage": per_page})
}

async fn make_account(auth: &Arc<Auth>, caller: &Caller, request: Request) -> Result<Response, Refusal> {
    let body: Value = body_of(request).await?;
    let (name, level) = (format!("{ACCOUNT}{}", name(&body)?), level(&body)?);
    // The token of the entry itself goes nowhere.
    let (name, _) = put(auth, caller, name, level, (StatusCode::BAD_REQUEST, "service account already exists")).await?;
    let made = account(auth, &number_of(&name).to_string())?;
    Ok((StatusCode::CREATED, Json(shown(auth, &made))).into_response())
}

async fn remove_account(auth: &Arc<Auth>, caller: &Caller, id: &str) -> Result<Json<Value>, Refusal> {
    let (name, ..) = account(auth, id)?;
    let mut names: Vec<String> = of_account(auth, &name).into_iter().map(|(name, ..)| name).collect();
    names.push(name);
    forget(auth, caller, names).await?;
    Ok(Json(json!({"message": "Service account deleted"})))
}

fn tokens_of(auth: &Auth, (account, ..): &Found) -> Value {
    let token = |(name, _, created_ms): Found| {
        let shown = name.rsplit_once('.').map_or("", |(_, token)| token);
        json!({
            "id": number_of(&name), "name": shown, "created": Timestamp(created_ms).rfc3339(), "lastUsedAt": null, "expiration": null,
            "secondsUntilExpiration": 0, "hasExpired": false, "isRevoked": false,
        })
    };
    of_account(auth, account).into_iter().map(token).collect()
}

async fn make_token(auth: &Arc<Auth>, caller: &Caller, id: &str, request: Request) -> Result<Json<Value>, Refusal> {
    let body: Value = body_of(request).await?;
    let (account, level, _) = account(auth, id)?;
    check_life(&body)?;
    let name = name(&body)?;
    let taken = (StatusCode::CONFLICT, "service account token with given name already exists in the organization");
    let (full, key) = put(auth, caller, format!("{account}.{name}"), level, taken).await?;
    Ok(Json(json!({"id": number_of(&full), "name": name, "key": key})))
}

async fn remove_token(auth: &Arc<Auth>, caller: &Caller, id: &str, token: &str) -> Result<Json<Value>, Refusal> {
    let ((account, ..), token) = (account(auth, id)?, number(token)?);
    let known = of_account(auth, &account).into_iter().map(|(name, ..)| name).find(|name| number_of(name) == token);
    forget(auth, caller, vec![known.ok_or_else(|| Refusal::not_found("service account token not found"))?]).await?;
    Ok(Json(json!({"message": "Service account token deleted"})))
}
