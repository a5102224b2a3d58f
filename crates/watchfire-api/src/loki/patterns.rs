//! `/loki/api/v1/patterns`: lines with what differs between them replaced by `<_>`, so that many lines become few patterns, which can be
//! used in the pattern filter `|>`. What differs is found by its form (numbers, ids, addresses, times), not by comparing lines.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Request, State};
use serde::Serialize;
use watchfire_model::level;
use watchfire_model::order::Order as _;
use watchfire_model::read::ReadError;

use super::answer::{Data, LokiError};
use super::labels::{matchers, selection};
use super::params::Params;
use crate::app::App;
use crate::prometheus::gate::run;

/// The most patterns of an answer.
const PATTERNS_MAX: usize = 300;
/// The most patterns that are counted while lines are read; further ones are not.
const TRACKED_MAX: usize = 3_000;
/// The longest beginning of a line that is looked at.
const LINE_BYTES_MAX: usize = 2_048;
/// The most lines that are read.
const LINES_MAX: u64 = 1_000_000;
/// The least step, in seconds.
const STEP_MIN: i64 = 10;

#[derive(Serialize)]
pub(super) struct Pattern {
    pattern: String,
    level: &'static str,
    samples: Vec<(i64, u64)>,
}

/// `GET|POST /loki/api/v1/patterns`.
pub(super) async fn patterns(State(app): State<Arc<App>>, request: Request) -> Result<Data<Vec<Pattern>>, LokiError> {
    let params = Params::read(request).await?;
    let range = params.range(&app)?;
    let step = i64::try_from(params.step(range)?.as_secs()).unwrap_or(i64::MAX).max(STEP_MIN);
    let selection = selection(matchers(&params.query(&app)?)?, range);
    run(&app, None, move |app, budget| {
        let mut counts: BTreeMap<(String, &'static str), BTreeMap<i64, u64>> = BTreeMap::new();
        let mut lines = 0u64;
        app.rooms.logs.select_logs(&selection, budget, &mut |entry| -> Result<std::ops::ControlFlow<()>, ReadError> {
            lines += 1;
            if lines.is_multiple_of(1_024) {
                budget.check()?;
            }
            let key = (of_line(entry.line), level::noted(entry.metadata).unwrap_or_else(|| level::detect(entry.labels, entry.metadata, entry.line)));
            if counts.len() < TRACKED_MAX || counts.contains_key(&key) {
                *counts.entry(key).or_default().entry(entry.time.0.div_euclid(1_000_000_000).div_euclid(step) * step).or_default() += 1;
            }
            Ok(if lines >= LINES_MAX { std::ops::ControlFlow::Break(()) } else { std::ops::ControlFlow::Continue(()) })
        })?;
        let mut all: Vec<Pattern> =
            counts.into_iter().map(|((pattern, level), samples)| Pattern { pattern, level, samples: samples.into_iter().collect() }).collect();
        all.order_by_key(|p| std::cmp::Reverse(p.samples.iter().map(|(_, n)| n).sum::<u64>()));
        all.truncate(PATTERNS_MAX);
        Ok(Data(all))
    })
    .await
}

/// What separates words; it stays in the pattern.
fn separates(c: char) -> bool {
    c.is_whitespace() || matches!(c, '=' | ',' | ';' | '"' | '\'' | '(' | ')' | '[' | ']' | '{' | '}' | '<' | '>' | '|')
}

/// The pattern of a line.
fn of_line(line: &str) -> String {
    let line = line.get(..line.floor_char_boundary(LINE_BYTES_MAX)).unwrap_or("");
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while !rest.is_empty() {
        let end = rest.find(separates).unwrap_or(rest.len());
        let (word, tail) = rest.split_at(end);
        put_word(&mut out, word);
        let Some(c) = tail.chars().next() else { break };
        out.push(c);
        rest = tail.get(c.len_utf8()..).unwrap_or("");
    }
    out
}

/// A word, or a place for one. Two places never stand side by side: between them no text would tell where one ends.
fn put_word(out: &mut String, word: &str) {
    let bare = word.trim_end_matches([':', '.', '!', '?']);
    if varies(bare) {
        if !out.ends_with("<_>") {
            out.push_str("<_>");
        }
        out.push_str(word.get(bare.len()..).unwrap_or(""));
    } else {
        out.push_str(word);
    }
}

/// Whether a word is one of many of its form: it has a digit, or is a long hexadecimal number.
fn varies(word: &str) -> bool {
    word.bytes().any(|b| b.is_ascii_digit()) || (word.len() >= 16 && word.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-'))
}

#[cfg(test)]
mod tests {
    use super::of_line;

    #[test]
    fn what_varies_is_left_out() {
        for (line, pattern) in [
            ("level=info camera=front_door duration=12ms", "level=info camera=front_door duration=<_>"),
            ("GET /api/cameras 200 in 17.5ms", "GET /api/cameras <_> in <_>"),
            ("2026-01-23T00:00:00Z connection from 10.0.0.7:443 closed", "<_> connection from <_> closed"),
            (r#"{"id":"a1b2","msg":"ok"}"#, r#"{"id":"<_>","msg":"ok"}"#),
            ("took 5.", "took <_>."),
            ("trace deadbeefdeadbeefdeadbeef done", "trace <_> done"),
            ("nothing varies", "nothing varies"),
            ("", ""),
        ] {
            assert_eq!(of_line(line), pattern);
        }
    }
}
