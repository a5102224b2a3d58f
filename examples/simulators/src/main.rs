//! `simulate vms|pisovereign|hsi`: one of the three systems as small programs that do small real work, report as their documents say, and
//! have faults that can be caused. It is an example and a test's counterpart, no part of what is shipped.

mod clock;
mod faults;
mod fleet;
mod host;
mod hsi;
mod http;
mod metrics;
mod part;
mod pisovereign;
mod plan;
mod process;
mod scraping;
mod telling;
mod vms;

use std::io::{Error, ErrorKind, Result};
use std::path::PathBuf;
use std::process::ExitCode;

use fleet::Options;
use plan::Plan;

const USAGE: &str =
    "usage: simulate vms|pisovereign|hsi [--dir DIR] [--nodes N] [--gateways N] [--apis N] [--cameras N] [--watchfire PROGRAM] [--listen HOST:PORT]
  --dir        where files are written, a directory that may be emptied (default: a new one in the system's place for temporary files)
  --nodes      recording nodes of the video system (6), --gateways (3), --apis (2), --cameras of each node (2)
  --watchfire  a program that is started as a server, told to watch the system
  --listen     its address (default: port 8000 at an address of the run)
Faults: POST http://CONTROL/parts/PART/fault/NAME?of=…, DELETE ends one; POST http://CONTROL/parts/PART/kill and …/start.";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match run(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

fn run(words: &[String]) -> Result<()> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["--part", plan, name] => {
            let plan = Plan::parse(plan).ok_or_else(|| wrong("cannot read the plan of the run"))?;
            match plan.system.as_str() {
                "vms" => vms::run(name, plan),
                "hsi" => hsi::run(name, plan),
                "pisovereign" => pisovereign::run(name, plan),
                other => Err(wrong(&format!("cannot simulate {other}"))),
            }
        }
        // What a supervisor runs to bring a part back.
        ["--control", control, what @ ("start" | "kill"), part] => {
            let (status, answer) = http::ask(control, "POST", &format!("/parts/{part}/{what}"), b"", std::time::Duration::from_secs(20))?;
            match status {
                200 => Ok(()),
                _ => Err(Error::other(String::from_utf8_lossy(&answer).into_owned())),
            }
        }
        [system @ ("vms" | "pisovereign" | "hsi"), rest @ ..] => fleet::run(&options(system, rest)?),
        _ => Err(wrong(USAGE)),
    }
}

fn wrong(why: &str) -> Error {
    Error::new(ErrorKind::InvalidInput, why.to_owned())
}

fn options(system: &str, words: &[&str]) -> Result<Options> {
    let mut options = Options { system: system.to_owned(), dir: None, nodes: 6, gateways: 3, apis: 2, cameras: 2, watchfire: None, listen: None };
    for pair in words.chunks(2) {
        let [name, value] = pair else { return Err(wrong(USAGE)) };
        let count = || value.parse::<usize>().ok().filter(|n| (1..=20).contains(n)).ok_or_else(|| wrong(&format!("{name} is a number from 1 to 20")));
        match *name {
            "--dir" => options.dir = Some(PathBuf::from(value)),
            "--nodes" => options.nodes = count()?,
            "--gateways" => options.gateways = count()?,
            "--apis" => options.apis = count()?,
            "--cameras" => options.cameras = count()?,
            "--watchfire" => options.watchfire = Some(PathBuf::from(value)),
            "--listen" => options.listen = Some((*value).to_owned()),
            _ => return Err(wrong(USAGE)),
        }
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_become_options_or_an_error() {
        let read = options("vms", &["--nodes", "2", "--dir", "/x"]).unwrap();
        assert_eq!((read.nodes, read.dir, read.gateways), (2, Some(PathBuf::from("/x")), 3));
        for wrong in [&["--nodes"][..], &["--nodes", "0"], &["--nodes", "21"], &["--nodes", "x"], &["--speed", "1"]] {
            assert!(options("vms", wrong).is_err(), "{wrong:?}");
        }
        for wrong in [&[][..], &["other"], &["--part", "{}", "cameras"], &["--control", "x", "restart", "y"]] {
            assert!(run(&wrong.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>()).is_err(), "{wrong:?}");
        }
    }
}
