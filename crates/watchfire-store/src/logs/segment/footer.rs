//! The footer of a segment of logs: what is known of it without reading its index. Its frame is `segment_file`'s.

use crate::encoding::{Input, put_signed, put_text, put_varint};
use crate::segment_file::Section;

/// With more names of structured metadata than this, a segment does not tell them.
pub(super) const NAMES_MAX: usize = 4_096;
/// Nor with more bytes of them: a footer has its limit.
pub(super) const NAMES_BYTES_MAX: usize = 1 << 20;
/// What a further section is; readers go over those that they do not know.
const SECTION_IDS: u8 = 1;

/// Where a segment's content comes from; what makes a crash between two steps harmless.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Origin {
    /// Of two entries of one stream and time the one from the lower order came first.
    pub(crate) order: u64,
    /// File and offset of the write-ahead log: all entries in frames before are in segments.
    pub(crate) log_before: (u64, u64),
    /// Segments that this one stands in for.
    pub(crate) replaces: Vec<u64>,
    /// The other files of the same flush: they count since this one has its name.
    pub(crate) parts: Vec<u64>,
}

/// What is known of a segment without reading its index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Footer {
    pub(crate) origin: Origin,
    /// First and last time, in nanoseconds.
    pub(crate) min: i64,
    pub(crate) max: i64,
    pub(crate) streams: u64,
    pub(crate) entries: u64,
    /// Bytes of lines and structured metadata.
    pub(crate) raw: u64,
    pub(crate) blocks: u64,
    /// The names of structured metadata, ascending, with whether they were moved from labels; `None` when there are too many.
    pub(crate) names: Option<Vec<(String, bool)>>,
    pub(super) labels: Section,
    pub(super) index: Section,
    /// The directory of the index of ids, where there is one.
    pub(super) ids: Option<Section>,
}

impl Footer {
    /// Whether entries may have a name in their structured metadata.
    pub(crate) fn may_have_name(&self, name: &str) -> bool {
        self.names.as_ref().is_none_or(|names| names.binary_search_by(|(n, _)| n.as_str().cmp(name)).is_ok())
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_varint(&mut out, self.origin.order);
        put_varint(&mut out, self.origin.log_before.0);
        put_varint(&mut out, self.origin.log_before.1);
        for ids in [&self.origin.replaces, &self.origin.parts] {
            put_varint(&mut out, ids.len() as u64);
            ids.iter().for_each(|id| put_varint(&mut out, *id));
        }
        put_signed(&mut out, self.min);
        put_signed(&mut out, self.max);
        [self.streams, self.entries, self.raw, self.blocks].iter().for_each(|n| put_varint(&mut out, *n));
        out.push(u8::from(self.names.is_some()));
        let names = self.names.as_deref().unwrap_or(&[]);
        put_varint(&mut out, names.len() as u64);
        for (name, moved) in names {
            put_text(&mut out, name);
            out.push(u8::from(*moved));
        }
        self.labels.encode(&mut out);
        self.index.encode(&mut out);
        put_varint(&mut out, u64::from(self.ids.is_some()));
        if let Some(ids) = self.ids {
            out.push(SECTION_IDS);
            ids.encode(&mut out);
        }
        out
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Footer> {
        let mut input = Input::new(bytes);
        let (order, log_before) = (input.varint()?, (input.varint()?, input.varint()?));
        let mut ids = || (0..input.size()?).map(|_| input.varint()).collect::<Option<Vec<u64>>>();
        let (replaces, parts) = (ids()?, ids()?);
        let (min, max) = (input.signed()?, input.signed()?);
        let (streams, entries, raw, blocks) = (input.varint()?, input.varint()?, input.varint()?, input.varint()?);
        let told = input.u8()? == 1;
        let mut names = Vec::new();
        for _ in 0..input.size()? {
            names.push((input.text()?.to_owned(), input.u8()? == 1));
        }
        let (labels, index) = (Section::decode(&mut input)?, Section::decode(&mut input)?);
        let mut ids = None;
        // Version 1.0 ends here.
        let more = if input.remaining() == 0 { 0 } else { input.size()? };
        for _ in 0..more {
            let (kind, section) = (input.u8()?, Section::decode(&mut input)?);
            if kind == SECTION_IDS {
                ids = Some(section);
            }
        }
        let origin = Origin { order, log_before, replaces, parts };
        Some(Footer { origin, min, max, streams, entries, raw, blocks, names: told.then_some(names), labels, index, ids })
    }
}
