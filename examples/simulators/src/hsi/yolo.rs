//! The detector behind HTTP: it finds what is in a picture that is posted to it, on the mock card whose figures its health page has.

use std::io::Result;
use std::sync::Arc;

use serde_json::json;

use super::card::{self, Card};
use super::scene;
use crate::clock;
use crate::faults::Known;
use crate::http::{Request, Response};
use crate::part::Part;
use crate::plan::Plan;
use crate::telling::{SERVER, Span, Telling};

const SLOW_MS: u64 = 2_000;

const FAULTS: &[Known] = &[("slow", "each picture takes two seconds longer"), card::LARGE, card::HUGE, card::NO_FAN];

pub(crate) fn run(plan: Plan) -> Result<()> {
    let part = Part::new("ai-yolo26", plan, FAULTS);
    let (card, telling) = (Arc::new(Card::default()), Telling::default());
    card.pass(|_| false);
    let passing = card.clone();
    part.every(500, move |part| passing.pass(|name| part.faults.is(name)))?;
    telling.run(&part)?;
    let of = part.clone();
    part.serve("/metrics", move |request| match request.path.as_str() {
        "/health" => {
            let mut told = card.figures();
            told["status"] = "healthy".into();
            Some(Response::json(&told))
        }
        "/detect" => Some(detect(&of, &card, &telling, request)),
        _ => None,
    })?;
    part.live()
}

fn detect(part: &Part, card: &Card, telling: &Telling, request: &Request) -> Response {
    let span = Span::begin("POST /detect", SERVER, request.header("traceparent"));
    let began = clock::now();
    let found = card.work(|| {
        if part.faults.is("slow") {
            clock::pause_ms(SLOW_MS);
        }
        scene::detect(&request.body)
    });
    let error = found.as_ref().err().map(ToString::to_string);
    telling.end(part, &span, error.as_deref());
    match found {
        Ok(found) => {
            let list: Vec<_> = found.iter().map(|f| json!({"class": f.class, "confidence": f.confidence, "area": f.area, "x": f.x, "y": f.y})).collect();
            Response::json(&json!({"detections": list, "gpu_seconds": began.elapsed().as_secs_f64()}))
        }
        Err(error) => {
            telling.line(part, "ERROR", &format!("error: {error} trace_id={}", span.trace_id()), &[]);
            Response::status_json(422, &json!({"error": error.to_string()}))
        }
    }
}
