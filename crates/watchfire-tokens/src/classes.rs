//! Which Unicode class a character has, as the patterns of tokenizers ask for it. The classes come from the tables of the regex
//! engine, once; this is no regex engine.

use std::sync::OnceLock;

use regex_syntax::hir::{Class, HirKind};

/// A letter: `\p{L}`.
pub(crate) const LETTER: u8 = 1;
/// A number: `\p{N}`.
pub(crate) const NUMBER: u8 = 2;
/// White space: `\s`.
pub(crate) const SPACE: u8 = 4;
/// `[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]`: what may begin a capitalised word.
pub(crate) const UPPER: u8 = 8;
/// `[\p{Ll}\p{Lm}\p{Lo}\p{M}]`: what may end one.
pub(crate) const LOWER: u8 = 16;
/// `[^\s\p{L}\p{N}]`: punctuation, symbols, marks.
pub(crate) const OTHER: u8 = 32;
/// `[\r\n]`.
pub(crate) const NEWLINE: u8 = 64;

const BLOCK: usize = 256;
const BLOCKS: usize = 0x11_0000 / BLOCK;

/// The classes of every character: 256 characters a block, equal blocks kept once.
pub(crate) struct Classes {
    ascii: [u8; 128],
    block_of: Vec<u16>,
    blocks: Vec<u8>,
}

impl Classes {
    /// The one table, made when it is first asked for.
    pub(crate) fn shared() -> &'static Classes {
        static MADE: OnceLock<Classes> = OnceLock::new();
        MADE.get_or_init(Classes::make)
    }

    fn make() -> Classes {
        let mut flat = vec![0u8; BLOCKS * BLOCK];
        let asked =
            [(r"\p{L}", LETTER), (r"\p{N}", NUMBER), (r"\s", SPACE), (r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", UPPER), (r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]", LOWER)];
        for (pattern, flag) in asked {
            for (first, last) in ranges(pattern) {
                flat[first as usize..=last as usize].iter_mut().for_each(|class| *class |= flag);
            }
        }
        flat.iter_mut().filter(|class| **class & (LETTER | NUMBER | SPACE) == 0).for_each(|class| *class |= OTHER);
        flat[usize::from(b'\r')] |= NEWLINE;
        flat[usize::from(b'\n')] |= NEWLINE;
        let mut classes = Classes { ascii: [0; 128], block_of: Vec::with_capacity(BLOCKS), blocks: Vec::new() };
        classes.ascii.copy_from_slice(&flat[..128]);
        let mut known = std::collections::HashMap::new();
        for block in flat.chunks_exact(BLOCK) {
            let next = classes.blocks.len() / BLOCK;
            let at = *known.entry(block).or_insert(next);
            if at == next {
                classes.blocks.extend_from_slice(block);
            }
            classes.block_of.push(at as u16);
        }
        classes.blocks.shrink_to_fit();
        classes
    }

    /// The class of an ASCII character; only the lower seven bits count.
    #[inline]
    pub(crate) fn ascii(&self, byte: u8) -> u8 {
        self.ascii[usize::from(byte & 127)]
    }

    /// The class of any character.
    #[inline]
    pub(crate) fn of(&self, character: u32) -> u8 {
        let block = self.block_of.get(character as usize / BLOCK).copied().unwrap_or(0);
        self.blocks[usize::from(block) * BLOCK + character as usize % BLOCK]
    }
}

/// The ranges of a pattern that is one class. The patterns are ours, and a test sees that they are understood.
fn ranges(pattern: &str) -> Vec<(u32, u32)> {
    let Ok(parsed) = regex_syntax::parse(pattern) else { return Vec::new() };
    match parsed.into_kind() {
        HirKind::Class(Class::Unicode(class)) => class.iter().map(|range| (range.start() as u32, range.end() as u32)).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_have_the_classes_that_the_patterns_name() {
        let cases = [
            ('a', LETTER | LOWER),
            ('Z', LETTER | UPPER),
            ('7', NUMBER),
            ('½', NUMBER),
            (' ', SPACE),
            ('\u{a0}', SPACE),
            ('\u{3000}', SPACE),
            ('\u{200b}', OTHER),
            ('\n', SPACE | NEWLINE),
            ('!', OTHER),
            ('漢', LETTER | UPPER | LOWER),
            ('\u{301}', OTHER | UPPER | LOWER),
            ('ǅ', LETTER | UPPER),
            ('ʰ', LETTER | UPPER | LOWER),
            ('🦊', OTHER),
            ('\u{10ffff}', OTHER),
        ];
        for (character, class) in cases {
            assert_eq!(Classes::shared().of(character as u32), class, "{character:?}");
        }
    }

    #[test]
    fn the_standard_library_agrees_on_white_space() {
        for character in '\0'..=char::MAX {
            assert_eq!(Classes::shared().of(character as u32) & SPACE != 0, character.is_whitespace(), "{character:?}");
        }
    }
}
