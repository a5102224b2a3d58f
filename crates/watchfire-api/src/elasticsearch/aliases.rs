//! Other names of indices: they are kept over restarts, searches and writes go through them, and clients list and change them. Filters
//! and routing of an alias are refused: an alias that shows less than it should must not look like one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::{Path, Request, State};
use axum::response::Response;
use http::StatusCode;
use serde_json::{Map, Value, json};
use watchfire_model::state::{Change, StateStore, Table};
use watchfire_net::blocking::spawn_blocking;
use watchfire_query::documents::analysis::Glob;

use super::answer::{EsError, Good};
use super::cats::table;
use super::indices::{NAMELESS, Names, names_of};
use super::search::{body, parsed};
use crate::app::App;
use crate::prometheus::gate::run;

/// Aliases: name → the indices it means, as JSON.
const ALIASES: Table = Table("search_aliases");
/// The most aliases.
const ALIASES_MAX: usize = 1_000;
/// The most indices of one alias, and actions of one request.
const INDICES_MAX: usize = 1_000;
/// The longest name.
const NAME_BYTES_MAX: usize = 255;

/// The indices of an alias, and whether each is the one to write to, where that is said.
type Indices = BTreeMap<String, Option<bool>>;

/// All aliases, by their names.
type All = BTreeMap<String, Indices>;

/// All aliases. What is durable is read before the first question; while that fails, questions and changes do, too, or a change would
/// overwrite what nobody has seen.
pub(crate) struct Aliases {
    state: Arc<dyn StateStore>,
    kept: Mutex<Option<All>>,
}

/// The aliases while nobody else changes them.
struct Held<'a>(MutexGuard<'a, Option<All>>);
impl std::ops::Deref for Held<'_> {
    type Target = All;
    fn deref(&self) -> &All {
        static NONE: All = All::new();
        self.0.as_ref().unwrap_or(&NONE)
    }
}

/// One change.
enum Action {
    Add { index: String, alias: String, write: Option<bool> },
    Remove { index: String, alias: String, must_exist: bool },
}

impl Aliases {
    /// What is kept of them.
    pub(crate) fn new(state: Arc<dyn StateStore>) -> Aliases {
        Aliases { kept: Mutex::new(None), state }
    }

    /// One that is there and cannot be understood is left out, and the log says so.
    fn kept(&self) -> Result<Held<'_>, EsError> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.is_none() {
            let rows = self.state.scan(ALIASES, "").map_err(|error| {
                tracing::error!(%error, "aliases of indices cannot be read");
                EsError::new(StatusCode::SERVICE_UNAVAILABLE, "exception", format!("cannot read the aliases of indices: {error}"))
            })?;
            let read = |(name, bytes): (String, Vec<u8>)| match serde_json::from_slice(&bytes) {
                Ok(indices) => Some((name, indices)),
                Err(error) => {
                    tracing::error!(alias = name, %error, "an alias of indices cannot be read");
                    None
                }
            };
            *kept = Some(rows.into_iter().filter_map(read).collect());
        }
        Ok(Held(kept))
    }

    /// The indices that a name or a pattern means as aliases; none where it is none.
    pub(super) fn indices(&self, pattern: &str) -> Result<BTreeSet<String>, EsError> {
        let kept = self.kept()?;
        Ok(match pattern.contains('*') {
            false => kept.get(pattern).into_iter().flat_map(|indices| indices.keys().cloned()).collect(),
            true => {
                let glob = Glob::new(pattern);
                kept.iter().filter(|(name, _)| glob.fits(name, false)).flat_map(|(_, indices)| indices.keys().cloned()).collect()
            }
        })
    }

    /// Whether there is an alias of this name.
    pub(super) fn has(&self, name: &str) -> Result<bool, EsError> {
        Ok(self.kept()?.contains_key(name))
    }

    /// Where documents go that are written to a name: nothing where that is no alias.
    pub(super) fn written(&self, name: &str) -> Result<Option<Result<String, String>>, EsError> {
        let kept = self.kept()?;
        let Some(indices) = kept.get(name) else { return Ok(None) };
        let chosen = indices
            .iter()
            .find(|(_, write)| **write == Some(true))
            .or_else(|| indices.iter().next().filter(|(_, write)| indices.len() == 1 && **write != Some(false)));
        Ok(Some(chosen.map(|(index, _)| index.clone()).ok_or_else(|| {
            format!("no write index is defined for alias [{name}]. The write index may be explicitly disabled using is_write_index=false or the alias points to multiple indices without one being designated as a write index")
        })))
    }

    /// What `GET` shows of the aliases of each index that has one, of those that fit.
    pub(super) fn by_index(&self, fits: &dyn Fn(&str) -> bool) -> Result<BTreeMap<String, Map<String, Value>>, EsError> {
        let mut all: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
        for (name, indices) in self.kept()?.iter().filter(|(name, _)| fits(name)) {
            for (index, write) in indices {
                let shown = write.map_or_else(|| json!({}), |write| json!({ "is_write_index": write }));
                all.entry(index.clone()).or_default().insert(name.clone(), shown);
            }
        }
        Ok(all)
    }

    /// Forgets an index that is deleted.
    pub(super) fn forget(&self, index: &str) -> Result<(), EsError> {
        let aliases: Vec<String> = self.kept()?.iter().filter(|(_, indices)| indices.contains_key(index)).map(|(alias, _)| alias.clone()).collect();
        let of_it: Vec<Action> = aliases.into_iter().map(|alias| Action::Remove { index: index.to_owned(), alias, must_exist: false }).collect();
        self.change(&of_it)
    }

    /// Makes all changes or none. Blocks.
    fn change(&self, actions: &[Action]) -> Result<(), EsError> {
        let mut kept = self.kept()?;
        let mut next: All = kept.clone();
        let mut touched = BTreeSet::new();
        for action in actions {
            match action {
                Action::Add { index, alias, write } => {
                    let indices = next.entry(alias.clone()).or_default();
                    indices.insert(index.clone(), *write);
                    if indices.values().filter(|write| **write == Some(true)).count() > 1 {
                        return Err(EsError::new(StatusCode::BAD_REQUEST, "illegal_state_exception", format!("alias [{alias}] has more than one write index")));
                    }
                    if indices.len() > INDICES_MAX {
                        return Err(EsError::bad(format!("alias [{alias}] has more than {INDICES_MAX} indices")));
                    }
                    touched.insert(alias);
                }
                Action::Remove { index, alias, must_exist } => {
                    let gone = next.get_mut(alias).and_then(|indices| indices.remove(index)).is_some();
                    if !gone && *must_exist {
                        return Err(missing(alias));
                    }
                    touched.insert(alias);
                }
            }
        }
        next.retain(|_, indices| !indices.is_empty());
        if next.len() > ALIASES_MAX {
            return Err(EsError::bad(format!("there are {ALIASES_MAX} aliases already")));
        }
        let row = |alias: &&String| match next.get(*alias) {
            Some(indices) => Change::Put(ALIASES, (*alias).clone(), serde_json::to_vec(indices).unwrap_or_default()),
            None => Change::Delete(ALIASES, (*alias).clone()),
        };
        let changes: Vec<Change> = touched.iter().map(row).collect();
        self.state.commit(&changes).map_err(|error| EsError::new(StatusCode::INTERNAL_SERVER_ERROR, "exception", error.to_string()))?;
        *kept.0 = Some(next);
        Ok(())
    }
}

fn missing(name: &str) -> EsError {
    EsError::new(StatusCode::NOT_FOUND, "aliases_not_found_exception", format!("aliases [{}] missing", name.chars().take(64).collect::<String>()))
}

/// A filter would have to hold for every reader; whoever sets one is told that it does not.
fn settings(about: &Value) -> Result<Option<bool>, EsError> {
    for key in ["filter", "routing", "index_routing", "search_routing"] {
        if about.get(key).is_some_and(|value| !value.is_null()) {
            return Err(EsError::bad(format!("[{key}] of an alias is not carried out here; an alias means all of its indices")));
        }
    }
    Ok(about.get("is_write_index").and_then(Value::as_bool))
}

fn checked(name: &str) -> Result<String, EsError> {
    let bad = |c: char| c.is_control() || matches!(c, ' ' | ',' | '"' | '*' | '\\' | '<' | '>' | '|' | '?' | '/' | '#');
    if name.is_empty() || name.len() > NAME_BYTES_MAX || name.contains(bad) || name.starts_with(['_', '-']) || name == NAMELESS {
        let shown: String = name.chars().take(64).collect();
        return Err(EsError::new(StatusCode::BAD_REQUEST, "invalid_alias_name_exception", format!("Invalid alias name [{shown}]")));
    }
    Ok(name.to_owned())
}

/// One name, or a list of them, under either of two keys.
fn names(about: &Value, one: &str, many: &str) -> Vec<String> {
    let all = about.get(one).into_iter().chain(about.get(many)).flat_map(|value| match value {
        Value::Array(items) => items.iter().collect::<Vec<_>>(),
        value => vec![value],
    });
    all.filter_map(Value::as_str).flat_map(|text| text.split(',')).map(str::to_owned).collect()
}

/// The actions of `POST /_aliases`.
fn actions(app: &App, budget: &watchfire_model::read::Budget, there: &Names, body: &Value) -> Result<Vec<Action>, EsError> {
    let mut out = Vec::new();
    for action in body.get("actions").and_then(Value::as_array).into_iter().flatten() {
        let Some((verb, about)) = action.as_object().filter(|action| action.len() == 1).and_then(|action| action.iter().next()) else {
            return Err(EsError::bad("an action is an object with one of add and remove"));
        };
        let write = settings(about)?;
        let must_exist = about.get("must_exist").and_then(Value::as_bool).unwrap_or(true);
        let (patterns, wanted) = (names(about, "index", "indices"), names(about, "alias", "aliases"));
        if patterns.is_empty() || wanted.is_empty() {
            return Err(EsError::bad("Validation Failed: 1: an action needs [index] and [alias];"));
        }
        let many = || EsError::bad(format!("more than {INDICES_MAX} changes of aliases in one request"));
        if patterns.len().saturating_mul(wanted.len()) > INDICES_MAX {
            return Err(many());
        }
        for pattern in &patterns {
            budget.check()?;
            for index in there.of(app, pattern)? {
                if out.len() + wanted.len() > INDICES_MAX {
                    return Err(many());
                }
                for alias in &wanted {
                    let index = index.clone();
                    out.push(match verb.as_str() {
                        "add" => Action::Add { index, alias: checked(alias)?, write },
                        "remove" => Action::Remove { index, alias: alias.clone(), must_exist },
                        other => {
                            return Err(EsError::bad(format!("[{}] is no action of aliases here: add or remove", other.chars().take(32).collect::<String>())));
                        }
                    });
                }
            }
        }
    }
    if out.is_empty() { Err(EsError::bad("Validation Failed: 1: Must specify at least one action;")) } else { Ok(out) }
}

/// Carries changes out that a request names.
async fn changed(
    app: Arc<App>,
    read: impl FnOnce(&App, &watchfire_model::read::Budget, &Names) -> Result<Vec<Action>, EsError> + Send + 'static,
) -> Result<Good, EsError> {
    let actions = run(&app, None, move |app, budget| {
        let there = Names::read(app, budget)?;
        let actions = read(app, budget, &there)?;
        for action in &actions {
            if let Action::Add { alias, .. } = action
                && !app.aliases.has(alias)?
                && there.has(app, alias)
            {
                let message = format!("an index or data stream exists with the same name as the alias [{alias}]");
                return Err(EsError::new(StatusCode::BAD_REQUEST, "invalid_alias_name_exception", message));
            }
        }
        Ok(actions)
    })
    .await?;
    let task = spawn_blocking(move || app.aliases.change(&actions));
    task.await.map_err(|_| EsError::new(StatusCode::INTERNAL_SERVER_ERROR, "exception", "the change failed inside; the server's log says more"))??;
    Ok(Good(json!({"acknowledged": true, "errors": false})))
}

/// `POST /_aliases`.
pub(super) async fn update(State(app): State<Arc<App>>, request: Request) -> Result<Good, EsError> {
    let body = parsed(&body(request).await?)?;
    changed(app, move |app, budget, there| actions(app, budget, there, &body)).await
}

/// `PUT|POST /{index}/_alias/{name}`.
pub(super) async fn put(State(app): State<Arc<App>>, Path((index, name)): Path<(String, String)>, request: Request) -> Result<Good, EsError> {
    let write = settings(&parsed(&body(request).await?)?)?;
    let alias = checked(&name)?;
    let add = move |index| Action::Add { index, alias: alias.clone(), write };
    changed(app, move |app, budget, _| Ok(existing(app, budget, &index)?.into_iter().map(add).collect())).await
}

/// `DELETE /{index}/_alias/{name}`.
pub(super) async fn delete(State(app): State<Arc<App>>, Path((index, name)): Path<(String, String)>) -> Result<Good, EsError> {
    changed(app, move |app, budget, _| {
        let mut of_indices = app.aliases.by_index(&fitting(&name))?;
        let of = |index: String| {
            let own = of_indices.remove(&index).unwrap_or_default();
            own.into_iter().map(move |(alias, _)| Action::Remove { index: index.clone(), alias, must_exist: true })
        };
        let all: Vec<Action> = existing(app, budget, &index)?.into_iter().flat_map(of).collect();
        if all.is_empty() { Err(missing(&name)) } else { Ok(all) }
    })
    .await
}

/// The aliases that an index brings with it when it is created.
pub(super) async fn of_created(app: Arc<App>, index: &str, body: &Value) -> Result<(), EsError> {
    let mut actions = Vec::new();
    for (name, about) in body.get("aliases").and_then(Value::as_object).into_iter().flatten().take(INDICES_MAX) {
        actions.push(Action::Add { index: index.to_owned(), alias: checked(name)?, write: settings(about)? });
    }
    if actions.is_empty() {
        return Ok(());
    }
    changed(app, move |_, _, _| Ok(actions)).await.map(drop)
}

fn existing(app: &App, budget: &watchfire_model::read::Budget, index: &str) -> Result<BTreeSet<String>, EsError> {
    let names = names_of(app, budget, Some(index))?;
    if names.is_empty() && !index.contains('*') && index != NAMELESS {
        return Err(EsError::new(
            StatusCode::NOT_FOUND,
            "index_not_found_exception",
            format!("no such index [{}]", index.chars().take(64).collect::<String>()),
        ));
    }
    Ok(names)
}

/// Whether a name is among some that are given with commas, or fits a pattern of stars there.
fn fitting(wanted: &str) -> impl Fn(&str) -> bool + use<> {
    let globs: Vec<Glob> = wanted.split(',').take(100).map(|one| Glob::new(if one == "_all" { "*" } else { one })).collect();
    move |name| globs.iter().any(|glob| glob.fits(name, false))
}

/// The indices of an expression with their aliases.
fn listed(app: &App, budget: &watchfire_model::read::Budget, index: Option<&str>, wanted: Option<&str>) -> Result<Map<String, Value>, EsError> {
    let names = match index {
        Some(index) => existing(app, budget, index)?,
        None => {
            // One that has no document yet is listed under its alias, too.
            let mut names = names_of(app, budget, None)?;
            names.extend(app.aliases.indices("*")?);
            names
        }
    };
    let mut of_indices = app.aliases.by_index(&fitting(wanted.unwrap_or("*")))?;
    let all = names.into_iter().map(|name| {
        let own = of_indices.remove(&name).unwrap_or_default();
        (name, own)
    });
    let all: Map<String, Value> = all.filter(|(_, own)| wanted.is_none() || !own.is_empty()).map(|(name, own)| (name, json!({ "aliases": own }))).collect();
    let is_there = |name: &str| all.values().any(|index| index["aliases"].get(name).is_some());
    match wanted.into_iter().flat_map(|wanted| wanted.split(',')).find(|name| !name.contains('*') && *name != "_all" && !is_there(name)) {
        Some(name) => {
            Err(EsError::new(StatusCode::NOT_FOUND, "aliases_not_found_exception", format!("alias [{}] missing", name.chars().take(64).collect::<String>())))
        }
        None => Ok(all),
    }
}

/// `GET /_alias`, `/{index}/_alias`.
pub(super) async fn list(State(app): State<Arc<App>>, index: Option<Path<String>>) -> Result<Good, EsError> {
    run(&app, None, move |app, budget| Ok(Good(Value::Object(listed(app, budget, index.as_ref().map(|index| index.0.as_str()), None)?)))).await
}

/// `GET|HEAD /_alias/{name}`.
pub(super) async fn named(State(app): State<Arc<App>>, Path(name): Path<String>) -> Result<Good, EsError> {
    run(&app, None, move |app, budget| Ok(Good(Value::Object(listed(app, budget, None, Some(&name))?)))).await
}

/// `GET|HEAD /{index}/_alias/{name}`.
pub(super) async fn named_of(State(app): State<Arc<App>>, Path((index, name)): Path<(String, String)>) -> Result<Good, EsError> {
    run(&app, None, move |app, budget| Ok(Good(Value::Object(listed(app, budget, Some(&index), Some(&name))?)))).await
}

/// `GET /_cat/aliases`, as lines or as JSON.
pub(super) async fn cat(State(app): State<Arc<App>>, request: Request) -> Result<Response, EsError> {
    let query = request.uri().query().unwrap_or("").to_owned();
    run(&app, None, move |app, budget| {
        let mut rows = Vec::new();
        for (index, about) in listed(app, budget, None, Some("*"))? {
            for (alias, about) in about["aliases"].as_object().into_iter().flatten() {
                let write = about.get("is_write_index").and_then(Value::as_bool).map_or_else(|| "-".to_owned(), |write| write.to_string());
                rows.push((alias.clone(), index.clone(), write));
            }
        }
        rows.sort();
        let columns = ["alias", "index", "filter", "routing.index", "routing.search", "is_write_index"];
        let row = |(alias, index, write): (String, String, String)| [&alias, &index, "-", "-", "-", &write].map(str::to_owned).to_vec();
        Ok(table(&query, &columns, rows.into_iter().map(row).collect()))
    })
    .await
}

#[cfg(test)]
mod tests {
    use watchfire_model::state::StateError;

    use super::*;
    use crate::testing::Memory;

    #[test]
    fn aliases_survive_a_restart_and_change_as_one() {
        let memory = Arc::new(Memory::default());
        let aliases = Aliases::new(memory.clone());
        let add = |index: &str, alias: &str, write| Action::Add { index: index.to_owned(), alias: alias.to_owned(), write };
        aliases.change(&[add("a-1", "a", None), add("a-2", "a", Some(true)), add("a-1", "b", None)]).unwrap();
        let gone = Action::Remove { index: "a-9".to_owned(), alias: "a".to_owned(), must_exist: true };
        assert!(aliases.change(&[add("a-3", "a", None), gone]).is_err());
        let again = Aliases::new(memory.clone());
        assert_eq!(again.indices("a").unwrap().into_iter().collect::<Vec<_>>(), ["a-1", "a-2"], "a request that fails changes nothing");
        let written = |name: &str| again.written(name).unwrap();
        assert_eq!((written("a"), written("b"), written("c")), (Some(Ok("a-2".to_owned())), Some(Ok("a-1".to_owned())), None));
        again.forget("a-1").unwrap();
        let last = Aliases::new(memory);
        assert_eq!((last.has("b").unwrap(), last.indices("*").unwrap().into_iter().collect::<Vec<_>>()), (false, vec!["a-2".to_owned()]));
    }

    /// A state whose reading fails for a while.
    struct Failing(Arc<Memory>, std::sync::atomic::AtomicBool);
    impl StateStore for Failing {
        fn get(&self, table: Table, key: &str) -> Result<Option<Vec<u8>>, StateError> {
            self.0.get(table, key)
        }
        fn scan(&self, table: Table, prefix: &str) -> Result<Vec<(String, Vec<u8>)>, StateError> {
            if self.1.load(std::sync::atomic::Ordering::Relaxed) {
                Err(StateError { doing: "read", reason: "disk".to_owned() })
            } else {
                self.0.scan(table, prefix)
            }
        }
        fn commit(&self, changes: &[Change]) -> Result<(), StateError> {
            self.0.commit(changes)
        }
    }

    #[test]
    fn what_cannot_be_read_is_not_overwritten() {
        let memory = Arc::new(Memory::default());
        let add = |index: &str| [Action::Add { index: index.to_owned(), alias: "a".to_owned(), write: None }];
        Aliases::new(memory.clone()).change(&add("a-1")).unwrap();
        let state = Arc::new(Failing(memory, true.into()));
        let aliases = Aliases::new(state.clone());
        assert!(aliases.change(&add("a-2")).is_err() && aliases.indices("a").is_err() && aliases.written("a").is_err() && aliases.has("a").is_err());
        state.1.store(false, std::sync::atomic::Ordering::Relaxed);
        aliases.change(&add("a-2")).unwrap();
        assert_eq!(aliases.indices("a").unwrap().into_iter().collect::<Vec<_>>(), ["a-1", "a-2"], "what was there before is read before it is changed");
    }
}
