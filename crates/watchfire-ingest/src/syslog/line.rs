//! One line of syslog: `<34>1 time host app procid msgid [structured data] message`, or `<34>time host tag[pid]: message`. Every line is an
//! entry; what cannot be made out stays in the line.

use std::sync::Arc;

use watchfire_model::labels::Labels;
use watchfire_model::logs::{LogEntry, Nanos};

/// The names of severities, by their number.
pub(crate) const SEVERITIES: [&str; 8] = ["emergency", "alert", "critical", "error", "warning", "notice", "info", "debug"];
const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp", "ntp", "audit", "alert", "clock", "local0", "local1",
    "local2", "local3", "local4", "local5", "local6", "local7",
];
/// The most parameters of structured data that are looked at.
const PARAMETERS_MAX: usize = 64;

/// What stands before the message.
#[derive(Default)]
struct Head<'a> {
    time: Option<Nanos>,
    host: &'a str,
    app: &'a str,
    pid: &'a str,
    id: &'a str,
    data: Vec<(String, String)>,
}

/// What a line says, for those who make something else of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// When it was written, if it says so with its zone.
    pub time: Option<Nanos>,
    /// The machine.
    pub host: String,
    /// The program.
    pub app: String,
    /// Its process.
    pub pid: String,
    /// The kind of message.
    pub id: String,
    /// Eight times the number of the facility, and that of the severity.
    pub priority: Option<u8>,
    /// The name of the severity; empty where there is no priority.
    pub severity: &'static str,
    /// The name of the facility.
    pub facility: &'static str,
    /// Structured data: the id and the name with an underscore between them, and the value.
    pub data: Vec<(String, String)>,
    /// The text.
    pub text: String,
}

/// Reads a line.
pub fn read_message(line: &str) -> Message {
    let (head, text, severity, facility) = parts(line);
    Message {
        priority: priority(without_count(line)).0,
        time: head.time,
        host: head.host.to_owned(),
        app: head.app.to_owned(),
        pid: head.pid.to_owned(),
        id: head.id.to_owned(),
        severity,
        facility,
        data: head.data,
        text: text.to_owned(),
    }
}

/// What stands before the message, the message, severity and facility.
fn parts(line: &str) -> (Head<'_>, &str, &'static str, &'static str) {
    let (priority, rest) = priority(without_count(line));
    let (head, message) = match priority.and_then(|_| rest.strip_prefix("1 ")) {
        Some(rest) => modern(rest),
        None => classic(rest),
    };
    let severity = priority.and_then(|p| SEVERITIES.get(usize::from(p % 8)).copied()).unwrap_or("");
    let facility = priority.and_then(|p| FACILITIES.get(usize::from(p / 8)).copied()).unwrap_or("");
    (head, message.strip_prefix('\u{feff}').unwrap_or(message), severity, facility)
}

/// Reads a line that came at some time.
pub(super) fn read(line: &str, now: Nanos) -> (Labels, LogEntry) {
    let (head, message, severity, facility) = parts(line);
    let labels = Labels::from_pairs([("job", "syslog"), ("host", head.host), ("app", head.app), ("level", severity), ("facility", facility)]);
    let own = [("pid", head.pid), ("msgid", head.id)];
    let metadata = Labels::from_pairs(own.into_iter().chain(head.data.iter().map(|(n, v)| (n.as_str(), v.as_str()))));
    (labels, LogEntry { time: head.time.unwrap_or(now), line: Arc::from(message), metadata })
}

/// A line without the count of its bytes, which some senders put before each.
fn without_count(line: &str) -> &str {
    match line.split_once(' ') {
        Some((count, rest)) if rest.starts_with('<') && count.len() <= 6 && count.bytes().all(|b| b.is_ascii_digit()) => rest,
        _ => line,
    }
}

/// `<34>` and what is behind.
fn priority(line: &str) -> (Option<u8>, &str) {
    let found = line.strip_prefix('<').and_then(|rest| rest.split_once('>'));
    match found.and_then(|(digits, rest)| Some((digits.parse::<u8>().ok().filter(|p| *p < 192)?, rest))) {
        Some((priority, rest)) => (Some(priority), rest),
        None => (None, line),
    }
}

/// A field that may be missing.
fn field<'a>(rest: &mut &'a str) -> &'a str {
    let (field, behind) = rest.split_once(' ').unwrap_or((rest, ""));
    *rest = behind;
    if field == "-" { "" } else { field }
}

/// RFC 5424, behind its version.
fn modern(mut rest: &str) -> (Head<'_>, &str) {
    let time = Nanos::parse_rfc3339(field(&mut rest));
    let (host, app, pid, id) = (field(&mut rest), field(&mut rest), field(&mut rest), field(&mut rest));
    let mut head = Head { time, host, app, pid, id, data: Vec::new() };
    if let Some(behind) = rest.strip_prefix('-') {
        return (head, behind.strip_prefix(' ').unwrap_or(behind));
    }
    let behind = structured(rest, &mut head.data);
    (head, behind.strip_prefix(' ').unwrap_or(behind))
}

/// `[id name="value" …][…]`, and what is behind.
fn structured<'a>(mut rest: &'a str, data: &mut Vec<(String, String)>) -> &'a str {
    while let Some(inside) = rest.strip_prefix('[') {
        let end = inside.find([' ', ']']).unwrap_or(inside.len());
        let (id, mut behind) = inside.split_at(end);
        // The number behind an id says whose it is.
        let id = id.split('@').next().unwrap_or("");
        loop {
            behind = behind.trim_start_matches(' ');
            if let Some(after) = behind.strip_prefix(']') {
                rest = after;
                break;
            }
            let Some((name, value)) = behind.split_once("=\"") else { return rest };
            let Some((value, after)) = quoted(value) else { return rest };
            if data.len() < PARAMETERS_MAX {
                data.push((label_name(id, name), value));
            }
            behind = after;
        }
    }
    rest
}

/// A value up to its closing quote, and what is behind.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut out = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((out, text.get(at + 1..)?)),
            '\\' => match chars.next()? {
                (_, c @ ('"' | '\\' | ']')) => out.push(c),
                (_, c) => out.extend(['\\', c]),
            },
            c => out.push(c),
        }
    }
    None
}

fn label_name(id: &str, name: &str) -> String {
    format!("{id}_{name}").chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' }).collect()
}

/// RFC 3164, as far as a line keeps to it. Its times have neither year nor zone, so the arrival counts; RFC 3339 in its place is taken.
fn classic(rest: &str) -> (Head<'_>, &str) {
    let mut head = Head::default();
    let (stamp, behind) = rest.split_once(' ').unwrap_or((rest, ""));
    let mut message = match Nanos::parse_rfc3339(stamp) {
        Some(time) => {
            head.time = Some(time);
            behind
        }
        None => match rest.split_at_checked(16) {
            Some((stamp, behind)) if is_classic_time(stamp) => behind,
            _ => return (head, rest),
        },
    };
    head.host = field(&mut message);
    // `tag[pid]: text`, `tag: text`
    let end = message.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/'))).unwrap_or(message.len());
    let (tag, behind) = message.split_at(end);
    let (pid, text) = match behind.strip_prefix('[').and_then(|b| b.split_once("]:")) {
        Some((pid, text)) if pid.len() <= 16 => (pid, Some(text)),
        _ => ("", behind.strip_prefix(':')),
    };
    match text {
        Some(text) if !tag.is_empty() => {
            (head.app, head.pid) = (tag, pid);
            (head, text.strip_prefix(' ').unwrap_or(text))
        }
        _ => (head, message),
    }
}

/// `Jan  2 15:04:05 `
fn is_classic_time(stamp: &str) -> bool {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let form = b"aaa 00 00:00:00 ";
    let fits = |(have, want): (u8, &u8)| match want {
        b'0' => have.is_ascii_digit() || have == b' ',
        b'a' => have.is_ascii_alphabetic(),
        other => have == *other,
    };
    stamp.get(..3).is_some_and(|month| MONTHS.contains(&month)) && stamp.bytes().zip(form).all(fits)
}
