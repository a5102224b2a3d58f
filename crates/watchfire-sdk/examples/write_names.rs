//! Writes the modules of names anew after a catalog has changed.

#[path = "../src/metrics/from_catalogs.rs"]
mod from_catalogs;

use from_catalogs::{PACKS, module, path};

fn main() -> std::io::Result<()> {
    PACKS.iter().try_for_each(|pack| std::fs::write(path(pack), module(pack)))
}
