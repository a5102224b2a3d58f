//! What a script can be run on.

use watchfire_query::promql::Answer;

use crate::script::{Eval, Stored};

/// Something that keeps samples and answers queries.
pub trait Subject {
    /// What the table calls it.
    fn name(&self) -> &'static str;
    /// Forgets everything.
    fn clear(&mut self) -> Result<(), String>;
    /// Takes samples in.
    fn load(&mut self, series: &[Stored]) -> Result<(), String>;
    /// Answers a query; `query` is that of `eval` or another with the same times.
    fn ask(&mut self, eval: &Eval, query: &str) -> Outcome;
    /// Whether it keeps everything as it is given. Stores refuse histograms that cannot be, and judge anew where counters were reset.
    /// What is exact is also asked the printed query, to see that it means the same.
    fn is_exact(&self) -> bool {
        false
    }
}

/// What came of a question.
pub enum Outcome {
    /// An answer.
    Answered(Answer),
    /// An error with its message.
    Failed(String),
    /// It cannot be asked this way.
    Skipped,
}
