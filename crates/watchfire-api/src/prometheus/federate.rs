//! `/federate`: the newest value of the selected series in the text format, for another Prometheus to scrape.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};
use watchfire_ingest::exposition::format_value;
use watchfire_model::labels::{Labels, METRIC_NAME};
use watchfire_model::matcher::Matcher;
use watchfire_model::read::{Budget, Selection};
use watchfire_model::sample::is_stale;
use watchfire_model::time::Timestamp;

use super::answer::{ApiError, ErrorKind, text};
use super::gate::run;

use super::params::Params;
use super::promql::selectors;
use crate::app::App;

/// `GET /federate`.
pub(crate) async fn federate(State(app): State<Arc<App>>, request: Request) -> Response {
    match answer(app, request).await {
        Ok(body) => {
            let mut response = Response::new(Body::from(body));
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"));
            response
        }
        // Scrapers read no JSON: this one path answers errors in plain text.
        Err(error) if error.kind == ErrorKind::BadData => text(StatusCode::BAD_REQUEST, error.message),
        Err(error) => text(StatusCode::SERVICE_UNAVAILABLE, error.message),
    }
}

async fn answer(app: Arc<App>, request: Request) -> Result<Vec<u8>, ApiError> {
    let sets = selectors(Params::read(request).await?.all("match[]"))?;
    run(&app, None, move |app, budget| {
        let end = app.now();
        let mut newest = BTreeMap::new();
        for set in &sets {
            collect(app, budget, set, end, &mut newest)?;
        }
        Ok(render(&newest, &app.rooms.external_labels))
    })
    .await
}

fn collect(app: &App, budget: &Budget, set: &[Matcher], end: Timestamp, newest: &mut BTreeMap<Labels, (i64, f64)>) -> Result<(), ApiError> {
    let selection = Selection { matchers: set.to_vec(), start: end.plus_ms(1 - app.rooms.limits.lookback.as_millis() as i64), end };
    app.rooms.source.select(&selection, budget, &mut |series| {
        budget.release_samples(series.times.len() as u64);
        if let (Some(&time), Some(&value)) = (series.times.last(), series.values.last())
            && !is_stale(value)
        {
            budget.charge_memory(series.labels.memory() as u64 + 64)?;
            newest.insert(series.labels, (time, value));
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(())
}

fn render(newest: &BTreeMap<Labels, (i64, f64)>, external: &Labels) -> Vec<u8> {
    let mut order: Vec<_> = newest.iter().collect();
    order.sort_by_key(|(labels, _)| labels.metric_name());
    let mut out = String::new();
    let mut family = None;
    for (labels, (time, value)) in order {
        let name = labels.metric_name();
        if name.is_empty() {
            continue;
        }
        if family != Some(name) {
            out.push_str(&format!("# TYPE {name} untyped\n"));
            family = Some(name);
        }
        let added = external.iter().filter(|(n, _)| labels.get(n).is_none());
        let pairs: Vec<String> = labels.iter().filter(|(n, _)| *n != METRIC_NAME).chain(added).map(|(n, v)| format!("{n}=\"{}\"", escape(v))).collect();
        let pairs = if pairs.is_empty() { String::new() } else { format!("{{{}}}", pairs.join(",")) };
        out.push_str(&format!("{name}{pairs} {} {time}\n", format_value(*value)));
    }
    out.into_bytes()
}

fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace('\n', "\\n").replace('"', "\\\"")
}
