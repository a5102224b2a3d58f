//! The check `command`: a program from the configuration file whose exit status 0 means healthy. Who may write that file is checked
//! before.

use std::sync::Arc;
use std::time::Duration;

use watchfire_model::document::Reader;

use super::{Check, Checking, Kind, seen, unseen};
use crate::supervision::argv::{Argv, ArgvError};
use crate::supervision::policy::Verdict;
use crate::supervision::settings::Outside;

pub(super) const KIND: Kind = Kind { key: "command", read };

struct Command(Argv);

impl Check for Command {
    fn look(&self, within: Duration) -> Checking<'_> {
        Box::pin(async move {
            match self.0.run(within).await {
                Ok(ended) if ended.success => Verdict::Healthy,
                Ok(ended) => seen(format!("{} ended with {}", self.0.program().display(), ended.how)),
                Err(error @ ArgvError::Timeout { .. }) => seen(error.to_string()),
                Err(error) => unseen(error.to_string()),
            }
        })
    }
    fn target(&self) -> String {
        self.0.program().display().to_string()
    }
}

fn read(reader: &Reader<'_>, outside: &Outside<'_>) -> Option<Arc<dyn Check>> {
    Some(Arc::new(Command(outside.command(reader, "command")?)))
}
