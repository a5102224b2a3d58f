//! What one event, line or document of an answer tells: tokens, text, whether it was the last. It knows the shapes of OpenAI's
//! interfaces, of llama.cpp and of Ollama, and takes whatever else a server says for nothing said.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

/// Tokens as an upstream tells them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::gateway) struct Usage {
    /// Tokens of the prompt.
    pub(in crate::gateway) input: u64,
    /// Those of them that came from a cache.
    pub(in crate::gateway) cached: u64,
    /// Tokens of the answer.
    pub(in crate::gateway) output: u64,
}

/// What a part of an answer tells.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::gateway) struct Piece {
    /// Tokens.
    pub(in crate::gateway) usage: Option<Usage>,
    /// The model that answers.
    pub(in crate::gateway) model: Option<String>,
    /// Text of the answer.
    pub(in crate::gateway) text: String,
    /// Whether the upstream says that this is the end.
    pub(in crate::gateway) is_end: bool,
    /// Whether it tells an error instead.
    pub(in crate::gateway) is_error: bool,
    /// Whether it is what `include_usage` adds to a stream: usage, and no choice.
    pub(in crate::gateway) is_usage_only: bool,
}

type Raw<'a> = Option<&'a RawValue>;

#[derive(Default, Deserialize)]
#[serde(default)]
struct Wire<'a> {
    #[serde(borrow)]
    model: Raw<'a>,
    #[serde(borrow)]
    usage: Raw<'a>,
    #[serde(borrow)]
    timings: Raw<'a>,
    #[serde(borrow)]
    choices: Raw<'a>,
    #[serde(borrow)]
    message: Raw<'a>,
    #[serde(borrow)]
    response: Raw<'a>,
    #[serde(borrow)]
    content: Raw<'a>,
    #[serde(borrow)]
    delta: Raw<'a>,
    #[serde(borrow)]
    output: Raw<'a>,
    #[serde(borrow)]
    error: Raw<'a>,
    #[serde(borrow)]
    r#type: Raw<'a>,
    #[serde(borrow)]
    stop: Raw<'a>,
    #[serde(borrow)]
    done: Raw<'a>,
    #[serde(borrow)]
    tokens_evaluated: Raw<'a>,
    #[serde(borrow)]
    tokens_predicted: Raw<'a>,
    #[serde(borrow)]
    prompt_eval_count: Raw<'a>,
    #[serde(borrow)]
    eval_count: Raw<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct UsageWire<'a> {
    #[serde(borrow)]
    prompt_tokens: Raw<'a>,
    #[serde(borrow)]
    completion_tokens: Raw<'a>,
    #[serde(borrow)]
    input_tokens: Raw<'a>,
    #[serde(borrow)]
    output_tokens: Raw<'a>,
    #[serde(borrow)]
    prompt_tokens_details: Raw<'a>,
    #[serde(borrow)]
    input_tokens_details: Raw<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Details<'a> {
    #[serde(borrow)]
    cached_tokens: Raw<'a>,
}

/// What llama.cpp tells at the end of a chat.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Timings<'a> {
    #[serde(borrow)]
    prompt_n: Raw<'a>,
    #[serde(borrow)]
    cache_n: Raw<'a>,
    #[serde(borrow)]
    predicted_n: Raw<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Choice<'a> {
    #[serde(borrow)]
    delta: Raw<'a>,
    #[serde(borrow)]
    message: Raw<'a>,
    #[serde(borrow)]
    text: Raw<'a>,
    #[serde(borrow)]
    finish_reason: Raw<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Message<'a> {
    #[serde(borrow)]
    content: Raw<'a>,
    #[serde(borrow)]
    reasoning_content: Raw<'a>,
    #[serde(borrow)]
    reasoning: Raw<'a>,
    #[serde(borrow)]
    tool_calls: Raw<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ToolCall<'a> {
    #[serde(borrow)]
    function: Raw<'a>,
}
#[derive(Default, Deserialize)]
#[serde(default)]
struct Function<'a> {
    #[serde(borrow)]
    name: Raw<'a>,
    #[serde(borrow)]
    arguments: Raw<'a>,
}

fn read<'a, T: Deserialize<'a>>(raw: Raw<'a>) -> Option<T> {
    serde_json::from_str(raw?.get()).ok()
}
fn text(raw: Raw<'_>) -> Cow<'_, str> {
    #[derive(Deserialize)]
    struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
    read::<Text<'_>>(raw).map(|t| t.0).unwrap_or_default()
}
fn number(raw: Raw<'_>) -> Option<u64> {
    read(raw)
}
fn yes(raw: Raw<'_>) -> bool {
    read(raw) == Some(true)
}

impl Piece {
    /// Reads a part. `None` when it is no JSON object.
    pub(in crate::gateway) fn read(data: &[u8]) -> Option<Piece> {
        let wire: Wire<'_> = serde_json::from_slice(data).ok()?;
        let kind = text(wire.r#type);
        // An event of the interface "responses" holds the whole response, with its usage, at the end.
        let inner: Option<Wire<'_>> = read(wire.response);
        let mut piece = Piece {
            usage: usage(&wire).or_else(|| inner.as_ref().and_then(usage)),
            model: read(wire.model).or_else(|| inner.as_ref().and_then(|w| read(w.model))).filter(|m: &String| !m.is_empty()),
            is_error: wire.error.is_some_and(|e| e.get() != "null") || matches!(&*kind, "error" | "response.failed"),
            is_end: yes(wire.stop) || yes(wire.done) || matches!(&*kind, "response.completed" | "response.incomplete"),
            ..Piece::default()
        };
        let choices: Option<Vec<Choice<'_>>> = read(wire.choices);
        piece.is_usage_only = piece.usage.is_some() && choices.as_ref().is_some_and(Vec::is_empty);
        for choice in choices.unwrap_or_default() {
            piece.text.push_str(&text(choice.text));
            for message in [choice.delta, choice.message] {
                piece.say(message);
            }
            piece.is_end |= choice.finish_reason.is_some_and(|r| r.get() != "null");
        }
        piece.say(wire.message);
        for said in [wire.content, wire.response] {
            piece.text.push_str(&text(said));
        }
        if kind.ends_with(".delta") {
            piece.text.push_str(&text(wire.delta));
        }
        for item in read::<Vec<Message<'_>>>(wire.output).unwrap_or_default() {
            for part in read::<Vec<Choice<'_>>>(item.content).unwrap_or_default() {
                piece.text.push_str(&text(part.text));
            }
        }
        Some(piece)
    }

    fn say(&mut self, message: Raw<'_>) {
        let Some(message) = read::<Message<'_>>(message) else { return };
        for said in [message.reasoning_content, message.reasoning, message.content] {
            self.text.push_str(&text(said));
        }
        for call in read::<Vec<ToolCall<'_>>>(message.tool_calls).unwrap_or_default() {
            let function: Function<'_> = read(call.function).unwrap_or_default();
            self.text.push_str(&text(function.name));
            self.text.push_str(&text(function.arguments));
        }
    }
}

fn usage(wire: &Wire<'_>) -> Option<Usage> {
    let told: Option<UsageWire<'_>> = read(wire.usage);
    if let Some(told) = told
        && let Some(input) = number(told.prompt_tokens).or(number(told.input_tokens))
    {
        let details: Details<'_> = read(told.prompt_tokens_details).or_else(|| read(told.input_tokens_details)).unwrap_or_default();
        let output = number(told.completion_tokens).or(number(told.output_tokens)).unwrap_or(0);
        return Some(Usage { input, cached: number(details.cached_tokens).unwrap_or(0).min(input), output });
    }
    let pair = |input, output| Some(Usage { input: number(input)?, cached: 0, output: number(output)? });
    if let Some(usage) = pair(wire.tokens_evaluated, wire.tokens_predicted) {
        return Some(usage);
    }
    // Ollama leaves the prompt's count out when all of it was cached.
    if let Some(output) = number(wire.eval_count) {
        return Some(Usage { input: number(wire.prompt_eval_count).unwrap_or(0), cached: 0, output });
    }
    let timings: Timings<'_> = read(wire.timings)?;
    let cached = number(timings.cache_n).unwrap_or(0);
    Some(Usage { input: number(timings.prompt_n)?.saturating_add(cached), cached, output: number(timings.predicted_n)? })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn usage_of(data: &str) -> Option<(u64, u64, u64)> {
        Piece::read(data.as_bytes()).unwrap().usage.map(|u| (u.input, u.cached, u.output))
    }

    #[test]
    fn usage_of_every_server() {
        let check = |data: &str, expected| assert_eq!(usage_of(data), expected, "{data}");
        check(r#"{"usage":{"prompt_tokens":9,"completion_tokens":12,"total_tokens":21}}"#, Some((9, 0, 12)));
        check(r#"{"usage":{"prompt_tokens":9,"completion_tokens":1,"prompt_tokens_details":{"cached_tokens":4}}}"#, Some((9, 4, 1)));
        check(r#"{"object":"list","usage":{"prompt_tokens":5,"total_tokens":5}}"#, Some((5, 0, 0)));
        check(r#"{"type":"response.completed","response":{"usage":{"input_tokens":3,"output_tokens":8}}}"#, Some((3, 0, 8)));
        check(r#"{"usage":{"input_tokens":3,"input_tokens_details":{"cached_tokens":1},"output_tokens":8}}"#, Some((3, 1, 8)));
        check(r#"{"content":"","stop":true,"tokens_predicted":7,"tokens_evaluated":11}"#, Some((11, 0, 7)));
        check(r#"{"done":true,"prompt_eval_count":26,"eval_count":298}"#, Some((26, 0, 298)));
        check(r#"{"choices":[],"timings":{"prompt_n":2,"cache_n":30,"predicted_n":5}}"#, Some((32, 30, 5)));
        check(r#"{"usage":null,"choices":[]}"#, None);
        check(r#"{"usage":{"prompt_tokens":-1}}"#, None);
        check(r#"{"usage":"lots"}"#, None);
    }

    #[test]
    fn text_and_end_of_every_server() {
        let check = |data: &str, words: &str, is_end: bool| {
            let piece = Piece::read(data.as_bytes()).unwrap();
            assert_eq!((piece.text.as_str(), piece.is_end), (words, is_end), "{data}");
        };
        check(r#"{"choices":[{"delta":{"role":"assistant","content":""},"finish_reason":null}]}"#, "", false);
        check(r#"{"choices":[{"delta":{"content":"H\u00e9"}}]}"#, "Hé", false);
        check(r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#, "", true);
        check(r#"{"choices":[{"text":"abc","finish_reason":"length"}]}"#, "abc", true);
        check(r#"{"choices":[{"message":{"content":"x","reasoning_content":"why "},"finish_reason":"stop"}]}"#, "why x", true);
        check(r#"{"choices":[{"delta":{"tool_calls":[{"function":{"name":"f","arguments":"{}"}}]}}]}"#, "f{}", false);
        check(r#"{"content":" hi","stop":false}"#, " hi", false);
        check(r#"{"message":{"role":"assistant","content":"yo"},"done":false}"#, "yo", false);
        check(r#"{"response":"gen","done":true}"#, "gen", true);
        check(r#"{"type":"response.output_text.delta","delta":"d"}"#, "d", false);
        check(r#"{"type":"response.completed","response":{"output":[]}}"#, "", true);
        check(r#"{"output":[{"type":"message","content":[{"type":"output_text","text":"whole"}]}]}"#, "whole", false);
    }

    #[test]
    fn errors_and_the_piece_that_only_tells_usage() {
        assert!(Piece::read(br#"{"error":{"message":"x"}}"#).unwrap().is_error);
        assert!(!Piece::read(br#"{"error":null}"#).unwrap().is_error);
        assert!(Piece::read(br#"{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1}}"#).unwrap().is_usage_only);
        assert!(!Piece::read(br#"{"choices":[{}],"usage":{"prompt_tokens":1}}"#).unwrap().is_usage_only);
        assert_eq!(Piece::read(b"[DONE]"), None);
        assert_eq!(Piece::read(b"<html>"), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(data in proptest::collection::vec(any::<u8>(), 0..200)) {
            Piece::read(&data);
        }
        #[test]
        fn any_values_are_survived(key in "(usage|choices|message|delta|response|timings|output|model|content)", value in "(null|7|-1|0\\.5|\"x\"|\\[\\]|\\{\\}|\\[7\\]|\\[\\{\"delta\":3\\}\\]|\\{\"content\":\\[1\\]\\})") {
            let data = format!("{{\"{key}\":{value}}}");
            prop_assert!(Piece::read(data.as_bytes()).is_some(), "{}", data);
        }
    }
}
