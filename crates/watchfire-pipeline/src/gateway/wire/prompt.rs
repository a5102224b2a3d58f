//! The text in a request: to be counted where the upstream does not tell, checked before it is sent, and shortened so that it fits.
//! Images and other attachments are no text.

use bytes::Bytes;
use serde_json::{Map, Value};
use watchfire_tokens::{Truncation, truncate};

use super::asked::Fields;
use watchfire_tokens::Counter;

/// Tokens that a chat template adds to each message, and once at the end: what OpenAI says of its own models.
const PER_MESSAGE: usize = 3;

/// Calls back with every text of a request, and tells how many messages there are.
fn texts(body: &[u8], mut take: impl FnMut(&str)) -> usize {
    let Ok(fields) = Fields::of(body) else { return 0 };
    let mut count = 0;
    for name in ["system", "instructions", "prompt", "input", "suffix"] {
        if let Some(value) = fields.get::<Value>(name) {
            count += walk(&value, &mut take);
        }
    }
    if let Some(messages) = fields.get::<Value>("messages") {
        count += walk(&messages, &mut take);
    }
    count
}

/// A text; a list of texts, of messages or of parts; a message with its content.
fn walk(value: &Value, take: &mut impl FnMut(&str)) -> usize {
    match value {
        Value::String(text) => {
            take(text);
            0
        }
        Value::Array(items) => items.iter().map(|item| walk(item, take)).sum(),
        Value::Object(map) => {
            let inner: usize = ["content", "text"].into_iter().filter_map(|name| map.get(name)).map(|v| walk(v, take)).sum();
            inner + usize::from(map.contains_key("role"))
        }
        _ => 0,
    }
}

/// How many tokens a request's text is.
pub(in crate::gateway) fn count(counter: &Counter, body: &[u8]) -> usize {
    let mut tokens = 0;
    let messages = texts(body, |text| tokens += counter.count(text));
    tokens + if messages > 0 { (messages + 1) * PER_MESSAGE } else { 0 }
}

/// All text of a request as one.
#[cfg(test)]
fn joined(body: &[u8]) -> String {
    let mut all = String::new();
    texts(body, |text| {
        if !all.is_empty() {
            all.push('\n');
        }
        all.push_str(text);
    });
    all
}

/// The longest text of a request, where it can be replaced.
fn longest(value: &mut Value) -> Option<&mut String> {
    match value {
        Value::String(text) => Some(text),
        Value::Array(items) => items.iter_mut().filter_map(longest).max_by_key(|text| text.len()),
        Value::Object(map) => longest_in(map),
        _ => None,
    }
}
fn longest_in(map: &mut Map<String, Value>) -> Option<&mut String> {
    map.iter_mut().filter(|(name, _)| matches!(name.as_str(), "content" | "text")).filter_map(|(_, v)| longest(v)).max_by_key(|text| text.len())
}

/// Shortens the longest text of a request so that all of it is at most `available` tokens. `None` when the others are too long
/// already.
pub(in crate::gateway) fn shorten(counter: &Counter, body: &[u8], available: usize) -> Option<(Bytes, Truncation)> {
    let fields = Fields::of(body).ok()?;
    let all = count(counter, body);
    let named = ["messages", "prompt", "input"].into_iter().filter_map(|name| Some((name, fields.get::<Value>(name)?)));
    let (name, mut value) = named.max_by_key(|(_, value)| value.to_string().len())?;
    let text = longest(&mut value)?;
    let others = all.saturating_sub(counter.count(text));
    let room = available.checked_sub(others).filter(|room| *room > 0)?;
    let done = truncate(counter, text, room);
    if !done.fits {
        return None;
    }
    text.clone_from(&done.text);
    let replaced = value.to_string();
    Some((fields.write(&[(name, replaced)]), done))
}

#[cfg(test)]
mod tests {
    use watchfire_tokens::Encoding;

    use super::*;

    #[test]
    fn text_is_found_in_every_shape() {
        let check = |body: &str, expected: &str| assert_eq!(joined(body.as_bytes()), expected, "{body}");
        check(
            r#"{"messages":[{"role":"system","content":"a"},{"role":"user","content":[{"type":"text","text":"b"},{"type":"image_url","image_url":{"url":"data:xxx"}}]}]}"#,
            "a\nb",
        );
        check(r#"{"prompt":"p"}"#, "p");
        check(r#"{"prompt":["p","q"]}"#, "p\nq");
        check(r#"{"input":[{"role":"user","content":"x"}],"instructions":"i"}"#, "i\nx");
        check(r#"{"input":[[1,2,3]]}"#, "");
        check("nonsense", "");
    }

    #[test]
    fn tokens_of_a_chat_hold_its_template() {
        let counter = Counter::new(Encoding::Cl100kBase);
        assert_eq!(count(&counter, br#"{"prompt":"hello world"}"#), 2);
        assert_eq!(count(&counter, br#"{"messages":[{"role":"user","content":"hello world"}]}"#), 2 + 6);
    }

    #[test]
    fn the_longest_text_is_shortened_and_the_rest_stays() {
        let counter = Counter::new(Encoding::Cl100kBase);
        let long = format!("Intro.\n## Weather Context\n{}\n## Question\nWhat is it?", "rain and more rain ".repeat(200));
        let body =
            serde_json::json!({"model": "m", "messages": [{"role": "system", "content": "Be short."}, {"role": "user", "content": long}], "n": 1}).to_string();
        assert!(count(&counter, body.as_bytes()) > 500);
        let (shorter, done) = shorten(&counter, body.as_bytes(), 60).unwrap();
        assert_eq!(done.sections_removed, ["weather_context"]);
        assert!(count(&counter, &shorter) <= 60);
        let value: Value = serde_json::from_slice(&shorter).unwrap();
        assert_eq!((value["n"].as_u64(), value["messages"][0]["content"].as_str()), (Some(1), Some("Be short.")));
        assert!(value["messages"][1]["content"].as_str().unwrap().contains("What is it?"));
        assert!(shorten(&counter, body.as_bytes(), 5).is_none(), "the rest alone is longer");
    }
}
