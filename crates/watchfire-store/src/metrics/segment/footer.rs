//! The footer of a segment: what is known of it without reading its index. Its frame is `segment_file`'s.

use crate::encoding::{Input, put_signed, put_varint};
use crate::segment_file::Section;

/// Where a segment's content comes from; what makes a crash between two steps harmless.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Origin {
    /// Of two samples of one series and time the one from the lower order counts.
    pub(crate) order: u64,
    /// Everything in log files before this number is in segments.
    pub(crate) log_before: u64,
    /// Segments that this one stands in for.
    pub(crate) replaces: Vec<u64>,
}

/// What is known of a segment without reading its index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Footer {
    pub(crate) origin: Origin,
    pub(crate) min: i64,
    pub(crate) max: i64,
    pub(crate) series: u64,
    pub(crate) samples: u64,
    /// Bytes of all blocks as stored.
    pub(crate) block_bytes: u64,
    pub(super) labels: Section,
    pub(super) runs: Section,
    /// Segments of tiers say what they are.
    pub(crate) tier: Option<Tier>,
}

/// What a segment of a tier is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tier {
    /// How long its windows are.
    pub(crate) resolution_ms: i64,
    /// The segments whose samples are in the windows.
    pub(crate) sources: Vec<u64>,
}

impl Tier {
    /// Other segments end before it.
    fn decode(input: &mut Input<'_>) -> Option<Option<Tier>> {
        if input.remaining() == 0 {
            return Some(None);
        }
        let resolution_ms = input.signed().filter(|ms| *ms > 0)?;
        let mut sources = Vec::new();
        for _ in 0..input.size()? {
            sources.push(input.varint()?);
        }
        Some(Some(Tier { resolution_ms, sources }))
    }
}

impl Footer {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_varint(&mut out, self.origin.order);
        put_varint(&mut out, self.origin.log_before);
        put_varint(&mut out, self.origin.replaces.len() as u64);
        self.origin.replaces.iter().for_each(|id| put_varint(&mut out, *id));
        put_signed(&mut out, self.min);
        put_signed(&mut out, self.max);
        put_varint(&mut out, self.series);
        put_varint(&mut out, self.samples);
        put_varint(&mut out, self.block_bytes);
        self.labels.encode(&mut out);
        self.runs.encode(&mut out);
        if let Some(tier) = &self.tier {
            put_signed(&mut out, tier.resolution_ms);
            put_varint(&mut out, tier.sources.len() as u64);
            tier.sources.iter().for_each(|id| put_varint(&mut out, *id));
        }
        out
    }
    pub(super) fn decode(bytes: &[u8]) -> Option<Footer> {
        let mut input = Input::new(bytes);
        let (order, log_before) = (input.varint()?, input.varint()?);
        let mut replaces = Vec::new();
        for _ in 0..input.size()? {
            replaces.push(input.varint()?);
        }
        Some(Footer {
            origin: Origin { order, log_before, replaces },
            min: input.signed()?,
            max: input.signed()?,
            series: input.varint()?,
            samples: input.varint()?,
            block_bytes: input.varint()?,
            labels: Section::decode(&mut input)?,
            runs: Section::decode(&mut input)?,
            tier: Tier::decode(&mut input)?,
        })
    }
}
