//! `watchfire restore`: a backup becomes a data directory. Every file is checked against the manifest, and the whole is opened
//! once, before it gets its name.

use std::fs::{self, File};
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use watchfire_model::time::SystemClock;
use watchfire_store::{Options, Store};

use super::manifest::{self, Manifest, Sum};
use super::{both, end, private_file, sync_below, sync_parent, tar};
use crate::command_line::RestoreFlags;

/// Runs the command.
pub(crate) fn run(flags: &RestoreFlags) -> ExitCode {
    end(put_back(&flags.source, &flags.data_dir))
}

fn put_back(source: &Path, target: &Path) -> Result<()> {
    if target.exists() && fs::read_dir(target).map_or(true, |mut entries| entries.next().is_some()) {
        bail!("{} is not empty; a backup is restored into a directory of its own", target.display());
    }
    let mut partial = target.as_os_str().to_owned();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    if partial.exists() {
        fs::remove_dir_all(&partial).with_context(|| format!("cannot remove {}", partial.display()))?;
    }
    fs::create_dir_all(&partial).with_context(|| format!("cannot make {}", partial.display()))?;
    let restored = fill(source, &partial).and_then(|files| {
        look(&partial)?;
        sync_below(&partial)?;
        if target.exists() {
            fs::remove_dir(target)?;
        }
        fs::rename(&partial, target).with_context(|| format!("cannot give {} its name", target.display()))?;
        sync_parent(target)?;
        Ok(files)
    });
    match restored {
        Ok(files) => {
            println!("restored {files} files to {}", target.display());
            Ok(())
        }
        Err(error) => both(Err(error), fs::remove_dir_all(&partial).with_context(|| format!("cannot remove {}", partial.display()))),
    }
}

/// Opens what was restored, so that nobody finds out later that it cannot be.
fn look(dir: &Path) -> Result<()> {
    let mut options = Options::new(dir, SystemClock::shared());
    options.keeper = false;
    let store = Store::open(options)?;
    let stats = store.stats();
    store.close();
    if stats.replay.quarantined > 0 || stats.state_reset {
        bail!("the backup holds damaged files");
    }
    Ok(())
}

fn fill(source: &Path, dir: &Path) -> Result<usize> {
    let (manifest, found) = if source.is_dir() { from_directory(source, dir)? } else { from_tar(source, dir)? };
    for (path, wanted) in &manifest.files {
        match found.files.get(path) {
            None => bail!("{path} is missing in the backup"),
            Some(is) if is != wanted => bail!("{path} is damaged: its size or checksum is not that of the manifest"),
            Some(_) => {}
        }
    }
    if let Some(extra) = found.files.keys().find(|path| !manifest.files.contains_key(*path)) {
        bail!("{extra} is in the backup and not in its manifest");
    }
    Ok(manifest.files.len())
}

fn from_directory(source: &Path, dir: &Path) -> Result<(Manifest, Manifest)> {
    let text = fs::read_to_string(source.join(manifest::FILE)).with_context(|| format!("{} is not a complete backup", source.display()))?;
    let (manifest, mut found) = (Manifest::parse(&text)?, Manifest::default());
    for path in manifest.files.keys() {
        let Ok(mut file) = File::open(source.join(path)) else { continue };
        let bytes = file.metadata()?.len();
        let sum = copy(&mut file, bytes, &place(dir, path)?)?;
        found.files.insert(path.clone(), (bytes, sum));
    }
    Ok((manifest, found))
}

fn from_tar(source: &Path, dir: &Path) -> Result<(Manifest, Manifest)> {
    let mut input = BufReader::with_capacity(1 << 20, File::open(source).with_context(|| format!("cannot read {}", source.display()))?);
    let (mut manifest, mut found) = (None, Manifest::default());
    let incomplete = || format!("{} is not a complete backup", source.display());
    while let Some((path, bytes)) = tar::read_header(&mut input).with_context(incomplete)? {
        manifest::check_path(&path)?;
        if path == manifest::FILE {
            let mut text = String::new();
            (&mut input).take(bytes).read_to_string(&mut text).with_context(incomplete)?;
            manifest = Some(Manifest::parse(&text)?);
        } else {
            let sum = copy(&mut input, bytes, &place(dir, &path)?).with_context(incomplete)?;
            found.files.insert(path, (bytes, sum));
        }
        tar::read_end_of_file(&mut input, bytes).with_context(incomplete)?;
    }
    Ok((manifest.with_context(incomplete)?, found))
}

/// Where a file goes; its directory is made.
fn place(dir: &Path, path: &str) -> Result<PathBuf> {
    let place = dir.join(path);
    fs::create_dir_all(place.parent().unwrap_or(dir))?;
    Ok(place)
}

/// Copies so many bytes into a new file and gives their checksum.
fn copy(input: &mut impl Read, bytes: u64, to: &Path) -> io::Result<String> {
    let (mut file, mut sum, mut left) = (private_file(to)?, Sum::default(), bytes);
    let mut buffer = vec![0; 1 << 20];
    while left > 0 {
        let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let part = &mut buffer[..wanted];
        input.read_exact(part)?;
        sum.add(part);
        file.write_all(part)?;
        left -= wanted as u64;
    }
    file.sync_all()?;
    Ok(sum.finish())
}
