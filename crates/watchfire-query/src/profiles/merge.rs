//! Many profiles as one tree: stacks that are alike are added up. A tree has room for two sides, so that two questions can be compared.

use std::ops::ControlFlow;

use hashbrown::HashMap;
use watchfire_model::logs::LogSource;
use watchfire_model::profiles::{KeptFrame, ProfileRow, Stacks};
use watchfire_model::read::{Budget, ReadError};

use super::Question;
use crate::pace::{ENTRY_WORK, Pace};

/// What a node takes in memory, with its place among the callees of another one.
const NODE_BYTES: u64 = 64;
/// What a name takes beside its bytes, which stand there twice.
const NAME_BYTES: u64 = 96;

/// What makes two frames one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// The name of the function, as in flame graphs.
    Functions,
    /// File and line, too.
    Lines,
}

/// Which of two questions a profile answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Side {
    Left = 0,
    Right = 1,
}

/// A place in a program.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// The function.
    pub name: String,
    /// The file, where it is told.
    pub file: String,
    /// The line, where it is told.
    pub line: u32,
}

/// A node of the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) parent: u32,
    /// The number of its place; that of the root means nothing.
    pub(super) place: u32,
    /// Its own values, of both sides.
    pub(super) own: [u64; 2],
}

/// Stacks of many profiles.
#[derive(Debug)]
pub struct Merged {
    detail: Detail,
    places: Vec<Place>,
    known: HashMap<Place, u32>,
    nodes: Vec<Node>,
    callees: HashMap<(u32, u32), u32>,
    /// How many profiles are in it.
    pub profiles: u64,
    /// When the first and the last of them began, in nanoseconds.
    pub times: Option<(i64, i64)>,
    /// How long they were taken together, in nanoseconds.
    pub duration: u64,
    /// The period of the last one.
    pub period: u64,
    /// Profiles that could not be read.
    pub damaged: u64,
}

impl Merged {
    /// A tree without stacks.
    pub fn new(detail: Detail) -> Merged {
        Merged {
            detail,
            places: Vec::new(),
            known: HashMap::new(),
            nodes: vec![Node { parent: 0, place: 0, own: [0; 2] }],
            callees: HashMap::new(),
            profiles: 0,
            times: None,
            duration: 0,
            period: 0,
            damaged: 0,
        }
    }

    pub(super) fn nodes(&self) -> &[Node] {
        &self.nodes
    }
    pub(super) fn name(&self, place: u32) -> &str {
        self.places.get(place as usize).map_or("", |place| &place.name)
    }
    /// All places.
    pub fn places(&self) -> &[Place] {
        &self.places
    }
    /// Of each node, callers first: the place of its caller in this order (none for who is called by nobody), its place in the program and
    /// its own value on the left side.
    pub fn stacks(&self) -> impl Iterator<Item = (Option<usize>, usize, u64)> {
        self.nodes.iter().skip(1).map(|node| ((node.parent as usize).checked_sub(1), node.place as usize, node.own[0]))
    }

    fn place(&mut self, frame: &KeptFrame<'_>, budget: &Budget) -> Result<u32, ReadError> {
        let lines = self.detail == Detail::Lines;
        let place =
            Place { name: frame.name.to_string(), file: if lines { frame.file.to_string() } else { String::new() }, line: if lines { frame.line } else { 0 } };
        if let Some(number) = self.known.get(&place) {
            return Ok(*number);
        }
        budget.charge_memory(2 * (place.name.len() + place.file.len()) as u64 + NAME_BYTES)?;
        let number = self.places.len() as u32;
        self.places.push(place.clone());
        self.known.insert(place, number);
        Ok(number)
    }

    /// Adds the stacks of a profile.
    fn add(&mut self, stacks: &Stacks<'_>, side: Side, budget: &Budget) -> Result<(), ReadError> {
        let mut wanted: Vec<bool> = stacks.nodes.iter().map(|node| node.own > 0).collect();
        for at in (0..wanted.len()).rev() {
            if let (true, Some(parent)) = (wanted[at], stacks.nodes[at].parent) {
                wanted[parent as usize] = true;
            }
        }
        let mut places: Vec<Option<u32>> = vec![None; stacks.frames.len()];
        let mut here: Vec<u32> = vec![0; stacks.nodes.len()];
        for (at, node) in stacks.nodes.iter().enumerate().filter(|(at, _)| wanted[*at]) {
            let place = match places[node.frame as usize] {
                Some(place) => place,
                None => *places[node.frame as usize].insert(self.place(&stacks.frames[node.frame as usize], budget)?),
            };
            let parent = node.parent.map_or(0, |parent| here[parent as usize]);
            let number = match self.callees.get(&(parent, place)) {
                Some(number) => *number,
                None => {
                    budget.charge_memory(NODE_BYTES)?;
                    let number = self.nodes.len() as u32;
                    self.nodes.push(Node { parent, place, own: [0; 2] });
                    self.callees.insert((parent, place), number);
                    number
                }
            };
            here[at] = number;
            let own = &mut self.nodes[number as usize].own[side as usize];
            *own = own.saturating_add(node.own);
        }
        Ok(())
    }

    /// Adds all profiles that answer a question.
    pub fn read(&mut self, source: &dyn LogSource, question: &Question, side: Side, budget: &Budget) -> Result<(), ReadError> {
        let pace = Pace::new(budget);
        source.select_logs(&question.selection(), budget, &mut |line| {
            let row = ProfileRow::new(line);
            pace.check(ENTRY_WORK + 4 * row.bytes() as u64)?;
            if !question.ids.is_empty() && !question.ids.iter().any(|id| id == row.id()) {
                return Ok(ControlFlow::Continue(()));
            }
            let Some(mut stacks) = row.stacks() else {
                self.damaged += 1;
                return Ok(ControlFlow::Continue(()));
            };
            if !question.spans.is_empty() {
                stacks = stacks.of_spans(|span| question.spans.iter().any(|wanted| wanted == span));
                if stacks.nodes.iter().all(|node| node.own == 0) {
                    return Ok(ControlFlow::Continue(()));
                }
            }
            self.add(&stacks, side, budget)?;
            self.profiles += 1;
            let (first, last) = self.times.unwrap_or((row.time().0, row.time().0));
            self.times = Some((first.min(row.time().0), last.max(row.time().0)));
            self.duration = self.duration.saturating_add(row.duration());
            self.period = row.period();
            Ok(ControlFlow::Continue(()))
        })
    }
}

/// All profiles that answer a question, as one tree.
pub fn merge(source: &dyn LogSource, question: &Question, detail: Detail, budget: &Budget) -> Result<Merged, ReadError> {
    let mut merged = Merged::new(detail);
    merged.read(source, question, Side::Left, budget)?;
    Ok(merged)
}
