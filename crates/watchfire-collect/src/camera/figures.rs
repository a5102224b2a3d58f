//! What is known of one camera: counts of its packets and pictures, made into rates when somebody asks. It reads no clock and no socket:
//! whoever watches says what arrived and when.

use std::collections::VecDeque;
use std::time::Duration;

use watchfire_model::time::Timestamp;

use super::mjpeg::Whole;
use super::rtsp::codec::Seen;
use super::rtsp::rtp::Packet;

/// Rates are those of so many seconds, unless pictures come more seldom.
pub(super) const RATE_SECONDS: u64 = 10;
/// A jump of numbers that is no loss but a new beginning (RFC 3550, A.1).
const DROPOUT_MAX: u16 = 3_000;
/// A jump of timestamps, in seconds, that is a new beginning as well.
const JUMP_MAX: f64 = 3_600.0;
/// A share of pictures below this is how cameras keep time, and no loss.
const TOLERANCE: f64 = 0.1;
/// Pictures that stand by themselves and are compared with a new one: encoders number them alternately.
const REMEMBERED: usize = 4;
/// So many of the same in a row are no coincidence.
const SAME_MIN: u32 = 3;

/// When something arrived: on the clock that never goes back, and on the wall.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Arrived {
    pub(super) monotonic: Duration,
    pub(super) wall: Timestamp,
}

/// How the packets of a session count.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Stream {
    /// Ticks per second.
    pub(super) clock: u32,
    /// Pictures per second that there should be, if anybody knows.
    pub(super) fps: Option<f64>,
    /// Rates are those of so many seconds.
    pub(super) rate_seconds: u64,
}

/// Counts that only grow, over all sessions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) frames: u64,
    pub(super) bytes: u64,
    pub(super) packets: u64,
    pub(super) lost: u64,
    pub(super) dropped: u64,
    pub(super) size_changes: u64,
    pub(super) reconnects: u64,
    pub(super) stalls: u64,
    pub(super) playlist_requests: u64,
    pub(super) segments: u64,
}

/// What arrived within one second.
#[derive(Clone, Copy, Debug, Default)]
struct Second {
    at: u64,
    frames: u32,
    bytes: u64,
}

/// The sequence numbers of one sender.
#[derive(Clone, Copy, Debug)]
struct Sequence {
    source: u32,
    highest: u16,
    expected: u64,
    received: u64,
    /// What was lost before a new beginning.
    lost: u64,
}

/// What is compared to find pictures that were left out.
#[derive(Clone, Copy, Debug, Default)]
struct Window {
    /// The timestamp at which it began.
    begin: Option<u32>,
    frames: u64,
    gaps: u64,
}

/// Pictures that stand by themselves.
#[derive(Debug, Default)]
struct Keys {
    /// The one that is arriving: its timestamp and a hash of its bytes so far.
    arriving: Option<(u32, u64)>,
    last: Option<Duration>,
    gap: Option<Duration>,
    recent: VecDeque<u64>,
    /// How many in a row were there before, and since when.
    same: u32,
    same_since: Option<Duration>,
}

/// The figures of one camera.
#[derive(Debug)]
pub(super) struct Figures {
    pub(super) totals: Totals,
    stream: Stream,
    connected: bool,
    /// Since when a picture is waited for.
    waiting_since: Option<Duration>,
    begun: Duration,
    seconds: VecDeque<Second>,
    sequence: Option<Sequence>,
    /// The timestamp of the newest picture, and that of the last packet.
    time: Option<u32>,
    last_time: Option<u32>,
    last_frame: Option<Arrived>,
    transit: Option<f64>,
    jitter: f64,
    window: Window,
    keys: Keys,
    size: Option<(u32, u32)>,
}

/// Figures at one moment.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Now {
    pub(super) connected: bool,
    /// Whether there is a session without new pictures.
    pub(super) frozen: bool,
    /// Pictures per second, where pictures are counted.
    pub(super) fps: Option<f64>,
    pub(super) bits_per_second: Option<f64>,
    pub(super) jitter: Option<Duration>,
    pub(super) key_gap: Option<Duration>,
    pub(super) last_frame: Option<Timestamp>,
    pub(super) size: Option<(u32, u32)>,
    /// How old a picture is when it can be seen.
    pub(super) latency: Option<Duration>,
    /// Since when nothing newer is in the playlist.
    pub(super) segment_age: Option<Duration>,
    pub(super) totals: Totals,
}

impl Figures {
    pub(super) fn new() -> Figures {
        Figures {
            totals: Totals::default(),
            stream: Stream { clock: 90_000, fps: None, rate_seconds: RATE_SECONDS },
            connected: false,
            waiting_since: None,
            begun: Duration::ZERO,
            seconds: VecDeque::new(),
            sequence: None,
            time: None,
            last_time: None,
            last_frame: None,
            transit: None,
            jitter: 0.0,
            window: Window::default(),
            keys: Keys::default(),
            size: None,
        }
    }

    /// A session plays.
    pub(super) fn begin(&mut self, stream: Stream, now: Duration) {
        self.stream = stream;
        self.connected = true;
        self.begun = now;
        self.waiting_since.get_or_insert(now);
        self.seconds.clear();
        self.transit = None;
        self.restart(None);
    }

    /// The session is over. One that stalled is begun again, and until that is known to fail the camera counts as connected.
    pub(super) fn end(&mut self, stalled: bool) {
        self.totals.stalls += u64::from(stalled);
        self.connected = stalled;
        self.seconds.clear();
        if !stalled {
            self.waiting_since = None;
            self.keys = Keys::default();
        }
    }

    /// Numbers and times begin anew.
    fn restart(&mut self, packet: Option<&Packet<'_>>) {
        self.totals.lost += self.sequence.take().map_or(0, Sequence::lost_now);
        self.sequence = packet.map(|p| Sequence { source: p.source, highest: p.sequence, expected: 1, received: 1, lost: 0 });
        self.time = None;
        self.last_time = None;
        self.transit = None;
        self.window = Window::default();
    }

    /// A packet of pictures arrived.
    pub(super) fn packet(&mut self, packet: &Packet<'_>, seen: Seen, now: Arrived) {
        self.totals.packets += 1;
        let bytes = packet.payload.len() as u64;
        self.totals.bytes += bytes;
        self.count_number(packet);
        let ahead = self.time.map(|time| packet.time.wrapping_sub(time).cast_signed());
        if ahead.is_some_and(|ahead| f64::from(ahead).abs() / f64::from(self.stream.clock) > JUMP_MAX) {
            self.time = None;
            self.window = Window::default();
        }
        let new = self.last_time.replace(packet.time) != Some(packet.time);
        if new {
            self.picture(packet.time, now);
        }
        self.sized(seen.size);
        if seen.key {
            self.key(packet, now.monotonic);
        }
        let second = self.second(now.monotonic);
        second.bytes += bytes;
        second.frames += u32::from(new);
    }

    /// Loss is told by numbers (RFC 3550, A.1 and A.3).
    fn count_number(&mut self, packet: &Packet<'_>) {
        let Some(sequence) = &mut self.sequence else { return self.restart(Some(packet)) };
        let ahead = packet.sequence.wrapping_sub(sequence.highest);
        match ahead {
            _ if sequence.source != packet.source => self.restart(Some(packet)),
            1..=DROPOUT_MAX => {
                sequence.highest = packet.sequence;
                sequence.expected += u64::from(ahead);
                sequence.received += 1;
                self.window.gaps += u64::from(ahead > 1);
            }
            // A packet that was overtaken: what was taken for a gap is none.
            _ if ahead.cast_signed().unsigned_abs() <= DROPOUT_MAX => {
                sequence.received += u64::from(ahead != 0);
                self.window.gaps = self.window.gaps.saturating_sub(u64::from(ahead != 0));
            }
            _ => self.restart(Some(packet)),
        }
    }

    fn picture(&mut self, time: u32, now: Arrived) {
        self.totals.frames += 1;
        self.last_frame = Some(now);
        self.waiting_since = Some(now.monotonic);
        // Pictures that are shown later than they are sent have times that go back; the newest one counts.
        let newest = self.time.is_none_or(|known| time.wrapping_sub(known).cast_signed() > 0);
        if newest {
            self.time = Some(time);
        }
        match self.window.begin {
            None => self.window.begin = Some(time),
            Some(_) => self.window.frames += 1,
        }
        // How unevenly packets travel (RFC 3550, 6.4.1), in seconds; ticks wrap, so only differences are taken.
        let arrival = now.monotonic.as_secs_f64();
        let transit = arrival - f64::from(time) / f64::from(self.stream.clock);
        if let Some(before) = self.transit.replace(transit) {
            let difference = (transit - before).abs();
            if difference < f64::from(u32::MAX) / f64::from(self.stream.clock) / 2.0 {
                self.jitter += (difference - self.jitter) / 16.0;
            }
        }
    }

    fn sized(&mut self, size: Option<(u32, u32)>) {
        let Some(size) = size else { return };
        if self.size.replace(size).is_some_and(|before| before != size) {
            self.totals.size_changes += 1;
        }
    }

    /// What the description says of the size counts like a picture's word.
    pub(super) fn described(&mut self, seen: Seen) {
        self.sized(seen.size);
    }

    fn key(&mut self, packet: &Packet<'_>, now: Duration) {
        let hash = |state: u64| packet.payload.iter().fold(state, |state, byte| (state ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
        if let Some((time, state)) = &mut self.keys.arriving
            && *time == packet.time
        {
            *state = hash(*state);
            return;
        }
        if let Some((_, whole)) = self.keys.arriving.replace((packet.time, hash(0xcbf2_9ce4_8422_2325))) {
            self.compare(whole);
        }
        if let Some(last) = self.keys.last.replace(now) {
            self.keys.gap = Some(now.saturating_sub(last));
        }
    }

    /// A whole picture arrived at once.
    pub(super) fn whole(&mut self, picture: &Whole, now: Arrived) {
        self.totals.frames += 1;
        self.totals.bytes += picture.bytes;
        self.last_frame = Some(now);
        self.waiting_since = Some(now.monotonic);
        self.sized(picture.size);
        self.keys.last = Some(now.monotonic);
        self.compare(picture.hash);
        let second = self.second(now.monotonic);
        second.bytes += picture.bytes;
        second.frames += 1;
    }

    /// Something arrived in the place of a picture that is none.
    pub(super) fn no_picture(&mut self) {
        self.totals.dropped += 1;
    }

    fn compare(&mut self, whole: u64) {
        let keys = &mut self.keys;
        if keys.recent.contains(&whole) {
            keys.same += 1;
            keys.same_since = keys.same_since.or(keys.last);
        } else {
            keys.same = 0;
            keys.same_since = None;
        }
        if keys.recent.len() >= REMEMBERED {
            keys.recent.pop_front();
        }
        keys.recent.push_back(whole);
    }

    fn second(&mut self, now: Duration) -> &mut Second {
        let at = now.as_secs();
        let rate_seconds = self.stream.rate_seconds;
        while self.seconds.front().is_some_and(|s| s.at + rate_seconds < at) {
            self.seconds.pop_front();
        }
        if self.seconds.back().is_none_or(|s| s.at != at) {
            self.seconds.push_back(Second { at, ..Second::default() });
        }
        let last = self.seconds.len() - 1;
        &mut self.seconds[last]
    }

    /// Counts the pictures that the camera left out or that arrived with holes since the last time.
    pub(super) fn settle(&mut self) {
        let Window { begin, frames, gaps } = self.window;
        let missing = match (begin, self.time, self.stream.fps) {
            (Some(begin), Some(time), Some(fps)) => {
                let due = f64::from(time.wrapping_sub(begin).cast_signed().max(0)) / f64::from(self.stream.clock) * fps;
                let missing = due - frames as f64;
                if missing > (due * TOLERANCE).max(1.5) { missing.round() as u64 } else { 0 }
            }
            _ => 0,
        };
        // A hole damages a picture, or is why it is missing.
        self.totals.dropped += missing.max(gaps);
        self.window = Window { begin: self.time, frames: 0, gaps: 0 };
    }

    /// For how long there has been a session without a new picture.
    pub(super) fn idle(&self, now: Duration) -> Duration {
        self.waiting_since.map_or(Duration::ZERO, |since| now.saturating_sub(since))
    }

    /// The figures now; pictures that stay away so long make a camera frozen.
    pub(super) fn now(&self, frozen_after: Duration, now: Duration) -> Now {
        let same = self.keys.same >= SAME_MIN && self.keys.same_since.is_some_and(|since| now.saturating_sub(since) >= frozen_after);
        let frozen = self.connected && (self.idle(now) >= frozen_after || same);
        let at = now.as_secs();
        // Seconds that were not whole do not count: that which runs, and that in which the session began.
        let counted = self.seconds.iter().filter(|s| s.at < at && s.at + self.stream.rate_seconds >= at && s.at > self.begun.as_secs());
        let (frames, bytes) = counted.fold((0u64, 0u64), |(frames, bytes), s| (frames + u64::from(s.frames), bytes + s.bytes));
        let span = at.saturating_sub(self.begun.as_secs() + 1).clamp(1, self.stream.rate_seconds) as f64;
        let mut totals = self.totals;
        totals.lost += self.sequence.map_or(0, Sequence::lost_now);
        Now {
            connected: self.connected,
            frozen,
            fps: Some(if self.connected { frames as f64 / span } else { 0.0 }),
            bits_per_second: Some(if self.connected { bytes as f64 * 8.0 / span } else { 0.0 }),
            jitter: (self.connected && self.transit.is_some()).then(|| Duration::from_secs_f64(self.jitter.clamp(0.0, 1e6))),
            key_gap: self.keys.gap.filter(|_| self.connected),
            last_frame: self.last_frame.map(|arrived| arrived.wall),
            size: self.size,
            latency: None,
            segment_age: None,
            totals,
        }
    }
}

impl Sequence {
    fn lost_now(self) -> u64 {
        self.lost + self.expected.saturating_sub(self.received)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: Stream = Stream { clock: 90_000, fps: Some(25.0), rate_seconds: RATE_SECONDS };
    const PATIENCE: Duration = Duration::from_secs(10);

    /// A camera as it might be, which a test makes misbehave.
    struct Scene {
        figures: Figures,
        sequence: u16,
        ms: u64,
        picture: u8,
    }
    impl Scene {
        fn new() -> Scene {
            let mut figures = Figures::new();
            figures.begin(STREAM, Duration::from_secs(100));
            Scene { figures, sequence: 65_000, ms: 0, picture: 0 }
        }
        fn at(&self) -> Duration {
            Duration::from_secs(100) + Duration::from_millis(self.ms)
        }
        fn packet(&mut self, payload: &[u8], seen: Seen, ahead: u16) {
            self.sequence = self.sequence.wrapping_add(ahead);
            let time = (self.ms as u32).wrapping_mul(90).wrapping_sub(5_000);
            let packet = Packet { payload_type: 96, marker: true, sequence: self.sequence, time, source: 1, payload };
            let now = Arrived { monotonic: self.at(), wall: Timestamp(1_000_000 + self.ms as i64) };
            self.figures.packet(&packet, seen, now);
        }
        /// Pictures every 40 ms, two packets each, one in 25 a key.
        fn pictures(&mut self, count: usize, moving: bool) -> &mut Scene {
            for n in 0..count {
                self.picture = if moving { self.picture.wrapping_add(1) } else { 7 };
                let seen = Seen { key: n % 25 == 0, size: None };
                let payload = [self.picture; 500];
                self.packet(&payload, seen, 1);
                self.packet(&payload, seen, 1);
                self.ms += 40;
            }
            self
        }
        fn now(&mut self) -> Now {
            self.figures.settle();
            self.figures.now(PATIENCE, self.at())
        }
    }

    #[test]
    fn a_good_camera() {
        let mut scene = Scene::new();
        let now = scene.pictures(25 * 13, true).now();
        assert_eq!((now.connected, now.frozen, now.fps, now.bits_per_second), (true, false, Some(25.0), Some(200_000.0)));
        assert_eq!((now.totals.frames, now.totals.packets, now.totals.lost, now.totals.dropped), (325, 650, 0, 0));
        assert_eq!((now.key_gap, now.last_frame), (Some(Duration::from_secs(1)), Some(Timestamp(1_012_960))));
        assert!(now.jitter.unwrap() < Duration::from_millis(1), "{now:?}");
    }

    #[test]
    fn a_camera_that_freezes_and_comes_back() {
        let mut scene = Scene::new();
        scene.pictures(100, true).ms += 9_000;
        assert!(!scene.now().frozen);
        scene.ms += 1_000;
        let now = scene.now();
        assert_eq!((now.connected, now.frozen), (true, true));
        // A session that stalls and is begun again does not hide it.
        scene.figures.end(true);
        assert_eq!((scene.now().frozen, scene.now().totals.stalls), (true, 1));
        let at = scene.at();
        scene.figures.begin(STREAM, at);
        assert!(scene.now().frozen);
        scene.pictures(1, true);
        assert!(!scene.now().frozen);
        // Who is not connected is offline, not frozen.
        scene.figures.end(false);
        scene.ms += 60_000;
        let now = scene.now();
        assert_eq!((now.connected, now.frozen, now.fps), (false, false, Some(0.0)));
    }

    #[test]
    fn a_camera_that_sends_the_same_picture_for_ever() {
        let mut scene = Scene::new();
        assert!(!scene.pictures(25 * 8, false).now().frozen);
        let now = scene.pictures(25 * 10, false).now();
        assert_eq!((now.frozen, now.fps), (true, Some(25.0)));
        assert!(!scene.pictures(60, true).now().frozen);
    }

    #[test]
    fn whole_pictures_of_a_camera_that_freezes_in_two_ways() {
        let mut scene = Scene::new();
        let shows = |scene: &mut Scene, count: u64, moving: bool| {
            for n in 0..count {
                let hash = if moving { scene.ms + n } else { 7 };
                let now = Arrived { monotonic: scene.at(), wall: Timestamp(scene.ms as i64) };
                scene.figures.whole(&Whole { bytes: 1_000, hash, size: Some((640, 480)), kept: None }, now);
                scene.ms += 100;
            }
        };
        shows(&mut scene, 130, true);
        let now = scene.now();
        assert_eq!((now.frozen, now.fps, now.bits_per_second, now.size), (false, Some(10.0), Some(80_000.0), Some((640, 480))));
        assert_eq!((now.totals.frames, now.totals.bytes, now.totals.dropped, now.jitter), (130, 130_000, 0, None));
        shows(&mut scene, 95, false);
        assert!(!scene.now().frozen);
        shows(&mut scene, 10, false);
        assert_eq!((scene.now().frozen, scene.now().fps), (true, Some(10.0)));
        shows(&mut scene, 1, true);
        assert!(!scene.now().frozen);
        scene.ms += 10_000;
        assert!(scene.now().frozen);
        scene.figures.no_picture();
        assert_eq!(scene.now().totals.dropped, 1);
    }

    #[test]
    fn packets_that_are_lost_overtaken_or_begun_anew() {
        let mut scene = Scene::new();
        scene.pictures(10, true);
        scene.packet(&[1], Seen::default(), 4);
        scene.ms += 40;
        assert_eq!((scene.figures.now(PATIENCE, scene.at()).totals.lost, scene.now().totals.dropped), (3, 1));
        // One of the three comes late, and twice one that was there.
        scene.packet(&[1], Seen::default(), 65_535);
        scene.packet(&[1], Seen::default(), 1);
        assert_eq!(scene.now().totals.lost, 2);
        // A jump is no loss.
        scene.packet(&[1], Seen::default(), 20_000);
        scene.ms += 40;
        assert_eq!(scene.now().totals.lost, 2);
    }

    #[test]
    fn a_camera_that_leaves_frames_out() {
        let mut scene = Scene::new();
        for _ in 0..50 {
            scene.pictures(4, true).ms += 40;
        }
        let dropped = scene.now().totals.dropped;
        assert!((48..=50).contains(&dropped), "{dropped}");
        // One that is a little slow leaves nothing out.
        let mut slow = Scene::new();
        for _ in 0..250 {
            slow.pictures(1, true).ms += 1;
        }
        assert_eq!(slow.now().totals.dropped, 0);
    }

    #[test]
    fn other_sizes_are_counted() {
        let mut scene = Scene::new();
        for size in [(640, 480), (640, 480), (320, 240)] {
            scene.packet(&[1], Seen { key: false, size: Some(size) }, 1);
        }
        assert_eq!((scene.now().size, scene.now().totals.size_changes), (Some((320, 240)), 1));
    }
}
