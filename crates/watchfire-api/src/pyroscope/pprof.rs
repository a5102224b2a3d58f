//! Merged stacks as a pprof file, in protobuf and in the JSON of the same message.

use std::collections::HashMap;

use serde::Serialize;
use watchfire_ingest::protobuf::Writer;
use watchfire_model::profiles::ProfileType;
use watchfire_query::profiles::Merged;

use super::connect::{Message, int64, int64s};

/// A file.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Pprof {
    sample_type: Vec<ValueType>,
    sample: Vec<Sample>,
    location: Vec<Location>,
    function: Vec<Function>,
    string_table: Vec<String>,
    #[serde(serialize_with = "int64")]
    time_nanos: i64,
    #[serde(serialize_with = "int64")]
    duration_nanos: i64,
    period_type: ValueType,
    #[serde(serialize_with = "int64")]
    period: i64,
}
#[derive(Serialize)]
struct ValueType {
    #[serde(rename = "type", serialize_with = "int64")]
    kind: i64,
    #[serde(serialize_with = "int64")]
    unit: i64,
}
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Sample {
    #[serde(serialize_with = "int64s")]
    location_id: Vec<i64>,
    #[serde(serialize_with = "int64s")]
    value: Vec<i64>,
}
#[derive(Serialize)]
struct Location {
    #[serde(serialize_with = "int64")]
    id: i64,
    line: Vec<Line>,
}
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    #[serde(serialize_with = "int64")]
    function_id: i64,
    #[serde(serialize_with = "int64")]
    line: i64,
}
#[derive(Serialize)]
struct Function {
    #[serde(serialize_with = "int64")]
    id: i64,
    #[serde(serialize_with = "int64")]
    name: i64,
    #[serde(serialize_with = "int64")]
    filename: i64,
}

/// Texts, each once.
#[derive(Default)]
struct Texts {
    all: Vec<String>,
    known: HashMap<String, i64>,
}
impl Texts {
    fn number(&mut self, text: &str) -> i64 {
        if let Some(number) = self.known.get(text) {
            return *number;
        }
        let number = self.all.len() as i64;
        self.all.push(text.to_owned());
        self.known.insert(text.to_owned(), number);
        number
    }
}

impl Pprof {
    /// The left side of merged stacks.
    pub(super) fn of(merged: &Merged, kind: Option<&str>) -> Pprof {
        let mut texts = Texts::default();
        texts.number("");
        let kind = kind.and_then(ProfileType::parse);
        let mut value_type = |kind: &str, unit: &str| ValueType { kind: texts.number(kind), unit: texts.number(unit) };
        let sample_type = vec![value_type(kind.map_or("samples", |k| k.sample_type), kind.map_or("count", |k| k.sample_unit))];
        let period_type = value_type(kind.map_or("", |k| k.period_type), kind.map_or("", |k| k.period_unit));
        let mut functions: HashMap<(&str, &str), i64> = HashMap::new();
        let (mut function, mut location) = (Vec::new(), Vec::new());
        for (at, place) in merged.places().iter().enumerate() {
            let next = functions.len() as i64 + 1;
            let id = *functions.entry((&place.name, &place.file)).or_insert(next);
            if id == next {
                function.push(Function { id, name: texts.number(&place.name), filename: texts.number(&place.file) });
            }
            location.push(Location { id: at as i64 + 1, line: vec![Line { function_id: id, line: i64::from(place.line) }] });
        }
        let nodes: Vec<(Option<usize>, usize, u64)> = merged.stacks().collect();
        let sample = nodes.iter().enumerate().filter(|(_, (_, _, own))| *own > 0).map(|(at, (_, _, own))| {
            let mut here = Some(at);
            let stack = std::iter::from_fn(|| {
                let (caller, place, _) = nodes.get(here?)?;
                here = *caller;
                Some(*place as i64 + 1)
            });
            Sample { location_id: stack.collect(), value: vec![i64::try_from(*own).unwrap_or(i64::MAX)] }
        });
        let sample = sample.collect();
        let (first, last) = merged.times.unwrap_or_default();
        let of_one = i64::try_from(merged.duration / merged.profiles.max(1)).unwrap_or(0);
        Pprof {
            sample_type,
            sample,
            location,
            function,
            string_table: texts.all,
            time_nanos: first,
            duration_nanos: last.saturating_sub(first).saturating_add(of_one),
            period_type,
            period: i64::try_from(merged.period).unwrap_or(0),
        }
    }
}

impl ValueType {
    fn fields(&self, out: &mut Writer) {
        out.int(1, self.kind);
        out.int(2, self.unit);
    }
}

impl Message for Pprof {
    fn fields(&self, out: &mut Writer) {
        let list = |values: &[i64]| values.iter().map(|value| value.cast_unsigned()).collect::<Vec<u64>>();
        self.sample_type.iter().for_each(|kind| out.message(1, |out| kind.fields(out)));
        for sample in &self.sample {
            out.message(2, |out| {
                out.packed(1, list(&sample.location_id).into_iter());
                out.packed(2, list(&sample.value).into_iter());
            });
        }
        for location in &self.location {
            out.message(4, |out| {
                out.int(1, location.id);
                location.line.iter().for_each(|line| out.message(4, |out| (out.int(1, line.function_id), out.int(2, line.line)).0));
            });
        }
        for function in &self.function {
            out.message(5, |out| (out.int(1, function.id), out.int(2, function.name), out.int(4, function.filename)).0);
        }
        self.string_table.iter().for_each(|text| out.always_bytes(6, text.as_bytes()));
        out.int(9, self.time_nanos);
        out.int(10, self.duration_nanos);
        out.message(11, |out| self.period_type.fields(out));
        out.int(12, self.period);
    }
}
