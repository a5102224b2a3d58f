//! Markdown tables of what was measured, with ratios.

use bench_harness::table::{Table, machine, median, ms, number};

use crate::measure::{Course, Figures};
use crate::query::{self, Rows};
use crate::server::Kind;

/// What the benchmark calls itself while it works.
pub(crate) const NAME: &str = "bench-metrics";

struct Tables<'a> {
    results: &'a [Figures],
    table: Table,
}

impl Tables<'_> {
    fn head(&mut self, title: &str) {
        self.table.head(title);
    }
    fn row(&mut self, title: &str, value: impl Fn(&Figures) -> f64) {
        self.table.row(title, &self.results.iter().map(value).collect::<Vec<_>>());
    }
}

/// Everything as markdown.
pub(crate) fn tables(course: &Course<'_>, results: &[Figures]) -> String {
    let plan = &course.plan;
    let names = results.iter().map(|f| f.kind.name()).collect();
    let mut table = Tables { results, table: Table::new(names, Kind::Watchfire.name()) };
    let series = plan.instances * course.template.series.len();
    let pace = course.pace.map_or("as fast as taken".to_owned(), |p| format!("{} samples/s", number(p)));
    let first = format!(
        "{} series ({} instances), {} h at 15 s = {} samples, churn {} % an hour, seed {}, {pace}; {}\n",
        number(series as f64),
        plan.instances,
        course.hours,
        number(plan.samples(course.template) as f64),
        plan.churn_per_hour * 100.0,
        plan.seed,
        machine(),
    );
    table.table.text(&first);

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
    table.table.finish()
}

fn queries(table: &mut Tables<'_>) {
    let names: Vec<&'static str> = table.results.first().map(|f| f.queries.iter().map(|(n, _)| *n).collect()).unwrap_or_default();
    let find = |f: &Figures, name: &str, value: &dyn Fn(&query::Asked) -> f64| f.queries.iter().find(|(n, _)| *n == name).map_or(f64::NAN, |(_, t)| value(t));
    table.head("queries: server CPU ms");
    for name in &names {
        table.row(name, |f| find(f, name, &|t| t.took.cpu_ms));
    }
    table.head("queries: median ms");
    for name in &names {
        table.row(name, |f| find(f, name, &|t| ms(t.took.median)));
    }
    table.head("queries: 95th percentile ms");
    for name in &names {
        table.row(name, |f| find(f, name, &|t| ms(t.took.p95)));
    }
    let reference = [Kind::Prometheus, Kind::Watchfire].into_iter().find_map(|k| table.results.iter().find(|f| f.kind == k));
    let Some(reference) = reference else { return };
    table.table.text(&format!("\n| answers, compared with {}'s | the others |\n|---|---|\n", reference.kind.name()));
    for (name, timed) in &reference.queries {
        let mut cells = Vec::new();
        for other in table.results.iter().filter(|f| f.kind != reference.kind) {
            let rows: Option<&Rows> = other.queries.iter().find(|(n, _)| n == name).map(|(_, t)| &t.rows);
            cells.push(format!("{}: {}", other.kind.name(), rows.map_or("not asked".to_owned(), |r| query::compare(&timed.rows, r))));
        }
        table.table.text(&format!("| {name} | {} |\n", cells.join("; ")));
    }
    table.table.text("\n");
    for query in query::queries() {
        table.table.text(&format!("- {}: `{}`\n", query.name, query.text()));
    }
}
