//! The rule files of the shipped packs, as texts: what they mean is read where rules are.

/// One rule file.
#[derive(Clone, Copy, Debug)]
pub struct RuleText {
    /// The pack that it belongs to.
    pub pack: &'static str,
    /// Where it lies in the repository.
    pub path: &'static str,
    /// What stands in it.
    pub text: &'static str,
}

/// All of them, by path.
pub const BUILTIN: &[RuleText] = include!(concat!(env!("OUT_DIR"), "/rules.rs"));
