//! Markdown tables of what was measured, with ratios and multiples of `zstd -1`.

use bench_harness::table::{Table, machine, ms, number};

use crate::measure::Figures;
use crate::server::{Ask, Kind};
use crate::workload::{Plan, STREAMS};
use crate::yardstick::Yardstick;

/// What the benchmark calls itself while it works.
pub(crate) const NAME: &str = "bench-logs";
const MB: f64 = 1e6;

struct Tables<'a> {
    results: &'a [Figures],
    table: Table,
}

impl Tables<'_> {
    fn row(&mut self, title: &str, value: impl Fn(&Figures) -> f64) {
        self.table.row(title, &self.results.iter().map(value).collect::<Vec<_>>());
    }
}

/// Everything as markdown. `expected` is what each question must find.
pub(crate) fn tables(plan: &Plan, yardstick: &Yardstick, results: &[Figures], expected: &[(Ask, f64)]) -> String {
    let names = results.iter().map(|f| f.kind.name()).collect();
    let mut tables = Tables { results, table: Table::new(names, Kind::Watchfire.name()) };
    tables.table.text(&format!(
        "{} lines of {:.0} bytes in {STREAMS} streams over a day, {:.0} MB; `zstd -1` in blocks of 1 MiB: {} MB per CPU second compressing, {} decompressing, {:.3} bytes left of a byte; {}\n",
        number(plan.lines as f64),
        yardstick.bytes as f64 / plan.lines as f64,
        yardstick.bytes as f64 / MB,
        number(yardstick.compress),
        number(yardstick.decompress),
        yardstick.left,
        machine(),
    ));
    ingest(&mut tables, yardstick);
    memory(&mut tables);
    questions(&mut tables, yardstick);
    answers(&mut tables, expected);
    tables.table.finish()
}

fn ingest(tables: &mut Tables<'_>, yardstick: &Yardstick) {
    let rate = |f: &Figures, cpu_ms: u64| f.loaded.bytes as f64 / MB / (cpu_ms as f64 / 1000.0);
    tables.table.head("ingest by Loki's push");
    tables.row("MB of lines per CPU second, to the last acknowledgement", |f| rate(f, f.cpu_ms));
    tables.row("the same, until quiet again", |f| rate(f, f.cpu_settled_ms));
    tables.row("multiple of `zstd -1` compressing, to the last acknowledgement", |f| rate(f, f.cpu_ms) / yardstick.compress);
    tables.row("the same, until quiet again", |f| rate(f, f.cpu_settled_ms) / yardstick.compress);
    tables.row("MB per second (wall)", |f| f.loaded.bytes as f64 / MB / f.loaded.took.as_secs_f64());
    tables.row("request, ms: median", |f| f.loaded.percentile_ms(50));
    tables.row("request, ms: 99th percentile", |f| f.loaded.percentile_ms(99));
    tables.row("requests that had to be sent again", |f| f.loaded.retries as f64);
    tables.row("bytes on the wire per byte of lines", |f| f.loaded.wire_bytes as f64 / f.loaded.bytes as f64);
    tables.table.head("disk");
    tables.row("bytes stored per byte of lines, whole directory, after a stop", |f| f.disk_bytes as f64 / f.loaded.bytes as f64);
    tables.row("multiple of what `zstd -1` leaves", |f| f.disk_bytes as f64 / f.loaded.bytes as f64 / yardstick.left);
}

fn memory(tables: &mut Tables<'_>) {
    tables.table.head("RSS, MB");
    tables.row("idle", |f| f.memory.idle as f64 / MB);
    tables.row("while ingesting, most", |f| f.memory.most as f64 / MB);
    tables.row("while ingesting, average", |f| f.memory.average as f64 / MB);
    tables.row("after ingesting", |f| f.memory.after as f64 / MB);
    tables.row("right after a start", |f| f.memory.after_start as f64 / MB);
    tables.row("after the questions", |f| f.memory.after_queries as f64 / MB);
    tables.row("start with these lines until ready, ms", |f| ms(f.start));
}

fn questions(tables: &mut Tables<'_>, yardstick: &Yardstick) {
    let find = |f: &Figures, ask: Ask, value: &dyn Fn(&bench_harness::timing::Timed) -> f64| f.answer(ask).map_or(f64::NAN, |a| value(&a.timed));
    for (title, value) in [
        ("questions: server CPU ms", &(|t: &bench_harness::timing::Timed| t.cpu_ms) as &dyn Fn(&bench_harness::timing::Timed) -> f64),
        ("questions: median ms", &|t| ms(t.median)),
        ("questions: 95th percentile ms", &|t| ms(t.p95)),
    ] {
        tables.table.head(title);
        for ask in Ask::ALL {
            tables.row(ask.title(), |f| find(f, ask, value));
        }
    }
    let scan = |f: &Figures| find(f, Ask::Scan, &|t| f.loaded.bytes as f64 / MB / (t.cpu_ms / 1000.0));
    tables.table.head("a question that every line has to be read for");
    tables.row("MB of lines per CPU second", scan);
    tables.row("multiple of `zstd -1` decompressing", |f| scan(f) / yardstick.decompress);
}

fn answers(tables: &mut Tables<'_>, expected: &[(Ask, f64)]) {
    tables.table.text("\n| found, and what it is by the lines themselves | |\n|---|---|\n");
    for (ask, wanted) in expected {
        let cells: Vec<String> = tables
            .results
            .iter()
            .filter_map(|f| f.answer(*ask).map(|a| (f.kind.name(), a.found)))
            .map(|(name, found)| if found == *wanted { format!("{name}: the same") } else { format!("{name}: **{}**", number(found)) })
            .collect();
        tables.table.text(&format!("| {}: {} | {} |\n", ask.title(), number(*wanted), cells.join("; ")));
    }
    tables.table.text("\n");
    for kind in tables.results.iter().map(|f| f.kind) {
        for ask in Ask::ALL {
            tables.table.text(&format!("- {}, {}: `{}`\n", kind.name(), ask.title(), kind.query(ask).replace('`', "\"")));
        }
    }
}
