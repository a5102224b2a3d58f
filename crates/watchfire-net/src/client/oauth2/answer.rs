//! What a token endpoint says: a token as JSON (or as a form, as some do), or why there is none.

use std::time::Duration;

use http::StatusCode;
use serde_json::Value;

use super::OauthError;
use crate::secret::Secret;

/// The most characters of an endpoint's words that are repeated.
const WORDS_MAX: usize = 200;

/// A token as it came.
#[derive(Debug, PartialEq)]
pub(super) struct Token {
    /// What stands before it in `Authorization`.
    pub(super) scheme: String,
    pub(super) value: Secret,
    /// How long it is good for; `None` when it does not end.
    pub(super) lasts: Option<Duration>,
}

/// Reads an answer.
pub(super) fn token(status: StatusCode, content_type: &str, body: &[u8], client_secret: &Secret) -> Result<Token, OauthError> {
    let fields = fields(content_type, body);
    let text = |name: &str| fields.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let refused = |detail: String| OauthError::Refused { status, detail };
    if !status.is_success() || text("error").is_some() {
        let said: Vec<String> = [text("error"), text("error_description")].into_iter().flatten().map(|words| harmless(words, client_secret)).collect();
        return Err(refused(if said.is_empty() { String::new() } else { format!(" ({})", said.join(": ")) }));
    }
    let value = text("access_token").ok_or_else(|| refused(" without an access_token".to_owned()))?;
    let scheme = match text("token_type") {
        None => "Bearer",
        Some(kind) if kind.eq_ignore_ascii_case("bearer") => "Bearer",
        Some(kind) if kind.eq_ignore_ascii_case("basic") => "Basic",
        Some(kind) if kind.eq_ignore_ascii_case("mac") => "MAC",
        Some(kind) => kind,
    };
    let seconds = fields.get("expires_in").and_then(|n| n.as_f64().or_else(|| n.as_str()?.trim().parse().ok()));
    let lasts = seconds.filter(|s| *s > 0.0).and_then(|s| Duration::try_from_secs_f64(s).ok());
    Ok(Token { scheme: scheme.to_owned(), value: Secret::new(value), lasts })
}

fn fields(content_type: &str, body: &[u8]) -> serde_json::Map<String, Value> {
    let media = content_type.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    if matches!(media.as_str(), "application/x-www-form-urlencoded" | "text/plain") {
        return url::form_urlencoded::parse(body).map(|(name, value)| (name.into_owned(), Value::from(value.into_owned()))).collect();
    }
    match serde_json::from_slice(body) {
        Ok(Value::Object(fields)) => fields,
        _ => serde_json::Map::new(),
    }
}

/// Words of a stranger, fit to be shown: short, printable, and without the secret if they repeat it.
fn harmless(words: &str, client_secret: &Secret) -> String {
    let words = if client_secret.is_empty() { words.to_owned() } else { words.replace(client_secret.expose(), "<secret>") };
    words.chars().map(|c| if c.is_control() { ' ' } else { c }).take(WORDS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_as_go_reads_them() {
        let json = "application/json";
        let check = |content_type: &str, body: &str, scheme: &str, value: &str, seconds: Option<u64>| {
            let found = token(StatusCode::OK, content_type, body.as_bytes(), &Secret::default()).unwrap();
            let expected = Token { scheme: scheme.to_owned(), value: Secret::new(value), lasts: seconds.map(Duration::from_secs) };
            assert!(found == expected && found.value.expose() == value, "{body}: {found:?}");
        };
        check(json, r#"{"access_token":"a","token_type":"bearer","expires_in":3600}"#, "Bearer", "a", Some(3600));
        check(json, r#"{"access_token":"a","expires_in":"60","more":[1]}"#, "Bearer", "a", Some(60));
        check(json, r#"{"access_token":"a","token_type":"DPoP","expires_in":0}"#, "DPoP", "a", None);
        check("", r#"{"access_token":"a","token_type":"MAC","expires_in":-5}"#, "MAC", "a", None);
        check("text/plain; charset=utf-8", "access_token=a%20b&expires_in=7&token_type=basic", "Basic", "a b", Some(7));
        check(json, r#"{"access_token":"a","expires_in":1e300}"#, "Bearer", "a", None);
    }

    #[test]
    fn refusals_say_why_and_no_secret() {
        let check = |status: u16, body: &str, words: &str| {
            let error = token(StatusCode::from_u16(status).unwrap(), "application/json", body.as_bytes(), &Secret::new("canary")).unwrap_err();
            assert_eq!(error.to_string(), format!("cannot get an OAuth2 token: the token endpoint answered {words}"), "{body}");
        };
        check(401, r#"{"error":"invalid_client"}"#, "401 Unauthorized (invalid_client)");
        check(400, r#"{"error":"invalid_request","error_description":"no canary\nhere"}"#, "400 Bad Request (invalid_request: no <secret> here)");
        check(200, r#"{"error":"slow_down","access_token":"x"}"#, "200 OK (slow_down)");
        check(200, "{}", "200 OK without an access_token");
        check(200, "<html>", "200 OK without an access_token");
        check(200, r#"{"access_token":""}"#, "200 OK without an access_token");
        check(503, "<html>canary", "503 Service Unavailable");
        check(302, "", "302 Found");
    }
}
