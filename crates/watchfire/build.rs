//! Asks the linker for what keeps the file small (docs/decisions/0024) where it can do it: short relocations, which glibc knows since 2.36, and one
//! copy of functions that are the same byte by byte, which only the linker that comes with Rust does. That one is also told which functions a server at
//! rest runs, so that they lie beside each other (docs/decisions/0037). Elsewhere nothing is asked for.
#![expect(clippy::disallowed_methods, reason = "cargo tells a build script by the environment")]

use std::env;
use std::path::Path;
use std::process::Command;

/// What `scripts/order.sh` has found.
const ORDER: &str = "order.txt";

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let is = |name: &str, value: &str| env::var(name).is_ok_and(|v| v == value);
    let here = env::var("HOST").is_ok_and(|host| is("TARGET", &host));
    if here && is("CARGO_CFG_TARGET_OS", "linux") && is("CARGO_CFG_TARGET_ENV", "gnu") && glibc().is_some_and(|version| version >= (2, 36)) {
        println!("cargo:rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
    if is("TARGET", "x86_64-unknown-linux-gnu") && is("PROFILE", "release") && own_linker() {
        println!("cargo:rustc-link-arg-bins=-Wl,--icf=all");
        // Names that are not there, of another compiler or other dependencies, are passed over.
        println!("cargo:rerun-if-changed={ORDER}");
        let order = Path::new(&env::var("CARGO_MANIFEST_DIR").unwrap_or_default()).join(ORDER);
        println!("cargo:rustc-link-arg-bins=-Wl,--symbol-ordering-file={},--no-warn-symbol-ordering", order.display());
    }
}

/// Whether Rust links with the linker that it brings along: it does on this target unless somebody said otherwise.
fn own_linker() -> bool {
    let chosen = env::var("CARGO_ENCODED_RUSTFLAGS").is_ok_and(|flags| flags.contains("link")) || env::var_os("RUSTC_LINKER").is_some();
    let Some(root) = env::var_os("RUSTC").and_then(|rustc| Command::new(rustc).args(["--print", "sysroot"]).output().ok()) else { return false };
    let Ok(root) = std::str::from_utf8(&root.stdout) else { return false };
    !chosen && Path::new(root.trim()).join("lib/rustlib/x86_64-unknown-linux-gnu/bin/gcc-ld/ld.lld").exists()
}

/// The version of this machine's glibc; the program is built for it.
fn glibc() -> Option<(u32, u32)> {
    let said = Command::new("getconf").arg("GNU_LIBC_VERSION").output().ok()?.stdout;
    let (major, minor) = std::str::from_utf8(&said).ok()?.trim().strip_prefix("glibc ")?.split_once('.')?;
    Some((major.parse().ok()?, minor.split('.').next()?.parse().ok()?))
}
