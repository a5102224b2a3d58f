//! Carries a tree out over data. Bounded: it stops at so many steps, so much text, so deep a recursion, which `limits` counts.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::error::{Position, TemplateError};
use super::functions::{Function, Kind};
use super::limits::{Meter, Reached};
use super::parse::{Argument, ArgumentKind, Body, Branch, Command, Node, Pipe};
use super::value::Value;
use super::{Definition, Templates, html, methods, print};

/// Bytes of the text of one template.
const OUTPUT_BYTES_MAX: usize = 4 << 20;

/// How values stand in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As they are.
    Plain,
    /// Escaped for HTML.
    Html,
}

pub(super) struct Execution<'a> {
    pub(super) templates: &'a Templates,
    pub(super) form: Form,
    pub(super) out: String,
    meter: Meter,
    /// The operand that was looked at last, which messages name.
    seen: (Position, Arc<str>),
}

/// Why a list of nodes ended.
enum Flow {
    On,
    Break,
    Continue,
}

/// One template that is being carried out.
struct Frame<'a> {
    name: &'a str,
    parsed: &'a str,
    variables: Vec<(String, Value)>,
}

type Outcome<T> = Result<T, TemplateError>;

impl<'a> Execution<'a> {
    pub(super) fn new(templates: &'a Templates, form: Form) -> Execution<'a> {
        Execution { templates, form, out: String::new(), meter: Meter::default(), seen: (Position { line: 1, column: 0 }, "".into()) }
    }

    pub(super) fn template(&mut self, name: &str, data: Value) -> Outcome<()> {
        let templates = self.templates;
        let Some(Definition { body, parsed }) = templates.definitions.get(name) else {
            return Err(TemplateError::Unknown { name: name.to_owned(), within: templates.name.clone() });
        };
        self.body(name, parsed, body, data)
    }

    /// The steps that were taken.
    pub(super) fn steps(&self) -> u64 {
        self.meter.steps
    }

    fn body(&mut self, name: &str, parsed: &str, body: &Arc<Body>, data: Value) -> Outcome<()> {
        let mut frame = Frame { name, parsed, variables: vec![("$".to_owned(), data.clone())] };
        self.list(&mut frame, body, &data).map(drop)
    }

    fn step(&mut self, frame: &Frame<'_>) -> Outcome<()> {
        self.meter.step().map_err(|reason| limit(frame, reason))
    }

    /// Puts a text behind what was written so far.
    fn push(&mut self, frame: &Frame<'_>, text: &str) -> Outcome<()> {
        self.meter.bytes(text.len()).map_err(|reason| limit(frame, reason))?;
        if self.out.len() + text.len() > OUTPUT_BYTES_MAX {
            return Err(limit(frame, "it writes too much"));
        }
        self.out.push_str(text);
        Ok(())
    }

    /// A list of nodes, which is a level of its own.
    fn list(&mut self, frame: &mut Frame<'_>, body: &Body, dot: &Value) -> Outcome<Flow> {
        self.meter.enter().map_err(|reason| limit(frame, reason))?;
        let flow = self.nodes(frame, body, dot);
        self.meter.leave();
        flow
    }

    fn nodes(&mut self, frame: &mut Frame<'_>, body: &Body, dot: &Value) -> Outcome<Flow> {
        for node in body {
            self.step(frame)?;
            let flow = match node {
                Node::Text(text) => {
                    self.push(frame, text)?;
                    Flow::On
                }
                Node::Action(pipe) => {
                    let value = self.pipe(frame, pipe, dot)?;
                    if pipe.variables.is_empty() {
                        self.write(frame, &value)?;
                    }
                    Flow::On
                }
                Node::If(branch) => self.branch(frame, branch, dot, false)?,
                Node::With(branch) => self.branch(frame, branch, dot, true)?,
                Node::Range(branch) => self.range(frame, branch, dot)?,
                Node::Template { at, name, pipe } => {
                    let data = pipe.as_ref().map_or(Ok(Value::Nil), |pipe| self.pipe(frame, pipe, dot))?;
                    let templates = self.templates;
                    let Some(Definition { body, parsed }) = templates.definitions.get(name) else {
                        let node = format!("{{{{template {name:?}{}}}}}", pipe.as_ref().map(|p| format!(" {p}")).unwrap_or_default());
                        return Err(failed(frame, *at, &node, format!("template {name:?} not defined")));
                    };
                    self.body(name, parsed, body, data)?;
                    Flow::On
                }
                Node::Break => Flow::Break,
                Node::Continue => Flow::Continue,
            };
            if !matches!(flow, Flow::On) {
                return Ok(flow);
            }
        }
        Ok(Flow::On)
    }

    fn write(&mut self, frame: &Frame<'_>, value: &Value) -> Outcome<()> {
        let text = print::action(value);
        match (self.form, value) {
            (Form::Html, Value::Html(_)) | (Form::Plain, _) => self.push(frame, &text),
            (Form::Html, _) => {
                let placed = html::place(&self.out, &text);
                self.push(frame, &placed)
            }
        }
    }

    fn branch(&mut self, frame: &mut Frame<'_>, branch: &Branch, dot: &Value, with: bool) -> Outcome<Flow> {
        let known = frame.variables.len();
        let value = self.pipe(frame, &branch.pipe, dot)?;
        let flow = match value.is_true() {
            true => self.list(frame, &branch.body, if with { &value } else { dot }),
            false => self.list(frame, &branch.otherwise, dot),
        };
        frame.variables.truncate(known);
        flow
    }

    fn range(&mut self, frame: &mut Frame<'_>, branch: &Branch, dot: &Value) -> Outcome<Flow> {
        let known = frame.variables.len();
        let value = self.pipe(frame, &branch.pipe, dot)?;
        let mut items: Box<dyn Iterator<Item = (Value, Value)>> = match &value {
            Value::List(list) => Box::new(list.items.iter().enumerate().map(|(n, item)| (Value::Int(n as i64), item.clone()))),
            Value::Map(map) => Box::new(map.entries.iter().map(|(name, item)| (Value::text(name), item.clone()))),
            Value::Int(count) => Box::new((0..*count).map(|n| (Value::Int(n), Value::Int(n)))),
            Value::Nil => Box::new(std::iter::empty()),
            other => {
                let message = format!("range can't iterate over {}", print::print(other));
                return Err(failed(frame, self.seen.0, &self.seen.1, message));
            }
        };
        let mut any = false;
        let inner = frame.variables.len();
        for (key, item) in items.by_ref() {
            any = true;
            self.step(frame)?;
            match branch.pipe.variables.as_slice() {
                [] => {}
                [only] => set(frame, &branch.pipe, only, item.clone()),
                [first, second, ..] => {
                    set(frame, &branch.pipe, first, key);
                    set(frame, &branch.pipe, second, item.clone());
                }
            }
            let flow = self.list(frame, &branch.body, &item)?;
            frame.variables.truncate(inner);
            if matches!(flow, Flow::Break) {
                break;
            }
        }
        let flow = if any { Ok(Flow::On) } else { self.list(frame, &branch.otherwise, dot) };
        frame.variables.truncate(known);
        flow
    }

    fn pipe(&mut self, frame: &mut Frame<'_>, pipe: &Pipe, dot: &Value) -> Outcome<Value> {
        self.meter.enter().map_err(|reason| limit(frame, reason))?;
        let value = self.commands(frame, pipe, dot);
        self.meter.leave();
        let value = value?;
        // The variables of a `range` are set for each element.
        for name in pipe.variables.iter().take(usize::from(pipe.variables.len() == 1)) {
            set(frame, pipe, name, value.clone());
        }
        Ok(value)
    }

    /// Each command gets what the one before it gave.
    fn commands(&mut self, frame: &mut Frame<'_>, pipe: &Pipe, dot: &Value) -> Outcome<Value> {
        let mut value = None;
        for command in &pipe.commands {
            value = Some(self.command(frame, command, dot, value)?);
        }
        Ok(value.unwrap_or(Value::Nil))
    }

    fn command(&mut self, frame: &mut Frame<'_>, command: &Command, dot: &Value, last: Option<Value>) -> Outcome<Value> {
        self.step(frame)?;
        let (first, rest) = command.arguments.split_first().map_or((None, &[][..]), |(f, r)| (Some(f), r));
        let Some(first) = first else { return Ok(Value::Nil) };
        self.seen = (first.at, first.text.clone());
        match &first.kind {
            ArgumentKind::Function(name) => return self.function(frame, first, command, name, rest, dot, last),
            ArgumentKind::Field(names) => return self.fields(frame, first, dot.clone(), names, rest, dot, last),
            ArgumentKind::Chain(inner, names) => {
                let value = self.argument(frame, inner, dot)?;
                return self.fields(frame, first, value, names, rest, dot, last);
            }
            ArgumentKind::Variable(name, names) if !names.is_empty() => {
                let value = variable(frame, name);
                return self.fields(frame, first, value, names, rest, dot, last);
            }
            _ => {}
        }
        if !rest.is_empty() || last.is_some() {
            return Err(failed(frame, first.at, &first.text, format!("can't give argument to non-function {}", first.text)));
        }
        if matches!(first.kind, ArgumentKind::Nil) {
            return Err(failed(frame, first.at, "nil", "nil is not a command".into()));
        }
        self.argument(frame, first, dot)
    }

    /// An operand that is no call with arguments.
    fn argument(&mut self, frame: &mut Frame<'_>, argument: &Argument, dot: &Value) -> Outcome<Value> {
        self.seen = (argument.at, argument.text.clone());
        match &argument.kind {
            ArgumentKind::Dot => Ok(dot.clone()),
            ArgumentKind::Nil => Ok(Value::Nil),
            ArgumentKind::Constant(value) => Ok(value.clone()),
            ArgumentKind::Function(name) => self.function(frame, argument, &argument.text, name, &[], dot, None),
            ArgumentKind::Field(names) => self.fields(frame, argument, dot.clone(), names, &[], dot, None),
            ArgumentKind::Variable(name, names) => {
                let value = variable(frame, name);
                self.fields(frame, argument, value, names, &[], dot, None)
            }
            ArgumentKind::Pipe(pipe) => self.pipe(frame, pipe, dot),
            ArgumentKind::Chain(inner, names) => {
                let value = self.argument(frame, inner, dot)?;
                self.fields(frame, argument, value, names, &[], dot, None)
            }
        }
    }

    /// Follows fields; only the last one takes arguments.
    #[expect(clippy::too_many_arguments, reason = "what a chain of fields is evaluated with; a struct would only rename them")]
    fn fields(
        &mut self,
        frame: &mut Frame<'_>,
        at: &Argument,
        mut value: Value,
        names: &[String],
        rest: &[Argument],
        dot: &Value,
        last: Option<Value>,
    ) -> Outcome<Value> {
        for (n, name) in names.iter().enumerate() {
            let mut arguments = Vec::new();
            if n + 1 == names.len() {
                for argument in rest {
                    arguments.push(self.argument(frame, argument, dot)?);
                }
                arguments.extend(last.clone());
            }
            value = match methods::get(&value, name, &arguments) {
                Some(Ok(found)) => {
                    if methods::makes(&value, name) {
                        self.meter.listed(&found).map_err(|reason| limit(frame, reason))?;
                    }
                    found
                }
                Some(Err(message)) => return Err(failed(frame, at.at, &at.text, message)),
                None => {
                    let message = match &value {
                        Value::Nil => format!("nil data; no entry for key {name:?}"),
                        other => format!("can't evaluate field {name} in type {}", other.type_name()),
                    };
                    return Err(match at.kind {
                        ArgumentKind::Chain(..) => failed(frame, self.seen.0, &self.seen.1, message),
                        _ => failed(frame, at.at, &at.text, message),
                    });
                }
            };
        }
        Ok(value)
    }

    /// Calls a function; `call` is the text of the whole command.
    #[expect(clippy::too_many_arguments, reason = "what a call is made of; a struct would only rename them")]
    fn function(
        &mut self,
        frame: &mut Frame<'_>,
        at: &Argument,
        call: &dyn fmt::Display,
        name: &str,
        rest: &[Argument],
        dot: &Value,
        last: Option<Value>,
    ) -> Outcome<Value> {
        if matches!(name, "and" | "or") {
            return self.shortcut(frame, at, name == "and", rest, dot, last);
        }
        let templates = self.templates;
        let Some(function) = templates.functions.get(name) else {
            return Err(failed(frame, at.at, &at.text, format!("{name:?} is not a defined function")));
        };
        let given = rest.len() + usize::from(last.is_some());
        check_count(function, name, given).map_err(|message| failed(frame, at.at, &at.text, message))?;
        let mut arguments = Vec::with_capacity(given);
        for (n, argument) in rest.iter().enumerate() {
            let value = self.argument(frame, argument, dot)?;
            arguments.push(fit(function, n, value, written(argument)).map_err(|message| failed(frame, argument.at, &argument.text, message))?);
        }
        if let Some(last) = last {
            arguments.push(fit(function, rest.len(), last, None).map_err(|message| failed(frame, at.at, &at.text, message))?);
        }
        if name == "tmpl" {
            return self.nested(frame, at, &arguments);
        }
        self.meter.read(&arguments).map_err(|reason| limit(frame, reason))?;
        let value = (function.run)(&arguments).map_err(|message| failed(frame, at.at, &call.to_string(), format!("error calling {name}: {message}")))?;
        // These give one of their arguments or a part of it.
        if !matches!(name, "index" | "default") {
            self.meter.made(&value).map_err(|reason| limit(frame, reason))?;
        }
        Ok(value)
    }

    /// `tmpl "name" data`: the text of another template as a value.
    fn nested(&mut self, frame: &Frame<'_>, at: &Argument, arguments: &[Value]) -> Outcome<Value> {
        let name = super::functions::text(arguments, 0);
        let outside = std::mem::take(&mut self.out);
        let outcome = self.template(name, arguments.get(1).cloned().unwrap_or(Value::Nil));
        let text = std::mem::replace(&mut self.out, outside);
        match outcome {
            Ok(()) => Ok(Value::Html(text.into())),
            Err(limit @ TemplateError::Limit { .. }) => Err(limit),
            Err(error) => Err(failed(frame, at.at, &at.text, format!("error calling tmpl: {error}"))),
        }
    }

    /// `and` and `or` look at no more arguments than they need.
    fn shortcut(&mut self, frame: &mut Frame<'_>, at: &Argument, and: bool, rest: &[Argument], dot: &Value, last: Option<Value>) -> Outcome<Value> {
        let mut value = None;
        for argument in rest {
            let found = self.argument(frame, argument, dot)?;
            if found.is_true() != and {
                return Ok(found);
            }
            value = Some(found);
        }
        let name = if and { "and" } else { "or" };
        last.or(value).ok_or_else(|| failed(frame, at.at, &at.text, format!("wrong number of args for {name}: want at least 1 got 0")))
    }
}

fn limit(frame: &Frame<'_>, reason: Reached) -> TemplateError {
    TemplateError::Limit { name: frame.name.to_owned(), reason }
}

fn failed(frame: &Frame<'_>, position: Position, node: &str, message: String) -> TemplateError {
    TemplateError::Execution { parsed: frame.parsed.to_owned(), name: frame.name.to_owned(), position, node: node.to_owned(), message }
}

fn variable(frame: &Frame<'_>, name: &str) -> Value {
    frame.variables.iter().rev().find(|(known, _)| known == name).map_or(Value::Nil, |(_, value)| value.clone())
}

fn set(frame: &mut Frame<'_>, pipe: &Pipe, name: &str, value: Value) {
    let known = frame.variables.iter_mut().rev().find(|(known, _)| known == name);
    match known {
        Some((_, slot)) if pipe.assigns => *slot = value,
        _ => frame.variables.push((name.to_owned(), value)),
    }
}

fn check_count(function: &Function, name: &str, given: usize) -> Result<(), String> {
    let least = function.parameters.len();
    if function.variadic.is_some() {
        return if given < least { Err(format!("wrong number of args for {name}: want at least {least} got {given}")) } else { Ok(()) };
    }
    if given == least { Ok(()) } else { Err(format!("wrong number of args for {name}: want {least} got {given}")) }
}

/// The text of an argument that is a constant.
fn written(argument: &Argument) -> Option<&str> {
    matches!(argument.kind, ArgumentKind::Constant(_) | ArgumentKind::Nil).then_some(&*argument.text)
}

/// The argument as its parameter takes it. `constant` is its text when it is one, which Go words otherwise.
fn fit(function: &Function, n: usize, value: Value, constant: Option<&str>) -> Result<Value, String> {
    let kind = function.parameters.get(n).copied().or(function.variadic).unwrap_or(Kind::Any);
    match (kind, &value) {
        (Kind::Any, _)
        | (Kind::Text, Value::Text(_) | Value::Html(_))
        | (Kind::Int, Value::Int(_))
        | (Kind::List | Kind::Samples, Value::List(_))
        | (Kind::Time, Value::Time(_)) => return Ok(value),
        (Kind::Sample, Value::Record(record)) if record.name == Kind::Sample.type_name() => return Ok(value),
        _ => {}
    }
    let expected = kind.type_name();
    Err(match (constant, value) {
        (Some(_), Value::Nil) => format!("cannot assign nil to {expected}"),
        (None, Value::Nil) => format!("invalid value; expected {expected}"),
        (Some(text), _) => match kind {
            Kind::Text => format!("expected string; found {text}"),
            Kind::Int => format!("expected integer; found {text}"),
            _ => format!("can't handle {text} for arg of type {expected}"),
        },
        (None, other) => format!("wrong type for value; expected {expected}; got {}", other.type_name()),
    })
}

/// The definitions that a text brings along, for `Templates`.
pub(super) fn merge(known: &mut BTreeMap<String, Definition>, parsed: &Arc<str>, defined: BTreeMap<String, Arc<Body>>) {
    for (name, body) in defined {
        known.insert(name, Definition { body, parsed: parsed.clone() });
    }
}
