//! The database's address in its usual spellings: `postgresql://`, `postgres://`, SQLAlchemy's `postgresql+asyncpg://`, and libpq's
//! `host=… user=…`.
//! Prints itself without the password.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

use super::AddressError;

/// Parameters that the client understands; others (SQLAlchemy's own) are left out.
const PARAMETERS: [&str; 9] = ["user", "password", "dbname", "options", "application_name", "host", "port", "hostaddr", "connect_timeout"];

/// Where the database is and how to get in.
#[derive(Clone)]
pub struct Address {
    config: Config,
    tls: Option<Arc<ClientConfig>>,
    shown: String,
    ignored: Vec<String>,
}

impl Address {
    /// Reads a `DATABASE_URL`. `tls` is what to encrypt with; without it `sslmode=require` is an error.
    pub fn parse(url: &str, tls: Option<Arc<ClientConfig>>) -> Result<Address, AddressError> {
        let wrong = |text: String| AddressError(text);
        if !url.contains("://") && url.contains('=') {
            let (kept, mode, ignored) = words(url).map_err(wrong)?;
            let config = kept.parse().map_err(|_| wrong("it is not of the form host=… port=… user=… password=… dbname=…".to_owned()))?;
            return Address::of(config, mode, ignored, tls);
        }
        let (scheme, rest) = url.split_once("://").ok_or_else(|| wrong("it has no scheme, postgresql:// is expected".to_owned()))?;
        let dialect = scheme.split_once('+').map_or(scheme, |(dialect, _driver)| dialect);
        if !matches!(dialect, "postgresql" | "postgres") {
            return Err(wrong(format!("{dialect} is not PostgreSQL")));
        }
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (kept, mode, ignored) = parameters(query).map_err(wrong)?;
        let separator = if kept.is_empty() { "" } else { "?" };
        // The parser's error may quote the address, which holds the password.
        let config = format!("postgresql://{place}{separator}{kept}")
            .parse()
            .map_err(|_| wrong("it is not of the form postgresql://user:password@host:port/database".to_owned()))?;
        Address::of(config, mode, ignored, tls)
    }

    fn of(mut config: Config, mode: SslMode, ignored: Vec<String>, tls: Option<Arc<ClientConfig>>) -> Result<Address, AddressError> {
        let wrong = |text: String| AddressError(text);
        config.ssl_mode(mode);
        if mode == SslMode::Require && tls.is_none() {
            return Err(wrong("it asks for encryption (sslmode), and no certificates are set up to check the server with".to_owned()));
        }
        if config.get_application_name().is_none() {
            config.application_name("watchfire");
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(Duration::from_secs(5));
        }
        let shown = shown(&config);
        Ok(Address { config, tls: tls.filter(|_| mode != SslMode::Disable), shown, ignored })
    }

    /// Whether a `DATABASE_URL` insists on encryption, so that certificate authorities must be loaded for it. A URL that merely
    /// allows encryption does not justify the memory that they cost.
    pub fn insists_on_encryption(url: &str) -> bool {
        let read = match url.split_once("://") {
            None if url.contains('=') => words(url),
            _ => parameters(url.split_once('?').map_or("", |(_, query)| query)),
        };
        read.is_ok_and(|(_, mode, _)| mode == SslMode::Require)
    }

    /// Names of parameters that were left out because they mean nothing here.
    pub fn ignored(&self) -> &[String] {
        &self.ignored
    }

    /// The first host and port that a connection goes to; `None` for a socket in the file system.
    pub fn first_host(&self) -> Option<(String, u16)> {
        match self.config.get_hosts().first() {
            Some(Host::Tcp(name)) => Some((name.clone(), self.config.get_ports().first().copied().unwrap_or(5432))),
            _ => None,
        }
    }

    /// Where it is, in one text: `host:port`, or the directory of the socket in place of the host.
    pub fn place(&self) -> String {
        place(&self.config)
    }

    /// The user, if the address names one.
    pub fn user(&self) -> Option<&str> {
        self.config.get_user()
    }

    /// The same place with another login.
    #[must_use]
    pub fn with_login(mut self, user: &str, password: &str) -> Address {
        self.config.user(user).password(password);
        self.shown = shown(&self.config);
        self
    }

    /// Another database of the same server.
    #[must_use]
    pub fn of_database(&self, name: &str) -> Address {
        let mut other = self.clone();
        other.config.dbname(name);
        other.shown = shown(&other.config);
        other
    }

    /// The one host and port that a connection goes to by name; `None` for sockets, several hosts, and addresses beside a name.
    pub fn only_host(&self) -> Option<(String, u16)> {
        let alone = self.config.get_hosts().len() == 1 && self.config.get_hostaddrs().is_empty() && self.config.get_ports().len() <= 1;
        self.first_host().filter(|_| alone)
    }

    /// The same with the address that its one host has, so that no name is looked up again.
    #[must_use]
    pub fn pinned(mut self, ip: IpAddr) -> Address {
        self.config.hostaddr(ip);
        self
    }

    pub(super) fn config(&self) -> &Config {
        &self.config
    }

    /// The same without encryption, where the address leaves that open.
    pub(super) fn plain_config(&self) -> Option<Config> {
        let mut plain = self.config.clone();
        plain.ssl_mode(SslMode::Disable);
        (self.config.get_ssl_mode() == SslMode::Prefer).then_some(plain)
    }

    pub(super) fn tls(&self) -> Option<&Arc<ClientConfig>> {
        self.tls.as_ref()
    }
}

/// Splits the parameters into those to keep, the encryption mode, and the names of the ignored ones.
fn parameters(query: &str) -> Result<(String, SslMode, Vec<String>), String> {
    let (mut kept, mut mode, mut ignored) = (Vec::new(), SslMode::Prefer, Vec::new());
    for pair in query.split('&').filter(|p| !p.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        match key {
            "sslmode" | "ssl" => mode = encryption(value)?,
            _ if PARAMETERS.contains(&key) => kept.push(pair),
            _ => ignored.push(key.to_owned()),
        }
    }
    Ok((kept.join("&"), mode, ignored))
}

fn encryption(word: &str) -> Result<SslMode, String> {
    match word {
        "disable" | "false" | "0" => Ok(SslMode::Disable),
        "allow" | "prefer" => Ok(SslMode::Prefer),
        "require" | "verify-ca" | "verify-full" | "true" | "1" => Ok(SslMode::Require),
        other => Err(format!("sslmode {other} is not known")),
    }
}

/// The same for `key=value` with spaces between them; values may stand in single quotes, with backslashes before what would end them.
fn words(text: &str) -> Result<(String, SslMode, Vec<String>), String> {
    let (mut kept, mut mode, mut ignored) = (Vec::new(), SslMode::Prefer, Vec::new());
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (key, after) = rest.split_once('=').ok_or("a word of it has no value")?;
        let (key, after) = (key.trim(), after.trim_start());
        let quoted = after.starts_with('\'');
        let (mut value, mut escaped, mut end) = (String::new(), false, after.len());
        for (at, c) in after.char_indices().skip(usize::from(quoted)) {
            if escaped || c == '\\' {
                escaped = !escaped;
                value.extend((!escaped).then_some(c));
                continue;
            }
            if if quoted { c == '\'' } else { c.is_whitespace() } {
                end = at;
                break;
            }
            value.push(c);
        }
        if quoted && end == after.len() {
            return Err("a quoted value of it does not end".to_owned());
        }
        match key {
            "sslmode" => mode = encryption(&value)?,
            _ if PARAMETERS.contains(&key) => kept.push(format!("{key}='{}'", value.replace('\\', "\\\\").replace('\'', "\\'"))),
            _ => ignored.push(key.to_owned()),
        }
        rest = after.get(end + usize::from(quoted)..).unwrap_or("").trim_start();
    }
    Ok((kept.join(" "), mode, ignored))
}

fn place(config: &Config) -> String {
    let host = match config.get_hosts().first() {
        Some(Host::Tcp(name)) if name.contains(':') => format!("[{name}]"),
        Some(Host::Tcp(name)) => name.clone(),
        Some(Host::Unix(path)) => path.display().to_string(),
        None => "localhost".to_owned(),
    };
    format!("{host}:{}", config.get_ports().first().copied().unwrap_or(5432))
}

fn shown(config: &Config) -> String {
    format!("{}/{}", place(config), config.get_dbname().or(config.get_user()).unwrap_or_default())
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}
impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({})", self.shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(url: &str, expected: Result<&str, &str>) {
        let outcome = Address::parse(url, None).map(|a| a.to_string()).map_err(|e| e.to_string());
        match (&outcome, expected) {
            (Ok(shown), Ok(expected)) => assert_eq!(shown, expected, "{url}"),
            (Err(error), Err(part)) => assert!(error.contains(part) && !error.contains("hunter2"), "{url}: {error}"),
            _ => panic!("{url}: {outcome:?}"),
        }
    }

    #[test]
    fn spellings() {
        check("postgresql://security:hunter2@postgres:5432/security", Ok("postgres:5432/security"));
        check("postgresql+asyncpg://security:hunter2@postgres/security", Ok("postgres:5432/security"));
        check("postgres://u@[::1]:6543/d?sslmode=disable", Ok("[::1]:6543/d"));
        check("postgresql+asyncpg://u:p@h/d?ssl=prefer&prepared_statement_cache_size=0", Ok("h:5432/d"));
        check("postgresql://u:p@%2Ftmp%2Fsockets/d", Ok("/tmp/sockets:5432/d"));
        check("user=prometheus host=/run/postgresql dbname=postgres", Ok("/run/postgresql:5432/postgres"));
        check("host=db port = 6543 user='a b' password='it\\'s hunter2' dbname=d sslmode=disable target_session_attrs=any", Ok("db:6543/d"));
        check("host=::1 user=u", Ok("[::1]:5432/u"));
        check("host=h password=hunter2 sslmode=require", Err("encryption"));
        check("host=h password=hunter2 sslmode=often", Err("sslmode often"));
        check("host=h password='hunter2", Err("does not end"));
        check("host=h hunter2", Err("has no value"));
        check("port=hunter2", Err("not of the form"));
        check("sqlite:///data/x.db", Err("sqlite is not PostgreSQL"));
        check("postgres", Err("no scheme"));
        check("postgresql://u:hunter2@h:notaport/d", Err("not of the form"));
        check("postgresql://u:hunter2@h/d?sslmode=require", Err("encryption"));
        check("postgresql://u:hunter2@h/d?ssl=sometimes", Err("sslmode sometimes"));
    }

    #[test]
    fn only_one_host_can_be_pinned() {
        let only = |url: &str| Address::parse(url, None).unwrap().only_host();
        assert_eq!(only("postgresql://u@h:6543/d"), Some(("h".to_owned(), 6543)));
        assert_eq!(only("host=h"), Some(("h".to_owned(), 5432)));
        for url in ["postgresql://u@a,b/d", "host=/run/postgresql", "host=h hostaddr=169.254.169.254", "hostaddr=169.254.169.254", "postgresql://h/d?host=x"] {
            assert_eq!(only(url), None, "{url}");
        }
        let pinned = Address::parse("host=h", None).unwrap().pinned("10.0.0.1".parse().unwrap());
        assert_eq!((pinned.only_host(), pinned.config().get_hostaddrs().len()), (None, 1));
    }

    #[test]
    fn authorities_are_loaded_only_where_needed() {
        for (query, expected) in [("", false), ("?sslmode=prefer", false), ("?ssl=require", true), ("?a=b&sslmode=verify-full", true)] {
            assert_eq!(Address::insists_on_encryption(&format!("postgresql://u@h/d{query}")), expected, "{query}");
        }
        assert!(Address::insists_on_encryption("host=h sslmode=require") && !Address::insists_on_encryption("host=h password='sslmode=require'"));
    }

    #[test]
    fn the_password_is_never_printed() {
        let address = Address::parse("postgresql://security:hunter2@postgres/security?command_timeout=5", None).unwrap();
        assert!(!format!("{address} {address:?} {:?}", address.config()).contains("hunter2"));
        let words = Address::parse("host=h user=u password=it\\'s\\ hunter2 fallback_application_name=x", None).unwrap();
        assert_eq!((words.config().get_password(), words.ignored()), (Some("it's hunter2".as_bytes()), &["fallback_application_name".to_owned()][..]));
        assert!(!format!("{words} {words:?}").contains("hunter2"));
        assert_eq!(address.ignored(), ["command_timeout"]);
    }
}
