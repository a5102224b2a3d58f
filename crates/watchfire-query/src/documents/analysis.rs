//! Texts as words: split and in lower case, as Elasticsearch's standard analyzer does for what people write in logs. Also wildcards
//! and the distance of words. No stemming, no stop words.

/// The longest text of which words are made, in bytes.
const TEXT_BYTES_MAX: usize = 1 << 20;

/// Visits the words of a text in their order, until the visitor has enough.
pub fn words(text: &str, visit: &mut dyn FnMut(&str) -> bool) {
    let text = if text.len() > TEXT_BYTES_MAX { text.get(..text.floor_char_boundary(TEXT_BYTES_MAX)).unwrap_or("") } else { text };
    let mut lower = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(is_word) {
        let tail = rest.get(start..).unwrap_or("");
        let length = word_length(tail);
        let word = tail.get(..length).unwrap_or("");
        let go_on = if word.bytes().all(|b| b.is_ascii() && !b.is_ascii_uppercase()) {
            visit(word)
        } else {
            lower.clear();
            lower.extend(word.chars().flat_map(char::to_lowercase));
            visit(&lower)
        };
        if !go_on {
            return;
        }
        rest = tail.get(length..).unwrap_or("");
    }
}

/// All words of a text.
pub fn all_words(text: &str) -> Vec<String> {
    let mut all = Vec::new();
    words(text, &mut |word| {
        all.push(word.to_owned());
        true
    });
    all
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// A word goes on over a dot between letters or between digits, an apostrophe between letters, and a comma between digits.
fn word_length(text: &str) -> usize {
    let mut end = 0;
    let mut before = ' ';
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        if !is_word(c) {
            let next = chars.peek().map_or(' ', |(_, c)| *c);
            let joins = match c {
                '.' => (before.is_alphabetic() && next.is_alphabetic()) || (before.is_numeric() && next.is_numeric()),
                '\'' | '’' => before.is_alphabetic() && next.is_alphabetic(),
                ',' => before.is_numeric() && next.is_numeric(),
                _ => false,
            };
            if !joins {
                break;
            }
        }
        before = c;
        end = at + c.len_utf8();
    }
    end
}

/// A pattern of `*` and `?`; a backslash makes them plain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Char(char),
    One,
    Any,
}

impl Glob {
    /// Reads a pattern.
    pub fn new(pattern: &str) -> Glob {
        let mut pieces = Vec::new();
        let mut chars = pattern.chars();
        while let Some(c) = chars.next() {
            match c {
                '\\' => pieces.extend(chars.next().map(Piece::Char)),
                '?' => pieces.push(Piece::One),
                '*' if pieces.last() == Some(&Piece::Any) => {}
                '*' => pieces.push(Piece::Any),
                c => pieces.push(Piece::Char(c)),
            }
        }
        Glob(pieces)
    }

    /// Whether it is `*`.
    pub fn is_any(&self) -> bool {
        self.0 == [Piece::Any]
    }

    /// Whether a whole text fits; `folds` when case does not matter.
    pub fn fits(&self, text: &str, folds: bool) -> bool {
        let text: Vec<char> = text.chars().collect();
        let equal = |a: char, b: char| a == b || (folds && a.to_lowercase().eq(b.to_lowercase()));
        let (mut p, mut t) = (0, 0);
        // Where the last `*` stands, and how far it has eaten.
        let mut back: Option<(usize, usize)> = None;
        while t < text.len() {
            match self.0.get(p) {
                Some(Piece::Any) => {
                    back = Some((p, t));
                    p += 1;
                }
                Some(Piece::One) => (p, t) = (p + 1, t + 1),
                Some(Piece::Char(c)) if equal(*c, text[t]) => (p, t) = (p + 1, t + 1),
                _ => match &mut back {
                    Some((star, eaten)) => {
                        *eaten += 1;
                        (p, t) = (*star + 1, *eaten);
                    }
                    None => return false,
                },
            }
        }
        self.0.get(p..).is_some_and(|rest| rest.iter().all(|piece| *piece == Piece::Any))
    }
}

/// Longer words are similar to themselves only: comparing two takes the product of their lengths.
const SIMILAR_BYTES_MAX: usize = 256;

/// Whether two words are at most so many changes apart: a letter more, less, other, or two exchanged.
pub fn within_distance(a: &str, b: &str, most: usize) -> bool {
    if a.len().max(b.len()) > SIMILAR_BYTES_MAX {
        return a == b;
    }
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    if a.len().abs_diff(b.len()) > most {
        return false;
    }
    let mut rows: [Vec<usize>; 3] = [Vec::new(), (0..=b.len()).collect(), vec![0; b.len() + 1]];
    for i in 1..=a.len() {
        rows[2] = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let cost = usize::from(a[i - 1] != b[j - 1]);
            let mut best = (rows[1][j] + 1).min(rows[2][j - 1] + 1).min(rows[1][j - 1] + cost);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[0][j - 2] + 1);
            }
            rows[2][j] = best;
        }
        rows.rotate_left(1);
    }
    rows[1][b.len()] <= most
}

/// How many changes `AUTO` allows for a word.
pub fn auto_distance(word: &str) -> usize {
    match word.chars().count() {
        0..=2 => 0,
        3..=5 => 1,
        _ => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_texts() {
        for (text, expected) in [
            ("Connection failed: timeout after 5s", &["connection", "failed", "timeout", "after", "5s"][..]),
            ("camera_id=front-door", &["camera_id", "front", "door"]),
            ("host db.example.com:5432 v1.2", &["host", "db.example.com", "5432", "v1.2"]),
            ("it's 1,000.5 ÄÖ", &["it's", "1,000.5", "äö"]),
            ("end. .start", &["end", "start"]),
            ("[]{}", &[]),
        ] {
            assert_eq!(all_words(text), expected, "{text}");
        }
    }

    #[test]
    fn wildcards() {
        for (pattern, text, folds, expected) in [
            ("*", "", false, true),
            ("a*", "abc", false, true),
            ("*b*", "abc", false, true),
            ("a?c", "abc", false, true),
            ("a?c", "ac", false, false),
            ("A*C", "abc", false, false),
            ("A*C", "abc", true, true),
            ("a\\*", "a*", false, true),
            ("a\\*", "ab", false, false),
            ("*a*b*", "xxaxxbxx", false, true),
            ("*aab", "aaaab", false, true),
            ("", "", false, true),
            ("", "x", false, false),
        ] {
            assert_eq!(Glob::new(pattern).fits(text, folds), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn distances() {
        for (a, b, most, expected) in [
            ("error", "eror", 1, true),
            ("error", "erorr", 1, true),
            ("error", "terrors", 1, false),
            ("error", "terrors", 2, true),
            ("a", "b", 0, false),
            ("ab", "ba", 1, true),
            ("", "ab", 2, true),
        ] {
            assert_eq!(within_distance(a, b, most), expected, "{a} {b} {most}");
        }
    }
}
