//! Scrapes of protobuf expositions, of exemplars and of beginnings: bodies under jobs, and the same target scraped by a
//! Prometheus that hands on what it took by remote write.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use watchfire_ingest::exposition::Format;
use watchfire_ingest::protobuf::Writer;
use watchfire_ingest::remote_write::{Decoder, Version};
use watchfire_model::batch::{Batch, Origin};
use watchfire_model::histogram::Histogram;
use watchfire_model::meter::Meter;
use watchfire_model::sample::is_stale;
use watchfire_model::time::Timestamp;
use watchfire_model::write::{Sink, WriteError, Written};
use watchfire_net::inflate::{Encoding as Compression, Limits, decode};

use super::config::{Extras, ScrapeConfig};
use super::fetch::Fetch;
use super::format::{Encoding, encoding_of};
use super::intake::Intake;
use super::net_fetch::NetFetch;
use super::net_tests::{Page, scrape_into, serve, start_prometheus, wait_for};
use super::target::{Outcome, Target, build};

/// A job and its one target.
struct Rig {
    job: ScrapeConfig,
    target: Target,
    intake: Intake,
    time: i64,
}
impl Rig {
    fn new(keys: &str, extras: Extras) -> Rig {
        let job = ScrapeConfig::from_yaml(&format!("{{job_name: j, static_configs: [{{targets: ['h:1']}}]{keys}}}")).unwrap().with_extras(extras);
        Rig::of(job)
    }
    fn of(job: ScrapeConfig) -> Rig {
        let groups = job.discovery[0].initial(&Meter::new()).unwrap();
        let Outcome::Active(target) = build(&job, &groups[0], &groups[0].targets[0]) else { panic!("no target") };
        let intake = Intake::new(&job, &target);
        Rig { job, target, intake, time: 0 }
    }
    /// Takes a body; every second there is one.
    fn take(&mut self, body: &[u8], encoding: Encoding) -> Vec<String> {
        self.time += 1_000;
        let (batch, counts, read) = self.intake.take(body, encoding, Timestamp(self.time), &self.job, &self.target);
        let mut lines = lines(&batch);
        lines.extend(read.err().map(|e| format!("! {e}")));
        if counts.unconverted > 0 {
            lines.push(format!("{} not converted", counts.unconverted));
        }
        lines
    }
    fn open(&mut self, text: &str) -> Vec<String> {
        self.take(format!("{text}# EOF\n").as_bytes(), Encoding::Text(Format::OpenMetrics))
    }
    fn proto(&mut self, body: &[u8]) -> Vec<String> {
        self.take(body, Encoding::Protobuf)
    }
}

/// A batch as sorted lines, without the labels of the target.
fn lines(batch: &Batch) -> Vec<String> {
    let plain = |labels: &dyn std::fmt::Display| {
        let own = "instance=\"h:1\",job=\"j\"";
        labels.to_string().replace(", ", ",").replace(&format!(",{own}"), "").replace(&format!("{own},"), "").replace(&format!("{{{own}}}"), "")
    };
    let mut lines = Vec::new();
    for series in &batch.series {
        for sample in series.samples.as_slice() {
            let value = if is_stale(sample.value) { "stale".to_owned() } else { sample.value.to_string() };
            lines.push(format!("{} {value}@{}", plain(&series.labels), sample.time.millis()));
        }
    }
    for series in &batch.histograms {
        lines.extend(series.samples.iter().map(|s| format!("{} {}@{}", plain(&series.labels), shown(&s.value), s.time.millis())));
    }
    for series in &batch.exemplars {
        lines.extend(series.exemplars.iter().map(|e| format!("{} # {} {}@{}", plain(&series.labels), e.labels, e.value, e.time.millis())));
    }
    lines.sort();
    lines
}
fn shown(h: &Histogram) -> String {
    if h.is_stale() {
        return "stale histogram".to_owned();
    }
    let spans = |spans: &[watchfire_model::histogram::Span]| spans.iter().map(|s| format!("{}:{}", s.offset, s.length)).collect::<Vec<_>>().join(",");
    let kind = if h.integer { "i" } else { "f" };
    let (up, down) = (spans(&h.positive_spans), spans(&h.negative_spans));
    format!(
        "h{}{kind} n={} s={} z={}/{} +[{up}]{:?} -[{down}]{:?} c{:?}",
        h.schema, h.count, h.sum, h.zero_count, h.zero_threshold, h.positive_buckets, h.negative_buckets, &*h.custom_bounds
    )
}

/// A family with one metric; `fill` writes what the metric has beside its labels.
fn family(name: &str, kind: u64, unit: &str, fill: impl Fn(&mut Writer)) -> Vec<u8> {
    let mut family = Writer::new();
    family.text(1, name);
    family.text(2, "Help.");
    family.uint(3, kind);
    family.message(4, |metric| {
        metric.message(1, |label| {
            label.text(1, "a");
            label.text(2, "b");
        });
        fill(metric);
    });
    family.text(5, unit);
    let mut whole = Writer::new();
    whole.varint(family.len() as u64);
    whole.append(&family);
    whole.into_bytes()
}
fn stamp(out: &mut Writer, field: u32, millis: i64) {
    out.message(field, |time| {
        time.int(1, millis / 1_000);
        time.int(2, millis % 1_000 * 1_000_000);
    });
}
/// A classic and native histogram with 4 + 3 observations; every further call of a target has more of them.
fn histogram(out: &mut Writer, more: i64, created: i64) {
    out.message(7, |h| {
        h.uint(1, 7 + more.cast_unsigned());
        h.double(2, 12.5);
        for (bound, count) in [(1.0, 4), (2.5, 7 + more.cast_unsigned())] {
            h.message(3, |b| {
                b.uint(1, count);
                b.double(2, bound);
                b.message(3, |e| {
                    e.message(1, |label| {
                        label.text(1, "trace_id");
                        label.text(2, &format!("t{bound}"));
                    });
                    e.double(2, bound - 0.25);
                    stamp(e, 3, 500);
                });
            });
        }
        h.sint(5, 3);
        h.double(6, 0.25);
        h.uint(7, 1);
        h.message(9, |span| span.uint(2, 1));
        h.packed_signed(10, [1].into_iter());
        for (offset, length) in [(-2, 3), (4, 2)] {
            h.message(12, |span| {
                span.sint(1, offset);
                span.uint(2, length);
            });
        }
        h.packed_signed(13, [1, -1, 1, 0, 1 + more].into_iter());
        if created != 0 {
            stamp(h, 15, created);
        }
    });
}
const NATIVE: &str = ", scrape_native_histograms: true";

#[test]
fn native_histograms_live_and_end() {
    let mut rig = Rig::new(NATIVE, Extras::default());
    let body = family("h", 4, "", |m| histogram(m, 0, 0));
    let native = "h{a=\"b\"} h3i n=7 s=12.5 z=1/0.25 +[-2:1,1:1,4:2][1.0, 1.0, 1.0, 2.0] -[0:1][1.0] c[]";
    assert_eq!(rig.proto(&body), ["h{a=\"b\"} # {trace_id=\"t1\"} 0.75@500", "h{a=\"b\"} # {trace_id=\"t2.5\"} 2.25@500", &format!("{native}@1000")],);
    assert_eq!(rig.proto(&body), [format!("{native}@2000")], "exemplars that were there are not sent again");
    assert_eq!(rig.proto(&[]), ["h{a=\"b\"} stale histogram@3000"]);
    assert_eq!(rig.proto(&body), [format!("{native}@4000")]);
    assert_eq!(rig.proto(&body[..body.len() - 1]), ["h{a=\"b\"} stale histogram@5000", "! cannot read the protobuf exposition: it ends within a field"]);
    // The same target may answer in text the next time: a series of floats ends with a float.
    assert_eq!(rig.open("# TYPE h gauge\nh{a=\"b\"} 1\n"), ["h{a=\"b\"} 1@6000"]);
    assert_eq!(rig.open(""), ["h{a=\"b\"} stale@7000"]);
}

#[test]
fn labels_that_stand_once_are_not_copied_without_bound() {
    let body = |label: usize, buckets: usize| {
        family("h", 4, "", |metric| {
            metric.message(1, |pair| {
                pair.text(1, "l");
                pair.text(2, &"x".repeat(label));
            });
            metric.message(7, |h| (0..buckets).for_each(|i| h.message(3, |b| b.double(2, i as f64 + 1.0))));
        })
    };
    assert_eq!(Rig::new("", Extras::default()).proto(&body(1 << 10, 1_000)).len(), 1_003);
    let mut rig = Rig::new("", Extras::default());
    for _ in 0..2 {
        // What is known since the last time has its bytes, too.
        assert_eq!(rig.proto(&body(100 << 10, 1_000)), ["! label limit exceeded: labels of too many bytes in one message: more than 67108864"]);
        assert!(rig.intake.series() < 700, "{}", rig.intake.series());
    }
    let found = Rig::new("", Extras::default()).proto(&body(300 << 10, 1));
    assert!(found[0].starts_with("! label limit exceeded: labels of too many bytes: 3"), "{found:?}");
}

#[test]
fn switches_and_limits() {
    let body = family("h", 4, "", |m| histogram(m, 0, 0));
    let check = |keys: &str, expected: &[&str]| {
        let found: Vec<String> = Rig::new(keys, Extras::default()).proto(&body).into_iter().filter(|l| !l.contains('#')).collect();
        assert_eq!(found, expected, "{keys}");
    };
    let classic = [
        "h_bucket{a=\"b\",le=\"+Inf\"} 7@1000",
        "h_bucket{a=\"b\",le=\"1.0\"} 4@1000",
        "h_bucket{a=\"b\",le=\"2.5\"} 7@1000",
        "h_count{a=\"b\"} 7@1000",
        "h_sum{a=\"b\"} 12.5@1000",
    ];
    check("", &classic);
    let both = Rig::new(&format!("{NATIVE}, always_scrape_classic_histograms: true"), Extras::default()).proto(&body);
    assert_eq!(both.iter().filter(|l| !l.contains('#')).count(), 6);
    check(", convert_classic_histograms_to_nhcb: true", &["h{a=\"b\"} h-53i n=7 s=12.5 z=0/0 +[0:2][4.0, 3.0] -[][] c[1.0, 2.5]@1000"]);
    check(&format!("{NATIVE}, native_histogram_min_bucket_factor: 1.9"), &["h{a=\"b\"} h0i n=7 s=12.5 z=1/0.25 +[0:2][2.0, 3.0] -[0:1][1.0] c[]@1000"]);
    check(&format!("{NATIVE}, native_histogram_bucket_limit: 3"), &["h{a=\"b\"} h1i n=7 s=12.5 z=1/0.25 +[0:1,1:1][2.0, 3.0] -[0:1][1.0] c[]@1000"]);
    check(&format!("{NATIVE}, native_histogram_bucket_limit: 1"), &["! histogram bucket limit exceeded: more than 1 buckets"]);
    check(", convert_classic_histograms_to_nhcb: true, native_histogram_bucket_limit: 1", &["! histogram bucket limit exceeded: more than 1 buckets"]);
    check(&format!("{NATIVE}, always_scrape_classic_histograms: true, sample_limit: 5"), &["! sample limit exceeded: more than 5 samples"]);
    check(
        &format!("{NATIVE}, metric_relabel_configs: [{{source_labels: [a], target_label: c}}, {{regex: a, action: labeldrop}}]"),
        &["h{c=\"b\"} h3i n=7 s=12.5 z=1/0.25 +[-2:1,1:1,4:2][1.0, 1.0, 1.0, 2.0] -[0:1][1.0] c[]@1000"].map(|l| l),
    );
    check(&format!("{NATIVE}, metric_relabel_configs: [{{source_labels: [__name__], regex: h, action: drop}}]"), &[]);
    let wrong = family("h", 4, "", |m| {
        m.message(7, |h| {
            h.uint(1, 3);
            h.double(6, 0.5);
            h.uint(7, 1)
        })
    });
    assert_eq!(
        Rig::new(NATIVE, Extras::default()).proto(&wrong),
        ["! invalid native histogram: histogram's observation count should equal the number of observations in its buckets: 3 is not 1"]
    );
}

const CLASSIC: &str = "# TYPE h histogram\nh_bucket{a=\"1\",le=\"0.5\"} 1 # {id=\"x\"} 0.3 0.2\nh_bucket{a=\"1\",le=\"+Inf\"} 2 # {id=\"y\"} 7\nh_sum{a=\"1\"} 7.3\nh_count{a=\"1\"} 2\n\
     h_bucket{a=\"2\",le=\"0.5\"} 3\nh_sum{a=\"2\"} 1\n# TYPE other counter\nother_total 1\n";

#[test]
fn classic_histograms_of_a_text_become_native() {
    let mut rig = Rig::new(", convert_classic_histograms_to_nhcb: true", Extras::default());
    let expected = |time: i64| {
        [
            format!("h{{a=\"1\"}} h-53i n=2 s=7.3 z=0/0 +[0:2][1.0, 1.0] -[][] c[0.5]@{time}"),
            format!("h{{a=\"2\"}} h-53i n=3 s=1 z=0/0 +[0:1][3.0] -[][] c[0.5]@{time}"),
            format!("other_total 1@{time}"),
        ]
    };
    // An exemplar without a time has none in a native histogram.
    assert_eq!(rig.open(CLASSIC), [&["h{a=\"1\"} # {id=\"x\"} 0.3@200".to_owned()][..], &expected(1_000)].concat());
    assert_eq!(rig.open(CLASSIC), expected(2_000));
    assert_eq!(
        rig.open("# TYPE h histogram\nh_bucket{a=\"1\",le=\"0.5\"} 3\nh_bucket{a=\"1\",le=\"1\"} 2\n"),
        ["h{a=\"1\"} stale histogram@3000", "h{a=\"2\"} stale histogram@3000", "other_total stale@3000", "1 not converted"]
    );
    let kept = Rig::new(", convert_classic_histograms_to_nhcb: true, always_scrape_classic_histograms: true", Extras::default()).open(CLASSIC);
    assert_eq!((kept.iter().filter(|l| l.contains("h-53i")).count(), kept.iter().filter(|l| l.starts_with("h_")).count()), (2, 8), "{kept:?}");
    // Without a TYPE line nothing is a histogram.
    let plain = Rig::new(", convert_classic_histograms_to_nhcb: true", Extras::default()).open(&CLASSIC.replace("# TYPE h histogram\n", ""));
    assert_eq!(plain.len(), 9, "{plain:?}");
}

#[test]
fn exemplars_of_a_text() {
    let mut rig = Rig::new("", Extras::default());
    let text = "# TYPE c counter\nc_total 3 # {trace_id=\"a\\\"b\",span=\"s\"} 0.5\n";
    assert_eq!(rig.open(text), ["c_total # {span=\"s\", trace_id=\"a\\\"b\"} 0.5@1000", "c_total 3@1000"]);
    assert_eq!(rig.open(&text.replace("3 #", "4 #")), ["c_total 4@2000"]);
    assert_eq!(rig.open(&text.replace("0.5", "0.75 2.5")), ["c_total # {span=\"s\", trace_id=\"a\\\"b\"} 0.75@2500", "c_total 3@3000"]);
    assert_eq!(rig.open(&text.replace("span", "trace_id")), ["c_total 3@4000"], "a label twice is no exemplar");
}

#[test]
fn type_and_unit_become_labels() {
    let extras = Extras { type_and_unit_labels: true, ..Extras::default() };
    let text = "# TYPE c_bytes counter\n# UNIT c_bytes bytes\nc_bytes_total{__type__=\"own\"} 3\nstray{__unit__=\"own\"} 1\n# TYPE h histogram\nh_sum 1\n# TYPE u unknown\nu 1\n";
    let mut rig = Rig::new("", extras);
    let expected = |time: i64| {
        [
            format!("c_bytes_total{{__type__=\"counter\",__unit__=\"bytes\"}} 3@{time}"),
            format!("h_sum{{__type__=\"histogram\"}} 1@{time}"),
            format!("stray{{__unit__=\"own\"}} 1@{time}"),
            format!("u 1@{time}"),
        ]
    };
    assert_eq!(rig.open(text), expected(1_000));
    assert_eq!(rig.open(text), expected(2_000));
    // Another unit is another series.
    let changed = rig.open("# TYPE c_bytes counter\n# UNIT c_bytes \nc_bytes_total 3\n");
    assert!(changed.contains(&"c_bytes_total{__type__=\"counter\"} 3@3000".to_owned()), "{changed:?}");
    let gauge = family("g_bytes", 1, "bytes", |m| m.message(2, |g| g.double(1, 5.0)));
    assert_eq!(Rig::new("", extras).proto(&gauge), ["g_bytes{__type__=\"gauge\",__unit__=\"bytes\",a=\"b\"} 5@1000"]);
}

#[test]
fn beginnings_become_zeros_once() {
    let extras = Extras { created_timestamps: true, ..Extras::default() };
    let mut rig = Rig::new(NATIVE, extras);
    let body = |created| family("h", 4, "", |m| histogram(m, 0, created));
    let zeros = |lines: Vec<String>| lines.into_iter().filter(|l| l.contains("n=0")).collect::<Vec<_>>();
    assert_eq!(zeros(rig.proto(&body(400))), ["h{a=\"b\"} h3i n=0 s=0 z=0/0.25 +[][] -[][] c[]@400"]);
    assert_eq!(zeros(rig.proto(&body(400))), [""; 0]);
    assert_eq!(zeros(rig.proto(&body(2_500))), ["h{a=\"b\"} h3i n=0 s=0 z=0/0.25 +[][] -[][] c[]@2500"]);
    assert_eq!(zeros(rig.proto(&body(9_000))), [""; 0], "a beginning in the future is none");
    let mut rig = Rig::new("", extras);
    let text =
        |created: f64| format!("# TYPE c counter\nc_total{{a=\"1\"}} 3\nc_created{{a=\"1\"}} {created}\nc_total{{a=\"2\"}} 4\n# TYPE g gauge\ng_created 7\n");
    assert_eq!(rig.open(&text(0.5)), ["c_total{a=\"1\"} 0@500", "c_total{a=\"1\"} 3@1000", "c_total{a=\"2\"} 4@1000", "g_created 7@1000"]);
    assert_eq!(rig.open(&text(0.5)), ["c_total{a=\"1\"} 3@2000", "c_total{a=\"2\"} 4@2000", "g_created 7@2000"]);
    assert_eq!(rig.open(&text(2.5))[0], "c_total{a=\"1\"} 0@2500");
    let mut off = Rig::new("", Extras::default());
    assert!(off.open(&text(0.5)).contains(&"c_created{a=\"1\"} 0.5@1000".to_owned()));
}

#[test]
fn what_is_asked_for() {
    use super::config::Protocol;
    let first = |keys: &str, extras| Rig::new(keys, extras).job.protocols[0];
    assert_eq!(first("", Extras::default()), Protocol::OpenMetrics100);
    assert_eq!(first(NATIVE, Extras::default()), Protocol::PrometheusProto);
    assert_eq!(first("", Extras { created_timestamps: true, ..Extras::default() }), Protocol::PrometheusProto);
    assert_eq!(
        first(", scrape_protocols: [PrometheusText0.0.4, PrometheusProto]", Extras { created_timestamps: true, ..Extras::default() }),
        Protocol::Text004
    );
}

/// What the peer and we are shown: every type, histograms native and classic.
fn exposition() -> Vec<u8> {
    let value = |m: &mut Writer, field: u32, value: f64| m.message(field, |w| w.double(1, value));
    let float = |m: &mut Writer| {
        m.message(7, |h| {
            h.double(2, -3.5);
            h.double(4, 4.5);
            h.sint(5, -1);
            h.double(6, 1e-9);
            h.double(8, 0.5);
            h.message(12, |span| span.uint(2, 2));
            h.packed_doubles(14, &[1.5, 2.5]);
        });
    };
    let classic = |m: &mut Writer| {
        m.message(7, |h| {
            h.uint(1, 5);
            h.double(2, 1.5);
            h.message(3, |b| {
                b.uint(1, 5);
                b.double(2, 2.0);
            });
        });
    };
    let summary = |m: &mut Writer| {
        m.message(4, |s| {
            s.uint(1, 9);
            s.double(2, 4.5);
            s.message(3, |q| {
                q.double(1, 1.0);
                q.double(2, 0.25);
            });
        });
    };
    [
        family("native", 4, "", |m| histogram(m, 3, 0)),
        family("native_gauge", 5, "", |m| histogram(m, 1, 0)),
        family("native_float", 4, "", float),
        family("classic", 4, "", classic),
        family("quantiles", 2, "", summary),
        family("counted_total", 0, "", |m| value(m, 3, 1e9)),
        family("level", 1, "", |m| value(m, 2, f64::NEG_INFINITY)),
        family("untyped", 3, "", |m| value(m, 5, -0.5)),
    ]
    .concat()
}

/// Samples and exemplars as text.
type Items = std::collections::BTreeSet<String>;

/// Takes remote writes over a socket and keeps every item, without its time.
async fn receive(stream: TcpStream, kept: Arc<Mutex<Items>>) -> Option<()> {
    let mut stream = tokio::io::BufReader::new(stream);
    loop {
        let (mut length, mut line) = (0, String::new());
        while {
            line.clear();
            tokio::io::AsyncBufReadExt::read_line(&mut stream, &mut line).await.ok()?
        } > 2
        {
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().ok()?;
            }
        }
        if line.is_empty() {
            return None;
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.ok()?;
        let message = decode(Compression::Snappy, &body, Limits::default()).unwrap();
        let decoded = Decoder::default().decode(Version::V1, &message, Origin::new("peer")).unwrap();
        assert_eq!((decoded.refused.rejected.len(), decoded.exemplars_refused), (0, 0), "{:?}", decoded.refused);
        kept.lock().unwrap().extend(comparable(&decoded.batch));
        stream.get_mut().write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.ok()?;
    }
}

/// Items without their times; reports about scrapes are another test's.
fn comparable(batch: &Batch) -> Vec<String> {
    let without_time = |line: &str| line.rsplit_once('@').map_or(line, |(item, _)| item).to_owned();
    lines(batch).iter().filter(|l| !l.starts_with("scrape_") && !l.starts_with("up{")).map(|l| without_time(l)).collect()
}

/// Prometheus scrapes the same target and hands on the same floats, histograms and exemplars.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prometheus_hands_on_the_same_histograms() {
    let content_type = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited";
    let server = serve(move |asked| {
        assert!(asked.accept.starts_with("application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"), "{}", asked.accept);
        Page { content_type, body: exposition(), ..Page::text("") }.gzipped()
    })
    .await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let receiver = listener.local_addr().unwrap();
    let theirs = Arc::new(Mutex::new(Items::new()));
    let kept = theirs.clone();
    let accepting = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(receive(stream, kept.clone()));
        }
    });
    let job = |more: &str| {
        format!("global: {{scrape_interval: 1s}}\nscrape_configs: [{{job_name: j, static_configs: [{{targets: ['{}']}}]{more}}}]\n", server.address)
    };
    let write = format!(
        "remote_write: [{{url: 'http://{receiver}/', send_native_histograms: true, send_exemplars: true, queue_config: {{batch_send_deadline: 200ms}}}}]\n"
    );
    let Some(prometheus) = start_prometheus(&(job("") + &write), &["--enable-feature=native-histograms,exemplar-storage"]).await else {
        eprintln!("SKIPPED: there is no prometheus");
        return;
    };
    let ours = Arc::new(Everything::default());
    let manager = scrape_into(ours.clone(), &job(NATIVE));
    let both = async || (ours.0.lock().unwrap().clone(), theirs.lock().unwrap().clone());
    let samples = |items: &Items| items.iter().filter(|l| !l.contains(" # ")).cloned().collect::<Vec<_>>();
    let (ours, theirs) = wait_for(both, |(ours, theirs)| !ours.is_empty() && samples(ours) == samples(theirs)).await;
    manager.shutdown().await;
    accepting.abort();
    drop(prometheus);
    assert_eq!(samples(&ours), samples(&theirs));
    assert_eq!(ours.iter().filter(|l| l.contains("} h")).count(), 3, "{ours:#?}");
    // Prometheus 2.42 takes the first exemplar of a histogram only.
    assert!(theirs.is_subset(&ours) && theirs.iter().any(|l| l.contains(" # ")), "{theirs:#?}");
}

/// The real node exporter shows the same series in both formats, with the same types.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_node_exporter_says_the_same_in_both_formats() {
    let port = watchfire_testkit::ports::free_port();
    let mut exporter = std::process::Command::new("prometheus-node-exporter");
    exporter.arg(format!("--web.listen-address=127.0.0.1:{port}")).stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    let Ok(mut child) = exporter.spawn() else {
        eprintln!("SKIPPED: there is no prometheus-node-exporter");
        return;
    };
    let fetch = |protocol: &'static str| async move {
        let job = format!("{{job_name: j, scrape_protocols: [{protocol}], static_configs: [{{targets: ['127.0.0.1:{port}']}}]}}");
        let mut rig = Rig::of(ScrapeConfig::from_yaml(&job).unwrap());
        let request = super::fetch::scrape_request(&rig.job, &rig.target);
        let answer = NetFetch::new().get(request).await.ok()?;
        let encoding = encoding_of(&answer.content_type, None);
        let (batch, counts, read) = rig.intake.take(&answer.body, encoding, Timestamp(1), &rig.job, &rig.target);
        read.unwrap();
        assert_eq!(counts.kept, counts.added);
        let series: Items = batch.series.iter().map(|s| s.labels.to_string()).collect();
        let families: Items = batch.metadata.iter().map(|m| format!("{} {} {}", m.family, m.kind.name(), m.help)).collect();
        Some((encoding, series, families))
    };
    // The second of each is compared: the exporter counts its own answers, and lists what it has counted.
    let ask = async || (fetch("PrometheusText0.0.4").await, fetch("PrometheusProto").await);
    let (text, proto) = wait_for(ask, |(text, proto)| text.is_some() && proto.is_some() && text.as_ref().map(|t| &t.1) == proto.as_ref().map(|p| &p.1)).await;
    child.kill().ok();
    child.wait().ok();
    let (text, proto) = (text.unwrap(), proto.unwrap());
    assert_eq!((text.0, proto.0), (Encoding::Text(Format::PrometheusText), Encoding::Protobuf));
    assert_eq!((text.1.len() > 300, &proto.1, &proto.2), (true, &text.1, &text.2));
}

/// Keeps every item that was ever written, without its time.
#[derive(Default)]
struct Everything(Mutex<Items>);
impl Sink for Everything {
    fn write(&self, batch: Batch) -> Result<Written, WriteError> {
        self.0.lock().unwrap().extend(comparable(&batch));
        Ok(Written::default())
    }
}
