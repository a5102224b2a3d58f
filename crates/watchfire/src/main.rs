//! The binary: command line, configuration, wiring, supervision, shutdown. Everything else is in the rooms below.

mod adopt;
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
mod own_log;
mod query;
mod remote;
mod report;
mod rule_files;
mod serve;
mod settings;
mod spans;
mod text_file;
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
        Some(Command::Adopt(flags)) => adopt::run(&flags),
        Some(Command::Check(flags)) => check::run(flags, &environment),
        Some(Command::Doctor(flags)) => doctor::run(flags, &environment),
        Some(Command::Query(flags)) => told(query::run(&flags, &environment)),
        Some(Command::Logs(flags)) => told(logs::run(&flags, &environment)),
        Some(Command::Traces(flags)) => told(traces::run(&flags, &environment)),
        Some(Command::Report(flags)) => told(report::run(&flags, &environment)),
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
    take_more_files();
    serve::run(flags.into_flags(), environment)
}

/// So many files and connections are enough for thousands of targets that hang at the same time.
const FILES_WANTED: u64 = 65_536;

/// Takes as many open files as the system lets us have: the usual soft limit, 1,024, would make targets look down that are not.
fn take_more_files() {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    if let Some(more) = more_files(limit.current, limit.maximum) {
        // Where that is refused the limit stays, as it would without us.
        let _stays = rustix::process::setrlimit(rustix::process::Resource::Nofile, rustix::process::Rlimit { current: Some(more), ..limit });
    }
}

/// The limit to ask for, if there may be a higher one than there is. Nothing is without limit.
fn more_files(current: Option<u64>, maximum: Option<u64>) -> Option<u64> {
    let wanted = maximum.unwrap_or(FILES_WANTED).min(FILES_WANTED);
    current.is_some_and(|current| current < wanted).then_some(wanted)
}

/// Has the system end us in order when the program that started us dies: nobody else would, and the port would stay taken.
fn end_with_parent() -> bool {
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::more_files;

    #[test]
    fn as_many_files_as_the_system_gives_are_taken() {
        for (current, maximum, expected) in [
            (Some(1_024), Some(4_096), Some(4_096)),
            (Some(1_024), Some(1 << 20), Some(65_536)),
            (Some(1_024), None, Some(65_536)),
            (Some(64), Some(64), None),
            (Some(100_000), Some(1 << 20), None),
            (None, None, None),
        ] {
            assert_eq!(more_files(current, maximum), expected, "{current:?} of {maximum:?}");
        }
    }
}
