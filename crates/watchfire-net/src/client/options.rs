//! How requests to one place are made, as configuration says it: credentials, TLS, proxy, headers. Secrets may stand in files,
//! which are read at each use. It reads no configuration itself.

use std::path::PathBuf;

use super::Proxies;
use crate::secret::Secret;

/// A secret that stands in the configuration or in a file that is read at each use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    /// In the configuration.
    Inline(Secret),
    /// In a file.
    File(PathBuf),
}

/// Who we say we are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Authorization {
    /// Nobody.
    #[default]
    None,
    /// A name and a password.
    Basic {
        /// The name.
        user: SecretSource,
        /// The password, if there is one.
        password: Option<SecretSource>,
    },
    /// A scheme (`Bearer`) and credentials.
    Header {
        /// The scheme.
        scheme: String,
        /// The credentials.
        credentials: SecretSource,
    },
    /// A token that is fetched and renewed.
    Oauth2(Box<Oauth2Options>),
}

/// How a token is fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Oauth2Options {
    /// The name of the client.
    pub client_id: String,
    /// Its secret, if there is one.
    pub client_secret: Option<SecretSource>,
    /// Where tokens come from.
    pub token_url: String,
    /// What the token is to be good for.
    pub scopes: Vec<String>,
    /// Further parameters.
    pub params: Vec<(String, String)>,
    /// The TLS side of the request for a token.
    pub tls: TlsOptions,
    /// Its proxy.
    pub proxy: ProxyOptions,
}

/// Which proxy requests go through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProxyOptions {
    /// The proxies that are set.
    pub proxies: Proxies,
    /// Whether the environment says which.
    pub from_environment: bool,
    /// Headers for `CONNECT`.
    pub connect_headers: Vec<(String, Secret)>,
}

/// The TLS side of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsOptions {
    /// The authorities to trust, in PEM.
    pub ca: Option<SecretSource>,
    /// Our certificate, in PEM.
    pub cert: Option<SecretSource>,
    /// Its key, in PEM.
    pub key: Option<SecretSource>,
    /// The name that the other side must prove.
    pub server_name: Option<String>,
    /// Whether anybody is believed.
    pub insecure_skip_verify: bool,
}

/// How requests of one job are made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpOptions {
    /// Who we say we are.
    pub authorization: Authorization,
    /// The TLS side.
    pub tls: TlsOptions,
    /// The proxy, if one is set.
    pub proxy: ProxyOptions,
    /// Whether redirects are followed.
    pub follow_redirects: bool,
    /// Further headers.
    pub headers: Vec<(String, SecretSource)>,
}
