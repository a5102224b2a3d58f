//! The small page at the root of the face: modules and the newest probes. It has no script, and everything foreign in it is escaped.

use super::{Modules, Past};

pub(super) fn of<'a>(base: &str, modules: &Modules, past: impl Iterator<Item = &'a Past>) -> String {
    let mut page =
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Blackbox probes</title></head><body><h1>Blackbox probes</h1>".to_owned();
    page.push_str(&format!("<p><a href=\"{base}/metrics\">Metrics</a> <a href=\"{base}/config\">Configuration</a></p><h2>Modules</h2><ul>"));
    for (name, module) in &modules.list {
        page.push_str(&format!("<li>{} ({})</li>", escaped(name), module.kind.word()));
    }
    page.push_str("</ul><h2>Newest probes</h2><table><tr><th>When</th><th>Module</th><th>Target</th><th>Result</th><th>Took</th><th></th></tr>");
    for one in past {
        let result = if one.good { "success" } else { "failure" };
        page.push_str(&format!(
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{result}</td><td>{:.3} s</td><td><a href=\"{base}/logs?id={}\">log</a></td></tr>",
            one.at.rfc3339_millis(),
            escaped(&one.module),
            escaped(&one.target),
            one.took.as_secs_f64(),
            one.id,
        ));
    }
    page.push_str("</table></body></html>\n");
    page
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}
