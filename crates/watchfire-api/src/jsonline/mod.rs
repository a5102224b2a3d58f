//! `POST /insert/jsonline`: lines of JSON as VictoriaLogs takes them, with its parameters or its headers. What they mean is read in
//! `watchfire-ingest`.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use url::form_urlencoded::parse;
use watchfire_ingest::jsonline::Parameters;
use watchfire_model::batch::Origin;
use watchfire_model::write::{WriteError, Written};
use watchfire_net::blocking::spawn_blocking;
use watchfire_net::inflate::DECOMPRESSED_BYTES_MAX;

use crate::app::App;
use crate::server::{Content, Level, Refusal, Route};

/// The parameters, and the headers that say the same.
const NAMES: [(&str, &str); 5] = [
    ("_stream_fields", "vl-stream-fields"),
    ("_time_field", "vl-time-field"),
    ("_msg_field", "vl-msg-field"),
    ("ignore_fields", "vl-ignore-fields"),
    ("extra_fields", "vl-extra-fields"),
];

/// The routes of the face.
pub(crate) fn routes() -> Vec<Route<Arc<App>>> {
    let route = Route::post("/insert/jsonline", Level::Ingest, insert)
        .takes(Content::Any)
        .telemetry_body()
        .tag("jsonline")
        .summary("Lines of JSON, an object each")
        .query_parameter("_stream_fields", "Fields that are labels of the stream, with commas between")
        .query_parameter("_time_field", "The field of the time, _time by default")
        .query_parameter("_msg_field", "The field of the message, _msg by default; of several the first that is there")
        .query_parameter("ignore_fields", "Fields that are not kept")
        .query_parameter("extra_fields", "Fields that every line gets: name=value, …");
    vec![route]
}

/// What a request says about its lines; a parameter counts before a header.
fn parameters(request: &Request) -> Parameters {
    let query: Vec<(String, String)> = parse(request.uri().query().unwrap_or("").as_bytes()).into_owned().collect();
    Parameters::read(|name| {
        let header = || NAMES.iter().find(|(n, _)| *n == name).and_then(|(_, header)| request.headers().get(*header)?.to_str().ok());
        query.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str()).or_else(header)
    })
}

async fn insert(State(app): State<Arc<App>>, request: Request) -> Result<Response, Refusal> {
    let parameters = parameters(&request);
    let origin = Origin::new(&match crate::prometheus::write::peer(&request) {
        Some(ip) => format!("lines/{ip}"),
        None => "lines".to_owned(),
    });
    let body = axum::body::to_bytes(request.into_body(), DECOMPRESSED_BYTES_MAX).await.map_err(|_| Refusal::bad_request("the body broke off"))?;
    let written = spawn_blocking(move || app.rooms.jsonline.take(&body, &parameters, origin)).await;
    match written.map_err(|_| Refusal::internal())? {
        Ok(written) => outcome(&written),
        Err(error @ WriteError::Busy(_)) => Err(Refusal::unavailable(error.to_string(), 1)),
        Err(error) => Err(Refusal::unavailable(error.to_string(), 30)),
    }
}

/// Everything good is stored by now; a sender drops what is refused, or it would come again for ever.
fn outcome(written: &Written) -> Result<Response, Refusal> {
    let rejected = written.logs.rejected_total();
    if rejected == 0 {
        return Ok(StatusCode::OK.into_response());
    }
    let total = rejected + written.logs.stored + written.logs.duplicates;
    let reasons: Vec<String> = written.logs.rejected.iter().map(|(reason, count)| format!("{reason}: {count}")).collect();
    let example = written.example.as_deref().map(|e| format!("; for example {e}")).unwrap_or_default();
    Err(Refusal::bad_request(format!("{rejected} of {total} lines were refused ({}){example}", reasons.join(", "))))
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use serde_json::{Value, json};
    use watchfire_model::write::WriteError;

    use super::*;
    use crate::auth::Rights;
    use crate::testing::Faces;

    const NS: i64 = 1_767_089_700_000_000_000;

    #[tokio::test]
    async fn lines_are_stored_as_their_parameters_say() {
        let faces = Faces::new();
        let send = async |query: &str, headers: &[(&str, &str)], body: &str| {
            let request = headers.iter().fold(Request::post(format!("/insert/jsonline{query}")), |r, (n, v)| r.header(*n, *v));
            faces.send(request.body(Body::from(body.to_owned())).unwrap()).await
        };
        let line = |text: &str| json!({"ts": "2025-12-30T10:14:59Z", "text": text, "app": "shop", "user": {"id": 7}}).to_string();
        let query = "?_stream_fields=app&_time_field=ts&_msg_field=text";
        assert_eq!(send(query, &[], &format!("{}\n{}\n", line("one"), line("two"))).await.status, 200);
        let headers = [("vl-stream-fields", "app"), ("vl-time-field", "ts"), ("vl-msg-field", "text")];
        assert_eq!(send("", &headers, &line("three")).await.status, 200);
        let mixed = send(query, &[], &format!("{}\noops", line("four"))).await;
        assert_eq!(mixed.status, 400);
        assert!(mixed.text().contains("1 of 2 lines were refused (invalid_value: 1); for example invalid_value: line 2"), "{}", mixed.text());
        let asked =
            faces.get(&format!("/loki/api/v1/query_range?start={}&end={NS}&query=%7Bapp%3D%22shop%22%7D%20%7C%20user_id%3D%227%22", NS - 10_000_000_000)).await;
        let streams: Vec<Value> = asked.json()["data"]["result"].as_array().unwrap().clone();
        let lines: usize = streams.iter().map(|s| s["values"].as_array().unwrap().len()).sum();
        assert_eq!(lines, 4, "{streams:?}");
        faces.house.held().write_error = Some(|| WriteError::Busy("test".to_owned()));
        assert_eq!(send(query, &[], &line("later")).await.status, 503);
        faces.house.held().rights = Some(Rights::of(Level::Read));
        assert_eq!(send(query, &[], &line("never")).await.status, 403);
    }
}
