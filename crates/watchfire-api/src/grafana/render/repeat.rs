//! Where panels stand in a picture of all of them: rows below each other, panels and rows once for each value of the variable that they
//! are repeated for, as on the page. It reads no JSON and draws nothing.

use std::sync::Arc;

use watchfire_model::order::Order as _;

use super::PANELS_MAX;
use super::panel::Panel;
use super::variables::Variables;

/// A variable with more values than this repeats no further.
const REPEATS_MAX: usize = 60;
const COLUMNS: f64 = 24.0;

/// Values that hold only for one repetition, by the names of their variables.
pub(super) type Local = Vec<(String, String)>;

/// A panel where it stands in the picture.
pub(super) struct Placed {
    pub(super) panel: Arc<Panel>,
    /// x, y, width and height in units of the grid.
    pub(super) place: [f64; 4],
    pub(super) local: Local,
}

/// What stands in a picture, and how many panels there is no room for.
#[derive(Default)]
pub(super) struct Layout {
    pub(super) placed: Vec<Placed>,
    pub(super) left_out: usize,
}

/// Lays out what is not folded.
pub(super) fn laid(all: Vec<Panel>, variables: &Variables) -> Layout {
    let mut layout = Layout::default();
    let mut top = 0.0;
    for section in sections(all.into_iter().filter(|p| !p.folded).collect()) {
        let (row, panels) = parts(&section);
        for value in layout.repeats(row, variables, &Vec::new()) {
            if layout.placed.len() >= PANELS_MAX {
                layout.left_out += panels.len() + usize::from(row.is_some());
                continue;
            }
            let local: Local = value.into_iter().collect();
            if let Some(row) = row {
                // Rows of before there was a grid may have no title, and then no height.
                let high = row.place[3].min(1.0);
                if high > 0.0 {
                    layout.placed.push(Placed { panel: row.clone(), place: [0.0, top, COLUMNS, high], local: local.clone() });
                }
                top += high;
            }
            top += layout.put(panels, top, &local, variables);
        }
    }
    layout
}

/// The panel of a number by itself, with the first value of what it or its row is repeated for.
pub(super) fn single(all: Vec<Panel>, id: i64, variables: &Variables) -> Option<Placed> {
    for section in sections(all) {
        let (row, panels) = parts(&section);
        if let Some(panel) = panels.iter().find(|p| p.id == id && p.kind != "row") {
            let mut nobody = Layout::default();
            let mut local: Local = nobody.repeats(row, variables, &Vec::new()).into_iter().take(1).flatten().collect();
            let own = nobody.repeats(Some(panel), variables, &local);
            local.extend(own.into_iter().take(1).flatten());
            return Some(Placed { panel: panel.clone(), place: panel.place, local });
        }
    }
    None
}

fn parts(section: &[Arc<Panel>]) -> (Option<&Arc<Panel>>, &[Arc<Panel>]) {
    match section.split_first() {
        Some((row, panels)) if row.kind == "row" => (Some(row), panels),
        _ => (None, section),
    }
}

/// Each row with its panels, from above to below; what stands above all rows comes first.
fn sections(all: Vec<Panel>) -> Vec<Vec<Arc<Panel>>> {
    let mut order = [0.0; 2];
    let mut keyed: Vec<([f64; 2], Panel)> = Vec::new();
    for panel in all {
        if !panel.nested {
            order = [panel.place[1], panel.place[0]];
        }
        keyed.push((order, panel));
    }
    keyed.order_by(|(a, _), (b, _)| a[0].total_cmp(&b[0]).then_with(|| a[1].total_cmp(&b[1])));
    let mut sections: Vec<Vec<Arc<Panel>>> = Vec::new();
    for (_, panel) in keyed {
        let panel = Arc::new(panel);
        match sections.last_mut() {
            Some(section) if panel.kind != "row" => section.push(panel),
            _ => sections.push(vec![panel]),
        }
    }
    sections
}

impl Layout {
    /// The values for which something stands once each; it stands once without a value where there is no such variable.
    fn repeats(&mut self, panel: Option<&Arc<Panel>>, variables: &Variables, outer: &Local) -> Vec<Option<(String, String)>> {
        let Some(name) = panel.map(|p| p.repeat.as_str()).filter(|name| !name.is_empty()) else { return vec![None] };
        // Within a row that is repeated for it, it has one value.
        if outer.iter().any(|(known, _)| known == name) {
            return vec![None];
        }
        let values = variables.each(name);
        if values.is_empty() {
            return vec![None];
        }
        self.left_out += values.len().saturating_sub(REPEATS_MAX);
        values.iter().take(REPEATS_MAX).map(|value| Some((name.to_owned(), value.clone()))).collect()
    }

    /// Puts panels below a height; gives how high they are together.
    fn put(&mut self, panels: &[Arc<Panel>], top: f64, outer: &Local, variables: &Variables) -> f64 {
        let first = panels.iter().map(|p| p.place[1]).fold(f64::INFINITY, f64::min);
        // Heights that repetitions add below where they stand.
        let mut pushes: Vec<[f64; 2]> = Vec::new();
        let mut height: f64 = 0.0;
        for panel in panels {
            let repeats = self.repeats(Some(panel), variables, outer);
            let [x, y, w, h] = [panel.place[0], panel.place[1] - first, panel.place[2], panel.place[3]];
            let base = top + y + pushes.iter().filter(|push| y >= push[0]).map(|push| push[1]).sum::<f64>();
            let across = panel.across && !panel.repeat.is_empty();
            let per_row = if across { repeats.len().min(panel.per_row).max(1) } else { 1 };
            let more = (repeats.len().div_ceil(per_row) - 1) as f64 * h;
            let room = PANELS_MAX.saturating_sub(self.placed.len());
            self.left_out += repeats.len().saturating_sub(room);
            for (at, value) in repeats.into_iter().take(room).enumerate() {
                let below = base + (at / per_row) as f64 * h;
                let wide = (COLUMNS / per_row as f64).floor();
                let place = if across { [(at % per_row) as f64 * wide, below, wide, h] } else { [x, below, w, h] };
                height = height.max(below + h - top);
                let local = outer.iter().cloned().chain(value).collect();
                self.placed.push(Placed { panel: panel.clone(), place, local });
            }
            if more > 0.0 && room > 0 {
                pushes.push([y + h, more]);
            }
        }
        height
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::panel::panels;
    use super::*;

    fn stat(id: i64, at: [i64; 4], more: Value) -> Value {
        let mut panel = json!({"id": id, "type": "stat", "gridPos": {"x": at[0], "y": at[1], "w": at[2], "h": at[3]}});
        for (key, value) in more.as_object().unwrap() {
            panel[key] = value.clone();
        }
        panel
    }

    /// A dashboard with its variables, each with several values.
    fn board(panels: Value, values: &[(&str, usize)]) -> (Vec<Panel>, Variables) {
        let several = |count: usize| (0..count).map(|at| at.to_string()).collect::<Vec<_>>();
        let list: Vec<Value> = values.iter().map(|(name, count)| json!({"name": name, "multi": true, "current": {"value": several(*count)}})).collect();
        let model = json!({"panels": panels, "templating": {"list": list}});
        let model = model.as_object().unwrap();
        (self::panels(model), Variables::of(model, &[]))
    }

    fn places(layout: &Layout) -> Vec<(i64, [f64; 3], String)> {
        let words = |local: &Local| local.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ");
        let panels = layout.placed.iter().filter(|p| p.panel.kind != "row");
        panels.map(|p| (p.panel.id, [p.place[0], p.place[1], p.place[2]], words(&p.local))).collect()
    }

    /// The page's own case (`model.test.ts`).
    #[test]
    fn panels_and_rows_are_repeated_and_what_stands_below_moves_down() {
        let list = json!([
            stat(1, [0, 0, 24, 4], json!({"repeat": "host", "repeatDirection": "h", "maxPerRow": 2})),
            stat(2, [0, 4, 24, 3], json!({})),
            {"id": 9, "type": "row", "title": "$disk", "gridPos": {"x": 0, "y": 7, "w": 24, "h": 1}, "repeat": "disk", "panels": []},
            stat(3, [0, 8, 12, 5], json!({})),
        ]);
        let (all, variables) = board(list, &[("host", 3), ("disk", 2)]);
        let layout = laid(all, &variables);
        let expected = [
            (1, [0.0, 0.0, 12.0], "host=0"),
            (1, [12.0, 0.0, 12.0], "host=1"),
            (1, [0.0, 4.0, 12.0], "host=2"),
            (2, [0.0, 8.0, 24.0], ""),
            (3, [0.0, 12.0, 12.0], "disk=0"),
            (3, [0.0, 18.0, 12.0], "disk=1"),
        ];
        assert_eq!(places(&layout), expected.map(|(id, place, local)| (id, place, local.to_owned())));
        let rows: Vec<f64> = layout.placed.iter().filter(|p| p.panel.kind == "row").map(|p| p.place[1]).collect();
        assert_eq!((rows, layout.left_out), (vec![11.0, 17.0], 0));
    }

    #[test]
    fn down_and_without_a_variable() {
        let down = stat(1, [6, 0, 6, 4], json!({"repeat": "host", "repeatDirection": "v"}));
        let (all, variables) = board(json!([down, stat(2, [0, 2, 6, 4], json!({})), stat(3, [0, 4, 6, 4], json!({}))]), &[("host", 2)]);
        let found: Vec<[f64; 3]> = places(&laid(all, &variables)).into_iter().map(|p| p.1).collect();
        // What stands beside the repetitions stays; what stands below them moves.
        assert_eq!(found, [[6.0, 0.0, 6.0], [6.0, 4.0, 6.0], [0.0, 2.0, 6.0], [0.0, 8.0, 6.0]]);
        let (all, variables) = board(json!([stat(1, [0, 0, 4, 4], json!({"repeat": "nope"}))]), &[]);
        assert_eq!(places(&laid(all, &variables)), [(1, [0.0, 0.0, 24.0], String::new())]);
    }

    #[test]
    fn there_is_a_most_of_panels_and_of_repetitions() {
        let row = |at: i64| json!({"type": "row", "id": 100 + at, "title": "Row", "repeat": "row", "gridPos": {"x": 0, "y": at * 10, "w": 24, "h": 1}});
        let each = |at: i64| stat(at, [0, at * 10 + 1, 6, 4], json!({"repeat": "each", "maxPerRow": 1e9}));
        let (all, variables) = board(json!([row(0), each(1), row(1), each(2)]), &[("row", 60), ("each", 60)]);
        let layout = laid(all, &variables);
        // Two rows with sixty panels, and the third row and so on are left out; what is no panel yet is counted as it is written.
        assert_eq!(layout.placed.len(), PANELS_MAX);
        assert!(layout.left_out > 100, "{}", layout.left_out);
        let (all, variables) = board(json!([stat(1, [0, 0, 6, 4], json!({"repeat": "each", "maxPerRow": 0.2}))]), &[("each", 63)]);
        let layout = laid(all, &variables);
        assert_eq!((layout.placed.len(), layout.left_out, layout.placed[1].place), (REPEATS_MAX, 3, [0.0, 4.0, 24.0, 4.0]));
    }

    #[test]
    fn one_panel_has_the_first_value() {
        let nested = json!({"id": 5, "type": "row", "title": "r", "repeat": "disk", "collapsed": true, "gridPos": {"x": 0, "y": 9, "w": 24, "h": 1}, "panels": [
            stat(6, [0, 10, 6, 4], json!({"repeat": "host"})),
        ]});
        let list = json!([nested, stat(1, [0, 0, 6, 4], json!({"repeat": "host"})), stat(2, [0, 4, 6, 4], json!({}))]);
        let local = |id| {
            let (all, variables) = board(list.clone(), &[("host", 2), ("disk", 2)]);
            single(all, id, &variables).map(|placed| placed.local.into_iter().map(|(name, value)| name + "=" + &value).collect::<Vec<_>>())
        };
        assert_eq!(local(6), Some(vec!["disk=0".to_owned(), "host=0".to_owned()]));
        assert_eq!((local(1), local(2), local(5)), (Some(vec!["host=0".to_owned()]), Some(vec![]), None));
    }
}
