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
use watchfire_model::order::Order as _;
use watchfire_model::read::{Budget, ReadError, Selection, Series};
use watchfire_model::time::Timestamp;
use watchfire_net::inflate::{Encoding, Limits};

use super::answer::{ApiError, text};
use super::gate::run;
use crate::app::App;
use crate::server::{Held, Refusal};

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

/// Whatever is wrong with a request is a bad request, as there; that there are too many at once is not its fault.
fn not_inflated(refusal: Refusal) -> Refused {
    let status = if refusal.status == StatusCode::SERVICE_UNAVAILABLE { refusal.status } else { StatusCode::BAD_REQUEST };
    Refused(status, refusal.message)
}

/// `POST /api/v1/read`.
pub(crate) async fn read(State(app): State<Arc<App>>, request: Request) -> Response {
    let read = async {
        let bad = |message: String| Refused(StatusCode::BAD_REQUEST, message);
        let held = Held::of(&request);
        let body = axum::body::to_bytes(request.into_body(), BODY_BYTES_MAX).await.map_err(|_| bad("the body broke off".to_owned()))?;
        let message = held.inflate(Encoding::Snappy, body, Limits::both(BODY_BYTES_MAX)).await.map_err(not_inflated)?;
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
        found.order_by(|a, b| a.0.cmp(&b.0));
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

#[cfg(test)]
mod tests {
    use http::Request;
    use watchfire_ingest::protobuf::{Message, Value, Writer};
    use watchfire_ingest::tsdb::ChunkSamples;
    use watchfire_model::labels;

    use super::*;
    use crate::testing::{Answered, Faces, NOW};

    /// Asks for everything with `__name__` matching, and one matcher more.
    async fn ask(faces: &Faces, response_type: u64, op: u64, name: &str, value: &str) -> Answered {
        let mut message = Writer::new();
        message.message(1, |query| {
            query.int(1, NOW.millis() - 60_000);
            query.int(2, NOW.millis());
            for (op, name, value) in [(2, "__name__", ".+"), (op, name, value)] {
                query.message(3, |matcher| {
                    matcher.uint(1, op);
                    matcher.text(2, name);
                    matcher.text(3, value);
                });
            }
        });
        message.always_uint(2, response_type);
        post(faces, message.bytes()).await
    }
    async fn post(faces: &Faces, message: &[u8]) -> Answered {
        let body = snap::raw::Encoder::new().compress_vec(message).unwrap();
        faces.send(Request::post("/api/v1/read").header("content-encoding", "snappy").body(Body::from(body)).unwrap()).await
    }

    fn texts(message: &[u8], field: u64, out: &mut Vec<String>) {
        for item in Message::new(message) {
            if let (number, Value::Bytes(bytes)) = item.unwrap()
                && number == field
            {
                let pair: Vec<String> = Message::new(bytes)
                    .map(|f| if let (_, Value::Bytes(t)) = f.unwrap() { String::from_utf8(t.to_vec()).unwrap() } else { String::new() })
                    .collect();
                out.push(pair.join("="));
            }
        }
    }
    /// The labels of each series in an answer of samples.
    fn series(answer: &Answered) -> Vec<String> {
        assert_eq!((answer.status, answer.header("content-encoding")), (StatusCode::OK, "snappy"), "{}", answer.text());
        let message = snap::raw::Decoder::new().decompress_vec(&answer.body).unwrap();
        let mut all = Vec::new();
        for result in Message::new(&message) {
            let (_, Value::Bytes(result)) = result.unwrap() else { continue };
            for series in Message::new(result) {
                let (_, Value::Bytes(series)) = series.unwrap() else { continue };
                let mut labels = Vec::new();
                texts(series, 1, &mut labels);
                all.push(labels.join(","));
            }
        }
        all.sort();
        all
    }

    fn faces() -> Faces {
        let faces = Faces::new();
        faces.house.put(labels!("__name__" => "up", "job" => "b"), &[(30, 1.0), (15, 0.0), (0, 1.0)]);
        faces.house.put(labels!("__name__" => "up", "job" => "a"), &[(90, 1.0), (30, 1.0)]);
        faces.house.put(labels!("__name__" => "up", "job" => "c", "site" => "elsewhere"), &[(10, 1.0)]);
        faces
    }

    #[tokio::test]
    async fn external_labels_are_added_and_taken_out_of_matchers() {
        let faces = faces();
        let (a, b, c) = ("__name__=up,job=a,site=home", "__name__=up,job=b,site=home", "__name__=up,job=c,site=elsewhere");
        for (op, name, value, expected) in [
            (2, "job", ".*", &[a, b, c][..]),
            (0, "site", "home", &[a, b]),
            (0, "site", "elsewhere", &[c]),
            (0, "site", "", &[a, b]),
            (1, "job", "a", &[b, c]),
            (3, "job", "a|c", &[b]),
        ] {
            assert_eq!(series(&ask(&faces, 0, op, name, value).await), expected, "{op} {name} {value}");
        }
    }

    #[tokio::test]
    async fn streams_are_sorted_and_complete() {
        let answer = ask(&faces(), 1, 2, "job", ".*").await;
        assert_eq!((answer.status, answer.header("content-type")), (StatusCode::OK, STREAMED_TYPE));
        let (mut rest, mut seen) = (&answer.body[..], Vec::new());
        while let [len, sum0, sum1, sum2, sum3, after @ ..] = rest {
            let (frame, after) = after.split_at(usize::from(*len));
            assert_eq!(tsdb::castagnoli(frame).to_be_bytes(), [*sum0, *sum1, *sum2, *sum3]);
            let Some(Ok((1, Value::Bytes(series)))) = Message::new(frame).next() else { panic!("{frame:?}") };
            let (mut labels, mut samples) = (Vec::new(), ChunkSamples::default());
            texts(series, 1, &mut labels);
            for field in Message::new(series) {
                if let (2, Value::Bytes(chunk)) = field.unwrap() {
                    let data = Message::new(chunk).find_map(|f| if let Ok((4, Value::Bytes(data))) = f { Some(data) } else { None });
                    tsdb::decode(1, data.unwrap(), &mut samples).unwrap();
                }
            }
            seen.push((labels[1].clone(), samples.times.iter().map(|t| (NOW.millis() - t) / 1000).collect::<Vec<_>>(), samples.values));
            rest = after;
        }
        let expected = [("job=a", vec![30], vec![1.0]), ("job=b", vec![30, 15, 0], vec![1.0, 0.0, 1.0]), ("job=c", vec![10], vec![1.0])];
        assert_eq!(seen, expected.map(|(job, times, values)| (job.to_owned(), times, values)));
    }

    #[tokio::test]
    async fn refusals_are_plain_text() {
        let few = Faces::with(|rooms| rooms.limits.samples_max = 2);
        few.house.put(labels!("__name__" => "up"), &[(30, 1.0), (15, 0.0), (0, 1.0)]);
        for response_type in [0, 1] {
            let answer = ask(&few, response_type, 2, "job", ".*").await;
            assert_eq!((answer.status, answer.text().as_str()), (StatusCode::BAD_REQUEST, "exceeded sample limit (2)\n"));
        }
        let bad = post(&few, &[0x0a, 0x05, 0x01]).await;
        assert_eq!((bad.status, bad.text().as_str()), (StatusCode::BAD_REQUEST, "cannot read the read request: it ends within a field\n"));
        let not_packed = few.post("/api/v1/read", "application/x-protobuf", "").await;
        assert_eq!(not_packed.status, StatusCode::BAD_REQUEST, "{}", not_packed.text());
    }
}
