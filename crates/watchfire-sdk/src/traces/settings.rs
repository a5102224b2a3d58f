//! What the environment says about tracing. The names are those of OpenTelemetry and of the programs that are watched.

use std::fmt;

/// The service that spans belong to when nobody names one.
const SERVICE_NAME: &str = "nemotron-backend";

/// How spans are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// OTLP over gRPC.
    Grpc,
    /// OTLP over HTTP, in protobuf.
    HttpProtobuf,
}
impl Protocol {
    fn endpoint(self) -> &'static str {
        match self {
            Protocol::Grpc => "http://localhost:4317",
            Protocol::HttpProtobuf => "http://localhost:4318",
        }
    }
    /// The name in `OTEL_EXPORTER_OTLP_PROTOCOL`.
    pub fn name(self) -> &'static str {
        match self {
            Protocol::Grpc => "grpc",
            Protocol::HttpProtobuf => "http/protobuf",
        }
    }
}

/// A variable that means nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsError {
    variable: &'static str,
    value: String,
    wanted: &'static str,
}
impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot use {}={:?}: it must be {}", self.variable, self.value, self.wanted)
    }
}
impl std::error::Error for SettingsError {}

/// Whether, how and what is traced.
#[derive(Clone, Debug, PartialEq)]
pub struct TraceSettings {
    /// Whether spans are made and exported at all (`OTEL_ENABLED`, usually not).
    pub enabled: bool,
    /// The service that they belong to (`OTEL_SERVICE_NAME`, usually `nemotron-backend`).
    pub service_name: String,
    /// Where they go (`OTEL_EXPORTER_OTLP_ENDPOINT`, usually `http://localhost:4317`, by HTTP `http://localhost:4318`).
    pub endpoint: String,
    /// How they go there (`OTEL_EXPORTER_OTLP_PROTOCOL`, usually `grpc`).
    pub protocol: Protocol,
    /// Without TLS (`true`) or with it (`false`), whatever the endpoint begins with (`OTEL_EXPORTER_OTLP_INSECURE`); usually the endpoint
    /// decides.
    pub insecure: Option<bool>,
    /// The share of traces that is kept, 0 to 1 (`OTEL_TRACE_SAMPLE_RATE`, usually all of them). It counts for traces that begin here; those that come
    /// from elsewhere were decided on there.
    pub sample_rate: f64,
}
impl Default for TraceSettings {
    fn default() -> TraceSettings {
        let protocol = Protocol::Grpc;
        TraceSettings {
            enabled: false,
            service_name: SERVICE_NAME.to_owned(),
            endpoint: protocol.endpoint().to_owned(),
            protocol,
            insecure: None,
            sample_rate: 1.0,
        }
    }
}

impl TraceSettings {
    /// The settings of this process's environment.
    #[expect(clippy::disallowed_methods, reason = "this is linked into programs that have no other configuration of ours")]
    pub fn from_environment() -> Result<TraceSettings, SettingsError> {
        TraceSettings::read(|name| std::env::var(name).ok())
    }
    /// The settings of any environment. A variable without a value is as good as none.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<TraceSettings, SettingsError> {
        let get = |name: &'static str| variable(name).map(|v| v.trim().to_owned()).filter(|v| !v.is_empty());
        let usual = TraceSettings::default();
        let protocol = match get("OTEL_EXPORTER_OTLP_PROTOCOL") {
            None => usual.protocol,
            Some(text) => protocol(&text).ok_or(SettingsError { variable: "OTEL_EXPORTER_OTLP_PROTOCOL", value: text, wanted: "grpc or http/protobuf" })?,
        };
        let sample_rate = match get("OTEL_TRACE_SAMPLE_RATE") {
            None => usual.sample_rate,
            Some(text) => share(&text).ok_or(SettingsError { variable: "OTEL_TRACE_SAMPLE_RATE", value: text, wanted: "a number from 0.0 to 1.0" })?,
        };
        Ok(TraceSettings {
            enabled: flag("OTEL_ENABLED", get("OTEL_ENABLED"))?.unwrap_or(usual.enabled),
            service_name: get("OTEL_SERVICE_NAME").unwrap_or(usual.service_name),
            endpoint: get("OTEL_EXPORTER_OTLP_ENDPOINT").unwrap_or_else(|| protocol.endpoint().to_owned()),
            protocol,
            insecure: flag("OTEL_EXPORTER_OTLP_INSECURE", get("OTEL_EXPORTER_OTLP_INSECURE"))?,
            sample_rate,
        })
    }

    /// The endpoint with the scheme that [`TraceSettings::insecure`] asks for, and with the path that HTTP needs.
    pub(super) fn url(&self) -> String {
        let (scheme, rest) = self.endpoint.split_once("://").unwrap_or(("http", &self.endpoint));
        let scheme = match self.insecure {
            Some(true) => "http",
            Some(false) => "https",
            None => scheme,
        };
        let rest = rest.trim_end_matches('/');
        match self.protocol {
            Protocol::Grpc => format!("{scheme}://{rest}"),
            Protocol::HttpProtobuf => format!("{scheme}://{}/v1/traces", rest.trim_end_matches("/v1/traces")),
        }
    }
}

fn protocol(text: &str) -> Option<Protocol> {
    [Protocol::Grpc, Protocol::HttpProtobuf].into_iter().find(|p| p.name().eq_ignore_ascii_case(text))
}

fn share(text: &str) -> Option<f64> {
    text.parse().ok().filter(|rate| (0.0..=1.0).contains(rate))
}

fn flag(variable: &'static str, value: Option<String>) -> Result<Option<bool>, SettingsError> {
    let Some(value) = value else { return Ok(None) };
    match value.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(Some(true)),
        "false" | "0" | "no" | "off" => Ok(Some(false)),
        _ => Err(SettingsError { variable, value, wanted: "true or false" }),
    }
}
