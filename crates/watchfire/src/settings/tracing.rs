//! `tracing:`, our own spans: whether they are made, whose they are, where they go. Spans of others are said under `traces`.

use watchfire_model::document::Reader;
use watchfire_net::secret::Secret;

/// The service that we are.
const SERVICE: &str = "watchfire";

/// `tracing:`
#[derive(Clone, Debug)]
pub(crate) struct TracingSettings {
    /// Whether spans are made.
    pub(crate) enabled: bool,
    /// The service that they belong to.
    pub(crate) service_name: String,
    /// Where they go; to ourselves when nothing is said.
    pub(crate) endpoint: Option<Endpoint>,
    /// What goes with them to another place.
    pub(crate) headers: Vec<(String, Secret)>,
    /// Which share of the traces that begin here is kept.
    pub(crate) sample_rate: f64,
}

/// A place that takes OTLP.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Endpoint {
    /// All of it, for HTTP with its path.
    pub(crate) url: String,
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) secure: bool,
    /// Over gRPC, or else over HTTP.
    pub(crate) grpc: bool,
}

impl TracingSettings {
    /// Reads the section.
    pub(super) fn read(tracing: Reader<'_>) -> TracingSettings {
        // Who takes JSON over HTTP takes protobuf at the same place.
        let grpc = tracing.word("protocol", &["grpc", "http/protobuf", "http/json"]).unwrap_or("grpc") == "grpc";
        let insecure = tracing.bool("insecure");
        let endpoint = tracing.text("endpoint").and_then(|text| {
            let read = Endpoint::read(&text, grpc, insecure);
            if read.is_none() {
                tracing.error_at("endpoint", format!("must be a URL such as http://localhost:4317, not {text:?}"));
            }
            read
        });
        let sample_rate = tracing.f64("sample_rate").unwrap_or(1.0);
        if !(0.0..=1.0).contains(&sample_rate) {
            tracing.error_at("sample_rate", "must be between 0.0, which keeps none, and 1.0, which keeps all");
        }
        let headers = tracing.text("headers").map_or_else(Vec::new, |text| {
            crate::spans::read_headers(&text).unwrap_or_else(|| {
                tracing.error_at("headers", "must be a list such as name=value,name=value");
                Vec::new()
            })
        });
        let settings = TracingSettings {
            enabled: tracing.bool("enabled").unwrap_or(false),
            service_name: tracing.text("service_name").unwrap_or_else(|| SERVICE.to_owned()),
            endpoint,
            headers,
            sample_rate,
        };
        tracing.finish();
        settings
    }
}

impl Endpoint {
    fn read(text: &str, grpc: bool, insecure: Option<bool>) -> Option<Endpoint> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
        let secure = match (insecure, scheme) {
            (Some(insecure), "http" | "https") => !insecure,
            (None, "http") => false,
            (None, "https") => true,
            _ => return None,
        };
        let rest = rest.trim_end_matches('/').trim_end_matches("/v1/traces");
        let uri: http::Uri = format!("{}://{rest}", if secure { "https" } else { "http" }).parse().ok()?;
        let host = uri.host().filter(|host| !host.is_empty() && !rest.contains('@'))?.to_owned();
        let port = uri.port_u16().unwrap_or(if grpc { 4317 } else { 4318 });
        let scheme = if secure { "https" } else { "http" };
        let path = uri.path().trim_end_matches('/');
        let url = if grpc { format!("{scheme}://{host}:{port}") } else { format!("{scheme}://{host}:{port}{path}/v1/traces") };
        Some(Endpoint { url, host, port, secure, grpc })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trc_05_endpoints_with_and_without_tls() {
        for (text, grpc, insecure, expected) in [
            ("http://jaeger:4317", true, None, Some(("http://jaeger:4317", false))),
            ("http://jaeger:4317/", true, Some(true), Some(("http://jaeger:4317", false))),
            ("https://c:4317", true, Some(true), Some(("http://c:4317", false))),
            ("http://c:4317", true, Some(false), Some(("https://c:4317", true))),
            ("https://c", true, None, Some(("https://c:4317", true))),
            ("c:1", true, None, Some(("http://c:1", false))),
            ("http://c", false, None, Some(("http://c:4318/v1/traces", false))),
            ("http://c:1/otlp/v1/traces", false, None, Some(("http://c:1/otlp/v1/traces", false))),
            ("http://[::1]:4317", true, None, Some(("http://[::1]:4317", false))),
            ("ftp://c", true, None, None),
            ("http://", true, None, None),
            ("http://user:secret@c", true, None, None),
        ] {
            let read = Endpoint::read(text, grpc, insecure);
            assert_eq!(read.as_ref().map(|e| (e.url.as_str(), e.secure)), expected, "{text}");
        }
    }
}
