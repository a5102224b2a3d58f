//! What became of every picture and batch, and whether the books agree with the server's. It only counts.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};

/// A count.
#[derive(Default)]
pub(crate) struct Count(AtomicU64);
impl Count {
    pub(crate) fn add(&self, many: u64) {
        self.0.fetch_add(many, Ordering::Relaxed);
    }
    pub(crate) fn one(&self) {
        self.add(1);
    }
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What happened to the jobs of a queue, as the demo saw it.
#[derive(Default)]
pub(crate) struct Book {
    /// Jobs that the queue has taken.
    pub(crate) pushed: Count,
    /// Jobs that the queue refused.
    pub(crate) refused: Count,
    /// Pushes without an answer: the job may be in the queue.
    pub(crate) uncertain: Count,
    /// Jobs that are done.
    pub(crate) done: Count,
    /// Attempts that failed and are followed by another.
    pub(crate) retried: Count,
    /// Jobs that failed for good.
    pub(crate) dead: Count,
}

/// All counts of a run.
#[derive(Default)]
pub(crate) struct Ledger {
    pub(crate) detection: Book,
    pub(crate) analysis: Book,
    /// Pictures that were torn on purpose.
    pub(crate) torn: Count,
    pub(crate) detections: Count,
    pub(crate) truncated: Count,
    /// Events by level: low, medium, high, critical.
    pub(crate) events: [Count; 4],
}

/// How many jobs the server has where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Depths {
    pub(crate) waiting: u64,
    pub(crate) dead: u64,
}

/// One line of the summary. A job is exactly one of done, dead, waiting; what is missing is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) pushed: u64,
    pub(crate) done: u64,
    pub(crate) dead: u64,
    pub(crate) waiting: u64,
    pub(crate) lost: i64,
    pub(crate) retried: u64,
    pub(crate) refused: u64,
    pub(crate) uncertain: u64,
}
impl Line {
    pub(crate) fn of(book: &Book, before: Depths, after: Depths) -> Line {
        // What is dead and what waits is the server's word, not ours.
        let dead = after.dead.saturating_sub(before.dead);
        let waiting = after.waiting.saturating_sub(before.waiting);
        let (pushed, done) = (book.pushed.get(), book.done.get());
        let signed = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        Line {
            pushed,
            done,
            dead,
            waiting,
            lost: signed(pushed) - signed(done + dead + waiting),
            retried: book.retried.get(),
            refused: book.refused.get(),
            uncertain: book.uncertain.get(),
        }
    }
    /// Whether every job is accounted for. Pushes without an answer may be one job each beyond what we know.
    pub(crate) fn adds_up(&self) -> bool {
        let doubt = i64::try_from(self.uncertain).unwrap_or(i64::MAX);
        (-doubt..=0).contains(&self.lost)
    }
    pub(crate) fn json(&self) -> Value {
        let Line { pushed, done, dead, waiting, lost, retried, refused, uncertain } = *self;
        json!({"pushed": pushed, "done": done, "dead": dead, "waiting": waiting, "lost": lost, "retried": retried, "refused": refused, "uncertain": uncertain})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_books_agree_or_tell_how_much_is_lost() {
        let book = Book::default();
        book.pushed.add(10);
        book.done.add(6);
        let before = Depths { waiting: 0, dead: 5 };
        for (dead, waiting, uncertain, lost, adds_up) in [(7, 2, 0, 0, true), (7, 1, 0, 1, false), (8, 2, 0, -1, false), (8, 2, 1, -1, true)] {
            book.uncertain.add(uncertain);
            let line = Line::of(&book, before, Depths { waiting, dead });
            assert_eq!((line.lost, line.adds_up()), (lost, adds_up), "{line:?}");
        }
    }
}
