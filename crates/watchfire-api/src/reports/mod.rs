//! The face of reports: `/api/reports`. What a report says, when it is due and how it is sent is decided in `watchfire_alert::reports`; the
//! pictures in it are those of `/render`.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use sha2::{Digest, Sha256};
use url::form_urlencoded;
use watchfire_alert::reports::{PAGE_STYLE, Paint, ReportError};
use watchfire_net::blocking::spawn_blocking;

use crate::app::App;
use crate::prometheus::answer::{json, to_json};
use crate::server::{Level, OwnPolicy, Refusal, Route};

/// How wide a dashboard is in a report, in points, and how many pixels a point has.
const WIDTH: u32 = 900;
const SCALE: &str = "1.5";

/// The routes.
pub fn routes() -> Vec<Route<Arc<App>>> {
    let all = [
        Route::get("/api/reports", Level::Read, list).summary("Reports by mail, and how they stand").answers_with(200, "application/json", "The reports"),
        Route::get("/api/reports/{name}/preview", Level::Read, preview)
            .path_parameter("name", "The report")
            .query_parameter("format", "html (the default), text, or mail: the whole mail as it would be sent")
            .summary("What a report says now")
            .answers_with(200, "text/html", "The report"),
        Route::post("/api/reports/{name}/send", Level::Admin, send).path_parameter("name", "The report").summary("Sends a report now"),
    ];
    all.into_iter().map(|route| route.tag("reports").time_limit(None)).collect()
}

/// One report.
#[derive(Serialize)]
struct ReportJson {
    name: String,
    /// `daily` or `weekly`.
    schedule: &'static str,
    /// When one that was due was sent last.
    sent_at: Option<String>,
    /// Tries of the one that is due that failed, with the one under way.
    failures: u32,
    /// Why the last of them did.
    error: Option<String>,
}

fn refusal(error: ReportError) -> Refusal {
    match error {
        ReportError::Unknown => Refusal::not_found(error.to_string()),
        ReportError::Unmade(_) | ReportError::Unsent(_) => Refusal::unavailable(error.to_string(), 60),
    }
}

async fn list(State(app): State<Arc<App>>) -> Result<Response, Refusal> {
    let reports = app.rooms.reports.clone();
    let all = spawn_blocking(move || reports.status()).await.map_err(|_| Refusal::internal())?;
    let shown = |status: watchfire_alert::reports::Status| ReportJson {
        name: status.name,
        schedule: if status.weekly { "weekly" } else { "daily" },
        sent_at: status.sent.map(|at| at.rfc3339()),
        failures: status.failures,
        error: status.error,
    };
    let all: Vec<ReportJson> = all.into_iter().map(shown).collect();
    Ok(json(StatusCode::OK, to_json(&serde_json::json!({ "reports": all }))))
}

async fn preview(State(app): State<Arc<App>>, Path(name): Path<String>, RawQuery(query): RawQuery) -> Result<Response, Refusal> {
    let reports = &app.rooms.reports;
    let query = query.unwrap_or_default();
    let format = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "format").map(|(_, value)| value);
    let (kind, made) = match format.as_deref().unwrap_or("html") {
        "html" => ("text/html; charset=utf-8", reports.preview(&name).await),
        "text" => ("text/plain; charset=utf-8", reports.text(&name).await),
        "mail" => ("message/rfc822", reports.mail(&name).await),
        other => return Err(Refusal::bad_request(format!("format must be html, text or mail, not {other:?}"))),
    };
    let mut response = ([(CONTENT_TYPE, kind)], made.map_err(refusal)?).into_response();
    if let Ok(policy) = HeaderValue::from_str(&policy()) {
        response.extensions_mut().insert(OwnPolicy(policy));
    }
    Ok(response)
}

/// What a browser may load for a report: the style that stands in it, word for word, and the pictures in it. Nothing else, from nowhere.
fn policy() -> String {
    let style = STANDARD.encode(Sha256::digest(PAGE_STYLE));
    format!("default-src 'none'; style-src 'sha256-{style}'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
}

async fn send(State(app): State<Arc<App>>, Path(name): Path<String>) -> Result<Response, Refusal> {
    app.rooms.reports.send_now(&name).await.map_err(refusal)?;
    Ok(json(StatusCode::OK, to_json(&serde_json::json!({ "status": "sent" }))))
}

/// Paints panels for notifications: the last hour.
pub fn panel_painter(app: &Arc<App>) -> watchfire_alert::receivers::PaintPanel {
    // What paints is held by the alertmanager, which the application holds.
    let app = Arc::downgrade(app);
    Arc::new(move |uid, panel| {
        let (app, uid) = (app.upgrade(), uid.to_owned());
        Box::pin(async move {
            let app = app.ok_or("the server is ending")?;
            crate::grafana::png(&app, &uid, &format!("panelId={panel}&from=now-1h&to=now&width=800&height=400")).await
        })
    })
}

/// Paints dashboards for reports.
pub fn painter(app: &Arc<App>) -> Paint {
    // Reports are held by what paints for them.
    let app = Arc::downgrade(app);
    Arc::new(move |uid, [from, to], zone| {
        let (app, uid) = (app.upgrade(), uid.to_owned());
        // Some have a plus in their names, which means a space in an address.
        let zone = zone.map(|zone| format!("&tz={}", zone.replace('+', "%2B"))).unwrap_or_default();
        let query = format!("from={from}&to={to}&width={WIDTH}&scale={SCALE}{zone}");
        Box::pin(async move {
            let app = app.ok_or("the server is ending")?;
            crate::grafana::png(&app, &uid, &query).await
        })
    })
}
