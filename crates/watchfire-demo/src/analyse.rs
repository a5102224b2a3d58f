//! The analyser: takes batches out of the analysis queue, makes the prompt fit, asks the model, and writes an event with the risk score
//! it answers. What fails is said to the queue, which decides whether it is tried again.

use std::time::Duration;

use serde_json::{Value, json};
use watchfire_sdk::metrics::hsi;
use watchfire_sdk::queue::{Job, QueueError, Report, Worker};

use crate::Run;
use crate::crew::Member;
use crate::detect::{done, fail};
use crate::http::{Answer, Silence};
use crate::jobs::BatchJob;
use crate::prompt;
use crate::traces::{Context, Kind, Span};

/// How long the server may take to count tokens.
const COUNT_TIMEOUT: Duration = Duration::from_secs(20);
/// How long the model may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);
/// Tokens that the answer may have.
const ANSWER_TOKENS_MAX: u64 = 200;
/// How much of a wrong answer is told.
const SHOWN_CHARS_MAX: usize = 300;
/// The levels, and the lowest score of each.
const LEVELS: [(&str, f64); 4] = [("low", 0.0), ("medium", 30.0), ("high", 60.0), ("critical", 85.0)];

/// Works until it is over.
pub(crate) fn work(run: &Run, member: &Member) -> Result<(), QueueError> {
    let settings = run.queue_settings(&run.analysis_queue, &member.name, 1);
    let worker = Worker::start(settings).map_err(|error| QueueError::Away(error.to_string()))?;
    while !run.analysing_over.has_rung() {
        for job in worker.lease_patiently()? {
            analyse(run, member, job);
        }
    }
    Ok(())
}

fn analyse(run: &Run, member: &Member, job: Job) {
    let Some(batch) = serde_json::from_slice::<BatchJob>(job.payload()).ok().filter(|batch| batch.demo == run.id) else {
        run.meet_stranger(job);
        return;
    };
    let mut span = Span::begin(&run.clock, "demo-analyser", "analyse", Kind::Consumer, batch.traceparent.as_deref().and_then(Context::parse));
    span.set("camera_id", batch.camera_id.as_str());
    span.set("batch", batch.batch);
    span.set("messaging.destination.name", run.analysis_queue.as_str());
    let began = run.clock.monotonic();
    let judged = judge(run, &batch, span.context());
    run.metrics.observe_stage_duration("analyze", run.clock.monotonic().saturating_sub(began).as_secs_f64());
    let written = judged.and_then(|verdict| write(run, &batch, &verdict).map(|()| verdict));
    match &written {
        Ok(verdict) => span.set("risk_score", verdict.score),
        Err(report) => span.fail(&report.error),
    }
    run.spans.end(&run.clock, span);
    match written {
        Ok(verdict) => {
            member.succeeded();
            done(run, &run.ledger.analysis, job);
            tell(run, &batch, &verdict);
        }
        Err(report) => {
            member.failed();
            fail(run, &run.ledger.analysis, job, &report);
        }
    }
}

/// What the model said.
#[derive(Debug, PartialEq)]
struct Verdict {
    score: f64,
    reasoning: String,
}

fn judge(run: &Run, batch: &BatchJob, context: Context) -> Result<Verdict, Report> {
    let prompt = fit(run, prompt::build(batch))?;
    let body = json!({
        "model": run.model.name,
        "messages": [{"role": "user", "content": prompt}],
        "temperature": 0,
        "max_tokens": ANSWER_TOKENS_MAX,
    });
    let began = run.clock.monotonic();
    let mut span = Span::begin(&run.clock, "demo-analyser", "POST /chat/completions", Kind::Client, Some(context));
    span.set("gen_ai.request.model", run.model.name.as_str());
    let headers = [("x-camera-id", batch.camera_id.as_str()), ("traceparent", &span.context().header())];
    let answered = run.model.http.post("/chat/completions", &body, &headers, ANSWER_TIMEOUT);
    let took = run.clock.monotonic().saturating_sub(began);
    if let Ok(answer) = &answered {
        span.set("http.response.status_code", answer.status);
    }
    let checked = check(answered);
    if let Err(report) = &checked {
        span.fail(&report.error);
    }
    run.spans.end(&run.clock, span);
    let answer = checked.inspect_err(|report| {
        // What goes through the gateway is counted there.
        if let (false, Some(class)) = (run.model.is_behind_gateway, &report.error_type) {
            run.metrics.increment(&hsi::PIPELINE_ERRORS_TOTAL, [class]);
        }
    })?;
    if !run.model.is_behind_gateway {
        measure(run, &batch.camera_id, &answer, took);
    }
    let content = answer["choices"][0]["message"]["content"].as_str().unwrap_or_default();
    read(content).ok_or_else(|| {
        run.metrics.increment(&hsi::PIPELINE_ERRORS_TOTAL, ["malformed_response"]);
        let shown: String = content.chars().take(SHOWN_CHARS_MAX).collect();
        Report { response_body: Some(shown), ..Report::new("malformed_response", "cannot find a risk score in the model's answer") }
    })
}

/// The prompt as it fits: the server counts it and leaves sections out when it is too long.
fn fit(run: &Run, prompt: String) -> Result<String, Report> {
    let checked = ask(run, "/api/llm/validate", &json!({"prompt": prompt, "model": run.model.name}))?;
    if checked["is_valid"] == json!(true) {
        return Ok(prompt);
    }
    let cut = ask(run, "/api/llm/truncate", &json!({"prompt": prompt}))?;
    if cut["fits"] != json!(true) {
        return Err(Report { retry: Some(false), ..Report::new("validation_error", "cannot make the prompt fit the model's window") });
    }
    run.ledger.truncated.one();
    Ok(cut["truncated_prompt"].as_str().unwrap_or_default().to_owned())
}

fn ask(run: &Run, path: &str, body: &Value) -> Result<Value, Report> {
    match run.house.http.post(path, body, &[], COUNT_TIMEOUT) {
        Ok(answer) if answer.status == 200 => Ok(answer.json()),
        Ok(answer) => Err(Report {
            http_status: Some(answer.status),
            ..Report::new("processing_error", format!("cannot count tokens: {path} answered {}", answer.status))
        }),
        Err(error) => Err(Report::new("connection_error", format!("cannot count tokens: {error}"))),
    }
}

fn check(answered: Result<Answer, Silence>) -> Result<Value, Report> {
    let answer = answered.map_err(|error| {
        let class = match error {
            Silence::TimedOut => "nemotron_timeout",
            Silence::NotConnected(_) | Silence::Broken(_) => "nemotron_connection_error",
        };
        Report::new(class, format!("cannot ask the model: {error}"))
    })?;
    if answer.status == 200 {
        return Ok(answer.json());
    }
    let class = if answer.status >= 500 { "nemotron_server_error" } else { "nemotron_client_error" };
    let shown: String = answer.text.chars().take(SHOWN_CHARS_MAX).collect();
    let words = answer.json()["error"]["message"].as_str().unwrap_or("no reason was given").to_owned();
    Err(Report { http_status: Some(answer.status), response_body: Some(shown), ..Report::new(class, format!("the model answered {}: {words}", answer.status)) })
}

/// Reports what the gateway reports of requests that pass through it.
fn measure(run: &Run, camera: &str, answer: &Value, took: Duration) {
    run.metrics.observe(&hsi::AI_REQUEST_DURATION_SECONDS, ["nemotron"], took.as_secs_f64());
    let usage = |key: &str| answer["usage"][key].as_f64();
    if let (Some(input), Some(output)) = (usage("prompt_tokens"), usage("completion_tokens")) {
        run.metrics.add(&hsi::NEMOTRON_TOKENS_INPUT_TOTAL, [camera], input);
        run.metrics.add(&hsi::NEMOTRON_TOKENS_OUTPUT_TOTAL, [camera], output);
    }
}

/// Finds the JSON object in what the model wrote; models like to write something around it.
fn read(content: &str) -> Option<Verdict> {
    let (start, end) = (content.find('{')?, content.rfind('}')?);
    let told: Value = serde_json::from_str(content.get(start..=end)?).ok()?;
    let score = told["risk_score"].as_f64().or_else(|| told["risk_score"].as_str()?.trim().parse().ok())?;
    let reasoning = told["reasoning"].as_str().unwrap_or_default().chars().take(SHOWN_CHARS_MAX).collect();
    (0.0..=100.0).contains(&score).then_some(Verdict { score, reasoning })
}

fn level(score: f64) -> usize {
    LEVELS.iter().rposition(|(_, lowest)| score >= *lowest).unwrap_or(0)
}

/// Writes the event, a line of JSON.
fn write(run: &Run, batch: &BatchJob, verdict: &Verdict) -> Result<(), Report> {
    let event = json!({
        "batch": batch.batch,
        "camera_id": batch.camera_id,
        "detections": batch.detections.len(),
        "risk_score": verdict.score,
        "risk_level": LEVELS.get(level(verdict.score)).map(|l| l.0),
        "reasoning": verdict.reasoning,
        "answered_by": run.model.name,
        "stand_in": run.model.is_stand_in,
        "written_at": run.clock.now().rfc3339_millis(),
    });
    run.write_event(&event).map_err(|error| Report::new("processing_error", format!("cannot write the event: {error}")))
}

fn tell(run: &Run, batch: &BatchJob, verdict: &Verdict) {
    let level = level(verdict.score);
    let word = LEVELS.get(level).map_or("low", |l| l.0);
    if let Some(count) = run.ledger.events.get(level) {
        count.one();
    }
    run.metrics.record_event_created();
    run.metrics.observe(&hsi::RISK_SCORE, [], verdict.score);
    run.metrics.increment(&hsi::EVENTS_BY_RISK_LEVEL_TOTAL, [word]);
    run.voice.say(&format!("event at {}: {} detections, risk {:.0} ({word})", batch.camera_id, batch.detections.len(), verdict.score));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_found_in_what_models_write() {
        for (content, score) in [
            (r#"{"risk_score": 35, "reasoning": "calm"}"#, Some(35.0)),
            ("Sure! ```json\n{\"risk_score\": \"72.5\"}\n```", Some(72.5)),
            (r#"{"risk_score": 101}"#, None),
            (r#"{"risk_score": -1}"#, None),
            (r#"{"risk": 3}"#, None),
            ("no idea", None),
            ("} {", None),
            ("", None),
        ] {
            assert_eq!(read(content).map(|v| v.score), score, "{content}");
        }
    }

    #[test]
    fn levels() {
        let words: Vec<&str> = [0.0, 29.9, 30.0, 59.0, 60.0, 84.9, 85.0, 100.0].map(|score| LEVELS[level(score)].0).to_vec();
        assert_eq!(words, ["low", "low", "medium", "medium", "high", "high", "critical", "critical"]);
    }

    #[test]
    fn failures_have_their_class() {
        let class = |answered| check(answered).unwrap_err().error_type.unwrap();
        let status = |status| Ok(Answer { status, text: r#"{"error":{"message":"on purpose"}}"#.into() });
        assert_eq!(class(status(500)), "nemotron_server_error");
        assert_eq!(class(status(404)), "nemotron_client_error");
        assert_eq!(class(Err(Silence::TimedOut)), "nemotron_timeout");
        assert_eq!(class(Err(Silence::Broken("x".into()))), "nemotron_connection_error");
        assert_eq!(check(status(500)).unwrap_err().error, "the model answered 500: on purpose");
    }
}
