//! The engine: a state machine over alerts, groups and lanes that is turned by whoever calls it. It waits for nobody and sends
//! nothing: it says which tries are due, and is told how they went. What it decides is stored before it is acted upon.
//!
//! Times that run (waits, ends of alerts, retries) are on the monotonic clock, so that a jump of the wall clock neither fires
//! nor resolves nor repeats anything.

mod alerts;
mod groups;
mod lanes;
mod load;
mod needs;
mod view;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

pub use alerts::Taken;
pub(super) use lanes::Outcome;
pub use lanes::{DEAD_LETTERS_MAX, Job};
pub use view::{AlertFilter, AlertView, GroupView};
use watchfire_model::labels::Labels;
use watchfire_model::meter::Meter;
use watchfire_model::order::Order as _;
use watchfire_model::state::{Change, StateError, StateStore};
use watchfire_model::time::{SharedClock, Timestamp};

use self::alerts::Held;
use self::groups::{Group, GroupId};
use self::lanes::Lanes;
use super::alert::Fingerprint;
use super::config::{Config, Route};
use super::inhibitor::Inhibitor;
use super::meters::Meters;
use super::record::DeadLetter;
use super::silences::{Planned, Silence, SilenceError, Silences};

/// The most alerts at once.
pub const ALERTS_MAX: usize = 50_000;
/// The most bytes of all of them.
pub const ALERTS_BYTES_MAX: usize = 64 << 20;
/// How often what is over is forgotten.
const MAINTENANCE: Duration = Duration::from_secs(900);

/// What the engine needs.
pub struct Parts {
    /// What it carries out.
    pub config: Arc<Config>,
    /// Where it keeps what it decided.
    pub state: Arc<dyn StateStore>,
    /// The time.
    pub clock: SharedClock,
    /// Its figures.
    pub meter: Meter,
    /// Where people find us.
    pub external_url: String,
}

/// The state machine.
pub struct Engine {
    config: Arc<Config>,
    routes: Vec<Arc<Route>>,
    state: Arc<dyn StateStore>,
    clock: SharedClock,
    external_url: String,
    pub(super) meters: Meters,
    alerts: HashMap<Fingerprint, Held>,
    alerts_bytes: usize,
    inhibitor: Inhibitor,
    silences: Silences,
    groups: BTreeMap<GroupId, Group>,
    flushes: BTreeSet<(Duration, GroupId)>,
    lanes: Lanes,
    dead: BTreeMap<String, DeadLetter>,
    /// The next number of the queue and of contents.
    sequence: u64,
    maintained: Duration,
}

/// What there is to do.
pub struct Step {
    /// Tries that are due. Each must be told of by [`Engine::done`], unless the process dies.
    pub jobs: Vec<Job>,
    /// How long nothing more is due, unless something happens.
    pub wait: Duration,
}

impl Engine {
    /// Takes up where the last process ended.
    pub fn open(parts: Parts) -> Result<Engine, StateError> {
        let Parts { config, state, clock, meter, external_url } = parts;
        let maintained = clock.monotonic();
        let mut engine = Engine {
            routes: config.route.all(),
            inhibitor: Inhibitor::new(&config.inhibit_rules),
            config,
            state,
            clock,
            external_url,
            meters: Meters::new(&meter),
            alerts: HashMap::new(),
            alerts_bytes: 0,
            silences: Silences::default(),
            groups: BTreeMap::new(),
            flushes: BTreeSet::new(),
            lanes: Lanes::default(),
            dead: BTreeMap::new(),
            sequence: 0,
            maintained,
        };
        engine.load()?;
        engine.forget_orphans();
        Ok(engine)
    }

    /// Carries out another configuration: alerts are grouped anew; what was told stays told.
    pub fn apply(&mut self, config: Arc<Config>) {
        self.routes = config.route.all();
        self.inhibitor = Inhibitor::new(&config.inhibit_rules);
        self.config = config;
        self.groups.clear();
        self.flushes.clear();
        let all: Vec<(Fingerprint, Labels)> = self.alerts.iter().map(|(f, held)| (*f, held.alert.labels.clone())).collect();
        for (fingerprint, labels) in all {
            self.inhibitor.insert(fingerprint, &labels);
            self.place(fingerprint);
        }
        self.forget_orphans();
        self.count();
    }

    /// Does what is due, and says what others have to do.
    pub fn step(&mut self) -> Step {
        let now = self.clock.monotonic();
        while let Some((at, _)) = self.flushes.first()
            && *at <= now
        {
            let Some((_, group)) = self.flushes.pop_first() else { break };
            self.flush(&group);
        }
        if now.saturating_sub(self.maintained) >= MAINTENANCE {
            self.maintained = now;
            self.maintain();
        }
        let jobs = self.due_jobs();
        self.count();
        let next = self.flushes.first().map(|(at, _)| *at).into_iter().chain(self.next_try()).min();
        let wait = next.map_or(MAINTENANCE, |at| at.saturating_sub(now)).min(MAINTENANCE);
        Step { jobs, wait }
    }

    /// Forgets what is over: silences, and entries of the log about groups that nobody hears of any more.
    fn maintain(&mut self) {
        let now = self.clock.now();
        let mut changes = self.silences.forget(now);
        changes.extend(self.forget_lanes(now));
        self.save(&changes);
    }

    /// Stores changes. A failure is counted and said; the engine goes on from memory, so that people are still told.
    fn save(&self, changes: &[Change]) -> bool {
        if changes.is_empty() {
            return true;
        }
        match self.state.commit(changes) {
            Ok(()) => true,
            Err(error) => {
                self.meters.state_errors.inc();
                tracing::error!(%error, "the state of alerts was not stored; notifications go on from memory");
                false
            }
        }
    }

    fn fresh(&mut self) -> u64 {
        self.sequence += 1;
        self.sequence
    }

    fn count(&self) {
        self.meters.groups.set(self.groups.len() as f64);
        self.meters.queued.set(self.lanes.queued() as f64);
        self.meters.dead.set(self.dead.len() as f64);
        let monotonic = self.clock.monotonic();
        let firing = self.alerts.values().filter(|held| !held.is_resolved(monotonic)).count();
        self.meters.alerts_firing.set(firing as f64);
        self.meters.alerts_resolved.set((self.alerts.len() - firing) as f64);
        let now = self.clock.now();
        for (state, gauge) in &self.meters.silences {
            gauge.set(self.silences.count(*state, now) as f64);
        }
    }

    /// Sets or changes a silence; gives its name. It is stored when this returns.
    pub fn set_silence(&mut self, silence: Silence) -> Result<String, SilenceError> {
        let id = fresh_id().ok_or_else(|| SilenceError::NotStored("this machine gives no random numbers".to_owned()))?;
        let planned = self.silences.plan_set(silence, self.clock.now(), || id)?;
        self.carry_out(planned)
    }
    /// Ends a silence; one that has ended already stays as it is.
    pub fn expire_silence(&mut self, id: &str) -> Result<(), SilenceError> {
        let planned = self.silences.plan_expire(id, self.clock.now())?;
        self.carry_out(planned).map(drop)
    }
    fn carry_out(&mut self, planned: Planned) -> Result<String, SilenceError> {
        self.state.commit(&planned.changes()).map_err(|error| {
            self.meters.state_errors.inc();
            SilenceError::NotStored(error.to_string())
        })?;
        let id = planned.id.clone();
        self.silences.carry_out(planned);
        Ok(id)
    }

    /// All silences.
    pub fn silences(&self) -> impl Iterator<Item = &Silence> {
        self.silences.iter()
    }
    /// One silence.
    pub fn silence(&self, id: &str) -> Option<&Silence> {
        self.silences.get(id)
    }
    /// What was given up, the newest first.
    pub fn dead_letters(&self) -> Vec<DeadLetter> {
        let mut all: Vec<DeadLetter> = self.dead.values().cloned().collect();
        all.order_by_key(|letter| std::cmp::Reverse(letter.last_ms));
        all
    }
    /// Where links in notifications lead.
    pub fn external_url(&self) -> &str {
        &self.external_url
    }
    /// The configuration that runs.
    pub fn config(&self) -> &Arc<Config> {
        &self.config
    }
    /// The time now.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

/// A random UUID; nothing on a machine that has no randomness.
fn fresh_id() -> Option<String> {
    let mut bytes = [0u8; 16];
    getrandom::fill(&mut bytes).ok()?;
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let hex: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or(&[]).concat();
    Some(format!("{}-{}-{}-{}-{}", part(0, 4), part(4, 6), part(6, 8), part(8, 10), part(10, 16)))
}
