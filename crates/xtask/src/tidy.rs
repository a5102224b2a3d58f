//! The laws that no compiler knows: dependency directions, file headers, file lengths, names, manifests.
//! Every law here is one function that returns sentences; it never changes a file.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Files longer than this are on the list `crates/xtask/long-files.txt`, which may only shrink.
const FILE_LINES_MAX: usize = 600;
const SOURCE: [&str; 3] = ["rs", "ts", "svelte"];
const SKIPPED: [&str; 5] = ["target", "node_modules", "dist", ".git", "data"];

/// Runs every law over the repository.
pub(crate) fn check(root: &Path) -> Result<Vec<String>> {
    let mut files = Vec::new();
    collect(root, &mut files)?;
    files.sort();
    let mut problems = Vec::new();
    problems.extend(directions(root)?);
    problems.extend(headers(root, &files)?);
    problems.extend(lengths(root, &files)?);
    problems.extend(names(root, &files));
    problems.extend(words(root, &files)?);
    let mut sources = String::new();
    for path in files.iter().filter(|p| SOURCE.contains(&extension(p))) {
        sources.push_str(&read(path)?);
    }
    problems.extend(crate::coverage::check(root, &read(&root.join("docs/coverage.md"))?, &sources));
    let documents = files.iter().filter(|path| extension(path) == "md").map(|path| Ok((path.clone(), read(path)?))).collect::<Result<Vec<_>>>()?;
    problems.extend(crate::links::check(root, &documents));
    Ok(problems)
}

fn collect(folder: &Path, out: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let path = entry?.path();
        let name = path.file_name().and_then(|n| n.to_str()).unwrap_or("");
        if path.is_dir() {
            if !SKIPPED.contains(&name) {
                collect(&path, out)?;
            }
        } else {
            out.push(path);
        }
    }
    Ok(())
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

fn shown<'a>(root: &Path, path: &'a Path) -> std::path::Display<'a> {
    path.strip_prefix(root).unwrap_or(path).display()
}

fn extension(path: &Path) -> &str {
    path.extension().and_then(|e| e.to_str()).unwrap_or("")
}

/// The allowed edges, and the crates that must stay synchronous with the names they may not use.
struct Layers {
    allowed: BTreeMap<String, BTreeSet<String>>,
    synchronous: BTreeSet<String>,
    asynchronous: BTreeSet<String>,
}

fn layers(text: &str) -> Layers {
    let mut layers = Layers { allowed: BTreeMap::new(), synchronous: BTreeSet::new(), asynchronous: BTreeSet::new() };
    for line in text.lines().filter(|l| !l.starts_with('#')) {
        let Some((left, right)) = line.split_once(':') else { continue };
        let right = right.split_whitespace().map(str::to_owned).collect();
        match left.strip_prefix("!sync ") {
            Some(crates) => {
                layers.synchronous = crates.split_whitespace().map(str::to_owned).collect();
                layers.asynchronous = right;
            }
            None => {
                layers.allowed.insert(left.to_owned(), right);
            }
        }
    }
    layers
}

/// Reads `[section]` → dependency names with their whole lines out of a manifest.
fn dependencies<'a>(manifest: &'a str, section: &str) -> Vec<(&'a str, &'a str)> {
    let mut inside = false;
    let mut found = Vec::new();
    for line in manifest.lines() {
        if let Some(name) = line.strip_prefix('[') {
            inside = name.trim_end_matches(']') == section;
        } else if inside && let Some((key, _)) = line.split_once('=') {
            found.push((key.trim().trim_end_matches(".workspace"), line));
        }
    }
    found
}

fn directions(root: &Path) -> Result<Vec<String>> {
    let layers = layers(&read(&root.join("crates/layers.txt"))?);
    let mut problems = Vec::new();
    let mut seen = BTreeSet::new();
    for entry in fs::read_dir(root.join("crates"))? {
        let folder = entry?.path();
        if !folder.join("Cargo.toml").is_file() {
            continue;
        }
        let manifest = read(&folder.join("Cargo.toml"))?;
        let name = folder.file_name().and_then(|n| n.to_str()).unwrap_or("").to_owned();
        seen.insert(name.clone());
        if !manifest.contains(&format!("name = \"{name}\"")) {
            problems.push(format!("crates/{name}: folder and crate must have one name"));
        }
        if !manifest.contains("[lints]\nworkspace = true") {
            problems.push(format!("crates/{name}/Cargo.toml: the workspace's lints are not inherited"));
        }
        let Some(allowed) = layers.allowed.get(&name) else {
            problems.push(format!("crates/{name}: not in crates/layers.txt"));
            continue;
        };
        for (dependency, line) in dependencies(&manifest, "dependencies") {
            if !line.contains("workspace") {
                problems.push(format!("crates/{name}/Cargo.toml: {dependency} must come from the workspace's list"));
            }
            if dependency.starts_with("watchfire") && !allowed.contains(dependency) {
                problems.push(format!("crates/{name} may not depend on {dependency} (crates/layers.txt)"));
            }
            if layers.synchronous.contains(&name) && layers.asynchronous.contains(dependency) {
                problems.push(format!("crates/{name} is synchronous and may not use {dependency}"));
            }
        }
    }
    problems.extend(layers.allowed.keys().filter(|k| !seen.contains(*k)).map(|k| format!("crates/layers.txt names {k}, which does not exist")));
    Ok(problems)
}

fn headers(root: &Path, files: &[PathBuf]) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    for path in files.iter().filter(|p| SOURCE.contains(&extension(p))) {
        let text = read(path)?;
        let mut lines = text.lines().skip_while(|l| l.is_empty() || l.starts_with("#!"));
        let first = lines.next().unwrap_or("");
        let introduced = match extension(path) {
            "rs" => first.starts_with("//!"),
            _ => first.starts_with("//") || first.starts_with("/*") || first.starts_with("<!--"),
        };
        if !introduced {
            problems.push(format!("{}: does not say in its first line what it is and is not", shown(root, path)));
        }
    }
    Ok(problems)
}

fn lengths(root: &Path, files: &[PathBuf]) -> Result<Vec<String>> {
    let list = read(&root.join("crates/xtask/long-files.txt"))?;
    let mut allowed: BTreeMap<&str, usize> = BTreeMap::new();
    for line in list.lines().filter(|l| !l.starts_with('#') && !l.is_empty()) {
        if let Some((path, lines)) = line.rsplit_once(' ') {
            allowed.insert(path, lines.parse().unwrap_or(0));
        }
    }
    let mut problems = Vec::new();
    for path in files.iter().filter(|p| SOURCE.contains(&extension(p))) {
        let shown = shown(root, path).to_string();
        let is_test = shown.contains("/tests/") || shown.ends_with("tests.rs") || shown.contains(".test.");
        let text = read(path)?;
        let lines = match text.split_once("#[cfg(test)]\nmod tests {") {
            Some((code, _)) => code.lines().count(),
            None => text.lines().count(),
        };
        match allowed.remove(shown.as_str()) {
            Some(max) if lines > max => problems.push(format!("{shown}: {lines} lines; it is on the list of long files with {max}, which may only shrink")),
            Some(_) if lines <= FILE_LINES_MAX => problems.push(format!("{shown}: is short now; take it off crates/xtask/long-files.txt")),
            None if lines > FILE_LINES_MAX && !is_test => problems.push(format!("{shown}: {lines} lines, more than {FILE_LINES_MAX}; split it")),
            _ => {}
        }
    }
    problems.extend(allowed.keys().map(|p| format!("crates/xtask/long-files.txt names {p}, which does not exist")));
    Ok(problems)
}

fn names(root: &Path, files: &[PathBuf]) -> Vec<String> {
    const DRAWERS: [&str; 6] = ["util", "utils", "helper", "helpers", "common", "misc"];
    let mut problems = Vec::new();
    for path in files {
        let relative = path.strip_prefix(root).unwrap_or(path);
        let drawer = relative.iter().filter_map(|p| p.to_str()).any(|p| DRAWERS.contains(&p.split('.').next().unwrap_or("")));
        if drawer {
            problems.push(format!("{}: named after a drawer; name the thing", relative.display()));
        }
    }
    problems
}

/// Words that must not land: unfinished work, and paths of one particular machine.
fn words(root: &Path, files: &[PathBuf]) -> Result<Vec<String>> {
    let banned = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("/work", "/"), concat!("#[ig", "nore")];
    let mut problems = Vec::new();
    for path in files.iter().filter(|p| SOURCE.contains(&extension(p)) || matches!(extension(p), "md" | "yml" | "sh" | "toml")) {
        let text = read(path)?;
        for (i, line) in text.lines().enumerate() {
            if let Some(word) = banned.iter().find(|w| line.contains(**w)) {
                problems.push(format!("{}:{}: {word:?} must not land", shown(root, path), i + 1));
            }
        }
    }
    Ok(problems)
}
