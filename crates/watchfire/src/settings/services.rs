//! `services:`, the supervised services. What the section means is the pipeline's business; here it gets its surroundings: the
//! environment, the folder of the file, and whether commands may be taken from that file.

use std::path::Path;

use watchfire_model::document::{Context, Finding, Node, Reader, Value};
use watchfire_pipeline::supervision::{Outside, Settings, trust};

use super::Environment;

/// Reads the section of the whole document, which the environment is laid over already.
pub(super) fn read(name: &str, document: &Node, file: Option<&Path>, environment: &Environment) -> (Settings, Vec<Finding>) {
    let nothing = Node { value: Value::Null, line: 0, column: 0 };
    let section = document.get("services").unwrap_or(&nothing);
    let root = document.get("host").and_then(|host| host.get("root")).and_then(Node::text).unwrap_or("/");
    let variables = |name: &str| environment.get(name).map(str::to_owned);
    let outside = Outside {
        environment: &variables,
        commands: file.map_or_else(|| Err("commands are taken from a configuration file only".to_owned()), trust::commands_from),
        base: file.and_then(Path::parent).unwrap_or(Path::new("")),
        root: Path::new(root),
        engine: None,
        systemctl: None,
    };
    let context = Context::new(name);
    let settings = Settings::read(Reader::new(&context, section, "services"), outside);
    (settings, context.into_findings())
}
