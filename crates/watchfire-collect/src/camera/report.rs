//! What is told of cameras, by the names that catalogs declare. Counters are told by what they grew; nothing is told twice.

use std::collections::BTreeMap;
use std::time::Duration;

use watchfire_model::observe::Observe;

use super::figures::{Now, Totals};
use super::mjpeg::Form;
use super::picture::Verdict;
use super::watch::{Settled, Watched, Way};

/// What has been told of one camera.
#[derive(Default)]
pub(super) struct Reported {
    totals: Totals,
    errors: BTreeMap<&'static str, u64>,
    dropped_in_all: u64,
    told: Vec<(&'static str, Extra)>,
    /// Those of them that are gauges and were told last.
    gauges: Vec<(&'static str, Extra)>,
}

/// A label beside that of the camera.
type Extra = Option<(&'static str, String)>;

/// Reads one of the totals.
type Total = fn(&Totals) -> u64;

/// Counters of cameras that are watched by RTSP, with what they count.
const OF_PACKETS: [(&str, Total); 6] = [
    ("camera_frames_dropped_total", |t| t.dropped),
    ("camera_frames_total", |t| t.frames),
    ("camera_packets_received_total", |t| t.packets),
    ("camera_packets_lost_total", |t| t.lost),
    ("camera_stalls_total", |t| t.stalls),
    ("camera_resolution_changes_total", |t| t.size_changes),
];
/// Those of streams that are followed.
const OF_PLAYLISTS: [(&str, Total); 2] = [("camera_hls_segments_total", |t| t.segments), ("camera_resolution_changes_total", |t| t.size_changes)];
/// Those of cameras that give whole pictures by HTTP.
const OF_PICTURES: [(&str, Total); 4] = [
    ("camera_frames_dropped_total", |t| t.dropped),
    ("camera_frames_total", |t| t.frames),
    ("camera_stalls_total", |t| t.stalls),
    ("camera_resolution_changes_total", |t| t.size_changes),
];
/// Those of all.
const OF_ALL: [(&str, Total); 2] = [("camera_received_bytes_total", |t| t.bytes), ("camera_reconnects_total", |t| t.reconnects)];

impl Reported {
    /// The camera is watched anew: its counts begin at nothing, ours go on.
    pub(super) fn begin_again(&mut self) {
        self.totals = Totals::default();
        self.errors.clear();
    }

    /// Tells what is known now.
    pub(super) fn tell(&mut self, id: &str, watched: &Watched, observe: &dyn Observe) {
        let Settled { now, errors, set_up, quality, verdict, way } = watched.settled();
        let own: &[(&'static str, Total)] = match way {
            Way::Packets => &OF_PACKETS,
            Way::Web(Some(Form::Hls)) => &OF_PLAYLISTS,
            Way::Web(Some(Form::Mjpeg | Form::Snapshot)) => &OF_PICTURES,
            // Nobody knows yet what it gives.
            Way::Web(None) => &[],
        };
        for (family, total) in own.iter().chain(&OF_ALL) {
            // What was taken for lost and came late after all makes a count smaller; it is made up for later.
            self.say(id, (family, None), total(&now.totals).saturating_sub(total(&self.totals)) as f64, observe);
        }
        let requests = now.totals.playlist_requests.saturating_sub(self.totals.playlist_requests);
        if requests > 0 {
            observe.observe("hls_playlist_requests_total", &[], requests as f64);
        }
        self.dropped_in_all += now.totals.dropped.saturating_sub(self.totals.dropped);
        let lost = now.totals.lost.max(self.totals.lost);
        self.totals = Totals { lost, ..now.totals };
        for (reason, count) in errors {
            let grown = count.saturating_sub(self.errors.insert(reason, count).unwrap_or(0));
            self.say(id, ("camera_session_errors_total", Some(("reason", reason.to_owned()))), grown as f64, observe);
        }
        let earlier = std::mem::take(&mut self.gauges);
        for (family, extra, value) in gauges(&now, quality) {
            self.gauge(id, (family, extra), value, observe);
        }
        if let Some(Verdict { brightness, sharpness, faults }) = verdict {
            self.gauge(id, ("camera_picture_brightness", None), brightness, observe);
            self.gauge(id, ("camera_picture_sharpness", None), sharpness, observe);
            for (word, there) in faults.all() {
                self.gauge(id, ("camera_picture_fault", Some(("fault", word.to_owned()))), f64::from(u8::from(there)), observe);
            }
        }
        let more = [
            ("camera_frames_dropped", own.iter().any(|(family, _)| *family == "camera_frames_dropped_total").then_some(self.dropped_in_all as f64)),
            ("camera_expected_fps", watched.camera.fps),
            ("camera_session_setup_seconds", set_up.map(|d| d.as_secs_f64())),
        ];
        for (family, value) in more.into_iter().filter_map(|(family, value)| Some((family, value?))) {
            self.gauge(id, (family, None), value, observe);
        }
        // What is not known any more must not go on standing there as it was.
        for series in earlier.into_iter().filter(|series| !self.gauges.contains(series)).collect::<Vec<_>>() {
            with_labels(id, &series.1, |labels| observe.retire(series.0, labels));
            self.told.retain(|told| *told != series);
        }
    }

    fn gauge(&mut self, id: &str, series: (&'static str, Extra), value: f64, observe: &dyn Observe) {
        self.gauges.push(series.clone());
        self.say(id, series, value, observe);
    }

    fn say(&mut self, id: &str, series: (&'static str, Extra), value: f64, observe: &dyn Observe) {
        with_labels(id, &series.1, |labels| observe.observe(series.0, labels, value));
        if !self.told.contains(&series) {
            self.told.push(series);
        }
    }

    /// Takes back what was told, because the camera is not watched any more.
    pub(super) fn retire(&mut self, id: &str, observe: &dyn Observe) {
        for (family, extra) in self.told.drain(..) {
            with_labels(id, &extra, |labels| observe.retire(family, labels));
        }
    }
}

fn with_labels(id: &str, extra: &Extra, tell: impl FnOnce(&[(&str, &str)])) {
    match extra {
        Some((name, value)) => tell(&[("camera_id", id), (name, value)]),
        None => tell(&[("camera_id", id)]),
    }
}

/// Gauges with their values; what is unknown is not told.
fn gauges(now: &Now, quality: String) -> Vec<(&'static str, Extra, f64)> {
    let flag = |on: bool| Some(f64::from(u8::from(on)));
    let seconds = |duration: Option<Duration>| duration.map(|d| d.as_secs_f64());
    let followed = now.segment_age.is_some();
    let all = [
        ("camera_connection_status", None, flag(now.connected)),
        ("camera_frozen", None, flag(now.frozen)),
        ("camera_fps", None, now.fps),
        ("camera_bitrate", None, now.bits_per_second),
        ("camera_last_frame_timestamp", None, now.last_frame.map(|t| t.secs_f64())),
        ("camera_jitter_seconds", None, seconds(now.jitter)),
        ("camera_keyframe_interval_seconds", None, seconds(now.key_gap)),
        ("camera_width_pixels", None, now.size.map(|s| f64::from(s.0))),
        ("camera_height_pixels", None, now.size.map(|s| f64::from(s.1))),
        ("camera_hls_segment_age_seconds", None, seconds(now.segment_age)),
        ("stream_latency_ms", Some(("protocol", "hls".to_owned())), seconds(now.latency).map(|s| s * 1_000.0)),
        ("stream_bitrate", Some(("quality", quality)), now.bits_per_second.filter(|_| followed)),
    ];
    all.into_iter().filter_map(|(family, extra, value)| Some((family, extra, value?))).collect()
}
