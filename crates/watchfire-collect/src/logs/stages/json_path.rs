//! Paths into JSON, the part of JMESPath that configurations use: names, quoted names, indices, and the first of several that is there.
//! Not the language with its filters and functions: those are refused.

use serde_json::Value;

/// The most steps of one path.
const STEPS_MAX: usize = 64;

/// A path.
#[derive(Clone, Debug, PartialEq)]
pub struct JsonPath(Vec<Vec<At>>);

#[derive(Clone, Debug, PartialEq)]
enum At {
    Name(String),
    Index(i64),
}

impl JsonPath {
    /// One name, whatever it has in it.
    pub fn name(name: &str) -> JsonPath {
        JsonPath(vec![vec![At::Name(name.to_owned())]])
    }
    /// Reads a path. The error is a sentence.
    pub fn parse(text: &str) -> Result<JsonPath, String> {
        text.split("||").map(|one| parse_one(one.trim())).collect::<Result<_, _>>().map(JsonPath)
    }
    /// What stands there.
    pub fn get<'v>(&self, value: &'v Value) -> Option<&'v Value> {
        self.0.iter().find_map(|steps| {
            let mut value = value;
            for step in steps {
                value = match step {
                    At::Name(name) => value.get(name)?,
                    At::Index(at) => {
                        let items = value.as_array()?;
                        let at = if *at < 0 { items.len().checked_sub(usize::try_from(at.unsigned_abs()).ok()?)? } else { usize::try_from(*at).ok()? };
                        items.get(at)?
                    }
                };
            }
            (!value.is_null()).then_some(value)
        })
    }
}

fn parse_one(text: &str) -> Result<Vec<At>, String> {
    let mut steps = Vec::new();
    let mut rest = text;
    let bad = || format!("{text:?} is no path into JSON that is understood here: names, \"quoted names\", a.b, a[0] and a || b are");
    while !rest.is_empty() && steps.len() < STEPS_MAX {
        if let Some(inside) = rest.strip_prefix('[') {
            let (index, behind) = inside.split_once(']').ok_or_else(bad)?;
            steps.push(At::Index(index.trim().parse().map_err(|_| bad())?));
            rest = behind;
            continue;
        }
        if !steps.is_empty() {
            rest = rest.strip_prefix('.').ok_or_else(bad)?;
        }
        if let Some(inside) = rest.strip_prefix('"') {
            let (name, behind) = inside.split_once('"').ok_or_else(bad)?;
            steps.push(At::Name(name.to_owned()));
            rest = behind;
        } else {
            let length = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
            let (name, behind) = rest.split_at_checked(length).filter(|(name, _)| !name.is_empty()).ok_or_else(bad)?;
            steps.push(At::Name(name.to_owned()));
            rest = behind;
        }
    }
    if rest.is_empty() && !steps.is_empty() { Ok(steps) } else { Err(bad()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        let value: Value = serde_json::from_str(r#"{"a": {"b": [1, {"c-d": "x"}]}, "n": null, "é": 2}"#).unwrap();
        for (path, expected) in [
            ("a.b[0]", Some("1")),
            ("a.b[1].\"c-d\"", Some("\"x\"")),
            ("a.b[-1].\"c-d\"", Some("\"x\"")),
            ("a.x", None),
            ("n", None),
            ("n || é", Some("2")),
            ("a.b[9]", None),
        ] {
            assert_eq!(JsonPath::parse(path).unwrap().get(&value).map(ToString::to_string).as_deref(), expected, "{path}");
        }
        for path in ["", "a.", "a[", "a[*]", "length(a)", "a-b", "a..b", "@"] {
            assert!(JsonPath::parse(path).is_err(), "{path}");
        }
    }
}
