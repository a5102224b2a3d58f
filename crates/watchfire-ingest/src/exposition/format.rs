//! Which text format: told from a Content-Type, chosen from an Accept header. Only media types, no bytes.

/// The text expositions we read and write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Format {
    /// Prometheus text format 0.0.4.
    #[default]
    PrometheusText,
    /// OpenMetrics 1.0.0 (0.0.1 is read alike).
    OpenMetrics,
}

/// More media ranges than any client sends; the rest of a header is ignored.
const RANGES_MAX: usize = 32;

impl Format {
    /// The Content-Type under which we send this format.
    pub fn content_type(self) -> &'static str {
        match self {
            Format::PrometheusText => "text/plain; version=0.0.4; charset=utf-8",
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
    /// The format of a received Content-Type. `None` for something that is neither; a missing or empty header is the
    /// caller's to decide (Prometheus has `fallback_scrape_protocol` for it).
    pub fn from_content_type(header: &str) -> Option<Format> {
        let media = header.split(';').next().unwrap_or("").trim();
        if media.eq_ignore_ascii_case("application/openmetrics-text") {
            Some(Format::OpenMetrics)
        } else if media.eq_ignore_ascii_case("text/plain") {
            Some(Format::PrometheusText)
        } else {
            None
        }
    }
    /// The best format for an Accept header: OpenMetrics only when it is asked for by name with at least the weight of the
    /// plain text; the text format in all other cases, so that `curl` gets what people expect.
    pub fn negotiate(accept: &str) -> Format {
        let mut text: f64 = 0.0;
        let mut open: f64 = 0.0;
        for range in accept.split(',').take(RANGES_MAX) {
            let mut parts = range.split(';').map(str::trim);
            let media = parts.next().unwrap_or("");
            let parameters: Vec<(&str, &str)> = parts.filter_map(|p| p.split_once('=')).map(|(n, v)| (n.trim(), v.trim().trim_matches('"'))).collect();
            let get = |name: &str| parameters.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| *v);
            let weight = get("q").map_or(1.0, |q| q.parse::<f64>().unwrap_or(0.0)).clamp(0.0, 1.0);
            let version = get("version");
            if media.eq_ignore_ascii_case("application/openmetrics-text") && matches!(version, None | Some("" | "0.0.1" | "1.0.0")) {
                open = open.max(weight);
            } else if media.eq_ignore_ascii_case("text/plain") && matches!(version, None | Some("0.0.4")) {
                text = text.max(weight);
            }
        }
        if open > 0.0 && open >= text { Format::OpenMetrics } else { Format::PrometheusText }
    }
}
