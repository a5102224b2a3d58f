//! The check `tcp`: whether somebody takes a connection. It sends nothing.

use std::sync::Arc;
use std::time::Duration;

use watchfire_model::document::Reader;
use watchfire_net::dial;

use super::{Check, Checking, Kind, elsewhere, host_and_port, undialled};
use crate::supervision::policy::Verdict;
use crate::supervision::settings::Outside;

pub(super) const KIND: Kind = Kind { key: "tcp", read };

struct Tcp {
    host: String,
    port: u16,
}

fn read(reader: &Reader<'_>, outside: &Outside<'_>) -> Option<Arc<dyn Check>> {
    let text = outside.text(reader, "tcp")?;
    match host_and_port(&text) {
        Some((host, port)) => Some(Arc::new(Tcp { host, port })),
        None => {
            reader.error_at("tcp", "must be a host and a port such as localhost:8090");
            None
        }
    }
}

impl Check for Tcp {
    fn look(&self, within: Duration) -> Checking<'_> {
        Box::pin(async move { dial::dial(&self.host, self.port, within).await.map_or_else(undialled, |_| Verdict::Healthy) })
    }
    fn target(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
    fn remote(&self) -> Option<String> {
        elsewhere(&self.host)
    }
}
