//! The real fetcher: `watchfire_net`'s caller behind the `Fetch` trait.

use std::sync::Arc;
use std::time::Duration;

use watchfire_model::time::SystemClock;
use watchfire_net::client::{CallError, Caller, ClientError, Request as NetRequest};
use watchfire_net::inflate::Limits;

use super::fetch::{Answer, Fetch, FetchError, Fetching, Request};

/// How long an answer may collect in the kernel before we read on: many exporters write theirs in dozens of pieces.
const SETTLE: Duration = Duration::from_millis(3);

/// Makes requests over the network.
pub struct NetFetch(Arc<Caller>);

impl Default for NetFetch {
    fn default() -> NetFetch {
        NetFetch(Arc::new(Caller::new(SystemClock::shared())))
    }
}

impl NetFetch {
    /// A fetcher without connections, in an environment without proxies.
    pub fn new() -> NetFetch {
        NetFetch::default()
    }
    /// A fetcher that makes its requests through a caller.
    pub fn through(caller: Arc<Caller>) -> NetFetch {
        NetFetch(caller)
    }

    async fn send(&self, request: Request) -> Result<Answer, FetchError> {
        let limit = usize::try_from(request.body_bytes_max).unwrap_or(usize::MAX);
        let message = NetRequest { headers: request.headers, limits: Limits::both(limit), settle: SETTLE, ..NetRequest::get(request.url, request.timeout) };
        let response = self.0.send(&request.options, message).await.map_err(|e| fetch_error(e, request.body_bytes_max))?;
        let content_type = response.header("content-type").unwrap_or("").to_owned();
        Ok(Answer { status: response.status.as_u16(), content_type, body: response.body })
    }
}

impl Fetch for NetFetch {
    fn get(&self, request: Request) -> Fetching<'_> {
        Box::pin(self.send(request))
    }
}

fn fetch_error(error: CallError, limit: u64) -> FetchError {
    let CallError::Client(error) = error else { return FetchError::Other(error.to_string()) };
    match error {
        ClientError::Connect { host, reason } => FetchError::Connect(format!("{host}: {reason}")),
        ClientError::Timeout(after) => FetchError::Timeout(after),
        ClientError::Body(body) if body.is_too_large() => FetchError::TooLarge(limit),
        ClientError::Body(body) => FetchError::Other(format!("cannot read the answer: {body}")),
        other => FetchError::Other(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::config::{Authorization, HttpOptions, SecretSource};
    use super::super::net_tests::{Page, serve};
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;
    use watchfire_model::time::ManualClock;
    use watchfire_net::secret::Secret;

    fn request(url: String, options: HttpOptions) -> Request {
        Request {
            url,
            headers: vec![("Accept-Encoding".to_owned(), "gzip".to_owned())],
            options: Arc::new(options),
            timeout: Duration::from_secs(5),
            body_bytes_max: 1_000,
        }
    }

    #[tokio::test]
    async fn what_can_happen_to_a_request() {
        let server = serve(|asked| match asked.path.as_str() {
            "/gzip" => Page::text("a 1\n").gzipped(),
            "/500" => Page { status: 500, ..Page::text("no") },
            "/large" => Page::text(&"x".repeat(1_001)),
            "/bomb" => Page::text(&"x".repeat(1_000_000)).gzipped(),
            "/truncated" => Page { cut: Some(3), ..Page::text("a 1\nb 2\n") },
            "/who" => Page::text(&asked.authorization),
            "/moved" => Page { status: 302, location: Some("/gzip".to_owned()), ..Page::text("") },
            _ => Page::text("a 1\n"),
        })
        .await;
        let fetch = NetFetch::new();
        let get = |path: &str, options| fetch.get(request(format!("http://{}{path}", server.address), options));
        let plain = || HttpOptions { follow_redirects: true, ..HttpOptions::default() };
        let answer = get("/gzip", plain()).await.unwrap();
        assert_eq!((answer.status, &answer.body[..], answer.content_type.as_str()), (200, &b"a 1\n"[..], "text/plain; version=0.0.4"));
        assert_eq!(get("/500", plain()).await.unwrap().status, 500);
        assert_eq!(get("/large", plain()).await.unwrap_err(), FetchError::TooLarge(1_000));
        assert_eq!(get("/bomb", plain()).await.unwrap_err(), FetchError::TooLarge(1_000));
        assert!(matches!(get("/truncated", plain()).await.unwrap_err(), FetchError::Other(_)));
        assert_eq!(&get("/moved", plain()).await.unwrap().body[..], b"a 1\n");
        assert_eq!(get("/moved", HttpOptions::default()).await.unwrap().status, 302);
        assert!(matches!(fetch.get(request("http://127.0.0.1:1/".to_owned(), plain())).await.unwrap_err(), FetchError::Connect(_)));

        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("token");
        std::fs::write(&file, "first\n").unwrap();
        let header =
            || HttpOptions { authorization: Authorization::Header { scheme: "Bearer".to_owned(), credentials: SecretSource::File(file.clone()) }, ..plain() };
        assert_eq!(&get("/who", header()).await.unwrap().body[..], b"Bearer first");
        std::fs::write(&file, "second\n").unwrap();
        assert_eq!(&get("/who", header()).await.unwrap().body[..], b"Bearer second");
        let inline = |text: &str| SecretSource::Inline(Secret::new(text));
        let basic = HttpOptions { authorization: Authorization::Basic { user: inline("u"), password: Some(inline("p")) }, ..plain() };
        assert_eq!(&get("/who", basic).await.unwrap().body[..], b"Basic dTpw");
    }

    /// The options of a job as its file has them.
    fn options(keys: &str) -> Arc<HttpOptions> {
        crate::scrape::config::ScrapeConfig::from_yaml(&format!("{{job_name: j, static_configs: [], {keys}}}")).unwrap().client
    }
    fn at(url: String, options: &Arc<HttpOptions>) -> Request {
        Request { options: options.clone(), ..request(url, HttpOptions::default()) }
    }

    #[tokio::test]
    async fn tokens_are_shared_by_a_job_and_replaced_when_refused() {
        let given = Arc::new(AtomicUsize::new(0));
        let counted = given.clone();
        // Gives t1, t2, …; after the second is given the first is not taken any more.
        let server = serve(move |asked| match asked.path.as_str() {
            "/token" if asked.authorization == "Basic aTpjYW5hcnk=" => {
                let n = counted.fetch_add(1, Ordering::SeqCst) + 1;
                Page { content_type: "application/json", ..Page::text(&format!("{{\"access_token\":\"t{n}\"}}")) }
            }
            "/token" => Page { status: 401, ..Page::text("") },
            "/withdrawn" if asked.authorization == "Bearer t1" => Page { status: 401, ..Page::text("") },
            _ => Page::text(&asked.authorization),
        })
        .await;
        let address = &server.address;
        let clock = ManualClock::new(watchfire_model::time::Timestamp(0));
        let fetch = NetFetch::through(Arc::new(Caller::new(clock.clone())));
        let job = |secret: &str| options(&format!("oauth2: {{client_id: i, client_secret: {secret}, token_url: 'http://{address}/token'}}"));
        let (one, two) = (job("canary"), job("canary"));
        let get = async |path: &str, options: &Arc<HttpOptions>| {
            fetch.get(at(format!("http://{address}{path}"), options)).await.map(|a| (a.status, String::from_utf8_lossy(&a.body).into_owned()))
        };
        let bearer = |token: &str| Ok((200, format!("Bearer {token}")));
        assert_eq!(get("/a", &one).await, bearer("t1"));
        assert_eq!(get("/b", &one).await, bearer("t1"));
        assert_eq!(get("/withdrawn", &one).await, Ok((401, String::new())));
        clock.advance(Duration::from_secs(11));
        assert_eq!(get("/withdrawn", &one).await, bearer("t2"));
        assert_eq!(get("/a", &one).await, bearer("t2"));
        assert_eq!(get("/a", &two).await, bearer("t3"));
        assert_eq!(given.load(Ordering::SeqCst), 3);
        let refused = get("/a", &job("wrong-canary")).await.unwrap_err();
        assert_eq!(refused.to_string(), "cannot get an OAuth2 token: the token endpoint answered 401 Unauthorized");
        assert!(!format!("{one:?}").contains("canary"));
        // Jobs that are gone leave nothing behind once another one comes.
        drop((one, two));
        let three = job("canary");
        assert_eq!(get("/a", &three).await, bearer("t4"));
        assert_eq!(fetch.0.token_holders(), 1);
    }

    #[tokio::test]
    async fn proxies_of_the_job_and_of_the_environment() {
        // A proxy that tells which URL it was asked for.
        let proxy = serve(|asked| Page::text(&asked.path)).await;
        let direct = serve(|asked| Page::text(&format!("direct {}", asked.path))).await;
        let address = format!("http://{}", proxy.address);
        let fetch = NetFetch::through(Arc::new(Caller::new(SystemClock::shared()).with_environment(&|name| (name == "http_proxy").then(|| address.clone()))));
        let get = async |url: &str, keys: &str| String::from_utf8_lossy(&fetch.get(at(url.to_owned(), &options(keys))).await.unwrap().body).into_owned();
        let proxied = format!("proxy_url: '{address}'");
        let here = format!("http://{}/m", direct.address);
        assert_eq!(get("http://x.invalid:1/m", &proxied).await, "http://x.invalid:1/m");
        assert_eq!(get("http://x.invalid:1/m", "proxy_from_environment: true").await, "http://x.invalid:1/m");
        assert_eq!(get(&here, &proxied).await, here);
        for keys in [format!("{proxied}, no_proxy: x.invalid"), "proxy_from_environment: true".to_owned(), "follow_redirects: true".to_owned()] {
            assert_eq!(get(&here, &keys).await, "direct /m", "{keys}");
        }
    }
}
