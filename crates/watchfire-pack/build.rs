//! Lists the catalogs, rules, objectives and dashboards of the shipped packs, so that a new file in `packs/<name>/catalog/`, `rules/`,
//! `slos/` or `dashboards/` is built in by being there.
//! It reads names only; the contents are checked by the tests.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

use flate2::Compression;
use flate2::write::GzEncoder;

fn main() -> io::Result<()> {
    // Asked when it runs: the compiled script may come from another checkout that shares the target directory.
    let here = env::var_os("CARGO_MANIFEST_DIR").ok_or_else(|| io::Error::other("cargo did not set CARGO_MANIFEST_DIR"))?;
    let packs = Path::new(&here).join("../../packs");
    println!("cargo:rerun-if-changed={}", packs.display());
    if entries(&packs)?.is_empty() {
        return Err(io::Error::other(format!("there are no packs in {}", packs.display())));
    }
    let out = env::var_os("OUT_DIR").ok_or_else(|| io::Error::other("cargo did not set OUT_DIR"))?;
    let out = Path::new(&out);
    fs::write(out.join("rules.rs"), list(&packs, "rules", "yml", "RuleText")?)?;
    fs::write(out.join("slos.rs"), list(&packs, "slos", "yml", "RuleText")?)?;
    // Catalogs are read once, dashboards rarely, and both are large: they are packed.
    fs::write(out.join("builtin.rs"), packed(&packs, "catalog", "yml", out)?)?;
    fs::write(out.join("dashboards.rs"), packed(&packs, "dashboards", "json", out)?)
}

/// The files of one folder of every pack, each packed beside the list of them in Rust.
fn packed(packs: &Path, folder: &str, extension: &str, out: &Path) -> io::Result<String> {
    let mut list = String::from("&[\n");
    for (number, (pack, name, path)) in files(packs, folder, extension)?.into_iter().enumerate() {
        let packed = out.join(format!("{folder}-{number}.gz"));
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(&fs::read(path)?)?;
        fs::write(&packed, encoder.finish()?)?;
        // Writing to a String cannot fail.
        let _infallible = writeln!(list, "PackedText::new({pack:?}, \"packs/{pack}/{folder}/{name}\", include_bytes!({packed:?})),");
    }
    list.push(']');
    Ok(list)
}

/// The files of one folder of every pack, as a list of structures in Rust.
fn list(packs: &Path, folder: &str, extension: &str, structure: &str) -> io::Result<String> {
    let mut list = String::from("&[\n");
    for (pack, name, path) in files(packs, folder, extension)? {
        // Writing to a String cannot fail.
        let _infallible = writeln!(list, "{structure} {{ pack: {pack:?}, path: \"packs/{pack}/{folder}/{name}\", text: include_str!({path:?}) }},");
    }
    list.push(']');
    Ok(list)
}

/// The files of one folder of every pack: the pack, the file's name, where it lies.
fn files(packs: &Path, folder: &str, extension: &str) -> io::Result<Vec<(String, String, PathBuf)>> {
    let mut found = Vec::new();
    for pack in entries(packs)? {
        let inside = pack.join(folder);
        // A folder that is not there would count as changed each time; that it comes is seen by the pack's own.
        let watched = if inside.is_dir() { &inside } else { &pack };
        println!("cargo:rerun-if-changed={}", watched.display());
        for file in entries(&inside)?.into_iter().filter(|f| f.extension().is_some_and(|e| e == extension)) {
            let path = fs::canonicalize(&file)?;
            println!("cargo:rerun-if-changed={}", path.display());
            found.push((name_of(&pack), name_of(&file), path));
        }
    }
    Ok(found)
}

/// The entries of a folder in order of name; none when there is no such folder.
fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let mut paths = fs::read_dir(folder)?.map(|entry| entry.map(|e| e.path())).collect::<io::Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

fn name_of(path: &Path) -> String {
    path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default()
}
