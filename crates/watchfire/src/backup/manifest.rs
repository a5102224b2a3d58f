//! The manifest of a backup: what belongs to it, with checksums. It is written last, so that what has one is complete.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// The file's name.
pub(super) const FILE: &str = "manifest.json";
/// The version of backups that this program writes and the newest it knows.
pub(super) const VERSION: u64 = 1;

/// Backups of a newer program: exit code 3.
#[derive(Debug, thiserror::Error)]
#[error("the backup has version {found}, this program knows versions up to {VERSION}")]
pub(crate) struct Newer {
    found: u64,
}

/// What is known of each file: its bytes and their checksum.
#[derive(Debug, Default)]
pub(super) struct Manifest {
    pub(super) files: BTreeMap<String, (u64, String)>,
}
impl Manifest {
    /// As text, with the time and whether secrets are in it.
    pub(super) fn to_text(&self, created: &str, secrets: bool) -> String {
        let files: Vec<Value> = self.files.iter().map(|(path, (bytes, sha256))| json!({ "path": path, "bytes": bytes, "sha256": sha256 })).collect();
        let manifest = json!({
            "watchfire_backup": VERSION,
            "program": env!("CARGO_PKG_VERSION"),
            "created": created,
            "secrets": secrets,
            "files": files,
        });
        format!("{manifest:#}\n")
    }
    /// Reads a manifest.
    pub(super) fn parse(text: &str) -> Result<Manifest> {
        let manifest: Value = serde_json::from_str(text).context("the manifest is not JSON")?;
        let Some(version) = manifest["watchfire_backup"].as_u64() else { bail!("the manifest is not that of a backup") };
        if version > VERSION {
            return Err(Newer { found: version }.into());
        }
        let mut files = BTreeMap::new();
        for file in manifest["files"].as_array().context("the manifest has no list of files")? {
            let (Some(path), Some(bytes), Some(sha256)) = (file["path"].as_str(), file["bytes"].as_u64(), file["sha256"].as_str()) else {
                bail!("the manifest has a file without path, bytes or sha256")
            };
            check_path(path)?;
            files.insert(path.to_owned(), (bytes, sha256.to_owned()));
        }
        Ok(Manifest { files })
    }
}

/// Refuses paths that would leave the directory.
pub(super) fn check_path(path: &str) -> Result<()> {
    let plain = !path.is_empty() && path.split('/').all(|part| !part.is_empty() && part != "." && part != ".." && !part.contains(['\\', '\0']));
    if plain { Ok(()) } else { bail!("the backup names a file {path:?}, which is not below its directory") }
}

/// A checksum in the making.
#[derive(Default)]
pub(super) struct Sum(Sha256);
impl Sum {
    pub(super) fn add(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }
    pub(super) fn finish(self) -> String {
        self.0.finalize().iter().map(|b| format!("{b:02x}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manifests() {
        let mut manifest = Manifest::default();
        let mut sum = Sum::default();
        sum.add(b"abc");
        manifest.files.insert("metrics/1.seg".to_owned(), (3, sum.finish()));
        let text = manifest.to_text("2026-01-01T00:00:00Z", false);
        assert!(text.contains("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"));
        assert_eq!(Manifest::parse(&text).unwrap().files, manifest.files);
        let newer = Manifest::parse(&text.replace("\"watchfire_backup\": 1", "\"watchfire_backup\": 2")).unwrap_err();
        assert!(newer.is::<Newer>(), "{newer}");
        for path in ["../x", "/etc/passwd", "a//b", "a/./b", ""] {
            assert!(Manifest::parse(&text.replace("metrics/1.seg", path)).is_err(), "{path}");
        }
    }
}
