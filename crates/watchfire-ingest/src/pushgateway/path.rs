//! The grouping key in the path of a push: `job/<job>{/<label>/<value>}`, values optionally in base64.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use watchfire_model::labels::{Labels, is_classic_label_name};

use super::PushError;

/// The labels that name a group, `job` among them. A value may be empty.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(pub(super) BTreeMap<String, String>);

impl Key {
    /// Reads what follows `/metrics/` in a path, percent-encoding included.
    pub fn from_path(path: &str) -> Result<Key, PushError> {
        let parts: Vec<&str> = path.trim_end_matches('/').split('/').collect();
        let (pairs, rest) = parts.as_chunks::<2>();
        if !rest.is_empty() {
            return Err(PushError::Path(format!("odd number of components in label string {path:?}")));
        }
        let mut labels = BTreeMap::new();
        for [name, value] in pairs {
            let name = decoded(name)?;
            let value = decoded(value)?;
            let (name, value) = match name.strip_suffix("@base64") {
                Some(name) => (name.to_owned(), from_base64(name, &value)?),
                None => (name, value),
            };
            if !is_classic_label_name(&name) || name.starts_with("__") {
                return Err(PushError::Path(format!("improper label name {name:?}")));
            }
            labels.insert(name, value);
        }
        if labels.get("job").is_none_or(String::is_empty) {
            return Err(PushError::Path("job name is required".to_owned()));
        }
        Ok(Key(labels))
    }

    /// Reads what [`Key`] displays.
    pub(super) fn parse(text: &str) -> Option<Key> {
        serde_json::from_str(text).ok().map(Key)
    }

    /// The bytes of its labels.
    pub(super) fn bytes(&self) -> usize {
        self.0.iter().map(|(name, value)| name.len() + value.len()).sum()
    }

    /// Whether a series may be in both groups: not where a label that both have says something else.
    pub(super) fn may_share_series(&self, other: &Key) -> bool {
        self.0.iter().all(|(name, value)| other.0.get(name).is_none_or(|theirs| theirs == value))
    }

    /// The labels of a pushed series with those of the group, which win.
    pub(super) fn complete(&self, labels: &Labels) -> Labels {
        let own = labels.iter().filter(|(name, _)| !self.0.contains_key(*name));
        Labels::from_pairs(own.chain(self.0.iter().map(|(n, v)| (n.as_str(), v.as_str()))))
    }
}
impl fmt::Display for Key {
    /// The form in the state store.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::json!(self.0).to_string())
    }
}

fn decoded(part: &str) -> Result<String, PushError> {
    let mut out = Vec::with_capacity(part.len());
    let mut bytes = part.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let mut digit = || bytes.next().and_then(|b| char::from(b).to_digit(16));
        match digit().zip(digit()) {
            Some((high, low)) => out.push((high << 4 | low) as u8),
            None => return Err(PushError::Path(format!("improper escape in {part:?}"))),
        }
    }
    String::from_utf8(out).map_err(|_| PushError::Path(format!("{part:?} is not UTF-8")))
}

fn from_base64(name: &str, value: &str) -> Result<String, PushError> {
    let bytes = URL_SAFE_NO_PAD.decode(value.trim_end_matches('='));
    bytes.ok().and_then(|b| String::from_utf8(b).ok()).ok_or_else(|| PushError::Path(format!("invalid base64 encoding for label {name}={value:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys() {
        let check = |path: &str, expected: Result<&[(&str, &str)], &str>| match (Key::from_path(path), expected) {
            (Ok(key), Ok(pairs)) => {
                let found: Vec<(&str, &str)> = key.0.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
                assert_eq!(found, pairs, "{path}");
                assert_eq!(Key::parse(&key.to_string()), Some(key));
            }
            (Err(error), Err(words)) => assert!(error.to_string().contains(words), "{path}: {error}"),
            (found, expected) => panic!("{path}: {found:?}, not {expected:?}"),
        };
        check("job/backup", Ok(&[("job", "backup")]));
        check("job/backup/", Ok(&[("job", "backup")]));
        check("job/backup/instance/db%201/path@base64/L3Zhci90bXA", Ok(&[("instance", "db 1"), ("job", "backup"), ("path", "/var/tmp")]));
        check("job@base64/ZmluZGluZw==/x@base64/=", Ok(&[("job", "finding"), ("x", "")]));
        check("job/titan/name@base64/zqDPgc6_zrzOt864zrXPjc-C", Ok(&[("job", "titan"), ("name", "Προμηθεύς")]));
        check("job", Err("odd number"));
        check("job//x/y", Err("job name is required"));
        check("job/a/b", Err("odd number of components"));
        check("job/a/__x/b", Err("improper label name \"__x\""));
        check("job/a/b-c/d", Err("improper label name"));
        check("job/a/b@base64/%%", Err("improper escape"));
        check("job/a/b@base64/*", Err("invalid base64 encoding for label b"));
    }
}
