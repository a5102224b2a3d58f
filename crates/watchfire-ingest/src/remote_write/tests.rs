//! Tests of the decoder against prost's encoder, and against garbage.

use proptest::prelude::*;
use prost::Message as _;
use watchfire_model::labels;

use super::*;

#[derive(Clone, PartialEq, prost::Message)]
struct WriteRequest {
    #[prost(message, repeated, tag = "1")]
    timeseries: Vec<TimeSeries>,
    #[prost(message, repeated, tag = "3")]
    metadata: Vec<MetricMetadata>,
}
#[derive(Clone, PartialEq, prost::Message)]
struct TimeSeries {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<Label>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<ProtoSample>,
    #[prost(bytes = "vec", repeated, tag = "3")]
    exemplars: Vec<Vec<u8>>,
    #[prost(bytes = "vec", repeated, tag = "4")]
    histograms: Vec<Vec<u8>>,
}
#[derive(Clone, PartialEq, prost::Message)]
struct Label {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}
#[derive(Clone, Copy, PartialEq, prost::Message)]
struct ProtoSample {
    #[prost(double, tag = "1")]
    value: f64,
    #[prost(int64, tag = "2")]
    timestamp: i64,
}
#[derive(Clone, PartialEq, prost::Message)]
struct MetricMetadata {
    #[prost(int32, tag = "1")]
    kind: i32,
    #[prost(string, tag = "2")]
    family: String,
    #[prost(string, tag = "4")]
    help: String,
    #[prost(string, tag = "5")]
    unit: String,
}

fn series(labels: &[(&str, &str)], samples: &[(i64, f64)]) -> TimeSeries {
    TimeSeries {
        labels: labels.iter().map(|(n, v)| Label { name: (*n).into(), value: (*v).into() }).collect(),
        samples: samples.iter().map(|(t, v)| ProtoSample { value: *v, timestamp: *t }).collect(),
        ..TimeSeries::default()
    }
}

fn decoded(request: &WriteRequest) -> Result<Decoded, DecodeError> {
    decode(&request.encode_to_vec(), Origin::new("remote_write"))
}

#[test]
fn a_whole_request() {
    let mut with_more = series(&[("__name__", "up"), ("job", "a")], &[(1_000, 1.0)]);
    with_more.exemplars.push(vec![]);
    with_more.histograms = vec![vec![], vec![]];
    let request = WriteRequest {
        timeseries: vec![
            with_more,
            series(&[("z", "1"), ("__name__", "x")], &[(-5, f64::from_bits(watchfire_model::sample::STALE_NAN_BITS)), (7, -0.5)]),
            series(&[("a", "b")], &[]),
        ],
        metadata: vec![
            MetricMetadata { kind: 1, family: "up".into(), help: "H".into(), unit: "s".into() },
            MetricMetadata { kind: 99, family: "odd".into(), ..Default::default() },
        ],
    };
    let decoded = decoded(&request).unwrap();
    let rows: Vec<_> = decoded.batch.series.iter().map(|s| (s.labels.clone(), s.samples.as_slice().to_vec())).collect();
    assert_eq!(rows[0], (labels!("__name__" => "up", "job" => "a"), vec![Sample { time: Timestamp(1_000), value: 1.0 }]));
    assert_eq!(rows[1].0, labels!("__name__" => "x", "z" => "1"));
    assert_eq!(rows[1].1[0].value.to_bits(), watchfire_model::sample::STALE_NAN_BITS);
    assert_eq!((rows[1].1[0].time, rows[1].1[1].value.to_bits()), (Timestamp(-5), (-0.5f64).to_bits()));
    assert_eq!(rows.len(), 2, "a series without samples is nothing to store");
    assert_eq!((decoded.exemplars, decoded.refused.rejected), (1, vec![(Reason::UnsupportedType, 2)]));
    assert_eq!(decoded.batch.metadata[0].kind, MetricType::Counter);
    assert_eq!(decoded.batch.metadata[1].kind, MetricType::Unknown);
}

#[test]
fn a_series_with_impossible_labels_is_refused_alone() {
    let names: Vec<String> = (0..300).map(|i| format!("l{i:03}")).collect();
    let many: Vec<(&str, &str)> = names.iter().map(|n| (n.as_str(), "v")).collect();
    let good = series(&[("__name__", "up")], &[(1, 1.0)]);
    for (bad, example) in [
        (series(&[("b", "1"), ("a", "1"), ("b", "2")], &[(1, 1.0), (2, 1.0)]), "two labels \"b\""),
        (series(&many, &[(1, 1.0), (2, 2.0)]), "more than 256 labels"),
    ] {
        let request = WriteRequest { timeseries: vec![bad, good.clone()], ..Default::default() };
        let decoded = decoded(&request).unwrap();
        assert_eq!(decoded.batch.series.len(), 1);
        assert_eq!(decoded.refused.rejected, [(Reason::InvalidLabels, 2)]);
        assert!(decoded.refused.example.unwrap().contains(example));
    }
}

#[test]
fn what_is_not_protobuf_is_refused_whole() {
    for (bytes, error) in [
        (&[0x0a, 0x05, 0x01][..], WireError::Truncated),
        (&[0x80; 12], WireError::Varint),
        (&[0x0b], WireError::WireType(1, 3)),
        (&[0x00], WireError::Tag),
        (&[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01], WireError::Truncated),
    ] {
        assert!(matches!(decode(bytes, Origin::new("x")), Err(DecodeError::Wire(e)) if e == error), "{bytes:02x?}");
    }
}

proptest! {
    #[test]
    fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        drop(decode(&bytes, Origin::new("x")));
    }

    #[test]
    fn what_prost_encodes_comes_back(values in proptest::collection::vec((any::<i64>(), any::<u64>().prop_filter("zeros are left out on the wire", |bits| f64::from_bits(*bits) != 0.0)), 1..5), name in "[a-z]{1,9}", value in ".{1,20}") {
        let samples: Vec<(i64, f64)> = values.iter().map(|(t, bits)| (*t, f64::from_bits(*bits))).collect();
        let request = WriteRequest { timeseries: vec![series(&[("__name__", &name), ("v", &value)], &samples)], ..Default::default() };
        let decoded = decoded(&request).unwrap();
        let back: Vec<(i64, u64)> = decoded.batch.series[0].samples.as_slice().iter().map(|s| (s.time.millis(), s.value.to_bits())).collect();
        prop_assert_eq!(back, values);
        prop_assert_eq!(decoded.batch.series[0].labels.get("v"), Some(value.as_str()));
    }
}
