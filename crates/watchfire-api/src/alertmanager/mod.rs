//! The Alertmanager face: `/api/v2/*` as amtool, Grafana and Prometheus' senders use it, and our own list of dead letters. Never
//! under `/alertmanager`: Grafana takes an answer there for another program. It decides nothing; `watchfire-alert` does.

mod alerts;
mod hook;
mod shapes;
mod silences;
mod status;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use url::form_urlencoded;
use watchfire_alert::manager::config::matcher::parse_matchers;
use watchfire_model::matcher::Matcher;
use watchfire_model::text::shortened;

use crate::app::App;
use crate::server::{Level, Refusal, Route};
use watchfire_net::blocking::spawn_blocking;

/// The most parameters that are looked at.
const PARAMS_MAX: usize = 256;

/// The routes of the face.
pub fn routes() -> Vec<Route<Arc<App>>> {
    let all = vec![
        Route::get("/api/v2/status", Level::Read, status::status)
            .summary("Version, configuration without secrets, uptime")
            .answers::<shapes::Status>(200, "The status"),
        Route::get("/api/v2/receivers", Level::Read, status::receivers).summary("Names of receivers").answers::<Vec<shapes::Named>>(200, "All receivers"),
        filtered(Route::get("/api/v2/alerts", Level::Read, alerts::list))
            .summary("Alerts that have not ended")
            .answers::<Vec<shapes::Alert>>(200, "By fingerprint"),
        Route::post("/api/v2/alerts", Level::Ingest, alerts::take)
            .json::<Vec<shapes::PostedAlert>>()
            .telemetry_body()
            .summary("Takes alerts; what is answered 200 is stored"),
        hook("/v1/alerts/webhook"),
        hook("/api/webhooks/alerts"),
        filtered(Route::get("/api/v2/alerts/groups", Level::Read, alerts::groups))
            .summary("Alerts by the groups in which people are told of them")
            .answers::<Vec<shapes::Group>>(200, "By labels"),
        Route::get("/api/v2/silences", Level::Read, silences::list)
            .summary("Silences, expired ones for five days")
            .query_parameter("filter", "A matcher that the silence must have; may be repeated")
            .answers::<Vec<shapes::Silence>>(200, "Active, pending, expired"),
        Route::post("/api/v2/silences", Level::Admin, silences::set)
            .json::<shapes::PostedSilence>()
            .summary("Sets or changes a silence")
            .answers::<shapes::SilenceId>(200, "Its name"),
        Route::get("/api/v2/silence/{id}", Level::Read, silences::get)
            .path_parameter("id", "The silence")
            .summary("One silence")
            .answers::<shapes::Silence>(200, "The silence"),
        Route::delete("/api/v2/silence/{id}", Level::Admin, silences::expire).path_parameter("id", "The silence").summary("Ends a silence"),
        Route::get("/api/system/notifications/dead-letters", Level::Read, status::dead_letters)
            .summary("Notifications that nobody could be told, the newest first")
            .query_parameter("limit", "How many, 100 unless said otherwise")
            .answers::<shapes::DeadLetters>(200, "The letters"),
    ];
    let theirs = |route: &Route<Arc<App>>| route.spec().path.starts_with("/api/v2/");
    all.into_iter().map(|route| if theirs(&route) { route.errors(envelope) } else { route }.tag("alertmanager")).collect()
}

/// Where receivers of the replaced products' configurations post to.
fn hook(path: &'static str) -> Route<Arc<App>> {
    Route::post(path, Level::Ingest, hook::take)
        .json::<hook::Message>()
        .telemetry_body()
        .summary("Takes the alerts of a message that an Alertmanager elsewhere posts to a webhook")
}

fn filtered(route: Route<Arc<App>>) -> Route<Arc<App>> {
    route
        .query_parameter("active", "false leaves out alerts that nothing keeps quiet")
        .query_parameter("silenced", "false leaves out silenced alerts")
        .query_parameter("inhibited", "false leaves out inhibited alerts")
        .query_parameter("unprocessed", "Taken and without effect: every alert is processed at once")
        .query_parameter("muted", "false leaves out alerts of groups that a time interval mutes")
        .query_parameter("filter", "A matcher that the alert must satisfy; may be repeated")
        .query_parameter("receiver", "An expression that the whole name of a receiver must match")
        .query_parameter("receiver_matchers", "Matchers on the label receiver; may be repeated")
}

/// Refusals as Alertmanager's clients read them: a JSON text.
fn envelope(refusal: &Refusal) -> Response {
    ([(CONTENT_TYPE, "application/json")], serde_json::Value::from(refusal.message.as_str()).to_string()).into_response()
}

/// The parameters of a query.
struct Query(BTreeMap<String, Vec<String>>);
impl Query {
    fn of(uri: &http::Uri) -> Query {
        let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, value) in form_urlencoded::parse(uri.query().unwrap_or("").as_bytes()).take(PARAMS_MAX) {
            all.entry(name.into_owned()).or_default().push(value.into_owned());
        }
        Query(all)
    }
    fn all(&self, name: &str) -> &[String] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }
    fn first(&self, name: &str) -> Option<&str> {
        self.all(name).first().map(String::as_str).filter(|value| !value.is_empty())
    }
    fn flag(&self, name: &str, default: bool) -> Result<bool, Refusal> {
        match self.first(name) {
            None => Ok(default),
            Some("true" | "1" | "t") => Ok(true),
            Some("false" | "0" | "f") => Ok(false),
            Some(other) => Err(Refusal::bad_request(format!("{name} must be true or false, not {:?}", shortened(other)))),
        }
    }
    fn matchers(&self, name: &str) -> Result<Vec<Matcher>, Refusal> {
        let mut all = Vec::new();
        for text in self.all(name) {
            all.extend(parse_matchers(text).map_err(|e| Refusal::bad_request(format!("bad matcher in {name}: {}", shortened(&e.to_string()))))?.matchers);
        }
        Ok(all)
    }
}

/// The most refusals of one request that are told.
const REFUSALS_SHOWN_MAX: usize = 10;

/// The answer to a request of which some alerts are refused, or none.
fn refused_some(refused: &[String]) -> Result<Response, Refusal> {
    if refused.is_empty() {
        return Ok(StatusCode::OK.into_response());
    }
    let mut words: Vec<Cow<'_, str>> = refused.iter().take(REFUSALS_SHOWN_MAX).map(|words| shortened(words)).collect();
    if refused.len() > REFUSALS_SHOWN_MAX {
        words.push(Cow::Owned(format!("and {} more", refused.len() - REFUSALS_SHOWN_MAX)));
    }
    Err(Refusal::bad_request(words.join("; ")))
}

/// Runs work that may wait for the state to be stored.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Refusal> {
    spawn_blocking(work).await.map_err(|_| Refusal::internal())
}
