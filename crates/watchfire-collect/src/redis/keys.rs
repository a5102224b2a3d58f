//! Keys that are to be measured: `db0=queue:*,db1=x`. Names are asked for by `SCAN` and never by `KEYS`, which would hold the server up.

use redis::Value;

use super::info::Sheet;
use super::link::{Link, number, text};

/// Patterns or names of one list.
pub const CHECKS_MAX: usize = 100;
/// Keys that are measured in one look.
const KEYS_MAX: usize = 1_000;
/// Keys that are looked through for patterns in one look.
const SCANNED_MAX: usize = 100_000;
const SCAN_COUNT: &str = "1000";

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    database: u32,
    /// A name, or a pattern.
    name: String,
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

pub(super) async fn measure(link: &mut Link, patterns: &[Check], names: &[Check], sheet: &mut Sheet) -> Result<(), String> {
    let mut found: Vec<Check> = names.to_vec();
    let mut scanned = 0;
    for pattern in patterns {
        if !pattern.name.contains(['*', '?', '[']) {
            found.push(pattern.clone());
            continue;
        }
        link.ask(&["SELECT", &pattern.database.to_string()]).await?;
        let mut cursor = "0".to_owned();
        while found.len() < KEYS_MAX && scanned < SCANNED_MAX {
            let answer = link.ask(&["SCAN", &cursor, "MATCH", &pattern.name, "COUNT", SCAN_COUNT]).await?;
            let Value::Array(parts) = &answer else { break };
            let (Some(next), Some(Value::Array(keys))) = (parts.first().and_then(text), parts.get(1)) else { break };
            scanned += 1_000;
            found.extend(keys.iter().filter_map(text).map(|name| Check { database: pattern.database, name }));
            if next == "0" {
                break;
            }
            cursor = next;
        }
    }
    found.sort_by(|a, b| (a.database, &a.name).cmp(&(b.database, &b.name)));
    found.dedup();
    let mut selected = None;
    for check in found.iter().take(KEYS_MAX) {
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
