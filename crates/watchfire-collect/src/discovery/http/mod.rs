//! `http_sd_configs`: targets as JSON from a URL that is asked again and again. While it fails, its last good targets stay.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use watchfire_model::document::{Context, Node, Reader, Severity, parse_yaml};
use watchfire_model::meter::Meter;

use super::glob::Lookup;
use super::static_config::read_groups;
use super::{Discovery, Mechanism, Place, Running, Surroundings, TargetGroup, Update};
use crate::scrape::config::{HttpOptions, read_http_options};
use crate::scrape::fetch::{Answer, Request};

/// The registry entry.
pub const MECHANISM: Mechanism = Mechanism { key: "http_sd_configs", read };

/// How often the URL is asked when the file does not say.
pub const REFRESH_MS_DEFAULT: u64 = 60_000;
/// The largest answer that is taken.
pub const BODY_BYTES_MAX: u64 = 16 << 20;
/// The label that says which URL a target came from.
pub const URL_LABEL: &str = "__meta_url";

/// One entry of `http_sd_configs`.
pub struct HttpDiscovery {
    url: String,
    refresh_ms: u64,
    options: Arc<HttpOptions>,
}

fn read(place: &Place<'_>, node: &Node) -> Vec<Arc<dyn Discovery>> {
    place.each(node, |reader| Some(read_one(reader, place.lookup)))
}

fn read_one(reader: &Reader<'_>, lookup: &Lookup) -> HttpDiscovery {
    let url = reader.required_text("url");
    if !url.is_empty() && !url.starts_with("http://") && !url.starts_with("https://") {
        reader.error_at("url", "must begin with http:// or https://");
    }
    let refresh_ms = reader.duration_ms("refresh_interval").filter(|ms| *ms > 0).unwrap_or(REFRESH_MS_DEFAULT);
    HttpDiscovery { url, refresh_ms, options: Arc::new(read_http_options(reader, lookup)) }
}

impl HttpDiscovery {
    async fn ask(&self, outside: &Surroundings) -> Result<Vec<TargetGroup>, String> {
        let headers = [
            ("Accept", "application/json".to_owned()),
            ("User-Agent", concat!("Watchfire/", env!("CARGO_PKG_VERSION")).to_owned()),
            ("X-Prometheus-Refresh-Interval-Seconds", (self.refresh_ms as f64 / 1000.0).to_string()),
        ];
        let request = Request {
            url: self.url.clone(),
            headers: headers.map(|(name, value)| (name.to_owned(), value)).to_vec(),
            options: self.options.clone(),
            timeout: Duration::from_millis(self.refresh_ms),
            body_bytes_max: BODY_BYTES_MAX,
        };
        let answer = tokio::time::timeout(request.timeout, outside.fetch.get(request)).await.map_err(|_| "no answer in time".to_owned())?;
        read_answer(&self.url, &answer.map_err(|e| e.to_string())?)
    }
}

fn read_answer(url: &str, answer: &Answer) -> Result<Vec<TargetGroup>, String> {
    if answer.status != 200 {
        return Err(format!("server returned HTTP status {}", answer.status));
    }
    if !answer.content_type.to_ascii_lowercase().starts_with("application/json") {
        return Err(format!("unsupported content type {:?}, application/json is wanted", answer.content_type));
    }
    let text = std::str::from_utf8(&answer.body).map_err(|e| e.to_string())?;
    let root = parse_yaml(url, text).map_err(|f| f.to_string())?;
    let context = Context::new(url);
    let lookup = Lookup::default();
    let mut groups = read_groups(&Place { context: &context, lookup: &lookup, path: String::new() }, &root, &format!("{url}:"));
    if let Some(first) = context.into_findings().into_iter().find(|f| f.severity == Severity::Error) {
        return Err(first.to_string());
    }
    for group in &mut groups {
        group.labels.push((URL_LABEL.to_owned(), url.to_owned()));
    }
    Ok(groups)
}

impl Discovery for HttpDiscovery {
    fn initial(&self, _meter: &Meter) -> Option<Vec<TargetGroup>> {
        None
    }
    fn run(self: Arc<Self>, from: usize, surroundings: Surroundings, updates: mpsc::Sender<Update>) -> Option<Running> {
        Some(Box::pin(async move {
            let mut last = None;
            let failures =
                surroundings.meter.counter("watchfire_discovery_http_errors_total", "Requests for targets that failed; the last good targets are kept.", &[]);
            loop {
                match self.ask(&surroundings).await {
                    Ok(groups) if last.as_ref() == Some(&groups) => {}
                    Ok(groups) => {
                        last = Some(groups.clone());
                        if updates.send(Update { from, groups }).await.is_err() {
                            return;
                        }
                    }
                    Err(reason) => {
                        failures.inc();
                        tracing::warn!(url = self.url, reason, "cannot get targets; the last good ones are kept");
                    }
                }
                tokio::time::sleep(Duration::from_millis(self.refresh_ms)).await;
            }
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers() {
        let answer = |status, content_type: &str, body: &str| Answer { status, content_type: content_type.to_owned(), body: body.to_owned().into() };
        let good = read_answer(
            "http://sd/",
            &answer(200, "application/json; charset=utf-8", "[\n\t{\"targets\": [\"a:1\", \"b:2\"],\n\t \"labels\": {\"x\": \"1\"}}]"),
        )
        .unwrap();
        assert_eq!(good[0].targets.len(), 2);
        assert!(good[0].labels.contains(&(URL_LABEL.to_owned(), "http://sd/".to_owned())));
        for (status, content_type, body) in
            [(500, "application/json", "[]"), (200, "text/html", "[]"), (200, "application/json", "{"), (200, "application/json", "{}")]
        {
            assert!(read_answer("http://sd/", &answer(status, content_type, body)).is_err(), "{status} {content_type} {body}");
        }
    }
}
