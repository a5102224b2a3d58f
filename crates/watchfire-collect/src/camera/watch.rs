//! The life of one camera: a session, what comes of it, a wait, the next session. It speaks no protocol and tells no metric.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use url::Url;
use watchfire_model::camera::CameraStatus;
use watchfire_model::time::SharedClock;
use watchfire_net::backoff::Backoff;
use watchfire_net::client::Caller;
use watchfire_net::policy::Policy;
use watchfire_net::timed::Dialer;

use super::config::{Camera, Place, Source, Transport};
use super::figures::{Arrived, Figures, Now, RATE_SECONDS, Stream};
use super::hls::{self, Follower, HlsError, Poll};
use super::mjpeg::{self, Beginning, Form, MjpegError, Watch, Whole};
use super::picture::capture::Capture;
use super::picture::decoder::Decoder;
use super::picture::{Gray, Judge, Verdict};
use super::rtsp::codec::Codec;
use super::rtsp::{Described, Event, Session, SessionError};
use super::web::Asker;

/// So many times without a new picture make a camera frozen that is asked for single ones, however seldom.
const SNAPSHOTS_MISSED: u32 = 3;
/// A session in which nothing comes for so long is begun again; at least so many times what makes a camera frozen.
const STALLED_AFTER: Duration = Duration::from_secs(60);
const STALLED_FACTOR: u32 = 3;
/// Waits between sessions.
const WAIT_MIN: Duration = Duration::from_secs(1);
const WAIT_MAX: Duration = Duration::from_secs(30);
/// The wait after a camera took no password: many lock those out who try often.
const WAIT_LOGIN: Duration = Duration::from_secs(60);
/// A session that lasted so long was a good one: the next wait is short again.
const GOOD_AFTER: Duration = Duration::from_secs(60);

/// What is told of a camera.
pub(super) struct Settled {
    pub(super) now: Now,
    pub(super) errors: BTreeMap<&'static str, u64>,
    pub(super) set_up: Option<Duration>,
    /// The quality of the stream that is followed.
    pub(super) quality: String,
    /// What the latest pictures showed.
    pub(super) verdict: Option<Verdict>,
    pub(super) way: Way,
}

/// How what a camera gives is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// By its packets.
    Packets,
    /// By HTTP, in a form that may not be known yet.
    Web(Option<Form>),
}

/// One camera with what is known of it.
pub(super) struct Watched {
    pub(super) camera: Arc<Camera>,
    clock: SharedClock,
    state: Mutex<State>,
    /// Told when a picture waits to be looked at.
    captured: Notify,
}

struct State {
    figures: Figures,
    hls: hls::Figures,
    way: Way,
    codec: String,
    /// Why the last session ended or none began.
    error: Option<String>,
    errors: BTreeMap<&'static str, u64>,
    /// How long the last session took to begin.
    set_up: Option<Duration>,
    /// Whether there was a session before.
    had_session: bool,
    pictures: Pictures,
}

impl State {
    /// A session that was begun at a time is there; counts the reconnection, if it is one.
    fn began(&mut self, begin: Duration, now: Duration) -> u64 {
        self.set_up = Some(now.saturating_sub(begin));
        self.error = None;
        u64::from(std::mem::replace(&mut self.had_session, true))
    }
}

/// What is known of pictures that are looked at.
#[derive(Default)]
struct Pictures {
    /// The one that waits to be looked at.
    waiting: Option<(Codec, Vec<u8>)>,
    judge: Judge,
    verdict: Option<Verdict>,
    error: Option<String>,
}

/// How a session ended, or why there was none.
struct Ended {
    reason: &'static str,
    text: String,
    /// Nothing came any more.
    stalled: bool,
    /// Nobody let us in.
    locked_out: bool,
}
impl From<SessionError> for Ended {
    fn from(error: SessionError) -> Ended {
        let (stalled, locked_out) = (matches!(error, SessionError::Stalled(_)), matches!(error, SessionError::LogIn(_)));
        Ended { reason: error.reason(), text: error.to_string(), stalled, locked_out }
    }
}
impl From<MjpegError> for Ended {
    fn from(error: MjpegError) -> Ended {
        let reason = error.reason();
        Ended { reason, text: error.to_string(), stalled: matches!(error, MjpegError::Stalled(_)), locked_out: reason == "log_in" }
    }
}
impl From<HlsError> for Ended {
    fn from(error: HlsError) -> Ended {
        Ended { reason: error.reason(), text: error.to_string(), stalled: false, locked_out: error.reason() == "log_in" }
    }
}

/// Takes the pictures that come by HTTP.
struct Taking<'a> {
    watched: &'a Watched,
    /// When a picture was last kept to be looked at.
    looked: Option<Duration>,
}
impl Watch for Taking<'_> {
    fn wants(&self) -> bool {
        let now = self.watched.clock.monotonic();
        self.watched.camera.look.is_some_and(|look| self.looked.is_none_or(|at| now.saturating_sub(at) >= look.interval))
    }

    fn came(&mut self, picture: Option<Whole>) {
        let now = Arrived { monotonic: self.watched.clock.monotonic(), wall: self.watched.clock.now() };
        let mut state = self.watched.state();
        let Some(mut picture) = picture else { return state.figures.no_picture() };
        state.figures.whole(&picture, now);
        if let Some(kept) = picture.kept.take() {
            self.looked = Some(now.monotonic);
            state.pictures.waiting = Some((Codec::Jpeg, kept));
            self.watched.captured.notify_one();
        }
    }
}

/// What makes connections.
#[derive(Clone)]
pub(super) struct Ways {
    pub(super) dialer: Dialer,
    pub(super) caller: Arc<Caller>,
    pub(super) decoder: Arc<Decoder>,
}

impl Watched {
    pub(super) fn new(camera: Arc<Camera>, clock: SharedClock) -> Watched {
        let state = State {
            figures: Figures::new(),
            hls: hls::Figures::default(),
            way: match &camera.source {
                Source::Rtsp(..) => Way::Packets,
                Source::Web(_, form) => Way::Web(*form),
            },
            codec: String::new(),
            error: None,
            errors: BTreeMap::new(),
            set_up: None,
            had_session: false,
            pictures: Pictures::default(),
        };
        Watched { camera, clock, state: Mutex::new(state), captured: Notify::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Watches until told to stop.
    pub(super) async fn run(&self, ways: &Ways, stopped: oneshot::Receiver<()>) {
        tokio::select! {
            () = Box::pin(self.sessions(ways, stopped)) => {}
            () = Box::pin(self.look(&ways.decoder)) => {}
        }
    }

    /// Looks at pictures as they are captured, for ever.
    async fn look(&self, decoder: &Decoder) {
        loop {
            self.captured.notified().await;
            let Some((codec, picture)) = self.state().pictures.waiting.take() else { continue };
            let decoded = decoder.decode(codec, &picture).await;
            let mut state = self.state();
            match decoded {
                Ok(gray) => {
                    state.pictures.verdict = Some(state.pictures.judge.look(gray));
                    state.pictures.error = None;
                }
                Err(error) => {
                    if state.pictures.error.as_ref() != Some(&error) {
                        tracing::warn!(camera = self.camera.id, error, "a picture of the camera was not looked at");
                    }
                    state.pictures.verdict = None;
                    state.pictures.error = Some(error);
                }
            }
        }
    }

    /// The latest picture, where it may be shown.
    pub(super) fn picture(&self) -> Option<Vec<u8>> {
        self.camera.look.filter(|look| look.show)?;
        self.state().pictures.judge.last().map(Gray::bmp)
    }

    /// One session after the other until told to stop.
    async fn sessions(&self, ways: &Ways, stopped: oneshot::Receiver<()>) {
        let seed = self.camera.id.bytes().fold(7, |seed: u64, byte| seed.wrapping_mul(31).wrapping_add(u64::from(byte)));
        let mut waits = Backoff::new(WAIT_MIN, WAIT_MAX, seed);
        let mut stop = Box::pin(async move {
            // That whoever told us is gone means the same.
            drop(stopped.await);
        });
        loop {
            let begun = self.clock.monotonic();
            let ended = match &self.camera.source {
                Source::Rtsp(place, transport) => Box::pin(self.session((place, *transport), &ways.dialer, &mut stop)).await.map_err(Ended::from),
                Source::Web(place, form) => Box::pin(self.web(Asker::new(place, &ways.caller, self.camera.timeout), *form, &mut stop)).await,
            };
            let locked_out = match ended {
                Ok(()) => return,
                Err(ended) => {
                    let locked_out = ended.locked_out;
                    self.ended(ended);
                    locked_out
                }
            };
            if self.clock.monotonic().saturating_sub(begun) >= GOOD_AFTER {
                waits.reset();
            }
            let wait = if locked_out { WAIT_LOGIN } else { waits.next_wait() };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = &mut stop => return,
            }
        }
    }

    /// One session to its end; ends well only when told to stop.
    async fn session(
        &self,
        (place, transport): (&Place, Transport),
        dialer: &Dialer,
        stop: &mut (dyn Future<Output = ()> + Send + Unpin),
    ) -> Result<(), SessionError> {
        let begin = self.clock.monotonic();
        let policy = Policy::configured();
        let opened = tokio::select! {
            opened = tokio::time::timeout(self.camera.timeout, Box::pin(Session::open(place, transport, dialer, &policy))) => opened,
            () = &mut *stop => return Ok(()),
        };
        let (mut session, described) = opened.map_err(|_| SessionError::Timeout("the beginning of a session"))??;
        self.begun(&described, begin);
        let stalled_after = STALLED_AFTER.max(self.camera.frozen_after * STALLED_FACTOR);
        let mut last = self.clock.monotonic();
        let mut looking = self.camera.look.map(|look| (look.interval, Capture::new(described.codec, &described.units), None::<Duration>));
        let mut take = |event: Event<'_>| {
            let now = Arrived { monotonic: self.clock.monotonic(), wall: self.clock.now() };
            match event {
                Event::Packet(packet) => {
                    last = now.monotonic;
                    let seen = described.codec.look(packet.payload);
                    let mut state = self.state();
                    state.figures.packet(&packet, seen, now);
                    if let Some((interval, capture, looked)) = &mut looking
                        && let wanted = looked.is_none_or(|at| now.monotonic.saturating_sub(at) >= *interval)
                        && let Some(picture) = capture.take(&packet, wanted)
                    {
                        *looked = Some(now.monotonic);
                        state.pictures.waiting = Some((described.codec, picture));
                        self.captured.notify_one();
                    }
                    Ok(())
                }
                Event::Tick if now.monotonic.saturating_sub(last) >= stalled_after => Err(SessionError::Stalled(stalled_after)),
                Event::Tick => Ok(()),
            }
        };
        session.receive(&mut take, stop).await
    }

    fn begun(&self, described: &Described, begin: Duration) {
        let now = self.clock.monotonic();
        let mut state = self.state();
        let fps = self.camera.fps.or(described.media.framerate);
        state.figures.begin(Stream { clock: described.media.clock, fps, rate_seconds: RATE_SECONDS }, now);
        for unit in &described.units {
            state.figures.described(described.codec.look_at_unit(unit));
        }
        state.figures.totals.reconnects += state.began(begin, now);
        state.codec.clone_from(&described.media.encoding);
        tracing::info!(camera = self.camera.id, codec = state.codec, "the camera sends");
    }

    /// Watches what comes by HTTP until it ends; ends well only when told to stop.
    async fn web(&self, mut asker: Asker<'_>, form: Option<Form>, stop: &mut (dyn Future<Output = ()> + Send + Unpin)) -> Result<(), Ended> {
        if form == Some(Form::Hls) {
            return self.follow(asker, stop).await.map_err(Ended::from);
        }
        let begin = self.clock.monotonic();
        let what = mjpeg::what(form);
        let url = asker.root(what).map_err(MjpegError::from)?;
        let opened = async {
            let (at, answer) = asker.open(what, &url).await?;
            let mut beginning = Beginning::new(answer);
            let form = match form {
                Some(form) => form,
                None => beginning.form().await?,
            };
            Ok::<_, MjpegError>((at, beginning, form))
        };
        let (at, beginning, form) = tokio::select! {
            opened = Box::pin(opened) => opened?,
            () = &mut *stop => return Ok(()),
        };
        self.state().way = Way::Web(Some(form));
        match form {
            Form::Hls => {
                drop(beginning);
                if self.camera.look.is_some() {
                    self.state().pictures.error = Some("pictures of a stream by HLS are not looked at".to_owned());
                }
                self.follow(asker, stop).await.map_err(Ended::from)
            }
            Form::Mjpeg => {
                self.begun_web(begin);
                let stalled_after = STALLED_AFTER.max(self.camera.frozen_after * STALLED_FACTOR);
                let mut taking = Taking { watched: self, looked: None };
                tokio::select! {
                    ended = Box::pin(mjpeg::receive(beginning, stalled_after, &mut taking)) => ended.map_err(Ended::from),
                    () = &mut *stop => Ok(()),
                }
            }
            Form::Snapshot => {
                tokio::select! {
                    ended = Box::pin(self.ask(asker, (at, beginning), begin)) => ended.map_err(Ended::from),
                    () = &mut *stop => Ok(()),
                }
            }
        }
    }

    /// Asks for one picture after the other, the first of which is on its way; ends only in an error.
    async fn ask(&self, mut asker: Asker<'_>, (at, beginning): (Url, Beginning), begin: Duration) -> Result<(), MjpegError> {
        let mut taking = Taking { watched: self, looked: None };
        let mut beginning = Some(beginning);
        let mut first = true;
        loop {
            let asked = self.clock.monotonic();
            let answer = match beginning.take() {
                Some(beginning) => beginning,
                None => Beginning::new(asker.open(mjpeg::what(Some(Form::Snapshot)), &at).await?.1),
            };
            let picture = mjpeg::take(answer, taking.wants()).await?;
            if std::mem::take(&mut first) {
                self.begun_web(begin);
            }
            taking.came(Some(picture));
            let took = self.clock.monotonic().saturating_sub(asked);
            tokio::time::sleep(self.camera.interval.saturating_sub(took)).await;
        }
    }

    fn begun_web(&self, begin: Duration) {
        let now = self.clock.monotonic();
        let mut state = self.state();
        // Rates of pictures that are asked for seldom are those of several.
        let rate_seconds = match state.way {
            Way::Web(Some(Form::Snapshot)) => (self.camera.interval * SNAPSHOTS_MISSED).as_secs_f64().ceil() as u64,
            _ => 0,
        };
        state.figures.begin(Stream { clock: 90_000, fps: None, rate_seconds: rate_seconds.max(RATE_SECONDS) }, now);
        state.figures.totals.reconnects += state.began(begin, now);
        state.codec = "JPEG".to_owned();
        tracing::info!(camera = self.camera.id, "the camera gives pictures");
    }

    /// Follows a stream until it cannot be followed; ends well only when told to stop.
    async fn follow(&self, asker: Asker<'_>, stop: &mut (dyn Future<Output = ()> + Send + Unpin)) -> Result<(), HlsError> {
        let mut follower = Follower::new(asker);
        let (begin, mut first) = (self.clock.monotonic(), true);
        loop {
            let poll = tokio::select! {
                poll = Box::pin(follower.poll()) => poll?,
                () = &mut *stop => return Ok(()),
            };
            self.followed(&poll, first.then_some(begin));
            first = false;
            tokio::select! {
                () = tokio::time::sleep(follower.pause()) => {}
                () = &mut *stop => return Ok(()),
            }
        }
    }

    /// A look at a stream showed something; the first one of a session began at a time.
    fn followed(&self, poll: &Poll, begun: Option<Duration>) {
        let now = Arrived { monotonic: self.clock.monotonic(), wall: self.clock.now() };
        let mut state = self.state();
        state.hls.polled(poll, now);
        if let Some(begun) = begun {
            state.hls.totals.reconnects += state.began(begun, now.monotonic);
            tracing::info!(camera = self.camera.id, "the stream of the camera is there");
        }
    }

    fn ended(&self, ended: Ended) {
        let mut state = self.state();
        state.figures.end(ended.stalled);
        state.hls.end();
        *state.errors.entry(ended.reason).or_default() += 1;
        // A camera that stays away is told once.
        if state.error.as_ref() != Some(&ended.text) {
            tracing::warn!(camera = self.camera.id, error = ended.text, "there is no session with the camera");
        }
        state.error = Some(ended.text);
    }

    /// The figures now; pictures that are missing are counted up to here.
    pub(super) fn settled(&self) -> Settled {
        let mut state = self.state();
        state.figures.settle();
        Settled {
            now: self.now(&state),
            errors: state.errors.clone(),
            set_up: state.set_up,
            quality: state.hls.quality(),
            verdict: state.pictures.verdict,
            way: state.way,
        }
    }

    fn now(&self, state: &State) -> Now {
        let identical = state.pictures.verdict.is_some_and(|verdict| verdict.faults.identical);
        let monotonic = self.clock.monotonic();
        let now = match state.way {
            Way::Web(Some(Form::Hls)) => state.hls.now(self.camera.frozen_after, Arrived { monotonic, wall: self.clock.now() }),
            // How often we ask is no rate of the camera, and while we do not ask nothing new can come.
            Way::Web(Some(Form::Snapshot)) => {
                let patience = self.camera.frozen_after.max(self.camera.interval * SNAPSHOTS_MISSED);
                Now { fps: None, ..state.figures.now(patience, monotonic) }
            }
            Way::Packets | Way::Web(_) => state.figures.now(self.camera.frozen_after, monotonic),
        };
        Now { frozen: now.frozen || now.connected && identical, ..now }
    }

    pub(super) fn status(&self) -> CameraStatus {
        let state = self.state();
        let now = self.now(&state);
        CameraStatus {
            id: self.camera.id.clone(),
            name: self.camera.name.clone(),
            url: self.camera.shown.clone(),
            transport: match state.way {
                Way::Web(Some(form)) => form.word(),
                _ => self.camera.source.word(),
            },
            connected: now.connected,
            frozen: now.frozen,
            codec: Some(state.codec.clone()).filter(|codec| !codec.is_empty()),
            width: now.size.map(|size| size.0),
            height: now.size.map(|size| size.1),
            fps: now.fps.filter(|_| now.connected),
            expected_fps: self.camera.fps,
            bits_per_second: now.bits_per_second.filter(|_| now.connected),
            jitter: now.jitter,
            keyframe_interval: now.key_gap,
            packets: now.totals.packets,
            packets_lost: now.totals.lost,
            frames_dropped: now.totals.dropped,
            reconnects: now.totals.reconnects,
            last_frame: now.last_frame,
            latency: now.latency,
            faults: state.pictures.verdict.map(|verdict| verdict.faults.words()).unwrap_or_default(),
            picture: self.camera.look.is_some_and(|look| look.show) && state.pictures.judge.last().is_some(),
            error: state.error.clone().or_else(|| state.pictures.error.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use watchfire_model::time::{Clock as _, ManualClock, Timestamp};

    use super::super::config::tests::read_text;
    use super::*;

    #[test]
    fn the_rate_of_pictures_that_are_seldom_asked_for_is_that_of_several() {
        let clock = ManualClock::new(Timestamp(0));
        let camera = read_text("cameras:\n- {id: a, url: 'http://h/snap.jpg', kind: snapshot, interval: 30s}\n").0.remove(0);
        let watched = Watched::new(camera, clock.clone());
        watched.begun_web(clock.monotonic());
        let mut seen = Vec::new();
        for picture in 0..5u64 {
            Taking { watched: &watched, looked: None }.came(Some(Whole { bytes: 3_000, hash: picture, size: None, kept: None }));
            for _ in 0..3 {
                clock.advance(Duration::from_secs(10));
                seen.push(watched.status().bits_per_second.unwrap());
            }
        }
        // 3,000 bytes in 30 s. What came in the second in which the session began does not count.
        assert_eq!(seen[..2], [0.0; 2]);
        assert!(seen[3..].iter().all(|rate| (350.0..=1_300.0).contains(rate)), "{seen:?}");
        assert!(seen[10..].iter().all(|rate| (*rate - 800.0).abs() < 1.0), "{seen:?}");
    }

    #[test]
    fn a_camera_that_is_seldom_asked_is_not_frozen_between_two_questions() {
        let clock = ManualClock::new(Timestamp(0));
        let camera = read_text("cameras:\n- {id: a, url: 'http://h/snap.jpg', kind: snapshot, interval: 30s}\n").0.remove(0);
        let watched = Watched::new(camera, clock.clone());
        watched.begun_web(clock.monotonic());
        Taking { watched: &watched, looked: None }.came(Some(Whole { bytes: 9, hash: 1, size: None, kept: None }));
        for (seconds, frozen) in [(31, false), (58, false), (1, true)] {
            clock.advance(Duration::from_secs(seconds));
            assert_eq!((watched.status().connected, watched.status().frozen), (true, frozen), "after {seconds} more");
        }
    }
}
