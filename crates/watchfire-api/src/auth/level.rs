//! Access levels of routes and the rights of callers. Not roles: there is nothing finer than these levels.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a route demands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Nothing: liveness, readiness, the log-in page and its static files.
    Public,
    /// The right to look at telemetry and settings.
    Read,
    /// The right to send telemetry.
    Ingest,
    /// The right to change state and to see what debuggers see. Holds all other rights.
    Admin,
}
impl Level {
    /// Every level, in the order of the documentation.
    pub const ALL: [Level; 4] = [Level::Public, Level::Read, Level::Ingest, Level::Admin];

    /// The level's word in files, answers and documentation.
    pub fn word(self) -> &'static str {
        match self {
            Level::Public => "public",
            Level::Read => "read",
            Level::Ingest => "ingest",
            Level::Admin => "admin",
        }
    }
    /// The level with a word.
    pub fn from_word(word: &str) -> Option<Level> {
        Level::ALL.into_iter().find(|l| l.word() == word)
    }
}
impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// What a caller may do. Reading and sending are separate: a token that sends cannot look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Rights {
    read: bool,
    ingest: bool,
    admin: bool,
}
impl Rights {
    /// Public routes only.
    pub const NONE: Rights = Rights { read: false, ingest: false, admin: false };
    /// Everything.
    pub const ALL: Rights = Rights { read: true, ingest: true, admin: true };
    /// What unchanged containers in a trusted network get.
    pub const READ_AND_INGEST: Rights = Rights { read: true, ingest: true, admin: false };

    /// The rights that a token or user of a level has.
    pub const fn of(level: Level) -> Rights {
        match level {
            Level::Public => Rights::NONE,
            Level::Read => Rights { read: true, ingest: false, admin: false },
            Level::Ingest => Rights { read: false, ingest: true, admin: false },
            Level::Admin => Rights::ALL,
        }
    }
    /// Whether a route of a level may be used.
    pub const fn allow(self, level: Level) -> bool {
        match level {
            Level::Public => true,
            Level::Read => self.read,
            Level::Ingest => self.ingest,
            Level::Admin => self.admin,
        }
    }
    /// Both together.
    pub const fn and(self, other: Rights) -> Rights {
        Rights { read: self.read || other.read, ingest: self.ingest || other.ingest, admin: self.admin || other.admin }
    }
    /// The words of the rights held, for answers.
    pub fn words(self) -> Vec<&'static str> {
        Level::ALL.into_iter().filter(|l| *l != Level::Public && self.allow(*l)).map(Level::word).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn read_and_ingest_are_separate_and_admin_holds_all() {
        for (have, need, allowed) in [
            (Level::Public, Level::Public, true),
            (Level::Public, Level::Read, false),
            (Level::Read, Level::Read, true),
            (Level::Read, Level::Ingest, false),
            (Level::Ingest, Level::Read, false),
            (Level::Ingest, Level::Ingest, true),
            (Level::Ingest, Level::Admin, false),
            (Level::Admin, Level::Read, true),
            (Level::Admin, Level::Ingest, true),
            (Level::Admin, Level::Admin, true),
        ] {
            assert_eq!(Rights::of(have).allow(need), allowed, "{have} → {need}");
        }
        assert_eq!(Rights::READ_AND_INGEST.words(), ["read", "ingest"]);
    }
}
