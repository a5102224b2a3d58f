//! Carries observations to `POST /api/metrics/record`: callers put them into a bounded buffer, one thread sends it about once a
//! second. Counters are added up and gauges replaced before they are sent, so that a busy program costs few bytes. It knows no
//! metric by name.

mod buffer;
mod send;
#[cfg(test)]
pub(crate) mod tests;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use buffer::Buffer;
use send::{Answer, Server};

pub use buffer::{OBSERVATIONS_MAX, SERIES_MAX};

/// Where to report, and how often.
#[derive(Clone)]
pub struct Settings {
    /// The server's address, `http://127.0.0.1:8000` unless told otherwise.
    pub url: String,
    /// A token with level ingest, where authentication is on.
    pub token: Option<String>,
    /// How long observations are collected before they are sent.
    pub interval: Duration,
    /// How long one message may take.
    pub timeout: Duration,
}
impl Default for Settings {
    fn default() -> Settings {
        Settings { url: "http://127.0.0.1:8000".to_owned(), token: None, interval: Duration::from_secs(1), timeout: Duration::from_secs(5) }
    }
}
impl std::fmt::Debug for Settings {
    /// Without the token.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings").field("url", &self.url).field("interval", &self.interval).field("timeout", &self.timeout).finish_non_exhaustive()
    }
}
impl Settings {
    /// The defaults, changed by `WATCHFIRE_URL` and `WATCHFIRE_TOKEN`.
    #[expect(clippy::disallowed_methods, reason = "this is linked into programs that have no other configuration of ours")]
    pub fn from_environment() -> Settings {
        let given = |name| std::env::var(name).ok().filter(|v| !v.is_empty());
        let mut settings = Settings { token: given("WATCHFIRE_TOKEN"), ..Settings::default() };
        if let Some(url) = given("WATCHFIRE_URL") {
            settings.url = url;
        }
        settings
    }
}

/// Observations that never arrived, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// The buffer was full.
    pub full: u64,
    /// The server refused them: an unknown name, a wrong label, a bad value, or no right to record.
    pub refused: u64,
    /// They were sent and no answer came, so that they may or may not have been recorded. They are not sent twice.
    pub unanswered: u64,
}

#[derive(Default)]
struct Counts {
    full: AtomicU64,
    refused: AtomicU64,
    unanswered: AtomicU64,
}

/// What the sending thread has to do.
#[derive(Default)]
struct Wishes {
    /// Flushes that were asked for, and those that are done.
    asked: u64,
    done: u64,
    stop: bool,
}

struct Shared {
    buffer: Mutex<Buffer>,
    wishes: Mutex<Wishes>,
    changed: Condvar,
    counts: Counts,
}
impl Shared {
    fn buffer(&self) -> MutexGuard<'_, Buffer> {
        self.buffer.lock().unwrap_or_else(PoisonError::into_inner)
    }
    fn wishes(&self) -> MutexGuard<'_, Wishes> {
        self.wishes.lock().unwrap_or_else(PoisonError::into_inner)
    }
    fn put(&self, put: impl FnOnce(&mut Buffer) -> bool) {
        if !put(&mut self.buffer()) {
            self.counts.full.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Sends observations in the background. Dropping it sends what is left, within the time limit of a message.
pub struct Reporter {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Reporter {
    /// A reporter with a thread of its own.
    pub fn start(settings: Settings) -> std::io::Result<Reporter> {
        let shared = Arc::new(Shared { buffer: Mutex::default(), wishes: Mutex::default(), changed: Condvar::new(), counts: Counts::default() });
        let (theirs, server) = (shared.clone(), Server::new(&settings));
        let thread = std::thread::Builder::new().name("watchfire-sdk".into()).spawn(move || run(&theirs, &server, settings.interval))?;
        Ok(Reporter { shared, thread: Some(thread) })
    }
    /// Adds to a counter.
    pub fn add(&self, name: &'static str, labels: &[(&'static str, &str)], value: f64) {
        self.shared.put(|buffer| buffer.add(name, labels, value));
    }
    /// Sets a gauge.
    pub fn set(&self, name: &'static str, labels: &[(&'static str, &str)], value: f64) {
        self.shared.put(|buffer| buffer.set(name, labels, value));
    }
    /// Observes a value of a histogram.
    pub fn observe(&self, name: &'static str, labels: &[(&'static str, &str)], value: f64) {
        self.shared.put(|buffer| buffer.observe(name, labels, value));
    }
    /// What was dropped so far.
    pub fn dropped(&self) -> Dropped {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let counts = &self.shared.counts;
        Dropped { full: of(&counts.full), refused: of(&counts.refused), unanswered: of(&counts.unanswered) }
    }
    /// Tries at once to send what there is, and waits until that was tried, at most so long. Returns whether nothing is left.
    pub fn flush(&self, patience: Duration) -> bool {
        let mut wishes = self.shared.wishes();
        wishes.asked += 1;
        let mine = wishes.asked;
        self.shared.changed.notify_all();
        let waited = self.shared.changed.wait_timeout_while(wishes, patience, |w| w.done < mine);
        let tried = waited.map_or_else(|e| !e.into_inner().1.timed_out(), |(_, timeout)| !timeout.timed_out());
        tried && self.shared.buffer().is_empty()
    }
}
impl Drop for Reporter {
    fn drop(&mut self) {
        self.shared.wishes().stop = true;
        self.shared.changed.notify_all();
        // The thread sends the rest and ends; if it panicked, there is nobody left to tell.
        self.thread.take().map(JoinHandle::join);
    }
}

/// The life of the sending thread.
fn run(shared: &Shared, server: &Server, interval: Duration) {
    let mut pause = interval;
    loop {
        let wishes = shared.wishes();
        let before = wishes.done;
        let waited = shared.changed.wait_timeout_while(wishes, pause, |w| !w.stop && w.asked == w.done);
        let (asked, stop) = waited.map_or((before, true), |(w, _)| (w.asked, w.stop));
        let arrived = send_all(shared, server);
        shared.wishes().done = asked;
        shared.changed.notify_all();
        if stop {
            return;
        }
        // A server that is away is asked less and less often.
        pause = if arrived { interval } else { (pause * 2).min(interval.max(Duration::from_secs(30))) };
    }
}

/// Sends messages until nothing is left or the server cannot take more now; returns whether it could.
fn send_all(shared: &Shared, server: &Server) -> bool {
    loop {
        let message = shared.buffer().take();
        if message.is_empty() {
            return true;
        }
        let items = message.len() as u64;
        match server.send(&message) {
            Answer::Taken { refused } => shared.counts.refused.fetch_add(refused, Ordering::Relaxed),
            Answer::Refused => shared.counts.refused.fetch_add(items, Ordering::Relaxed),
            Answer::Unanswered => shared.counts.unanswered.fetch_add(items, Ordering::Relaxed),
            Answer::Later => {
                let lost = shared.buffer().put_back(message);
                shared.counts.full.fetch_add(lost, Ordering::Relaxed);
                return false;
            }
        };
    }
}
