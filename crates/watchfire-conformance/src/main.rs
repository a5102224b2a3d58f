//! `make conformance`: runs every script on every subject and prints a table of families and subjects.
//! Usage: `watchfire-conformance [BINARY]`; without a binary HTTP is left out. Ends with 1 when anything differs.

use std::path::Path;
use std::process::ExitCode;

use watchfire_conformance::http::OverHttp;
use watchfire_conformance::local::{InMemory, InStore};
use watchfire_conformance::runner::run;
use watchfire_conformance::scripts;
use watchfire_conformance::subject::Subject;

fn main() -> ExitCode {
    let binary = std::env::args().nth(1);
    let mut subjects: Vec<Box<dyn Subject>> = vec![Box::new(InMemory::default()), Box::new(InStore::new(false)), Box::new(InStore::new(true))];
    match &binary {
        Some(path) => subjects.push(Box::new(OverHttp::new(Path::new(path)))),
        None => println!("SKIPPED: no binary was named, so nothing is asked over HTTP"),
    }
    let scripts = match scripts() {
        Ok(scripts) => scripts,
        Err(error) => {
            println!("cannot read the scripts: {error}");
            return ExitCode::from(2);
        }
    };
    print!("{:<20} {:>6}", "family", "cases");
    for subject in &subjects {
        print!(" {:>12}", subject.name());
    }
    println!();
    let mut failures = Vec::new();
    let mut totals = vec![(0, 0); subjects.len()];
    let mut cases = 0;
    for (family, text) in &scripts {
        let mut cells = Vec::new();
        let mut asked = 0;
        for (subject, total) in subjects.iter_mut().zip(&mut totals) {
            let report = run(subject.as_mut(), &format!("{family}.test"), text);
            asked = report.cases;
            let held = report.cases - report.skipped - report.failures.len();
            total.0 += held;
            total.1 += report.skipped;
            cells.push(cell(held, report.skipped));
            failures.extend(report.failures.iter().map(|f| format!("{}: {f}", subject.name())));
        }
        cases += asked;
        println!("{family:<20} {asked:>6} {}", cells.join(" "));
    }
    let cells: Vec<String> = totals.iter().map(|(held, skipped)| cell(*held, *skipped)).collect();
    println!("{:<20} {cases:>6} {}", "all", cells.join(" "));
    if failures.is_empty() {
        return ExitCode::SUCCESS;
    }
    println!("\n{} answers are not what they should be:\n{}", failures.len(), failures.join("\n"));
    ExitCode::FAILURE
}

/// How many cases hold, and how many cannot be asked this way.
fn cell(held: usize, skipped: usize) -> String {
    let text = if skipped > 0 { format!("{held} (-{skipped})") } else { held.to_string() };
    format!("{text:>12}")
}
