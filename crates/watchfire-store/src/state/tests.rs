//! The state file keeps what was committed.

use super::*;
use crate::file::RealDisk;
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
