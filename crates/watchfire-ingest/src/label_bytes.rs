//! How many bytes of labels one message may ask for. In most formats a text stands once and is meant by many series, so a
//! small message could ask for any amount of memory. Every decoder takes the bytes from here before it copies them. It is
//! not the gate: what a good series looks like is judged there, later and more strictly.

/// The most labels of one series that are looked at; the gate allows fewer.
pub const LABELS_MAX: usize = 256;
/// The most bytes that the labels of one series may have together; the gate allows fewer.
pub const LABEL_BYTES_MAX: usize = 256 << 10;
/// The most bytes of labels that one message may have in memory at once.
pub const LABEL_BYTES_HELD_MAX: usize = 64 << 20;
/// A message that becomes several batches hands one over when its labels have so many bytes.
pub const LABEL_BYTES_PER_BATCH: usize = 8 << 20;
/// The most bytes of labels in all batches of one message together: a bound of the work, not of the memory.
pub const LABEL_BYTES_PER_MESSAGE_MAX: usize = 1 << 30;
/// A body that becomes one batch may have so many bytes of labels for each of its own, where that is more than
/// [`LABEL_BYTES_HELD_MAX`]: large targets have large bodies.
const HELD_PER_BODY_BYTE: usize = 32;

/// Why labels are not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TooManyBytes {
    /// Those of one series.
    #[error("labels of too many bytes: {0}, more than {LABEL_BYTES_MAX}")]
    Series(usize),
    /// Those of the message, with the series before.
    #[error("labels of too many bytes in one message: more than {0}")]
    Message(usize),
}

/// What is left for the labels of one message.
#[derive(Debug)]
pub struct LabelBytes {
    held: usize,
    held_max: usize,
    left: usize,
}
impl Default for LabelBytes {
    fn default() -> LabelBytes {
        LabelBytes { held: 0, held_max: LABEL_BYTES_HELD_MAX, left: LABEL_BYTES_PER_MESSAGE_MAX }
    }
}
impl LabelBytes {
    /// For a body of this size that becomes one batch, however large.
    pub fn of_body(bytes: usize) -> LabelBytes {
        let held_max = bytes.saturating_mul(HELD_PER_BODY_BYTE).max(LABEL_BYTES_HELD_MAX);
        LabelBytes { held: 0, held_max, left: held_max.max(LABEL_BYTES_PER_MESSAGE_MAX) }
    }
    /// Takes the bytes of one series.
    #[inline]
    pub fn take(&mut self, bytes: usize) -> Result<(), TooManyBytes> {
        self.take_all(1, bytes)
    }
    /// Takes the bytes of several series that come together or not at all.
    #[inline]
    pub fn take_all(&mut self, series: usize, bytes_each: usize) -> Result<(), TooManyBytes> {
        if bytes_each > LABEL_BYTES_MAX {
            return Err(TooManyBytes::Series(bytes_each));
        }
        let bytes = series.saturating_mul(bytes_each);
        if bytes > self.held_max - self.held {
            return Err(TooManyBytes::Message(self.held_max));
        }
        self.left = self.left.checked_sub(bytes).ok_or(TooManyBytes::Message(LABEL_BYTES_PER_MESSAGE_MAX))?;
        self.held += bytes;
        Ok(())
    }
    /// Whether what was taken since the last batch is enough for one.
    pub fn fill_a_batch(&self) -> bool {
        self.held >= LABEL_BYTES_PER_BATCH
    }
    /// Notes that the batch is handed over: its labels are not this message's any more.
    pub fn next_batch(&mut self) {
        self.held = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_and_what_is_asked_for_in_all_are_bounded() {
        let mut labels = LabelBytes::default();
        assert_eq!(labels.take(LABEL_BYTES_MAX + 1), Err(TooManyBytes::Series(LABEL_BYTES_MAX + 1)));
        let at_once = LABEL_BYTES_HELD_MAX / LABEL_BYTES_MAX;
        assert_eq!(labels.take_all(at_once + 1, LABEL_BYTES_MAX), Err(TooManyBytes::Message(LABEL_BYTES_HELD_MAX)));
        assert_eq!(labels.take_all(usize::MAX, 2), Err(TooManyBytes::Message(LABEL_BYTES_HELD_MAX)));
        for _ in 0..LABEL_BYTES_PER_MESSAGE_MAX / LABEL_BYTES_HELD_MAX {
            assert!(!labels.fill_a_batch(), "nothing that was refused counts");
            assert_eq!(labels.take_all(at_once, LABEL_BYTES_MAX), Ok(()));
            assert_eq!(labels.take(1), Err(TooManyBytes::Message(LABEL_BYTES_HELD_MAX)));
            assert!(labels.fill_a_batch());
            labels.next_batch();
        }
        assert_eq!(labels.take(1), Err(TooManyBytes::Message(LABEL_BYTES_PER_MESSAGE_MAX)));
        assert_eq!(labels.take(0), Ok(()));
    }

    #[test]
    fn a_large_body_may_have_more() {
        assert_eq!(LabelBytes::of_body(0).held_max, LABEL_BYTES_HELD_MAX);
        let mut large = LabelBytes::of_body(LABEL_BYTES_HELD_MAX);
        assert_eq!(large.take_all(HELD_PER_BODY_BYTE * (LABEL_BYTES_HELD_MAX / LABEL_BYTES_MAX), LABEL_BYTES_MAX), Ok(()));
        assert!(large.take(1).is_err());
        assert_eq!(LabelBytes::of_body(usize::MAX).held_max, usize::MAX);
    }
}
