//! What is collected, as the page, the readiness and the counters that a collector of log lines has on a port of its own. It reads no log
//! line: sources are those of the configuration, positions those that are kept.

use serde_json::{Value, json};
use watchfire_model::exporter::{Exporter, Question, Reply, Said};
use watchfire_model::live::ViewFuture;
use watchfire_net::blocking::spawn_blocking;

use super::collector::Collected;
use super::files::{self, Kept};
use super::{Collector, containers, journal, pushed, syslog};

/// A source of the configuration, for whoever asks what is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listed {
    kind: &'static str,
    name: String,
    /// Patterns of files, a socket, an address.
    reads: Vec<String>,
}

/// The sources of a configuration.
pub(super) fn listed(collected: &Collected) -> Vec<Listed> {
    let of_files = |source: &files::Source| {
        let patterns = source.groups.iter().flat_map(|g| &g.paths).map(|glob| glob.text().to_owned());
        Listed { kind: files::KIND, name: source.name.clone(), reads: patterns.collect() }
    };
    let of_journal = |source: &journal::Source| {
        let place = source.directory.as_ref().map_or_else(|| "the usual journal".to_owned(), |dir| dir.display().to_string());
        Listed { kind: journal::KIND, name: source.name.clone(), reads: std::iter::once(place).chain(source.matches.iter().cloned()).collect() }
    };
    let of_containers =
        |source: &containers::Source| Listed { kind: containers::KIND, name: source.name.clone(), reads: vec![format!("unix://{}", source.socket.display())] };
    let of_syslog = |source: &syslog::Source| {
        let protocol = if source.datagrams { "udp" } else { "tcp" };
        Listed { kind: syslog::KIND, name: source.name.clone(), reads: vec![format!("{protocol}://{}", source.address)] }
    };
    let of_pushed = |source: &pushed::Source| Listed { kind: pushed::KIND, name: source.name.clone(), reads: vec![format!("http://{}", source.address)] };
    let mut all: Vec<Listed> = collected.files.iter().map(of_files).collect();
    all.extend(collected.journals.iter().map(of_journal));
    all.extend(collected.containers.iter().map(of_containers));
    all.extend(collected.syslog.iter().map(of_syslog));
    all.extend(collected.pushed.iter().map(of_pushed));
    all
}

/// Why a source reads nothing, where that can be seen without reading.
fn problem(source: &Listed) -> Option<String> {
    match source.kind {
        containers::KIND => containers::socket_problem(std::path::Path::new(source.reads.first()?.strip_prefix("unix://")?)),
        _ => None,
    }
}

fn as_json(sources: &[Listed], kept: &[Kept]) -> Value {
    let files = |source: &Listed| -> Vec<Value> {
        let own = kept.iter().filter(|k| source.kind == files::KIND && k.source == source.name);
        own.map(|k| json!({"path": k.path, "read_bytes": k.offset, "size_bytes": k.size, "read_whole": k.whole})).collect()
    };
    let one = |s: &Listed| json!({"kind": s.kind, "name": s.name, "reads": s.reads, "problem": problem(s), "files": files(s)});
    json!({"sources": sources.iter().map(one).collect::<Vec<_>>()})
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}

/// The page: sources and how far their files are read. It has no script, and everything foreign in it is escaped.
fn page(base: &str, sources: &[Listed], kept: &[Kept]) -> String {
    let mut page = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Log collector</title></head><body><h1>Log collector</h1>\
         <p><a href=\"{base}/metrics\">Metrics</a> <a href=\"{base}/targets\">The same as JSON</a></p>"
    );
    if sources.is_empty() {
        page.push_str("<p>Nothing is collected: no promtail.yml, filebeat.yml or config.alloy is configured.</p>");
    }
    for source in sources {
        let reads: Vec<String> = source.reads.iter().map(|r| escaped(r)).collect();
        page.push_str(&format!("<h2>{} ({})</h2><p>{}</p>", escaped(&source.name), source.kind, reads.join(", ")));
        if let Some(problem) = problem(source) {
            page.push_str(&format!("<p>Not read: {}</p>", escaped(&problem)));
        }
        let own: Vec<&Kept> = kept.iter().filter(|k| source.kind == files::KIND && k.source == source.name).collect();
        if source.kind == files::KIND && own.is_empty() {
            page.push_str("<p>No file matched yet.</p>");
        }
        if !own.is_empty() {
            page.push_str("<table><tr><th>File</th><th>Read</th><th>Of</th></tr>");
            for file in own {
                let size = file.size.map_or("gone".to_owned(), |bytes| format!("{bytes} bytes"));
                let read = if file.whole { "all".to_owned() } else { format!("{} bytes", file.offset) };
                page.push_str(&format!("<tr><td>{}</td><td>{read}</td><td>{size}</td></tr>", escaped(&file.path)));
            }
            page.push_str("</table>");
        }
    }
    page.push_str("</body></html>\n");
    page
}

impl Exporter for Collector {
    fn ask(&self, question: Question) -> ViewFuture<'_, Reply> {
        let (sources, parts) = (self.sources(), self.surroundings().clone());
        Box::pin(async move {
            let kept = |sources: &[Listed]| {
                let names: Vec<String> = sources.iter().filter(|s| s.kind == files::KIND).map(|s| s.name.clone()).collect();
                let state = parts.state.clone();
                // Positions are read from the disk, and files are looked at.
                spawn_blocking(move || files::kept(&*state, &names))
            };
            match question.path.as_str() {
                "/ready" | "/-/ready" => Reply::text(200, "ready\n"),
                "/metrics" => Reply::families(parts.figures.families()),
                "/targets" => match kept(&sources).await {
                    Ok(kept) => Reply { status: 200, said: Said::Json(as_json(&sources, &kept).to_string()) },
                    Err(_) => Reply::text(500, "BUG: reading positions ended in a panic\n"),
                },
                "/" => match kept(&sources).await {
                    Ok(kept) => Reply { status: 200, said: Said::Html(page(question.base, &sources, &kept)) },
                    Err(_) => Reply::text(500, "BUG: reading positions ended in a panic\n"),
                },
                _ => Reply::text(404, "there is no such page\n"),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_foreign_is_markup_and_nothing_is_hidden() {
        let file = Listed { kind: files::KIND, name: "a<b>".to_owned(), reads: vec!["/var/log/*.log".to_owned()] };
        let gone = Listed { kind: containers::KIND, name: "c".to_owned(), reads: vec!["unix:///nowhere/engine.sock".to_owned()] };
        let kept = [Kept { source: "a<b>".to_owned(), path: "/var/log/<x>.log".to_owned(), offset: 10, size: Some(12), whole: false }];
        let shown = page("/collect", &[file.clone(), gone.clone()], &kept);
        assert!(shown.contains("a&lt;b&gt;") && shown.contains("/var/log/&lt;x&gt;.log") && !shown.contains("<x>"), "{shown}");
        assert!(shown.contains("Not read: cannot connect") && shown.contains("<td>10 bytes</td><td>12 bytes</td>"), "{shown}");
        let told = as_json(&[file, gone], &kept);
        assert_eq!(told["sources"][0]["files"], json!([{"path": "/var/log/<x>.log", "read_bytes": 10, "size_bytes": 12, "read_whole": false}]));
        assert!(told["sources"][1]["problem"].as_str().unwrap().contains("/nowhere/engine.sock"));
        assert!(page("", &[], &[]).contains("Nothing is collected"));
    }
}
