//! The binary: command line, configuration, wiring, supervision, shutdown. Everything else is in the rooms below.

mod alert;
mod backup;
mod check;
mod command_line;
mod demo;
mod doctor;
mod import;
mod log_rules;
mod logging;
mod logs;
mod memory;
mod query;
mod remote;
mod rule_files;
mod serve;
mod settings;
mod spans;
mod traces;

use std::process::ExitCode;

use clap::Parser;

use command_line::{AlertCommand, Command, CommandLine, ServeFlags};
use settings::Environment;

fn main() -> ExitCode {
    let line = CommandLine::parse();
    let environment = Environment::read();
    match line.command {
        None => serve(line.serve, environment),
        Some(Command::Serve(flags)) => serve(flags, environment),
        Some(Command::Demo(flags)) => demo::run(flags, &environment),
        Some(Command::Check(flags)) => check::run(flags, &environment),
        Some(Command::Doctor(flags)) => doctor::run(flags, &environment),
        Some(Command::Query(flags)) => told(query::run(&flags, &environment)),
        Some(Command::Logs(flags)) => told(logs::run(&flags, &environment)),
        Some(Command::Traces(flags)) => told(traces::run(&flags, &environment)),
        Some(Command::Alert(AlertCommand::Try(flags))) => alert::run(flags, &environment),
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

/// The exit code of a command that prints what it found; errors are told.
fn told(outcome: anyhow::Result<()>) -> ExitCode {
    let Err(error) = outcome else { return ExitCode::SUCCESS };
    eprintln!("watchfire: {error:#}");
    ExitCode::FAILURE
}

fn serve(flags: ServeFlags, environment: Environment) -> ExitCode {
    if flags.end_with_parent && !end_with_parent() {
        eprintln!("watchfire: cannot watch the program that started this one");
        return ExitCode::FAILURE;
    }
    serve::run(flags.into_flags(), environment)
}

/// Has the system end us in order when the program that started us dies: nobody else would, and the port would stay taken.
fn end_with_parent() -> bool {
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM)).is_ok()
}
