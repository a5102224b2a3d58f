//! Looks at chosen processes of this machine: groups under process-exporter's names, FFmpeg processes of cameras under those of the video
//! management pack. `config` says which, `proc` reads, `groups` and `cameras` count. It starts, stops and changes no process.

mod cameras;
mod config;
mod groups;
mod proc;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use watchfire_model::batch::{Batch, Origin};
use watchfire_model::meter::{Counter, Meter};
use watchfire_model::time::SharedClock;
use watchfire_model::write::Sink;

use self::cameras::Cameras;
use self::config::Fit;
pub use self::config::{RULES_MAX, Rule, Settings};
use self::groups::{Counts, Groups};
use self::proc::{Identity, Stat};
use crate::gather::{Cache, Gather};
use crate::host::files::Files;
use crate::rounds::Rounds;

/// Processes that are looked at in one poll.
const PROCESSES_MAX: usize = 65_536;

/// A process that was seen before.
struct Known {
    /// It changes when another program is executed; then the rules are asked again.
    comm: String,
    parent: u32,
    /// What the rules said of it, or of the process that it descends from.
    belongs: Option<Belongs>,
    counts: Counts,
    poll: u64,
}

#[derive(Clone)]
struct Belongs {
    group: Arc<str>,
    fit: Arc<Fit>,
    /// Whether it is the process that the rule meant, not a child of it.
    itself: bool,
}

#[derive(Default)]
struct Inner {
    known: HashMap<Identity, Known>,
    groups: Groups,
    cameras: Cameras,
    cache: Cache,
    polls: u64,
    polled: Option<Duration>,
    boot: f64,
}

/// Looks at processes. Cheap to clone; a poll blocks for file reads.
#[derive(Clone)]
pub struct ProcessCollector {
    settings: Arc<Settings>,
    root: PathBuf,
    instance: Arc<str>,
    clock: SharedClock,
    inner: Arc<Mutex<Inner>>,
    figures: Figures,
}

#[derive(Clone)]
struct Figures {
    rounds: Rounds,
    left_out: [Counter; 3],
    partly: Counter,
    unread: Counter,
}

/// Why a process is left out.
#[derive(Clone, Copy)]
enum LeftOut {
    Processes,
    Groups,
    Cameras,
}

impl ProcessCollector {
    /// A collector that looks below a root, which is `/` outside tests.
    pub fn new(settings: Settings, root: &Path, instance: &str, clock: SharedClock, meter: &Meter) -> ProcessCollector {
        let left_out = |reason| meter.counter("watchfire_processes_left_out_total", "Processes that were not looked at, by reason.", &[("reason", reason)]);
        let figures = Figures {
            rounds: Rounds::new("processes", meter),
            left_out: ["too_many_processes", "too_many_groups", "too_many_cameras"].map(left_out),
            partly: meter.counter("watchfire_processes_partly_read_total", "Looks at a process of which not everything could be read.", &[]),
            unread: meter.counter("watchfire_processes_unreadable_total", "Looks at a process that does not look as expected.", &[]),
        };
        ProcessCollector { settings: Arc::new(settings), root: root.to_owned(), instance: instance.into(), clock, inner: Arc::default(), figures }
    }

    /// One look at all processes, ready to be stored. Blocks.
    pub fn poll(&self) -> Batch {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let inner = &mut *inner;
        let mut files = Files::new(&self.root);
        let (now, wall) = (self.clock.monotonic(), self.clock.now());
        if let Some(boot) = boot(&mut files) {
            inner.boot = boot;
        }
        inner.polls += 1;
        inner.groups.begin(now);
        inner.cameras.begin();
        let found = self.find(inner, &mut files, now);
        self.adopt(inner, &found, now);
        for (identity, stat) in &found {
            self.count(inner, &mut files, *identity, stat, now);
        }
        let poll = inner.polls;
        inner.known.retain(|_, known| known.poll == poll);
        let elapsed = inner.polled.replace(now).map(|before| now.saturating_sub(before).as_secs_f64());
        let before = inner.cache.left_out();
        let origin = Origin::new("host/processes");
        let mut out = Gather::batch(&mut inner.cache, origin.clone(), &self.settings.job, &self.instance, wall);
        inner.groups.put(&mut out);
        inner.cameras.put(wall.secs_f64(), elapsed, &mut out);
        let batch = out.into_batch().unwrap_or_else(|| Batch::new(origin));
        self.figures.rounds.left_out(inner.cache.left_out() - before);
        batch
    }

    /// Reads the state of every process, and asks the rules about new ones.
    fn find(&self, inner: &mut Inner, files: &mut Files, now: Duration) -> Vec<(Identity, Stat)> {
        let page = rustix::param::page_size() as f64;
        let mut found = Vec::new();
        for pid in pids(&files.at("/proc")) {
            if found.len() >= PROCESSES_MAX {
                self.left_out(LeftOut::Processes);
                continue;
            }
            // The process may be gone by now.
            let Ok(text) = files.text(&format!("/proc/{pid}/stat")) else { continue };
            let Some(stat) = proc::stat(text, page) else {
                self.figures.unread.inc();
                continue;
            };
            let identity = Identity { pid, ticks: stat.ticks };
            let same = inner.known.get(&identity).is_some_and(|known| known.comm == stat.comm);
            if !same {
                let about = proc::about(files, pid, &stat.comm, proc::started(inner.boot, stat.ticks));
                let fit = self.settings.rules.iter().find_map(|rule| rule.fit(&about));
                let belongs = fit.and_then(|fit| self.join(inner, fit, now));
                let counts = inner.known.remove(&identity).map(|known| known.counts).unwrap_or_default();
                inner.known.insert(identity, Known { comm: stat.comm.clone(), parent: stat.parent, belongs, counts, poll: 0 });
            }
            if let Some(known) = inner.known.get_mut(&identity) {
                known.parent = stat.parent;
            }
            found.push((identity, stat));
        }
        found
    }

    fn join(&self, inner: &mut Inner, fit: Fit, now: Duration) -> Option<Belongs> {
        let key = groups::key(&fit);
        if !inner.groups.open(&key, &fit, now) {
            self.left_out(LeftOut::Groups);
            return None;
        }
        Some(Belongs { group: key.into(), fit: Arc::new(fit), itself: true })
    }

    /// Gives children that no rule names to the group of their nearest ancestor.
    fn adopt(&self, inner: &mut Inner, found: &[(Identity, Stat)], now: Duration) {
        if !self.settings.children {
            return;
        }
        let by_pid: HashMap<u32, Identity> = found.iter().map(|(identity, _)| (identity.pid, *identity)).collect();
        for (identity, _) in found {
            if inner.known.get(identity).is_none_or(|known| known.belongs.is_some() || known.poll != 0) {
                continue;
            }
            let (mut at, mut heir) = (*identity, None);
            // A chain is no longer than there are processes, whatever the files say.
            for _ in 0..found.len() {
                let Some(known) = inner.known.get(&at) else { break };
                if known.belongs.is_some() {
                    heir.clone_from(&known.belongs);
                    break;
                }
                let Some(parent) = by_pid.get(&known.parent).filter(|parent| **parent != at) else { break };
                at = *parent;
            }
            let Some(belongs) = heir else { continue };
            if inner.groups.open(&belongs.group, &belongs.fit, now)
                && let Some(known) = inner.known.get_mut(identity)
            {
                known.belongs = Some(Belongs { itself: false, ..belongs });
            }
        }
    }

    /// Counts one process where it belongs.
    fn count(&self, inner: &mut Inner, files: &mut Files, identity: Identity, stat: &Stat, now: Duration) {
        let first_poll = inner.polls == 1;
        let poll = inner.polls;
        let Some(known) = inner.known.get_mut(&identity) else { return };
        let fresh = known.poll == 0;
        known.poll = poll;
        let Some(belongs) = known.belongs.clone() else { return };
        let more = proc::more(files, identity.pid, self.settings.proportional_memory);
        if more.io.is_none() || more.files.is_none() || more.switches.is_none() {
            self.figures.partly.inc();
        }
        let counts = Counts::of(stat, &more, &known.counts);
        // What ran before we looked for the first time was counted by nobody and is no news.
        let counted = if first_poll && fresh { Counts::default() } else { counts.since(&known.counts) };
        known.counts = counts;
        let started = proc::started(inner.boot, stat.ticks);
        // A group that was empty for long is gone by now.
        if inner.groups.open(&belongs.group, &belongs.fit, now) {
            inner.groups.add(&belongs.group, stat, &more, &counted, started, now);
        }
        // One that has ended and that nobody has taken note of yet works no more.
        if let Some(camera) = belongs.fit.camera.as_deref().filter(|_| belongs.itself && stat.state != b'Z')
            && !inner.cameras.add(camera, identity, stat, &counted, started)
        {
            self.left_out(LeftOut::Cameras);
        }
    }

    fn left_out(&self, reason: LeftOut) {
        if let Some(counter) = self.figures.left_out.get(reason as usize) {
            counter.inc();
        }
    }

    /// Polls for ever and writes to the sink; ends only when the future is dropped.
    pub async fn run(self, sink: Arc<dyn Sink>) {
        let mut ticks = Rounds::pace(self.settings.interval);
        loop {
            ticks.tick().await;
            let processes = self.clone();
            self.figures.rounds.deliver(&sink, Box::new(move || processes.poll())).await;
        }
    }
}

/// When the machine was started, in seconds of Unix time.
fn boot(files: &mut Files) -> Option<f64> {
    files.text("/proc/stat").ok()?.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

/// The numbers of all processes, ascending.
fn pids(proc: &Path) -> Vec<u32> {
    let Ok(entries) = std::fs::read_dir(proc) else { return Vec::new() };
    let mut pids: Vec<u32> = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    pids.sort_unstable();
    pids
}
