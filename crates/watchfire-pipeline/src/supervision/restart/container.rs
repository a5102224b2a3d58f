//! The restart `container`: asks the container engine to restart a container that the configuration names.

use std::sync::Arc;
use std::time::Duration;

use watchfire_model::document::Reader;

use super::{Kind, Restart, Restarting};
use crate::supervision::engine::{Container, Engine};
use crate::supervision::settings::Outside;

pub(super) const KIND: Kind = Kind { key: "container", read };

/// The engine waits for the container to end, and then until it runs.
const TIME_MAX: Duration = Duration::from_secs(30);

struct Named {
    engine: Arc<Engine>,
    container: Container,
}

impl Restart for Named {
    fn restart(&self) -> Restarting<'_> {
        Box::pin(async move {
            self.engine.restart(&self.container, TIME_MAX).await.map_err(|error| error.to_string())?;
            Ok("the engine restarted it".to_owned())
        })
    }
    fn shown(&self) -> String {
        format!("container {}", self.container)
    }
}

fn read(reader: &Reader<'_>, outside: &Outside<'_>) -> Option<Arc<dyn Restart>> {
    let (engine, container) = outside.container(reader, "container")?;
    Some(Arc::new(Named { engine, container }))
}
