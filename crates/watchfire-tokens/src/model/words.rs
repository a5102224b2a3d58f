//! Words that were counted lately: a table with one place for each hash, where a newer word drives out an older one. A word of up to
//! 15 bytes stands in its place as it is, so that nothing is ever mistaken for another. Longer words are not kept.

const SLOTS_LOG2: u32 = 14;
/// The bytes of a word that fit beside its length and count.
const INLINE_MAX: usize = 15;
/// The last byte holds the length in its upper half and the count in its lower one.
const COUNT_SHIFT: u32 = 120;
const COUNT_BITS: u128 = 0xf << COUNT_SHIFT;

/// Counts of short words.
pub(crate) struct Words(Vec<u128>);

/// A word as a number: its bytes, and its length in the upper half of the last byte.
pub(crate) fn inline(text: &[u8], begin: usize, end: usize) -> Option<u128> {
    let len = end - begin;
    if len > INLINE_MAX {
        return None;
    }
    let bits = match text.get(begin..begin + 16) {
        Some(bytes) => u128::from_le_bytes(bytes.try_into().ok()?),
        None => {
            let mut bytes = [0; 16];
            bytes[..len].copy_from_slice(text.get(begin..end)?);
            u128::from_le_bytes(bytes)
        }
    };
    let kept = bits & ((1 << (len as u32 * 8)) - 1);
    Some(kept | (len as u128) << (COUNT_SHIFT + 4))
}

impl Words {
    pub(crate) fn new() -> Words {
        Words(vec![0; 1 << SLOTS_LOG2])
    }

    #[inline]
    fn slot(word: u128) -> usize {
        let folded = (word as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ ((word >> 64) as u64).wrapping_mul(0xc2b2_ae3d_27d4_eb4f);
        (folded.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - SLOTS_LOG2)) as usize
    }

    /// How many tokens the word is, when that is known. No word is 0, as lengths are never 0.
    #[inline]
    pub(crate) fn get(&self, word: u128) -> Option<usize> {
        let known = self.0[Words::slot(word)];
        (known & !COUNT_BITS == word).then_some(((known & COUNT_BITS) >> COUNT_SHIFT) as usize)
    }

    /// Keeps a word's count, which is at most its length.
    pub(crate) fn put(&mut self, word: u128, count: usize) {
        self.0[Words::slot(word)] = word | (count as u128) << COUNT_SHIFT;
    }
}
