//! How findings are shown: a line each, or JSON for scripts; and the exit code that goes with them.

use std::process::ExitCode;

use serde_json::{Value, json};
use watchfire_doctor::Diagnosis;
use watchfire_model::document::{Finding, Severity};

/// Prints everything and tells how to end: 2 with an error, 1 with warnings only, else 0.
pub(crate) fn print(findings: &[Finding], diagnoses: &[Diagnosis], json: bool) -> ExitCode {
    let of_doctor: Vec<Finding> = diagnoses.iter().map(Diagnosis::finding).collect();
    if json {
        let all: Vec<Value> = findings.iter().map(of_shape).chain(diagnoses.iter().map(of_doctor_json)).collect();
        println!("{:#}", Value::Array(all));
    } else {
        for finding in findings.iter().chain(&of_doctor) {
            println!("{finding}");
        }
    }
    match findings.iter().chain(&of_doctor).map(|f| f.severity).max() {
        Some(Severity::Error) => ExitCode::from(2),
        Some(Severity::Warning) => ExitCode::from(1),
        None => ExitCode::SUCCESS,
    }
}

fn word(severity: Severity) -> &'static str {
    if severity == Severity::Error { "error" } else { "warning" }
}

fn of_shape(finding: &Finding) -> Value {
    json!({"severity": word(finding.severity), "code": null, "file": &*finding.file, "line": finding.line, "column": finding.column, "subject": null, "message": finding.message, "suggestion": null})
}

fn of_doctor_json(diagnosis: &Diagnosis) -> Value {
    json!({
        "severity": word(diagnosis.code.severity()),
        "code": diagnosis.code.name(),
        "file": &*diagnosis.file,
        "line": diagnosis.line,
        "column": diagnosis.column,
        "subject": diagnosis.subject,
        "message": diagnosis.message,
        "suggestion": diagnosis.suggestion,
    })
}
