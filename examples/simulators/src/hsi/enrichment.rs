//! Enrichment behind HTTP: three small models that each compute one thing about something that was found. A model that does not know the class
//! says so.

use std::io::Result;

use serde_json::json;

use crate::faults::Known;
use crate::http::Response;
use crate::part::Part;
use crate::plan::Plan;

const FAULTS: &[Known] = &[("failing", "every call ends in an error")];

pub(crate) fn run(plan: Plan) -> Result<()> {
    let part = Part::new("ai-enrichment", plan, FAULTS);
    let of = part.clone();
    part.serve("/metrics", move |request| {
        let model = request.path.strip_prefix("/enrich/")?;
        let found = request.json();
        let (class, area) = (found["class"].as_str().unwrap_or_default(), found["area"].as_f64().unwrap_or(0.0));
        let answer = match (model, class) {
            _ if of.faults.is("failing") => None,
            ("clothing", "person") => Some(json!({"clothing": if area > 200.0 { "coat" } else { "shirt" }})),
            ("vehicle", "car") => Some(json!({"vehicle": if area > 400.0 { "van" } else { "car" }})),
            ("pet", "cat") => Some(json!({"pet": "cat", "weight_kg": (area / 40.0).round()})),
            _ => None,
        };
        Some(answer.map_or_else(|| Response::status_json(500, &json!({"error": format!("{model} cannot judge {class}")})), |value| Response::json(&value)))
    })?;
    part.live()
}
