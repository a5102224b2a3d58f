//! The Influx face: line protocol of both versions, and the few stubs that senders ask before they write.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, Method, StatusCode};
use serde_json::json;
use url::form_urlencoded::parse;
use watchfire_ingest::influx::{Precision, Received};
use watchfire_model::batch::Origin;
use watchfire_model::write::WriteError;
use watchfire_net::blocking::spawn_blocking;
use watchfire_net::inflate::DECOMPRESSED_BYTES_MAX;

use crate::app::App;
use crate::server::{Content, Level, Refusal, Route};

/// The version that is claimed: the last one that speaks all of this.
const VERSION: &str = "1.8.10";

/// The routes of the face: at the root where nobody else is, and all of them under its prefix.
pub fn routes() -> Vec<Route<Arc<App>>> {
    let write = |path: &str| Route::post(path, Level::Ingest, write).takes(Content::Any).telemetry_body().errors(first_version);
    let write2 = |path: &str| Route::post(path, Level::Ingest, write2).takes(Content::Any).telemetry_body().errors(second_version);
    let all = vec![
        write("/write")
            .summary("Influx line protocol, version 1")
            .query_parameter("db", "Becomes the label db")
            .query_parameter("precision", "n, u, ms, s, m, h"),
        write("/influx/write").hidden(),
        write2("/api/v2/write")
            .summary("Influx line protocol, version 2")
            .query_parameter("bucket", "Becomes the label db")
            .query_parameter("precision", "ns, us, ms, s"),
        write2("/influx/api/v2/write").hidden(),
        Route::get("/ping", Level::Ingest, ping).summary("What Influx senders ask first"),
        Route::get("/influx/ping", Level::Ingest, ping).hidden(),
        Route::new(&[Method::GET, Method::POST], "/influx/query", Level::Ingest, query).takes(Content::Form).hidden(),
    ];
    all.into_iter().map(|route| route.tag("influx")).collect()
}

/// `{"error": …}`
fn first_version(refusal: &Refusal) -> Response {
    axum::Json(json!({"error": refusal.message})).into_response()
}

/// `{"code": …, "message": …}` with the words that clients of the second version know.
fn second_version(refusal: &Refusal) -> Response {
    let code = match refusal.status.as_u16() {
        401 => "unauthorized",
        403 => "forbidden",
        404 => "not found",
        413 => "request too large",
        429 | 503 => "unavailable",
        500..=599 => "internal error",
        _ => "invalid",
    };
    axum::Json(json!({"code": code, "message": refusal.message})).into_response()
}

async fn write(State(app): State<Arc<App>>, request: Request) -> Result<Response, Refusal> {
    take(app, request, "db").await
}

async fn write2(State(app): State<Arc<App>>, request: Request) -> Result<Response, Refusal> {
    take(app, request, "bucket").await
}

async fn take(app: Arc<App>, request: Request, database_key: &str) -> Result<Response, Refusal> {
    let parameters: Vec<(String, String)> = parse(request.uri().query().unwrap_or("").as_bytes()).into_owned().collect();
    let get = |name: &str| parameters.iter().find(|(n, _)| n == name).map_or("", |(_, v)| v.as_str());
    let precision = Precision::from_name(get("precision")).ok_or_else(|| Refusal::bad_request(format!("invalid precision {:?}", get("precision"))))?;
    let database = get(database_key).to_owned();
    let origin = Origin::new(&match crate::prometheus::write::peer(&request) {
        Some(ip) => format!("influx/{ip}"),
        None => "influx".to_owned(),
    });
    let body = axum::body::to_bytes(request.into_body(), DECOMPRESSED_BYTES_MAX).await.map_err(|_| Refusal::bad_request("the body broke off"))?;
    let written = spawn_blocking(move || app.rooms.influx.write(&body, precision, &database, origin)).await;
    match written.map_err(|_| Refusal::internal())? {
        Ok(received) => outcome(&received),
        Err(error @ WriteError::Busy(_)) => Err(Refusal::unavailable(error.to_string(), 1)),
        Err(error) => Err(Refusal::unavailable(error.to_string(), 30)),
    }
}

/// Everything good is stored by now; a sender drops what is refused, or it would come again for ever.
fn outcome(received: &Received) -> Result<Response, Refusal> {
    let rejected = received.written.rejected_total();
    if received.bad_lines == 0 && rejected == 0 {
        return Ok((StatusCode::NO_CONTENT, [(HeaderName::from_static("x-influxdb-version"), HeaderValue::from_static(VERSION))]).into_response());
    }
    let mut words = Vec::new();
    if let Some(error) = &received.first_error {
        words.push(format!("unable to parse {} lines, the first: {error}", received.bad_lines));
    }
    if rejected > 0 {
        let reasons: Vec<String> = received.written.rejected.iter().map(|(reason, count)| format!("{reason}: {count}")).collect();
        let example = received.written.example.as_deref().map(|e| format!("; for example {e}")).unwrap_or_default();
        words.push(format!("{rejected} points refused ({}){example}", reasons.join(", ")));
    }
    Err(Refusal::bad_request(format!("partial write: {} dropped={}", words.join("; "), received.bad_lines + rejected)))
}

async fn ping() -> Response {
    (StatusCode::NO_CONTENT, [(HeaderName::from_static("x-influxdb-version"), HeaderValue::from_static(VERSION))]).into_response()
}

/// Telegraf makes its database before it writes; there is nothing to make here.
async fn query(request: Request) -> Result<Response, Refusal> {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 64 << 10).await.map_err(|_| Refusal::bad_request("the body broke off"))?;
    let asked = parse(parts.uri.query().unwrap_or("").as_bytes()).chain(parse(&body)).find(|(name, _)| name == "q");
    let statement = asked.map(|(_, q)| q.trim().to_ascii_uppercase()).unwrap_or_default();
    let answer = if statement.starts_with("CREATE DATABASE") || statement.starts_with("CREATE RETENTION POLICY") {
        json!({"results": [{"statement_id": 0}]})
    } else if statement.starts_with("SHOW DATABASES") {
        json!({"results": [{"statement_id": 0, "series": [{"name": "databases", "columns": ["name"], "values": [["default"]]}]}]})
    } else {
        return Err(Refusal::bad_request("only CREATE DATABASE and SHOW DATABASES are answered; ask for data with PromQL"));
    };
    Ok(axum::Json(answer).into_response())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use axum::body::Body;
    use http::header::{CONTENT_TYPE, RETRY_AFTER};

    use super::*;
    use crate::testing::{Answered, Faces};

    async fn post(faces: &Faces, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Answered {
        let request = headers.iter().fold(Request::post(path), |r, (n, v)| r.header(*n, *v));
        faces.send(request.body(Body::from(body)).unwrap()).await
    }

    #[tokio::test]
    async fn lines_of_both_versions() {
        let faces = Faces::new();
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(b"cpu,host=a usage=0.5 1767089690\n").unwrap();
        let zipped = post(&faces, "/write?db=telegraf&precision=s", &[("content-encoding", "gzip")], gzip.finish().unwrap()).await;
        assert_eq!((zipped.status.as_u16(), zipped.header("x-influxdb-version")), (204, "1.8.10"), "{}", zipped.text());
        assert_eq!(post(&faces, "/influx/api/v2/write?bucket=b&org=o&precision=ms", &[], b"cpu usage=2 1767089690000".to_vec()).await.status, 204);
        let names: Vec<String> = faces.house.held().series.keys().map(ToString::to_string).collect();
        assert_eq!(names, [r#"cpu_usage{db="b"}"#, r#"cpu_usage{db="telegraf", host="a"}"#]);
    }

    #[tokio::test]
    async fn refusals_and_stubs() {
        let faces = Faces::new();
        let bad = post(&faces, "/write", &[], b"cpu usage=1\ncpu\ncpu usage=-1\n".to_vec()).await;
        assert_eq!(bad.status, 400);
        let words = bad.json()["error"].as_str().unwrap().to_owned();
        assert!(
            words.starts_with("partial write: unable to parse 1 lines, the first: line 2: it has no fields; 1 points refused (out_of_order: 1)"),
            "{words}"
        );
        assert!(words.ends_with("dropped=2"), "{words}");
        assert_eq!(faces.house.held().series.len(), 1);
        let precision = post(&faces, "/api/v2/write?precision=days", &[], Vec::new()).await;
        assert_eq!((precision.status.as_u16(), precision.json()["code"].as_str()), (400, Some("invalid")));
        faces.house.held().write_error = Some(|| WriteError::Busy("x".to_owned()));
        let later = post(&faces, "/write", &[], b"cpu usage=1".to_vec()).await;
        assert_eq!((later.status.as_u16(), later.header(RETRY_AFTER.as_str())), (503, "1"));
        assert_eq!(faces.get("/ping").await.status, 204);
        let made = faces.form("/influx/query", "q=CREATE+DATABASE+%22telegraf%22").await;
        assert_eq!((made.status.as_u16(), made.header(CONTENT_TYPE.as_str())), (200, "application/json"));
        assert_eq!(faces.get("/influx/query?q=SHOW%20DATABASES").await.status, 200);
        assert_eq!(faces.form("/influx/query", "q=SELECT+1").await.status, 400);
    }
}
