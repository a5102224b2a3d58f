//! Dashboards that nobody saved: those of packs and those of files. They are read as they are, and kept in memory only.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::classic;

/// A dashboard of a pack or of a file.
#[derive(Clone, Debug)]
pub struct FixedBoard {
    pub(super) uid: String,
    pub(super) title: String,
    pub(super) tags: Vec<String>,
    pub(super) folder_uid: String,
    pub(super) folder_title: String,
    pub(super) origin: FixedOrigin,
    /// When it was last changed; 0 when that is not known.
    pub(super) changed_ms: i64,
    /// Shared, because whoever looks at files hands all of them on whenever one has changed.
    pub(super) text: Arc<Cow<'static, str>>,
    pub(super) hash: String,
    has_panels: bool,
}

/// Where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FixedOrigin {
    /// A pack.
    Pack(String),
    /// A file that a provider names.
    File {
        /// Its name.
        path: String,
        /// Whether it may be changed here, until the file changes.
        changeable: bool,
    },
}

impl FixedBoard {
    /// Reads a dashboard. The error is a sentence.
    pub fn read(text: impl Into<Cow<'static, str>>, folder_title: &str, origin: FixedOrigin, changed_ms: i64) -> Result<FixedBoard, String> {
        let text = Arc::new(text.into());
        let model = parse(&text)?;
        let word = |key: &str| model.get(key).and_then(Value::as_str).unwrap_or_default().trim().to_owned();
        let title = word("title");
        if title.is_empty() {
            return Err("it has no title".to_owned());
        }
        let uid = match (word("uid"), &origin) {
            (uid, _) if super::is_uid(&uid) => uid,
            // Without one, its address must stay the same as long as its file does.
            (_, FixedOrigin::File { path, .. }) => short_hash(path),
            (_, FixedOrigin::Pack(pack)) => short_hash(&format!("{pack}/{title}")),
        };
        let folder_uid = match &origin {
            _ if folder_title.is_empty() => String::new(),
            FixedOrigin::Pack(pack) => format!("pack-{pack}"),
            FixedOrigin::File { .. } => short_hash(&format!("folder/{folder_title}")),
        };
        let hash = short_hash(&text);
        let has_panels = model.contains_key("panels") || model.contains_key("rows");
        Ok(FixedBoard { uid, title, tags: tags(&model), has_panels, folder_uid, folder_title: folder_title.to_owned(), origin, changed_ms, text, hash })
    }
    /// What dashboards refer to it by.
    pub fn uid(&self) -> &str {
        &self.uid
    }
    /// The file that it comes from.
    pub fn path(&self) -> Option<&str> {
        match &self.origin {
            FixedOrigin::File { path, .. } => Some(path),
            FixedOrigin::Pack(_) => None,
        }
    }
    /// Its title.
    pub fn title(&self) -> &str {
        &self.title
    }
    /// The title of its folder; empty for none.
    pub fn folder_title(&self) -> &str {
        &self.folder_title
    }
    /// Whether it is certainly a dashboard: other JSON files have titles, too.
    pub fn has_panels(&self) -> bool {
        self.has_panels
    }
    pub(super) fn is_changeable(&self) -> bool {
        matches!(self.origin, FixedOrigin::File { changeable: true, .. })
    }
    /// What stands in it.
    pub(super) fn model(&self) -> Map<String, Value> {
        parse(&self.text).unwrap_or_default()
    }
    /// A number of its own, above those of saved ones.
    pub(super) fn id(&self) -> i64 {
        number_of(&self.uid)
    }
}

/// The number of something that is not saved.
pub(crate) fn number_of(uid: &str) -> i64 {
    let digest = Sha256::digest(uid.as_bytes());
    let low = digest.iter().take(4).fold(0u32, |n, b| (n << 8) | u32::from(*b));
    (1 << 30) + i64::from(low & 0x3fff_ffff)
}

/// What stands in a dashboard's file: the dashboard itself, or as the API gives it.
fn parse(text: &str) -> Result<Map<String, Value>, String> {
    match serde_json::from_str(text).map_err(|e| format!("it is no JSON: {e}"))? {
        Value::Object(mut map) => match map.remove("dashboard") {
            Some(Value::Object(inner)) => Ok(classic(inner)),
            _ => Ok(classic(map)),
        },
        _ => Err("it is no JSON object".to_owned()),
    }
}

/// The tags of a dashboard.
pub(super) fn tags(model: &Map<String, Value>) -> Vec<String> {
    let list = model.get("tags").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    list.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Half of a SHA-256, short enough for a uid.
pub(super) fn short_hash(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().take(10).map(|b| format!("{b:02x}")).collect()
}
