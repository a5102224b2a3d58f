//! What the state store keeps about dashboards, folders and data sources: JSON with a version. See `docs/formats/dashboards.md`.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use watchfire_model::state::Table;

/// Saved dashboards: uid → everything but what stands in them.
pub(super) const BOARDS: Table = Table("dashboards");
/// What stands in them: uid and version → the dashboard.
pub(super) const MODELS: Table = Table("dashboard_models");
/// Folders of dashboards: uid → title.
pub(super) const FOLDERS: Table = Table("dashboard_folders");
/// Data sources that were added: uid → what was said of them.
pub(super) const SOURCES: Table = Table("data_sources");

/// The version that is written.
pub(super) const VERSION: u8 = 1;

/// A saved dashboard.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct BoardRecord {
    pub(super) v: u8,
    /// A number that clients of old know it by.
    pub(super) id: i64,
    pub(super) title: String,
    pub(super) tags: Vec<String>,
    /// The uid of the folder; empty for none.
    pub(super) folder: String,
    pub(super) created_ms: i64,
    pub(super) created_by: String,
    /// The versions that are kept, oldest first. There is at least one.
    pub(super) versions: Vec<VersionRecord>,
    /// The uid of the shipped dashboard that this is a copy of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) copy_of: Option<String>,
    /// The file's content that this was saved over; once the file changes, it counts again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) over: Option<String>,
}
impl BoardRecord {
    pub(super) fn version(&self) -> u64 {
        self.versions.last().map_or(0, |v| v.version)
    }
    pub(super) fn bytes(&self) -> usize {
        self.versions.iter().map(|v| v.bytes).sum()
    }
}

/// One version of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct VersionRecord {
    pub(super) version: u64,
    /// The version that it was made from; 0 for none.
    pub(super) parent: u64,
    /// The version that it brought back; 0 for none.
    pub(super) restored_from: u64,
    pub(super) saved_ms: i64,
    pub(super) by: String,
    pub(super) message: String,
    /// The length of what stands in it.
    pub(super) bytes: usize,
}

/// A folder.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct FolderRecord {
    pub(super) v: u8,
    pub(super) id: i64,
    pub(super) title: String,
    pub(super) version: u64,
    pub(super) created_ms: i64,
    pub(super) created_by: String,
}

/// A data source that somebody added or a file names. It holds no secret: those are not taken.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SourceRecord {
    pub(super) v: u8,
    pub(in super::super) id: i64,
    /// What dashboards refer to it by.
    pub uid: String,
    /// Its name.
    pub name: String,
    /// Its kind, in Grafana's words: `prometheus`, `loki`.
    pub kind: String,
    /// Where it is said to be.
    pub url: String,
    pub(in super::super) access: String,
    /// Whether panels without a data source mean it.
    pub is_default: bool,
    pub(in super::super) json_data: Value,
}

/// The key of one version of what stands in a dashboard.
pub(super) fn model_key(uid: &str, version: u64) -> String {
    format!("{uid}/{version:010}")
}
