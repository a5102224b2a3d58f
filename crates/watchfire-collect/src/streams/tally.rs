//! What all servers say together: sums, rates between two looks, sessions that began and ended. Names have no label for a server, so what
//! several say of one camera is added.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use watchfire_model::observe::Observe;

use super::RATE_MIN;
use super::kind::{Found, Session, Stream};

/// A label set of the series that were told.
type Told = (&'static str, Vec<(&'static str, String)>);

/// What is known of all servers.
#[derive(Default)]
pub(super) struct Tally {
    servers: BTreeMap<String, Known>,
    grown: Grown,
    told: BTreeSet<Told>,
}

/// What is known of one server.
#[derive(Default)]
struct Known {
    at: Duration,
    streams: HashMap<String, Seen>,
    /// Sessions, and whether they were established; nothing before the first look.
    sessions: Option<HashMap<String, bool>>,
    up: bool,
}

/// One stream as it was last seen.
#[derive(Default)]
struct Seen {
    stream: Stream,
    bits_per_second: Option<f64>,
    /// Pictures that were left out since this began.
    dropped: Option<f64>,
}

/// What counters have to be told.
#[derive(Default)]
struct Grown {
    sent: Option<u64>,
    sessions: Option<[u64; 3]>,
    dropped: BTreeMap<String, f64>,
}

impl Tally {
    /// A server said something.
    pub(super) fn take(&mut self, server: &str, found: Found, now: Duration) {
        let known = self.servers.entry(server.to_owned()).or_default();
        let span = now.saturating_sub(known.at);
        let first = known.at.is_zero();
        let mut before = std::mem::take(&mut known.streams);
        for stream in merged(found.streams) {
            let old = before.remove(&stream.camera).unwrap_or_default();
            let seen = self.grown.stream(stream, old, (span, first));
            known.streams.insert(seen.stream.camera.clone(), seen);
        }
        if let Some(sessions) = found.sessions {
            self.grown.sessions(&mut known.sessions, sessions);
        }
        known.at = now;
        known.up = true;
    }

    /// A server does not answer: what it said is not so any more, but counts go on from there.
    pub(super) fn absent(&mut self, server: &str) {
        self.servers.entry(server.to_owned()).or_default().up = false;
    }

    /// A server is looked at no more.
    pub(super) fn forget(&mut self, server: &str) {
        self.servers.remove(server);
    }

    /// Tells what is known. Cameras that are watched themselves have their figures from there.
    pub(super) fn tell(&mut self, watched: &BTreeSet<String>, observe: &dyn Observe) {
        let mut gauges: BTreeMap<Told, f64> = BTreeMap::new();
        let mut add = |family: &'static str, labels: Vec<(&'static str, String)>, value: f64| *gauges.entry((family, labels)).or_default() += value;
        for (name, known) in &self.servers {
            add("stream_server_up", vec![("server", name.clone())], f64::from(u8::from(known.up)));
            add("active_streams_total", Vec::new(), 0.0);
            for seen in known.streams.values().filter(|_| known.up) {
                tell_stream(seen, watched, &mut add);
            }
        }
        for ((family, labels), value) in &gauges {
            with(labels, |labels| observe.observe(family, labels, *value));
        }
        self.grown.tell(watched, observe);
        let now: BTreeSet<Told> = gauges.into_keys().collect();
        for (family, labels) in self.told.difference(&now) {
            with(labels, |labels| observe.retire(family, labels));
        }
        self.told = now;
    }
}

/// One stream of each name: a server may have several applications with streams of one name.
fn merged(streams: Vec<Stream>) -> Vec<Stream> {
    let mut by_name: BTreeMap<String, Stream> = BTreeMap::new();
    let sum = |a: Option<u64>, b: Option<u64>| a.map_or(b, |a| Some(a.saturating_add(b.unwrap_or_default())));
    let either = |a: Option<f64>, b: Option<f64>| a.map_or(b, |a| Some(a.max(b.unwrap_or(a))));
    for stream in streams {
        let Some(known) = by_name.get_mut(&stream.camera) else {
            by_name.insert(stream.camera.clone(), stream);
            continue;
        };
        known.active |= stream.active;
        known.viewers = sum(known.viewers, stream.viewers);
        known.bytes_in = sum(known.bytes_in, stream.bytes_in);
        known.bytes_out = sum(known.bytes_out, stream.bytes_out);
        known.bits_per_second = either(known.bits_per_second, stream.bits_per_second);
        known.fps = either(known.fps, stream.fps);
        known.skipped_fps = either(known.skipped_fps, stream.skipped_fps);
        known.ffmpeg_cpu_percent = either(known.ffmpeg_cpu_percent, stream.ffmpeg_cpu_percent);
    }
    by_name.into_values().collect()
}

fn tell_stream(seen: &Seen, watched: &BTreeSet<String>, add: &mut dyn FnMut(&'static str, Vec<(&'static str, String)>, f64)) {
    let Seen { stream, bits_per_second, dropped } = seen;
    let camera = || ("camera_id", stream.camera.clone());
    add("active_streams_total", Vec::new(), f64::from(u8::from(stream.active)));
    if let Some(viewers) = stream.viewers {
        add("stream_viewers_count", vec![camera()], viewers as f64);
    }
    if let Some(bits) = bits_per_second {
        add("stream_bitrate", vec![camera(), ("quality", "source".to_owned())], *bits);
    }
    if let Some(percent) = stream.ffmpeg_cpu_percent {
        add("ffmpeg_process_cpu_percent", vec![camera()], percent);
    }
    let Some(fps) = stream.fps.filter(|_| !watched.contains(&stream.camera)) else { return };
    add("camera_fps", vec![camera()], fps);
    add("camera_connection_status", vec![camera()], f64::from(u8::from(stream.active)));
    if let Some(dropped) = dropped {
        add("camera_frames_dropped", vec![camera()], *dropped);
    }
}

fn with(labels: &[(&'static str, String)], tell: impl FnOnce(&[(&str, &str)])) {
    let labels: Vec<(&str, &str)> = labels.iter().map(|(name, value)| (*name, value.as_str())).collect();
    tell(&labels);
}

impl Grown {
    fn stream(&mut self, stream: Stream, old: Seen, (span, first): (Duration, bool)) -> Seen {
        let rate = |now: Option<u64>, before: Option<u64>| {
            let bytes = now?.checked_sub(before?)?;
            (span >= RATE_MIN).then(|| bytes as f64 * 8.0 / span.as_secs_f64())
        };
        let bits_per_second = stream.bits_per_second.or_else(|| rate(stream.bytes_in, old.stream.bytes_in));
        if let Some(now) = stream.bytes_out {
            // What is smaller than before began anew.
            let before = old.stream.bytes_out.unwrap_or(if first { now } else { 0 });
            let sent = self.sent.get_or_insert_default();
            *sent = sent.saturating_add(now.checked_sub(before).unwrap_or(now));
        }
        let dropped = stream.skipped_fps.map(|skipped| {
            let more = if first { 0.0 } else { skipped * span.as_secs_f64() };
            *self.dropped.entry(stream.camera.clone()).or_default() += more;
            old.dropped.unwrap_or_default() + more
        });
        Seen { stream, bits_per_second, dropped }
    }

    /// Sessions that were there at the first look began at a time that nobody knows, and are not counted.
    fn sessions(&mut self, known: &mut Option<HashMap<String, bool>>, now: Vec<Session>) {
        let [tried, made, failed] = self.sessions.get_or_insert_default();
        let now: HashMap<String, bool> = now.into_iter().map(|session| (session.id, session.established)).collect();
        if let Some(before) = known {
            for (id, established) in &now {
                *tried += u64::from(!before.contains_key(id));
                *made += u64::from(*established && before.get(id) != Some(&true));
            }
            *failed += before.iter().filter(|(id, established)| !**established && !now.contains_key(*id)).count() as u64;
        }
        *known = Some(now);
    }

    fn tell(&mut self, watched: &BTreeSet<String>, observe: &dyn Observe) {
        if let Some(sent) = self.sent.take() {
            observe.observe("stream_bytes_sent_total", &[], sent as f64);
        }
        if let Some([tried, made, failed]) = self.sessions.take() {
            observe.observe("webrtc_connection_attempts_total", &[], tried as f64);
            observe.observe("webrtc_connections_attempts_total", &[], tried as f64);
            observe.observe("webrtc_connections_success_total", &[], made as f64);
            observe.observe("webrtc_connection_failures_total", &[], failed as f64);
        }
        for (camera, dropped) in std::mem::take(&mut self.dropped) {
            if !watched.contains(&camera) {
                observe.observe("camera_frames_dropped_total", &[("camera_id", &camera)], dropped);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_of_one_name_are_one_and_no_sum_is_too_large() {
        let stream = |active, out| Stream { camera: "cam1".into(), active, viewers: Some(2), bytes_out: Some(out), ..Stream::default() };
        let found = merged(vec![stream(false, u64::MAX), stream(true, 9)]);
        assert_eq!(found, [Stream { viewers: Some(4), ..stream(true, u64::MAX) }]);
        // What was sent grows by what came since, not by everything at each look.
        let mut tally = Tally::default();
        for (second, out) in [(1, 100), (2, 130), (3, 160)] {
            let two = vec![stream(true, out), stream(true, 1_000)];
            tally.take("rtmp", Found { streams: two, ..Found::default() }, Duration::from_secs(second));
        }
        assert_eq!(tally.grown.sent, Some(60));
    }
}
