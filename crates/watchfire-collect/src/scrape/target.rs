//! From a discovered address to a target: defaults, relabelling, checks, the URL to fetch and the labels of its series.
//! The rules are Prometheus 3's; a port that is not written is not added to the `instance` label.

use watchfire_ingest::relabel::{self, Verdict};
use watchfire_model::duration::{format_millis, parse_millis};
use watchfire_model::labels::{Labels, LabelsBuilder};

use super::config::ScrapeConfig;
use crate::discovery::{ADDRESS, TargetGroup};

const SCHEME: &str = "__scheme__";
const METRICS_PATH: &str = "__metrics_path__";
const INTERVAL: &str = "__scrape_interval__";
const TIMEOUT: &str = "__scrape_timeout__";
const PARAM_PREFIX: &str = "__param_";
const META_PREFIX: &str = "__meta_";
const INSTANCE: &str = "instance";
const JOB: &str = "job";

/// Something to scrape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The labels of its series.
    pub labels: Labels,
    /// The labels before relabelling, for people who look for a mistake.
    pub discovered: Labels,
    /// `http` or `https`.
    pub scheme: String,
    /// `host` or `host:port`.
    pub address: String,
    /// Path and query.
    pub path: String,
    /// How often, in milliseconds.
    pub interval_ms: u64,
    /// How long a scrape may take, in milliseconds.
    pub timeout_ms: u64,
    /// Tells targets of one job apart and is the same again after a restart.
    pub key: u64,
}
impl Target {
    /// The whole URL.
    pub fn url(&self) -> String {
        format!("{}://{}{}", self.scheme, self.address, self.path)
    }
    /// Host and port, the port by the scheme when it is not written.
    pub fn host_and_port(&self) -> (String, u16) {
        let default = if self.scheme == "https" { 443 } else { 80 };
        match self.address.rsplit_once(':') {
            Some((host, port)) if !host.ends_with(':') && port.parse::<u16>().is_ok() => {
                (host.trim_matches(['[', ']']).to_owned(), port.parse().unwrap_or(default))
            }
            _ => (self.address.trim_matches(['[', ']']).to_owned(), default),
        }
    }
}

/// What became of a discovered address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is to be scraped.
    Active(Target),
    /// Relabelling dropped it.
    Dropped(Labels),
    /// It cannot be scraped, and why.
    Invalid(Labels, String),
}

/// Makes a target of one discovered address.
pub fn build(job: &ScrapeConfig, group: &TargetGroup, own: &[(String, String)]) -> Outcome {
    let mut labels = LabelsBuilder::new();
    for (name, value) in group.labels.iter().chain(own) {
        labels.set(name, value);
    }
    set_defaults(&mut labels, job);
    let discovered = labels.build();
    if relabel::apply(&job.relabel, &mut labels) == Verdict::Drop {
        return Outcome::Dropped(discovered);
    }
    match finish(labels, &discovered, job) {
        Ok(target) => Outcome::Active(target),
        Err(reason) => Outcome::Invalid(discovered, reason),
    }
}

fn set_defaults(labels: &mut LabelsBuilder, job: &ScrapeConfig) {
    let defaults = [
        (JOB, job.name.clone()),
        (INTERVAL, format_millis(job.interval_ms)),
        (TIMEOUT, format_millis(job.timeout_ms)),
        (METRICS_PATH, job.metrics_path.clone()),
        (SCHEME, job.scheme.clone()),
    ];
    for (name, value) in defaults {
        if labels.get(name).is_empty() {
            labels.set(name, &value);
        }
    }
    for (name, values) in &job.params {
        let name = format!("{PARAM_PREFIX}{name}");
        // A parameter in a target's own labels stays; that is how a URL target carries its query.
        if let Some(first) = values.first().filter(|_| labels.get(&name).is_empty()) {
            labels.set(&name, first);
        }
    }
}

fn finish(mut labels: LabelsBuilder, discovered: &Labels, job: &ScrapeConfig) -> Result<Target, String> {
    let address = labels.get(ADDRESS).to_owned();
    if address.is_empty() {
        return Err("no address".to_owned());
    }
    if address.contains('/') {
        return Err(format!("{address:?} is not a valid hostname"));
    }
    let (interval_ms, timeout_ms) = times(&labels)?;
    labels.retain(|name, _| !name.starts_with(META_PREFIX));
    if labels.get(INSTANCE).is_empty() {
        labels.set(INSTANCE, &address);
    }
    if let Some((name, _)) = labels.pairs().find(|(name, _)| !job.validation.accepts_label(name)) {
        return Err(format!("{name:?} is not a valid label name"));
    }
    let path = path_and_query(&labels, job);
    let scheme = labels.get(SCHEME).to_owned();
    if scheme != "http" && scheme != "https" {
        return Err(format!("cannot scrape with the scheme {scheme:?}"));
    }
    let key = key_of(&labels.build(), &path);
    labels.retain(|name, _| !name.starts_with("__"));
    Ok(Target { labels: labels.build(), discovered: discovered.clone(), scheme, address, path, interval_ms, timeout_ms, key })
}

fn times(labels: &LabelsBuilder) -> Result<(u64, u64), String> {
    let read = |name: &str, what: &str| match parse_millis(labels.get(name)) {
        Some(0) => Err(format!("the scrape {what} must not be 0")),
        Some(ms) => Ok(ms),
        None => Err(format!("cannot read the scrape {what} {:?}", labels.get(name))),
    };
    let (interval, timeout) = (read(INTERVAL, "interval")?, read(TIMEOUT, "timeout")?);
    if timeout > interval {
        return Err(format!("scrape timeout {} is greater than scrape interval {}", format_millis(timeout), format_millis(interval)));
    }
    Ok((interval, timeout))
}

fn path_and_query(labels: &LabelsBuilder, job: &ScrapeConfig) -> String {
    let mut params = job.params.clone();
    for (name, value) in labels.pairs() {
        let Some(param) = name.strip_prefix(PARAM_PREFIX) else { continue };
        let values = params.entry(param.to_owned()).or_default();
        match values.first_mut() {
            Some(first) => value.clone_into(first),
            None => values.push(value.to_owned()),
        }
    }
    let pairs = params.iter().flat_map(|(name, values)| values.iter().map(move |v| format!("{}={}", escaped(name, true), escaped(v, true))));
    let query = pairs.collect::<Vec<_>>().join("&");
    let written = labels.get(METRICS_PATH);
    let path = escaped(written, false);
    let slash = if path.starts_with('/') { "" } else { "/" };
    match (query.is_empty(), path.contains('?')) {
        (true, _) => format!("{slash}{path}"),
        (false, true) => format!("{slash}{path}&{query}"),
        (false, false) => format!("{slash}{path}?{query}"),
    }
}

/// Percent-encodes as Go does: in a query a space is `+`; in a path most punctuation may stay.
fn escaped(text: &str, query: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        let c = char::from(byte);
        let keep = byte.is_ascii_alphanumeric() || "-_.~".contains(c) || (!query && "/:@$&+,;=?%!*'()".contains(c));
        match c {
            c if keep => out.push(c),
            ' ' if query => out.push('+'),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

fn key_of(labels: &Labels, path: &str) -> u64 {
    use std::hash::{Hash, Hasher};
    let mut hasher = std::hash::DefaultHasher::new();
    labels.packed().hash(&mut hasher);
    path.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(job: &str, own: &[(&str, &str)]) -> Outcome {
        let job = ScrapeConfig::from_yaml(job).unwrap();
        let own: Vec<(String, String)> = own.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        build(&job, &TargetGroup { labels: vec![("group".to_owned(), "g".to_owned())], ..TargetGroup::default() }, &own)
    }
    fn check(job: &str, own: &[(&str, &str)], labels: &str, url: &str) {
        match target(job, own) {
            Outcome::Active(t) => assert_eq!((t.labels.to_string().as_str(), t.url().as_str()), (labels, url), "{job}"),
            other => panic!("{job}: {other:?}"),
        }
    }

    #[test]
    fn labels_and_urls() {
        let at = [(ADDRESS, "host:9100")];
        check("{job_name: j}", &at, r#"{group="g", instance="host:9100", job="j"}"#, "http://host:9100/metrics");
        check("{job_name: j, scheme: https, metrics_path: /x}", &at, r#"{group="g", instance="host:9100", job="j"}"#, "https://host:9100/x");
        check(
            "{job_name: j, params: {b: [x y, '2'], a: [\"&\"]}}",
            &at,
            r#"{group="g", instance="host:9100", job="j"}"#,
            "http://host:9100/metrics?a=%26&b=x+y&b=2",
        );
        check("{job_name: j}", &[(ADDRESS, "h"), ("group", "own"), ("__meta_x", "m")], r#"{group="own", instance="h", job="j"}"#, "http://h/metrics");
        check(
            "{job_name: j, metrics_path: '/m?format=p', params: {q: ['1']}}",
            &at,
            r#"{group="g", instance="host:9100", job="j"}"#,
            "http://host:9100/m?format=p&q=1",
        );
    }

    #[test]
    fn the_three_relabel_steps_of_a_blackbox_job() {
        let job = "
job_name: probe
metrics_path: /probe
params: {module: [http_2xx]}
relabel_configs:
  - {source_labels: [__address__], target_label: __param_target}
  - {source_labels: [__param_target], target_label: instance}
  - {target_label: __address__, replacement: blackbox-exporter:9115}
";
        check(
            job,
            &[(ADDRESS, "http://backend:8000/health?x=1")],
            r#"{group="g", instance="http://backend:8000/health?x=1", job="probe"}"#,
            "http://blackbox-exporter:9115/probe?module=http_2xx&target=http%3A%2F%2Fbackend%3A8000%2Fhealth%3Fx%3D1",
        );
    }

    #[test]
    fn what_cannot_be_scraped_says_why() {
        for (job, own, reason) in [
            ("{job_name: j}", vec![], "no address"),
            ("{job_name: j}", vec![(ADDRESS, "a/b")], "\"a/b\" is not a valid hostname"),
            ("{job_name: j}", vec![(ADDRESS, "a"), (TIMEOUT, "2m")], "scrape timeout 2m is greater than scrape interval 1m"),
            ("{job_name: j}", vec![(ADDRESS, "a"), (INTERVAL, "0")], "the scrape interval must not be 0"),
            ("{job_name: j}", vec![(ADDRESS, "a"), (INTERVAL, "soon")], "cannot read the scrape interval \"soon\""),
            ("{job_name: j}", vec![(ADDRESS, "a"), (SCHEME, "ftp")], "cannot scrape with the scheme \"ftp\""),
            ("{job_name: j, metric_name_validation_scheme: legacy}", vec![(ADDRESS, "a"), ("a.b", "1")], "\"a.b\" is not a valid label name"),
        ] {
            match target(job, &own) {
                Outcome::Invalid(_, found) => assert_eq!(found, reason),
                other => panic!("{reason}: {other:?}"),
            }
        }
        let dropped = target("{job_name: j, relabel_configs: [{source_labels: [__address__], regex: 'a.*', action: drop}]}", &[(ADDRESS, "abc")]);
        assert!(matches!(dropped, Outcome::Dropped(_)), "{dropped:?}");
    }

    #[test]
    fn ports_come_from_the_scheme_only_for_connecting() {
        for (address, scheme, expected) in
            [("h", "http", ("h", 80)), ("h", "https", ("h", 443)), ("h:1", "http", ("h", 1)), ("[::1]:7", "http", ("::1", 7)), ("[::1]", "http", ("::1", 80))]
        {
            let Outcome::Active(t) = target("{job_name: j}", &[(ADDRESS, address), (SCHEME, scheme)]) else { panic!("{address}") };
            let (host, port) = t.host_and_port();
            assert_eq!((host.as_str(), port), expected);
        }
    }
}
