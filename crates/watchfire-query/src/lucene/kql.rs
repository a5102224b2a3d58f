//! Kibana's KQL: `level: "ERROR" and not (host: web* or status >= 500)`. Words without quotes are looked for one by one, words in
//! quotes as they stand; `and` binds more strongly than `or`; keywords in any case.

use super::term::{has_wildcards, unescaped};
use super::{CLAUSES_MAX, NESTING_MAX, check_length, syntax};
use crate::documents::analysis::{Glob, all_words};
use crate::documents::{Bound, Context, FieldNames, Filter, Range, SearchError, Test, Words, name_problem};

type Parsed<T> = Result<T, SearchError>;

/// Reads a query. An empty one finds everything.
pub fn parse(text: &str, context: &Context) -> Result<Filter, SearchError> {
    check_length(text)?;
    let mut parser = Parser { text, at: 0, depth: 0, clauses: 0, context };
    parser.space();
    if parser.rest().is_empty() {
        return Ok(Filter::All);
    }
    let filter = parser.or(&Scope::default())?;
    parser.space();
    if !parser.rest().is_empty() {
        return Err(parser.fail(format!("unexpected {:?}, expecting and, or, or the end", parser.rest().chars().next().unwrap_or(' '))));
    }
    Ok(filter)
}

/// Where a part of a query stands.
#[derive(Clone, Default)]
struct Scope {
    /// The field of a list of values.
    field: Option<FieldNames>,
    /// What stands before the names of fields within `{}`.
    prefix: String,
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
    clauses: usize,
    context: &'a Context,
}

/// A value as it was written.
enum Literal {
    Quoted(String),
    Plain(String),
}

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or("")
    }
    fn space(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }
    fn accept(&mut self, mark: &str) -> bool {
        let found = self.rest().starts_with(mark);
        self.at += if found { mark.len() } else { 0 };
        found
    }
    fn keyword(&self, at: &str) -> Option<&'static str> {
        ["and", "or", "not"].into_iter().find(|word| {
            let begins = at.get(..word.len()).is_some_and(|t| t.eq_ignore_ascii_case(word));
            begins && at.get(word.len()..).and_then(|t| t.chars().next()).is_none_or(|c| c.is_whitespace() || matches!(c, '(' | ')' | '"' | '{' | '}'))
        })
    }
    fn accept_keyword(&mut self, word: &str) -> bool {
        let found = self.keyword(self.rest()) == Some(word);
        self.at += if found { word.len() } else { 0 };
        found
    }
    fn fail(&self, message: impl Into<String>) -> SearchError {
        syntax(self.text, self.at, message)
    }

    fn or(&mut self, scope: &Scope) -> Parsed<Filter> {
        self.depth += 1;
        if self.depth > NESTING_MAX {
            return Err(self.fail(format!("the query is nested more than {NESTING_MAX} levels deep")));
        }
        let mut all = vec![self.and(scope)?];
        loop {
            self.space();
            if !self.accept_keyword("or") {
                break;
            }
            all.push(self.and(scope)?);
        }
        self.depth -= 1;
        Ok(if all.len() == 1 { all.remove(0) } else { Filter::or(all) })
    }

    fn and(&mut self, scope: &Scope) -> Parsed<Filter> {
        let mut all = vec![self.not(scope)?];
        loop {
            self.space();
            if !self.accept_keyword("and") {
                break;
            }
            all.push(self.not(scope)?);
        }
        Ok(if all.len() == 1 { all.remove(0) } else { Filter::And(all) })
    }

    fn not(&mut self, scope: &Scope) -> Parsed<Filter> {
        self.space();
        let mut negative = false;
        while self.accept_keyword("not") {
            negative = !negative;
            self.space();
        }
        let filter = self.unit(scope)?;
        Ok(if negative { Filter::negated(filter) } else { filter })
    }

    fn unit(&mut self, scope: &Scope) -> Parsed<Filter> {
        self.clauses += 1;
        if self.clauses > CLAUSES_MAX {
            return Err(self.fail(format!("the query has more than {CLAUSES_MAX} conditions")));
        }
        if self.accept("(") {
            let inner = self.or(scope)?;
            self.space();
            return if self.accept(")") { Ok(inner) } else { Err(self.fail("a closing parenthesis is missing")) };
        }
        if let Some(names) = &scope.field {
            let literal = self.literal()?;
            return self.value(names.clone(), literal);
        }
        let literal = self.literal()?;
        self.space();
        let name = || match &literal {
            Literal::Quoted(text) | Literal::Plain(text) => format!("{}{text}", scope.prefix),
        };
        let checked = |parser: &Self, name: String| match name_problem(&name) {
            Some(problem) => Err(parser.fail(problem)),
            None => Ok(name),
        };
        for (mark, lower, inclusive) in [("<=", false, true), (">=", true, true), ("<", false, false), (">", true, false)] {
            if self.accept(mark) {
                let name = checked(self, name())?;
                return self.comparison(&name, lower, inclusive);
            }
        }
        if !self.accept(":") {
            let names = FieldNames::default(self.context);
            return self.value(names, literal);
        }
        let name = checked(self, name())?;
        self.space();
        if self.accept("{") {
            let inner = self.or(&Scope { field: None, prefix: format!("{name}.") })?;
            self.space();
            return if self.accept("}") { Ok(inner) } else { Err(self.fail("a closing brace is missing")) };
        }
        // Lucene's `status:>=500` is meant as it is there.
        for (mark, lower, inclusive) in [("<=", false, true), (">=", true, true), ("<", false, false), (">", true, false)] {
            if self.accept(mark) {
                return self.comparison(&name, lower, inclusive);
            }
        }
        let names = FieldNames::of(&name);
        if self.accept("(") {
            let inner = self.or(&Scope { field: Some(names), prefix: scope.prefix.clone() })?;
            self.space();
            return if self.accept(")") { Ok(inner) } else { Err(self.fail("a closing parenthesis is missing")) };
        }
        let literal = self.literal()?;
        self.value(names, literal)
    }

    fn value(&self, names: FieldNames, literal: Literal) -> Parsed<Filter> {
        value(names, literal).map_err(|message| self.fail(message))
    }

    fn comparison(&mut self, name: &str, lower: bool, inclusive: bool) -> Parsed<Filter> {
        self.space();
        let start = self.at;
        let text = match self.literal()? {
            Literal::Quoted(text) => text,
            Literal::Plain(text) => unescaped(&text),
        };
        let bound = Some(Bound::new(&text, inclusive, self.context));
        let range = if lower { Range { from: bound, to: None } } else { Range { from: None, to: bound } };
        match range.problem(name) {
            Some(problem) => Err(syntax(self.text, start, problem)),
            None => Ok(Filter::Field(FieldNames::of(name), Test::Range(range))),
        }
    }

    fn literal(&mut self) -> Parsed<Literal> {
        self.space();
        let start = self.at;
        if self.accept("\"") {
            let mut out = String::new();
            while let Some(c) = self.rest().chars().next() {
                self.at += c.len_utf8();
                match c {
                    '"' => return Ok(Literal::Quoted(out)),
                    '\\' => {
                        if let Some(c) = self.rest().chars().next() {
                            self.at += c.len_utf8();
                            out.push(match c {
                                'n' => '\n',
                                't' => '\t',
                                'r' => '\r',
                                c => c,
                            });
                        }
                    }
                    c => out.push(c),
                }
            }
            self.at = start;
            return Err(self.fail("quotes are not closed"));
        }
        let length = self.plain_length();
        let text = self.rest().get(..length).unwrap_or("").trim_end();
        if text.is_empty() {
            return Err(self.fail("a field or a value is missing"));
        }
        self.at += text.len();
        Ok(Literal::Plain(text.to_owned()))
    }

    /// The bytes of words without quotes, up to a keyword or a character that means something.
    fn plain_length(&self) -> usize {
        let rest = self.rest();
        let mut escaped = false;
        let mut before = ' ';
        for (at, c) in rest.char_indices() {
            if escaped {
                escaped = false;
            } else if c == '\\' {
                escaped = true;
            } else if matches!(c, '(' | ')' | ':' | '<' | '>' | '"' | '{' | '}')
                || (before.is_whitespace() && self.keyword(rest.get(at..).unwrap_or("")).is_some())
            {
                return at;
            }
            before = c;
        }
        rest.len()
    }
}

/// A value that a field should have. The error is a sentence without a place.
fn value(names: FieldNames, literal: Literal) -> Result<Filter, String> {
    let test = match literal {
        Literal::Quoted(text) => Test::phrase(&text, 0, false)?,
        Literal::Plain(text) if has_wildcards(&text) => {
            let glob = Glob::new(&text);
            match names {
                FieldNames::One(name) if glob.is_any() => return Ok(Filter::exists(&name)),
                _ if glob.is_any() => Test::Exists,
                _ => Test::Wildcard { glob, folds: true },
            }
        }
        Literal::Plain(text) => return plain(names, &unescaped(&text)),
    };
    Ok(Filter::Field(names, test))
}

/// Words without quotes, of which one is enough. What has no blank in it is meant as it stands, though it be several words: `web-01`.
fn plain(names: FieldNames, text: &str) -> Result<Filter, String> {
    let pieces: Vec<&str> = text.split_whitespace().collect();
    if pieces.iter().all(|piece| all_words(piece).len() <= 1) {
        let test = match Test::words(text, Words::Any)? {
            // Marks alone are no words, but a value all the same.
            Test::Words { words, .. } if words.is_empty() => Test::term(text.to_owned(), false),
            words => words,
        };
        return Ok(Filter::Field(names, test));
    }
    let mut all = pieces.iter().map(|piece| Ok(Filter::Field(names.clone(), Test::phrase(piece, 0, false)?))).collect::<Result<Vec<_>, String>>()?;
    if pieces.len() > 1 {
        // A value may be the whole text.
        all.push(Filter::Field(names, Test::term(text.to_owned(), false)));
    }
    Ok(match all.pop() {
        Some(only) if all.is_empty() => only,
        Some(last) => {
            all.push(last);
            Filter::or(all)
        }
        None => Filter::None,
    })
}
