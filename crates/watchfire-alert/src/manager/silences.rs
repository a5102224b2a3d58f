//! Silences: who set one, whom it keeps quiet and for how long. The rules by which one may be changed are Alertmanager's.

use std::collections::BTreeMap;

use watchfire_model::labels::Labels;
use watchfire_model::matcher::{Matcher, matches_all};
use watchfire_model::state::Change;
use watchfire_model::time::Timestamp;

use super::record::{SILENCES, SilenceRecord, encode};

/// How long an expired silence is still shown.
pub const RETENTION_MS: i64 = 120 * 3_600_000;
/// The most silences, expired ones included.
pub const SILENCES_MAX: usize = 4_096;
/// The most bytes of one.
pub const SILENCE_BYTES_MAX: usize = 64 << 10;
/// The most matchers of one.
const MATCHERS_MAX: usize = 64;

/// A silence.
#[derive(Clone, Debug, PartialEq)]
pub struct Silence {
    /// Its name.
    pub id: String,
    /// Which alerts it keeps quiet: those that satisfy all.
    pub matchers: Vec<Matcher>,
    /// From when on.
    pub starts_at: Timestamp,
    /// Until when.
    pub ends_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// Who set it.
    pub created_by: String,
    /// Why.
    pub comment: String,
}

/// What a silence does at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SilenceState {
    /// It keeps alerts quiet.
    Active,
    /// It will.
    Pending,
    /// It did.
    Expired,
}
impl SilenceState {
    /// The word of the API.
    pub fn word(self) -> &'static str {
        match self {
            SilenceState::Active => "active",
            SilenceState::Pending => "pending",
            SilenceState::Expired => "expired",
        }
    }
}

impl Silence {
    /// What it does at a moment.
    pub fn state(&self, now: Timestamp) -> SilenceState {
        if now < self.starts_at {
            SilenceState::Pending
        } else if now < self.ends_at {
            SilenceState::Active
        } else {
            SilenceState::Expired
        }
    }
}

/// Why a silence is not set or ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SilenceError {
    /// There is none of that name.
    #[error("silence {0} not found")]
    NotFound(String),
    /// It cannot be meant.
    #[error("invalid silence: {0}")]
    Invalid(String),
    /// There is no room for more.
    #[error("more than {SILENCES_MAX} silences")]
    Full,
    /// It could not be stored, and is not set.
    #[error("the silence could not be stored: {0}")]
    NotStored(String),
}

/// All silences.
#[derive(Default)]
pub(super) struct Silences {
    all: BTreeMap<String, Silence>,
}

/// What a change of silences is: in the store first, then here.
pub(super) struct Planned {
    pub(super) id: String,
    puts: Vec<Silence>,
}
impl Planned {
    pub(super) fn changes(&self) -> Vec<Change> {
        self.puts.iter().map(|s| Change::Put(SILENCES, s.id.clone(), encode(SilenceRecord::of(s)))).collect()
    }
}

impl Silences {
    pub(super) fn restore(&mut self, silence: Silence) {
        self.all.insert(silence.id.clone(), silence);
    }
    pub(super) fn get(&self, id: &str) -> Option<&Silence> {
        self.all.get(id)
    }
    pub(super) fn iter(&self) -> impl Iterator<Item = &Silence> {
        self.all.values()
    }
    /// The names of the silences that keep an alert quiet, ascending.
    pub(super) fn silencing(&self, labels: &Labels, now: Timestamp) -> Vec<String> {
        self.all.values().filter(|s| s.state(now) == SilenceState::Active && matches_all(&s.matchers, labels)).map(|s| s.id.clone()).collect()
    }
    /// How many are in a state.
    pub(super) fn count(&self, state: SilenceState, now: Timestamp) -> usize {
        self.all.values().filter(|s| s.state(now) == state).count()
    }

    /// What setting a silence changes. One with the name of another replaces it where only its end, or what has not begun
    /// yet, differs; else the other ends and this one gets a name of its own.
    pub(super) fn plan_set(&self, mut new: Silence, now: Timestamp, fresh_id: impl FnOnce() -> String) -> Result<Planned, SilenceError> {
        check(&new, now)?;
        new.updated_at = now;
        let mut puts = Vec::new();
        if !new.id.is_empty() {
            let old = self.all.get(&new.id).ok_or_else(|| SilenceError::NotFound(new.id.clone()))?;
            if can_become(old, &new, now) {
                return Ok(Planned { id: new.id.clone(), puts: vec![new] });
            }
            puts.extend(ended(old, now));
        }
        if self.all.len() >= SILENCES_MAX {
            return Err(SilenceError::Full);
        }
        new.id = fresh_id();
        new.starts_at = new.starts_at.max(now);
        let id = new.id.clone();
        puts.push(new);
        Ok(Planned { id, puts })
    }
    /// What ending a silence changes: nothing when it has ended already.
    pub(super) fn plan_expire(&self, id: &str, now: Timestamp) -> Result<Planned, SilenceError> {
        let silence = self.all.get(id).ok_or_else(|| SilenceError::NotFound(id.to_owned()))?;
        Ok(Planned { id: id.to_owned(), puts: ended(silence, now).into_iter().collect() })
    }
    pub(super) fn carry_out(&mut self, planned: Planned) {
        for silence in planned.puts {
            self.restore(silence);
        }
    }
    /// Forgets what expired long ago.
    pub(super) fn forget(&mut self, now: Timestamp) -> Vec<Change> {
        let old: Vec<String> = self.all.values().filter(|s| s.ends_at.plus_ms(RETENTION_MS) < now).map(|s| s.id.clone()).collect();
        old.iter().for_each(|id| drop(self.all.remove(id)));
        old.into_iter().map(|id| Change::Delete(SILENCES, id)).collect()
    }
}

fn check(silence: &Silence, now: Timestamp) -> Result<(), SilenceError> {
    let invalid = |message: &str| Err(SilenceError::Invalid(message.to_owned()));
    let bytes = silence.matchers.iter().map(|m| m.name.len() + m.value.len()).sum::<usize>() + silence.comment.len() + silence.created_by.len();
    match () {
        () if silence.matchers.is_empty() => invalid("at least one matcher required"),
        () if silence.matchers.len() > MATCHERS_MAX => invalid("too many matchers"),
        () if bytes > SILENCE_BYTES_MAX => invalid("it is too large"),
        () if silence.matchers.iter().any(|m| m.name.is_empty()) => invalid("a matcher has no label name"),
        () if silence.matchers.iter().all(Matcher::matches_empty) => invalid("at least one matcher must not match the empty string"),
        () if silence.ends_at <= silence.starts_at => invalid("start time must be before end time"),
        () if silence.ends_at < now => invalid("end time can't be in the past"),
        () => Ok(()),
    }
}

fn can_become(old: &Silence, new: &Silence, now: Timestamp) -> bool {
    if old.matchers != new.matchers {
        return false;
    }
    match old.state(now) {
        // Only seconds count: clients send back what they were shown.
        SilenceState::Active => new.starts_at.millis().div_euclid(1_000) == old.starts_at.millis().div_euclid(1_000) && new.ends_at >= now,
        SilenceState::Pending => new.starts_at >= now,
        SilenceState::Expired => false,
    }
}

/// The silence as it is when it ends now; `None` when it has ended.
fn ended(silence: &Silence, now: Timestamp) -> Option<Silence> {
    let starts_at = match silence.state(now) {
        SilenceState::Active => silence.starts_at,
        SilenceState::Pending => now,
        SilenceState::Expired => return None,
    };
    Some(Silence { starts_at, ends_at: now, updated_at: now, ..silence.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn silence(id: &str, value: &str, starts: i64, ends: i64) -> Silence {
        Silence {
            id: id.to_owned(),
            matchers: vec![Matcher::equal("a", value)],
            starts_at: Timestamp(starts),
            ends_at: Timestamp(ends),
            updated_at: Timestamp(0),
            created_by: String::new(),
            comment: String::new(),
        }
    }

    fn set(all: &mut Silences, new: Silence, now: i64, fresh: &str) -> Result<String, SilenceError> {
        let planned = all.plan_set(new, Timestamp(now), || fresh.to_owned())?;
        let id = planned.id.clone();
        all.carry_out(planned);
        Ok(id)
    }

    #[test]
    fn which_changes_keep_the_name() {
        let mut all = Silences::default();
        assert_eq!(set(&mut all, silence("", "x", 5_000, 100_000), 10_000, "one"), Ok("one".to_owned()));
        assert_eq!(all.get("one").unwrap().starts_at, Timestamp(10_000), "it cannot begin in the past");
        // Another end of an active one.
        assert_eq!(set(&mut all, silence("one", "x", 10_400, 200_000), 20_000, "no"), Ok("one".to_owned()));
        // Other matchers, or another begin.
        assert_eq!(set(&mut all, silence("one", "y", 10_000, 200_000), 20_000, "two"), Ok("two".to_owned()));
        assert_eq!(all.get("one").unwrap().state(Timestamp(20_000)), SilenceState::Expired);
        assert_eq!(set(&mut all, silence("two", "y", 15_000, 200_000), 21_000, "three"), Ok("three".to_owned()));
        // An expired one comes back under another name.
        assert_eq!(set(&mut all, silence("one", "x", 10_000, 200_000), 22_000, "four"), Ok("four".to_owned()));
        // One that has not begun may begin at another time, but not in the past.
        assert_eq!(set(&mut all, silence("", "z", 90_000, 95_000), 30_000, "five"), Ok("five".to_owned()));
        assert_eq!(set(&mut all, silence("five", "z", 80_000, 95_000), 30_000, "no"), Ok("five".to_owned()));
        assert_eq!(set(&mut all, silence("five", "z", 20_000, 95_000), 30_000, "six"), Ok("six".to_owned()));
        assert_eq!(set(&mut all, silence("nobody", "z", 1, 95_000), 30_000, "x"), Err(SilenceError::NotFound("nobody".to_owned())));
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        let mut all = Silences::default();
        let check = |all: &mut Silences, new: Silence, words: &str| {
            let error = set(all, new, 10_000, "x").unwrap_err().to_string();
            assert!(error.starts_with("invalid silence: ") && error.contains(words), "{error}");
        };
        check(&mut all, Silence { matchers: vec![], ..silence("", "x", 1, 20_000) }, "at least one matcher required");
        check(&mut all, silence("", "", 1, 20_000), "must not match the empty string");
        check(&mut all, silence("", "x", 30_000, 20_000), "start time must be before end time");
        check(&mut all, silence("", "x", 1, 9_000), "in the past");
        check(&mut all, Silence { comment: "x".repeat(70_000), ..silence("", "x", 1, 20_000) }, "too large");
    }

    #[test]
    fn expired_silences_stay_for_five_days() {
        let mut all = Silences::default();
        set(&mut all, silence("", "x", 0, 1_000), 0, "a").unwrap();
        let labels = Labels::from_pairs([("a", "x")]);
        assert_eq!(all.silencing(&labels, Timestamp(999)), ["a"]);
        assert!(all.silencing(&labels, Timestamp(1_000)).is_empty());
        assert!(all.plan_expire("a", Timestamp(2_000)).unwrap().changes().is_empty());
        assert!(all.forget(Timestamp(1_000 + RETENTION_MS)).is_empty());
        assert_eq!(all.forget(Timestamp(1_001 + RETENTION_MS)), [Change::Delete(SILENCES, "a".to_owned())]);
        assert!(all.get("a").is_none());
    }
}
