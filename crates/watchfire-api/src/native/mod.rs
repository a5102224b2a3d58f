//! The native face: `/api/system/*`, `/health`, `/metrics`, `/api/metrics/record`, in the shapes that the replaced
//! programs' clients know. Shapes live here and are derived for the description; facts come from the rooms below.

mod backup;
mod cleanup;
mod doctor;
mod gpu;
pub(crate) mod health;
mod metrics;
mod query;
pub(crate) mod stats;
pub(crate) mod telemetry;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use http::StatusCode;
use watchfire_net::inflate::Limits;

pub(crate) use gpu::GpuJson;
pub(crate) use query::{Query, invalid};

use crate::app::App;
use crate::prometheus::answer::{ApiError, ErrorKind};
use crate::server::{Content, Level, Parameter, Place, Refusal, Route};

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Refusal {
        match error.kind {
            ErrorKind::BadData => Refusal::bad_request(error.message),
            ErrorKind::Execution => Refusal::unprocessable(error.message),
            ErrorKind::Canceled => Refusal::unavailable(error.message, 1),
            ErrorKind::Timeout => Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "timeout", error.message),
            ErrorKind::Unavailable => Refusal::unavailable(error.message, 30),
            ErrorKind::Overloaded => Refusal::too_many(error.message, 1),
            ErrorKind::NotFound => Refusal::not_found(error.message),
            ErrorKind::Internal => {
                tracing::error!(error = error.message, "a request failed inside");
                Refusal::internal()
            }
        }
    }
}

/// The routes of the native face.
pub fn routes() -> Vec<Route<Arc<App>>> {
    let mut all = gpu_routes();
    all.extend(health_routes());
    all.extend(stats_routes());
    all.extend(metrics_routes());
    all.extend(data_routes());
    all
}

fn data_routes() -> Vec<Route<Arc<App>>> {
    let text = |name, description| Parameter { name, place: Place::Query, required: true, kind: "string", description };
    let all = [
        Route::post("/api/system/backup", Level::Admin, backup::begin)
            .summary("Makes a snapshot to be fetched")
            .query_parameter("secrets", "true: with the admin token")
            .answers::<backup::BackupJson>(200, "The snapshot and its files"),
        Route::get("/api/system/backup/{name}/file", Level::Admin, backup::piece)
            .summary("A piece of a file of a snapshot, 4 MiB at most")
            .path_parameter("name", "The snapshot")
            .parameter(text("path", "The file"))
            .parameter(integer("offset", "Where the piece begins"))
            .answers_with(200, "application/octet-stream", "Bytes; none at the end of the file"),
        Route::delete("/api/system/backup/{name}", Level::Admin, backup::end)
            .summary("Removes a snapshot that was fetched")
            .path_parameter("name", "The snapshot"),
        Route::post("/api/system/import", Level::Admin, backup::import)
            .takes(Content::Any)
            .telemetry_body()
            .summary("Takes samples of any age, as remote write 1.0 without compression")
            .answers::<backup::ImportedJson>(200, "What became of them"),
    ];
    all.into_iter().map(|route| route.tag("data").time_limit(None)).collect()
}

fn integer(name: &'static str, description: &'static str) -> Parameter {
    Parameter { name, place: Place::Query, required: false, kind: "integer", description }
}

fn gpu_routes() -> Vec<Route<Arc<App>>> {
    vec![
        Route::get("/api/system/gpu", Level::Read, gpu::current)
            .summary("The current GPU sample")
            .tag("gpu")
            .answers::<GpuJson>(200, "The newest sample; all null when there is no GPU"),
        Route::get("/api/system/gpu/history", Level::Read, gpu::history)
            .summary("GPU samples of some time, ascending")
            .tag("gpu")
            .query_parameter("since", "The earliest time, RFC 3339 or seconds since 1970; wins over minutes")
            .parameter(integer("minutes", "The last so many minutes"))
            .parameter(integer("limit", "The newest so many, 1 to 5000; default 300, with minutes 5000"))
            .answers::<Vec<GpuJson>>(200, "The samples"),
    ]
}

fn health_routes() -> Vec<Route<Arc<App>>> {
    vec![
        Route::get("/api/system/health", Level::Read, health::health)
            .summary("Health of everything that is configured")
            .tag("health")
            .answers::<health::HealthJson>(200, "The health"),
        Route::get("/api/system/health/ready", Level::Read, health::ready)
            .summary("Whether the system is ready")
            .tag("health")
            .answers::<health::ReadyJson>(200, "Ready")
            .answers::<health::ReadyJson>(503, "Not ready or degraded"),
        Route::get("/api/system/health/live", Level::Public, health::live)
            .summary("Whether this process lives")
            .tag("health")
            .answers::<health::StatusJson>(200, "It does"),
        Route::get("/health", Level::Public, health::alive)
            .summary("Liveness for probes")
            .tag("health")
            .answers::<health::StatusJson>(200, "This process answers"),
        Route::get("/ready", Level::Public, health::public_ready)
            .summary("Readiness for probes")
            .tag("health")
            .answers::<health::StatusJson>(200, "Data can be taken and given")
            .answers::<health::StatusJson>(503, "They cannot"),
    ]
}

fn stats_routes() -> Vec<Route<Arc<App>>> {
    vec![
        Route::get("/api/system/stats", Level::Read, stats::stats)
            .summary("Counts of what is recorded here")
            .tag("system")
            .answers::<stats::StatsJson>(200, "The counts"),
        Route::get("/api/system/storage/stats", Level::Read, stats::storage)
            .summary("The disk and what is kept on it")
            .tag("system")
            .answers::<stats::StorageJson>(200, "The figures"),
        Route::get("/api/system/cleanup/preview", Level::Read, cleanup::preview)
            .summary("What a cleanup would remove; removes nothing")
            .tag("system")
            .answers::<cleanup::CleanupJson>(200, "The preview"),
        Route::post("/api/system/cleanup", Level::Admin, cleanup::cleanup)
            .summary("Removes now what is too old or too much")
            .tag("system")
            .query_parameter("dry_run", "true: only looks, as the preview does")
            .answers::<cleanup::CleanupJson>(200, "What was removed"),
        Route::get("/api/system/doctor", Level::Read, doctor::doctor)
            .summary("What can never work in the loaded rules, dashboards, routes and files, and what is wrong with the machine")
            .description("Looks at most once a minute; files are named as the server knows them.")
            .tag("system")
            .answers::<doctor::DoctorJson>(200, "The findings"),
        Route::get("/api/system/telemetry", Level::Read, telemetry::telemetry)
            .summary("Queue depths and stage latencies of the watched pipeline")
            .tag("system")
            .answers::<telemetry::TelemetryJson>(200, "The figures; null where nobody reports"),
    ]
}

fn metrics_routes() -> Vec<Route<Arc<App>>> {
    let exposition = |path| {
        // Scrapers ask all the time.
        Route::get(path, Level::Read, metrics::metrics).untraced().summary("Our own and recorded metrics in the text format").tag("metrics").answers_with(
            200,
            "text/plain",
            "Prometheus text 0.0.4, or OpenMetrics when asked for",
        )
    };
    vec![
        exposition("/metrics"),
        exposition("/api/metrics"),
        exposition("/metrics/prometheus"),
        Route::post("/api/metrics/record", Level::Ingest, metrics::record)
            .summary("Records values of declared metrics")
            .description("Good items are recorded even when others are refused.")
            .tag("metrics")
            .json::<Vec<metrics::ItemJson>>()
            .body_limits(Limits::both(metrics::RECORD_BYTES_MAX))
            .answers::<metrics::RecordedJson>(200, "Everything was recorded")
            .answers::<metrics::RecordedJson>(422, "Something was refused"),
    ]
}
