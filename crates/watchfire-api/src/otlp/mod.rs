//! The OTLP face: `/v1/…` with protobuf or JSON, and the same as gRPC. One signal is one line of [`SIGNALS`]; what a
//! signal's messages mean is the business of the ingest room.

mod frame;
pub mod grpc;
mod http;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::extract::{Request, State};
use watchfire_ingest::otlp::{Format, OtlpError};
use watchfire_model::batch::Origin;

use crate::app::App;
use crate::server::{Content, Level, Route};
use watchfire_net::blocking::spawn_blocking;

/// Takes a request and gives the answer in the same format.
type Take = fn(&App, &[u8], Format, Origin) -> Result<Vec<u8>, OtlpError>;

/// A kind of telemetry.
struct Signal {
    /// Where it is taken over HTTP. The first path is OTLP's own.
    paths: &'static [&'static str],
    /// Its gRPC method.
    method: &'static str,
    /// One line of documentation.
    summary: &'static str,
    /// Takes a request, already decompressed, and gives the answer in the same format. Blocks.
    take: Take,
}

/// Every signal that is taken.
static SIGNALS: [Signal; 3] = [
    Signal {
        paths: &["/v1/metrics", "/api/v1/otlp/v1/metrics"],
        method: "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
        summary: "OTLP metrics in protobuf or JSON",
        take: |app, body, format, origin| Ok(app.rooms.otlp.metrics(body, format, origin)?.answer(format)),
    },
    Signal {
        paths: &["/v1/logs", "/otlp/v1/logs", "/loki/otlp/v1/logs"],
        method: "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
        summary: "OTLP logs in protobuf or JSON",
        take: |app, body, format, origin| Ok(app.rooms.otlp.logs(body, format, origin)?.answer(format)),
    },
    Signal {
        paths: &["/v1/traces"],
        method: "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
        summary: "OTLP traces in protobuf or JSON",
        take: |app, body, format, origin| Ok(app.rooms.otlp.traces(body, format, origin)?.answer(format)),
    },
];

/// The routes of all signals.
pub fn routes() -> Vec<Route<Arc<App>>> {
    SIGNALS.iter().flat_map(routes_of).collect()
}

fn routes_of(signal: &'static Signal) -> Vec<Route<Arc<App>>> {
    let over_http = |path: &&str| {
        let export = move |State(app): State<Arc<App>>, request: Request| http::export(app, request, signal);
        let route = Route::post(path, Level::Ingest, export).takes(Content::Types(&http::TYPES)).telemetry_body();
        route.errors(http::envelope).tag("otlp").summary(signal.summary).answers_with(200, "application/x-protobuf", "In the format of the request")
    };
    let export = move |State(app): State<Arc<App>>, request: Request| grpc::export(app, request, signal);
    let over_grpc = Route::post(signal.method, Level::Ingest, export).takes(Content::Types(&grpc::TYPES)).telemetry_body();
    let mut routes: Vec<_> = signal.paths.iter().map(over_http).collect();
    routes.push(over_grpc.tag("otlp").hidden());
    routes
}

/// Who sent a request.
fn origin(request: &Request) -> Origin {
    Origin::new(&match crate::prometheus::write::peer(request) {
        Some(ip) => format!("otlp/{ip}"),
        None => "otlp".to_owned(),
    })
}

/// Runs the blocking part of a request.
async fn take(app: Arc<App>, signal: &'static Signal, body: bytes::Bytes, format: Format, origin: Origin) -> Option<Result<Vec<u8>, OtlpError>> {
    spawn_blocking(move || (signal.take)(&app, &body, format, origin)).await.ok()
}
