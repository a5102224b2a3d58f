//! Tokens → tree, after the grammar of Go's `text/template/parse`, with its messages. Functions are only looked up here, not called.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::error::{LineStarts, Position, Syntax};
use super::lex::{Kind, Token, tokens};
use super::number;
use super::value::Value;

/// How deep parentheses and blocks may nest.
const DEPTH_MAX: usize = 200;

/// A template's tree.
pub(super) type Body = Vec<Node>;

#[derive(Clone, Debug)]
pub(super) enum Node {
    Text(String),
    Action(Pipe),
    If(Branch),
    With(Branch),
    Range(Branch),
    Template { at: Position, name: String, pipe: Option<Pipe> },
    Break,
    Continue,
}

#[derive(Clone, Debug)]
pub(super) struct Branch {
    pub(super) pipe: Pipe,
    pub(super) body: Body,
    pub(super) otherwise: Body,
}

#[derive(Clone, Debug)]
pub(super) struct Pipe {
    pub(super) assigns: bool,
    pub(super) variables: Vec<String>,
    pub(super) commands: Vec<Command>,
}

#[derive(Clone, Debug)]
pub(super) struct Command {
    pub(super) arguments: Vec<Argument>,
}

/// One operand with its place and its text, which messages repeat.
#[derive(Clone, Debug)]
pub(super) struct Argument {
    pub(super) at: Position,
    pub(super) text: Arc<str>,
    pub(super) kind: ArgumentKind,
}

#[derive(Clone, Debug)]
pub(super) enum ArgumentKind {
    Dot,
    Nil,
    Constant(Value),
    Function(String),
    /// `.A.B`
    Field(Vec<String>),
    /// `$x.A.B`
    Variable(String, Vec<String>),
    Pipe(Box<Pipe>),
    /// `(…).A.B`
    Chain(Box<Argument>, Vec<String>),
}

/// A parsed text: its own body and what it defines.
pub(super) struct Parsed {
    pub(super) body: Body,
    pub(super) defined: BTreeMap<String, Arc<Body>>,
}

pub(super) fn parse(text: &str, is_function: &dyn Fn(&str) -> bool) -> Result<Parsed, Syntax> {
    let tokens = tokens(text)?;
    let lines = LineStarts::of(text);
    let mut parser = Parser { lines, tokens, next: 0, is_function, variables: vec!["$".to_owned()], defined: BTreeMap::new(), ranges: 0, depth: 0 };
    let (body, end) = parser.list(true)?;
    match end {
        Terminator::Eof => Ok(Parsed { body, defined: parser.defined }),
        Terminator::End(at) => Err(Syntax { at, message: "unexpected {{end}}".into() }),
        Terminator::Else(at) => Err(Syntax { at, message: "unexpected {{else}}".into() }),
    }
}

enum Terminator {
    Eof,
    End(Position),
    Else(Position),
}

struct Parser<'a> {
    lines: LineStarts,
    tokens: Vec<Token>,
    next: usize,
    is_function: &'a dyn Fn(&str) -> bool,
    variables: Vec<String>,
    defined: BTreeMap<String, Arc<Body>>,
    ranges: usize,
    depth: usize,
}

impl Parser<'_> {
    fn peek(&self) -> &Token {
        &self.tokens[self.next.min(self.tokens.len() - 1)]
    }
    fn take(&mut self) -> Token {
        let token = self.peek().clone();
        self.next += 1;
        token
    }
    fn skip_space(&mut self) {
        while self.peek().kind == Kind::Space {
            self.next += 1;
        }
    }
    fn take_word(&mut self) -> Token {
        self.skip_space();
        self.take()
    }
    fn position(&self, at: usize) -> Position {
        self.lines.position(at)
    }
    fn error<T>(&self, at: usize, message: impl Into<String>) -> Result<T, Syntax> {
        Err(Syntax { at: self.position(at), message: message.into() })
    }
    fn unexpected<T>(&self, token: &Token, context: &str) -> Result<T, Syntax> {
        self.error(token.at, format!("unexpected {} in {context}", shown(token)))
    }
    fn deeper(&mut self, at: usize) -> Result<(), Syntax> {
        self.depth += 1;
        if self.depth > DEPTH_MAX { self.error(at, "too deeply nested") } else { Ok(()) }
    }

    /// Nodes up to the action that ends them. Definitions may stand at the top only.
    fn list(&mut self, top: bool) -> Result<(Body, Terminator), Syntax> {
        let mut body = Body::new();
        loop {
            let token = self.take();
            match token.kind {
                Kind::Text => body.push(Node::Text(token.text)),
                Kind::End => return if top { Ok((body, Terminator::Eof)) } else { self.error(token.at, "unexpected EOF") },
                _ => {
                    let at = self.position(token.at);
                    if let Some(end) = self.action(&mut body, top, at)? {
                        return Ok((body, end));
                    }
                }
            }
        }
    }

    fn action(&mut self, body: &mut Body, top: bool, at: Position) -> Result<Option<Terminator>, Syntax> {
        self.skip_space();
        let token = self.peek().clone();
        if token.kind != Kind::Keyword {
            // Variables of an action live on in the list around it.
            let pipe = self.pipeline("command", Kind::Right)?;
            body.push(Node::Action(pipe));
            return Ok(None);
        }
        self.next += 1;
        match token.text.as_str() {
            "if" => {
                let branch = self.control("if", &token)?;
                body.push(Node::If(branch));
            }
            "with" => {
                let branch = self.control("with", &token)?;
                body.push(Node::With(branch));
            }
            "range" => {
                let branch = self.control("range", &token)?;
                body.push(Node::Range(branch));
            }
            "template" => body.push(self.template()?),
            "block" => body.push(self.block(&token)?),
            "define" if top => self.define(&token)?,
            "end" => {
                self.right("end")?;
                return Ok(Some(Terminator::End(at)));
            }
            "else" => {
                self.skip_space();
                if !(self.peek().kind == Kind::Keyword && matches!(self.peek().text.as_str(), "if" | "with")) {
                    self.right("else")?;
                }
                return Ok(Some(Terminator::Else(at)));
            }
            word @ ("break" | "continue") => {
                self.right(&format!("{{{{{word}}}}}"))?;
                if self.ranges == 0 {
                    return self.error(token.at, format!("{{{{{word}}}}} outside {{{{range}}}}"));
                }
                body.push(if word == "break" { Node::Break } else { Node::Continue });
            }
            _ => return self.unexpected(&token, "command"),
        }
        Ok(None)
    }

    fn right(&mut self, context: &str) -> Result<(), Syntax> {
        let token = self.take_word();
        if token.kind == Kind::Right { Ok(()) } else { self.unexpected(&token, context) }
    }

    /// What follows `if`, `with` and `range`.
    fn control(&mut self, context: &str, keyword: &Token) -> Result<Branch, Syntax> {
        self.deeper(keyword.at)?;
        let known = self.variables.len();
        let pipe = self.pipeline(context, Kind::Right)?;
        self.ranges += usize::from(context == "range");
        let (body, mut end) = self.list(false)?;
        self.ranges -= usize::from(context == "range");
        let mut otherwise = Body::new();
        if let Terminator::Else(at) = end {
            let chained = self.peek().kind == Kind::Keyword;
            let word = self.peek().text.clone();
            if chained && word == context && context != "range" {
                // `{{else if}}` is an `if` in the else part that shares the `end`.
                let token = self.take();
                let branch = self.control(context, &token)?;
                otherwise.push(if context == "if" { Node::If(branch) } else { Node::With(branch) });
                end = Terminator::End(at);
            } else if chained {
                let token = self.take();
                return self.unexpected(&token, "else");
            } else {
                (otherwise, end) = self.list(false)?;
            }
        }
        self.variables.truncate(known);
        self.depth -= 1;
        match end {
            Terminator::End(_) => Ok(Branch { pipe, body, otherwise }),
            Terminator::Else(at) => Err(Syntax { at, message: "expected end; found {{else}}".into() }),
            Terminator::Eof => self.error(keyword.at, "unexpected EOF"),
        }
    }

    fn name(&mut self, context: &str) -> Result<String, Syntax> {
        let token = self.take_word();
        match token.kind {
            Kind::Quoted | Kind::Raw => number::unquote(&token.text).map_or_else(|| self.error(token.at, "invalid syntax"), Ok),
            _ => self.unexpected(&token, context),
        }
    }

    fn template(&mut self) -> Result<Node, Syntax> {
        self.skip_space();
        let at = self.position(self.peek().at);
        let name = self.name("template clause")?;
        self.skip_space();
        let pipe = if self.peek().kind == Kind::Right {
            self.next += 1;
            None
        } else {
            Some(self.pipeline("template clause", Kind::Right)?)
        };
        Ok(Node::Template { at, name, pipe })
    }

    fn block(&mut self, keyword: &Token) -> Result<Node, Syntax> {
        self.skip_space();
        let at = self.position(self.peek().at);
        let name = self.name("block clause")?;
        let pipe = self.pipeline("block clause", Kind::Right)?;
        self.definition(&name, keyword, "block clause")?;
        Ok(Node::Template { at, name, pipe: Some(pipe) })
    }

    fn define(&mut self, keyword: &Token) -> Result<(), Syntax> {
        let name = self.name("define clause")?;
        self.right("define clause")?;
        self.definition(&name, keyword, "define clause")
    }

    /// The body of a definition, which sees none of the variables around it.
    fn definition(&mut self, name: &str, keyword: &Token, context: &str) -> Result<(), Syntax> {
        self.deeper(keyword.at)?;
        let outside = std::mem::replace(&mut self.variables, vec!["$".to_owned()]);
        let ranges = std::mem::take(&mut self.ranges);
        let (body, end) = self.list(false)?;
        (self.variables, self.ranges) = (outside, ranges);
        self.depth -= 1;
        match end {
            Terminator::End(_) => {
                let empty = body.iter().all(|n| matches!(n, Node::Text(t) if t.trim().is_empty()));
                // An empty definition does not replace one that says something.
                if !(empty && self.defined.contains_key(name)) {
                    if self.defined.get(name).is_some_and(|known| !is_blank(known)) {
                        return self.error(keyword.at, format!("template: multiple definition of template {name:?}"));
                    }
                    self.defined.insert(name.to_owned(), Arc::new(body));
                }
                Ok(())
            }
            _ => self.error(keyword.at, format!("unexpected {{{{else}}}} in {context}")),
        }
    }

    /// `$a, $b := command | command`, up to the token that ends it.
    fn pipeline(&mut self, context: &str, end: Kind) -> Result<Pipe, Syntax> {
        self.skip_space();
        let start = self.peek().at;
        self.deeper(start)?;
        let mut pipe = Pipe { assigns: false, variables: Vec::new(), commands: Vec::new() };
        self.declarations(context, &mut pipe)?;
        loop {
            self.skip_space();
            let token = self.peek().clone();
            match token.kind {
                kind if kind == end => {
                    self.next += 1;
                    self.depth -= 1;
                    return self.checked(pipe, &token, context);
                }
                Kind::Bool
                | Kind::Character
                | Kind::Dot
                | Kind::Field
                | Kind::Identifier
                | Kind::Number
                | Kind::Nil
                | Kind::Raw
                | Kind::Quoted
                | Kind::Variable
                | Kind::Open => {
                    let command = self.command()?;
                    pipe.commands.push(command);
                }
                _ => return self.unexpected(&token, context),
            }
        }
    }

    fn declarations(&mut self, context: &str, pipe: &mut Pipe) -> Result<(), Syntax> {
        loop {
            self.skip_space();
            let from = self.next;
            if self.peek().kind != Kind::Variable {
                return Ok(());
            }
            let variable = self.take();
            self.skip_space();
            match self.peek().kind {
                kind @ (Kind::Declare | Kind::Assign) => {
                    self.next += 1;
                    pipe.assigns = kind == Kind::Assign;
                    pipe.variables.push(variable.text);
                    for name in &pipe.variables {
                        if kind == Kind::Declare {
                            self.variables.push(name.clone());
                        } else if !self.variables.contains(name) {
                            return self.error(variable.at, format!("undefined variable {name:?}"));
                        }
                    }
                    return Ok(());
                }
                Kind::Comma => {
                    self.next += 1;
                    pipe.variables.push(variable.text);
                    if context != "range" || pipe.variables.len() > 1 {
                        return self.error(variable.at, format!("too many declarations in {context}"));
                    }
                }
                _ if pipe.variables.len() == 1 => return self.error(variable.at, "range can only initialize variables"),
                _ => {
                    self.next = from;
                    return Ok(());
                }
            }
        }
    }

    fn checked(&self, pipe: Pipe, end: &Token, context: &str) -> Result<Pipe, Syntax> {
        if pipe.commands.is_empty() {
            return self.error(end.at, format!("missing value for {context}"));
        }
        for (n, command) in pipe.commands.iter().enumerate().skip(1) {
            let first = &command.arguments[0];
            if matches!(first.kind, ArgumentKind::Constant(_) | ArgumentKind::Dot | ArgumentKind::Nil) {
                return Err(Syntax { at: first.at, message: format!("non executable command in pipeline stage {}", n + 1) });
            }
        }
        Ok(pipe)
    }

    /// Operands separated by blanks, up to `|` or whatever ends the pipeline, which stays.
    fn command(&mut self) -> Result<Command, Syntax> {
        let mut arguments = Vec::new();
        loop {
            self.skip_space();
            if let Some(operand) = self.operand()? {
                arguments.push(operand);
            }
            let token = self.peek().clone();
            match token.kind {
                Kind::Space => {}
                Kind::Right | Kind::Close => break,
                Kind::Pipe => {
                    self.next += 1;
                    break;
                }
                _ => return self.unexpected(&token, "operand"),
            }
        }
        if arguments.is_empty() { self.error(self.peek().at, "empty command") } else { Ok(Command { arguments }) }
    }

    /// A term and the fields that follow it without a blank.
    fn operand(&mut self) -> Result<Option<Argument>, Syntax> {
        let Some(mut term) = self.term()? else { return Ok(None) };
        if self.peek().kind != Kind::Field {
            return Ok(Some(term));
        }
        // Messages name the place where the fields begin.
        term.at = self.position(self.peek().at);
        let mut fields = Vec::new();
        while self.peek().kind == Kind::Field {
            let field = self.take();
            fields.push(field.text.trim_start_matches('.').to_owned());
        }
        let text: Arc<str> = format!("{}.{}", term.text, fields.join(".")).into();
        match &mut term.kind {
            ArgumentKind::Field(names) | ArgumentKind::Variable(_, names) => names.append(&mut fields),
            ArgumentKind::Constant(_) | ArgumentKind::Nil | ArgumentKind::Dot => {
                let shown: &str = if matches!(term.kind, ArgumentKind::Dot) { "." } else { &term.text };
                return Err(Syntax { at: term.at, message: format!("unexpected . after term {shown:?}") });
            }
            _ => {
                let at = term.at;
                return Ok(Some(Argument { at, text, kind: ArgumentKind::Chain(Box::new(term), fields) }));
            }
        }
        Ok(Some(Argument { text, ..term }))
    }

    fn term(&mut self) -> Result<Option<Argument>, Syntax> {
        let token = self.peek().clone();
        let at = self.position(token.at);
        let text = token.text.clone();
        let kind = match token.kind {
            Kind::Identifier if !(self.is_function)(&text) => return self.error(token.at, format!("function {text:?} not defined")),
            Kind::Identifier => ArgumentKind::Function(text.clone()),
            Kind::Dot => ArgumentKind::Dot,
            Kind::Nil => ArgumentKind::Nil,
            Kind::Variable if !self.variables.contains(&text) => return self.error(token.at, format!("undefined variable {text:?}")),
            Kind::Variable => ArgumentKind::Variable(text.clone(), Vec::new()),
            Kind::Field => ArgumentKind::Field(vec![text.trim_start_matches('.').to_owned()]),
            Kind::Bool => ArgumentKind::Constant(Value::Bool(text == "true")),
            Kind::Number => match number::parse(&text) {
                Some(value) => ArgumentKind::Constant(value),
                None => return self.error(token.at, format!("bad number syntax: {text:?}")),
            },
            Kind::Character => match number::character(&text) {
                Some(c) => ArgumentKind::Constant(Value::Int(i64::from(c as u32))),
                None => return self.error(token.at, format!("malformed character constant: {text}")),
            },
            Kind::Quoted | Kind::Raw => match number::unquote(&text) {
                Some(unquoted) => ArgumentKind::Constant(Value::text(unquoted)),
                None => return self.error(token.at, "invalid syntax"),
            },
            Kind::Open => {
                self.next += 1;
                let pipe = self.pipeline("parenthesized pipeline", Kind::Close)?;
                let text = format!("({pipe})").into();
                return Ok(Some(Argument { at, text, kind: ArgumentKind::Pipe(Box::new(pipe)) }));
            }
            _ => return Ok(None),
        };
        self.next += 1;
        Ok(Some(Argument { at, text: text.into(), kind }))
    }
}

fn is_blank(body: &Body) -> bool {
    body.iter().all(|n| matches!(n, Node::Text(t) if t.trim().is_empty()))
}

/// A token as messages show it: long texts are cut, keywords have their brackets.
fn shown(token: &Token) -> String {
    match token.kind {
        Kind::End => "EOF".to_owned(),
        Kind::Keyword => format!("<{}>", token.text),
        _ if token.text.chars().count() > 10 => format!("{:?}...", token.text.chars().take(10).collect::<String>()),
        _ => format!("{:?}", token.text),
    }
}

impl fmt::Display for Pipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.variables.is_empty() {
            write!(f, "{} {} ", self.variables.join(", "), if self.assigns { "=" } else { ":=" })?;
        }
        for (n, command) in self.commands.iter().enumerate() {
            f.write_str(if n == 0 { "" } else { " | " })?;
            fmt::Display::fmt(command, f)?;
        }
        Ok(())
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, argument) in self.arguments.iter().enumerate() {
            f.write_str(if n == 0 { "" } else { " " })?;
            f.write_str(&argument.text)?;
        }
        Ok(())
    }
}
