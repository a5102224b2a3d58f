//! Sums as the state file holds them: one entry per period and key, in a form of its own with a version.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use watchfire_model::state::{Change, MODEL_COSTS as TABLE, StateError, StateStore};

use super::sums::{Books, Key, Period, Sums};

/// The entry that says which exchanges the sums hold.
const FOLDED: &str = "folded";
const VERSION: u8 = 1;

#[derive(Serialize, Deserialize)]
struct Row {
    v: u8,
    #[serde(flatten)]
    key: Key,
    #[serde(flatten)]
    sums: Prefixed,
}
/// Sums under one name, because key and sums use the same letters.
#[derive(Serialize, Deserialize)]
struct Prefixed {
    sums: Sums,
}

fn prefix(period: Period) -> String {
    match period {
        Period::Ever => "ever/".to_owned(),
        Period::Month(year, month) => format!("month/{year:04}-{month:02}/"),
        Period::Day(date) => format!("day/{date}/"),
    }
}

fn period(key: &str) -> Option<Period> {
    let mut parts = key.splitn(3, '/');
    match (parts.next()?, parts.next()?) {
        ("ever", _) => Some(Period::Ever),
        ("month", text) => {
            let (year, month) = text.split_once('-')?;
            Some(Period::Month(year.parse().ok()?, month.parse().ok()?))
        }
        ("day", text) => text.parse::<Date>().ok().map(Period::Day),
        _ => None,
    }
}

/// The name of an entry. Parts of keys hold no tab.
fn name(period: Period, key: &Key) -> String {
    format!("{}{}\t{}\t{}\t{}", prefix(period), key.model, key.upstream, key.camera, key.caller)
}

/// The change that keeps sums.
pub(super) fn put(period: Period, key: &Key, sums: &Sums) -> Change {
    let row = Row { v: VERSION, key: key.clone(), sums: Prefixed { sums: *sums } };
    Change::Put(TABLE, name(period, key), serde_json::to_vec(&row).unwrap_or_default())
}
/// The change that forgets them.
pub(super) fn delete(period: Period, key: &Key) -> Change {
    Change::Delete(TABLE, name(period, key))
}
/// Which exchanges of the journal the sums hold already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Folded {
    /// Those that ended, up to this number.
    pub(super) number: u64,
    /// Those that a death left open, up to this id.
    pub(super) dead: u64,
}
/// The change that says so.
pub(super) fn put_folded(folded: Folded) -> Change {
    Change::Put(TABLE, FOLDED.to_owned(), serde_json::to_vec(&folded).unwrap_or_default())
}

/// Everything that is kept: sums, which exchanges they hold, and how many entries make no sense.
pub(super) fn load(state: &dyn StateStore) -> Result<(Books, Folded, u64), StateError> {
    let (mut books, mut folded, mut strange) = (Books::default(), Folded::default(), 0);
    for (name, value) in state.scan(TABLE, "")? {
        if name == FOLDED {
            folded = serde_json::from_slice(&value).unwrap_or_default();
            continue;
        }
        match (period(&name), serde_json::from_slice::<Row>(&value)) {
            (Some(period), Ok(row)) if row.v == VERSION => drop(books.0.entry(period).or_default().insert(row.key, row.sums.sums)),
            _ => strange += 1,
        }
    }
    Ok((books, folded, strange))
}
