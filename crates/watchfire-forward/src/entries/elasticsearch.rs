//! Lines as a bulk request of Elasticsearch, and what its answer says of each of them. No sockets.

use bytes::Bytes;
use serde_json::{Map, Value, json};
use watchfire_model::logs::Nanos;
use watchfire_model::time::Timestamp;

use super::outcome::{Item, Outcome, Verdict};

/// How much of a refusal is told.
const EXCERPT_BYTES: usize = 256;

/// The body of a request: an action and a document for each line.
pub(super) fn encode(items: &[Item], index: &str) -> Bytes {
    let mut out = Vec::new();
    for item in items {
        let document = document(item);
        let action = json!({ "create": { "_index": index_of(index, &document, item.time) } });
        out.extend_from_slice(action.to_string().as_bytes());
        out.push(b'\n');
        out.extend_from_slice(Value::Object(document).to_string().as_bytes());
        out.push(b'\n');
    }
    out.into()
}

/// The event: the line itself where it is one, with its time.
pub(super) fn document(item: &Item) -> Map<String, Value> {
    let mut document = match serde_json::from_str::<Value>(&item.line) {
        Ok(Value::Object(event)) => event,
        _ => {
            let mut event = Map::new();
            event.insert("message".to_owned(), Value::String(item.line.clone()));
            let labels: Map<String, Value> = item.labels.iter().chain(&item.metadata).map(|(n, v)| (n.to_owned(), Value::String(v.to_owned()))).collect();
            event.insert("labels".to_owned(), Value::Object(labels));
            event
        }
    };
    document.entry("@timestamp").or_insert_with(|| Value::String(time(item.time)));
    document
}

fn time(time: Nanos) -> String {
    let millis = time.0.div_euclid(1_000_000);
    Timestamp(millis).rfc3339_millis()
}

/// The name of an index: `%{[field]}` is the value of a field, `%{+yyyy.MM.dd}` the day, as Beats write it.
fn index_of(pattern: &str, document: &Map<String, Value>, at: Nanos) -> String {
    let mut out = String::new();
    let mut rest = pattern;
    while let Some((before, behind)) = rest.split_once("%{") {
        out.push_str(before);
        let Some((what, behind)) = behind.split_once('}') else {
            out.push_str("%{");
            rest = behind;
            continue;
        };
        rest = behind;
        match what.strip_prefix('+') {
            Some(format) => out.push_str(&date(format, at)),
            None => out.push_str(field(what, document)),
        }
    }
    out.push_str(rest);
    // Elasticsearch knows no others.
    out.to_lowercase()
}

fn field<'d>(what: &str, document: &'d Map<String, Value>) -> &'d str {
    let (name, default) = what.split_once("]:").map_or((what, ""), |(name, default)| (name, default));
    let name = name.trim_start_matches('[').trim_end_matches(']');
    let direct = document.get(name);
    let value = direct.or_else(|| {
        let mut parts = name.split('.');
        parts.next().and_then(|first| document.get(first)).and_then(|value| parts.try_fold(value, |value, part| value.get(part)))
    });
    match value.and_then(Value::as_str) {
        Some(text) => text,
        None if default.is_empty() && name == "agent.version" => env!("CARGO_PKG_VERSION"),
        None => "none",
    }
}

fn date(format: &str, at: Nanos) -> String {
    let text = time(at);
    let part = |from: usize, to: usize| text.get(from..to).unwrap_or("");
    format.replace("yyyy", part(0, 4)).replace("MM", part(5, 7)).replace("dd", part(8, 10)).replace("HH", part(11, 13))
}

/// What an answer says: of each line, where it is one to a bulk request.
pub(super) fn judge(body: &[u8], count: usize) -> Outcome {
    let Ok(answer) = serde_json::from_slice::<Value>(body) else { return Outcome::again("the answer is no JSON") };
    if answer.get("errors").and_then(Value::as_bool) == Some(false) {
        return Outcome::Taken;
    }
    let Some(items) = answer.get("items").and_then(Value::as_array).filter(|items| items.len() == count) else {
        return Outcome::again("the answer does not say what became of each event");
    };
    Outcome::Each(items.iter().map(verdict).collect())
}

fn verdict(item: &Value) -> Verdict {
    let result = item.as_object().and_then(|item| item.values().next());
    let status = result.and_then(|result| result.get("status")).and_then(Value::as_u64).unwrap_or(0);
    match status {
        200..=299 => Verdict::Taken,
        429 | 500..=599 | 0 => Verdict::Again,
        _ => {
            let kind = result.and_then(|result| result.pointer("/error/type")).and_then(Value::as_str).unwrap_or("refused");
            Verdict::Refused(kind.chars().take(EXCERPT_BYTES).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use watchfire_model::labels::Labels;

    use super::*;

    #[test]
    fn events_and_their_indexes() {
        let item = Item {
            labels: Labels::from_pairs([("job", "a")]),
            time: Nanos(1_700_000_000_123_456_789),
            line: r#"{"message":"m","fields":{"env":"Prod"}}"#.to_owned(),
            metadata: Labels::empty(),
            point: None,
        };
        let body = String::from_utf8(encode(std::slice::from_ref(&item), "logs-%{[fields.env]}-%{+yyyy.MM.dd}").to_vec()).unwrap();
        assert_eq!(
            body,
            "{\"create\":{\"_index\":\"logs-prod-2023.11.14\"}}\n{\"message\":\"m\",\"fields\":{\"env\":\"Prod\"},\"@timestamp\":\"2023-11-14T22:13:20.123Z\"}\n"
        );
        let plain = document(&Item { line: "no json".to_owned(), ..item.clone() });
        assert_eq!((plain["message"].as_str(), plain["labels"]["job"].as_str()), (Some("no json"), Some("a")));
        assert_eq!(index_of("a-%{[x.y]}-%{", &plain, item.time), "a-none-%{");
    }

    #[test]
    fn what_became_of_each() {
        let answer = br#"{"errors":true,"items":[{"create":{"status":201}},{"create":{"status":429}},{"create":{"status":400,"error":{"type":"mapper_parsing_exception"}}}]}"#;
        assert_eq!(judge(answer, 3), Outcome::Each(vec![Verdict::Taken, Verdict::Again, Verdict::Refused("mapper_parsing_exception".to_owned())]));
        assert!(matches!(judge(answer, 2), Outcome::Again { .. }));
        assert!(matches!(judge(b"<html>", 1), Outcome::Again { .. }));
        assert_eq!(judge(br#"{"errors":false,"items":[]}"#, 9), Outcome::Taken);
    }
}
