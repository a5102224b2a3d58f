//! The doctor inside the server: the loaded files beside the series that there are, and the state of the machine. It looks when it
//! is asked, at most once a minute, reads files again only when they have changed, and changes nothing.

mod files;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use watchfire_api::app::{DoctorReport, StorageStats, Writes};
use watchfire_doctor::{Code, Diagnosis, Live, Seen};
use watchfire_ingest::gate::{OverLimit, Whose};
use watchfire_model::document::{Finding, Severity};
use watchfire_model::matcher::Matcher;
use watchfire_model::read::{Budget, MemoryPool, Selection, Source};
use watchfire_model::time::SharedClock;
use watchfire_store::Written;

use self::files::{Unchanged, Watched};
use crate::check::site::Gathered;
use crate::settings::{self, Environment, Flags, ForeignFile};

/// How long a report is given again.
const FRESH: Duration = Duration::from_secs(60);
/// How long findings about files hold while these do not change: some of what they name (templates, secrets) is not watched.
const KEPT: Duration = Duration::from_secs(3_600);
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
    /// Sources that send more series than they may.
    pub(crate) over_limit: Arc<dyn Fn() -> Vec<OverLimit> + Send + Sync>,
    /// The address where everybody has every level, if there is one.
    pub(crate) open_at: Option<String>,
    pub(crate) clock: SharedClock,
    pub(crate) started: Duration,
    pub(crate) last: Mutex<Option<(Duration, DoctorReport)>>,
    /// What was found in the files.
    pub(crate) kept: Mutex<Option<Kept>>,
}

/// What was found in files when they were last read. It keeps no file.
pub(crate) struct Kept {
    findings: Vec<Diagnosis>,
    files: usize,
    read: Duration,
    /// Nothing when the files may have changed while they were read.
    unchanged: Option<Unchanged>,
    asked: Arc<Asked>,
    /// The sockets through which containers are read.
    sockets: BTreeSet<PathBuf>,
}
impl Kept {
    /// Whether reading all files again would find the same.
    fn is_current(&self, seen: &Seen, now: Duration) -> bool {
        now.saturating_sub(self.read) < KEPT && self.unchanged.as_ref().is_some_and(Unchanged::holds) && self.asked.would_be_answered_by(seen)
    }
}

/// What a server has had lately, with what was asked of it: as long as the answers are the same, so are the findings.
struct Asked {
    seen: Seen,
    answers: Mutex<BTreeMap<(About, String), Option<bool>>>,
}

/// What is asked for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum About {
    Series,
    Job,
}
impl About {
    fn of(self, seen: &Seen, name: &str) -> Option<bool> {
        match self {
            About::Series => seen.has_series(name),
            About::Job => seen.has_job(name),
        }
    }
}
impl Asked {
    fn ask(&self, about: About, name: &str) -> Option<bool> {
        let answer = about.of(&self.seen, name);
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).insert((about, name.to_owned()), answer);
        answer
    }
    fn would_be_answered_by(&self, seen: &Seen) -> bool {
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.iter().all(|((about, name), answer)| about.of(seen, name) == *answer)
    }
}
impl Live for Asked {
    fn has_series(&self, name: &str) -> Option<bool> {
        self.ask(About::Series, name)
    }
    fn has_job(&self, job: &str) -> Option<bool> {
        self.ask(About::Job, job)
    }
}

/// Errors of whoever reads the files for work. Their files are watched, too.
fn cannot_be_read(findings: &[Finding], watched: &mut Watched) -> Vec<Diagnosis> {
    let errors: Vec<&Finding> = findings.iter().filter(|f| f.severity == Severity::Error).collect();
    watched.paths.extend(errors.iter().map(|f| PathBuf::from(&*f.file)));
    errors.into_iter().map(|f| Diagnosis::of_file(Code::CannotBeRead, f)).collect()
}

/// A socket through which containers are to be read, and cannot be.
fn no_socket(path: &Path) -> Option<Diagnosis> {
    let message = watchfire_collect::logs::containers::socket_problem(path)?;
    let (file, subject) = ("server".into(), "containers".to_owned());
    Some(Diagnosis { code: Code::NoContainerSocket, file, line: 0, column: 0, subject, message, suggestion: None })
}

/// A source with more series than it may have, in words, and what can be done.
fn said_of(OverLimit { origin, whose, active, limit, refused }: &OverLimit) -> (String, &'static str) {
    let (who, one, suggestion) = match whose {
        Whose::Origin => (origin.to_string(), "one source", "raise storage.source_series_max, or have the sender send fewer series"),
        Whose::Part => (
            format!("a target of {origin}"),
            "one target",
            "raise storage.source_series_max, or drop series with metric_relabel_configs: scrape_samples_post_metric_relabeling says how many each has",
        ),
        Whose::AllParts => (
            format!("all targets of {origin}"),
            "the targets of one job",
            "raise storage.series_max, divide the targets among several jobs, or drop series with metric_relabel_configs",
        ),
    };
    let have = if *whose == Whose::AllParts { "have" } else { "has" };
    (format!("{who} {have} {active} series, of {limit} that {one} may have; others were refused {refused} times and are not stored"), suggestion)
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
        let seen = self.seen();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.monotonic();
        if !kept.as_ref().is_some_and(|kept| kept.is_current(&seen, now)) {
            *kept = Some(self.look(seen, now));
        }
        let (files, mut findings) = kept.as_ref().map(|kept| (kept.files, kept.findings.clone())).unwrap_or_default();
        // They come and go with the engine, whatever stands in the files.
        let sockets = kept.as_ref().map(|kept| kept.sockets.clone()).unwrap_or_default();
        drop(kept);
        findings.extend(sockets.iter().filter_map(|path| no_socket(path)));
        let writes = self.writes();
        self.machine(&mut findings, writes);
        DoctorReport { checked_at: self.clock.now(), files, findings, writes }
    }

    /// Reads every file and looks at it.
    fn look(&self, seen: Seen, now: Duration) -> Kept {
        let began = std::time::UNIX_EPOCH + Duration::from_millis(u64::try_from(self.clock.now().millis()).unwrap_or(0));
        let mut watched = Watched::default();
        let mut findings = Vec::new();
        let mut files = 0;
        let mut sockets = BTreeSet::new();
        let asked = Arc::new(Asked { seen, answers: Mutex::default() });
        watched.paths.extend(settings::file(&self.flags, &self.environment));
        match settings::load(&self.flags, &self.environment) {
            Err(errors) => findings.extend(cannot_be_read(&errors, &mut watched)),
            Ok(loaded) => {
                let named = loaded.settings.foreign.iter().filter_map(|foreign| match &foreign.source {
                    ForeignFile::Path(path) => Some(path.clone()),
                    ForeignFile::Content(_) => None,
                });
                watched.paths.extend(named);
                let pieces = super::prometheus::read_pieces(&loaded.settings, &self.environment);
                findings.extend(cannot_be_read(&pieces.findings, &mut watched));
                sockets.extend(pieces.logs.iter().flat_map(|logs| &logs.containers).map(|source| source.socket.clone()));
                if let Some(config) = &pieces.prometheus {
                    watched.patterns = (config.lookup.clone(), config.rule_files.clone());
                }
                let mut gathered = Gathered::of_settings(&loaded.settings, pieces.rules);
                if !findings.is_empty() {
                    gathered.miss_rules();
                }
                gathered.forget_said(&pieces.findings);
                watched.paths.extend(gathered.paths().cloned());
                files = gathered.files();
                findings.extend(gathered.check(Some(asked.clone())));
            }
        }
        Kept { findings, files, read: now, unchanged: Unchanged::since(began, watched), asked, sockets }
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
        for over in (self.over_limit)() {
            let (message, suggestion) = said_of(&over);
            say(Code::SourceSeriesLimit, &over.origin, message, suggestion);
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs::{File, FileTimes};
    use std::path::Path;
    use std::time::SystemTime;

    use watchfire_model::time::{ManualClock, Timestamp};
    use watchfire_store::{Options, Store};

    use super::*;

    const NOW: u64 = 2_000_000_000;

    #[test]
    fn whose_limit_is_met_is_said_with_what_helps() {
        for (whose, begin, help) in [
            (Whose::Origin, "scrape/a has 7 series, of 5 that one source may have", "storage.source_series_max"),
            (Whose::Part, "a target of scrape/a has 7 series, of 5 that one target may have", "storage.source_series_max"),
            (Whose::AllParts, "all targets of scrape/a have 7 series, of 5 that the targets of one job may have", "storage.series_max"),
        ] {
            let (message, suggestion) = said_of(&OverLimit { origin: "scrape/a".into(), whose, active: 7, limit: 5, refused: 3 });
            assert!(message.starts_with(begin) && message.ends_with("others were refused 3 times and are not stored"), "{message}");
            assert!(suggestion.contains(help), "{suggestion}");
        }
    }

    /// Writes a file that was changed long ago.
    fn write(path: &Path, text: &str, seconds_ago: u64) {
        std::fs::write(path, text).unwrap();
        let changed = SystemTime::UNIX_EPOCH + Duration::from_secs(NOW - seconds_ago);
        File::options().write(true).open(path).unwrap().set_times(FileTimes::new().set_modified(changed)).unwrap();
        let dir = File::open(path.parent().unwrap()).unwrap();
        dir.set_times(FileTimes::new().set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000))).unwrap();
    }

    fn doctor(config: &Path, clock: &Arc<ManualClock>) -> Doctor {
        Doctor {
            flags: Flags { config: Some(config.to_path_buf()), ..Flags::default() },
            environment: Environment::default(),
            source: Arc::new(Store::open(Options::new(config.parent().unwrap().join("data"), clock.clone())).unwrap()),
            memory: MemoryPool::new(1 << 20),
            storage: Arc::new(StorageStats::default),
            written: Arc::new(Written::default),
            over_limit: Arc::new(Vec::new),
            open_at: None,
            clock: clock.clone(),
            started: Duration::ZERO,
            last: Mutex::default(),
            kept: Mutex::default(),
        }
    }

    /// Findings as lines, and how many files there are.
    fn seen(doctor: &Doctor, dir: &Path) -> (Vec<String>, usize) {
        let report = doctor.report();
        (report.findings.iter().map(|d| d.finding().to_string().replace(&format!("{}/", dir.display()), "")).collect(), report.files)
    }

    #[test]
    fn what_cannot_be_read_is_an_error_with_its_place() {
        let dir = tempfile::tempdir().unwrap();
        let clock = ManualClock::new(Timestamp(NOW as i64 * 1_000));
        let path = |name: &str| dir.path().join(name);
        let check = |files: &[(&str, &str)], expected: &[&str], count: usize| {
            for (name, text) in files {
                write(&path(name), text, 100);
            }
            assert_eq!(seen(&doctor(&path("w.yml"), &clock), dir.path()), (expected.iter().map(|e| (*e).to_owned()).collect(), count));
        };
        check(&[("w.yml", "a: [1\n")], &["w.yml:2:1: error: file: while parsing a flow sequence, expected ',' or ']' [cannot-be-read]"], 0);
        check(&[("w.yml", "querry: {}\n")], &["w.yml:1:1: error: file: unknown key \"querry\" in the file; did you mean \"query\"? [cannot-be-read]"], 0);
        let manager =
            "route:\n  receiver: a\n  routes: [{match: {alertname: Gone}, receiver: a}]\nreceivers: [{name: a, webhook_configs: [{url: 'http://x/'}]}]\n";
        let site = "prometheus: p.yml\nalertmanager: a.yml\n";
        // The broken file may hold the rule that the route is for.
        let files = [
            ("w.yml", site),
            ("p.yml", "rule_files: [r.yml, s.yml]\n"),
            ("a.yml", manager),
            ("r.yml", "groups: [{name: g, rules: [{alert: A, expr: vector(1) > 1}]}]\n"),
            ("s.yml", "groups:\n- name: g\n  rules:\n  - alert: Gone\n    expr: sum(\n"),
        ];
        let broken =
            "s.yml:5:11: error: file: groups[0].rules[0].expr: could not parse expression: 1:5: parse error: unclosed left parenthesis [cannot-be-read]";
        let constant = "r.yml:1:45: warning: A: nothing that is measured is compared: this is never true [constant-condition]";
        check(&files, &[broken, constant], 4);
        let dead = "a.yml:3:32: warning: route to a: no alert of the rules has alertname=\"Gone\"; alertname is A [route-never-matches]";
        check(&[("s.yml", "groups: []\n")], &[dead, constant], 5);
    }

    #[test]
    fn files_are_read_again_when_they_have_changed() {
        let dir = tempfile::tempdir().unwrap();
        let clock = ManualClock::new(Timestamp(NOW as i64 * 1_000));
        let path = |name: &str| dir.path().join(name);
        let rule = |expr: &str| format!("groups: [{{name: g, rules: [{{alert: A, expr: {expr}}}]}}]\n");
        write(&path("w.yml"), "prometheus: p.yml\n", 100);
        write(&path("p.yml"), "rule_files: ['r*.yml']\n", 100);
        write(&path("r.yml"), &rule("vector(1) > 1"), 100);
        let doctor = doctor(&path("w.yml"), &clock);
        let count = || seen(&doctor, dir.path()).0.len();
        assert_eq!(count(), 1);
        // Something is written in such a way that nobody notices: who read the file would.
        write(&path("r.yml"), &rule("max(up)   > 1"), 100);
        clock.advance(FRESH);
        assert_eq!(count(), 1, "nothing was read");
        clock.advance(KEPT);
        assert_eq!(count(), 0, "an hour later it is");
        write(&path("r.yml"), &rule("vector(1) > 1"), 90);
        assert_eq!(count(), 0, "a report holds for a minute");
        clock.advance(FRESH);
        assert_eq!(count(), 1, "the file has changed");
        write(&path("r2.yml"), &rule("vector(2) > 2"), 90);
        clock.advance(FRESH);
        assert_eq!(count(), 3, "one more file, and two alerts of one name");
        std::fs::remove_file(path("r.yml")).unwrap();
        clock.advance(FRESH);
        assert_eq!(count(), 1);
    }

    #[test]
    fn log_10_a_socket_that_is_none_is_found_until_it_is_one() {
        let dir = tempfile::tempdir().unwrap();
        let clock = ManualClock::new(Timestamp(NOW as i64 * 1_000));
        let socket = dir.path().join("podman.sock");
        std::fs::create_dir(&socket).unwrap();
        let config = dir.path().join("w.yml");
        let alloy = include_str!("../../../../../examples/alloy/config.alloy").replace("/run/user/1000/podman/podman.sock", &socket.display().to_string());
        write(&dir.path().join("config.alloy"), &alloy, 100);
        write(&config, "alloy: config.alloy\n", 100);
        let doctor = doctor(&config, &clock);
        let said = || seen(&doctor, dir.path()).0;
        let found = said();
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("podman.sock: it is a directory, not a socket") && found[0].ends_with("[no-container-socket]"), "{found:?}");
        std::fs::remove_dir(&socket).unwrap();
        clock.advance(FRESH);
        assert!(said()[0].contains("there is nothing at this path"));
        let _engine = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        clock.advance(FRESH);
        assert_eq!(said(), [""; 0]);
    }

    /// The findings of files depend on what the server has, but only on what they ask for.
    #[test]
    fn answers_that_stay_the_same_keep_findings() {
        let of = |names: &[&str]| Seen { names: Some(names.iter().map(|n| (*n).to_owned()).collect()), jobs: None };
        let asked = Asked { seen: of(&["a", "b"]), answers: Mutex::default() };
        assert_eq!((asked.has_series("a"), asked.has_series("c"), asked.has_job("j")), (Some(true), Some(false), None));
        assert!(asked.would_be_answered_by(&of(&["a", "d"])));
        assert!(!asked.would_be_answered_by(&of(&["b"])));
        assert!(!asked.would_be_answered_by(&of(&["a", "c"])));
        assert!(!asked.would_be_answered_by(&Seen { jobs: Some(BTreeSet::from(["j".to_owned()])), ..of(&["a"]) }));
    }
}
