//! The file that holds exemplars while the log that brought them is cut. Layout: `docs/formats/exemplars.md`.

use std::io;

use watchfire_model::labels::Labels;
use watchfire_model::order::Order as _;
use watchfire_model::sample::Exemplar;
use watchfire_model::time::Timestamp;

use super::Exemplars;
use crate::encoding::{Input, put_double, put_signed, put_text, put_varint};
use crate::small_file;

/// The file's name.
pub(crate) const FILE: &str = "exemplars";
const MAGIC: [u8; 8] = *b"WATCHEXM";
/// The newest major version that we read and the one that we write.
const MAJOR: u16 = 1;
/// No file is larger when unpacked.
const RAW_BYTES_MAX: usize = 256 << 20;

pub(crate) use small_file::FileError;

/// The whole file.
pub(crate) fn encode(exemplars: &Exemplars) -> io::Result<Vec<u8>> {
    let mut raw = Vec::new();
    put_varint(&mut raw, exemplars.series.len() as u64);
    for (labels, series) in &exemplars.series {
        put_text(&mut raw, labels.packed());
        put_varint(&mut raw, series.kept.len() as u64);
        let mut time = 0;
        for exemplar in &series.kept {
            put_signed(&mut raw, exemplar.time.millis().wrapping_sub(time));
            put_double(&mut raw, exemplar.value.to_bits());
            put_text(&mut raw, exemplar.labels.packed());
            time = exemplar.time.millis();
        }
    }
    small_file::encode(MAGIC, MAJOR, &raw)
}

/// Reads a file: exemplars with their series, in the order of time.
pub(crate) fn decode(bytes: &[u8]) -> Result<Vec<(Labels, Exemplar)>, FileError> {
    let raw = small_file::decode(bytes, MAGIC, MAJOR, RAW_BYTES_MAX)?;
    let mut found = read(&mut Input::new(&raw)).ok_or(FileError::Damaged)?;
    found.order_by_key(|(_, exemplar)| exemplar.time);
    Ok(found)
}

fn read(input: &mut Input<'_>) -> Option<Vec<(Labels, Exemplar)>> {
    let mut found = Vec::new();
    for _ in 0..input.size()? {
        let labels = Labels::unpack(input.text()?)?;
        let mut time = 0i64;
        for _ in 0..input.size()? {
            time = time.wrapping_add(input.signed()?);
            let value = f64::from_bits(input.double()?);
            found.push((labels.clone(), Exemplar { labels: Labels::unpack(input.text()?)?, time: Timestamp(time), value }));
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn nonsense_does_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ignored = (decode(&bytes).is_err(), read(&mut Input::new(&bytes)));
        }
    }
}
