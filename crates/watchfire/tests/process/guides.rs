//! What the documents tell people to type and to write works: each block of YAML loads, each command has the flags that it is given, each address is
//! served. What a command answers is tested where its feature is.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::server::{BINARY, Server, request, run};

/// A block of a document: where it begins, its language, its text without the indentation around it.
struct Block {
    place: String,
    language: String,
    text: String,
}

fn documents() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut paths: Vec<PathBuf> = ["README.md", "deploy/README.md"].iter().map(|name| root.join(name)).collect();
    for folder in ["docs/guides", "docs/reference"] {
        paths.extend(std::fs::read_dir(root.join(folder)).unwrap().map(|entry| entry.unwrap().path()));
    }
    paths.extend(std::fs::read_dir(root.join("packs")).unwrap().map(|entry| entry.unwrap().path().join("README.md")));
    paths.retain(|path| path.extension().is_some_and(|e| e == "md") && path.exists());
    paths.sort();
    let name = |path: &Path| path.strip_prefix(&root).unwrap().display().to_string();
    paths.iter().map(|path| (name(path), std::fs::read_to_string(path).unwrap())).collect()
}

/// Fenced blocks, and those that four blanks make outside of lists.
fn blocks(name: &str, text: &str) -> Vec<Block> {
    let mut out: Vec<Block> = Vec::new();
    let mut fence: Option<usize> = None;
    let mut indented = false;
    let mut list = false;
    for (i, line) in text.lines().enumerate() {
        let indent = line.len() - line.trim_start().len();
        let new = |language: &str| Block { place: format!("{name}:{}", i + 1), language: language.to_owned(), text: String::new() };
        match fence {
            Some(_) if line.trim() == "```" => fence = None,
            Some(around) => {
                let text = &mut out.last_mut().unwrap().text;
                text.push_str(line.get(around.min(indent)..).unwrap_or(""));
                text.push('\n');
            }
            None if line.trim_start().starts_with("```") => {
                fence = Some(indent);
                out.push(new(line.trim_start().trim_start_matches('`')));
            }
            None if line.starts_with("    ") && !line.trim().is_empty() && !list => {
                if !indented {
                    out.push(new(""));
                }
                let text = &mut out.last_mut().unwrap().text;
                text.push_str(line.strip_prefix("    ").unwrap_or(line));
                text.push('\n');
                indented = true;
                continue;
            }
            None if line.trim().is_empty() => continue,
            None => list = line.starts_with(['-', '*', '1', '2', '3', '4', '5', '6', '7', '8', '9']) || (list && line.starts_with(' ')),
        }
        indented = false;
    }
    out
}

#[test]
fn every_block_of_yaml_loads() {
    let dir = tempfile::tempdir().unwrap();
    let mut problems = Vec::new();
    let mut loaded = 0;
    for (name, text) in documents() {
        let mut before = String::new();
        for (n, block) in blocks(&name, &text).into_iter().filter(|b| b.language == "yaml").enumerate() {
            let folder = dir.path().join(name.replace('/', "-")).join(n.to_string());
            std::fs::create_dir_all(&folder).unwrap();
            let Some((file, text)) = whole(&block.text, &before) else { continue };
            std::fs::write(folder.join("rules.yml"), &before).unwrap();
            std::fs::write(folder.join(file), text).unwrap();
            let arguments = if file == "watchfire.yml" { vec!["check", "--config", file] } else { vec!["check", file] };
            let output =
                Command::new(BINARY).args(arguments).current_dir(&folder).env("DATABASE_URL", "postgresql://db/x").stdin(Stdio::null()).output().unwrap();
            let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
            // Files of the reader's are not here.
            let absent = |line: &str| line.contains("No such file or directory") || line.contains("there is nothing at this path");
            let told = |line: &&str| line.contains("error: ") || line.contains("warning: ");
            problems.extend(said.lines().filter(told).filter(|line| !absent(line)).map(|line| format!("{}: {line}", block.place)));
            before = block.text;
            loaded += 1;
        }
    }
    assert!(problems.is_empty(), "{problems:#?}");
    assert!(loaded > 30, "only {loaded} blocks were found");
}

/// The file that a block is, or is a part of, and its whole text. Nothing for files of others.
fn whole(text: &str, before: &str) -> Option<(&'static str, String)> {
    let keys: Vec<&str> = text.lines().filter(|l| !l.starts_with([' ', '#', '-'])).filter_map(|l| l.split_once(':').map(|(key, _)| key)).collect();
    let has = |wanted: &[&str]| wanted.iter().any(|key| keys.contains(key));
    Some(match () {
        () if has(&["command"]) => return None,
        // A catalog: the reference's own test reads those.
        () if has(&["families"]) => return None,
        () if has(&["tests"]) => ("rules_test.yml", text.to_owned()),
        () if has(&["groups"]) => ("rules.yml", text.to_owned()),
        () if has(&["scrape_configs", "global", "remote_write", "remote_read", "alerting"]) => ("prometheus.yml", text.to_owned()),
        () if has(&["auth_modules"]) => ("postgres_exporter.yml", text.to_owned()),
        () if text.contains("\n  query: ") => ("queries.yaml", text.to_owned()),
        () if has(&["inhibit_rules"]) => {
            ("alertmanager.yml", format!("route: {{receiver: a}}\nreceivers: [{{name: a, webhook_configs: [{{url: 'http://h/'}}]}}]\n{text}"))
        }
        () if keys.iter().any(|key| key.ends_with("_configs")) => {
            let inside = text.lines().map(|line| format!("  {line}\n")).collect::<String>();
            ("alertmanager.yml", format!("route: {{receiver: a}}\nreceivers:\n- name: a\n{inside}"))
        }
        // What goes on in the list of the block before.
        () if text.starts_with("    ") => ("watchfire.yml", format!("{before}{text}")),
        () => ("watchfire.yml", text.to_owned()),
    })
}

/// Words as a shell takes them, up to a pipe or a comment.
fn words(line: &str) -> Vec<String> {
    // What another command would say is some text.
    let line = match line.split_once("$(").and_then(|(before, rest)| Some((before, rest.split_once(')')?.1))) {
        Some((before, behind)) => format!("{before}x{behind}"),
        None => line.to_owned(),
    };
    let (mut out, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for c in line.chars() {
        match (c, quote) {
            ('#', None) if word.is_none() => break,
            ('|' | '>' | ';' | '&' | ')', None) => break,
            ('\'' | '"', None) => (quote, word) = (Some(c), Some(word.unwrap_or_default())),
            (c, Some(q)) if c == q => quote = None,
            (c, None) if c.is_whitespace() => out.extend(word.take()),
            ('[' | ']', None) => {}
            (c, _) => word.get_or_insert_with(String::new).push(c),
        }
    }
    out.extend(word);
    out
}

/// Commands of ours in a document: lines of blocks, and code within sentences.
fn commands(name: &str, text: &str) -> Vec<(String, Vec<String>)> {
    let mut out = Vec::new();
    for block in blocks(name, text) {
        for line in block.text.lines() {
            let line = line.trim_start_matches("$ ").trim_start_matches("sudo ").trim_start_matches("ExecStart=");
            if line.starts_with("watchfire ") {
                out.push((block.place.clone(), words(line)));
            }
        }
    }
    for (i, line) in text.lines().enumerate() {
        let spans = line.split('`').skip(1).step_by(2).filter(|span| span.starts_with("watchfire "));
        out.extend(spans.map(|span| (format!("{name}:{}", i + 1), words(span))));
    }
    out
}

#[test]
fn every_command_has_the_flags_that_it_is_given() {
    let dir = tempfile::tempdir().unwrap();
    let mut problems = Vec::new();
    let mut all: Vec<(String, Vec<String>)> = documents().iter().flat_map(|(name, text)| commands(name, text)).collect();
    all.sort_by(|a, b| a.1.cmp(&b.1));
    all.dedup_by(|a, b| a.1 == b.1);
    assert!(all.len() > 40, "only {} commands were found", all.len());
    for (place, words) in all {
        // Behind everything else: what comes before has to be understood, and nothing is done.
        let arguments: Vec<&str> = words[1..].iter().map(String::as_str).filter(|w| *w != "…" && *w != "...").chain(["--help"]).collect();
        let output = run(&arguments, dir.path());
        if !output.status.success() {
            problems.push(format!("{place}: {words:?}: {}", String::from_utf8_lossy(&output.stderr).lines().next().unwrap_or_default()));
        }
    }
    assert!(problems.is_empty(), "{problems:#?}");
}

/// An alert that the documents promise is raised by a rule of a pack, or by ourselves.
#[test]
fn every_alert_that_is_named_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut raised = std::fs::read_to_string(root.join("crates/watchfire-alert/src/own.rs")).unwrap();
    for pack in std::fs::read_dir(root.join("packs")).unwrap() {
        for file in std::fs::read_dir(pack.unwrap().path().join("rules")).into_iter().flatten() {
            raised.push_str(&std::fs::read_to_string(file.unwrap().path()).unwrap());
        }
    }
    let mut named = 0;
    let mut problems = Vec::new();
    for (document, text) in documents() {
        let names = text.split('`').skip(1).step_by(2).filter(|span| {
            let rest = ["Watchfire", "Host", "DiskN"].iter().find_map(|begin| span.strip_prefix(begin));
            rest.is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_alphabetic()))
        });
        for name in names {
            named += 1;
            if !raised.contains(&format!("alert: {name}\n")) && !raised.contains(&format!("\"{name}\"")) {
                problems.push(format!("{document}: {name}"));
            }
        }
    }
    assert!(problems.is_empty(), "{problems:#?}");
    assert!(named > 5, "only {named} alerts were found");
}

#[test]
fn every_address_of_ours_is_served() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"), &[], &[]);
    let mut problems = Vec::new();
    let mut asked = 0;
    for (name, text) in documents() {
        let base = text.lines().find_map(|line| line.strip_prefix("U=http://127.0.0.1:8000")).unwrap_or_default();
        // A command may go on in the next line.
        let text = text.replace("\\\n", " ");
        for line in text.lines().filter(|line| !line.starts_with("U=")) {
            let line = line.replace("$U", &format!("localhost:8000{base}"));
            let method = ["POST", "DELETE", "PUT"].into_iter().find(|m| line.contains(&format!("-X {m}")) || line.contains(&format!("-X   {m}")));
            let sends = line.contains("curl") && (line.contains(" -d ") || line.contains("--data"));
            let method = method.unwrap_or(if sends { "POST" } else { "GET" });
            for path in addresses(&line) {
                let answer = request(server.address, method, &path, &[], b"").unwrap();
                asked += 1;
                // Only a command says how it asks.
                if answer.status == 405 && line.contains("curl ")
                    || answer.status >= 500 && answer.status != 503
                    || answer.text().contains("nothing is served at")
                {
                    problems.push(format!("{name}: {method} {path}: {} {}", answer.status, answer.text()));
                }
            }
        }
    }
    assert!(problems.is_empty(), "{problems:#?}");
    assert!(asked > 50, "only {asked} addresses were found");
}

/// Paths of addresses at our usual port.
fn addresses(line: &str) -> Vec<String> {
    let mut out = Vec::new();
    for host in ["localhost:8000/", "127.0.0.1:8000/"] {
        let mut before = "";
        for part in line.split(host) {
            let ends = |c: char| c.is_whitespace() || matches!(c, '\'' | '"' | '`' | '|' | ')' | ',' | '<' | '\\' | ']' | '…');
            let path = part.split(ends).next().unwrap_or_default().trim_end_matches(['.', ':', ';']);
            // The first part has no address before it, what is asked of a probe is in another's, and the gateway has no upstream here.
            if before.ends_with("//") && !before.ends_with("target=http://") && !path.starts_with("llm/") || before.ends_with(' ') {
                out.push(format!("/{path}"));
            }
            before = part;
        }
    }
    out
}
