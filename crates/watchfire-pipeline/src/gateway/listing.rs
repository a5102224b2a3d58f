//! Questions that are no exchange: which models there are, whether an upstream is well. Their answers are small and read whole.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT, CONTENT_TYPE, HeaderValue, VIA};
use http::{HeaderMap, Method, Response, StatusCode};
use http_body::Body;
use serde_json::{Map, Value};
use watchfire_net::client::{Credentials, Passed, Phases};

use super::Inner;
use super::body::AnswerBody;
use super::failure::Failure;
use super::upstreams::Upstream;
use super::wire::headers;

/// An answer that is larger is none.
const ANSWER_BYTES_MAX: usize = 4 << 20;
/// How long an upstream may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// A question about upstreams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// `GET /v1/models`
    Models,
    /// `GET /v1/models/{id}`
    Model(String),
    /// `GET /health` of an inference server.
    Health,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Inner {
    pub(super) async fn ask(&self, asked: &HeaderMap, question: &Question, named: Option<&str>) -> Result<Response<AnswerBody>, Failure> {
        self.refuse_loop(asked)?;
        let asked = &asked_with(asked);
        let path = match question {
            Question::Models => "/v1/models".to_owned(),
            Question::Health => "/health".to_owned(),
            Question::Model(id) => match encoded(id) {
                Some(id) => format!("/v1/models/{id}"),
                None => return Err(Failure::no_model("this cannot be the name of a model".to_owned())),
            },
        };
        let all: Vec<_> = self.upstreams.iter().filter(|u| named.is_none_or(|name| u.name() == name)).cloned().collect();
        match (question, all.as_slice()) {
            (Question::Models, [_, _, ..]) => self.all_models(asked, &all).await,
            (Question::Model(id), _) => {
                let upstream = self.upstreams.choose(named, Some(id))?;
                self.fetch(asked, &upstream, &path).await.map(relay)
            }
            _ => {
                let upstream = self.upstreams.choose(named, None)?;
                self.fetch(asked, &upstream, &path).await.map(relay)
            }
        }
    }

    /// The models of all upstreams in one list. An upstream that does not answer has none for now.
    async fn all_models(&self, asked: &HeaderMap, upstreams: &[std::sync::Arc<Upstream>]) -> Result<Response<AnswerBody>, Failure> {
        let mut list: Map<String, Value> = Map::new();
        list.insert("object".to_owned(), "list".into());
        let (mut data, mut failure) = (Vec::new(), None);
        for upstream in upstreams {
            match self.fetch(asked, upstream, "/v1/models").await {
                Ok(answer) if answer.status.is_success() => {
                    let told: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
                    data.extend(told.get("data").and_then(Value::as_array).cloned().unwrap_or_default());
                }
                Ok(answer) => {
                    let words = format!("the upstream {} answers {}", upstream.name(), answer.status);
                    failure = Some(Failure::new(StatusCode::BAD_GATEWAY, "upstream_error", words));
                }
                Err(error) => failure = Some(error),
            }
        }
        if let (true, Some(failure)) = (data.is_empty(), failure) {
            return Err(failure);
        }
        list.insert("data".to_owned(), Value::Array(data));
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(relay(Answer { status: StatusCode::OK, headers, body: Value::Object(list).to_string().into() }))
    }

    async fn fetch(&self, asked: &HeaderMap, upstream: &Upstream, path: &str) -> Result<Answer, Failure> {
        let passed = Passed {
            method: Method::GET,
            url: upstream.url(path),
            headers: headers::to_upstream(asked, &self.signature),
            credentials: Credentials::None,
            secret_headers: Vec::new(),
            body: Bytes::new(),
            phases: Phases { head: PATIENCE, idle: PATIENCE, total: PATIENCE },
        };
        let failed = |error| Failure::of_call(upstream.name(), &error);
        let relayed = self.caller.pass(&upstream.settings.options, passed).await.map_err(failed)?;
        let (status, headers) = (relayed.status, headers::to_caller(&relayed.headers));
        let broken = |words: &str| Failure::new(StatusCode::BAD_GATEWAY, "upstream_broken", format!("the upstream {} {words}", upstream.name()));
        if status.is_redirection() {
            return Err(broken("redirects, which is not followed"));
        }
        let mut body = std::pin::pin!(relayed.body);
        let mut bytes = BytesMut::new();
        while let Some(frame) = std::future::poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
            let frame = frame.map_err(|error| failed(error.into()))?;
            if let Ok(data) = frame.into_data() {
                if bytes.len() + data.len() > ANSWER_BYTES_MAX {
                    return Err(broken("answers more than it should"));
                }
                bytes.extend_from_slice(&data);
            }
        }
        Ok(Answer { status, headers, body: bytes.freeze() })
    }
}

/// What of the question's headers goes to the upstreams: the way that it came.
fn asked_with(headers: &HeaderMap) -> HeaderMap {
    let mut asked: HeaderMap = headers.get_all(VIA).iter().map(|hop| (VIA, hop.clone())).collect();
    asked.insert(ACCEPT, HeaderValue::from_static("application/json"));
    asked
}

fn relay(answer: Answer) -> Response<AnswerBody> {
    let mut response = Response::new(AnswerBody::whole(answer.body));
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers;
    response
}

/// An id as a part of a path: everything but letters, digits and a few marks is percent-encoded. Slashes stay, as ids of models have
/// them; an id that would leave its place is none.
fn encoded(id: &str) -> Option<String> {
    let mut out = String::new();
    for (n, segment) in id.split('/').enumerate() {
        if segment.is_empty() || segment.bytes().all(|b| b == b'.') {
            return None;
        }
        if n > 0 {
            out.push('/');
        }
        for byte in segment.bytes() {
            match byte {
                b if b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':' | b'@') => out.push(char::from(b)),
                b => out.push_str(&format!("%{b:02X}")),
            }
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::encoded;

    #[test]
    fn an_id_stays_below_its_path() {
        let check = |id: &str, expected: Option<&str>| assert_eq!(encoded(id).as_deref(), expected, "{id}");
        check("gpt-4o", Some("gpt-4o"));
        check("org/model:7b", Some("org/model:7b"));
        check("a?b#c d", Some("a%3Fb%23c%20d"));
        check("é", Some("%C3%A9"));
        for id in ["", "..", "../../admin", "a/../b", "/a", "a//b", "a/"] {
            check(id, None);
        }
    }
}
