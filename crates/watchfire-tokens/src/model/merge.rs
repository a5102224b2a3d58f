//! Byte-pair merging of one word: of all neighbours the pair with the smallest rank merges, the left one first, until none is left.
//! Short words by looking through a row, long ones with a queue. Which bytes make a word is not decided here.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::pairs::NEVER;

/// Up to so many parts, looking through the row is faster than a queue.
const ROW_MAX: usize = 96;
const NONE: u32 = u32::MAX;

/// What merges, and into what.
pub(crate) trait Merges {
    /// When two tokens merge, or `NEVER`.
    fn rank(&self, left: u32, right: u32) -> u32;
    /// What the merge of this rank makes.
    fn merged(&self, rank: u32) -> u32;
}

/// A part of a word: a token and how many bytes of the word it stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) token: u32,
    pub(crate) bytes: u32,
}

/// Memory that is used again from word to word.
#[derive(Default)]
pub(crate) struct Bench {
    /// The parts of the word; after merging, its tokens.
    pub(crate) parts: Vec<Part>,
    ranks: Vec<u32>,
    next: Vec<u32>,
    previous: Vec<u32>,
    queue: Queue,
}

impl Bench {
    /// Merges `parts` in place.
    pub(crate) fn merge(&mut self, merges: &impl Merges) {
        match self.parts.len() {
            0 | 1 => {}
            2..=ROW_MAX => self.merge_row(merges),
            _ => self.merge_long(merges),
        }
    }

    fn merge_row(&mut self, merges: &impl Merges) {
        let mut row = [NEVER; ROW_MAX];
        let mut len = self.parts.len();
        let parts = &mut self.parts[..];
        for (rank, pair) in row.iter_mut().zip(parts.windows(2)) {
            *rank = merges.rank(pair[0].token, pair[1].token);
        }
        loop {
            let (mut at, mut least) = (0, NEVER);
            for (n, rank) in row[..len - 1].iter().enumerate() {
                if *rank < least {
                    (at, least) = (n, *rank);
                }
            }
            if least == NEVER {
                break;
            }
            parts[at] = Part { token: merges.merged(least), bytes: parts[at].bytes + parts[at + 1].bytes };
            parts.copy_within(at + 2..len, at + 1);
            row.copy_within(at + 1..len, at);
            len -= 1;
            if len == 1 {
                break;
            }
            row[at] = if at + 1 < len { merges.rank(parts[at].token, parts[at + 1].token) } else { NEVER };
            if at > 0 {
                row[at - 1] = merges.rank(parts[at - 1].token, parts[at].token);
            }
        }
        self.parts.truncate(len);
    }

    /// Parts are a chain; a queue holds places by the rank of their pair, and forgets what no longer holds when it comes up.
    fn merge_long(&mut self, merges: &impl Merges) {
        let len = self.parts.len();
        self.next.clear();
        self.next.extend(1..=len as u32);
        self.next[len - 1] = NONE;
        self.previous.clear();
        self.previous.push(NONE);
        self.previous.extend(0..len as u32 - 1);
        self.ranks.clear();
        self.ranks.extend(self.parts.windows(2).map(|pair| merges.rank(pair[0].token, pair[1].token)));
        self.ranks.push(NEVER);
        for (at, rank) in (0..).zip(&self.ranks) {
            self.queue.push(*rank, at);
        }
        while let Some((rank, places)) = self.queue.pop() {
            let mut waiting = places.iter();
            while let Some(at) = waiting.next() {
                if self.ranks[*at as usize] == rank && self.merge_at(*at as usize, rank, merges) < rank {
                    // What a merge makes may merge earlier than itself only in a vocabulary that was not learnt from text.
                    waiting.by_ref().for_each(|at| self.queue.push(rank, *at));
                }
            }
            self.queue.take_back(places);
        }
        self.parts.retain(|part| part.bytes > 0);
    }

    /// Merges a part with the next one; gives the smallest rank of the pairs that it then stands in.
    fn merge_at(&mut self, at: usize, rank: u32, merges: &impl Merges) -> u32 {
        let gone = self.next[at] as usize;
        self.parts[at] = Part { token: merges.merged(rank), bytes: self.parts[at].bytes + self.parts[gone].bytes };
        (self.parts[gone].bytes, self.ranks[gone]) = (0, NEVER);
        let (before, after) = (self.previous[at], self.next[gone]);
        self.next[at] = after;
        self.ranks[at] = NEVER;
        let mut least = NEVER;
        if after != NONE {
            self.previous[after as usize] = at as u32;
            least = self.ask_again(at, after as usize, merges);
        }
        if before != NONE {
            least = least.min(self.ask_again(before as usize, at, merges));
        }
        least
    }

    fn ask_again(&mut self, left: usize, right: usize, merges: &impl Merges) -> u32 {
        let rank = merges.rank(self.parts[left].token, self.parts[right].token);
        self.ranks[left] = rank;
        self.queue.push(rank, left as u32);
        rank
    }

    /// Gives back what an unusually long word took.
    pub(crate) fn shrink(&mut self, to: usize) {
        self.parts.clear();
        self.parts.shrink_to(to);
        self.queue.shrink_to(to);
        for numbers in [&mut self.ranks, &mut self.next, &mut self.previous] {
            numbers.clear();
            numbers.shrink_to(to);
        }
    }
}

/// Places by rank. Words have few ranks and many places, so the ranks are in a heap and the places of each in a row.
#[derive(Default)]
struct Queue {
    ranks: BinaryHeap<Reverse<u32>>,
    /// Where the row of a rank is, plus one.
    row_of: Vec<u32>,
    rows: Vec<Vec<u32>>,
    free: Vec<u32>,
}

impl Queue {
    fn push(&mut self, rank: u32, at: u32) {
        if rank == NEVER {
            return;
        }
        if self.row_of.len() <= rank as usize {
            self.row_of.resize((rank as usize + 1).next_power_of_two(), 0);
        }
        let known = self.row_of[rank as usize];
        if known > 0 {
            return self.rows[known as usize - 1].push(at);
        }
        let row = self.free.pop().unwrap_or_else(|| {
            self.rows.push(Vec::new());
            self.rows.len() as u32 - 1
        });
        self.rows[row as usize].push(at);
        self.row_of[rank as usize] = row + 1;
        self.ranks.push(Reverse(rank));
    }

    /// The smallest rank and its places, from left to right.
    fn pop(&mut self) -> Option<(u32, Vec<u32>)> {
        let Reverse(rank) = self.ranks.pop()?;
        let row = std::mem::take(&mut self.row_of[rank as usize]) - 1;
        self.free.push(row);
        let mut places = std::mem::take(&mut self.rows[row as usize]);
        if !places.is_sorted() {
            places.sort_unstable();
        }
        Some((rank, places))
    }

    /// Takes back the memory of places that were popped.
    fn take_back(&mut self, mut places: Vec<u32>) {
        if let Some(row) = self.free.last().map(|row| &mut self.rows[*row as usize]).filter(|row| row.capacity() == 0) {
            places.clear();
            *row = places;
        }
    }

    fn shrink_to(&mut self, to: usize) {
        if self.rows.iter().map(Vec::capacity).sum::<usize>() > to {
            *self = Queue::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Merges of small numbers: a and b merge when their sum is not divisible by 5; what they make depends on both.
    struct Sums;
    impl Merges for Sums {
        fn rank(&self, left: u32, right: u32) -> u32 {
            let sum = left * 3 + right;
            if sum.is_multiple_of(5) || sum > 4000 { NEVER } else { sum }
        }
        fn merged(&self, rank: u32) -> u32 {
            rank * 7 % 1201
        }
    }

    /// The definition, word by word.
    fn plainly(mut parts: Vec<Part>) -> Vec<Part> {
        loop {
            let best = (0..parts.len().saturating_sub(1)).map(|n| (Sums.rank(parts[n].token, parts[n + 1].token), n)).min();
            let Some((rank, at)) = best.filter(|(rank, _)| *rank != NEVER) else { return parts };
            parts[at] = Part { token: Sums.merged(rank), bytes: parts[at].bytes + parts[at + 1].bytes };
            parts.remove(at + 1);
        }
    }

    proptest! {
        #[test]
        fn row_and_queue_do_what_the_definition_says(tokens in prop::collection::vec(0u32..40, 0..90)) {
            let parts: Vec<Part> = tokens.iter().map(|token| Part { token: *token, bytes: 1 }).collect();
            let expected = plainly(parts.clone());
            let mut bench = Bench { parts: parts.clone(), ..Bench::default() };
            bench.merge(&Sums);
            prop_assert_eq!(&bench.parts, &expected);
            if parts.len() > 1 {
                bench.parts = parts;
                bench.merge_long(&Sums);
                prop_assert_eq!(&bench.parts, &expected);
            }
        }
    }
}
