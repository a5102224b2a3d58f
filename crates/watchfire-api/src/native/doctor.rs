//! `/api/system/doctor`: what can never work in the loaded files, and what is wrong with the machine. It shows; finding is the
//! doctor's.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use schemars::JsonSchema;
use serde::Serialize;
use watchfire_doctor::Diagnosis;

use crate::app::{App, Writes};
use crate::server::Refusal;

/// What the doctor found.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Doctor")]
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
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "DoctorWrites")]
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
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "DoctorFinding")]
struct FindingJson {
    /// How bad it is. A file that cannot be read is an error where it is loaded; what is only dead in it is a warning.
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
            severity: "warning",
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
    let ask = app.rooms.doctor.clone();
    let report = tokio::task::spawn_blocking(move || ask()).await.map_err(|_| Refusal::internal())?;
    Ok(Json(DoctorJson {
        checked_at: report.checked_at.rfc3339(),
        files: report.files,
        findings: report.findings.iter().map(FindingJson::from).collect(),
        writes: report.writes.map(WritesJson::from),
    }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use watchfire_doctor::Code;

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
}
