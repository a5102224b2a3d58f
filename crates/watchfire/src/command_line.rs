//! The command line: names, flags and help. It decides nothing; `main` hands each command to its file.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::settings::Flags;

/// Where a server is looked for unless told otherwise.
pub(crate) const DEFAULT_URL: &str = "http://127.0.0.1:8000";

/// One process that watches machines, GPUs and AI pipelines, and speaks the protocols of the tools it replaces.
#[derive(Debug, Parser)]
#[command(name = "watchfire", version, about, args_conflicts_with_subcommands = true)]
pub(crate) struct CommandLine {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) serve: ServeFlags,
}

/// What to do; without a command, `serve`.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Watch, keep, answer and show (the default)
    Serve(ServeFlags),
    /// Check configuration files: all findings with file:line:column
    Check(CheckFlags),
    /// Check configuration files beside what a running server knows; without files, those that it has loaded
    Doctor(DoctorFlags),
    /// Ask a running server a PromQL query
    Query(QueryFlags),
    /// Ask a running server a LogQL query
    Logs(LogsFlags),
    /// Asks a running server for a trace, or for traces
    Traces(TracesFlags),
    /// Print a report as it would be sent now, or send it; without a name, all reports and how they stand
    Report(ReportFlags),
    /// Alerts and who is told of them
    #[command(subcommand)]
    Alert(AlertCommand),
    /// Copy everything that is kept into a directory or a tar file, while the server runs
    Backup(BackupFlags),
    /// Make a data directory of a backup
    Restore(RestoreFlags),
    /// Take over blocks of Prometheus or OpenMetrics text
    Import(ImportFlags),
    /// Tell which containers of a Compose file can go, and what becomes of their settings
    Adopt(AdoptFlags),
    /// Run a small real pipeline that reports to a server: camera pictures, movements, a language model, events, dead letters
    Demo(DemoFlags),
    /// Print the version
    Version,
}

/// Flags of `serve`.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct ServeFlags {
    /// The configuration file [default: watchfire.yml where it exists]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where data are kept [default: ./data]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// The address to listen on [default: 127.0.0.1:8000]
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Option<String>,
    /// A directory with the configuration of the programs to replace
    #[arg(long, value_name = "DIR")]
    monitoring_dir: Option<PathBuf>,
    /// Listen on the ports of the programs to replace as well
    #[arg(long)]
    drop_in: bool,
    /// How much memory to use at most, such as 256MB
    #[arg(long, value_name = "SIZE")]
    memory_limit: Option<String>,
    /// Listen on an open address although authentication is off
    #[arg(long)]
    insecure_no_auth: bool,
    /// End when the program that started this one ends
    #[arg(long, hide = true)]
    pub(crate) end_with_parent: bool,
}
impl ServeFlags {
    /// The flags as the settings take them.
    pub(crate) fn into_flags(self) -> Flags {
        let ServeFlags { config, data_dir, listen, monitoring_dir, drop_in, memory_limit, insecure_no_auth, end_with_parent: _ } = self;
        Flags { config, data_dir, listen, monitoring_dir, drop_in, memory_limit, insecure_no_auth }
    }
}

/// Flags of `check`.
#[derive(Debug, Args)]
pub(crate) struct CheckFlags {
    /// The configuration file of Watchfire
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// A directory with the configuration of the programs to replace
    #[arg(long, value_name = "DIR")]
    pub(crate) monitoring_dir: Option<PathBuf>,
    /// Print the findings as JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Further files
    pub(crate) files: Vec<PathBuf>,
}

/// Flags of `doctor`.
#[derive(Debug, Args)]
pub(crate) struct DoctorFlags {
    #[command(flatten)]
    pub(crate) check: CheckFlags,
    /// The server to ask
    #[arg(long, default_value = DEFAULT_URL)]
    pub(crate) url: String,
}

/// Flags of `query`.
#[derive(Debug, Args)]
pub(crate) struct QueryFlags {
    /// The PromQL expression
    pub(crate) expression: String,
    /// The server to ask
    #[arg(long, default_value = DEFAULT_URL)]
    pub(crate) url: String,
    /// Print the answer as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Flags of `logs`.
#[derive(Debug, Args)]
pub(crate) struct LogsFlags {
    /// The LogQL expression
    pub(crate) expression: String,
    /// The server to ask
    #[arg(long, default_value = DEFAULT_URL)]
    pub(crate) url: String,
    /// How far back, such as 30m or 7d
    #[arg(long, value_name = "TIME", default_value = "1h")]
    pub(crate) since: String,
    /// The newest lines, at most
    #[arg(long, default_value_t = 100)]
    pub(crate) limit: usize,
    /// Print the answer as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Flags of `traces`.
#[derive(Debug, Args)]
pub(crate) struct TracesFlags {
    /// The id of a trace, or a TraceQL query; all traces without one
    #[arg(value_name = "ID|TRACEQL", default_value = "", hide_default_value = true)]
    pub(crate) wanted: String,
    /// The server to ask
    #[arg(long, default_value = DEFAULT_URL)]
    pub(crate) url: String,
    /// How far back a query looks, such as 30m or 7d
    #[arg(long, value_name = "TIME", default_value = "1h")]
    pub(crate) since: String,
    /// The newest traces, at most
    #[arg(long, default_value_t = 20)]
    pub(crate) limit: usize,
    /// Print the answer as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Flags of `report`.
#[derive(Debug, Args)]
pub(crate) struct ReportFlags {
    /// The report
    pub(crate) name: Option<String>,
    /// The server to ask
    #[arg(long, default_value = DEFAULT_URL)]
    pub(crate) url: String,
    /// Print it and send nothing, which is what happens without a flag, too: as text, as html, or the whole mail
    #[arg(long, value_name = "FORM", value_enum, num_args = 0..=1, default_missing_value = "text", requires = "name", conflicts_with = "send")]
    pub(crate) print: Option<ReportForm>,
    /// Send it now to its recipients
    #[arg(long, requires = "name")]
    pub(crate) send: bool,
}

/// How a report is printed.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum ReportForm {
    /// As plain text, without pictures
    Text,
    /// As HTML with its pictures in it
    Html,
    /// The mail with its headers
    Mail,
}
impl ReportForm {
    pub(crate) fn word(self) -> &'static str {
        match self {
            ReportForm::Text => "text",
            ReportForm::Html => "html",
            ReportForm::Mail => "mail",
        }
    }
}

/// Flags of `adopt`.
#[derive(Debug, Args)]
pub(crate) struct AdoptFlags {
    /// The Compose file; it stays as it is
    pub(crate) file: PathBuf,
    /// Write the edited file under a new name [default: beside it, as NAME.watchfire.yml]
    #[arg(long, value_name = "FILE")]
    pub(crate) write: Option<Option<PathBuf>>,
    /// Print the report as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Flags of `demo`.
#[derive(Debug, Args)]
pub(crate) struct DemoFlags {
    /// The server to report to; when none is there, the demo starts one of its own
    #[arg(long, default_value = DEFAULT_URL)]
    pub(crate) url: String,
    /// Start a server of its own although one is there
    #[arg(long)]
    pub(crate) serve: bool,
    /// Where a server of its own keeps its data, which then stay [default: a temporary directory]
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// A server of OpenAI's shape, such as http://127.0.0.1:8080/v1 [default: a stand-in without a model]
    #[arg(long, value_name = "URL")]
    pub(crate) llm: Option<String>,
    /// A file with the key for it
    #[arg(long, value_name = "FILE", requires = "llm")]
    pub(crate) llm_key_file: Option<PathBuf>,
    /// The model to ask for [default: the first that it names]
    #[arg(long, value_name = "NAME", requires = "llm")]
    pub(crate) model: Option<String>,
    /// Pictures per second of each camera
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=i64::from(watchfire_demo::FPS_MAX)))]
    pub(crate) fps: u32,
    /// How long to take pictures, such as 90s or 10m [default: until Ctrl-C]
    #[arg(long, value_name = "TIME")]
    pub(crate) duration: Option<String>,
    /// Print the summary as JSON, and all else to standard error
    #[arg(long)]
    pub(crate) json: bool,
}

/// What to do with alerts.
#[derive(Debug, Subcommand)]
pub(crate) enum AlertCommand {
    /// Send a test through a receiver of the configuration and tell what came back
    Try(TryFlags),
}

/// Flags of `alert try`.
#[derive(Debug, Args)]
pub(crate) struct TryFlags {
    /// The receiver
    pub(crate) receiver: String,
    /// Say that the test alert has ended
    #[arg(long)]
    pub(crate) resolved: bool,
    /// The configuration file of Watchfire
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// A directory with the configuration of the programs to replace
    #[arg(long, value_name = "DIR")]
    pub(crate) monitoring_dir: Option<PathBuf>,
}

/// Flags of `backup`.
#[derive(Debug, Args)]
pub(crate) struct BackupFlags {
    /// The directory to make, or the file if it ends in .tar
    pub(crate) target: PathBuf,
    /// The server to ask
    #[arg(long, default_value = DEFAULT_URL)]
    pub(crate) url: String,
    /// Back up a data directory that no server uses
    #[arg(long, value_name = "DIR", conflicts_with = "url")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Put the admin token into the backup, too
    #[arg(long)]
    pub(crate) include_secrets: bool,
}

/// Flags of `restore`.
#[derive(Debug, Args)]
pub(crate) struct RestoreFlags {
    /// The backup: a directory or a tar file
    pub(crate) source: PathBuf,
    /// The data directory to make; it must be empty or not exist
    #[arg(long, value_name = "DIR", default_value = "data")]
    pub(crate) data_dir: PathBuf,
}

/// Flags of `import`.
#[derive(Debug, Args)]
pub(crate) struct ImportFlags {
    /// Blocks, directories with blocks, or files of OpenMetrics text with timestamps
    #[arg(required = true)]
    pub(crate) paths: Vec<PathBuf>,
    /// The server to send to
    #[arg(long, default_value = DEFAULT_URL)]
    pub(crate) url: String,
    /// Write into a data directory that no server uses
    #[arg(long, value_name = "DIR", conflicts_with = "url")]
    pub(crate) data_dir: Option<PathBuf>,
}
