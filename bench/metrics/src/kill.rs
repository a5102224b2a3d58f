//! `kill -9` during paced ingest, and an account of what was acknowledged before it: lost, changed, or never sent.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::{Map, Value};

use crate::load::{self, Loaded};
use crate::query;
use crate::server::Setup;
use crate::template::Template;
use crate::workload::{Group, INTERVAL_MS, Plan};
use bench_harness::client::{Client, encoded};

const PER_SECOND: f64 = 100_000.0;
const KILL_AFTER: Duration = Duration::from_secs(15);
/// More than can be sent before the kill.
const ROUNDS: usize = 400;

#[derive(Default)]
pub(crate) struct Account {
    pub(crate) acknowledged: u64,
    pub(crate) lost: u64,
    /// Found with another value.
    pub(crate) changed: u64,
    /// Found although never sent.
    pub(crate) invented: u64,
    /// From the restart until it said that it is ready.
    pub(crate) ready: Duration,
}

/// Loads, kills, restarts and counts. `end_ms` is a time that is not in the future.
pub(crate) fn run(setup: &Setup, template: &Template, instances: usize, end_ms: i64, seed: u64) -> Result<Account> {
    let plan = Plan { instances, rounds: ROUNDS, start_ms: end_ms - ROUNDS as i64 * INTERVAL_MS, churn_per_hour: 0.0, seed };
    let mut server = setup.start()?;
    server.wait_ready()?;
    let address = server.address.clone();
    let loaded = std::thread::scope(|scope| -> Result<Loaded> {
        let loader = scope.spawn(|| load::load(&address, &plan, template, Some(PER_SECOND)));
        let began = Instant::now();
        while began.elapsed() < KILL_AFTER && !loader.is_finished() {
            std::thread::sleep(Duration::from_millis(20));
        }
        server.process.kill()?;
        loader.join().ok().context("the loader failed")
    })?;
    let mut server = setup.start()?;
    let mut account = Account { ready: server.wait_ready()?, acknowledged: loaded.samples, ..Account::default() };
    let mut client = Client::new(&server.address);
    for (number, acknowledged) in loaded.acknowledged.iter().enumerate() {
        check_group(&mut client, &plan, template, (number, *acknowledged), &mut account)?;
    }
    server.stop()?;
    Ok(account)
}

/// Sends the same requests again in thought and looks for every sample.
fn check_group(client: &mut Client, plan: &Plan, template: &Template, (number, acknowledged): (usize, usize), account: &mut Account) -> Result<()> {
    let mut group = Group::new(plan, template, number);
    let mut expected: Vec<Vec<(i64, Vec<f64>)>> = group.instances.iter().map(|_| Vec::new()).collect();
    // The request after the last acknowledged one may have been on its way: what it holds may be there or not.
    for round in 0..plan.rounds.min(acknowledged + 1) {
        group.advance(round, template);
        for (instance, rounds) in group.instances.iter().zip(&mut expected) {
            rounds.push((group.time_ms(instance, round), instance.values.clone()));
        }
    }
    for (instance, rounds) in group.instances.iter().zip(expected) {
        let name = instance.current_name();
        let range_s = plan.rounds as i64 * INTERVAL_MS / 1000 + 60;
        let query = encoded(&format!("{{instance=\"{name}\"}}[{range_s}s]"));
        let found = query::rows(&client.get(&format!("/api/v1/query?query={query}&time={}", plan.end_ms() / 1000 + 30))?.text()?)?;
        for (i, series) in template.series.iter().enumerate() {
            let mut labels: Vec<(String, Value)> = series.labels.iter().map(|(n, v)| (n.clone(), v.clone().into())).collect();
            labels.push(("instance".into(), name.clone().into()));
            labels.sort_by(|a, b| a.0.cmp(&b.0));
            let key = serde_json::to_string(&labels.into_iter().collect::<Map<_, _>>())?;
            let mut points: HashMap<i64, f64> = found.get(&key).into_iter().flatten().copied().collect();
            for (round, (time, values)) in rounds.iter().enumerate() {
                match points.remove(time) {
                    Some(value) if value.to_bits() == values[i].to_bits() || (value.is_nan() && values[i].is_nan()) => {}
                    Some(_) => account.changed += 1,
                    None if round < acknowledged => account.lost += 1,
                    None => {}
                }
            }
            account.invented += points.len() as u64;
        }
    }
    Ok(())
}
