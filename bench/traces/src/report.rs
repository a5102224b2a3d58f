//! Markdown tables of what was measured, with multiples of decoding the same requests alone.

use bench_harness::table::{Table, machine, ms, number};

use crate::ask::Ask;
use crate::measure::{Figures, Ingested};
use crate::workload::Plan;

const MB: f64 = 1e6;

/// Everything as markdown. `expected` is what each question must find.
pub(crate) fn tables(plan: &Plan, figures: &Figures, expected: &[(Ask, u64)]) -> String {
    let mut table = Table::new(vec!["watchfire"], "watchfire");
    let full = &figures.full;
    let spans = full.loaded.items as f64;
    let decoded = spans / figures.decoding;
    table.text(&format!(
        "{} traces of {} spans, {:.0} bytes of OTLP a span; decoding them alone: {} spans per CPU second; {}\n",
        number(plan.traces as f64),
        crate::workload::SPANS,
        full.loaded.bytes as f64 / spans,
        number(decoded),
        machine(),
    ));
    table.head("at full speed, two connections");
    let rate = |cpu_ms: u64| spans / (cpu_ms as f64 / 1_000.0);
    table.row("spans per CPU second", &[rate(full.cpu_ms)]);
    table.row("CPU, multiple of decoding alone", &[decoded / rate(full.cpu_ms)]);
    table.row("the same, until quiet again", &[decoded / rate(full.cpu_settled_ms)]);
    table.row("CPU seconds per million spans, until quiet again", &[1e6 / rate(full.cpu_settled_ms)]);
    table.row("spans per second (wall)", &[spans / full.loaded.took.as_secs_f64()]);
    table.row("request, ms: median", &[full.loaded.percentile_ms(50)]);
    table.row("request, ms: 99th percentile", &[full.loaded.percentile_ms(99)]);
    table.row("requests that had to be sent again", &[full.loaded.retries as f64]);
    table.row("bytes stored per span, whole directory, after a stop", &[figures.disk_bytes as f64 / spans]);
    table.row("the same, after another start and stop", &[figures.disk_bytes_later as f64 / spans]);
    memory(&mut table, full);
    table.row("after the questions", &[figures.after_questions as f64 / MB]);
    table.row("start with these spans until ready, ms", &[ms(figures.start)]);
    if let Some(paced) = &figures.paced {
        table.head("at a steady pace");
        table.row("spans per second", &[paced.loaded.items as f64 / paced.loaded.took.as_secs_f64()]);
        table.row("share of a processor", &[paced.cpu_ms as f64 / paced.loaded.took.as_secs_f64() / 1_000.0]);
        memory(&mut table, paced);
    }
    for (title, value) in [("questions: server CPU ms", 0), ("questions: median ms", 1), ("questions: 95th percentile ms", 2)] {
        table.head(title);
        for answered in &figures.answers {
            let timed = &answered.timed;
            table.row(answered.ask.title(), &[[timed.cpu_ms, ms(timed.median), ms(timed.p95)][value]]);
        }
    }
    table.text("\n| found, and what it is by the traces themselves | |\n|---|---|\n");
    for (ask, wanted) in expected {
        let found = figures.answers.iter().find(|a| a.ask == *ask).map_or(0, |a| a.found);
        let said = if found == *wanted { "the same".to_owned() } else { format!("**{found}**") };
        table.text(&format!("| {}: {wanted} | {said} |\n", ask.title()));
    }
    table.finish()
}

fn memory(table: &mut Table, of: &Ingested) {
    table.head("RSS, MB");
    table.row("idle", &[of.idle as f64 / MB]);
    table.row("while ingesting, most", &[of.most as f64 / MB]);
    table.row("while ingesting, average", &[of.average as f64 / MB]);
    table.row("after ingesting", &[of.after as f64 / MB]);
}
