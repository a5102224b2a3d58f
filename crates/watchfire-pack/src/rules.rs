//! The rule files and service level objectives of the shipped packs, as texts: what they mean is read where rules are.

/// One file of rules or objectives.
#[derive(Clone, Copy, Debug)]
pub struct RuleText {
    /// The pack that it belongs to.
    pub pack: &'static str,
    /// Where it lies in the repository.
    pub path: &'static str,
    /// What stands in it.
    pub text: &'static str,
}

/// All rule files, by path.
pub const BUILTIN: &[RuleText] = include!(concat!(env!("OUT_DIR"), "/rules.rs"));
/// All files of objectives, by path.
pub const SLOS: &[RuleText] = include!(concat!(env!("OUT_DIR"), "/slos.rs"));
