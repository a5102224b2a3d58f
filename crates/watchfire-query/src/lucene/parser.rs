//! Lucene's query strings, as `query_string` reads them: `level:ERROR AND (event:a OR event:b) -host:x* status:>=500`.
//!
//! `AND`, `OR` and `NOT` make the words beside them needed, optional or forbidden, as Lucene's classic parser does; they do not bind more
//! or less strongly than each other. A query of nothing but forbidden words finds everything else.

use super::term::{fuzzy, unescaped, whole, word};
use super::{CLAUSES_MAX, NESTING_MAX, check_length, syntax};
use crate::documents::{Bound, Context, FieldNames, Filter, Range, SearchError, Test, name_problem};

type Parsed<T> = Result<T, SearchError>;

/// Reads a query. An empty one finds everything.
pub fn parse(text: &str, context: &Context) -> Result<Filter, SearchError> {
    check_length(text)?;
    if text.trim().is_empty() {
        return Ok(Filter::All);
    }
    let mut parser = Parser { text, at: 0, depth: 0, clauses: 0, context };
    let filter = parser.clauses(None)?;
    parser.space();
    if parser.peek().is_some() {
        return Err(parser.fail("a closing parenthesis without an opening one"));
    }
    Ok(filter)
}

/// Whether a clause is needed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Occur {
    Must,
    Should,
    MustNot,
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
    clauses: usize,
    context: &'a Context,
}

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or("")
    }
    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }
    fn space(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }
    fn accept(&mut self, mark: &str) -> bool {
        let found = self.rest().starts_with(mark);
        self.at += if found { mark.len() } else { 0 };
        found
    }
    /// A word of the language: upper case, with something else behind it.
    fn accept_word(&mut self, name: &str) -> bool {
        let ends = |c: char| c.is_whitespace() || matches!(c, '(' | ')' | '"');
        let found = self.rest().strip_prefix(name).is_some_and(|behind| behind.chars().next().is_none_or(ends));
        self.at += if found { name.len() } else { 0 };
        found
    }
    fn fail(&self, message: impl Into<String>) -> SearchError {
        syntax(self.text, self.at, message)
    }

    /// Clauses up to a closing parenthesis or the end; `field` is that of a group.
    fn clauses(&mut self, field: Option<&FieldNames>) -> Parsed<Filter> {
        self.depth += 1;
        if self.depth > NESTING_MAX {
            return Err(self.fail(format!("the query is nested more than {NESTING_MAX} levels deep")));
        }
        let mut clauses: Vec<(Occur, Filter)> = Vec::new();
        loop {
            self.space();
            if self.peek().is_none_or(|c| c == ')') {
                break;
            }
            let start = self.at;
            let conjunction = self.conjunction();
            if conjunction.is_some() && clauses.is_empty() {
                self.at = start;
                return Err(self.fail("an operator without anything before it"));
            }
            self.space();
            let modifier = self.modifier();
            self.space();
            if self.peek().is_none_or(|c| c == ')') {
                return Err(self.fail("something is missing behind an operator"));
            }
            self.clauses += 1;
            if self.clauses > CLAUSES_MAX {
                return Err(self.fail(format!("the query has more than {CLAUSES_MAX} conditions")));
            }
            let filter = self.clause(field)?;
            self.add(&mut clauses, conjunction, modifier, filter);
        }
        self.depth -= 1;
        Ok(combined(clauses))
    }

    /// True for `AND`, false for `OR`.
    fn conjunction(&mut self) -> Option<bool> {
        if self.accept_word("AND") || self.accept("&&") {
            Some(true)
        } else if self.accept_word("OR") || self.accept("||") {
            Some(false)
        } else {
            None
        }
    }

    fn modifier(&mut self) -> Option<Occur> {
        if self.accept("+") {
            Some(Occur::Must)
        } else if self.accept("-") || self.accept("!") || self.accept_word("NOT") {
            Some(Occur::MustNot)
        } else {
            None
        }
    }

    /// Adds a clause; what joins it to the one before may change that one, too.
    fn add(&self, clauses: &mut Vec<(Occur, Filter)>, conjunction: Option<bool>, modifier: Option<Occur>, filter: Filter) {
        if let (Some(and), Some((before, _))) = (conjunction, clauses.last_mut())
            && *before != Occur::MustNot
        {
            if and {
                *before = Occur::Must;
            } else if self.context.default_and {
                *before = Occur::Should;
            }
        }
        let occur = match modifier {
            Some(Occur::MustNot) => Occur::MustNot,
            Some(Occur::Must) => Occur::Must,
            _ if self.context.default_and => {
                if conjunction == Some(false) {
                    Occur::Should
                } else {
                    Occur::Must
                }
            }
            _ => {
                if conjunction == Some(true) {
                    Occur::Must
                } else {
                    Occur::Should
                }
            }
        };
        clauses.push((occur, filter));
    }

    fn clause(&mut self, group: Option<&FieldNames>) -> Parsed<Filter> {
        // `NOT NOT a`, `--a`: each turns it round.
        let start = self.at;
        let mut negations = 0;
        while self.modifier() == Some(Occur::MustNot) {
            negations += 1;
            self.space();
            if negations > NESTING_MAX {
                return Err(self.fail("too many negations follow each other"));
            }
        }
        if negations == 0 {
            self.at = start;
        }
        if negations % 2 == 1 {
            return self.plain_clause(group).map(Filter::negated);
        }
        self.plain_clause(group)
    }

    fn plain_clause(&mut self, group: Option<&FieldNames>) -> Parsed<Filter> {
        if let Some(name) = self.field_name() {
            if name == "_exists_" {
                self.space();
                let field = self.bare_word()?;
                return Ok(Filter::exists(&unescaped(field)));
            }
            self.space();
            if name == "*" && self.rest().starts_with('*') {
                self.at += 1;
                return Ok(Filter::All);
            }
            if let Some(problem) = name_problem(&name) {
                return Err(self.fail(problem));
            }
            let names = FieldNames::of(&name);
            return self.value(&names, Some(&name), true);
        }
        match group {
            Some(names) => self.value(names, None, true),
            None => {
                let names = FieldNames::default(self.context);
                self.value(&names, None, false)
            }
        }
    }

    /// `name:`, if it comes next.
    fn field_name(&mut self) -> Option<String> {
        let rest = self.rest();
        let mut escaped = false;
        for (at, c) in rest.char_indices() {
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                ':' if at > 0 => {
                    self.at += at + 1;
                    // Wildcards of names stay escaped or not, everything else is as written.
                    return Some(rest.get(..at).unwrap_or("").to_owned());
                }
                c if c.is_whitespace() || matches!(c, '"' | '(' | ')' | '[' | ']' | '{' | '}' | '^' | '~' | '/' | ':' | '<' | '>') => return None,
                _ => {}
            }
        }
        None
    }

    /// What a field is asked for; `named` where the query says which one, or a group around it does.
    fn value(&mut self, names: &FieldNames, name: Option<&str>, named: bool) -> Parsed<Filter> {
        let filter = match self.peek() {
            None => return Err(self.fail("a value is missing")),
            Some('(') => {
                self.at += 1;
                let inner = self.clauses(named.then_some(names))?;
                if !self.accept(")") {
                    return Err(self.fail("a closing parenthesis is missing"));
                }
                inner
            }
            Some('[' | '{') => self.range(names, name)?,
            Some('>' | '<') => self.comparison(names, name)?,
            Some('"') => self.phrase(names)?,
            Some('/') => self.regex(names)?,
            Some(_) => self.word(names)?,
        };
        self.boost()?;
        Ok(filter)
    }

    /// `^2`: conditions have no weight here.
    fn boost(&mut self) -> Parsed<()> {
        if self.accept("^") && self.number().is_none() {
            return Err(self.fail("a number is missing behind ^"));
        }
        Ok(())
    }

    fn number(&mut self) -> Option<f64> {
        let length = self.rest().bytes().take_while(|b| b.is_ascii_digit() || *b == b'.').count();
        let number = self.rest().get(..length)?.parse().ok()?;
        self.at += length;
        Some(number)
    }

    /// A text in quotes, its escapes resolved.
    fn quoted(&mut self) -> Parsed<String> {
        let start = self.at;
        self.at += 1;
        let mut out = String::new();
        while let Some(c) = self.peek() {
            self.at += c.len_utf8();
            match c {
                '"' => return Ok(out),
                '\\' => {
                    if let Some(c) = self.peek() {
                        self.at += c.len_utf8();
                        out.push(c);
                    }
                }
                c => out.push(c),
            }
        }
        self.at = start;
        Err(self.fail("quotes are not closed"))
    }

    fn phrase(&mut self, names: &FieldNames) -> Parsed<Filter> {
        let text = self.quoted()?;
        let slop = if self.accept("~") { self.number().unwrap_or(0.0) as usize } else { 0 };
        let test = Test::phrase(&text, slop, false).map_err(|message| self.fail(message))?;
        Ok(Filter::Field(names.clone(), test))
    }

    fn regex(&mut self, names: &FieldNames) -> Parsed<Filter> {
        let start = self.at;
        let inner = self.rest().get(1..).unwrap_or("");
        let mut escaped = false;
        for (at, c) in inner.char_indices() {
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '/' => {
                    let pattern = inner.get(..at).unwrap_or("").replace("\\/", "/");
                    let regex = whole(&pattern, false).map_err(|message| self.fail(message))?;
                    self.at += at + 2;
                    return Ok(Filter::Field(names.clone(), Test::Regex(regex)));
                }
                _ => {}
            }
        }
        self.at = start;
        Err(self.fail("a regular expression is not closed"))
    }

    /// Characters up to a blank or one that means something.
    fn bare_word(&mut self) -> Parsed<&'a str> {
        let rest = self.rest();
        let mut escaped = false;
        let mut length = rest.len();
        for (at, c) in rest.char_indices() {
            if escaped {
                escaped = false;
                continue;
            }
            match c {
                '\\' => escaped = true,
                c if c.is_whitespace() || matches!(c, '"' | '(' | ')' | '[' | ']' | '{' | '}' | '^' | '~' | ':') => {
                    length = at;
                    break;
                }
                _ => {}
            }
        }
        if length == 0 {
            return Err(self.fail(format!("unexpected {:?}", self.peek().unwrap_or(' '))));
        }
        self.at += length;
        Ok(rest.get(..length).unwrap_or(""))
    }

    fn word(&mut self, names: &FieldNames) -> Parsed<Filter> {
        let written = self.bare_word()?;
        if self.rest().starts_with(':') {
            return Err(self.fail("unexpected ':'; a colon within a value is written \\: or in quotes"));
        }
        if self.accept("~") {
            let distance = self.number();
            return Ok(fuzzy(names.clone(), written, distance));
        }
        word(names.clone(), written, self.context).map_err(|message| self.fail(message))
    }

    /// `>=5`, `<now-1h`
    fn comparison(&mut self, names: &FieldNames, name: Option<&str>) -> Parsed<Filter> {
        let start = self.at;
        let lower = self.accept(">");
        if !lower {
            self.accept("<");
        }
        let inclusive = self.accept("=");
        self.space();
        let text = if self.peek() == Some('"') { self.quoted()? } else { self.limit(&[])? };
        let bound = Some(Bound::new(&text, inclusive, self.context));
        let range = if lower { Range { from: bound, to: None } } else { Range { from: None, to: bound } };
        self.checked(names, name, range, start)
    }

    /// `[a TO b}`
    fn range(&mut self, names: &FieldNames, name: Option<&str>) -> Parsed<Filter> {
        let start = self.at;
        let from_inclusive = self.accept("[") || !self.accept("{");
        self.space();
        let from = self.range_end()?;
        self.space();
        if !self.accept_word("TO") {
            return Err(self.fail("TO is missing in a range"));
        }
        self.space();
        let to = self.range_end()?;
        self.space();
        let to_inclusive = self.accept("]");
        if !to_inclusive && !self.accept("}") {
            return Err(self.fail("a range is not closed"));
        }
        let bound = |text: Option<String>, inclusive| text.map(|text| Bound::new(&text, inclusive, self.context));
        let range = Range { from: bound(from, from_inclusive), to: bound(to, to_inclusive) };
        self.checked(names, name, range, start)
    }

    /// One end of a range; nothing for `*`.
    fn range_end(&mut self) -> Parsed<Option<String>> {
        if self.peek() == Some('"') {
            return self.quoted().map(Some);
        }
        let text = self.limit(&[']', '}'])?;
        Ok((text != "*").then_some(text))
    }

    /// A value up to a blank, a parenthesis or one of some characters.
    fn limit(&mut self, ends: &[char]) -> Parsed<String> {
        let rest = self.rest();
        let length = rest.find(|c: char| c.is_whitespace() || matches!(c, '(' | ')' | '"') || ends.contains(&c)).unwrap_or(rest.len());
        if length == 0 {
            return Err(self.fail("a value is missing in a range"));
        }
        self.at += length;
        Ok(unescaped(rest.get(..length).unwrap_or("")))
    }

    fn checked(&self, names: &FieldNames, name: Option<&str>, range: Range, at: usize) -> Parsed<Filter> {
        match name.and_then(|name| range.problem(name)) {
            Some(problem) => Err(syntax(self.text, at, problem)),
            None => Ok(Filter::Field(names.clone(), Test::Range(range))),
        }
    }
}

fn combined(clauses: Vec<(Occur, Filter)>) -> Filter {
    if let [(Occur::Must | Occur::Should, _)] = clauses.as_slice() {
        return clauses.into_iter().next().map_or(Filter::All, |(_, filter)| filter);
    }
    let (mut must, mut should) = (Vec::new(), Vec::new());
    for (occur, filter) in clauses {
        match occur {
            Occur::Must => must.push(filter),
            Occur::MustNot => must.push(Filter::negated(filter)),
            Occur::Should => should.push(filter),
        }
    }
    let needed = must.iter().any(|f| !matches!(f, Filter::Not(_)));
    // What is only optional beside something needed decides nothing.
    if !should.is_empty() && !needed {
        must.push(Filter::or(should));
    }
    if must.is_empty() { Filter::All } else { Filter::And(must) }
}
