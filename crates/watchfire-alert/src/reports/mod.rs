//! Reports by mail: whether everything was all right in a day or a week, what was not, and what has changed, out of what is stored.
//!
//! `config` reads `reports:`, `schedule` says when one is due, `facts` and `errors` ask, `compose` makes a `page` of it in the `words` of a
//! language, `record` remembers what was sent. Pictures are painted by whoever knows dashboards.

mod compose;
mod config;
mod errors;
mod facts;
mod page;
mod record;
mod schedule;
#[cfg(test)]
mod tests;
mod words;

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;
use watchfire_model::meter::{Counter, Meter};
use watchfire_model::state::{StateError, StateStore};
use watchfire_model::time::{SharedClock, Timestamp};
use watchfire_net::blocking::spawn_blocking;

use self::page::Page;
use self::record::Record;
use self::schedule::Due;
use crate::manager::config::Smtp;
use crate::receivers::email::{Envelope, Mail, Picture, Post, parse_addresses};
use crate::receivers::{DELIVERY_TIME_MAX, DeliveryError};
use crate::rules::Asker;

pub use config::{Language, Report, read_list};
pub use facts::Spent;
pub use page::PAGE_STYLE;
pub use schedule::{Every, Schedule};

/// How often it is looked whether a report is due.
const TICK: Duration = Duration::from_secs(30);
/// Pauses before a report is tried again: twice as long each time.
const PAUSE_MS: i64 = 60_000;
const PAUSE_MAX_MS: i64 = 3_600_000;
/// What pictures of one mail may have together: mail servers take ten megabytes or more.
const PICTURES_BYTES_MAX: usize = 6 << 20;

/// Reports that are made or wait for their turn; one more is refused. One is made at a time.
const WAITING_MAX: usize = 5;

/// Paints a dashboard: its uid, the range in milliseconds, the name of a time zone.
pub type Paint = Arc<dyn Fn(&str, [i64; 2], Option<&str>) -> Painted + Send + Sync>;
/// A PNG, or why there is none.
pub type Painted = Pin<Box<dyn Future<Output = Result<Vec<u8>, String>> + Send>>;

/// What reports need of the house.
pub struct Parts {
    /// What is configured.
    pub reports: Vec<Report>,
    /// Who answers questions.
    pub asker: Asker,
    /// Where it is remembered what was sent.
    pub state: Arc<dyn StateStore>,
    /// The time.
    pub clock: SharedClock,
    /// Our figures.
    pub meter: Meter,
    /// How mail is sent where a report does not say it: what stands in the configuration of alerts now.
    pub smtp: Arc<dyn Fn() -> Smtp + Send + Sync>,
    /// What language models cost.
    pub spent: Option<Arc<dyn Fn() -> Spent + Send + Sync>>,
}

/// Reports.
pub struct Reports {
    parts: Parts,
    paint: OnceLock<Paint>,
    places: Semaphore,
    turn: Arc<Semaphore>,
    sent: Counter,
    failed: Counter,
    skipped: Counter,
}

/// How a report stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Status {
    /// Its name.
    pub name: String,
    /// Whether it is weekly.
    pub weekly: bool,
    /// When one that was due was sent last.
    pub sent: Option<Timestamp>,
    /// Tries of the one that is due that failed, with the one under way.
    pub failures: u32,
    /// Why the last of them did.
    pub error: Option<String>,
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// There is none of the name.
    #[error("there is no report of this name")]
    Unknown,
    /// It cannot be made.
    #[error("cannot make the report: {0}")]
    Unmade(String),
    /// It was not taken.
    #[error("cannot send the report: {0}")]
    Unsent(String),
}

/// A report that was made.
struct Made {
    subject: String,
    page: Page,
    pictures: Vec<Picture>,
}

impl Reports {
    /// Reports over a house.
    pub fn new(parts: Parts) -> Reports {
        let help = "Reports, by what became of them.";
        let counter = |outcome| parts.meter.counter("watchfire_reports_total", help, &[("outcome", outcome)]);
        Reports {
            sent: counter("sent"),
            failed: counter("failed"),
            skipped: counter("skipped"),
            paint: OnceLock::new(),
            places: Semaphore::new(WAITING_MAX),
            turn: Arc::new(Semaphore::new(1)),
            parts,
        }
    }
    /// Says who paints dashboards. The first call counts.
    pub fn painted_by(&self, paint: Paint) {
        let _first = self.paint.get_or_init(|| paint);
    }
    fn report(&self, name: &str) -> Result<&Report, ReportError> {
        self.parts.reports.iter().find(|report| report.name == name).ok_or(ReportError::Unknown)
    }
    /// How all of them stand. May block.
    pub fn status(&self) -> Vec<Status> {
        let status = |report: &Report| {
            let record = record::read(&*self.parts.state, &report.name).ok().flatten().unwrap_or_default();
            let sent = (record.sent_ms > 0).then_some(Timestamp(record.sent_ms));
            Status { name: report.name.clone(), weekly: report.schedule.every != Every::Day, sent, failures: record.failures, error: record.error }
        };
        self.parts.reports.iter().map(status).collect()
    }
    /// The report about the period up to its latest moment as a page, with its pictures in it.
    pub async fn preview(&self, name: &str) -> Result<String, ReportError> {
        let report = self.report(name)?;
        let due = self.due(report)?;
        let made = self.make(report, due, &|picture| format!("data:image/png;base64,{}", STANDARD.encode(&picture.png))).await?;
        Ok(made.page.for_browsers())
    }
    /// The whole mail as it would be sent when it is due, with its headers and pictures.
    pub async fn mail(&self, name: &str) -> Result<String, ReportError> {
        let report = self.report(name)?;
        let due = self.due(report)?;
        let (_, mail) = self.letter(report, due, &identity(report, due.at, "due"), &self.smtp(report)).await?;
        Ok(mail)
    }
    /// The same as text, without pictures.
    pub async fn text(&self, name: &str) -> Result<String, ReportError> {
        let report = self.report(name)?;
        let due = self.due(report)?;
        Ok(self.make(&Report { dashboards: Vec::new(), ..report.clone() }, due, &cid).await?.page.text())
    }
    /// Sends the report about the period up to its latest moment now; when it is due next does not change. It counts as sent.
    pub async fn send_now(&self, name: &str) -> Result<(), ReportError> {
        let report = self.report(name)?;
        let due = self.due(report)?;
        // Another mail than the one of the schedule, and than one that was asked for before.
        let id = identity(report, self.parts.clock.now(), "asked for");
        self.send(report, due, &id).await
    }
    fn due(&self, report: &Report) -> Result<Due, ReportError> {
        report.schedule.latest(self.parts.clock.now()).ok_or_else(|| ReportError::Unmade("the clock is beyond the calendar".to_owned()))
    }

    async fn make(&self, report: &Report, due: Due, source: &(dyn Fn(&Picture) -> String + Sync)) -> Result<Made, ReportError> {
        let unmade = |reason: &str| ReportError::Unmade(reason.to_owned());
        let _place = self.places.try_acquire().map_err(|_| unmade("others are being made; try again later"))?;
        let turn = self.turn.clone().acquire_owned().await.map_err(|_| unmade("the server is ending"))?;
        let asker = self.parts.asker.clone();
        let spent = self.parts.spent.as_ref().map(|ask| ask());
        // The turn goes along: the work goes on when nobody waits for it any more.
        let gathered = spawn_blocking(move || (facts::gather(&asker, due, spent), turn)).await;
        let (facts, _turn) = gathered.map_err(|error| {
            tracing::error!(%error, "making a report ended in a panic");
            unmade("it failed inside; the server's log says more")
        })?;
        let mut pictures: Vec<Picture> = Vec::new();
        let mut shown = Vec::new();
        for (index, uid) in report.dashboards.iter().enumerate() {
            let painted = match self.paint.get() {
                None => Err("nobody paints dashboards".to_owned()),
                Some(paint) => paint(uid, [due.from.millis(), due.at.millis()], report.schedule.zone.iana_name()).await,
            };
            let held: usize = pictures.iter().map(|p| p.png.len()).sum();
            let painted = painted.and_then(|png| match held + png.len() > PICTURES_BYTES_MAX {
                true => Err("the mail would be too large".to_owned()),
                false => Ok(png),
            });
            shown.push((
                uid.clone(),
                painted.map(|png| {
                    let picture = Picture { name: format!("dashboard{index}"), png };
                    let from = source(&picture);
                    pictures.push(picture);
                    from
                }),
            ));
        }
        Ok(Made { subject: compose::subject(report, due, &facts), page: compose::compose(report, due, &facts, shown), pictures })
    }

    fn smtp(&self, report: &Report) -> Smtp {
        report.smtp.clone().unwrap_or_else(|| (self.parts.smtp)())
    }
    /// Who gets a report, and the mail.
    async fn letter(&self, report: &Report, due: Due, id: &str, smtp: &Smtp) -> Result<(Envelope, String), ReportError> {
        let unsent = |reason: &str| ReportError::Unsent(reason.to_owned());
        let from = smtp.from.clone().ok_or_else(|| unsent("there is no sender: smtp_from must be set"))?;
        let senders = parse_addresses(&from).ok_or_else(|| unsent("the sender is no address"))?;
        let sender = senders.first().map(|mailbox| mailbox.address.clone()).unwrap_or_default();
        let people = parse_addresses(&report.to).ok_or_else(|| unsent("the recipients are no addresses"))?;
        let Made { subject, page, pictures } = self.make(report, due, &cid).await?;
        let mut mail = Mail::new(id, self.parts.clock.now());
        for (name, value) in [("Subject", &subject), ("To", &report.to), ("From", &from)] {
            mail.header(name, value);
        }
        mail.part("text/plain", &page.text());
        mail.html_with_pictures(&page.html(), &pictures);
        let envelope = Envelope { from: sender, to: people.into_iter().map(|mailbox| mailbox.address).collect() };
        Ok((envelope, mail.finish()))
    }

    async fn send(&self, report: &Report, due: Due, id: &str) -> Result<(), ReportError> {
        let smtp = self.smtp(report);
        let post = Post::of(&smtp).map_err(|reason| ReportError::Unsent(reason.to_owned()))?;
        let (envelope, mail) = self.letter(report, due, id, &smtp).await?;
        match post.send(&envelope, &mail, DELIVERY_TIME_MAX).await {
            Ok(refused) => {
                refused.iter().for_each(|reason| tracing::warn!(report = report.name, %reason, "a report went to the other recipients only"));
                self.sent.inc();
                Ok(())
            }
            Err(DeliveryError::Later { reason, .. } | DeliveryError::Never(reason)) => Err(ReportError::Unsent(reason)),
        }
    }

    /// Sends what is due and was not sent; called again and again. A report that was due while nobody was there is sent once, and is about
    /// the latest period.
    pub async fn look(&self) {
        for report in &self.parts.reports {
            if let Err(error) = self.look_at(report).await {
                tracing::error!(report = report.name, %error, "what is known of a report cannot be read or written");
            }
        }
    }
    /// Works with what is remembered where it may block: a commit waits for the disk.
    async fn remember<R: Send + 'static>(&self, work: impl FnOnce(&dyn StateStore) -> Result<R, StateError> + Send + 'static) -> Result<R, StateError> {
        let state = self.parts.state.clone();
        let done = spawn_blocking(move || work(&*state)).await;
        done.unwrap_or_else(|error| Err(StateError { doing: "work with reports", reason: error.to_string() }))
    }
    async fn write(&self, report: &Report, record: Record) -> Result<(), StateError> {
        let name = report.name.clone();
        self.remember(move |state| record::write(state, &name, &record)).await
    }
    async fn look_at(&self, report: &Report) -> Result<(), StateError> {
        let now = self.parts.clock.now();
        let Some(due) = report.schedule.latest(now) else { return Ok(()) };
        let name = report.name.clone();
        let mut record = match self.remember(move |state| record::read(state, &name)).await? {
            // A clock that went astray must not keep reports back for years.
            Some(record) if record.done_ms <= now.millis().saturating_add(record::AHEAD_MAX_MS) => record,
            // What was due before anybody wanted it is not sent.
            _ => return self.write(report, Record { done_ms: due.at.millis(), ..Record::default() }).await,
        };
        if record.done_ms >= due.at.millis() {
            return Ok(());
        }
        if record.due_ms != due.at.millis() {
            if record.failures > 0 {
                self.skipped.inc();
                tracing::warn!(report = report.name, failures = record.failures, "a report was never sent, and the next one is due");
            }
            record = Record { due_ms: due.at.millis(), failures: 0, next_ms: 0, error: None, ..record };
        }
        if now.millis() < record.next_ms && record.next_ms - now.millis() <= PAUSE_MAX_MS {
            return Ok(());
        }
        record.failures = record.failures.saturating_add(1);
        let pause = PAUSE_MS.saturating_mul(1 << (record.failures - 1).min(10)).min(PAUSE_MAX_MS);
        record.next_ms = now.millis().saturating_add(pause);
        // Before the try: one that ends us, or whose outcome cannot be written down, must not be made again and again without a pause.
        self.write(report, record.clone()).await?;
        // The same at each try, so that a mail that was taken just before a crash is recognised.
        let id = identity(report, due.at, "due");
        match self.send(report, due, &id).await {
            Ok(()) => {
                record = Record { done_ms: due.at.millis(), sent_ms: now.millis(), ..Record::default() };
                tracing::info!(report = report.name, "a report was sent");
            }
            Err(error) => {
                self.failed.inc();
                tracing::warn!(report = report.name, %error, pause_s = pause / 1_000, "a report was not sent");
                record.error = Some(error.to_string());
            }
        }
        self.write(report, record).await
    }
    /// Looks for ever; returns at once when there are no reports.
    pub async fn run(self: Arc<Reports>) {
        let known = self.clone();
        let forgotten = self.remember(move |state| {
            let names: Vec<&str> = known.parts.reports.iter().map(|report| report.name.as_str()).collect();
            record::forget_others(state, &names)
        });
        if let Err(error) = forgotten.await {
            tracing::error!(%error, "what is known of former reports cannot be removed");
        }
        if self.parts.reports.is_empty() {
            return;
        }
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.look().await;
        }
    }
}

/// What a mail is recognised by.
fn identity(report: &Report, at: Timestamp, why: &str) -> String {
    let digest = Sha256::digest(format!("report/{}/{why}/{}", report.name, at.millis()));
    digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

fn cid(picture: &Picture) -> String {
    format!("cid:{}", picture.name)
}
