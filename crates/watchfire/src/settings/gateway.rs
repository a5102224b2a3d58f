//! `gateway:`, the gateway before language models: upstreams with their keys, prices, budgets, how many exchanges at once. It reads;
//! secrets in files are read by whoever sends them.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;
use watchfire_model::document::Reader;
use watchfire_net::client::{Authorization, HttpOptions, Phases, SecretSource, TlsOptions};
use watchfire_net::secret::Secret;
use watchfire_pipeline::gateway::{BreakerSettings, Price, PromptSettings, Settings, Spending, TurnSettings, UpstreamSettings};

use super::parse_listen;

/// The most upstreams.
const UPSTREAMS_MAX: usize = 64;
/// Names that paths of the gateway have already.
const NAMES_TAKEN: [&str; 4] = ["v1", "api", "health", "completion"];
/// What the metrics of the pipeline call an upstream unless told otherwise.
const SERVICE: &str = "nemotron";

/// `gateway:`
#[derive(Debug)]
pub(crate) struct GatewaySettings {
    /// What the gateway is told.
    pub(crate) gateway: Settings,
    /// Ports of its own, and the upstream that each belongs to, if it belongs to one.
    pub(crate) listen: Vec<(SocketAddr, Option<String>)>,
    /// How long a connection to an upstream may take.
    pub(crate) connect: Duration,
    /// Where days of the budget begin.
    pub(crate) time_zone: Option<String>,
}

impl GatewaySettings {
    /// Reads the section. Files are looked up beside the configuration.
    pub(super) fn read(gateway: Reader<'_>, base: &Path) -> GatewaySettings {
        let mut listen = Vec::new();
        for text in gateway.texts("listen", true) {
            take_listen(&gateway, &text, None, &mut listen);
        }
        let mut upstreams = Vec::new();
        if let Some(url) = gateway.text("upstream") {
            check_url(&gateway, "upstream", &url);
            upstreams.push(UpstreamSettings { url, ..usual("default") });
        }
        for one in gateway.maps("upstreams") {
            let upstream = read_upstream(one, base, &mut listen);
            if upstreams.iter().any(|u| u.name == upstream.name) {
                gateway.error_at("upstreams", format!("two upstreams have the name {:?}", upstream.name));
            }
            upstreams.push(upstream);
        }
        if upstreams.len() > UPSTREAMS_MAX {
            gateway.error_at("upstreams", format!("there are {} upstreams; at most {UPSTREAMS_MAX} are allowed", upstreams.len()));
        }
        let (budget, time_zone) = read_budget(&gateway);
        let (camera_header, caller_header) = read_attribution(&gateway);
        let settings = GatewaySettings {
            gateway: Settings {
                upstreams,
                prices: gateway.maps("prices").into_iter().map(read_price).collect(),
                budget,
                turns: read_turns(&gateway),
                prompts: read_prompts(&gateway),
                camera_header,
                caller_header,
                include_usage: gateway.bool("include_usage").unwrap_or(false),
            },
            listen,
            connect: Duration::from_millis(gateway.duration_ms("connect_timeout").unwrap_or(800)),
            time_zone,
        };
        gateway.finish();
        settings
    }
}

/// An upstream about which only a name is known.
fn usual(name: &str) -> UpstreamSettings {
    let secs = Duration::from_secs;
    UpstreamSettings {
        name: name.to_owned(),
        url: String::new(),
        models: Vec::new(),
        service: SERVICE.to_owned(),
        options: Arc::new(HttpOptions::default()),
        phases: Phases { head: secs(300), idle: secs(120), total: secs(1_800) },
        breaker: BreakerSettings::default(),
        context_window: None,
    }
}

fn read_upstream(one: Reader<'_>, base: &Path, listen: &mut Vec<(SocketAddr, Option<String>)>) -> UpstreamSettings {
    let name = one.required_text("name");
    let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    if !plain || name.len() > 64 || NAMES_TAKEN.contains(&name.as_str()) {
        one.error_at("name", format!("must be letters, digits, - _ . and none of {}, as it stands in paths, not {name:?}", NAMES_TAKEN.join(", ")));
    }
    let url = one.required_text("url");
    check_url(&one, "url", &url);
    if let Some(text) = one.text("listen") {
        take_listen(&one, &text, Some(&name), listen);
    }
    let usual = usual(&name);
    let time = |key, usual: Duration| one.duration_ms(key).map_or(usual, Duration::from_millis);
    let upstream = UpstreamSettings {
        url,
        models: one.texts("models", true),
        service: one.text("service").unwrap_or(usual.service),
        options: Arc::new(read_options(&one, base)),
        phases: Phases {
            head: time("answer_timeout", usual.phases.head),
            idle: time("idle_timeout", usual.phases.idle),
            total: time("total_timeout", usual.phases.total),
        },
        breaker: read_breaker(&one),
        context_window: one.u64("context_window").map(|tokens| usize::try_from(tokens).unwrap_or(usize::MAX)),
        ..usual
    };
    one.finish();
    upstream
}

fn check_url(reader: &Reader<'_>, key: &str, url: &str) {
    let parsed: Option<http::Uri> = url.parse().ok();
    let web = parsed.as_ref().is_some_and(|u| matches!(u.scheme_str(), Some("http" | "https")) && u.host().is_some_and(|h| !h.is_empty()));
    if !web || url.contains(['?', '#']) {
        reader.error_at(key, "must be an address such as http://127.0.0.1:8080/v1, without a query");
    } else if url.contains('@') {
        reader.error_at(key, "must not hold a user name or password; say api_key_file or headers");
    }
}

fn take_listen(reader: &Reader<'_>, text: &str, upstream: Option<&str>, listen: &mut Vec<(SocketAddr, Option<String>)>) {
    match parse_listen(text) {
        Ok(address) if listen.iter().any(|(other, _)| *other == address) => reader.error_at("listen", format!("{address} stands here twice")),
        Ok(address) => listen.push((address, upstream.map(str::to_owned))),
        Err(error) => reader.error_at("listen", error),
    }
}

/// Key, TLS and further headers.
fn read_options(one: &Reader<'_>, base: &Path) -> HttpOptions {
    let file = |key| one.text(key).map(|path| SecretSource::File(base.join(path)));
    let inline = one.text("api_key").map(|key| SecretSource::Inline(Secret::new(key)));
    if inline.is_some() && one.has("api_key_file") {
        one.error_at("api_key_file", "says what api_key says already; keep one of them");
    }
    let key = inline.or(file("api_key_file"));
    let mut headers: Vec<(String, SecretSource)> =
        one.text_map("headers").into_iter().map(|(name, value)| (name, SecretSource::Inline(Secret::new(value)))).collect();
    for (name, _) in &headers {
        let hop = ["host", "content-length", "transfer-encoding", "connection"].contains(&name.to_ascii_lowercase().as_str());
        if hop || HeaderName::from_bytes(name.as_bytes()).is_err() {
            one.error_at("headers", format!("{name:?} is no header that can be set here"));
        }
    }
    let mut authorization = Authorization::None;
    match (one.text("api_key_header"), key) {
        (Some(header), Some(key)) => headers.push((header, key)),
        (None, Some(credentials)) => authorization = Authorization::Header { scheme: "Bearer".to_owned(), credentials },
        (Some(_), None) => one.error_at("api_key_header", "names a header for a key, and there is no key"),
        (None, None) => {}
    }
    let mut tls = TlsOptions::default();
    if let Some(told) = one.map("tls") {
        let file = |key| told.text(key).map(|path| SecretSource::File(base.join(path)));
        tls = TlsOptions {
            ca: file("ca_file"),
            cert: file("cert_file"),
            key: file("key_file"),
            server_name: told.text("server_name"),
            insecure_skip_verify: told.bool("insecure_skip_verify").unwrap_or(false),
        };
        told.finish();
    }
    HttpOptions { authorization, tls, headers, ..HttpOptions::default() }
}

fn read_breaker(one: &Reader<'_>) -> BreakerSettings {
    let mut settings = BreakerSettings::default();
    if let Some(told) = one.map("breaker") {
        if let Some(failures) = told.u64("failures") {
            settings.failures = u32::try_from(failures).unwrap_or(u32::MAX);
            if failures == 0 {
                told.error_at("failures", "must be at least 1");
            }
        }
        if let Some(ms) = told.duration_ms("open") {
            settings.open = Duration::from_millis(ms);
        }
        told.finish();
    }
    settings
}

fn read_price(one: Reader<'_>) -> Price {
    let model = one.required_text("model");
    let amount = |key| {
        let amount = one.f64(key);
        if amount.is_some_and(|a| !(0.0..=1e6).contains(&a)) {
            one.error_at(key, "must be US dollars per million tokens, from 0 to 1000000");
        }
        amount
    };
    let price = Price {
        model,
        input: amount("input_per_million").unwrap_or(0.0),
        output: amount("output_per_million").unwrap_or(0.0),
        cached: amount("cached_input_per_million"),
    };
    one.finish();
    price
}

fn read_budget(gateway: &Reader<'_>) -> (Spending, Option<String>) {
    let Some(told) = gateway.map("budget") else { return (Spending::default(), None) };
    let amount = |key| {
        let amount = told.f64(key);
        if amount.is_some_and(|a| !a.is_finite() || a <= 0.0) {
            told.error_at(key, "must be US dollars above 0");
        }
        amount
    };
    let spending = Spending {
        daily_usd: amount("daily_usd"),
        monthly_usd: amount("monthly_usd"),
        refuse: told.word("when_exceeded", &["tell", "refuse"]) == Some("refuse"),
    };
    let zone = told.text("time_zone");
    told.finish();
    (spending, zone)
}

fn read_turns(gateway: &Reader<'_>) -> TurnSettings {
    let mut settings = TurnSettings::default();
    let Some(told) = gateway.map("concurrency") else { return settings };
    let count = |key, usual: usize, range: std::ops::RangeInclusive<u64>| {
        let count = told.u64(key);
        if count.is_some_and(|n| !range.contains(&n)) {
            told.error_at(key, format!("must be between {} and {}", range.start(), range.end()));
        }
        count.map_or(usual, |n| usize::try_from(n).unwrap_or(usual))
    };
    let share = |key, usual: f64| {
        let share = told.f64(key);
        if share.is_some_and(|s| !(0.0..=1.0).contains(&s)) {
            told.error_at(key, "must be a share between 0 and 1");
        }
        share.unwrap_or(usual)
    };
    settings.max = count("max", settings.max, 1..=1_024);
    settings.queue = count("queue", settings.queue, 0..=10_000);
    settings.warning = share("warning_share", settings.warning);
    settings.critical = share("critical_share", settings.critical);
    if let Some(ms) = told.duration_ms("queue_timeout") {
        settings.patience = Duration::from_millis(ms);
    }
    told.finish();
    settings
}

fn read_prompts(gateway: &Reader<'_>) -> PromptSettings {
    let Some(told) = gateway.map("prompts") else { return PromptSettings::default() };
    let settings = PromptSettings { check: told.bool("check").unwrap_or(false), truncate: told.bool("truncate").unwrap_or(false) };
    told.finish();
    settings
}

/// The headers that say whose exchange it is.
fn read_attribution(gateway: &Reader<'_>) -> (HeaderName, HeaderName) {
    let Settings { camera_header, caller_header, .. } = Settings::default();
    let Some(told) = gateway.map("attribution") else { return (camera_header, caller_header) };
    let name = |key, usual: HeaderName| match told.text(key).map(|text| HeaderName::from_bytes(text.as_bytes())) {
        None => usual,
        Some(Ok(name)) if !matches!(name.as_str(), "authorization" | "cookie" | "proxy-authorization") => name,
        Some(_) => {
            told.error_at(key, "must be the name of a header that holds no secret");
            usual
        }
    };
    let both = (name("camera_header", camera_header), name("caller_header", caller_header));
    told.finish();
    both
}

#[cfg(test)]
mod tests {
    use watchfire_model::document::{Context, parse_yaml};

    use super::*;

    fn read(text: &str) -> (GatewaySettings, Vec<String>) {
        let node = parse_yaml("w.yml", text).unwrap();
        let context = Context::new("w.yml");
        let settings = GatewaySettings::read(Reader::new(&context, &node, "gateway"), Path::new("/etc/watchfire"));
        (settings, context.into_findings().iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_whole_section() {
        let (settings, findings) = read(
            "listen: [':8091']\nupstreams:\n- {name: llama, url: 'http://127.0.0.1:8080/v1', models: ['nemotron*'], api_key_file: key, listen: ':8092', context_window: 4096}\n\
             - {name: cloud, url: 'https://api.example/v1', api_key: canary, api_key_header: api-key, service: other, tls: {ca_file: ca.pem}, breaker: {failures: 2, open: 5s}}\n\
             prices: [{model: '*', input_per_million: 0.5, output_per_million: 1.5}]\n\
             budget: {daily_usd: 2, monthly_usd: 20, when_exceeded: refuse, time_zone: Europe/Berlin}\n\
             concurrency: {max: 8, queue: 10, queue_timeout: 5s, warning_share: 0.4}\nprompts: {check: true, truncate: true}\n\
             attribution: {camera_header: X-Cam}\ninclude_usage: true\nconnect_timeout: 500ms\n",
        );
        assert_eq!(findings, Vec::<String>::new());
        let told = &settings.gateway;
        let (llama, cloud) = (&told.upstreams[0], &told.upstreams[1]);
        let expected = Authorization::Header { scheme: "Bearer".into(), credentials: SecretSource::File("/etc/watchfire/key".into()) };
        assert_eq!((&llama.options.authorization, llama.context_window, llama.models.len()), (&expected, Some(4096), 1));
        assert_eq!(cloud.options.headers, [("api-key".to_owned(), SecretSource::Inline("canary".into()))]);
        assert_eq!((cloud.breaker.failures, cloud.service.as_str()), (2, "other"));
        assert_eq!(settings.listen.iter().map(|(a, u)| (a.port(), u.as_deref())).collect::<Vec<_>>(), [(8091, None), (8092, Some("llama"))]);
        assert_eq!((told.turns.max, told.turns.warning, told.budget.refuse, told.camera_header.as_str()), (8, 0.4, true, "x-cam"));
        assert!(!format!("{settings:?}").contains("canary"), "no secret is printed");
    }

    #[test]
    fn what_is_wrong_is_said() {
        let check = |text: &str, expected: &str| {
            let findings = read(text).1;
            assert!(findings.iter().any(|f| f.contains(expected)), "{text}: {findings:?}");
        };
        check("upstream: ftp://x", "must be an address such as");
        check("upstream: http://me:pw@x/v1", "must not hold a user name or password");
        check("upstreams: [{name: v1, url: 'http://x'}]", "none of v1, api");
        check("upstreams: [{name: a, url: 'http://x'}, {name: a, url: 'http://y'}]", "two upstreams have the name");
        check("upstreams: [{url: 'http://x'}]", "name is missing");
        check("upstreams: [{name: a, url: 'http://x', headers: {Host: y}}]", "is no header that can be set here");
        check("concurrency: {max: 0}", "must be between 1 and 1024");
        check("prices: [{model: x, input_per_million: -1}]", "must be US dollars per million");
        check("budget: {daily_usd: 0}", "must be US dollars above 0");
        check("attribution: {camera_header: Authorization}", "that holds no secret");
        check("upstreams: [{name: a, url: 'http://x', api_base: y}]", "unknown key \"api_base\"");
        check("listen: [':1', ':1']", "stands here twice");
    }
}
