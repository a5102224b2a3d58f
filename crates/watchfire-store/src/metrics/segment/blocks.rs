//! Decompressed blocks that queries share, within a limit of memory: dashboards read the same newest blocks again and again.
//! Not the page cache, which holds the files' bytes; not a cache of answers.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hashbrown::HashMap;

/// The number of a segment, and of a block in it. Numbers of segments are never used twice.
pub(super) type Key = (u64, u32);

/// Blocks in memory.
pub(crate) struct Blocks {
    bytes_max: usize,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    blocks: HashMap<Key, Block>,
    /// Every kept block once; the next to go is in front.
    order: VecDeque<Key>,
    bytes: usize,
    /// The last use of any block, on the monotonic clock.
    used: u64,
}

struct Block {
    raw: Arc<Vec<u8>>,
    /// It was asked for since it came or was last spared.
    wanted: bool,
}

impl Blocks {
    pub(crate) fn new(bytes_max: usize) -> Blocks {
        Blocks { bytes_max, kept: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn get(&self, key: Key) -> Option<Arc<Vec<u8>>> {
        let mut kept = self.lock();
        let block = kept.blocks.get_mut(&key)?;
        block.wanted = true;
        Some(block.raw.clone())
    }

    /// Keeps a block. Those that nobody has asked for lately go first, so one long scan does not push out what dashboards read.
    pub(super) fn put(&self, key: Key, raw: Arc<Vec<u8>>) {
        let mut kept = self.lock();
        let kept = &mut *kept;
        while kept.bytes + raw.len() > self.bytes_max {
            let Some(oldest) = kept.order.pop_front() else { return };
            let Some(block) = kept.blocks.get_mut(&oldest) else { continue };
            if std::mem::take(&mut block.wanted) {
                kept.order.push_back(oldest);
                continue;
            }
            kept.bytes -= block.raw.len();
            kept.blocks.remove(&oldest);
        }
        kept.bytes += raw.len();
        if let Some(before) = kept.blocks.insert(key, Block { raw, wanted: false }) {
            // Two queries have read it at once.
            kept.bytes -= before.raw.len();
        } else {
            kept.order.push_back(key);
        }
    }

    /// Notes that a query begins.
    pub(crate) fn used(&self, now: u64) {
        self.lock().used = now;
    }

    /// Gives all memory back when no query came since a moment.
    pub(crate) fn clear_if_idle(&self, since: u64) {
        let mut kept = self.lock();
        if kept.used < since && !kept.blocks.is_empty() {
            *kept = Kept { used: kept.used, ..Kept::default() };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_stays_within_the_limit() {
        let blocks = Blocks::new(250);
        let block = || Arc::new(vec![0; 100]);
        blocks.put((1, 0), block());
        blocks.put((1, 1), block());
        assert!(blocks.get((1, 0)).is_some());
        blocks.put((1, 2), block());
        assert!(blocks.get((1, 0)).is_some(), "it was asked for");
        assert!(blocks.get((1, 1)).is_none());
        blocks.put((1, 2), block());
        assert_eq!(blocks.lock().bytes, 200, "the same block twice counts once");
        blocks.put((2, 0), Arc::new(vec![0; 300]));
        assert!(blocks.get((2, 0)).is_none(), "larger than everything");
        blocks.used(10);
        blocks.put((3, 0), block());
        blocks.clear_if_idle(10);
        assert!(blocks.get((3, 0)).is_some());
        blocks.clear_if_idle(11);
        assert!(blocks.get((3, 0)).is_none());
        assert_eq!(blocks.lock().bytes, 0);
    }
}
