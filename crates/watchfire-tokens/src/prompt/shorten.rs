//! The last resort, when a prompt is too long without any named section: what is data loses its end, line by line. Instructions and
//! markers of the chat template stay whole, wherever they stand; when they alone are too long, the prompt does not fit, and that is said.

use super::sections::{Kind, Piece};
use super::{Truncation, join};
use crate::counter::Counter;

/// Stands where something was cut.
const MARK: &str = "...[truncated]";
/// A cut moves back to the end of a line that is at most so far.
const LINE_BYTES_MAX: usize = 256;
/// Where nothing else is known to be an instruction, a last paragraph of at most this part of the tokens counts as one.
const TAIL_PART: usize = 4;

/// Cuts data until the prompt fits. `pieces` are what is left of it.
pub(super) fn shorten(counter: &Counter, prompt: &str, pieces: &[Piece], max_tokens: usize, done: &mut Truncation) {
    let whole = [Piece { kind: Kind::Other, begin: 0, end: 0 }];
    let mut pieces = if pieces.is_empty() { whole.to_vec() } else { pieces.to_vec() };
    if pieces.iter().all(|piece| piece.kind != Kind::Instruction) {
        keep_last_paragraph(counter, prompt, &mut pieces, max_tokens);
    }
    let data: usize = pieces.iter().filter(|piece| piece.kind == Kind::Other).map(|piece| piece.end - piece.begin).sum();
    let fitting = |keep: usize| {
        let text = with_data(prompt, &pieces, keep);
        counter.count_within(&text, max_tokens).map(|tokens| (text, tokens))
    };
    // The most data that fit lie between what is known to fit and what is known not to.
    let (mut fits, mut too_much) = (0, data);
    let mut best = fitting(0);
    while best.is_some() && fits + 1 < too_much {
        let middle = fits.midpoint(too_much);
        match fitting(middle) {
            Some(found) => (best, fits) = (Some(found), middle),
            None => too_much = middle,
        }
    }
    if let Some(line_end) = end_of_line_before(prompt, &pieces, fits) {
        best = fitting(line_end).or(best);
    }
    done.was_cut = data > 0;
    match best {
        Some((text, tokens)) => (done.text, done.final_tokens, done.fits) = (text, tokens, true),
        None => {
            let instructions: Vec<Piece> = pieces.into_iter().filter(|piece| piece.kind == Kind::Instruction).collect();
            done.text = join(prompt, &instructions);
            done.final_tokens = counter.count(&done.text);
            done.fits = done.final_tokens <= max_tokens;
        }
    }
}

/// The prompt with only so many bytes of its data, and the mark where they end.
fn with_data(prompt: &str, pieces: &[Piece], keep: usize) -> String {
    let mut left = keep;
    let mut marked = false;
    let mut text = String::new();
    for piece in pieces {
        let all = prompt.get(piece.begin..piece.end).unwrap_or_default();
        if piece.kind != Kind::Other {
            text.push_str(all);
        } else if all.len() <= left {
            text.push_str(all);
            left -= all.len();
        } else if !marked {
            text.push_str(all.get(..all.floor_char_boundary(left)).unwrap_or_default());
            text.push_str(MARK);
            text.push('\n');
            (left, marked) = (0, true);
        }
    }
    text
}

/// How many bytes of data there are up to the last line end before so many, when it is not far.
fn end_of_line_before(prompt: &str, pieces: &[Piece], keep: usize) -> Option<usize> {
    let mut before = 0;
    for piece in pieces.iter().filter(|piece| piece.kind == Kind::Other) {
        let all = prompt.get(piece.begin..piece.end)?;
        if keep < before + all.len() {
            let kept = all.get(..all.floor_char_boundary(keep - before))?;
            let at = kept.rfind('\n')? + 1;
            return (kept.len() - at <= LINE_BYTES_MAX).then_some(before + at);
        }
        before += all.len();
    }
    None
}

fn keep_last_paragraph(counter: &Counter, prompt: &str, pieces: &mut Vec<Piece>, max_tokens: usize) {
    let Some(last) = pieces.last_mut() else { return };
    let text = prompt.get(last.begin..last.end).unwrap_or_default();
    let Some(at) = text.trim_end().rfind("\n\n").map(|at| at + 2) else { return };
    if counter.count_within(text.get(at..).unwrap_or_default(), max_tokens / TAIL_PART).is_some() {
        let (begin, end) = (last.begin + at, last.end);
        last.end = begin;
        pieces.push(Piece { kind: Kind::Instruction, begin, end });
    }
}
