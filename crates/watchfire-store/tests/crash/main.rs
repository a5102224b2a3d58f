//! Kills a writing process again and again, cuts the power of its file system, fills its disk and makes it read-only, and compares
//! what the store gives back with what was acknowledged: nothing may be lost, invented or changed.
//!
//! The same program is the writer (`crash writer <dir> <first batch> <mode>`). `WATCHFIRE_CRASH_KILLS` sets the number of kills (50),
//! `WATCHFIRE_CRASH_CUTS` that of power cuts (12), `WATCHFIRE_CRASH_CALL_STRIDE` which system calls are hit (every 16th),
//! `WATCHFIRE_CRASH_BUDGET_MINUTES` how much load is written to measure what reaches the device (10),
//! `WATCHFIRE_CRASH_SEED` the seed, which is told with a failure. A word on the command line
//! chooses scenarios whose name has it. Power cuts and broken disks need root, in a mount namespace of their own; without it they
//! are skipped, and say so.
//!
//! Builds with a feature `canary-…` are wrong on purpose. In them each scenario that has to notice must find a fault, or it fails.

mod budget;
mod calls;
mod disks;
mod kills;
mod logs;
mod namespace;
mod oracle;
mod power;
mod writer;

use std::process::ExitCode;

use watchfire_model::time::{Clock, SystemClock};

/// How a scenario ended, in words.
pub(crate) enum Outcome {
    Passed(String),
    Skipped(String),
    Fault(String),
}

pub(crate) type Run = fn(u64, &mut Random) -> Outcome;

pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) run: Run,
    /// Whether it needs mounts.
    pub(crate) namespace: bool,
    /// How often (or every how many), and the variable that changes it.
    times: (&'static str, u64),
    /// So many times as often is a wrong build tried, where chance decides which of its faults is met. It ends with the first.
    patience: u64,
    /// Whether this build is wrong in a way that it must notice.
    caught: bool,
}

pub(crate) const SCENARIOS: [Scenario; 7] = [
    Scenario {
        name: "r01_kills_lose_nothing",
        run: kills::run,
        namespace: false,
        times: ("WATCHFIRE_CRASH_KILLS", 50),
        patience: 10,
        caught: cfg!(any(feature = "canary-ack-before-write", feature = "canary-forgetful-recovery", feature = "canary-forgets-lines")),
    },
    Scenario {
        name: "r02_death_and_errors_at_every_system_call_lose_nothing",
        run: calls::run,
        namespace: false,
        times: ("WATCHFIRE_CRASH_CALL_STRIDE", 16),
        patience: 1,
        caught: cfg!(any(feature = "canary-ack-before-write", feature = "canary-ignores-errors")),
    },
    Scenario {
        name: "r03_power_cuts_lose_nothing_that_was_synced",
        run: power::run,
        namespace: true,
        times: ("WATCHFIRE_CRASH_CUTS", 12),
        patience: 20,
        caught: cfg!(any(feature = "canary-nofsync", feature = "canary-forgetful-recovery")),
    },
    Scenario {
        name: "r13_a_full_file_system_refuses_and_resumes",
        run: disks::full,
        namespace: true,
        times: ("WATCHFIRE_CRASH_DISKS", 1),
        patience: 1,
        caught: cfg!(feature = "canary-ignores-errors"),
    },
    Scenario {
        name: "r15_a_file_system_that_turns_read_only_is_read_on",
        run: disks::read_only,
        namespace: true,
        times: ("WATCHFIRE_CRASH_DISKS", 1),
        patience: 1,
        caught: cfg!(feature = "canary-ignores-errors"),
    },
    Scenario {
        name: "r15_when_the_file_system_dies_memory_is_read_on",
        run: disks::dead,
        namespace: true,
        times: ("WATCHFIRE_CRASH_DISKS", 1),
        patience: 1,
        caught: cfg!(feature = "canary-ignores-errors"),
    },
    Scenario {
        name: "r11_the_write_budget_of_a_small_machine",
        run: budget::run,
        namespace: true,
        times: ("WATCHFIRE_CRASH_BUDGET_MINUTES", 10),
        patience: 1,
        caught: false,
    },
];

const CANARY: bool = cfg!(any(
    feature = "canary-ack-before-write",
    feature = "canary-nofsync",
    feature = "canary-forgetful-recovery",
    feature = "canary-ignores-errors",
    feature = "canary-forgets-lines"
));

/// Random numbers from a seed.
pub(crate) struct Random(pub(crate) u64);
impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb) >> 11
    }
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.next() % n.max(1)
    }
}

#[expect(clippy::disallowed_methods, reason = "a test program has no configuration but its environment")]
fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Runs a scenario and says how it went; returns whether that is as it should be.
fn test(scenario: &Scenario, seed: u64) -> bool {
    let times = setting(scenario.times.0).unwrap_or(scenario.times.1) * if scenario.caught { scenario.patience } else { 1 };
    let outcome = if scenario.namespace { namespace::run_inside(scenario, times, seed) } else { (scenario.run)(times, &mut Random(seed)) };
    let name = scenario.name;
    match (outcome, scenario.caught) {
        (Outcome::Skipped(reason), _) => println!("SKIPPED: {name}: {reason}"),
        (Outcome::Passed(words), false) => println!("test {name} ... ok ({words})"),
        (Outcome::Fault(fault), true) => println!("test r04 {name} ... ok, this wrong build is caught ({fault})"),
        (Outcome::Fault(fault), false) => {
            println!("test {name} ... FAILED: {fault} (WATCHFIRE_CRASH_SEED={seed} {}={times})", scenario.times.0);
            return false;
        }
        (Outcome::Passed(words), true) => {
            println!("test r04 {name} ... FAILED: this wrong build was not caught ({words})");
            return false;
        }
    }
    true
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["writer", dir, first, mode] => return writer::write(dir, first.parse().expect("a number"), mode),
        ["inside", name, times, seed] => return namespace::inside(name, times.parse().expect("a number"), seed.parse().expect("a number")),
        _ => {}
    }
    if arguments.iter().any(|a| a == "--list") {
        SCENARIOS.iter().for_each(|s| println!("{}: test", s.name));
        return ExitCode::SUCCESS;
    }
    let words: Vec<_> = arguments.iter().filter(|a| !a.starts_with('-')).collect();
    let seed = setting("WATCHFIRE_CRASH_SEED").unwrap_or_else(|| SystemClock::new().now().millis() as u64);
    let chosen = SCENARIOS.iter().filter(|s| (s.caught || !CANARY) && (words.is_empty() || words.iter().any(|w| s.name.contains(w.as_str()))));
    let failed = chosen.filter(|scenario| !test(scenario, seed)).count();
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
