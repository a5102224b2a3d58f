//! Names of queues and of the places where their dead letters lie. Names only: which queues exist is a setting.

use std::fmt;
use std::sync::Arc;

/// The longest name of a queue, in bytes.
const NAME_BYTES_MAX: usize = 64;

/// The name of a queue of jobs: letters, digits, `_`, `-` and `.`, so that it can stand in a path, a label and a Redis key.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct QueueName(Arc<str>);
impl QueueName {
    /// The name, if it is one.
    pub fn new(text: &str) -> Option<QueueName> {
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        (!text.is_empty() && text.len() <= NAME_BYTES_MAX && text.chars().all(fits)).then(|| QueueName(text.into()))
    }
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
impl fmt::Display for QueueName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A place of dead letters.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DeadQueue {
    /// `dlq:<queue>`: jobs that failed too often.
    Failed(QueueName),
    /// `dlq:overflow:<queue>`: jobs that had to leave a full queue.
    Overflow(QueueName),
}
impl DeadQueue {
    /// The queue that its jobs came from.
    pub fn origin(&self) -> &QueueName {
        let (DeadQueue::Failed(queue) | DeadQueue::Overflow(queue)) = self;
        queue
    }
}
impl fmt::Display for DeadQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DeadQueue::Failed(queue) => write!(f, "dlq:{queue}"),
            DeadQueue::Overflow(queue) => write!(f, "dlq:overflow:{queue}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (text, good) in [("detection_queue", true), ("a-b.c", true), ("", false), ("dlq:x", false), ("a b", false), ("ü", false)] {
            assert_eq!(QueueName::new(text).is_some(), good, "{text}");
        }
        assert!(QueueName::new(&"x".repeat(65)).is_none());
        let queue = QueueName::new("detection_queue").unwrap();
        assert_eq!(DeadQueue::Failed(queue.clone()).to_string(), "dlq:detection_queue");
        assert_eq!(DeadQueue::Overflow(queue).to_string(), "dlq:overflow:detection_queue");
    }
}
