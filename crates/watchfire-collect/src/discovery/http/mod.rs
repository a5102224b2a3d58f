//! `http_sd_configs`: targets as JSON from a URL that is asked again and again. While it fails, its last good targets stay.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use watchfire_model::document::{Node, Reader};
use watchfire_model::meter::Meter;

use super::glob::Lookup;
use super::static_config::{groups_of, parse_json};
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
    if !is_json(&answer.content_type) {
        return Err(format!("unsupported content type {:?}, application/json is wanted", answer.content_type));
    }
    let root = parse_json(url, &answer.body)?;
    let mut groups = if root.is_null() { Vec::new() } else { groups_of(url, &root)? };
    for group in &mut groups {
        group.labels.push((URL_LABEL.to_owned(), url.to_owned()));
    }
    Ok(groups)
}

/// Whether a content type is the one of JSON, in UTF-8 if it says so.
fn is_json(content_type: &str) -> bool {
    let lower = content_type.to_ascii_lowercase();
    let Some((kind, parameter)) = lower.split_once(';') else { return lower == "application/json" };
    kind == "application/json" && matches!(parameter.trim_start(), "charset=utf-8" | "charset=\"utf-8\"")
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
        for (status, content_type, body) in [
            (500, "application/json", "[]"),
            (200, "text/html", "[]"),
            (200, "application/json", "{"),
            (200, "application/json", "{}"),
            (200, "application/json", ""),
            (200, "application/json", "[null]"),
            (200, "application/json", "- targets: ['a:1']"),
            (204, "application/json", "[]"),
        ] {
            assert!(read_answer("http://sd/", &answer(status, content_type, body)).is_err(), "{status} {content_type} {body}");
        }
        assert_eq!(read_answer("http://sd/", &answer(200, "application/json", "[]")), Ok(Vec::new()));
        for (content_type, good) in [
            ("Application/JSON", true),
            ("application/json;charset=UTF-8", true),
            ("application/json; charset=\"utf-8\"", true),
            ("application/json; charset=latin1", false),
            ("application/json5", false),
            ("application/jsonl; charset=utf-8", false),
            ("", false),
        ] {
            assert_eq!(is_json(content_type), good, "{content_type}");
        }
    }

    /// Answers one after the other, and notes what was asked.
    struct Script(std::sync::Mutex<(Vec<Request>, std::collections::VecDeque<Answer>)>);
    impl crate::scrape::fetch::Fetch for Script {
        fn get(&self, request: Request) -> crate::scrape::fetch::Fetching<'_> {
            let mut all = self.0.lock().unwrap();
            all.0.push(request);
            let answer = all.1.pop_front();
            Box::pin(async move { answer.ok_or(crate::scrape::fetch::FetchError::Connect("nobody".to_owned())) })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_list_stays_while_nobody_answers_and_goes_when_it_is_empty() {
        let answer = |status, body: &str| Answer { status, content_type: "application/json".to_owned(), body: body.to_owned().into() };
        let list = "[{\"targets\": [\"a:1\"]}]";
        let answers = [answer(200, list), answer(500, "[]"), answer(200, "[{\"targets\": [1"), answer(200, list), answer(200, "[]")];
        let script = Arc::new(Script(std::sync::Mutex::new((Vec::new(), answers.into()))));
        let meter = Meter::new();
        let outside = Surroundings { meter: meter.clone(), fetch: script.clone() };
        let (updates, mut heard) = mpsc::channel(4);
        let one = Arc::new(HttpDiscovery { url: "http://sd/x".to_owned(), refresh_ms: 30_500, options: Arc::default() });
        let looking = tokio::spawn(one.run(3, outside, updates).unwrap());
        let first = heard.recv().await.unwrap();
        assert_eq!((first.from, first.groups.len(), first.groups[0].source.as_str()), (3, 1, "http://sd/x:0"));
        // Two failures and the same list again say nothing.
        assert_eq!(heard.recv().await.unwrap().groups, []);
        assert_eq!(meter.counter("watchfire_discovery_http_errors_total", "", &[]).get(), 2);
        let asked = &script.0.lock().unwrap().0;
        assert_eq!(asked.len(), 5);
        assert!(asked[0].headers.contains(&("X-Prometheus-Refresh-Interval-Seconds".to_owned(), "30.5".to_owned())));
        assert_eq!(asked[0].timeout, Duration::from_millis(30_500));
        looking.abort();
    }
}
