//! The stage that conceals numbers of cards: digits that satisfy Luhn's formula. Which numbers are meant by them nobody knows.

use super::{Step, Surroundings, Verdict};
use crate::logs::Entry;

/// Puts a text in the place of numbers with Luhn's check digit.
#[derive(Clone, Debug)]
pub struct Luhn {
    /// What stands there afterwards.
    pub replacement: String,
    /// The extracted value to look into; the line, unless there is one.
    pub source: Option<String>,
    /// How many digits a number has at least.
    pub min_length: usize,
    /// What may stand between digits.
    pub delimiters: String,
}
impl Luhn {
    fn conceal(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(begin) = rest.find(|c: char| c.is_ascii_digit()) {
            let (plain, from) = rest.split_at(begin);
            out.push_str(plain);
            let end = from.find(|c: char| !c.is_ascii_digit() && !self.delimiters.contains(c)).unwrap_or(from.len());
            // What separates digits ends no number.
            let number = from.split_at(end).0.trim_end_matches(|c: char| !c.is_ascii_digit());
            let digits: Vec<u32> = number.chars().filter_map(|c| c.to_digit(10)).collect();
            out.push_str(if digits.len() >= self.min_length && is_checked(&digits) { &self.replacement } else { number });
            rest = from.split_at(number.len()).1;
        }
        out.push_str(rest);
        out
    }
}
impl Step for Luhn {
    fn name(&self) -> &'static str {
        "luhn"
    }
    fn apply(&self, entry: &mut Entry, _around: &Surroundings<'_>) -> Verdict {
        match &self.source {
            None => entry.line = self.conceal(&entry.line),
            Some(name) => {
                if let Some(text) = entry.text(name) {
                    entry.extracted.insert(name.clone(), serde_json::Value::String(self.conceal(&text)));
                }
            }
        }
        Verdict::Keep
    }
}

/// Whether the last digit is the check digit of those before it: every second one from the right counts twice, by the sum of its digits.
fn is_checked(digits: &[u32]) -> bool {
    let value = |(i, digit): (usize, &u32)| if i % 2 == 1 { digit * 2 / 10 + digit * 2 % 10 } else { *digit };
    digits.iter().rev().enumerate().map(value).sum::<u32>() % 10 == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_cards_are_concealed() {
        let check = |delimiters: &str, text: &str, expected: &str| {
            let stage = Luhn { replacement: "#".into(), source: None, min_length: 13, delimiters: delimiters.into() };
            assert_eq!(stage.conceal(text), expected, "{text}");
        };
        check("", "card 4539148803436467, or 4539148803436468", "card #, or 4539148803436468");
        check("", "18 4539-1488-0343-6467", "18 4539-1488-0343-6467");
        check("- ", "pay 4539-1488 0343-6467 - now", "pay # - now");
        check("", "18 26 59", "18 26 59");
        check("", "äöü4539148803436467ß", "äöü#ß");
        check("", "", "");
    }
}
