//! Chunks of messages over UDP: `1e 0f`, eight bytes that name the message, the chunk's number, their count, a part. They come in any order,
//! some never; so what waits is bounded in messages, bytes and time.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

use hashbrown::HashMap;

use super::MESSAGE_BYTES_MAX;

/// The most chunks of a message.
const COUNT_MAX: u8 = 128;
/// How long the chunks of a message may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// The most messages that are incomplete at once.
pub(super) const MESSAGES_MAX: usize = 1_024;
/// The most bytes of all incomplete messages.
pub(super) const BYTES_MAX: usize = 8 << 20;
/// What a chunk costs beside its bytes.
const CHUNK_OVERHEAD: usize = 48;

/// Whose message it is, and its name.
type Name = (IpAddr, [u8; 8]);

/// What became of a chunk.
pub(super) enum Placed {
    /// Others are still to come, or it was there already.
    Waits,
    /// It was the last one.
    Whole(Vec<u8>),
    /// It belongs to no message.
    Wrong,
    /// There is no room for it.
    NoRoom,
}

struct Message {
    begun: Duration,
    parts: Vec<Option<Box<[u8]>>>,
    missing: usize,
    bytes: usize,
    cost: usize,
}

/// The messages that are incomplete.
#[derive(Default)]
pub(super) struct Chunks {
    messages: HashMap<Name, Message>,
    /// When each began, the oldest first. Those that are whole by now may still be named here.
    begun: VecDeque<(Duration, Name)>,
    cost: usize,
}

/// Whether a datagram is a chunk.
pub(super) fn is_chunk(datagram: &[u8]) -> bool {
    datagram.starts_with(&[0x1e, 0x0f])
}

impl Chunks {
    /// Puts a chunk where it belongs.
    pub(super) fn place(&mut self, datagram: &[u8], peer: IpAddr, now: Duration) -> Placed {
        let Some((head, part)) = datagram.split_first_chunk::<12>() else { return Placed::Wrong };
        let [_, _, id @ .., number, count] = *head;
        if count == 0 || count > COUNT_MAX || number >= count {
            return Placed::Wrong;
        }
        let name: Name = (peer, id);
        let cost = part.len() + CHUNK_OVERHEAD;
        if self.cost + cost + usize::from(count) * size_of::<Option<Box<[u8]>>>() > BYTES_MAX {
            return Placed::NoRoom;
        }
        if !self.messages.contains_key(&name) {
            if self.messages.len() >= MESSAGES_MAX {
                return Placed::NoRoom;
            }
            self.forget_whole();
            let table = usize::from(count) * size_of::<Option<Box<[u8]>>>();
            self.cost += table;
            self.begun.push_back((now, name));
            self.messages.insert(name, Message { begun: now, parts: vec![None; usize::from(count)], missing: usize::from(count), bytes: 0, cost: table });
        }
        let Some(message) = self.messages.get_mut(&name) else { return Placed::Wrong };
        if message.parts.len() != usize::from(count) || message.bytes + part.len() > MESSAGE_BYTES_MAX {
            return Placed::Wrong;
        }
        let Some(place) = message.parts.get_mut(usize::from(number)) else { return Placed::Wrong };
        if let Some(known) = place {
            return if **known == *part { Placed::Waits } else { Placed::Wrong };
        }
        *place = Some(part.into());
        (message.missing, message.bytes, message.cost) = (message.missing - 1, message.bytes + part.len(), message.cost + cost);
        self.cost += cost;
        if message.missing > 0 {
            return Placed::Waits;
        }
        let Some(message) = self.messages.remove(&name) else { return Placed::Wrong };
        self.cost -= message.cost;
        Placed::Whole(message.parts.iter().flatten().flat_map(|part| part.iter().copied()).collect())
    }

    /// Gives up messages that took too long; how many.
    pub(super) fn expire(&mut self, now: Duration) -> u64 {
        let mut given_up = 0;
        while let Some((begun, name)) = self.begun.front()
            && now.saturating_sub(*begun) > PATIENCE
        {
            // A name may have been used again since.
            if self.messages.get(name).is_some_and(|message| message.begun == *begun)
                && let Some(message) = self.messages.remove(name)
            {
                self.cost -= message.cost;
                given_up += 1;
            }
            self.begun.pop_front();
        }
        given_up
    }

    /// Keeps the list of beginnings from growing with messages that are whole.
    fn forget_whole(&mut self) {
        if self.begun.len() >= 2 * MESSAGES_MAX {
            let messages = &self.messages;
            self.begun.retain(|(begun, name)| messages.get(name).is_some_and(|message| message.begun == *begun));
        }
    }
}
