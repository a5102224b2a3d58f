//! Looks at an answer on its way: how many tokens, whether it came to its end. It changes nothing and keeps of the text only what it
//! needs to count it, and that only until the upstream tells.

use super::wire::events::{Format, Part, Splitter};
use super::wire::piece::{Piece, Usage};

/// Text that is kept to be counted; what is beyond is counted by its length.
const TEXT_BYTES_MAX: usize = 1 << 20;
/// An event that is larger is passed on without looking whether it is to be held back.
const HELD_BYTES_MAX: usize = 1 << 20;
/// How many bytes a token is, where nobody counts better.
pub(super) const BYTES_PER_TOKEN: usize = 4;

/// What was seen of an answer.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// What the upstream tells. It may tell it again and again as it goes on: the last counts, and once.
    pub(super) usage: Option<Usage>,
    /// The model that answers.
    pub(super) model: Option<String>,
    /// The text, up to a bound.
    pub(super) text: String,
    /// Bytes of text beyond the bound.
    pub(super) text_beyond: usize,
    /// Pieces that brought text.
    pub(super) pieces: u64,
    /// Whether the upstream said that this is the end.
    pub(super) has_end: bool,
    /// Whether it told an error.
    pub(super) has_error: bool,
    /// Parts that are not what they should be.
    pub(super) garbage: u64,
}

/// Watches one answer.
pub(super) struct Watch {
    format: Format,
    splitter: Splitter,
    /// Whether the piece that only tells usage is held back.
    holds: bool,
    seen: Seen,
}

impl Watch {
    pub(super) fn new(content_type: &str, holds_usage: bool) -> Watch {
        let format = Format::of(content_type);
        let holds = holds_usage && format == Format::Events;
        let splitter = if holds { Splitter::keeping() } else { Splitter::new(format) };
        Watch { format, splitter, holds, seen: Seen { garbage: u64::from(format == Format::Other), ..Seen::default() } }
    }
    /// Whether the bytes that pass differ from those that come.
    pub(super) fn holds(&self) -> bool {
        self.holds
    }
    /// Whether it is a stream.
    pub(super) fn is_stream(&self) -> bool {
        matches!(self.format, Format::Events | Format::Lines)
    }
    pub(super) fn seen(&self) -> &Seen {
        &self.seen
    }
    /// What was seen in all.
    pub(super) fn into_seen(mut self) -> Seen {
        self.seen.garbage += self.splitter.skipped();
        self.seen
    }

    /// Looks at the next bytes. What passes goes to `out`, where anything is held back at all.
    pub(super) fn take(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        let (seen, holds) = (&mut self.seen, self.holds);
        self.splitter.push(bytes, &mut |part| look(seen, part, holds, out));
        if holds && self.splitter.pending() > HELD_BYTES_MAX {
            self.holds = false;
            out.extend_from_slice(&self.splitter.stop_keeping());
        }
    }

    /// The answer is over.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) {
        let (seen, holds) = (&mut self.seen, self.holds);
        self.splitter.finish(&mut |part| look(seen, part, holds, out));
    }
}

fn look(seen: &mut Seen, part: Part<'_>, holds: bool, out: &mut Vec<u8>) {
    let mut passes = true;
    if part.data == b"[DONE]" {
        seen.has_end = true;
    } else if !part.data.is_empty() {
        match Piece::read(part.data) {
            Some(piece) => {
                passes = !piece.is_usage_only;
                seen.take(piece);
            }
            None => seen.garbage += 1,
        }
    }
    if holds && passes {
        out.extend_from_slice(part.raw);
    }
}

impl Seen {
    fn take(&mut self, piece: Piece) {
        self.usage = piece.usage.or(self.usage);
        if self.model.is_none() {
            self.model = piece.model;
        }
        self.has_end |= piece.is_end;
        self.has_error |= piece.is_error;
        if piece.text.is_empty() {
            return;
        }
        self.pieces += 1;
        if self.text.len() + piece.text.len() > TEXT_BYTES_MAX {
            self.text_beyond += piece.text.len();
        } else {
            self.text.push_str(&piece.text);
        }
    }

    /// A rough count of the tokens so far: most servers send one token in a piece.
    pub(super) fn rough_output(&self) -> u64 {
        self.usage.map_or(self.pieces, |u| u.output.max(self.pieces))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STREAM: &str = "data: {\"model\":\"m\",\"choices\":[{\"delta\":{\"role\":\"assistant\"}}]}\n\ndata: {\"choices\":[{\"delta\":{\"content\":\"Hé\"}}]}\r\n\r\n: ping\n\ndata: {\"choices\":[{\"delta\":{\"content\":\" you\"},\"finish_reason\":\"stop\"}]}\n\ndata: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":2}}\n\ndata: [DONE]\n\n";

    fn watch(holds: bool, body: &[u8], cuts: &[usize]) -> (Seen, Vec<u8>) {
        let mut watch = Watch::new("text/event-stream", holds);
        let (mut out, mut from) = (Vec::new(), 0);
        for cut in cuts.iter().copied().chain([body.len()]) {
            let cut = cut.clamp(from, body.len());
            watch.take(&body[from..cut], &mut out);
            from = cut;
        }
        watch.finish(&mut out);
        (watch.into_seen(), out)
    }

    proptest! {
        #[test]
        fn a_stream_tells_the_same_wherever_it_is_cut(mut cuts in proptest::collection::vec(0usize..STREAM.len(), 0..20), holds: bool) {
            cuts.sort_unstable();
            let (seen, out) = watch(holds, STREAM.as_bytes(), &cuts);
            prop_assert_eq!(seen.usage, Some(Usage { input: 9, cached: 0, output: 2 }));
            prop_assert_eq!((seen.text.as_str(), seen.model.as_deref(), seen.pieces), ("Hé you", Some("m"), 2));
            prop_assert_eq!((seen.has_end, seen.has_error, seen.garbage), (true, false, 0));
            let expected = if holds { STREAM.replace("data: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":2}}\n\n", "") } else { String::new() };
            prop_assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }

    #[test]
    fn usage_that_is_told_again_and_again_counts_once() {
        let event =
            |n: u64| format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"x\"}}}}],\"usage\":{{\"prompt_tokens\":5,\"completion_tokens\":{n}}}}}\n\n");
        let body: String = (1..=40).map(event).collect();
        let seen = watch(false, body.as_bytes(), &[]).0;
        assert_eq!(seen.usage, Some(Usage { input: 5, cached: 0, output: 40 }));
        assert_eq!(seen.rough_output(), 40);
    }

    #[test]
    fn garbage_is_counted_and_an_event_without_end_passes() {
        assert_eq!(watch(false, b"data: <html>\n\ndata: {}\n\n", &[]).0.garbage, 1);
        assert_eq!(Watch::new("text/html", false).into_seen().garbage, 1);
        let long = format!("data: {}", "x".repeat(HELD_BYTES_MAX + 10));
        assert_eq!(watch(true, long.as_bytes(), &[70_000]).1, long.as_bytes());
    }
}
