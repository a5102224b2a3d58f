//! The transcoder against hand-made messages and against prost, and on garbage.

use proptest::prelude::*;

use super::*;

#[derive(Clone, PartialEq, prost::Message)]
struct Point {
    #[prost(fixed64, tag = "2")]
    start: u64,
    #[prost(fixed64, tag = "3")]
    time: u64,
    #[prost(fixed64, tag = "4")]
    count: u64,
    #[prost(double, optional, tag = "5")]
    sum: Option<f64>,
    #[prost(sint32, tag = "6")]
    scale: i32,
    #[prost(message, optional, tag = "8")]
    positive: Option<Buckets>,
    #[prost(uint32, tag = "10")]
    flags: u32,
    #[prost(message, repeated, tag = "11")]
    exemplars: Vec<Exemplar>,
}
#[derive(Clone, PartialEq, prost::Message)]
struct Buckets {
    #[prost(sint32, tag = "1")]
    offset: i32,
    #[prost(uint64, repeated, tag = "2")]
    counts: Vec<u64>,
}
#[derive(Clone, PartialEq, prost::Message)]
struct Exemplar {
    #[prost(double, optional, tag = "3")]
    double: Option<f64>,
    #[prost(bytes = "vec", tag = "4")]
    span: Vec<u8>,
    #[prost(bytes = "vec", tag = "5")]
    trace: Vec<u8>,
    #[prost(sfixed64, optional, tag = "6")]
    int: Option<i64>,
}

fn read(json: &str) -> Result<Point, String> {
    let bytes = transcode(json.as_bytes(), &schema::EXPONENTIAL_POINT).map_err(|e| e.to_string())?;
    prost::Message::decode(bytes.as_slice()).map_err(|e| e.to_string())
}

#[test]
fn all_spellings_of_a_message() {
    let check = |json: &str, expected: Point| assert_eq!(read(json).unwrap(), expected, "{json}");
    check("{}", Point::default());
    check(r#"{"startTimeUnixNano":"17","timeUnixNano":18,"count":"18446744073709551615"}"#, Point { start: 17, time: 18, count: u64::MAX, ..Point::default() });
    check(r#"{"start_time_unix_nano":17,"time_unix_nano":"18","count":2.0}"#, Point { start: 17, time: 18, count: 2, ..Point::default() });
    check(r#"{"sum":null,"flags":1,"unknown":{"a":[1,{}]}}"#, Point { flags: 1, ..Point::default() });
    check(r#"{"sum":"-Infinity"}"#, Point { sum: Some(f64::NEG_INFINITY), ..Point::default() });
    check(r#"{"sum":"1.5"}"#, Point { sum: Some(1.5), ..Point::default() });
    check(r#"{"sum":2}"#, Point { sum: Some(2.0), ..Point::default() });
    check(r#"{"scale":-4}"#, Point { scale: -4, ..Point::default() });
    check(r#"{"scale":"-4"}"#, Point { scale: -4, ..Point::default() });
    let positive = Some(Buckets { offset: -3, counts: vec![0, 5, u64::MAX] });
    check(r#"{"positive":{"offset":-3,"bucketCounts":["0",5,"18446744073709551615"]}}"#, Point { positive, ..Point::default() });
    let trace: Vec<u8> = (0..16).collect();
    let exemplar = Exemplar { int: Some(-5), span: vec![1; 8], trace, ..Exemplar::default() };
    for ids in [
        r#""traceId":"000102030405060708090a0b0c0d0e0f","spanId":"0101010101010101""#,
        r#""trace_id":"000102030405060708090A0B0C0D0E0F","span_id":"AQEBAQEBAQE=""#,
        r#""traceId":"AAECAwQFBgcICQoLDA0ODw==","spanId":"AQEBAQEBAQE""#,
    ] {
        check(&format!(r#"{{"exemplars":[{{"asInt":"-5",{ids}}}]}}"#), Point { exemplars: vec![exemplar.clone()], ..Point::default() });
    }
    check(
        r#"{"exemplars":[{"traceId":""},{"asDouble":"NaN"}]}"#.replace("\"NaN\"", "1").as_str(),
        Point { exemplars: vec![Exemplar::default(), Exemplar { double: Some(1.0), ..Exemplar::default() }], ..Point::default() },
    );
}

#[test]
fn wrong_values_are_named() {
    let check = |json: &str, expected: &str| {
        let error = read(json).unwrap_err();
        assert!(error.contains(expected), "{json}: {error}");
    };
    check(r#"{"count":-1}"#, "count must be a whole number of 64 bits, not negative, not -1");
    check(r#"{"count":1.5}"#, "count must be a whole number");
    check(r#"{"count":"many"}"#, "not \"many\"");
    check(r#"{"sum":true}"#, "sum must be a number");
    check(r#"{"scale":2147483648}"#, "scale must be a whole number of 32 bits");
    check(r#"{"exemplars":{}}"#, "exemplars must be a list");
    check(r#"{"exemplars":[null]}"#, "expected an object");
    check(r#"{"positive":[]}"#, "positive is not a list");
    check(r#"{"positive":3}"#, "positive must be an object");
    check(r#"{"exemplars":[{"traceId":"0102"}]}"#, "traceId must be an id in hexadecimal");
    check("[]", "expected an object");
    check("{} x", "trailing characters");
    check(r#"{"count":"#, "EOF");
}

#[test]
fn enumerations_by_name_and_number() {
    let read = |json: &str| transcode(json.as_bytes(), &schema::HISTOGRAM);
    assert_eq!(read(r#"{"aggregationTemporality":"AGGREGATION_TEMPORALITY_CUMULATIVE"}"#).unwrap(), [0x10, 2]);
    assert_eq!(read(r#"{"aggregation_temporality":1}"#).unwrap(), [0x10, 1]);
    assert!(read(r#"{"aggregationTemporality":"SOMETHING"}"#).is_err());
}

#[test]
fn deep_values_end_in_an_error() {
    let deep = "{\"arrayValue\":{\"values\":[".repeat(100_000);
    assert!(transcode(deep.as_bytes(), &ANY_VALUE).unwrap_err().to_string().contains("recursion"));
}

/// JSON that often has the right keys.
fn jsonish() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|b| b.to_string()),
        any::<i64>().prop_map(|n| n.to_string()),
        any::<f32>().prop_map(|n| if n.is_finite() { n.to_string() } else { "0".to_owned() }),
        "\"[a-zA-Z0-9+/=]{0,34}\"".prop_map(|s| s),
    ];
    let keys = prop::sample::select(vec![
        "resourceMetrics",
        "scopeMetrics",
        "metrics",
        "resource",
        "scope",
        "attributes",
        "name",
        "unit",
        "gauge",
        "sum",
        "histogram",
        "exponentialHistogram",
        "summary",
        "dataPoints",
        "asInt",
        "asDouble",
        "bucketCounts",
        "explicitBounds",
        "positive",
        "key",
        "value",
        "stringValue",
        "arrayValue",
        "values",
        "aggregationTemporality",
        "isMonotonic",
        "timeUnixNano",
        "exemplars",
        "traceId",
        "other",
    ]);
    leaf.prop_recursive(8, 64, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(","))),
            prop::collection::vec((keys.clone(), inner), 0..5)
                .prop_map(|pairs| format!("{{{}}}", pairs.iter().map(|(k, v)| format!("\"{k}\":{v}")).collect::<Vec<_>>().join(","))),
        ]
    })
}

proptest! {
    #[test]
    fn whatever_comes_grows_in_proportion(json in jsonish()) {
        if let Ok(bytes) = transcode(json.as_bytes(), &METRICS_REQUEST) {
            prop_assert!(bytes.len() <= 4 * json.len() + 16);
        }
    }
    #[test]
    fn garbage_is_an_error_or_a_message(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        drop(transcode(&bytes, &METRICS_REQUEST));
    }
}
