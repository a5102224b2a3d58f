//! One event as a line of JSON. It finds no ids and writes nothing.

use std::fmt::{Debug, Display};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value};
use tracing::Metadata;
use tracing::field::{Field, Visit};

use super::MESSAGE_BYTES_MAX;

/// The fields of one event.
#[derive(Default)]
pub(super) struct Fields {
    message: String,
    rest: Map<String, Value>,
}
impl Fields {
    fn put(&mut self, field: &Field, value: Value) {
        self.rest.insert(field.name().to_owned(), value);
    }
}
impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        let value = shortened(value);
        match field.name() {
            "message" => self.message = value,
            _ => self.put(field, value.into()),
        }
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }
    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.record_str(field, &value.to_string());
    }
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

/// A text with its end left out when it is too long.
fn shortened(text: &str) -> String {
    match text.char_indices().map(|(at, _)| at).take_while(|at| *at <= MESSAGE_BYTES_MAX).last() {
        Some(end) if text.len() > MESSAGE_BYTES_MAX => format!("{}… ({} bytes in all)", text.get(..end).unwrap_or_default(), text.len()),
        _ => text.to_owned(),
    }
}

/// The line, with its end. Ids stand before what the event says, and win over it.
pub(super) fn line(time: SystemTime, metadata: &Metadata<'_>, ids: &[(&'static str, String)], fields: Fields) -> String {
    let mut object = Map::new();
    object.insert("timestamp".to_owned(), Millis(time).to_string().into());
    object.insert("level".to_owned(), metadata.level().as_str().into());
    object.insert("message".to_owned(), fields.message.into());
    object.insert("target".to_owned(), metadata.target().into());
    for (name, value) in ids {
        object.insert((*name).to_owned(), value.as_str().into());
    }
    for (name, value) in fields.rest {
        object.entry(name).or_insert(value);
    }
    let mut line = Value::Object(object).to_string();
    line.push('\n');
    line
}

/// A time in UTC with milliseconds, as RFC 3339 has it.
struct Millis(SystemTime);
impl Display for Millis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let since = self.0.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let (mut days, seconds) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
        let mut year = 1970;
        while days >= days_of(year) {
            days -= days_of(year);
            year += 1;
        }
        let mut month = 0;
        let months = [31, days_of(year) - 337, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        while days >= months[month] {
            days -= months[month];
            month += 1;
        }
        let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
        write!(f, "{year:04}-{:02}-{:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", month + 1, days + 1, since.subsec_millis())
    }
}

fn days_of(year: u64) -> u64 {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    365 + u64::from(leap)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        for (ms, expected) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (1_736_418_645_123, "2025-01-09T10:30:45.123Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_709_251_199_999, "2024-02-29T23:59:59.999Z"),
            (1_735_689_599_999, "2024-12-31T23:59:59.999Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(Millis(UNIX_EPOCH + Duration::from_millis(ms)).to_string(), expected);
        }
    }

    #[test]
    fn long_texts_lose_their_end_and_say_so() {
        let long = "ä".repeat(MESSAGE_BYTES_MAX);
        let short = shortened(&long);
        assert!(short.len() < MESSAGE_BYTES_MAX + 64 && short.ends_with("… (131072 bytes in all)"), "{}", short.len());
        assert_eq!(shortened("as it is"), "as it is");
    }
}
