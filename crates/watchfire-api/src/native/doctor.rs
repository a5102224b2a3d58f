//! `/api/system/doctor`: what can never work in the loaded files, and what is wrong with the machine. It shows; finding is the
//! doctor's.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
#[cfg(test)]
use schemars::JsonSchema;
use serde::Serialize;
use watchfire_doctor::Diagnosis;
use watchfire_model::document::Severity;

use crate::app::{App, Writes};
use crate::server::Refusal;
use watchfire_net::blocking::spawn_blocking;

/// What the doctor found.
#[derive(Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "Doctor"))]
pub(crate) struct DoctorJson {
    /// When it looked.
    checked_at: String,
    /// How many files it looked at.
    files: usize,
    /// What it found, by file and line; those about the machine come last.
    findings: Vec<FindingJson>,
    /// What the store writes to its disk; null in the first minutes, which say little.
    writes: Option<WritesJson>,
}

/// What the store has written since the start, and what that makes in the long run.
#[derive(Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "DoctorWrites"))]
struct WritesJson {
    /// For how long.
    seconds: f64,
    /// Bytes in that time, as they were handed to the system.
    bytes: u64,
    /// Bytes in a day at this pace.
    bytes_per_day: f64,
    /// Syncs a second.
    syncs_per_second: f64,
}
impl From<Writes> for WritesJson {
    fn from(w: Writes) -> WritesJson {
        WritesJson { seconds: w.seconds, bytes: w.bytes, bytes_per_day: w.bytes_per_day, syncs_per_second: w.syncs_per_second }
    }
}

/// One finding.
#[derive(Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "DoctorFinding"))]
struct FindingJson {
    /// How bad it is: `error` where a configuration cannot be read, so that nothing in it is carried out; else `warning`.
    severity: &'static str,
    /// What kind; the names are stable.
    code: &'static str,
    /// The file, or `server` for the machine.
    file: String,
    /// The line, from 1; 0 when it is about no line.
    line: usize,
    /// The column, from 1; 0 when it is about no line.
    column: usize,
    /// The rule, panel, route or part that it is about.
    subject: String,
    /// What is wrong and why.
    message: String,
    /// What to do instead.
    suggestion: Option<String>,
}
impl From<&Diagnosis> for FindingJson {
    fn from(d: &Diagnosis) -> FindingJson {
        FindingJson {
            severity: if d.code.severity() == Severity::Error { "error" } else { "warning" },
            code: d.code.name(),
            file: d.file.to_string(),
            line: d.line,
            column: d.column,
            subject: d.subject.clone(),
            message: d.message.clone(),
            suggestion: d.suggestion.clone(),
        }
    }
}

/// `GET /api/system/doctor`.
pub(crate) async fn doctor(State(app): State<Arc<App>>) -> Result<Json<DoctorJson>, Refusal> {
    // One at a time: whoever waits holds no thread, and is given what the one before it was told.
    let turn = app.doctor_turn.clone().lock_owned().await;
    let ask = app.rooms.doctor.clone();
    let look = move || {
        let report = ask();
        drop(turn);
        report
    };
    let report = spawn_blocking(look).await.map_err(|_| Refusal::internal())?;
    Ok(Json(DoctorJson {
        checked_at: report.checked_at.rfc3339(),
        files: report.files,
        findings: report.findings.iter().map(FindingJson::from).collect(),
        writes: report.writes.map(WritesJson::from),
    }))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use serde_json::json;
    use watchfire_doctor::Code;
    use watchfire_model::document::Finding;

    use super::*;
    use crate::app::DoctorReport;
    use crate::testing::{Faces, NOW};

    #[tokio::test]
    async fn findings_are_shown_as_they_are() {
        let faces = Faces::new();
        let finding = Diagnosis {
            code: Code::NeverMatches,
            file: "rules.yml".into(),
            line: 3,
            column: 9,
            subject: "A".to_owned(),
            message: "why".to_owned(),
            suggestion: None,
        };
        faces.house.held().doctor = Some(DoctorReport { checked_at: NOW, files: 2, findings: vec![finding], writes: None });
        let answer = faces.get("/api/system/doctor").await.json();
        let expected = json!({"severity": "warning", "code": "never-matches", "file": "rules.yml", "line": 3, "column": 9, "subject": "A", "message": "why", "suggestion": null});
        assert_eq!(answer["findings"], json!([expected]));
        assert_eq!((&answer["files"], &answer["checked_at"]), (&json!(2), &json!(NOW.rfc3339())));
    }

    #[tokio::test]
    async fn a_configuration_that_cannot_be_read_is_an_error() {
        let faces = Faces::new();
        let broken = Finding { severity: Severity::Error, file: "prometheus.yml".into(), line: 2, column: 5, message: "why".to_owned() };
        let findings = vec![Diagnosis::of_file(Code::CannotBeRead, &broken)];
        faces.house.held().doctor = Some(DoctorReport { checked_at: NOW, files: 0, findings, writes: None });
        let answer = faces.get("/api/system/doctor").await.json();
        let expected = json!({"severity": "error", "code": "cannot-be-read", "file": "prometheus.yml", "line": 2, "column": 5, "subject": "file", "message": "why", "suggestion": null});
        assert_eq!(answer["findings"], json!([expected]));
    }

    /// Callers that have gone away do not let another begin either.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn one_looks_at_a_time_and_waiters_hold_no_thread() {
        let running = Arc::new(AtomicUsize::new(0));
        let most = Arc::new(AtomicUsize::new(0));
        let (begin, begun) = std::sync::mpsc::channel::<()>();
        let begun = std::sync::Mutex::new(begun);
        let faces = Faces::with(|rooms| {
            let (running, most) = (running.clone(), most.clone());
            rooms.doctor = Arc::new(move || {
                most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                begun.lock().unwrap().recv().unwrap();
                running.fetch_sub(1, Ordering::SeqCst);
                DoctorReport { checked_at: NOW, files: 0, findings: Vec::new(), writes: None }
            });
        });
        let app = faces.app.clone();
        let ask = || tokio::spawn(doctor(State(app.clone())));
        let (gone, others) = (ask(), [ask(), ask(), ask()]);
        while running.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        gone.abort();
        for _ in 0..4 {
            begin.send(()).unwrap();
        }
        for other in others {
            assert!(other.await.unwrap().is_ok());
        }
        assert_eq!(most.load(Ordering::SeqCst), 1);
    }
}
