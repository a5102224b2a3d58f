//! The home security pipeline: cameras that draw pictures, a backend whose workers take them through queues of the server, a detector with a
//! mock card, enrichment, a language model's stand-in, a database, and a page that asks for figures.

mod backend;
mod cameras;
mod card;
mod cost;
mod enrichment;
mod frontend;
mod llm;
mod pipeline;
mod postgres;
mod scene;
mod services;
mod yolo;

use std::io::{Error, Result};

use crate::plan::Plan;

/// Where the frontend serves HTTPS.
pub(crate) const TLS_PORT: u16 = frontend::TLS_PORT;

/// Lives as one of the parts.
pub(crate) fn run(name: &str, plan: Plan) -> Result<()> {
    match name {
        "postgres" => postgres::run(plan),
        "ai-yolo26" => yolo::run(plan),
        "ai-enrichment" => enrichment::run(plan),
        "ai-llm" => llm::run(plan),
        "backend" => backend::run(plan),
        "frontend" => frontend::run(plan),
        "cameras" => cameras::run(plan),
        _ => Err(Error::other(format!("cannot be {name}: the pipeline has no such part"))),
    }
}
