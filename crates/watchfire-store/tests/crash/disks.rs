//! Full, read-only and dead file systems under a running store: it refuses what it cannot keep, reads on, and forgets nothing.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use watchfire_model::state::{Change, TOKENS};
use watchfire_model::time::{ManualClock, Timestamp};
use watchfire_model::write::{Sink, WriteError};
use watchfire_store::{Options, Store};

use crate::namespace::{Ext4, Journal, Tmpfs, Unavailable};
use crate::oracle::{Everything, START, everything, request, verify_written};
use crate::{Outcome, Random};

fn open(dir: &Path, clock: &Arc<ManualClock>) -> Result<Store, String> {
    let options = Options { sync_interval: Duration::from_secs(3600), min_free_bytes: 0, keeper: false, ..Options::new(dir, clock.clone()) };
    Store::open(options).map_err(|e| format!("cannot open: {e}"))
}

fn clock() -> Arc<ManualClock> {
    ManualClock::new(Timestamp(START + 1_000_000_000))
}

fn outcome(result: Result<Result<String, String>, Unavailable>) -> Outcome {
    match result {
        Ok(Ok(words)) => Outcome::Passed(words),
        Ok(Err(fault)) => Outcome::Fault(fault),
        Err(Unavailable(reason)) => Outcome::Skipped(reason),
    }
}

/// Writes from batch `first` on until it is refused; returns how many batches are acknowledged and why no more.
fn write_on(store: &Store, first: u64, most: u64) -> (u64, Option<WriteError>) {
    for n in first..most {
        if let Err(error) = store.write(request(n)) {
            return (n, Some(error));
        }
    }
    (most, None)
}

fn check_same(store: &Store, before: &Everything, when: &str) -> Result<(), String> {
    if everything(store) == *before { Ok(()) } else { Err(format!("{when}: what is read has changed")) }
}

pub(crate) fn full(_times: u64, _random: &mut Random) -> Outcome {
    outcome((|| {
        let disk = Tmpfs::mount(8 << 20)?;
        Ok(fill_up(disk.dir()))
    })())
}

/// Room for about this much is left when the disk is nearly full.
const ROOM: u64 = 200 << 10;
/// So many small states are committed on the full disk.
const STATES: u64 = 50;

fn fill_up(root: &Path) -> Result<String, String> {
    let (clock, data, ballast) = (clock(), root.join("data"), root.join("ballast"));
    let store = open(&data, &clock)?;
    let (acknowledged, _) = write_on(&store, 0, 50);
    let mut file = fs::File::create(&ballast).map_err(|e| e.to_string())?;
    while file.write_all(&[1; 4 << 10]).is_ok() {}
    let filled = file.metadata().map_err(|e| e.to_string())?.len();
    file.set_len(filled.saturating_sub(ROOM)).map_err(|e| e.to_string())?;
    drop(file);
    // To the very end, batch by batch.
    let (acknowledged, refusal) = write_on(&store, acknowledged, 100_000);
    if !matches!(refusal, Some(WriteError::Full(_))) {
        return Err(format!("{acknowledged} batches, then {refusal:?} on a full disk"));
    }
    let before = everything(&store);
    if store.flush().is_ok() {
        return Err("a flush on a full disk says that it worked".into());
    }
    check_same(&store, &before, "after a flush that failed")?;
    // R14: the small state can change all the same.
    for n in 0..STATES {
        store.state().commit(&[state(n)]).map_err(|e| format!("small state on a full disk: {e}"))?;
    }
    drop(store);
    let store = open(&data, &clock)?;
    check_same(&store, &before, "after a start on the full disk")?;
    let found = store.state().scan(TOKENS, "full/").map_err(|e| e.to_string())?;
    if found.len() as u64 != STATES {
        return Err(format!("{} of {STATES} small states that were committed on a full disk are there", found.len()));
    }
    // A stop may have given some room back, which others take.
    let mut others = fs::File::options().append(true).open(&ballast).map_err(|e| e.to_string())?;
    while others.write_all(&[1; 4 << 10]).is_ok() {}
    drop(others);
    if store.write(request(acknowledged)).is_ok() {
        return Err("a batch was acknowledged on a full disk".into());
    }
    fs::remove_file(&ballast).map_err(|e| e.to_string())?;
    clock.advance(Duration::from_secs(4));
    store.tick();
    let (acknowledged, refusal) = write_on(&store, acknowledged, acknowledged + 20);
    if let Some(error) = refusal {
        return Err(format!("there is room again, and still: {error}"));
    }
    drop(store);
    account(&data, acknowledged).map(|()| format!("{acknowledged} batches, none lost"))
}

/// A small state, as a silence would be.
fn state(n: u64) -> Change {
    Change::Put(TOKENS, format!("full/{n:03}"), vec![7; 1_000])
}

/// Everything acknowledged is there, without the deletions and the state of the other scenarios.
fn account(data: &Path, acknowledged: u64) -> Result<(), String> {
    let store = open(data, &clock())?;
    let verified = verify_written(&store, acknowledged);
    store.close();
    verified
}

pub(crate) fn read_only(_times: u64, _random: &mut Random) -> Outcome {
    outcome(broken(Ext4::turn_read_only, true))
}

pub(crate) fn dead(_times: u64, _random: &mut Random) -> Outcome {
    outcome(broken(|disk| disk.shut_down(Journal::Lost), false))
}

/// A store whose file system takes no more writes; after a repair it goes on. With `segments`, it has files to read, which a dead
/// disk does not give.
fn broken(break_it: impl Fn(&Ext4) -> Result<(), Unavailable>, segments: bool) -> Result<Result<String, String>, Unavailable> {
    let disk = Ext4::make()?;
    let (clock, data) = (clock(), disk.dir().join("data"));
    let work = || -> Result<(Store, u64), String> {
        let store = open(&data, &clock)?;
        write_on(&store, 0, 30);
        if segments {
            store.flush().map_err(|e| e.to_string())?;
        }
        let (synced, refusal) = write_on(&store, 30, 60);
        store.sync();
        refusal.map_or(Ok((store, synced)), |e| Err(e.to_string()))
    };
    let (store, synced) = match work() {
        Ok(done) => done,
        Err(fault) => return Ok(Err(fault)),
    };
    break_it(&disk)?;
    let meanwhile = || -> Result<u64, String> {
        let before = everything(&store);
        let (acknowledged, refusal) = write_on(&store, synced, synced + 20);
        let Some(error) = refusal else { return Err(format!("{acknowledged} batches were acknowledged, 20 of them on a broken disk")) };
        check_same(&store, &before, "on the broken disk")?;
        for _ in 0..5 {
            clock.advance(Duration::from_secs(1800));
            store.tick();
            check_same(&store, &before, "hours later")?;
        }
        match store.stats().refusing {
            Some(_) => Ok(acknowledged),
            None => Err(format!("refused ({error}), and the figures do not say so")),
        }
    };
    let acknowledged = meanwhile();
    store.close();
    drop(store);
    disk.mount_again()?;
    Ok(acknowledged.and_then(|acknowledged| {
        account(&data, acknowledged)?;
        let store = open(&data, &clock)?;
        let (all, refusal) = write_on(&store, acknowledged, acknowledged + 20);
        drop(store);
        refusal.map_or(Ok(()), |e| Err(format!("after the repair: {e}")))?;
        account(&data, all).map(|()| format!("{all} batches, none lost"))
    }))
}
