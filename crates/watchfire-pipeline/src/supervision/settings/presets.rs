//! Services of the home-security pipeline by their usual names and places, so that naming one is enough. Each becomes the mapping that
//! somebody could have written.

use watchfire_model::document::{Key, Node, Value};

use super::Outside;

/// Services with a health page at their usual port.
const PAGES: [(&str, &str); 3] =
    [("rtdetr", "http://localhost:8090/health"), ("yolo26", "http://localhost:8095/health"), ("nemotron", "http://localhost:8091/health")];

/// The mapping of a name.
pub(super) fn of(name: &str, place: &Node, outside: &Outside<'_>) -> Result<Node, String> {
    let node = |value| Node { value, line: place.line, column: place.column };
    let text = |text: &str| node(Value::Scalar { text: text.into(), plain: false });
    let key = |name: &str| Key { text: name.into(), line: place.line, column: place.column };
    let map = |entries: Vec<(&str, Node)>| node(Value::Map(entries.into_iter().map(|(name, value)| (key(name), value)).collect()));
    let set = |name: &str| (outside.environment)(name).is_some();
    let (what, value) = match name {
        "redis" => {
            // The seeds' programs know two names for the place, and keep the password apart.
            let place = ["REDIS_URL", "REDIS_ADDR"].into_iter().find(|name| set(name)).map_or("localhost:6379".to_owned(), |name| format!("${{{name}}}"));
            let password = set("REDIS_PASSWORD").then(|| ("password", text("${REDIS_PASSWORD}")));
            ("check", map(vec![("redis", map(std::iter::once(("url", text(&place))).chain(password).collect()))]))
        }
        "database" if !set("DATABASE_URL") => return Err("\"database\" alone needs the environment variable DATABASE_URL; or write its check".to_owned()),
        "database" => ("check", map(vec![("postgresql", text("${DATABASE_URL}"))])),
        other => match PAGES.iter().find(|(name, _)| *name == other) {
            Some((_, url)) => ("health_url", text(url)),
            None => {
                return Err(format!(
                    "{other:?} alone says nothing about a service; only rtdetr, yolo26, nemotron, redis and database are known by their names"
                ));
            }
        },
    };
    Ok(map(vec![("name", text(name)), (what, value)]))
}
