//! A Node.js with real clients of the protocols that we take, kept beside the build.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::server::{BINARY, installed};

/// The clients, from the npm registry.
const PACKAGES: [&str; 1] = ["@pyroscope/nodejs@0.6.4"];

/// The directory in which programs find the clients. `None`, loudly, where they cannot be had. Made once per build directory.
pub(crate) fn node() -> Option<PathBuf> {
    static MADE: std::sync::OnceLock<Option<PathBuf>> = std::sync::OnceLock::new();
    MADE.get_or_init(make).clone()
}

fn make() -> Option<PathBuf> {
    if !installed("node") || !installed("npm") {
        return None;
    }
    let home = Path::new(BINARY).parent()?.parent()?.join("clients-node");
    let ready = home.join("ready");
    let packages = PACKAGES.join("\n");
    if std::fs::read_to_string(&ready).is_ok_and(|had| had == packages) {
        return Some(home);
    }
    let made = std::fs::create_dir_all(&home).is_ok()
        && std::fs::write(home.join("package.json"), r#"{"name": "clients", "private": true}"#).is_ok()
        && Command::new("npm").args(["install", "--no-audit", "--no-fund"]).args(PACKAGES).current_dir(&home).output().is_ok_and(|o| o.status.success());
    if !made || std::fs::write(&ready, packages).is_err() {
        eprintln!("SKIPPED: the clients for Node.js cannot be installed");
        return None;
    }
    Some(home)
}
