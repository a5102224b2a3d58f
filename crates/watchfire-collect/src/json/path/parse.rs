//! Texts of paths → steps. The grammar is a small one without precedence, read by hand from left to right.

use serde_json::{Number, Value};

/// The longest path.
const SOURCE_BYTES_MAX: usize = 4_096;
/// Steps and actions of one path.
const NODES_MAX: usize = 1_000;
/// Where the steps of an action end, and those of one side of a condition.
const ACTION: &str = "}";
const CONDITION: &str = ")=!<>";
/// How deep filters and ranges may stand in one another.
const DEPTH_MAX: usize = 16;

/// Why a path is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot read the JSONPath at byte {at}: {reason}")]
pub struct ParseError {
    /// Where.
    pub at: usize,
    /// Why.
    pub reason: String,
}

/// A part of a path that prints by itself.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Root {
    /// Text outside of braces.
    Text(String),
    /// Steps.
    Action(Vec<Step>),
    /// `{range …}…{end}`
    Range(Vec<Step>, Vec<Root>),
}

/// One step.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step {
    /// `.name`, `['name']`
    Field(String),
    /// `['a.b']`: the original reads it as `.a.b`. Where that leads nowhere it is one name with a dot in it.
    Quoted(Vec<Step>, String),
    /// `[*]`, `.*`
    All,
    /// `..`
    Recursive,
    /// `[1]`, `[-1]`, `[0:2]`, `[::2]`
    Slice { from: Option<i64>, to: Option<i64>, step: Option<i64>, one: bool },
    /// `['a','b']`, `[0,1]`
    Union(Vec<Vec<Step>>),
    /// `[?(…)]`
    Filter(Box<Filter>),
    /// A number, a truth value or a text that stands for itself.
    Literal(Value),
}

/// A condition on items of a list.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Filter {
    pub(super) left: Vec<Step>,
    pub(super) comparison: Option<(Comparison, Vec<Step>)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

pub(super) fn parse(text: &str) -> Result<Vec<Root>, ParseError> {
    if text.len() > SOURCE_BYTES_MAX {
        return Err(ParseError { at: SOURCE_BYTES_MAX, reason: format!("it is longer than {SOURCE_BYTES_MAX} bytes") });
    }
    let mut parser = Parser { text, at: 0, nodes: 0 };
    let roots = parser.roots(0)?;
    if parser.at < text.len() { Err(parser.wrong("{end} without {range}")) } else { Ok(roots) }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    nodes: usize,
}

impl<'a> Parser<'a> {
    fn wrong(&self, reason: impl Into<String>) -> ParseError {
        ParseError { at: self.at, reason: reason.into() }
    }
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or("")
    }
    fn eat(&mut self, word: &str) -> bool {
        let found = self.rest().starts_with(word);
        self.at += if found { word.len() } else { 0 };
        found
    }
    fn space(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }
    fn count(&mut self) -> Result<(), ParseError> {
        self.nodes += 1;
        if self.nodes > NODES_MAX { Err(self.wrong(format!("it has more than {NODES_MAX} steps"))) } else { Ok(()) }
    }

    /// Text and actions, up to the end or an `{end}` that is left where it is.
    fn roots(&mut self, depth: usize) -> Result<Vec<Root>, ParseError> {
        if depth > DEPTH_MAX {
            return Err(self.wrong("it is nested too deep"));
        }
        let mut roots = Vec::new();
        loop {
            self.count()?;
            let rest = self.rest();
            let Some(open) = rest.find('{') else {
                if !rest.is_empty() {
                    roots.push(Root::Text(rest.to_owned()));
                }
                self.at = self.text.len();
                return Ok(roots);
            };
            if let Some(before) = rest.get(..open).filter(|before| !before.is_empty()) {
                roots.push(Root::Text(before.to_owned()));
            }
            self.at += open;
            let here = self.at;
            self.at += 1;
            self.space();
            if self.keyword("end") {
                self.at = here;
                return Ok(roots);
            }
            if self.keyword("range") {
                let steps = self.steps(depth, ACTION)?;
                self.close()?;
                let body = self.roots(depth + 1)?;
                if !self.end() {
                    return Err(self.wrong("{range} without {end}"));
                }
                roots.push(Root::Range(steps, body));
            } else {
                let steps = self.steps(depth, ACTION)?;
                self.close()?;
                roots.push(Root::Action(steps));
            }
        }
    }

    fn keyword(&mut self, word: &str) -> bool {
        let after = self.rest().strip_prefix(word).and_then(|rest| rest.chars().next());
        let found = self.rest().starts_with(word) && !after.is_some_and(|c| c.is_alphanumeric() || c == '_');
        found && self.eat(word)
    }

    fn end(&mut self) -> bool {
        let here = self.at;
        if self.eat("{") {
            self.space();
            if self.keyword("end") {
                self.space();
                if self.eat("}") {
                    return true;
                }
            }
        }
        self.at = here;
        false
    }

    fn close(&mut self) -> Result<(), ParseError> {
        self.space();
        if self.eat("}") { Ok(()) } else { Err(self.wrong("} is missing")) }
    }

    /// Steps up to one of the ends. White space between steps means nothing, and `$` and `@` are wherever one stands, as there.
    fn steps(&mut self, depth: usize, ends: &str) -> Result<Vec<Step>, ParseError> {
        let mut steps = Vec::new();
        loop {
            self.space();
            self.count()?;
            let Some(first) = self.rest().chars().next() else { return Ok(steps) };
            if ends.contains(first) {
                return Ok(steps);
            }
            match first {
                '$' | '@' => self.at += 1,
                '.' => self.dotted(&mut steps, ends)?,
                '[' => steps.push(self.bracket(depth)?),
                '"' | '\'' => {
                    let text = self.quoted(first)?;
                    steps.push(Step::Literal(Value::String(text)));
                }
                _ if first.is_ascii_digit() || "+-".contains(first) => steps.push(self.number()?),
                _ if self.keyword("true") => steps.push(Step::Literal(Value::Bool(true))),
                _ if self.keyword("false") => steps.push(Step::Literal(Value::Bool(false))),
                _ => return Err(self.wrong(format!("{first:?} is not expected here"))),
            }
        }
    }

    fn dotted(&mut self, steps: &mut Vec<Step>, ends: &str) -> Result<(), ParseError> {
        self.at += 1;
        if self.eat(".") {
            steps.push(Step::Recursive);
            if self.rest().starts_with('[') || self.rest().starts_with('.') {
                return Ok(());
            }
        }
        if self.eat("*") {
            steps.push(Step::All);
            return Ok(());
        }
        // A dot alone is the value itself.
        steps.push(Step::Field(self.name(ends)));
        Ok(())
    }

    /// A name reaches to the next character that has a meaning in paths; colons, quotes and the like are parts of names.
    fn name(&mut self, ends: &str) -> String {
        let mut name = String::new();
        let mut escaped = false;
        for c in self.rest().chars() {
            if !escaped && (c.is_whitespace() || ".,[]$@{}".contains(c) || ends.contains(c)) {
                break;
            }
            self.at += c.len_utf8();
            if !escaped && c == '\\' {
                escaped = true;
            } else {
                escaped = false;
                name.push(c);
            }
        }
        name
    }

    /// What is quoted between brackets, as it stands there: dots without a backslash divide it.
    fn key(&mut self, quote: char) -> Result<Step, ParseError> {
        let begin = self.at + 1;
        let name = self.quoted(quote)?;
        let source = self.text.get(begin..self.at - 1).unwrap_or("");
        let mut parts = vec![String::new()];
        let mut chars = source.chars();
        while let Some(c) = chars.next() {
            match c {
                '.' => {
                    self.count()?;
                    parts.push(String::new());
                }
                c => parts.last_mut().into_iter().for_each(|part| part.extend(if c == '\\' { chars.next() } else { Some(c) })),
            }
        }
        if parts.len() < 2 || parts.iter().any(String::is_empty) {
            return Ok(Step::Field(name));
        }
        Ok(Step::Quoted(parts.into_iter().map(Step::Field).collect(), name))
    }

    fn quoted(&mut self, quote: char) -> Result<String, ParseError> {
        self.at += 1;
        let mut text = String::new();
        let mut chars = self.rest().char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '\\' => match chars.next() {
                    Some((_, 'n')) => text.push('\n'),
                    Some((_, 't')) => text.push('\t'),
                    Some((_, 'r')) => text.push('\r'),
                    Some((_, other)) => text.push(other),
                    None => break,
                },
                c if c == quote => {
                    self.at += at + 1;
                    return Ok(text);
                }
                c => text.push(c),
            }
        }
        Err(self.wrong("a quoted text does not end"))
    }

    fn number(&mut self) -> Result<Step, ParseError> {
        let length = self.rest().find(|c: char| !(c.is_ascii_digit() || "+-.eE".contains(c))).unwrap_or(self.rest().len());
        let text = self.rest().get(..length).unwrap_or("");
        let number = text.parse().ok().and_then(Number::from_f64).ok_or_else(|| self.wrong(format!("{text:?} is no number")))?;
        self.at += length;
        Ok(Step::Literal(Value::Number(number)))
    }

    fn bracket(&mut self, depth: usize) -> Result<Step, ParseError> {
        if depth > DEPTH_MAX {
            return Err(self.wrong("it is nested too deep"));
        }
        self.at += 1;
        self.space();
        if self.eat("?(") {
            return self.filter(depth);
        }
        let mut parts = vec![self.part()?];
        loop {
            self.space();
            if self.eat("]") {
                break;
            }
            if !self.eat(",") {
                return Err(self.wrong("] is missing"));
            }
            self.count()?;
            self.space();
            parts.push(self.part()?);
        }
        match parts.pop() {
            Some(only) if parts.is_empty() => Ok(only),
            Some(last) => {
                parts.push(last);
                Ok(Step::Union(parts.into_iter().map(|part| vec![part]).collect()))
            }
            None => Err(self.wrong("a bracket is empty")),
        }
    }

    /// One of the things that may stand between brackets.
    fn part(&mut self) -> Result<Step, ParseError> {
        match self.rest().chars().next() {
            Some('*') => {
                self.at += 1;
                Ok(Step::All)
            }
            Some(quote @ ('"' | '\'')) => self.key(quote),
            // Nothing is the first.
            Some(']') => Ok(Step::Slice { from: None, to: None, step: None, one: true }),
            Some(c) if c.is_ascii_digit() || "-:".contains(c) => self.slice(),
            _ => Err(self.wrong("a number, a quoted name, * or ?() is missing")),
        }
    }

    fn slice(&mut self) -> Result<Step, ParseError> {
        let from = self.integer()?;
        if !self.eat(":") {
            return Ok(Step::Slice { from, to: None, step: None, one: true });
        }
        let to = self.integer()?;
        let step = if self.eat(":") { self.integer()? } else { None };
        if step.is_some_and(|step| step <= 0) {
            return Err(self.wrong("a step must be more than 0"));
        }
        Ok(Step::Slice { from, to, step, one: false })
    }

    fn integer(&mut self) -> Result<Option<i64>, ParseError> {
        let length = self.rest().find(|c: char| !(c.is_ascii_digit() || c == '-')).unwrap_or(self.rest().len());
        let text = self.rest().get(..length).unwrap_or("");
        if text.is_empty() {
            return Ok(None);
        }
        let number = text.parse().map_err(|_| self.wrong(format!("{text:?} is no whole number")))?;
        self.at += length;
        Ok(Some(number))
    }

    fn filter(&mut self, depth: usize) -> Result<Step, ParseError> {
        self.space();
        let left = self.operand(depth)?;
        self.space();
        const OPERATORS: [(&str, Comparison); 6] = [
            ("==", Comparison::Equal),
            ("!=", Comparison::NotEqual),
            ("<=", Comparison::LessOrEqual),
            (">=", Comparison::GreaterOrEqual),
            ("<", Comparison::Less),
            (">", Comparison::Greater),
        ];
        let operator = OPERATORS.iter().find(|(text, _)| self.rest().starts_with(text)).map(|(text, operator)| (text.len(), *operator));
        let comparison = match operator {
            None => None,
            Some((length, operator)) => {
                self.at += length;
                self.space();
                Some((operator, self.operand(depth)?))
            }
        };
        self.space();
        if !self.eat(")") {
            return Err(self.wrong(") is missing"));
        }
        self.space();
        if !self.eat("]") {
            return Err(self.wrong("] is missing"));
        }
        Ok(Step::Filter(Box::new(Filter { left, comparison })))
    }

    fn operand(&mut self, depth: usize) -> Result<Vec<Step>, ParseError> {
        let begin = self.at;
        let steps = self.steps(depth + 1, CONDITION)?;
        // `@` alone is the item.
        let said = !steps.is_empty() || self.text.get(begin..self.at).is_some_and(|text| text.contains(['@', '$']));
        if said { Ok(steps) } else { Err(self.wrong("a side of a condition is missing")) }
    }
}
