//! The assistant: the eight alerts of its documents.

use crate::cases::{Case, Cause, Row, panels_have_data, play, tell};
use crate::run::{Run, is_long};

use Cause::{Fault, Killed};

const JOB: (&str, &str) = ("job", "pisovereign");
const INSTANCE: (&str, &str) = ("instance", "assistant:3000");

const fn case(alert: &'static str, labels: &'static [(&'static str, &'static str)], causes: &'static [Cause], what: &'static str) -> Case {
    Case { alert, labels, causes, what, alone: false, waits: true }
}

/// One after the other: what is wrong with the engine is also slow or an error to whoever asks.
const ROWS: &[Case] = &[
    case("PiSovereignDown", &[JOB, INSTANCE, ("severity", "critical")], &[Killed("assistant")], "the assistant is killed"),
    case("InferenceEngineUnhealthy", &[JOB, INSTANCE, ("severity", "critical")], &[Fault("engine", "wedged", "")], "the engine answers nothing any more"),
    case("InferenceFailures", &[JOB, INSTANCE, ("severity", "warning")], &[Fault("engine", "model-gone", "")], "the file of the model is moved away"),
    case("HighErrorRate", &[JOB, ("severity", "warning")], &[Fault("assistant", "memory-gone", "")], "the directory of the memory is moved away"),
    case(
        "HighResponseTime",
        &[JOB, INSTANCE, ("severity", "warning")],
        &[Fault("assistant", "memory-slow", "")],
        "writing down takes 1.3 s, one after the other",
    ),
    case("HighInferenceTime", &[JOB, INSTANCE, ("severity", "warning")], &[Fault("engine", "slowed", "")], "each of forty tokens takes 300 ms"),
    case("NoTraffic", &[JOB, ("severity", "info")], &[Killed("people")], "nobody is there who asks"),
];

/// Its window and its wait are two minutes, even when they are divided.
const LONG: &[Case] = &[case("HighTokenUsage", &[JOB, INSTANCE, ("severity", "info")], &[Fault("engine", "runaway", "")], "answers find no end")];

#[test]
fn alerts_of_the_assistant_fire_for_their_reason_and_resolve() {
    let run = Run::start("pisovereign", &[], &["pisovereign/rules/alerts.yml"], &[], &[]);
    let mut rows: Vec<Row> = Vec::new();
    for case in ROWS.iter().chain(LONG.iter().filter(|_| is_long())) {
        rows.extend(play(&run, std::slice::from_ref(case)));
    }
    tell("pisovereign", &rows);
    panels_have_data(&run, "pisovereign", &[]);
}
