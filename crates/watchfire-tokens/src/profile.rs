//! The models that the watched pipeline is deployed with, and what they need. Data only.

/// One way to deploy the language model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Profile {
    /// What it is called in settings.
    pub name: &'static str,
    /// The model.
    pub model: &'static str,
    /// Its window, in tokens.
    pub context_window: usize,
    /// GPU memory it takes, in gigabytes, roughly.
    pub gpu_memory_gb: f64,
}

/// The documented profiles.
pub const PROFILES: [Profile; 2] = [
    Profile { name: "production", model: "Nemotron-3-Nano-30B-A3B", context_window: 131_072, gpu_memory_gb: 14.7 },
    Profile { name: "development", model: "Nemotron Mini 4B Instruct", context_window: 4_096, gpu_memory_gb: 3.0 },
];

impl Profile {
    /// The profile of a name.
    pub fn named(name: &str) -> Option<Profile> {
        PROFILES.into_iter().find(|profile| profile.name == name)
    }
}
