//! Middleware for calls made with reqwest: a span for every call, and the headers that let the other side go on with the trace.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let client = watchfire_sdk::reqwest::client(reqwest::Client::new());
//! let answer = client.get("http://localhost:8090/health").send().await?;
//! # Ok(())
//! # }
//! ```

use ::reqwest::{Request, Response, Url};
use http::Extensions;
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, Middleware, Next, Result};
use tracing::Instrument;
use tracing::field::Empty;

use crate::traces::inject;

/// A client whose calls are observed.
pub fn client(client: ::reqwest::Client) -> ClientWithMiddleware {
    ClientBuilder::new(client).with(Observe).build()
}

/// The middleware itself, to be put among others.
#[derive(Clone, Copy, Debug, Default)]
pub struct Observe;

#[async_trait::async_trait]
impl Middleware for Observe {
    async fn handle(&self, mut request: Request, extensions: &mut Extensions, next: Next<'_>) -> Result<Response> {
        let url = request.url();
        let span = tracing::info_span!(
            "call",
            otel.name = request.method().as_str(),
            otel.kind = "client",
            otel.status_code = Empty,
            otel.status_description = Empty,
            http.request.method = request.method().as_str(),
            http.response.status_code = Empty,
            server.address = url.host_str(),
            server.port = url.port_or_known_default(),
            url.full = shown(url),
        );
        span.in_scope(|| inject(request.headers_mut()));
        let answered = next.run(request, extensions).instrument(span.clone()).await;
        match &answered {
            Ok(response) => {
                span.record("http.response.status_code", response.status().as_u16());
                if response.status().is_client_error() || response.status().is_server_error() {
                    span.record("otel.status_code", "ERROR");
                }
            }
            Err(error) => {
                span.record("otel.status_code", "ERROR");
                span.record("otel.status_description", without_url(error));
            }
        }
        answered
    }
}

/// A URL without what may be secret: names, passwords, the query.
fn shown(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{host}{port}{}", url.scheme(), url.path())
}

/// What went wrong; errors of reqwest say the whole URL otherwise.
fn without_url(error: &reqwest_middleware::Error) -> &'static str {
    match error {
        reqwest_middleware::Error::Middleware(_) => "another middleware refused",
        reqwest_middleware::Error::Reqwest(error) if error.is_timeout() => "no answer in time",
        reqwest_middleware::Error::Reqwest(error) if error.is_connect() => "cannot connect",
        reqwest_middleware::Error::Reqwest(_) => "the exchange failed",
    }
}
