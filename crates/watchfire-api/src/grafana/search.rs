//! `/api/search`: dashboards and folders by title, tag and folder.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{RawQuery, State};
use http::StatusCode;
use serde_json::{Value, json};
use url::form_urlencoded;

use super::boards::{Boards, Folder, Listed};
use super::error::GrafanaError;
use super::{Answered, folder_url, off_reactor, slug, url};
use crate::app::App;

/// How many come unless it is said, and at most.
const LIMIT: usize = 1_000;
const LIMIT_MAX: usize = 5_000;

/// What is looked for.
#[derive(Default)]
struct Wanted {
    words: String,
    kind: Option<String>,
    tags: Vec<String>,
    folders: Vec<String>,
    boards: Vec<String>,
    /// The same by their numbers.
    folder_ids: Vec<i64>,
    board_ids: Vec<i64>,
    starred: bool,
    descending: bool,
    limit: usize,
    page: usize,
}
impl Wanted {
    fn read(query: &str) -> Result<Wanted, GrafanaError> {
        let mut wanted = Wanted { limit: LIMIT, page: 1, ..Wanted::default() };
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            // Nothing and zero are as good as unsaid.
            let number = |unsaid: usize| match &*value {
                "" => Ok(unsaid),
                text => text.parse().map(|n| if n == 0 { unsaid } else { n }).map_err(|_| GrafanaError::bad(format!("{name} must be a number, not {text:?}"))),
            };
            let ids = || value.split(',').filter_map(|id| id.trim().parse().ok()).collect::<Vec<i64>>();
            let list = || value.split(',').map(str::trim).filter(|v| !v.is_empty()).map(str::to_owned);
            match &*name {
                "query" => wanted.words = value.trim().to_lowercase(),
                "type" if !value.is_empty() => wanted.kind = Some(value.into_owned()),
                "tag" => wanted.tags.push(value.into_owned()),
                "folderUIDs" | "folderUids" => wanted.folders.extend(list()),
                "dashboardUIDs" | "dashboardUids" | "dashboardUID" => wanted.boards.extend(list()),
                "starred" => wanted.starred = value == "true",
                "sort" => wanted.descending = value == "alpha-desc",
                "folderIds" => wanted.folder_ids.extend(ids()),
                "dashboardIds" => wanted.board_ids.extend(ids()),
                "limit" => {
                    wanted.limit = number(LIMIT)?;
                    if wanted.limit > LIMIT_MAX {
                        let words = format!("Limit is above maximum allowed ({LIMIT_MAX}), use page parameter to access hits beyond limit");
                        return Err(GrafanaError::new(StatusCode::UNPROCESSABLE_ENTITY, words));
                    }
                }
                "page" => wanted.page = number(1)?,
                _ => {}
            }
        }
        Ok(wanted)
    }
    fn wants_title(&self, title: &str) -> bool {
        self.words.is_empty() || title.to_lowercase().contains(&self.words)
    }
    fn wants_folder(&self, folder: &str) -> bool {
        self.folders.is_empty() || self.folders.iter().any(|f| f == folder || (f == "general" && folder.is_empty()))
    }
    fn wants(&self, board: &Listed) -> bool {
        self.kind.as_deref().is_none_or(|k| k == "dash-db")
            && !self.starred
            && self.wants_title(&board.title)
            && self.wants_folder(&board.folder.uid)
            && self.tags.iter().all(|t| board.tags.contains(t))
            && (self.boards.is_empty() || self.boards.contains(&board.uid))
            && (self.folder_ids.is_empty() || self.folder_ids.contains(&board.folder.id))
            && (self.board_ids.is_empty() || self.board_ids.contains(&board.id))
    }
}

/// `GET /api/search`.
pub(super) async fn search(State(app): State<Arc<App>>, RawQuery(query): RawQuery) -> Answered {
    let wanted = Wanted::read(query.as_deref().unwrap_or(""))?;
    off_reactor(&app, move |boards| {
        let mut all = folders(boards, &wanted);
        all.extend(boards.list().iter().filter(|b| wanted.wants(b)).map(board));
        if wanted.descending {
            all.reverse();
        }
        let skip = (wanted.page - 1).saturating_mul(wanted.limit);
        Ok(all.into_iter().skip(skip).take(wanted.limit).collect())
    })
    .await
}

fn board(listed: &Listed) -> Value {
    let Listed { id, uid, title, tags, folder } = listed;
    let mut entry = json!({
        "id": id, "uid": uid, "title": title, "uri": format!("db/{}", slug(title)), "url": url(uid, title), "slug": "", "type": "dash-db",
        "tags": tags, "isStarred": false, "sortMeta": 0,
    });
    if !folder.uid.is_empty() {
        entry["folderId"] = folder.id.into();
        entry["folderUid"] = folder.uid.as_str().into();
        entry["folderTitle"] = folder.title.as_str().into();
        entry["folderUrl"] = folder_url(folder).into();
    }
    entry
}

fn folders(boards: &Boards, wanted: &Wanted) -> Vec<Value> {
    // Folders have neither tags nor folders.
    let never = !wanted.tags.is_empty()
        || !wanted.boards.is_empty()
        || !wanted.board_ids.is_empty()
        || wanted.starred
        || !(wanted.folder_ids.is_empty() || wanted.folder_ids.contains(&0))
        || !wanted.wants_folder("");
    if never || wanted.kind.as_deref().is_some_and(|k| k != "dash-folder") {
        return Vec::new();
    }
    let all = boards.folders().into_iter().map(|f| f.folder).filter(|f| wanted.wants_title(&f.title));
    let entry = |folder: Folder| {
        let Folder { id, uid, title } = &folder;
        json!({
            "id": id, "uid": uid, "title": title, "uri": format!("db/{}", slug(title)), "url": folder_url(&folder), "slug": "", "type": "dash-folder",
            "tags": [], "isStarred": false, "sortMeta": 0,
        })
    };
    all.map(entry).collect()
}

/// `GET /api/dashboards/tags`.
pub(super) async fn tags(State(app): State<Arc<App>>) -> Answered {
    off_reactor(&app, |boards| {
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        for tag in boards.list().into_iter().flat_map(|b| b.tags) {
            *counts.entry(tag).or_default() += 1;
        }
        Ok(counts.into_iter().map(|(term, count)| json!({"term": term, "count": count})).collect())
    })
    .await
}
