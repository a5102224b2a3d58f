//! Entries as `journalctl` writes them.

use std::sync::{Arc, Mutex};

use watchfire_ingest::relabel::Action;
use watchfire_model::batch::Batch;
use watchfire_model::meter::Meter;
use watchfire_model::state::{Change, StateError, StateStore, Table};
use watchfire_model::time::{ManualClock, Timestamp};
use watchfire_model::write::{Sink, WriteError, Written};

use super::*;

#[derive(Default)]
struct House {
    lines: Mutex<Vec<String>>,
    cursor: Mutex<Option<Vec<u8>>>,
}
impl Sink for House {
    fn write(&self, batch: Batch) -> Result<Written, WriteError> {
        for stream in batch.logs {
            self.lines.lock().unwrap().extend(stream.entries.iter().map(|e| format!("{} {} {}", e.time.0, stream.labels, e.line)));
        }
        Ok(Written::default())
    }
}
impl StateStore for House {
    fn get(&self, _table: Table, _key: &str) -> Result<Option<Vec<u8>>, StateError> {
        Ok(self.cursor.lock().unwrap().clone())
    }
    fn scan(&self, _table: Table, _prefix: &str) -> Result<Vec<(String, Vec<u8>)>, StateError> {
        Ok(Vec::new())
    }
    fn commit(&self, changes: &[Change]) -> Result<(), StateError> {
        if let [Change::Put(_, _, value)] = changes {
            *self.cursor.lock().unwrap() = Some(value.clone());
        }
        Ok(())
    }
}

fn source() -> Source {
    Source {
        name: "promtail/journal".into(),
        labels: BTreeMap::from([("job".to_owned(), "systemd-journal".to_owned())]),
        relabel: vec![RelabelConfig::new(Action::Replace, &["__journal__systemd_unit"], "(.*)", "unit", "$1").unwrap()],
        stages: Vec::new(),
        as_json: false,
        max_age: Duration::from_secs(12 * 3_600),
        directory: None,
        matches: Vec::new(),
        cursor: None,
    }
}

#[tokio::test]
async fn pis_23_the_journal_is_read_back_twelve_hours_with_job_and_unit() {
    assert!(arguments(&source(), None).contains(&"--since=-43200s".to_owned()));
    assert!(arguments(&source(), Some("s=1")).contains(&"--after-cursor=s=1".to_owned()));
    let house = Arc::new(House::default());
    let clock = ManualClock::new(Timestamp(0));
    let parts = Surroundings::new(house.clone(), house.clone(), clock, &Meter::new());
    let text = concat!(
        r#"{"__CURSOR":"c1","__REALTIME_TIMESTAMP":"1700000000000001","_SYSTEMD_UNIT":"ssh.service","MESSAGE":"hello"}"#,
        "\nnot an entry\n",
        r#"{"__CURSOR":"c2","__REALTIME_TIMESTAMP":"1700000000000002","MESSAGE":[104,105,255]}"#,
        "\n"
    );
    assert!(follow(&source(), &parts, text.as_bytes()).await);
    house.lines.lock().unwrap().sort();
    assert_eq!(
        *house.lines.lock().unwrap(),
        ["1700000000000001000 {job=\"systemd-journal\", unit=\"ssh.service\"} hello", "1700000000000002000 {job=\"systemd-journal\"} hi\u{fffd}",]
    );
    assert_eq!(house.cursor.lock().unwrap().as_deref(), Some(&b"c2"[..]));
}
