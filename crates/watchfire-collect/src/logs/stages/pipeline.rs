//! Runs lines of one source through its stages, in order. It holds what stages hold that join lines.

use std::sync::Arc;
use std::time::Duration;

use super::blocks::{Open, Pending};
use super::{Match, Stage, Step, Surroundings, Verdict};
use crate::logs::Entry;

/// Stages that each get every line.
#[derive(Clone, Debug)]
pub struct Fan {
    /// The ways on.
    pub branches: Vec<Vec<Stage>>,
}

/// The stages of one file or container.
#[derive(Debug)]
pub struct Pipeline {
    nodes: Vec<Node>,
}

#[derive(Debug)]
enum Node {
    Step(Arc<dyn Step>),
    Blocks(Open),
    Parts(Pending),
    Match(Arc<Match>, Pipeline),
    Fan(Vec<Pipeline>),
}

impl Pipeline {
    /// Fresh stages.
    pub fn new(stages: &[Stage]) -> Pipeline {
        let node = |stage: &Stage| match stage {
            Stage::Step(step) => Node::Step(Arc::clone(step)),
            Stage::Blocks(blocks) => Node::Blocks(Open::new(Arc::clone(blocks))),
            Stage::Parts(parts) => Node::Parts(Pending::new(Arc::clone(parts))),
            Stage::Match(inner) => Node::Match(Arc::clone(inner), Pipeline::new(&inner.stages)),
            Stage::Fan(fan) => Node::Fan(fan.branches.iter().map(|stages| Pipeline::new(stages)).collect()),
        };
        Pipeline { nodes: stages.iter().map(node).collect() }
    }

    /// Takes one line; what is complete goes to `out`.
    pub fn process(&mut self, entry: Entry, around: &Surroundings<'_>, out: &mut Vec<Entry>) {
        self.from(0, entry, around, out);
    }

    fn from(&mut self, first: usize, mut entry: Entry, around: &Surroundings<'_>, out: &mut Vec<Entry>) {
        for at in first..self.nodes.len() {
            let several = match &mut self.nodes[at] {
                Node::Step(step) => match step.apply(&mut entry, around) {
                    Verdict::Keep => continue,
                    Verdict::Drop(reason) => {
                        around.figures.dropped(&reason, 1);
                        return;
                    }
                },
                Node::Blocks(open) => open.take(entry, around),
                Node::Parts(pending) => pending.take(entry, around),
                Node::Match(config, inner) => {
                    if !config.selector.matches(&entry) {
                        continue;
                    }
                    if let Some(reason) = &config.drop {
                        around.figures.dropped(reason, 1);
                        return;
                    }
                    let mut done = Vec::new();
                    inner.process(entry, around, &mut done);
                    done
                }
                Node::Fan(branches) => {
                    let mut done = Vec::new();
                    branches.iter_mut().for_each(|branch| branch.process(entry.clone(), around, &mut done));
                    done
                }
            };
            several.into_iter().for_each(|entry| self.from(at + 1, entry, around, out));
            return;
        }
        out.push(entry);
    }

    /// Gives out what stages hold: all of it, or what has waited long enough.
    pub fn flush(&mut self, all: bool, around: &Surroundings<'_>, out: &mut Vec<Entry>) {
        for at in 0..self.nodes.len() {
            let mut done = Vec::new();
            match &mut self.nodes[at] {
                Node::Step(_) => {}
                Node::Blocks(open) => done.extend(open.flush(all, around)),
                Node::Parts(pending) => done.extend(pending.flush(all, around)),
                Node::Match(_, inner) => inner.flush(all, around, &mut done),
                Node::Fan(branches) => branches.iter_mut().for_each(|branch| branch.flush(all, around, &mut done)),
            }
            done.into_iter().for_each(|entry| self.from(at + 1, entry, around, out));
        }
    }

    /// The place of the first line that a stage holds.
    pub fn held(&self) -> Option<u64> {
        let held = self.nodes.iter().filter_map(|node| match node {
            Node::Step(_) => None,
            Node::Blocks(open) => open.held(),
            Node::Parts(pending) => pending.held(),
            Node::Match(_, inner) => inner.held(),
            Node::Fan(branches) => branches.iter().filter_map(Pipeline::held).min(),
        });
        held.min()
    }

    /// How long nothing more should come.
    pub fn pause(&self, around: &Surroundings<'_>) -> Duration {
        let pauses = self.nodes.iter().map(|node| match node {
            Node::Step(step) => step.pause(around),
            Node::Match(_, inner) => inner.pause(around),
            Node::Fan(branches) => branches.iter().map(|branch| branch.pause(around)).max().unwrap_or_default(),
            Node::Blocks(_) | Node::Parts(_) => Duration::ZERO,
        });
        pauses.max().unwrap_or_default()
    }
}
