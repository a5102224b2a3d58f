//! Saving a dashboard: what is refused, which version it becomes, which versions make room.

use http::StatusCode;
use serde_json::{Map, Value};
use watchfire_model::state::Change;

use super::record::{BOARDS, BoardRecord, MODELS, VERSION, VersionRecord, model_key};
use super::{
    ALL_BYTES_MAX, BOARD_BYTES_MAX, BOARDS_MAX, Boards, Kept, UID_LENGTH_MAX, VERSIONS_BYTES_MAX, VERSIONS_MAX, bytes_of, classic, fixed, is_uid, new_uid,
    no_board,
};
use crate::grafana::error::GrafanaError;

/// What somebody wants to save.
pub(in super::super) struct Save {
    pub(in super::super) model: Map<String, Value>,
    /// The uid of the folder; nothing keeps it where it is.
    pub(in super::super) folder: Option<String>,
    /// Its number, as scripts of old have it.
    pub(in super::super) folder_id: i64,
    pub(in super::super) overwrite: bool,
    pub(in super::super) message: String,
    pub(in super::super) by: String,
    /// The version that is brought back, if it is one.
    pub(in super::super) restored_from: u64,
}

/// What it became.
#[derive(Debug)]
pub(in super::super) struct Saved {
    pub(in super::super) id: i64,
    pub(in super::super) uid: String,
    pub(in super::super) title: String,
    pub(in super::super) version: u64,
    pub(in super::super) folder: String,
}

/// Where it goes.
struct Place {
    uid: String,
    copy_of: Option<String>,
    over: Option<String>,
}

impl Boards {
    /// Saves a dashboard, on the disk when it returns. May block.
    pub(in super::super) fn save(&self, mut save: Save) -> Result<Saved, GrafanaError> {
        save.model = classic(std::mem::take(&mut save.model));
        save.model.remove("__elements");
        let title = check(&save.model)?;
        let mut kept = self.kept();
        let mut place = self.place(&kept, &save.model)?;
        let mut before = kept.boards.get(&place.uid).cloned();
        if place.copy_of.is_none() {
            // A file that has changed stands there in its first version, whatever was saved over the one before.
            let seen = before.as_ref().map(|b| if b.over == place.over { b.version() } else { 1 });
            check_version(&save, seen)?;
        }
        let folder = match &save.folder {
            Some(uid) if uid.is_empty() || uid == "general" => String::new(),
            Some(uid) if kept.folders.contains_key(uid) => uid.clone(),
            // What a pack or a file brings has its folder by itself; a copy of it stands in none.
            Some(uid) if self.given_folder(&kept, |folder| folder == uid) => String::new(),
            Some(_) => return Err(GrafanaError::bad("folder not found")),
            None if save.folder_id > 0 && self.given_folder(&kept, |folder| fixed::number_of(folder) == save.folder_id) => String::new(),
            None if save.folder_id > 0 => {
                let known = kept.folders.iter().find(|(_, folder)| folder.id == save.folder_id);
                known.map(|(uid, _)| uid.clone()).ok_or_else(|| GrafanaError::bad("folder not found"))?
            }
            None => before.as_ref().map(|b| b.folder.clone()).unwrap_or_default(),
        };
        if before.is_none() && !is_said(&save.model) {
            // Where nobody says which one is meant, its title in its folder does.
            let same = kept.boards.iter().find(|(_, b)| b.folder == folder && b.title == title && b.copy_of.is_none() && b.over.is_none());
            if let Some((uid, board)) = same {
                if !save.overwrite {
                    return Err(GrafanaError::new(StatusCode::PRECONDITION_FAILED, SAME_NAME).word("name-exists"));
                }
                place.uid = uid.clone();
                before = Some(board.clone());
            }
        }
        if before.is_none() && kept.boards.len() >= BOARDS_MAX {
            return Err(GrafanaError::new(StatusCode::INSUFFICIENT_STORAGE, format!("there are {BOARDS_MAX} dashboards; delete some first")));
        }
        let id = before.as_ref().map_or_else(|| kept.next_id(), |b| b.id);
        let parent = before.as_ref().map_or(0, BoardRecord::version);
        let version = parent + 1;
        for (key, value) in [("id", Value::from(id)), ("uid", Value::from(place.uid.clone())), ("version", Value::from(version))] {
            save.model.insert(key.to_owned(), value);
        }
        let text = bytes_of(&save.model);
        if text.len() > BOARD_BYTES_MAX {
            return Err(GrafanaError::new(StatusCode::PAYLOAD_TOO_LARGE, format!("the dashboard has {} bytes, more than {BOARD_BYTES_MAX}", text.len())));
        }
        let now = self.now_ms();
        let mut board = before.unwrap_or_else(|| BoardRecord {
            v: VERSION,
            id,
            title: String::new(),
            tags: Vec::new(),
            folder: String::new(),
            created_ms: now,
            created_by: save.by.clone(),
            versions: Vec::new(),
            copy_of: None,
            over: None,
        });
        let bytes_before = board.bytes();
        (board.title, board.tags, board.folder) = (title.clone(), fixed::tags(&save.model), folder.clone());
        board.copy_of = place.copy_of.or(board.copy_of);
        board.over = place.over;
        let Save { by, message, restored_from, .. } = save;
        board.versions.push(VersionRecord { version, parent, restored_from, saved_ms: now, by, message, bytes: text.len() });
        let mut changes = trim(&place.uid, &mut board);
        if kept.bytes() - bytes_before + board.bytes() > ALL_BYTES_MAX {
            let message = format!("all dashboards and their versions would take more than {ALL_BYTES_MAX} bytes; delete some first");
            return Err(GrafanaError::new(StatusCode::INSUFFICIENT_STORAGE, message));
        }
        changes.push(Change::Put(MODELS, model_key(&place.uid, version), text));
        changes.push(Change::Put(BOARDS, place.uid.clone(), bytes_of(&board)));
        self.commit(&changes)?;
        kept.last_id = kept.last_id.max(id);
        kept.boards.insert(place.uid.clone(), board);
        Ok(Saved { id, uid: place.uid, title, version, folder })
    }

    /// Brings a version back by saving it once more.
    pub(in super::super) fn restore(&self, uid: &str, version: u64, by: &str) -> Result<Saved, GrafanaError> {
        let (_, model) = self.version(uid, version)?;
        let message = format!("Restored from version {version}");
        self.save(Save { model, folder: None, folder_id: 0, overwrite: true, message, by: by.to_owned(), restored_from: version })
    }

    /// Whether a folder is one of those that packs and files bring.
    fn given_folder(&self, kept: &Kept, is_it: impl Fn(&str) -> bool) -> bool {
        kept.provided.iter().chain(&self.shipped).any(|board| !board.folder_uid.is_empty() && is_it(&board.folder_uid))
    }

    /// Which dashboard is meant: by uid, by number, or a new one.
    fn place(&self, kept: &Kept, model: &Map<String, Value>) -> Result<Place, GrafanaError> {
        let plain = |uid: String| Place { uid, copy_of: None, over: None };
        let uid = model.get("uid").and_then(Value::as_str).unwrap_or_default();
        let id = model.get("id").and_then(Value::as_i64).unwrap_or(0);
        if uid.is_empty() {
            if id <= 0 {
                return Ok(plain(new_uid()?));
            }
            let known = kept.boards.iter().find(|(_, b)| b.id == id).ok_or_else(no_board)?;
            return Ok(plain(known.0.clone()));
        }
        if let Some(fixed) = kept.provided.iter().find(|f| f.uid == uid) {
            if !fixed.is_changeable() {
                return Err(GrafanaError::bad("Cannot save provisioned dashboard"));
            }
            return Ok(Place { uid: uid.to_owned(), copy_of: None, over: Some(fixed.hash.clone()) });
        }
        if self.shipped.iter().any(|f| f.uid == uid) {
            // What a pack brings stays as it is; who saves it gets a copy, and the next time that copy again.
            let copy = kept.boards.iter().find(|(_, b)| b.copy_of.as_deref() == Some(uid));
            let to = copy.map_or_else(new_uid, |(uid, _)| Ok(uid.clone()))?;
            return Ok(Place { uid: to, copy_of: Some(uid.to_owned()), over: None });
        }
        Ok(plain(uid.to_owned()))
    }
}

/// What is said of a title that another dashboard of the folder has.
const SAME_NAME: &str = "A dashboard with the same name in the folder already exists";

/// Whether a dashboard says itself which one it is.
fn is_said(model: &Map<String, Value>) -> bool {
    model.get("uid").and_then(Value::as_str).is_some_and(|uid| !uid.is_empty()) || model.get("id").and_then(Value::as_i64).is_some_and(|id| id > 0)
}

/// The title of a dashboard that may be saved.
fn check(model: &Map<String, Value>) -> Result<String, GrafanaError> {
    let title = model.get("title").and_then(Value::as_str).unwrap_or_default().trim();
    if title.is_empty() {
        return Err(GrafanaError::bad("Dashboard title cannot be empty").word("empty-name"));
    }
    if let Some(panels) = model.get("panels").filter(|p| !p.is_array() && !p.is_null()) {
        return Err(GrafanaError::bad(format!("panels must be a list, not {}", panels.to_string().chars().take(40).collect::<String>())));
    }
    let uid = model.get("uid").filter(|u| !u.is_null());
    match uid.map(|u| u.as_str().unwrap_or("?")) {
        None | Some("") => {}
        Some(uid) if uid.len() > UID_LENGTH_MAX => return Err(GrafanaError::bad(format!("uid too long, max {UID_LENGTH_MAX} characters"))),
        Some(uid) if !is_uid(uid) => return Err(GrafanaError::bad("uid contains illegal characters")),
        Some(_) => {}
    }
    Ok(title.to_owned())
}

/// Nobody writes over what somebody else has saved meanwhile, unless that is wanted.
fn check_version(save: &Save, before: Option<u64>) -> Result<(), GrafanaError> {
    let Some(before) = before.filter(|_| !save.overwrite) else { return Ok(()) };
    let known = save.model.get("version").and_then(Value::as_u64).unwrap_or(0);
    if known == before {
        return Ok(());
    }
    Err(GrafanaError::new(StatusCode::PRECONDITION_FAILED, "The dashboard has been changed by someone else").word("version-mismatch"))
}

/// Forgets the oldest versions beyond the bounds.
fn trim(uid: &str, board: &mut BoardRecord) -> Vec<Change> {
    let mut gone = Vec::new();
    while board.versions.len() > 1 && (board.versions.len() > VERSIONS_MAX || board.bytes() > VERSIONS_BYTES_MAX) {
        gone.push(Change::Delete(MODELS, model_key(uid, board.versions.remove(0).version)));
    }
    gone
}
