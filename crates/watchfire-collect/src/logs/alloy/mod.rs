//! `config.alloy`: components that collect log lines, and what they forward to. Discoveries, sources, stages and rules become the same
//! inputs and stages as those of other configurations. What Alloy would refuse is an error; what it would do and is not done here is a
//! warning, each with its place.

mod evaluate;
mod flow;
mod format;
mod functions;
mod graph;
mod kinds;
mod otel;
mod prometheus;
mod sources;
mod stages;
pub(crate) mod syntax;
mod targets;
#[cfg(test)]
mod tests;
mod value;
mod write;

use watchfire_model::document::{Context, Finding, Severity};

use self::flow::Flows;
use self::graph::Graph;
use self::syntax::Body;
use super::promtail::Parsed;
use crate::discovery::glob::Lookup;

/// What reading needs from outside.
pub struct Outside<'a> {
    /// The environment, for `sys.env`.
    pub environment: &'a dyn Fn(&str) -> Option<String>,
    /// The name of this machine.
    pub host: &'a str,
    /// Where paths are looked up.
    pub lookup: Lookup,
}

/// Reads a configuration from its text.
pub fn parse(file: &str, text: &str, outside: &Outside<'_>) -> Parsed {
    let context = Context::new(file);
    let config = match syntax::parse(text) {
        Ok(body) => read(&context, &body, outside),
        Err(error) => {
            context.error(error.at.line, error.at.column, error.message);
            super::Collected::default()
        }
    };
    let mut findings = context.into_findings();
    // Several sources may lead over one place.
    findings.dedup();
    let failed = findings.iter().any(|finding: &Finding| finding.severity == Severity::Error);
    Parsed { config: (!failed).then_some(config), findings }
}

/// Whether a text is written in Alloy's language; what it says does not matter.
pub fn is_well_formed(text: &str) -> bool {
    syntax::parse(text).is_ok()
}

fn read(context: &Context, body: &Body, outside: &Outside<'_>) -> super::Collected {
    for (word, _) in &body.attributes {
        context.error(word.at.line, word.at.column, format!("{} stands outside of a component", word.text));
    }
    let is_global = |name: &str| kinds::GLOBAL.iter().find(|(known, _)| *known == name);
    for block in &body.blocks {
        if let Some((name, Some(message))) = is_global(&block.name.text) {
            context.warning(block.name.at.line, block.name.at.column, format!("{name}: {message}"));
        }
    }
    let graph = Graph::new(body.blocks.iter().filter(|block| is_global(&block.name.text).is_none()), context, outside);
    if context.has_errors() || graph.has_cycles() {
        return super::Collected::default();
    }
    let settings = (0..graph.components.len()).map(|number| settings(context, &graph, number)).collect();
    // What follows would be said of the wrong thing.
    if context.has_errors() {
        return super::Collected::default();
    }
    let mut flows = Flows::new(&graph, context, outside, settings);
    for number in 0..graph.components.len() {
        sources::read(&mut flows, number);
        otel::read(&mut flows, number);
        prometheus::read(&mut flows, number);
    }
    flows.say_unreached();
    // Those without a source of their own must not get the lines of all.
    flows.collected.outputs.retain(|output| !output.sources.is_empty());
    flows.collected
}

/// The values of a component's body; nothing where it is not carried out or wrong, which is said.
fn settings(context: &Context, graph: &Graph<'_>, number: usize) -> Option<value::Settings> {
    let component = graph.components.get(number)?;
    if component.kind == kinds::Kind::Other {
        return None;
    }
    match evaluate::settings(&component.block.body, component.block.name.at, graph) {
        Ok(settings) => {
            if let Some((name, at)) = settings.unknown() {
                context.warning(at.line, at.column, format!("{} is not carried out, because it needs {name}, which is not", component.id));
                return None;
            }
            Some(settings)
        }
        Err(error) => {
            context.error(error.at.line, error.at.column, format!("{}: {}", component.id, error.message));
            None
        }
    }
}
