//! `POST /api/v1/read`: remote read, for a Prometheus or anybody else who keeps no data of his own. Answers are whole messages
//! of samples or a stream of chunks, whichever the client names first. Errors are plain text, as there.

use std::convert::Infallible;
use std::ops::ControlFlow;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};
use watchfire_ingest::remote_read::{self, Query, QueryResult, ReadRequest, ResponseType, STREAMED_TYPE};
use watchfire_ingest::tsdb::{self, Chunk};
use watchfire_model::labels::{Labels, LabelsBuilder};
use watchfire_model::matcher::{MatchOp, Matcher};
use watchfire_model::read::{Budget, ReadError, Selection, Series};
use watchfire_model::time::Timestamp;
use watchfire_net::inflate::{Encoding, Limits, decode};

use super::answer::{ApiError, text};
use super::gate::run;
use crate::app::App;

/// The largest request, compressed or not.
const BODY_BYTES_MAX: usize = 1 << 20;

/// Why there is no answer.
struct Refused(StatusCode, String);
impl From<ApiError> for Refused {
    fn from(error: ApiError) -> Refused {
        Refused(error.kind.status(), error.message)
    }
}
impl From<ReadError> for Refused {
    fn from(error: ReadError) -> Refused {
        match error {
            ReadError::TooManySamples(max) => Refused(StatusCode::BAD_REQUEST, format!("exceeded sample limit ({max})")),
            error => ApiError::from(error).into(),
        }
    }
}
impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        text(self.0, format!("{}\n", self.1))
    }
}

/// `POST /api/v1/read`.
pub(crate) async fn read(State(app): State<Arc<App>>, request: Request) -> Response {
    let read = async {
        let bad = |message: String| Refused(StatusCode::BAD_REQUEST, message);
        let body = axum::body::to_bytes(request.into_body(), BODY_BYTES_MAX).await.map_err(|_| bad("the body broke off".to_owned()))?;
        let limits = Limits { compressed: BODY_BYTES_MAX, decompressed: BODY_BYTES_MAX };
        let message = decode(Encoding::Snappy, &body, limits).map_err(|error| bad(error.to_string()))?;
        let asked = remote_read::decode(&message).map_err(|error| bad(error.to_string()))?;
        let external = (app.rooms.external_labels)();
        run(&app, None, move |app, budget| match asked.response_type {
            ResponseType::Samples => samples(app, budget, &asked, &external),
            ResponseType::StreamedXorChunks => chunks(app, budget, &asked, &external),
        })
        .await
    };
    read.await.unwrap_or_else(Refused::into_response)
}

/// Selects the series of one query and gives each the labels that it has for others. Samples are released when `take` is done.
fn select(
    app: &App,
    budget: &Budget,
    query: &Query,
    external: &Labels,
    mut take: impl FnMut(Labels, &Series) -> Result<(), ReadError>,
) -> Result<(), ReadError> {
    if query.end < query.start {
        return Ok(());
    }
    let matchers = query.matchers.iter().map(|m| without_external(m, external)).collect();
    let selection = Selection { matchers, start: Timestamp(query.start), end: Timestamp(query.end) };
    app.rooms.source.select(&selection, budget, &mut |series| {
        take(with_external(&series.labels, external), &series)?;
        budget.release_samples(series.cost());
        Ok(ControlFlow::Continue(()))
    })
}

/// External labels are not stored: who asks for ours means the series without such a label.
fn without_external(matcher: &Matcher, external: &Labels) -> Matcher {
    if matcher.op == MatchOp::Equal && external.get(&matcher.name).is_some_and(|value| value == matcher.value) {
        return Matcher::equal(&matcher.name, "");
    }
    matcher.clone()
}

fn with_external(labels: &Labels, external: &Labels) -> Labels {
    if external.is_empty() {
        return labels.clone();
    }
    let mut merged = LabelsBuilder::from(external);
    for (name, value) in labels {
        merged.set(name, value);
    }
    merged.build()
}

fn samples(app: &App, budget: &Budget, asked: &ReadRequest, external: &Labels) -> Result<Response, Refused> {
    let mut results = Vec::new();
    for query in &asked.queries {
        let mut result = QueryResult::default();
        select(app, budget, query, external, |labels, series| {
            let before = result.len();
            result.push(&labels, series);
            // It is there twice when the results are put together, and once more compressed.
            budget.charge_memory((result.len() - before) as u64 * 3)
        })?;
        results.push(result);
    }
    let message = remote_read::response(&results);
    drop(results);
    let packed = snap::raw::Encoder::new().compress_vec(&message).map_err(|e| Refused(StatusCode::INTERNAL_SERVER_ERROR, e.to_string()))?;
    let mut response = Response::new(Body::from(packed));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
    response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("snappy"));
    Ok(response)
}

/// Chunks of all series are held encoded, because they come in any order and go out sorted. Frames are written one by one while
/// the client takes them.
fn chunks(app: &App, budget: &Budget, asked: &ReadRequest, external: &Labels) -> Result<Response, Refused> {
    let mut queries = Vec::new();
    for (number, query) in asked.queries.iter().enumerate() {
        let mut found: Vec<(Labels, Vec<Chunk>)> = Vec::new();
        select(app, budget, query, external, |labels, series| {
            let chunks = tsdb::encode(&series.times, &series.values, &series.histograms);
            let bytes: usize = chunks.iter().map(|c| c.data.capacity() + size_of::<Chunk>()).sum();
            budget.charge_memory((bytes + labels.memory()) as u64)?;
            found.push((labels, chunks));
            Ok(())
        })?;
        found.sort_by(|a, b| a.0.cmp(&b.0));
        queries.push((number, found));
    }
    let held = budget.clone();
    let frames = queries.into_iter().flat_map(|(number, found)| found.into_iter().map(move |(labels, chunks)| (number, labels, chunks))).flat_map(
        move |(number, labels, chunks)| {
            // The memory counts as the query's for as long as the frames are there.
            let _held = &held;
            let mut chunks = chunks.into_iter();
            std::iter::from_fn(move || (chunks.len() > 0).then(|| Ok::<_, Infallible>(Bytes::from(remote_read::frame(number, &labels, &mut chunks)))))
        },
    );
    let mut response = Response::new(Body::from_stream(futures_util::stream::iter(frames)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(STREAMED_TYPE));
    Ok(response)
}
