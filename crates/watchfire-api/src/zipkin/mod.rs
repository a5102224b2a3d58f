//! The Zipkin face: `POST /api/v2/spans`, and what its page and its clients ask. On the main port everything is under `/zipkin`, and the
//! post also where Zipkin has it. What spans mean is read in `watchfire-ingest`, what is found is computed in `watchfire-query`.

mod read;
mod render;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::StatusCode;
use watchfire_ingest::zipkin::ZipkinError;
use watchfire_model::batch::Origin;
use watchfire_model::write::WriteError;
use watchfire_net::inflate::DECOMPRESSED_BYTES_MAX;

use crate::app::App;
use crate::server::{Content, Level, Refusal, Route};

/// Where the face is on the main port.
const PREFIX: &str = "/zipkin";
/// Where spans are posted.
const SPANS: &str = "/api/v2/spans";

/// The routes of the face on the main port.
pub fn routes() -> Vec<Route<Arc<App>>> {
    let mut all = vec![post()];
    all.extend(table().into_iter().map(|route| route.under(PREFIX)));
    all
}

/// What Zipkin's own port has beside the routes of the main port, in the stead of what is at these paths there.
pub fn port_routes() -> Vec<Route<Arc<App>>> {
    let mut all: Vec<_> = table().into_iter().map(Route::hidden).collect();
    all.push(Route::get("/", Level::Public, || async { Redirect::to("/traces") }).hidden());
    all.push(Route::get("/zipkin/", Level::Public, || async { Redirect::to("/traces") }).hidden());
    all
}

fn post() -> Route<Arc<App>> {
    let route = Route::post(SPANS, Level::Ingest, take).takes(Content::Any).telemetry_body();
    route.tag("zipkin").summary("Spans as Zipkin's JSON, version 2")
}

fn table() -> Vec<Route<Arc<App>>> {
    let mut all = vec![
        Route::get("/api/v2/services", Level::Read, read::services).summary("Services of which there are spans"),
        Route::get(SPANS, Level::Read, read::names).summary("Names of the spans of a service").query_parameter("serviceName", "The service"),
        Route::get("/api/v2/traces", Level::Read, read::traces)
            .summary("The newest traces that have such a span")
            .query_parameter("serviceName", "The service")
            .query_parameter("spanName", "The name of the span")
            .query_parameter("annotationQuery", "Tags: error and http.method=GET")
            .query_parameter("minDuration", "Microseconds")
            .query_parameter("maxDuration", "Microseconds")
            .query_parameter("endTs", "Milliseconds since 1970; now by default")
            .query_parameter("lookback", "Milliseconds; a day by default")
            .query_parameter("limit", "Traces at most, 10 by default"),
        Route::get("/api/v2/trace/{id}", Level::Read, read::trace).summary("A trace by its id").path_parameter("id", "Up to 32 hexadecimal digits"),
        Route::get("/api/v2/dependencies", Level::Read, read::dependencies)
            .summary("Who calls whom")
            .query_parameter("endTs", "Milliseconds since 1970; needed")
            .query_parameter("lookback", "Milliseconds; a day by default"),
    ];
    // The query gate and the budget of each query bound these.
    all = all.into_iter().map(|route| route.time_limit(None).tag("zipkin")).collect();
    all.push(post());
    all
}

/// Takes spans. Answers 202, as Zipkin does; when nothing of a request can be kept, 400 with the reason.
async fn take(State(app): State<Arc<App>>, request: Request) -> Result<Response, Refusal> {
    let origin = Origin::new(&match crate::prometheus::write::peer(&request) {
        Some(ip) => format!("zipkin/{ip}"),
        None => "zipkin".to_owned(),
    });
    let body = axum::body::to_bytes(request.into_body(), DECOMPRESSED_BYTES_MAX).await.map_err(|_| Refusal::bad_request("the body broke off"))?;
    let received = tokio::task::spawn_blocking(move || app.rooms.zipkin.spans(&body, origin)).await;
    match received.map_err(|_| Refusal::internal())? {
        Ok(received) => {
            let counts = &received.counts;
            let nothing_kept = counts.rejected_total() > 0 && counts.stored + counts.duplicates + counts.sampling == 0;
            if nothing_kept { Err(Refusal::bad_request(received.message())) } else { Ok(StatusCode::ACCEPTED.into_response()) }
        }
        Err(error @ ZipkinError::Malformed(_)) => Err(Refusal::bad_request(error.to_string())),
        Err(ZipkinError::Later(error @ (WriteError::Busy(_) | WriteError::TooFast(_)))) => Err(Refusal::unavailable(error.to_string(), 1)),
        Err(ZipkinError::Later(error)) => Err(Refusal::unavailable(error.to_string(), 30)),
    }
}
