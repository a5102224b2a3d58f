//! The doctor inside the server: the loaded files beside the series that there are, and the state of the machine. It looks when it
//! is asked, at most once a minute, and changes nothing.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use watchfire_api::app::{DoctorReport, StorageStats, Writes};
use watchfire_doctor::{Code, Diagnosis, Seen};
use watchfire_model::matcher::Matcher;
use watchfire_model::read::{Budget, MemoryPool, Selection, Source};
use watchfire_model::time::SharedClock;
use watchfire_store::Written;

use crate::check::site::Gathered;
use crate::settings::{self, Environment, Flags};

/// How long a report is given again.
const FRESH: Duration = Duration::from_secs(60);
/// How long reading what is stored may take.
const READ_TIME_MAX: Duration = Duration::from_secs(10);
/// The most memory that it may take.
const READ_MEMORY_MAX: u64 = 32 << 20;
/// The most samples that it may read.
const READ_SAMPLES_MAX: u64 = 100_000;
/// A store younger than this says nothing of what never comes.
const YOUNG: Duration = Duration::from_secs(3_600);
/// After this time it is told how much is written.
const TELLING: Duration = Duration::from_secs(60);
/// More than this a day is much for a small flash card, though a large one bears it.
const GIGABYTES_PER_DAY_MAX: f64 = 1.5;
/// More syncs a second than this wear a flash card whatever they write.
const SYNCS_PER_SECOND_MAX: f64 = 1.0;
/// With less than this share free, a disk is nearly full.
const FREE_SHARE_MIN: f64 = 0.1;
/// How often a cell of a plain flash card can be written.
const FLASH_CYCLES: f64 = 1_000.0;
/// How long such a card should last.
const FLASH_YEARS_MIN: f64 = 5.0;

/// What it needs of the other rooms.
pub(crate) struct Doctor {
    pub(crate) flags: Flags,
    pub(crate) environment: Environment,
    pub(crate) source: Arc<dyn Source>,
    pub(crate) memory: MemoryPool,
    pub(crate) storage: Arc<dyn Fn() -> StorageStats + Send + Sync>,
    pub(crate) written: Arc<dyn Fn() -> Written + Send + Sync>,
    /// The address where everybody has every level, if there is one.
    pub(crate) open_at: Option<String>,
    pub(crate) clock: SharedClock,
    pub(crate) started: Duration,
    pub(crate) last: Mutex<Option<(Duration, DoctorReport)>>,
}

impl Doctor {
    /// A report, at most a minute old. Blocks; a second question waits for the answer to the first.
    pub(crate) fn report(&self) -> DoctorReport {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.monotonic();
        if let Some((at, report)) = &*last
            && now.saturating_sub(*at) < FRESH
        {
            return report.clone();
        }
        let report = self.examine();
        *last = Some((self.clock.monotonic(), report.clone()));
        report
    }

    fn examine(&self) -> DoctorReport {
        let mut findings = Vec::new();
        let mut files = 0;
        // An error in a file is told where it is loaded; here the files that can be read count.
        if let Ok(loaded) = settings::load(&self.flags, &self.environment) {
            let rules = super::prometheus::read_all(&loaded.settings, &self.environment).0.map(|c| c.rules).unwrap_or_default();
            let gathered = Gathered::of_settings(&loaded.settings, rules);
            files = gathered.files();
            findings = gathered.check(Some(Arc::new(self.seen())));
        }
        let writes = self.writes();
        self.machine(&mut findings, writes);
        DoctorReport { checked_at: self.clock.now(), files, findings, writes }
    }

    fn budget(&self) -> Budget {
        Budget::within(Some(self.memory.clone()), self.clock.clone(), READ_TIME_MAX, READ_SAMPLES_MAX, READ_MEMORY_MAX)
    }

    /// What there has been lately.
    fn seen(&self) -> Seen {
        let now = self.clock.now();
        let oldest = (self.storage)().signals.iter().filter_map(|s| s.oldest).min();
        if oldest.is_none_or(|oldest| now.0.saturating_sub(oldest.0) < YOUNG.as_millis() as i64) {
            return Seen::default();
        }
        let start = now.plus_ms(-(crate::doctor::ALIVE.as_millis() as i64));
        let lately = Selection { matchers: Vec::new(), start, end: now };
        let values = |label: &str| Some(self.source.label_values(label, &lately, &self.budget()).ok()?.into_iter().collect());
        Seen { names: values(watchfire_model::labels::METRIC_NAME), jobs: values("job") }
    }

    /// What is wrong with the machine.
    fn machine(&self, findings: &mut Vec<Diagnosis>, writes: Option<Writes>) {
        let mut say = |code, subject: &str, message: String, suggestion: &str| {
            let (subject, suggestion) = (subject.to_owned(), Some(suggestion.to_owned()));
            findings.push(Diagnosis { code, file: "server".into(), line: 0, column: 0, subject, message, suggestion });
        };
        if self.latest("watchfire_clock_synced") == Some(0.0) {
            let message = "nobody keeps the clock of this machine right, so times of what is stored drift away from those of others".to_owned();
            say(Code::ClockNotSynced, "clock", message, "let a time service such as chrony or systemd-timesyncd run");
        }
        let storage = (self.storage)();
        let free = storage.disk_free_bytes as f64 / storage.disk_total_bytes as f64;
        if storage.disk_total_bytes > 0 && free < FREE_SHARE_MIN {
            let message = format!("{:.0} % of the disk of {} are free", free * 100.0, storage.data_dir);
            say(Code::DiskNearlyFull, "disk", message, "set storage.max_size or a shorter retention, or make room");
        }
        if let Some(address) = &self.open_at {
            let message = format!("authentication is off and {address} can be reached from elsewhere: whoever finds it may do everything");
            say(Code::OpenToAll, "access", message, "enable auth, or listen on 127.0.0.1");
        }
        if let Some(offline) = &storage.offline {
            say(Code::DataOffline, "storage", offline.clone(), "give the server more memory and bring them back");
        }
        // The first hour, with its start, says nothing of the days to come.
        let Some(writes) = writes.filter(|w| w.seconds > YOUNG.as_secs_f64()) else { return };
        let gigabytes = writes.bytes_per_day / 1e9;
        let years = storage.disk_total_bytes as f64 * FLASH_CYCLES / (writes.bytes_per_day * 365.0);
        let less = "scrape less often, drop series that nobody asks for, or use a better disk";
        if storage.disk_total_bytes > 0 && years < FLASH_YEARS_MIN {
            let message = format!("{gigabytes:.1} GB a day are written, which wears out a flash card of this size in {years:.1} years");
            say(Code::WritesWearFlash, "disk", message, less);
        } else if gigabytes > GIGABYTES_PER_DAY_MAX {
            let message = format!("{gigabytes:.1} GB a day are written; small flash cards bear {GIGABYTES_PER_DAY_MAX} GB for long");
            say(Code::WritesMuch, "disk", message, less);
        }
        if writes.syncs_per_second > SYNCS_PER_SECOND_MAX {
            let message = format!("the disk is synced {:.1} times a second, and flash cards write a whole block for each", writes.syncs_per_second);
            say(Code::SyncsOften, "disk", message, "a longer storage.sync_interval, or fewer commits of queues and services");
        }
    }

    /// What is written, and what that makes in the long run.
    fn writes(&self) -> Option<Writes> {
        let up = self.clock.monotonic().saturating_sub(self.started);
        let written = (self.written)();
        let seconds = up.as_secs_f64();
        (up >= TELLING).then(|| Writes {
            seconds,
            bytes: written.bytes(),
            bytes_per_day: written.bytes() as f64 / seconds * 86_400.0,
            syncs_per_second: written.syncs as f64 / seconds,
        })
    }

    /// The latest value of our own metric.
    fn latest(&self, name: &str) -> Option<f64> {
        let now = self.clock.now();
        let matchers = vec![Matcher::equal(watchfire_model::labels::METRIC_NAME, name), Matcher::equal("job", "watchfire")];
        let selection = Selection { matchers, start: now.plus_ms(-300_000), end: now };
        let mut latest = None;
        let read = self.source.select(&selection, &self.budget(), &mut |series| {
            latest = series.values.last().copied().or(latest);
            Ok(std::ops::ControlFlow::Continue(()))
        });
        read.ok().and(latest)
    }
}
