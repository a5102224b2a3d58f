//! Functions over moments. `now` is a moment that the query was given.

use watchfire_model::logs::Nanos;
use watchfire_template::{Functions, GoTime, Kind, Value, text};

/// A moment from nanoseconds.
pub(super) fn moment(nanos: i64) -> GoTime {
    GoTime::from_millis(nanos.div_euclid(1_000_000)).add(nanos.rem_euclid(1_000_000))
}

fn part(value: &Value, name: &str) -> Result<Value, String> {
    match value {
        Value::Time(time) => Ok(Value::text(time.part(name).unwrap_or(0).to_string())),
        other => Err(format!("wrong type for value; expected time.Time; got {}", other.type_name())),
    }
}

pub(super) fn add(all: &mut Functions, now: Nanos) {
    all.add("now", &[], move |_| Ok(Value::Time(moment(now.0))));
    all.add("date", &[Kind::Text, Kind::Time], |a| match &a[1] {
        Value::Time(time) => Ok(Value::text(time.format(text(a, 0)))),
        _ => Ok(Value::Nil),
    });
    all.add("unixEpoch", &[Kind::Time], |a| part(&a[0], "Unix"));
    all.add("unixEpochMillis", &[Kind::Time], |a| part(&a[0], "UnixMilli"));
    all.add("unixEpochNanos", &[Kind::Time], |a| part(&a[0], "UnixNano"));
    all.add("toDate", &[Kind::Text, Kind::Text], |a| GoTime::parse(text(a, 0), text(a, 1), "UTC").map(Value::Time));
    all.add("toDateInZone", &[Kind::Text, Kind::Text, Kind::Text], |a| GoTime::parse(text(a, 0), text(a, 2), text(a, 1)).map(Value::Time));
    all.add("unixToTime", &[Kind::Text], |a| {
        let digits = text(a, 0);
        let number: i64 = digits.parse().map_err(|_| format!("unable to parse time '{digits}'"))?;
        // The length tells the unit, from days to nanoseconds.
        let unit = match digits.len() {
            5 => 86_400_000_000_000,
            10 => 1_000_000_000,
            13 => 1_000_000,
            16 => 1_000,
            19 => 1,
            _ => return Err(format!("unable to parse time '{digits}': it has neither 5 nor 10, 13, 16 or 19 digits")),
        };
        number.checked_mul(unit).map(|nanos| Value::Time(moment(nanos))).ok_or_else(|| format!("time {digits} is out of range"))
    });
}
