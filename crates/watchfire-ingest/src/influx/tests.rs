//! Bodies and the series that come of them.

use std::ops::ControlFlow;

use watchfire_model::matcher::{MatchOp, Matcher};
use watchfire_model::read::{Budget, Selection, Source};
use watchfire_model::time::ManualClock;
use watchfire_testkit::memory::Memory;

use super::*;
use crate::gate::Limits;

const NOW: Timestamp = Timestamp(1_767_089_700_000);

#[test]
fn fields_become_series() {
    let (memory, clock, meter) = (Arc::new(Memory::new()), ManualClock::new(NOW), Meter::new());
    let gate = Arc::new(Gate::new(memory.clone(), clock.clone(), &meter, Limits::default()));
    let influx = Influx::new(gate, clock.clone(), &meter);
    let write = |body: &str, precision: &str, database: &str| {
        let precision = Precision::from_name(precision).unwrap();
        influx.write(body.as_bytes(), precision, database, Origin::new("influx/test")).unwrap()
    };
    let body = "cpu,host=a usage=0.5,idle=7i,note=\"x\" 1767089690000000000\nbad\ncpu,db=mine usage=1\n";
    let received = write(body, "", "telegraf");
    assert_eq!((received.bad_lines, received.first_error.as_deref(), received.written.stored), (1, Some("line 2: it has no fields"), 3));
    write(",host=b up=true 1767089691", "s", "");
    let selection = Selection { matchers: vec![Matcher::new("__name__", MatchOp::Regex, ".+").unwrap()], start: Timestamp(0), end: Timestamp(i64::MAX) };
    let mut lines = Vec::new();
    memory
        .select(&selection, &Budget::unlimited(clock), &mut |series| {
            lines.push(format!("{} {} {}", series.labels, series.times[0] - NOW.millis(), series.values[0]));
            Ok(ControlFlow::Continue(()))
        })
        .unwrap();
    let expected = [
        r#"cpu_idle{db="telegraf", host="a"} -10000 7"#,
        r#"cpu_usage{db="mine"} 0 1"#,
        r#"cpu_usage{db="telegraf", host="a"} -10000 0.5"#,
        r#"up{host="b"} -9000 1"#,
    ];
    assert_eq!(lines, expected);
    let count = |name| meter.gather().iter().find(|f| &*f.name == name).unwrap().points[0].1;
    assert_eq!(
        (count("watchfire_influx_lines_total"), count("watchfire_influx_bad_lines_total"), count("watchfire_influx_text_fields_total")),
        (3.0, 1.0, 1.0)
    );
}

#[test]
fn precisions() {
    for (name, time, expected) in
        [("ns", -1, -1), ("u", 1_500, 1), ("ms", 5, 5), ("s", 5, 5_000), ("m", 2, 120_000), ("h", 1, 3_600_000), ("h", i64::MAX, i64::MAX)]
    {
        assert_eq!(Precision::from_name(name).unwrap().millis(time), expected, "{name}");
    }
    assert_eq!(Precision::from_name("days"), None);
}

/// A sink that keeps the size of the largest batch.
#[derive(Default)]
struct Largest(std::sync::atomic::AtomicUsize);
impl Sink for Largest {
    fn write(&self, batch: Batch) -> Result<Written, WriteError> {
        let bytes = batch.series.iter().map(|s| s.labels.memory()).sum();
        self.0.fetch_max(bytes, std::sync::atomic::Ordering::Relaxed);
        Ok(Written { stored: batch.sample_count() as u64, ..Written::default() })
    }
}

#[test]
fn the_tags_of_a_line_are_not_copied_without_bound() {
    let (sink, clock, meter) = (Arc::new(Largest::default()), ManualClock::new(NOW), Meter::new());
    let limits = Limits { value_bytes_max: usize::MAX, ..Limits::default() };
    let influx = Influx::new(Arc::new(Gate::new(sink.clone(), clock.clone(), &meter, limits)), clock, &meter);
    let fields = |n: usize| (0..n).map(|i| format!("f{i}=1")).collect::<Vec<_>>().join(",");
    let write = |tags: &str, n: usize| {
        let body = format!("m,{tags} {}\n", fields(n));
        influx.write(body.as_bytes(), Precision::Nanoseconds, "", Origin::new("influx/test")).unwrap().written
    };
    let written = write(&format!("a={}", "x".repeat(200 << 10)), 6_000);
    // Together they would have 1.2 GB.
    assert_eq!(written.stored + written.rejected_total(), 6_000);
    assert!((5_000..5_300).contains(&written.stored), "{}", written.stored);
    assert_eq!(written.rejected[0].0, Reason::LabelBytes);
    let largest = sink.0.load(std::sync::atomic::Ordering::Relaxed);
    assert!(largest <= crate::label_bytes::LABEL_BYTES_PER_BATCH + (300 << 10), "{largest}");
    assert_eq!(write(&format!("a={}", "x".repeat(300 << 10)), 3).rejected, [(Reason::LabelBytes, 3)]);
    let tags: Vec<String> = (0..300).map(|i| format!("t{i}=v")).collect();
    assert_eq!(write(&tags.join(","), 2).rejected, [(Reason::LabelCount, 2)]);
    let families = meter.gather();
    let rejected = families.iter().find(|f| &*f.name == "watchfire_ingest_samples_rejected_total").unwrap();
    let by = |reason: &str| rejected.points.iter().find(|(l, _)| l.get("reason") == Some(reason)).unwrap().1;
    assert_eq!((by("label_bytes"), by("label_count")), ((written.rejected_total() + 3) as f64, 2.0));
}
