//! Every committed input, and many small changes of each, through its target. A panic anywhere is a failure; the long form is
//! `make fuzz`.

#![expect(clippy::unwrap_used, reason = "a test may stop where it stands")]

use std::path::Path;

use watchfire_fuzz::{TARGETS, Target};

/// Changed inputs per committed one.
const CHANGES: usize = 500;

/// A small random generator; the seed is fixed, so that a failure comes again.
struct Random(u64);
impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n.max(1) as u64) as usize
    }
}

/// One to four flipped, inserted, removed, doubled or extreme bytes.
fn changed(input: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len() + 1);
        match random.below(6) {
            0 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            1 => bytes.insert(at, random.below(256) as u8),
            2 if at < bytes.len() => drop(bytes.remove(at)),
            3 if at < bytes.len() => bytes[at] = [0, 0xff, 0x7f, 0x80][random.below(4)],
            4 => bytes.truncate(at),
            _ => {
                let piece = bytes.get(at..(at + random.below(16)).min(bytes.len())).unwrap_or(&[]).to_vec();
                bytes.splice(at..at, piece);
            }
        }
    }
    bytes
}

fn run(name: &str, target: Target) -> usize {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(name);
    let mut files: Vec<_> = std::fs::read_dir(&directory).unwrap_or_else(|e| panic!("{}: {e}", directory.display())).map(|e| e.unwrap().path()).collect();
    files.sort();
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for file in &files {
        let input = std::fs::read(file).unwrap();
        let outcome = std::panic::catch_unwind(|| target(&input));
        assert!(outcome.is_ok(), "{name}: {} panics", file.display());
        for _ in 0..CHANGES {
            let bytes = changed(&input, &mut random);
            let outcome = std::panic::catch_unwind(|| target(&bytes));
            assert!(outcome.is_ok(), "{name}: a change of {} panics: {:?}", file.display(), bytes.escape_ascii().to_string());
        }
    }
    files.len()
}

#[test]
fn r36_no_input_panics() {
    for (name, target) in TARGETS {
        assert!(run(name, target) >= 2, "{name} has hardly any committed input");
    }
}
