//! The prober `http`: requests a page as a module says, follows where it leads, and judges status, headers, body, version and encryption.
//! Connections are opened by `watchfire_net::timed`.

mod judge;
mod module;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, AUTHORIZATION, CONTENT_LENGTH, COOKIE, HOST, LOCATION, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri};
use url::Url;
use watchfire_net::client::{AGENT, Prepared, authorization, credentials_of};
use watchfire_net::policy::Policy;
use watchfire_net::timed::{Answer, Asked, Dialer, Family, Link, Preference, TimedError, Version, measured};

pub(super) use self::module::HttpModule;
use super::sheet::Sheet;
use super::target::{Probe, Trust};

const PHASES: &str = "probe_http_duration_seconds";
/// Redirects that are followed from a target that the configuration names, and from another one.
const REDIRECTS_MAX: [usize; 2] = [10, 3];

/// Where one request goes, and what goes along.
struct Hop {
    url: Url,
    method: Method,
    /// Whether headers and credentials that are meant for the target itself go along.
    trusted: bool,
    with_body: bool,
}

/// The answer of the last hop.
struct Last {
    answer: Answer,
    encrypted: bool,
    /// When the head of the answer was there.
    head_at: tokio::time::Instant,
    /// A redirect that is not followed, because it must not be or because there were too many. Its body is not read.
    leads_on: bool,
}

/// Probes a target.
pub(super) async fn probe(work: &mut Probe<'_>, module: &HttpModule) -> bool {
    for name in ["probe_http_content_length", "probe_http_uncompressed_body_length", "probe_http_redirects", "probe_http_ssl", "probe_http_status_code"] {
        work.sheet.set(name, &[], 0.0);
    }
    work.sheet.set("probe_http_version", &[], 0.0);
    work.sheet.set("probe_failed_due_to_regex", &[], 0.0);
    match walk(work, module).await {
        Ok(last) => judge::judge(work, module, last).await,
        Err(reason) => {
            work.sheet.say(reason);
            false
        }
    }
}

/// The status and the body of a page, for what stands in it.
pub(super) async fn fetch(work: &mut Probe<'_>, module: &HttpModule, bytes_max: usize) -> Result<(u16, Vec<u8>), String> {
    let last = walk(work, module).await?;
    if last.leads_on && module.client.follow_redirects {
        return Err("it leads on and on".to_owned());
    }
    let status = last.answer.status.as_u16();
    let (body, _) = last.answer.body.collect(bytes_max).await.map_err(|e| e.to_string())?;
    Ok((status, body))
}

/// From the target to the answer that is judged.
async fn walk(work: &mut Probe<'_>, module: &HttpModule) -> Result<Last, String> {
    let url = target_url(work.target)?;
    let mut prepared = work.prepare(&module.client).await?;
    if let Some((user, password)) = credentials_of(url.as_str()).filter(|_| matches!(prepared.credentials, watchfire_net::client::Credentials::None)) {
        prepared.credentials = watchfire_net::client::Credentials::Basic { user, password };
    }
    let mut hop = Hop { url: bare(url), method: module.method.clone(), trusted: true, with_body: true };
    let redirects_max = REDIRECTS_MAX[usize::from(work.trust == Trust::AdHoc)];
    for followed in 0.. {
        let last = request(work, module, &prepared, &hop, followed == 0).await?;
        let Some(to) = leads_to(&hop, last.answer.status, &last.answer.headers)? else { return Ok(last) };
        // One that is not followed counts as well, as it does there.
        work.sheet.set("probe_http_redirects", &[], (followed + 1) as f64);
        if !module.client.follow_redirects || followed >= redirects_max {
            let why = if module.client.follow_redirects { format!("stopped after {redirects_max} redirects") } else { "redirects are not followed".to_owned() };
            work.sheet.say(why);
            return Ok(Last { leads_on: true, ..last });
        }
        hop = next(&hop, last.answer.status, to)?;
        work.sheet.say(format!("redirected to {}", hop.url));
    }
    Err("it leads nowhere".to_owned())
}

/// One request and the head of its answer.
async fn request(work: &mut Probe<'_>, module: &HttpModule, prepared: &Prepared, hop: &Hop, first: bool) -> Result<Last, String> {
    let encrypted = hop.url.scheme() == "https";
    let uri: Uri = hop.url.as_str().parse().map_err(|e| format!("cannot request {}: {e}", hop.url))?;
    let host_header = module.host_header(work.hostname);
    let (connecting, link) = connect(work, module, prepared, hop, &uri, first).await?;
    let (encrypting, link) = match encrypted {
        true => encrypt(work, module, prepared, hop, host_header.as_deref().filter(|_| first), link).await?,
        false => (Duration::ZERO, link),
    };
    // What did not come about took no time, as it does not there.
    work.sheet.phase(PHASES, "connect", connecting);
    work.sheet.phase(PHASES, "tls", encrypting);
    if let Some(facts) = link.tls.clone() {
        work.last_tls = Some(facts);
    } else {
        work.last_tls = None;
    }
    let two = link.tls.as_ref().is_some_and(|facts| facts.protocol.as_deref() == Some(b"h2"));
    let message = message(module, prepared, hop, &uri, (host_header.filter(|_| hop.trusted), two, link.proxied))?;
    let asked = Asked { request: message, host: hop.url.host_str().unwrap_or_default().to_owned(), version: if two { Version::Two } else { Version::One } };
    work.sheet.say(format!("requesting {} {}", hop.method, hop.url));
    let (took, answer) = measured(link.exchange(asked)).await;
    let answer = answer.map_err(|e| e.to_string())?;
    work.sheet.phase(PHASES, "processing", took);
    work.sheet.say(format!("answered {}", answer.status));
    Ok(Last { answer, encrypted, head_at: tokio::time::Instant::now(), leads_on: false })
}

/// A connection to the host of a hop, or to a proxy before it, and how long it took.
async fn connect(work: &mut Probe<'_>, module: &HttpModule, prepared: &Prepared, hop: &Hop, uri: &Uri, first: bool) -> Result<(Duration, Link), String> {
    let proxied = prepared.proxies.applies_to(uri);
    let host = hop.url.host_str().unwrap_or_default();
    let port = hop.url.port_or_known_default().unwrap_or(80);
    if proxied && work.trust == Trust::AdHoc {
        return Err("cannot go through a proxy to a target that the configuration does not name: what is behind it cannot be checked".to_owned());
    }
    let mut place = None;
    if !(proxied && (module.skip_resolve_with_proxy || !first)) {
        let preference = if first { module.preference } else { Preference { family: Family::V4, fallback: true } };
        let (took, found) = measured(work.dialer.resolve(host, preference)).await;
        work.sheet.phase(PHASES, "resolve", took);
        if first && found.is_err() {
            work.sheet.no_address(took);
        }
        let ip = found.map_err(|e| e.to_string())?;
        if first {
            work.sheet.address(ip, took);
        }
        place = Some(SocketAddr::new(ip, port));
    }
    for phase in ["connect", "tls", "processing", "transfer"] {
        work.sheet.phase(PHASES, phase, Duration::ZERO);
    }
    let (took, link) = match place.filter(|_| !proxied) {
        Some(place) => measured(direct(work.dialer, place, work.policy)).await,
        None => measured(work.dialer.through(&prepared.proxies, &prepared.tls, uri)).await,
    };
    link.map(|link| (took, link)).map_err(|e| work.refused(e))
}

async fn direct(dialer: &Dialer, place: SocketAddr, policy: &Policy) -> Result<Link, TimedError> {
    dialer.connect(place, None, policy).await
}

async fn encrypt(
    work: &mut Probe<'_>,
    module: &HttpModule,
    prepared: &Prepared,
    hop: &Hop,
    host_header: Option<&str>,
    link: Link,
) -> Result<(Duration, Link), String> {
    // The name to prove is the one that is asked for; a name that was set holds for the target itself and not for where it leads.
    let asked = host_header.map(|h| h.rsplit_once(':').filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit())).map_or(h, |(host, _)| host));
    let name = asked.unwrap_or_else(|| hop.url.host_str().unwrap_or_default());
    let mut tls = prepared.tls.clone();
    if !hop.trusted {
        tls.server_name = None;
        tls.identity_pem = None;
    }
    let protocols: &[&[u8]] = if module.http2 { &[b"h2", b"http/1.1"] } else { &[b"http/1.1"] };
    let (took, link) = measured(work.dialer.encrypt(link, name, &tls, protocols)).await;
    link.map(|link| (took, link)).map_err(|e| e.to_string())
}

fn message(
    module: &HttpModule,
    prepared: &Prepared,
    hop: &Hop,
    uri: &Uri,
    (host, two, proxied): (Option<String>, bool, bool),
) -> Result<Request<Bytes>, String> {
    let target = if two || proxied { uri.clone() } else { origin_form(uri)? };
    let body = if hop.with_body { module.body()? } else { Bytes::new() };
    let mut request = Request::builder().method(hop.method.clone()).uri(target).body(body).map_err(|e| e.to_string())?;
    let headers = request.headers_mut();
    let bad = |name: &str| format!("cannot send the header {name:?}");
    let put = |headers: &mut HeaderMap, name: &str, value: &str, secret: bool| -> Result<(), String> {
        let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad(name))?;
        let mut value = HeaderValue::from_str(value).map_err(|_| bad(name))?;
        value.set_sensitive(secret);
        headers.insert(header, value);
        Ok(())
    };
    headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
    if let Some(encoding) = &module.compression {
        put(headers, ACCEPT_ENCODING.as_str(), encoding.word(), false)?;
    }
    for (name, value) in &module.headers {
        let stays = [AUTHORIZATION.as_str(), COOKIE.as_str(), HOST.as_str()].iter().any(|h| name.eq_ignore_ascii_case(h));
        if hop.trusted || !stays {
            put(headers, name, value, false)?;
        }
    }
    if hop.trusted {
        for (name, value) in &prepared.secret_headers {
            put(headers, name, value.expose(), true)?;
        }
        if let Some(value) = authorization(&prepared.credentials) {
            put(headers, AUTHORIZATION.as_str(), value.expose(), true)?;
        }
    }
    if proxied && let Some(value) = prepared.proxies.authorization_for(uri) {
        put(headers, "proxy-authorization", value.expose(), true)?;
    }
    headers.remove(HOST);
    if two {
        // HTTP/2 has no such header; the name stands in the URL.
        if let Some(host) = host {
            *request.uri_mut() = with_authority(uri, &host)?;
        }
        return Ok(request);
    }
    let authority = uri.authority().map(ToString::to_string).unwrap_or_default();
    put(request.headers_mut(), HOST.as_str(), &host.unwrap_or(authority), false)?;
    if !request.body().is_empty() || matches!(*request.method(), Method::POST | Method::PUT | Method::PATCH) {
        let length = request.body().len();
        request.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    Ok(request)
}

fn origin_form(uri: &Uri) -> Result<Uri, String> {
    let path = uri.path_and_query().map_or("/", |p| p.as_str());
    path.parse().map_err(|e| format!("cannot request {path}: {e}"))
}

fn with_authority(uri: &Uri, authority: &str) -> Result<Uri, String> {
    let mut parts = uri.clone().into_parts();
    parts.authority = Some(authority.parse().map_err(|e| format!("cannot ask for the host {authority:?}: {e}"))?);
    Uri::from_parts(parts).map_err(|e| e.to_string())
}

/// The target as a URL; without a scheme it is plain HTTP.
fn target_url(target: &str) -> Result<Url, String> {
    let whole = if target.starts_with("http://") || target.starts_with("https://") { target.to_owned() } else { format!("http://{target}") };
    let url = Url::parse(&whole).map_err(|e| format!("cannot use the target as a URL: {e}"))?;
    if url.host_str().is_none_or(str::is_empty) { Err("the target names no host".to_owned()) } else { Ok(url) }
}

/// The URL without user name, password and fragment.
fn bare(mut url: Url) -> Url {
    let cleared = url.set_username("").is_ok() && url.set_password(None).is_ok();
    url.set_fragment(None);
    debug_assert!(cleared, "a URL with a host takes an empty name");
    url
}

/// Where an answer leads, if it is a redirect.
fn leads_to(hop: &Hop, status: StatusCode, headers: &HeaderMap) -> Result<Option<Url>, String> {
    if !matches!(status.as_u16(), 301..=303 | 307 | 308) {
        return Ok(None);
    }
    let Some(location) = headers.get(LOCATION) else { return Ok(None) };
    let location = location.to_str().map_err(|_| "the address of a redirect is no text".to_owned())?;
    hop.url.join(location).map(Some).map_err(|e| format!("cannot follow a redirect: {e}"))
}

/// The hop to where a redirect leads.
fn next(hop: &Hop, status: StatusCode, url: Url) -> Result<Hop, String> {
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("cannot follow a redirect to a {} address", url.scheme()));
    }
    let keeps = matches!(status.as_u16(), 307 | 308);
    let same = url.host_str() == hop.url.host_str() && url.port_or_known_default() == hop.url.port_or_known_default() && url.scheme() == hop.url.scheme();
    let method = if keeps || hop.method == Method::HEAD { hop.method.clone() } else { Method::GET };
    Ok(Hop { url: bare(url), method, trusted: hop.trusted && same, with_body: keeps && hop.with_body })
}

/// Adds the time since a moment to a phase.
fn since(sheet: &mut Sheet, phase: &str, begin: tokio::time::Instant) {
    let took: Duration = begin.elapsed();
    sheet.phase(PHASES, phase, took);
}
