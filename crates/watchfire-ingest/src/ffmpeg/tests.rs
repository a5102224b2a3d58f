//! FFmpeg's progress: blocks cut anywhere, what is stored of them and when, ends, limits, garbage.

use proptest::prelude::*;
use watchfire_model::sample::is_stale;
use watchfire_model::time::ManualClock;
use watchfire_model::write::Written;

use super::*;
use crate::gate::Limits;

#[derive(Default)]
struct Kept(Mutex<Vec<String>>);
impl Sink for Kept {
    fn write(&self, batch: Batch) -> Result<Written, WriteError> {
        for series in &batch.series {
            assert_eq!(series.labels.get("job"), Some("ffmpeg"));
            let Sample { time, value } = series.samples.as_slice()[0];
            let value = if is_stale(value) { "stale".to_owned() } else { value.to_string() };
            self.0.lock().unwrap().push(format!("{} {value} @{}", series.labels.without("job"), time.0));
        }
        Ok(Written::default())
    }
}

struct House {
    all: Arc<Ffmpeg>,
    kept: Arc<Kept>,
    clock: Arc<ManualClock>,
    meter: Meter,
}

fn house() -> House {
    let (clock, meter, kept) = (ManualClock::new(Timestamp(1_000_000)), Meter::new(), Arc::new(Kept::default()));
    let gate = Arc::new(Gate::new(kept.clone(), clock.clone(), &meter, Limits::default()));
    House { all: Arc::new(Ffmpeg::new(gate, clock.clone(), &meter)), kept, clock, meter }
}

impl House {
    fn new_lines(&self) -> Vec<String> {
        std::mem::take(&mut *self.kept.0.lock().unwrap())
    }
    fn figure(&self, name: &str) -> f64 {
        self.meter.gather().iter().find(|f| &*f.name == name).map_or(0.0, |f| f.points.iter().map(|(_, v)| v).sum())
    }
}

/// What FFmpeg 5.1 writes.
fn block(frame: u64, end: &str) -> String {
    format!(
        "frame={frame}\nfps=24.90\nstream_0_0_q=28.0\nbitrate= 512.5kbits/s\ntotal_size=2048\nout_time_us=1500000\nout_time_ms=1500000\n\
         out_time=00:00:01.500000\ndup_frames=2\ndrop_frames=3\nspeed=1.06x\nprogress={end}\n"
    )
}

#[test]
fn a_stream_of_progress_becomes_series_of_its_camera() {
    let house = house();
    let mut stream = house.all.open("front").unwrap();
    assert_eq!(
        house.new_lines(),
        [
            r#"ffmpeg_progress_connected{camera_id="front"} 1 @1000000"#,
            r#"ffmpeg_progress_ends_total{camera_id="front", reason="finished"} 0 @1000000"#,
            r#"ffmpeg_progress_ends_total{camera_id="front", reason="broken_off"} 0 @1000000"#,
            r#"ffmpeg_progress_ends_total{camera_id="front", reason="silent"} 0 @1000000"#,
            r#"ffmpeg_progress_ends_total{camera_id="front", reason="malformed"} 0 @1000000"#,
        ]
    );
    // Bytes may be cut anywhere.
    assert!(block(25, "continue").as_bytes().chunks(7).all(|piece| stream.take(piece).is_none()));
    assert!(stream.is_due());
    stream.store();
    let expected = [
        r#"camera_bitrate{camera_id="front"} 512500"#,
        r#"camera_frames_dropped_total{camera_id="front"} 3"#,
        r#"ffmpeg_progress_fps{camera_id="front"} 24.9"#,
        r#"ffmpeg_progress_speed_ratio{camera_id="front"} 1.06"#,
        r#"ffmpeg_progress_frames_total{camera_id="front"} 25"#,
        r#"ffmpeg_progress_duplicated_frames_total{camera_id="front"} 2"#,
        r#"ffmpeg_progress_out_time_seconds{camera_id="front"} 1.5"#,
        r#"ffmpeg_progress_output_bytes_total{camera_id="front"} 2048"#,
        r#"camera_last_frame_timestamp{camera_id="front"} 1000"#,
    ];
    assert_eq!(house.new_lines(), expected.map(|line| format!("{line} @1000000")));
    // It comes twice a second and is stored now and then.
    house.clock.advance(Duration::from_millis(500));
    assert_eq!(stream.take(block(37, "continue").as_bytes()), None);
    assert!(!stream.is_due());
    house.clock.advance(Duration::from_millis(4_500));
    assert_eq!(stream.take(block(100, "continue").as_bytes()), None);
    stream.store();
    // Frames of these five seconds, not of the whole time.
    assert_eq!(house.new_lines()[0], r#"camera_fps{camera_id="front"} 15 @1005000"#);
    // Without new frames the last one was then.
    house.clock.advance(Duration::from_secs(5));
    assert_eq!(stream.take(block(100, "end").as_bytes()), Some(End::Finished));
    stream.end(End::Finished);
    let last = house.new_lines();
    assert!(last.contains(&r#"camera_fps{camera_id="front"} 0 @1010000"#.to_owned()), "{last:#?}");
    assert!(last.contains(&r#"camera_last_frame_timestamp{camera_id="front"} 1005 @1010000"#.to_owned()), "{last:#?}");
    assert!(last.contains(&r#"camera_bitrate{camera_id="front"} stale @1010001"#.to_owned()), "{last:#?}");
    assert!(last.contains(&r#"ffmpeg_progress_connected{camera_id="front"} 0 @1010000"#.to_owned()), "{last:#?}");
    assert!(last.contains(&r#"ffmpeg_progress_ends_total{camera_id="front", reason="finished"} 1 @1010000"#.to_owned()), "{last:#?}");
    assert_eq!((house.figure("watchfire_ffmpeg_blocks_total"), house.figure("watchfire_ffmpeg_lines_ignored_total")), (4.0, 0.0));
}

#[test]
fn what_ffmpeg_does_not_know_is_not_shown() {
    let house = house();
    let mut stream = house.all.open("c").unwrap();
    house.new_lines();
    stream.take(b"frame=1\nfps=0.00\nbitrate=N/A\ntotal_size=N/A\nout_time_us=N/A\nspeed=N/A\nout_time=N/A\ndup_frames=0\ndrop_frames=0\nprogress=continue\n");
    stream.store();
    assert_eq!(house.new_lines().len(), 5, "frames, their mean, both kinds of lost ones and the time of the last");
}

#[test]
fn silence_and_broken_connections_are_told() {
    let house = house();
    let mut stream = house.all.open("c").unwrap();
    stream.take(block(1, "continue").as_bytes());
    stream.store();
    house.new_lines();
    stream.quiet();
    assert!(house.new_lines().iter().all(|line| line.contains(" stale ")));
    stream.quiet();
    assert!(house.new_lines().is_empty(), "it is said once");
    drop(stream);
    // The second of two goes on.
    let (first, mut second) = (house.all.open("d").unwrap(), house.all.open("d").unwrap());
    second.take(block(1, "continue").as_bytes());
    second.store();
    house.new_lines();
    first.end(End::Silent);
    assert!(!house.new_lines().iter().any(|line| line.contains("stale")));
    house.all.repeat();
    let state = house.new_lines();
    for line in [
        r#"ffmpeg_progress_connected{camera_id="c"} 0 @1000000"#,
        r#"ffmpeg_progress_ends_total{camera_id="c", reason="broken_off"} 1 @1000000"#,
        r#"ffmpeg_progress_connected{camera_id="d"} 1 @1000000"#,
        r#"ffmpeg_progress_ends_total{camera_id="d", reason="silent"} 1 @1000000"#,
    ] {
        assert!(state.contains(&line.to_owned()), "{line} is not among {state:#?}");
    }
    second.end(End::Finished);
    house.clock.advance(KEEP + Duration::from_secs(1));
    house.new_lines();
    house.all.repeat();
    assert!(house.new_lines().is_empty(), "forgotten after a day");
}

#[test]
fn garbage_and_too_much_are_refused_and_counted() {
    let house = house();
    let mut stream = house.all.open("c").unwrap();
    let long = format!("{}\nnothing\n", "x".repeat(5_000));
    assert_eq!(stream.take(long.as_bytes()), None);
    assert_eq!(house.figure("watchfire_ffmpeg_lines_ignored_total"), 2.0);
    assert_eq!(stream.take(&[b'='; 61 << 10]), Some(End::Malformed));
    stream.end(End::Malformed);
    for name in ["", "a\nb", &"x".repeat(129)] {
        assert_eq!(house.all.open(name).err(), Some(NotOpened::Name), "{name:?}");
    }
    let open: Vec<Stream> = (0..STREAMS_MAX).map(|i| house.all.open(&format!("{i}")).unwrap()).collect();
    assert!(matches!(house.all.open("c").err(), Some(NotOpened::TooMany(_))));
    drop(open);
    for i in 0..CAMERAS_MAX {
        drop(house.all.open(&format!("{i}")));
    }
    assert!(matches!(house.all.open("new").err(), Some(NotOpened::TooMany(_))));
    assert_eq!(house.figure("watchfire_ffmpeg_streams_refused_total"), 6.0);
}

proptest! {
    /// Whatever comes, however it is cut, the same blocks come out and nothing breaks.
    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..300), keys in proptest::collection::vec("(frame|fps|bitrate|speed|progress|out_time_us)=[-0-9.a-zA-Z/]{0,8}\n", 0..20), cut in 1usize..50) {
        let mut all = keys.concat().into_bytes();
        all.extend(bytes);
        let read = |cut: usize| {
            let (mut blocks, mut out) = (Blocks::default(), Vec::new());
            let ok = all.chunks(cut).all(|piece| blocks.take(piece, &mut out).is_ok());
            (ok, out, blocks.strange)
        };
        prop_assert_eq!(read(cut), read(usize::MAX));
    }
}
