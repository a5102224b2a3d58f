//! Targets that are ourselves: faces that stand in for exporters are asked in this process, without a connection, a header or a token.
//! Everything else goes to the fetcher below.

use std::sync::Arc;
use std::time::Duration;

use watchfire_ingest::exposition::{Format, render};
use watchfire_model::exporter::{Asker, Exporter, Question, Said};

use super::fetch::{Answer, Fetch, FetchError, Fetching, Request};

/// Where a face is reached: its prefix on our main address, and ports that are its own.
pub struct Face {
    /// `/blackbox`.
    pub prefix: &'static str,
    /// Ports of this machine at which the face stands at the root.
    pub ports: Vec<u16>,
    /// Who answers.
    pub exporter: Arc<dyn Exporter>,
}

/// Asks faces in this process, and everybody else by the fetcher below.
pub struct InProcess {
    below: Arc<dyn Fetch>,
    /// `host:port` of our main address, and names that mean it.
    own: Vec<String>,
    faces: Vec<Face>,
}

impl InProcess {
    /// A fetcher; `own` are the spellings of our main address.
    pub fn new(below: Arc<dyn Fetch>, own: Vec<String>, faces: Vec<Face>) -> InProcess {
        InProcess { below, own, faces }
    }

    /// The face that a URL means, and the path below it with its query.
    fn face<'a>(&self, url: &'a str) -> Option<(&Face, &'a str)> {
        let rest = url.strip_prefix("http://")?;
        let (authority, path) = rest.find('/').map(|at| rest.split_at(at))?;
        if self.own.iter().any(|own| own == authority) {
            return self.faces.iter().find_map(|face| {
                let below = path.strip_prefix(face.prefix)?;
                below.starts_with('/').then_some((face, below))
            });
        }
        let (host, port) = authority.rsplit_once(':')?;
        let port: u16 = port.parse().ok()?;
        let here = matches!(host, "localhost" | "127.0.0.1" | "[::1]");
        self.faces.iter().find(|face| here && face.ports.contains(&port)).map(|face| (face, path))
    }
}

impl Fetch for InProcess {
    fn get(&self, request: Request) -> Fetching<'_> {
        let Some((face, path)) = self.face(&request.url) else { return self.below.get(request) };
        let question = question(path, request.timeout);
        Box::pin(async move {
            let reply = face.exporter.ask(question).await;
            let (content_type, body) = match reply.said {
                Said::Families(families) => (Format::PrometheusText.content_type(), render(Format::PrometheusText, &families).into_bytes()),
                Said::Text(text) => ("text/plain; charset=utf-8", text.into_bytes()),
                Said::Json(text) => ("application/json", text.into_bytes()),
                Said::Html(text) => ("text/html; charset=utf-8", text.into_bytes()),
            };
            if body.len() as u64 > request.body_bytes_max {
                return Err(FetchError::TooLarge(request.body_bytes_max));
            }
            Ok(Answer { status: reply.status, content_type: content_type.to_owned(), body: body.into() })
        })
    }
}

fn question(path: &str, patience: Duration) -> Question {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let params = url::form_urlencoded::parse(query.as_bytes()).map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
    Question { path: path.to_owned(), base: "", params, asker: Asker::Configuration, patience: Some(patience) }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use watchfire_model::exporter::Reply;
    use watchfire_model::live::ViewFuture;

    use super::*;

    #[derive(Default)]
    struct Echo(Mutex<Vec<String>>);
    impl Exporter for Echo {
        fn ask(&self, question: Question) -> ViewFuture<'_, Reply> {
            let text = format!("{} {:?} {:?}", question.path, question.params, question.asker);
            Box::pin(async move { Reply::text(200, text) })
        }
    }
    impl Fetch for Echo {
        fn get(&self, request: Request) -> Fetching<'_> {
            self.0.lock().unwrap().push(request.url);
            Box::pin(async { Err(FetchError::Connect("nobody".to_owned())) })
        }
    }

    #[tokio::test]
    async fn our_own_faces_are_asked_here_and_others_outside() {
        let outside = Arc::new(Echo::default());
        let faces = vec![Face { prefix: "/blackbox", ports: vec![9115], exporter: Arc::new(Echo::default()) }];
        let fetch = InProcess::new(outside.clone(), vec!["127.0.0.1:8000".to_owned()], faces);
        let get = async |url: &str| {
            let options = Arc::default();
            let request = Request { url: url.to_owned(), headers: Vec::new(), options, timeout: Duration::from_secs(1), body_bytes_max: 200 };
            fetch.get(request).await.map(|answer| String::from_utf8_lossy(&answer.body).into_owned())
        };
        let said = r#"/probe [("target", "a b")] Configuration"#;
        for url in ["http://127.0.0.1:8000/blackbox/probe?target=a+b", "http://localhost:9115/probe?target=a%20b"] {
            assert_eq!(get(url).await.as_deref(), Ok(said), "{url}");
        }
        let others = ["http://127.0.0.1:8000/metrics", "http://127.0.0.1:8000/blackboxes/x", "http://10.0.0.1:9115/probe", "https://localhost:9115/probe"];
        for url in others {
            assert!(get(url).await.is_err(), "{url}");
        }
        assert_eq!(*outside.0.lock().unwrap(), others);
        assert_eq!(get(&format!("http://localhost:9115/{}", "x".repeat(200))).await, Err(FetchError::TooLarge(200)));
    }
}
