//! Pictures of panels over the test house.

use serde_json::{Value, json};
use watchfire_model::labels;

use super::png;
use super::raster::Pixels;

use crate::testing::Faces;

pub(super) async fn faces(panels: Value) -> Faces {
    let faces = Faces::new();
    let body = json!({"dashboard": {"uid": "b", "title": "B", "panels": panels, "templating": {"list": [{"name": "job", "current": {"value": "$__all"}}]}}});
    assert_eq!(faces.post("/api/dashboards/db", "application/json", &body.to_string()).await.status, 200);
    for (camera, first) in [("front", 10.0), ("<b>&\"", 20.0)] {
        faces.house.put(labels!("__name__" => "camera_fps", "camera_id" => camera, "job" => "x"), &[(600, first), (300, first + 5.0), (0, first + 2.0)]);
    }
    faces
}
pub(super) fn panel(id: i64, kind: &str, expr: &str, more: Value) -> Value {
    let mut panel = json!({
        "id": id, "type": kind, "title": format!("Panel {id}"), "gridPos": {"x": (id - 1) * 8, "y": 0, "w": 8, "h": 6},
        "targets": [{"refId": "A", "expr": expr, "legendFormat": "cam {{camera_id}}"}], "fieldConfig": {"defaults": {"unit": "suffix: fps"}},
    });
    for (key, value) in more.as_object().into_iter().flatten() {
        panel[key] = value.clone();
    }
    panel
}

/// Whether every element that is opened is closed, and nothing stands outside.
pub(super) fn well_formed(svg: &str) {
    let mut open: Vec<String> = Vec::new();
    for tag in svg.split('<').skip(1) {
        let (inside, _) = tag.split_once('>').unwrap_or_else(|| panic!("{tag}"));
        let name = inside.trim_start_matches('/').split([' ', '/']).next().unwrap().to_owned();
        if inside.starts_with('/') {
            assert_eq!(open.pop(), Some(name));
        } else if !inside.ends_with('/') {
            open.push(name);
        }
    }
    assert!(open.is_empty() && svg.starts_with("<svg ") && svg.ends_with("</svg>"), "{open:?}");
}

#[tokio::test]
async fn panels_become_pictures() {
    let colours = json!({"fieldConfig": {"defaults": {"unit": "percent", "min": 0, "max": 100, "thresholds": {"steps": [{"color": "green", "value": null}, {"color": "red", "value": 15}]}, "custom": {"thresholdsStyle": {"mode": "line"}}}}});
    let faces = faces(json!([
        panel(1, "timeseries", "camera_fps{job=~\"$job\"}", colours.clone()),
        panel(2, "stat", "max(camera_fps)", json!({})),
        panel(3, "gauge", "max(camera_fps)", colours),
        panel(4, "bargauge", "camera_fps", json!({})),
        panel(5, "table", "camera_fps", json!({})),
        panel(6, "timeseries", "nobody_knows", json!({})),
        panel(7, "stat", "sum(", json!({})),
        panel(8, "nodeGraph", "camera_fps", json!({})),
    ]))
    .await;
    let picture = async |query: &str| {
        let answer = faces.get(&format!("/render/d-solo/b/slug?format=svg&{query}")).await;
        assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, "image/svg+xml; charset=utf-8"), "{}", answer.text());
        let text = answer.text();
        well_formed(&text);
        text
    };
    let lines = picture("panelId=1&from=now-15m&to=now&width=600&height=300").await;
    assert!(lines.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"600\" height=\"300\""), "{lines}");
    assert_eq!(lines.matches("<polyline").count(), 2, "{lines}");
    assert!(lines.contains("cam &lt;b&gt;&amp;&quot;") && !lines.contains("<b>"), "{lines}");
    assert!(lines.contains("stroke=\"#d0433f\" stroke-dasharray"), "the bound: {lines}");
    for (id, words) in
        [(2, "22 fps"), (3, "22%"), (4, "12 fps"), (5, "cam front"), (6, "no data"), (7, "parse error"), (8, "panels of type nodeGraph are not drawn")]
    {
        let text = picture(&format!("panelId={id}&theme=dark")).await;
        assert!(text.contains(words), "{id}: {text}");
    }
    let chosen = picture("panelId=1&var-job=nobody").await;
    assert!(chosen.contains("no data"), "{chosen}");
}

#[tokio::test]
async fn a_whole_dashboard_is_one_picture() {
    let faces = faces(json!([panel(1, "stat", "max(camera_fps)", json!({})), panel(2, "timeseries", "camera_fps", json!({}))])).await;
    let answer = faces.get("/render/d/b?width=1200").await;
    let text = answer.text();
    well_formed(&text);
    assert!(text.contains("Panel 1") && text.contains("Panel 2") && text.contains("width=\"1200\" height=\"180\""), "{text}");
    for (path, status) in [
        ("/render/d/nobody", 404),
        ("/render/d-solo/b?panelId=99", 404),
        ("/render/d-solo/b?panelId=x", 400),
        ("/render/d-solo/b?panelId=1&width=1e9", 400),
        ("/render/d-solo/b?panelId=1&from=yesterday", 400),
        ("/render/d-solo/b?panelId=1&from=now&to=now-1h", 400),
    ] {
        assert_eq!(faces.get(path).await.status, status, "{path}");
    }
}

#[tokio::test]
async fn no_end_and_no_value_of_a_file_is_too_odd_to_be_drawn() {
    let odd = [json!(1e308), json!(-1e308), json!(5e-324), json!(0), json!(1e17), Value::Null];
    let exprs = ["vector(1e308)", "vector(-Inf)", "vector(NaN)", "vector(5e-324)", "camera_fps"];
    let kinds = ["timeseries", "gauge", "bargauge", "stat", "table"];
    let mut panels = Vec::new();
    for (min, max) in odd.iter().flat_map(|min| odd.iter().map(move |max| (min, max))) {
        for (expr, kind) in exprs.iter().flat_map(|expr| kinds.iter().map(move |kind| (expr, kind))) {
            let more = json!({"fieldConfig": {"defaults": {"min": min, "max": max, "decimals": 400, "unit": "bytes"}}});
            panels.push(panel(panels.len() as i64 + 1, kind, expr, more));
        }
    }
    let count = panels.len();
    let faces = faces(Value::Array(panels)).await;
    for id in 1..=count {
        let answer = faces.get(&format!("/render/d-solo/b/slug?panelId={id}&from=now-1h&to=now&format=svg")).await;
        assert_eq!(answer.status, 200, "{id}: {}", answer.text());
        well_formed(&answer.text());
        assert!(!answer.text().contains("=\"NaN") && !answer.text().contains(",NaN"), "{id}: {}", answer.text());
    }
}

pub(super) const INK: [u8; 3] = [0x1f, 0x24, 0x30];
const PAPER: [u8; 3] = [0xff; 3];
const DARK_PAPER: [u8; 3] = [0x18, 0x1b, 0x20];
/// The first two colours of series.
const SERIES: [[u8; 3]; 2] = [[0x35, 0x5b, 0x8f], [0x7f, 0xb4, 0x77]];

/// Whether a pixel is about of a colour: edges of letters and lines are mixed with what is below.
pub(super) fn near(colour: [u8; 3]) -> impl Fn([u8; 3]) -> bool {
    move |pixel| pixel.iter().zip(colour).all(|(a, b)| a.abs_diff(b) < 50)
}

pub(super) async fn pixels(faces: &Faces, path: &str) -> Pixels {
    let answer = faces.get(path).await;
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, "image/png"), "{path}: {}", answer.text());
    png::read(&answer.body)
}

#[tokio::test]
async fn a_line_is_where_its_value_is() {
    let fixed = json!({"fieldConfig": {"defaults": {"unit": "none", "min": 0, "max": 20}}});
    let faces = faces(json!([panel(1, "timeseries", "vector(5)", fixed.clone()), panel(2, "timeseries", "vector(15)", fixed)])).await;
    // Beneath the title the plot begins at 30; at its foot 48 points are for times and the legend. Its scale is from 0 to 20.
    let place = async |id: i64| {
        let picture = pixels(&faces, &format!("/render/d-solo/b/x?panelId={id}&width=600&height=300")).await;
        assert_eq!((picture.width, picture.height), (600, 300));
        let column: Vec<usize> = (30..250).filter(|y| picture.at(300, *y) == SERIES[0]).collect();
        assert!((1..=2).contains(&column.len()), "{column:?}");
        column[0] as f64
    };
    let (low, high) = (place(1).await, place(2).await);
    let (top, bottom) = (30.0, 252.0);
    let expected = |value: f64| bottom - (bottom - top) * value / 20.0;
    assert!((low - expected(5.0)).abs() <= 2.0 && (high - expected(15.0)).abs() <= 2.0, "{low} {high}");
}

#[tokio::test]
async fn bars_are_as_long_as_their_values() {
    let faces = faces(json!([panel(1, "bargauge", "camera_fps", json!({"fieldConfig": {"defaults": {"max": 48}}}))])).await;
    let picture = pixels(&faces, "/render/d-solo/b.png?panelId=1&width=500&height=140").await;
    // The bars lie one below the other from 26 on, 40 high; colours of series at 35 %. Their values are 12 and 22 of 48.
    let tinted = |series: [u8; 3]| series.map(|part| 255.0 + (f64::from(part) - 255.0) * 0.35);
    for (row, (series, value)) in [(SERIES[0], 22.0), (SERIES[1], 12.0)].into_iter().enumerate() {
        let y = 26 + row * 40 + 4;
        let colour = tinted(series);
        let is_bar = |pixel: [u8; 3]| pixel.iter().zip(colour).all(|(a, b)| (f64::from(*a) - b).abs() < 2.0);
        let long = (0..500).filter(|x| is_bar(picture.at(*x, y))).count() as f64;
        let high = (26..106).filter(|y| is_bar(picture.at(12, *y))).count();
        assert!((long - 480.0 * value / 48.0).abs() <= 1.0, "{row}: {long}");
        assert_eq!(high, 36, "{row}");
    }
    assert!(picture.count_in([10, 0, 200, 24], near(INK)) > 20, "the title is there");
}

#[tokio::test]
async fn themes_scales_and_formats() {
    let faces = faces(json!([panel(1, "stat", "max(camera_fps)", json!({}))])).await;
    let query = "panelId=1&width=200&height=100";
    let light = pixels(&faces, &format!("/render/d-solo/b/x?{query}")).await;
    let dark = pixels(&faces, &format!("/render/d-solo/b/x?{query}&theme=dark&scale=2")).await;
    assert_eq!((light.width, light.height, light.at(1, 1)), (200, 100, PAPER));
    assert_eq!((dark.width, dark.height, dark.at(1, 1)), (400, 200, DARK_PAPER));
    assert!(light.count_in([40, 30, 160, 90], near(INK)) > 100);
    assert!(dark.count_in([80, 60, 320, 180], near([0xe4, 0xe7, 0xec])) > 400);
    // The ending, the query and what is accepted say the format; Grafana's own address is PNG otherwise.
    for (path, accept, expected) in [
        ("/render/d-solo/b", "*/*", "image/svg+xml; charset=utf-8"),
        ("/render/d-solo/b.png", "*/*", "image/png"),
        ("/render/d-solo/b", "image/png", "image/png"),
        ("/render/d-solo/b/x", "*/*", "image/png"),
        ("/render/d-solo/b/x", "image/svg+xml,image/*", "image/png"),
        ("/render/d-solo/b/x.svg", "*/*", "image/svg+xml; charset=utf-8"),
        ("/render/d-solo/b/x", "image/svg+xml", "image/svg+xml; charset=utf-8"),
        ("/render/d-solo/b/x.png", "image/svg+xml", "image/png"),
        ("/render/d-solo/b.png", "image/png", "image/png"),
    ] {
        let answer = faces.get_with(&format!("{path}?{query}"), &[("accept", accept)]).await;
        assert_eq!((answer.status.as_u16(), answer.header("content-type"), answer.header("vary")), (200, expected, "Accept"), "{path} {accept}");
    }
    let asked = faces.get(&format!("/render/d-solo/b.svg?{query}&format=png")).await;
    assert_eq!(asked.header("content-type"), "image/png");
}

#[tokio::test]
async fn a_whole_dashboard_becomes_one_png() {
    let folded = json!({"id": 3, "type": "row", "title": "Folded", "collapsed": true, "gridPos": {"x": 0, "y": 6, "w": 24, "h": 1}, "panels": [panel(4, "stat", "vector(1)", json!({}))]});
    let faces = faces(json!([panel(1, "stat", "max(camera_fps)", json!({})), panel(2, "timeseries", "camera_fps", json!({})), folded])).await;
    let picture = pixels(&faces, "/render/d/b/x?width=960").await;
    assert_eq!((picture.width, picture.height), (960, 210));
    let ground = [0xcf, 0xd4, 0xdc];
    assert_eq!((picture.at(0, 0), picture.at(900, 20), picture.at(5, 5)), (ground, ground, PAPER));
    assert!(picture.count_in([322, 0, 640, 180], near(SERIES[0])) > 20 && picture.count_in([322, 0, 640, 180], near(SERIES[1])) > 20);
    assert!(picture.count_in([0, 182, 200, 208], near(INK)) > 20, "the row's title");
    let cut = pixels(&faces, "/render/d/b/x?width=960&height=100").await;
    assert_eq!((cut.width, cut.height), (960, 100));
    let whole = pixels(&faces, "/render/d/b/x?width=960&height=-1").await;
    assert_eq!(whole.height, 210);
    let inside = pixels(&faces, "/render/d-solo/b/x?panelId=4&width=100&height=100").await;
    assert!(inside.count_in([0, 30, 100, 100], near(INK)) > 10);
}

#[tokio::test]
async fn too_many_pixels_are_refused() {
    let faces =
        faces(json!([panel(1, "stat", "vector(1)", json!({})), panel(2, "stat", "vector(1)", json!({"gridPos": {"x": 0, "y": 900, "w": 24, "h": 50}}))])).await;
    for (path, words) in [
        ("/render/d-solo/b/x?panelId=1&width=3000&height=3000&scale=1.1", "3300 by 3300 pixels"),
        ("/render/d/b/x?width=1000", "1000 by 28500 pixels"),
        ("/render/d-solo/b/x?panelId=1&scale=5", "scale must be"),
        ("/render/d-solo/b/x?panelId=1&width=3001", "width must be"),
        ("/render/d-solo/b/x?panelId=1&tz=Nowhere", "tz must be"),
    ] {
        let answer = faces.get(path).await;
        assert_eq!(answer.status, 400, "{path}");
        assert!(answer.text().contains(words), "{path}: {}", answer.text());
    }
    let largest = faces.get("/render/d-solo/b/x?panelId=1&width=3000&height=3000").await;
    // Width and height stand behind the signature and the name of the first chunk.
    assert_eq!((largest.status.as_u16(), &largest.body[16..24]), (200, &[0, 0, 11, 184, 0, 0, 11, 184][..]));
    assert_eq!(faces.get("/render/d/b.svg?width=1000").await.status, 200);
}

#[tokio::test]
async fn axes_tell_times_in_the_zone_that_is_asked_for() {
    let faces = faces(json!([panel(1, "timeseries", "vector(1)", json!({}))])).await;
    let at = async |more: &str| faces.get(&format!("/render/d-solo/b.svg?panelId=1&from=now-1h{more}")).await.text();
    assert!(at("").await.contains(">10:15</text>") && at("&tz=Europe/Berlin").await.contains(">11:15</text>"));
    assert!(at("&tz=browser").await.contains(">10:15</text>"));
    let days = faces.get("/render/d-solo/b.svg?panelId=1&from=now-7d").await.text();
    assert!(days.contains(">12-30</text>"), "{days}");
}

#[tokio::test]
async fn rows_and_units_of_old_dashboards() {
    let old = json!({"dashboard": {"uid": "old", "title": "Old", "rows": [
        {"title": "First", "showTitle": true, "height": "150px", "panels": [
            {"id": 1, "type": "singlestat", "title": "One", "span": 6, "format": "percent", "valueName": "avg", "targets": [{"expr": "vector(40)"}]},
            {"id": 2, "type": "graph", "title": "Two", "span": 6, "yaxes": [{"format": "bytes"}], "targets": [{"expr": "vector(2048)"}]},
            {"id": 3, "type": "graph", "title": "Three", "span": 12, "targets": [{"expr": "vector(1)"}]}]},
        {"title": "Second", "collapse": true, "height": 300, "panels": [{"id": 4, "type": "graph", "title": "Hidden", "span": 12, "targets": []}]}]}});
    let faces = Faces::new();
    assert_eq!(faces.post("/api/dashboards/db", "application/json", &old.to_string()).await.status, 200);
    let text = faces.get("/render/d/old?width=1200").await.text();
    well_formed(&text);
    for words in [">First<", ">Second<", ">One<", ">Two<", ">Three<", "40%", "KiB", "translate(602.0 32.0)", "translate(2.0 182.0)", "height=\"360\""] {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert!(!text.contains("Hidden"), "{text}");
}

/// Boards that others wrote were saved with values of their machines.
#[tokio::test]
async fn variables_have_values_that_are_there() {
    let faces = Faces::new();
    for (host, job, value) in [("a:9100", "node", 1.0), ("b:9100", "node", 2.0), ("c:1", "other", 4.0)] {
        faces.house.put(labels!("__name__" => "load", "instance" => host, "job" => job), &[(600, value), (300, value), (0, value)]);
    }
    let ask = async |list: Value, expr: &str, more: &str| {
        let panel = json!({"id": 1, "type": "stat", "title": "On $host", "targets": [{"expr": expr}]});
        let board = json!({"uid": "v", "title": "V", "panels": [panel], "templating": {"list": list}});
        let body = json!({"dashboard": board, "overwrite": true});
        assert_eq!(faces.post("/api/dashboards/db", "application/json", &body.to_string()).await.status, 200);
        let answer = faces.get(&format!("/render/d-solo/v?panelId=1&from=now-10m{more}")).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.text()
    };
    let host = |query: Value, more: Value| {
        let mut variable = json!({"name": "host", "type": "query", "query": query, "current": {"value": "their.machine:9100"}});
        for (key, value) in more.as_object().unwrap() {
            variable[key] = value.clone();
        }
        variable
    };
    let job = json!({"name": "job", "type": "query", "query": "label_values(load, job)", "current": {"value": "theirs"}});
    for (list, expr, more, words) in [
        (json!([host(json!("label_values(load, instance)"), json!({}))]), "load{instance=\"$host\"}", "", &["On a:9100", ">1<"][..]),
        (
            json!([job, host(json!({"query": "label_values(load{job=\"$job\"}, instance)", "refId": "A"}), json!({"sort": 2}))]),
            "load{instance=~\"$host\"}",
            "",
            &["On b:9100", ">2<"],
        ),
        (json!([host(json!("label_values(instance)"), json!({"regex": "/c.*/"}))]), "load{instance=\"[[host]]\"}", "", &["On c:1", ">4<"]),
        (json!([host(json!("query_result(load > 3)"), json!({"regex": "/instance=\"([^\"]+)\"/"}))]), "load{instance=\"${host}\"}", "", &["On c:1", ">4<"]),
        (
            json!([host(json!("label_values(load, instance)"), json!({"current": {"value": ["b:9100", "gone"]}, "multi": true}))]),
            "sum(load{instance=~\"$host\"})",
            "",
            &["On b:9100", ">2<"],
        ),
        (
            json!([host(json!("label_values(load, instance)"), json!({"current": {"value": "$__all"}, "includeAll": true}))]),
            "sum(load{instance=~\"$host\"})",
            "",
            &["On All", ">7<"],
        ),
        (
            json!([host(json!("label_values(load, instance)"), json!({}))]),
            "sum(load{instance=~\"$host\"})",
            "&var-host=a:9100&var-host=c:1",
            &["On a:9100 + c:1", ">5<"],
        ),
        (
            json!([host(json!("label_values(load, instance)"), json!({"includeAll": true}))]),
            "sum(load{instance=~\"$host\"})",
            "&var-host=$__all",
            &["On All", ">7<"],
        ),
        (json!([host(json!("label_values(nobody, instance)"), json!({}))]), "load{instance=\"$host\"}", "", &["On their.machine:9100", "no data"]),
        (json!([host(json!("label_values(load{, instance)"), json!({}))]), "load{instance=\"$host\"}", "", &["no data"]),
        (json!([host(json!("metrics(.*)"), json!({}))]), "load{instance=\"$host\"}", "", &["no data"]),
        (json!([{"name": "host", "type": "custom", "query": "One : a:9100, c:1", "current": {}}]), "load{instance=\"$host\"}", "", &["On a:9100", ">1<"]),
    ] {
        let picture = ask(list.clone(), expr, more).await;
        assert!(words.iter().all(|w| picture.contains(w)), "{list} {expr}{more}: {picture}");
    }
}

/// Values that no axis and no circle holds end in a picture of every kind, in both formats.
#[tokio::test]
async fn every_kind_of_panel_survives_every_value() {
    const KINDS: [&str; 26] = [
        "timeseries",
        "graph",
        "stat",
        "singlestat",
        "gauge",
        "bargauge",
        "barchart",
        "piechart",
        "grafana-piechart-panel",
        "table",
        "table-old",
        "text",
        "heatmap",
        "histogram",
        "state-timeline",
        "status-history",
        "logs",
        "traces",
        "flamegraph",
        "alertlist",
        "dashlist",
        "nodeGraph",
        "canvas",
        "row",
        "",
        "panel<b>",
    ];
    const VALUES: [f64; 8] = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, f64::MIN, -5.0, 5e-324, 0.0];
    let faces = Faces::new();
    for (at, value) in VALUES.into_iter().enumerate() {
        faces.house.put(labels!("__name__" => "odd", "n" => &*at.to_string()), &[(600, value), (300, -value), (0, value)]);
    }
    let exprs = ["odd", "nobody", "odd{n=\"0\"}", "odd{n=\"3\"}", "odd{n=\"5\"}"];
    let mut panels = Vec::new();
    for (at, kind) in KINDS.iter().enumerate() {
        for (which, expr) in exprs.iter().enumerate() {
            let steps = json!([{"color": "green", "value": null}, {"color": "red", "value": -1e308}, {"color": "x", "value": 1e308}]);
            let defaults = json!({"min": 5, "max": if which % 2 == 0 { json!(-1e308) } else { json!(null) }, "decimals": 99, "thresholds": {"steps": steps}, "custom": {"stacking": {"mode": "normal"}, "thresholdsStyle": {"mode": "line"}}});
            panels.push(json!({"id": at * 10 + which + 1, "type": kind, "title": expr, "targets": [{"expr": expr}], "fieldConfig": {"defaults": defaults}}));
        }
    }
    let body = json!({"dashboard": {"uid": "o", "title": "O", "panels": panels}});
    assert_eq!(faces.post("/api/dashboards/db", "application/json", &body.to_string()).await.status, 200);
    for panel in panels.iter().filter(|p| p["type"] != "row") {
        let answer = faces.get(&format!("/render/d-solo/o?panelId={}&from=now-15m&width=200&height=100", panel["id"])).await;
        assert_eq!(answer.status, 200, "{panel}: {}", answer.text());
        let svg = answer.text();
        well_formed(&svg);
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{panel}: {svg}");
    }
    for which in 1..=exprs.len() {
        for at in [0, 2, 4, 5, 9, 12, 14, 15, 16] {
            let id = at * 10 + which;
            let answer = faces.get(&format!("/render/d-solo/o.png?panelId={id}&from=now-15m&width=200&height=100")).await;
            assert!(answer.status == 200 && answer.body.starts_with(b"\x89PNG"), "{id}: {}", answer.status);
        }
    }
    let whole = faces.get("/render/d/o.svg?from=now-15m").await;
    assert_eq!(whole.status, 200);
    well_formed(&whole.text());
}

/// Boards in the manner of others' come in, come out as they are kept, and are drawn, whole and panel by panel.
#[tokio::test]
async fn boards_of_others_are_taken_kept_and_drawn() {
    let faces = Faces::new();
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../ui/tests/boards/others");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 16, "{files:?}");
    for path in files {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let mut board: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        if let Some(inner) = board.get_mut("dashboard") {
            board = inner.take();
        }
        board["id"] = Value::Null;
        let inputs =
            json!([{"name": "DS_PROM", "type": "datasource", "value": "prometheus"}, {"name": "DS_PROMETHEUS", "type": "datasource", "value": "prometheus"}]);
        let body = json!({"dashboard": board, "inputs": inputs, "overwrite": true}).to_string();
        let imported = faces.post("/api/dashboards/import", "application/json", &body).await;
        assert_eq!(imported.status, 200, "{name}: {}", imported.text());
        let uid = imported.json()["uid"].as_str().unwrap().to_owned();
        let kept = faces.get(&format!("/api/dashboards/uid/{uid}")).await.json()["dashboard"].clone();
        assert!(!kept.to_string().contains("${DS_PROM"), "{name}: inputs are filled in");
        let again = faces.post("/api/dashboards/db", "application/json", &json!({"dashboard": kept}).to_string()).await;
        assert_eq!(again.status, 200, "{name}: {}", again.text());
        let mut back = faces.get(&format!("/api/dashboards/uid/{uid}")).await.json()["dashboard"].clone();
        back["version"] = kept["version"].clone();
        assert_eq!(back, kept, "{name}");
        let whole = faces.get(&format!("/render/d/{uid}?from=now-1h&to=now")).await;
        assert_eq!(whole.status, 200, "{name}: {}", whole.text());
        well_formed(&whole.text());
        let panels = super::panel::panels(kept.as_object().unwrap());
        assert!(panels.len() >= 3, "{name}");
        for panel in panels.iter().filter(|p| p.id > 0 && p.kind != "row") {
            let one = faces.get(&format!("/render/d-solo/{uid}?panelId={}&from=now-1h&to=now", panel.id)).await;
            assert_eq!(one.status, 200, "{name} {}: {}", panel.title, one.text());
            well_formed(&one.text());
            assert!(!one.text().contains("parse error"), "{name} {}: {}", panel.title, one.text());
        }
    }
}
