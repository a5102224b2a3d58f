//! Takes secrets out of texts that people will see: passwords in URLs, keys, tokens. It looks for their usual shapes; it cannot
//! know a secret that looks like an ordinary word.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

const MASKED: &str = "[REDACTED]";
/// Names after which a value is a secret.
const NAMES: &str = r"passwords?|passwd|pwd|passphrase|secrets?|api[_-]?keys?|access[_-]?keys?|private[_-]?keys?|tokens?|authorization|credentials?|cookie";

/// A shape of a secret and what stands in its place, in the order in which they are applied.
static SHAPES: LazyLock<Vec<(Regex, String)>> = LazyLock::new(|| {
    let shape = |pattern: &str, instead: &str| Regex::new(pattern).ok().map(|regex| (regex, instead.to_owned()));
    [
        shape(r#"(?i)\b([a-z][a-z0-9+.-]*://)[^\s/?#"'<>]*@"#, "${1}[CREDENTIALS_REDACTED]@"),
        shape(r"(?i)\b(bearer|basic|digest)\s+[a-z0-9._~+/=-]{6,}", "${1} [REDACTED]"),
        shape(r"\b(?:sk|pk|rk)-[A-Za-z0-9_-]{12,}|\bhf_[A-Za-z0-9]{12,}|\bgh[pousr]_[A-Za-z0-9]{12,}|\bxox[a-z]-[A-Za-z0-9-]{8,}|\bAKIA[0-9A-Z]{12,}|\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_.-]+", MASKED),
        shape(&format!(r#"(?i)({NAMES})(\\?["']?\s*[:=]\s*)(\[REDACTED\]|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|\\"[^"\\]*\\"|[^\s"'&,;)}}\]\\]+)"#), "${1}${2}[REDACTED]"),
    ]
    .into_iter()
    .flatten()
    .collect()
});
static NAME: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(&format!("(?i)(?:{NAMES})$")).ok());

/// The text without what looks like a secret.
pub fn text(text: &str) -> Cow<'_, str> {
    let mut masked = Cow::Borrowed(text);
    for (shape, instead) in SHAPES.iter() {
        if let Cow::Owned(changed) = shape.replace_all(&masked, instead) {
            masked = Cow::Owned(changed);
        }
    }
    masked
}

/// The same for every text of a JSON value, keys included; texts under a name such as `password` are replaced whole.
pub fn value(value: &mut Value) {
    match value {
        Value::String(inner) => {
            if let Cow::Owned(masked) = text(inner) {
                *inner = masked;
            }
        }
        Value::Array(list) => list.iter_mut().for_each(self::value),
        Value::Object(map) => {
            let entries = std::mem::take(map);
            for (key, mut inner) in entries {
                match &mut inner {
                    Value::String(text) if is_secret(&key) && !text.is_empty() => MASKED.clone_into(text),
                    other => self::value(other),
                }
                map.insert(text(&key).into_owned(), inner);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn is_secret(key: &str) -> bool {
    NAME.as_ref().is_some_and(|name| name.is_match(key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_shape_is_known() {
        assert_eq!(SHAPES.len(), 4);
        assert!(NAME.is_some());
    }

    #[test]
    fn r57_secrets_leave_texts_and_the_rest_stays() {
        let check = |given: &str, expected: &str| assert_eq!(text(given), expected, "{given}");
        check("Connection timeout to RT-DETRv2", "Connection timeout to RT-DETRv2");
        check("cannot reach redis://:hunter2@redis:6379/0", "cannot reach redis://[CREDENTIALS_REDACTED]@redis:6379/0");
        check("rtsp://admin:p@ss@10.0.0.1/s and http://x/?a=b@c", "rtsp://[CREDENTIALS_REDACTED]@10.0.0.1/s and http://x/?a=b@c");
        check("401: Authorization: Bearer abcdef123456", "401: Authorization: [REDACTED] [REDACTED]");
        check("GET /v1?api_key=abc123&camera=front", "GET /v1?api_key=[REDACTED]&camera=front");
        check("{\"password\": \"my long word\", \"camera\": 1}", "{\"password\": [REDACTED], \"camera\": 1}");
        check("X-Api-Key: k-1", "X-Api-Key: [REDACTED]");
        check("OPENAI_API_KEY=sk-abcdefghijklmnop", "OPENAI_API_KEY=[REDACTED]");
        check("key sk-abcdefghijklmnop refused", "key [REDACTED] refused");
        check("hf_abcdefghijklmnopqrst", "[REDACTED]");
        check("prompt has 4100 tokens, 4096 allowed", "prompt has 4100 tokens, 4096 allowed");
        check("{\\\"token\\\": \\\"t1\\\"}", "{\\\"token\\\": [REDACTED]}");
    }

    #[test]
    fn r57_secrets_leave_values() {
        let mut given =
            json!({"url": "http://u:p@h/", "db_password": "x y", "max_tokens": 5, "list": ["Bearer abcdefgh"], "nested": {"apiKey": "k", "token": ""}});
        value(&mut given);
        let expected = json!({"url": "http://[CREDENTIALS_REDACTED]@h/", "db_password": "[REDACTED]", "max_tokens": 5, "list": ["Bearer [REDACTED]"], "nested": {"apiKey": "[REDACTED]", "token": ""}});
        assert_eq!(given, expected);
    }

    proptest::proptest! {
        #[test]
        fn r57_no_canary_survives(before in "[ -~]{0,20}", after in "[ -~]{0,20}", kind in 0usize..5) {
            let canary = "cAnArY8412345678";
            let secret = match kind {
                0 => format!("http://u:{canary}@host/"),
                1 => format!("password={canary}"),
                2 => format!("Bearer {canary}"),
                3 => format!("\"api_key\": \"{canary}\""),
                _ => format!("sk-{canary}"),
            };
            let given = format!("{before} {secret} {after}");
            proptest::prop_assert!(!text(&given).contains(canary), "{} -> {}", given, text(&given));
        }
    }
}
