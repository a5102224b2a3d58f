//! `/federate`: the newest sample of the selected series, for another Prometheus to scrape. The text format has floats alone;
//! native histograms go out by protobuf, to scrapers that ask for it.

mod protobuf;
mod text;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, StatusCode};
use watchfire_model::histogram::Histogram;
use watchfire_model::labels::{Labels, METRIC_NAME};
use watchfire_model::matcher::Matcher;
use watchfire_model::read::{Budget, Selection};
use watchfire_model::sample::is_stale;
use watchfire_model::time::Timestamp;

use super::answer::{ApiError, ErrorKind, text as plain};
use super::gate::run;
use super::params::Params;
use super::promql::selectors;
use crate::app::App;

/// The newest sample of a series.
enum Newest {
    Float(f64),
    Histogram(Arc<Histogram>),
}

/// The families of the answer: series by the name of their metric, each with its further labels.
type Families = BTreeMap<String, Vec<Series>>;
struct Series {
    /// All labels but the name; a value may be empty.
    labels: Vec<(String, String)>,
    time: i64,
    sample: Newest,
}

/// `GET /federate`.
pub(crate) async fn federate(State(app): State<Arc<App>>, request: Request) -> Response {
    let accept = accepted(request.headers());
    let (as_messages, names) = (protobuf::is_wanted(accept), text::Names::wanted(accept));
    match answer(app, request).await {
        Ok(families) => {
            let (content_type, body) = match as_messages {
                true => (protobuf::CONTENT_TYPE, protobuf::render(&families)),
                false => (names.content_type(), text::render(&families, names)),
            };
            let mut response = Response::new(Body::from(body));
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
            response
        }
        // Scrapers read no JSON: this one path answers errors in plain text.
        Err(error) if error.kind == ErrorKind::BadData => plain(StatusCode::BAD_REQUEST, error.message),
        Err(error) => plain(StatusCode::SERVICE_UNAVAILABLE, error.message),
    }
}

fn accepted(headers: &HeaderMap) -> &str {
    headers.get(ACCEPT).and_then(|v| v.to_str().ok()).unwrap_or("")
}

async fn answer(app: Arc<App>, request: Request) -> Result<Families, ApiError> {
    let sets = selectors(Params::read(request).await?.all("match[]"))?;
    run(&app, None, move |app, budget| {
        let end = app.now();
        let mut newest = BTreeMap::new();
        for set in &sets {
            collect(app, budget, set, end, &mut newest)?;
        }
        Ok(families(newest, &(app.rooms.external_labels)()))
    })
    .await
}

fn collect(app: &App, budget: &Budget, set: &[Matcher], end: Timestamp, newest: &mut BTreeMap<Labels, (i64, Newest)>) -> Result<(), ApiError> {
    let selection = Selection { matchers: set.to_vec(), start: end.plus_ms(1 - app.rooms.limits.lookback.as_millis() as i64), end };
    app.rooms.source.select(&selection, budget, &mut |series| {
        budget.release_samples(series.cost());
        let float = series.times.last().zip(series.values.last()).map(|(time, value)| (*time, Newest::Float(*value)));
        let histogram = series.histograms.last().map(|h| (h.time.millis(), Newest::Histogram(h.value.clone())));
        let last = if histogram.as_ref().map(|h| h.0) > float.as_ref().map(|f| f.0) { histogram } else { float };
        // The formats have no staleness markers: a series that has ended is simply not there.
        let ended = match &last {
            Some((_, Newest::Float(value))) => is_stale(*value),
            Some((_, Newest::Histogram(histogram))) => histogram.is_stale(),
            None => true,
        };
        if let (false, Some(last)) = (ended, last) {
            budget.charge_memory(series.labels.memory() as u64 + 64)?;
            newest.insert(series.labels, last);
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(())
}

/// Sorts series into families and gives them the external labels that they do not have. A series without the label
/// `instance` gets an empty one, so that the scraper does not give it ours.
fn families(newest: BTreeMap<Labels, (i64, Newest)>, external: &Labels) -> Families {
    let mut added: BTreeMap<&str, &str> = external.iter().collect();
    added.entry("instance").or_insert("");
    let mut families = Families::new();
    for (labels, (time, sample)) in newest {
        let name = labels.metric_name();
        if name.is_empty() {
            continue;
        }
        let own = labels.iter().filter(|(n, _)| *n != METRIC_NAME);
        let more = added.iter().map(|(n, v)| (*n, *v)).filter(|(n, _)| labels.get(n).is_none());
        let pairs = own.chain(more).map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
        families.entry(name.to_owned()).or_default().push(Series { labels: pairs, time, sample });
    }
    families
}
