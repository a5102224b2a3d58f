//! Simulated lives of the engine: a clock that is turned by hand, senders that say again and again what fires, receivers that are
//! up, down or refuse, and kills at any point. What must hold is said by an oracle that knows what was acknowledged and decided.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use watchfire_model::meter::Meter;
use watchfire_model::state::{Change, StateError, StateStore, Table};
use watchfire_model::time::{Clock, ManualClock, Timestamp};

use super::alert::NewAlert;
use super::config::{Config, Surroundings, parse};
use super::engine::{AlertFilter, Engine, Job, Parts};
use super::record::DEAD_LETTERS;
use super::silences::Silence;
use crate::receivers::DeliveryError;

/// A state that can be killed before or after a commit; then nothing works until the next life.
#[derive(Default)]
struct MortalState(Mutex<Mortal>);
#[derive(Default)]
struct Mortal {
    tables: BTreeMap<(Table, String), Vec<u8>>,
    /// Commits until death, and whether the last one still counts.
    dies: Option<(u32, bool)>,
    dead: bool,
    commits: u64,
}
impl MortalState {
    fn is_dead(&self) -> bool {
        self.0.lock().unwrap().dead
    }
    fn live_again(&self) {
        let mut state = self.0.lock().unwrap();
        (state.dead, state.dies) = (false, None);
    }
    fn count(&self, table: Table) -> usize {
        self.0.lock().unwrap().tables.keys().filter(|(t, _)| *t == table).count()
    }
}
impl StateStore for MortalState {
    fn get(&self, table: Table, key: &str) -> Result<Option<Vec<u8>>, StateError> {
        Ok(self.0.lock().unwrap().tables.get(&(table, key.to_owned())).cloned())
    }
    fn scan(&self, table: Table, prefix: &str) -> Result<Vec<(String, Vec<u8>)>, StateError> {
        let state = self.0.lock().unwrap();
        Ok(state.tables.iter().filter(|((t, k), _)| *t == table && k.starts_with(prefix)).map(|((_, k), v)| (k.clone(), v.clone())).collect())
    }
    fn commit(&self, changes: &[Change]) -> Result<(), StateError> {
        let mut state = self.0.lock().unwrap();
        let failed = || StateError { doing: "commit", reason: "killed".to_owned() };
        if state.dead {
            return Err(failed());
        }
        if let Some((left, counts)) = state.dies {
            if left == 0 {
                state.dead = true;
                if !counts {
                    return Err(failed());
                }
            }
            state.dies = Some((left.saturating_sub(1), counts));
        }
        state.commits += 1;
        for change in changes {
            match change {
                Change::Put(table, key, value) => drop(state.tables.insert((*table, key.clone()), value.clone())),
                Change::Delete(table, key) => drop(state.tables.remove(&(*table, key.clone()))),
            }
        }
        if state.dead { Err(failed()) } else { Ok(()) }
    }
}

struct Random(u64);
impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }
}

const CONFIG: &str = "
global: {resolve_timeout: 5m}
route:
  receiver: all
  group_by: [alertname]
  group_wait: 30s
  group_interval: 5m
  repeat_interval: 4h
  routes:
  - {receiver: all, continue: true}
  - {receiver: firing, group_by: ['...'], group_wait: 10s, group_interval: 1m}
receivers:
- name: all
  webhook_configs: [{url: 'http://a/'}, {url: 'http://b/'}]
- name: firing
  webhook_configs: [{url: 'http://c/', send_resolved: false}]
";

fn config(text: &str, clock: &Arc<ManualClock>) -> Arc<Config> {
    let surroundings = Surroundings { files: &|_| Vec::new(), file: &|f| PathBuf::from(f), clock: clock.clone() };
    let parsed = parse("a.yml", text, &surroundings);
    Arc::new(parsed.config.unwrap_or_else(|| panic!("{:?}", parsed.findings)))
}

/// What a receiver was told of an alert.
type Told = Vec<(String, &'static str)>;

struct World {
    clock: Arc<ManualClock>,
    state: Arc<MortalState>,
    text: String,
    engine: Engine,
    meter: Meter,
    /// By integration and alert: id and status, in order.
    told: BTreeMap<(String, String), Told>,
    /// How often each id was delivered.
    ids: HashMap<String, u32>,
    kills: u32,
}

const START: Timestamp = Timestamp(1_767_000_000_000);

impl World {
    fn new(text: &str) -> World {
        let clock = ManualClock::new(START);
        let state = Arc::new(MortalState::default());
        let meter = Meter::new();
        let engine = World::open(&clock, &state, text, &meter);
        World { clock, state, text: text.to_owned(), engine, meter, told: BTreeMap::new(), ids: HashMap::new(), kills: 0 }
    }
    fn open(clock: &Arc<ManualClock>, state: &Arc<MortalState>, text: &str, meter: &Meter) -> Engine {
        let parts = Parts { config: config(text, clock), state: state.clone(), clock: clock.clone(), meter: meter.clone(), external_url: String::new() };
        Engine::open(parts).unwrap()
    }
    /// The process dies, and another one begins.
    fn restart(&mut self) {
        self.kills += 1;
        self.state.live_again();
        self.engine = World::open(&self.clock, &self.state, &self.text, &self.meter);
    }
    fn deliver(&mut self, job: &Job) {
        let place = format!("{}/{}", job.lane.receiver, job.lane.index);
        *self.ids.entry(format!("{place} {}", job.notification.id)).or_default() += 1;
        for told in &job.notification.alerts {
            let name = told.alert.labels.to_string();
            self.told.entry((place.clone(), name)).or_default().push((job.notification.id.clone(), told.status()));
        }
    }
    /// Lets the engine work with receivers that take everything.
    fn work(&mut self) -> usize {
        let mut delivered = 0;
        loop {
            let jobs = self.engine.step().jobs;
            if jobs.is_empty() {
                return delivered;
            }
            for job in jobs {
                self.deliver(&job);
                self.engine.done(&job.lane, Ok(()));
                delivered += 1;
            }
        }
    }
    fn pass(&mut self, seconds: u64) -> usize {
        let mut delivered = 0;
        for _ in 0..seconds.div_ceil(5) {
            self.clock.advance(Duration::from_secs(5));
            delivered += self.work();
        }
        delivered
    }
    fn say(&mut self, name: &str, instance: &str, starts: Timestamp, firing: bool) -> bool {
        let now = self.clock.now();
        self.engine.take(vec![alert(name, instance, starts, if firing { now.plus_ms(240_000) } else { now })]).stored
    }
}

fn alert(name: &str, instance: &str, starts: Timestamp, ends: Timestamp) -> NewAlert {
    NewAlert {
        labels: vec![("alertname".into(), name.into()), ("instance".into(), instance.into())],
        starts_at: Some(starts),
        ends_at: Some(ends),
        ..NewAlert::default()
    }
}

/// What a sender like Prometheus knows of one of its alerts.
#[derive(Clone, Copy)]
struct Sent {
    starts: Timestamp,
    firing: bool,
    since: Timestamp,
}

/// One life story. Gives how many notifications were delivered and how often the process was killed.
fn live(seed: u64) -> (u32, u32) {
    let mut random = Random(seed);
    let mut world = World::new(CONFIG);
    let mut alerts: BTreeMap<(String, String), Sent> = BTreeMap::new();
    // Alerts that fired, acknowledged, for longer than anybody waits.
    let mut owed: BTreeSet<(String, String)> = BTreeSet::new();
    let mut down: BTreeMap<String, bool> = BTreeMap::new();
    for turn in 0..1_400_u64 {
        let quiet = turn >= 700;
        world.clock.advance(Duration::from_secs(if quiet { 20 } else { 10 }));
        let now = world.clock.now();
        if !quiet && random.below(25) == 0 {
            world.state.0.lock().unwrap().dies = Some((random.below(6) as u32, random.below(2) == 0));
        }
        if !quiet && random.below(8) == 0 {
            let key = (format!("A{}", random.below(3)), format!("i{}", random.below(3)));
            let before = alerts.get(&key).copied();
            let firing = !before.is_some_and(|b| b.firing);
            let starts = if firing { now } else { before.map_or(now, |b| b.starts) };
            alerts.insert(key, Sent { starts, firing, since: now });
        }
        if turn == 700 {
            alerts.values_mut().filter(|a| a.firing).for_each(|a| (a.firing, a.since) = (false, now));
            down.clear();
        }
        if !quiet && random.below(30) == 0 {
            let place = ["all/0", "all/1", "firing/0"][random.below(3) as usize].to_owned();
            let is_down = random.below(2) == 0;
            down.insert(place, is_down);
        }
        // Each minute everything that fires, and what ended within a quarter of an hour.
        if turn % 6 == 0 || alerts.values().any(|a| a.since == now) {
            for ((name, instance), sent) in alerts.clone() {
                if !sent.firing && now.millis() - sent.since.millis() > 900_000 {
                    continue;
                }
                let ends = if sent.firing { now.plus_ms(240_000) } else { sent.since };
                world.engine.take(vec![alert(&name, &instance, sent.starts, ends)]);
                if world.state.is_dead() {
                    world.restart();
                    world.engine.take(vec![alert(&name, &instance, sent.starts, ends)]);
                }
                if sent.firing && now.millis() - sent.since.millis() > 700_000 {
                    owed.insert((name, instance));
                }
            }
        }
        let jobs = world.engine.step().jobs;
        if world.state.is_dead() {
            // What this process decided last was not stored, so it dies before it sends.
            world.restart();
            continue;
        }
        for job in jobs {
            let place = format!("{}/{}", job.lane.receiver, job.lane.index);
            if down.get(&place).copied().unwrap_or(false) {
                world.engine.done(&job.lane, Err(DeliveryError::Later { reason: "down".to_owned(), after: None }));
                continue;
            }
            world.deliver(&job);
            if !quiet && random.below(40) == 0 {
                // Killed between the delivery and the note of it.
                world.restart();
                break;
            }
            world.engine.done(&job.lane, Ok(()));
            if world.state.is_dead() {
                world.restart();
                break;
            }
        }
    }
    judge(seed, &world, &owed);
    (world.ids.values().sum(), world.kills)
}

fn judge(seed: u64, world: &World, owed: &BTreeSet<(String, String)>) {
    for ((place, name), told) in &world.told {
        // Who was told that an alert fires, is told of its end at last.
        if place.starts_with("all/") {
            assert_eq!(told.last().unwrap().1, "resolved", "seed {seed}: {place} {name}: {told:?}");
        }
    }
    for (name, instance) in owed {
        let labels = format!("{{alertname=\"{name}\", instance=\"{instance}\"}}");
        for place in ["all/0", "all/1", "firing/0"] {
            let told = world.told.get(&(place.to_owned(), labels.clone()));
            assert!(told.is_some_and(|t| t.iter().any(|(_, status)| *status == "firing")), "seed {seed}: {place} never heard of {labels}");
        }
    }
    let duplicates: u32 = world.ids.values().map(|n| n - 1).sum();
    assert!(duplicates <= world.kills, "seed {seed}: {duplicates} duplicates after {} kills", world.kills);
    assert_eq!(world.state.count(super::record::NOTIFICATION_QUEUE), 0, "seed {seed}");
    assert_eq!(world.state.count(super::record::NOTIFICATION_CONTENTS), 0, "seed {seed}");
    assert_eq!(world.state.count(super::record::ALERTS), 0, "seed {seed}: everybody knows of every end");
}

#[test]
fn r59_every_state_reaches_everybody_through_kills_at_any_point() {
    let (mut delivered, mut kills) = (0, 0);
    // `make crash` asks for the long form.
    let lives = if std::env::var_os("WATCHFIRE_CRASH_LONG").is_some() { 10_000 } else { 100 };
    for seed in 0..lives {
        let (told, killed) = live(seed);
        delivered += told;
        kills += killed;
    }
    assert!(delivered > 5_000 && kills > 1_000, "{delivered} notifications and {kills} kills are no test");
}

#[test]
fn r59_a_restart_alone_tells_nobody_anything() {
    let mut world = World::new(CONFIG);
    for instance in ["i1", "i2"] {
        assert!(world.say("A", instance, START, true));
    }
    assert_eq!(world.pass(60), 4, "both groups of two alerts: two integrations once, one twice");
    world.say("A", "i2", START, false);
    let delivered: usize = (0..6)
        .map(|_| {
            world.say("A", "i1", START, true);
            world.pass(60)
        })
        .sum();
    assert_eq!(delivered, 2, "the end of one, at two integrations");
    let before = world.ids.len();
    for _ in 0..5 {
        world.restart();
        world.pass(30);
        world.say("A", "i1", START, true);
    }
    assert_eq!(world.ids.len(), before);
    // An hour without anybody who says so is an end.
    assert_eq!(world.pass(3_600), 2);
}

#[test]
fn groups_wait_and_repeat_as_configured() {
    let text = "
route: {receiver: a, group_by: [alertname], group_wait: 30s, group_interval: 5m, repeat_interval: 1h}
receivers: [{name: a, webhook_configs: [{url: 'http://a/'}]}]
";
    let mut world = World::new(text);
    let mut times = Vec::new();
    for second in (0..8_000).step_by(5) {
        let now = world.clock.now();
        if second % 60 == 0 {
            world.say("A", "i1", START, true);
        }
        // Comes a minute after the first flush and has to wait for the next.
        if second >= 90 && second % 60 == 30 {
            world.say("A", "i2", START.plus_ms(90_000), true);
        }
        if world.work() > 0 {
            times.push((now.millis() - START.millis()) / 1_000);
        }
        world.clock.advance(Duration::from_secs(5));
    }
    // After group_wait, at the next group_interval, and at the first group_interval when an hour is over.
    assert_eq!(times, [30, 330, 4_230], "{times:?}");
}

#[test]
fn a_thousand_alerts_at_once_are_one_message() {
    let mut world = World::new(CONFIG);
    let now = world.clock.now();
    let all = (0..1_000).map(|n| alert("A", &format!("i{n}"), now, now.plus_ms(240_000))).collect();
    assert!(world.engine.take(all).refused.is_empty());
    let mut sizes = Vec::new();
    for _ in 0..20 {
        world.clock.advance(Duration::from_secs(5));
        for job in world.engine.step().jobs {
            if job.lane.receiver == "all" {
                sizes.push(job.notification.alerts.len());
            }
            world.engine.done(&job.lane, Ok(()));
        }
    }
    assert_eq!(sizes, [1_000, 1_000], "one message for each of two integrations");
}

#[test]
fn r60_who_hangs_holds_up_nobody_else() {
    let mut world = World::new(CONFIG);
    for name in ["A", "B", "C", "D", "E", "F"] {
        world.say(name, "i", START, true);
    }
    world.clock.advance(Duration::from_secs(31));
    // Nobody answers on all/0: at most four tries of it run, and everybody else is served.
    let mut hanging = 0;
    loop {
        let jobs = world.engine.step().jobs;
        if jobs.is_empty() {
            break;
        }
        for job in jobs {
            if (job.lane.receiver.as_str(), job.lane.index) == ("all", 0) {
                hanging += 1;
            } else {
                world.deliver(&job);
                world.engine.done(&job.lane, Ok(()));
            }
        }
    }
    assert_eq!(hanging, 4);
    assert_eq!(world.told.keys().filter(|(place, _)| place == "all/1").count(), 6);
}

#[test]
fn r60_refused_and_undeliverable_notifications_are_listed() {
    let text = "
route: {receiver: a, group_by: [alertname], group_wait: 1s, group_interval: 1m, repeat_interval: 4h}
receivers: [{name: a, webhook_configs: [{url: 'http://a/'}]}]
";
    let mut world = World::new(text);
    let fail = |world: &mut World, seconds: u64, error: DeliveryError| {
        let mut tries = Vec::new();
        for second in 0..seconds {
            world.clock.advance(Duration::from_secs(1));
            if second % 60 == 0 {
                world.say("A", "i", START, true);
            }
            for job in world.engine.step().jobs {
                tries.push(second);
                world.engine.done(&job.lane, Err(error.clone()));
            }
        }
        tries
    };
    // A refusal is final, and the next turn of the group tries again.
    let tries = fail(&mut world, 200, DeliveryError::Never("no such hook".to_owned()));
    assert!((3..=4).contains(&tries.len()), "{tries:?}");
    let letters = world.engine.dead_letters();
    assert_eq!((letters.len(), letters[0].times as usize, letters[0].reason.as_str()), (1, tries.len(), "no such hook"));
    // What may succeed later is tried for a day, ever more rarely, and at least when the other side asks for it.
    let tries = fail(&mut world, 90_000, DeliveryError::Later { reason: "busy".to_owned(), after: None });
    let waits: Vec<u64> = tries.windows(2).map(|w| w[1] - w[0]).collect();
    assert!(waits.iter().all(|w| *w <= 301) && waits[0] <= 3, "{waits:?}");
    assert!(tries.len() > 280 && tries.len() < 2_000, "{}", tries.len());
    assert!(world.engine.dead_letters().iter().any(|l| l.reason == "busy"));
    assert!(world.state.count(DEAD_LETTERS) >= 1);
    let asked = DeliveryError::Later { reason: "slow down".to_owned(), after: Some(Duration::from_secs(600)) };
    let tries = fail(&mut world, 4_000, asked);
    assert!(tries.windows(2).all(|w| w[1] - w[0] >= 600), "{tries:?}");
    world.restart();
    assert!(world.engine.dead_letters().iter().any(|l| l.reason == "busy"), "dead letters are durable");
}

/// An alert that has ended leaves its group, so nobody tells of the end again: one refusal must not be the last word.
#[test]
fn r60_the_end_of_an_alert_outlasts_a_refusal() {
    let text = "
route: {receiver: a, group_by: [instance], group_wait: 1s, group_interval: 1m, repeat_interval: 4h}
receivers: [{name: a, webhook_configs: [{url: 'http://a/'}]}]
";
    let refuse = |world: &mut World, seconds: u64| {
        let mut tries = Vec::new();
        for second in 0..seconds {
            world.clock.advance(Duration::from_secs(1));
            for job in world.engine.step().jobs {
                tries.push(second);
                world.engine.done(&job.lane, Err(DeliveryError::Never("400".to_owned())));
            }
        }
        tries
    };
    let told = |world: &World, name: &str| {
        let all = world.told.get(&("a/0".to_owned(), format!("{{alertname={name:?}, instance=\"i\"}}")));
        all.map(|told| told.iter().map(|(_, status)| *status).collect::<Vec<_>>()).unwrap_or_default()
    };
    let mut world = World::new(text);
    world.say("A", "i", START, true);
    world.pass(10);
    world.say("A", "i", START, false);
    let tries = refuse(&mut world, 200);
    assert!((3..=4).contains(&tries.len()) && tries.windows(2).all(|w| w[1] - w[0] == 60), "{tries:?}");
    assert_eq!(world.engine.dead_letters().len(), 0);
    world.restart();
    world.pass(310);
    assert_eq!(told(&world, "A"), ["firing", "resolved"]);
    // What fires after it does not wait for it: it has one more try, and then it is listed.
    world.say("B", "i", world.clock.now(), true);
    world.pass(70);
    world.say("B", "i", START, false);
    let tries = refuse(&mut world, 70);
    assert!(!tries.is_empty());
    world.say("C", "i", world.clock.now(), true);
    let tries = refuse(&mut world, 2);
    assert_eq!(tries, [0, 1], "B's end, and C in the next step");
    assert!(world.engine.dead_letters().iter().any(|letter| letter.alerts.iter().any(|labels| labels.values().any(|value| value == "B"))));
    // After a day nobody tries any more.
    let mut world = World::new(text);
    world.say("A", "i", START, true);
    world.pass(10);
    world.say("A", "i", START, false);
    let tries = refuse(&mut world, 90_000);
    assert!((1_430..=1_441).contains(&tries.len()), "{}", tries.len());
    assert_eq!(world.engine.dead_letters().len(), 1);
}

#[test]
fn silences_inhibition_and_intervals_keep_quiet() {
    let text = "
route:
  receiver: a
  group_by: [alertname]
  group_wait: 1s
  group_interval: 1m
  routes: [{matchers: ['alertname=Night'], mute_time_intervals: [always]}]
inhibit_rules: [{source_matchers: ['alertname=Down'], target_matchers: ['alertname=Slow'], equal: [instance]}]
time_intervals: [{name: always, time_intervals: [{years: ['2000:3000']}]}]
receivers: [{name: a, webhook_configs: [{url: 'http://a/'}]}]
";
    let mut world = World::new(text);
    let quiet = Silence {
        id: String::new(),
        matchers: vec![watchfire_model::matcher::Matcher::equal("instance", "quiet")],
        starts_at: START,
        ends_at: START.plus_ms(600_000),
        updated_at: START,
        created_by: "me".to_owned(),
        comment: String::new(),
    };
    let id = world.engine.set_silence(quiet).unwrap();
    world.restart();
    for (name, instance) in [("Down", "i"), ("Slow", "i"), ("Slow", "other"), ("Loud", "quiet"), ("Night", "i")] {
        world.say(name, instance, START, true);
    }
    world.pass(30);
    let told: Vec<&str> = world.told.keys().map(|(_, name)| name.as_str()).collect();
    assert_eq!(told, [r#"{alertname="Down", instance="i"}"#, r#"{alertname="Slow", instance="other"}"#]);
    let states = |world: &World| -> Vec<(String, &'static str)> {
        let mut all: Vec<_> = world.engine.alerts(&AlertFilter::default()).iter().map(|v| (v.alert.labels.to_string(), v.state())).collect();
        all.sort();
        all
    };
    assert_eq!(states(&world).iter().filter(|(_, state)| *state == "suppressed").count(), 3, "{:?}", states(&world));
    let silenced = world.engine.alerts(&AlertFilter { silenced: false, ..AlertFilter::default() }).len();
    assert_eq!(silenced, 4);
    // The end of the silence is the begin of the message.
    world.engine.expire_silence(&id).unwrap();
    world.pass(120);
    assert!(world.told.contains_key(&("a/0".to_owned(), r#"{alertname="Loud", instance="quiet"}"#.to_owned())));
}

#[test]
fn r26_a_jump_of_the_clock_neither_fires_nor_resolves() {
    let mut world = World::new(CONFIG);
    world.say("A", "i", START, true);
    world.pass(60);
    let before = world.ids.len();
    for jump in [START.plus_ms(5 * 365 * 86_400_000), Timestamp(0), START.plus_ms(86_400_000), START] {
        world.clock.jump_to(jump);
        world.pass(20);
    }
    assert_eq!(world.ids.len(), before);
    assert_eq!(world.engine.alerts(&AlertFilter::default()).len(), 1);
}

#[test]
fn a_reload_keeps_what_was_told() {
    let mut world = World::new(CONFIG);
    world.say("A", "i", START, true);
    world.pass(60);
    let before = world.ids.len();
    world.engine.apply(config(CONFIG, &world.clock));
    world.pass(60);
    assert_eq!(world.ids.len(), before);
    // Without its receiver nobody is told, and what waits is listed.
    world.say("B", "i", world.clock.now(), true);
    world.clock.advance(Duration::from_secs(31));
    let waiting = world.engine.step().jobs.len();
    assert_eq!(waiting, 3);
    world.engine.apply(config("route: {receiver: x}\nreceivers: [{name: x}]\n", &world.clock));
    assert_eq!(world.engine.dead_letters().len(), 3);
    assert!(world.engine.step().jobs.is_empty());
}
