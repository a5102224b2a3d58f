//! Lists the catalogs, rules and objectives of the shipped packs, so that a new file in `packs/<name>/catalog/`, `rules/` or `slos/` is
//! built in by being there.
//! It reads names only; the contents are checked by the tests.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    // Asked when it runs: the compiled script may come from another checkout that shares the target directory.
    let here = env::var_os("CARGO_MANIFEST_DIR").ok_or_else(|| io::Error::other("cargo did not set CARGO_MANIFEST_DIR"))?;
    let packs = Path::new(&here).join("../../packs");
    println!("cargo:rerun-if-changed={}", packs.display());
    if entries(&packs)?.is_empty() {
        return Err(io::Error::other(format!("there are no packs in {}", packs.display())));
    }
    let out = env::var_os("OUT_DIR").ok_or_else(|| io::Error::other("cargo did not set OUT_DIR"))?;
    fs::write(Path::new(&out).join("builtin.rs"), list(&packs, "catalog", "CatalogFile")?)?;
    fs::write(Path::new(&out).join("rules.rs"), list(&packs, "rules", "RuleText")?)?;
    fs::write(Path::new(&out).join("slos.rs"), list(&packs, "slos", "RuleText")?)
}

/// The YAML files of one folder of every pack, as a list of structures in Rust.
fn list(packs: &Path, folder: &str, structure: &str) -> io::Result<String> {
    let mut list = String::from("&[\n");
    for pack in entries(packs)? {
        let inside = pack.join(folder);
        println!("cargo:rerun-if-changed={}", inside.display());
        for file in entries(&inside)?.into_iter().filter(|f| f.extension().is_some_and(|e| e == "yml")) {
            let (pack, name) = (name_of(&pack), name_of(&file));
            let path = fs::canonicalize(&file)?;
            println!("cargo:rerun-if-changed={}", path.display());
            // Writing to a String cannot fail.
            let _infallible = writeln!(list, "{structure} {{ pack: {pack:?}, path: \"packs/{pack}/{folder}/{name}\", text: include_str!({path:?}) }},");
        }
    }
    list.push(']');
    Ok(list)
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
