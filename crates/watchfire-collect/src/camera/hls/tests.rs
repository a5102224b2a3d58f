//! Following streams of servers that are made here.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use watchfire_model::time::SystemClock;
use watchfire_net::client::{Caller, HttpOptions};
use watchfire_net::secret::Secret;

use super::*;
use crate::camera::web::WebPlace;
use crate::probe::tests::serve;

const PATIENCE: Duration = Duration::from_secs(10);

fn answer(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

fn segments(number: u64) -> String {
    format!("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:{number}\n#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:0{number}Z\n#EXTINF:2.0,\nseg.ts\n")
}

async fn place(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> WebPlace {
    let address = serve(answer).await;
    WebPlace { url: Secret::new(format!("http://{address}/live/index.m3u8?token=canary")), options: Arc::new(HttpOptions::default()), credentials: None }
}

fn at(seconds: u64) -> Arrived {
    let begin = Timestamp::parse("2026-01-01T00:00:00Z").unwrap();
    Arrived { monotonic: Duration::from_secs(100 + seconds), wall: begin.plus_ms(5_000 + seconds as i64 * 1_000) }
}

#[tokio::test]
async fn a_stream_is_followed_stands_still_and_goes_on() {
    let number = Arc::new(AtomicU64::new(1));
    let served = number.clone();
    let place = place(move |line| match line.split(' ').nth(1).unwrap_or_default() {
        "/live/index.m3u8?token=canary" => answer("302 Found\r\nLocation: main.m3u8?cookie=1", ""),
        "/live/main.m3u8?cookie=1" => answer(
            "200 OK",
            "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=9,RESOLUTION=1920x1080\nhigh.m3u8\n#EXT-X-STREAM-INF:BANDWIDTH=3,RESOLUTION=640x360\nsub/low.m3u8\n",
        ),
        "/live/sub/low.m3u8" => answer("200 OK", &segments(served.load(Ordering::SeqCst))),
        "/live/sub/seg.ts" => answer("200 OK", &"x".repeat(1_000)),
        other => answer("404 Not Found", other),
    })
    .await;
    let caller = Caller::new(SystemClock::shared());
    let mut follower = Follower::new(Asker::new(&place, &caller, Duration::from_secs(5)));
    let mut figures = Figures::default();
    figures.polled(&follower.poll().await.unwrap(), at(0));
    let now = figures.now(PATIENCE, at(0));
    assert_eq!((now.connected, now.frozen, now.bits_per_second, now.size), (true, false, Some(4_000.0), Some((640, 360))));
    assert_eq!((now.latency, now.last_frame, now.segment_age), (Some(Duration::from_secs(4)), Some(at(0).wall), Some(Duration::ZERO)));
    assert_eq!((now.totals.playlist_requests, now.totals.segments, now.totals.bytes, figures.quality().as_str()), (2, 1, 1_000, "360p"));
    assert_eq!(follower.pause(), Duration::from_secs(1));

    // Nothing new: no segment is fetched again, and after a while the stream stands still.
    figures.polled(&follower.poll().await.unwrap(), at(9));
    let now = figures.now(PATIENCE, at(9));
    assert_eq!((now.frozen, now.totals.bytes, now.totals.playlist_requests, now.latency), (false, 1_000, 3, Some(Duration::from_secs(13))));
    assert!(figures.now(PATIENCE, at(10)).frozen);

    number.store(2, Ordering::SeqCst);
    figures.polled(&follower.poll().await.unwrap(), at(11));
    let now = figures.now(PATIENCE, at(11));
    assert_eq!((now.frozen, now.totals.segments, now.totals.bytes), (false, 2, 2_000));
    figures.end();
    let now = figures.now(PATIENCE, at(60));
    assert_eq!((now.connected, now.frozen, now.bits_per_second, now.latency), (false, false, None, None));
}

#[tokio::test]
async fn what_keeps_a_stream_from_being_followed() {
    let caller = Caller::new(SystemClock::shared());
    for (playlist, expected, reason) in [
        (answer("404 Not Found", ""), "cannot get the playlist: the server answers 404", "refused"),
        (answer("401 Unauthorized", ""), "cannot get the playlist: the server answers 401", "log_in"),
        (answer("302 Found\r\nLocation: http://127.0.0.2/", ""), "cannot get the playlist: the server answers 302", "refused"),
        (answer("200 OK", "<html>"), "cannot read the playlist: it does not begin with #EXTM3U", "protocol"),
        (answer("200 OK", "#EXTM3U\n#EXT-X-ENDLIST\n"), "it says that the stream is over", "description"),
        (answer("200 OK", "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nhttp://169.254.169.254/x\n"), "another host, which is not asked", "description"),
        (answer("200 OK", "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nindex.m3u8?token=canary\n"), "its streams name streams in turn", "description"),
        (answer("200 OK", "#EXTM3U\n#EXTINF:2,\nhttp://169.254.169.254/x\n"), "", ""),
        ("nonsense".to_owned(), "cannot get the playlist: ", "closed"),
    ] {
        let shown = playlist.clone();
        let place = place(move |_| playlist.clone()).await;
        match Follower::new(Asker::new(&place, &caller, Duration::from_secs(5))).poll().await {
            // A segment elsewhere is seen in the playlist and not fetched.
            Ok(poll) => assert!(expected.is_empty() && poll.newest.is_some() && poll.bytes.is_none(), "{shown}"),
            Err(error) => {
                assert!(!expected.is_empty() && error.to_string().contains(expected) && error.reason() == reason, "{shown}: {error}, {}", error.reason());
                assert!(!error.to_string().contains("canary"), "{error}");
            }
        }
    }
}

#[tokio::test]
async fn a_segment_that_is_not_there_is_an_error() {
    let caller = Caller::new(SystemClock::shared());
    let place = place(|line| if line.contains("seg.ts") { answer("404 Not Found", "") } else { answer("200 OK", &segments(1)) }).await;
    let error = Follower::new(Asker::new(&place, &caller, Duration::from_secs(5))).poll().await.unwrap_err();
    assert_eq!(error.to_string(), "cannot get a segment: the server answers 404");
}
