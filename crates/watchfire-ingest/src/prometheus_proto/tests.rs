//! The decoder against prost's encoder, by table, and against garbage.

use proptest::prelude::*;
use prost::Message as _;
use watchfire_model::labels::Labels;

use super::*;

#[derive(Clone, PartialEq, prost::Message)]
struct Pair {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}
#[derive(Clone, Copy, PartialEq, prost::Message)]
struct Time {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}
#[derive(Clone, PartialEq, prost::Message)]
struct ProtoExemplar {
    #[prost(message, repeated, tag = "1")]
    label: Vec<Pair>,
    #[prost(double, tag = "2")]
    value: f64,
    #[prost(message, optional, tag = "3")]
    timestamp: Option<Time>,
}
#[derive(Clone, PartialEq, prost::Message)]
struct Counter {
    #[prost(double, tag = "1")]
    value: f64,
    #[prost(message, optional, tag = "2")]
    exemplar: Option<ProtoExemplar>,
    #[prost(message, optional, tag = "3")]
    created: Option<Time>,
}
#[derive(Clone, Copy, PartialEq, prost::Message)]
struct Two {
    #[prost(double, tag = "1")]
    one: f64,
    #[prost(double, tag = "2")]
    two: f64,
}
#[derive(Clone, PartialEq, prost::Message)]
struct Summary {
    #[prost(uint64, tag = "1")]
    count: u64,
    #[prost(double, tag = "2")]
    sum: f64,
    #[prost(message, repeated, tag = "3")]
    quantile: Vec<Two>,
    #[prost(message, optional, tag = "4")]
    created: Option<Time>,
}
#[derive(Clone, PartialEq, prost::Message)]
struct ProtoBucket {
    #[prost(uint64, tag = "1")]
    count: u64,
    #[prost(double, tag = "2")]
    bound: f64,
    #[prost(message, optional, tag = "3")]
    exemplar: Option<ProtoExemplar>,
    #[prost(double, tag = "4")]
    float: f64,
}
#[derive(Clone, Copy, PartialEq, prost::Message)]
struct ProtoSpan {
    #[prost(sint32, tag = "1")]
    offset: i32,
    #[prost(uint32, tag = "2")]
    length: u32,
}
#[derive(Clone, PartialEq, prost::Message)]
struct ProtoHistogram {
    #[prost(uint64, tag = "1")]
    count: u64,
    #[prost(double, tag = "2")]
    sum: f64,
    #[prost(message, repeated, tag = "3")]
    bucket: Vec<ProtoBucket>,
    #[prost(double, tag = "4")]
    count_float: f64,
    #[prost(sint32, tag = "5")]
    schema: i32,
    #[prost(double, tag = "6")]
    zero_threshold: f64,
    #[prost(uint64, tag = "7")]
    zero_count: u64,
    #[prost(double, tag = "8")]
    zero_count_float: f64,
    #[prost(message, repeated, tag = "9")]
    negative_span: Vec<ProtoSpan>,
    // The schema of this format is proto2: its lists are not packed.
    #[prost(sint64, repeated, packed = "false", tag = "10")]
    negative_delta: Vec<i64>,
    #[prost(double, repeated, packed = "false", tag = "11")]
    negative_count: Vec<f64>,
    #[prost(message, repeated, tag = "12")]
    positive_span: Vec<ProtoSpan>,
    #[prost(sint64, repeated, packed = "false", tag = "13")]
    positive_delta: Vec<i64>,
    #[prost(double, repeated, packed = "false", tag = "14")]
    positive_count: Vec<f64>,
    #[prost(message, optional, tag = "15")]
    created: Option<Time>,
    #[prost(message, repeated, tag = "16")]
    exemplars: Vec<ProtoExemplar>,
}
#[derive(Clone, PartialEq, prost::Message)]
struct Metric {
    #[prost(message, repeated, tag = "1")]
    label: Vec<Pair>,
    #[prost(message, optional, tag = "2")]
    gauge: Option<Two>,
    #[prost(message, optional, tag = "3")]
    counter: Option<Counter>,
    #[prost(message, optional, tag = "4")]
    summary: Option<Summary>,
    #[prost(message, optional, tag = "5")]
    untyped: Option<Two>,
    #[prost(int64, tag = "6")]
    time: i64,
    #[prost(message, optional, tag = "7")]
    histogram: Option<ProtoHistogram>,
}
#[derive(Clone, PartialEq, prost::Message)]
struct Family {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    help: String,
    #[prost(int32, tag = "3")]
    kind: i32,
    #[prost(message, repeated, tag = "4")]
    metric: Vec<Metric>,
    #[prost(string, tag = "5")]
    unit: String,
}

fn family(name: &str, kind: i32, metric: Metric) -> Family {
    Family { name: name.into(), kind, metric: vec![metric], ..Family::default() }
}
fn pairs(pairs: &[(&str, &str)]) -> Vec<Pair> {
    pairs.iter().map(|(n, v)| Pair { name: (*n).into(), value: (*v).into() }).collect()
}
fn exemplar(id: &str, value: f64, millis: Option<i64>) -> ProtoExemplar {
    let timestamp = millis.map(|ms| Time { seconds: ms / 1000, nanos: (ms % 1000) as i32 * 1_000_000 });
    ProtoExemplar { label: pairs(&[("trace_id", id)]), value, timestamp }
}

/// Every entry as a line.
fn lines(body: &[u8], options: Options) -> Result<Vec<String>, ProtoError> {
    let (mut lines, mut keys) = (Vec::new(), std::collections::BTreeMap::new());
    let done = read(body, options, |entry| -> Result<(), ProtoError> {
        lines.push(match entry {
            Entry::Family { name, kind, help, unit } => format!("= {name} {} {unit} {help}", kind.name()),
            Entry::Wrong(wrong) => format!("! {wrong}"),
            Entry::Sample(sample) => {
                let names = sample.names()?;
                let labels = Labels::from_pairs(names.iter()).to_string();
                if let Some(other) = keys.insert(sample.key.to_vec(), labels.clone()) {
                    assert_eq!(other, labels, "one key, two series");
                }
                let value = match &sample.content {
                    Content::Float(value) => value.to_string(),
                    Content::Histogram(h) => {
                        let spans = |spans: &[watchfire_model::histogram::Span]| {
                            spans.iter().map(|s| format!("{}:{}", s.offset, s.length)).collect::<Vec<_>>().join(",")
                        };
                        format!(
                            "h{}{}{} n={} s={} z={}/{} +[{}]{:?} -[{}]{:?} c{:?}",
                            h.schema,
                            if h.integer { "i" } else { "f" },
                            if h.reset == watchfire_model::histogram::CounterReset::Gauge { "g" } else { "" },
                            h.count,
                            h.sum,
                            h.zero_count,
                            h.zero_threshold,
                            spans(&h.positive_spans),
                            h.positive_buckets,
                            spans(&h.negative_spans),
                            h.negative_buckets,
                            &*h.custom_bounds
                        )
                    }
                };
                let mut line = format!("{labels} {value}");
                if let Some(time) = sample.time() {
                    line += &format!(" @{}", time.millis());
                }
                if sample.created != 0 {
                    line += &format!(" from {}", sample.created);
                }
                for exemplar in sample.exemplars {
                    line += &match exemplar.decode() {
                        Some(e) => format!(" # {} {}{}", e.labels, e.value, e.time.map(|t| format!("@{}", t.millis())).unwrap_or_default()),
                        None => " # broken".to_owned(),
                    };
                }
                line
            }
        });
        Ok(())
    });
    match done {
        Ok(()) => Ok(lines),
        Err(Stop::Invalid(error) | Stop::Visitor(error)) => Err(error),
    }
}
fn body(families: &[Family]) -> Vec<u8> {
    families.iter().flat_map(|f| f.encode_length_delimited_to_vec()).collect()
}
fn check(families: &[Family], options: Options, expected: &[&str]) {
    assert_eq!(lines(&body(families), options).unwrap(), expected);
}

const NATIVE: Options = Options { native: true, classic_too: false, custom: false };
const ALL: Options = Options { native: true, classic_too: true, custom: false };
const CUSTOM: Options = Options { native: false, classic_too: false, custom: true };

#[test]
fn simple_types() {
    let two = |one| Some(Two { one, two: 0.0 });
    let mut total = family("sent_bytes_total", 0, Metric::default());
    (total.help, total.unit) = ("Some help.".into(), "bytes".into());
    let counter = Counter { value: 5.0, exemplar: Some(exemplar("a", 0.5, Some(1_500))), created: Some(Time { seconds: 3, nanos: 999_999 }) };
    total.metric = vec![
        Metric { label: pairs(&[("z", "1"), ("a", "2"), ("empty", "")]), counter: Some(counter), time: 77, ..Metric::default() },
        Metric { label: pairs(&[("a", "3")]), counter: Some(Counter { exemplar: Some(exemplar("b", 1.0, None)), ..Counter::default() }), ..Metric::default() },
        // Without the message that its type asks for a metric has the value 0, as Prometheus reads it.
        Metric { label: pairs(&[("a", "4")]), gauge: two(9.0), ..Metric::default() },
    ];
    check(
        &[
            total,
            Family { name: "nothing".into(), ..Family::default() },
            family("g", 1, Metric { gauge: two(-0.5), ..Metric::default() }),
            family("na.me", 3, Metric { untyped: two(f64::INFINITY), ..Metric::default() }),
        ],
        NATIVE,
        &[
            "= sent_bytes_total counter bytes Some help.",
            r#"sent_bytes_total{a="2", z="1"} 5 @77 from 3000 # {trace_id="a"} 0.5@1500"#,
            r#"sent_bytes_total{a="3"} 0 # {trace_id="b"} 1"#,
            r#"sent_bytes_total{a="4"} 0"#,
            "= g gauge  ",
            "g -0.5",
            "= na.me unknown  ",
            r#"{"na.me"} inf"#,
        ],
    );
}

#[test]
fn summaries() {
    let summary =
        Summary { count: 7, sum: 2.5, quantile: vec![Two { one: 0.5, two: 1.0 }, Two { one: 1.0, two: 2.0 }], created: Some(Time { seconds: 9, nanos: 0 }) };
    let metric = |summary| Metric { label: pairs(&[("a", "b")]), summary: Some(summary), ..Metric::default() };
    check(
        &[family("s", 2, metric(summary)), family("e", 2, metric(Summary::default()))],
        NATIVE,
        &[
            "= s summary  ",
            r#"s_count{a="b"} 7 from 9000"#,
            r#"s_sum{a="b"} 2.5 from 9000"#,
            r#"s{a="b", quantile="0.5"} 1 from 9000"#,
            r#"s{a="b", quantile="1.0"} 2 from 9000"#,
            "= e summary  ",
            r#"e_count{a="b"} 0"#,
            r#"e_sum{a="b"} 0"#,
        ],
    );
}

fn bucket(bound: f64, count: u64, exemplar: Option<ProtoExemplar>) -> ProtoBucket {
    ProtoBucket { bound, count, exemplar, float: 0.0 }
}
/// Classic and native at once.
fn both() -> ProtoHistogram {
    ProtoHistogram {
        count: 9,
        sum: 12.5,
        bucket: vec![bucket(1.0, 4, Some(exemplar("c", 0.5, None))), bucket(2.5, 7, Some(exemplar("d", 2.0, Some(20))))],
        schema: 1,
        zero_threshold: 0.25,
        zero_count: 2,
        positive_span: vec![ProtoSpan { offset: -1, length: 2 }, ProtoSpan { offset: 0, length: 2 }],
        positive_delta: vec![1, 2, -3, 1],
        negative_span: vec![ProtoSpan { offset: 0, length: 1 }],
        negative_delta: vec![2],
        created: Some(Time { seconds: 1, nanos: 0 }),
        exemplars: vec![exemplar("n", 1.0, Some(30)), exemplar("m", 1.0, None)],
        ..ProtoHistogram::default()
    }
}
fn histogram(kind: i32, histogram: ProtoHistogram) -> Vec<Family> {
    vec![family("h", kind, Metric { histogram: Some(histogram), ..Metric::default() })]
}
const NATIVE_LINE: &str = r#"h h1i n=9 s=12.5 z=2/0.25 +[-1:2,1:1][1.0, 3.0, 1.0] -[0:1][2.0] c[] from 1000 # {trace_id="n"} 1@30"#;
const CLASSIC_LINES: [&str; 5] = [
    "h_count 9 from 1000",
    "h_sum 12.5 from 1000",
    r#"h_bucket{le="1.0"} 4 from 1000 # {trace_id="c"} 0.5"#,
    r#"h_bucket{le="2.5"} 7 from 1000 # {trace_id="d"} 2@20"#,
    r#"h_bucket{le="+Inf"} 9 from 1000"#,
];

#[test]
fn histograms_native_and_classic() {
    let begin = ["= h histogram  "];
    let expect = |families: &[Family], options, lines: &[&str]| check(families, options, &[&begin[..], lines].concat());
    expect(&histogram(4, both()), NATIVE, &[NATIVE_LINE]);
    expect(&histogram(4, both()), ALL, &[&[NATIVE_LINE][..], &CLASSIC_LINES].concat());
    expect(&histogram(4, both()), Options::default(), &CLASSIC_LINES);
    let custom = r#"h h-53i n=9 s=12.5 z=0/0 +[0:3][4.0, 3.0, 2.0] -[][] c[1.0, 2.5] from 1000 # {trace_id="c"} 0.5 # {trace_id="d"} 2@20"#;
    expect(&histogram(4, both()), CUSTOM, &[custom]);
    expect(&histogram(4, both()), Options { native: true, ..CUSTOM }, &[NATIVE_LINE]);
    expect(&histogram(4, both()), Options { classic_too: true, ..CUSTOM }, &[&[custom][..], &CLASSIC_LINES].concat());
    // Exemplars of the buckets, when the histogram has none of its own; only those with a time.
    let no_own = ProtoHistogram { exemplars: vec![], ..both() };
    let line = NATIVE_LINE.replace(r#"# {trace_id="n"} 1@30"#, r#"# {trace_id="d"} 2@20"#);
    expect(&histogram(4, no_own), NATIVE, &[&line]);
    // A classic one stays classic when native ones are wanted; a bucket up to infinity ends it.
    let classic = ProtoHistogram { bucket: vec![bucket(f64::INFINITY, 3, None), bucket(5.0, 9, None)], count: 3, ..ProtoHistogram::default() };
    let lines = ["h_count 3", "h_sum 0", r#"h_bucket{le="+Inf"} 3"#];
    expect(&histogram(4, classic.clone()), ALL, &lines);
    expect(&histogram(4, ProtoHistogram::default()), NATIVE, &["h_count 0", "h_sum 0", r#"h_bucket{le="+Inf"} 0"#]);
    // An empty span says that it is native although nothing was observed.
    let empty = ProtoHistogram { positive_span: vec![ProtoSpan::default()], ..ProtoHistogram::default() };
    expect(&histogram(4, empty.clone()), ALL, &["h h0i n=0 s=0 z=0/0 +[][] -[][] c[]"]);
    let gauge = [&["= h gaugehistogram  "][..], &["h h0ig n=0 s=0 z=0/0 +[][] -[][] c[]"]].concat();
    check(&histogram(5, empty), NATIVE, &gauge);
}

#[test]
fn float_histograms() {
    let float = ProtoHistogram {
        count_float: 4.5,
        zero_count_float: 0.5,
        zero_threshold: 0.25,
        positive_span: vec![ProtoSpan { offset: 3, length: 2 }],
        positive_count: vec![1.5, 2.5],
        bucket: vec![ProtoBucket { bound: 1.0, float: 0.5, ..ProtoBucket::default() }],
        ..ProtoHistogram::default()
    };
    check(
        &histogram(4, float),
        ALL,
        &[
            "= h histogram  ",
            "h h0f n=4.5 s=0 z=0.5/0.25 +[3:2][1.5, 2.5] -[][] c[]",
            "h_count 4.5",
            "h_sum 0",
            r#"h_bucket{le="1.0"} 0.5"#,
            r#"h_bucket{le="+Inf"} 4.5"#,
        ],
    );
}

#[test]
fn histograms_that_are_none() {
    let wrong = |change: &dyn Fn(&mut ProtoHistogram), options, words: &str| {
        let mut histogram = both();
        change(&mut histogram);
        let families = vec![family("h", 4, Metric { histogram: Some(histogram), ..Metric::default() })];
        let lines = lines(&body(&families), options).unwrap();
        assert!(lines.len() == 2 && lines[1].starts_with("! ") && lines[1].contains(words), "{lines:?}");
    };
    wrong(&|h| h.count = 10, NATIVE, "10 is not 9");
    wrong(&|h| h.schema = 500, NATIVE, "unknown schema 500");
    wrong(&|h| h.positive_delta[0] = i64::MIN, NATIVE, "below zero");
    wrong(&|h| h.positive_span[1].length = 9, NATIVE, "spans need 11 buckets, have 4 buckets");
    wrong(&|h| h.bucket[1].count = 3, CUSTOM, "not cumulative");
    wrong(&|h| h.bucket[1].bound = f64::NAN, CUSTOM, "not a number");
}

#[test]
fn what_is_no_exposition() {
    let fails = |families: &[Family], words: &str| {
        let error = lines(&body(families), ALL).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    };
    fails(&[family("", 0, Metric::default())], "no name");
    fails(&[family("a", 6, Metric::default())], "unknown metric type 6 for metric \"a\"");
    fails(&[Family { unit: "bytes".into(), ..family("a", 1, Metric::default()) }], "unit \"bytes\" not a suffix of metric \"a\"");
    fails(&[Family { unit: "bytes".into(), ..family("bytes", 1, Metric::default()) }], "not a suffix");
    fails(&[family("a", 1, Metric { label: pairs(&[("x", "1"), ("x", "2")]), ..Metric::default() })], "label \"x\" twice");
    fails(&[family("a", 2, Metric { label: pairs(&[("__name__", "b")]), ..Metric::default() })], "label \"__name__\" twice");
    fails(&[family("a", 1, Metric { label: pairs(&[("", "1")]), ..Metric::default() })], "label without a name");
    let whole = body(&histogram(4, both()));
    assert!(lines(&whole[..whole.len() - 1], ALL).is_err());
    let mut bad = body(&[family("badbad", 1, Metric::default())]);
    let at = bad.windows(6).position(|w| w == b"badbad").unwrap();
    bad[at] = 0xff;
    assert_eq!(lines(&bad, ALL), Err(ProtoError::Wire(WireError::Utf8)));
    let many = ProtoHistogram { positive_delta: vec![0; BUCKETS_MAX + 1], ..ProtoHistogram::default() };
    fails(&histogram(4, many), "histogram buckets");
    assert_eq!(lines(b"", ALL), Ok(vec![]));
}

proptest! {
    #[test]
    fn garbage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        drop(lines(&bytes, ALL));
    }

    #[test]
    fn damaged_bodies_never_panic(at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>(), native in any::<bool>(), custom in any::<bool>()) {
        let mut bytes = body(&histogram(4, both()));
        let at = at.index(bytes.len());
        bytes[at] = byte;
        bytes.truncate(if cut { at } else { bytes.len() });
        drop(lines(&bytes, Options { native, custom, classic_too: true }));
    }

    /// Series that differ have different keys, and the same series has the same key.
    #[test]
    fn keys_tell_series_apart(
        metrics in prop::collection::vec(("[ab]{1,2}", prop::collection::vec(("[xy]{1,2}", "[ab]{0,2}"), 0..3), prop::collection::vec(0i32..3, 0..3)), 1..6),
    ) {
        let families: Vec<Family> = metrics.iter().map(|(name, labels, bounds)| {
            let label = labels.iter().map(|(n, v)| Pair { name: n.clone(), value: v.clone() }).collect();
            let bucket = bounds.iter().map(|b| bucket(f64::from(*b), 0, None)).collect();
            family(name, 4, Metric { label, histogram: Some(ProtoHistogram { bucket, ..both() }), ..Metric::default() })
        }).collect();
        // The assertion stands in `lines`.
        drop(lines(&body(&families), ALL));
    }
}
