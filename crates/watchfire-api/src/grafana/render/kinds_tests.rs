//! Pictures of panels that show more than numbers: states, buckets, lines of logs. Over the test house.

use serde_json::{Value, json};
use watchfire_model::labels;

use super::tests::{INK, faces, near, panel, pixels, well_formed};

/// Rectangles of a colour: x, y, width and height of each.
fn rects(svg: &str, fill: &str) -> Vec<[f64; 4]> {
    let number = |tag: &str, name: &str| tag.split_once(&format!(" {name}=\"")).unwrap().1.split('"').next().unwrap().parse().unwrap();
    let all = svg.split("<rect").skip(1).filter(|tag| tag.contains(&format!("fill=\"{fill}\"")));
    all.map(|tag| ["x", "y", "width", "height"].map(|name| number(tag, name))).collect()
}

/// States over time: equal neighbours are one, what is not there is a gap; cells are one for each step.
#[tokio::test]
async fn states_are_runs_and_cells() {
    let mappings = json!([{"type": "value", "options": {"1": {"text": "Up & <ok>", "color": "green"}, "0": {"text": "Down", "color": "red"}}}]);
    let of_states = |id, kind, expr| panel(id, kind, expr, json!({"fieldConfig": {"defaults": {"mappings": mappings}}}));
    let odd = "vector(NaN) or label_replace(vector(1e308), \"a\", \"b\", \"\", \"\")";
    let faces = faces(json!([
        of_states(1, "state-timeline", "state"),
        of_states(2, "status-history", "state"),
        of_states(3, "state-timeline", odd),
        of_states(4, "status-history", "nobody"),
        panel(5, "state-timeline", "camera_fps", json!({})),
        of_states(6, "state-timeline", "many"),
    ]))
    .await;
    let now = 1_800;
    // Half an hour up, with the last third of it down; nothing of the second series is there but one sample.
    let samples: Vec<(i64, f64)> = (0..=now / 60).map(|minute| (now - minute * 60, if minute < 20 { 1.0 } else { 0.0 })).collect();
    faces.house.put(labels!("__name__" => "state", "camera_id" => "front"), &samples);
    faces.house.put(labels!("__name__" => "state", "camera_id" => "back"), &[(1_200, 1.0)]);
    for n in 0..50 {
        faces.house.put(labels!("__name__" => "many", "n" => &*n.to_string()), &[(0, f64::from(n))]);
    }
    let picture = async |id: i64| {
        let text = faces.get(&format!("/render/d-solo/b/x?format=svg&panelId={id}&from=now-30m&to=now&width=600&height=200")).await.text();
        well_formed(&text);
        assert!(!text.contains("NaN") && !text.contains("inf"), "{id}: {text}");
        text
    };
    let timeline = picture(1).await;
    let (up, down) = (rects(&timeline, "#4f9d58"), rects(&timeline, "#d0433f"));
    assert_eq!((up.len(), down.len()), (2, 1), "{timeline}");
    let front = up.iter().find(|at| at[1] == down[0][1]).unwrap();
    assert!((front[2] / down[0][2] - 2.0).abs() < 0.05 && (front[0] + front[2] - down[0][0]).abs() < 0.2, "{timeline}");
    let back = up.iter().find(|at| at[1] != down[0][1]).unwrap();
    // A sample is found for five minutes, so a sixth of the range.
    assert!((back[2] / (front[2] + down[0][2]) - 1.0 / 6.0).abs() < 0.02, "{timeline}");
    for words in [">Up &amp; &lt;ok&gt;<", ">Down<", ">cam front<", ">cam back<"] {
        assert!(timeline.contains(words), "{words}: {timeline}");
    }
    let cells = picture(2).await;
    let (up, down) = (rects(&cells, "#4f9d58").len(), rects(&cells, "#d0433f").len());
    assert!((27..=36).contains(&up) && (11..=14).contains(&down), "{up} {down}: {cells}");
    assert!(picture(3).await.contains("<rect"));
    assert!(picture(4).await.contains("no data"));
    let own = picture(5).await;
    assert!(own.contains("#355b8f") && own.contains("#7fb477"), "each value has its own colour: {own}");
    assert!(picture(6).await.contains(" more</text>"));
}

/// Heatmaps: what lies between the bounds of a histogram, by number, with what is above all of them at the top; else a row for each series.
#[tokio::test]
async fn heatmaps_are_buckets_over_time() {
    let buckets =
        |id: i64, expr: &str, format: &str| json!({"id": id, "type": "heatmap", "targets": [{"expr": expr, "format": format, "legendFormat": "{{le}}"}]});
    let faces = faces(json!([
        buckets(1, "sum by (le) (d_bucket)", "heatmap"),
        buckets(2, "d_bucket", "heatmap"),
        buckets(3, "d_bucket{le=\"10\"}", "time_series"),
        buckets(4, "odd_bucket", "heatmap"),
        buckets(5, "nobody", "heatmap"),
        buckets(6, "fine_bucket", "heatmap"),
    ]))
    .await;
    let held: Vec<i64> = (0..=15).map(|minute| minute * 60).collect();
    for (host, times) in [("a", 1.0), ("b", 3.0)] {
        for (le, count) in [("10", 3.0), ("2", 1.0), ("+Inf", 13.0), ("0.5", 1.0)] {
            let samples: Vec<(i64, f64)> = held.iter().map(|ago| (*ago, count * times)).collect();
            faces.house.put(labels!("__name__" => "d_bucket", "le" => le, "host" => host), &samples);
        }
    }
    for (le, count) in [("x", 1.0), ("NaN", 2.0), ("1", f64::INFINITY), ("2", f64::MAX), ("3", f64::NAN), ("-1", -4.0), ("1e300", 3.0)] {
        faces.house.put(labels!("__name__" => "odd_bucket", "le" => le), &[(300, count), (0, count)]);
    }
    for at in 0..180 {
        let samples: Vec<(i64, f64)> = held.iter().map(|ago| (*ago, f64::from(at * at) + (ago % 7) as f64)).collect();
        faces.house.put(labels!("__name__" => "fine_bucket", "le" => &*at.to_string()), &samples);
    }
    let picture = async |id: i64| {
        let text = faces.get(&format!("/render/d-solo/b/x?format=svg&panelId={id}&from=now-15m&to=now&width=600&height=200")).await.text();
        well_formed(&text);
        assert!(!text.contains("=\"NaN") && !text.contains("=\"inf"), "{id}: {text}");
        text
    };
    let whole = picture(1).await;
    assert_eq!(whole, picture(2).await, "series of one bound are one bucket");
    // Of 1, 0, 2 and 10 the second is not drawn. The range is one rectangle in each row.
    let shades: Vec<&str> = whole.split("fill=\"#e07b28\" fill-opacity=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert_eq!(shades, ["0.1", "0.2", "1"], "{whole}");
    let tops: Vec<f64> = rects(&whole, "#e07b28").iter().map(|at| at[1]).collect();
    assert!(tops[0] > tops[1] && tops[1] > tops[2] && (tops[0] - tops[1] - 2.0 * (tops[1] - tops[2])).abs() < 0.3, "{tops:?}");
    let names: Vec<usize> = [">0.5<", ">2<", ">10<", ">+Inf<"].iter().map(|name| whole.find(name).unwrap()).collect();
    assert!(names.is_sorted(), "{whole}");
    let series = picture(3).await;
    assert_eq!(rects(&series, "#e07b28").len(), 2, "{series}");
    assert!(picture(4).await.contains("#e07b28"));
    assert!(picture(5).await.contains("no data"));
    let fine = rects(&picture(6).await, "#e07b28");
    assert!((20..=60 * 100).contains(&fine.len()) && fine.iter().all(|at| at[3] >= 2.9), "{}", fine.len());
}

/// Panels of logs: the newest lines first, as many as there is room for, each cut at the side.
#[tokio::test]
async fn the_newest_lines_are_rows() {
    let logs = |id: i64, expr: &str| panel(id, "logs", expr, json!({"datasource": {"type": "loki", "uid": "loki"}}));
    let both = json!({"targets": [{"expr": "{app=\"a\"}"}, {"expr": "{app=\"b\"}"}]});
    let faces = faces(json!([
        logs(1, "{app=\"a\"}"),
        panel(2, "logs", "", both),
        logs(3, "{app=\"nobody\"}"),
        logs(4, "rate({app=\"a\"}[5m])"),
        logs(5, "camera_fps ++"),
        panel(6, "timeseries", "{app=\"a\"}", json!({"datasource": "loki"})),
    ]))
    .await;
    let ns = |ago: i64| ((crate::testing::NOW.millis() - ago * 1_000) * 1_000_000).to_string();
    let many: Vec<Value> = (0..300).rev().map(|ago| json!([ns(ago), format!("line {ago} <b>&\"\u{1b}[0m")])).collect();
    let long = "wide \u{1f600}".repeat(20_000);
    let streams = json!({"streams": [{"stream": {"app": "a"}, "values": many}, {"stream": {"app": "b"}, "values": [[ns(1), long], [ns(500), ""]]}]});
    assert!(faces.post("/loki/api/v1/push", "application/json", &streams.to_string()).await.status.is_success());
    let picture = async |id: i64, more: &str| {
        let text = faces.get(&format!("/render/d-solo/b/x?format=svg&panelId={id}&from=now-1h&to=now&width=400&height=200{more}")).await.text();
        well_formed(&text);
        text
    };
    let lines = picture(1, "&tz=Europe/Berlin").await;
    // Below the title and above the lower side there is room for ten rows of 16.
    assert_eq!(lines.matches(">line ").count(), 10, "{lines}");
    assert!(lines.contains(">line 0 &lt;b&gt;&amp;&quot; [0m<") && lines.contains(">11:15:00<") && lines.contains(">11:14:51<"), "{lines}");
    assert!(lines.find(">line 0 ").unwrap() < lines.find(">line 9 ").unwrap() && !lines.contains(">line 10 "), "{lines}");
    let both = picture(2, "").await;
    assert_eq!((both.matches(">line ").count(), both.matches(">wide ").count()), (9, 1), "{both}");
    assert!(both.len() < 5_000 && both.contains('…'), "{}", both.len());
    assert!(picture(2, "&from=now-3d").await.contains(">12-30 10:15:00<"));
    for (id, words) in [(3, "no data"), (4, "gives numbers"), (6, "panels of type logs only")] {
        let text = picture(id, "").await;
        assert!(text.contains(words), "{id}: {text}");
    }
    let failed = picture(5, "").await;
    assert!(!failed.contains(">line ") && failed.matches("<text").count() == 2, "{failed}");
    let painted = pixels(&faces, "/render/d-solo/b/x?panelId=1&from=now-1h&to=now&width=400&height=200").await;
    assert!(painted.count_in([70, 30, 200, 45], near(INK)) > 20 && painted.count_in([0, 192, 400, 200], near(INK)) == 0);
}
