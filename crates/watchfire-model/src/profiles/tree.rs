//! Stacks on their way into an entry: a tree of frames with values, written so that profiles of one program have long texts in common.
//! Frames are named by a hash of what they are and stand in the order of their names, so what has not changed since the profile
//! before is the same text, and a block of the store holds it once.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write as _;

use super::{FRAMES_MAX, NODES_MAX};

/// The letters of a frame's name within a line. None of them separates anything.
pub(super) const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_$";
/// A name has so many letters of six bits.
pub(super) const LETTERS_OF_NAME: usize = 4;
const NAME_MASK: u32 = (1 << (6 * LETTERS_OF_NAME)) - 1;
/// What is behind an inner frame that has a value of its own.
pub(super) const OWN: char = '!';
/// What ends a frame's callees.
pub(super) const UP: char = ')';
/// What separates the sections of a line.
pub(super) const SECTION: &str = "\n\n";
/// The version, and what stands before the number by which values are divided.
pub(super) const HEAD: &str = "v1*";

/// A profile has too many frames or nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a profile has more than {NODES_MAX} places in stacks or {FRAMES_MAX} different frames")]
pub struct TooLarge;

/// A place in a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Frame<'a> {
    /// The function.
    pub name: &'a str,
    /// The file where it is written; may be empty.
    pub file: &'a str,
    /// The line that runs; 0 when it is not known.
    pub line: u32,
}

/// The different frames of one or more profiles.
#[derive(Clone, Debug, Default)]
pub struct Frames<'a> {
    all: Vec<Frame<'a>>,
    known: HashMap<Frame<'a>, u32>,
}

impl<'a> Frames<'a> {
    /// The number of a frame.
    pub fn number(&mut self, frame: Frame<'a>) -> Result<u32, TooLarge> {
        if let Some(number) = self.known.get(&frame) {
            return Ok(*number);
        }
        if self.all.len() >= FRAMES_MAX {
            return Err(TooLarge);
        }
        let number = self.all.len() as u32;
        self.all.push(frame);
        self.known.insert(frame, number);
        Ok(number)
    }
}

/// A hash that is the same for ever: names of frames stand in files.
pub(super) fn name_of(frame: &Frame<'_>, taken: &mut HashSet<u32>) -> u32 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let line = frame.line.to_le_bytes();
    for byte in frame.name.bytes().chain([0]).chain(frame.file.bytes()).chain([0]).chain(line) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    let mut name = (hash ^ hash >> 32) as u32 & NAME_MASK;
    // There are sixteen million names and far fewer frames.
    while !taken.insert(name) {
        name = (name + 1) & NAME_MASK;
    }
    name
}

#[derive(Clone, Copy, Debug)]
struct Node {
    parent: u32,
    frame: u32,
    own: i64,
}

/// Stacks with values. Node 0 is the root, which is no frame.
#[derive(Clone, Debug)]
pub struct StackTree {
    nodes: Vec<Node>,
    children: HashMap<(u32, u32), u32>,
    /// Which part of a node's value belongs to a span.
    spans: BTreeMap<Box<str>, BTreeMap<u32, i64>>,
}

impl Default for StackTree {
    fn default() -> StackTree {
        StackTree { nodes: vec![Node { parent: 0, frame: u32::MAX, own: 0 }], children: HashMap::new(), spans: BTreeMap::new() }
    }
}

impl StackTree {
    /// The root.
    pub const ROOT: u32 = 0;

    /// How many nodes there are, with the root.
    pub fn nodes(&self) -> usize {
        self.nodes.len()
    }

    /// The node of a frame that is called by another one.
    pub fn callee(&mut self, parent: u32, frame: u32) -> Result<u32, TooLarge> {
        if let Some(node) = self.children.get(&(parent, frame)) {
            return Ok(*node);
        }
        if self.nodes.len() > NODES_MAX {
            return Err(TooLarge);
        }
        let node = self.nodes.len() as u32;
        self.nodes.push(Node { parent, frame, own: 0 });
        self.children.insert((parent, frame), node);
        Ok(node)
    }

    /// Adds a value to a node, and to a span if it was taken in one.
    pub fn add(&mut self, node: u32, value: i64, span: Option<&str>) {
        let Some(known) = self.nodes.get_mut(node as usize) else { return };
        known.own = known.own.saturating_add(value);
        if let Some(span) = span {
            let values = match self.spans.get_mut(span) {
                Some(values) => values,
                None => self.spans.entry(span.into()).or_default(),
            };
            let of_node = values.entry(node).or_default();
            *of_node = of_node.saturating_add(value);
        }
    }

    /// Whether a node or one that it calls has a value.
    fn wanted(&self) -> Vec<bool> {
        let mut wanted: Vec<bool> = self.nodes.iter().map(|node| node.own > 0).collect();
        for at in (1..self.nodes.len()).rev() {
            if wanted[at] {
                wanted[self.nodes[at].parent as usize] = true;
            }
        }
        wanted
    }

    /// The line of an entry, and the sum of all values. A value at the root belongs to no frame and is not kept.
    pub(super) fn line(&self, frames: &Frames<'_>) -> Result<Option<(String, u64)>, TooLarge> {
        let wanted = self.wanted();
        let values = || self.nodes.iter().skip(1).filter(|node| node.own > 0).map(|node| node.own.unsigned_abs());
        let of_spans = self.spans.values().flatten().filter(|(_, value)| **value > 0).map(|(_, value)| value.unsigned_abs());
        let divisor = values().chain(of_spans).fold(0, greatest_common_divisor);
        if values().next().is_none() {
            return Ok(None);
        }
        let mut line = format!("{HEAD}{divisor}{SECTION}");
        let names = self.put_frames(frames, &wanted, &mut line);
        line.push_str(SECTION);
        let order = self.put_nodes(&names, &wanted, &mut line);
        line.push_str(SECTION);
        let valued: Vec<u32> = order.into_iter().filter(|node| self.nodes[*node as usize].own > 0).collect();
        put_list(&mut line, valued.iter().map(|node| self.nodes[*node as usize].own.unsigned_abs() / divisor));
        self.put_spans(&valued, divisor, &mut line);
        Ok(Some((line, values().fold(0, u64::saturating_add))))
    }

    /// Writes the frames, and returns rank and name of each that is wanted.
    fn put_frames(&self, frames: &Frames<'_>, wanted: &[bool], line: &mut String) -> HashMap<u32, (u32, u32)> {
        let used: HashSet<u32> = self.nodes.iter().zip(wanted).skip(1).filter(|(_, wanted)| **wanted).map(|(node, _)| node.frame).collect();
        let mut sorted: Vec<(Frame<'_>, u32)> = used.into_iter().filter_map(|number| Some((*frames.all.get(number as usize)?, number))).collect();
        sorted.sort_unstable();
        let (mut names, mut taken) = (HashMap::with_capacity(sorted.len()), HashSet::with_capacity(sorted.len()));
        let mut function = None;
        for (rank, (frame, number)) in sorted.iter().enumerate() {
            names.insert(*number, (rank as u32, name_of(frame, &mut taken)));
            if function == Some((frame.name, frame.file)) {
                line.push(',');
            } else {
                if function.is_some() {
                    line.push('\n');
                }
                function = Some((frame.name, frame.file));
                put_text(line, frame.name);
                line.push('\t');
                put_text(line, frame.file);
                line.push('\t');
            }
            put_number(line, u64::from(frame.line));
        }
        names
    }

    /// Writes the wanted nodes, each behind the one that calls it, and returns them in this order.
    fn put_nodes(&self, names: &HashMap<u32, (u32, u32)>, wanted: &[bool], line: &mut String) -> Vec<u32> {
        let mut callees: HashMap<u32, Vec<(u32, u32)>> = HashMap::new();
        for (at, node) in self.nodes.iter().enumerate().skip(1).filter(|(at, _)| wanted[*at]) {
            let rank = names.get(&node.frame).map_or(u32::MAX, |(rank, _)| *rank);
            callees.entry(node.parent).or_default().push((rank, at as u32));
        }
        // The last one is taken first.
        callees.values_mut().for_each(|list| list.sort_unstable_by(|a, b| b.cmp(a)));
        let (mut open, mut order) = (vec![callees.remove(&Self::ROOT).unwrap_or_default()], Vec::new());
        let mut ups = 0;
        while let Some(list) = open.last_mut() {
            let Some((_, at)) = list.pop() else {
                open.pop();
                ups += 1;
                continue;
            };
            line.extend(std::iter::repeat_n(UP, ups));
            let name = names.get(&self.nodes[at as usize].frame).map_or(0, |(_, name)| *name);
            (0..LETTERS_OF_NAME).for_each(|letter| line.push(char::from(LETTERS[(name >> (6 * letter) & 63) as usize])));
            order.push(at);
            let inner = callees.remove(&at).unwrap_or_default();
            if !inner.is_empty() && self.nodes[at as usize].own > 0 {
                line.push(OWN);
            }
            ups = 0;
            open.push(inner);
        }
        order
    }

    fn put_spans(&self, valued: &[u32], divisor: u64, line: &mut String) {
        if self.spans.is_empty() {
            return;
        }
        line.push_str(SECTION);
        let places: HashMap<u32, usize> = valued.iter().enumerate().map(|(place, node)| (*node, place)).collect();
        for (span, values) in &self.spans {
            let mut told: Vec<(usize, u64)> =
                values.iter().filter(|(_, value)| **value > 0).filter_map(|(node, value)| Some((*places.get(node)?, value.unsigned_abs() / divisor))).collect();
            told.sort_unstable();
            if told.is_empty() {
                continue;
            }
            put_text(line, span);
            line.push('\t');
            put_list(line, told.iter().flat_map(|(place, value)| [*place as u64, *value]));
            line.push('\n');
        }
    }
}

fn greatest_common_divisor(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

fn put_number(line: &mut String, number: u64) {
    // Writing to a text does not fail.
    let _written = write!(line, "{number}");
}

fn put_list(line: &mut String, numbers: impl Iterator<Item = u64>) {
    for (at, number) in numbers.enumerate() {
        if at > 0 {
            line.push(',');
        }
        put_number(line, number);
    }
}

/// A text without what separates: line breaks, tabs.
fn put_text(line: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '\\' => line.push_str("\\\\"),
            '\n' => line.push_str("\\n"),
            '\t' => line.push_str("\\t"),
            c => line.push(c),
        }
    }
}
