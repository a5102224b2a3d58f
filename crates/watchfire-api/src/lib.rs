//! The HTTP faces (a folder per face), WebSocket, sessions and access levels, the embedded page.
//! It computes nothing that a room below can compute.

pub mod alertmanager;
pub mod app;
pub mod auth;
pub mod cameras;
pub mod dlq;
pub mod elasticsearch;
pub mod exporters;
mod ffmpeg;
pub mod gateway;
pub mod grafana;
pub mod influx;
pub mod jaeger;
mod jsonline;
pub mod live;
pub mod llm;
pub mod loki;
pub mod native;
pub mod openapi;
pub mod otlp;
pub mod page;
pub mod prometheus;
pub mod pushgateway;
pub mod pyroscope;
pub mod queues;
pub mod reports;
pub mod server;
pub mod services;
pub mod tempo;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
pub mod traces;
pub mod zipkin;

use std::sync::Arc;

pub use app::{App, Rooms};

/// The routes of all faces on the main port, without those of authentication. Unknown paths go to [`page::fallback`].
pub fn routes() -> Vec<server::Route<Arc<App>>> {
    let mut all = native::routes();
    all.extend(live::routes());
    all.extend(dlq::routes());
    all.extend(queues::routes());
    all.extend(llm::routes());
    all.extend(gateway::routes());
    all.extend(openapi::routes());
    all.extend(prometheus::routes());
    all.extend(otlp::routes());
    all.extend(pushgateway::routes());
    all.extend(influx::routes());
    all.extend(jsonline::routes());
    all.extend(ffmpeg::routes());
    all.extend(loki::routes());
    all.extend(elasticsearch::routes());
    all.extend(jaeger::routes());
    all.extend(tempo::routes());
    all.extend(zipkin::routes());
    all.extend(exporters::routes());
    all.extend(pyroscope::routes());
    all.extend(services::routes());
    all.extend(cameras::routes());
    all.extend(reports::routes());
    all.extend(alertmanager::routes());
    all.extend(grafana::routes());
    all.extend(page::routes());
    all
}
