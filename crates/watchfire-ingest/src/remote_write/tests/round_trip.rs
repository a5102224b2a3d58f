//! What our own requests say, our decoders read, in both versions.

use proptest::prelude::*;
use watchfire_model::batch::{Metadata, MetricType};
use watchfire_model::histogram::{CUSTOM_SCHEMA, CounterReset, Histogram, Span};
use watchfire_model::labels::Labels;
use watchfire_model::sample::{Exemplar, HistogramSample, Sample};
use watchfire_model::time::Timestamp;

use super::*;

fn histograms() -> impl Strategy<Value = Histogram> {
    let buckets = prop::collection::vec(0u32..1_000, 0..6);
    (any::<bool>(), -4i8..=8, 0u32..9, (buckets.clone(), buckets, -20i32..20), any::<bool>(), 0usize..4).prop_map(
        |(integer, schema, zero, (positive, negative, offset), custom, reset)| {
            let spans = |buckets: &[u32], offset| if buckets.is_empty() { vec![] } else { vec![Span { offset, length: buckets.len() as u32 }] };
            let unit = if integer { 1.0 } else { 0.25 };
            let counts = |buckets: &[u32]| buckets.iter().map(|n| f64::from(*n) * unit).collect::<Vec<f64>>();
            let negative = if custom { vec![] } else { negative };
            let zero = if custom { 0 } else { zero };
            let count = positive.iter().chain(&negative).chain([&zero]).sum::<u32>();
            Histogram {
                schema: if custom { CUSTOM_SCHEMA } else { schema },
                integer,
                reset: [CounterReset::Unknown, CounterReset::Reset, CounterReset::NotReset, CounterReset::Gauge][reset],
                zero_threshold: if custom { 0.0 } else { 0.001 },
                zero_count: f64::from(zero) * unit,
                count: f64::from(count) * unit,
                sum: 12.5,
                positive_spans: spans(&positive, if custom { 0 } else { offset }),
                negative_spans: spans(&negative, offset),
                positive_buckets: counts(&positive),
                negative_buckets: counts(&negative),
                custom_bounds: if custom { (0..6).map(f64::from).collect() } else { [].into() },
            }
        },
    )
}

type Sent = (Labels, Vec<Sample>, Vec<HistogramSample>, Vec<Exemplar>);

fn check(series: &[Sent], metadata: &Metadata) {
    let (mut one, mut two) = (wire::v1::Request::new(), wire::v2::Request::new());
    // Requests are used more than once.
    for _ in 0..2 {
        one.clear();
        two.clear();
        for (labels, samples, histograms, exemplars) in series {
            let series = wire::Series { labels, samples, histograms, exemplars };
            one.series(&series);
            two.series(&series, Some(metadata));
        }
        one.metadata(metadata);
    }
    let first = decode(Version::V1, one.bytes()).unwrap();
    let second = decode(Version::V2, two.bytes()).unwrap();
    let mut expected = Batch::new(Origin::new("x"));
    for (labels, samples, histograms, exemplars) in series {
        let labels = labels.clone();
        if !samples.is_empty() {
            expected
                .series
                .push(watchfire_model::batch::SeriesSamples { labels: labels.clone(), samples: watchfire_model::batch::Samples::Many(samples.clone()) });
        }
        if !histograms.is_empty() {
            expected.histograms.push(watchfire_model::batch::SeriesHistograms { labels: labels.clone(), samples: histograms.clone() });
        }
        if !exemplars.is_empty() {
            expected.exemplars.push(watchfire_model::batch::SeriesExemplars { labels, exemplars: exemplars.clone() });
        }
    }
    expected.metadata.push(metadata.clone());
    assert_eq!(lines(&first.batch), lines(&expected));
    expected.metadata.clear();
    // Version 2.0 says metadata with a series of that name.
    assert_eq!(lines(&second.batch).into_iter().filter(|l| !l.contains(" gauge ")).collect::<Vec<_>>(), lines(&expected));
    assert_eq!((first.refused, second.refused), (Written::default(), Written::default()));
    for (batch, sent) in [(&first.batch, series), (&second.batch, series)] {
        let kept: Vec<&Histogram> = batch.histograms.iter().flat_map(|h| &h.samples).map(|h| &*h.value).collect();
        assert_eq!(kept, sent.iter().flat_map(|s| &s.2).map(|h| &*h.value).collect::<Vec<_>>(), "bit by bit");
    }
}

proptest! {
    #[test]
    fn both_versions_come_back(
        floats in prop::collection::vec((1i64..1_000_000, any::<f64>()), 0..4),
        natives in prop::collection::vec((1i64..1_000_000, histograms()), 0..3),
        exemplars in prop::collection::vec((1i64..1_000_000, ".{0,20}", -9.0..9.0f64), 0..3),
        value in "\\PC{1,150}",
    ) {
        let metadata = Metadata { family: "x".into(), kind: MetricType::Gauge, help: "Help.".into(), unit: "bytes".into() };
        let labels = |name: &str| Labels::from_pairs([("__name__", name), ("l", &value)]);
        let samples: Vec<Sample> = floats.iter().map(|(t, v)| Sample { time: Timestamp(*t), value: *v }).collect();
        let natives: Vec<HistogramSample> = natives.into_iter().map(|(t, h)| HistogramSample { time: Timestamp(t), value: h.into() }).collect();
        let exemplars: Vec<Exemplar> =
            exemplars.iter().map(|(t, l, v)| Exemplar { labels: Labels::from_pairs([("trace_id", l)]), time: Timestamp(*t), value: *v }).collect();
        check(&[(labels("x"), samples, vec![], exemplars), (labels("y"), vec![], natives, vec![])], &metadata);
    }
}
