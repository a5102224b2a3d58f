//! `POST /ingest/ffmpeg/{camera}`: what FFmpeg tells with `-progress`, an endless body that is read as it comes. What it says is read in
//! `watchfire-ingest`.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http_body_util::BodyExt;
use watchfire_ingest::ffmpeg::{End, NotOpened, Stream};
use watchfire_net::blocking::spawn_blocking;

use crate::app::App;
use crate::server::{Content, Level, Refusal, Route};

/// After so long without a word nothing is known of the camera any more; FFmpeg tells something twice a second while it works.
const QUIET_AFTER: Duration = Duration::from_secs(30);
/// After so long the other side is taken for gone. FFmpeg never opens its progress again, so a camera that comes back must find it open.
const SILENCE_MAX: Duration = Duration::from_secs(1_800);

/// The routes of the face.
pub(crate) fn routes() -> Vec<Route<Arc<App>>> {
    let route = Route::post("/ingest/ffmpeg/{camera}", Level::Ingest, take)
        .takes(Content::Stream)
        .time_limit(None)
        .untraced()
        .tag("ffmpeg")
        .summary("What FFmpeg tells with -progress, as long as it runs")
        .path_parameter("camera", "The camera, which becomes the label camera_id")
        .answers_with(200, "text/plain", "FFmpeg has finished");
    vec![route]
}

async fn take(State(app): State<Arc<App>>, Path(camera): Path<String>, request: Request) -> Result<Response, Refusal> {
    let all = app.rooms.ffmpeg.clone();
    let opened = work(move || all.open(&camera)).await?;
    let stream = opened.map_err(|error| match error {
        NotOpened::Name => Refusal::bad_request(error.to_string()),
        NotOpened::TooMany(_) => Refusal::unavailable(error.to_string(), 60),
    })?;
    match read(stream, request.into_body()).await? {
        End::Finished => Ok(StatusCode::OK.into_response()),
        End::BrokenOff => Err(Refusal::bad_request("the body broke off")),
        End::Silent => Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, "body_timeout", format!("nothing came for {SILENCE_MAX:?}"))),
        End::Malformed => Err(Refusal::bad_request("this is no progress of FFmpeg: no line progress=… within 64 KiB or to the end")),
    }
}

/// Runs what may block.
async fn work<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Refusal> {
    spawn_blocking(work).await.map_err(|_| Refusal::internal())
}

/// Reads the body to its end.
async fn read(mut stream: Stream, mut body: Body) -> Result<End, Refusal> {
    let mut silent = Duration::ZERO;
    let mut heard = false;
    let end = loop {
        let Ok(frame) = tokio::time::timeout(QUIET_AFTER, body.frame()).await else {
            silent += QUIET_AFTER;
            if silent >= SILENCE_MAX {
                break End::Silent;
            }
            stream = work(move || {
                stream.quiet();
                stream
            })
            .await?;
            continue;
        };
        silent = Duration::ZERO;
        let data = match frame {
            None if heard && !stream.is_progress() => break End::Malformed,
            None => break End::Finished,
            Some(Err(_)) => break End::BrokenOff,
            Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
        };
        heard |= !data.is_empty();
        let end = stream.take(&data);
        if let Some(end) = end {
            break end;
        }
        if stream.is_due() {
            stream = work(move || {
                stream.store();
                stream
            })
            .await?;
        }
    };
    work(move || stream.end(end)).await?;
    Ok(end)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures_util::StreamExt;
    use http::Request;

    use super::*;
    use crate::auth::Rights;
    use crate::testing::Faces;

    fn post(camera: &str, body: Body) -> Request<Body> {
        Request::post(format!("/ingest/ffmpeg/{camera}")).body(body).unwrap()
    }

    #[tokio::test]
    async fn progress_is_stored_while_it_comes() {
        let faces = Arc::new(Faces::new());
        let (sender, receiver) = tokio::sync::mpsc::channel::<Bytes>(1);
        let pieces = futures_util::stream::unfold(receiver, |mut receiver| async move { Some((receiver.recv().await?, receiver)) });
        let body = Body::from_stream(pieces.map(Ok::<_, std::io::Error>));
        let asking = tokio::spawn({
            let faces = faces.clone();
            async move { faces.send(post("front", body)).await }
        });
        sender.send(Bytes::from_static(b"frame=7\nspeed=1x\nprogress=conti")).await.unwrap();
        sender.send(Bytes::from_static(b"nue\n")).await.unwrap();
        let value = async |query: &str| {
            let answer = faces.get(&format!("/api/v1/query?query={query}")).await.json();
            answer["data"]["result"][0]["value"][1].as_str().map(str::to_owned)
        };
        // It is there although the body has not ended.
        while value("ffmpeg_progress_frames_total").await.is_none() {
            tokio::task::yield_now().await;
        }
        assert_eq!(value("ffmpeg_progress_frames_total%7Bcamera_id=%22front%22%7D").await.as_deref(), Some("7"));
        assert_eq!(value("ffmpeg_progress_connected").await.as_deref(), Some("1"));
        faces.clock.advance(Duration::from_secs(1));
        drop(sender);
        assert_eq!(asking.await.unwrap().status, StatusCode::OK);
        faces.clock.advance(Duration::from_secs(1));
        assert_eq!(value("ffmpeg_progress_connected").await.as_deref(), Some("0"));
        assert_eq!(value("ffmpeg_progress_ends_total%7Breason=%22finished%22%7D").await.as_deref(), Some("1"));
        assert_eq!(value("ffmpeg_progress_speed_ratio").await, None, "nobody knows it any more");
    }

    #[tokio::test]
    async fn garbage_is_refused_and_names_are_looked_at() {
        let faces = Faces::new();
        assert_eq!(faces.send(post("c", Body::from(vec![b'x'; 70 << 10]))).await.status, StatusCode::BAD_REQUEST);
        assert_eq!(faces.send(post("c", Body::from("null"))).await.status, StatusCode::BAD_REQUEST);
        assert_eq!(faces.send(post("c", Body::empty())).await.status, StatusCode::OK, "FFmpeg that found nothing to tell");
        assert_eq!(faces.send(post("a%0Ab", Body::empty())).await.status, StatusCode::BAD_REQUEST);
        faces.house.held().rights = Some(Rights::of(Level::Read));
        assert_eq!(faces.send(post("c", Body::empty())).await.status, StatusCode::FORBIDDEN);
    }
}
