//! Errors in the logs of a period: how many there were, and what they said most, with numbers taken out so that lines of one kind count
//! together. It reads lines and keeps none.

use std::collections::HashMap;
use std::ops::ControlFlow;

use watchfire_model::level;
use watchfire_model::logs::{LogLine, LogSelection, LogSource, Nanos};
use watchfire_model::matcher::{MatchOp, Matcher};
use watchfire_model::order::Order as _;
use watchfire_model::read::Budget;

use super::schedule::Due;

/// Kinds of lines that are told apart; more count as others.
const KINDS_MAX: usize = 5_000;
/// What is kept of a line.
const LINE_CHARS_MAX: usize = 160;
/// The most frequent that are told.
const TOP: usize = 5;

/// What was found.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Errors {
    pub(super) count: u64,
    pub(super) before: u64,
    /// The most frequent with how often, in descending order.
    pub(super) top: Vec<(String, u64)>,
}

fn is_error(level: &str) -> bool {
    matches!(level, "error" | "critical" | "fatal")
}

/// As it was noted when the line came in; else as it can be told now.
fn level_of(line: LogLine<'_>) -> &'static str {
    level::noted(line.metadata).unwrap_or_else(|| level::detect(line.labels, line.metadata, line.line))
}

/// Reads both periods.
pub(super) fn find(logs: &dyn LogSource, due: Due, budget: &Budget) -> Result<Errors, String> {
    let mut errors = Errors::default();
    let mut kinds: HashMap<String, u64> = HashMap::new();
    let selection = |from: i64, to: i64| {
        let mut selection = LogSelection::new(Vec::new(), Nanos::from_millis(from), Nanos::from_millis(to));
        // Lines with another level beside them need not be read.
        selection.levels = Matcher::new(level::LABEL, MatchOp::Regex, "error|critical|fatal").into_iter().collect();
        selection
    };
    let period = selection(due.from.millis(), due.at.millis());
    let read = logs.select_logs(&period, budget, &mut |line| {
        if is_error(level_of(line)) {
            errors.count += 1;
            let (kind, is_full) = (kind_of(line.line), kinds.len() >= KINDS_MAX);
            match kinds.get_mut(&kind) {
                Some(count) => *count += 1,
                None if is_full => {}
                None => drop(kinds.insert(kind, 1)),
            }
        }
        Ok(ControlFlow::Continue(()))
    });
    read.map_err(|error| error.to_string())?;
    let mut before = LogSelection { lines: false, lines_without_level: true, ..selection(due.before.millis(), due.from.millis()) };
    before.order = watchfire_model::logs::LogOrder::Any;
    let read = logs.select_logs(&before, budget, &mut |line| {
        errors.before += u64::from(is_error(level_of(line)));
        Ok(ControlFlow::Continue(()))
    });
    read.map_err(|error| error.to_string())?;
    let mut all: Vec<(String, u64)> = kinds.into_iter().collect();
    all.order_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    all.truncate(TOP);
    errors.top = all;
    Ok(errors)
}

/// A line without what differs from one to the next: each word with a digit in it is `#`, so times, numbers, addresses and ids are.
fn kind_of(line: &str) -> String {
    let message = message_of(line);
    let mut out = String::new();
    for word in message.split_whitespace() {
        if !out.is_empty() {
            out.push(' ');
        }
        let core = word.trim_matches(|c: char| !c.is_alphanumeric());
        match core {
            "" => out.push_str(word),
            core if core.bytes().any(|b| b.is_ascii_digit()) => out.push('#'),
            _ => out.push_str(word),
        }
        if out.len() > LINE_CHARS_MAX * 4 {
            break;
        }
    }
    let shown: String = out.chars().filter(|c| !c.is_control()).take(LINE_CHARS_MAX).collect();
    if shown.is_empty() { "–".to_owned() } else { shown }
}

/// The message of a line in JSON, where it has one; else the line.
fn message_of(line: &str) -> String {
    let object = line.starts_with('{').then(|| serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(line).ok()).flatten();
    let text = object.as_ref().and_then(|o| ["message", "msg", "error", "event"].iter().find_map(|key| o.get(*key)?.as_str()));
    text.unwrap_or(line).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use watchfire_model::labels;
    use watchfire_model::labels::Labels;
    use watchfire_model::time::{ManualClock, Timestamp};
    use watchfire_testkit::logs::Logs;

    #[test]
    fn lines_of_one_kind_are_one() {
        for (line, expected) in [
            ("2025-01-01T00:00:00Z ERROR cannot open 10.0.0.7:554: refused", "# ERROR cannot open # refused"),
            ("level=error msg=\"cannot open\" id=a7", "level=error msg=\"cannot open\" #"),
            (r#"{"level": "error", "message": "cannot open camera 7", "time": 1}"#, "cannot open camera #"),
            (r#"{"level": "error"}"#, r#"{"level": "error"}"#),
            ("", "–"),
            ("  \t ", "–"),
        ] {
            assert_eq!(kind_of(line), expected, "{line}");
        }
        assert_eq!(kind_of(&"ä".repeat(1_000)).chars().count(), LINE_CHARS_MAX);
    }

    #[test]
    fn errors_are_counted_and_the_most_frequent_come_first() {
        for logs in [Logs::new(), Logs::honouring_hints()] {
            let app = labels!("app" => "recorder");
            let put = |ms: i64, line: &str| logs.add_line(&app, Nanos::from_millis(ms), line, &Labels::empty());
            for n in 0..3 {
                put(2_000 + n, &format!("level=error msg=\"cannot open camera\" try={n}"));
            }
            put(2_500, "level=fatal msg=\"out of memory\"");
            put(2_600, "level=info msg=\"no error here\"");
            put(1_500, "level=error msg=old");
            put(3_000, "level=error msg=\"the end is not part of it\"");
            logs.add_line(&labels!("app" => "x"), Nanos::from_millis(2_700), "no level in it", &labels!("detected_level" => "critical"));
            let due = Due { at: Timestamp(3_000), from: Timestamp(2_000), before: Timestamp(1_000) };
            let errors = find(&logs, due, &Budget::unlimited(ManualClock::new(Timestamp(0)))).unwrap();
            assert_eq!((errors.count, errors.before), (5, 1));
            assert_eq!((errors.top[0].1, errors.top.len()), (3, 3), "{errors:?}");
            assert!(errors.top[0].0.contains("cannot open camera"), "{errors:?}");
        }
    }
}
