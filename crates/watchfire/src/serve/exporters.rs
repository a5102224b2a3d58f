//! The faces that stand in for exporters: their configuration read from where the settings name it, who answers at them, and how scrapes
//! of such a face stay within this process.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use watchfire_api::exporters::{self, Exporters};
use watchfire_collect::discovery::glob::Lookup;
use watchfire_collect::host::{self, HostCollector};
use watchfire_collect::json::{self, JsonExporter};
use watchfire_collect::logs::Collector;
use watchfire_collect::postgres::{self, PostgresExporter};
use watchfire_collect::probe::native::HERE;
use watchfire_collect::probe::{Access, Modules, Prober, Surroundings, config};
use watchfire_collect::redis::{self, RedisExporter};
use watchfire_collect::scrape::{Face, Fetch, InProcess};
use watchfire_model::document::{Finding, Node, Severity, parse_yaml};
use watchfire_model::meter::Meter;
use watchfire_model::time::SharedClock;
use watchfire_net::client::Caller;
use watchfire_net::policy::Policy;
use watchfire_net::postgres::Address;
use watchfire_net::tls::{ClientTls, client_config};

use super::listen::Bound;
use crate::settings::{ForeignFile, Settings};

/// The modules that are there when no configuration names others.
const USUAL_PROBES: &str = include_str!("../../../../packs/hsi/probes/blackbox.yml");

/// The same for metrics out of JSON.
const USUAL_JSON: &str = include_str!("../../../../packs/hsi/probes/json-exporter.yml");

/// What the faces look at, as far as it changes with a reload.
#[derive(Clone, Debug, Default)]
pub(crate) struct Looks {
    probes: Modules,
    json: json::Modules,
    postgres: postgres::Plan,
}

impl Looks {
    /// The most series that a target has by a module.
    pub(super) fn series_of(&self, module: &str) -> Option<usize> {
        self.probes.list.get(module).map(watchfire_collect::probe::config::Module::series_max)
    }
}

/// What comes of reading something: itself unless there was an error, and what there is to say.
type Read<T> = (Option<T>, Vec<Finding>);

/// Reads what the settings name.
pub(crate) fn read(settings: &Settings) -> Read<Looks> {
    let (probes, mut findings) = named(settings, "blackbox", read_probes).unwrap_or_else(|| config::parse("blackbox.yml", USUAL_PROBES, &|path| path.into()));
    let usual = || (json::config::parse("json-exporter.yml", USUAL_JSON, &|path| path.into()).0, Vec::new());
    let (json, of_json) = named(settings, "json_exporter", read_json).unwrap_or_else(usual);
    findings.extend(of_json);
    let (postgres, of_postgres) = read_postgres(settings);
    findings.extend(of_postgres);
    (probes.zip(json).zip(postgres).map(|((probes, json), postgres)| Looks { probes, json, postgres }), findings)
}

/// Reads the files that `postgres_exporter:` names.
fn read_postgres(settings: &Settings) -> Read<postgres::Plan> {
    let wanted = &settings.postgres_exporter;
    let mut plan = postgres::Plan { choices: wanted.choices.clone(), ..postgres::Plan::default() };
    let mut findings = Vec::new();
    if let Some(path) = &wanted.queries {
        match crate::text_file::read(path) {
            Ok(text) => (plan.queries, findings) = postgres::own::parse(&path.display().to_string(), &text),
            Err(finding) => findings.push(*finding),
        }
    }
    if let Some(path) = &wanted.config_file {
        match crate::text_file::read(path) {
            Ok(text) => {
                let (modules, of_modules) = postgres::modules::parse(&path.display().to_string(), &text);
                plan.modules = modules.unwrap_or_default();
                findings.extend(of_modules);
            }
            Err(finding) => findings.push(*finding),
        }
    }
    let failed = findings.iter().any(|f| f.severity == Severity::Error);
    ((!failed).then_some(plan), findings)
}

/// Reads the configuration of one kind, if the settings name one.
fn named<T>(settings: &Settings, key: &str, read: impl Fn(&str, &Node, &Path, Option<&Path>) -> Read<T>) -> Option<Read<T>> {
    let monitoring_dir = settings.monitoring_dir.as_deref();
    Some(match &settings.foreign_of(key)?.source {
        ForeignFile::Content(node) => read(&settings.file.display().to_string(), node, &settings.file, monitoring_dir),
        ForeignFile::Path(path) => {
            let name = path.display().to_string();
            match crate::text_file::read(path).and_then(|text| parse_yaml(&name, &text)) {
                Ok(node) => read(&name, &node, path, monitoring_dir),
                Err(finding) => (None, vec![*finding]),
            }
        }
    })
}

/// Reads a `blackbox.yml`.
pub(crate) fn read_probes(name: &str, node: &Node, path: &Path, monitoring_dir: Option<&Path>) -> Read<Modules> {
    let lookup = Lookup::beside(path, monitoring_dir);
    config::parse_node(name, node, &|path| lookup.file(path))
}

/// Reads a configuration of json_exporter.
pub(crate) fn read_json(name: &str, node: &Node, path: &Path, monitoring_dir: Option<&Path>) -> Read<json::Modules> {
    let lookup = Lookup::beside(path, monitoring_dir);
    json::config::parse_node(name, node, &|path| lookup.file(path))
}

/// What looks at this machine.
pub(super) fn host_collector(settings: &Settings, instance: &str, meter: &Meter, clock: &SharedClock) -> Result<HostCollector> {
    let mut wanted = host::Settings::new(instance);
    wanted.root.clone_from(&settings.host.root);
    wanted.interval = settings.host.interval;
    wanted.textfile_directories.clone_from(&settings.host.textfile_directories);
    HostCollector::new(wanted, clock.clone(), meter).context("cannot start the host collector")
}

/// Those who answer.
pub(crate) struct Answering {
    pub(crate) access: Arc<Access>,
    prober: Arc<Prober>,
    json: Arc<JsonExporter>,
    redis: Arc<RedisExporter>,
    postgres: Arc<PostgresExporter>,
    host: HostCollector,
    logs: Arc<Collector>,
}

impl Answering {
    /// Makes them. With authentication, targets that nobody named never lead to this machine.
    pub(crate) fn new(
        settings: &Settings,
        bound: &Bound,
        (host, logs): (HostCollector, Arc<Collector>),
        caller: Arc<Caller>,
        clock: &SharedClock,
        meter: &Meter,
    ) -> Result<Answering> {
        let free = match settings.auth.enabled || settings.server.insecure_no_auth {
            true => Policy::free().with_own(bound.own_addresses()),
            false => {
                let here = ["127.0.0.0/8", "::1/128"].map(str::parse).into_iter().collect::<Result<_, _>>();
                Policy::free().with_allowed(here.context("cannot set up what probes may reach")?)
            }
        };
        let access = Arc::new(Access::new(clock.clone(), free));
        let outside = || Surroundings { caller: caller.clone(), clock: clock.clone(), meter: meter.clone(), access: access.clone() };
        let prober = Arc::new(Prober::new(outside(), Modules::default()));
        let json = Arc::new(JsonExporter::new(outside(), json::Modules::default()));
        let wanted = &settings.redis_exporter;
        let place = wanted.place(settings.queues.redis.as_ref()).map_err(anyhow::Error::msg).context("cannot use the address of Redis")?;
        let looked = redis::Settings { place, checks: wanted.checks.clone() };
        let redis = Arc::new(RedisExporter::new(outside(), looked));
        let postgres = Arc::new(PostgresExporter::new(outside(), database(settings)?));
        Ok(Answering { prober, json, redis, postgres, host, logs, access })
    }

    /// Takes over what was read.
    pub(crate) fn apply(&self, looks: &Looks) {
        self.prober.apply(looks.probes.clone());
        self.json.apply(looks.json.clone());
        self.postgres.apply(looks.postgres.clone());
    }

    /// Who answers at each face.
    pub(crate) fn exporters(&self) -> Exporters {
        Exporters {
            blackbox: self.prober.clone(),
            json: self.json.clone(),
            redis: self.redis.clone(),
            postgres: self.postgres.clone(),
            node: Arc::new(self.host.clone()),
            collect: self.logs.clone(),
        }
    }

    /// A fetcher that asks our own faces here.
    pub(crate) fn in_process(&self, below: Arc<dyn Fetch>, bound: &Bound) -> InProcess {
        let exporters = self.exporters();
        let faces = exporters::Face::ALL.into_iter();
        let faces = faces.map(|face| Face { prefix: face.prefix(), ports: bound.ports_of(face), exporter: face.exporter(&exporters) });
        let port = bound.own_ports().first().copied().unwrap_or_default();
        InProcess::new(below, vec![HERE.to_owned(), bound.own_address(), format!("localhost:{port}")], faces.collect())
    }
}

/// The database that is looked at: that of the section, else that of the GPU monitor.
fn database(settings: &Settings) -> Result<Option<Address>> {
    let own = settings.postgres_exporter.url.as_ref();
    let Some(url) = own.or(settings.gpu.database_url.as_ref()) else { return Ok(None) };
    // The system's authorities cost memory, so they are loaded only for a database that insists on them.
    let encryption = Address::insists_on_encryption(url.expose()).then(|| client_config(&ClientTls::default())).transpose()?;
    match Address::parse(url.expose(), encryption.map(Arc::new)) {
        Ok(address) => Ok(Some(address)),
        Err(error) if own.is_some() => Err(error).context("cannot use postgres_exporter.url"),
        // The other one may name another kind of database, which is said where it is used.
        Err(_) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prb_02_the_nine_usual_modules_are_there() {
        let (modules, findings) = config::parse("blackbox.yml", USUAL_PROBES, &|path| path.into());
        assert!(findings.is_empty(), "{findings:?}");
        let found: Vec<_> = modules.unwrap().list.iter().map(|(name, m)| (name.clone(), m.prober(), m.timeout.map(|t| t.as_secs()))).collect();
        let expected = [
            ("dns_resolve", "dns", 5),
            ("http_2xx", "http", 5),
            ("http_api", "http", 10),
            ("http_health", "http", 10),
            ("http_live", "http", 5),
            ("http_ready", "http", 15),
            ("icmp_ping", "icmp", 5),
            ("tcp_connect", "tcp", 5),
            ("tcp_tls", "tcp", 10),
        ];
        assert_eq!(found, expected.map(|(name, prober, seconds)| (name.to_owned(), prober, Some(seconds))));
    }

    #[test]
    fn files_of_postgres_exporter_are_read_where_the_settings_name_them() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("w.yml");
        std::fs::write(&path, "postgres_exporter: {queries: q.yaml, config_file: p.yml}\n").unwrap();
        let modules = |text: &str| std::fs::write(dir.path().join("p.yml"), text).unwrap();
        modules("auth_modules: {a: {type: userpass, userpass: {username: u, password: p}}}\n");
        let said = |queries: Option<&str>| {
            let file = dir.path().join("q.yaml");
            match queries {
                Some(text) => std::fs::write(&file, text).unwrap(),
                None => drop(std::fs::remove_file(&file)),
            }
            let flags = crate::settings::Flags { config: Some(path.clone()), ..crate::settings::Flags::default() };
            let settings = crate::settings::load(&flags, &crate::settings::Environment::default()).ok().unwrap().settings;
            let (looks, findings) = read(&settings);
            (looks.is_some_and(|looks| looks.postgres.queries.is_some()), findings.iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        assert_eq!(said(Some("a: {query: SELECT 1, metrics: []}\n")), (true, Vec::new()));
        let (read, findings) = said(Some("a:\n  query: SELECT 1\n  metrics: [{b: {usage: GAUGES}}]\n"));
        assert!(!read && findings.len() == 1 && findings[0].contains("q.yaml:3:25: error: a.metrics[0].b.usage: must be one of"), "{findings:?}");
        modules("auth_modules: {a: {type: userpass}}\n");
        let (read, findings) = said(Some("a: {query: SELECT 1, metrics: []}\n"));
        assert!(!read && findings.len() == 1 && findings[0].contains("p.yml:1:19: error: auth_modules.a.userpass is missing"), "{findings:?}");
        let (read, findings) = said(None);
        assert!(!read && findings[0].contains("q.yaml: error: cannot read the file"), "{findings:?}");
    }
}
