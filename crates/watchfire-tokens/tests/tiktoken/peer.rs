//! A Python with tiktoken, kept beside the build, and what it says about texts.

use std::path::{Path, PathBuf};
use std::process::Command;

use watchfire_tokens::Encoding;

const PACKAGE: &str = "tiktoken==0.14.0";

/// The interpreter. `None`, loudly, where the package cannot be had. Made once per build directory.
pub(crate) fn python() -> Option<PathBuf> {
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).parent()?.join("tiktoken-python");
    let python = home.join("bin/python");
    let ready = home.join("ready");
    if std::fs::read_to_string(&ready).is_ok_and(|had| had == PACKAGE) {
        return Some(python);
    }
    let succeeds = |command: &mut Command| command.output().is_ok_and(|output| output.status.success());
    let made = succeeds(Command::new("python3").args(["-m", "venv"]).arg(&home))
        && succeeds(Command::new(&python).args(["-m", "pip", "install", "-q", "--disable-pip-version-check", PACKAGE]));
    if !made || std::fs::write(&ready, PACKAGE).is_err() {
        eprintln!("SKIPPED: tiktoken for Python cannot be installed");
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

/// Encodes the texts with every encoding.
pub(crate) fn encode(python: &Path, texts: &[String], file: impl Fn(Encoding) -> Vec<u8>) -> Answers {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("tiktoken-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("a directory");
    for encoding in [Encoding::R50kBase, Encoding::P50kBase, Encoding::Cl100kBase, Encoding::O200kBase] {
        std::fs::write(dir.join(format!("{}.tiktoken", encoding.name())), file(encoding)).expect("a vocabulary");
    }
    let lengths_and_texts = texts.iter().flat_map(|text| [&(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat());
    std::fs::write(dir.join("texts"), lengths_and_texts.collect::<Vec<u8>>()).expect("the texts");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tiktoken/peer.py");
    let output = Command::new(python).arg(script).arg(&dir).arg(dir.join("texts")).arg(dir.join("out")).output().expect("Python runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let numbers = std::fs::read(dir.join("out")).expect("answers");
    std::fs::remove_dir_all(&dir).expect("the directory goes");
    let numbers: Vec<u32> = numbers.chunks_exact(4).map(|n| u32::from_le_bytes([n[0], n[1], n[2], n[3]])).collect();
    Answers(numbers.into_iter())
}
