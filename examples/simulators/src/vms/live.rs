//! Pictures on their way from a node to viewers: a ring of the latest, and how they are written to a connection.

use std::collections::VecDeque;
use std::io::{BufRead, Error, ErrorKind, Read, Result, Write};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Pictures that a ring has: six seconds of them.
const RING_MAX: usize = 150;
const PICTURE_BYTES_MAX: usize = 1 << 20;
/// How long a reader waits for the next picture.
const PATIENCE: Duration = Duration::from_secs(2);

/// A picture and when it came to the recording node.
#[derive(Debug, PartialEq)]
pub(crate) struct Frame {
    pub(crate) stamp_ms: u64,
    pub(crate) picture: Vec<u8>,
}

/// The latest pictures, numbered from zero.
#[derive(Default)]
pub(crate) struct Ring {
    frames: Mutex<(u64, VecDeque<Arc<Frame>>)>,
    new: Condvar,
}

impl Ring {
    pub(crate) fn put(&self, frame: Arc<Frame>) {
        let mut ring = self.frames.lock().unwrap_or_else(PoisonError::into_inner);
        ring.1.push_back(frame);
        if ring.1.len() > RING_MAX {
            ring.1.pop_front();
        }
        ring.0 += 1;
        self.new.notify_all();
    }
    /// The number that the next picture will have.
    pub(crate) fn end(&self) -> u64 {
        self.frames.lock().unwrap_or_else(PoisonError::into_inner).0
    }
    pub(crate) fn last(&self) -> Option<Arc<Frame>> {
        self.frames.lock().unwrap_or_else(PoisonError::into_inner).1.back().cloned()
    }
    /// The picture with a number, or the oldest that there still is, and the number of the one after it. `None` when none came.
    pub(crate) fn next(&self, number: u64) -> Option<(Arc<Frame>, u64)> {
        let ring = self.frames.lock().unwrap_or_else(PoisonError::into_inner);
        let (ring, _) = self.new.wait_timeout_while(ring, PATIENCE, |ring| ring.0 <= number).unwrap_or_else(PoisonError::into_inner);
        let oldest = ring.0 - ring.1.len() as u64;
        let at = number.max(oldest);
        ring.1.get((at - oldest) as usize).map(|frame| (frame.clone(), at + 1))
    }
}

/// Writes a picture with its time.
pub(crate) fn write(out: &mut impl Write, frame: &Frame) -> Result<()> {
    out.write_all(format!("{} {}\n", frame.stamp_ms, frame.picture.len()).as_bytes())?;
    out.write_all(&frame.picture)
}

/// Reads one.
pub(crate) fn read(reader: &mut impl BufRead) -> Result<Frame> {
    let mut line = String::new();
    reader.by_ref().take(64).read_line(&mut line)?;
    let numbers = line.trim_end().split_once(' ').and_then(|(stamp, length)| Some((stamp.parse().ok()?, length.parse().ok()?)));
    let (stamp_ms, length) = numbers.filter(|(_, length)| *length <= PICTURE_BYTES_MAX).ok_or_else(|| Error::from(ErrorKind::InvalidData))?;
    let mut picture = vec![0; length];
    reader.read_exact(&mut picture)?;
    Ok(Frame { stamp_ms, picture })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(stamp_ms: u64) -> Arc<Frame> {
        Arc::new(Frame { stamp_ms, picture: vec![7; 3] })
    }

    #[test]
    fn a_reader_that_is_too_slow_goes_on_with_the_oldest() {
        let ring = Ring::default();
        assert!(ring.last().is_none());
        (0..200).for_each(|stamp| ring.put(frame(stamp)));
        assert_eq!(ring.next(0).map(|(frame, next)| (frame.stamp_ms, next)), Some((50, 51)));
        assert_eq!(ring.next(199).map(|(frame, next)| (frame.stamp_ms, next)), Some((199, 200)));
        assert_eq!(ring.end(), 200);
    }

    #[test]
    fn pictures_cross_a_connection() {
        let mut wire = Vec::new();
        write(&mut wire, &frame(9)).unwrap();
        assert_eq!(read(&mut &wire[..]).unwrap(), *frame(9));
        for broken in [&b""[..], b"x 3\nabc", b"1 99999999\n", b"1 3\nab", b"1 -3\nabc"] {
            assert!(read(&mut &broken[..]).is_err(), "{broken:?}");
        }
    }
}
