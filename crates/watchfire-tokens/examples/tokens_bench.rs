//! How fast tokens are counted, against tiktoken for Python on the same texts: `tokens_bench [--python PYTHON] [--seconds 2]`. One thread,
//! CPU time, the best pass of several. Prints tables; `make bench-tokens` runs it.

use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use rustix::time::{ClockId, clock_gettime};
use watchfire_tokens::{Counter, Encoding, truncate};

const ENCODINGS: [Encoding; 3] = [Encoding::Cl100kBase, Encoding::O200kBase, Encoding::P50kBase];

/// A corpus ends with the text that makes it larger.
const CORPUS_BYTES_MAX: usize = 8_000_000;

/// Texts of one kind.
struct Corpus {
    name: &'static str,
    texts: Vec<String>,
}
impl Corpus {
    fn bytes(&self) -> usize {
        self.texts.iter().map(String::len).sum()
    }
}

fn cpu() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Resident memory in kB.
fn resident() -> i64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

/// CPU seconds of the best pass.
fn best(seconds: f64, mut pass: impl FnMut() -> usize) -> (usize, f64) {
    let (mut best, mut spent, mut result) = (f64::INFINITY, 0.0, 0);
    while spent < seconds {
        let start = cpu();
        result = pass();
        let took = cpu() - start;
        (best, spent) = (best.min(took), spent + took);
    }
    (result, best)
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let option = |name: &str| arguments.iter().position(|a| a == name).and_then(|at| arguments.get(at + 1).cloned());
    if let Some(name) = option("--load") {
        return load(&name);
    }
    let seconds: f64 = option("--seconds").and_then(|s| s.parse().ok()).unwrap_or(2.0);
    let python = option("--python").map(PathBuf::from);
    let corpora = corpora();
    let dir = std::env::temp_dir().join(format!("tokens-bench-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("a directory");
    if python.is_none() {
        println!("SKIPPED: no Python with tiktoken, so there is nothing to compare with");
    }

    for corpus in &corpora {
        println!("{}: {:.1} MB in {} texts", corpus.name, corpus.bytes() as f64 / 1e6, corpus.texts.len());
    }
    println!("\n| corpus | encoding | tokens | watchfire MB/s | tiktoken MB/s | ratio |\n|---|---|---|---|---|---|");
    for corpus in &corpora {
        let theirs = python.as_deref().map(|python| tiktoken(python, &dir, corpus, seconds)).unwrap_or_default();
        for encoding in ENCODINGS {
            let counter = Counter::new(encoding);
            let (tokens, took) = best(seconds, || corpus.texts.iter().map(|text| counter.count(text)).sum());
            let ours = corpus.bytes() as f64 / took / 1e6;
            let other = theirs.iter().find(|(name, ..)| name == encoding.name());
            let (speed, ratio) = match other {
                Some((_, count, took)) => {
                    assert_eq!(*count, tokens, "{} {}: both must count the same", corpus.name, encoding.name());
                    let theirs = corpus.bytes() as f64 / took / 1e6;
                    (format!("{theirs:.1}"), format!("{:.1}", ours / theirs))
                }
                None => ("–".to_owned(), "–".to_owned()),
            };
            println!("| {} | `{}` | {tokens} | {ours:.1} | {speed} | {ratio} |", corpus.name, encoding.name());
        }
    }
    std::fs::remove_dir_all(&dir).expect("the directory goes");
    loading();
    extremes();
}

/// What the first count costs, each in a process of its own.
fn loading() {
    println!("\n| encoding | first count, ms | memory while loaded, MB | after it was given back, MB |\n|---|---|---|---|");
    for encoding in ENCODINGS {
        let this = std::env::current_exe().expect("our own path");
        let output = Command::new(this).args(["--load", encoding.name()]).output().expect("we run");
        print!("{}", String::from_utf8_lossy(&output.stdout));
    }
}

fn load(name: &str) {
    let before = resident();
    let start = cpu();
    let counter = Counter::named(name).expect("a known encoding");
    counter.count("unfathomable words");
    let took = cpu() - start;
    let loaded = resident() - before;
    counter.release_if_idle();
    counter.release_if_idle();
    println!("| `{name}` | {:.1} | {:.1} | {:.1} |", took * 1e3, loaded as f64 / 1024.0, (resident() - before) as f64 / 1024.0);
}

/// Texts that are slow where merging is not linear, and the longest truncation.
fn extremes() {
    println!("\n| a megabyte of | `cl100k_base`, ms | `o200k_base`, ms |\n|---|---|---|");
    let megabyte = |unit: &str| unit.repeat((1 << 20) / unit.len());
    let cases = [
        ("one letter", megabyte("a")),
        ("one blank", megabyte(" ")),
        ("line ends", megabyte("\n")),
        ("one CJK character", megabyte("一")),
        ("base64 without a break", base64::engine::general_purpose::STANDARD_NO_PAD.encode(mixed(786_432))),
        ("`{` and `<`", megabyte("{<")),
    ];
    for (name, text) in &cases {
        let took = [Encoding::Cl100kBase, Encoding::O200kBase].map(|encoding| {
            let counter = Counter::new(encoding);
            best(0.5, || counter.count(text)).1 * 1e3
        });
        println!("| {name} | {:.1} | {:.1} |", took[0], took[1]);
    }
    let counter = Counter::new(Encoding::Cl100kBase);
    let rows: String = (0..30_000).map(|n| format!("- {n}: a person with a bag passes gate {}\n", n % 7)).collect();
    let prompt = format!("You assess events.\n## Scene Analysis\n{rows}\n## Other\n{rows}\n## Output\nJSON\n");
    let (_, took) = best(0.5, || truncate(&counter, &prompt, 2_560).final_tokens);
    println!("\nTruncating a prompt of {:.1} MB to 2,560 tokens takes {:.0} ms.", prompt.len() as f64 / 1e6, took * 1e3);
}

fn mixed(len: usize) -> Vec<u8> {
    let mut state = 7u64;
    (0..len)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        })
        .collect()
}

/// The texts of this repository by kind, and prompts in JSON.
fn corpora() -> Vec<Corpus> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut all = vec![Corpus { name: "prose", texts: Vec::new() }, Corpus { name: "code", texts: Vec::new() }, Corpus { name: "JSON", texts: Vec::new() }];
    for dir in ["docs", "crates", "ui/src", "packs"] {
        collect(&root.join(dir), &mut all);
    }
    // Prose and code of others: what Cargo.lock has put on this machine.
    let folder = |variable: &str| std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = folder("CARGO_HOME").or_else(|| Some(folder("HOME")?.join(".cargo")));
    if let Some(sources) = home.map(|home| home.join("registry/src")).filter(|sources| sources.is_dir()) {
        collect(&sources, &mut all);
    }
    all[2].texts.extend(std::fs::read_to_string(root.join("ui/package-lock.json")).ok());
    all[2].texts.extend((0..400).map(detections));
    all
}

/// What a detector says about an image, as the watched pipeline puts it into prompts.
fn detections(n: usize) -> String {
    let digits = mixed(n + 400);
    let classes = ["person", "car", "dog", "bicycle", "truck", "cat"];
    let row = |m: usize| {
        let byte = |k: usize| usize::from(digits[n + m * 8 + k]);
        format!(
            r#"{{"id": "{:02x}{:02x}{:02x}", "class": "{}", "confidence": 0.{:03}, "box": [{}, {}, {}, {}], "camera": "camera_{}"}}"#,
            byte(0),
            byte(1),
            byte(2),
            classes[byte(3) % 6],
            byte(4) * 3,
            byte(5) * 7,
            byte(6) * 4,
            byte(7) * 5,
            byte(0) * 2,
            byte(1) % 20
        )
    };
    format!("{{\"detections\": [{}]}}", (0..50).map(row).collect::<Vec<_>>().join(", "))
}

fn collect(dir: &Path, corpora: &mut [Corpus]) {
    let mut entries: Vec<PathBuf> = std::fs::read_dir(dir).expect("a directory").map(|entry| entry.expect("an entry").path()).collect();
    entries.sort();
    for path in entries {
        let kind = match path.extension().and_then(|e| e.to_str()) {
            Some("md") => 0,
            Some("rs" | "ts" | "svelte") => 1,
            Some("json") => 2,
            _ if path.is_dir() => {
                collect(&path, corpora);
                continue;
            }
            _ => continue,
        };
        if corpora[kind].bytes() > CORPUS_BYTES_MAX {
            continue;
        }
        corpora[kind].texts.extend(std::fs::read_to_string(&path).ok());
    }
}

/// Name, tokens and CPU seconds of each encoding.
fn tiktoken(python: &Path, dir: &Path, corpus: &Corpus, seconds: f64) -> Vec<(String, usize, f64)> {
    for encoding in [Encoding::R50kBase, Encoding::P50kBase, Encoding::Cl100kBase, Encoding::O200kBase] {
        let line = |(token, bytes): (u32, Vec<u8>)| format!("{} {token}\n", base64::engine::general_purpose::STANDARD.encode(bytes));
        std::fs::write(dir.join(format!("{}.tiktoken", encoding.name())), encoding.tokens().into_iter().map(line).collect::<String>()).expect("a vocabulary");
    }
    let texts: Vec<u8> = corpus.texts.iter().flat_map(|text| [&(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat()).collect();
    std::fs::write(dir.join("texts"), texts).expect("the texts");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../bench/tokens/tiktoken_speed.py");
    let mut command = Command::new(python);
    command.arg(script).arg(dir).arg(dir.join("texts")).arg(seconds.to_string()).args(ENCODINGS.map(Encoding::name));
    let output = command.output().expect("Python runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = |line: &str| {
        let mut words = line.split(' ');
        Some((words.next()?.to_owned(), words.next()?.parse().ok()?, words.next()?.parse().ok()?))
    };
    text.lines().filter_map(line).collect()
}
