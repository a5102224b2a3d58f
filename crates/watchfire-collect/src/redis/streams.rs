//! Streams, their groups and consumers, as `XINFO` tells them. It reads no entry and asks only for streams that somebody named.

use redis::Value;

use super::info::Sheet;
use super::keys::{Check, expand};
use super::link::{Link, text};
use super::pairs;

/// Streams of one look.
const STREAMS_MAX: usize = 100;
/// Groups of one stream, and consumers of all groups in one look.
const GROUPS_MAX: usize = 100;
const CONSUMERS_MAX: usize = 10_000;

/// Puts what is known of the streams. One that is not there, or is none, is left out.
pub(super) async fn measure(link: &mut Link, patterns: &[Check], names: &[Check], sheet: &mut Sheet) -> Result<(), String> {
    let mut room = CONSUMERS_MAX;
    for check in expand(link, patterns, names).await?.into_iter().take(STREAMS_MAX) {
        link.ask(&["SELECT", &check.database.to_string()]).await?;
        let Ok(answer) = link.ask(&["XINFO", "STREAM", &check.name]).await else { continue };
        let db = format!("db{}", check.database);
        stream(&answer, &[("db", &db), ("stream", &check.name)], sheet);
        let Ok(Value::Array(groups)) = link.ask(&["XINFO", "GROUPS", &check.name]).await else { continue };
        for group in groups.into_iter().take(GROUPS_MAX).map(pairs) {
            let Some((_, name)) = group.iter().find(|(key, _)| key == "name").cloned() else { continue };
            let labels = [("db", db.as_str()), ("stream", check.name.as_str()), ("group", name.as_str())];
            put(&group, &GROUP, &labels, sheet);
            let Ok(Value::Array(consumers)) = link.ask(&["XINFO", "CONSUMERS", &check.name, &name]).await else { continue };
            for consumer in consumers.into_iter().take(room).map(pairs) {
                room -= 1;
                let Some((_, name)) = consumer.iter().find(|(key, _)| key == "name") else { continue };
                put(&consumer, &CONSUMER, &[labels[0], labels[1], labels[2], ("consumer", name)], sheet);
            }
        }
    }
    Ok(())
}

/// A word of an answer, its metric, and what its value is divided by.
type Figure = (&'static str, &'static str, f64);
const STREAM: [Figure; 6] = [
    ("length", "redis_stream_length", 1.0),
    ("radix-tree-keys", "redis_stream_radix_tree_keys", 1.0),
    ("radix-tree-nodes", "redis_stream_radix_tree_nodes", 1.0),
    ("groups", "redis_stream_groups", 1.0),
    ("last-generated-id", "redis_stream_last_generated_id", 1.0),
    ("max-deleted-entry-id", "redis_stream_max_deleted_entry_id", 1.0),
];
const GROUP: [Figure; 5] = [
    ("consumers", "redis_stream_group_consumers", 1.0),
    ("pending", "redis_stream_group_messages_pending", 1.0),
    ("last-delivered-id", "redis_stream_group_last_delivered_id", 1.0),
    ("entries-read", "redis_stream_group_entries_read", 1.0),
    ("lag", "redis_stream_group_lag", 1.0),
];
const CONSUMER: [Figure; 2] = [("pending", "redis_stream_group_consumer_messages_pending", 1.0), ("idle", "redis_stream_group_consumer_idle_seconds", 1e3)];

fn put(said: &[(String, String)], figures: &[Figure], labels: &[(&str, &str)], sheet: &mut Sheet) {
    for (word, metric, divisor) in figures {
        let value = said.iter().find(|(key, _)| key == word).and_then(|(_, value)| moment(value));
        if let Some(value) = value {
            sheet.gauge(metric, labels, value / divisor);
        }
    }
}

/// A number. Of an id (`1700000000000-3`) the time counts, in milliseconds.
fn moment(text: &str) -> Option<f64> {
    text.split('-').next().filter(|begin| !begin.is_empty())?.parse().ok()
}

pub(super) fn stream(answer: &Value, labels: &[(&str, &str); 2], sheet: &mut Sheet) {
    put(&pairs(answer.clone()), &STREAM, labels, sheet);
    // An entry is its id and what is in it.
    for (word, metric) in [("first-entry", "redis_stream_first_entry_id"), ("last-entry", "redis_stream_last_entry_id")] {
        let id = match part(answer, word) {
            Some(Value::Array(entry)) => entry.first().and_then(text),
            _ => None,
        };
        if let Some(id) = id.as_deref().and_then(moment) {
            sheet.gauge(metric, labels, id);
        }
    }
}

fn part<'a>(answer: &'a Value, word: &str) -> Option<&'a Value> {
    let is = |key: &Value| text(key).as_deref() == Some(word);
    match answer {
        Value::Map(map) => map.iter().find(|(key, _)| is(key)).map(|(_, value)| value),
        Value::Array(items) => items.chunks_exact(2).find(|pair| is(&pair[0])).map(|pair| &pair[1]),
        _ => None,
    }
}

/// How many keys each pattern fits.
pub(super) async fn count(link: &mut Link, patterns: &[Check], sheet: &mut Sheet) -> Result<(), String> {
    for pattern in patterns {
        let found = super::keys::scan(link, pattern, &mut |_| true).await?;
        sheet.gauge("redis_keys_count", &[("db", &format!("db{}", pattern.database)), ("key", &pattern.name)], found as f64);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use watchfire_ingest::exposition::{Format, render};

    use super::*;

    #[test]
    fn a_stream_is_read_from_both_protocols() {
        let said = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        let entry = |id: &str| Value::Array(vec![said(id), Value::Array(vec![said("a"), said("1")])]);
        let flat = vec![
            said("length"),
            Value::Int(2),
            said("last-generated-id"),
            said("1700000000005-3"),
            said("first-entry"),
            entry("1700000000001-0"),
            said("last-entry"),
            Value::Nil,
        ];
        let map = flat.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect();
        for answer in [Value::Array(flat), Value::Map(map)] {
            let mut sheet = Sheet::default();
            stream(&answer, &[("db", "db0"), ("stream", "s")], &mut sheet);
            let text = render(Format::PrometheusText, &sheet.into_families());
            let values: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
            let expected = [
                "redis_stream_first_entry_id{db=\"db0\",stream=\"s\"} 1.700000000001e+12",
                "redis_stream_last_generated_id{db=\"db0\",stream=\"s\"} 1.700000000005e+12",
                "redis_stream_length{db=\"db0\",stream=\"s\"} 2",
            ];
            assert_eq!(values, expected);
        }
        assert_eq!([moment("0-0"), moment("7"), moment(""), moment("-1"), moment("x-1")], [Some(0.0), Some(7.0), None, None, None]);
    }
}
