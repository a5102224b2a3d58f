//! Whatever a span has comes back.

use std::borrow::Cow;

use proptest::prelude::*;

use super::*;
use crate::labels::Labels;
use crate::logs::LogEntry;

fn value() -> impl Strategy<Value = Value<'static>> {
    prop_oneof![
        ".{0,12}".prop_map(|text| Value::Text(Cow::Owned(text))),
        any::<i64>().prop_map(Value::Int),
        any::<f64>().prop_filter("NaN is not equal to itself", |v| !v.is_nan()).prop_map(Value::Double),
        any::<bool>().prop_map(Value::Bool),
        Just(Value::Json(Cow::Borrowed("[1,{\"a\":null}]"))),
        Just(Value::Bytes(Cow::Borrowed(""))),
        Just(Value::Bytes(Cow::Borrowed("AQI="))),
    ]
}
fn pairs() -> impl Strategy<Value = Vec<Pair<'static>>> {
    let name = prop_oneof![":{0,3}[a-c]{1,2}", "[!-~]{1,3}", "\\PC{1,4}"];
    proptest::collection::vec((name.prop_map(Cow::Owned), value()), 0..7)
}
/// What is kept of pairs: each name once, the first one, ascending.
fn once(pairs: &[Pair<'static>]) -> Vec<Pair<'static>> {
    let mut pairs: Vec<Pair<'static>> = pairs.to_vec();
    pairs.sort_by(|a, b| a.0.cmp(&b.0));
    pairs.dedup_by(|later, first| later.0 == first.0);
    pairs
}

proptest! {
    #[test]
    fn spans_survive(
        resource in pairs(), scope in pairs(), attributes in pairs(), of_event in pairs(), of_link in pairs(),
        kind in 0u64..6, status in 0u64..3, texts in proptest::collection::vec("\\PC{0,6}", 7), start in any::<i64>(),
        ids in proptest::collection::vec(1u64.., 4), moved in any::<bool>(),
    ) {
        let wide = |n: u64| TraceId([[0; 8], n.to_be_bytes()].concat().try_into().unwrap());
        let narrow = |n: u64| SpanId(n.to_be_bytes());
        let stream = SpanStream {
            resource: &resource, scope: &texts[0], scope_version: &texts[1], scope_attributes: &scope, name: &texts[2], kind: SpanKind::from_number(kind),
        };
        let event = Event { time: Nanos(start.wrapping_add(7)), name: &texts[3], attributes: of_event.clone() };
        let link = Link { trace: wide(ids[2]), span: narrow(ids[3]), state: &texts[4], attributes: of_link.clone() };
        let new = NewSpan {
            trace: wide(ids[0]), span: narrow(ids[1]), parent: (kind > 2).then(|| narrow(ids[2])), state: &texts[5], flags: kind as u32,
            start: Nanos(start), duration: ids[0], status: StatusCode::from_number(status), message: &texts[6], attributes: attributes.clone(),
            events: vec![event.clone(), event.clone()], links: vec![link.clone()], dropped: [0, status as u32, 0],
        };
        let (mut labels, mut entry) = (stream.labels(), new.entry());
        if moved {
            // Names of streams with very many values move to the entries.
            let all: Vec<(String, String)> = labels.iter().chain(&entry.metadata).map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
            entry.metadata = Labels::from_pairs(all);
            labels = Labels::empty();
        }
        let row = SpanRow::from_parts(&labels, &entry);
        prop_assert_eq!((row.trace(), row.span(), row.parent()), (new.trace, new.span, new.parent));
        prop_assert_eq!((row.start(), row.duration(), row.flags(), row.state()), (new.start, new.duration, new.flags, new.state));
        prop_assert_eq!((row.status(), row.message(), row.dropped()), (new.status, new.message, new.dropped));
        prop_assert_eq!((row.name(), row.kind(), row.scope()), (stream.name, stream.kind, (stream.scope, stream.scope_version)));
        prop_assert_eq!(row.resource(), once(&resource));
        prop_assert_eq!(row.scope_attributes(), once(&scope));
        prop_assert_eq!(row.attributes(), once(&attributes));
        for (name, value) in once(&attributes) {
            prop_assert_eq!(row.attribute(&name), Some(value));
        }
        for (name, value) in once(&resource) {
            prop_assert_eq!(row.resource_attribute(&name), Some(value));
        }
        prop_assert_eq!(row.events(), vec![event.clone(), event]);
        prop_assert_eq!(row.links(), vec![link]);
    }

    #[test]
    fn nonsense_is_some_span(line in ".{0,40}", name in "[:a-z.]{1,12}", value in ".{1,9}") {
        let labels = Labels::from_pairs([(name.as_str(), value.as_str()), (":resource_types", "zzz"), (":trace", value.as_str())]);
        let entry = LogEntry { time: Nanos(i64::MAX), line: line.into(), metadata: labels.clone() };
        let row = SpanRow::from_parts(&labels, &entry);
        let _ = (row.trace(), row.end(), row.dropped(), row.attributes(), row.resource(), row.events().len() + row.links().len());
    }
}

#[test]
fn ids() {
    assert_eq!(TraceId::parse("ff").unwrap().to_string(), "000000000000000000000000000000ff");
    assert_eq!(TraceId::parse("1234ABCD5678ef901234abcd5678ef90").unwrap().to_string(), "1234abcd5678ef901234abcd5678ef90");
    assert_eq!(SpanId::parse("abcdef1234567890").unwrap().to_string(), "abcdef1234567890");
    for wrong in ["", "0", "x", "1234abcd5678ef901234abcd5678ef901", "ä"] {
        assert_eq!(TraceId::parse(wrong), None, "{wrong}");
    }
    assert_eq!(SpanId::parse("abcdef12345678901"), None);
}
