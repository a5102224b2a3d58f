//! Tombstones: which samples of which segments are deleted although the files still hold them. A tombstone speaks of the
//! segments that were there when it was made, so what is written later is not touched. Layout: `docs/formats/tombstones.md`.

use std::io;

use hashbrown::{HashMap, HashSet};
use watchfire_model::matcher::{MatchOp, Matcher};
use watchfire_model::windows::window_start;

use super::postings;
use super::segment::Loaded;
use crate::encoding::{Input, put_signed, put_text, put_varint};
use crate::small_file::{self, FileError};

/// The file's name.
pub(crate) const FILE: &str = "tombstones";
const MAGIC: [u8; 8] = *b"WATCHDEL";
/// The newest major version that we read and the one that we write.
const MAJOR: u16 = 1;
/// No file is larger when unpacked.
const RAW_BYTES_MAX: usize = 64 << 20;

/// One deletion.
#[derive(Clone, Debug)]
pub(crate) struct Tombstone {
    /// The series: all must hold.
    pub(crate) matchers: Vec<Matcher>,
    /// First and last moment, inclusive.
    pub(crate) start: i64,
    pub(crate) end: i64,
    /// The numbers of the segments that hold such samples.
    pub(crate) segments: Vec<u64>,
}

/// The whole file.
pub(crate) fn encode<'a>(tombstones: impl ExactSizeIterator<Item = &'a Tombstone>) -> io::Result<Vec<u8>> {
    let mut raw = Vec::new();
    put_varint(&mut raw, tombstones.len() as u64);
    for tombstone in tombstones {
        put_varint(&mut raw, tombstone.matchers.len() as u64);
        for matcher in &tombstone.matchers {
            raw.push(match matcher.op {
                MatchOp::Equal => 0,
                MatchOp::NotEqual => 1,
                MatchOp::Regex => 2,
                MatchOp::NotRegex => 3,
            });
            put_text(&mut raw, &matcher.name);
            put_text(&mut raw, &matcher.value);
        }
        put_signed(&mut raw, tombstone.start);
        put_signed(&mut raw, tombstone.end);
        put_varint(&mut raw, tombstone.segments.len() as u64);
        tombstone.segments.iter().for_each(|id| put_varint(&mut raw, *id));
    }
    small_file::encode(MAGIC, MAJOR, &raw)
}

/// Reads the file.
pub(crate) fn decode(bytes: &[u8]) -> Result<Vec<Tombstone>, FileError> {
    let raw = small_file::decode(bytes, MAGIC, MAJOR, RAW_BYTES_MAX)?;
    read(&mut Input::new(&raw)).ok_or(FileError::Damaged)
}

fn read(input: &mut Input<'_>) -> Option<Vec<Tombstone>> {
    let mut tombstones = Vec::new();
    for _ in 0..input.size()? {
        let mut matchers = Vec::new();
        for _ in 0..input.size()? {
            let op = match input.u8()? {
                0 => MatchOp::Equal,
                1 => MatchOp::NotEqual,
                2 => MatchOp::Regex,
                3 => MatchOp::NotRegex,
                _ => return None,
            };
            let name = input.text()?;
            matchers.push(Matcher::new(name, op, input.text()?).ok()?);
        }
        let (start, end) = (input.signed()?, input.signed()?);
        let mut segments = Vec::new();
        for _ in 0..input.size()? {
            segments.push(input.varint()?);
        }
        tombstones.push(Tombstone { matchers, start, end, segments });
    }
    Some(tombstones)
}

/// What is deleted of one segment, by its own series numbers.
#[derive(Debug, Default)]
pub(crate) struct Deleted {
    /// Ascending, apart from each other.
    ranges: HashMap<u32, Vec<(i64, i64)>>,
    /// Series of which nothing is left.
    gone: HashSet<u32>,
}

impl Deleted {
    /// Finds the series of tombstones in a segment; that of a tier has windows of some length.
    pub(crate) fn resolve<'a>(tombstones: impl Iterator<Item = &'a Tombstone>, loaded: &Loaded, resolution_ms: Option<i64>) -> Deleted {
        let mut deleted = Deleted::default();
        for tombstone in tombstones {
            for number in postings::select(&loaded.labels, &tombstone.matchers) {
                // Of a window that is touched nothing can be taken away: it goes as a whole.
                let start = resolution_ms.map_or(tombstone.start, |ms| window_start(tombstone.start, ms));
                deleted.ranges.entry(number).or_default().push((start, tombstone.end));
            }
        }
        for (number, ranges) in &mut deleted.ranges {
            unite(ranges);
            if loaded.runs.runs(*number).all(|run| covers(ranges, run.min, run.max)) {
                deleted.gone.insert(*number);
            }
        }
        deleted
    }

    /// Whether nothing is left of a series.
    pub(crate) fn is_gone(&self, series: u32) -> bool {
        self.gone.contains(&series)
    }
    /// Whether something is gone as a whole.
    pub(crate) fn has_gone(&self) -> bool {
        !self.gone.is_empty()
    }
    /// What is deleted of a series.
    pub(crate) fn ranges(&self, series: u32) -> &[(i64, i64)] {
        self.ranges.get(&series).map_or(&[], Vec::as_slice)
    }
}

/// Whether every moment between two times is deleted.
pub(crate) fn covers(ranges: &[(i64, i64)], min: i64, max: i64) -> bool {
    ranges.iter().any(|(start, end)| *start <= min && *end >= max)
}

/// Whether a moment is deleted.
pub(crate) fn holds(ranges: &[(i64, i64)], time: i64) -> bool {
    let at = ranges.partition_point(|(_, end)| *end < time);
    ranges.get(at).is_some_and(|(start, _)| *start <= time)
}

/// Sorts ranges and joins those that touch.
fn unite(ranges: &mut Vec<(i64, i64)>) {
    ranges.sort_unstable();
    ranges.dedup_by(|later, earlier| {
        let touch = later.0 <= earlier.1.saturating_add(1);
        if touch {
            earlier.1 = earlier.1.max(later.1);
        }
        touch
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn ranges_hold_what_they_were_made_of(raw in proptest::collection::vec((0i64..50, 0i64..10), 0..10)) {
            let mut ranges: Vec<_> = raw.iter().map(|(start, len)| (*start, start + len)).collect();
            unite(&mut ranges);
            prop_assert!(ranges.windows(2).all(|w| w[0].1 + 1 < w[1].0));
            for time in -1..70 {
                let expected = raw.iter().any(|(start, len)| (*start..=start + len).contains(&time));
                prop_assert_eq!(holds(&ranges, time), expected);
                prop_assert_eq!(covers(&ranges, time, time + 2), (time..=time + 2).all(|t| holds(&ranges, t)));
            }
        }
        #[test]
        fn nonsense_does_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ignored = (decode(&bytes).is_err(), read(&mut Input::new(&bytes)));
        }
    }

    #[test]
    fn tombstones_survive() {
        let matchers = vec![Matcher::new("a", MatchOp::Regex, "b|c").unwrap(), Matcher::new("d", MatchOp::NotEqual, "").unwrap()];
        let tombstone = Tombstone { matchers, start: i64::MIN, end: 7, segments: vec![3, 900] };
        let back = decode(&encode([&tombstone, &tombstone].into_iter()).unwrap()).unwrap();
        assert_eq!(format!("{back:?}"), format!("{:?}", [&tombstone, &tombstone]));
    }
}
