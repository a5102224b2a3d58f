//! The check `process`: whether a process runs, by its name, its command line or a file with its number, as `/proc` shows it. It sends
//! no signal.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use watchfire_model::document::{Node, Reader};

use super::{Check, Checking, Kind, seen, unseen};
use crate::supervision::policy::Verdict;
use crate::supervision::settings::Outside;
use watchfire_net::blocking::spawn_blocking;

pub(super) const KIND: Kind = Kind { key: "process", read };

/// How much of a command line, and of a file with a number, is read.
const FILE_BYTES_MAX: u64 = 64 << 10;
/// The kernel keeps so much of a process's name.
const KERNEL_NAME_BYTES: usize = 15;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Sought {
    Name(String),
    CommandLine(String),
    PidFile(PathBuf),
}

#[derive(Clone, Debug)]
struct Process {
    sought: Sought,
    at_least: u64,
    proc: PathBuf,
}

impl Process {
    fn look_now(&self) -> Verdict {
        match &self.sought {
            Sought::PidFile(path) => self.by_number(path),
            Sought::Name(_) | Sought::CommandLine(_) => self.by_search(),
        }
    }

    fn by_number(&self, path: &Path) -> Verdict {
        let text = match text_of(path) {
            Ok(text) => text,
            Err(error) => return seen(format!("cannot read {}: {error}", path.display())),
        };
        let Some(pid) = text.split_whitespace().next().and_then(|word| word.parse::<u32>().ok()) else {
            return seen(format!("{} holds no process number", path.display()));
        };
        if self.lives(&self.proc.join(pid.to_string())) { Verdict::Healthy } else { seen(format!("no process has the number {pid} of {}", path.display())) }
    }

    fn by_search(&self) -> Verdict {
        let entries = match fs::read_dir(&self.proc) {
            Ok(entries) => entries,
            Err(error) => return unseen(format!("cannot list {}: {error}", self.proc.display())),
        };
        let own = std::process::id().to_string();
        let is_process = |name: &str| name.bytes().all(|b| b.is_ascii_digit()) && name != own;
        let found = entries.flatten().filter(|e| e.file_name().to_str().is_some_and(is_process)).filter(|e| self.fits(&e.path()) && self.lives(&e.path()));
        let found = found.take(self.at_least as usize).count() as u64;
        match found {
            found if found >= self.at_least => Verdict::Healthy,
            0 => seen(format!("no process with {}", self.target())),
            found => seen(format!("{found} processes with {}, {} are wanted", self.target(), self.at_least)),
        }
    }

    fn fits(&self, folder: &Path) -> bool {
        let words = || text_of(&folder.join("cmdline")).unwrap_or_default();
        match &self.sought {
            Sought::Name(name) => {
                let kernel = text_of(&folder.join("comm")).unwrap_or_default();
                let kernel = kernel.trim_end_matches('\n');
                // The kernel's name is cut; the whole one stands in the command line.
                kernel == name || (name.len() > KERNEL_NAME_BYTES && name.starts_with(kernel) && program_of(&words()) == Some(name))
            }
            Sought::CommandLine(part) => words().trim_end_matches('\0').replace('\0', " ").contains(part),
            Sought::PidFile(_) => false,
        }
    }

    /// Whether the process is there and no corpse.
    fn lives(&self, folder: &Path) -> bool {
        let Ok(stat) = text_of(&folder.join("stat")) else { return false };
        // The name in parentheses may hold anything, parentheses too.
        let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
        state.is_some_and(|state| !matches!(state, 'Z' | 'X' | 'x'))
    }
}

fn program_of(command_line: &str) -> Option<&str> {
    command_line.split('\0').next()?.rsplit('/').next()
}

fn text_of(path: &Path) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(FILE_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

impl Check for Process {
    fn look(&self, _: Duration) -> Checking<'_> {
        let look = self.clone();
        Box::pin(async move { spawn_blocking(move || look.look_now()).await.unwrap_or_else(|_| unseen("the look at /proc panicked")) })
    }
    fn target(&self) -> String {
        match &self.sought {
            Sought::Name(name) => format!("name {name}"),
            Sought::CommandLine(part) => format!("command line {part}"),
            Sought::PidFile(path) => format!("pid file {}", path.display()),
        }
    }
}

fn read(reader: &Reader<'_>, outside: &Outside<'_>) -> Option<Arc<dyn Check>> {
    let proc = outside.root.join("proc");
    if let Some(name) = reader.raw("process").and_then(Node::text) {
        return Some(Arc::new(Process { sought: Sought::Name(name.to_owned()), at_least: 1, proc }));
    }
    let more = reader.map("process")?;
    let sought = [
        more.text("name").map(Sought::Name),
        more.text("command_line").map(Sought::CommandLine),
        more.text("pid_file").map(|path| Sought::PidFile(outside.base.join(path))),
    ];
    let at_least = more.u64("at_least").unwrap_or(1).clamp(1, 1000);
    let mut sought = sought.into_iter().flatten().filter(|s| !matches!(s, Sought::Name(t) | Sought::CommandLine(t) if t.is_empty()));
    let (first, second) = (sought.next(), sought.next());
    if first.is_none() || second.is_some() {
        reader.error_at("process", "must have one of name, command_line and pid_file");
    }
    more.finish();
    Some(Arc::new(Process { sought: first?, at_least, proc }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_found_by_name_number_and_command_line() {
        let dir = tempfile::tempdir().unwrap();
        let put = |pid: u32, comm: &str, words: &str, stat: &str| {
            let folder = dir.path().join(pid.to_string());
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("comm"), format!("{comm}\n")).unwrap();
            fs::write(folder.join("cmdline"), words).unwrap();
            fs::write(folder.join("stat"), stat).unwrap();
        };
        put(11, "rtdetr", "/opt/rtdetr\0--port\08090\0", "11 (rtdetr) S 1");
        put(12, "a-very-long-nam", "/opt/a-very-long-name\0", "12 (a-very-long-nam) R 1");
        put(13, "corpse", "", "13 (corpse) Z 1");
        put(14, "odd) R (x", "/opt/odd\0", "14 (odd) R (x) Z 1");
        let check = |sought: Sought, at_least: u64, expected: bool| {
            let process = Process { sought: sought.clone(), at_least, proc: dir.path().to_path_buf() };
            assert_eq!(process.look_now() == Verdict::Healthy, expected, "{sought:?}");
        };
        let name = |text: &str| Sought::Name(text.to_owned());
        check(name("rtdetr"), 1, true);
        check(name("rtdetr"), 2, false);
        check(name("rtdet"), 1, false);
        check(name("a-very-long-name"), 1, true);
        check(name("a-very-long-names"), 1, false);
        check(name("corpse"), 1, false);
        check(name("odd) R (x"), 1, false);
        check(Sought::CommandLine("--port 8090".to_owned()), 1, true);
        check(Sought::CommandLine("--port 8091".to_owned()), 1, false);
        let pid_file = |text: &str| {
            fs::write(dir.path().join("pid"), text).unwrap();
            Sought::PidFile(dir.path().join("pid"))
        };
        check(pid_file("11\n"), 1, true);
        check(pid_file("13\n"), 1, false);
        check(pid_file("99\n"), 1, false);
        check(pid_file("../11\n"), 1, false);
        check(Sought::PidFile(dir.path().join("none")), 1, false);
    }
}
