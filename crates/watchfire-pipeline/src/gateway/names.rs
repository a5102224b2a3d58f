//! Names that become labels and keys of sums: models, cameras, callers. Anybody may make up names, so each kind has a bound, beyond
//! which all are `other`.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

/// Different models that are told apart.
pub(super) const MODELS_MAX: usize = 100;
/// Different cameras.
pub(super) const CAMERAS_MAX: usize = 256;
/// Different callers.
pub(super) const CALLERS_MAX: usize = 100;
/// The longest name.
const NAME_CHARS_MAX: usize = 64;

/// What a name becomes that is one too many.
pub(super) const OTHER: &str = "other";
/// What stands where nothing was said.
pub(super) const UNKNOWN: &str = "unknown";

/// The names of one kind.
pub(super) struct Names {
    max: usize,
    known: Mutex<HashSet<Box<str>>>,
}

impl Names {
    pub(super) fn new(max: usize, known: impl IntoIterator<Item = String>) -> Names {
        Names { max, known: Mutex::new(known.into_iter().take(max).map(String::into_boxed_str).collect()) }
    }

    /// The name as it is told. A new one is taken in when `admit` says so and there is room.
    pub(super) fn told(&self, name: &str, admit: bool) -> String {
        let name = clean(name);
        if name == UNKNOWN || name == OTHER {
            return name;
        }
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.contains(name.as_str()) {
            return name;
        }
        if admit && known.len() < self.max {
            known.insert(name.as_str().into());
            return name;
        }
        OTHER.to_owned()
    }
}

/// A name without what has no place in a label.
pub(super) fn clean(name: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | ':' | '@' | '+');
    let name: String = name.trim().chars().take(NAME_CHARS_MAX).map(|c| if fits(c) { c } else { '_' }).collect();
    if name.is_empty() { UNKNOWN.to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r58_names_are_bounded() {
        let names = Names::new(3, ["kept".to_owned()]);
        assert_eq!(names.told("kept", false), "kept");
        assert_eq!(names.told("new", false), OTHER, "nobody vouches for it");
        assert_eq!(names.told(" a\n<b> ", true), "a__b_");
        assert_eq!(names.told("c", true), "c");
        assert_eq!(names.told("d", true), OTHER);
        assert_eq!(names.told("c", false), "c");
        assert_eq!(names.told("", true), UNKNOWN);
        assert_eq!(names.told(&"x".repeat(500), true), OTHER);
        assert_eq!(clean(&"é".repeat(500)).len(), 64);
    }
}
