//! The embedded page: its files, those of text only as they were packed by the build, and its entry for every path that a person may have
//! typed. The page itself holds no data and no secrets, so its files are public; what it asks for is protected.

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::io::Read;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use flate2::read::GzDecoder;
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use rust_embed::{EmbeddedFile, RustEmbed};

use crate::app::App;
use crate::prometheus;
use crate::server::{Level, Refusal, Route, accepts};

#[derive(RustEmbed)]
#[folder = "../../ui/dist/"]
#[exclude = "assets/*.js"]
#[exclude = "assets/*.css"]
#[exclude = "assets/*.words"]
struct Dist;

const INDEX: &str = "index.html";
/// Files under this folder carry a hash of their content in their name.
const HASHED: &str = "assets/";
/// First segments of paths that belong to programs: there, something unknown is an error, not the page.
const PROGRAM_PATHS: [&str; 20] = [
    "-",
    "api",
    "ws",
    "v1",
    "metrics",
    "health",
    "ready",
    "federate",
    "loki",
    "otlp",
    "prometheus",
    "jaeger",
    "tempo",
    "elasticsearch",
    "pyroscope",
    "blackbox",
    "json",
    "redis",
    "llm",
    "debug",
];

/// Whether the binary was built without the real page.
pub fn is_placeholder() -> bool {
    Dist::get(INDEX).is_none_or(|file| file.data.windows(13).any(|w| w == b"\"placeholder\""))
}

/// The routes of the page. Everything else that nobody serves goes to [`fallback`].
pub fn routes() -> Vec<Route<Arc<App>>> {
    let mut paths = vec!["/".to_owned()];
    paths.extend(names().map(|name| format!("/{name}")));
    paths.into_iter().map(|path| Route::get(&path, Level::Public, file).hidden()).collect()
}

/// The names of all files, once each: one may be there plain, packed or both.
fn names() -> impl Iterator<Item = Cow<'static, str>> {
    Dist::iter().filter_map(|name| match name.strip_suffix(PACKED) {
        Some(plain) => Dist::get(plain).is_none().then(|| Cow::Owned(plain.to_owned())),
        None => Some(name),
    })
}

/// `GET` of a file of the page.
async fn file(request: Request) -> Response {
    let path = request.uri().path().trim_start_matches('/');
    serve(if path.is_empty() { INDEX } else { path }, request.headers()).unwrap_or_else(|| unknown(&request))
}

/// What nobody else serves: the page for people, an error for programs.
pub async fn fallback(request: Request) -> Response {
    let first = request.uri().path().trim_start_matches('/').split('/').next().unwrap_or("");
    let for_program = PROGRAM_PATHS.contains(&first) || !matches!(*request.method(), Method::GET | Method::HEAD) || !accepts_html(request.headers());
    if for_program {
        return unknown(&request);
    }
    serve(INDEX, request.headers()).unwrap_or_else(|| unknown(&request))
}

fn unknown(request: &Request) -> Response {
    let path = request.uri().path();
    if path.starts_with("/api/v1/") {
        return prometheus::not_found();
    }
    Refusal::not_found(format!("nothing is served at {path:?}")).into_response()
}

fn accepts_html(headers: &HeaderMap) -> bool {
    headers.get_all(ACCEPT).iter().any(|v| v.to_str().is_ok_and(|v| v.contains("text/html")))
}

/// The suffix of the packed file, and how it is packed.
const PACKED: &str = ".gz";
const ENCODING: &str = "gzip";

fn serve(name: &str, headers: &HeaderMap) -> Option<Response> {
    let (packed, plain) = (Dist::get(&format!("{name}{PACKED}")), Dist::get(name));
    let etag = etag(packed.as_ref().or(plain.as_ref())?);
    let mut response = if is_known(headers, &etag) { StatusCode::NOT_MODIFIED.into_response() } else { body(name, packed, plain, headers)? };
    let caching = if name.starts_with(HASHED) { "public, max-age=31536000, immutable" } else { "no-cache" };
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static(caching));
    response.headers_mut().insert(VARY, HeaderValue::from_static("accept-encoding"));
    if let Ok(etag) = HeaderValue::try_from(etag) {
        response.headers_mut().insert(ETAG, etag);
    }
    Some(response)
}

fn body(name: &str, packed: Option<EmbeddedFile>, plain: Option<EmbeddedFile>, headers: &HeaderMap) -> Option<Response> {
    let accepted = accepts(headers, ENCODING);
    let (encoding, bytes) = match (packed, plain) {
        (Some(packed), _) if accepted => (Some(ENCODING), packed.data),
        (_, Some(plain)) => (None, plain.data),
        // Hardly anybody takes nothing packed; it is our own, and small.
        (Some(packed), None) => (None, Cow::Owned(unpacked(&packed.data)?)),
        (None, None) => return None,
    };
    let mut response = Response::new(match bytes {
        Cow::Borrowed(bytes) => Body::from(bytes),
        Cow::Owned(bytes) => Body::from(bytes),
    });
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type(name)));
    if let Some(encoding) = encoding {
        response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    Some(response)
}

fn unpacked(packed: &[u8]) -> Option<Vec<u8>> {
    let mut plain = Vec::new();
    GzDecoder::new(packed).read_to_end(&mut plain).ok()?;
    Some(plain)
}

/// A weak tag: the same for all encodings of one content.
fn etag(file: &EmbeddedFile) -> String {
    let hash: String = file.metadata.sha256_hash().iter().take(12).map(|b| format!("{b:02x}")).collect();
    format!("W/\"{hash}\"")
}

fn is_known(headers: &HeaderMap, etag: &str) -> bool {
    headers.get_all(IF_NONE_MATCH).iter().filter_map(|v| v.to_str().ok()).flat_map(|v| v.split(',')).any(|known| {
        let known = known.trim();
        known == "*" || known.trim_start_matches("W/") == etag.trim_start_matches("W/")
    })
}

fn media_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map_or("", |(_, extension)| extension) {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "txt" | "words" => "text/plain; charset=utf-8",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "wasm" => "application/wasm",
        _ => "application/octet-stream",
    }
}
