//! The binary: command line, configuration, wiring, supervision, shutdown. Everything else is in the rooms below.

mod check;
mod command_line;
mod logging;
mod memory;
mod query;
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
        Some(Command::Version) => {
            let build = serve::build();
            println!("watchfire {} (revision {}, {})", build.version, build.revision, build.compiler);
            ExitCode::SUCCESS
        }
    }
}
