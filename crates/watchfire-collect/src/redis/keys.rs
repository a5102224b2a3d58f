//! Keys that are to be measured: `db0=queue:*,db1=x`. Names are asked for by `SCAN` and never by `KEYS`, which would hold the server up.

use redis::Value;

use super::info::Sheet;
use super::link::{Link, number, text};

/// Patterns or names of one list.
pub const CHECKS_MAX: usize = 100;
/// Keys that are measured in one look.
const KEYS_MAX: usize = 1_000;
/// Keys that are looked through for one pattern.
const SCANNED_MAX: usize = 100_000;
const SCAN_COUNT: &str = "1000";

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    pub(super) database: u32,
    /// A name, or a pattern.
    pub(super) name: String,
}

/// Reads a list; a name without a database is in the first.
pub fn read(text: &str) -> Vec<Check> {
    let one = |part: &str| {
        let (database, name) = match part.split_once('=') {
            Some((db, name)) if db.strip_prefix("db").unwrap_or(db).parse::<u32>().is_ok() => (db.strip_prefix("db").unwrap_or(db).parse().unwrap_or(0), name),
            _ => (0, part),
        };
        Check { database, name: name.to_owned() }
    };
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).take(CHECKS_MAX).map(one).collect()
}

/// What is measured of one Redis.
#[derive(Clone, Debug, Default)]
pub struct Checks {
    /// Patterns of keys to measure.
    pub patterns: Vec<Check>,
    /// Names of keys to measure.
    pub names: Vec<Check>,
    /// Patterns of keys to count.
    pub counted: Vec<Check>,
    /// Patterns of streams to look at.
    pub stream_patterns: Vec<Check>,
    /// Names of streams to look at.
    pub streams: Vec<Check>,
}

/// Looks through the keys of a database for those that fit a pattern, as long as they are wanted; how many there were.
pub(super) async fn scan(link: &mut Link, pattern: &Check, wanted: &mut (dyn FnMut(String) -> bool + Send)) -> Result<usize, String> {
    link.ask(&["SELECT", &pattern.database.to_string()]).await?;
    let (mut cursor, mut scanned, mut found) = ("0".to_owned(), 0, 0);
    while scanned < SCANNED_MAX {
        let answer = link.ask(&["SCAN", &cursor, "MATCH", &pattern.name, "COUNT", SCAN_COUNT]).await?;
        let Value::Array(parts) = &answer else { break };
        let (Some(next), Some(Value::Array(keys))) = (parts.first().and_then(text), parts.get(1)) else { break };
        scanned += 1_000;
        found += keys.len();
        // All of one answer are told: they are here already.
        let mut more = true;
        for name in keys.iter().filter_map(text) {
            more &= wanted(name);
        }
        if !more || next == "0" {
            break;
        }
        cursor = next;
    }
    Ok(found)
}

/// The keys that have these names or fit these patterns.
pub(super) async fn expand(link: &mut Link, patterns: &[Check], names: &[Check]) -> Result<Vec<Check>, String> {
    let mut found: Vec<Check> = names.to_vec();
    for pattern in patterns {
        if !pattern.name.contains(['*', '?', '[']) {
            found.push(pattern.clone());
            continue;
        }
        let database = pattern.database;
        let take = &mut |name| {
            found.push(Check { database, name });
            found.len() < KEYS_MAX
        };
        scan(link, pattern, take).await?;
    }
    found.sort_by(|a, b| (a.database, &a.name).cmp(&(b.database, &b.name)));
    found.dedup();
    found.truncate(KEYS_MAX);
    Ok(found)
}

pub(super) async fn measure(link: &mut Link, patterns: &[Check], names: &[Check], sheet: &mut Sheet) -> Result<(), String> {
    let found = expand(link, patterns, names).await?;
    let mut selected = None;
    for check in &found {
        if selected != Some(check.database) {
            link.ask(&["SELECT", &check.database.to_string()]).await?;
            selected = Some(check.database);
        }
        size(link, check, sheet).await?;
    }
    Ok(())
}

async fn size(link: &mut Link, check: &Check, sheet: &mut Sheet) -> Result<(), String> {
    let kind = link.ask(&["TYPE", &check.name]).await?;
    let command = match text(&kind).as_deref() {
        Some("list") => "LLEN",
        Some("hash") => "HLEN",
        Some("set") => "SCARD",
        Some("zset") => "ZCARD",
        Some("stream") => "XLEN",
        Some("string") => "STRLEN",
        // A key that is not there has no length: an empty queue is one of them.
        Some("none") => "",
        _ => return Ok(()),
    };
    let length = if command.is_empty() { Some(0.0) } else { number(&link.ask(&[command, &check.name]).await?) };
    let db = format!("db{}", check.database);
    let labels = [("db", db.as_str()), ("key", check.name.as_str())];
    if let Some(length) = length {
        sheet.gauge("redis_key_size", &labels, length);
    }
    if command == "STRLEN"
        && length.is_some_and(|length| length < 64.0)
        && let Some(value) = number(&link.ask(&["GET", &check.name]).await?)
    {
        sheet.gauge("redis_key_value", &labels, value);
    }
    Ok(())
}
