//! One column of a block: the values of one key, in the form that takes least room and gives every byte back. Which lines have the
//! column, and where in them it stands, is the business of `block`.

use hashbrown::{HashMap, HashSet};
use watchfire_model::labels::Labels;
use zstd::bulk::{Compressor, Decompressor};

use super::instant::{self, Shape};
use super::tokens::{Longest, each_hash, hash, pair_hash};
use crate::encoding::{Input, put_text, put_varint};
use crate::ints;

/// More distinct values than this are no dictionary.
const DICTIONARY_MAX: usize = 255;
/// Shorter hexadecimal texts are not worth a form of their own.
const HEX_BYTES_MIN: usize = 8;
/// Less is not compressed.
const COMPRESS_BYTES_MIN: usize = 32;
/// No section is larger when unpacked.
pub(super) const SECTION_BYTES_MAX: usize = 64 << 20;
/// Numbers up to this length are in no filter.
const NUMBER_BYTES_MAX: usize = 5;
/// Digits behind the point of a number.
const PLACES_MAX: usize = 9;

const KIND_CONSTANT: u8 = 0;
const KIND_DICTIONARY: u8 = 1;
const KIND_HEX: u8 = 2;
const KIND_NUMBERS: u8 = 3;
const KIND_INSTANTS: u8 = 4;
const KIND_TEXT: u8 = 5;

/// The hashes that the filter of a block will know.
#[derive(Default)]
pub(super) struct Known {
    pub(super) hashes: HashSet<u64>,
    pub(super) longest: Longest,
}

impl Known {
    pub(super) fn add_text(&mut self, text: &[u8]) {
        let hashes = &mut self.hashes;
        each_hash(text, &mut self.longest, |hash| {
            hashes.insert(hash);
        });
    }
}

/// Values of one key in the order of their rows.
pub(super) struct Column<'a> {
    pub(super) key: &'a str,
    /// The name, when these are values of structured metadata.
    pub(super) metadata: bool,
    pub(super) values: Vec<&'a str>,
    pub(super) rows: Vec<u32>,
}

impl Column<'_> {
    fn note(&self, known: &mut Known, value: &str) {
        if self.metadata && self.key.is_empty() {
            known.hashes.extend(Labels::iter_packed(value).map(|(name, value)| pair_hash(name, value)));
        } else if self.metadata {
            known.hashes.insert(pair_hash(self.key, value));
        } else {
            known.add_text(value.as_bytes());
        }
    }
}

/// Writes sections one behind the other: their entries into a directory, their bytes into a payload.
pub(super) struct Packer {
    compressor: Compressor<'static>,
    pub(super) payload: Vec<u8>,
}

impl Packer {
    pub(super) fn new(level: i32) -> std::io::Result<Packer> {
        Ok(Packer { compressor: Compressor::new(level)?, payload: Vec::new() })
    }

    pub(super) fn compress(&mut self, raw: &[u8]) -> Option<Vec<u8>> {
        self.compressor.compress(raw).ok().filter(|stored| stored.len() < raw.len())
    }

    fn put_stored(&mut self, stored: &[u8], raw: usize, directory: &mut Vec<u8>) {
        put_varint(directory, stored.len() as u64);
        put_varint(directory, raw as u64);
        directory.extend_from_slice(&crc32fast::hash(stored).to_le_bytes());
        self.payload.extend_from_slice(stored);
    }
    pub(super) fn put(&mut self, raw: &[u8], directory: &mut Vec<u8>) {
        let smaller = if raw.len() < COMPRESS_BYTES_MIN { None } else { self.compress(raw) };
        match smaller {
            Some(stored) => self.put_stored(&stored, raw.len(), directory),
            None => self.put_stored(raw, raw.len(), directory),
        }
    }
    fn put_plain(&mut self, raw: &[u8], directory: &mut Vec<u8>) {
        self.put_stored(raw, raw.len(), directory);
    }

    /// Writes a column; `times` are those of all rows.
    pub(super) fn column(&mut self, column: &Column<'_>, times: &[i64], directory: &mut Vec<u8>, known: &mut Known) {
        put_text(directory, column.key);
        put_varint(directory, column.values.len() as u64);
        let first = column.values.first().copied().unwrap_or("");
        if column.values.iter().all(|v| *v == first) {
            directory.push(KIND_CONSTANT);
            put_text(directory, first);
            column.note(known, first);
        } else if let Some((shape, differences)) = if column.metadata { None } else { instants(column, times) } {
            directory.push(KIND_INSTANTS);
            shape.encode(directory);
            let mut packed = Vec::new();
            ints::encode_quick(&mut packed, &differences);
            self.put(&packed, directory);
            note_instants(column, shape, known);
        } else if let Some((values, index)) = dictionary(&column.values) {
            directory.push(KIND_DICTIONARY);
            put_varint(directory, values.len() as u64);
            for value in values {
                put_text(directory, value);
                column.note(known, value);
            }
            self.put(&index, directory);
        } else if let Some(packed) = hex(&column.values) {
            directory.push(KIND_HEX);
            put_varint(directory, first.len() as u64);
            // Ids are random; only ids that come again compress.
            let again = column.values.windows(2).filter(|w| w[0] == w[1]).count();
            if again > column.values.len() / 16 {
                self.put(&packed, directory)
            } else {
                self.put_plain(&packed, directory)
            }
            note_ids(column, known);
        } else if let Some((places, numbers)) = numbers(&column.values) {
            directory.push(KIND_NUMBERS);
            directory.push(places as u8);
            let mut packed = Vec::new();
            ints::encode_quick(&mut packed, &numbers);
            self.put_plain(&packed, directory);
            note_numbers(column, known);
        } else {
            directory.push(KIND_TEXT);
            let mut raw = Vec::new();
            column.values.iter().for_each(|v| put_varint(&mut raw, v.len() as u64));
            column.values.iter().for_each(|v| raw.extend_from_slice(v.as_bytes()));
            self.put(&raw, directory);
            column.values.iter().for_each(|v| column.note(known, v));
        }
    }
}

fn note_instants(column: &Column<'_>, shape: Shape, known: &mut Known) {
    if !shape.has_few_tokens() {
        return column.values.iter().for_each(|v| column.note(known, v));
    }
    // The date with the hour is the only token that filters know; it seldom changes.
    let mut last = "";
    for value in &column.values {
        let hour = value.get(..instant::HOUR_BYTES).unwrap_or(value);
        if hour != last {
            known.add_text(value.as_bytes());
            last = hour;
        }
    }
    known.longest.merge(instant::LONGEST);
}

fn note_ids(column: &Column<'_>, known: &mut Known) {
    if column.metadata {
        return column.values.iter().for_each(|v| column.note(known, v));
    }
    for value in &column.values {
        known.hashes.insert(hash(value.as_bytes()));
        known.longest.merge(Longest { run: value.len() as u32, chain: 0 });
    }
}

fn note_numbers(column: &Column<'_>, known: &mut Known) {
    let longest = column.values.iter().map(|v| v.len()).max().unwrap_or(0);
    if column.metadata || longest > NUMBER_BYTES_MAX {
        return column.values.iter().for_each(|v| column.note(known, v));
    }
    known.longest.merge(Longest { run: longest as u32, chain: longest as u32 });
}

fn instants(column: &Column<'_>, times: &[i64]) -> Option<(Shape, Vec<i64>)> {
    let (shape, _) = instant::read(column.values.first()?)?;
    let mut differences = Vec::with_capacity(column.values.len());
    for (value, row) in column.values.iter().zip(&column.rows) {
        let (found, units) = instant::read(value)?;
        if found != shape {
            return None;
        }
        differences.push(units.wrapping_sub(shape.units(*times.get(*row as usize)?)));
    }
    Some((shape, differences))
}

fn dictionary<'a>(values: &[&'a str]) -> Option<(Vec<&'a str>, Vec<u8>)> {
    let most = DICTIONARY_MAX.min(values.len() / 2);
    let mut distinct: Vec<&str> = Vec::new();
    let mut places: HashMap<&str, u8> = HashMap::new();
    let mut index = Vec::with_capacity(values.len());
    let mut last = ("", 0);
    for value in values {
        if *value != last.0 || index.is_empty() {
            let place = match places.get(value) {
                Some(place) => *place,
                None if distinct.len() >= most => return None,
                None => {
                    let place = distinct.len() as u8;
                    distinct.push(value);
                    places.insert(value, place);
                    place
                }
            };
            last = (value, place);
        }
        index.push(last.1);
    }
    Some((distinct, index))
}

/// The value of each digit; all others have bits that no digit has.
static NIBBLES: [u8; 256] = nibbles();

const fn nibbles() -> [u8; 256] {
    let mut table = [0xf0; 256];
    let mut value = 0;
    while value < 16 {
        table[b"0123456789abcdef"[value] as usize] = value as u8;
        value += 1;
    }
    table
}

fn hex(values: &[&str]) -> Option<Vec<u8>> {
    let width = values.first()?.len();
    if width < HEX_BYTES_MIN || !width.is_multiple_of(2) || values.iter().any(|v| v.len() != width) {
        return None;
    }
    let mut out = Vec::with_capacity(values.len() * width / 2);
    for value in values {
        let mut wrong = 0;
        out.extend(value.as_bytes().chunks_exact(2).map(|pair| {
            let (high, low) = (NIBBLES[usize::from(pair[0])], NIBBLES[usize::from(pair[1])]);
            wrong |= high | low;
            high << 4 | low
        }));
        if wrong > 15 {
            return None;
        }
    }
    Some(out)
}

/// Numbers with the same number of digits behind the point, written in the only way that [`put_number`] writes them.
fn numbers(values: &[&str]) -> Option<(usize, Vec<i64>)> {
    let (places, _) = number(values.first()?)?;
    let mut out = Vec::with_capacity(values.len());
    for value in values {
        let (found, number) = number(value)?;
        if found != places {
            return None;
        }
        out.push(number);
    }
    Some((places, out))
}

/// Digits behind the point, and the number without the point.
fn number(text: &str) -> Option<(usize, i64)> {
    /// More digits might not fit.
    const DIGITS_MAX: usize = 18;
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (whole, behind) = digits.split_once('.').unwrap_or((digits, ""));
    let point = whole.len() < digits.len();
    if whole.is_empty() || (whole.len() > 1 && whole.starts_with('0')) || (point && behind.is_empty()) {
        return None;
    }
    if whole.len() + behind.len() > DIGITS_MAX || behind.len() > PLACES_MAX {
        return None;
    }
    let mut value = 0i64;
    for byte in whole.bytes().chain(behind.bytes()) {
        value = value * 10 + i64::from(byte.is_ascii_digit().then(|| byte - b'0')?);
    }
    // A zero has no sign that could be kept.
    if negative && value == 0 {
        return None;
    }
    Some((behind.len(), if negative { -value } else { value }))
}

fn put_number(out: &mut Vec<u8>, value: i64, places: usize) {
    if value < 0 {
        out.push(b'-');
    }
    let mut digits = [b'0'; 24];
    let mut at = digits.len();
    let mut left = value.unsigned_abs();
    let least = digits.len() - places - 1;
    while left > 0 || at > least {
        at -= 1;
        digits[at] = b'0' + (left % 10) as u8;
        left /= 10;
    }
    let (whole, behind) = digits[at..].split_at(digits.len() - at - places);
    out.extend_from_slice(whole);
    if places > 0 {
        out.push(b'.');
        out.extend_from_slice(behind);
    }
}

/// Where a section stands in the payload.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Section {
    pub(super) offset: usize,
    pub(super) stored: usize,
    raw: usize,
    crc: u32,
}

impl Section {
    /// Reads an entry; sections follow each other.
    pub(super) fn decode(input: &mut Input<'_>, offset: &mut usize) -> Option<Section> {
        let section = Section { offset: *offset, stored: input.size()?, raw: input.size()?, crc: input.u32()? };
        *offset = offset.checked_add(section.stored)?;
        (section.raw <= SECTION_BYTES_MAX && section.stored <= section.raw).then_some(section)
    }
    /// Takes the bytes as right, for the fuzzer.
    #[cfg(feature = "fuzzing")]
    pub(super) fn trust(&mut self, payload: &[u8]) {
        self.crc = payload.get(self.offset..self.offset + self.stored).map_or(0, crc32fast::hash);
    }
    /// The content; `None` when it is damaged.
    pub(super) fn unpack(self, payload: &[u8], decompressor: &mut Decompressor<'_>) -> Option<Vec<u8>> {
        let stored = payload.get(self.offset..self.offset.checked_add(self.stored)?)?;
        if crc32fast::hash(stored) != self.crc {
            return None;
        }
        if self.stored == self.raw {
            return Some(stored.to_vec());
        }
        decompressor.decompress(stored, self.raw).ok().filter(|raw| raw.len() == self.raw)
    }
}

/// What a block's directory says of a column.
pub(super) struct Entry {
    pub(super) key: String,
    count: usize,
    form: Form,
}

enum Form {
    Constant(Vec<u8>),
    Dictionary(Vec<Vec<u8>>, Section),
    Hex(usize, Section),
    Numbers(usize, Section),
    Instants(Shape, Section),
    Text(Section),
}

impl Entry {
    pub(super) fn decode(input: &mut Input<'_>, offset: &mut usize, rows: usize) -> Option<Entry> {
        let key = input.text()?.to_owned();
        // A line may have a key more than once.
        let count = input.size().filter(|count| *count <= rows.saturating_mul(super::split::SLOTS_MAX))?;
        let text = |input: &mut Input<'_>| {
            let len = input.size()?;
            Some(input.take(len)?.to_vec())
        };
        let form = match input.u8()? {
            KIND_CONSTANT => Form::Constant(text(input)?),
            KIND_DICTIONARY => {
                let len = input.size().filter(|len| *len <= DICTIONARY_MAX)?;
                let values = (0..len).map(|_| text(input)).collect::<Option<Vec<_>>>()?;
                Form::Dictionary(values, Section::decode(input, offset)?)
            }
            KIND_HEX => Form::Hex(input.size().filter(|w| *w > 0 && w.is_multiple_of(2) && *w <= SECTION_BYTES_MAX)?, Section::decode(input, offset)?),
            KIND_NUMBERS => Form::Numbers(input.u8().map(usize::from).filter(|p| *p <= PLACES_MAX)?, Section::decode(input, offset)?),
            KIND_INSTANTS => Form::Instants(Shape::decode(input)?, Section::decode(input, offset)?),
            KIND_TEXT => Form::Text(Section::decode(input, offset)?),
            _ => return None,
        };
        Some(Entry { key, count, form })
    }

    /// Where the values stand.
    pub(super) fn section(&self) -> Option<Section> {
        match &self.form {
            Form::Constant(_) => None,
            Form::Dictionary(_, section) | Form::Hex(_, section) | Form::Numbers(_, section) | Form::Instants(_, section) | Form::Text(section) => {
                Some(*section)
            }
        }
    }
    /// The same, for the fuzzer.
    #[cfg(feature = "fuzzing")]
    pub(super) fn section_mut(&mut self) -> Option<&mut Section> {
        match &mut self.form {
            Form::Constant(_) => None,
            Form::Dictionary(_, section) | Form::Hex(_, section) | Form::Numbers(_, section) | Form::Instants(_, section) | Form::Text(section) => {
                Some(section)
            }
        }
    }
    /// Whether the values have to be unpacked to look for a text in them.
    pub(super) fn is_text(&self) -> bool {
        matches!(self.form, Form::Text(_))
    }

    /// Reads the values; `None` when they are damaged.
    pub(super) fn load(&self, payload: &[u8], decompressor: &mut Decompressor<'_>) -> Option<Values> {
        let mut integers = |section: Section| {
            let raw = section.unpack(payload, decompressor)?;
            let mut values = Vec::new();
            ints::decode(&mut Input::new(&raw), self.count, &mut values)?;
            Some(values)
        };
        Some(match &self.form {
            Form::Constant(value) => Values::Constant(value.clone()),
            Form::Numbers(places, section) => Values::Numbers(*places, integers(*section)?),
            Form::Instants(shape, section) => Values::Instants(*shape, integers(*section)?, instant::Second::default()),
            Form::Dictionary(values, section) => {
                let index = section.unpack(payload, decompressor)?;
                let whole = index.len() == self.count && index.iter().all(|i| usize::from(*i) < values.len());
                whole.then(|| Values::Dictionary(values.clone(), index))?
            }
            Form::Hex(width, section) => {
                let packed = section.unpack(payload, decompressor)?;
                (packed.len() == self.count.checked_mul(width / 2)?).then(|| Values::Hex(width / 2, packed))?
            }
            Form::Text(section) => text(section.unpack(payload, decompressor)?, self.count)?,
        })
    }

    /// Whether a value may have a text within; only a text column has to be loaded for that, by `load`.
    pub(super) fn may_contain(&self, needle: &[u8], load: &mut dyn FnMut() -> Option<Values>) -> bool {
        let has = |value: &[u8]| memchr::memmem::find(value, needle).is_some();
        match &self.form {
            Form::Constant(value) => has(value),
            Form::Dictionary(values, _) => values.iter().any(|v| has(v)),
            Form::Hex(width, _) => needle.len() <= *width && needle.iter().all(|b| NIBBLES[usize::from(*b)] < 16),
            Form::Numbers(..) => needle.iter().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'-')),
            Form::Instants(..) => needle.iter().all(|b| b.is_ascii_digit() || b"-:.+TZ ".contains(b)),
            // A damaged column is found out when it is read.
            Form::Text(_) => match load() {
                Some(Values::Text(bytes, _)) => has(&bytes),
                _ => true,
            },
        }
    }
}

fn text(raw: Vec<u8>, count: usize) -> Option<Values> {
    let mut input = Input::new(&raw);
    let mut ends = Vec::with_capacity(count.min(raw.len()));
    let mut end = 0usize;
    for _ in 0..count {
        end = end.checked_add(input.size()?)?;
        ends.push(u32::try_from(end).ok()?);
    }
    let bytes = input.take(input.remaining())?.to_vec();
    (bytes.len() == end).then_some(Values::Text(bytes, ends))
}

/// The values of a column, ready to be looked at.
pub(super) enum Values {
    Constant(Vec<u8>),
    Dictionary(Vec<Vec<u8>>, Vec<u8>),
    Hex(usize, Vec<u8>),
    Numbers(usize, Vec<i64>),
    Instants(Shape, Vec<i64>, instant::Second),
    Text(Vec<u8>, Vec<u32>),
}

impl Values {
    /// Appends value `at`, which belongs to a row of some time.
    #[inline]
    pub(super) fn put(&self, at: usize, time: i64, out: &mut Vec<u8>) -> Option<()> {
        match self {
            Values::Constant(value) => out.extend_from_slice(value),
            Values::Dictionary(values, index) => out.extend_from_slice(values.get(usize::from(*index.get(at)?))?),
            Values::Text(bytes, ends) => {
                let from = if at == 0 { 0 } else { *ends.get(at - 1)? };
                out.extend_from_slice(bytes.get(from as usize..*ends.get(at)? as usize)?);
            }
            Values::Hex(width, packed) => {
                for part in packed.get(at * width..(at + 1) * width)?.chunks(HEX_PART) {
                    let mut digits = [0; 2 * HEX_PART];
                    for (two, byte) in digits.chunks_exact_mut(2).zip(part) {
                        two.copy_from_slice(&HEX[usize::from(*byte)]);
                    }
                    out.extend_from_slice(&digits[..2 * part.len()]);
                }
            }
            Values::Numbers(places, numbers) => put_number(out, *numbers.get(at)?, *places),
            Values::Instants(shape, differences, second) => shape.put(differences.get(at)?.wrapping_add(shape.units(time)), second, out)?,
        }
        Some(())
    }
}

/// So many bytes become digits at once.
const HEX_PART: usize = 16;
static HEX: [[u8; 2]; 256] = hex_table();

const fn hex_table() -> [[u8; 2]; 256] {
    let digits = b"0123456789abcdef";
    let mut table = [[0; 2]; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = [digits[byte >> 4], digits[byte & 15]];
        byte += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn there_and_back(values: &[&str], times: &[i64]) -> (u8, Vec<String>) {
        let column = Column { key: "k", metadata: false, values: values.to_vec(), rows: (0..values.len() as u32).collect() };
        let mut packer = Packer::new(1).unwrap();
        let (mut directory, mut known) = (Vec::new(), Known::default());
        packer.column(&column, times, &mut directory, &mut known);
        let mut input = Input::new(&directory);
        let mut end = 0;
        let entry = Entry::decode(&mut input, &mut end, values.len()).unwrap();
        assert!(input.is_empty() && end == packer.payload.len());
        let loaded = entry.load(&packer.payload, &mut Decompressor::new().unwrap()).unwrap();
        let read = |at: usize| {
            let mut out = Vec::new();
            loaded.put(at, times[at], &mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        for value in values {
            let found = entry.may_contain(value.as_bytes(), &mut || entry.load(&packer.payload, &mut Decompressor::new().unwrap()));
            assert!(found, "{value}");
        }
        (directory[3], (0..values.len()).map(read).collect())
    }

    #[test]
    fn each_kind_of_value_gets_its_form() {
        let times = [1_000_000_000; 8];
        for (kind, values) in [
            (KIND_CONSTANT, ["a"; 8]),
            (KIND_DICTIONARY, ["a", "b", "a", "", "b", "a", "b", "a"]),
            (KIND_HEX, ["00ff00ff", "11223344", "deadbeef", "00000000", "00000001", "00000002", "00000003", "00000004"]),
            (KIND_NUMBERS, ["1", "-2", "3", "400", "55", "0", "-77", "123456789012345678"]),
            (KIND_NUMBERS, ["0.05", "-0.01", "3.00", "4.17", "5.18", "0.00", "7.77", "8.88"]),
            (KIND_TEXT, ["01", "2", "3", "4", "5", "6", "7", "8"]),
            (KIND_TEXT, ["1.5", "2.25", "3", "4", "5", "6", "7", "-0"]),
        ] {
            assert_eq!(there_and_back(&values, &times), (kind, values.map(str::to_owned).to_vec()));
        }
        let instants = [0, 1, 2, 3].map(|n| format!("2026-11-29T06:35:1{n}.12{n}Z"));
        let instants: Vec<&str> = instants.iter().map(String::as_str).collect();
        assert_eq!(there_and_back(&instants, &times).0, KIND_INSTANTS);
    }

    proptest! {
        #[test]
        fn every_value_comes_back(values in prop_oneof![
            proptest::collection::vec("[a-c]{0,2}", 1..40),
            proptest::collection::vec("-?[0-9]{1,4}(\\.[0-9]{2})?", 1..40),
            proptest::collection::vec("[0-9a-f]{8}", 1..40),
            proptest::collection::vec("20[0-9]{2}-0[1-9]-[0-3][0-9]T[0-2][0-9]:00:00(\\.[0-9]{3})?Z", 1..20),
            proptest::collection::vec(".{0,20}", 1..40),
        ], time: i64) {
            let texts: Vec<&str> = values.iter().map(String::as_str).collect();
            prop_assert_eq!(there_and_back(&texts, &vec![time; texts.len()]).1, values);
        }
    }
}
