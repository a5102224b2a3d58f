//! Requests as [`HttpOptions`] say: secrets are read at each request, so that a changed password needs no reload; clients are
//! kept by their TLS options and proxies, OAuth2 tokens by the options they belong to.

use std::collections::HashMap;
use std::io::Read;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use http::StatusCode;
use watchfire_model::time::SharedClock;

use super::oauth2::{Grant, OauthError, Tokens};
use super::options::{Authorization, HttpOptions, Oauth2Options, ProxyOptions, SecretSource, TlsOptions};
use super::{Client, ClientError, Credentials, Passed, Pooling, Proxies, ProxyError, Relayed, Request, Response, Stream};
use crate::blocking::spawn_blocking;
use crate::secret::{Secret, SecretError};
use crate::tls::ClientTls;

/// Clients with different TLS options or proxies that are kept; beyond that the oldest goes.
const CLIENTS_MAX: usize = 32;
/// The largest file of authorities or certificates.
const PEM_BYTES_MAX: u64 = 16 << 20;

/// What clients differ in.
#[derive(Clone, PartialEq)]
struct Way {
    tls: ClientTls,
    proxies: Proxies,
}

/// The tokens of each place, by where its options stand in memory. The weak reference keeps the place from being used again,
/// and tells when the options are gone.
type Places = HashMap<usize, (Weak<HttpOptions>, Arc<Tokens>)>;

/// Makes requests for many places.
pub struct Caller {
    clients: Mutex<Vec<(Way, Client)>>,
    tokens: Mutex<Places>,
    clock: SharedClock,
    environment: Proxies,
    pooling: Pooling,
}

/// Why nothing usable came back.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The request itself failed.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A secret cannot be read.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// A file with certificates cannot be read.
    #[error("{0}")]
    Pem(String),
    /// The proxy's headers cannot be sent.
    #[error(transparent)]
    Proxy(#[from] ProxyError),
    /// There is no token.
    #[error(transparent)]
    Token(#[from] OauthError),
}

impl Caller {
    /// A caller without connections, in an environment without proxies.
    pub fn new(clock: SharedClock) -> Caller {
        Caller { clients: Mutex::default(), tokens: Mutex::default(), clock, environment: Proxies::default(), pooling: Pooling::default() }
    }
    /// The same with the proxies of an environment, for options that refer to it.
    pub fn with_environment(self, environment: &dyn Fn(&str) -> Option<String>) -> Caller {
        Caller { environment: Proxies::from_environment(environment), ..self }
    }
    /// The same with another clock for the ends of tokens.
    pub fn with_clock(self, clock: SharedClock) -> Caller {
        Caller { clock, ..self }
    }

    /// The same with connections that are made and kept in another way.
    pub fn with_pooling(self, pooling: Pooling) -> Caller {
        Caller { pooling, ..self }
    }

    /// Passes a request on for somebody else. The options fill in credentials and add secret headers; nothing is followed.
    pub async fn pass(&self, options: &Arc<HttpOptions>, passed: Passed) -> Result<Relayed, CallError> {
        let Resolved { credentials, oauth2, mut secret_headers, tls } = resolve(options.clone()).await?;
        let client = self.client(Way { tls, proxies: self.proxies(&options.proxy)? });
        secret_headers.extend(passed.secret_headers.iter().cloned());
        let credentials = match oauth2 {
            None => credentials,
            Some((grant, (tls, proxy))) => {
                let asked = self.client(Way { tls, proxies: self.proxies(&proxy)? });
                (*self.tokens(options).credentials(&asked, &grant, passed.phases.head).await?).clone()
            }
        };
        Ok(client.pass(Passed { secret_headers, credentials, ..passed }).await?)
    }

    /// Makes a request and reads the answer whole. The options fill in credentials and whether redirects are
    /// followed, and add secret headers.
    pub async fn send(&self, options: &Arc<HttpOptions>, message: Request) -> Result<Response, CallError> {
        let limits = message.limits;
        Ok(self.stream(options, message).await?.collect(limits).await?)
    }

    /// The same; the answer's body is read by who asked.
    pub async fn stream(&self, options: &Arc<HttpOptions>, message: Request) -> Result<Stream, CallError> {
        let Resolved { credentials, oauth2, mut secret_headers, tls } = resolve(options.clone()).await?;
        let client = self.client(Way { tls, proxies: self.proxies(&options.proxy)? });
        secret_headers.extend(message.secret_headers.iter().cloned());
        let message = Request { secret_headers, credentials, follow_redirects: options.follow_redirects, ..message };
        let Some((grant, (tls, proxy))) = oauth2 else { return Ok(client.stream(message).await?) };
        let timeout = message.timeout;
        let way = Way { tls, proxies: self.proxies(&proxy)? };
        let (tokens, asked) = (self.tokens(options), self.client(way));
        let held = tokens.credentials(&asked, &grant, timeout).await?;
        let answer = client.stream(Request { credentials: (*held).clone(), ..message.clone() }).await?;
        if answer.status != StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        // The token may have been withdrawn before its end: one other is tried.
        match tokens.renewed(&asked, &grant, &held, timeout).await? {
            Some(other) => Ok(client.stream(Request { credentials: (*other).clone(), ..message }).await?),
            None => Ok(answer),
        }
    }

    /// Everything that options say, with secrets read and a token fetched where one is needed, for who makes the request otherwise.
    pub async fn prepare(&self, options: &Arc<HttpOptions>, timeout: Duration) -> Result<Prepared, CallError> {
        let Resolved { credentials, oauth2, secret_headers, tls } = resolve(options.clone()).await?;
        let credentials = match oauth2 {
            None => credentials,
            Some((grant, (tls, proxy))) => {
                let asked = self.client(Way { tls, proxies: self.proxies(&proxy)? });
                (*self.tokens(options).credentials(&asked, &grant, timeout).await?).clone()
            }
        };
        Ok(Prepared { credentials, secret_headers, tls, proxies: self.proxies(&options.proxy)? })
    }

    /// For how many options tokens are kept.
    pub fn token_holders(&self) -> usize {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    fn client(&self, way: Way) -> Client {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, client)) = clients.iter().find(|(known, _)| *known == way) {
            return client.clone();
        }
        if clients.len() >= CLIENTS_MAX {
            clients.remove(0);
        }
        let client = Client::with_pooling(way.tls.clone(), way.proxies.clone(), self.pooling);
        clients.push((way, client.clone()));
        client
    }

    fn proxies(&self, options: &ProxyOptions) -> Result<Proxies, ProxyError> {
        if !options.from_environment {
            return Ok(options.proxies.clone());
        }
        self.environment.clone().with_connect_headers(options.connect_headers.clone())
    }

    fn tokens(&self, options: &Arc<HttpOptions>) -> Arc<Tokens> {
        let mut places = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        let place = Arc::as_ptr(options).addr();
        if let Some((_, tokens)) = places.get(&place) {
            return tokens.clone();
        }
        places.retain(|_, (options, _)| options.strong_count() > 0);
        let tokens = Arc::new(Tokens::new(self.clock.clone()));
        places.insert(place, (Arc::downgrade(options), tokens.clone()));
        tokens
    }
}

/// What options say, ready for use.
#[derive(Clone, Debug, Default)]
pub struct Prepared {
    /// Who we say we are.
    pub credentials: Credentials,
    /// Headers that hold secrets.
    pub secret_headers: Vec<(String, Secret)>,
    /// The TLS side.
    pub tls: ClientTls,
    /// The proxies.
    pub proxies: Proxies,
}

/// Options with every secret read.
struct Resolved {
    credentials: Credentials,
    /// How a token is asked for, and by which way.
    oauth2: Option<(Grant, (ClientTls, ProxyOptions))>,
    secret_headers: Vec<(String, Secret)>,
    tls: ClientTls,
}

async fn resolve(options: Arc<HttpOptions>) -> Result<Resolved, CallError> {
    if !has_files(&options) {
        return read(&options);
    }
    spawn_blocking(move || read(&options)).await.map_err(|_| CallError::Pem("BUG: reading secrets failed".to_owned()))?
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

fn read(options: &HttpOptions) -> Result<Resolved, CallError> {
    let credentials = match &options.authorization {
        Authorization::None | Authorization::Oauth2(_) => Credentials::None,
        Authorization::Basic { user, password } => {
            let password = password.as_ref().map_or_else(|| Ok(Secret::default()), secret)?;
            Credentials::Basic { user: secret(user)?, password }
        }
        Authorization::Header { scheme, credentials } => Credentials::Header { scheme: scheme.clone(), value: secret(credentials)? },
    };
    let secret_headers = options.headers.iter().map(|(name, source)| Ok((name.clone(), secret(source)?))).collect::<Result<_, SecretError>>()?;
    let oauth2 = match &options.authorization {
        Authorization::Oauth2(oauth2) => Some((grant(oauth2)?, (read_tls(&oauth2.tls)?, oauth2.proxy.clone()))),
        _ => None,
    };
    Ok(Resolved { credentials, oauth2, secret_headers, tls: read_tls(&options.tls)? })
}

fn grant(oauth2: &Oauth2Options) -> Result<Grant, SecretError> {
    Ok(Grant {
        token_url: oauth2.token_url.clone(),
        client_id: oauth2.client_id.clone(),
        client_secret: oauth2.client_secret.as_ref().map(secret).transpose()?.unwrap_or_default(),
        scopes: oauth2.scopes.clone(),
        params: oauth2.params.clone(),
    })
}

/// What calls of another protocol than HTTP/1.1 need of options, with every file read: TLS, and the headers of each call. Tokens of OAuth2
/// are not among them.
pub async fn read_identity(options: &Arc<HttpOptions>) -> Result<(ClientTls, Vec<(String, Secret)>), CallError> {
    let Resolved { credentials, secret_headers, tls, .. } = resolve(options.clone()).await?;
    let authorization = super::authorization(&credentials).map(|value| ("authorization".to_owned(), value));
    Ok((tls, secret_headers.into_iter().chain(authorization).collect()))
}

/// TLS options with every file read, for connections that are not HTTP.
pub async fn read_client_tls(options: &TlsOptions) -> Result<ClientTls, CallError> {
    if !tls_files(options) {
        return read_tls(options);
    }
    let options = options.clone();
    spawn_blocking(move || read_tls(&options)).await.map_err(|_| CallError::Pem("BUG: reading certificates failed".to_owned()))?
}

fn read_tls(tls: &TlsOptions) -> Result<ClientTls, CallError> {
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

fn secret(source: &SecretSource) -> Result<Secret, SecretError> {
    match source {
        SecretSource::Inline(secret) => Ok(secret.clone()),
        SecretSource::File(path) => Secret::from_file(path),
    }
}

/// Bundles of authorities are larger than secrets may be.
fn pem(source: &SecretSource) -> Result<Secret, CallError> {
    match source {
        SecretSource::Inline(secret) => Ok(secret.clone()),
        SecretSource::File(path) => read_pem(path).map(Secret::new).map_err(|e| CallError::Pem(format!("cannot read {}: {e}", path.display()))),
    }
}

fn read_pem(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    let read = std::fs::File::open(path)?.take(PEM_BYTES_MAX + 1).read_to_string(&mut text)?;
    if read as u64 > PEM_BYTES_MAX {
        return Err(std::io::Error::other(format!("it is larger than {PEM_BYTES_MAX} bytes")));
    }
    Ok(text)
}
