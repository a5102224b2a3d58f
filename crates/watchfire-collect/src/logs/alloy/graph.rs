//! The components of a file, what names in it stand for, and which components need which. It evaluates nothing but the path of a local
//! file, whose content others may use.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::io::Read;

use watchfire_model::document::{Context, nearest};

use super::Outside;
use super::evaluate::{self, Names, failed};
use super::kinds::Kind;
use super::syntax::{Block, Body, Expression, Kind as Form, Place, SyntaxError};
use super::value::Value;

/// The most components of one file.
const COMPONENTS_MAX: usize = 2_000;
/// The most bytes of a local file.
const CONTENT_BYTES_MAX: u64 = 1 << 20;
/// How many local files may need each other.
const LOCAL_FILES_DEEP_MAX: usize = 8;

/// One component.
pub(super) struct Component<'a> {
    pub(super) kind: Kind,
    /// `loki.process.main`
    pub(super) id: String,
    pub(super) block: &'a Block,
}

/// All components, by number and by name.
pub(super) struct Graph<'a> {
    pub(super) components: Vec<Component<'a>>,
    by_id: HashMap<String, usize>,
    outside: &'a Outside<'a>,
    context: &'a Context,
    reading: Cell<usize>,
    /// Local files that could not be read, which is said once.
    unreadable: RefCell<HashSet<usize>>,
}

impl<'a> Graph<'a> {
    /// Finds the components among the blocks of a file.
    pub(super) fn new(blocks: impl Iterator<Item = &'a Block>, context: &'a Context, outside: &'a Outside<'a>) -> Graph<'a> {
        let mut graph = Graph { components: Vec::new(), by_id: HashMap::new(), outside, context, reading: Cell::new(0), unreadable: RefCell::default() };
        for block in blocks {
            let (name, at) = (&*block.name.text, block.name.at);
            let kind = match Kind::of(name) {
                Ok(kind) => kind,
                Err(near) => {
                    let hint = if near.is_empty() { String::new() } else { format!("; did you mean {near}?") };
                    context.error(at.line, at.column, format!("there is no component {name:?}{hint}"));
                    continue;
                }
            };
            let id = match &block.label {
                Some(label) => format!("{name}.{}", label.text),
                None if kind == Kind::Other => name.to_owned(),
                None => {
                    context.error(at.line, at.column, format!("{name} needs a label: {name} \"a_name\" {{ … }}"));
                    continue;
                }
            };
            if kind == Kind::Other {
                context.warning(at.line, at.column, format!("{id}: this component is not carried out"));
            }
            if graph.components.len() >= COMPONENTS_MAX {
                context.error(at.line, at.column, format!("these are more than {COMPONENTS_MAX} components"));
                break;
            }
            if graph.by_id.insert(id.clone(), graph.components.len()).is_some() {
                context.error(at.line, at.column, format!("{id} stands here for the second time"));
                continue;
            }
            graph.components.push(Component { kind, id, block });
        }
        graph
    }

    /// The components that one needs, with the places where it names them.
    fn needs(&self, of: usize) -> Vec<(usize, Place)> {
        let mut found = Vec::new();
        if let Some(component) = self.components.get(of) {
            self.of_body(&component.block.body, &mut found);
        }
        found
    }
    fn of_body(&self, body: &Body, found: &mut Vec<(usize, Place)>) {
        body.attributes.iter().for_each(|(_, expression)| self.of_expression(expression, found));
        body.blocks.iter().for_each(|block| self.of_body(&block.body, found));
    }
    fn of_expression(&self, expression: &Expression, found: &mut Vec<(usize, Place)>) {
        if let Some(path) = expression.path() {
            let ends = path.match_indices('.').map(|(at, _)| at).chain([path.len()]);
            let named = ends.filter_map(|end| self.by_id.get(path.get(..end)?)).next();
            found.extend(named.map(|number| (*number, expression.at)));
            return;
        }
        match &expression.kind {
            Form::List(items) => items.iter().for_each(|item| self.of_expression(item, found)),
            Form::Object(fields) => fields.iter().for_each(|(_, field)| self.of_expression(field, found)),
            Form::Member(of, _) | Form::Not(of) | Form::Minus(of) => self.of_expression(of, found),
            Form::Index(a, b) | Form::Binary(_, a, b) => [a, b].into_iter().for_each(|one| self.of_expression(one, found)),
            Form::Call(function, arguments) => {
                self.of_expression(function, found);
                arguments.iter().for_each(|argument| self.of_expression(argument, found));
            }
            Form::Null | Form::Bool(_) | Form::Int(_) | Form::Float(_) | Form::Text(_) | Form::Name(_) => {}
        }
    }

    /// Says of components that need themselves, by whatever way; tells whether there are any.
    pub(super) fn has_cycles(&self) -> bool {
        let needs: Vec<Vec<(usize, Place)>> = (0..self.components.len()).map(|i| self.needs(i)).collect();
        let mut done = vec![false; needs.len()];
        let mut found = false;
        for start in 0..needs.len() {
            // The way from the start, and how far each on it was looked through.
            let mut way = vec![(start, 0)];
            while let Some((at, next)) = way.last_mut() {
                let (at, step) = (*at, *next);
                *next += 1;
                let Some((to, place)) = needs.get(at).and_then(|needs| needs.get(step)).copied() else {
                    done[at] = true;
                    way.pop();
                    continue;
                };
                if let Some(begin) = way.iter().position(|(on, _)| *on == to) {
                    found = true;
                    let names = way.iter().skip(begin).map(|(on, _)| self.components[*on].id.as_str()).chain([self.components[to].id.as_str()]);
                    let names = names.collect::<Vec<_>>().join(" → ");
                    self.context.error(place.line, place.column, format!("this closes a circle: {names}"));
                } else if !done[to] {
                    way.push((to, 0));
                }
            }
        }
        found
    }

    /// The text of a local file. One that cannot be read is said once, and empty.
    fn content(&self, number: usize) -> Result<Value, SyntaxError> {
        let component = &self.components[number];
        let at = component.block.name.at;
        if self.reading.get() >= LOCAL_FILES_DEEP_MAX {
            return failed(at, "local files need each other too deep");
        }
        self.reading.set(self.reading.get() + 1);
        let filename = component.block.body.attributes.iter().find(|(word, _)| &*word.text == "filename").map(|(_, value)| evaluate::value(value, self));
        self.reading.set(self.reading.get() - 1);
        let Some(filename) = filename else { return failed(at, format!("{}: filename is missing", component.id)) };
        let filename = filename?;
        let Value::Text { text, .. } = &filename.value else {
            return failed(filename.at, format!("{}: filename must be a text, not {}", component.id, filename.value.shape()));
        };
        match read(&self.outside.lookup.file(text)) {
            Ok(content) => Ok(Value::computed(content)),
            Err(error) => {
                if self.unreadable.borrow_mut().insert(number) {
                    self.context.warning(filename.at.line, filename.at.column, format!("{}: cannot read {text}: {error}; its content is empty", component.id));
                }
                Ok(Value::computed(""))
            }
        }
    }
}

fn read(path: &std::path::Path) -> std::io::Result<String> {
    let mut text = String::new();
    let read = std::fs::File::open(path)?.take(CONTENT_BYTES_MAX + 1).read_to_string(&mut text)?;
    if read as u64 > CONTENT_BYTES_MAX {
        return Err(std::io::Error::other(format!("it has more than {CONTENT_BYTES_MAX} bytes")));
    }
    Ok(text)
}

impl Names for Graph<'_> {
    fn value(&self, path: &str, at: Place) -> Result<Option<Value>, SyntaxError> {
        match path {
            "constants.hostname" => return Ok(Some(Value::computed(self.outside.host))),
            "constants.os" => return Ok(Some(Value::computed("linux"))),
            "constants.arch" => {
                let arch = match std::env::consts::ARCH {
                    "x86_64" => "amd64",
                    "aarch64" => "arm64",
                    other => other,
                };
                return Ok(Some(Value::computed(arch)));
            }
            _ => {}
        }
        if let Some(number) = self.by_id.get(path) {
            let component = &self.components[*number];
            if component.kind == Kind::Other {
                return Ok(Some(Value::Unknown(component.id.as_str().into())));
            }
            return failed(at, format!("{path} is a component; name what it exports, such as {path}.receiver"));
        }
        let Some((id, field)) = path.rsplit_once('.') else { return Ok(None) };
        let Some(number) = self.by_id.get(id) else { return Ok(None) };
        let component = &self.components[*number];
        match component.kind.export(field) {
            Err(all) => failed(at, format!("{id} exports {all}, not {field:?}")),
            Ok(Some(export)) => Ok(Some(Value::Export(export, *number))),
            Ok(None) if component.kind == Kind::LocalFile => self.content(*number).map(Some),
            Ok(None) => Ok(Some(Value::Unknown(id.into()))),
        }
    }
    fn unknown(&self, path: &str) -> String {
        let id = path.rsplit_once('.').map_or(path, |(id, _)| id);
        let hint = nearest(id, self.by_id.keys().map(String::as_str)).map(|near| format!("; did you mean {near}?")).unwrap_or_default();
        format!("there is no component {id:?}{hint}")
    }
    fn environment(&self, name: &str) -> Option<String> {
        (self.outside.environment)(name)
    }
}
