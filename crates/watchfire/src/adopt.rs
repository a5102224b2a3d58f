//! `watchfire adopt`: prints which containers of a Compose file can go and writes the edited file where it is told to, never over another.
//! What goes and what becomes of it is decided in the doctor.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use watchfire_doctor::adopt::{Adoption, Carried, Container, Memory, Outcome, Sign, read};

use crate::command_line::AdoptFlags;

/// The name of the new file where nobody says another: `docker-compose.yml` becomes `docker-compose.watchfire.yml`.
fn usual_target(file: &Path) -> PathBuf {
    file.with_extension("watchfire.yml")
}

/// Runs the command. Nothing to say of is 0, something not honoured or not understood 1, a file that is none 2.
pub(crate) fn run(flags: &AdoptFlags) -> ExitCode {
    match adopt(flags) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("watchfire: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn adopt(flags: &AdoptFlags) -> Result<u8> {
    let name = flags.file.display().to_string();
    let text = std::fs::read_to_string(&flags.file).with_context(|| format!("cannot read {name}"))?;
    let report = match read(&name, &text) {
        Ok(report) => report,
        Err(finding) => {
            println!("{finding}");
            return Ok(2);
        }
    };
    match flags.json {
        true => println!("{:#}", as_json(&report)),
        false => print!("{}", as_text(&report)),
    }
    if let Some(wanted) = &flags.write {
        let target = wanted.clone().unwrap_or_else(|| usual_target(&flags.file));
        let edited = report.edited.as_deref().with_context(|| format!("cannot write {}: there is no edit to offer", target.display()))?;
        // A file that is there already stays as it is, whatever it holds.
        let mut file = std::fs::File::create_new(&target).with_context(|| format!("cannot write {}", target.display()))?;
        file.write_all(edited.as_bytes()).with_context(|| format!("cannot write {}", target.display()))?;
        eprintln!("watchfire: wrote {}; {name} is as it was", target.display());
        if target.parent() != flags.file.parent() {
            eprintln!("watchfire: paths in it begin where {name} lies: start it with --project-directory, or move it there");
        }
    }
    Ok(u8::from(!report.findings.is_empty()))
}

fn megabytes(bytes: u64) -> String {
    match bytes >> 20 {
        mb if mb >= 1024 && mb % 1024 == 0 => format!("{} GB", mb / 1024),
        mb => format!("{mb} MB"),
    }
}

fn as_text(report: &Adoption) -> String {
    let mut out = String::new();
    let going: Vec<&Container> = report.containers.iter().filter(|c| c.replaced.is_some()).collect();
    let _written = writeln!(out, "{} of {} containers can go", going.len(), report.containers.len());
    for container in &report.containers {
        one(&mut out, container);
    }
    let sum = |limits: bool| going.iter().filter_map(|c| c.memory).filter(|m| matches!(m, Memory::Limit(_)) == limits).map(Memory::bytes).sum::<u64>();
    let (limits, quoted) = (sum(true), sum(false));
    if limits > 0 {
        let _written = writeln!(out, "\nfree by limits of the file: {}", megabytes(limits));
    }
    if quoted > 0 {
        let _written = writeln!(out, "\nfree by quoted figures, not measured here: {}", megabytes(quoted));
    }
    if !report.findings.is_empty() {
        out.push('\n');
        for finding in &report.findings {
            let _written = writeln!(out, "{finding}");
        }
    }
    if let Some(diff) = &report.diff {
        let _written = write!(out, "\nthe smallest edit (--write makes a new file of it):\n\n{diff}");
    }
    out
}

fn one(out: &mut String, container: &Container) {
    let Container { service, image, replaced, note, ports, names, files, settings, memory, .. } = container;
    let image = if image.is_empty() { "no image" } else { image };
    let Some((program, sign)) = replaced else {
        let _written = writeln!(out, "\n{service} ({image}) stays: {note}");
        return;
    };
    let sign = if *sign == Sign::Command { ", by its command line" } else { "" };
    let _written = writeln!(out, "\n{service} ({image}) goes: {program}{sign}");
    let mut line = |what: &str, text: String| out.push_str(&format!("  {what:<9} {text}\n"));
    if !note.is_empty() {
        line("note", note.clone());
    }
    if !names.is_empty() {
        line("names", names.join(", "));
    }
    for (port, ours) in ports {
        line("port", format!("{port} → {}", ours.map_or("nothing".to_owned(), |p| p.to_string())));
    }
    for (file, seen) in files {
        line("file", format!("{file} → {}", seen.as_deref().unwrap_or("not taken over: data of its own")));
    }
    for Carried { written, outcome } in settings {
        line("setting", format!("{written} → {}", of_setting(outcome)));
    }
    match memory {
        Some(Memory::Limit(bytes)) => line("memory", format!("{} (its limit)", megabytes(*bytes))),
        Some(Memory::Quoted(bytes, of)) => line("memory", format!("{} (quoted for {of}, not measured here)", megabytes(*bytes))),
        None => line("memory", "unknown: the file has no limit for it".to_owned()),
    }
}

fn of_setting(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Key(key, value) => format!("{key}: {value}"),
        Outcome::Variable(sets) => format!("the same variable, which sets {sets}"),
        Outcome::TakenOver => "taken over".to_owned(),
        Outcome::Already(reason) => format!("nothing to set: {reason}"),
        Outcome::NotHonoured(reason) => format!("not honoured: {reason}"),
    }
}

fn as_json(report: &Adoption) -> Value {
    let container = |c: &Container| {
        let (program, by) = c.replaced.map_or((None, None), |(p, sign)| (Some(p), Some(if sign == Sign::Image { "image" } else { "command" })));
        let memory = c.memory.map(|m| match m {
            Memory::Limit(bytes) => json!({"bytes": bytes, "from": "limit", "of": null}),
            Memory::Quoted(bytes, of) => json!({"bytes": bytes, "from": "quoted", "of": of}),
        });
        let ports: Vec<Value> = c.ports.iter().map(|(port, ours)| json!({"published": port, "ours": ours})).collect();
        let files: Vec<Value> = c.files.iter().map(|(file, seen)| json!({"source": file, "target": seen})).collect();
        let settings: Vec<Value> = c.settings.iter().map(|s| json!({"written": s.written, "becomes": of_setting(&s.outcome)})).collect();
        json!({
            "service": c.service, "line": c.at.0, "column": c.at.1, "image": c.image, "goes": c.replaced.is_some(), "program": program, "recognised_by": by,
            "note": c.note, "names": c.names, "ports": ports, "files": files, "settings": settings, "memory": memory,
        })
    };
    let findings: Vec<Value> = report.findings.iter().map(|f| json!({"file": &*f.file, "line": f.line, "column": f.column, "message": f.message})).collect();
    json!({"containers": report.containers.iter().map(container).collect::<Vec<_>>(), "findings": findings, "diff": report.diff})
}

#[cfg(test)]
mod tests {
    use watchfire_doctor::adopt::promised;

    use super::*;
    use crate::settings::{Environment, Flags, Settings, load};

    /// What the report says of variables and keys is what the settings do.
    #[test]
    fn every_promised_variable_and_key_sets_something() {
        let (variables, keys) = promised();
        let keys: Vec<String> = keys.iter().map(|key| format!("WATCHFIRE_{}", key.replace('.', "_").to_uppercase())).collect();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("w.yml");
        std::fs::write(&path, "{}").unwrap();
        let secret = dir.path().join("secret");
        std::fs::write(&secret, "x\n").unwrap();
        let secret = secret.display().to_string();
        let flags = Flags { config: Some(path), ..Flags::default() };
        let value = |name: &str| match name {
            n if n.contains("RETENTION")
                || n.contains("TTL")
                || n.contains("TIMEOUT")
                || n.contains("FOR_")
                || n.contains("RESEND")
                || n.contains("LOOKBACK") =>
            {
                "95m"
            }
            n if n.contains("MAX_SIZE") => "1GB",
            n if n.contains("LIFECYCLE") || n.contains("ADMIN_API") || n.contains("OTLP_ENABLED") => "true",
            n if n.contains("AUTO_DISCOVER") || n.contains("DISABLE_") => "true",
            n if n.contains("CONSTANT_LABELS") => "house=one",
            n if n.contains("PARALLEL") || n.contains("SAMPLES") => "7",
            n if n.contains("HOST_PORT") => ":5317",
            n if n.contains("LEVEL") => "warn",
            n if n.contains("FORMAT") => "json",
            n if n.contains("URL") && n.contains("EXTERNAL") => "http://watch.example",
            n if n.contains("REDIS") && (n.contains("ADDR") || n.contains("URL")) => "redis://redis:6379",
            _ => "x",
        };
        let settings =
            |pairs: &[(&str, &str)]| load(&flags, &Environment::of(pairs)).map_err(|f| format!("{pairs:?}: {f:?}")).unwrap_or_else(|e| panic!("{e}"));
        for name in variables.iter().copied().chain(keys.iter().map(String::as_str)) {
            let (before, set): (&[(&str, &str)], &str) = match name {
                // Neither half of the administrator is one alone, and a password is for an address.
                "GF_SECURITY_ADMIN_PASSWORD__FILE" => (&[], &secret),
                "GF_SECURITY_ADMIN_USER__FILE" => (&[("GF_SECURITY_ADMIN_PASSWORD", "y")], &secret),
                "GF_SECURITY_ADMIN_USER" => (&[("GF_SECURITY_ADMIN_PASSWORD", "y")], "x"),
                "REDIS_PASSWORD" => (&[("REDIS_ADDR", "redis://redis:6379")], "x"),
                "DATA_SOURCE_USER" => (&[("DATA_SOURCE_URI", "db:5432/all")], "x"),
                "DATA_SOURCE_PASS" => (&[("DATA_SOURCE_URI", "db:5432/all"), ("DATA_SOURCE_USER", "x")], "x"),
                "DATA_SOURCE_PASS_FILE" => (&[("DATA_SOURCE_URI", "db:5432/all"), ("DATA_SOURCE_USER", "x")], &secret),
                // It is on unless it is switched off.
                "COLLECTOR_OTLP_ENABLED" => (&[], "false"),
                _ => (&[], value(name)),
            };
            let (without, with) = (settings(before), settings(&[before, &[(name, set)]].concat()));
            assert_eq!(with.findings, without.findings, "{name}");
            // Parts of a database's address are within a secret, which is not shown.
            let shown = |it: &Settings| format!("{:?} {it:?}", it.postgres_exporter.url.as_ref().map(|url| url.expose()));
            assert_ne!(shown(&with.settings), shown(&without.settings), "{name} sets nothing");
        }
    }

    #[test]
    fn a_file_that_is_there_is_never_written_over() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("docker-compose.yml");
        std::fs::write(&file, "services:\n  p:\n    image: prom/prometheus\n").unwrap();
        let flags = |write| AdoptFlags { file: file.clone(), write, json: false };
        let written = dir.path().join("docker-compose.watchfire.yml");
        assert_eq!(adopt(&flags(None)).unwrap(), 0);
        assert!(!written.exists());
        assert_eq!(adopt(&flags(Some(None))).unwrap(), 0);
        let first = std::fs::read_to_string(&written).unwrap();
        assert!(first.contains("image: watchfire:latest"), "{first}");
        std::fs::write(&written, "mine").unwrap();
        assert!(adopt(&flags(Some(None))).is_err());
        assert!(adopt(&flags(Some(Some(file.clone())))).is_err());
        assert_eq!(std::fs::read_to_string(&written).unwrap(), "mine");
        std::fs::write(&file, "a: 1\n").unwrap();
        assert_eq!(adopt(&flags(None)).unwrap(), 2);
    }
}
