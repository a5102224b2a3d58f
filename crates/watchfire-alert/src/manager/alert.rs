//! An alert as somebody sent it: what it is, since when, and until when it counts as firing. Not how anybody is told of it.

use std::fmt;
use std::str::FromStr;

use watchfire_model::labels::Labels;
use watchfire_model::time::Timestamp;

/// The most labels or annotations of one alert.
pub const PAIRS_MAX: usize = 128;
/// The most bytes of all its texts together.
pub const ALERT_BYTES_MAX: usize = 64 << 10;

/// An alert.
#[derive(Clone, Debug, PartialEq)]
pub struct Alert {
    /// What it is; two alerts with equal labels are one.
    pub labels: Labels,
    /// What is said of it.
    pub annotations: Labels,
    /// When it began to fire.
    pub starts_at: Timestamp,
    /// When it ended, or will count as ended unless it is sent again.
    pub ends_at: Timestamp,
    /// When it was last sent.
    pub updated_at: Timestamp,
    /// Whether the sender left the end to us.
    pub timeout: bool,
    /// Where its reason can be looked at.
    pub generator_url: String,
}

/// What a sender says; what it leaves out is filled in.
#[derive(Clone, Debug, Default)]
pub struct NewAlert {
    /// What it is.
    pub labels: Vec<(String, String)>,
    /// What is said of it.
    pub annotations: Vec<(String, String)>,
    /// When it began.
    pub starts_at: Option<Timestamp>,
    /// When it ended or will.
    pub ends_at: Option<Timestamp>,
    /// Where its reason can be looked at.
    pub generator_url: String,
}

/// Why an alert is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AlertError {
    /// Nobody could tell what it is.
    #[error("at least one label pair required")]
    NoLabels,
    /// A label or annotation without a name.
    #[error("a label or annotation has no name")]
    NoName,
    /// It ends before it begins.
    #[error("start time must be before end time")]
    EndsFirst,
    /// It has too many labels or annotations.
    #[error("more than {PAIRS_MAX} labels or annotations")]
    TooMany,
    /// It is too large.
    #[error("its texts have {0} bytes, more than {ALERT_BYTES_MAX}")]
    TooLarge(usize),
    /// There is no room for more alerts.
    #[error("too many alerts are held already")]
    Full,
}
impl AlertError {
    /// A word for metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            AlertError::NoLabels => "no_labels",
            AlertError::NoName => "no_name",
            AlertError::EndsFirst => "ends_first",
            AlertError::TooMany => "too_many_labels",
            AlertError::TooLarge(_) => "too_large",
            AlertError::Full => "full",
        }
    }
}

impl NewAlert {
    /// The alert, with what the sender left out filled in.
    pub fn complete(self, now: Timestamp, resolve_timeout_ms: i64) -> Result<Alert, AlertError> {
        if self.labels.len() > PAIRS_MAX || self.annotations.len() > PAIRS_MAX {
            return Err(AlertError::TooMany);
        }
        let bytes = self.labels.iter().chain(&self.annotations).map(|(n, v)| n.len() + v.len()).sum::<usize>() + self.generator_url.len();
        if bytes > ALERT_BYTES_MAX {
            return Err(AlertError::TooLarge(bytes));
        }
        if self.labels.iter().chain(&self.annotations).any(|(name, _)| name.is_empty()) {
            return Err(AlertError::NoName);
        }
        let labels = Labels::from_pairs(self.labels);
        if labels.is_empty() {
            return Err(AlertError::NoLabels);
        }
        let starts_at = self.starts_at.or(self.ends_at).unwrap_or(now);
        let ends_at = self.ends_at.unwrap_or(now.plus_ms(resolve_timeout_ms));
        if ends_at < starts_at {
            return Err(AlertError::EndsFirst);
        }
        Ok(Alert {
            labels,
            annotations: Labels::from_pairs(self.annotations),
            starts_at,
            ends_at,
            updated_at: now,
            timeout: self.ends_at.is_none(),
            generator_url: self.generator_url,
        })
    }
}

impl Alert {
    /// What names it.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.labels)
    }
    /// Bytes of memory, roughly.
    pub fn bytes(&self) -> usize {
        self.labels.memory() + self.annotations.memory() + self.generator_url.len() + 160
    }
    /// What two tellings of one alert say together, when their times overlap: the earlier begin, and the end that counts.
    /// `resolved` says of each whether it has ended.
    pub fn merged(self, (older, older_resolved): (&Alert, bool), resolved: bool) -> Alert {
        let mut merged = self;
        merged.starts_at = merged.starts_at.min(older.starts_at);
        let older_counts = if resolved { older_resolved } else { !older.timeout };
        if older_counts && older.ends_at > merged.ends_at {
            merged.ends_at = older.ends_at;
        }
        merged
    }
    /// Whether the times of two tellings overlap, as Alertmanager asks it: an equal begin alone is no overlap.
    pub fn overlaps(&self, older: &Alert) -> bool {
        (self.ends_at > older.starts_at && self.ends_at < older.ends_at) || (self.starts_at > older.starts_at && self.starts_at < older.ends_at)
    }
}

/// Names a set of labels, in the form that Alertmanager shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(pub u64);
impl Fingerprint {
    /// The fingerprint of labels: 64-bit FNV-1a over names and values with separators.
    pub fn of(labels: &Labels) -> Fingerprint {
        const SEPARATOR: [u8; 1] = [0xff];
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        let mut add = |bytes: &[u8]| bytes.iter().for_each(|byte| hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
        for (name, value) in labels {
            add(name.as_bytes());
            add(&SEPARATOR);
            add(value.as_bytes());
            add(&SEPARATOR);
        }
        Fingerprint(hash)
    }
}
impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}
impl FromStr for Fingerprint {
    type Err = std::num::ParseIntError;
    fn from_str(text: &str) -> Result<Fingerprint, Self::Err> {
        u64::from_str_radix(text, 16).map(Fingerprint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new(starts: Option<i64>, ends: Option<i64>) -> NewAlert {
        NewAlert { labels: vec![("alertname".into(), "A".into())], starts_at: starts.map(Timestamp), ends_at: ends.map(Timestamp), ..NewAlert::default() }
    }

    #[test]
    fn what_a_sender_leaves_out_is_filled_in() {
        let now = Timestamp(10_000);
        let check = |starts, ends, expected: (i64, i64, bool)| {
            let alert = new(starts, ends).complete(now, 300).unwrap();
            assert_eq!((alert.starts_at.0, alert.ends_at.0, alert.timeout), expected);
        };
        check(None, None, (10_000, 10_300, true));
        check(Some(5_000), None, (5_000, 10_300, true));
        check(None, Some(6_000), (6_000, 6_000, false));
        check(Some(5_000), Some(20_000), (5_000, 20_000, false));
        assert_eq!(new(Some(2), Some(1)).complete(now, 1), Err(AlertError::EndsFirst));
        let labels = |pairs: &[(&str, &str)]| NewAlert { labels: pairs.iter().map(|(n, v)| ((*n).into(), (*v).into())).collect(), ..NewAlert::default() };
        assert_eq!(labels(&[("a", "")]).complete(now, 1), Err(AlertError::NoLabels));
        assert_eq!(labels(&[("", "x")]).complete(now, 1), Err(AlertError::NoName));
        assert_eq!(labels(&[("a", &"x".repeat(70_000))]).complete(now, 1), Err(AlertError::TooLarge(70_001)));
    }

    /// The value of the original for `{alertname="TestAlert"}`-like sets: an empty set is the offset basis.
    #[test]
    fn fingerprints_are_those_of_the_original() {
        assert_eq!(Fingerprint::of(&Labels::empty()).to_string(), "cbf29ce484222325");
        let one = Fingerprint::of(&Labels::from_pairs([("b", "2"), ("a", "1")]));
        assert_eq!(one, Fingerprint::of(&Labels::from_pairs([("a", "1"), ("b", "2")])));
        assert_eq!(one.to_string().parse(), Ok(one));
    }

    #[test]
    fn tellings_that_overlap_are_one() {
        let alert = |starts, ends, timeout| Alert { timeout, ..new(Some(starts), Some(ends)).complete(Timestamp(0), 1).unwrap() };
        let check = |older: (i64, i64, bool), newer: (i64, i64, bool), older_resolved, resolved, expected: (i64, i64)| {
            let (older, newer) = (alert(older.0, older.1, older.2), alert(newer.0, newer.1, newer.2));
            assert!(newer.overlaps(&older));
            let merged = newer.merged((&older, older_resolved), resolved);
            assert_eq!((merged.starts_at.0, merged.ends_at.0), expected);
        };
        // A second telling with a later begin keeps the first one; an earlier end that was told counts against a time-out only.
        check((10, 50, false), (20, 60, false), false, false, (10, 60));
        check((10, 50, false), (20, 40, false), false, false, (10, 50));
        check((10, 50, true), (20, 40, false), false, false, (10, 40));
        check((10, 50, false), (10, 30, false), false, true, (10, 30));
        check((10, 50, false), (20, 30, false), true, true, (10, 50));
        assert!(!alert(10, 60, false).overlaps(&alert(10, 50, false)));
    }
}
