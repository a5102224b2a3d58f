//! A PostgreSQL under postgres_exporter's names: statistics, sizes, locks, activity, replication, settings. It only reads, in one
//! connection per look that ends with it, and keeps no sample.

mod queries;
mod settings;

use std::time::Duration;

use tokio::sync::Semaphore;
use tokio_postgres::{Client, Row};
use watchfire_model::batch::MetricType;
use watchfire_model::exporter::{Exporter, Question, Reply, Said};
use watchfire_model::live::ViewFuture;
use watchfire_model::meter::{Counter, Family, Meter};
use watchfire_net::client::chain;
use watchfire_net::postgres::{Address, connect};
use watchfire_net::timed::measured;

use self::queries::{Column, QUERIES, Query, SETTINGS};

/// Looks at once.
const PARALLEL_MAX: usize = 4;
/// Rows of one answer that are taken.
const ROWS_MAX: usize = 10_000;
/// The time of one look when whoever asks does not say how long he waits.
const TIMEOUT: Duration = Duration::from_secs(10);
const TIMEOUT_OFFSET: Duration = Duration::from_millis(500);

/// Looks at a PostgreSQL when it is asked.
pub struct PostgresExporter {
    address: Option<Address>,
    permits: Semaphore,
    scrapes: Counter,
    errors: Counter,
}

/// What was found out.
#[derive(Default)]
struct Sheet {
    families: Vec<Family>,
    server: String,
    /// Questions that were not answered.
    failed: Vec<String>,
}

impl Sheet {
    fn put(&mut self, name: &str, kind: MetricType, help: &str, labels: &[(&str, &str)], value: f64) {
        let at = self.families.iter().position(|f| &*f.name == name).unwrap_or_else(|| {
            self.families.push(Family::new(name, kind, help));
            self.families.len() - 1
        });
        self.families[at].point(labels, value);
    }
    /// A value of the server, with its label.
    fn of_server(&mut self, name: &str, kind: MetricType, help: &str, labels: &[(&str, &str)], value: f64) {
        let server = self.server.clone();
        let labels: Vec<(&str, &str)> = labels.iter().copied().chain([("server", server.as_str())]).filter(|(_, value)| !value.is_empty()).collect();
        self.put(name, kind, help, &labels, value);
    }
}

impl PostgresExporter {
    /// An exporter of one database server; without an address none is looked at.
    pub fn new(address: Option<Address>, meter: &Meter) -> PostgresExporter {
        PostgresExporter {
            address,
            permits: Semaphore::new(PARALLEL_MAX),
            scrapes: meter.counter("watchfire_postgres_scrapes_total", "Looks at PostgreSQL.", &[]),
            errors: meter.counter("watchfire_postgres_scrape_errors_total", "Looks at PostgreSQL that failed, wholly or in part.", &[]),
        }
    }

    async fn answer(&self, question: Question) -> Reply {
        match question.path.as_str() {
            "/metrics" => Reply::families(self.look(&question).await),
            "/" => Reply { status: 200, said: Said::Html(page(question.base)) },
            _ => Reply::text(404, "there is no such page\n"),
        }
    }

    async fn look(&self, question: &Question) -> Vec<Family> {
        let patience = question.patience.filter(|p| !p.is_zero());
        let within = patience.map_or(TIMEOUT, |p| p.checked_sub(TIMEOUT_OFFSET).unwrap_or(p / 2)).min(TIMEOUT * 6);
        self.scrapes.inc();
        let mut sheet = Sheet::default();
        let (took, outcome) = measured(tokio::time::timeout(within, self.ask(&mut sheet, within))).await;
        let outcome = outcome.unwrap_or_else(|_| Err(format!("no answer within {} s", within.as_secs_f64())));
        let up = outcome.is_ok() || !sheet.families.is_empty();
        if let Err(reason) = &outcome {
            sheet.failed.push(reason.clone());
        }
        if !sheet.failed.is_empty() {
            self.errors.inc();
            tracing::debug!(server = sheet.server, reasons = sheet.failed.join("; "), "a look at PostgreSQL failed, wholly or in part");
        }
        let failed = f64::from(u8::from(!sheet.failed.is_empty()));
        sheet.put("pg_up", MetricType::Gauge, "Whether the database answers: 1 yes, 0 no.", &[], f64::from(u8::from(up)));
        sheet.put("pg_exporter_last_scrape_error", MetricType::Gauge, "Whether a question was not answered.", &[], failed);
        sheet.put("pg_exporter_last_scrape_duration_seconds", MetricType::Gauge, "How long the look took.", &[], took.as_secs_f64());
        sheet.put("pg_exporter_scrapes_total", MetricType::Counter, "Looks so far.", &[], self.scrapes.get() as f64);
        let build = [("version", env!("CARGO_PKG_VERSION")), ("program", "watchfire")];
        sheet.put("postgres_exporter_build_info", MetricType::Gauge, "What answers here: 1 for it.", &build, 1.0);
        sheet.families.sort_by(|a, b| a.name.cmp(&b.name));
        sheet.families
    }

    async fn ask(&self, sheet: &mut Sheet, within: Duration) -> Result<(), String> {
        let address = self.address.as_ref().ok_or("no database is configured")?;
        let _permit = self.permits.acquire().await.map_err(|e| e.to_string())?;
        sheet.server = address.place();
        let (client, connection) = connect(address, within).await.map_err(|e| e.to_string())?;
        let driver = Driver(tokio::spawn(async move { drop(connection.await) }).abort_handle());
        let outcome = talk(&client, sheet).await;
        drop(driver);
        outcome
    }
}

/// What drives a connection; it ends with it.
struct Driver(tokio::task::AbortHandle);
impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Exporter for PostgresExporter {
    fn ask(&self, question: Question) -> ViewFuture<'_, Reply> {
        Box::pin(self.answer(question))
    }
}

async fn talk(client: &Client, sheet: &mut Sheet) -> Result<(), String> {
    let told = |e: tokio_postgres::Error| chain(&e);
    let row = client.query_one("SELECT current_setting('server_version_num'), version()", &[]).await.map_err(told)?;
    let version: u32 = row.try_get::<_, String>(0).ok().and_then(|n| n.parse().ok()).unwrap_or(0);
    let whole: String = row.try_get(1).unwrap_or_default();
    let short = format!("{}.{}.0", version / 10_000, version % 10_000);
    sheet.of_server("pg_static", MetricType::Unknown, "Version of the server.", &[("version", &whole), ("short_version", &short)], 1.0);
    let rows = client.query(SETTINGS, &[]).await.map_err(told)?;
    for row in rows.iter().take(ROWS_MAX) {
        let text = |at: usize| row.try_get::<_, String>(at).unwrap_or_default();
        let (name, unit) = (text(0).replace('.', "_").to_lowercase(), text(2));
        let Some((ending, value)) = settings::normalised(&text(1), &unit, &text(4)) else { continue };
        let help = format!("Setting of the server: {}", text(3));
        sheet.of_server(&format!("pg_settings_{name}{ending}"), MetricType::Gauge, &help, &[], value);
    }
    // Whatever we ask by mistake changes nothing; only now, since it is a setting as well.
    client.batch_execute("SET default_transaction_read_only = on").await.map_err(told)?;
    for query in QUERIES.iter().filter(|q| (q.versions.0..q.versions.1).contains(&version)) {
        match client.query(query.sql, &[]).await {
            Ok(rows) => rows.iter().take(ROWS_MAX).for_each(|row| take(query, row, sheet)),
            Err(error) => sheet.failed.push(format!("{}: {}", query.prefix, chain(&error))),
        }
    }
    Ok(())
}

fn take(query: &Query, row: &Row, sheet: &mut Sheet) {
    let mut labels: Vec<(&str, String)> = Vec::new();
    for (at, (column, kind)) in query.columns.iter().enumerate() {
        if *kind == Column::Label {
            labels.push((column, row.try_get::<_, Option<String>>(at).ok().flatten().unwrap_or_default()));
        }
    }
    let labels: Vec<(&str, &str)> = labels.iter().map(|(name, value)| (*name, value.as_str())).collect();
    for (at, (column, kind)) in query.columns.iter().enumerate() {
        let Column::Value(kind) = kind else { continue };
        // Nothing is no number, as there.
        let value = row.try_get::<_, Option<f64>>(at).ok().flatten().unwrap_or(f64::NAN);
        let help = format!("{} of {}.", column.replace('_', " "), query.prefix);
        sheet.of_server(&format!("{}_{column}", query.prefix), *kind, &help, &labels, value);
    }
}

fn page(base: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>PostgreSQL</title></head><body><h1>PostgreSQL</h1>\
         <p><a href=\"{base}/metrics\">Metrics</a></p></body></html>\n"
    )
}
