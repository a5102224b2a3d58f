//! Stacks out of an entry. Whatever stands there, reading ends in stacks or in nothing.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use super::tree::{Frame, HEAD, LETTERS, LETTERS_OF_NAME, OWN, SECTION, UP, name_of};
use super::{DEPTH_MAX, FRAMES_MAX, NODES_MAX};

/// A frame as it was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptFrame<'a> {
    /// The function.
    pub name: Cow<'a, str>,
    /// The file where it is written; may be empty.
    pub file: Cow<'a, str>,
    /// The line that runs; 0 when it is not known.
    pub line: u32,
}

/// A place in a stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeptNode {
    /// The place of the node that calls it, which stands before it; none at the root.
    pub parent: Option<u32>,
    /// The place of its frame.
    pub frame: u32,
    /// Its own value, without what it calls.
    pub own: u64,
}

/// A span, and which part of the values of which nodes is its own.
pub type OfSpan<'a> = (Cow<'a, str>, Vec<(u32, u64)>);

/// The stacks of a profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stacks<'a> {
    /// The frames.
    pub frames: Vec<KeptFrame<'a>>,
    /// The nodes, each behind the one that calls it.
    pub nodes: Vec<KeptNode>,
    /// Of each span the nodes and which part of their values is its own.
    pub spans: Vec<OfSpan<'a>>,
}

impl<'a> Stacks<'a> {
    /// Reads the line of an entry.
    pub fn read(line: &'a str) -> Option<Stacks<'a>> {
        let mut sections = line.split(SECTION);
        let unit: u64 = sections.next()?.strip_prefix(HEAD)?.parse().ok()?;
        let (frames, names) = read_frames(sections.next()?)?;
        let (mut nodes, valued) = read_nodes(sections.next()?, &names)?;
        let mut values = sections.next()?.split(',');
        for at in &valued {
            let node = nodes.get_mut(*at as usize)?;
            node.own = values.next()?.parse::<u64>().ok()?.checked_mul(unit)?;
        }
        let spans = sections.next().map_or(Some(Vec::new()), |text| read_spans(text, &valued, unit))?;
        Some(Stacks { frames, nodes, spans })
    }

    /// Leaves only what belongs to some spans, as their own.
    pub fn of_spans(mut self, wanted: impl Fn(&str) -> bool) -> Stacks<'a> {
        self.nodes.iter_mut().for_each(|node| node.own = 0);
        for (_, values) in self.spans.iter().filter(|(span, _)| wanted(span)) {
            for (at, value) in values {
                if let Some(node) = self.nodes.get_mut(*at as usize) {
                    node.own = node.own.saturating_add(*value);
                }
            }
        }
        self
    }
}

/// The frames, and the place of each by its name.
type Named<'a> = (Vec<KeptFrame<'a>>, HashMap<u32, u32>);

fn read_frames(text: &str) -> Option<Named<'_>> {
    let (mut frames, mut names, mut taken) = (Vec::new(), HashMap::new(), HashSet::new());
    for function in text.split('\n') {
        let mut parts = function.split('\t');
        let (name, file, lines) = (plain(parts.next()?), plain(parts.next()?), parts.next()?);
        for number in lines.split(',') {
            let line = number.parse().ok()?;
            if frames.len() >= FRAMES_MAX {
                return None;
            }
            names.insert(name_of(&Frame { name: &name, file: &file, line }, &mut taken), frames.len() as u32);
            frames.push(KeptFrame { name: name.clone(), file: file.clone(), line });
        }
    }
    Some((frames, names))
}

/// The nodes, and the places of those that have values of their own.
fn read_nodes(text: &str, names: &HashMap<u32, u32>) -> Option<(Vec<KeptNode>, Vec<u32>)> {
    let bytes = text.as_bytes();
    let (mut nodes, mut valued, mut open, mut at) = (Vec::new(), Vec::new(), Vec::new(), 0);
    while at < bytes.len() {
        if bytes[at] == UP as u8 {
            open.pop()?;
            at += 1;
            continue;
        }
        let mut name = 0;
        for (letter, byte) in bytes.get(at..at + LETTERS_OF_NAME)?.iter().enumerate() {
            name |= (value_of(*byte)? as u32) << (6 * letter);
        }
        at += LETTERS_OF_NAME;
        if nodes.len() >= NODES_MAX || open.len() >= DEPTH_MAX {
            return None;
        }
        let place = nodes.len() as u32;
        nodes.push(KeptNode { parent: open.last().copied(), frame: *names.get(&name)?, own: 0 });
        open.push(place);
        let inner = bytes.get(at) == Some(&(OWN as u8));
        at += usize::from(inner);
        if inner || bytes.get(at).is_none_or(|next| *next == UP as u8) {
            valued.push(place);
        }
    }
    Some((nodes, valued))
}

fn read_spans<'a>(text: &'a str, valued: &[u32], unit: u64) -> Option<Vec<OfSpan<'a>>> {
    let mut spans = Vec::new();
    for line in text.split('\n').filter(|line| !line.is_empty()) {
        let (span, list) = line.split_once('\t')?;
        let mut numbers = list.split(',').map(|number| number.parse::<u64>().ok());
        let mut values = Vec::new();
        while let Some(place) = numbers.next() {
            let node = valued.get(usize::try_from(place?).ok()?)?;
            values.push((*node, numbers.next()??.checked_mul(unit)?));
        }
        spans.push((plain(span), values));
    }
    Some(spans)
}

fn value_of(letter: u8) -> Option<usize> {
    const VALUES: [u8; 256] = {
        let mut values = [u8::MAX; 256];
        let mut at = 0;
        while at < LETTERS.len() {
            values[LETTERS[at] as usize] = at as u8;
            at += 1;
        }
        values
    };
    let value = VALUES[letter as usize];
    (value != u8::MAX).then_some(value as usize)
}

fn plain(text: &str) -> Cow<'_, str> {
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, c == '\\') {
            (_, false) => out.push(c),
            (_, true) => match chars.next() {
                Some('n') => out.push('\n'),
                Some('t') => out.push('\t'),
                Some(other) => out.push(other),
                None => {}
            },
        }
    }
    Cow::Owned(out)
}
