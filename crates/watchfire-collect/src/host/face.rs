//! The host collector as node_exporter answers: `/metrics`, with a choice of collectors. Nothing else of that program is here.

use watchfire_model::exporter::{Exporter, Question, Reply, Said};
use watchfire_model::live::ViewFuture;

use super::HostCollector;
use watchfire_net::blocking::spawn_blocking;

/// Collectors that are on by default there and have nothing to say here: a scrape job that chooses them gets what the others say.
const NOT_BUILT: [&str; 15] = [
    "bcache",
    "bonding",
    "btrfs",
    "fibrechannel",
    "infiniband",
    "ipvs",
    "nfs",
    "nfsd",
    "powersupplyclass",
    "rapl",
    "tapestats",
    "watchdog",
    "xfs",
    "zfs",
    "kernel_hung",
];

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
            let wanted = match chosen(&host, &question) {
                Ok(wanted) => wanted,
                Err(refusal) => return refusal,
            };
            // Files are read, which may block.
            match spawn_blocking(move || wanted.map_or_else(Vec::new, |wanted| host.families_of(&wanted))).await {
                Ok(families) => Reply::families(families),
                Err(_) => Reply::text(500, "BUG: collecting ended in a panic\n"),
            }
        })
    }
}

/// The collectors that a question chooses: all for an empty list, none where those it names are all not built here.
fn chosen(host: &HostCollector, question: &Question) -> Result<Option<Vec<String>>, Reply> {
    let (wanted, unwanted): (Vec<&str>, Vec<&str>) = (question.all("collect[]").collect(), question.all("exclude[]").collect());
    if !unwanted.is_empty() {
        if !wanted.is_empty() {
            return Err(Reply::text(400, "Combined collect and exclude queries are not allowed.\n"));
        }
        let left: Vec<String> = host.running().into_iter().filter(|name| !unwanted.contains(&name.as_str())).collect();
        return Ok((!left.is_empty()).then_some(left));
    }
    let mut chosen = Vec::new();
    for name in &wanted {
        match host.runs(name) {
            Some(true) => chosen.push((*name).to_owned()),
            Some(false) => return Err(refusal("disabled", name)),
            None if NOT_BUILT.contains(name) => {}
            None => return Err(refusal("missing", name)),
        }
    }
    Ok((wanted.is_empty() || !chosen.is_empty()).then_some(chosen))
}

fn refusal(what: &str, name: &str) -> Reply {
    Reply::text(400, format!("Couldn't create filtered metrics handler: couldn't create collector: {what} collector: {name}\n"))
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
        let ask = async |path: &str, names: &[&str]| {
            // Those that begin with a minus are to be left out.
            let param = |name: &&str| match name.strip_prefix('-') {
                Some(name) => ("exclude[]".to_owned(), name.to_owned()),
                None => ("collect[]".to_owned(), (*name).to_owned()),
            };
            let params = names.iter().map(param).collect();
            let reply = host.ask(Question { path: path.to_owned(), base: "/node", params, asker: Asker::Reader, patience: None }).await;
            match reply.said {
                Said::Families(families) => (reply.status, families.iter().map(|f| f.name.to_string()).collect::<Vec<_>>()),
                Said::Text(text) => (reply.status, vec![text]),
                _ => (reply.status, Vec::new()),
            }
        };
        let (status, all) = ask("/metrics", &[]).await;
        assert!(status == 200 && all.iter().any(|f| f == "node_load1") && all.iter().any(|f| f == "node_uname_info"), "{all:?}");
        assert!(!all.iter().any(|f| f.starts_with("disk_space_")), "names of a pack are no part of it");
        let (_, some) = ask("/metrics", &["loadavg"]).await;
        assert_eq!(some.iter().filter(|f| !f.starts_with("node_scrape_")).collect::<Vec<_>>(), ["node_load1", "node_load15", "node_load5"]);
        let (_, others) = ask("/metrics", &["-loadavg", "-nobody", "-surveillance"]).await;
        assert!(!others.iter().any(|f| f == "node_load1") && others.iter().any(|f| f == "node_uname_info"), "{others:?}");
        let (status, some) = ask("/metrics", &["loadavg", "xfs", "loadavg"]).await;
        assert_eq!((status, some.iter().filter(|f| *f == "node_load1").count()), (200, 1));
        assert_eq!(ask("/metrics", &["zfs"]).await, (200, Vec::new()), "chosen, and nothing to say");
        for (names, said) in [
            (["none", "loadavg"], "Couldn't create filtered metrics handler: couldn't create collector: missing collector: none\n"),
            (["loadavg", "processes"], "Couldn't create filtered metrics handler: couldn't create collector: disabled collector: processes\n"),
            (["surveillance", "loadavg"], "Couldn't create filtered metrics handler: couldn't create collector: missing collector: surveillance\n"),
            (["loadavg", "-cpu"], "Combined collect and exclude queries are not allowed.\n"),
        ] {
            assert_eq!(ask("/metrics", &names).await, (400, vec![said.to_owned()]), "{names:?}");
        }
        assert_eq!((ask("/metrics", &["none"]).await.0, ask("/", &[]).await.0, ask("/x", &[]).await.0), (400, 200, 404));
    }
}
