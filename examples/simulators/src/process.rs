//! Other programs that a part runs, and what the kernel says of them and of ourselves. It restarts nothing.

use std::collections::BTreeSet;
use std::io::{Error, Result};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use rustix::process::{Pid, Signal, kill_process};

/// Children that are to end when this part does, and whether it does so now.
static RUNNING: Mutex<(BTreeSet<u32>, bool)> = Mutex::new((BTreeSet::new(), false));

fn running() -> MutexGuard<'static, (BTreeSet<u32>, bool)> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A child that ends with its holder.
pub(crate) struct Running(Child);
impl Running {
    pub(crate) fn start(command: &mut Command) -> Result<Running> {
        let mut running = running();
        if running.1 {
            return Err(Error::other("cannot start a program: this one ends"));
        }
        let child = command.spawn()?;
        running.0.insert(child.id());
        Ok(Running(child))
    }
    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }
    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.0
    }
    pub(crate) fn has_ended(&mut self) -> bool {
        !matches!(self.0.try_wait(), Ok(None))
    }
}
impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to end.
        drop(self.0.kill());
        drop(self.0.wait());
        running().0.remove(&self.0.id());
    }
}

/// Ends all children and lets nobody start others; for a part that ends itself.
pub(crate) fn end_all() {
    let mut running = running();
    running.1 = true;
    for pid in &running.0 {
        if let Some(pid) = Pid::from_raw(*pid as i32) {
            // One that has ended needs no end.
            kill_process(pid, Signal::KILL).ok();
        }
    }
}

/// The pids of the children.
pub(crate) fn children() -> Vec<u32> {
    running().0.iter().copied().collect()
}

/// A program that ends when the thread that starts it does, even by `kill -9`, where this machine has what arranges that.
pub(crate) fn bound(program: &str) -> Command {
    static BINDS: OnceLock<bool> = OnceLock::new();
    let tried = || Command::new("setpriv").args(["--pdeathsig", "KILL", "true"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !BINDS.get_or_init(|| tried().is_ok_and(|status| status.success())) {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", program]);
    command
}

/// Processor time of a process in seconds.
pub(crate) fn cpu_seconds(pid: u32) -> Option<f64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name stands in brackets and may hold blanks; user and system time are the 12th and 13th field after it.
    let mut fields = text.rsplit_once(')')?.1.split_whitespace().skip(11);
    let ticks: f64 = fields.next()?.parse::<f64>().ok()? + fields.next()?.parse::<f64>().ok()?;
    Some(ticks / rustix::param::clock_ticks_per_second() as f64)
}

/// Resident memory of a process in bytes.
pub(crate) fn resident_bytes(pid: u32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let pages: u64 = text.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

/// For how long threads of this process ran or wanted to, in seconds. A machine that is busy with others delays what wants to run, and does
/// not make it idle.
pub(crate) fn wanted_seconds() -> f64 {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let nanoseconds = |text: String| text.split_whitespace().take(2).filter_map(|n| n.parse::<f64>().ok()).sum::<f64>();
    let told: f64 = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("schedstat")).ok()).map(nanoseconds).sum();
    // Some kernels do not tell; then what ran has to do.
    if told > 0.0 { told / 1e9 } else { cpu_seconds(std::process::id()).unwrap_or(0.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_tells_of_us() {
        let own = std::process::id();
        assert!(cpu_seconds(own).is_some() && resident_bytes(own) > Some(100_000));
        let mut number = 1u64;
        for _ in 0..20_000_000u64 {
            number = std::hint::black_box(number.wrapping_mul(3));
        }
        // Threads of other tests come and go, and take their time with them; this one's is there.
        assert!(wanted_seconds() > 0.0, "{number}");
        assert_eq!((cpu_seconds(0), resident_bytes(0)), (None, None));
    }

    #[test]
    fn a_child_ends_with_its_holder() {
        let mut child = Running::start(Command::new("sleep").arg("1000")).unwrap();
        assert!(!child.has_ended() && children().contains(&child.pid()));
        let pid = child.pid();
        drop(child);
        // Somebody else may have its number already.
        assert!(!children().contains(&pid));
    }
}
