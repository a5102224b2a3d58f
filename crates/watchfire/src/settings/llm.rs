//! `llm:`, the window of the watched language model and how its prompts are counted. The variables are those of the watched
//! pipeline, so that both agree on what fits.

use std::io::Read;
use std::path::{Path, PathBuf};

use watchfire_model::document::{Context, Reader};
use watchfire_tokens::{Budget, CONTEXT_WINDOW, Counter, Encoding, MAX_OUTPUT_TOKENS, PROFILES, Profile, TOKENIZER_JSON_BYTES_MAX, WARNING_THRESHOLD};

/// `llm:`
#[derive(Debug)]
pub(crate) struct LlmSettings {
    window: usize,
    reserve: usize,
    threshold: f64,
    /// What counts.
    counter: Counter,
    /// The `tokenizer.json` that is to count instead.
    file: Option<PathBuf>,
    /// Whether prompts that do not fit are shortened.
    pub(crate) truncation: bool,
    /// The window that the model's server was started with, when that is known.
    server_window: Option<usize>,
}

impl LlmSettings {
    /// Reads the section.
    pub(super) fn read(llm: Reader<'_>, base: &Path) -> LlmSettings {
        let profile = read_profile(&llm);
        let tokens = |key| llm.u64(key).map(|tokens| usize::try_from(tokens).unwrap_or(usize::MAX));
        let file = llm.text("tokenizer").filter(|name| name.ends_with(".json") || name.contains('/')).map(|name| base.join(name));
        let settings = LlmSettings {
            window: tokens("context_window").or(profile.map(|p| p.context_window)).unwrap_or(CONTEXT_WINDOW),
            reserve: tokens("max_output_tokens").unwrap_or(MAX_OUTPUT_TOKENS),
            threshold: llm.f64("warning_threshold").unwrap_or(WARNING_THRESHOLD),
            counter: Counter::new(if file.is_some() { Encoding::Cl100kBase } else { read_encoding(&llm) }),
            file,
            truncation: read_truncation(&llm),
            server_window: tokens("server_context_window"),
        };
        llm.finish();
        settings
    }

    /// What the parts, wherever they come from, have to say together. Reads the tokenizer when it is a file.
    pub(super) fn check(&mut self, context: &Context) {
        if let Some(path) = &self.file {
            match load(path) {
                Ok(counter) => self.counter = counter,
                Err(error) => context.error(0, 0, format!("llm.tokenizer: {}: {error}", path.display())),
            }
        }
        if let Err(error) = Budget::new(self.window, self.reserve, self.threshold) {
            context.error(0, 0, format!("llm: {error}"));
        }
        if let Some(server) = self.server_window.filter(|server| *server != self.window) {
            let (window, what) = (self.window, if server < self.window { "prompts that pass the check do not fit there" } else { "a part of it is not used" });
            context.warning(
                0,
                0,
                format!("the model's server has a context of {server} tokens (CTX_SIZE), and llm.context_window is {window} (NEMOTRON_CONTEXT_WINDOW): {what}"),
            );
        }
    }

    /// The checked budget.
    pub(crate) fn budget(&self) -> Budget {
        Budget::new(self.window, self.reserve, self.threshold).unwrap_or_default()
    }

    /// What counts.
    pub(crate) fn counter(&self) -> Counter {
        self.counter.clone()
    }
}

fn load(path: &Path) -> Result<Counter, String> {
    let mut json = Vec::new();
    let file = std::fs::File::open(path).map_err(|e| format!("cannot open the file: {e}"))?;
    let read = file.take(TOKENIZER_JSON_BYTES_MAX + 1).read_to_end(&mut json).map_err(|e| format!("cannot read the file: {e}"))?;
    if read as u64 > TOKENIZER_JSON_BYTES_MAX {
        return Err(format!("cannot read more than {TOKENIZER_JSON_BYTES_MAX} bytes"));
    }
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    Counter::from_tokenizer_json(&name, &json).map_err(|error| error.to_string())
}

fn read_profile(llm: &Reader<'_>) -> Option<Profile> {
    llm.word("profile", &PROFILES.map(|profile| profile.name)).and_then(Profile::named)
}

/// The pipeline falls back on the usual encoding when it does not know one, and so do we; but we say so.
fn read_encoding(llm: &Reader<'_>) -> Encoding {
    let Some(name) = llm.text("tokenizer") else { return Encoding::Cl100kBase };
    Encoding::named(&name).unwrap_or_else(|| {
        let known = Encoding::ALL.map(Encoding::name).join(", ");
        llm.warning_at("tokenizer", format!("{name:?} is no encoding, cl100k_base is used; known are {known}"));
        Encoding::Cl100kBase
    })
}

/// The pipeline takes 1 and 0 too.
fn read_truncation(llm: &Reader<'_>) -> bool {
    match llm.raw("truncation").and_then(|node| node.text()) {
        Some("1") => true,
        Some("0") => false,
        _ => llm.bool("truncation").unwrap_or(true),
    }
}
