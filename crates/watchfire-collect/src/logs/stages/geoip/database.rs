//! A reader of databases in MaxMind's format, version 2: which record belongs to an address. Pages of the file are read where they are
//! needed, so that a large database takes little memory. It knows nothing of places.

use std::collections::HashMap;
use std::fs::File;
use std::net::IpAddr;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use serde_json::{Map, Number, Value};

/// What stands before the description of a database, which is the last part of the file.
const MARKER: &[u8] = b"\xab\xcd\xefMaxMind.com";
/// The description begins within so many bytes from the end.
const DESCRIPTION_BYTES_MAX: u64 = 128 << 10;
/// The bytes between the tree and the records.
const SEPARATOR_BYTES: u64 = 16;
/// The bytes of one page, and how many of them are kept.
const PAGE_BYTES: u64 = 4 << 10;
const PAGES_MAX: usize = 64;
/// How deep values may stand in values, pointers included.
const DEPTH_MAX: usize = 32;
/// The most values of one record, and the most bytes of its texts.
const VALUES_MAX: usize = 4_096;
const TEXT_BYTES_MAX: usize = 64 << 10;

/// What is wrong with a database.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// It cannot be read.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// It is none, or damaged.
    #[error("{0}")]
    Malformed(&'static str),
}
use DatabaseError::Malformed;

type Read<T> = Result<T, DatabaseError>;

/// The bytes of a file, page by page.
#[derive(Debug)]
struct Pages {
    file: File,
    size: u64,
    kept: HashMap<u64, Box<[u8]>>,
}
impl Pages {
    /// Fills `out` with what stands at a place.
    fn read(&mut self, at: u64, out: &mut [u8]) -> Read<()> {
        if at.checked_add(out.len() as u64).is_none_or(|end| end > self.size) {
            return Err(Malformed("something points behind the end of the file"));
        }
        let (mut at, mut rest) = (at, out);
        while !rest.is_empty() {
            let page = self.page(at / PAGE_BYTES)?;
            let from = page.get((at % PAGE_BYTES) as usize..).unwrap_or(&[]);
            let length = from.len().min(rest.len());
            if length == 0 {
                return Err(Malformed("the file became shorter"));
            }
            let (now, later) = std::mem::take(&mut rest).split_at_mut(length);
            now.copy_from_slice(&from[..length]);
            at += length as u64;
            rest = later;
        }
        Ok(())
    }

    fn page(&mut self, number: u64) -> Read<&[u8]> {
        if !self.kept.contains_key(&number) {
            if self.kept.len() >= PAGES_MAX {
                self.kept.clear();
            }
            let begin = number * PAGE_BYTES;
            let mut bytes = vec![0; self.size.saturating_sub(begin).min(PAGE_BYTES) as usize];
            self.file.read_exact_at(&mut bytes, begin)?;
            self.kept.insert(number, bytes.into_boxed_slice());
        }
        Ok(self.kept.get(&number).map_or(&[], |page| page))
    }

    /// A number of some bytes, the most significant first.
    fn number(&mut self, at: u64, bytes: usize) -> Read<u64> {
        let mut word = [0; 8];
        let Some(part) = word.get_mut(8usize.saturating_sub(bytes)..) else { return Err(Malformed("a number is too long")) };
        self.read(at, part)?;
        Ok(u64::from_be_bytes(word))
    }
}

/// An open database.
#[derive(Debug)]
pub struct Database {
    pages: Pages,
    nodes: u64,
    /// The bits of one of the two sides of a node.
    record_bits: u64,
    /// Where the addresses of version 4 begin; nothing in a database that has no others.
    v4_from: Option<u64>,
}

impl Database {
    /// Opens a file.
    pub fn open(path: &Path) -> Read<Database> {
        // Opening a pipe would wait for somebody who writes into it.
        if !std::fs::metadata(path)?.is_file() {
            return Err(Malformed("it is no file"));
        }
        let file = File::open(path)?;
        let about = file.metadata()?;
        if !about.is_file() {
            return Err(Malformed("it is no file"));
        }
        let mut pages = Pages { file, size: about.len(), kept: HashMap::new() };
        let (description, ends) = description(&mut pages)?;
        let number = |name: &str| description.get(name).and_then(Value::as_u64);
        if number("binary_format_major_version") != Some(2) {
            return Err(Malformed("it is not of version 2 of the format"));
        }
        let (Some(nodes), Some(record_bits @ (24 | 28 | 32))) = (number("node_count").filter(|n| *n <= u64::from(u32::MAX)), number("record_size")) else {
            return Err(Malformed("it does not say how many nodes there are, or how large they are"));
        };
        let mut database = Database { pages, nodes, record_bits, v4_from: None };
        if nodes * record_bits / 4 + SEPARATOR_BYTES > ends {
            return Err(Malformed("it is shorter than its tree"));
        }
        match number("ip_version") {
            Some(4) => {}
            Some(6) => {
                let mut node = 0;
                for _ in 0..96 {
                    if node >= nodes {
                        break;
                    }
                    node = database.side(node, false)?;
                }
                database.v4_from = Some(node);
            }
            _ => return Err(Malformed("it does not say which addresses it has")),
        }
        Ok(database)
    }

    /// What the left or right side of a node leads to.
    fn side(&mut self, node: u64, right: bool) -> Read<u64> {
        let at = node * self.record_bits / 4;
        match self.record_bits {
            28 => {
                // The four highest bits of both sides share the byte in the middle.
                let low = self.pages.number(if right { at + 4 } else { at }, 3)?;
                let shared = self.pages.number(at + 3, 1)?;
                Ok((if right { shared & 0xf } else { shared >> 4 }) << 24 | low)
            }
            bits => self.pages.number(if right { at + bits / 8 } else { at }, (bits / 8) as usize),
        }
    }

    /// The record of an address, if there is one.
    pub fn lookup(&mut self, address: IpAddr) -> Read<Option<Value>> {
        let address = address.to_canonical();
        let (bits, length, mut node) = match (address, self.v4_from) {
            (IpAddr::V4(address), from) => (u128::from(u32::from(address)) << 96, 32, from.unwrap_or(0)),
            (IpAddr::V6(address), Some(_)) => (u128::from(address), 128, 0),
            (IpAddr::V6(_), None) => return Ok(None),
        };
        for i in 0..length {
            if node >= self.nodes {
                break;
            }
            node = self.side(node, bits >> (127 - i) & 1 == 1)?;
        }
        if node <= self.nodes {
            return if node == self.nodes { Ok(None) } else { Err(Malformed("an address ends within the tree")) };
        }
        let records = self.nodes * self.record_bits / 4 + SEPARATOR_BYTES;
        let Some(place) = (node - self.nodes).checked_sub(SEPARATOR_BYTES) else { return Err(Malformed("an address leads between tree and records")) };
        Reading::new(&mut self.pages, records, records + place).value(0).map(Some)
    }
}

/// The description of a database, and where what it describes ends.
fn description(pages: &mut Pages) -> Read<(Value, u64)> {
    let length = pages.size.min(DESCRIPTION_BYTES_MAX);
    let begin = pages.size - length;
    let mut tail = vec![0; length as usize];
    pages.file.read_exact_at(&mut tail, begin)?;
    let marker = memchr::memmem::rfind(&tail, MARKER).ok_or(Malformed("it is no database in MaxMind's format"))?;
    let ends = begin + marker as u64;
    let at = ends + MARKER.len() as u64;
    Ok((Reading::new(pages, at, at).value(0)?, ends))
}

/// A record while it is read.
struct Reading<'a> {
    pages: &'a mut Pages,
    /// What pointers count from.
    base: u64,
    at: u64,
    values: usize,
    text_bytes: usize,
}

impl<'a> Reading<'a> {
    fn new(pages: &'a mut Pages, base: u64, at: u64) -> Reading<'a> {
        Reading { pages, base, at, values: 0, text_bytes: 0 }
    }

    fn number(&mut self, bytes: usize) -> Read<u64> {
        let number = self.pages.number(self.at, bytes)?;
        self.at += bytes as u64;
        Ok(number)
    }

    fn value(&mut self, depth: usize) -> Read<Value> {
        self.values += 1;
        if depth > DEPTH_MAX || self.values > VALUES_MAX {
            return Err(Malformed("a record is too deep or has too many values"));
        }
        let control = self.number(1)?;
        let (kind, low) = (control >> 5, control & 0x1f);
        if kind == 1 {
            return self.pointed(low, depth);
        }
        // Kinds that need more than three bits are in a byte of their own.
        let kind = if kind == 0 { self.number(1)? + 7 } else { kind };
        let size = match low {
            29 => 29 + self.number(1)?,
            30 => 285 + self.number(2)?,
            31 => 65_821 + self.number(3)?,
            size => size,
        };
        match (kind, size) {
            (2, _) => self.text(size).map(Value::String),
            (3, 8) => Ok(float(f64::from_bits(self.number(8)?))),
            (15, 4) => Ok(float(f64::from(f32::from_bits(self.number(4)? as u32)))),
            (5 | 6 | 9, 0..=8) => self.number(size as usize).map(Value::from),
            (8, 0..=4) => self.number(size as usize).map(|number| Value::from(number as u32 as i32)),
            (10, 0..=16) => {
                let high = self.number((size as usize).saturating_sub(8))?;
                let number = u128::from(high) << 64 | u128::from(self.number((size as usize).min(8))?);
                Ok(u64::try_from(number).map_or_else(|_| Value::String(number.to_string()), Value::from))
            }
            (14, 0 | 1) => Ok(Value::Bool(size == 1)),
            (7, _) => self.map(size, depth),
            (11, _) => {
                let mut items = Vec::new();
                for _ in 0..size {
                    items.push(self.value(depth + 1)?);
                }
                Ok(Value::Array(items))
            }
            // Bytes are no text, so nothing can be made of them.
            (4, _) => {
                self.at = self.at.saturating_add(size);
                Ok(Value::Null)
            }
            _ => Err(Malformed("a record has a value of an unknown kind or size")),
        }
    }

    /// A value that stands elsewhere. Its place takes one to four bytes and the low bits of the first.
    fn pointed(&mut self, low: u64, depth: usize) -> Read<Value> {
        let high = low & 7;
        let place = match low >> 3 {
            0 => high << 8 | self.number(1)?,
            1 => (high << 16 | self.number(2)?) + 2_048,
            2 => (high << 24 | self.number(3)?) + 526_336,
            _ => self.number(4)?,
        };
        let behind = std::mem::replace(&mut self.at, self.base + place);
        let value = self.value(depth + 1)?;
        self.at = behind;
        Ok(value)
    }

    fn text(&mut self, size: u64) -> Read<String> {
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        self.text_bytes = self.text_bytes.saturating_add(size);
        if self.text_bytes > TEXT_BYTES_MAX {
            return Err(Malformed("the texts of a record are too long"));
        }
        let mut bytes = vec![0; size];
        self.pages.read(self.at, &mut bytes)?;
        self.at += size as u64;
        Ok(String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
    }

    fn map(&mut self, size: u64, depth: usize) -> Read<Value> {
        let mut members = Map::new();
        for _ in 0..size {
            let Value::String(name) = self.value(depth + 1)? else { return Err(Malformed("the name of a value is no text")) };
            let value = self.value(depth + 1)?;
            members.insert(name, value);
        }
        Ok(Value::Object(members))
    }
}

fn float(number: f64) -> Value {
    Number::from_f64(number).map_or(Value::Null, Value::Number)
}
