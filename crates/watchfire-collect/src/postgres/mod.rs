//! A PostgreSQL under postgres_exporter's names: statistics, sizes, locks, activity, replication, settings, and what a `queries.yaml` asks
//! (`own` reads it, `rows` asks it); of targets as `modules` reads them. It only reads, in one connection per look that ends with it, and keeps no sample beyond `cache_seconds`.

pub mod modules;
pub mod own;
mod queries;
mod rows;
mod settings;
mod versions;

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio_postgres::{Client, Row};
use watchfire_model::batch::MetricType;
use watchfire_model::exporter::{Exporter, Question, Reply, Said};
use watchfire_model::labels::Labels;
use watchfire_model::live::ViewFuture;
use watchfire_model::meter::{Counter, Family};
use watchfire_model::time::SharedClock;
use watchfire_net::client::chain;
use watchfire_net::postgres::{Address, connect};
use watchfire_net::timed::{Dialer, Family as IpFamily, Preference, measured};

use self::modules::Modules;
use self::own::{OwnQuery, Queries};
use self::queries::{Column, DATABASES, QUERIES, Query, SETTINGS};
use crate::probe::{Access, Surroundings, Trust};

/// Looks at once.
const PARALLEL_MAX: usize = 4;
/// Rows of one answer that are taken.
const ROWS_MAX: usize = 10_000;
/// Databases of a server that are discovered.
const DATABASES_MAX: usize = 100;
/// Answers that are kept for `cache_seconds`.
const KEPT_MAX: usize = 1_000;
/// The time of one look when whoever asks does not say how long he waits.
const TIMEOUT: Duration = Duration::from_secs(10);
const TIMEOUT_OFFSET: Duration = Duration::from_millis(500);

/// Looks at a PostgreSQL when it is asked.
pub struct PostgresExporter {
    address: Option<Address>,
    plan: Mutex<Arc<Plan>>,
    /// Answers with where and what was asked, and when.
    kept: Mutex<Vec<(String, Duration, Vec<Family>)>>,
    clock: SharedClock,
    access: Arc<Access>,
    dialer: Dialer,
    permits: Semaphore,
    scrapes: Counter,
    errors: Counter,
    left_out: Counter,
}

/// What is looked at, as far as it changes with a reload.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// What a `queries.yaml` asks.
    pub queries: Option<Queries>,
    /// How to get in at targets of `/probe`.
    pub modules: Modules,
    /// What of it.
    pub choices: Choices,
}

/// Which of the metrics, of which databases, with which labels.
#[derive(Clone, Debug, Default)]
pub struct Choices {
    /// Own queries are asked in all databases of the server.
    pub discover: bool,
    /// Discovered databases that are left out.
    pub exclude: Vec<String>,
    /// The only discovered databases; none for all.
    pub include: Vec<String>,
    /// Metrics that we ask for by ourselves are left out, but for those of the original's collectors.
    pub without_default: bool,
    /// Metrics of settings are left out.
    pub without_settings: bool,
    /// Labels of everything but those collectors.
    pub labels: Vec<(String, String)>,
}

/// What was found out.
#[derive(Default)]
struct Sheet {
    families: Vec<Family>,
    server: String,
    /// Labels of all of it.
    labels: Vec<(String, String)>,
    /// Questions that were not answered.
    failed: Vec<String>,
    /// How many families are ours; those of a `queries.yaml` follow.
    ours: usize,
}

impl Sheet {
    fn put(&mut self, name: &str, kind: MetricType, help: &str, labels: &[(&str, &str)], value: f64) {
        let at = self.families.iter().position(|f| &*f.name == name).unwrap_or_else(|| {
            self.families.push(Family::new(name, kind, help));
            self.families.len() - 1
        });
        self.families[at].point(labels, value);
    }
    /// Takes families that a question of a `queries.yaml` brought. A series that is there already keeps its value; how many did is told.
    fn take(&mut self, families: Vec<Family>) -> u64 {
        let mut twice = 0;
        for family in families {
            match self.families.iter().position(|known| known.name == family.name) {
                None if is_about_us(&family.name) => twice += family.points.len() as u64,
                None => self.families.push(family),
                Some(at) if at < self.ours => twice += family.points.len() as u64,
                Some(at) => {
                    let known: HashSet<Labels> = self.families[at].points.iter().map(|(labels, _)| labels.clone()).collect();
                    let before = family.points.len();
                    let fresh: Vec<_> = family.points.into_iter().filter(|(labels, _)| !known.contains(labels)).collect();
                    twice += (before - fresh.len()) as u64;
                    self.families[at].points.extend(fresh);
                }
            }
        }
        twice
    }
    /// A value of the look itself.
    fn of_look(&mut self, name: &str, kind: MetricType, help: &str, labels: &[(&str, &str)], value: f64) {
        let more = self.labels.clone();
        let labels: Vec<(&str, &str)> = labels.iter().copied().chain(more.iter().map(|(name, value)| (name.as_str(), value.as_str()))).collect();
        self.put(name, kind, help, &labels, value);
    }
    /// A value of the server, with its label.
    fn of_server(&mut self, name: &str, kind: MetricType, help: &str, labels: &[(&str, &str)], value: f64) {
        let server = self.server.clone();
        let labels: Vec<(&str, &str)> = labels.iter().copied().chain([("server", server.as_str())]).filter(|(_, value)| !value.is_empty()).collect();
        self.of_look(name, kind, help, &labels, value);
    }
    /// The same of what the original has collectors for, which give only the server's label.
    fn of_collector(&mut self, name: &str, kind: MetricType, help: &str, labels: &[(&str, &str)], value: f64) {
        let labels_of_all = std::mem::take(&mut self.labels);
        self.of_server(name, kind, help, labels, value);
        self.labels = labels_of_all;
    }
}

impl PostgresExporter {
    /// An exporter of one database server; without an address none is looked at.
    pub fn new(outside: Surroundings, address: Option<Address>) -> PostgresExporter {
        let count = |name, help| outside.meter.counter(name, help, &[]);
        PostgresExporter {
            address,
            plan: Mutex::default(),
            kept: Mutex::default(),
            clock: outside.clock,
            access: outside.access,
            dialer: Dialer::new(),
            permits: Semaphore::new(PARALLEL_MAX),
            scrapes: count("watchfire_postgres_scrapes_total", "Looks at PostgreSQL."),
            errors: count("watchfire_postgres_scrape_errors_total", "Looks at PostgreSQL that failed, wholly or in part."),
            left_out: count("watchfire_postgres_values_left_out_total", "Values of own queries that are no numbers, or of series that are there already."),
        }
    }

    /// Takes another plan. What was kept was asked by the one before.
    pub fn apply(&self, plan: Plan) {
        *self.plan.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(plan);
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    async fn answer(&self, question: Question) -> Reply {
        match question.path.as_str() {
            "/metrics" => Reply::families(self.look(self.address.as_ref(), &question).await),
            "/probe" => self.probe(&question).await.unwrap_or_else(|refusal| refusal),
            "/" => Reply { status: 200, said: Said::Html(page(question.base)) },
            _ => Reply::text(404, "there is no such page\n"),
        }
    }

    fn plan(&self) -> Arc<Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn probe(&self, question: &Question) -> Result<Reply, Reply> {
        let param = |name: &str| question.param(name).filter(|text| !text.is_empty());
        let target = param("target").ok_or_else(|| Reply::text(400, "target is required\n"))?;
        let (trust, policy) = self.access.judge(target, question.asker)?;
        let plan = self.plan();
        let module = match param("auth_module") {
            Some(_) if trust == Trust::AdHoc => {
                return Err(Reply::text(403, "passwords of an auth_module are for targets that a scrape job names\n"));
            }
            Some(name) => Some(plan.modules.get(name).ok_or_else(|| Reply::text(400, format!("auth_module {name} not found\n")))?),
            None => None,
        };
        let mut address = modules::address(target, module).map_err(|reason| Reply::text(400, format!("{reason}\n")))?;
        if trust == Trust::AdHoc {
            // What is judged is what is connected to: the name is not looked up again.
            let (host, port) = address.only_host().ok_or_else(|| Reply::text(403, "a target that no scrape job names has one host\n"))?;
            let resolved = self.dialer.resolve(&host, Preference { family: IpFamily::V4, fallback: true }).await;
            let ip = resolved.map_err(|e| Reply::text(400, format!("{e}\n")))?;
            policy.check(SocketAddr::new(ip, port)).map_err(|e| Reply::text(403, format!("{e}\n")))?;
            address = address.pinned(ip);
        }
        Ok(Reply::families(self.look(Some(&address), question).await))
    }

    async fn look(&self, address: Option<&Address>, question: &Question) -> Vec<Family> {
        let plan = self.plan();
        let patience = question.patience.filter(|p| !p.is_zero());
        let within = patience.map_or(TIMEOUT, |p| p.checked_sub(TIMEOUT_OFFSET).unwrap_or(p / 2)).min(TIMEOUT * 6);
        self.scrapes.inc();
        let mut sheet = Sheet { labels: plan.choices.labels.clone(), ..Sheet::default() };
        let (took, outcome) = measured(tokio::time::timeout(within, self.ask(&mut sheet, address, &plan, within))).await;
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
        sheet.of_look("pg_up", MetricType::Gauge, "Whether the database answers: 1 yes, 0 no.", &[], f64::from(u8::from(up)));
        sheet.of_look("pg_exporter_last_scrape_error", MetricType::Gauge, "Whether a question was not answered.", &[], failed);
        sheet.of_look("pg_exporter_last_scrape_duration_seconds", MetricType::Gauge, "How long the look took.", &[], took.as_secs_f64());
        sheet.of_look("pg_exporter_scrapes_total", MetricType::Counter, "Looks so far.", &[], self.scrapes.get() as f64);
        let build = [("version", env!("CARGO_PKG_VERSION")), ("program", "watchfire")];
        sheet.put("postgres_exporter_build_info", MetricType::Gauge, "What answers here: 1 for it.", &build, 1.0);
        if let Some(queries) = &plan.queries {
            // A file that cannot be read ends the start or the reload, so what is asked was read.
            let labels = [("filename", queries.file.as_str()), ("hashsum", &queries.hashsum)];
            sheet.of_look("pg_exporter_user_queries_load_error", MetricType::Gauge, "Whether queries.yaml could not be read.", &labels, 0.0);
        }
        sheet.families.sort_by(|a, b| a.name.cmp(&b.name));
        sheet.families
    }

    async fn ask(&self, sheet: &mut Sheet, address: Option<&Address>, plan: &Plan, within: Duration) -> Result<(), String> {
        let address = address.ok_or("no database is configured")?;
        let _permit = self.permits.acquire().await.map_err(|e| e.to_string())?;
        sheet.server = address.place();
        let (client, connection) = connect(address, within).await.map_err(|e| e.to_string())?;
        let _driver = Driver(tokio::spawn(async move { drop(connection.await) }).abort_handle());
        let version = talk(&client, sheet, plan, within).await?;
        sheet.ours = sheet.families.len();
        self.own(&client, sheet, plan, (address, version), true).await;
        if plan.choices.discover {
            self.discover(&client, sheet, plan, (address, version), within).await?;
        }
        Ok(())
    }

    /// Asks the other databases of a server, one after another, what a `queries.yaml` asks.
    async fn discover(&self, client: &Client, sheet: &mut Sheet, plan: &Plan, (address, version): (&Address, u32), within: Duration) -> Result<(), String> {
        let rows = client.query(DATABASES, &[]).await.map_err(|e| chain(&e))?;
        let Choices { exclude, include, .. } = &plan.choices;
        let names = rows.iter().filter_map(|row| row.try_get::<_, String>(0).ok());
        let mut names: Vec<String> = names.filter(|name| !exclude.contains(name) && (include.is_empty() || include.contains(name))).collect();
        if names.len() > DATABASES_MAX {
            sheet.failed.push(format!("{} databases; the first {DATABASES_MAX} are asked", names.len()));
            names.truncate(DATABASES_MAX);
        }
        for name in names {
            let there = address.of_database(&name);
            let asked = async {
                let (client, connection) = connect(&there, within).await.map_err(|e| e.to_string())?;
                let driver = Driver(tokio::spawn(async move { drop(connection.await) }).abort_handle());
                client.batch_execute(&session(within)).await.map_err(|e| chain(&e))?;
                self.own(&client, sheet, plan, (&there, version), false).await;
                drop(driver);
                Ok::<_, String>(())
            };
            if let Err(reason) = asked.await {
                sheet.failed.push(format!("database {name}: {reason}"));
            }
        }
        Ok(())
    }

    /// Asks one database what a `queries.yaml` asks.
    async fn own(&self, client: &Client, sheet: &mut Sheet, plan: &Plan, (address, version): (&Address, u32), master: bool) {
        let asked = |query: &&OwnQuery| {
            let here = master || !query.master;
            here && !query.sql.trim().is_empty() && query.versions.as_ref().is_none_or(|versions| versions.have(version))
        };
        let server = sheet.server.clone();
        let labels = plan.choices.labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let shared: Vec<(&str, &str)> = labels.chain([("server", server.as_str())]).filter(|(_, value)| !value.is_empty()).collect();
        for query in plan.queries.iter().flat_map(|queries| &queries.list).filter(asked) {
            let key = format!("{address} {} {}", address.user().unwrap_or_default(), query.namespace);
            if let Some(families) = self.kept(&key, query.cache) {
                self.left_out.add(sheet.take(families));
                continue;
            }
            match rows::ask(client, query, &shared).await {
                Ok(made) => {
                    if made.cut.is_none() && !query.cache.is_zero() {
                        self.keep(key, &made.families);
                    }
                    sheet.failed.extend(made.cut.map(|reason| format!("{}: {reason}", query.namespace)));
                    let left_out = made.left_out + sheet.take(made.families);
                    self.left_out.add(left_out);
                    if left_out > 0 {
                        tracing::debug!(namespace = query.namespace, left_out, first = made.example, "values of a query are left out");
                    }
                }
                Err(reason) => sheet.failed.push(format!("{}: {reason}", query.namespace)),
            }
        }
    }

    fn kept(&self, key: &str, good_for: Duration) -> Option<Vec<Family>> {
        let now = self.clock.monotonic();
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().find(|(known, at, _)| known == key && now.saturating_sub(*at) <= good_for).map(|(.., families)| families.clone())
    }

    fn keep(&self, key: String, families: &[Family]) {
        let now = self.clock.monotonic();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|(known, ..)| *known != key);
        // The oldest goes first; it is asked anew then.
        if kept.len() >= KEPT_MAX {
            kept.remove(0);
        }
        kept.push((key, now, families.to_vec()));
    }
}

/// Names of figures about the look itself.
fn is_about_us(name: &str) -> bool {
    name == "pg_up" || name == "postgres_exporter_build_info" || name.starts_with("pg_exporter_")
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

/// Asks what we ask by ourselves; gives the server's version.
async fn talk(client: &Client, sheet: &mut Sheet, plan: &Plan, within: Duration) -> Result<u32, String> {
    let told = |e: tokio_postgres::Error| chain(&e);
    let row = client.query_one("SELECT current_setting('server_version_num'), version()", &[]).await.map_err(told)?;
    let version: u32 = row.try_get::<_, String>(0).ok().and_then(|n| n.parse().ok()).unwrap_or(0);
    let whole: String = row.try_get(1).unwrap_or_default();
    let short = format!("{}.{}.0", version / 10_000, version % 10_000);
    if !plan.choices.without_default {
        sheet.of_server("pg_static", MetricType::Unknown, "Version of the server.", &[("version", &whole), ("short_version", &short)], 1.0);
    }
    let rows = if plan.choices.without_settings { Vec::new() } else { client.query(SETTINGS, &[]).await.map_err(told)? };
    for row in rows.iter().take(ROWS_MAX) {
        let text = |at: usize| row.try_get::<_, String>(at).unwrap_or_default();
        let (name, unit) = (text(0).replace('.', "_").to_lowercase(), text(2));
        let Some((ending, value)) = settings::normalised(&text(1), &unit, &text(4)) else { continue };
        let help = format!("Setting of the server: {}", text(3));
        sheet.of_server(&format!("pg_settings_{name}{ending}"), MetricType::Gauge, &help, &[], value);
    }
    // Only now, since it sets what was told just now.
    client.batch_execute(&session(within)).await.map_err(told)?;
    let own = |prefix: &str| plan.queries.iter().flat_map(|queries| &queries.list).any(|query| query.namespace == prefix);
    let wanted = |q: &&Query| q.is_a_collectors() || !plan.choices.without_default;
    for query in QUERIES.iter().filter(|q| (q.versions.0..q.versions.1).contains(&version) && !own(q.prefix)).filter(wanted) {
        match client.query(query.sql, &[]).await {
            Ok(rows) => rows.iter().take(ROWS_MAX).for_each(|row| take(query, row, sheet)),
            Err(error) => sheet.failed.push(format!("{}: {}", query.prefix, chain(&error))),
        }
    }
    Ok(version)
}

/// What a session is told: whatever is asked by mistake changes nothing, no question takes the time of all others, and times are readable.
fn session(within: Duration) -> String {
    format!("SET default_transaction_read_only = on; SET statement_timeout = {}; SET datestyle = 'ISO, MDY'", (within / 2).as_millis().max(1))
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
        let name = format!("{}_{column}", query.prefix);
        match query.is_a_collectors() {
            true => sheet.of_collector(&name, *kind, &help, &labels, value),
            false => sheet.of_server(&name, *kind, &help, &labels, value),
        }
    }
}

fn page(base: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>PostgreSQL</title></head><body><h1>PostgreSQL</h1>\
         <p><a href=\"{base}/metrics\">Metrics</a></p></body></html>\n"
    )
}
