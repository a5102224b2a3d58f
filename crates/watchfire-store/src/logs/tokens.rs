//! Tokens: the pieces of a line that a block's filter knows, and which of them a text that is looked for must have. A run is
//! letters, digits and underscores without a break; a chain is runs with hyphens between. Not a full-text index: words are not
//! normalised, and short ones with digits are left out because every block has them.

/// What a byte is to the tokenizer.
const NEITHER: u8 = 0;
const RUN: u8 = 1;
const HYPHEN: u8 = 2;

static CLASS: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut table = [NEITHER; 256];
    let mut byte = 0;
    while byte < 256 {
        let b = byte as u8;
        if b.is_ascii_alphanumeric() || b == b'_' || b >= 0x80 {
            table[byte] = RUN;
        } else if b == b'-' {
            table[byte] = HYPHEN;
        }
        byte += 1;
    }
    table
}

/// Shorter runs are in no filter.
const RUN_BYTES_MIN: usize = 3;
/// Runs with digits that are not longer than this are in no filter: numbers that every block has.
const NUMBER_BYTES_MAX: usize = 5;
/// Fractions of seconds end in `Z`; up to this length they are in no filter.
const FRACTION_BYTES_MAX: usize = 10;
/// Shorter chains are in no filter.
const CHAIN_BYTES_MIN: usize = 8;

const MIX: [u64; 3] = [0x9e37_79b9_7f4a_7c15, 0xd6e8_feb8_6659_fd93, 0xa076_1d64_78bd_642f];

#[inline]
fn mix(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product as u64) ^ (product >> 64) as u64
}

/// A hash of bytes that is the same in every process: it stands in files.
#[inline]
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    let word = |bytes: &[u8]| bytes.try_into().map_or(0, u64::from_le_bytes);
    let mut state = MIX[0] ^ bytes.len() as u64;
    let mut chunks = bytes.chunks_exact(16);
    for chunk in &mut chunks {
        state = mix(word(&chunk[..8]) ^ MIX[1], word(&chunk[8..]) ^ state);
    }
    let rest = chunks.remainder();
    let mut last = [0; 16];
    last[..rest.len()].copy_from_slice(rest);
    mix(mix(word(&last[..8]) ^ MIX[1], word(&last[8..]) ^ state) ^ MIX[2], MIX[0])
}

/// The hash of two in this order.
#[inline]
pub(crate) fn join(a: u64, b: u64) -> u64 {
    mix(a ^ MIX[2], b.wrapping_add(MIX[1]))
}

/// The hash of a pair of structured metadata.
pub(crate) fn pair_hash(name: &str, value: &str) -> u64 {
    join(hash(name.as_bytes()), hash(value.as_bytes()))
}

/// A token of a text.
#[derive(Clone, Copy)]
struct Token<'a> {
    bytes: &'a [u8],
    from: usize,
    chain: bool,
}

impl Token<'_> {
    /// Whether filters do not know tokens of this kind.
    fn is_weak(&self) -> bool {
        let len = self.bytes.len();
        if self.chain {
            return len < CHAIN_BYTES_MIN;
        }
        let digit = || self.bytes.iter().any(u8::is_ascii_digit);
        let fraction = || self.bytes.split_last().is_some_and(|(last, rest)| *last == b'Z' && rest.iter().all(u8::is_ascii_digit));
        len < RUN_BYTES_MIN || (len <= NUMBER_BYTES_MAX && digit()) || (len <= FRACTION_BYTES_MAX && fraction())
    }
}

#[inline]
fn each<'a>(text: &'a [u8], mut show: impl FnMut(Token<'a>)) {
    let class = |at: usize| text.get(at).map_or(NEITHER, |b| CLASS[usize::from(*b)]);
    let mut at = 0;
    while at < text.len() {
        if class(at) == NEITHER {
            at += 1;
            continue;
        }
        let (start, mut run, mut chain) = (at, at, false);
        loop {
            let class = class(at);
            if class == RUN {
                at += 1;
                continue;
            }
            if at > run {
                show(Token { bytes: &text[run..at], from: run, chain: false });
            }
            if class == NEITHER {
                break;
            }
            chain = true;
            at += 1;
            run = at;
        }
        if chain {
            show(Token { bytes: &text[start..at], from: start, chain: true });
        }
    }
}

/// The lengths of the longest tokens among those that were shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Longest {
    pub(crate) run: u32,
    pub(crate) chain: u32,
}

impl Longest {
    fn note(&mut self, token: &Token<'_>) {
        let longest = if token.chain { &mut self.chain } else { &mut self.run };
        *longest = (*longest).max(token.bytes.len() as u32);
    }
    /// Adds what another one has seen.
    pub(crate) fn merge(&mut self, other: Longest) {
        self.run = self.run.max(other.run);
        self.chain = self.chain.max(other.chain);
    }
}

/// Shows the hashes that a filter has to know of a text.
pub(crate) fn each_hash(text: &[u8], longest: &mut Longest, mut show: impl FnMut(u64)) {
    each(text, |token| {
        longest.note(&token);
        if !token.is_weak() {
            show(hash(token.bytes));
        }
    });
}

/// A text that lines must contain, with the tokens that follow from it.
pub(crate) struct Needle {
    pub(crate) text: String,
    tokens: Vec<Needed>,
}

struct Needed {
    hash: u64,
    len: u32,
    chain: bool,
    /// It touches an end of the text, so in the line it may go on.
    open: bool,
}

impl Needle {
    pub(crate) fn new(text: &str) -> Needle {
        let mut tokens = Vec::new();
        each(text.as_bytes(), |token| {
            if !token.is_weak() {
                let open = token.from == 0 || token.from + token.bytes.len() == text.len();
                tokens.push(Needed { hash: hash(token.bytes), len: token.bytes.len() as u32, chain: token.chain, open });
            }
        });
        Needle { text: text.to_owned(), tokens }
    }

    /// The hashes that every line with this text has, among lines whose longest tokens are these: a token that is as long as the
    /// longest cannot be a part of another.
    pub(crate) fn hashes(&self, longest: Longest) -> impl Iterator<Item = u64> {
        self.tokens.iter().filter(move |t| !t.open || t.len >= if t.chain { longest.chain } else { longest.run }).map(|t| t.hash)
    }
}

#[cfg(test)]
mod tests {
    use hashbrown::HashSet;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever is cut out of a line, the line's own filter knows its tokens.
        #[test]
        fn a_part_of_a_line_is_never_missed(line in "[a-f0-9Z_ü\\-]{0,12}([ :\"][a-f0-9Z\\-]{1,40}){0,6}", from in 0usize..200, len in 1usize..200) {
            let bytes = line.as_bytes();
            let from = from.min(bytes.len());
            let part = &bytes[from..(from + len).min(bytes.len())];
            if let Ok(part) = std::str::from_utf8(part) {
                let mut longest = Longest::default();
                let mut known = HashSet::new();
                each_hash(bytes, &mut longest, |h| { known.insert(h); });
                prop_assert!(Needle::new(part).hashes(longest).all(|h| known.contains(&h)));
            }
        }
        #[test]
        fn hashes_tell_texts_apart(a in ".{0,40}", b in ".{0,40}") {
            prop_assert_eq!(a == b, hash(a.as_bytes()) == hash(b.as_bytes()));
        }
    }

    #[test]
    fn whole_ids_are_looked_up_and_parts_are_not() {
        let longest = Longest { run: 32, chain: 36 };
        let count = |text: &str| Needle::new(text).hashes(longest).count();
        assert_eq!(count("4bf92f3577b34da6a3ce929d0e0e4736"), 1);
        assert_eq!(count("92f3577b34da6a3ce929d0e0e4736"), 0);
        assert_eq!(count("\"4bf92f3577b34\""), 1);
        assert_eq!(count("3f2504e0-4f89-41d3-9a0c-0305e82c3301"), 1, "the chain; the runs inside are short numbers");
        assert_eq!(count("status=500 "), 0);
    }
}
