//! The filter of a block: a split-block Bloom filter of 32-byte buckets. It says that a hash is surely not there, or that it may be.

use crate::encoding::Input;

/// Bits that are spent for each hash.
const BITS_PER_HASH: usize = 12;
const BUCKET_BYTES: usize = 32;
const SALTS: [u32; 8] = [0x47b6_137b, 0x4497_4d91, 0x8824_ad5b, 0xa2b7_289d, 0x7054_95c7, 0x2df1_424b, 0x9efc_4947, 0x5c6b_fb31];

/// Where a hash belongs among so many buckets.
fn bucket(hash: u64, buckets: usize) -> usize {
    (((hash >> 32) * buckets as u64) >> 32) as usize
}

/// The bit of each of the eight words.
fn bits(hash: u64) -> impl Iterator<Item = u32> {
    SALTS.iter().map(move |salt| 1 << ((hash as u32).wrapping_mul(*salt) >> 27))
}

/// A filter that knows these hashes; empty when there are none.
pub(super) fn build(hashes: impl ExactSizeIterator<Item = u64>) -> Vec<u8> {
    let buckets = (hashes.len() * BITS_PER_HASH).div_ceil(BUCKET_BYTES * 8);
    let mut words = vec![[0u32; 8]; buckets];
    for hash in hashes {
        for (word, bit) in words[bucket(hash, buckets)].iter_mut().zip(bits(hash)) {
            *word |= bit;
        }
    }
    words.iter().flatten().flat_map(|word| word.to_le_bytes()).collect()
}

/// Whether a hash may be there.
pub(super) fn may_have(filter: &[u8], hash: u64) -> bool {
    let buckets = filter.len() / BUCKET_BYTES;
    if buckets == 0 {
        return false;
    }
    let at = bucket(hash, buckets) * BUCKET_BYTES;
    let mut input = Input::new(&filter[at..at + BUCKET_BYTES]);
    bits(hash).all(|bit| input.u32().is_some_and(|word| word & bit != 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::tokens::hash;

    #[test]
    fn what_is_there_is_found_and_little_else() {
        let of = |n: u32| hash(&n.to_le_bytes());
        for count in [0u32, 1, 10, 5000] {
            let filter = build((0..count).map(of).collect::<Vec<_>>().into_iter());
            assert!((0..count).all(|n| may_have(&filter, of(n))));
            let wrong = (1_000_000..1_100_000).filter(|n| may_have(&filter, of(*n))).count();
            assert!(wrong < 1500, "{wrong} of 100,000 with {count}");
        }
    }
}
