//! What `auth:` in the configuration says, and the rule that nobody listens to the world without authentication.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use watchfire_model::document::Reader;
use watchfire_net::secret::Secret;

use super::level::Level;

/// How long a session of the page lives without being used.
pub const SESSION_IDLE: Duration = Duration::from_secs(12 * 3600);

/// Where a password stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PasswordSource {
    /// In the configuration.
    Inline(Secret),
    /// In a file.
    File(PathBuf),
}

/// A user that the configuration names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfiguredUser {
    /// The name.
    pub name: String,
    /// The password.
    pub password: PasswordSource,
    /// What the user may do.
    pub level: Level,
}

/// `auth:`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Whether callers must prove who they are.
    pub enabled: bool,
    /// How long a session of the page lives without being used.
    pub session_idle: Duration,
    /// Users that are created or refreshed at start.
    pub users: Vec<ConfiguredUser>,
}
impl Default for Settings {
    fn default() -> Settings {
        Settings { enabled: false, session_idle: SESSION_IDLE, users: Vec::new() }
    }
}
impl Settings {
    /// Reads the section.
    pub fn read(auth: Reader<'_>) -> Settings {
        let idle = auth.duration_ms("session_idle").map_or(SESSION_IDLE, Duration::from_millis);
        if idle < Duration::from_secs(60) {
            auth.error_at("session_idle", "must be at least 1m");
        }
        let settings = Settings {
            enabled: auth.bool("enabled").unwrap_or(false),
            session_idle: idle,
            users: auth.maps("users").into_iter().filter_map(read_user).collect(),
        };
        auth.finish();
        settings
    }

    /// Takes over Grafana's variables for its administrator: a user of that name who may do everything.
    pub fn grafana_admin(&mut self, name: Option<&str>, password: Option<&str>) {
        let (Some(password), name) = (password, name.unwrap_or("admin")) else { return };
        if !self.users.iter().any(|u| u.name == name) {
            let password = PasswordSource::Inline(Secret::new(password));
            self.users.push(ConfiguredUser { name: name.to_owned(), password, level: Level::Admin });
        }
    }
}

fn read_user(user: Reader<'_>) -> Option<ConfiguredUser> {
    let name = user.required_text("name");
    let inline = user.text("password").map(|p| PasswordSource::Inline(Secret::new(p)));
    let file = user.text("password_file").map(|p| PasswordSource::File(PathBuf::from(p)));
    let level = user.word("level", &["read", "ingest", "admin"]).and_then(Level::from_word).unwrap_or(Level::Read);
    if !name.is_empty() && !super::records::is_name(&name) {
        user.error_at("name", "must be 1 to 64 letters, digits, dots, hyphens, underscores or @");
    }
    match (&inline, &file) {
        (Some(_), Some(_)) => user.error_at("password_file", "at most one of password and password_file may be set"),
        (None, None) => user.error_at("password", "password or password_file is missing"),
        _ => {}
    }
    user.finish();
    Some(ConfiguredUser { name, password: inline.or(file)?, level })
}

/// An address that must not be listened on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "cannot listen on {0} without authentication: other machines could read and change everything; set auth.enabled: true, or listen on 127.0.0.1, or say --insecure-no-auth"
)]
pub struct BindRefused(pub SocketAddr);

/// Whether an address may be listened on. While authentication is off, only loopback addresses may, unless `insecure`.
pub fn check_bind(addr: SocketAddr, settings: &Settings, insecure: bool) -> Result<(), BindRefused> {
    match settings.enabled || insecure || addr.ip().to_canonical().is_loopback() {
        true => Ok(()),
        false => Err(BindRefused(addr)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use watchfire_model::document::{Context, parse_yaml};

    fn read(text: &str) -> (Settings, Vec<String>) {
        let context = Context::new("f");
        let node = parse_yaml("f", text).unwrap();
        let settings = Settings::read(Reader::new(&context, &node, "auth"));
        (settings, context.into_findings().into_iter().map(|f| f.message).collect())
    }

    #[test]
    fn the_section() {
        let (settings, findings) = read("enabled: true\nsession_idle: 2h\nusers:\n- {name: eva, password: canary, level: admin}\n");
        assert_eq!(findings, Vec::<String>::new());
        assert!(settings.enabled && settings.session_idle == Duration::from_secs(7200) && settings.users[0].level == Level::Admin);
        assert!(!format!("{settings:?}").contains("canary"));
        assert_eq!(read("").0, Settings::default());
        for (text, part) in [
            ("enable: true", "did you mean \"enabled\""),
            ("session_idle: 1s", "at least 1m"),
            ("users:\n- {name: eva}\n", "password or password_file is missing"),
            ("users:\n- {name: eva, password: a, password_file: b}\n", "at most one"),
            ("users:\n- {name: 'e v', password: a}\n", "must be 1 to 64"),
            ("users:\n- {name: eva, password: a, level: root}\n", "must be one of"),
        ] {
            assert!(read(text).1.iter().any(|m| m.contains(part)), "{text}: {:?}", read(text).1);
        }
    }

    #[test]
    fn nobody_listens_to_the_world_without_authentication() {
        let on = Settings { enabled: true, ..Settings::default() };
        let off = Settings::default();
        for (addr, settings, insecure, allowed) in [
            ("127.0.0.1:8000", &off, false, true),
            ("[::1]:8000", &off, false, true),
            ("127.0.0.9:1", &off, false, true),
            ("[::ffff:127.0.0.1]:1", &off, false, true),
            ("0.0.0.0:8000", &off, false, false),
            ("[::]:8000", &off, false, false),
            ("192.168.1.5:8000", &off, false, false),
            ("0.0.0.0:8000", &on, false, true),
            ("0.0.0.0:8000", &off, true, true),
        ] {
            assert_eq!(check_bind(addr.parse().unwrap(), settings, insecure).is_ok(), allowed, "{addr}");
        }
    }
}
