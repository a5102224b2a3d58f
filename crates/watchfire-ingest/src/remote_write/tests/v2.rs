//! Version 2.0.

use proptest::prelude::*;
use prost::Message as _;

use super::proto::*;
use super::*;
use crate::label_bytes::LABEL_BYTES_HELD_MAX;

/// A request in the making: texts become symbols.
struct Table(Vec<Vec<u8>>);
impl Table {
    fn new() -> Table {
        Table(vec![vec![]])
    }
    fn symbol(&mut self, text: &str) -> u32 {
        let at = self.0.iter().position(|s| s == text.as_bytes()).unwrap_or_else(|| {
            self.0.push(text.into());
            self.0.len() - 1
        });
        at as u32
    }
    fn refs(&mut self, pairs: &[(&str, &str)]) -> Vec<u32> {
        pairs.iter().flat_map(|(n, v)| [self.symbol(n), self.symbol(v)]).collect()
    }
    fn request(self, timeseries: Vec<SeriesV2>) -> Vec<u8> {
        RequestV2 { symbols: self.0, timeseries }.encode_to_vec()
    }
}

#[test]
fn a_whole_request() {
    let mut table = Table::new();
    let about = |table: &mut Table, kind, help: &str, unit: &str| Some(MetadataV2 { kind, help: table.symbol(help), unit: table.symbol(unit) });
    let series = vec![
        SeriesV2 {
            refs: table.refs(&[("__name__", "x_total"), ("job", "a")]),
            samples: vec![sample(1_000, 1.0), sample(2_000, 2.0)],
            exemplars: vec![
                ExemplarV2 { refs: table.refs(&[("trace_id", "abc")]), value: 0.5, timestamp: 900 },
                ExemplarV2 { refs: vec![], value: 0.25, timestamp: 0 },
            ],
            metadata: about(&mut table, 1, "Help.", "bytes"),
            created: 10,
            ..SeriesV2::default()
        },
        SeriesV2 {
            refs: table.refs(&[("z", "1"), ("__name__", "h")]),
            histograms: vec![whole(5)],
            metadata: about(&mut table, 3, "Native.", ""),
            ..SeriesV2::default()
        },
        SeriesV2 {
            refs: table.refs(&[("__name__", "c_bucket"), ("le", "1.0")]),
            samples: vec![sample(5, 3.0)],
            metadata: about(&mut table, 3, "Classic.", ""),
            ..SeriesV2::default()
        },
        SeriesV2 {
            refs: table.refs(&[("__name__", "c_sum")]),
            samples: vec![sample(5, 4.0)],
            metadata: about(&mut table, 3, "Classic.", ""),
            ..SeriesV2::default()
        },
    ];
    let decoded = decode(Version::V2, &table.request(series)).unwrap();
    assert_eq!(
        lines(&decoded.batch),
        [
            r#"x_total{job="a"} 1@1000 2@2000"#,
            r#"c_bucket{le="1.0"} 3@5"#,
            "c_sum 4@5",
            r#"h{z="1"} h1i NotReset n=9 sum=12.5 z=2/0.001 +[-1:2,3:1][1.0, 3.0, 1.0] -[0:1][2.0] c[]@5"#,
            r#"x_total{job="a"} # {trace_id="abc"} 0.5@900"#,
            r#"x_total{job="a"} # {} 0.25@2000"#,
            "x_total counter bytes Help.",
            "h histogram  Native.",
            "c histogram  Classic.",
        ]
    );
    assert_eq!((decoded.refused, decoded.exemplars_refused), (Written::default(), 0));
}

#[test]
fn series_that_cannot_be_are_refused_alone() {
    let check = |change: &dyn Fn(&mut Table, &mut SeriesV2), words: &str| {
        let mut table = Table::new();
        let good = SeriesV2 { refs: table.refs(&[("__name__", "good")]), samples: vec![sample(1, 1.0)], ..SeriesV2::default() };
        let mut bad = SeriesV2 {
            refs: table.refs(&[("__name__", "bad"), ("l", "v")]),
            samples: vec![sample(1, 1.0), sample(2, 1.0)],
            histograms: vec![custom(3)],
            exemplars: vec![ExemplarV2::default()],
            metadata: Some(MetadataV2 { kind: 1, help: 0, unit: 0 }),
            ..SeriesV2::default()
        };
        change(&mut table, &mut bad);
        let decoded = decode(Version::V2, &table.request(vec![bad, good])).unwrap();
        assert_eq!(lines(&decoded.batch), ["good 1@1"], "{words}");
        assert_eq!((decoded.refused.rejected, decoded.exemplars_refused), (vec![(Reason::InvalidLabels, 3)], 1), "{words}");
        let example = decoded.refused.example.unwrap();
        assert!(example.contains(words), "{example}");
    };
    check(&|_, s| s.refs.push(1), "odd number");
    check(&|_, s| s.refs[3] = 99, "a label reference 99, where there are 6 symbols");
    check(&|_, s| s.refs[3] = u32::MAX, "4294967295");
    check(&|t, s| s.refs.extend(t.refs(&[("l", "w")])), "two labels \"l\"");
    check(&|t, _| t.0[5] = vec![b'v', 0xff], "not UTF-8");
    check(&|_, s| s.refs = [1, 2].repeat(300), "more than 256 labels");
}

#[test]
fn exemplars_that_cannot_be_are_left_out() {
    let mut table = Table::new();
    let refs = table.refs(&[("__name__", "x")]);
    let long = table.refs(&[("trace_id", &"x".repeat(2_000))]);
    let exemplar = |refs: &[u32], timestamp| ExemplarV2 { refs: refs.to_vec(), value: 1.0, timestamp };
    let exemplars = vec![exemplar(&[1], 5), exemplar(&[1, 77], 5), exemplar(&long, 5), exemplar(&refs, 5), exemplar(&refs, 0)];
    let decoded = decode(Version::V2, &table.request(vec![SeriesV2 { refs, exemplars, ..SeriesV2::default() }])).unwrap();
    assert_eq!(lines(&decoded.batch), ["x # x 1@5"], "and one without a time and without a sample to take it from");
    assert_eq!((decoded.exemplars_refused, decoded.refused), (4, Written::default()));
}

/// A small message that names a long text often must not cost more than it may.
#[test]
fn texts_that_are_named_often_are_bounded() {
    let mut table = Table::new();
    let refs = table.refs(&[("__name__", "x"), ("a", &"x".repeat(200 << 10))]);
    let one = SeriesV2 { refs, samples: vec![sample(1, 1.0)], ..SeriesV2::default() };
    let decoded = decode(Version::V2, &table.request(vec![one; 1_000])).unwrap();
    let kept: usize = decoded.batch.series.iter().map(|s| s.labels.memory()).sum();
    assert!(kept <= LABEL_BYTES_HELD_MAX + (1 << 20), "{kept}");
    assert_eq!(decoded.refused.rejected, [(Reason::LabelBytes, 1_000 - decoded.batch.series.len() as u64)]);
    let mut table = Table::new();
    let refs = table.refs(&[("__name__", "x"), ("long", &"x".repeat(300 << 10))]);
    let decoded = decode(Version::V2, &table.request(vec![SeriesV2 { refs, samples: vec![sample(1, 1.0)], ..SeriesV2::default() }])).unwrap();
    assert_eq!((decoded.batch.series.len(), decoded.refused.rejected), (0, vec![(Reason::LabelBytes, 1)]));
    // The same by help texts and by exemplars.
    let mut table = Table::new();
    let help = table.symbol(&"é".repeat(1 << 20));
    let exemplar = ExemplarV2 { refs: table.refs(&[("a", &"x".repeat(500))]), value: 1.0, timestamp: 1 };
    let series = (0..300).map(|i| {
        let refs = table.refs(&[("__name__", &format!("m{i}"))]);
        SeriesV2 { refs, metadata: Some(MetadataV2 { kind: 1, help, unit: 0 }), exemplars: vec![exemplar.clone(); 500], ..SeriesV2::default() }
    });
    let series: Vec<SeriesV2> = series.collect();
    let decoded = decode(Version::V2, &table.request(series)).unwrap();
    assert!(decoded.batch.metadata.len() > 200 && decoded.batch.metadata.iter().all(|m| m.help.len() == 4096));
    let kept: u64 = decoded.batch.exemplars.iter().map(|e| e.exemplars.len() as u64).sum();
    assert!(kept * 501 <= LABEL_BYTES_HELD_MAX as u64 && kept + decoded.exemplars_refused == 150_000, "{kept}");
}

#[test]
fn type_and_unit_become_labels() {
    let decoder = Decoder::new(Options { type_and_unit_labels: true, ..Options::default() });
    let check = |kind: i32, unit: &str, expected: &str| {
        let mut table = Table::new();
        let refs = table.refs(&[("__name__", "x"), ("__type__", "own"), ("__unit__", "own")]);
        let metadata = Some(MetadataV2 { kind, help: 0, unit: table.symbol(unit) });
        let request = table.request(vec![SeriesV2 { refs, samples: vec![sample(1, 1.0)], metadata, ..SeriesV2::default() }]);
        let decoded = decoder.decode(Version::V2, &request, Origin::new("x")).unwrap();
        assert_eq!(lines(&decoded.batch)[0], expected);
    };
    check(1, "bytes", r#"x{__type__="counter", __unit__="bytes"} 1@1"#);
    check(2, "", r#"x{__type__="gauge", __unit__="own"} 1@1"#);
    check(0, "", r#"x{__type__="own", __unit__="own"} 1@1"#);
}

#[test]
fn beginnings_become_zeros_once() {
    let decoder = Decoder::new(Options { created_timestamps: true, ..Options::default() });
    let send = |created: i64, samples: &[(i64, f64, i64)], histograms: &[(i64, i64)], stored: bool| {
        let mut table = Table::new();
        let refs = table.refs(&[("__name__", "x")]);
        let samples = samples.iter().map(|(t, v, start)| ProtoSample { start: *start, ..sample(*t, *v) }).collect();
        let histograms = histograms.iter().map(|(t, start)| ProtoHistogram { start: *start, ..whole(*t) }).collect();
        let request = table.request(vec![SeriesV2 { refs, samples, histograms, created, ..SeriesV2::default() }]);
        let mut decoded = decoder.decode(Version::V2, &request, Origin::new("x")).unwrap();
        let news = decoded.take_news();
        if stored {
            decoder.stored(news, |_| true);
        }
        lines(&decoded.batch)
    };
    assert_eq!(send(50, &[(100, 5.0, 0)], &[], false), ["x 0@50 5@100"]);
    assert_eq!(send(50, &[(100, 5.0, 0)], &[], true), ["x 0@50 5@100"], "the first was not stored");
    assert_eq!(send(50, &[(110, 6.0, 0)], &[], true), ["x 6@110"]);
    assert_eq!(send(130, &[(120, 6.0, 0)], &[], true), ["x 6@120"], "a beginning after the sample is none");
    assert_eq!(send(0, &[(150, 1.0, 140), (160, 2.0, 140), (190, 1.0, 170)], &[], true), ["x 0@140 0@170 1@150 2@160 1@190"]);
    assert_eq!(send(0, &[(195, 2.0, 170)], &[], true), ["x 2@195"]);
    let native = send(300, &[], &[(400, 0)], true);
    assert_eq!(native[0], "x h1i Reset n=0 sum=0 z=0/0.001 +[][] -[][] c[]@300");
    assert_eq!((native.len(), send(300, &[], &[(500, 0)], true).len(), send(0, &[], &[(700, 600)], true).len()), (2, 1, 2));
    let off = Decoder::default();
    let mut table = Table::new();
    let refs = table.refs(&[("__name__", "x")]);
    let request = table.request(vec![SeriesV2 { refs, samples: vec![sample(100, 1.0)], created: 50, ..SeriesV2::default() }]);
    assert_eq!(lines(&off.decode(Version::V2, &request, Origin::new("x")).unwrap().batch), ["x 1@100"]);
}

#[test]
fn messages_of_version_1_are_refused() {
    let request = WriteRequest { timeseries: vec![TimeSeries::default()], ..Default::default() };
    assert!(matches!(decode(Version::V2, &request.encode_to_vec()), Err(DecodeError::OtherVersion(Version::V2))));
    let symbols = RequestV2 { symbols: vec![vec![]; SYMBOLS_MAX + 1], ..Default::default() };
    assert!(matches!(decode(Version::V2, &symbols.encode_to_vec()), Err(DecodeError::TooLarge(_))));
}

proptest! {
    #[test]
    fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        drop(decode(Version::V2, &bytes));
    }

    #[test]
    fn any_references_never_panic(refs in prop::collection::vec(prop_oneof![0u32..6, any::<u32>()], 0..9), exemplar in prop::collection::vec(0u32..9, 0..5), help in any::<u32>(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut table = Table::new();
        table.refs(&[("__name__", "x"), ("a", "b")]);
        let series = SeriesV2 {
            refs,
            samples: vec![sample(1, 1.0)],
            histograms: vec![whole(1)],
            exemplars: vec![ExemplarV2 { refs: exemplar, value: 1.0, timestamp: 1 }],
            metadata: Some(MetadataV2 { kind: 3, help, unit: 1 }),
            created: 7,
        };
        let mut bytes = table.request(vec![series]);
        drop(decode(Version::V2, &bytes));
        let at = at.index(bytes.len());
        bytes[at] = byte;
        drop(decode(Version::V2, &bytes));
    }
}
