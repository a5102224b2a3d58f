//! The loop of one target: wait, fetch, parse, write, note how it went. Usual bodies are parsed and written on the scraping
//! thread itself, which has nothing else to do; large ones on a blocking thread, so that the other targets stay on time.
//! Scrapes of one target never overlap: a scrape that takes longer than its interval makes the next one skip.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};
use watchfire_model::batch::Batch;
use watchfire_model::live::LastScrape;
use watchfire_model::time::Timestamp;

use super::alias::Alias;
use super::config::{Authorization, HttpOptions, ScrapeConfig, SecretSource};
use super::fetch::{Answer, FetchError, Request, scrape_request};
use super::format::encoding_of;
use super::intake::{Counts, Facts, Intake};
use super::manager::Env;
use super::target::Target;
use watchfire_net::blocking::spawn_blocking;

/// A scrape that is late by less than this is given the time at which it was due.
const TOLERANCE_MS: u64 = 2;
/// How long an alias is followed before the real address is tried again.
const ALIAS_MS: u64 = 60_000;

/// Bodies up to this size are parsed and written without a change of threads, which would cost as much as the work itself.
const INLINE_BYTES_MAX: usize = 1 << 20;

/// What a loop is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Scrape.
    Run,
    /// Scrape no more; end the series after a while, unless the target comes back.
    End,
    /// Stop at once and give the state back.
    Release,
}

/// How a target is doing, for the list of targets.
#[derive(Default)]
pub(super) struct Status(Mutex<Shown>);
#[derive(Clone, Default)]
pub(super) struct Shown {
    pub(super) last: Option<LastScrape>,
    pub(super) alias_of: Option<String>,
}
impl Status {
    pub(super) fn shown(&self) -> Shown {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
    fn change(&self, change: impl FnOnce(&mut Shown)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// The loop of one target.
pub(super) struct Worker {
    pub(super) env: Arc<Env>,
    pub(super) job: Arc<ScrapeConfig>,
    pub(super) target: Arc<Target>,
    pub(super) status: Arc<Status>,
    /// Why no target of the job may be scraped (too many of them), if so.
    pub(super) barred: Arc<Mutex<Option<String>>>,
    /// Until when (monotonic) the alias is followed.
    pub(super) alias_until: Option<Duration>,
    /// Whether anybody has ever answered at the real address.
    pub(super) answered: bool,
}

impl Worker {
    /// Runs until told otherwise; gives its state back unless the series have ended.
    pub(super) async fn run(mut self, intake: Box<Intake>, mut order: watch::Receiver<Order>) -> Option<Box<Intake>> {
        let interval = Duration::from_millis(self.target.interval_ms.max(1));
        let first = Instant::now() + self.offset();
        let mut ticks = tokio::time::interval_at(first, interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut intake = Some(intake);
        let mut due: Option<Timestamp> = None;
        let mut next = first;
        loop {
            tokio::select! {
                biased;
                _ = order.wait_for(|o| *o != Order::Run) => break,
                tick = ticks.tick() => next = tick + interval,
            }
            let time = align(self.env.clock.now(), due, self.target.interval_ms);
            due = Some(time.plus_ms(self.target.interval_ms as i64));
            let fetched = tokio::select! {
                biased;
                _ = order.wait_for(|o| *o != Order::Run) => break,
                fetched = self.fetch() => fetched,
            };
            intake = Some(self.take(intake.take(), fetched, time).await);
        }
        let stale_at = due.unwrap_or_else(|| self.env.clock.now());
        self.end(intake?, order, next, stale_at).await
    }

    /// Waits for a little more than one further interval, then ends all series: a target that comes back in time goes on
    /// without a gap.
    async fn end(self, mut intake: Box<Intake>, mut order: watch::Receiver<Order>, next: Instant, stale_at: Timestamp) -> Option<Box<Intake>> {
        let deadline = next + Duration::from_millis(self.target.interval_ms + self.target.interval_ms / 10);
        tokio::select! {
            biased;
            _ = order.wait_for(|o| *o == Order::Release) => return Some(intake),
            () = tokio::time::sleep_until(deadline) => {}
        }
        let env = self.env.clone();
        let written = spawn_blocking(move || env.write(intake.end(stale_at))).await;
        if written.is_err() {
            self.env.meters.panics.inc();
        }
        None
    }

    /// How long to wait for the first scrape, so that targets spread over the interval and keep their place over restarts.
    fn offset(&self) -> Duration {
        let interval = self.target.interval_ms.max(1);
        let place = (self.target.key ^ self.env.offset_seed) % interval;
        let now = self.env.clock.now().millis().rem_euclid(interval as i64) as u64;
        Duration::from_millis((place + interval - now) % interval)
    }

    async fn fetch(&mut self) -> (Duration, Result<Answer, FetchError>) {
        let started = self.env.clock.monotonic();
        let barred = self.barred.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let answer = match barred {
            Some(reason) => Err(FetchError::Other(reason)),
            None => self.within_timeout(started).await,
        };
        let good = answer.and_then(|answer| match answer.status {
            200 => Ok(answer),
            status => Err(FetchError::Status(status_text(status))),
        });
        (started, good)
    }
    async fn within_timeout(&mut self, started: Duration) -> Result<Answer, FetchError> {
        let timeout = Duration::from_millis(self.target.timeout_ms);
        tokio::time::timeout(timeout, self.direct_or_alias(started)).await.unwrap_or(Err(FetchError::Timeout(timeout)))
    }
    async fn direct_or_alias(&mut self, started: Duration) -> Result<Answer, FetchError> {
        let request = scrape_request(&self.job, &self.target);
        let (host, port) = self.target.host_and_port();
        let Some(alias) = (self.env.aliases)(&host, port) else { return self.env.fetch.get(request).await };
        if self.alias_until.is_some_and(|until| started < until) {
            return self.env.fetch.get(aliased(request, &alias, &self.target)).await;
        }
        match self.direct(request.clone()).await {
            Err(FetchError::Connect(_)) => {
                self.alias_until = Some(started + Duration::from_millis(ALIAS_MS));
                self.status.change(|s| s.alias_of = Some(alias.component.clone()));
                self.env.fetch.get(aliased(request, &alias, &self.target)).await
            }
            other => {
                self.answered |= other.is_ok();
                self.alias_until = None;
                self.status.change(|s| s.alias_of = None);
                other
            }
        }
    }
    /// Asks the real address of a target that has an alias. While nobody has ever answered there, half the time is enough:
    /// looking up a name that is gone may take long, and the alias needs the rest.
    async fn direct(&self, request: Request) -> Result<Answer, FetchError> {
        let address = self.target.address.clone();
        let asked = self.env.fetch.get(request);
        match self.answered {
            true => asked.await,
            false => {
                let half = Duration::from_millis(self.target.timeout_ms / 2);
                tokio::time::timeout(half, asked).await.unwrap_or(Err(FetchError::Connect(address)))
            }
        }
    }

    /// Parses and writes, and notes how the scrape went.
    async fn take(&self, intake: Option<Box<Intake>>, (started, fetched): (Duration, Result<Answer, FetchError>), time: Timestamp) -> Box<Intake> {
        let intake = intake.unwrap_or_else(|| Box::new(Intake::new(&self.job, &self.target)));
        let scrape = Scrape { env: self.env.clone(), job: self.job.clone(), target: self.target.clone(), started, time };
        let done = match fetched.as_ref().map_or(0, |answer| answer.body.len()) {
            0..=INLINE_BYTES_MAX => std::panic::catch_unwind(AssertUnwindSafe(|| scrape.take(intake, fetched))).ok(),
            _ => spawn_blocking(move || scrape.take(intake, fetched)).await.ok(),
        };
        let (intake, last) = match done {
            Some(done) => done,
            None => {
                // The state went down with the panic; the next scrape begins anew.
                self.env.meters.panics.inc();
                let error = "BUG: parsing this target's answer failed".to_owned();
                (Box::new(Intake::new(&self.job, &self.target)), LastScrape { at: time, duration_s: 0.0, error })
            }
        };
        self.status.change(|s| s.last = Some(last));
        intake
    }
}

/// The part of a scrape that computes and writes.
struct Scrape {
    env: Arc<Env>,
    job: Arc<ScrapeConfig>,
    target: Arc<Target>,
    started: Duration,
    time: Timestamp,
}
impl Scrape {
    fn take(self, mut intake: Box<Intake>, fetched: Result<Answer, FetchError>) -> (Box<Intake>, LastScrape) {
        let known = intake.series();
        let (mut batch, counts, body_bytes, error) = self.read(&mut intake, fetched);
        let seconds = self.env.clock.monotonic().saturating_sub(self.started).as_secs_f64();
        let facts = Facts { up: error.is_none(), seconds, body_bytes };
        intake.report(&mut batch, self.time, counts, facts, &self.job, &self.target);
        self.env.count(&counts, error.is_some());
        self.env.write(batch);
        tracing::trace!(job = self.job.name, known, "scraped");
        (intake, LastScrape { at: self.time, duration_s: seconds, error: error.unwrap_or_default() })
    }

    fn read(&self, intake: &mut Intake, fetched: Result<Answer, FetchError>) -> (Batch, Counts, i64, Option<String>) {
        let answer = match fetched {
            Ok(answer) => answer,
            Err(error) => {
                let bytes = if matches!(error, FetchError::TooLarge(_)) { -1 } else { 0 };
                return (intake.nothing(self.time), Counts::default(), bytes, Some(error.to_string()));
            }
        };
        let encoding = encoding_of(&answer.content_type, self.job.fallback_protocol);
        let (batch, counts, taken) = intake.take(&answer.body, encoding, self.time, &self.job, &self.target);
        (batch, counts, answer.body.len() as i64, taken.err().map(|e| e.to_string()))
    }
}

/// The time of a scrape: when it was due if it is hardly late, else now.
fn align(now: Timestamp, due: Option<Timestamp>, interval_ms: u64) -> Timestamp {
    let Some(due) = due else { return now };
    let interval = interval_ms.max(1) as i64;
    let tolerance = TOLERANCE_MS.min(interval_ms / 100) as i64;
    let late = now.millis().saturating_sub(due.millis());
    // Whole intervals may have been skipped.
    let skipped = if late > 0 { late / interval * interval } else { 0 };
    let due = due.plus_ms(skipped);
    if now.millis().abs_diff(due.millis()) <= tolerance as u64 { due } else { now }
}

fn aliased(mut request: Request, alias: &Alias, target: &Target) -> Request {
    request.url = format!("http://{}{}{}", alias.address, alias.path_prefix, target.path);
    // Credentials for somebody else are not for us.
    let authorization = alias.token.clone().map(|token| Authorization::Header { scheme: "Bearer".to_owned(), credentials: SecretSource::Inline(token) });
    request.options = Arc::new(HttpOptions { authorization: authorization.unwrap_or_default(), ..HttpOptions::default() });
    request
}

fn status_text(status: u16) -> String {
    let reason = http::StatusCode::from_u16(status).ok().and_then(|s| s.canonical_reason());
    reason.map_or_else(|| status.to_string(), |reason| format!("{status} {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_aligned_within_two_milliseconds() {
        let check = |now: i64, due: Option<i64>, interval, expected: i64| {
            assert_eq!(align(Timestamp(now), due.map(Timestamp), interval), Timestamp(expected), "{now} {due:?}");
        };
        check(5, None, 1_000, 5);
        check(1_001, Some(1_000), 1_000, 1_000);
        check(1_002, Some(1_000), 1_000, 1_000);
        check(1_003, Some(1_000), 1_000, 1_003);
        check(999, Some(1_000), 1_000, 1_000);
        check(3_001, Some(1_000), 1_000, 3_000);
        // With a short interval the tolerance is 1 % of it.
        check(101, Some(100), 50, 101);
        // A clock that was set back is believed.
        check(-50_000, Some(1_000), 1_000, -50_000);
    }
}
