//! Counts starts that were not survived, so that a log that kills its reader does not do so for ever: after some deaths the log is
//! read back in little memory, after some more its oldest part is set aside. Not for starts that end with an error of their own.
//! Layout: `docs/formats/starts.md`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::file::{Disk, read_all, write_whole};

/// The file that counts.
const FILE: &str = "starts";
const PREFIX: &str = "watchfire starts ";
/// A process that lives for so long after it was ready has survived its start.
const SURVIVED_AFTER: Duration = Duration::from_secs(60);
/// After so many deaths in a row the log is read back in little memory.
const DEATHS_MAX: u32 = 3;
/// After so many starts in a row that died before they were ready, the oldest part of the log is set aside.
const UNREADY_MAX: u32 = 6;

/// How carefully a start reads the log back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Care {
    /// As always.
    Usual,
    /// In little memory.
    LittleMemory,
    /// In little memory, and without the oldest part.
    PartAside,
    /// Without any of it.
    AllAside,
}

/// Starts in a row that did not end well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    /// Not survived.
    deaths: u32,
    /// Died before they were ready.
    unready: u32,
}

impl Counts {
    fn encode(self) -> String {
        let line = format!("{PREFIX}{} {}\n", self.deaths, self.unready);
        format!("{line}crc32 {:08x}\n", crc32fast::hash(line.as_bytes()))
    }

    /// What is damaged counts for nothing.
    fn decode(text: &str) -> Counts {
        let counts = || {
            let (deaths, unready) = text.lines().next()?.strip_prefix(PREFIX)?.split_once(' ')?;
            Some(Counts { deaths: deaths.parse().ok()?, unready: unready.parse().ok()? })
        };
        counts().filter(|counts| counts.encode() == text).unwrap_or_default()
    }

    fn care(self) -> Care {
        match self {
            Counts { unready, .. } if unready > UNREADY_MAX => Care::AllAside,
            Counts { unready: UNREADY_MAX, .. } => Care::PartAside,
            Counts { deaths, .. } if deaths >= DEATHS_MAX => Care::LittleMemory,
            _ => Care::Usual,
        }
    }
}

/// This start among those before it.
#[derive(Clone)]
pub(super) struct Starts {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    before: Counts,
    /// When this start is survived, on the monotonic clock; nothing when that is settled.
    survived_at: Option<Duration>,
}

impl Starts {
    /// Counts this start as one that died, until it is known better. A file that cannot be written counts nothing: a full disk must
    /// not prevent a start.
    pub(super) fn begin(disk: Arc<dyn Disk>, dir: &Path) -> Starts {
        let read = || Some(Counts::decode(&String::from_utf8_lossy(&read_all(&*disk.open(&dir.join(FILE)).ok()?).ok()?)));
        let before = read().unwrap_or_default();
        let starts = Starts { disk, dir: dir.to_owned(), before, survived_at: None };
        starts.write(Counts { deaths: before.deaths.saturating_add(1), unready: before.unready.saturating_add(1) });
        starts
    }

    pub(super) fn care(&self) -> Care {
        self.before.care()
    }
    /// How many starts before this one were not survived.
    pub(super) fn deaths(&self) -> u32 {
        self.before.deaths
    }

    fn write(&self, counts: Counts) {
        if let Err(error) = write_whole(&*self.disk, &self.dir, FILE, counts.encode().as_bytes()) {
            tracing::warn!(%error, "cannot count this start");
            if let Err(left) = self.disk.remove(&self.dir.join(format!("{FILE}.tmp"))) {
                tracing::debug!(error = %left, "no unfinished count to remove");
            }
        }
    }

    /// What was to be read is read.
    pub(super) fn ready(&mut self, now: Duration) {
        self.survived_at = Some(now.saturating_add(SURVIVED_AFTER));
        self.write(Counts { deaths: self.before.deaths.saturating_add(1), unready: 0 });
    }

    /// An error that ends a start is no death: whoever sees it knows what is wrong.
    pub(super) fn refused(&self) {
        self.write(self.before);
    }

    /// Clears the count when this start is survived.
    pub(super) fn look(&mut self, now: Duration) {
        if self.survived_at.is_some_and(|at| now >= at) {
            self.survived();
        }
    }

    /// Clears the count: the process lives, or stops in good order.
    pub(super) fn survived(&mut self) {
        if self.survived_at.take().is_none() {
            return;
        }
        let cleared = self.disk.remove(&self.dir.join(FILE)).and_then(|()| self.disk.sync_dir(&self.dir));
        if let Err(error) = cleared {
            tracing::warn!(%error, "cannot forget the starts that died");
        }
    }
}

/// Lets the next start find deaths, as `begin` would have counted them.
#[cfg(test)]
pub(super) fn pretend(disk: &dyn Disk, dir: &Path, deaths: u32, unready: u32) {
    write_whole(disk, dir, FILE, Counts { deaths, unready }.encode().as_bytes()).expect("a file");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_damaged_counts_for_nothing() {
        let counts = Counts { deaths: 4, unready: 2 };
        let text = counts.encode();
        assert_eq!(Counts::decode(&text), counts);
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 1;
            assert_eq!(Counts::decode(&String::from_utf8_lossy(&bytes)), Counts::default(), "{at}");
            let cut: String = text.chars().take(at).collect();
            assert_eq!(Counts::decode(&cut), Counts::default());
        }
    }

    #[test]
    fn care_grows_with_the_deaths() {
        let care = |deaths, unready| Counts { deaths, unready }.care();
        assert_eq!([care(0, 0), care(2, 2), care(3, 0), care(9, 5)], [Care::Usual, Care::Usual, Care::LittleMemory, Care::LittleMemory]);
        assert_eq!([care(6, 6), care(7, 7)], [Care::PartAside, Care::AllAside]);
    }
}
