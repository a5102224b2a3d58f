//! Markdown tables of what was measured, with ratios.

use std::fmt::Write as _;
use std::time::Duration;

use crate::measure::{Course, Figures};
use crate::query::{self, Rows};
use crate::server::Kind;

pub(crate) fn progress(what: &str) {
    eprintln!("bench-metrics: {what}");
}

/// What was not done must be seen among the tables.
pub(crate) fn skipped(what: &str) {
    println!("SKIPPED: {what}\n");
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Enough digits to read, no more.
fn number(value: f64) -> String {
    match value.abs() {
        v if !v.is_finite() => "–".to_owned(),
        v if v >= 10_000.0 => {
            let text = format!("{value:.0}");
            let mut out = String::new();
            for (i, c) in text.chars().enumerate() {
                if i > 0 && (text.len() - i).is_multiple_of(3) {
                    out.push(',');
                }
                out.push(c);
            }
            out
        }
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        0.0 => "0".to_owned(),
        _ => format!("{value:.3}"),
    }
}

struct Table<'a> {
    results: &'a [Figures],
    text: String,
}

impl Table<'_> {
    fn head(&mut self, title: &str) {
        let columns: Vec<&str> = self.results.iter().map(|f| f.kind.name()).collect();
        let ratios = self.ratios().into_iter().map(|k| format!("us / {}", k.name())).collect::<Vec<_>>();
        let all: Vec<String> = columns.into_iter().map(str::to_owned).chain(ratios).collect();
        let lines = "---|".repeat(all.len());
        self.text.push_str(&format!("\n| {title} | {} |\n|---|{lines}\n", all.join(" | ")));
    }

    /// The servers that we are compared with.
    fn ratios(&self) -> Vec<Kind> {
        let kinds: Vec<Kind> = self.results.iter().map(|f| f.kind).collect();
        if kinds.contains(&Kind::Watchfire) { kinds.into_iter().filter(|k| *k != Kind::Watchfire).collect() } else { Vec::new() }
    }

    fn row(&mut self, title: &str, value: impl Fn(&Figures) -> f64) {
        let of = |kind: Kind| self.results.iter().find(|f| f.kind == kind).map_or(f64::NAN, &value);
        let mut cells: Vec<String> = self.results.iter().map(|f| number(value(f))).collect();
        cells.extend(self.ratios().into_iter().map(|kind| {
            let ratio = of(Kind::Watchfire) / of(kind);
            if ratio.is_finite() { format!("**{ratio:.2}**") } else { "–".to_owned() }
        }));
        self.text.push_str(&format!("| {title} | {} |\n", cells.join(" | ")));
    }
}

/// Everything as markdown.
pub(crate) fn tables(course: &Course<'_>, results: &[Figures]) -> String {
    let plan = &course.plan;
    let mut table = Table { results, text: String::new() };
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    let series = plan.instances * course.template.series.len();
    let pace = course.pace.map_or("as fast as taken".to_owned(), |p| format!("{} samples/s", number(p)));
    let first = format!(
        "{} series ({} instances), {} h at 15 s = {} samples, churn {} % an hour, seed {}, {pace}; {cpus} processors, load at the end {}\n",
        number(series as f64),
        plan.instances,
        course.hours,
        number(plan.samples(course.template) as f64),
        plan.churn_per_hour * 100.0,
        plan.seed,
        load.split(' ').take(3).collect::<Vec<_>>().join(" "),
    );
    table.text.push_str(&first);

    let million = |f: &Figures| f.samples as f64 / 1e6;
    const MB: f64 = 1e6;
    table.head("ingest by remote write");
    table.row("CPU s per million samples, to the last acknowledgement", |f| f.cpu_ms as f64 / 1000.0 / million(f));
    table.row("CPU s per million samples, until quiet again", |f| f.cpu_settled_ms as f64 / 1000.0 / million(f));
    table.row("samples per CPU second", |f| f.samples as f64 * 1000.0 / f.cpu_ms as f64);
    table.row("samples per second (wall)", |f| f.samples as f64 / f.took.as_secs_f64());
    table.row("request, ms: median", |f| ms(f.latency.0));
    table.row("request, ms: 99th percentile", |f| ms(f.latency.1));
    table.row("requests that had to be sent again", |f| f.retries as f64);
    table.row("bytes per sample on the wire", |f| f.wire_bytes as f64 / f.samples as f64);

    table.head("disk");
    table.row("bytes per sample, whole directory, after a restart", |f| f.disk_bytes as f64 / f.samples as f64);
    table.row("bytes per sample, at its smallest", |f| f.disk_bytes_least as f64 / f.samples as f64);

    table.head("RSS, MB");
    table.row("idle", |f| f.memory.idle as f64 / MB);
    table.row("while ingesting, most", |f| f.memory.most as f64 / MB);
    table.row("while ingesting, average", |f| f.memory.average as f64 / MB);
    table.row("after ingesting", |f| f.memory.after as f64 / MB);
    table.row("right after a start", |f| f.memory.after_start as f64 / MB);
    table.row("after the queries", |f| f.memory.after_queries as f64 / MB);

    table.head("start with this data, ms");
    table.row("ready, median of 3", |f| median(f.starts.iter().map(|s| ms(s.0)).collect()));
    table.row("first correct answers, median of 3", |f| median(f.starts.iter().map(|s| ms(s.1)).collect()));

    if results.iter().any(|f| f.killed.is_some()) {
        let killed = |f: &Figures, value: &dyn Fn(&crate::kill::Account) -> u64| f.killed.as_ref().map_or(f64::NAN, |k| value(k) as f64);
        table.head("kill -9 at 100,000 samples/s");
        table.row("acknowledged", |f| killed(f, &|k| k.acknowledged));
        table.row("of these lost", |f| killed(f, &|k| k.lost));
        table.row("of these with another value", |f| killed(f, &|k| k.changed));
        table.row("found although never sent", |f| killed(f, &|k| k.invented));
        table.row("ready again, ms", |f| f.killed.as_ref().map_or(f64::NAN, |k| ms(k.ready)));
    }
    if course.queries {
        queries(&mut table);
    }
    table.text
}

fn queries(table: &mut Table<'_>) {
    let names: Vec<&'static str> = table.results.first().map(|f| f.queries.iter().map(|(n, _)| *n).collect()).unwrap_or_default();
    let find = |f: &Figures, name: &str, value: &dyn Fn(&query::Timed) -> f64| f.queries.iter().find(|(n, _)| *n == name).map_or(f64::NAN, |(_, t)| value(t));
    table.head("queries: server CPU ms");
    for name in &names {
        table.row(name, |f| find(f, name, &|t| t.cpu_ms));
    }
    table.head("queries: median ms");
    for name in &names {
        table.row(name, |f| find(f, name, &|t| ms(t.median)));
    }
    table.head("queries: 95th percentile ms");
    for name in &names {
        table.row(name, |f| find(f, name, &|t| ms(t.p95)));
    }
    let reference = [Kind::Prometheus, Kind::Watchfire].into_iter().find_map(|k| table.results.iter().find(|f| f.kind == k));
    let Some(reference) = reference else { return };
    table.text.push_str(&format!("\n| answers, compared with {}'s | the others |\n|---|---|\n", reference.kind.name()));
    for (name, timed) in &reference.queries {
        let mut cells = Vec::new();
        for other in table.results.iter().filter(|f| f.kind != reference.kind) {
            let rows: Option<&Rows> = other.queries.iter().find(|(n, _)| n == name).map(|(_, t)| &t.rows);
            cells.push(format!("{}: {}", other.kind.name(), rows.map_or("not asked".to_owned(), |r| query::compare(&timed.rows, r))));
        }
        table.text.push_str(&format!("| {name} | {} |\n", cells.join("; ")));
    }
    table.text.push('\n');
    for query in query::queries() {
        // Writing to a text cannot fail.
        let _infallible = writeln!(table.text, "- {}: `{}`", query.name, query.text());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        for (value, text) in [(0.0, "0"), (0.12345, "0.123"), (12.34, "12.3"), (1234.5, "1234"), (1_234_567.0, "1,234,567"), (f64::NAN, "–")] {
            assert_eq!(number(value), text);
        }
    }
}
