//! `watchfire backup` and `watchfire restore`. A backup is a directory or a tar file with everything of the data directory that
//! matters and a manifest. It has its name only when it is complete; what a crash leaves is called `….partial`.

mod manifest;
mod restore;
mod tar;

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, anyhow, bail};
use http::Method;
use watchfire_api::auth::TOKEN_FILE;
use watchfire_model::time::{Clock, SystemClock};
use watchfire_store::{OpenError, Options, Store};

use crate::command_line::BackupFlags;
use crate::remote::{Remote, form_encode};
use crate::serve::{files_below, new_backup_dir};
use crate::settings::Environment;
use manifest::{Manifest, Newer, Sum};

pub(crate) use restore::run as restore;

/// Runs the command.
pub(crate) fn run(flags: &BackupFlags, environment: &Environment) -> ExitCode {
    end(back_up(flags, environment))
}

/// The exit code of either command; errors are told.
fn end(outcome: Result<()>) -> ExitCode {
    let Err(error) = outcome else { return ExitCode::SUCCESS };
    eprintln!("watchfire: {error:#}");
    if is_newer(&error) { ExitCode::from(3) } else { ExitCode::FAILURE }
}

/// Whether the cause is something that a newer program has made.
fn is_newer(error: &anyhow::Error) -> bool {
    error.is::<Newer>() || matches!(error.downcast_ref::<OpenError>(), Some(OpenError::Newer { .. }))
}

fn back_up(flags: &BackupFlags, environment: &Environment) -> Result<()> {
    let target = Target::create(&flags.target)?;
    match &flags.data_dir {
        Some(dir) => from_directory(dir, flags, target),
        None => from_server(flags, environment, target),
    }
}

/// A running server makes a snapshot, which is fetched piece by piece.
fn from_server(flags: &BackupFlags, environment: &Environment, mut target: Target) -> Result<()> {
    let server = Remote::new(&flags.url, environment)?;
    let begun = server.ask_json(Method::POST, &format!("/api/system/backup?secrets={}", flags.include_secrets), b"")?;
    let name = begun["name"].as_str().context("the server made no backup")?.to_owned();
    let mut fetch = || -> Result<()> {
        for file in begun["files"].as_array().into_iter().flatten() {
            let (Some(path), Some(bytes)) = (file["path"].as_str(), file["bytes"].as_u64()) else { bail!("the server named no files") };
            let mut one = target.begin(path, bytes)?;
            while one.left > 0 {
                let offset = bytes - one.left;
                let piece = server.ask(Method::GET, &format!("/api/system/backup/{name}/file?path={}&offset={offset}", form_encode(path)), b"")?;
                if piece.is_empty() {
                    bail!("{path} ended early");
                }
                target.write(&mut one, &piece)?;
            }
            target.end(one)?;
        }
        target.finish(flags.include_secrets)
    };
    let fetched = fetch();
    // The snapshot goes in any case; one that stays is removed by the server after a day.
    let removed = server.ask(Method::DELETE, &format!("/api/system/backup/{name}"), b"");
    both(fetched, removed.map(|_| ()).context("cannot remove the server's snapshot"))
}

/// A directory that nobody works in is opened, and a snapshot of it is copied.
fn from_directory(dir: &Path, flags: &BackupFlags, mut target: Target) -> Result<()> {
    if !dir.join("format").is_file() {
        bail!("{} is not a data directory", dir.display());
    }
    let mut options = Options::new(dir, SystemClock::shared());
    options.keeper = false;
    let store = match Store::open(options) {
        Err(OpenError::Locked(_)) => bail!("a server works in {}; leave out --data-dir to ask it", dir.display()),
        opened => opened?,
    };
    // One that stays all the same is removed by the next server that works here.
    let snapshot = new_backup_dir(dir, SystemClock::new().now());
    store.snapshot(&snapshot, false).context("cannot make a snapshot")?;
    store.close();
    let mut copy = || -> Result<()> {
        if flags.include_secrets && dir.join(TOKEN_FILE).is_file() {
            fs::copy(dir.join(TOKEN_FILE), snapshot.join(TOKEN_FILE)).context("cannot copy the admin token")?;
        }
        for (path, bytes) in files_below(&snapshot)? {
            let mut one = target.begin(&path, bytes)?;
            let mut file = File::open(snapshot.join(&path)).with_context(|| format!("cannot read {path}"))?;
            let mut buffer = vec![0; 1 << 20];
            while one.left > 0 {
                let count = std::io::Read::read(&mut file, &mut buffer)?;
                if count == 0 {
                    bail!("{path} ended early");
                }
                target.write(&mut one, &buffer[..count])?;
            }
            target.end(one)?;
        }
        target.finish(flags.include_secrets)
    };
    let copied = copy();
    both(copied, fs::remove_dir_all(&snapshot).context("cannot remove the snapshot"))
}

/// What became of the copy and of the removal of its snapshot: no error hides the other, and that of the copy comes first.
fn both(copied: Result<()>, removed: Result<()>) -> Result<()> {
    match (copied, removed) {
        (Err(copied), Err(removed)) if !is_newer(&copied) => Err(anyhow!("{copied:#}; and {removed:#}")),
        (Err(copied), Err(removed)) => Err(copied.context(format!("{removed:#}"))),
        (copied, removed) => copied.and(removed),
    }
}

/// A backup under construction.
struct Target {
    /// The name that it gets in the end.
    path: PathBuf,
    partial: PathBuf,
    tar: Option<BufWriter<File>>,
    manifest: Manifest,
}
/// One file of it.
struct One {
    path: String,
    bytes: u64,
    left: u64,
    sum: Sum,
    file: Option<File>,
}

impl Target {
    fn create(path: &Path) -> Result<Target> {
        if path.exists() {
            bail!("{} exists already", path.display());
        }
        let mut partial = path.as_os_str().to_owned();
        partial.push(".partial");
        let partial = PathBuf::from(partial);
        let is_tar = path.extension().is_some_and(|e| e == "tar");
        // What an earlier try has left is of no use.
        if partial.is_dir() {
            fs::remove_dir_all(&partial)?;
        }
        let context = || format!("cannot write {}", partial.display());
        let tar = if is_tar {
            Some(BufWriter::new(private_file(&partial).with_context(context)?))
        } else {
            fs::create_dir_all(&partial).with_context(context)?;
            fs::set_permissions(&partial, std::os::unix::fs::PermissionsExt::from_mode(0o700)).with_context(context)?;
            None
        };
        Ok(Target { path: path.to_owned(), partial, tar, manifest: Manifest::default() })
    }
    fn begin(&mut self, path: &str, bytes: u64) -> Result<One> {
        manifest::check_path(path)?;
        let file = match &mut self.tar {
            Some(tar) => {
                tar::write_header(tar, path, bytes)?;
                None
            }
            None => {
                let place = self.partial.join(path);
                fs::create_dir_all(place.parent().context("a file without a directory")?)?;
                Some(private_file(&place).with_context(|| format!("cannot write {}", place.display()))?)
            }
        };
        Ok(One { path: path.to_owned(), bytes, left: bytes, sum: Sum::default(), file })
    }
    fn write(&mut self, one: &mut One, piece: &[u8]) -> Result<()> {
        let Some(left) = one.left.checked_sub(piece.len() as u64) else { bail!("{} is longer than it was", one.path) };
        one.left = left;
        one.sum.add(piece);
        match (&mut one.file, &mut self.tar) {
            (Some(file), _) => file.write_all(piece)?,
            (None, Some(tar)) => tar.write_all(piece)?,
            (None, None) => {}
        }
        Ok(())
    }
    fn end(&mut self, one: One) -> Result<()> {
        match (&one.file, &mut self.tar) {
            (Some(file), _) => file.sync_all()?,
            (None, Some(tar)) => tar::write_end_of_file(tar, one.bytes)?,
            (None, None) => {}
        }
        self.manifest.files.insert(one.path, (one.bytes, one.sum.finish()));
        Ok(())
    }
    /// Writes the manifest and gives the backup its name.
    fn finish(&mut self, secrets: bool) -> Result<()> {
        let text = self.manifest.to_text(&SystemClock::new().now().rfc3339(), secrets);
        let (files, bytes) = (self.manifest.files.len(), self.manifest.files.values().map(|f| f.0).sum::<u64>());
        let mut one = self.begin(manifest::FILE, text.len() as u64)?;
        self.write(&mut one, text.as_bytes())?;
        self.end(one)?;
        match self.tar.take() {
            Some(mut tar) => {
                tar::write_end(&mut tar)?;
                tar.into_inner().map_err(|e| e.into_error())?.sync_all()?;
            }
            None => sync_below(&self.partial)?,
        }
        fs::rename(&self.partial, &self.path).with_context(|| format!("cannot give {} its name", self.path.display()))?;
        sync_parent(&self.path)?;
        println!("backed up {files} files, {bytes} bytes, to {}", self.path.display());
        if !secrets {
            println!("the admin token is not in it (say --include-secrets); hashes of tokens and passwords are");
        }
        Ok(())
    }
}

/// A new file that only its owner reads.
fn private_file(path: &Path) -> std::io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

/// Puts the names in all directories on the medium.
fn sync_below(dir: &Path) -> Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync_below(&entry.path())?;
        }
    }
    Ok(File::open(dir)?.sync_all()?)
}
fn sync_parent(path: &Path) -> Result<()> {
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Ok(File::open(parent)?.sync_all()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_error_hides_the_other() {
        let check =
            |copied: Result<()>, removed: Result<()>, said: &str| assert_eq!(both(copied, removed).map_or_else(|e| format!("{e:#}"), |()| String::new()), said);
        check(Ok(()), Ok(()), "");
        check(Err(anyhow!("full").context("cannot write a")), Ok(()), "cannot write a: full");
        check(Ok(()), Err(anyhow!("cannot remove b")), "cannot remove b");
        check(
            Err(anyhow!("full").context("cannot write a")),
            Err(anyhow!("busy").context("cannot remove b")),
            "cannot write a: full; and cannot remove b: busy",
        );
    }
}
