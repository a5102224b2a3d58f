//! Blocks: about a mebibyte of entries of one stream or of many, in columns. Lines that are alike share a template, their values go
//! into the columns of their keys. This file writes blocks, `unpack` reads them. Layout: `docs/formats/logs-segment.md`.

use hashbrown::HashMap;
use watchfire_model::labels::Labels;

use super::bloom;
use super::columns::{Column, Known, Packer};
use super::split::{Slot, split};
use super::tokens::{Longest, hash, join};
use crate::encoding::{Input, put_bytes, put_signed, put_text, put_varint};
use crate::ints;

/// Blocks are made for reading soon and often.
const BLOCK_LEVEL: i32 = 1;
/// So many templates, and so many sets of names of metadata, are told apart in a block; the others stay whole.
const TEMPLATES_MAX: usize = 255;
/// No template is made when the block has more columns than this already.
const COLUMNS_MAX: usize = 1000;
/// A template is worth its room when so many lines have it, or one in so many.
const LINES_MIN: u32 = 2;
const LINES_SHARE: usize = 512;
/// Where the level of an entry stands, as those who receive entries detect it.
pub(crate) const LEVEL: &str = "detected_level";
/// So many levels are counted apart.
const LEVELS_MAX: usize = 16;

/// An entry on its way into a block.
#[derive(Clone, Copy)]
pub(crate) struct Row<'a> {
    pub(crate) time: i64,
    pub(crate) line: &'a str,
    /// Structured metadata, packed as labels are.
    pub(crate) metadata: &'a str,
}

/// Bytes at the place of a block with their checksum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) len: u32,
    pub(crate) crc: u32,
}

impl Part {
    fn of(bytes: &[u8]) -> Part {
        Part { len: bytes.len() as u32, crc: crc32fast::hash(bytes) }
    }
    pub(super) fn check(self, bytes: &[u8]) -> bool {
        bytes.len() == self.len as usize && crc32fast::hash(bytes) == self.crc
    }
}

/// What is known of a block without reading it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Info {
    pub(crate) rows: u32,
    /// Bytes of lines and metadata.
    pub(crate) raw: u64,
    pub(crate) min: i64,
    pub(crate) max: i64,
    /// The parts of a block, one behind the other.
    pub(crate) filter: Part,
    pub(crate) head: Part,
    pub(crate) head_raw: u32,
    pub(crate) columns: u32,
    pub(crate) longest: Longest,
    /// How many entries have which level; the rest has none.
    pub(crate) levels: Vec<(String, u32)>,
}

impl Info {
    /// Bytes of the whole block.
    pub(crate) fn len(&self) -> usize {
        self.filter.len as usize + self.head.len as usize + self.columns as usize
    }
    /// Whether each entry has a level.
    pub(super) fn has_all_levels(&self) -> bool {
        self.levels.iter().map(|(_, count)| *count).sum::<u32>() == self.rows
    }
    /// Whether filter and head of a whole block check out; columns are checked when they are read.
    pub(super) fn check(&self, bytes: &[u8]) -> bool {
        let (filter, head) = (self.filter.len as usize, self.head.len as usize);
        bytes.len() == self.len() && self.filter.check(&bytes[..filter]) && self.head.check(&bytes[filter..filter + head])
    }
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let numbers = [u64::from(self.rows), self.raw, u64::from(self.filter.len), u64::from(self.head.len)];
        numbers.iter().for_each(|n| put_varint(out, *n));
        let numbers = [self.head_raw, self.columns, self.longest.run, self.longest.chain];
        numbers.iter().for_each(|n| put_varint(out, u64::from(*n)));
        put_signed(out, self.min);
        put_signed(out, self.max);
        out.extend_from_slice(&self.filter.crc.to_le_bytes());
        out.extend_from_slice(&self.head.crc.to_le_bytes());
        put_varint(out, self.levels.len() as u64);
        for (level, count) in &self.levels {
            put_text(out, level);
            put_varint(out, u64::from(*count));
        }
    }
    pub(super) fn decode(input: &mut Input<'_>) -> Option<Info> {
        let number = |input: &mut Input<'_>| u32::try_from(input.varint()?).ok();
        let (rows, raw) = (number(input)?, input.varint()?);
        let mut filter = Part { len: number(input)?, crc: 0 };
        let mut head = Part { len: number(input)?, crc: 0 };
        let (head_raw, columns) = (number(input)?, number(input)?);
        let longest = Longest { run: number(input)?, chain: number(input)? };
        let (min, max) = (input.signed()?, input.signed()?);
        (filter.crc, head.crc) = (input.u32()?, input.u32()?);
        let mut levels = Vec::new();
        for _ in 0..input.size().filter(|n| *n <= LEVELS_MAX)? {
            levels.push((input.text()?.to_owned(), number(input)?));
        }
        Some(Info { rows, raw, min, max, filter, head, head_raw, columns, longest, levels })
    }
}

/// A block's bytes and what is known of it.
pub(crate) struct Encoded {
    pub(crate) bytes: Vec<u8>,
    pub(crate) info: Info,
}

/// Which template each row has, by its place.
struct Templates<'a> {
    encoded: Vec<u8>,
    count: usize,
    of_row: Vec<u8>,
    columns: Columns<'a>,
}

#[derive(Default)]
struct Columns<'a> {
    all: Vec<Column<'a>>,
    by_key: HashMap<(bool, &'a str), u32>,
}

impl<'a> Columns<'a> {
    fn add(&mut self, metadata: bool, key: &'a str) -> u32 {
        self.all.push(Column { key, metadata, values: Vec::new(), rows: Vec::new() });
        self.all.len() as u32 - 1
    }
    fn of_key(&mut self, metadata: bool, key: &'a str) -> u32 {
        match self.by_key.get(&(metadata, key)) {
            Some(column) => *column,
            None => {
                let column = self.add(metadata, key);
                self.by_key.insert((metadata, key), column);
                column
            }
        }
    }
    fn push(&mut self, column: u32, row: usize, value: &'a str) {
        if let Some(column) = self.all.get_mut(column as usize) {
            column.values.push(value);
            column.rows.push(row as u32);
        }
    }
}

/// Makes a block of entries, sorted by stream and time. There is at least one.
pub(crate) fn encode(rows: &[Row<'_>]) -> std::io::Result<Encoded> {
    let times: Vec<i64> = rows.iter().map(|r| r.time).collect();
    let mut known = Known::default();
    // Ids make about one of each row.
    known.hashes.reserve(rows.len());
    let lines = templates_of_lines(rows, &mut known);
    let mut packer = Packer::new(BLOCK_LEVEL)?;
    let mut head = Vec::new();
    put_varint(&mut head, rows.len() as u64);
    put_times(&mut head, &times);
    put_templates(&mut head, &lines.encoded, lines.count, &lines.of_row, &mut packer);
    let metadata = shapes_of_metadata(rows, lines.columns);
    put_templates(&mut head, &metadata.encoded, metadata.count, &metadata.of_row, &mut packer);
    put_varint(&mut head, metadata.columns.all.len() as u64);
    for column in &metadata.columns.all {
        packer.column(column, &times, &mut head, &mut known);
    }
    let mut bytes = bloom::build(known.hashes.iter().copied());
    let filter = Part::of(&bytes);
    let stored = packer.compress(&head).unwrap_or_else(|| head.clone());
    bytes.extend_from_slice(&stored);
    bytes.extend_from_slice(&packer.payload);
    let info = Info {
        rows: rows.len() as u32,
        raw: rows.iter().map(|r| (r.line.len() + r.metadata.len()) as u64).sum(),
        min: times.iter().copied().min().unwrap_or(0),
        max: times.iter().copied().max().unwrap_or(0),
        filter,
        head: Part::of(&stored),
        head_raw: head.len() as u32,
        columns: packer.payload.len() as u32,
        longest: known.longest,
        levels: levels(rows),
    };
    Ok(Encoded { bytes, info })
}

/// Times in the largest unit that holds them all.
fn put_times(head: &mut Vec<u8>, times: &[i64]) {
    let exponent = [9u32, 6, 3].into_iter().find(|e| times.iter().all(|t| t % 10i64.pow(*e) == 0)).unwrap_or(0);
    head.push(exponent as u8);
    let units: Vec<i64> = times.iter().map(|t| t / 10i64.pow(exponent)).collect();
    ints::encode_quick(head, &units);
}

fn put_templates(head: &mut Vec<u8>, encoded: &[u8], count: usize, of_row: &[u8], packer: &mut Packer) {
    put_varint(head, count as u64);
    head.extend_from_slice(encoded);
    if count > 1 {
        packer.put(of_row, head);
    }
}

/// What is found out about a line.
struct Taken {
    /// Where its slots end.
    to: usize,
    /// The hash of what is between them.
    hash: u64,
    /// Whether that is the same as in the line before.
    again: bool,
}

/// The values of all lines, one behind the other, with what tells templates apart.
struct Splits {
    slots: Vec<Slot>,
    rows: Vec<Taken>,
    counts: HashMap<u64, u32>,
}

impl Splits {
    fn new(rows: &[Row<'_>]) -> Splits {
        let mut splits = Splits { slots: Vec::new(), rows: Vec::with_capacity(rows.len()), counts: HashMap::new() };
        let mut slots = Vec::new();
        let (mut before, mut from, mut last) = ("", 0, None);
        for row in rows {
            split(row.line, &mut slots);
            let known = last.filter(|_| are_alike((before, splits.slots.get(from..).unwrap_or(&[])), (row.line, &slots)));
            let hash = known.unwrap_or_else(|| gaps(row.line, &slots).fold(slots.len() as u64, |state, gap| join(state, hash(gap))));
            (before, from, last) = (row.line, splits.slots.len(), Some(hash));
            splits.slots.extend_from_slice(&slots);
            splits.rows.push(Taken { to: splits.slots.len(), hash, again: known.is_some() });
            *splits.counts.entry(hash).or_default() += 1;
        }
        splits
    }
}

/// What is between the values.
fn gaps<'a>(line: &'a str, slots: &[Slot]) -> impl Iterator<Item = &'a [u8]> {
    let ends = slots.iter().map(|s| s.from).chain([line.len()]);
    let begins = [0].into_iter().chain(slots.iter().map(|s| s.to));
    begins.zip(ends).map(|(from, to)| line.as_bytes().get(from..to).unwrap_or(&[]))
}

/// Whether two lines have the same between their values.
fn are_alike(a: (&str, &[Slot]), b: (&str, &[Slot])) -> bool {
    if a.1.len() != b.1.len() {
        return false;
    }
    let (mut from_a, mut from_b) = (0, 0);
    for (slot_a, slot_b) in a.1.iter().zip(b.1) {
        if !same(a.0.as_bytes().get(from_a..slot_a.from), b.0.as_bytes().get(from_b..slot_b.from)) {
            return false;
        }
        (from_a, from_b) = (slot_a.to, slot_b.to);
    }
    same(a.0.as_bytes().get(from_a..), b.0.as_bytes().get(from_b..))
}

/// Whether two pieces are the same. Most are so short that calling for a comparison would take longer than to compare.
#[inline]
fn same(a: Option<&[u8]>, b: Option<&[u8]>) -> bool {
    let (Some(a), Some(b)) = (a, b) else { return false };
    if a.len() != b.len() {
        return false;
    }
    let (words_a, rest_a) = a.as_chunks::<8>();
    let (words_b, rest_b) = b.as_chunks::<8>();
    let words = words_a.iter().zip(words_b).all(|(a, b)| u64::from_ne_bytes(*a) == u64::from_ne_bytes(*b));
    words && rest_a.iter().zip(rest_b).all(|(a, b)| a == b)
}

struct Template<'a> {
    line: &'a str,
    slots: Vec<Slot>,
    columns: Vec<u32>,
    number: u8,
}

impl Template<'_> {
    fn fits(&self, line: &str, slots: &[Slot]) -> bool {
        are_alike((self.line, &self.slots), (line, slots))
    }
}

fn templates_of_lines<'a>(rows: &[Row<'a>], known: &mut Known) -> Templates<'a> {
    let splits = Splits::new(rows);
    let least = LINES_MIN.max((rows.len() / LINES_SHARE) as u32);
    let mut out = Templates { encoded: Vec::new(), count: 0, of_row: Vec::with_capacity(rows.len()), columns: Columns::default() };
    let mut by_hash: HashMap<u64, usize> = HashMap::new();
    let mut templates: Vec<Template<'a>> = Vec::new();
    let mut whole: Option<(u8, u32)> = None;
    let (mut from, mut place) = (0, None);
    for (at, (row, taken)) in rows.iter().zip(&splits.rows).enumerate() {
        let (hash, to) = (&taken.hash, taken.to);
        let slots = &splits.slots[std::mem::replace(&mut from, to)..to];
        if !taken.again {
            let often = splits.counts.get(hash).is_some_and(|count| *count >= least);
            // One place is left for lines that stay whole.
            let room = out.count < TEMPLATES_MAX - 1 && out.columns.all.len() < COLUMNS_MAX;
            if often && room && !by_hash.contains_key(hash) {
                by_hash.insert(*hash, templates.len());
                templates.push(new_template(row.line, slots, &mut out, known));
            }
            place = by_hash.get(hash).copied().filter(|place| templates.get(*place).is_some_and(|template| template.fits(row.line, slots)));
        }
        // What became of a line becomes of the next one that is like it.
        match place.and_then(|place| templates.get(place)) {
            Some(template) => {
                out.of_row.push(template.number);
                for (slot, column) in slots.iter().zip(&template.columns) {
                    out.columns.push(*column, at, row.line.get(slot.from..slot.to).unwrap_or(""));
                }
            }
            None => {
                let (number, column) = *whole.get_or_insert_with(|| whole_lines(&mut out));
                out.of_row.push(number);
                out.columns.push(column, at, row.line);
            }
        }
    }
    out
}

fn new_template<'a>(line: &'a str, slots: &[Slot], out: &mut Templates<'a>, known: &mut Known) -> Template<'a> {
    let column = |slot: &Slot| match slot.key {
        (0, 0) => out.columns.add(false, ""),
        (from, to) => out.columns.of_key(false, line.get(from..to).unwrap_or("")),
    };
    let columns: Vec<u32> = slots.iter().map(column).collect();
    put_template(&mut out.encoded, gaps(line, slots), &columns);
    gaps(line, slots).for_each(|gap| known.add_text(gap));
    out.count += 1;
    Template { line, slots: slots.to_vec(), columns, number: (out.count - 1) as u8 }
}

/// The template of lines that are one value.
fn whole_lines(out: &mut Templates<'_>) -> (u8, u32) {
    let column = out.columns.add(false, "");
    put_template(&mut out.encoded, [&b""[..], b""].into_iter(), &[column]);
    out.count += 1;
    ((out.count - 1) as u8, column)
}

fn put_template<'g>(encoded: &mut Vec<u8>, gaps: impl Iterator<Item = &'g [u8]>, columns: &[u32]) {
    put_varint(encoded, columns.len() as u64);
    columns.iter().for_each(|column| put_varint(encoded, u64::from(*column)));
    gaps.for_each(|gap| put_bytes(encoded, gap));
}

/// Adds the columns of structured metadata behind those of lines. A shape is a set of names; what has none of the first is packed
/// into a column without a name.
fn shapes_of_metadata<'a>(rows: &[Row<'a>], columns: Columns<'a>) -> Templates<'a> {
    let mut out = Templates { encoded: Vec::new(), count: 0, of_row: Vec::with_capacity(rows.len()), columns };
    let mut by_names: HashMap<Vec<&str>, (u8, Vec<u32>)> = HashMap::new();
    let (mut names, mut before) = (Vec::new(), Vec::new());
    let mut shape = None;
    for (at, row) in rows.iter().enumerate() {
        names.clear();
        names.extend(Labels::iter_packed(row.metadata).map(|(name, _)| name));
        // Most rows have the names of the row before.
        if shape.is_none() || names != before {
            before.clone_from(&names);
            let room = by_names.len() < TEMPLATES_MAX - 1 && out.columns.all.len() < COLUMNS_MAX;
            if !room && !by_names.contains_key(&names) {
                names = vec![""];
            }
            if !by_names.contains_key(&names) {
                let columns: Vec<u32> = names.iter().map(|name| out.columns.of_key(true, name)).collect();
                put_varint(&mut out.encoded, columns.len() as u64);
                columns.iter().for_each(|column| put_varint(&mut out.encoded, u64::from(*column)));
                by_names.insert(names.clone(), (out.count as u8, columns));
                out.count += 1;
            }
            shape = by_names.get(&names).map(|(number, columns)| (*number, columns.clone(), names[..] == [""]));
        }
        let Some((number, columns, whole)) = &shape else { continue };
        out.of_row.push(*number);
        if let ([column], true) = (&columns[..], whole) {
            out.columns.push(*column, at, row.metadata);
            continue;
        }
        for ((_, value), column) in Labels::iter_packed(row.metadata).zip(columns) {
            out.columns.push(*column, at, value);
        }
    }
    out
}

fn levels(rows: &[Row<'_>]) -> Vec<(String, u32)> {
    let mut counts: Vec<(&str, u32)> = Vec::new();
    let mut last = ("", None);
    for row in rows {
        // Most rows have the level of the row before.
        if let (metadata, Some(at)) = last
            && metadata == row.metadata
            && let Some((_, count)) = counts.get_mut(at)
        {
            *count += 1;
            continue;
        }
        let Some((_, level)) = Labels::iter_packed(row.metadata).find(|(name, _)| *name == LEVEL) else { continue };
        let at = counts.iter().position(|(known, _)| *known == level);
        match at {
            Some(at) => counts[at].1 += 1,
            None if counts.len() < LEVELS_MAX => counts.push((level, 1)),
            None => {}
        }
        last = (row.metadata, at);
    }
    counts.into_iter().map(|(level, count)| (level.to_owned(), count)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_alike_when_all_bytes_between_their_values_are() {
        let alike = |a: &str, b: &str| {
            let (mut of_a, mut of_b) = (Vec::new(), Vec::new());
            split(a, &mut of_a);
            split(b, &mut of_b);
            are_alike((a, &of_a), (b, &of_b))
        };
        assert!(alike(r#"{"level":"info","a longer key":1}"#, r#"{"level":"error","a longer key":22}"#));
        for other in [
            r#"{"level":"info","a longer key":1} "#,
            r#"{"level":"info","a longer kez":1}"#,
            r#"{"Level":"info","a longer key":1}"#,
            r#"{"level":"info","a longer key":1,"b":2}"#,
            r#"{"level": "info","a longer key":1}"#,
            "",
        ] {
            assert!(!alike(r#"{"level":"info","a longer key":1}"#, other), "{other}");
        }
        for len in 0..40 {
            let text = "x".repeat(len);
            assert!(same(Some(text.as_bytes()), Some(text.as_bytes())));
            for at in 0..len {
                let mut changed = text.clone().into_bytes();
                changed[at] = b'y';
                assert!(!same(Some(text.as_bytes()), Some(&changed)), "{len} {at}");
            }
        }
        assert!(!same(None, None) && !same(Some(b"a"), Some(b"ab")));
    }
}
