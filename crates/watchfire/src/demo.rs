//! `watchfire demo`: flags, environment and signals for `watchfire-demo`, which does the work.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result};
use watchfire_demo::{Bell, Options};
use watchfire_model::duration;
use watchfire_model::time::SystemClock;

use crate::command_line::{DEFAULT_URL, DemoFlags};
use crate::settings::Environment;

/// What a server of the demo's own gets of our environment: where programs, time zones and authorities are.
const PASSED_ON: [&str; 6] = ["PATH", "HOME", "TZ", "LANG", "SSL_CERT_FILE", "SSL_CERT_DIR"];

/// Runs the command: 0 when nothing was lost, 1 when something was, 2 when there is no demo.
pub(crate) fn run(flags: DemoFlags, environment: &Environment) -> ExitCode {
    let json = flags.json;
    let ended = options(flags, environment).and_then(|options| {
        let bell = Arc::new(Bell::default());
        ring_on_signals(&bell)?;
        Ok(watchfire_demo::run(&options, &bell, &SystemClock::shared())?)
    });
    match ended {
        Ok(summary) => {
            if json {
                println!("{}", summary.json());
            }
            if summary.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("watchfire: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn options(flags: DemoFlags, environment: &Environment) -> Result<Options> {
    let usual = flags.url == DEFAULT_URL;
    let duration = match flags.duration {
        Some(text) => Some(duration::parse(&text).with_context(|| format!("cannot read --duration {text:?}: such as 90s or 10m"))?),
        None => None,
    };
    Ok(Options {
        url: environment.get("WATCHFIRE_URL").filter(|_| usual).map_or(flags.url, str::to_owned),
        token: environment.get("WATCHFIRE_TOKEN").map(str::to_owned),
        serve: flags.serve,
        data_dir: flags.data_dir,
        llm: flags.llm,
        llm_key_file: flags.llm_key_file,
        model: flags.model,
        fps: flags.fps,
        duration,
        json: flags.json,
        program: std::env::current_exe().context("cannot find this program")?,
        environment: PASSED_ON.iter().filter_map(|name| Some(((*name).to_owned(), environment.get(name)?.to_owned()))).collect(),
    })
}

/// The first Ctrl-C or termination ends the demo in order.
fn ring_on_signals(bell: &Arc<Bell>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start")?;
    let bell = bell.clone();
    let wait = move || {
        runtime.block_on(async {
            let Ok(mut terminated) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) else { return };
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminated.recv() => {}
            }
        });
        bell.ring();
    };
    std::thread::Builder::new().name("signals".into()).spawn(wait).context("cannot start a thread")?;
    Ok(())
}
