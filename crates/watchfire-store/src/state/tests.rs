//! The state file keeps what was committed.

use super::*;
use crate::file::RealDisk;
use crate::file::simulated::SimulatedDisk;
use watchfire_model::state::{TOKENS, USERS};

#[test]
fn commits_survive_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.redb");
    {
        let state = RedbState::open(&RealDisk, &path).unwrap();
        assert_eq!(state.get(TOKENS, "a").unwrap(), None);
        assert_eq!(state.scan(TOKENS, "").unwrap(), []);
        state.commit(&[Change::Put(TOKENS, "a/1".into(), b"x".to_vec()), Change::Put(TOKENS, "a/2".into(), b"y".to_vec())]).unwrap();
        state.commit(&[Change::Put(TOKENS, "b".into(), b"z".to_vec()), Change::Delete(TOKENS, "a/2".into())]).unwrap();
    }
    let state = RedbState::open(&RealDisk, &path).unwrap();
    assert_eq!(state.get(TOKENS, "a/1").unwrap(), Some(b"x".to_vec()));
    assert_eq!(state.scan(TOKENS, "a").unwrap(), [("a/1".to_owned(), b"x".to_vec())]);
    assert_eq!(state.scan(TOKENS, "").unwrap().len(), 2);
    assert_eq!(state.scan(USERS, "").unwrap(), []);
}

#[test]
fn r02_a_death_while_the_file_is_made_is_no_damage() {
    let path = Path::new("/data/state.redb");
    let whole = SimulatedDisk::default();
    drop(RedbState::open(&whole, path).unwrap());
    let steps = whole.changes();
    assert!(steps > 5, "{steps}");
    for step in 0..steps {
        let disk = SimulatedDisk::default();
        disk.die_after(step);
        drop(RedbState::open(&disk, path));
        let state = RedbState::open(&disk.copy(), path).unwrap_or_else(|e| panic!("step {step}: {e:?}"));
        state.commit(&[Change::Put(TOKENS, "a".into(), b"x".to_vec())]).unwrap();
        assert_eq!(state.get(TOKENS, "a").unwrap(), Some(b"x".to_vec()), "step {step}");
    }
}

#[test]
fn damage_is_noticed_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.redb");
    let entries: Vec<_> = (0..200).map(|n| (format!("key{n:03}"), vec![n as u8; 40])).collect();
    {
        let state = RedbState::open(&RealDisk, &path).unwrap();
        let changes: Vec<_> = entries.iter().map(|(k, v)| Change::Put(TOKENS, k.clone(), v.clone())).collect();
        state.commit(&changes).unwrap();
    }
    let whole = std::fs::read(&path).unwrap();
    let mut random = crate::file::simulated::Random(3);
    let mut noticed = 0;
    for _ in 0..60 {
        let mut bytes = whole.clone();
        // Most of the file is unused; half of the hits go where the data are.
        let used: Vec<_> = bytes.iter().enumerate().filter(|(_, b)| **b != 0).map(|(at, _)| at).collect();
        let at = if random.below(2) == 0 { used[random.below(used.len() as u64) as usize] } else { random.below(bytes.len() as u64) as usize };
        bytes[at] ^= 1 << random.below(8);
        std::fs::write(&path, &bytes).unwrap();
        match RedbState::open(&RealDisk, &path) {
            Ok(state) => match state.scan(TOKENS, "") {
                Ok(found) => assert!(found == entries || found.is_empty(), "byte {at}: a wrong value"),
                Err(_) => noticed += 1,
            },
            Err(_) => noticed += 1,
        }
    }
    assert!(noticed > 5, "only {noticed} of 60");
}

#[test]
fn r14_after_an_error_of_the_disk_the_state_works_again() {
    let path = Path::new("/data/state.redb");
    let disk = SimulatedDisk::default();
    let state = RedbState::open(&disk, path).unwrap();
    let put = |key: &str| [Change::Put(TOKENS, key.into(), b"x".to_vec())];
    state.commit(&put("a")).unwrap();
    disk.fail_write_after(0);
    assert!(state.commit(&put("b")).is_err());
    assert_eq!(state.get(TOKENS, "a").unwrap(), Some(b"x".to_vec()));
    state.commit(&put("c")).unwrap();
    drop(state);
    let state = RedbState::open(&disk, path).unwrap();
    let keys: Vec<String> = state.scan(TOKENS, "").unwrap().into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys, ["a", "c"]);
}
