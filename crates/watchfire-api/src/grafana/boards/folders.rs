//! Folders of dashboards: saved ones, and those that packs and files bring along. They hold no rights.

use http::StatusCode;
use watchfire_model::state::Change;

use super::record::{FOLDERS, FolderRecord, VERSION};
use super::{Boards, bytes_of, fixed, is_uid, new_uid, removal};
use crate::grafana::error::GrafanaError;

/// The most saved folders.
const FOLDERS_MAX: usize = 200;
/// The longest title.
const TITLE_BYTES_MAX: usize = 190;

/// A folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder {
    pub(in super::super) id: i64,
    /// What it is referred to by; empty for dashboards without a folder.
    pub uid: String,
    /// Its name.
    pub title: String,
}
impl Folder {
    pub(super) fn general() -> Folder {
        Folder { id: 0, uid: String::new(), title: "General".to_owned() }
    }
}

/// A folder with what is known about it.
#[derive(Debug)]
pub(in super::super) struct FolderFound {
    pub(in super::super) folder: Folder,
    pub(in super::super) version: u64,
    pub(in super::super) created_ms: i64,
    pub(in super::super) created_by: String,
    /// Whether it can be changed: those of packs and files cannot.
    pub(in super::super) can_save: bool,
}

pub(in super::super) fn no_folder() -> GrafanaError {
    GrafanaError::new(StatusCode::NOT_FOUND, "folder not found").word("not-found")
}

fn same_name() -> GrafanaError {
    GrafanaError::new(StatusCode::CONFLICT, "a folder with the same name already exists in the current location").word("name-exists")
}

fn checked(title: &str) -> Result<String, GrafanaError> {
    match title.trim() {
        "" => Err(GrafanaError::bad("folder title cannot be empty")),
        title if title.len() > TITLE_BYTES_MAX => Err(GrafanaError::bad(format!("the title is longer than {TITLE_BYTES_MAX} bytes"))),
        title => Ok(title.to_owned()),
    }
}

impl Boards {
    /// All folders, by title. May block.
    pub(in super::super) fn folders(&self) -> Vec<FolderFound> {
        let shipped = self.shipped_now();
        let kept = self.kept();
        let saved = kept.folders.iter().map(|(uid, f)| FolderFound {
            folder: Folder { id: f.id, uid: uid.clone(), title: f.title.clone() },
            version: f.version,
            created_ms: f.created_ms,
            created_by: f.created_by.clone(),
            can_save: true,
        });
        let mut all: Vec<FolderFound> = saved.collect();
        for board in kept.provided.iter().chain(shipped).filter(|b| !b.folder_uid.is_empty()) {
            if !all.iter().any(|f| f.folder.uid == board.folder_uid) {
                let folder = Folder { id: fixed::number_of(&board.folder_uid), uid: board.folder_uid.clone(), title: board.folder_title.clone() };
                all.push(FolderFound { folder, version: 1, created_ms: board.changed_ms, created_by: String::new(), can_save: false });
            }
        }
        watchfire_model::order::Order::order_by(&mut all[..], |a, b| a.folder.title.to_lowercase().cmp(&b.folder.title.to_lowercase()));
        all
    }

    /// One folder. May block.
    pub(in super::super) fn folder(&self, uid: &str) -> Result<FolderFound, GrafanaError> {
        self.folders().into_iter().find(|f| f.folder.uid == uid).ok_or_else(no_folder)
    }

    /// Makes a folder. May block.
    pub(in super::super) fn make_folder(&self, uid: Option<&str>, title: &str, by: &str) -> Result<FolderFound, GrafanaError> {
        let title = checked(title)?;
        let uid = match uid.filter(|u| !u.is_empty()) {
            Some(uid) if !is_uid(uid) => return Err(GrafanaError::bad("uid contains illegal characters, or more than 40")),
            Some(uid) => uid.to_owned(),
            None => new_uid()?,
        };
        let known = self.folders();
        if known.iter().any(|f| f.folder.uid == uid) {
            return Err(GrafanaError::new(StatusCode::PRECONDITION_FAILED, "the folder has been changed by someone else").word("version-mismatch"));
        }
        if known.iter().any(|f| f.folder.title == title && f.can_save) {
            return Err(same_name());
        }
        let mut kept = self.kept();
        // Somebody else may have made it meanwhile.
        if kept.folders.contains_key(&uid) || kept.folders.values().any(|f| f.title == title) {
            return Err(same_name());
        }
        if kept.folders.len() >= FOLDERS_MAX {
            return Err(GrafanaError::new(StatusCode::INSUFFICIENT_STORAGE, format!("there are {FOLDERS_MAX} folders; delete some first")));
        }
        let id = kept.next_id();
        let record = FolderRecord { v: VERSION, id, title, version: 1, created_ms: self.now_ms(), created_by: by.to_owned() };
        self.commit(&[Change::Put(FOLDERS, uid.clone(), bytes_of(&record))])?;
        kept.last_id = id;
        kept.folders.insert(uid.clone(), record);
        drop(kept);
        self.folder(&uid)
    }

    /// Gives a folder another title. May block.
    pub(in super::super) fn rename_folder(&self, uid: &str, title: &str, version: Option<u64>, overwrite: bool) -> Result<FolderFound, GrafanaError> {
        let title = checked(title)?;
        let mut kept = self.kept();
        let Some(known) = kept.folders.get(uid) else {
            drop(kept);
            return Err(self.folder(uid).map_or_else(|e| e, |_| GrafanaError::bad("a folder of a pack or of files cannot be changed")));
        };
        if !overwrite && version.is_some_and(|v| v != known.version) {
            return Err(GrafanaError::new(StatusCode::PRECONDITION_FAILED, "the folder has been changed by someone else").word("version-mismatch"));
        }
        if kept.folders.iter().any(|(other, f)| other != uid && f.title == title) {
            return Err(same_name());
        }
        let record = FolderRecord { title, version: known.version + 1, ..known.clone() };
        self.commit(&[Change::Put(FOLDERS, uid.to_owned(), bytes_of(&record))])?;
        kept.folders.insert(uid.to_owned(), record);
        drop(kept);
        self.folder(uid)
    }

    /// Removes a folder with the dashboards in it. May block.
    pub(in super::super) fn remove_folder(&self, uid: &str) -> Result<Folder, GrafanaError> {
        let mut kept = self.kept();
        let Some(known) = kept.folders.get(uid) else {
            drop(kept);
            return Err(self.folder(uid).map_or_else(|e| e, |_| GrafanaError::bad("a folder of a pack or of files cannot be deleted")));
        };
        let gone = Folder { id: known.id, uid: uid.to_owned(), title: known.title.clone() };
        let inside: Vec<String> = kept.boards.iter().filter(|(_, b)| b.folder == uid).map(|(uid, _)| uid.clone()).collect();
        let mut changes: Vec<Change> = inside.iter().filter_map(|uid| Some(removal(uid, kept.boards.get(uid)?))).flatten().collect();
        changes.push(Change::Delete(FOLDERS, uid.to_owned()));
        self.commit(&changes)?;
        kept.folders.remove(uid);
        kept.boards.retain(|uid, _| !inside.contains(uid));
        Ok(gone)
    }
}
