//! Which exposition an answer is, by its Content-Type.

use watchfire_ingest::exposition::Format;

use super::config::Protocol;

/// The expositions that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    /// One of the text formats.
    Text(Format),
    /// Delimited protocol buffers.
    Protobuf,
}

/// The exposition of an answer. An unknown or missing type is read as the text format, as Prometheus 2 did.
pub(super) fn encoding_of(content_type: &str, fallback: Option<Protocol>) -> Encoding {
    let media = content_type.split(';').next().unwrap_or("").trim();
    if media.eq_ignore_ascii_case("application/vnd.google.protobuf") {
        return Encoding::Protobuf;
    }
    match (Format::from_content_type(content_type), fallback) {
        (Some(format), _) => Encoding::Text(format),
        (None, Some(Protocol::PrometheusProto)) => Encoding::Protobuf,
        (None, Some(Protocol::OpenMetrics100 | Protocol::OpenMetrics001)) => Encoding::Text(Format::OpenMetrics),
        (None, _) => Encoding::Text(Format::PrometheusText),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats() {
        let (text, open) = (Encoding::Text(Format::PrometheusText), Encoding::Text(Format::OpenMetrics));
        for (content_type, fallback, expected) in [
            ("application/openmetrics-text; version=1.0.0", None, open),
            ("text/plain; version=0.0.4", Some(Protocol::OpenMetrics100), text),
            ("application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited", Some(Protocol::Text004), Encoding::Protobuf),
            ("", None, text),
            ("", Some(Protocol::OpenMetrics100), open),
            ("", Some(Protocol::PrometheusProto), Encoding::Protobuf),
            ("text/html", None, text),
        ] {
            assert_eq!(encoding_of(content_type, fallback), expected, "{content_type}");
        }
    }
}
