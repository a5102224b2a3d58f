//! Keeps dashboards and their folders: saved ones with their last versions in the state store, those of packs and files beside them.
//! A change is on the disk before it is acknowledged. What stands in a dashboard is kept as it came and judged by nobody here.

mod classic;
mod fixed;
mod folders;
mod record;
mod save;
mod sources;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Map, Value};
use watchfire_model::state::{Change, StateError, StateStore};
use watchfire_model::time::SharedClock;

use self::record::{BOARDS, BoardRecord, FOLDERS, FolderRecord, MODELS, SOURCES, VersionRecord, model_key};
use super::error::GrafanaError;
use crate::app::Ask;

pub(super) use classic::classic;
pub(crate) use fixed::number_of;
pub use fixed::{FixedBoard, FixedOrigin};
pub use folders::Folder;
pub(super) use folders::{FolderFound, no_folder};
pub use record::SourceRecord;
pub(super) use save::{Save, Saved};
pub(super) use sources::path_of;
pub use sources::{ProvidedSource, Source, not_followed};

/// The most saved dashboards.
const BOARDS_MAX: usize = 1_000;
/// The largest dashboard.
pub(super) const BOARD_BYTES_MAX: usize = 1 << 20;
/// Versions of one dashboard that are kept, by number and by size; the newest always is.
const VERSIONS_MAX: usize = 20;
const VERSIONS_BYTES_MAX: usize = 4 << 20;
/// What all of them may take together: they share the state file with silences and users.
const ALL_BYTES_MAX: usize = 32 << 20;
/// The longest uid, as in Grafana.
const UID_LENGTH_MAX: usize = 40;

/// Everything about dashboards.
pub struct Boards {
    state: Arc<dyn StateStore>,
    clock: SharedClock,
    /// Dashboards of all packs.
    shipped: Vec<FixedBoard>,
    /// The packs whose dashboards are wanted: enabled ones, and those whose series are there. May block.
    wanted: Ask<Vec<String>>,
    /// The port that is ours for data sources which name this machine.
    own_port: u16,
    kept: Mutex<Kept>,
}

/// What is in memory.
#[derive(Default)]
struct Kept {
    boards: BTreeMap<String, BoardRecord>,
    folders: BTreeMap<String, FolderRecord>,
    sources: BTreeMap<String, SourceRecord>,
    /// Dashboards of files.
    provided: Vec<FixedBoard>,
    provided_sources: Vec<SourceRecord>,
    last_id: i64,
}

/// A dashboard in a list.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Listed {
    pub(super) id: i64,
    pub(super) uid: String,
    pub(super) title: String,
    pub(super) tags: Vec<String>,
    pub(super) folder: Folder,
}

/// A dashboard with what is known about it.
pub(super) struct Found {
    pub(super) listed: Listed,
    pub(super) version: u64,
    pub(super) created_ms: i64,
    pub(super) created_by: String,
    pub(super) updated_ms: i64,
    pub(super) updated_by: String,
    /// Whether it is changed by saving it.
    pub(super) can_save: bool,
    /// The file that it comes from.
    pub(super) file: Option<String>,
    pub(super) pack: Option<String>,
    pub(super) model: Map<String, Value>,
}

/// One version of a saved dashboard.
pub(super) struct Version {
    pub(super) board_id: i64,
    pub(super) version: u64,
    pub(super) parent: u64,
    pub(super) restored_from: u64,
    pub(super) saved_ms: i64,
    pub(super) by: String,
    pub(super) message: String,
}
impl Version {
    fn of(board: &BoardRecord, version: &VersionRecord) -> Version {
        let VersionRecord { version, parent, restored_from, saved_ms, by, message, .. } = version.clone();
        Version { board_id: board.id, version, parent, restored_from, saved_ms, by, message }
    }
}

impl Boards {
    /// Reads what is kept. `packs` are the dashboards of all packs with the pack's name. May block.
    pub fn open(
        state: Arc<dyn StateStore>,
        clock: SharedClock,
        packs: Vec<(&'static str, Cow<'static, str>)>,
        wanted: Ask<Vec<String>>,
        own_port: u16,
    ) -> Result<Boards, StateError> {
        let shipped = packs.into_iter().filter_map(|(pack, text)| {
            let read = FixedBoard::read(text, pack, FixedOrigin::Pack(pack.to_owned()), 0);
            read.inspect_err(|reason| tracing::error!(pack, reason, "a dashboard of a pack cannot be read")).ok()
        });
        let mut kept =
            Kept { boards: read_all(&*state, BOARDS)?, folders: read_all(&*state, FOLDERS)?, sources: read_all(&*state, SOURCES)?, ..Kept::default() };
        kept.boards.retain(|_, board| !board.versions.is_empty());
        let ids = kept.boards.values().map(|b| b.id).chain(kept.folders.values().map(|f| f.id)).chain(kept.sources.values().map(|s| s.id));
        kept.last_id = ids.max().unwrap_or(0).max(sources::BUILT_IN_MAX);
        Ok(Boards { shipped: shipped.collect(), state, clock, wanted, own_port, kept: Mutex::new(kept) })
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
    fn now_ms(&self) -> i64 {
        self.clock.now().millis()
    }
    fn commit(&self, changes: &[Change]) -> Result<(), GrafanaError> {
        Ok(self.state.commit(changes)?)
    }

    /// Takes what files provide, in the stead of what they provided before. Tells which of them are left out because another has the same uid.
    pub fn provide(&self, boards: Vec<FixedBoard>, sources: Vec<ProvidedSource>) -> Vec<String> {
        let mut taken = std::collections::BTreeSet::new();
        let mut left_out = Vec::new();
        let mut kept = self.kept();
        kept.provided = boards
            .into_iter()
            .filter(|board| {
                let first = taken.insert(board.uid.clone());
                if !first {
                    left_out.extend(board.path().map(str::to_owned));
                }
                first
            })
            .collect();
        kept.provided_sources = sources.into_iter().map(ProvidedSource::into_record).collect();
        left_out
    }

    /// The dashboards of packs that are wanted now.
    fn shipped_now(&self) -> Vec<&FixedBoard> {
        let wanted = (self.wanted)();
        let is_wanted = |board: &&FixedBoard| matches!(&board.origin, FixedOrigin::Pack(pack) if wanted.contains(pack));
        self.shipped.iter().filter(is_wanted).collect()
    }

    /// All dashboards, by title. May block.
    pub(super) fn list(&self) -> Vec<Listed> {
        let shipped = self.shipped_now();
        let kept = self.kept();
        let mut all: Vec<Listed> = Vec::new();
        for fixed in kept.provided.iter().chain(shipped) {
            let folder = Folder { id: fixed::number_of(&fixed.folder_uid), uid: fixed.folder_uid.clone(), title: fixed.folder_title.clone() };
            let of_file = Listed { id: fixed.id(), uid: fixed.uid.clone(), title: fixed.title.clone(), tags: fixed.tags.clone(), folder };
            match kept.saved_over(fixed) {
                Some(saved) => all.push(Listed { id: saved.id, title: saved.title.clone(), tags: saved.tags.clone(), ..of_file }),
                None => all.push(of_file),
            }
        }
        for (uid, board) in &kept.boards {
            if !all.iter().any(|listed| listed.uid == *uid) {
                let folder = kept.folder(&board.folder);
                all.push(Listed { id: board.id, uid: uid.clone(), title: board.title.clone(), tags: board.tags.clone(), folder });
            }
        }
        watchfire_model::order::Order::order_by(&mut all[..], |a, b| (a.title.to_lowercase(), &a.uid).cmp(&(b.title.to_lowercase(), &b.uid)));
        all
    }

    /// One dashboard. May block.
    pub(super) fn get(&self, uid: &str) -> Result<Found, GrafanaError> {
        let shipped = self.shipped_now();
        let kept = self.kept();
        let fixed = kept.provided.iter().chain(shipped).find(|f| f.uid == uid);
        match fixed {
            Some(fixed) if kept.saved_over(fixed).is_none() => Ok(found_fixed(fixed)),
            _ => {
                let board = kept.boards.get(uid).ok_or_else(no_board)?;
                let mut found = self.found_saved(&kept, uid, board)?;
                found.file = fixed.and_then(|f| f.path().map(str::to_owned));
                Ok(found)
            }
        }
    }

    fn found_saved(&self, kept: &Kept, uid: &str, board: &BoardRecord) -> Result<Found, GrafanaError> {
        let last = board.versions.last().ok_or_else(no_board)?;
        let listed = Listed { id: board.id, uid: uid.to_owned(), title: board.title.clone(), tags: board.tags.clone(), folder: kept.folder(&board.folder) };
        Ok(Found {
            listed,
            version: last.version,
            created_ms: board.created_ms,
            created_by: board.created_by.clone(),
            updated_ms: last.saved_ms,
            updated_by: last.by.clone(),
            can_save: true,
            file: None,
            pack: None,
            model: self.model(uid, last.version)?,
        })
    }

    /// What stood in a version.
    fn model(&self, uid: &str, version: u64) -> Result<Map<String, Value>, GrafanaError> {
        let bytes = self.state.get(MODELS, &model_key(uid, version))?.ok_or_else(|| GrafanaError::not_found("Dashboard version"))?;
        serde_json::from_slice(&bytes).map_err(|error| {
            tracing::error!(uid, version, %error, "a saved dashboard cannot be read");
            GrafanaError::new(http::StatusCode::INTERNAL_SERVER_ERROR, format!("cannot read version {version} of dashboard {uid}"))
        })
    }

    /// The versions of a saved dashboard that are kept, newest first.
    pub(super) fn versions(&self, uid: &str) -> Result<Vec<Version>, GrafanaError> {
        let kept = self.kept();
        let board = kept.boards.get(uid).ok_or_else(no_board)?;
        Ok(board.versions.iter().rev().map(|v| Version::of(board, v)).collect())
    }

    /// One of them with what stood in it.
    pub(super) fn version(&self, uid: &str, version: u64) -> Result<(Version, Map<String, Value>), GrafanaError> {
        let kept = self.kept();
        let board = kept.boards.get(uid).ok_or_else(no_board)?;
        let found = board.versions.iter().find(|v| v.version == version).ok_or_else(|| GrafanaError::not_found("Dashboard version"))?;
        Ok((Version::of(board, found), self.model(uid, version)?))
    }

    /// Removes a saved dashboard with all its versions. Gives its number and title. May block.
    pub(super) fn remove(&self, uid: &str) -> Result<(i64, String), GrafanaError> {
        let mut kept = self.kept();
        let fixed = kept.provided.iter().chain(&self.shipped).any(|f| f.uid == uid);
        let Some(board) = kept.boards.get(uid) else {
            return Err(if fixed { GrafanaError::bad("provisioned dashboard cannot be deleted") } else { no_board() });
        };
        let gone = (board.id, board.title.clone());
        self.commit(&removal(uid, board))?;
        kept.boards.remove(uid);
        Ok(gone)
    }
}

impl Kept {
    /// What was saved over a file that has not changed since.
    fn saved_over(&self, fixed: &FixedBoard) -> Option<&BoardRecord> {
        self.boards.get(&fixed.uid).filter(|saved| fixed.is_changeable() && saved.over.as_deref() == Some(&fixed.hash))
    }
    fn folder(&self, uid: &str) -> Folder {
        match self.folders.get(uid) {
            Some(folder) => Folder { id: folder.id, uid: uid.to_owned(), title: folder.title.clone() },
            None => Folder::general(),
        }
    }
    fn next_id(&self) -> i64 {
        self.last_id + 1
    }
    fn bytes(&self) -> usize {
        self.boards.values().map(BoardRecord::bytes).sum()
    }
}

fn found_fixed(fixed: &FixedBoard) -> Found {
    let folder = Folder { id: fixed::number_of(&fixed.folder_uid), uid: fixed.folder_uid.clone(), title: fixed.folder_title.clone() };
    Found {
        listed: Listed { id: fixed.id(), uid: fixed.uid.clone(), title: fixed.title.clone(), tags: fixed.tags.clone(), folder },
        version: 1,
        created_ms: fixed.changed_ms,
        created_by: String::new(),
        updated_ms: fixed.changed_ms,
        updated_by: String::new(),
        can_save: fixed.is_changeable(),
        file: fixed.path().map(str::to_owned),
        pack: match &fixed.origin {
            FixedOrigin::Pack(pack) => Some(pack.clone()),
            FixedOrigin::File { .. } => None,
        },
        model: fixed.model(),
    }
}

fn no_board() -> GrafanaError {
    GrafanaError::not_found("Dashboard").word("not-found")
}

/// What removes a dashboard from the store.
fn removal(uid: &str, board: &BoardRecord) -> Vec<Change> {
    let models = board.versions.iter().map(|v| Change::Delete(MODELS, model_key(uid, v.version)));
    models.chain([Change::Delete(BOARDS, uid.to_owned())]).collect()
}

/// All records of a table. One that cannot be read is told and passed over.
fn read_all<T: serde::de::DeserializeOwned>(state: &dyn StateStore, table: watchfire_model::state::Table) -> Result<BTreeMap<String, T>, StateError> {
    let mut all = BTreeMap::new();
    for (key, bytes) in state.scan(table, "")? {
        match serde_json::from_slice(&bytes) {
            Ok(record) => drop(all.insert(key, record)),
            Err(error) => tracing::error!(table = table.0, key, %error, "a record cannot be read"),
        }
    }
    Ok(all)
}

/// The bytes of a record.
fn bytes_of(record: &impl serde::Serialize) -> Vec<u8> {
    crate::prometheus::answer::to_json(record)
}

/// Whether a text may be a uid.
pub(super) fn is_uid(text: &str) -> bool {
    (1..=UID_LENGTH_MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// A uid that nobody has.
fn new_uid() -> Result<String, GrafanaError> {
    let mut bytes = [0u8; 9];
    getrandom::fill(&mut bytes)
        .map_err(|_| GrafanaError::new(http::StatusCode::INTERNAL_SERVER_ERROR, "cannot make a uid: the system gives no random bytes"))?;
    Ok(bytes.iter().map(|b| format!("{b:02x}")).collect())
}
