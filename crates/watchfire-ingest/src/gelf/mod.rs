//! GELF 1.1, Graylog's format: JSON messages, over UDP in chunks and compressed where the sender likes, over TCP with a zero byte behind each.
//! The message is the line, its own fields are structured metadata. It reads messages; sockets are somebody else's. There are no answers.

mod chunks;
mod message;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use watchfire_model::logs::Nanos;
use watchfire_model::meter::{Counter, Meter};
use watchfire_model::time::SharedClock;
use watchfire_model::write::{Reason, WriteError};
use watchfire_net::inflate::{Encoding, Limits, decode};

use crate::gate::Gate;
use crate::waiting::Queue;
use chunks::{Chunks, Placed};

/// How often what waits is stored.
pub const INTERVAL: Duration = Duration::from_millis(250);
/// The largest message, unpacked.
pub const MESSAGE_BYTES_MAX: usize = 512 << 10;

/// Why a message was dropped before it was one.
#[derive(Clone, Copy)]
enum Dropped {
    /// It is no JSON object with a `short_message`.
    Malformed,
    /// It cannot be unpacked, or is too large then.
    Unpacked,
    /// A chunk that belongs to no message: a wrong number, or one that came twice with other bytes.
    Chunk,
    /// Its chunks did not all come in time.
    Incomplete,
    /// Too many messages are incomplete at once.
    TooManyChunks,
    /// The queue is full.
    Full,
    /// By the socket: from somebody who may not send, too long, broken off.
    Unread,
}
impl Dropped {
    const ALL: [(Dropped, &'static str); 7] = [
        (Dropped::Malformed, "malformed"),
        (Dropped::Unpacked, "unpacked"),
        (Dropped::Chunk, "chunk"),
        (Dropped::Incomplete, "incomplete"),
        (Dropped::TooManyChunks, "too_many_chunks"),
        (Dropped::Full, "full"),
        (Dropped::Unread, "unread"),
    ];
}

/// Takes GELF. Share it in an `Arc`; every method may be called from any thread.
pub struct Gelf {
    queue: Queue,
    clock: SharedClock,
    chunks: Mutex<Chunks>,
    messages: Counter,
    dropped: [Counter; Dropped::ALL.len()],
}

impl Gelf {
    /// A receiver that writes through the gate.
    pub fn new(gate: Arc<Gate>, clock: SharedClock, meter: &Meter) -> Gelf {
        let dropped =
            |(_, reason)| meter.counter("watchfire_gelf_messages_dropped_total", "Messages of GELF that were dropped, by reason.", &[("reason", reason)]);
        Gelf {
            queue: Queue::new(gate, "gelf"),
            clock,
            chunks: Mutex::default(),
            messages: meter.counter("watchfire_gelf_messages_total", "Messages of GELF that were read.", &[]),
            dropped: Dropped::ALL.map(dropped),
        }
    }

    /// Takes a datagram: a message, packed or not, or a chunk of one. Does not block.
    pub fn take_datagram(&self, datagram: &[u8], peer: IpAddr) {
        if !chunks::is_chunk(datagram) {
            return self.unpack(datagram);
        }
        let mut chunks = self.chunks.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.monotonic();
        self.drop_many(Dropped::Incomplete, chunks.expire(now));
        let placed = chunks.place(datagram, peer, now);
        drop(chunks);
        match placed {
            Placed::Waits => {}
            Placed::Whole(message) => self.unpack(&message),
            Placed::Wrong => self.drop_many(Dropped::Chunk, 1),
            Placed::NoRoom => self.drop_many(Dropped::TooManyChunks, 1),
        }
    }

    /// Takes a message that is not packed. Does not block.
    pub fn take(&self, message: &[u8]) {
        let message = message.trim_ascii();
        if message.is_empty() {
            return;
        }
        match message::read(message, Nanos::from_millis(self.clock.now().millis())) {
            Some((labels, entry)) => {
                self.messages.inc();
                if !self.queue.add(labels, entry) {
                    self.drop_many(Dropped::Full, 1);
                }
            }
            None => {
                self.queue.refuse(Reason::InvalidValue);
                self.drop_many(Dropped::Malformed, 1);
            }
        }
    }

    /// Told of messages that were dropped unread.
    pub fn dropped(&self, messages: u64) {
        self.drop_many(Dropped::Unread, messages);
    }

    /// Stores what waits, and gives up messages whose chunks did not come. May block.
    pub fn flush(&self) -> Result<(), WriteError> {
        let late = self.chunks.lock().unwrap_or_else(PoisonError::into_inner).expire(self.clock.monotonic());
        self.drop_many(Dropped::Incomplete, late);
        self.queue.flush()
    }

    fn unpack(&self, bytes: &[u8]) {
        let encoding = match bytes {
            [0x1f, 0x8b, ..] => Encoding::Gzip,
            // The first byte of zlib says the method and the window; the check of both is the decoder's.
            [0x08 | 0x18 | 0x28 | 0x38 | 0x48 | 0x58 | 0x68 | 0x78, ..] => Encoding::Deflate,
            _ => return self.take(bytes),
        };
        match decode(encoding, bytes, Limits::both(MESSAGE_BYTES_MAX)) {
            Ok(message) => self.take(&message),
            Err(_) => self.drop_many(Dropped::Unpacked, 1),
        }
    }

    fn drop_many(&self, reason: Dropped, count: u64) {
        if let Some(counter) = self.dropped.get(reason as usize) {
            counter.add(count);
        }
    }
}
