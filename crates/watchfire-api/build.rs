//! Makes sure that there is a page to embed: when `ui/dist` has none, a placeholder that says how to get the real one.
//! It never runs the page's own build, so that the server compiles without Node. And packs the shapes of our types, which are rarely read.

use std::io::Write as _;
use std::path::Path;
use std::{env, fs, io};

use flate2::Compression;
use flate2::write::GzEncoder;

const PLACEHOLDER: &str = r#"<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="watchfire-page" content="placeholder"><title>Watchfire</title></head>
<body>
<h1>Watchfire is running</h1>
<p>This binary was built without its page. Build both with <code>make build</code> (it needs Node), or use the
interfaces: <a href="/api/system/health">/api/system/health</a>, <a href="/metrics">/metrics</a>,
<a href="/api/v1/query?query=up">/api/v1/query</a>, <a href="/api/openapi.json">/api/openapi.json</a>.</p>
</body>
</html>
"#;

fn main() -> io::Result<()> {
    // Asked when it runs: the compiled script may come from another checkout that shares the target directory.
    let here = env::var_os("CARGO_MANIFEST_DIR").ok_or_else(|| io::Error::other("cargo did not set CARGO_MANIFEST_DIR"))?;
    let dist = Path::new(&here).join("../../ui/dist");
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed={}", dist.display());
    let shapes = Path::new(&here).join("src/openapi/shapes.json");
    println!("cargo:rerun-if-changed={}", shapes.display());
    let out = env::var_os("OUT_DIR").ok_or_else(|| io::Error::other("cargo did not set OUT_DIR"))?;
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&fs::read(shapes)?)?;
    fs::write(Path::new(&out).join("shapes.json.gz"), encoder.finish()?)?;
    let index = dist.join("index.html");
    if !index.exists() {
        fs::create_dir_all(&dist)?;
        fs::write(index, PLACEHOLDER)?;
    }
    Ok(())
}
