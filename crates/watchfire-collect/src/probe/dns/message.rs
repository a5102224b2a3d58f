//! Messages of the domain name system (RFC 1035): one question is written, answers are read into the lines that people know from zone
//! files. Bytes come from strangers, so every length and every jump is checked. It opens nothing.

use std::net::{Ipv4Addr, Ipv6Addr};

/// The longest name, in bytes of a message.
const NAME_BYTES_MAX: usize = 255;
const LABEL_BYTES_MAX: usize = 63;
/// Jumps within one name.
const JUMPS_MAX: usize = 64;
/// Records that are read from one message.
const RECORDS_MAX: usize = 4_096;
const HEADER_BYTES: usize = 12;

/// Types of records by their numbers.
pub(crate) const TYPES: [(u16, &str); 34] = [
    (1, "A"),
    (2, "NS"),
    (5, "CNAME"),
    (6, "SOA"),
    (12, "PTR"),
    (13, "HINFO"),
    (15, "MX"),
    (16, "TXT"),
    (17, "RP"),
    (18, "AFSDB"),
    (28, "AAAA"),
    (29, "LOC"),
    (33, "SRV"),
    (35, "NAPTR"),
    (37, "CERT"),
    (39, "DNAME"),
    (41, "OPT"),
    (43, "DS"),
    (44, "SSHFP"),
    (46, "RRSIG"),
    (47, "NSEC"),
    (48, "DNSKEY"),
    (50, "NSEC3"),
    (51, "NSEC3PARAM"),
    (52, "TLSA"),
    (59, "CDS"),
    (60, "CDNSKEY"),
    (61, "OPENPGPKEY"),
    (64, "SVCB"),
    (65, "HTTPS"),
    (99, "SPF"),
    (256, "URI"),
    (255, "ANY"),
    (257, "CAA"),
];
/// Classes by their numbers.
pub(super) const CLASSES: [(u16, &str); 6] = [(1, "IN"), (2, "CS"), (3, "CH"), (4, "HS"), (254, "NONE"), (255, "ANY")];
/// Response codes by their numbers.
pub(super) const RCODES: [(u16, &str); 11] = [
    (0, "NOERROR"),
    (1, "FORMERR"),
    (2, "SERVFAIL"),
    (3, "NXDOMAIN"),
    (4, "NOTIMP"),
    (5, "REFUSED"),
    (6, "YXDOMAIN"),
    (7, "YXRRSET"),
    (8, "NXRRSET"),
    (9, "NOTAUTH"),
    (10, "NOTZONE"),
];

/// The number of a word.
pub(super) fn number_of(words: &[(u16, &str)], text: &str) -> Option<u16> {
    words.iter().find(|(_, word)| word.eq_ignore_ascii_case(text)).map(|(number, _)| *number)
}

fn word_of(words: &[(u16, &str)], number: u16, prefix: &str) -> String {
    words.iter().find(|(known, _)| *known == number).map_or_else(|| format!("{prefix}{number}"), |(_, word)| (*word).to_owned())
}

/// One question.
pub(crate) struct Question<'a> {
    pub(crate) id: u16,
    pub(crate) name: &'a str,
    pub(crate) kind: u16,
    pub(crate) class: u16,
    pub(crate) recursion: bool,
}
impl Question<'_> {
    pub(crate) fn encode(&self) -> Result<Vec<u8>, String> {
        let flags: u16 = if self.recursion { 0x0100 } else { 0 };
        let mut bytes = Vec::new();
        for word in [self.id, flags, 1, 0, 0, 0] {
            bytes.extend(word.to_be_bytes());
        }
        bytes.extend(encode_name(self.name)?);
        bytes.extend(self.kind.to_be_bytes());
        bytes.extend(self.class.to_be_bytes());
        Ok(bytes)
    }
}

pub(super) fn encode_name(name: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    for label in name.trim_end_matches('.').split('.').filter(|_| !name.trim_end_matches('.').is_empty()) {
        if label.is_empty() || label.len() > LABEL_BYTES_MAX {
            return Err(format!("{name:?} is no name: each part has 1 to {LABEL_BYTES_MAX} bytes"));
        }
        bytes.push(label.len() as u8);
        bytes.extend_from_slice(label.as_bytes());
    }
    bytes.push(0);
    if bytes.len() > NAME_BYTES_MAX { Err(format!("{name:?} is longer than {NAME_BYTES_MAX} bytes")) } else { Ok(bytes) }
}

/// Why a message cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// It ends too early.
    #[error("cannot read the answer: it ends too early")]
    Short,
    /// A name is too long, jumps forward or in circles.
    #[error("cannot read the answer: it has a name that is none")]
    Name,
    /// It has more records than are taken.
    #[error("cannot read the answer: it has more than {RECORDS_MAX} records")]
    TooMany,
}

/// A message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// The number that the question had.
    pub id: u16,
    /// Whether it is an answer.
    pub is_response: bool,
    /// Whether there is more than fits into a datagram.
    pub is_truncated: bool,
    /// The response code.
    pub rcode: u8,
    /// The answer section.
    pub answers: Vec<Record>,
    /// The authority section.
    pub authorities: Vec<Record>,
    /// The additional section.
    pub additionals: Vec<Record>,
}

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The record as zone files have it: name, seconds to live, class, type, data, separated by tabs.
    pub text: String,
    /// The serial number, if it is a start of authority.
    pub serial: Option<u32>,
}

impl Message {
    /// Reads a message.
    pub fn read(bytes: &[u8]) -> Result<Message, MessageError> {
        let mut cursor = Cursor { bytes, at: 0 };
        let [id, flags, questions, answers, authorities, additionals] = {
            let mut words = [0; HEADER_BYTES / 2];
            for word in &mut words {
                *word = cursor.u16()?;
            }
            words
        };
        if usize::from(answers) + usize::from(authorities) + usize::from(additionals) > RECORDS_MAX {
            return Err(MessageError::TooMany);
        }
        for _ in 0..questions {
            cursor.name()?;
            cursor.take(4)?;
        }
        let mut section = |count: u16| (0..count).map(|_| cursor.record()).collect::<Result<Vec<_>, _>>();
        let (answers, authorities, additionals) = (section(answers)?, section(authorities)?, section(additionals)?);
        Ok(Message { id, is_response: flags & 0x8000 != 0, is_truncated: flags & 0x0200 != 0, rcode: (flags & 0x0f) as u8, answers, authorities, additionals })
    }
}

/// A place in a message.
struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], MessageError> {
        let end = self.at.checked_add(count).ok_or(MessageError::Short)?;
        let taken = self.bytes.get(self.at..end).ok_or(MessageError::Short)?;
        self.at = end;
        Ok(taken)
    }
    fn u8(&mut self) -> Result<u8, MessageError> {
        Ok(self.take(1)?[0])
    }
    fn u16(&mut self) -> Result<u16, MessageError> {
        let taken = self.take(2)?;
        Ok(u16::from_be_bytes([taken[0], taken[1]]))
    }
    fn u32(&mut self) -> Result<u32, MessageError> {
        let taken = self.take(4)?;
        Ok(u32::from_be_bytes([taken[0], taken[1], taken[2], taken[3]]))
    }

    /// A name, which may go on elsewhere. Jumps lead back only, so they end.
    fn name(&mut self) -> Result<String, MessageError> {
        let mut text = String::new();
        let mut elsewhere: Option<Cursor<'a>> = None;
        let (mut jumps, mut lowest) = (0, self.at);
        loop {
            let cursor = elsewhere.as_mut().unwrap_or(self);
            let length = cursor.u8()?;
            match length {
                0 => break,
                1..=63 => {
                    push_label(&mut text, cursor.take(usize::from(length))?);
                    text.push('.');
                    if text.len() > NAME_BYTES_MAX * 4 {
                        return Err(MessageError::Name);
                    }
                }
                0xc0..=0xff => {
                    let to = usize::from(length & 0x3f) << 8 | usize::from(cursor.u8()?);
                    jumps += 1;
                    if to >= lowest || jumps > JUMPS_MAX {
                        return Err(MessageError::Name);
                    }
                    lowest = to;
                    elsewhere = Some(Cursor { bytes: self.bytes, at: to });
                }
                _ => return Err(MessageError::Name),
            }
        }
        Ok(if text.is_empty() { ".".to_owned() } else { text })
    }

    fn record(&mut self) -> Result<Record, MessageError> {
        let name = self.name()?;
        let (kind, class, ttl, length) = (self.u16()?, self.u16()?, self.u32()?, self.u16()?);
        let begin = self.at;
        let raw = self.take(usize::from(length))?;
        let mut data = Cursor { bytes: self.bytes.get(..self.at).unwrap_or_default(), at: begin };
        let (told, serial) = data.data(kind, raw)?;
        let text = format!("{name}\t{ttl}\t{}\t{}\t{told}", word_of(&CLASSES, class, "CLASS"), word_of(&TYPES, kind, "TYPE"));
        Ok(Record { text, serial })
    }

    /// What a record says.
    fn data(&mut self, kind: u16, raw: &[u8]) -> Result<(String, Option<u32>), MessageError> {
        let text = match kind {
            1 => {
                let b = self.take(4)?;
                Ipv4Addr::new(b[0], b[1], b[2], b[3]).to_string()
            }
            28 => {
                let octets: [u8; 16] = self.take(16)?.try_into().map_err(|_| MessageError::Short)?;
                Ipv6Addr::from(octets).to_string()
            }
            2 | 5 | 12 | 39 => self.name()?,
            15 => format!("{} {}", self.u16()?, self.name()?),
            33 => format!("{} {} {} {}", self.u16()?, self.u16()?, self.u16()?, self.name()?),
            6 => {
                let (server, mailbox, serial) = (self.name()?, self.name()?, self.u32()?);
                let rest = [self.u32()?, self.u32()?, self.u32()?, self.u32()?].map(|n| n.to_string()).join(" ");
                return Ok((format!("{server} {mailbox} {serial} {rest}"), Some(serial)));
            }
            16 | 99 => {
                let mut texts = Vec::new();
                while self.at < self.bytes.len() {
                    let length = self.u8()?;
                    texts.push(quoted(self.take(usize::from(length))?));
                }
                texts.join(" ")
            }
            257 => {
                let (flags, length) = (self.u8()?, self.u8()?);
                let tag = String::from_utf8_lossy(self.take(usize::from(length))?).into_owned();
                let rest = self.bytes.len() - self.at;
                format!("{flags} {tag} {}", quoted(self.take(rest)?))
            }
            43 => {
                let (tag, algorithm, digest) = (self.u16()?, self.u8()?, self.u8()?);
                let rest = self.bytes.len() - self.at;
                format!("{tag} {algorithm} {digest} {}", hex(self.take(rest)?).to_uppercase())
            }
            // What is not known is written as RFC 3597 has it.
            _ => format!("\\# {} {}", raw.len(), hex(raw)),
        };
        Ok((text, None))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn push_label(text: &mut String, label: &[u8]) {
    for byte in label {
        match byte {
            b'.' | b'\\' | b'"' | b';' | b'(' | b')' | b'@' | b'$' => text.extend(['\\', char::from(*byte)]),
            0x21..=0x7e => text.push(char::from(*byte)),
            _ => text.push_str(&format!("\\{byte:03}")),
        }
    }
}

fn quoted(bytes: &[u8]) -> String {
    let mut text = "\"".to_owned();
    for byte in bytes {
        match byte {
            b'"' | b'\\' => text.extend(['\\', char::from(*byte)]),
            0x20..=0x7e => text.push(char::from(*byte)),
            _ => text.push_str(&format!("\\{byte:03}")),
        }
    }
    text.push('"');
    text
}
