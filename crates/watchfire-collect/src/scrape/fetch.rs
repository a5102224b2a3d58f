//! What a scrape asks of the network: one GET with a deadline and a limit. The trait lets tests answer without a socket;
//! `NetFetch` is the real one, over `watchfire_net`.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use super::config::{HttpOptions, Protocol, ScrapeConfig};
use super::target::Target;

/// A GET to be made.
#[derive(Clone, Debug)]
pub struct Request {
    /// The whole URL.
    pub url: String,
    /// Headers in the order in which they are sent.
    pub headers: Vec<(String, String)>,
    /// Credentials, TLS and the like.
    pub options: Arc<HttpOptions>,
    /// How long all of it may take.
    pub timeout: Duration,
    /// The most bytes that a body may have after decompression.
    pub body_bytes_max: u64,
}

/// What came back.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The value of `Content-Type`, or the empty text.
    pub content_type: String,
    /// The body, decompressed.
    pub body: bytes::Bytes,
}

/// Why nothing usable came back.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// Nobody answers at the address (no such name, refused, unreachable).
    #[error("cannot connect to {0}")]
    Connect(String),
    /// It took too long.
    #[error("context deadline exceeded: no complete answer within {0:?}")]
    Timeout(Duration),
    /// The body is larger than allowed.
    #[error("body size limit exceeded: more than {0} bytes")]
    TooLarge(u64),
    /// An answer that is not a success.
    #[error("server returned HTTP status {0}")]
    Status(String),
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

/// A future that a fetcher returns.
pub type Fetching<'a> = Pin<Box<dyn Future<Output = Result<Answer, FetchError>> + Send + 'a>>;

/// Makes requests.
pub trait Fetch: Send + Sync {
    /// Makes one request; whatever the status, an answer is an answer.
    fn get(&self, request: Request) -> Fetching<'_>;
}

/// The request for one scrape of a target.
pub(super) fn scrape_request(job: &ScrapeConfig, target: &Target) -> Request {
    let seconds = target.timeout_ms as f64 / 1000.0;
    // On the same machine compressing and decompressing cost more than the bytes they save.
    let encoding = if job.enable_compression && !is_loopback(&target.host_and_port().0) { "gzip" } else { "identity" };
    let headers = [
        ("Accept", accept(&job.protocols, job.escaping)),
        ("Accept-Encoding", encoding.to_owned()),
        ("User-Agent", concat!("Watchfire/", env!("CARGO_PKG_VERSION")).to_owned()),
        ("X-Prometheus-Scrape-Timeout-Seconds", seconds.to_string()),
    ];
    Request {
        url: target.url(),
        headers: headers.map(|(name, value)| (name.to_owned(), value)).to_vec(),
        options: job.client.clone(),
        timeout: Duration::from_millis(target.timeout_ms),
        body_bytes_max: job.limits.body_bytes_or_default(),
    }
}

fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// The `Accept` header: the protocols by preference, then anything.
fn accept(protocols: &[Protocol], escaping: &str) -> String {
    let media = |protocol: &Protocol| match protocol {
        Protocol::PrometheusProto => "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited".to_owned(),
        Protocol::OpenMetrics100 => format!("application/openmetrics-text;version=1.0.0;escaping={escaping}"),
        Protocol::OpenMetrics001 => "application/openmetrics-text;version=0.0.1".to_owned(),
        Protocol::Text100 => format!("text/plain;version=1.0.0;escaping={escaping}"),
        Protocol::Text004 => "text/plain;version=0.0.4".to_owned(),
    };
    let weighted = protocols.iter().enumerate().map(|(i, p)| format!("{};q=0.{}", media(p), 6 - i.min(5)));
    weighted.chain([format!("*/*;q=0.{}", 6 - protocols.len().min(5))]).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_hosts() {
        for (host, expected) in [("localhost", true), ("LOCALHOST", true), ("127.0.0.1", true), ("127.9.9.9", true), ("[::1]", true), ("::1", true)] {
            assert_eq!(is_loopback(host), expected, "{host}");
        }
        for host in ["10.0.0.1", "localhost.example.net", "127.0.0.1.example.net", "[::2]", "node-1", ""] {
            assert!(!is_loopback(host), "{host}");
        }
    }

    #[test]
    fn accept_header_has_weights() {
        assert_eq!(
            accept(&Protocol::DEFAULT, "allow-utf-8"),
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,\
             text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
        );
        assert_eq!(accept(&[Protocol::Text004], "underscores"), "text/plain;version=0.0.4;q=0.6,*/*;q=0.5");
    }
}
