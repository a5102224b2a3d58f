//! The routes of authentication: log in, log out, who am I, tokens and users. They only speak JSON.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Request};
use axum::response::{IntoResponse, Response};
use http::header::SET_COOKIE;
use http::{HeaderMap, HeaderValue, StatusCode};
#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use watchfire_model::time::Timestamp;
use watchfire_net::blocking::spawn_blocking;
use watchfire_net::inflate::Limits;
use watchfire_net::listener::Peer;
use watchfire_net::secret::Secret;

use super::records::{Subject, is_name, sha256_hex};
use super::service::{Auth, AuthError, COOKIE_NAME, NAMES_MAX, cookie, random_token};
use super::{Caller, Level, Via};
use crate::server::{Refusal, Route};

/// The largest body of these routes.
pub(super) const BODY_BYTES_MAX: usize = 16 << 10;

/// What a log-in sends: a name with a password, or a token.
#[derive(Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
struct LogIn {
    /// The user's name.
    #[serde(default)]
    username: String,
    /// The user's password.
    #[serde(default)]
    password: String,
    /// A token instead of both.
    #[serde(default)]
    token: String,
}

/// Who the caller is.
#[derive(Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
struct Session {
    /// Whether the caller may do more than an unknown one.
    authenticated: bool,
    /// The name of the user or token.
    user: Option<String>,
    /// The highest level that is open to the caller.
    level: Option<&'static str>,
    /// Whether callers must prove who they are.
    auth_enabled: bool,
    /// Whether everybody is let in although the address may be open.
    insecure: bool,
}

/// A token or user without its secret.
#[derive(Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
struct Named {
    name: String,
    level: Level,
    created_at: String,
}

/// A token to be made.
#[derive(Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
struct NewToken {
    /// Its name.
    name: String,
    /// What it may do.
    level: Level,
}

/// A token that was made. It is shown this once.
#[derive(Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
struct MadeToken {
    name: String,
    level: Level,
    /// The token itself.
    token: String,
}

/// A user to be made, or to get a new password.
#[derive(Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
struct NewUser {
    /// The name.
    name: String,
    /// The password.
    password: String,
    /// What the user may do.
    level: Level,
}

/// A new password of one's own.
#[derive(Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
struct NewPassword {
    /// The password until now.
    current: String,
    /// The password from now on.
    new: String,
}

/// All routes.
pub fn routes<S: Clone + Send + Sync + 'static>(auth: &Arc<Auth>) -> Vec<Route<S>> {
    /// A handler that brings the service along.
    macro_rules! with {
        (|$auth:ident $(, $arg:pat => $type:ty)*| $body:expr) => {{
            let shared = auth.clone();
            move |$($arg: $type),*| { let $auth = shared.clone(); async move { $body } }
        }};
    }
    let tag = |route: Route<S>| route.tag("access");
    [
        Route::post("/api/auth/login", Level::Public, with!(|auth, request => Request| log_in(&auth, request).await))
            .json::<LogIn>()
            .answers::<Session>(200, "Logged in; the session is in a cookie.")
            .summary("Log in"),
        Route::post("/api/auth/logout", Level::Public, with!(|auth, headers => HeaderMap| log_out(&auth, headers).await)).summary("Log out"),
        Route::get("/api/auth/session", Level::Public, with!(|auth, caller => Caller| Json(session(&auth, &caller))))
            .answers::<Session>(200, "Who the caller is.")
            .summary("Who am I"),
        Route::post("/api/auth/password", Level::Read, with!(|auth, caller => Caller, request => Request| change_password(&auth, &caller, request).await))
            .json::<NewPassword>()
            .summary("Change one's own password"),
        Route::get("/api/auth/tokens", Level::Admin, with!(|auth| Json(named(auth.token_list()))))
            .answers::<Vec<Named>>(200, "All tokens, without their secrets.")
            .summary("List tokens"),
        Route::post("/api/auth/tokens", Level::Admin, with!(|auth, caller => Caller, request => Request| make_token(auth, &caller, request).await))
            .json::<NewToken>()
            .answers::<MadeToken>(201, "The token, shown this once.")
            .summary("Make a token"),
        Route::delete(
            "/api/auth/tokens/{name}",
            Level::Admin,
            with!(|auth, caller => Caller, Path(name) => Path<String>| off_reactor(&auth, move |auth| removed(auth.remove_token(&name), "token", &name, &caller)).await),
        )
        .path_parameter("name", "The token's name.")
        .summary("Revoke a token"),
        Route::get("/api/auth/users", Level::Admin, with!(|auth| off_reactor(&auth, |auth| auth.user_list().map(|l| Json(named(l))).map_err(internal)).await))
            .answers::<Vec<Named>>(200, "All users.")
            .summary("List users"),
        Route::post("/api/auth/users", Level::Admin, with!(|auth, caller => Caller, request => Request| async { make_user(auth, &caller, json(request).await?).await }.await))
            .json::<NewUser>()
            .summary("Make a user, or change one"),
        Route::delete(
            "/api/auth/users/{name}",
            Level::Admin,
            with!(|auth, caller => Caller, Path(name) => Path<String>| off_reactor(&auth, move |auth| removed(auth.remove_user(&name), "user", &name, &caller)).await),
        )
        .path_parameter("name", "The user's name.")
        .summary("Remove a user"),
    ]
    .into_iter()
    .map(|route| tag(route).body_limits(Limits::both(BODY_BYTES_MAX)))
    .chain(super::keys::routes(auth))
    .collect()
}

pub(super) fn internal(error: AuthError) -> Refusal {
    tracing::error!(%error, "access records cannot be read or written");
    Refusal::internal()
}

/// Runs what writes to the disk or hashes on a thread that may wait.
pub(super) async fn off_reactor<T: Send + 'static>(auth: &Arc<Auth>, work: impl FnOnce(&Auth) -> Result<T, Refusal> + Send + 'static) -> Result<T, Refusal> {
    let auth = auth.clone();
    spawn_blocking(move || work(&auth)).await.map_err(|_| Refusal::internal())?
}

pub(super) async fn json<T: serde::de::DeserializeOwned>(request: Request) -> Result<T, Refusal> {
    let body = axum::body::to_bytes(request.into_body(), BODY_BYTES_MAX).await.map_err(|e| Refusal::bad_request(e.to_string()))?;
    serde_json::from_slice(&body).map_err(|e| Refusal::bad_request(e.to_string()))
}

async fn log_in(auth: &Arc<Auth>, request: Request) -> Result<Response, Refusal> {
    if !auth.is_enabled() {
        return Err(Refusal::unprocessable("authentication is off; there is nothing to log in to"));
    }
    let peer = request.extensions().get::<Peer>().copied();
    let from = peer.map(|p| p.remote.ip());
    let wanted: LogIn = json(request).await?;
    let (subject, name, level, proof) = if wanted.token.is_empty() {
        let (level, proof) = auth.check_password(&wanted.username, Secret::new(wanted.password), from).await?;
        (Subject::User(wanted.username.clone()), wanted.username, level, proof)
    } else {
        let proof = sha256_hex(&wanted.token);
        let (name, level) = auth.check_token(&Secret::new(wanted.token), from)?;
        (Subject::Token(name.clone()), name, level, proof)
    };
    let cookie = off_reactor(auth, move |auth| auth.open_session(subject, proof).map_err(internal)).await?;
    tracing::info!(name, "logged in");
    let session = Session { authenticated: true, user: Some(name), level: Some(level.word()), auth_enabled: true, insecure: false };
    let secure = if peer.is_some_and(|p| p.tls) { "; Secure" } else { "" };
    Ok((set_cookie(&format!("{COOKIE_NAME}={}; Path=/; HttpOnly; SameSite=Strict{secure}", cookie.expose())), Json(session)).into_response())
}

fn set_cookie(text: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if let Ok(mut value) = HeaderValue::from_str(text) {
        value.set_sensitive(true);
        headers.insert(SET_COOKIE, value);
    }
    headers
}

async fn log_out(auth: &Arc<Auth>, headers: HeaderMap) -> Result<Response, Refusal> {
    if let Some(cookie) = cookie(&headers).map(ToOwned::to_owned) {
        off_reactor(auth, move |auth| auth.end_session(&cookie).map_err(internal)).await?;
    }
    Ok((set_cookie(&format!("{COOKIE_NAME}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0")), StatusCode::NO_CONTENT).into_response())
}

fn session(auth: &Auth, caller: &Caller) -> Session {
    let known = caller.via != Via::Nothing;
    Session {
        authenticated: known,
        user: known.then(|| caller.name.to_string()),
        level: caller.rights.words().last().copied(),
        auth_enabled: auth.is_enabled(),
        insecure: auth.is_insecure(),
    }
}

async fn change_password(auth: &Arc<Auth>, caller: &Caller, request: Request) -> Result<StatusCode, Refusal> {
    if !matches!(caller.via, Via::Session | Via::Password) {
        return Err(Refusal::unprocessable("only a user who logged in with a password has one to change"));
    }
    let from = request.extensions().get::<Peer>().map(|p| p.remote.ip());
    let wanted: NewPassword = json(request).await?;
    let (level, _) = auth.check_password(&caller.name, Secret::new(wanted.current), from).await?;
    make_user(auth.clone(), caller, NewUser { name: caller.name.to_string(), password: wanted.new, level }).await
}

fn named(list: Vec<(String, Level, i64)>) -> Vec<Named> {
    list.into_iter().map(|(name, level, created_ms)| Named { name, level, created_at: Timestamp(created_ms).rfc3339() }).collect()
}

async fn make_token(auth: Arc<Auth>, caller: &Caller, request: Request) -> Result<Response, Refusal> {
    let (wanted, by): (NewToken, _) = (json(request).await?, caller.name.clone());
    off_reactor(&auth, move |auth| new_token(auth, &wanted, &by)).await
}

fn new_token(auth: &Auth, wanted: &NewToken, by: &str) -> Result<Response, Refusal> {
    if !is_name(&wanted.name) || wanted.level == Level::Public {
        return Err(Refusal::unprocessable(
            "a token has a name of 1 to 64 letters, digits, dots, hyphens, underscores or @, and the level read, ingest or admin",
        ));
    }
    let known = auth.token_list();
    if known.iter().any(|(name, _, _)| *name == wanted.name) {
        return Err(Refusal::new(StatusCode::CONFLICT, "exists", "there is a token of this name; revoke it first"));
    }
    if known.len() >= NAMES_MAX {
        return Err(Refusal::unprocessable("there are too many tokens; revoke some first"));
    }
    let token = random_token().map_err(internal)?;
    auth.put_token(&wanted.name, &token, wanted.level).map_err(internal)?;
    tracing::info!(name = wanted.name, level = wanted.level.word(), by, "token made");
    let made = MadeToken { name: wanted.name.clone(), level: wanted.level, token: token.expose().to_owned() };
    Ok((StatusCode::CREATED, Json(made)).into_response())
}

async fn make_user(auth: Arc<Auth>, caller: &Caller, wanted: NewUser) -> Result<StatusCode, Refusal> {
    if wanted.level == Level::Public {
        return Err(Refusal::unprocessable("a user has the level read, ingest or admin"));
    }
    if auth.user_list().map_err(internal)?.len() >= NAMES_MAX {
        return Err(Refusal::unprocessable("there are too many users; remove some first"));
    }
    let (name, level) = (wanted.name.clone(), wanted.level);
    off_reactor(&auth, move |auth| auth.put_user(&wanted.name, &Secret::new(wanted.password), wanted.level)).await?;
    tracing::info!(name, level = level.word(), by = &*caller.name, "user made or changed");
    Ok(StatusCode::NO_CONTENT)
}

fn removed(outcome: Result<bool, AuthError>, what: &str, name: &str, caller: &Caller) -> Result<StatusCode, Refusal> {
    match outcome.map_err(internal)? {
        true => {
            tracing::info!(what, name, by = &*caller.name, "removed");
            Ok(StatusCode::NO_CONTENT)
        }
        false => Err(Refusal::not_found("there is nobody of this name")),
    }
}
