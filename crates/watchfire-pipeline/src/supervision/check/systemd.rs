//! The check `systemd`: whether a unit is active.

use std::sync::Arc;
use std::time::Duration;

use watchfire_model::document::Reader;

use super::{Check, Checking, Kind, seen, unseen};
use crate::supervision::argv::Argv;
use crate::supervision::policy::Verdict;
use crate::supervision::settings::Outside;

pub(super) const KIND: Kind = Kind { key: "systemd", read };

struct Unit {
    unit: String,
    command: Argv,
}

impl Check for Unit {
    fn look(&self, within: Duration) -> Checking<'_> {
        Box::pin(async move {
            match self.command.run(within).await {
                Ok(ended) => {
                    // `is-active` says the state in a word, and by its exit status whether that is active.
                    let word: String = ended.output.split_whitespace().next().unwrap_or("unknown").chars().filter(char::is_ascii_graphic).take(32).collect();
                    match word.as_str() {
                        "active" | "reloading" => Verdict::Healthy,
                        "activating" => unseen(format!("the unit {} is starting", self.unit)),
                        "inactive" | "failed" | "deactivating" | "maintenance" => seen(format!("the unit {} is {word}", self.unit)),
                        _ => unseen(format!("systemd does not tell the state of {}: {}", self.unit, ended.how)),
                    }
                }
                Err(error) => unseen(error.to_string()),
            }
        })
    }
    fn target(&self) -> String {
        self.unit.clone()
    }
}

fn read(reader: &Reader<'_>, outside: &Outside<'_>) -> Option<Arc<dyn Check>> {
    let (unit, command) = outside.systemctl(reader, "systemd", &["is-active"])?;
    Some(Arc::new(Unit { unit, command }))
}
