//! `TokenCounter`: what the watched pipeline asks about its prompts, with one counter, one budget and one place for what is seen.
//! Tells every checked prompt as metrics and warns in the log. Knows nobody who sends prompts.

use std::sync::Arc;

use watchfire_model::observe::Observe;

use crate::budget::{Budget, Validation};
use crate::counter::Counter;
use crate::prompt::{Truncation, truncate};

/// Counts, checks and shortens prompts. Share it in an `Arc`; every method may be called from any thread.
pub struct TokenCounter {
    counter: Counter,
    budget: Budget,
    truncation: bool,
    observe: Arc<dyn Observe>,
}

/// A prompt that was made ready to be sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Prepared {
    /// What was found before anything was done.
    pub validation: Validation,
    /// What was done, when it was too long and may be shortened.
    pub truncation: Option<Truncation>,
}

impl TokenCounter {
    /// A counter with a budget. `truncation` says whether `prepare` may shorten prompts; what is seen goes to `observe`.
    pub fn new(counter: Counter, budget: Budget, truncation: bool, observe: Arc<dyn Observe>) -> TokenCounter {
        TokenCounter { counter, budget, truncation, observe }
    }
    /// What counts.
    pub fn counter(&self) -> &Counter {
        &self.counter
    }
    /// The window and its parts.
    pub fn budget(&self) -> Budget {
        self.budget
    }
    /// Whether `prepare` may shorten prompts.
    pub fn is_truncating(&self) -> bool {
        self.truncation
    }
    /// The tokens of a text.
    pub fn count(&self, text: &str) -> usize {
        self.counter.count(text)
    }

    /// Whether a prompt fits, and how well. Told as metrics; beyond the threshold as a warning too. Nothing is refused.
    pub fn validate(&self, prompt: &str) -> Validation {
        self.validate_for(None, prompt)
    }

    /// The same for a prompt to a model, whose newest utilization is told too.
    pub fn validate_for(&self, model: Option<&str>, prompt: &str) -> Validation {
        let validation = self.budget.validate(self.counter.count(prompt));
        self.observe.observe("hsi_llm_context_utilization", &[], validation.utilization);
        self.observe.observe("hsi_prompt_tokens", &[], validation.tokens as f64);
        if let Some(model) = model {
            self.observe.observe("hsi_llm_context_utilization_ratio", &[("model", model)], validation.utilization);
        }
        if validation.is_high {
            self.observe.observe("hsi_prompts_high_utilization_total", &[], 1.0);
            tracing::warn!(
                tokens = validation.tokens,
                available = validation.available,
                utilization = validation.utilization,
                "context utilization is above the warning threshold"
            );
        }
        validation
    }

    /// Shortens a prompt to so many tokens, or to what the budget leaves.
    pub fn truncate(&self, prompt: &str, max_tokens: Option<usize>) -> Truncation {
        let max_tokens = max_tokens.unwrap_or(self.budget.available_for_prompt());
        let done = truncate(&self.counter, prompt, max_tokens);
        if done.was_truncated() {
            self.observe.observe("hsi_prompts_truncated_total", &[], 1.0);
            for section in &done.sections_removed {
                self.observe.observe("hsi_prompt_truncated_total", &[("section_name", section)], 1.0);
            }
            tracing::warn!(
                original_tokens = done.original_tokens,
                final_tokens = done.final_tokens,
                max_tokens,
                sections_removed = done.sections_removed.join(","),
                cut = done.was_cut,
                "prompt truncated to fit the context window"
            );
        }
        done
    }

    /// What is done before a prompt is sent: it is checked, and shortened when it does not fit and that is wanted.
    pub fn prepare(&self, prompt: &str) -> Prepared {
        let validation = self.validate(prompt);
        let truncation = (!validation.is_valid && self.truncation).then(|| self.truncate(prompt, None));
        Prepared { validation, truncation }
    }
}
