//! A Python with tiktoken and tokenizers, kept beside the build, and what they say about texts.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use watchfire_tokens::Encoding;

const PACKAGES: [&str; 2] = ["tiktoken==0.14.0", "tokenizers==0.23.3"];

/// So many texts are enough for encodings that are others by name only.
pub(crate) const ALIAS_TEXTS: usize = 2_000;

/// The interpreter. `None`, loudly, where the packages cannot be had. Made once per build directory.
pub(crate) fn python() -> Option<PathBuf> {
    static MADE: std::sync::OnceLock<Option<PathBuf>> = std::sync::OnceLock::new();
    MADE.get_or_init(make).clone()
}

fn make() -> Option<PathBuf> {
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).parent()?.join("tokens-python");
    let python = home.join("bin/python");
    let ready = home.join("ready");
    let packages = PACKAGES.join("\n");
    if std::fs::read_to_string(&ready).is_ok_and(|had| had == packages) {
        return Some(python);
    }
    let succeeds = |command: &mut Command| command.output().is_ok_and(|output| output.status.success());
    let made = succeeds(Command::new("python3").args(["-m", "venv"]).arg(&home))
        && succeeds(Command::new(&python).args(["-m", "pip", "install", "-q", "--disable-pip-version-check"]).args(PACKAGES));
    if !made || std::fs::write(&ready, packages).is_err() {
        eprintln!("SKIPPED: tiktoken and tokenizers for Python cannot be installed");
        return None;
    }
    Some(python)
}

/// Numbers in the order in which they are asked for.
pub(crate) struct Answers(std::vec::IntoIter<u32>);
impl Answers {
    pub(crate) fn next_tokens(&mut self) -> Vec<u32> {
        let count = self.0.next().expect("an answer for every text");
        self.0.by_ref().take(count as usize).collect()
    }
    pub(crate) fn is_at_end(&self) -> bool {
        self.0.len() == 0
    }
}

/// A directory that goes with its owner, with the texts in a file.
struct Scratch(PathBuf);
impl Scratch {
    fn new(name: &str, texts: &[String]) -> Scratch {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("a directory");
        let lengths_and_texts = texts.iter().flat_map(|text| [&(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat());
        std::fs::write(dir.join("texts"), lengths_and_texts.collect::<Vec<u8>>()).expect("the texts");
        Scratch(dir)
    }
    fn run(&self, python: &Path, script: &str, arguments: &[&Path]) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers").join(script);
        let output = Command::new(python).arg(script).args(arguments).output().expect("Python runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    fn answers(&self, file: &str) -> Answers {
        let numbers = std::fs::read(self.0.join(file)).expect("answers");
        let numbers: Vec<u32> = numbers.chunks_exact(4).map(|n| u32::from_le_bytes([n[0], n[1], n[2], n[3]])).collect();
        Answers(numbers.into_iter())
    }
}
impl Drop for Scratch {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// Encodes the texts with every encoding of tiktoken.
pub(crate) fn tiktoken(python: &Path, texts: &[String], file: impl Fn(Encoding) -> Vec<u8>) -> Answers {
    let scratch = Scratch::new("tiktoken", texts);
    for encoding in [Encoding::R50kBase, Encoding::P50kBase, Encoding::Cl100kBase, Encoding::O200kBase] {
        std::fs::write(scratch.0.join(format!("{}.tiktoken", encoding.name())), file(encoding)).expect("a vocabulary");
    }
    scratch.run(python, "encode_tiktoken.py", &[&scratch.0, &scratch.0.join("texts"), &scratch.0.join("out")]);
    scratch.answers("out")
}

/// Trains tokenizers of every family on a text and encodes the texts: name, `tokenizer.json` and answers of each.
pub(crate) fn huggingface(python: &Path, training: &str, texts: &[String]) -> BTreeMap<String, (Vec<u8>, Answers)> {
    let scratch = Scratch::new("huggingface", texts);
    std::fs::write(scratch.0.join("training"), training).expect("the training text");
    scratch.run(python, "train_huggingface.py", &[&scratch.0.join("training"), &scratch.0.join("texts"), &scratch.0]);
    let files = std::fs::read_dir(&scratch.0).expect("the directory").map(|entry| entry.expect("an entry").path());
    let names = files.filter(|path| path.extension().is_some_and(|e| e == "json")).filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()));
    names
        .map(|name| (name.clone(), (std::fs::read(scratch.0.join(format!("{name}.json"))).expect("a tokenizer"), scratch.answers(&format!("{name}.out")))))
        .collect()
}
