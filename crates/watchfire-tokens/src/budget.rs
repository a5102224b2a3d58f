//! How much of a model's window a prompt may fill, and whether one does. Nothing here counts or shortens.

/// The window and the reserve of the assistant's production model, which are the defaults.
pub const CONTEXT_WINDOW: usize = 131_072;
/// What is kept free for the answer.
pub const MAX_OUTPUT_TOKENS: usize = 1_536;
/// Filled to more than this share, a prompt is worth a warning.
pub const WARNING_THRESHOLD: f64 = 0.80;

/// Why a budget is none.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq)]
pub enum BudgetError {
    /// Nothing is left for a prompt.
    #[error("cannot keep {reserve} tokens for the answer in a window of {window}: nothing is left for the prompt")]
    NoRoom {
        /// The window.
        window: usize,
        /// What the answer was to have.
        reserve: usize,
    },
    /// A share is expected.
    #[error("cannot warn above a share of {0}: it must lie between 0 and 1")]
    Threshold(f64),
}

/// A model's window, divided between prompt and answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Budget {
    window: usize,
    reserve: usize,
    threshold: f64,
}

impl Default for Budget {
    fn default() -> Budget {
        Budget { window: CONTEXT_WINDOW, reserve: MAX_OUTPUT_TOKENS, threshold: WARNING_THRESHOLD }
    }
}

impl Budget {
    /// A window of so many tokens, of which some are kept for the answer. Above `threshold`, a share of what is left for the prompt,
    /// a prompt is worth a warning.
    pub fn new(window: usize, reserve: usize, threshold: f64) -> Result<Budget, BudgetError> {
        if reserve >= window {
            return Err(BudgetError::NoRoom { window, reserve });
        }
        if !(0.0..=1.0).contains(&threshold) {
            return Err(BudgetError::Threshold(threshold));
        }
        Ok(Budget { window, reserve, threshold })
    }
    /// All tokens the model can hold, prompt and answer together.
    pub fn context_window(&self) -> usize {
        self.window
    }
    /// What is kept for the answer.
    pub fn max_output_tokens(&self) -> usize {
        self.reserve
    }
    /// What a prompt may have.
    pub fn available_for_prompt(&self) -> usize {
        self.window - self.reserve
    }
    /// The share above which a prompt is worth a warning.
    pub fn warning_threshold(&self) -> f64 {
        self.threshold
    }
    /// The same in tokens: with more than so many, a prompt is worth a warning.
    pub fn warning_tokens(&self) -> usize {
        (self.available_for_prompt() as f64 * self.threshold) as usize
    }
    /// The share of what is available that so many tokens fill; above 1 when they do not fit.
    pub fn utilization(&self, tokens: usize) -> f64 {
        tokens as f64 / self.available_for_prompt() as f64
    }
    /// Whether so many tokens fit, and how well.
    pub fn validate(&self, tokens: usize) -> Validation {
        let utilization = self.utilization(tokens);
        let available = self.available_for_prompt();
        Validation { tokens, available, utilization, is_valid: tokens <= available, is_high: utilization > self.threshold }
    }
}

/// What is to say about the size of a prompt.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Validation {
    /// Tokens of the prompt.
    pub tokens: usize,
    /// Tokens it may have.
    pub available: usize,
    /// The one divided by the other.
    pub utilization: f64,
    /// Whether it fits.
    pub is_valid: bool,
    /// Whether it fills more than the warning threshold.
    pub is_high: bool,
}

impl Validation {
    /// A sentence for people when the prompt does not fit.
    pub fn error(&self) -> Option<String> {
        (!self.is_valid).then(|| format!("the prompt has {} tokens, and {} are available", self.tokens, self.available))
    }
    /// A sentence for people when it fills the window beyond the threshold.
    pub fn warning(&self) -> Option<String> {
        let percent = self.utilization * 100.0;
        self.is_high.then(|| format!("high context utilization: {percent:.1} % ({} of {} tokens)", self.tokens, self.available))
    }
}
