//! Flame graphs as numbers: levels from the root on, in each the bars from left to right with how far each begins behind the one before.
//! Bars of one tree have four numbers, those of two compared trees seven.

use super::merge::Merged;

/// How many nodes a flame graph has unless it is said.
pub const NODES_DEFAULT: usize = 8_192;
/// More are not given.
pub const NODES_MAX: usize = 65_536;
/// What the root is called, and what stands for nodes that are left out.
const ROOT: &str = "total";
const OTHER: &str = "other";

/// A flame graph.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FlameGraph {
    /// The names that bars have by their numbers.
    pub names: Vec<String>,
    /// The bars. Of one tree: offset, total, own, name. Of two: offset, total, own of the left, the same of the right, name.
    pub levels: Vec<Vec<i64>>,
    /// All values.
    pub total: i64,
    /// The largest own value.
    pub max_self: i64,
    /// All values of each side.
    pub sides: [i64; 2],
}

/// A bar on its way into a level.
struct Bar {
    name: String,
    total: [u64; 2],
    own: [u64; 2],
    callees: Vec<usize>,
}

impl FlameGraph {
    /// The flame graph of one side.
    pub fn single(merged: &Merged, nodes_max: usize) -> FlameGraph {
        draw(&bars(merged, nodes_max), &[0])
    }
    /// The flame graph of both, one beside the other in each bar.
    pub fn diff(merged: &Merged, nodes_max: usize) -> FlameGraph {
        draw(&bars(merged, nodes_max), &[0, 1])
    }
}

/// The bars that are wanted: the largest, and one for the rest of each. Bar 0 is the root.
fn bars(merged: &Merged, nodes_max: usize) -> Vec<Bar> {
    let nodes = merged.nodes();
    let mut totals: Vec<[u64; 2]> = nodes.iter().map(|node| node.own).collect();
    for at in (1..nodes.len()).rev() {
        let own = totals[at];
        let caller = &mut totals[nodes[at].parent as usize];
        (0..2).for_each(|side| caller[side] = caller[side].saturating_add(own[side]));
    }
    let mut kept: Vec<usize> = (0..nodes.len()).collect();
    if kept.len() > nodes_max.max(1) {
        // Who calls is never smaller than who is called, and stands before it: callers of kept ones are kept.
        kept.sort_by_key(|at| (std::cmp::Reverse(totals[*at][0].saturating_add(totals[*at][1])), *at));
        kept.truncate(nodes_max.max(1));
        kept.sort_unstable();
    }
    let mut bars: Vec<Bar> = Vec::with_capacity(kept.len());
    let mut bar_of: Vec<Option<usize>> = vec![None; nodes.len()];
    for at in &kept {
        let name = if *at == 0 { ROOT.to_owned() } else { merged.name(nodes[*at].place).to_owned() };
        bar_of[*at] = Some(bars.len());
        if let Some(parent) = bar_of[nodes[*at].parent as usize].filter(|_| *at > 0) {
            let own = bars.len();
            bars[parent].callees.push(own);
        }
        bars.push(Bar { name, total: totals[*at], own: nodes[*at].own, callees: Vec::new() });
    }
    add_others(&mut bars, &totals, merged, &bar_of);
    for at in 0..bars.len() {
        let mut callees = std::mem::take(&mut bars[at].callees);
        callees.sort_by(|a, b| bars[*a].name.cmp(&bars[*b].name));
        bars[at].callees = callees;
    }
    bars
}

fn add_others(bars: &mut Vec<Bar>, totals: &[[u64; 2]], merged: &Merged, bar_of: &[Option<usize>]) {
    let mut other_of: Vec<Option<usize>> = vec![None; bars.len()];
    for (at, node) in merged.nodes().iter().enumerate().filter(|(at, _)| bar_of[*at].is_none()) {
        let Some(parent) = bar_of[node.parent as usize] else { continue };
        let other = *other_of[parent].get_or_insert_with(|| {
            bars.push(Bar { name: OTHER.to_owned(), total: [0; 2], own: [0; 2], callees: Vec::new() });
            bars.len() - 1
        });
        let sum = [0, 1].map(|side| bars[other].total[side].saturating_add(totals[at][side]));
        (bars[other].total, bars[other].own) = (sum, sum);
    }
    for (parent, other) in other_of.into_iter().enumerate() {
        bars[parent].callees.extend(other);
    }
}

fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn draw(bars: &[Bar], sides: &[usize]) -> FlameGraph {
    let mut graph = FlameGraph::default();
    let mut names: hashbrown::HashMap<&str, i64> = hashbrown::HashMap::new();
    // Where the last bar of each level ends, by side.
    let mut ends: Vec<[i64; 2]> = Vec::new();
    let mut open: Vec<(usize, usize, [i64; 2])> = vec![(0, 0, [0; 2])];
    while let Some((at, level, begins)) = open.pop() {
        let bar = &bars[at];
        if graph.levels.len() <= level {
            graph.levels.push(Vec::new());
            ends.push([0; 2]);
        }
        let name = *names.entry(&bar.name).or_insert_with(|| {
            graph.names.push(bar.name.clone());
            graph.names.len() as i64 - 1
        });
        let mut own = 0;
        for side in sides {
            graph.levels[level].extend([begins[*side] - ends[level][*side], number(bar.total[*side]), number(bar.own[*side])]);
            ends[level][*side] = begins[*side].saturating_add(number(bar.total[*side]));
            own = number(bar.own[*side]).max(own);
        }
        graph.levels[level].push(name);
        graph.max_self = graph.max_self.max(own);
        // What is a bar's own stands before what it calls.
        let mut next = [0, 1].map(|side| begins[side].saturating_add(number(bar.own[side])));
        let callees: Vec<_> = bar
            .callees
            .iter()
            .map(|callee| {
                let here = next;
                (0..2).for_each(|side| next[side] = next[side].saturating_add(number(bars[*callee].total[side])));
                (*callee, level + 1, here)
            })
            .collect();
        open.extend(callees.into_iter().rev());
    }
    graph.sides = bars.first().map_or([0; 2], |root| root.total.map(number));
    graph.total = sides.iter().fold(0, |sum: i64, side| sum.saturating_add(graph.sides[*side]));
    graph
}
