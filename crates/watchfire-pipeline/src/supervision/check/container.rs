//! The check `container`: what the container engine says about a container. See the socket's own rules in [`crate::supervision::engine`].

use std::sync::Arc;
use std::time::Duration;

use watchfire_model::document::Reader;

use super::{Check, Checking, Kind, seen, unseen};
use crate::supervision::engine::{Container, Engine, EngineError};
use crate::supervision::policy::Verdict;
use crate::supervision::settings::Outside;

pub(super) const KIND: Kind = Kind { key: "container", read };

struct Running {
    engine: Arc<Engine>,
    container: Container,
}

impl Check for Running {
    fn look(&self, within: Duration) -> Checking<'_> {
        Box::pin(async move {
            match self.engine.state(&self.container, within).await {
                Ok(state) => match (state.running, state.health.as_deref()) {
                    (true, Some("unhealthy")) => seen(format!("the container {} is unhealthy", self.container)),
                    (true, Some("starting")) => unseen(format!("the container {} is starting", self.container)),
                    (true, _) => Verdict::Healthy,
                    (false, _) => seen(format!("the container {} is {}", self.container, state.status)),
                },
                Err(error @ EngineError::NoSuchContainer(_)) => seen(error.to_string()),
                // The engine's trouble is not the service's.
                Err(error) => unseen(error.to_string()),
            }
        })
    }
    fn target(&self) -> String {
        self.container.to_string()
    }
}

fn read(reader: &Reader<'_>, outside: &Outside<'_>) -> Option<Arc<dyn Check>> {
    let (engine, container) = outside.container(reader, "container")?;
    Some(Arc::new(Running { engine, container }))
}
