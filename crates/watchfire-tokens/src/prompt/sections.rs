//! Divides a prompt into pieces: its named sections, what tells the model how to answer, and the rest. A section reaches to the next
//! heading of its level or above, to any heading of another section or of instructions, and to a marker of the chat template. Nothing
//! is removed here, and no tokens are counted.

use super::titles::{SECTIONS, Title, is_label, is_request, section_before, title};

/// A title is at most so long.
const TITLE_BYTES_MAX: usize = 200;

/// What a piece of a prompt is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The section with this place in `SECTIONS`.
    Section(usize),
    /// What the model is to answer, and markers of the chat template.
    Instruction,
    /// Anything else.
    Other,
}

/// A piece of a prompt. Pieces follow each other without gaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) kind: Kind,
    pub(crate) begin: usize,
    pub(crate) end: usize,
}

/// Divides a prompt.
pub(super) fn divide(prompt: &str) -> Vec<Piece> {
    let mut outline = Outline { fences: fences(prompt), ..Outline::default() };
    let mut begin = 0;
    for line in prompt.split_inclusive('\n') {
        outline.line(prompt, line, begin);
        begin += line.len();
    }
    outline.pieces
}

/// The headings that a line stands under, and the pieces so far.
#[derive(Default)]
struct Outline {
    pieces: Vec<Piece>,
    /// Level and kind of each heading that is open.
    open: Vec<(usize, Kind)>,
    /// The section of an open tag.
    tag: Option<usize>,
    /// Where each closing tag stands last, once that was asked.
    last_close: [Option<Option<usize>>; SECTIONS.len()],
    /// Blocks of code that are still to come, the last one first.
    fences: Vec<(usize, usize)>,
}

impl Outline {
    fn kind(&self) -> Kind {
        match self.tag {
            Some(section) => Kind::Section(section),
            None => self.open.iter().rev().map(|(_, kind)| *kind).find(|kind| *kind != Kind::Other).unwrap_or(Kind::Other),
        }
    }

    fn push(&mut self, kind: Kind, begin: usize, end: usize) {
        match self.pieces.last_mut() {
            Some(last) if last.kind == kind => last.end = end,
            _ if begin < end => self.pieces.push(Piece { kind, begin, end }),
            _ => {}
        }
    }

    fn line(&mut self, prompt: &str, line: &str, begin: usize) {
        let end = begin + line.len();
        if let Some(at) = line.find("<|") {
            self.push(self.kind(), begin, begin + at);
            self.end_of_message(prompt);
            self.push(Kind::Instruction, begin + at, end);
            self.tag = None;
            self.open.clear();
            return;
        }
        if !self.is_code(begin) && line.len() <= TITLE_BYTES_MAX {
            self.read_title(prompt, line.trim(), begin);
        }
        self.text(line, begin);
        if end == prompt.len() {
            self.end_of_message(prompt);
        }
    }

    fn is_code(&mut self, at: usize) -> bool {
        while self.fences.last().is_some_and(|(_, end)| *end <= at) {
            self.fences.pop();
        }
        self.fences.last().is_some_and(|(begin, _)| *begin <= at)
    }

    fn read_title(&mut self, prompt: &str, text: &str, begin: usize) {
        if let Some(section) = text.strip_prefix('<').and_then(|tag| section_before(tag, '>')) {
            if self.is_closed_later(prompt, section, begin) {
                self.tag = Some(section);
            }
            return;
        }
        let Some((level, title)) = title(text) else { return };
        // An outline of the answer may well have labels that are called like our sections.
        if is_label(level) && self.kind() == Kind::Instruction {
            return;
        }
        let kind = match title {
            Title::Section(section) => Kind::Section(section),
            Title::Instruction => Kind::Instruction,
            Title::Other => Kind::Other,
        };
        if kind == Kind::Instruction {
            self.tag = None;
        }
        self.open.retain(|(open, _)| *open < level);
        self.open.push((level, kind));
    }

    fn is_closed_later(&mut self, prompt: &str, section: usize, begin: usize) -> bool {
        let last = self.last_close[section].get_or_insert_with(|| prompt.rfind(&format!("</{}>", SECTIONS[section])));
        last.is_some_and(|at| at >= begin)
    }

    /// Text, in which `{depth_context}` is what a template left of the section, and a tag may close.
    fn text(&mut self, line: &str, begin: usize) {
        let mut done = 0;
        let in_instructions = self.kind() == Kind::Instruction;
        for (at, mark) in line.match_indices(['{', '<']) {
            let behind = line.get(at + 1..).unwrap_or_default();
            let closing = (mark == "<").then_some(self.tag).flatten().map(|section| (section, "</".len() + SECTIONS[section].len() + ">".len()));
            if let Some((section, len)) = closing {
                if behind.strip_prefix('/').and_then(|tag| section_before(tag, '>')) == Some(section) {
                    self.push(Kind::Section(section), begin + done, begin + at + len);
                    (done, self.tag) = (at + len, None);
                }
            } else if mark == "{"
                && !in_instructions
                && let Some(section) = section_before(behind, '}')
            {
                let end = at + SECTIONS[section].len() + "{}".len();
                self.push(self.kind(), begin + done, begin + at);
                self.push(Kind::Section(section), begin + at, begin + end);
                done = end;
            }
        }
        // The line end behind a closing tag goes with it.
        let rest = if line.get(done..).is_some_and(|rest| rest.trim().is_empty()) { self.pieces.last().map(|last| last.kind) } else { None };
        self.push(rest.filter(|_| done > 0).unwrap_or(self.kind()), begin + done, begin + line.len());
    }

    /// A last paragraph that asks for an answer is no part of the section above it.
    fn end_of_message(&mut self, prompt: &str) {
        let Some(last) = self.pieces.last_mut().filter(|last| last.kind != Kind::Instruction) else { return };
        let text = prompt.get(last.begin..last.end).unwrap_or_default();
        let Some(at) = text.trim_end().rfind("\n\n").map(|at| at + 2) else { return };
        if is_request(text.get(at..).unwrap_or_default()) {
            let (begin, end) = (last.begin + at, last.end);
            last.end = begin;
            self.pieces.push(Piece { kind: Kind::Instruction, begin, end });
        }
    }
}

/// Blocks of code, the last one first. A fence that names a language opens a block, so that one before it was never closed.
fn fences(prompt: &str) -> Vec<(usize, usize)> {
    let (mut blocks, mut open, mut begin) = (Vec::new(), None, 0);
    for line in prompt.split_inclusive('\n') {
        let end = begin + line.len();
        let text = line.trim();
        if let Some(fence) = ["```", "~~~"].into_iter().find(|fence| text.starts_with(fence)) {
            let names_language = text.len() > fence.len();
            open = match open {
                Some((opened, known)) if known == fence && !names_language => {
                    blocks.push((opened, end));
                    None
                }
                Some((_, known)) if known == fence => Some((begin, fence)),
                None => Some((begin, fence)),
                other => other,
            };
        }
        begin = end;
    }
    blocks.reverse();
    blocks
}
