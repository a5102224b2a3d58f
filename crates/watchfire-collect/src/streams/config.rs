//! `streams:` of our own configuration: which streaming servers there are and how they are asked. It only reads and checks.

use std::sync::Arc;
use std::time::Duration;

use url::Url;
use watchfire_model::document::Reader;
use watchfire_net::client::{HttpOptions, Locate, read_http_options, without_credentials};

use super::kind::{KINDS, Kind};

/// Servers that one process looks at.
pub const SERVERS_MAX: usize = 64;
const INTERVAL_MS: u64 = 10_000;
const INTERVAL_MIN_MS: u64 = 1_000;
const TIMEOUT_MS: u64 = 5_000;
const WORDS: [&str; 4] = ["mediamtx", "go2rtc", "frigate", "nginx-rtmp"];

/// One server.
#[derive(Clone, Debug, PartialEq)]
pub struct Server {
    /// What it is called.
    pub name: String,
    /// What it is.
    pub kind: &'static Kind,
    /// Where it is; a slash does not end it.
    pub url: String,
    /// The address as it may be shown.
    pub shown: String,
    /// How it is asked; redirects are no matter of the client.
    pub options: Arc<HttpOptions>,
    /// Whether redirects are followed, within the server's own address.
    pub follows: bool,
    /// How often.
    pub interval: Duration,
    /// How long an answer may take.
    pub timeout: Duration,
}

/// Reads `streams:` from among other keys.
pub fn read(root: &Reader<'_>, locate: Locate<'_>) -> Vec<Arc<Server>> {
    let mut servers: Vec<Arc<Server>> = Vec::new();
    for item in root.maps("streams") {
        let node = item.node();
        let wrong = |message: String| root.context().error(node.line, node.column, message);
        if servers.len() >= SERVERS_MAX {
            wrong(format!("there are more than {SERVERS_MAX} streaming servers"));
            break;
        }
        let Some(server) = read_server(item, locate) else { continue };
        if servers.iter().any(|known| known.name == server.name) {
            wrong(format!("there is more than one streaming server with the name {:?}", server.name));
        }
        servers.push(Arc::new(server));
    }
    servers
}

fn read_server(item: Reader<'_>, locate: Locate<'_>) -> Option<Server> {
    let word = item.word("kind", &WORDS);
    if !item.has("kind") {
        let node = item.node();
        item.context().error(node.line, node.column, format!("{} is missing", item.path_of("kind")));
    }
    let kind = word.and_then(|word| KINDS.into_iter().find(|kind| kind.name == word));
    let name = item.text("name").filter(|name| !name.trim().is_empty()).or(word.map(str::to_owned)).unwrap_or_default();
    let text = item.required_text("url");
    let url = Url::parse(&text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    if url.is_none() && item.has("url") {
        item.error_at("url", "must be a URL such as http://mediamtx:9997");
    }
    let below = kind.is_some_and(|kind| kind.pages.iter().any(|page| !page.path.is_empty()));
    if below && url.as_ref().is_some_and(|url| url.query().is_some() || url.fragment().is_some()) {
        item.error_at("url", "must end with its path: the addresses of the server's pages are put behind it");
    }
    let interval = item.duration_ms("interval").unwrap_or(INTERVAL_MS);
    if interval < INTERVAL_MIN_MS {
        item.error_at("interval", "must be at least 1s");
    }
    let timeout = item.duration_ms("timeout").filter(|ms| *ms > 0).unwrap_or(TIMEOUT_MS);
    let mut options = read_http_options(&item, locate);
    let follows = std::mem::replace(&mut options.follow_redirects, false);
    item.finish();
    let mut shown = Url::parse(&without_credentials(&text)).ok()?;
    shown.set_query(None);
    Some(Server {
        name,
        kind: kind?,
        url: url.map(|_| text.trim_end_matches('/').to_owned())?,
        shown: shown.to_string(),
        options: Arc::new(options),
        follows,
        interval: Duration::from_millis(interval.max(INTERVAL_MIN_MS)),
        timeout: Duration::from_millis(timeout),
    })
}

#[cfg(test)]
pub(super) mod tests {
    use watchfire_model::document::{Context, parse_yaml};

    use super::*;

    pub(crate) fn read_text(text: &str) -> (Vec<Arc<Server>>, Vec<String>) {
        let context = Context::new("watchfire.yml");
        let node = parse_yaml("watchfire.yml", text).unwrap();
        let root = Reader::new(&context, &node, "");
        let servers = read(&root, &|path| path.into());
        root.finish();
        (servers, context.into_findings().iter().map(ToString::to_string).collect())
    }

    #[test]
    fn words_are_those_of_the_kinds() {
        assert_eq!(KINDS.map(|kind| kind.name), WORDS);
    }

    #[test]
    fn servers_and_mistakes() {
        let (servers, findings) = read_text(
            "streams:\n- {kind: mediamtx, url: 'http://u:canary@mtx:9997/', interval: 5s}\n- {kind: go2rtc, name: yard, url: 'https://go/', basic_auth: {username: a, password: canary}}\n",
        );
        assert_eq!(findings, [""; 0]);
        assert_eq!((servers[0].name.as_str(), servers[0].shown.as_str(), servers[0].interval.as_secs()), ("mediamtx", "http://mtx:9997/", 5));
        assert_eq!((servers[1].name.as_str(), servers[1].url.as_str(), servers[1].timeout.as_secs()), ("yard", "https://go", 5));
        for (text, expected) in [
            ("streams:\n- {url: 'http://h'}\n", "watchfire.yml:2:3: error: streams[0].kind is missing"),
            ("streams:\n- {kind: wowza, url: 'http://h'}\n", "streams[0].kind: "),
            ("streams:\n- {kind: frigate}\n", "streams[0].url is missing"),
            ("streams:\n- {kind: frigate, url: 'ftp://u:canary@h'}\n", "streams[0].url: must be a URL such as"),
            ("streams:\n- {kind: mediamtx, url: 'http://h/?token=canary'}\n", "streams[0].url: must end with its path"),
            ("streams:\n- {kind: frigate, url: 'http://h', interval: 100ms}\n", "streams[0].interval: must be at least 1s"),
            ("streams:\n- {kind: frigate, url: 'http://h'}\n- {kind: frigate, url: 'http://i'}\n", "more than one streaming server with the name \"frigate\""),
        ] {
            let findings = read_text(text).1;
            assert!(findings.len() == 1 && findings[0].contains(expected) && !findings[0].contains("canary"), "{text}: {findings:?}");
        }
    }
}
