//! The binary: command line, configuration, wiring, supervision, shutdown. Everything else is in the rooms below.

mod backup;
mod check;
mod command_line;
mod import;
mod logging;
mod memory;
mod query;
mod remote;
mod rule_files;
mod serve;
mod settings;

use std::process::ExitCode;

use clap::Parser;

use command_line::{Command, CommandLine};
use settings::Environment;

fn main() -> ExitCode {
    let line = CommandLine::parse();
    let environment = Environment::read();
    match line.command {
        None => serve::run(line.serve.into_flags(), environment),
        Some(Command::Serve(flags)) => serve::run(flags.into_flags(), environment),
        Some(Command::Check(flags)) => check::run(flags, &environment),
        Some(Command::Query(flags)) => query::run(&flags, &environment),
        Some(Command::Backup(flags)) => backup::run(&flags, &environment),
        Some(Command::Restore(flags)) => backup::restore(&flags),
        Some(Command::Import(flags)) => import::run(&flags, &environment),
        Some(Command::Version) => {
            let build = serve::build();
            println!("watchfire {} (revision {}, {})", build.version, build.revision, build.compiler);
            ExitCode::SUCCESS
        }
    }
}
