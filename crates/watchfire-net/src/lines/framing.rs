//! Where a message ends in a stream of bytes. It keeps what has no end yet, within a limit, and passes over what is too long.

use super::Receiver;

/// How messages are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// By line breaks.
    Lines,
    /// As syslog does it (RFC 6587): a count of bytes before each message, or a line break behind it. Each message may choose.
    Syslog,
    /// By zero bytes.
    Zeros,
}

/// The most digits of a count of bytes.
const COUNT_DIGITS_MAX: usize = 8;

/// What is left of a message that is too long.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Skip {
    Nothing,
    /// So many bytes.
    Bytes(usize),
    /// Up to the next end.
    ToEnd,
}

/// What stands first in the bytes.
enum First {
    /// A message that an end follows: its length with the end.
    Ended(usize),
    /// A message behind a count of so many bytes.
    Counted { head: usize, length: usize },
    /// The beginning of a message.
    Part,
}

/// Takes a stream of bytes apart.
pub(super) struct Splitter {
    framing: Framing,
    bytes_max: usize,
    skip: Skip,
    pub(super) pending: Vec<u8>,
}

impl Splitter {
    pub(super) fn new(framing: Framing, bytes_max: usize) -> Splitter {
        Splitter { framing, bytes_max, skip: Skip::Nothing, pending: Vec::with_capacity(4096) }
    }

    /// Hands on what is whole.
    pub(super) fn split(&mut self, receiver: &dyn Receiver) {
        let pending = std::mem::take(&mut self.pending);
        let mut at = self.passed_over(&pending);
        // Lines that follow each other are handed on together.
        let mut run = at;
        loop {
            let rest = pending.get(at..).unwrap_or(&[]);
            match self.first(rest) {
                First::Ended(length) => {
                    let too_long = length > self.bytes_max + 1;
                    if self.framing == Framing::Zeros || too_long {
                        hand_on(receiver, &pending, run..at);
                        run = at + length;
                    }
                    if too_long {
                        receiver.dropped(1);
                    } else if self.framing == Framing::Zeros {
                        receiver.take_one(rest.get(..length - 1).unwrap_or(&[]));
                    }
                    at += length;
                }
                First::Counted { head, length } => {
                    hand_on(receiver, &pending, run..at);
                    let there = rest.len() - head;
                    if length > self.bytes_max {
                        receiver.dropped(1);
                        self.skip = if there < length { Skip::Bytes(length - there) } else { Skip::Nothing };
                    } else if there < length {
                        run = at;
                        break;
                    } else {
                        receiver.take_one(rest.get(head..head + length).unwrap_or(&[]));
                    }
                    at += head + length.min(there);
                    run = at;
                }
                First::Part => {
                    hand_on(receiver, &pending, run..at);
                    run = at;
                    break;
                }
            }
        }
        self.keep(pending, run, receiver);
    }

    /// Keeps the beginning of a message for the next time, if it is not too long already.
    fn keep(&mut self, mut pending: Vec<u8>, from: usize, receiver: &dyn Receiver) {
        pending.drain(..from.min(pending.len()));
        if pending.len() > self.bytes_max + COUNT_DIGITS_MAX {
            receiver.dropped(1);
            self.skip = Skip::ToEnd;
            pending.clear();
        }
        self.pending = pending;
    }

    /// The end of the stream: the last message needs no end of its own.
    pub(super) fn finish(self, receiver: &dyn Receiver) {
        if self.pending.is_empty() {
            return;
        }
        match self.first(&self.pending) {
            First::Counted { .. } => receiver.dropped(1),
            First::Ended(_) | First::Part if self.framing == Framing::Zeros => receiver.take_one(&self.pending),
            First::Ended(_) | First::Part => receiver.take(&self.pending),
        }
    }

    /// Whether nothing is begun that has not ended.
    pub(super) fn is_between(&self) -> bool {
        self.pending.is_empty()
    }

    fn end(&self) -> u8 {
        if self.framing == Framing::Zeros { 0 } else { b'\n' }
    }

    /// How many bytes still belong to a message that is too long.
    fn passed_over(&mut self, bytes: &[u8]) -> usize {
        match self.skip {
            Skip::Nothing => 0,
            Skip::Bytes(count) => {
                let here = count.min(bytes.len());
                self.skip = if here < count { Skip::Bytes(count - here) } else { Skip::Nothing };
                here
            }
            Skip::ToEnd => match bytes.iter().position(|byte| *byte == self.end()) {
                Some(at) => {
                    self.skip = Skip::Nothing;
                    at + 1
                }
                None => bytes.len(),
            },
        }
    }

    fn first(&self, bytes: &[u8]) -> First {
        if self.framing == Framing::Syslog && bytes.first().is_some_and(|byte| (b'1'..=b'9').contains(byte)) {
            let digits = bytes.iter().take(COUNT_DIGITS_MAX).take_while(|byte| byte.is_ascii_digit()).count();
            match bytes.get(digits) {
                Some(b' ') => {
                    let number = |sum: usize, digit: &u8| sum * 10 + usize::from(digit - b'0');
                    return First::Counted { head: digits + 1, length: bytes.iter().take(digits).fold(0, number) };
                }
                None if digits < COUNT_DIGITS_MAX => return First::Part,
                _ => {}
            }
        }
        bytes.iter().position(|byte| *byte == self.end()).map_or(First::Part, |at| First::Ended(at + 1))
    }
}

fn hand_on(receiver: &dyn Receiver, bytes: &[u8], range: std::ops::Range<usize>) {
    match bytes.get(range) {
        Some(lines) if !lines.is_empty() => receiver.take(lines),
        _ => {}
    }
}
