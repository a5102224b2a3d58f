//! The routing tree: which receiver an alert goes to, and how its alerts are grouped and timed. It decides by labels only.

use std::collections::HashSet;
use std::sync::Arc;

use watchfire_model::document::{Node, Reader};
use watchfire_model::labels::Labels;
use watchfire_model::matcher::{MatchOp, Matcher, matches_all};

use super::matcher::{parse_matchers, show_matchers, sort_matchers};

/// The most routes of a tree.
const ROUTES_MAX: usize = 10_000;
/// How deep a tree may be.
const DEPTH_MAX: usize = 30;

/// A node of the tree, with everything that it inherits.
#[derive(Clone, Debug)]
pub struct Route {
    /// Its place in the tree's order, from 0.
    pub index: usize,
    /// What names it in the keys of groups.
    pub key: String,
    /// Who is told.
    pub receiver: String,
    /// How alerts are grouped.
    pub group_by: GroupBy,
    /// Which alerts come here.
    pub matchers: Vec<Matcher>,
    /// Whether alerts that come here go to the following routes, too.
    pub goes_on: bool,
    /// How long a new group waits, in milliseconds.
    pub group_wait_ms: u64,
    /// How long a group waits after it was told of, in milliseconds.
    pub group_interval_ms: u64,
    /// After how long the same is told again, in milliseconds.
    pub repeat_interval_ms: u64,
    /// Names of intervals during which nobody is told.
    pub mute: Vec<String>,
    /// Names of intervals during which somebody is told; always, when there are none.
    pub active: Vec<String>,
    /// The routes below.
    pub routes: Vec<Arc<Route>>,
}

/// How alerts are grouped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupBy {
    /// By all labels: every alert alone.
    All,
    /// By these.
    Names(Vec<String>),
}

impl Route {
    /// The routes that an alert ends at.
    pub fn ends(self: &Arc<Route>, labels: &Labels) -> Vec<Arc<Route>> {
        let mut found = Vec::new();
        self.descend(labels, &mut found);
        found
    }
    /// Whether the labels match; adds where they end.
    fn descend(self: &Arc<Route>, labels: &Labels, found: &mut Vec<Arc<Route>>) -> bool {
        if !matches_all(&self.matchers, labels) {
            return false;
        }
        let before = found.len();
        for route in &self.routes {
            if route.descend(labels, found) && !route.goes_on {
                break;
            }
        }
        if found.len() == before {
            found.push(self.clone());
        }
        true
    }
    /// The labels that name the group of an alert.
    pub fn group_labels(&self, labels: &Labels) -> Labels {
        match &self.group_by {
            GroupBy::All => labels.clone(),
            GroupBy::Names(names) => Labels::from_pairs(names.iter().filter_map(|name| Some((name, labels.get(name)?)))),
        }
    }
    /// The key of a group.
    pub fn group_key(&self, group: &Labels) -> String {
        let shown: Vec<String> = group.iter().map(|(name, value)| format!("{name}={}", watchfire_model::labels::quoted(value))).collect();
        format!("{}:{{{}}}", self.key, shown.join(", "))
    }
    /// This route and all below, in the tree's order.
    pub fn all(self: &Arc<Route>) -> Vec<Arc<Route>> {
        let mut all = vec![self.clone()];
        for route in &self.routes {
            all.extend(route.all());
        }
        all
    }
}

/// What a route without a parent inherits.
fn origin() -> Route {
    Route {
        index: 0,
        key: String::new(),
        receiver: String::new(),
        group_by: GroupBy::Names(Vec::new()),
        matchers: Vec::new(),
        goes_on: false,
        group_wait_ms: 30_000,
        group_interval_ms: 300_000,
        repeat_interval_ms: 4 * 3_600_000,
        mute: Vec::new(),
        active: Vec::new(),
        routes: Vec::new(),
    }
}

/// A tree without receivers worth the name, for when nothing is configured.
pub(super) fn single(receiver: &str) -> Arc<Route> {
    let group_by = GroupBy::Names(vec!["alertname".to_owned()]);
    Arc::new(Route { key: "{}".to_owned(), receiver: receiver.to_owned(), group_by, ..origin() })
}

/// What routes refer to.
pub(super) struct Names<'a> {
    pub(super) receivers: &'a HashSet<String>,
    pub(super) intervals: &'a HashSet<String>,
}

/// Reads `route`.
pub(super) fn read(root: &Reader<'_>, names: &Names<'_>) -> Option<Arc<Route>> {
    let Some(reader) = root.map("route") else {
        root.context().error(root.node().line, root.node().column, "no route provided in config");
        return None;
    };
    for key in ["match", "match_re", "matchers"] {
        let empty = reader.node().get(key).is_none_or(|n| n.is_null() || n.entries().is_some_and(<[_]>::is_empty) || n.items().is_some_and(<[_]>::is_empty));
        if !empty {
            reader.error_at(key, "root route must not have any matchers");
        }
    }
    for (key, what) in [("mute_time_intervals", "mute"), ("active_time_intervals", "active")] {
        if reader.node().get(key).and_then(Node::items).is_some_and(|items| !items.is_empty()) {
            reader.error_at(key, format!("root route must not have any {what} time intervals"));
        }
    }
    if reader.node().get("receiver").and_then(Node::text).is_none_or(str::is_empty) {
        reader.context().error(reader.node().line, reader.node().column, "root route must specify a default receiver");
    }
    if reader.node().get("continue").and_then(Node::as_bool) == Some(true) {
        reader.warning_at("continue", "has no effect at the root route: nothing follows it");
    }
    let mut count = 0;
    Some(Arc::new(read_one(reader, &origin(), names, &mut count, 0)))
}

fn read_one(reader: Reader<'_>, parent: &Route, names: &Names<'_>, count: &mut usize, depth: usize) -> Route {
    let matchers = read_matchers(&reader, "match", "match_re", "matchers");
    let slash = if depth == 0 { "" } else { "/" };
    let mut route = Route {
        index: *count,
        key: format!("{}{slash}{}", parent.key, show_matchers(&matchers)),
        receiver: read_receiver(&reader, parent, names),
        group_by: read_group_by(&reader).unwrap_or_else(|| parent.group_by.clone()),
        matchers,
        goes_on: reader.bool("continue").unwrap_or(false),
        group_wait_ms: reader.duration_ms("group_wait").unwrap_or(parent.group_wait_ms),
        group_interval_ms: above_zero(&reader, "group_interval").unwrap_or(parent.group_interval_ms),
        repeat_interval_ms: above_zero(&reader, "repeat_interval").unwrap_or(parent.repeat_interval_ms),
        mute: read_intervals(&reader, "mute_time_intervals", names),
        active: read_intervals(&reader, "active_time_intervals", names),
        routes: Vec::new(),
    };
    if route.repeat_interval_ms < route.group_interval_ms && (reader.raw("repeat_interval").is_some() || reader.raw("group_interval").is_some()) {
        let key = if reader.raw("repeat_interval").is_some() { "repeat_interval" } else { "group_interval" };
        reader.warning_at(key, "repeat_interval is shorter than group_interval; nothing is repeated more often than each group_interval");
    }
    *count += 1;
    let children = reader.maps("routes");
    if *count + children.len() > ROUTES_MAX || (depth >= DEPTH_MAX && !children.is_empty()) {
        reader.error_at("routes", format!("more than {ROUTES_MAX} routes, or more than {DEPTH_MAX} levels of them"));
    } else {
        for child in children {
            let read = read_one(child, &route, names, count, depth + 1);
            route.routes.push(Arc::new(read));
        }
    }
    warn_shadowed(&reader, &route);
    reader.finish();
    route
}

/// A route behind one that takes everything is never reached.
fn warn_shadowed(reader: &Reader<'_>, route: &Route) {
    let Some(first) = route.routes.iter().position(|r| r.matchers.is_empty() && !r.goes_on) else { return };
    let nodes = reader.list("routes");
    if let Some(node) = nodes.get(first + 1) {
        reader.context().warning(node.line, node.column, "no alert ever comes here: the route before takes every alert and does not continue");
    }
}

fn read_receiver(reader: &Reader<'_>, parent: &Route, names: &Names<'_>) -> String {
    let Some(receiver) = reader.text("receiver").filter(|r| !r.is_empty()) else { return parent.receiver.clone() };
    if !names.receivers.contains(&receiver) {
        let near = watchfire_model::document::nearest(&receiver, names.receivers.iter().map(String::as_str));
        let hint = near.map(|n| format!("; did you mean {n:?}?")).unwrap_or_default();
        reader.error_at("receiver", format!("undefined receiver {receiver:?} used in route{hint}"));
    }
    receiver
}

fn read_group_by(reader: &Reader<'_>) -> Option<GroupBy> {
    reader.raw("group_by")?;
    let names = reader.texts("group_by", false);
    let mut seen = HashSet::new();
    for name in &names {
        if name.is_empty() {
            reader.error_at("group_by", "a label name must not be empty");
        }
        if !seen.insert(name) {
            reader.error_at("group_by", format!("duplicated label {name:?} in group_by"));
        }
    }
    if names.iter().any(|name| name == "...") {
        if names.len() > 1 {
            reader.error_at("group_by", "cannot have wildcard group_by (`...`) and other labels at the same time");
        }
        return Some(GroupBy::All);
    }
    // Like there, an empty list inherits.
    (!names.is_empty()).then_some(GroupBy::Names(names))
}

fn above_zero(reader: &Reader<'_>, key: &'static str) -> Option<u64> {
    let ms = reader.duration_ms(key)?;
    if ms == 0 {
        reader.error_at(key, format!("{key} cannot be zero"));
    }
    Some(ms.max(1))
}

fn read_intervals(reader: &Reader<'_>, key: &'static str, names: &Names<'_>) -> Vec<String> {
    let all = reader.texts(key, false);
    for name in all.iter().filter(|name| !names.intervals.contains(*name)) {
        reader.error_at(key, format!("undefined time interval {name:?} used in route"));
    }
    all
}

/// Reads matchers by their three keys, sorted as the keys of groups have them.
pub(super) fn read_matchers(reader: &Reader<'_>, equal: &'static str, regex: &'static str, list: &'static str) -> Vec<Matcher> {
    let mut all = Vec::new();
    for (key, op) in [(equal, MatchOp::Equal), (regex, MatchOp::Regex)] {
        for (name, value) in reader.text_map(key) {
            if !watchfire_model::labels::is_classic_label_name(&name) {
                reader.error_at(key, format!("invalid label name {name:?}"));
            }
            if op == MatchOp::Regex && reader.node().get(key).and_then(|n| n.get(&name)).is_some_and(Node::is_null) {
                reader.error_at(key, format!("the regular expression for {name:?} is missing"));
                continue;
            }
            match Matcher::new(&name, op, &value) {
                Ok(matcher) => all.push(matcher),
                Err(error) => reader.error_at(key, error.to_string()),
            }
        }
    }
    reader.texts(list, false);
    for node in reader.list(list) {
        match node.text().map(parse_matchers) {
            Some(Ok(parsed)) => {
                all.extend(parsed.matchers);
                if let Some(odd) = parsed.odd {
                    reader.context().warning(node.line, node.column, format!("{}: {odd}", reader.path_of(list)));
                }
            }
            Some(Err(error)) => reader.context().error(node.line, node.column, format!("{}: {error}", reader.path_of(list))),
            None => {}
        }
    }
    sort_matchers(&mut all);
    all
}
