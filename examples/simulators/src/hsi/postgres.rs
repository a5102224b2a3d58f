//! What stands in for the database: a table of events in a file and in memory. It logs how long its statements took, as a database does that is
//! told to log all durations.

use std::io::{Result, Write};
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

use crate::clock;
use crate::faults::Known;
use crate::http::Response;
use crate::part::Part;
use crate::plan::Plan;
use crate::telling::Telling;

const ROWS_MAX: usize = 1_000;
const SLOW_MS: u64 = 1_200;

const FAULTS: &[Known] = &[("slow", "every statement takes 1.2 s longer")];

pub(crate) fn run(plan: Plan) -> Result<()> {
    let part = Part::new("postgres", plan, FAULTS);
    let telling = Telling::default();
    telling.run(&part)?;
    std::fs::create_dir_all(part.plan.dir.join("postgres"))?;
    let file = std::fs::File::create(part.plan.dir.join("postgres").join("events.jsonl"))?;
    let table = Mutex::new((Vec::<Value>::new(), file));
    let of = part.clone();
    part.serve("/metrics", move |request| {
        let began = clock::now();
        let mut table = table.lock().unwrap_or_else(PoisonError::into_inner);
        if of.faults.is("slow") {
            clock::pause_ms(SLOW_MS);
        }
        let (statement, answer) = match (request.method.as_str(), request.path.as_str()) {
            ("POST", "/events") => {
                let row = request.json();
                let written = table.1.write_all(format!("{row}\n").as_bytes());
                table.0.push(row);
                let over = table.0.len().saturating_sub(ROWS_MAX);
                table.0.drain(..over);
                ("INSERT INTO events VALUES ($1, $2)", written.map_or_else(|error| Response::text(500, error.to_string()), |()| Response::json(&json!({}))))
            }
            ("GET", "/events/stats") => ("SELECT a.camera_id, count(*) FROM events a, events b", Response::json(&stats(&table.0))),
            _ => return None,
        };
        drop(table);
        let ms = clock::ms_since(began);
        let shown = format!("{ms:.3}");
        telling.line(&of, "LOG", &format!("duration: {shown} ms statement: {statement}"), &[("pg_slow_query", &shown)]);
        Some(answer)
    })?;
    part.live()
}

/// Events, and pairs of one camera that are equally risky: every row is compared with every other.
fn stats(rows: &[Value]) -> Value {
    let same = |a: &Value, b: &Value| a["camera_id"] == b["camera_id"] && a["risk_score"] == b["risk_score"];
    let pairs = rows.iter().enumerate().map(|(i, a)| rows.iter().skip(i + 1).take(200).filter(|b| same(a, b)).count()).sum::<usize>();
    json!({"events": rows.len(), "alike": pairs})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_of_one_camera_and_risk() {
        let row = |camera: &str, risk: u64| json!({"camera_id": camera, "risk_score": risk});
        assert_eq!(stats(&[row("a", 1), row("b", 1), row("a", 1), row("a", 2)]), json!({"events": 4, "alike": 1}));
    }
}
