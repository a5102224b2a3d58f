//! `watchfire alert try`: sends a test through one receiver of the configuration and tells what came back. It starts no server and
//! asks none.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use watchfire_alert::manager::config::{Config, Receiver};
use watchfire_alert::receivers::trial::{Trial, try_receiver};
use watchfire_alert::receivers::{DeliveryError, Outside};
use watchfire_model::document::{Finding, Severity};
use watchfire_model::time::SystemClock;
use watchfire_net::client::Caller;

use crate::command_line::TryFlags;
use crate::serve::alertmanager;
use crate::settings::{self, Environment, Flags, Settings};

/// Runs the command: 0 when every integration took the test.
pub(crate) fn run(flags: TryFlags, environment: &Environment) -> ExitCode {
    match attempt(flags, environment) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("watchfire: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn attempt(flags: TryFlags, environment: &Environment) -> Result<bool> {
    let wanted = Flags { config: flags.config, monitoring_dir: flags.monitoring_dir, ..Flags::default() };
    let settings = settings::load(&wanted, environment).map_err(|findings| refused(&findings))?.settings;
    if settings.foreign_of("alertmanager").is_none() {
        bail!("no alertmanager.yml is configured: name one with the key alertmanager of watchfire.yml, or with --monitoring-dir");
    }
    let parsed = alertmanager::read(&settings);
    let config = parsed.config.ok_or_else(|| refused(&parsed.findings))?;
    let receiver = find(&config, &flags.receiver)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start")?;
    let clock = SystemClock::shared();
    let caller = Caller::new(clock.clone()).with_environment(&|name| environment.get(name).map(str::to_owned));
    let outside = Outside { caller: Arc::new(caller), clock, pictures: Arc::default() };
    let trials = runtime.block_on(try_receiver(receiver, flags.resolved, &external_url(&settings), &outside));
    for kind in &receiver.undelivered {
        println!("{kind}: this version does not deliver to it");
    }
    trials.iter().for_each(show);
    Ok(receiver.undelivered.is_empty() && !trials.is_empty() && trials.iter().all(|trial| trial.outcome.is_ok()))
}

/// A configuration that cannot be used is told finding by finding.
fn refused(findings: &[Finding]) -> anyhow::Error {
    let errors: Vec<String> = findings.iter().filter(|f| f.severity == Severity::Error).map(ToString::to_string).collect();
    anyhow::anyhow!("cannot use the configuration:\n{}", errors.join("\n"))
}

fn find<'a>(config: &'a Config, name: &str) -> Result<&'a Receiver> {
    let Some(receiver) = config.receiver(name) else {
        let names: Vec<&str> = config.receivers.iter().map(|r| r.name.as_str()).collect();
        bail!("there is no receiver {name:?}; there are {}", names.join(", "));
    };
    if receiver.integrations.is_empty() && receiver.undelivered.is_empty() {
        bail!("the receiver {name:?} has no integration: alerts that go there reach nobody");
    }
    Ok(receiver)
}

fn external_url(settings: &Settings) -> String {
    settings.rules.external_url.clone().unwrap_or_else(|| format!("http://{}", settings.server.listen))
}

fn show(trial: &Trial) {
    let Trial { kind, index, send_resolved, outcome, took } = trial;
    let said = match outcome {
        Ok(()) => format!("taken after {:.2} s", took.as_secs_f64()),
        Err(DeliveryError::Never(reason)) => format!("refused for good: {reason}"),
        Err(DeliveryError::Later { reason, after: None }) => format!("failed, another try may succeed: {reason}"),
        Err(DeliveryError::Later { reason, after: Some(after) }) => format!("failed, to be tried again after {} s: {reason}", after.as_secs_f64()),
    };
    let note = if *send_resolved { "" } else { " (is not told of ends)" };
    println!("{kind}[{index}]: {said}{note}");
}
