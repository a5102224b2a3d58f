//! The assistant: an engine with a small model of words, a search engine over a few texts, the assistant itself with its memory, tools, cache
//! and judgement of prompts, and the people who ask it.

mod assistant;
mod engine;
mod people;
mod prompts;
mod recent;
mod search;

use std::io::{Error, Result};

use crate::plan::Plan;

/// Lives as one of the parts.
pub(crate) fn run(name: &str, plan: Plan) -> Result<()> {
    match name {
        "engine" => engine::run(plan),
        "search" => search::run(plan),
        "assistant" => assistant::run(plan),
        "people" => people::run(plan),
        _ => Err(Error::other(format!("cannot be {name}: the assistant has no such part"))),
    }
}
