//! Which rows of a block may satisfy some matchers, each told by the one value that a matcher is about: what a dictionary has is judged
//! once for all rows, and ids are compared as the bytes that they are kept as.

use hashbrown::HashSet;
use watchfire_model::matcher::Matcher;

use super::columns::Values;

/// Where the values of some names stand, for each set of names of a block.
pub(super) struct Sieve {
    pub(super) of_shapes: Vec<Vec<Place>>,
    /// How each matcher judges a column, found out when it is first asked.
    tests: Vec<Option<Test>>,
}

/// Where the value of a name stands.
#[derive(Clone, Copy)]
pub(super) enum Place {
    /// In a column; the second number is that of the test.
    Column(u32, usize),
    Nowhere,
    /// Packed together with others.
    Somewhere,
}

enum Test {
    /// All values are one.
    Always(bool),
    /// By the number in the dictionary.
    Dictionary(Vec<bool>),
    /// The ids that are wanted.
    Ids(HashSet<Vec<u8>>),
    /// Each value as text.
    Text,
}

impl Test {
    fn of(matcher: &Matcher, values: &Values) -> Test {
        let holds = |value: &[u8]| std::str::from_utf8(value).is_ok_and(|text| matcher.matches_value(text));
        match (values, matcher.value_set()) {
            (Values::Constant(value), _) => Test::Always(holds(value)),
            (Values::Dictionary(all, _), _) => Test::Dictionary(all.iter().map(|value| holds(value)).collect()),
            // What is written in another way, or longer, is no value of this column.
            (Values::Hex(width, _), Some(wanted)) => Test::Ids(wanted.iter().filter_map(|text| bytes_of(text, *width)).collect()),
            _ => Test::Text,
        }
    }
}

/// The bytes that lower-case hexadecimal digits are kept as.
fn bytes_of(text: &str, width: usize) -> Option<Vec<u8>> {
    let digit = |b: u8| char::from(b).to_digit(16).filter(|_| !b.is_ascii_uppercase()).map(|digit| digit as u8);
    if text.len() != 2 * width {
        return None;
    }
    text.as_bytes().chunks(2).map(|two| Some(digit(*two.first()?)? << 4 | digit(*two.get(1)?)?)).collect()
}

impl Sieve {
    /// Looks for each name in each set of columns; `key` is what a column is called, which is empty where names and values are packed.
    pub(super) fn new<'n, 'k>(shapes: &[Vec<u32>], names: impl Iterator<Item = &'n str> + Clone, key: impl Fn(u32) -> &'k str) -> Sieve {
        let mut slots: Vec<(usize, u32)> = Vec::new();
        let mut slot = |matcher: usize, column: u32| {
            slots.iter().position(|known| *known == (matcher, column)).unwrap_or_else(|| {
                slots.push((matcher, column));
                slots.len() - 1
            })
        };
        let mut place = |shape: &[u32], (matcher, name): (usize, &str)| match shape.iter().find(|column| key(**column) == name) {
            Some(column) => Place::Column(*column, slot(matcher, *column)),
            None if shape.iter().any(|column| key(*column).is_empty()) => Place::Somewhere,
            None => Place::Nowhere,
        };
        let of_shapes = shapes.iter().map(|shape| names.clone().enumerate().map(|name| place(shape, name)).collect()).collect();
        let tests = slots.iter().map(|_| None).collect();
        Sieve { of_shapes, tests }
    }

    /// Whether a value satisfies a matcher; `None` when it cannot be read.
    pub(super) fn holds(&mut self, test: usize, matcher: &Matcher, values: &Values, at: usize, time: i64, text: &mut Vec<u8>) -> Option<bool> {
        let test = self.tests.get_mut(test)?.get_or_insert_with(|| Test::of(matcher, values));
        Some(match (test, values) {
            (Test::Always(holds), _) => *holds,
            (Test::Dictionary(holds), Values::Dictionary(_, index)) => *holds.get(usize::from(*index.get(at)?))?,
            (Test::Ids(wanted), Values::Hex(width, packed)) => wanted.contains(packed.get(at * width..(at + 1) * width)?),
            _ => {
                text.clear();
                values.put(at, time, text)?;
                matcher.matches_value(std::str::from_utf8(text).ok()?)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use watchfire_model::matcher::MatchOp;

    /// Whatever form a column has, what is told of it is what its values as texts tell.
    #[test]
    fn forms_change_nothing() {
        let hex = |text: &str| bytes_of(text, 8).unwrap();
        let columns = [
            Values::Constant(b"00000000000000aa".to_vec()),
            Values::Dictionary(vec![b"00000000000000aa".to_vec(), b"".to_vec(), b"x".to_vec()], vec![0, 1, 2]),
            Values::Hex(8, [hex("00000000000000aa"), hex("00000000000000ab"), hex("ffffffffffffffff")].concat()),
            Values::Numbers(0, vec![7, 8, 9]),
        ];
        let matchers = [
            (MatchOp::Equal, "00000000000000aa"),
            (MatchOp::Equal, "00000000000000AA"),
            (MatchOp::Equal, "aa"),
            (MatchOp::Equal, "8"),
            (MatchOp::NotEqual, "x"),
            (MatchOp::Regex, "00000000000000aa|ffffffffffffffff|x"),
            (MatchOp::Regex, "0+[a]+|[89]"),
            (MatchOp::NotRegex, "00000000000000aa|7"),
        ];
        for (op, value) in matchers {
            let matcher = Matcher::new("id", op, value).unwrap();
            for column in &columns {
                let mut sieve = Sieve::new(&[vec![0]], ["id"].into_iter(), |_| "id");
                let count = if matches!(column, Values::Constant(_)) { 1 } else { 3 };
                for at in 0..count {
                    let mut text = Vec::new();
                    column.put(at, 0, &mut text).unwrap();
                    let expected = matcher.matches_value(std::str::from_utf8(&text).unwrap());
                    assert_eq!(sieve.holds(0, &matcher, column, at, 0, &mut Vec::new()), Some(expected), "{matcher} {at}");
                }
            }
        }
    }
}
