//! Where a Redis is, as addresses of redis_exporter and of programs say it. It opens nothing.

use url::Url;
use watchfire_net::secret::Secret;

/// Where a Redis is and how one logs in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The host.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Whether the connection is encrypted.
    pub tls: bool,
    /// The user of an access list.
    pub user: Option<String>,
    /// The password.
    pub password: Option<Secret>,
    /// The authorities to trust instead of the system's, as PEM.
    pub ca_pem: Option<Secret>,
}

impl Place {
    /// Reads `redis://user:password@host:port`, `rediss://…` or `host[:port]`. A refusal never repeats the text.
    pub fn parse(text: &str) -> Result<Place, String> {
        const EXPECTED: &str = "must be an address such as redis://redis:6379, rediss://:password@host:6379 or host:port";
        let text = text.trim();
        let whole = if text.contains("://") { text.to_owned() } else { format!("redis://{text}") };
        let url = Url::parse(&whole).map_err(|_| EXPECTED.to_owned())?;
        let tls = match url.scheme() {
            "redis" => false,
            "rediss" => true,
            _ => return Err(EXPECTED.to_owned()),
        };
        let host = url.host_str().filter(|h| !h.is_empty()).ok_or(EXPECTED)?;
        let (user, password) = watchfire_net::client::credentials_of(&whole).unzip();
        Ok(Place {
            host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
            port: url.port().unwrap_or(6379),
            tls,
            user: user.map(|u| u.expose().to_owned()).filter(|u| !u.is_empty()),
            password: password.filter(|p| !p.is_empty()),
            ca_pem: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rdx_01_addresses_of_redis() {
        let check = |text: &str, host: &str, port: u16, tls: bool, user: Option<&str>, password: Option<&str>| {
            let place = Place::parse(text).unwrap();
            let found = (place.host.as_str(), place.port, place.tls, place.user.as_deref(), place.password.as_ref().map(Secret::expose));
            assert_eq!(found, (host, port, tls, user, password), "{text}");
        };
        check("redis://redis:6379", "redis", 6379, false, None, None);
        check("redis:7000", "redis", 7000, false, None, None);
        check("redis", "redis", 6379, false, None, None);
        check("rediss://me:p%40ss@[::1]:7000/1", "::1", 7000, true, Some("me"), Some("p@ss"));
        check("redis://:pw@h", "h", 6379, false, None, Some("pw"));
        for bad in ["", "http://x", "redis://", "redis://:canary@h:notaport"] {
            assert!(!Place::parse(bad).unwrap_err().contains("canary"), "{bad}");
        }
    }
}
