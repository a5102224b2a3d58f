//! Chores of the house as a program: `cargo xtask tidy`. Not part of the product.

mod coverage;
mod links;
mod tidy;

use std::env;
use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some("tidy") => match tidy::check(&root()) {
            Ok(problems) if problems.is_empty() => {
                println!("tidy: the house is in order");
                ExitCode::SUCCESS
            }
            Ok(problems) => {
                for problem in &problems {
                    eprintln!("{problem}");
                }
                eprintln!("tidy: {} problems", problems.len());
                ExitCode::FAILURE
            }
            Err(error) => {
                eprintln!("tidy: {error:#}");
                ExitCode::FAILURE
            }
        },
        _ => {
            eprintln!("usage: cargo xtask tidy");
            ExitCode::from(2)
        }
    }
}

/// The root of the repository, two levels above this crate.
fn root() -> PathBuf {
    // Cargo says it to what it runs; the program itself may come from another checkout that shares the target directory.
    let here = env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    here.ancestors().nth(2).unwrap_or(&here).to_path_buf()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_house_is_in_order() {
        let problems = super::tidy::check(&super::root()).expect("the repository can be read");
        assert!(problems.is_empty(), "{}", problems.join("\n"));
    }
}
