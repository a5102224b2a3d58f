//! Where a Redis is: URLs and addresses as the watched programs write them. It opens nothing.

use url::Url;

use crate::secret::Secret;

/// Where a Redis is and how one logs in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The host.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Whether the connection is encrypted (`rediss://`).
    pub tls: bool,
    /// The user of an access list.
    pub username: Option<String>,
    /// The password.
    pub password: Option<Secret>,
    /// The number of the database.
    pub database: i64,
    /// The authorities to trust instead of the system's, as PEM.
    pub ca_pem: Option<Secret>,
}

impl Place {
    /// Reads `redis://[[user]:password@]host[:port][/database]`, `rediss://…` or `host[:port]`. A refusal never repeats the text, which
    /// may hold a password.
    pub fn parse(text: &str) -> Result<Place, String> {
        const EXPECTED: &str = "must be a URL such as redis://redis:6379/0 or rediss://:password@host:6379, or host:port";
        let text = text.trim();
        let whole = if text.contains("://") { text.to_owned() } else { format!("redis://{text}") };
        let url = Url::parse(&whole).map_err(|_| EXPECTED.to_owned())?;
        let tls = match url.scheme() {
            "redis" => false,
            "rediss" => true,
            _ => return Err(EXPECTED.to_owned()),
        };
        let decoded = |part: &str| url::form_urlencoded::parse(format!("x={}", part.replace('+', "%2B")).as_bytes()).next().map(|(_, v)| v.into_owned());
        let host = url.host_str().filter(|h| !h.is_empty()).ok_or(EXPECTED)?;
        let database = url.path().trim_matches('/');
        Ok(Place {
            host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
            port: url.port().unwrap_or(6379),
            tls,
            username: Some(url.username()).filter(|u| !u.is_empty()).and_then(decoded),
            password: url.password().filter(|p| !p.is_empty()).and_then(decoded).map(Secret::new),
            ca_pem: None,
            database: if database.is_empty() { 0 } else { database.parse().map_err(|_| EXPECTED.to_owned())? },
        })
    }
    /// The place without secrets, for people.
    pub fn shown(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        format!("{}://{host}:{}/{}", if self.tls { "rediss" } else { "redis" }, self.port, self.database)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        let check = |text: &str, shown: &str, user: Option<&str>, password: Option<&str>| {
            let place = Place::parse(text).unwrap();
            let found = (place.shown(), place.username.as_deref(), place.password.as_ref().map(Secret::expose));
            assert_eq!(found, (shown.to_owned(), user, password), "{text}");
        };
        check("redis://redis:6379", "redis://redis:6379/0", None, None);
        check("redis:6379", "redis://redis:6379/0", None, None);
        check("localhost", "redis://localhost:6379/0", None, None);
        check("127.0.0.1:7000", "redis://127.0.0.1:7000/0", None, None);
        check("rediss://:p%40ss+word@host/2", "rediss://host:6379/2", None, Some("p@ss+word"));
        check("redis:7000", "redis://redis:7000/0", None, None);
        check("redis://:pw@h", "redis://h:6379/0", None, Some("pw"));
        check("rediss://me:p%40ss@[::1]:7000/1", "rediss://[::1]:7000/1", Some("me"), Some("p@ss"));
        check("redis://me:pw@[::1]:7000/1", "redis://[::1]:7000/1", Some("me"), Some("pw"));
        for bad in ["", "http://x", "redis://", "redis://h/x", "redis://:canary@h:notaport"] {
            assert!(!Place::parse(bad).unwrap_err().contains("canary"), "{bad}");
        }
    }
}
