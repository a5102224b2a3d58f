//! The restart `systemd`: asks the system's service manager to restart a unit. It does not wait until the unit is up: some take
//! minutes, and the checks will tell.

use std::sync::Arc;

use watchfire_model::document::Reader;

use super::{Kind, Restart, Restarting};
use crate::supervision::argv::{Argv, RUN_TIME_MAX};
use crate::supervision::settings::Outside;

pub(super) const KIND: Kind = Kind { key: "systemd", read };

struct Unit {
    unit: String,
    command: Argv,
}

impl Restart for Unit {
    fn restart(&self) -> Restarting<'_> {
        Box::pin(async move {
            let ended = self.command.run(RUN_TIME_MAX).await.map_err(|error| error.to_string())?;
            let said: String = ended.output.lines().next().unwrap_or("").chars().filter(|c| !c.is_control()).take(200).collect();
            let said = if said.is_empty() { ended.how } else { format!("{}: {said}", ended.how) };
            if ended.success { Ok(said) } else { Err(said) }
        })
    }
    fn shown(&self) -> String {
        format!("systemd {}", self.unit)
    }
}

fn read(reader: &Reader<'_>, outside: &Outside<'_>) -> Option<Arc<dyn Restart>> {
    let (unit, command) = outside.systemctl(reader, "systemd", &["restart", "--no-block", "--no-ask-password"])?;
    Some(Arc::new(Unit { unit, command }))
}
