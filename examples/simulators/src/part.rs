//! What every part has: a page of metrics, a page of faults, a life that ends with the program that started it.

use std::io::{Read, Result, Write};
use std::sync::Arc;

use crate::faults::{Faults, Known};
use crate::http::{self, Request, Response};
use crate::metrics::Registry;
use crate::plan::Plan;
use crate::{clock, process};

/// One part of a system.
pub(crate) struct Part {
    pub(crate) name: String,
    pub(crate) plan: Plan,
    pub(crate) metrics: Registry,
    pub(crate) faults: Faults,
}

impl Part {
    pub(crate) fn new(name: &str, plan: Plan, known: &'static [Known]) -> Arc<Part> {
        Arc::new(Part { name: name.to_owned(), plan, metrics: Registry::default(), faults: Faults::new(known) })
    }
    /// Answers at the part's address: metrics, faults, health, and what it has itself.
    pub(crate) fn serve(self: &Arc<Part>, metrics_path: &'static str, own: impl Fn(&Request) -> Option<Response> + Send + Sync + 'static) -> Result<()> {
        let part = self.clone();
        let answer = move |request: Request| {
            // What the part has itself comes first: its health may be more than that it runs.
            if let Some(response) = part.faults.answer(&request).or_else(|| own(&request)) {
                return response;
            }
            match request.path.as_str() {
                "/health" => Response::text(200, "ok\n".to_owned()),
                path if path == metrics_path => Response::text(200, part.metrics.text()),
                _ => Response::text(404, "there is nothing here\n".to_owned()),
            }
        };
        http::serve(http::bind(&self.plan.address(&self.name))?, Arc::new(answer))
    }
    /// Does something again and again on a thread of its own.
    pub(crate) fn every(self: &Arc<Part>, ms: u64, mut work: impl FnMut(&Part) + Send + 'static) -> Result<()> {
        let part = self.clone();
        let forever = move || {
            loop {
                work(&part);
                clock::pause_ms(ms);
            }
        };
        std::thread::Builder::new().name("work".into()).spawn(forever)?;
        Ok(())
    }
    /// Says that it is there, and stays until whoever started it has gone.
    pub(crate) fn live(&self) -> Result<()> {
        println!("ready");
        std::io::stdout().flush()?;
        let mut ignored = [0; 64];
        while matches!(std::io::stdin().read(&mut ignored), Ok(1..)) {}
        process::end_all();
        Ok(())
    }
}
