//! `simple_query_string`: `"front door" +(camera | lens) -test`. It fails only where it is too large; what means nothing is a word, and no
//! words find nothing.

use super::term::{fuzzy, unescaped};
use super::{CLAUSES_MAX, NESTING_MAX};
use crate::documents::{Context, FieldNames, Filter, Test, Words};

/// Reads a query. The error, a sentence without a place, is that it has too many conditions or words.
pub fn parse(text: &str, context: &Context) -> Result<Filter, String> {
    let mut parser = Parser { chars: text.chars().collect(), at: 0, depth: 0, clauses: 0, failed: None, context };
    let filter = parser.or();
    parser.failed.map_or(Ok(filter), Err)
}

struct Parser<'a> {
    chars: Vec<char>,
    at: usize,
    depth: usize,
    clauses: usize,
    /// Why reading ended early.
    failed: Option<String>,
    context: &'a Context,
}

impl Parser<'_> {
    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }
    fn space(&mut self) {
        while self.peek().is_some_and(char::is_whitespace) {
            self.at += 1;
        }
    }

    /// Ends reading for good.
    fn fail(&mut self, message: String) {
        self.at = self.chars.len();
        self.failed.get_or_insert(message);
    }

    /// A condition on the default fields.
    fn condition(&mut self, names: FieldNames, test: Result<Test, String>) -> Filter {
        match test {
            Ok(test) => Filter::Field(names, test),
            Err(message) => {
                self.fail(message);
                Filter::None
            }
        }
    }

    /// Parts with `|` between them; parts with `+` or, by default, nothing between them.
    fn or(&mut self) -> Filter {
        self.depth += 1;
        let mut any: Vec<Filter> = Vec::new();
        let mut all: Vec<Filter> = Vec::new();
        let mut joins = self.context.default_and;
        loop {
            self.space();
            match self.peek() {
                None => break,
                Some(')') => {
                    if self.depth > 1 {
                        break;
                    }
                    self.at += 1;
                }
                Some('|') => {
                    self.at += 1;
                    any.extend(joined(std::mem::take(&mut all)));
                    joins = self.context.default_and;
                }
                Some('+') => {
                    self.at += 1;
                    joins = true;
                }
                Some(_) => {
                    let Some(unit) = self.unit() else { continue };
                    if !joins && !all.is_empty() {
                        any.extend(joined(std::mem::take(&mut all)));
                    }
                    all.push(unit);
                    joins = self.context.default_and;
                }
            }
        }
        self.depth -= 1;
        any.extend(joined(all));
        match any.len() {
            0 => Filter::None,
            1 => any.remove(0),
            _ => Filter::or(any),
        }
    }

    fn unit(&mut self) -> Option<Filter> {
        let mark = self.peek()?;
        self.clauses += 1;
        if self.clauses > CLAUSES_MAX {
            self.fail(format!("the query has more than {CLAUSES_MAX} conditions"));
            return None;
        }
        let names = FieldNames::default(self.context);
        match mark {
            '-' => {
                self.at += 1;
                self.space();
                self.depth += 1;
                let inner = if self.depth > NESTING_MAX { None } else { self.unit() };
                self.depth -= 1;
                inner.map(Filter::negated)
            }
            '(' => {
                self.at += 1;
                if self.depth > NESTING_MAX {
                    return None;
                }
                let inner = self.or();
                self.at += usize::from(self.peek() == Some(')'));
                Some(inner)
            }
            '"' => {
                self.at += 1;
                let start = self.at;
                while self.peek().is_some_and(|c| c != '"') {
                    self.at += if self.peek() == Some('\\') { 2 } else { 1 };
                }
                let text: String = self.chars.get(start..self.at.min(self.chars.len())).unwrap_or(&[]).iter().collect();
                self.at += 1;
                let slop = self.distance().map_or(0, |d| d.unwrap_or(0.0) as usize);
                Some(self.condition(names, Test::phrase(&unescaped(&text), slop, false)))
            }
            ')' | '|' | '+' => None,
            _ => Some(self.word(names)),
        }
    }

    /// `~2`, if it comes next.
    fn distance(&mut self) -> Option<Option<f64>> {
        if self.peek() != Some('~') {
            return None;
        }
        self.at += 1;
        let start = self.at;
        while self.peek().is_some_and(|c| c.is_ascii_digit()) {
            self.at += 1;
        }
        let digits: String = self.chars.get(start..self.at).unwrap_or(&[]).iter().collect();
        Some(digits.parse().ok())
    }

    fn word(&mut self, names: FieldNames) -> Filter {
        let start = self.at;
        while self.peek().is_some_and(|c| !c.is_whitespace() && !matches!(c, '"' | '(' | ')' | '|' | '+' | '~')) {
            self.at += if self.peek() == Some('\\') { 2 } else { 1 };
        }
        // A mark that means nothing here is taken as it is.
        self.at = self.at.max(start + 1).min(self.chars.len());
        let written: String = self.chars.get(start..self.at).unwrap_or(&[]).iter().collect();
        if let Some(distance) = self.distance() {
            return fuzzy(names, &written, distance);
        }
        match written.strip_suffix('*').filter(|w| !w.is_empty() && !w.ends_with('\\')) {
            Some(beginning) => Filter::Field(names, Test::prefix(unescaped(beginning), true)),
            None if written == "*" => Filter::All,
            None => self.condition(names, Test::words(&unescaped(&written), Words::All)),
        }
    }
}

fn joined(mut all: Vec<Filter>) -> Option<Filter> {
    match all.len() {
        0 => None,
        1 => all.pop(),
        _ => Some(Filter::And(all)),
    }
}
