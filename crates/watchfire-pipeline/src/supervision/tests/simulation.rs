//! A thousand simulated lives of supervision: services that fail and recover, checks that take time or cannot be made, restarts that
//! help or do not, a network of ours that is away, wall clocks that jump, a state file that refuses, and deaths of Watchfire at any
//! commit and between decision, deed and record. An oracle that knows nothing of the policy's inside watches the rules.

use std::collections::{BTreeMap, BinaryHeap};
use std::time::Duration;

use watchfire_model::state::{SERVICE_AUDIT, StateStore};
use watchfire_model::time::Timestamp;

use super::memory::{Memory, Next};
use crate::supervision::policy::{Action, Now, Policy, Rules, Status, Verdict, Who, history};

const LIVES: u64 = 1000;
const LIFE_MS: u64 = 3_600_000;
const NAMES: [&str; 4] = ["base", "needs_base", "alone", "far"];

/// One step of splitmix64: the same seed gives the same life.
struct Dice(u64);
impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
    fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }
    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Happens {
    CheckEnds { life: u32, service: usize, ticket: u64, verdict: u8 },
    RestartEnds { life: u32, service: usize, ticket: u64, works: bool, helps: bool },
    Flips { service: usize },
    NetworkFlips,
    ClockJumps,
    Dies,
    AsksRestart { service: usize },
    AsksMaintenance { service: usize },
}

/// What the oracle knows of one service.
#[derive(Default)]
struct Known {
    up: bool,
    restarts: Vec<u64>,
    tries_since_well: u32,
    /// Failed checks since anything else happened, and when the first of them began.
    row: u32,
    row_since: u64,
    /// Whether the row began after a restart of the same trouble.
    after_restart: bool,
    last_well_began: Option<u64>,
    well: bool,
    last_contact: Option<u64>,
    last_reached: bool,
    last_end_of_restart: Option<u64>,
    check: Option<(u64, u64)>,
    last_begin: Option<u64>,
    gap_is_excused: bool,
    maintenance_until: i64,
    statuses: Vec<Status>,
    by_hand: u64,
}

struct World {
    seed: u64,
    dice: Dice,
    t: u64,
    wall_offset: i64,
    rules: Vec<Rules>,
    known: Vec<Known>,
    network: bool,
    queue: BinaryHeap<std::cmp::Reverse<(u64, u64, Happens)>>,
    order: u64,
    store: Memory,
    policy: Policy,
    base: u64,
    born: u64,
    life: u32,
    deaths: u32,
    refusals: bool,
}

impl World {
    fn new(seed: u64) -> World {
        let mut dice = Dice(seed);
        let rules: Vec<Rules> = NAMES.iter().enumerate().map(|(at, name)| rules(at, name, &mut dice)).collect();
        let store = Memory::default();
        let (policy, base) = Policy::open(store.shared()).unwrap();
        let known = NAMES.iter().map(|_| Known { up: true, last_reached: true, maintenance_until: i64::MIN, ..Known::default() }).collect();
        let mut world = World {
            seed,
            dice,
            t: 0,
            wall_offset: 1_767_089_700_000,
            rules,
            known,
            network: true,
            queue: BinaryHeap::new(),
            order: 0,
            store,
            policy,
            base,
            born: 0,
            life: 0,
            deaths: 0,
            refusals: false,
        };
        let now = world.now();
        world.policy.apply(world.rules.clone(), now).unwrap();
        for service in 0..NAMES.len() {
            world.later(60_000, Happens::Flips { service });
            world.later(900_000, Happens::AsksRestart { service });
            world.later(900_000, Happens::AsksMaintenance { service });
        }
        for what in [Happens::NetworkFlips, Happens::ClockJumps, Happens::Dies] {
            world.later(600_000, what);
        }
        world
    }

    fn now(&self) -> Now {
        Now { steady_ms: self.base + self.t - self.born, wall: Timestamp(self.t as i64 + self.wall_offset) }
    }

    fn later(&mut self, within_ms: u64, what: Happens) {
        let at = self.t + self.dice.between(1, within_ms);
        self.order += 1;
        self.queue.push(std::cmp::Reverse((at, self.order, what)));
    }

    fn fail(&self, service: usize, what: &str) -> ! {
        panic!("seed {} at {} ms, {}: {what}", self.seed, self.t, NAMES[service]);
    }

    fn live(&mut self) {
        while self.t < LIFE_MS {
            let due = self.policy.next_due().map(|due| self.born + due.saturating_sub(self.base)).unwrap_or(u64::MAX);
            let next = self.queue.peek().map_or(u64::MAX, |std::cmp::Reverse((at, _, _))| *at);
            self.t = self.t.max(due.min(next));
            if next <= due {
                let Some(std::cmp::Reverse((_, _, what))) = self.queue.pop() else { break };
                self.happens(what);
            }
            if self.dice.chance(2) {
                let next = [Next::Refuses, Next::DiesBefore, Next::DiesAfter][self.dice.below(3) as usize];
                self.refusals |= next == Next::Refuses;
                self.store.next(next);
            }
            let now = self.now();
            let actions = self.policy.poll(now);
            // Maintenance that is over is over, even if the wall clock is put back afterwards.
            self.known.iter_mut().filter(|k| k.maintenance_until <= now.wall.millis()).for_each(|k| k.maintenance_until = i64::MIN);
            // Whoever died in a commit does nothing afterwards.
            if self.store.died() {
                self.dies();
                continue;
            }
            self.hear();
            for action in actions {
                self.act(action);
            }
        }
    }

    fn hear(&mut self) {
        for notice in self.policy.take_notices() {
            let at = NAMES.iter().position(|n| *n == notice.service).unwrap();
            if notice.changed {
                assert_ne!(self.known[at].statuses.last(), Some(&notice.status), "seed {}: told twice", self.seed);
                self.known[at].statuses.push(notice.status);
            }
        }
    }

    fn happens(&mut self, what: Happens) {
        let now = self.now();
        match what {
            Happens::CheckEnds { life, service, ticket, verdict } if life == self.life => {
                self.check_ended(service, ticket, verdict);
                let reached = self.known[service].last_reached;
                let verdict = match verdict {
                    0 => Verdict::Healthy,
                    1 => Verdict::Failed { why: "down".to_owned(), reached },
                    _ => Verdict::Unknown { why: "ours".to_owned() },
                };
                self.policy.checked(NAMES[service], ticket, verdict, now);
            }
            Happens::RestartEnds { life, service, ticket, works, helps } => {
                self.known[service].up |= helps;
                if life == self.life {
                    self.known[service].last_end_of_restart = Some(self.t);
                    let outcome = if works { Ok("done".to_owned()) } else { Err("it would not".to_owned()) };
                    self.policy.restarted(NAMES[service], ticket, outcome, now);
                }
            }
            Happens::CheckEnds { .. } => {}
            Happens::Flips { service } => {
                let up = self.known[service].up;
                self.known[service].up = !up;
                self.later(if up { 240_000 } else { 900_000 }, Happens::Flips { service });
            }
            Happens::NetworkFlips => {
                self.network = !self.network;
                self.later(if self.network { 900_000 } else { 120_000 }, Happens::NetworkFlips);
            }
            Happens::ClockJumps => {
                self.wall_offset += self.dice.between(0, 4_000_000_000_000) as i64 - 2_000_000_000_000;
                self.later(900_000, Happens::ClockJumps);
            }
            Happens::Dies => {
                self.dies();
                self.later(900_000, Happens::Dies);
            }
            Happens::AsksRestart { service } => {
                let who = Who { name: "somebody", via: "token" };
                self.known[service].by_hand += u64::from(self.policy.restart_by_hand(NAMES[service], who, now).is_ok());
                self.later(1_800_000, Happens::AsksRestart { service });
            }
            Happens::AsksMaintenance { service } => {
                let until = now.wall.plus_ms(self.dice.between(1_000, 600_000) as i64);
                if self.policy.begin_maintenance(NAMES[service], until, "", Who { name: "somebody", via: "token" }, now).is_ok() {
                    self.known[service].maintenance_until = until.millis();
                }
                self.later(1_800_000, Happens::AsksMaintenance { service });
            }
        }
        if self.store.died() {
            self.dies();
        }
        self.hear();
    }

    fn dies(&mut self) {
        self.deaths += 1;
        self.life += 1;
        if self.dice.chance(50) {
            self.t += self.dice.between(0, 300_000);
        }
        let (policy, base) = Policy::open(self.store.shared()).unwrap();
        (self.policy, self.base, self.born) = (policy, base, self.t);
        let now = self.now();
        self.policy.apply(self.rules.clone(), now).unwrap();
        let views = self.policy.views(now);
        for (at, known) in self.known.iter_mut().enumerate() {
            (known.row, known.well, known.last_well_began, known.last_contact) = (0, false, None, None);
            (known.check, known.last_begin, known.gap_is_excused) = (None, None, true);
            let view = views.iter().find(|v| v.rules.name == NAMES[at]).unwrap();
            // A decision that was recorded counts as a restart, whether it was carried out or not.
            known.after_restart |= view.status == Some(Status::Restarting);
            known.maintenance_until = view.maintenance_until.map_or(i64::MIN, Timestamp::millis);
            // What was told and not kept is told again.
            known.statuses.truncate(0);
            known.statuses.extend(view.status);
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Check { service, ticket } => self.check_begins(position(&service), ticket),
            Action::Restart { service, ticket } => self.restart_begins(position(&service), ticket),
        }
    }

    fn check_begins(&mut self, at: usize, ticket: u64) {
        let t = self.t;
        if self.known[at].check.is_some() {
            self.fail(at, "two checks at the same time");
        }
        let interval = self.rules[at].interval.as_millis() as u64;
        if let (Some(last), false) = (self.known[at].last_begin, self.known[at].gap_is_excused)
            && t > last + interval
        {
            self.fail(at, &format!("a check began {} ms after the one before, the interval is {interval} ms", t - last));
        }
        let remote = self.rules[at].remote.is_some();
        let away = remote && !self.network;
        let verdict = match () {
            () if away && self.dice.chance(50) => 2,
            () if away || !self.known[at].up => 1,
            () if self.dice.chance(2) => 2,
            () => 0,
        };
        self.known[at].last_reached = !away;
        (self.known[at].check, self.known[at].last_begin, self.known[at].gap_is_excused) = (Some((ticket, t)), Some(t), false);
        let timeout = self.rules[at].timeout.as_millis() as u64;
        let life = self.life;
        self.later(timeout, Happens::CheckEnds { life, service: at, ticket, verdict });
    }

    fn check_ended(&mut self, at: usize, ticket: u64, verdict: u8) {
        let in_maintenance = self.known[at].maintenance_until > self.now().wall.millis();
        let known = &mut self.known[at];
        let Some((running, began)) = known.check.take() else { return };
        assert_eq!(running, ticket);
        if known.restarts.last().is_some_and(|r| *r >= began) {
            // It began before a restart; nobody may draw conclusions from it.
            return;
        }
        match verdict {
            0 => {
                (known.row, known.tries_since_well, known.after_restart, known.well) = (0, 0, false, true);
                (known.last_well_began, known.last_contact) = (Some(began), Some(self.t));
            }
            1 => {
                if known.row == 0 {
                    known.row_since = began;
                }
                known.row = if in_maintenance { 0 } else { known.row + 1 };
                known.well = false;
                if known.last_reached {
                    known.last_contact = Some(self.t);
                }
            }
            _ => known.row = 0,
        }
    }

    fn restart_begins(&mut self, at: usize, ticket: u64) {
        let by_hand = std::mem::take(&mut self.known[at].by_hand) > 0;
        if self.rules[at].restart.is_none() {
            self.fail(at, "restarted without a way to restart");
        }
        let audited = self.store.scan(SERVICE_AUDIT, "").unwrap().iter().filter(|(_, v)| is_restart_of(v, NAMES[at])).count();
        if audited <= self.known[at].restarts.len() {
            self.fail(at, "a restart without an audit record before it");
        }
        if by_hand {
            self.known[at].tries_since_well = 0;
        } else {
            self.judge(at);
            self.known[at].tries_since_well += 1;
        }
        let (t, life) = (self.t, self.life);
        let known = &mut self.known[at];
        known.restarts.push(t);
        (known.row, known.after_restart, known.well, known.gap_is_excused) = (0, true, false, true);
        let works = self.dice.chance(80);
        let helps = works && self.dice.chance(50);
        self.later(30_000, Happens::RestartEnds { life, service: at, ticket, works, helps });
    }

    /// The rules for a restart that nobody asked for.
    fn judge(&self, at: usize) {
        let (known, rules, t) = (&self.known[at], &self.rules[at], self.t);
        let lately = known.restarts.iter().filter(|r| **r + 600_000 > t).count();
        if lately >= rules.restarts_max as usize {
            self.fail(at, &format!("{lately} restarts within ten minutes before this one"));
        }
        if known.tries_since_well >= rules.max_retries {
            self.fail(at, &format!("try {} of {}", known.tries_since_well + 1, rules.max_retries));
        }
        if known.row < if known.after_restart { 1 } else { rules.failures + 1 } {
            self.fail(at, &format!("only {} failed checks", known.row));
        }
        if known.maintenance_until > self.now().wall.millis() {
            self.fail(at, "restarted during maintenance");
        }
        let wait = rules.backoff(known.tries_since_well + 1).as_millis() as u64;
        if known.after_restart && known.last_end_of_restart.is_some_and(|end| t < end + wait) && !known.restarts.is_empty() {
            self.fail(at, &format!("waited less than {wait} ms after the restart before"));
        }
        for needed in &rules.depends_on {
            let other = &self.known[position(needed)];
            if !other.well {
                self.fail(at, &format!("restarted while {needed} is not healthy"));
            }
            if other.last_well_began < Some(known.row_since) {
                self.fail(at, &format!("restarted without a fresh look at {needed}"));
            }
        }
        if rules.remote.is_some() && !known.last_reached {
            let elsewhere = |other: usize| self.rules[other].remote.is_some() && self.rules[other].remote != rules.remote;
            let proof = (0..NAMES.len()).any(|other| elsewhere(other) && self.known[other].last_contact >= Some(known.row_since));
            if !proof {
                self.fail(at, "restarted although our own network may be away");
            }
        }
    }

    fn bury(&self, told: &mut BTreeMap<Status, u64>) {
        for (at, name) in NAMES.iter().enumerate() {
            let events = history(&self.store, name, usize::MAX).unwrap();
            if events.windows(2).any(|pair| pair[0].seq <= pair[1].seq) {
                self.fail(at, "the history is out of order");
            }
            if self.refusals {
                continue;
            }
            // Newest first on one side, oldest first on the other; a well beginning is no event.
            let mut kept: Vec<&str> = events.iter().filter(|e| !e.message.starts_with("Watchfire ended")).map(|e| e.status.as_str()).collect();
            kept.dedup();
            for (told, kept) in self.known[at].statuses.iter().rev().zip(&kept) {
                if told.name() != *kept {
                    self.fail(at, &format!("{} was told, {kept} is in the history", told.name()));
                }
            }
        }
        for status in self.known.iter().flat_map(|known| &known.statuses) {
            *told.entry(*status).or_default() += 1;
        }
    }
}

fn position(name: &str) -> usize {
    NAMES.iter().position(|n| *n == name).unwrap()
}

fn is_restart_of(value: &[u8], name: &str) -> bool {
    let entry: serde_json::Value = serde_json::from_slice(value).unwrap();
    entry["action"] == "restart" && entry["service"] == name
}

fn rules(at: usize, name: &str, dice: &mut Dice) -> Rules {
    let seconds = |n: u64| Duration::from_secs(n);
    let interval = dice.between(1, 20);
    Rules {
        interval: seconds(interval),
        timeout: seconds(dice.between(1, interval.min(5))),
        failures: dice.between(3, 5) as u32,
        max_retries: dice.between(1, 4) as u32,
        backoff_base: seconds(dice.between(1, 10)),
        start_period: seconds(dice.between(2, 40)),
        restarts_max: dice.between(1, 3) as u32,
        restart: (at > 0).then(|| "a command".to_owned()),
        remote: [Some("one"), None, None, Some("two")][at].filter(|_| dice.chance(70)).map(str::to_owned),
        depends_on: if at == 1 { vec!["base".to_owned()] } else { Vec::new() },
        ..Rules::new(name)
    }
}

#[test]
fn r55_a_thousand_lives_keep_the_rules() {
    let (mut restarts, mut deaths, mut told) = (0, 0, BTreeMap::new());
    for seed in 0..LIVES {
        let mut world = World::new(seed);
        world.live();
        world.bury(&mut told);
        restarts += world.known.iter().map(|k| k.restarts.len()).sum::<usize>();
        deaths += world.deaths;
    }
    // A world in which nothing happens would prove nothing.
    assert!(restarts > 5_000 && deaths > 5_000, "{restarts} restarts, {deaths} deaths");
    for status in Status::ALL {
        assert!(told.get(&status).is_some_and(|n| *n > 100), "{status:?}: {told:?}");
    }
}
