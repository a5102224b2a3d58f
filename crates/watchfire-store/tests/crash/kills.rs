//! `kill -9` at random moments, a fifth of them while the log is read back.

use std::time::Duration;

use crate::oracle::{Account, verify};
use crate::writer::Running;
use crate::{Outcome, Random};

/// Then a new directory begins, because checking grows with what was written.
const KILLS_PER_DIRECTORY: u64 = 10;

pub(crate) fn run(kills: u64, random: &mut Random) -> Outcome {
    match kill_loop(kills, random) {
        Ok(batches) => Outcome::Passed(format!("{kills} kills, {batches} batches acknowledged, none lost, invented or changed")),
        Err(fault) => Outcome::Fault(fault),
    }
}

/// Kills and verifies; returns the number of acknowledged batches, or the first fault.
fn kill_loop(kills: u64, random: &mut Random) -> Result<u64, String> {
    let mut dir = tempfile::tempdir().expect("a directory");
    let mut acknowledged = 0;
    let mut total = 0;
    for round in 0..kills {
        if round % KILLS_PER_DIRECTORY == 0 {
            dir = tempfile::tempdir().expect("a directory");
            total += std::mem::take(&mut acknowledged);
        }
        let early = random.below(5) == 0;
        let micros = if early { random.below(5_000) } else { 10_000 + random.below(110_000) };
        let mut writer = Running::start(dir.path(), acknowledged, "kill");
        writer.listen(Duration::from_micros(micros));
        let heard = writer.kill();
        if let Some(error) = heard.error {
            return Err(format!("kill {round}: {error}"));
        }
        acknowledged = heard.acknowledged;
        // Half of the time the next writer is the first to see what the crash left.
        let last = round + 1 == kills || (round + 1) % KILLS_PER_DIRECTORY == 0;
        if last || random.below(2) == 0 {
            let account = Account::exact(acknowledged);
            verify(dir.path(), account).map_err(|e| format!("kill {round}: {e}"))?;
        }
    }
    Ok(total + acknowledged)
}
