//! `cameras:` of our own configuration: which cameras there are, where, and how they are watched. It only reads and checks.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use url::Url;
use watchfire_model::document::Reader;
use watchfire_net::client::{HttpOptions, Locate, SecretSource, TlsOptions, credentials_of, read_secret, read_tls_options, without_credentials};
use watchfire_net::secret::Secret;

use super::mjpeg::Form;
use super::rtsp;
use super::web::WebPlace;

/// Cameras that one process watches.
pub const CAMERAS_MAX: usize = 256;
/// Characters of an id, which is a label's value.
const ID_CHARS_MAX: usize = 64;
const FROZEN_AFTER_MS: u64 = 10_000;
const FROZEN_AFTER_MIN_MS: u64 = 2_000;
const TIMEOUT_MS: u64 = 10_000;
const TIMEOUT_MIN_MS: u64 = 1_000;
const LOOK_MS: u64 = 60_000;
const LOOK_MIN_MS: u64 = 10_000;
const INTERVAL_MS: u64 = 5_000;
const INTERVAL_MIN_MS: u64 = 1_000;
const FPS_MAX: f64 = 1_000.0;

/// One camera.
#[derive(Clone, Debug, PartialEq)]
pub struct Camera {
    /// What it is called in labels.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// Where its pictures are and how they travel.
    pub source: Source,
    /// Its address as it may be shown: no name, no password, nothing that may be either.
    pub shown: String,
    /// Pictures per second that there should be.
    pub fps: Option<f64>,
    /// How long pictures may stay away or stay the same.
    pub frozen_after: Duration,
    /// How long it may take to begin a session.
    pub timeout: Duration,
    /// How often a camera that gives single pictures is asked for one.
    pub interval: Duration,
    /// Whether pictures are looked at.
    pub look: Option<Look>,
}

/// How pictures are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// How often.
    pub interval: Duration,
    /// Whether the latest one may be shown.
    pub show: bool,
}

/// Where pictures come from.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// From the camera itself.
    Rtsp(Box<Place>, Transport),
    /// By HTTP, from the camera or whoever offers its stream; in this form, or in the one that is found.
    Web(WebPlace, Option<Form>),
}
impl Source {
    /// How pictures come, in a word.
    pub fn word(&self) -> &'static str {
        match self {
            Source::Rtsp(_, transport) => transport.word(),
            Source::Web(_, form) => form.map_or("http", Form::word),
        }
    }
    /// The host.
    pub(super) fn host(&self) -> String {
        match self {
            Source::Rtsp(place, _) => place.host.clone(),
            Source::Web(place, _) => Url::parse(place.url.expose()).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default(),
        }
    }
    /// The whole address, by which sources are told apart.
    fn address(&self) -> &str {
        match self {
            Source::Rtsp(place, _) => &place.url,
            Source::Web(place, _) => place.url.expose(),
        }
    }
}

/// How packets travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Within the connection.
    Tcp,
    /// As datagrams.
    Udp,
}
impl Transport {
    /// The word in the configuration.
    pub fn word(self) -> &'static str {
        match self {
            Transport::Tcp => "tcp",
            Transport::Udp => "udp",
        }
    }
}

/// An address with whoever may come in. What is a secret has no printable form.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    /// The URL without name and password, as the camera is told.
    pub url: String,
    /// The host.
    pub host: String,
    /// The port.
    pub port: u16,
    /// How the connection is encrypted, if it is.
    pub tls: Option<TlsOptions>,
    /// Name and password.
    pub credentials: Option<(Secret, Secret)>,
}

/// Reads `cameras:` from among other keys.
pub fn read(root: &Reader<'_>, locate: Locate<'_>) -> Vec<Arc<Camera>> {
    let mut cameras: Vec<Arc<Camera>> = Vec::new();
    for item in root.maps("cameras") {
        let node = item.node();
        let wrong = |message: String| root.context().error(node.line, node.column, message);
        if cameras.len() >= CAMERAS_MAX {
            wrong(format!("there are more than {CAMERAS_MAX} cameras"));
            break;
        }
        let Some(camera) = read_camera(item, locate) else { continue };
        if cameras.iter().any(|known| known.id == camera.id) {
            wrong(format!("there is more than one camera with the id {:?}", camera.id));
        } else if let Some(known) = cameras.iter().find(|known| known.source.address() == camera.source.address()) {
            // Many cameras have room for one or two sessions.
            wrong(format!("the cameras {:?} and {:?} have the same url; one session for each camera is enough", known.id, camera.id));
        }
        cameras.push(Arc::new(camera));
    }
    cameras
}

fn read_camera(item: Reader<'_>, locate: Locate<'_>) -> Option<Camera> {
    let id = item.required_text("id");
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if item.has("id") && (id.is_empty() || id.len() > ID_CHARS_MAX || !id.chars().all(fits)) {
        item.error_at("id", format!("must be 1 to {ID_CHARS_MAX} letters, digits, underscores and hyphens, not {id:?}"));
    }
    let name = item.text("name").filter(|name| !name.trim().is_empty()).unwrap_or_else(|| id.clone());
    let fps = item.f64("fps");
    if fps.is_some_and(|fps| !(fps > 0.0 && fps <= FPS_MAX)) {
        item.error_at("fps", format!("must be above 0 and at most {FPS_MAX}"));
    }
    let least = |key: &'static str, default: u64, least: u64| {
        let ms = item.duration_ms(key).unwrap_or(default);
        if ms < least {
            item.error_at(key, format!("must be at least {}s", least / 1_000));
        }
        Duration::from_millis(ms.max(least))
    };
    let frozen_after = least("frozen_after", FROZEN_AFTER_MS, FROZEN_AFTER_MIN_MS);
    let timeout = least("timeout", TIMEOUT_MS, TIMEOUT_MIN_MS);
    let interval = least("interval", INTERVAL_MS, INTERVAL_MIN_MS);
    let found = read_source(&item, locate);
    let look = item.map("picture_check").map(read_look);
    if look.is_some() && matches!(found, Some((Source::Web(_, Some(Form::Hls)), _))) {
        item.error_at("picture_check", "is for cameras that are watched by RTSP or give pictures by HTTP");
    }
    if item.has("interval") && !matches!(found, None | Some((Source::Web(_, None | Some(Form::Snapshot)), _))) {
        item.error_at("interval", "is for cameras that give one picture at each question");
    }
    item.finish();
    let (source, shown) = found?;
    Some(Camera { id, name, source, shown, fps, frozen_after, timeout, interval, look })
}

fn read_look(check: Reader<'_>) -> Look {
    let ms = check.duration_ms("interval").unwrap_or(LOOK_MS);
    if ms < LOOK_MIN_MS {
        check.error_at("interval", "must be at least 10s");
    }
    let look = Look { interval: Duration::from_millis(ms.max(LOOK_MIN_MS)), show: check.bool("show").unwrap_or(false) };
    check.finish();
    look
}

/// The address of a camera. No message holds what may be a password.
fn read_source(item: &Reader<'_>, locate: Locate<'_>) -> Option<(Source, String)> {
    let tls = read_tls_options(item, "tls_config", locate);
    let transport = match item.word("transport", &["tcp", "udp"]) {
        Some("udp") => Transport::Udp,
        _ => Transport::Tcp,
    };
    let form = item.word("kind", &Form::WORDS).map(Form::of_word);
    let own = read_credentials(item, locate);
    let source = read_secret(item, "url", "url_file", locate);
    let key = if item.has("url_file") { "url_file" } else { "url" };
    let text = match source {
        Some(source) => expose(item, key, source)?,
        None => {
            let node = item.node();
            item.context().error(node.line, node.column, format!("{} is missing", item.path_of("url")));
            return None;
        }
    };
    let Some(url) = Url::parse(text.expose()).ok().filter(Url::has_host) else {
        item.error_at(key, "must be a URL such as rtsp://10.0.0.5/stream1");
        return None;
    };
    let credentials = own.or_else(|| credentials_of(text.expose()));
    let bare = without_credentials(text.expose());
    let secure = match url.scheme() {
        "rtsp" => false,
        "rtsps" => true,
        "http" | "https" => {
            if item.has("transport") {
                item.error_at("transport", "is for cameras that are watched by RTSP");
            }
            let form = form.or_else(|| url.path().ends_with(".m3u8").then_some(Form::Hls));
            let options = Arc::new(HttpOptions { tls, follow_redirects: false, ..HttpOptions::default() });
            return Some((Source::Web(WebPlace { url: Secret::new(bare), options, credentials }, form), shown(&url)));
        }
        other => {
            item.error_at(key, format!("must begin with rtsp://, rtsps://, http:// or https://, not {other}://"));
            return None;
        }
    };
    if item.has("kind") {
        item.error_at("kind", "is for cameras that are watched by HTTP");
    }
    let port = url.port().unwrap_or(if secure { rtsp::SECURE_PORT } else { rtsp::PORT });
    let host = url.host_str().unwrap_or_default().to_owned();
    let place = Place { url: bare, host, port, tls: secure.then_some(tls), credentials };
    Some((Source::Rtsp(Box::new(place), transport), shown(&url)))
}

/// An address without what may be a secret: some cameras want name and password in the path or the query.
fn shown(url: &Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let path = if url.path().contains(['=', ';', '&', '@']) { "/…" } else { url.path() };
    format!("{}://{}{port}{path}", url.scheme(), url.host_str().unwrap_or_default())
}

fn read_credentials(item: &Reader<'_>, locate: Locate<'_>) -> Option<(Secret, Secret)> {
    let password = read_secret(item, "password", "password_file", locate);
    let user = item.text("username");
    match (user, password) {
        (None, None) => None,
        (None, Some(_)) => {
            item.error_at("password", "stands without a username");
            None
        }
        (Some(user), password) => {
            let key = if item.has("password_file") { "password_file" } else { "password" };
            let password = password.and_then(|source| expose(item, key, source)).unwrap_or_default();
            Some((Secret::new(user), password))
        }
    }
}

fn expose(item: &Reader<'_>, key: &'static str, source: SecretSource) -> Option<Secret> {
    match source {
        SecretSource::Inline(secret) => Some(secret),
        SecretSource::File(path) => from_file(&path).map_err(|error| item.error_at(key, error)).ok(),
    }
}

fn from_file(path: &Path) -> Result<Secret, String> {
    Secret::from_file(path).map_err(|error| watchfire_net::client::chain(&error))
}

#[cfg(test)]
pub(super) mod tests {
    use watchfire_model::document::{Context, parse_yaml};

    use super::*;

    pub(crate) fn read_text(text: &str) -> (Vec<Arc<Camera>>, Vec<String>) {
        let context = Context::new("watchfire.yml");
        let node = parse_yaml("watchfire.yml", text).unwrap();
        let root = Reader::new(&context, &node, "");
        let cameras = read(&root, &|path| path.into());
        root.finish();
        (cameras, context.into_findings().iter().map(ToString::to_string).collect())
    }

    #[test]
    fn what_is_usual_and_what_is_said() {
        let (cameras, findings) = read_text(
            "cameras:\n- {id: front, url: 'rtsp://admin:p%40ss@10.0.0.5/stream1?channel=1'}\n\
             - {id: yard, name: The yard, url: 'rtsps://[fd12::5]:8322/', transport: udp, fps: 12.5, frozen_after: 30s, timeout: 5s, picture_check: {show: true}, username: u, password: p, tls_config: {insecure_skip_verify: true}}\n\
             - {id: gate, url: 'https://u:p%40ss@media/gate/index.m3u8?token=p@ss'}\n",
        );
        assert_eq!(findings, [""; 0]);
        let [front, yard, gate] = &cameras[..] else { panic!("{cameras:?}") };
        let (Source::Rtsp(by, Transport::Tcp), Source::Rtsp(place, Transport::Udp), Source::Web(playlists, Some(Form::Hls))) =
            (&front.source, &yard.source, &gate.source)
        else {
            panic!("{cameras:?}")
        };
        assert_eq!((by.url.as_str(), by.port, front.name.as_str()), ("rtsp://10.0.0.5/stream1?channel=1", 554, "front"));
        let (user, password) = by.credentials.as_ref().unwrap();
        assert_eq!((user.expose(), password.expose(), front.shown.as_str(), by.tls.is_some()), ("admin", "p@ss", "rtsp://10.0.0.5/stream1", false));
        assert_eq!((place.host.as_str(), place.port, yard.fps, yard.source.word()), ("[fd12::5]", 8_322, Some(12.5), "udp"));
        assert_eq!((yard.frozen_after.as_secs(), yard.timeout.as_secs(), yard.shown.as_str()), (30, 5, "rtsps://[fd12::5]:8322/"));
        assert_eq!((yard.look, front.look), (Some(Look { interval: Duration::from_secs(60), show: true }), None));
        assert!(place.tls.as_ref().is_some_and(|tls| tls.insecure_skip_verify));
        assert_eq!((playlists.url.expose(), gate.shown.as_str()), ("https://media/gate/index.m3u8?token=p@ss", "https://media/gate/index.m3u8"));
        let (user, password) = playlists.credentials.as_ref().unwrap();
        assert_eq!((user.expose(), password.expose(), gate.interval.as_secs()), ("u", "p@ss", 5));
        let shown = format!("{cameras:?}");
        assert!(!shown.contains("p@ss") && !shown.contains("p%40ss") && !shown.contains("admin"), "{shown}");
    }

    #[test]
    fn forms_of_what_comes_by_http() {
        for (entry, expected) in [
            ("url: 'http://h/cgi/video'", "http"),
            ("url: 'http://h/cgi/video', kind: mjpeg, picture_check: {}", "mjpeg"),
            ("url: 'http://h/live.m3u8', kind: snapshot, interval: 30s", "snapshot"),
            ("url: 'http://h/live.m3u8?x=1'", "hls"),
            ("url: 'http://h/live', kind: hls", "hls"),
        ] {
            let (cameras, findings) = read_text(&format!("cameras:\n- {{id: a, {entry}}}\n"));
            assert_eq!((cameras[0].source.word(), findings), (expected, Vec::new()), "{entry}");
        }
    }

    #[test]
    fn what_may_be_a_password_is_not_shown() {
        for (url, expected) in [
            ("rtsp://u:canary@h:8554/a/b", "rtsp://h:8554/a/b"),
            ("rtsp://h/user=u&password=canary&channel=1", "rtsp://h/…"),
            ("rtsp://h/live?pwd=canary", "rtsp://h/live"),
            ("http://h/u:canary@x/index.m3u8", "http://h/…"),
        ] {
            assert_eq!(shown(&Url::parse(url).unwrap()), expected);
        }
    }

    #[test]
    fn mistakes_have_their_place_and_no_password() {
        for (text, expected) in [
            ("cameras:\n- {id: 'a b', url: 'rtsp://h/'}\n", "watchfire.yml:2:8: error: cameras[0].id: must be 1 to 64 letters"),
            ("cameras:\n- {id: a}\n", "watchfire.yml:2:3: error: cameras[0].url is missing"),
            ("cameras:\n- {id: a, url: 'ftp://u:canary@h/'}\n", "error: cameras[0].url: must begin with rtsp://, rtsps://, http:// or https://, not ftp://"),
            ("cameras:\n- {id: a, transport: udp, url: 'http://u:canary@h/'}\n", "error: cameras[0].transport: is for cameras that are watched by RTSP"),
            ("cameras:\n- {id: a, url: 'u:canary@h'}\n", "error: cameras[0].url: must be a URL such as"),
            ("cameras:\n- {id: a, url: 'rtsp://u:canary@:x/'}\n", "error: cameras[0].url: must be a URL such as"),
            ("cameras:\n- {id: a, url_file: /nowhere/canary-file}\n", "error: cameras[0].url_file: cannot read the secret file /nowhere/canary-file: No such"),
            (
                "cameras:\n- {id: a, url: 'rtsp://h/'}\n- {id: a, url: 'rtsp://i/'}\n",
                "watchfire.yml:3:3: error: there is more than one camera with the id \"a\"",
            ),
            ("cameras:\n- {id: a, url: 'rtsp://h/'}\n- {id: b, url: 'rtsp://u:canary@h/'}\n", "the cameras \"a\" and \"b\" have the same url"),
            ("cameras:\n- {id: a, url: 'rtsp://h/', fps: 0}\n", "cameras[0].fps: must be above 0"),
            ("cameras:\n- {id: a, url: 'rtsp://h/', frozen_after: 1s}\n", "cameras[0].frozen_after: must be at least 2s"),
            ("cameras:\n- {id: a, url: 'rtsp://h/', transport: multicast}\n", "cameras[0].transport: "),
            ("cameras:\n- {id: a, url: 'rtsp://h/', password: canary}\n", "cameras[0].password: stands without a username"),
            ("cameras:\n- {id: a, url: 'rtsp://h/', picture_check: {interval: 1s}}\n", "cameras[0].picture_check.interval: must be at least 10s"),
            ("cameras:\n- {id: a, url: 'http://h/a.m3u8', picture_check: {}}\n", "cameras[0].picture_check: is for cameras that are watched by RTSP"),
            ("cameras:\n- {id: a, url: 'http://h/', kind: mpeg}\n", "cameras[0].kind: "),
            ("cameras:\n- {id: a, url: 'rtsp://h/', kind: mjpeg}\n", "cameras[0].kind: is for cameras that are watched by HTTP"),
            ("cameras:\n- {id: a, url: 'http://h/', kind: mjpeg, interval: 5s}\n", "cameras[0].interval: is for cameras that give one picture"),
            ("cameras:\n- {id: a, url: 'http://h/', kind: snapshot, interval: 0s}\n", "cameras[0].interval: must be at least 1s"),
            ("cameras:\n- {id: a, url: 'rtsp://h/', frozen: 3s}\n", "frozen"),
        ] {
            let findings = read_text(text).1;
            assert!(findings.len() == 1 && findings[0].contains(expected), "{text}: {findings:?}");
            assert!(!findings[0].replace("canary-file", "").contains("canary"), "{findings:?}");
        }
    }
}
