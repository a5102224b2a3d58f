//! Where a line changes from one to the next of its kind: the values of JSON and logfmt, the words with digits of other lines. A
//! split is a guess about what compresses well; whatever it says, gaps and values joined again are the line, byte for byte.

use memchr::{memchr, memchr2, memrchr};

/// So many values of one line are told apart; the rest of it stays text.
pub(super) const SLOTS_MAX: usize = 64;

/// A value within a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) from: usize,
    pub(super) to: usize,
    /// Where the key stands; nothing in lines without keys.
    pub(super) key: (usize, usize),
}

/// Finds the values of a line, ascending and apart from each other.
pub(super) fn split(line: &str, slots: &mut Vec<Slot>) {
    slots.clear();
    let bytes = line.as_bytes();
    if bytes.first() == Some(&b'{') {
        json(bytes, slots);
    } else if let Some(equals) = first_key(bytes) {
        logfmt(bytes, equals, slots);
    } else {
        words(bytes, slots);
    }
    // Bytes beyond ASCII stand only inside of values or of gaps, never cut: all borders are ASCII.
}

/// Where a quoted text ends that begins at `at`.
fn string_end(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        let found = at + memchr2(b'"', b'\\', bytes.get(at..)?)?;
        if bytes[found] == b'"' {
            return Some(found);
        }
        at = found + 2;
    }
}

fn skip_spaces(bytes: &[u8], mut at: usize) -> usize {
    while bytes.get(at) == Some(&b' ') {
        at += 1;
    }
    at
}

fn json(bytes: &[u8], slots: &mut Vec<Slot>) {
    let (mut at, mut key) = (0, (0, 0));
    while let Some(quote) = bytes.get(at..).and_then(|rest| memchr(b'"', rest)) {
        let open = at + quote + 1;
        let Some(close) = string_end(bytes, open) else { return };
        if slots.len() >= SLOTS_MAX {
            return;
        }
        let colon = skip_spaces(bytes, close + 1);
        if bytes.get(colon) != Some(&b':') {
            slots.push(Slot { from: open, to: close, key });
            at = close + 1;
            continue;
        }
        key = (open, close);
        let value = skip_spaces(bytes, colon + 1);
        at = match bytes.get(value) {
            Some(b'"') => {
                let Some(end) = string_end(bytes, value + 1) else { return };
                slots.push(Slot { from: value + 1, to: end, key });
                end + 1
            }
            Some(b'{' | b'[') | None => value,
            Some(_) => {
                let rest = &bytes[value..];
                let end = value + rest.iter().position(|b| matches!(b, b',' | b'}' | b']' | b' ' | b'"')).unwrap_or(rest.len());
                if end > value {
                    slots.push(Slot { from: value, to: end, key });
                }
                end
            }
        };
    }
}

/// Whether the line begins with a key; returns where the key ends.
fn first_key(bytes: &[u8]) -> Option<usize> {
    let equals = memchr(b'=', bytes).filter(|at| *at > 0)?;
    bytes[..equals].iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-' | b'/')).then_some(equals)
}

fn logfmt(bytes: &[u8], mut equals: usize, slots: &mut Vec<Slot>) {
    let mut from = 0;
    while slots.len() < SLOTS_MAX {
        let key = (from + memrchr(b' ', &bytes[from..equals]).map_or(0, |space| space + 1), equals);
        let value = equals + 1;
        from = if bytes.get(value) == Some(&b'"') {
            let Some(end) = string_end(bytes, value + 1) else { return };
            slots.push(Slot { from: value + 1, to: end, key });
            end + 1
        } else {
            let end = value + memchr(b' ', &bytes[value..]).unwrap_or(bytes.len() - value);
            slots.push(Slot { from: value, to: end, key });
            end
        };
        match memchr(b'=', &bytes[from..]) {
            Some(next) => equals = from + next,
            None => return,
        }
    }
}

fn words(bytes: &[u8], slots: &mut Vec<Slot>) {
    let mut from = 0;
    while from < bytes.len() && slots.len() < SLOTS_MAX {
        let end = from + memchr(b' ', &bytes[from..]).unwrap_or(bytes.len() - from);
        if bytes[from..end].iter().any(u8::is_ascii_digit) {
            slots.push(Slot { from, to: end, key: (0, 0) });
        }
        from = end + 1;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn values(line: &str) -> Vec<(&str, &str)> {
        let mut slots = Vec::new();
        split(line, &mut slots);
        slots.iter().map(|s| (line.get(s.key.0..s.key.1).unwrap(), line.get(s.from..s.to).unwrap())).collect()
    }

    #[test]
    fn lines_of_all_kinds_are_taken_apart() {
        let json = r#"{"ts": "2026", "n":1.5,"a":{"b":"x\"y","ok":true},"l":["p","q"],"e":""}"#;
        assert_eq!(values(json), [("ts", "2026"), ("n", "1.5"), ("b", r#"x\"y"#), ("ok", "true"), ("l", "p"), ("l", "q"), ("e", "")]);
        let logfmt = r#"level=info msg="a b=c" took=3ms end="#;
        assert_eq!(values(logfmt), [("level", "info"), ("msg", "a b=c"), ("took", "3ms"), ("end", "")]);
        assert_eq!(values("GET /a took 17 ms from 10.0.0.1"), [("", "17"), ("", "10.0.0.1")]);
    }

    proptest! {
        #[test]
        fn slots_ascend_on_borders_of_characters(line in "[{\"=a1 :,üß\\\\\\[\\]}]{0,60}") {
            let mut slots = Vec::new();
            split(&line, &mut slots);
            let mut last = 0;
            for slot in &slots {
                prop_assert!(last <= slot.from && slot.from <= slot.to);
                prop_assert!(line.get(last..slot.from).is_some() && line.get(slot.from..slot.to).is_some());
                prop_assert!(line.get(slot.key.0..slot.key.1).is_some());
                last = slot.to;
            }
            prop_assert!(line.get(last..).is_some());
        }
    }
}
