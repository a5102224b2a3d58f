//! `redis_exporter:` and `postgres_exporter:`, which server each of the two looks at and what it measures there.

use std::path::{Path, PathBuf};

use watchfire_collect::postgres::Choices;
use watchfire_collect::redis::keys::{Checks, read as read_checks};
use watchfire_model::document::{Node, Reader};
use watchfire_model::labels::is_classic_label_name;
use watchfire_net::redis::Place;
use watchfire_net::secret::Secret;

/// Where a Redis is when nobody says it.
const USUAL_REDIS: &str = "redis://redis:6379";

/// `redis_exporter:`
#[derive(Debug)]
pub(crate) struct RedisExporterSettings {
    place: Option<Place>,
    password: Option<Secret>,
    ca_pem: Option<Secret>,
    pub(crate) checks: Checks,
}

impl RedisExporterSettings {
    /// Reads the section.
    pub(crate) fn read(section: Reader<'_>, base: &Path) -> RedisExporterSettings {
        let place = section.text("url").filter(|u| !u.trim().is_empty()).and_then(|url| Place::parse(&url).map_err(|e| section.error_at("url", e)).ok());
        let file = |key: &'static str| {
            let path = section.text(key)?;
            Secret::from_file(&base.join(path)).map_err(|error| section.error_at(key, error.to_string())).ok()
        };
        let (password, ca_pem) = (file("password_file").or_else(|| section.text("password").filter(|p| !p.is_empty()).map(Secret::new)), file("ca_file"));
        let list = |key: &'static str| read_checks(&section.texts(key, true).join(","));
        let checks = Checks {
            patterns: list("check_keys"),
            names: list("check_single_keys"),
            counted: list("count_keys"),
            stream_patterns: list("check_streams"),
            streams: list("check_single_streams"),
        };
        let settings = RedisExporterSettings { place, password, ca_pem, checks };
        section.finish();
        settings
    }

    /// The Redis that is looked at: that of the section, else that of the queues, else the usual one.
    pub(crate) fn place(&self, queues: Option<&Place>) -> Result<Place, String> {
        let mut place = match self.place.as_ref().or(queues).cloned() {
            Some(place) => place,
            None => Place::parse(USUAL_REDIS)?,
        };
        place.password = self.password.clone().or(place.password);
        place.ca_pem = self.ca_pem.clone().or(place.ca_pem);
        Ok(place)
    }
}

/// `postgres_exporter:`
#[derive(Debug)]
pub(crate) struct PostgresExporterSettings {
    /// The address of the database, given in one or in its parts.
    pub(crate) url: Option<Secret>,
    /// A `queries.yaml`.
    pub(crate) queries: Option<PathBuf>,
    /// A `postgres_exporter.yml`.
    pub(crate) config_file: Option<PathBuf>,
    pub(crate) choices: Choices,
}

impl PostgresExporterSettings {
    /// Reads the section.
    pub(crate) fn read(section: Reader<'_>, base: &Path) -> PostgresExporterSettings {
        let path = |key: &'static str| section.text(key).filter(|text| !text.trim().is_empty()).map(|text| base.join(text));
        let flag = |key: &'static str| section.bool(key).unwrap_or(false);
        // Variables and flags have commas between names.
        let names = |key: &'static str| -> Vec<String> {
            let listed = section.texts(key, true).join(",");
            listed.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
        };
        let choices = Choices {
            discover: flag("auto_discover_databases"),
            exclude: names("exclude_databases"),
            include: names("include_databases"),
            without_default: flag("disable_default_metrics"),
            without_settings: flag("disable_settings_metrics"),
            labels: constant_labels(&section),
        };
        let settings = PostgresExporterSettings { url: database_url(&section, base), queries: path("queries"), config_file: path("config_file"), choices };
        section.finish();
        settings
    }
}

/// A mapping, or `name=value,…` as variables and flags have it.
fn constant_labels(section: &Reader<'_>) -> Vec<(String, String)> {
    const KEY: &str = "constant_labels";
    let pairs = match section.raw(KEY).and_then(Node::text) {
        Some(text) => text
            .split(',')
            .filter(|pair| !pair.trim().is_empty())
            .filter_map(|pair| {
                let parts = pair.split_once('=');
                parts.or_else(|| {
                    section.error_at(KEY, format!("{pair:?} is not of the form name=value"));
                    None
                })
            })
            .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
            .collect(),
        None => section.text_map(KEY),
    };
    for (at, (name, _)) in pairs.iter().enumerate() {
        if !is_classic_label_name(name) || name.starts_with("__") || name == "server" || pairs[..at].iter().any(|(other, _)| other == name) {
            section.error_at(KEY, format!("{name:?} is no name for a label here, or stands there twice"));
        }
    }
    pairs
}

fn database_url(section: &Reader<'_>, base: &Path) -> Option<Secret> {
    let text = |key: &'static str| section.text(key).filter(|text| !text.trim().is_empty());
    let file = |key: &'static str| Secret::from_file(&base.join(text(key)?)).map_err(|error| section.error_at(key, error.to_string())).ok();
    let password = file("password_file").or_else(|| text("password").map(Secret::new));
    let (url, place, user) = (text("url"), text("uri"), text("user"));
    if url.is_some() {
        return url.map(Secret::new);
    }
    let place = place?;
    let password = password.map(|password| format!(":{}", escaped(password.expose()))).unwrap_or_default();
    let login = user.map(|user| format!("{}{password}@", escaped(&user))).unwrap_or_default();
    Some(Secret::new(format!("postgresql://{login}{}", place.trim_start_matches("postgresql://"))))
}

/// A part of an address in which nothing means anything.
fn escaped(text: &str) -> String {
    text.bytes().map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use watchfire_model::document::{Context, parse_yaml};

    use super::*;

    #[test]
    fn a_database_is_named_in_one_or_in_parts() {
        let read = |text: &str| {
            let context = Context::new("w.yml");
            let node = parse_yaml("w.yml", text).unwrap();
            let settings = PostgresExporterSettings::read(Reader::new(&context, &node, "postgres_exporter"), Path::new(""));
            assert!(!context.has_errors(), "{text}");
            settings.url.map(|url| url.expose().to_owned())
        };
        let parts = "uri: 'db:5432/postgres?sslmode=disable', user: me, password: 'p@ss/w:rd'";
        assert_eq!(read(&format!("{{{parts}}}")).as_deref(), Some("postgresql://me:p%40ss%2Fw%3Ard@db:5432/postgres?sslmode=disable"));
        assert_eq!(read(&format!("{{url: 'host=x user=y', {parts}}}")).as_deref(), Some("host=x user=y"));
        assert_eq!([read("{uri: db/postgres}").as_deref(), read("{user: me}").as_deref()], [Some("postgresql://db/postgres"), None]);
    }

    #[test]
    fn what_is_looked_at_is_chosen_by_keys_and_variables_alike() {
        let read = |text: &str| {
            let context = Context::new("w.yml");
            let node = parse_yaml("w.yml", text).unwrap();
            let settings = PostgresExporterSettings::read(Reader::new(&context, &node, "postgres_exporter"), Path::new(""));
            (format!("{:?}", settings.choices), context.into_findings().iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        let more = "auto_discover_databases: true, disable_default_metrics: true, disable_settings_metrics: true";
        let (in_file, findings) = read(&format!("{{{more}, exclude_databases: [a, b], include_databases: [c], constant_labels: {{x: y, z: w}}}}"));
        assert!(findings.is_empty(), "{findings:?}");
        assert_eq!(read(&format!("{{{more}, exclude_databases: 'a, b', include_databases: c, constant_labels: 'x=y,z=w'}}")), (in_file, findings));
        for wrong in ["x", "server=a", "a b=c", "a=b,a=c", "__x=1"] {
            assert!(read(&format!("{{constant_labels: '{wrong}'}}")).1.iter().any(|f| f.starts_with("w.yml:1:19: error")), "{wrong}");
        }
    }

    #[test]
    fn rdx_01_the_usual_address_and_those_that_are_set() {
        let place = |text: &str, queues: Option<&str>| {
            let context = Context::new("w.yml");
            let node = parse_yaml("w.yml", text).unwrap();
            let settings = RedisExporterSettings::read(Reader::new(&context, &node, "redis_exporter"), Path::new(""));
            assert!(!context.has_errors(), "{text}");
            let queues = queues.map(|url| Place::parse(url).unwrap());
            let place = settings.place(queues.as_ref()).unwrap();
            (format!("{}:{}", place.host, place.port), place.password.map(|p| p.expose().to_owned()))
        };
        let expected = |place: &str, password: Option<&str>| (place.to_owned(), password.map(str::to_owned));
        assert_eq!(place("{}", None), expected("redis:6379", None));
        assert_eq!(place("{}", Some("redis://:pw@cache:7000")), expected("cache:7000", Some("pw")));
        assert_eq!(place("{url: 'other:1', password: mine}", Some("redis://:pw@cache:7000")), expected("other:1", Some("mine")));
    }
}
