//! The real fetcher: `watchfire_net`'s client behind the `Fetch` trait. Secrets in files are read at each request, so that
//! a changed password needs no reload; clients are kept by their TLS options.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use watchfire_model::time::{SharedClock, SystemClock};
use watchfire_net::client::oauth2::{Grant, Tokens};
use watchfire_net::client::{Client, ClientError, Credentials, Proxies, Request as NetRequest};
use watchfire_net::inflate::Limits;
use watchfire_net::secret::Secret;
use watchfire_net::tls::ClientTls;

use super::config::{Authorization, HttpOptions, Oauth2Options, ProxyOptions, SecretSource, TlsOptions, read_text};
use super::fetch::{Answer, Fetch, FetchError, Fetching, Request};

/// Clients with different TLS options or proxies that are kept; beyond that the oldest goes.
const CLIENTS_MAX: usize = 32;
/// The status with which a token is refused.
const UNAUTHORIZED: u16 = 401;

/// How long an answer may collect in the kernel before we read on: many exporters write theirs in dozens of pieces.
const SETTLE: Duration = Duration::from_millis(3);

/// What clients differ in.
#[derive(Clone, PartialEq)]
struct Way {
    tls: ClientTls,
    proxies: Proxies,
}

/// The tokens of each job, by the place of its options in memory. The weak reference keeps the place from being used
/// again, and tells when the job is gone.
type Jobs = HashMap<usize, (Weak<HttpOptions>, Arc<Tokens>)>;

/// Makes requests over the network.
pub struct NetFetch {
    clients: Mutex<Vec<(Way, Client)>>,
    tokens: Mutex<Jobs>,
    clock: SharedClock,
    environment: Proxies,
}
impl Default for NetFetch {
    fn default() -> NetFetch {
        NetFetch { clients: Mutex::default(), tokens: Mutex::default(), clock: SystemClock::shared(), environment: Proxies::default() }
    }
}

impl NetFetch {
    /// A fetcher without connections, in an environment without proxies.
    pub fn new() -> NetFetch {
        NetFetch::default()
    }
    /// The same with the proxies of an environment, for `proxy_from_environment`.
    pub fn with_environment(self, environment: &dyn Fn(&str) -> Option<String>) -> NetFetch {
        NetFetch { environment: Proxies::from_environment(environment), ..self }
    }
    /// The same with another clock for the ends of tokens.
    pub fn with_clock(self, clock: SharedClock) -> NetFetch {
        NetFetch { clock, ..self }
    }

    fn client(&self, way: Way) -> Client {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, client)) = clients.iter().find(|(known, _)| *known == way) {
            return client.clone();
        }
        if clients.len() >= CLIENTS_MAX {
            clients.remove(0);
        }
        let client = Client::with_proxies(way.tls.clone(), way.proxies.clone());
        clients.push((way, client.clone()));
        client
    }

    fn proxies(&self, options: &ProxyOptions) -> Result<Proxies, FetchError> {
        if !options.from_environment {
            return Ok(options.proxies.clone());
        }
        let proxies = self.environment.clone().with_connect_headers(options.connect_headers.clone());
        proxies.map_err(|e| FetchError::Other(e.to_string()))
    }

    /// The tokens of one job.
    fn tokens(&self, options: &Arc<HttpOptions>) -> Arc<Tokens> {
        let mut jobs = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        let place = Arc::as_ptr(options).addr();
        if let Some((_, tokens)) = jobs.get(&place) {
            return tokens.clone();
        }
        jobs.retain(|_, (job, _)| job.strong_count() > 0);
        let tokens = Arc::new(Tokens::new(self.clock.clone()));
        jobs.insert(place, (Arc::downgrade(options), tokens.clone()));
        tokens
    }

    async fn send(&self, request: Request) -> Result<Answer, FetchError> {
        let Resolved { credentials, oauth2, secret_headers, tls } = resolve(request.options.clone()).await?;
        let limit = usize::try_from(request.body_bytes_max).unwrap_or(usize::MAX);
        let client = self.client(Way { tls, proxies: self.proxies(&request.options.proxy)? });
        let message = NetRequest {
            headers: request.headers,
            secret_headers,
            credentials,
            limits: Limits::both(limit),
            follow_redirects: request.options.follow_redirects,
            settle: SETTLE,
            ..NetRequest::get(request.url, request.timeout)
        };
        let exchange = async |message: NetRequest| {
            let response = client.send(message).await.map_err(|e| fetch_error(e, request.body_bytes_max))?;
            let content_type = response.header("content-type").unwrap_or("").to_owned();
            Ok(Answer { status: response.status.as_u16(), content_type, body: response.body })
        };
        let Some((grant, way)) = oauth2 else { return exchange(message).await };
        let way = Way { tls: way.0, proxies: self.proxies(&way.1)? };
        let (tokens, asked) = (self.tokens(&request.options), self.client(way));
        let failed = |e: watchfire_net::client::oauth2::OauthError| FetchError::Other(e.to_string());
        let held = tokens.credentials(&asked, &grant, request.timeout).await.map_err(failed)?;
        let answer = exchange(NetRequest { credentials: (*held).clone(), ..message.clone() }).await?;
        if answer.status != UNAUTHORIZED {
            return Ok(answer);
        }
        // The token may have been withdrawn before its end: one other is tried.
        match tokens.renewed(&asked, &grant, &held, request.timeout).await.map_err(failed)? {
            Some(other) => exchange(NetRequest { credentials: (*other).clone(), ..message }).await,
            None => Ok(answer),
        }
    }
}

impl Fetch for NetFetch {
    fn get(&self, request: Request) -> Fetching<'_> {
        Box::pin(self.send(request))
    }
}

fn fetch_error(error: ClientError, limit: u64) -> FetchError {
    match error {
        ClientError::Connect { host, reason } => FetchError::Connect(format!("{host}: {reason}")),
        ClientError::Timeout(after) => FetchError::Timeout(after),
        ClientError::Body(body) if body.is_too_large() => FetchError::TooLarge(limit),
        ClientError::Body(body) => FetchError::Other(format!("cannot read the answer: {body}")),
        other => FetchError::Other(other.to_string()),
    }
}

/// Options with every secret read.
struct Resolved {
    credentials: Credentials,
    /// How a token is asked for, and by which way.
    oauth2: Option<(Grant, (ClientTls, ProxyOptions))>,
    secret_headers: Vec<(String, Secret)>,
    tls: ClientTls,
}

async fn resolve(options: Arc<HttpOptions>) -> Result<Resolved, FetchError> {
    if !has_files(&options) {
        return read(&options);
    }
    tokio::task::spawn_blocking(move || read(&options)).await.map_err(|_| FetchError::Other("BUG: reading secrets failed".to_owned()))?
}

fn file(source: &SecretSource) -> bool {
    matches!(source, SecretSource::File(_))
}
fn tls_files(tls: &TlsOptions) -> bool {
    [&tls.ca, &tls.cert, &tls.key].into_iter().flatten().any(file)
}
fn has_files(options: &HttpOptions) -> bool {
    let authorization = match &options.authorization {
        Authorization::None => false,
        Authorization::Basic { user, password } => file(user) || password.as_ref().is_some_and(file),
        Authorization::Header { credentials, .. } => file(credentials),
        Authorization::Oauth2(oauth2) => oauth2.client_secret.as_ref().is_some_and(file) || tls_files(&oauth2.tls),
    };
    authorization || tls_files(&options.tls) || options.headers.iter().any(|(_, source)| file(source))
}

fn read(options: &HttpOptions) -> Result<Resolved, FetchError> {
    let credentials = match &options.authorization {
        Authorization::None | Authorization::Oauth2(_) => Credentials::None,
        Authorization::Basic { user, password } => {
            let password = password.as_ref().map_or_else(|| Ok(Secret::default()), secret)?;
            Credentials::Basic { user: secret(user)?, password }
        }
        Authorization::Header { scheme, credentials } => Credentials::Header { scheme: scheme.clone(), value: secret(credentials)? },
    };
    let secret_headers = options.headers.iter().map(|(name, source)| Ok((name.clone(), secret(source)?))).collect::<Result<_, FetchError>>()?;
    let oauth2 = match &options.authorization {
        Authorization::Oauth2(oauth2) => Some((grant(oauth2)?, (read_tls(&oauth2.tls)?, oauth2.proxy.clone()))),
        _ => None,
    };
    Ok(Resolved { credentials, oauth2, secret_headers, tls: read_tls(&options.tls)? })
}

fn grant(oauth2: &Oauth2Options) -> Result<Grant, FetchError> {
    Ok(Grant {
        token_url: oauth2.token_url.clone(),
        client_id: oauth2.client_id.clone(),
        client_secret: oauth2.client_secret.as_ref().map(secret).transpose()?.unwrap_or_default(),
        scopes: oauth2.scopes.clone(),
        params: oauth2.params.clone(),
    })
}

fn read_tls(tls: &TlsOptions) -> Result<ClientTls, FetchError> {
    let identity = match (&tls.cert, &tls.key) {
        (Some(cert), Some(key)) => Some((pem(cert)?, pem(key)?)),
        _ => None,
    };
    Ok(ClientTls {
        ca_pem: tls.ca.as_ref().map(pem).transpose()?,
        identity_pem: identity,
        server_name: tls.server_name.clone(),
        insecure_skip_verify: tls.insecure_skip_verify,
    })
}

fn secret(source: &SecretSource) -> Result<Secret, FetchError> {
    match source {
        SecretSource::Inline(secret) => Ok(secret.clone()),
        SecretSource::File(path) => Secret::from_file(path).map_err(|e| FetchError::Other(e.to_string())),
    }
}

/// Bundles of authorities are larger than secrets may be.
fn pem(source: &SecretSource) -> Result<Secret, FetchError> {
    let text = |path: &Path| read_text(path).map(Secret::new).map_err(FetchError::Other);
    match source {
        SecretSource::Inline(secret) => Ok(secret.clone()),
        SecretSource::File(path) => text(path),
    }
}

#[cfg(test)]
mod tests {
    use super::super::net_tests::{Page, serve};
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;
    use watchfire_model::time::ManualClock;

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
        let fetch = NetFetch::new().with_clock(clock.clone());
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
        assert_eq!(fetch.tokens.lock().unwrap().len(), 1);
    }

    #[tokio::test]
    async fn proxies_of_the_job_and_of_the_environment() {
        // A proxy that tells which URL it was asked for.
        let proxy = serve(|asked| Page::text(&asked.path)).await;
        let direct = serve(|asked| Page::text(&format!("direct {}", asked.path))).await;
        let address = format!("http://{}", proxy.address);
        let fetch = NetFetch::new().with_environment(&|name| (name == "http_proxy").then(|| address.clone()));
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
