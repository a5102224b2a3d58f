//! How requests are made: the keys that the HTTP clients of Prometheus and Alertmanager share (`basic_auth`, `authorization`,
//! `oauth2`, `tls_config`, proxies, headers). It only reads and checks; requests are made by [`super::Caller`].

use std::path::PathBuf;

use watchfire_model::document::Reader;

use super::{Authorization, HttpOptions, Oauth2Options, Proxies, ProxyOptions, SecretSource, TlsOptions};
use crate::secret::Secret;

/// Where a file that a configuration names is.
pub type Locate<'a> = &'a dyn Fn(&str) -> PathBuf;

/// Reads the shared keys from among other keys.
pub fn read_http_options(reader: &Reader<'_>, locate: Locate<'_>) -> HttpOptions {
    let ways = [read_basic(reader, locate), read_header(reader, locate), read_oauth2(reader, locate), read_bearer(reader, locate)];
    let ways: Vec<Authorization> = ways.into_iter().flatten().collect();
    if ways.len() > 1 {
        let key = ["bearer_token", "bearer_token_file", "oauth2", "authorization", "basic_auth"].into_iter().find(|k| reader.has(k)).unwrap_or("authorization");
        reader.error_at(key, "at most one of basic_auth, authorization, oauth2, bearer_token and bearer_token_file may be set");
    }
    reader.bool("enable_http2");
    HttpOptions {
        authorization: ways.into_iter().next().unwrap_or_default(),
        tls: read_tls_options(reader, "tls_config", locate),
        proxy: read_proxy(reader),
        follow_redirects: reader.bool("follow_redirects").unwrap_or(true),
        headers: read_headers(reader, locate),
    }
}

/// A secret by its key or its `…_file` twin; both at once are an error.
pub fn read_secret(reader: &Reader<'_>, key: &'static str, file_key: &'static str, locate: Locate<'_>) -> Option<SecretSource> {
    let inline = reader.text(key).map(|t| SecretSource::Inline(Secret::new(t)));
    let file = reader.text(file_key).map(|f| SecretSource::File(locate(&f)));
    if inline.is_some() && file.is_some() {
        reader.error_at(file_key, format!("at most one of {key} and {file_key} may be set"));
    }
    inline.or(file)
}

/// The same with a `…_ref` twin, which is only named here.
fn secret(reader: &Reader<'_>, key: &'static str, file_key: &'static str, ref_key: &'static str, locate: Locate<'_>) -> Option<SecretSource> {
    if reader.text(ref_key).is_some() {
        reader.warning_at(ref_key, "is read but not carried out: there is no secret manager here");
    }
    read_secret(reader, key, file_key, locate)
}

fn read_basic(reader: &Reader<'_>, locate: Locate<'_>) -> Option<Authorization> {
    let basic = reader.map("basic_auth")?;
    let user = secret(&basic, "username", "username_file", "username_ref", locate).unwrap_or_else(|| SecretSource::Inline(Secret::new("")));
    let password = secret(&basic, "password", "password_file", "password_ref", locate);
    basic.finish();
    Some(Authorization::Basic { user, password })
}

fn read_header(reader: &Reader<'_>, locate: Locate<'_>) -> Option<Authorization> {
    let header = reader.map("authorization")?;
    let scheme = header.text("type").filter(|t| !t.trim().is_empty()).unwrap_or_else(|| "Bearer".to_owned());
    if scheme.trim().eq_ignore_ascii_case("basic") {
        header.error_at("type", "must not be basic; use the basic_auth section instead");
    }
    let credentials = secret(&header, "credentials", "credentials_file", "credentials_ref", locate);
    header.finish();
    Some(Authorization::Header { scheme: scheme.trim().to_owned(), credentials: credentials? })
}

fn read_bearer(reader: &Reader<'_>, locate: Locate<'_>) -> Option<Authorization> {
    let credentials = read_secret(reader, "bearer_token", "bearer_token_file", locate)?;
    Some(Authorization::Header { scheme: "Bearer".to_owned(), credentials })
}

fn read_oauth2(reader: &Reader<'_>, locate: Locate<'_>) -> Option<Authorization> {
    let oauth2 = reader.map("oauth2")?;
    let options = Oauth2Options {
        client_id: oauth2.required_text("client_id"),
        client_secret: secret(&oauth2, "client_secret", "client_secret_file", "client_secret_ref", locate),
        token_url: oauth2.required_text("token_url"),
        scopes: oauth2.texts("scopes", false),
        params: oauth2.text_map("endpoint_params"),
        tls: read_tls_options(&oauth2, "tls_config", locate),
        proxy: read_proxy(&oauth2),
    };
    for reserved in ["scope", "client_id", "client_secret"] {
        let set_twice = reserved != "scope" || !options.scopes.is_empty();
        if set_twice && options.params.iter().any(|(name, _)| name == reserved) {
            oauth2.warning_at("endpoint_params", format!("{reserved} has a key of its own; no token can be had while it stands here"));
        }
    }
    let grant = oauth2.text("grant_type").unwrap_or_default();
    if !matches!(grant.as_str(), "" | "client_credentials") {
        oauth2.warning_at("grant_type", "only client_credentials is carried out; a token is asked for in that way");
    }
    for key in ["client_certificate_key_id", "signature_algorithm", "iss", "audience"] {
        oauth2.text(key);
    }
    secret(&oauth2, "client_certificate_key", "client_certificate_key_file", "client_certificate_key_ref", locate);
    oauth2.text_map("claims");
    oauth2.finish();
    Some(Authorization::Oauth2(Box::new(options)))
}

/// Reads the mapping of a key, which usually is `tls_config`.
pub fn read_tls_options(reader: &Reader<'_>, key: &'static str, locate: Locate<'_>) -> TlsOptions {
    let Some(tls) = reader.map(key) else { return TlsOptions::default() };
    let versions = ["TLS10", "TLS11", "TLS12", "TLS13"];
    for key in ["min_version", "max_version"] {
        if matches!(tls.word(key, &versions), Some("TLS10" | "TLS11")) {
            tls.warning_at(key, "TLS 1.0 and 1.1 are not spoken here; TLS 1.2 is the least");
        }
    }
    let options = TlsOptions {
        ca: secret(&tls, "ca", "ca_file", "ca_ref", locate),
        cert: secret(&tls, "cert", "cert_file", "cert_ref", locate),
        key: secret(&tls, "key", "key_file", "key_ref", locate),
        server_name: tls.text("server_name").filter(|n| !n.is_empty()),
        insecure_skip_verify: tls.bool("insecure_skip_verify").unwrap_or(false),
    };
    if options.cert.is_some() != options.key.is_some() {
        let node = tls.node();
        tls.context().error(node.line, node.column, format!("{key}: a certificate needs its key and a key its certificate"));
    }
    tls.finish();
    options
}

fn read_proxy(reader: &Reader<'_>) -> ProxyOptions {
    let url = reader.text("proxy_url").filter(|u| !u.is_empty());
    let no_proxy = reader.text("no_proxy").filter(|n| !n.is_empty());
    let from_environment = reader.bool("proxy_from_environment").unwrap_or(false);
    if from_environment && url.is_some() {
        reader.error_at("proxy_from_environment", "must not be set together with proxy_url");
    }
    if from_environment && no_proxy.is_some() {
        reader.error_at("no_proxy", "must not be set together with proxy_from_environment");
    }
    if no_proxy.is_some() && url.is_none() {
        reader.error_at("no_proxy", "needs a proxy_url");
    }
    let proxies = match url.map(|url| Proxies::one(&url, no_proxy.as_deref())) {
        Some(Ok(proxies)) => proxies,
        Some(Err(error)) => {
            reader.error_at("proxy_url", error.to_string());
            Proxies::default()
        }
        None => Proxies::default(),
    };
    let connect_headers = read_connect_headers(reader);
    match proxies.with_connect_headers(connect_headers.clone()) {
        Ok(proxies) => ProxyOptions { proxies, from_environment, connect_headers },
        Err(error) => {
            reader.error_at("proxy_connect_header", error.to_string());
            ProxyOptions::default()
        }
    }
}

fn read_connect_headers(reader: &Reader<'_>) -> Vec<(String, Secret)> {
    let Some(headers) = reader.map("proxy_connect_header") else { return Vec::new() };
    let mut found = Vec::new();
    for (name, node) in headers.entries() {
        let Some(items) = node.items() else {
            headers.context().error(node.line, node.column, format!("{} must be a list of texts", headers.path_of(&name.text)));
            continue;
        };
        for item in items {
            match item.text() {
                Some(text) => found.push((name.text.to_string(), Secret::new(text))),
                None => headers.context().error(item.line, item.column, format!("{}: every item must be a text", headers.path_of(&name.text))),
            }
        }
    }
    found
}

fn read_headers(reader: &Reader<'_>, locate: Locate<'_>) -> Vec<(String, SecretSource)> {
    let Some(headers) = reader.map("http_headers") else { return Vec::new() };
    let mut found = Vec::new();
    for (name, node) in headers.entries() {
        let header = Reader::new(reader.context(), node, &format!("{}.{}", reader.path_of("http_headers"), name.text));
        for value in header.texts("values", false).into_iter().chain(header.texts("secrets", false)) {
            found.push((name.text.to_string(), SecretSource::Inline(Secret::new(value))));
        }
        for file in header.texts("files", false) {
            found.push((name.text.to_string(), SecretSource::File(locate(&file))));
        }
        header.finish();
    }
    found
}
