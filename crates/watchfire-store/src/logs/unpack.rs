//! Reads blocks: the head first, then the columns that are needed, then row by row. Bytes that do not check out give `None`, never
//! a wrong line.

use zstd::bulk::Decompressor;

use super::block::Info;
use super::bloom;
use super::columns::{Entry, SECTION_BYTES_MAX, Section, Values};
use super::sieve::{Place, Sieve};
use super::tokens::Needle;
use crate::encoding::Input;
use crate::ints;
use watchfire_model::labels::Labels;
use watchfire_model::matcher::Matcher;

/// No block has more rows.
const ROWS_MAX: usize = 16 << 20;
/// What may stand beside a value, and never within the part of a text that is looked for in values alone.
const BORDERS: &[u8] = b"\"{}[]:,= ";

/// Whether the filter of a block lets it out of the question.
pub(super) fn filter_excludes(filter: &[u8], info: &Info, needles: &[Needle], pairs: &[Vec<u64>]) -> bool {
    let missing = |hash: u64| !bloom::may_have(filter, hash);
    pairs.iter().any(|any| any.iter().all(|hash| missing(*hash))) || needles.iter().any(|n| n.hashes(info.longest).any(missing))
}

/// The head of a block.
pub(super) struct Head {
    pub(super) times: Vec<i64>,
    templates: Vec<Template>,
    template_ids: Option<Section>,
    /// The columns of each set of names of metadata.
    shapes: Vec<Vec<u32>>,
    shape_ids: Option<Section>,
    columns: Vec<Entry>,
}

struct Template {
    columns: Vec<u32>,
    gaps: Vec<Vec<u8>>,
}

impl Head {
    /// Reads the bytes of a head.
    pub(super) fn read(stored: &[u8], info: &Info, decompressor: &mut Decompressor<'_>) -> Option<Head> {
        let raw_len = info.head_raw as usize;
        if !info.head.check(stored) || raw_len > SECTION_BYTES_MAX {
            return None;
        }
        if stored.len() == raw_len {
            return Head::decode(&mut Input::new(stored), info);
        }
        let raw = decompressor.decompress(stored, raw_len).ok().filter(|raw| raw.len() == raw_len)?;
        Head::decode(&mut Input::new(&raw), info)
    }

    /// Takes the bytes of columns as right, for the fuzzer.
    #[cfg(feature = "fuzzing")]
    pub(super) fn trust(&mut self, payload: &[u8]) {
        let ids = self.template_ids.iter_mut().chain(&mut self.shape_ids);
        ids.chain(self.columns.iter_mut().filter_map(Entry::section_mut)).for_each(|section| section.trust(payload));
    }

    pub(super) fn decode(input: &mut Input<'_>, info: &Info) -> Option<Head> {
        let rows = input.size().filter(|rows| *rows == info.rows as usize && *rows <= ROWS_MAX)?;
        let unit = 10i64.checked_pow(u32::from(input.u8()?))?;
        let mut times = Vec::new();
        ints::decode(input, rows, &mut times)?;
        times.iter_mut().for_each(|time| *time = time.wrapping_mul(unit));
        let mut offset = 0;
        let mut templates = Vec::new();
        for _ in 0..input.size()? {
            let columns = numbers(input)?;
            let gaps = (0..=columns.len()).map(|_| Some(input.text()?.as_bytes().to_vec())).collect::<Option<_>>()?;
            templates.push(Template { columns, gaps });
        }
        let template_ids = ids(input, templates.len(), &mut offset)?;
        let mut shapes = Vec::new();
        for _ in 0..input.size()? {
            shapes.push(numbers(input)?);
        }
        let shape_ids = ids(input, shapes.len(), &mut offset)?;
        let mut columns = Vec::new();
        for _ in 0..input.size()? {
            columns.push(Entry::decode(input, &mut offset, rows)?);
        }
        let in_range = |list: &[u32]| list.iter().all(|column| (*column as usize) < columns.len());
        let whole = templates.iter().all(|t| in_range(&t.columns)) && shapes.iter().all(|s| in_range(s));
        (whole && offset <= info.columns as usize).then_some(Head { times, templates, template_ids, shapes, shape_ids, columns })
    }

    /// Whether some line may have all these texts. `payload` gives the bytes of the columns on demand.
    pub(super) fn may_contain(&self, needles: &[Needle], payload: &mut dyn FnMut() -> Option<Vec<u8>>, decompressor: &mut Decompressor<'_>) -> bool {
        // A text that goes over the border of a value has a character of the border in it: its parts are within values or gaps.
        let parts = needles.iter().flat_map(|n| n.text.as_bytes().split(|b| BORDERS.contains(b))).filter(|part| !part.is_empty());
        let in_gaps = |part: &[u8]| self.templates.iter().flat_map(|t| &t.gaps).any(|gap| memchr::memmem::find(gap, part).is_some());
        let mut bytes: Option<Option<Vec<u8>>> = None;
        let of_lines: Vec<bool> = (0..self.columns.len() as u32).map(|c| self.templates.iter().any(|t| t.columns.contains(&c))).collect();
        let mut in_columns = |part: &[u8]| {
            let columns = || self.columns.iter().zip(&of_lines).filter(|(_, of_lines)| **of_lines).map(|(column, _)| column);
            // Those that need no unpacking first.
            let (texts, others): (Vec<_>, Vec<_>) = columns().partition(|c| c.is_text());
            others.into_iter().chain(texts).any(|column| {
                column.may_contain(part, &mut || {
                    let bytes = bytes.get_or_insert_with(&mut *payload).as_ref()?;
                    column.load(bytes, decompressor)
                })
            })
        };
        parts.into_iter().all(|part| in_gaps(part) || in_columns(part))
    }

    /// Where those columns stand that are needed without lines.
    pub(super) fn places_of_metadata(&self) -> impl Iterator<Item = (usize, usize)> {
        let of_metadata = |at: usize| self.shapes.iter().any(|shape| shape.contains(&(at as u32)));
        let columns = self.columns.iter().enumerate().filter(move |(at, _)| of_metadata(*at)).filter_map(|(_, column)| column.section());
        self.shape_ids.into_iter().chain(columns).map(|section| (section.offset, section.stored))
    }

    /// The rows with all columns, or only those of metadata. A column is unpacked when a row needs it.
    pub(super) fn rows<'a>(&'a self, payload: &'a [u8], lines: bool, decompressor: &'a mut Decompressor<'static>) -> Option<Rows<'a>> {
        let rows = self.times.len();
        let mut ids = |section: Option<Section>, count: usize| match section {
            None if count > 0 => Some(Vec::new()),
            None => None,
            Some(section) => section.unpack(payload, decompressor).filter(|ids| ids.len() == rows && ids.iter().all(|id| usize::from(*id) < count)),
        };
        let template_ids = if lines { ids(self.template_ids, self.templates.len())? } else { Vec::new() };
        let shape_ids = ids(self.shape_ids, self.shapes.len())?;
        let columns = Columns { entries: &self.columns, payload, decompressor, loaded: self.columns.iter().map(|_| None).collect() };
        Some(Rows { head: self, template_ids, shape_ids, cursors: vec![0; self.columns.len()], columns, at: 0, lines, last: None, value: Vec::new() })
    }
}

fn numbers(input: &mut Input<'_>) -> Option<Vec<u32>> {
    let count = input.size().filter(|count| *count <= input.remaining())?;
    (0..count).map(|_| u32::try_from(input.varint()?).ok()).collect()
}

fn ids(input: &mut Input<'_>, count: usize, offset: &mut usize) -> Option<Option<Section>> {
    if count > 1 { Section::decode(input, offset).map(Some) } else { Some(None) }
}

/// The columns of a block, each unpacked when it is first asked for.
struct Columns<'a> {
    entries: &'a [Entry],
    payload: &'a [u8],
    decompressor: &'a mut Decompressor<'static>,
    loaded: Vec<Option<Values>>,
}

impl Columns<'_> {
    /// `None` when it is damaged.
    #[inline]
    fn get(&mut self, at: u32) -> Option<&Values> {
        let slot = self.loaded.get_mut(at as usize)?;
        if slot.is_none() {
            *slot = Some(self.entries.get(at as usize)?.load(self.payload, self.decompressor)?);
        }
        slot.as_ref()
    }
}

/// The rows of a block, one after the other.
pub(super) struct Rows<'a> {
    head: &'a Head,
    template_ids: Vec<u8>,
    shape_ids: Vec<u8>,
    columns: Columns<'a>,
    cursors: Vec<usize>,
    at: usize,
    /// Whether lines can be read.
    lines: bool,
    /// The set of names and the one value of the metadata that were read last, where they are so simple.
    last: Option<(usize, u8)>,
    value: Vec<u8>,
}

impl<'a> Rows<'a> {
    /// The template of the next row.
    fn template(&self) -> Option<&'a Template> {
        self.head.templates.get(usize::from(self.template_ids.get(self.at).copied().unwrap_or(0)))
    }
    /// The columns of the next row's metadata.
    fn shape(&self) -> Option<&'a [u32]> {
        self.head.shapes.get(usize::from(self.shape_ids.get(self.at).copied().unwrap_or(0))).map(Vec::as_slice)
    }

    /// The time of the next row.
    pub(super) fn time(&self) -> Option<i64> {
        self.head.times.get(self.at).copied()
    }

    /// Finds out where the values of some names stand.
    pub(super) fn sieve<'n>(&self, names: impl Iterator<Item = &'n str> + Clone) -> Sieve {
        Sieve::new(&self.head.shapes, names, |column| self.head.columns.get(column as usize).map_or("", |entry| entry.key.as_str()))
    }

    /// Whether the metadata of the next row may satisfy some of the matchers that a sieve was made for; `None` when a column is damaged.
    pub(super) fn may_satisfy(&mut self, sieve: &mut Sieve, matchers: &[Matcher], some: &[usize]) -> Option<bool> {
        if some.is_empty() {
            return Some(true);
        }
        let time = self.time()?;
        let shape = usize::from(self.shape_ids.get(self.at).copied().unwrap_or(0));
        for at in some {
            let (place, matcher) = (*sieve.of_shapes.get(shape)?.get(*at)?, matchers.get(*at)?);
            let holds = match place {
                Place::Somewhere => true,
                Place::Nowhere => matcher.matches_empty(),
                Place::Column(column, test) => {
                    let cursor = *self.cursors.get(column as usize)?;
                    sieve.holds(test, matcher, self.columns.get(column)?, cursor, time, &mut self.value)?
                }
            };
            if !holds {
                return Some(false);
            }
        }
        Some(true)
    }

    /// Goes over a row.
    pub(super) fn skip(&mut self) -> Option<()> {
        self.shape()?.iter().for_each(|column| self.cursors[*column as usize] += 1);
        self.skip_line()
    }

    /// Goes over the line of a row whose metadata were read, and to the next row.
    pub(super) fn skip_line(&mut self) -> Option<()> {
        if self.lines {
            self.template()?.columns.iter().for_each(|column| self.cursors[*column as usize] += 1);
        }
        self.at += 1;
        Some(())
    }

    /// Reads the metadata of the next row, in packed form, into a text that holds those of the row that was read before.
    pub(super) fn read_metadata(&mut self, metadata: &mut String) -> Option<()> {
        let time = self.time()?;
        let shape = self.shape()?;
        // Most entries have one of few values, mostly the one before.
        let simple = match shape {
            [column] => match self.columns.get(*column)? {
                Values::Dictionary(_, index) => Some((*column as usize, *index.get(*self.cursors.get(*column as usize)?)?)),
                Values::Constant(_) => Some((*column as usize, 0)),
                _ => None,
            },
            _ => None,
        };
        if let (Some((column, _)), true) = (simple, simple == self.last) {
            self.cursors[column] += 1;
            return Some(());
        }
        self.last = simple;
        metadata.clear();
        for column in shape {
            self.value.clear();
            let cursor = self.cursors.get_mut(*column as usize)?;
            self.columns.get(*column)?.put(*cursor, time, &mut self.value)?;
            *cursor += 1;
            let text = std::str::from_utf8(&self.value).ok()?;
            match self.head.columns.get(*column as usize)?.key.as_str() {
                "" => metadata.push_str(text),
                name => Labels::push_packed(metadata, name, text),
            }
        }
        Some(())
    }

    /// Appends the line of a row whose metadata were read, and goes to the next row.
    pub(super) fn read_line(&mut self, line: &mut Vec<u8>) -> Option<()> {
        let time = self.time()?;
        let template = self.template()?;
        for (column, gap) in template.columns.iter().zip(&template.gaps) {
            line.extend_from_slice(gap);
            let cursor = self.cursors.get_mut(*column as usize)?;
            self.columns.get(*column)?.put(*cursor, time, line)?;
            *cursor += 1;
        }
        line.extend_from_slice(template.gaps.last()?);
        self.at += 1;
        Some(())
    }
}
