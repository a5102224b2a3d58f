//! Texts of every kind, the same at each run: the files of this repository in pieces, every character among others, and strings made of
//! what patterns cut differently.

use std::path::Path;

/// Numbers from a linear congruence: good enough to mix texts, and the same everywhere.
struct Random(u64);
impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % end
    }
}

/// What patterns treat differently, and what vocabularies know in long runs.
const PARTS: [&str; 100] = [
    "[MASK]",
    " [MASK]",
    "[END] ",
    "<s>",
    "'s",
    "'S",
    "'\u{17f}",
    "'t",
    "'T",
    "'re",
    "'RE",
    "'rE",
    "'ve",
    "'m",
    "'ll",
    "'Ll",
    "'d",
    "'D",
    "'x",
    "''",
    "'",
    "\u{2019}s",
    " ",
    " ",
    " ",
    "  ",
    "   ",
    "\t",
    "\t\t",
    "\n",
    "\n\n",
    "\r\n",
    "\r",
    " \n",
    "\n ",
    "\u{a0}",
    "\u{2003}",
    "\u{3000}",
    "\u{85}",
    "\u{2028}",
    "\u{b}",
    "\u{200b}",
    "\u{feff}",
    "a",
    "b",
    "the",
    "The",
    "THE",
    "HTTPServer",
    "camelCase",
    "snake_case",
    "Zoë",
    "straße",
    "ŒUVRE",
    "ǅ",
    "ʰ",
    "ª",
    "1",
    "12",
    "123",
    "1234",
    "12345678",
    "½",
    "٣",
    "²",
    "Ⅷ",
    "一",
    "漢字",
    "日本語",
    "한국어",
    "العربية",
    "עברית",
    "हिन्दी",
    "ไทย",
    "e\u{301}",
    "\u{301}",
    "\u{300}\u{301}",
    "\u{20dd}",
    "🦊",
    "👩\u{200d}🚒",
    "🇩🇪",
    "\u{fe0f}",
    "!",
    "!!",
    "...",
    "/",
    "//",
    "/\n",
    "{",
    "}",
    "\"",
    "\\",
    "<|endoftext|>",
    "<|im_start|>",
    "=====",
    "-----",
    "__",
    "#",
    "\u{1}",
    "\u{10ffff}",
];

fn mixtures(texts: &mut Vec<String>) {
    let mut random = Random(7);
    for n in 0..30_000 {
        let parts = 1 + random.below(if n % 10 == 0 { 60 } else { 8 });
        texts.push((0..parts).map(|_| PARTS[random.below(PARTS.len())]).collect());
    }
    for part in PARTS {
        texts.push(part.repeat(500));
    }
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for len in [1_000, 50_000] {
        texts.push((0..len).map(|_| alphabet[random.below(64)] as char).collect());
        texts.push((0..len).map(|_| char::from_u32(random.below(0x3000) as u32).unwrap_or(' ')).collect());
        texts.push((0..len).map(|_| char::from_u32(random.below(0x11_0000) as u32).unwrap_or(' ')).collect());
    }
}

/// Every character that Unicode may assign, beside a letter, a digit, a blank and itself.
fn characters(texts: &mut Vec<String>) {
    let all = (0..0x3_2400).chain(0xe_0000..0xe_0200).filter_map(char::from_u32);
    let mut text = String::new();
    for c in all {
        text.push_str(&format!("{c}x{c}A{c}1{c} {c}{c}!\n"));
        if text.len() > 4_000 {
            texts.push(std::mem::take(&mut text));
        }
    }
    texts.push(text);
}

/// The files of this repository, in pieces of three sizes.
fn files(dir: &Path, texts: &mut Vec<String>) {
    let mut entries: Vec<_> = std::fs::read_dir(dir).expect("a directory").map(|entry| entry.expect("an entry").path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            files(&path, texts);
        } else if let Ok(text) = std::fs::read_to_string(&path) {
            let size = [1_000, 10_000, 100_000][texts.len() % 3];
            let mut rest = text.as_str();
            while !rest.is_empty() {
                let (piece, behind) = rest.split_at(rest.floor_char_boundary(size.max(4)));
                texts.push(piece.to_owned());
                rest = behind;
            }
        }
    }
}

/// All of it, some twelve megabytes.
pub(crate) fn texts() -> Vec<String> {
    let mut texts = vec![String::new()];
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for dir in ["docs", "packs", "crates/watchfire-model", "crates/watchfire-query", "ui/src"] {
        files(&root.join(dir), &mut texts);
    }
    mixtures(&mut texts);
    characters(&mut texts);
    texts
}

/// Mixtures and a part of the rest, for tokenizers that have to be trained first.
pub(crate) fn short_texts() -> Vec<String> {
    let mut texts = vec![String::new(), " ".to_owned(), " a".to_owned(), "a ".to_owned()];
    mixtures(&mut texts);
    texts.truncate(12_000);
    let mut all = Vec::new();
    characters(&mut all);
    texts.extend(all.into_iter().step_by(37));
    texts
}

/// What they are trained on: prose, code and other scripts.
pub(crate) fn training() -> String {
    let mut texts = Vec::new();
    files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs"), &mut texts);
    mixtures(&mut texts);
    texts.truncate(4_000);
    texts.join("\n")
}
