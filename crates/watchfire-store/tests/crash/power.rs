//! Power cuts on a real file system: ext4 in an image loses everything that is not synced, by its own shutdown call.

use std::time::Duration;

use crate::namespace::{Ext4, Journal, Unavailable};
use crate::oracle::{Account, verify};
use crate::writer::Running;
use crate::{Outcome, Random};

/// Then a new image begins.
const CUTS_PER_IMAGE: u64 = 10;

pub(crate) fn run(cuts: u64, random: &mut Random) -> Outcome {
    match cut_loop(cuts, random) {
        Ok((batches, lost)) => Outcome::Passed(format!("{cuts} cuts, {batches} batches, all synced ones there, {lost} others seen lost")),
        Err(Failed::Unavailable(reason)) => Outcome::Skipped(reason),
        Err(Failed::Fault(fault)) => Outcome::Fault(fault),
    }
}

enum Failed {
    Unavailable(String),
    Fault(String),
}
impl From<Unavailable> for Failed {
    fn from(Unavailable(reason): Unavailable) -> Failed {
        Failed::Unavailable(reason)
    }
}

/// Cuts and verifies; returns the numbers of batches that were acknowledged and that were seen lost, or the first fault.
fn cut_loop(cuts: u64, random: &mut Random) -> Result<(u64, u64), Failed> {
    let mut disk = Ext4::make()?;
    let mut account = Account::exact(0);
    let (mut total, mut lost) = (0, 0);
    for round in 0..cuts {
        if round > 0 && round % CUTS_PER_IMAGE == 0 {
            drop(disk);
            disk = Ext4::make()?;
            total += std::mem::replace(&mut account, Account::exact(0)).acknowledged;
        }
        let fault = |what: String| Failed::Fault(format!("cut {round}: {what}"));
        let mode = if random.below(2) == 0 { "strict" } else { "asked" };
        // With the journal written, names are there whose content is not; without it, neither.
        let journal = if random.below(2) == 0 { Journal::Written } else { Journal::Lost };
        let micros = if random.below(5) == 0 { random.below(20_000) } else { 20_000 + random.below(200_000) };
        let data = disk.dir().join("data");
        let mut writer = Running::start(&data, account.acknowledged, mode);
        writer.listen(Duration::from_micros(micros));
        if let Some(error) = &writer.error {
            return Err(fault(error.clone()));
        }
        // What is heard from now on may be there or not: a sync that the shutdown meets half-way is said to have worked, at times.
        let before = if mode == "strict" { writer.acknowledged } else { writer.synced };
        let heard_before = writer.acknowledged;
        account.state_required = account.state_required.max(heard_before);
        disk.shut_down(journal)?;
        // Some see the disk's errors before they end, others end with it.
        if random.below(2) == 0 {
            writer.listen(Duration::from_secs(10));
        }
        let heard = writer.kill();
        if heard.panicked {
            return Err(fault("the writer panicked when its disk was gone".into()));
        }
        disk.mount_again()?;
        account.heard(heard.acknowledged);
        // What was found once is on the disk and stays there.
        account.required = account.required.max(before);
        let last = round + 1 == cuts || (round + 1) % CUTS_PER_IMAGE == 0;
        // Half of the time the next cut may meet the recovery.
        if last || random.below(2) == 0 {
            account.required = verify(&data, account).map_err(|e| fault(format!("{mode}: {e}")))?;
            lost += heard.acknowledged.saturating_sub(account.required);
        }
        // The next writer writes again what is not certain, batches or state.
        account.begin_with(account.required.min(heard_before));
    }
    Ok((total + account.acknowledged, lost))
}
