//! `redis_exporter:` and `postgres_exporter:`, which server each of the two looks at and what it measures there.

use std::path::Path;

use watchfire_collect::redis::keys::{Check, read as read_checks};
use watchfire_model::document::Reader;
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
    pub(crate) patterns: Vec<Check>,
    pub(crate) names: Vec<Check>,
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
        let checks = |key: &'static str| read_checks(&section.texts(key, true).join(","));
        let settings = RedisExporterSettings { place, password, ca_pem, patterns: checks("check_keys"), names: checks("check_single_keys") };
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

/// `postgres_exporter:`; the address of the database.
pub(crate) fn read_postgres(section: Reader<'_>) -> Option<Secret> {
    let url = section.text("url").filter(|u| !u.trim().is_empty());
    section.finish();
    url.map(Secret::new)
}

#[cfg(test)]
mod tests {
    use watchfire_model::document::{Context, parse_yaml};

    use super::*;

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
