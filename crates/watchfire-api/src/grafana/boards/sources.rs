//! Data sources: our own faces, which are always there, and others that somebody added or a file names. One that names a program that we
//! stand in for means ourselves; any other is kept and said to be followed by nobody.

use http::StatusCode;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use url::Url;
use watchfire_model::state::Change;

use super::record::{SOURCES, SourceRecord, VERSION};
use super::{Boards, bytes_of, fixed, is_uid};
use crate::grafana::error::GrafanaError;

/// The most data sources that are kept.
const SOURCES_MAX: usize = 100;
/// The most bytes of one.
const SOURCE_BYTES_MAX: usize = 16 << 10;

/// A face of ours as a data source.
struct Face {
    uid: &'static str,
    name: &'static str,
    /// Grafana's word for its kind.
    kind: &'static str,
    /// Where it stands on our main port.
    path: &'static str,
    /// The usual name and port of the program that it stands in for.
    host: &'static str,
    port: u16,
}

const FACES: [Face; 7] = [
    Face { uid: "prometheus", name: "Prometheus", kind: "prometheus", path: "/", host: "prometheus", port: 9090 },
    Face { uid: "loki", name: "Loki", kind: "loki", path: "/loki", host: "loki", port: 3100 },
    Face { uid: "tempo", name: "Tempo", kind: "tempo", path: "/tempo", host: "tempo", port: 3200 },
    Face { uid: "jaeger", name: "Jaeger", kind: "jaeger", path: "/jaeger", host: "jaeger", port: 16686 },
    Face { uid: "alertmanager", name: "Alertmanager", kind: "alertmanager", path: "/", host: "alertmanager", port: 9093 },
    Face { uid: "pyroscope", name: "Pyroscope", kind: "grafana-pyroscope-datasource", path: "/pyroscope", host: "pyroscope", port: 4040 },
    Face { uid: "elasticsearch", name: "Elasticsearch", kind: "elasticsearch", path: "/elasticsearch", host: "elasticsearch", port: 9200 },
];
/// Numbers up to this one belong to our own faces.
pub(super) const BUILT_IN_MAX: i64 = FACES.len() as i64;

/// A data source as it is shown.
#[derive(Clone, Debug)]
pub struct Source {
    /// What was said of it.
    pub record: SourceRecord,
    /// Whether it cannot be changed: our faces, and those of files.
    pub read_only: bool,
    /// Why nothing is asked there, when that is so.
    pub not_followed: Option<String>,
}

/// A data source that a file names.
#[derive(Clone, Debug, Default)]
pub struct ProvidedSource {
    /// Its name.
    pub name: String,
    /// Its kind, in Grafana's words.
    pub kind: String,
    /// What dashboards refer to it by; made of the name when there is none.
    pub uid: Option<String>,
    /// Where it is said to be.
    pub url: String,
    /// `proxy` or `direct`.
    pub access: String,
    /// Whether panels without a data source mean it.
    pub is_default: bool,
}
impl ProvidedSource {
    pub(super) fn into_record(self) -> SourceRecord {
        let uid = self.uid.unwrap_or_else(|| uid_of_name(&self.name));
        SourceRecord {
            v: VERSION,
            id: fixed::number_of(&uid),
            uid,
            name: self.name,
            kind: self.kind,
            url: self.url,
            access: self.access,
            is_default: self.is_default,
            json_data: json!({}),
        }
    }
}

/// The uid that Grafana gives a data source of a file that has none: dashboards exported there refer to it.
fn uid_of_name(name: &str) -> String {
    let digest = Sha256::digest(name.as_bytes());
    format!("P{}", digest.iter().take(8).map(|b| format!("{b:02X}")).collect::<String>())
}

fn built_in(index: usize, face: &Face) -> SourceRecord {
    let json_data = match face.kind {
        "prometheus" => json!({"prometheusType": "Prometheus", "httpMethod": "POST"}),
        "alertmanager" => json!({"implementation": "prometheus"}),
        _ => json!({}),
    };
    SourceRecord {
        v: VERSION,
        id: index as i64 + 1,
        uid: face.uid.to_owned(),
        name: face.name.to_owned(),
        kind: face.kind.to_owned(),
        url: face.path.to_owned(),
        access: "proxy".to_owned(),
        is_default: index == 0,
        json_data,
    }
}

/// Where the face of a kind stands on our main port.
pub(in super::super) fn path_of(kind: &str) -> Option<&'static str> {
    FACES.iter().find(|face| face.kind == kind).map(|face| face.path)
}

/// Why nothing is asked at a data source; nothing when it means ourselves.
pub fn not_followed(kind: &str, url: &str, own_port: u16) -> Option<String> {
    let Some(face) = FACES.iter().find(|face| face.kind == kind) else {
        return Some(format!("data sources of type {kind:?} are not asked by this server"));
    };
    if url.starts_with('/') || url.is_empty() {
        return None;
    }
    // Without a scheme, what stands before the colon would be taken for one.
    let address = if url.contains("://") { Url::parse(url) } else { Url::parse(&format!("http://{url}")) }.ok();
    let (host, port) = address.as_ref().map(|u| (u.host_str().unwrap_or_default().to_owned(), u.port_or_known_default().unwrap_or(0))).unwrap_or_default();
    let here = matches!(host.as_str(), "localhost" | "127.0.0.1" | "[::1]" | "host.docker.internal" | "watchfire");
    let replaced = port == face.port && (here || host == face.host);
    if replaced || (here && port == own_port) {
        return None;
    }
    Some(format!("it names {host}:{port}, which this server neither is nor asks; panels with it are answered from what is stored here"))
}

impl Boards {
    /// All data sources, by name. Of two that have one name, the one that was added counts.
    pub fn source_list(&self) -> Vec<Source> {
        let kept = self.kept();
        let shown = |record: &SourceRecord, read_only| Source {
            not_followed: not_followed(&record.kind, &record.url, self.own_port),
            record: record.clone(),
            read_only,
        };
        let mut all: Vec<Source> = kept.provided_sources.iter().map(|s| shown(s, true)).chain(kept.sources.values().map(|s| shown(s, false))).collect();
        drop(kept);
        for (index, face) in FACES.iter().enumerate() {
            if !all.iter().any(|s| s.record.name == face.name || s.record.uid == face.uid) {
                all.push(Source { record: built_in(index, face), read_only: true, not_followed: None });
            }
        }
        // One is the default: the one that says so, else ours.
        let default = all.iter().position(|s| s.record.is_default && s.record.uid != FACES[0].uid);
        let default = default.or_else(|| all.iter().position(|s| s.record.kind == FACES[0].kind));
        for (index, source) in all.iter_mut().enumerate() {
            source.record.is_default = Some(index) == default;
        }
        watchfire_model::order::Order::order_by(&mut all[..], |a, b| a.record.name.to_lowercase().cmp(&b.record.name.to_lowercase()));
        all
    }

    /// The data source that a uid means: our faces also when another has taken their name.
    pub(in super::super) fn source(&self, uid: &str) -> Result<Source, GrafanaError> {
        let listed = self.source_list().into_iter().find(|s| s.record.uid == uid);
        let face = || FACES.iter().enumerate().find(|(_, face)| face.uid == uid).map(|(i, face)| built_in(i, face));
        listed.or_else(|| face().map(|record| Source { record, read_only: true, not_followed: None })).ok_or_else(|| GrafanaError::not_found("Data source"))
    }

    /// The data source of a number.
    pub(in super::super) fn source_by_id(&self, id: i64) -> Result<Source, GrafanaError> {
        let listed = self.source_list().into_iter().find(|s| s.record.id == id);
        let face = || FACES.get(usize::try_from(id).ok()?.checked_sub(1)?);
        match (listed, face()) {
            (Some(source), _) => Ok(source),
            // Our faces also when another has taken their name.
            (None, Some(face)) => self.source(face.uid),
            (None, None) => Err(GrafanaError::not_found("Data source")),
        }
    }

    /// Says an added data source anew. May block.
    pub(in super::super) fn change_source(&self, uid: &str, body: &Map<String, Value>) -> Result<Source, GrafanaError> {
        let text = |key: &str| body.get(key).and_then(Value::as_str).unwrap_or_default().trim().to_owned();
        let (name, kind) = (text("name"), text("type"));
        let known = self.source(uid)?;
        if name.is_empty() || kind.is_empty() {
            return Err(GrafanaError::bad("bad request data: name and type are needed"));
        }
        let mut others = self.source_list().into_iter().filter(|s| s.record.uid != uid && !FACES.iter().any(|face| face.uid == s.record.uid));
        if others.any(|s| s.record.name == name) {
            return Err(GrafanaError::new(StatusCode::CONFLICT, "data source with the same name already exists"));
        }
        let mut kept = self.kept();
        let Some(before) = kept.sources.get(uid).cloned() else {
            drop(kept);
            let words = if known.read_only { "Cannot update read-only data source" } else { "the data source was removed meanwhile" };
            return Err(GrafanaError::new(StatusCode::FORBIDDEN, words));
        };
        let is_default = body.get("isDefault").and_then(Value::as_bool).unwrap_or(false);
        let json_data = body.get("jsonData").filter(|d| d.is_object()).cloned().unwrap_or_else(|| json!({}));
        let access = Some(text("access")).filter(|a| !a.is_empty()).unwrap_or_else(|| "proxy".to_owned());
        let record = SourceRecord { name, kind, url: text("url"), access, is_default, json_data, ..before };
        let bytes = bytes_of(&record);
        if bytes.len() > SOURCE_BYTES_MAX {
            return Err(GrafanaError::bad(format!("the data source has more than {SOURCE_BYTES_MAX} bytes")));
        }
        self.commit(&[Change::Put(SOURCES, uid.to_owned(), bytes)])?;
        kept.sources.insert(uid.to_owned(), record);
        drop(kept);
        self.source(uid)
    }

    /// Adds a data source. May block.
    pub(in super::super) fn add_source(&self, body: &Map<String, Value>) -> Result<Source, GrafanaError> {
        let text = |key: &str| body.get(key).and_then(Value::as_str).unwrap_or_default().trim().to_owned();
        let (name, kind) = (text("name"), text("type"));
        if name.is_empty() || kind.is_empty() {
            return Err(GrafanaError::bad("bad request data: name and type are needed"));
        }
        let uid = match text("uid") {
            uid if uid.is_empty() => uid_of_name(&name),
            uid if is_uid(&uid) => uid,
            _ => return Err(GrafanaError::bad("uid contains illegal characters, or more than 40")),
        };
        let taken = |s: &Source| (s.record.name == name || s.record.uid == uid) && !FACES.iter().any(|face| face.uid == s.record.uid);
        if self.source_list().iter().any(taken) || FACES.iter().any(|face| face.uid == uid) {
            return Err(GrafanaError::new(StatusCode::CONFLICT, "data source with the same name already exists"));
        }
        let mut kept = self.kept();
        // Somebody else may have made it meanwhile.
        if kept.sources.contains_key(&uid) {
            return Err(GrafanaError::new(StatusCode::CONFLICT, "data source with the same name already exists"));
        }
        if kept.sources.len() >= SOURCES_MAX {
            return Err(GrafanaError::new(StatusCode::INSUFFICIENT_STORAGE, format!("there are {SOURCES_MAX} data sources; delete some first")));
        }
        let id = kept.next_id();
        let is_default = body.get("isDefault").and_then(Value::as_bool).unwrap_or(false);
        let json_data = body.get("jsonData").filter(|d| d.is_object()).cloned().unwrap_or_else(|| json!({}));
        let access = Some(text("access")).filter(|a| !a.is_empty()).unwrap_or_else(|| "proxy".to_owned());
        let record = SourceRecord { v: VERSION, id, uid: uid.clone(), name, kind, url: text("url"), access, is_default, json_data };
        let bytes = bytes_of(&record);
        if bytes.len() > SOURCE_BYTES_MAX {
            return Err(GrafanaError::bad(format!("the data source has more than {SOURCE_BYTES_MAX} bytes")));
        }
        self.commit(&[Change::Put(SOURCES, uid.clone(), bytes)])?;
        kept.last_id = id;
        kept.sources.insert(uid.clone(), record);
        drop(kept);
        self.source(&uid)
    }

    /// Removes an added data source. May block.
    pub(in super::super) fn remove_source(&self, uid: &str) -> Result<SourceRecord, GrafanaError> {
        let mut kept = self.kept();
        let Some(record) = kept.sources.get(uid).cloned() else {
            drop(kept);
            self.source(uid)?;
            return Err(GrafanaError::new(StatusCode::FORBIDDEN, "Cannot delete read-only data source"));
        };
        self.commit(&[Change::Delete(SOURCES, uid.to_owned())])?;
        kept.sources.remove(uid);
        Ok(record)
    }
}
