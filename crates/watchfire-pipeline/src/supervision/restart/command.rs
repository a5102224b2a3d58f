//! The restart `command`: a program from the configuration file. Who may write that file is checked before.

use std::sync::Arc;

use watchfire_model::document::Reader;

use super::{Kind, Restart, Restarting};
use crate::supervision::argv::{Argv, RUN_TIME_MAX};
use crate::supervision::settings::Outside;

pub(super) const KIND: Kind = Kind { key: "command", read };

/// How much of what the program wrote goes into the audit record.
const EXCERPT_CHARS: usize = 500;

struct Command(Argv);

impl Restart for Command {
    fn restart(&self) -> Restarting<'_> {
        Box::pin(async move {
            let ended = self.0.run(RUN_TIME_MAX).await.map_err(|error| error.to_string())?;
            let end: String = ended.output.trim_end().chars().rev().take(EXCERPT_CHARS).collect::<Vec<_>>().into_iter().rev().collect();
            let end: String = end.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
            if ended.dropped_bytes > 0 {
                tracing::warn!(target: "watchfire::services", program = %self.0.program().display(), bytes = ended.dropped_bytes, "a restart wrote more than is kept");
            }
            let said = if end.is_empty() { ended.how } else { format!("{}: {end}", ended.how) };
            if ended.success { Ok(said) } else { Err(said) }
        })
    }
    fn shown(&self) -> String {
        format!("command {}", self.0.shown())
    }
}

fn read(reader: &Reader<'_>, outside: &Outside<'_>) -> Option<Arc<dyn Restart>> {
    Some(Arc::new(Command(outside.command(reader, "command")?)))
}
