//! What these tests share: settings from a text, a supervisor with a state in memory, patience.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use watchfire_model::document::{Context, Reader, parse_yaml};
use watchfire_model::meter::Meter;
use watchfire_model::observe::Unobserved;
use watchfire_model::state::{Change, StateError, StateStore, Table};
use watchfire_model::time::SystemClock;
use watchfire_pipeline::supervision::policy::Verdict;
use watchfire_pipeline::supervision::{Outside, Parts, Settings, Supervisor};

/// Reads a section that must be right.
pub(crate) fn settings(text: &str) -> Settings {
    let node = parse_yaml("w.yml", text).unwrap();
    let context = Context::new("w.yml");
    let outside = Outside { environment: &|_| None, commands: Ok(()), base: Path::new("/"), root: Path::new("/"), engine: None, systemctl: None };
    let settings = Settings::read(Reader::new(&context, &node, "services"), outside);
    let findings = context.into_findings();
    assert!(findings.is_empty(), "{findings:?}");
    settings
}

/// What the check of the only service of a section finds.
pub(crate) async fn look(text: &str) -> Verdict {
    settings(text).services[0].check.look(Duration::from_secs(5)).await
}

/// What was wrong, in words; empty when nothing was.
pub(crate) fn why(verdict: Verdict) -> String {
    match verdict {
        Verdict::Healthy => String::new(),
        Verdict::Failed { why, .. } => why,
        Verdict::Unknown { why } => format!("unknown: {why}"),
    }
}

/// A state store in memory.
#[derive(Default)]
pub(crate) struct Memory(Mutex<BTreeMap<(Table, String), Vec<u8>>>);
impl StateStore for Memory {
    fn get(&self, table: Table, key: &str) -> Result<Option<Vec<u8>>, StateError> {
        Ok(self.0.lock().unwrap().get(&(table, key.to_owned())).cloned())
    }
    fn scan(&self, table: Table, prefix: &str) -> Result<Vec<(String, Vec<u8>)>, StateError> {
        let all = self.0.lock().unwrap();
        Ok(all.iter().filter(|((t, k), _)| *t == table && k.starts_with(prefix)).map(|((_, k), v)| (k.clone(), v.clone())).collect())
    }
    fn commit(&self, changes: &[Change]) -> Result<(), StateError> {
        let mut all = self.0.lock().unwrap();
        for change in changes {
            match change.clone() {
                Change::Put(table, key, value) => drop(all.insert((table, key), value)),
                Change::Delete(table, key) => drop(all.remove(&(table, key))),
            }
        }
        Ok(())
    }
}

/// A supervisor at work, and what was told of services.
pub(crate) fn supervise(text: &str) -> (Supervisor, Arc<Mutex<Vec<String>>>) {
    let parts = Parts { state: Arc::new(Memory::default()), clock: SystemClock::shared(), meter: Meter::new(), observe: Arc::new(Unobserved) };
    let supervisor = Supervisor::open(parts).unwrap();
    supervisor.apply(&settings(text)).unwrap();
    let told = Arc::new(Mutex::new(Vec::new()));
    let listener = told.clone();
    supervisor.on_change(move |service, _| listener.lock().unwrap().push(format!("{} {}: {}", service.name, service.status, service.message)));
    tokio::spawn(supervisor.clone().run());
    (supervisor, told)
}

/// Waits for a condition with a limit; other processes live in real time.
pub(crate) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..3000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{what} did not happen within 30 s");
}
