//! Version 1.0.

use std::sync::Arc;

use proptest::prelude::*;
use prost::Message as _;
use watchfire_model::batch::MetricType;
use watchfire_model::labels;
use watchfire_model::meter::Meter;
use watchfire_model::sample::{STALE_NAN_BITS, Sample};
use watchfire_model::time::{ManualClock, Timestamp};
use watchfire_model::write::Sink;
use watchfire_testkit::memory::Memory;

use super::proto::*;
use super::*;
use crate::gate::{Gate, Limits};

fn labels(pairs: &[(&str, &str)]) -> Vec<Label> {
    pairs.iter().map(|(n, v)| Label { name: (*n).into(), value: (*v).into() }).collect()
}
fn series(pairs: &[(&str, &str)], samples: &[(i64, f64)]) -> TimeSeries {
    TimeSeries { labels: labels(pairs), samples: samples.iter().map(|(t, v)| sample(*t, *v)).collect(), ..TimeSeries::default() }
}
fn decoded(request: &WriteRequest) -> Result<Decoded, DecodeError> {
    decode(Version::V1, &request.encode_to_vec())
}

#[test]
fn a_whole_request() {
    let mut with_more = series(&[("__name__", "up"), ("job", "a")], &[(1_000, 1.0)]);
    with_more.exemplars = vec![
        ProtoExemplar { labels: labels(&[("trace_id", "x")]), value: 0.5, timestamp: 900 },
        ProtoExemplar { labels: labels(&[]), value: 0.25, timestamp: 0 },
    ];
    let histograms = TimeSeries { labels: labels(&[("__name__", "h")]), histograms: vec![whole(1), custom(2)], ..TimeSeries::default() };
    let request = WriteRequest {
        timeseries: vec![
            with_more,
            series(&[("z", "1"), ("__name__", "x")], &[(-5, f64::from_bits(STALE_NAN_BITS)), (7, -0.5)]),
            series(&[("a", "b")], &[]),
            histograms,
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
    assert_eq!(rows[1].1[0].value.to_bits(), STALE_NAN_BITS);
    assert_eq!((rows[1].1[0].time, rows[1].1[1].value.to_bits()), (Timestamp(-5), (-0.5f64).to_bits()));
    assert_eq!(rows.len(), 2, "a series without samples is nothing to store");
    assert_eq!((decoded.exemplars_refused, decoded.refused.rejected.len()), (0, 0));
    assert_eq!(decoded.batch.metadata[0].kind, MetricType::Counter);
    assert_eq!(decoded.batch.metadata[1].kind, MetricType::Unknown);
    assert_eq!(
        lines(&decoded.batch)[2..],
        [
            "h h1i NotReset n=9 sum=12.5 z=2/0.001 +[-1:2,3:1][1.0, 3.0, 1.0] -[0:1][2.0] c[]@1",
            "h h-53f Unknown n=3.5 sum=4 z=0/0 +[0:2][1.5, 2.0] -[][] c[0.5, 1.0]@2",
            r#"up{job="a"} # {trace_id="x"} 0.5@900"#,
            r#"up{job="a"} # {} 0.25@1000"#,
            "up counter s H",
            "odd unknown  ",
        ]
    );
}

#[test]
fn histograms_of_every_form() {
    let check = |change: &dyn Fn(&mut ProtoHistogram), expected: Result<&str, &str>| {
        let mut histogram = whole(1);
        change(&mut histogram);
        let series = TimeSeries { labels: labels(&[("__name__", "h")]), histograms: vec![histogram, custom(2)], ..TimeSeries::default() };
        let mut decoded = decoded(&WriteRequest { timeseries: vec![series], ..Default::default() }).unwrap();
        let found = lines(&decoded.batch);
        match expected {
            Ok(line) => assert_eq!(found[0], line),
            Err(words) => {
                assert_eq!((found.len(), &decoded.refused.rejected[..]), (1, &[(Reason::InvalidHistogram, 1)][..]), "{words}");
                let example = decoded.refused.example.take().unwrap();
                assert!(example.contains(words), "{example}");
            }
        }
    };
    for (hint, name) in [(0, "Unknown"), (1, "Reset"), (3, "Gauge"), (77, "Unknown")] {
        check(&|h| h.reset_hint = hint, Ok(&format!("h h1i {name} n=9 sum=12.5 z=2/0.001 +[-1:2,3:1][1.0, 3.0, 1.0] -[0:1][2.0] c[]@1")));
    }
    // Empty, and a marker of staleness: neither count is there, so it is an integer histogram.
    check(&|h| *h = ProtoHistogram { timestamp: 5, ..ProtoHistogram::default() }, Ok("h h0i Unknown n=0 sum=0 z=0/0 +[][] -[][] c[]@5"));
    check(
        &|h| *h = ProtoHistogram { timestamp: 5, sum: f64::from_bits(STALE_NAN_BITS), ..ProtoHistogram::default() },
        Ok("h h0i Unknown n=0 sum=NaN z=0/0 +[][] -[][] c[]@5"),
    );
    check(
        &|h| {
            (h.count_int, h.count_float, h.zero_count_int, h.zero_count_float) = (None, Some(4.25), None, Some(0.25));
            (h.positive_counts, h.negative_counts) = (vec![1.0, 0.5, 0.5], vec![2.0]);
        },
        Ok("h h1f NotReset n=4.25 sum=12.5 z=0.25/0.001 +[-1:2,3:1][1.0, 0.5, 0.5] -[0:1][2.0] c[]@1"),
    );
    check(&|h| h.schema = 200, Err("unknown schema 200"));
    check(&|h| h.schema = 61, Err("unknown schema 61"));
    check(&|h| h.schema = 9, Ok("h h8i NotReset n=9 sum=12.5 z=2/0.001 +[0:1,1:1][4.0, 1.0] -[0:1][2.0] c[]@1"));
    check(&|h| h.positive_deltas.push(1), Err("spans need 3 buckets, have 4 buckets"));
    check(&|h| h.count_int = Some(10), Err("should equal the number of observations in its buckets: 10 is not 9"));
    check(&|h| h.positive_deltas = vec![1, -2, 8], Err("below zero"));
    check(&|h| h.positive_deltas = vec![i64::MAX, i64::MAX, 1], Err("beyond 64 bits"));
    check(&|h| h.positive_spans[1].offset = -1, Err("negative or too large offset"));
    check(&|h| h.custom_values = vec![1.0], Err("must have no custom bounds"));
    check(&|h| h.schema = -53, Err("must have no zero bucket"));
}

#[test]
fn buckets_are_bounded() {
    let span = BucketSpan { offset: 0, length: 1 << 20 };
    let large = ProtoHistogram { positive_spans: vec![span], positive_deltas: vec![0; 1 << 20], count_int: Some(0), ..ProtoHistogram::default() };
    let series = TimeSeries { labels: labels(&[("__name__", "h")]), histograms: vec![large; 5], ..TimeSeries::default() };
    let decoded = decoded(&WriteRequest { timeseries: vec![series], ..Default::default() }).unwrap();
    assert_eq!((decoded.batch.histograms[0].samples.len(), decoded.refused.rejected), (3, vec![(Reason::InvalidHistogram, 2)]));
}

#[test]
fn a_series_with_impossible_labels_is_refused_alone() {
    let names: Vec<String> = (0..300).map(|i| format!("l{i:03}")).collect();
    let many: Vec<(&str, &str)> = names.iter().map(|n| (n.as_str(), "v")).collect();
    let good = series(&[("__name__", "up")], &[(1, 1.0)]);
    let long = "x".repeat(300 << 10);
    for (mut bad, reason, example) in [
        (series(&[("b", "1"), ("a", "1"), ("b", "2")], &[(1, 1.0), (2, 1.0)]), Reason::InvalidLabels, "two labels \"b\""),
        (series(&many, &[(1, 1.0), (2, 2.0)]), Reason::InvalidLabels, "more than 256 labels"),
        (series(&[("a", &long)], &[(1, 1.0), (2, 2.0)]), Reason::LabelBytes, "too many bytes"),
    ] {
        bad.histograms.push(whole(3));
        bad.exemplars.push(ProtoExemplar::default());
        let request = WriteRequest { timeseries: vec![bad, good.clone()], ..Default::default() };
        let decoded = decoded(&request).unwrap();
        assert_eq!((decoded.batch.series.len(), decoded.batch.histograms.len(), decoded.batch.exemplars.len()), (1, 0, 0));
        assert_eq!((decoded.refused.rejected, decoded.exemplars_refused), (vec![(reason, 3)], 1));
        assert!(decoded.refused.example.unwrap().contains(example));
    }
    // A label that is not UTF-8: prost cannot write it.
    let mut bytes = WriteRequest { timeseries: vec![series(&[("__name__", "badbad")], &[(1, 1.0)]), good], ..Default::default() }.encode_to_vec();
    let at = bytes.windows(6).position(|w| w == b"badbad").unwrap();
    bytes[at] = 0xff;
    let decoded = decode(Version::V1, &bytes).unwrap();
    assert_eq!((decoded.batch.series.len(), decoded.refused.rejected), (1, vec![(Reason::InvalidLabels, 1)]));
}

#[test]
fn only_series_that_the_gate_took_are_known() {
    let (memory, clock) = (Arc::new(Memory::new()), ManualClock::new(Timestamp(1_000_000)));
    let gate = Gate::new(memory, clock, &Meter::new(), Limits { series_per_origin_max: 1, ..Limits::default() });
    let (decoder, origin) = (Decoder::default(), Origin::new("remote_write/x"));
    let timeseries = vec![
        series(&[("__name__", "a"), ("long", &"x".repeat(5_000))], &[(1, 1.0)]),
        series(&[("__name__", "good")], &[(1, 1.0)]),
        series(&[("__name__", "one_too_many")], &[(1, 1.0)]),
        series(&[("__name__", "nothing")], &[]),
    ];
    let message = WriteRequest { timeseries, ..Default::default() }.encode_to_vec();
    let fresh = |decoded: &Decoded| decoded.fresh.len();
    assert!(decoder.decode(Version::V1, &[&message[..], &[0x80; 12]].concat(), origin.clone()).is_err());
    for _ in 0..2 {
        assert_eq!(fresh(&decoder.decode(Version::V1, &message, origin.clone()).unwrap()), 4, "nothing of these messages was stored");
    }
    let mut decoded = decoder.decode(Version::V1, &message, origin.clone()).unwrap();
    let news = decoded.take_news();
    assert_eq!(gate.write(decoded.batch).unwrap().stored, 1);
    decoder.stored(news, |labels| gate.is_active(&origin, labels));
    let again = decoder.decode(Version::V1, &message, origin.clone()).unwrap();
    let names: Vec<&str> = again.fresh.iter().map(|f| f.labels.metric_name()).collect();
    assert_eq!(names, ["a", "one_too_many", "nothing"]);
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
        assert!(matches!(decode(Version::V1, bytes), Err(DecodeError::Wire(e)) if e == error), "{bytes:02x?}");
    }
    let other = RequestV2 { symbols: vec![vec![]], timeseries: vec![] }.encode_to_vec();
    assert!(matches!(decode(Version::V1, &other), Err(DecodeError::OtherVersion(Version::V1))));
}

proptest! {
    #[test]
    fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        drop(decode(Version::V1, &bytes));
    }

    #[test]
    fn damaged_requests_never_panic(at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>()) {
        let mut one = series(&[("__name__", "up")], &[(1, 1.0), (2, 2.0)]);
        one.histograms = vec![whole(1), custom(2)];
        one.exemplars = vec![ProtoExemplar { labels: labels(&[("a", "b")]), value: 1.0, timestamp: 5 }];
        let mut bytes = WriteRequest { timeseries: vec![one], ..Default::default() }.encode_to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        bytes.truncate(if cut { at } else { bytes.len() });
        drop(decode(Version::V1, &bytes));
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
