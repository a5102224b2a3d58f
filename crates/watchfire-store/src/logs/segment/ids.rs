//! The index of ids of a segment: which blocks have entries with an id, by its hash, in buckets of which a question reads one. It may say
//! too much, never too little: who asks looks into the blocks that it names. Where it does not check out nothing is lost but time, because
//! the filters of the blocks know ids as well. Layout: `docs/formats/logs-segment.md`.

use std::io;
use std::sync::Arc;

use super::reader::Index;
use crate::encoding::{Input, put_text, put_varint};
use crate::file::File;
use crate::logs::tokens::hash;

/// The upper bits of a hash are its bucket.
pub(super) const BUCKETS: usize = 256;
const BUCKET_SHIFT: u32 = 24;
/// No bucket is larger: a segment has no more entries than fit into it by far.
const BUCKET_BYTES_MAX: u64 = 16 << 20;

/// The hash by which an id is known here. That two ids share one costs a look into a block.
pub(crate) fn id_hash(id: &str) -> u32 {
    (hash(id.as_bytes()) >> 32) as u32
}

fn bucket_of(hash: u32) -> usize {
    (hash >> BUCKET_SHIFT) as usize
}

/// Where the ids of a block are known from.
pub(crate) enum BlockIds<'a> {
    /// Nobody looked: then the segment has no index of ids.
    Unknown,
    /// Their hashes, ascending.
    Hashes(&'a [u32]),
    /// The index of the segment that the block is copied from, and its number there.
    Copied(&'a Arc<Index>, u32),
}

/// The hashes of blocks on their way into an index.
pub(super) struct Collected {
    name: &'static str,
    blocks: u32,
    /// Of the blocks whose hashes were given.
    own: Vec<(u32, Box<[u32]>)>,
    /// What the blocks of other segments are called here.
    copied: Vec<(Arc<Index>, Vec<Option<u32>>)>,
    known: bool,
}

impl Collected {
    pub(super) fn new(name: &'static str) -> Collected {
        Collected { name, blocks: 0, own: Vec::new(), copied: Vec::new(), known: true }
    }

    /// Notes the next block.
    pub(super) fn add(&mut self, ids: &BlockIds<'_>) {
        let number = self.blocks;
        self.blocks += 1;
        match ids {
            BlockIds::Unknown => self.known = false,
            BlockIds::Hashes(hashes) => self.own.push((number, (*hashes).into())),
            BlockIds::Copied(index, block) => {
                if !self.copied.last().is_some_and(|(last, _)| Arc::ptr_eq(last, index)) {
                    self.copied.push((Arc::clone(index), vec![None; index.blocks.len()]));
                }
                let place = self.copied.last_mut().and_then(|(_, numbers)| numbers.get_mut(*block as usize));
                match place {
                    Some(place) => *place = Some(number),
                    None => self.known = false,
                }
            }
        }
    }

    /// Writes the buckets one by one, so that no more than one is in memory; returns the directory. `None` when it is not known of every
    /// block what it has.
    pub(super) fn write(&self, file: &dyn File, offset: &mut u64) -> io::Result<Option<Vec<u8>>> {
        if !self.known || self.blocks == 0 {
            return Ok(None);
        }
        let mut directory = Vec::new();
        put_text(&mut directory, self.name);
        put_varint(&mut directory, *offset);
        for bucket in 0..BUCKETS {
            let Some(pairs) = self.pairs(bucket)? else { return Ok(None) };
            let bytes = encode_bucket(bucket, &pairs);
            file.write_all_at(&bytes, *offset)?;
            *offset += bytes.len() as u64;
            put_varint(&mut directory, bytes.len() as u64);
            directory.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
        }
        Ok(Some(directory))
    }

    /// The hashes of a bucket with their blocks, ascending; `None` when an index that was copied from does not check out.
    fn pairs(&self, bucket: usize) -> io::Result<Option<Vec<(u32, u32)>>> {
        let mut pairs = Vec::new();
        for (number, hashes) in &self.own {
            let from = hashes.partition_point(|hash| bucket_of(*hash) < bucket);
            pairs.extend(hashes.iter().skip(from).take_while(|hash| bucket_of(**hash) == bucket).map(|hash| (*hash, *number)));
        }
        for (index, numbers) in &self.copied {
            let Some(theirs) = index.ids_of_bucket(bucket)? else { return Ok(None) };
            pairs.extend(theirs.into_iter().filter_map(|(hash, block)| Some((hash, (*numbers.get(block as usize)?)?))));
        }
        pairs.sort_unstable();
        pairs.dedup();
        Ok(Some(pairs))
    }
}

fn encode_bucket(bucket: usize, pairs: &[(u32, u32)]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut before = (bucket as u32) << BUCKET_SHIFT;
    for of_id in pairs.chunk_by(|a, b| a.0 == b.0) {
        let Some((hash, _)) = of_id.first() else { continue };
        put_varint(&mut out, u64::from(hash - before));
        before = *hash;
        put_varint(&mut out, of_id.len() as u64);
        let mut last = 0;
        for (_, block) in of_id {
            put_varint(&mut out, u64::from(block - last));
            last = *block;
        }
    }
    out
}

/// The pairs of a bucket; `None` when they are not what was written.
fn decode_bucket(bucket: usize, bytes: &[u8], blocks: usize) -> Option<Vec<(u32, u32)>> {
    let mut input = Input::new(bytes);
    let mut pairs = Vec::new();
    let mut hash = (bucket as u32) << BUCKET_SHIFT;
    while input.remaining() > 0 {
        hash = u32::try_from(input.varint()?).ok().and_then(|more| hash.checked_add(more)).filter(|hash| bucket_of(*hash) == bucket)?;
        let mut block = 0u64;
        for _ in 0..input.size().filter(|count| *count <= blocks)? {
            block = block.checked_add(input.varint()?).filter(|block| *block < blocks as u64)?;
            pairs.push((hash, block as u32));
        }
    }
    Some(pairs)
}

/// Where the buckets are.
#[derive(Debug)]
pub(super) struct Directory {
    name: String,
    buckets: Vec<(u64, u32, u32)>,
}

impl Directory {
    /// Reads a directory whose buckets end before a place in the file.
    pub(super) fn decode(raw: &[u8], end: u64) -> Option<Directory> {
        let mut input = Input::new(raw);
        let (name, mut offset) = (input.text()?.to_owned(), input.varint()?);
        let mut buckets = Vec::with_capacity(BUCKETS);
        for _ in 0..BUCKETS {
            let len = input.varint().filter(|len| *len <= BUCKET_BYTES_MAX)?;
            buckets.push((offset, len as u32, input.u32()?));
            offset = offset.checked_add(len).filter(|offset| *offset <= end)?;
        }
        Some(Directory { name, buckets })
    }

    /// The name of structured metadata whose values are known here.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Hashes with their blocks, of one bucket; `None` when it is damaged.
    pub(super) fn bucket(&self, file: &dyn File, bucket: usize, blocks: usize) -> io::Result<Option<Vec<(u32, u32)>>> {
        let Some((offset, len, crc)) = self.buckets.get(bucket).copied() else { return Ok(None) };
        let mut bytes = vec![0; len as usize];
        match file.read_exact_at(&mut bytes, offset) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(error),
        }
        Ok((crc32fast::hash(&bytes) == crc).then(|| decode_bucket(bucket, &bytes, blocks)).flatten())
    }

    /// The blocks that may have one of some ids, ascending; `None` when a bucket is damaged.
    pub(super) fn blocks_of(&self, file: &dyn File, hashes: &[u32], blocks: usize) -> io::Result<Option<Vec<u32>>> {
        let mut hashes = hashes.to_vec();
        hashes.sort_unstable();
        let mut found = Vec::new();
        for of_bucket in hashes.chunk_by(|a, b| bucket_of(*a) == bucket_of(*b)) {
            let Some(first) = of_bucket.first() else { continue };
            let Some(pairs) = self.bucket(file, bucket_of(*first), blocks)? else { return Ok(None) };
            found.extend(pairs.iter().filter(|(hash, _)| of_bucket.binary_search(hash).is_ok()).map(|(_, block)| *block));
        }
        found.sort_unstable();
        found.dedup();
        Ok(Some(found))
    }
}

/// Reads bytes as a directory and as a bucket, for the fuzzer.
#[cfg(feature = "fuzzing")]
pub(super) fn fuzz(directory: &[u8], bucket: &[u8]) {
    let _directory = Directory::decode(directory, 1 << 20).is_some_and(|directory| directory.name().is_empty());
    let _bucket = decode_bucket(usize::from(bucket.first().copied().unwrap_or(0)), bucket, 1_000).is_some();
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn buckets_are_read_as_they_were_written(mut pairs in prop::collection::vec((0u32..1 << 24, 0u32..50), 0..60), bucket in 0u32..256) {
            pairs.iter_mut().for_each(|(hash, _)| *hash |= bucket << 24);
            pairs.sort_unstable();
            pairs.dedup();
            let bytes = encode_bucket(bucket as usize, &pairs);
            prop_assert_eq!(decode_bucket(bucket as usize, &bytes, 50), Some(pairs.clone()));
            prop_assert!(pairs.is_empty() || decode_bucket(bucket as usize, &bytes, 0).is_none(), "a block that is not there is named");
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200), bucket in 0usize..256) {
            let _directory = Directory::decode(&bytes, 1 << 20);
            let read = decode_bucket(bucket, &bytes, 7).unwrap_or_default();
            prop_assert!(read.iter().all(|(hash, block)| bucket_of(*hash) == bucket && *block < 7));
        }
    }
}
