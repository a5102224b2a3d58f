//! The host collector as node_exporter answers: `/metrics`, with a choice of collectors. Nothing else of that program is here.

use watchfire_model::exporter::{Exporter, Question, Reply, Said};
use watchfire_model::live::ViewFuture;

use super::HostCollector;

const PAGE: &str = "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>This machine</title></head><body><h1>This machine</h1>";

impl Exporter for HostCollector {
    fn ask(&self, question: Question) -> ViewFuture<'_, Reply> {
        let host = self.clone();
        Box::pin(async move {
            match question.path.as_str() {
                "/metrics" => {}
                "/" => {
                    return Reply { status: 200, said: Said::Html(format!("{PAGE}<p><a href=\"{}/metrics\">Metrics</a></p></body></html>\n", question.base)) };
                }
                _ => return Reply::text(404, "there is no such page\n"),
            }
            let wanted: Vec<String> = question.all("collect[]").map(str::to_owned).collect();
            if let Some(unknown) = wanted.iter().find(|name| !HostCollector::known().any(|(known, _)| known == name.as_str())) {
                return Reply::text(400, format!("there is no collector {unknown:?}\n"));
            }
            // Files are read, which may block.
            match tokio::task::spawn_blocking(move || host.families_of(&wanted)).await {
                Ok(families) => Reply::families(families),
                Err(_) => Reply::text(500, "BUG: collecting ended in a panic\n"),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use watchfire_model::exporter::Asker;
    use watchfire_model::meter::Meter;
    use watchfire_model::time::SystemClock;

    use super::super::Settings;
    use super::*;

    #[tokio::test]
    async fn all_collectors_or_those_that_are_asked_for() {
        let host = HostCollector::new(Settings::new("here"), SystemClock::shared(), &Meter::new()).unwrap();
        let ask = async |path: &str, collect: &[&str]| {
            let params = collect.iter().map(|name| ("collect[]".to_owned(), (*name).to_owned())).collect();
            let reply = host.ask(Question { path: path.to_owned(), base: "/node", params, asker: Asker::Reader, patience: None }).await;
            match reply.said {
                Said::Families(families) => (reply.status, families.iter().map(|f| f.name.to_string()).collect::<Vec<_>>()),
                _ => (reply.status, Vec::new()),
            }
        };
        let (status, all) = ask("/metrics", &[]).await;
        assert!(status == 200 && all.iter().any(|f| f == "node_load1") && all.iter().any(|f| f == "node_uname_info"), "{all:?}");
        assert!(!all.iter().any(|f| f.starts_with("disk_space_")), "names of a pack are no part of it");
        let (_, some) = ask("/metrics", &["loadavg"]).await;
        assert_eq!(some.iter().filter(|f| !f.starts_with("node_scrape_")).collect::<Vec<_>>(), ["node_load1", "node_load15", "node_load5"]);
        assert_eq!((ask("/metrics", &["none"]).await.0, ask("/", &[]).await.0, ask("/x", &[]).await.0), (400, 200, 404));
    }
}
