//! The seam between faces that stand in for exporters and the rooms that look: a question with its parameters, families or a text as the
//! answer. It knows no route and no target.

use std::time::Duration;

use crate::live::ViewFuture;
use crate::meter::Family;

/// Who asks, for what targets may be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Asker {
    /// Somebody who may look: at targets that the configuration names.
    Reader,
    /// Somebody who may do everything: at other targets, too.
    Admin,
    /// Our own configuration.
    Configuration,
}

/// One question.
#[derive(Clone, Debug)]
pub struct Question {
    /// The path below the face: `/probe`, `/metrics`.
    pub path: String,
    /// Where the face is mounted, for links: `/blackbox`, or nothing.
    pub base: &'static str,
    /// Parameters in their order; a name may come more than once.
    pub params: Vec<(String, String)>,
    /// Who asks.
    pub asker: Asker,
    /// How long whoever asks waits for the answer, if that is known.
    pub patience: Option<Duration>,
}
impl Question {
    /// The first value of a parameter, unless it is empty.
    pub fn param(&self, name: &str) -> Option<&str> {
        self.params.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }
    /// All values of a parameter.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> + 'a {
        self.params.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// What is said.
#[derive(Clone, Debug, PartialEq)]
pub enum Said {
    /// Metrics, to be rendered in the format that the client prefers.
    Families(Vec<Family>),
    /// Plain text.
    Text(String),
    /// JSON.
    Json(String),
    /// A small page.
    Html(String),
}

/// An answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    /// The status of HTTP.
    pub status: u16,
    /// What is said.
    pub said: Said,
}
impl Reply {
    /// Metrics.
    pub fn families(families: Vec<Family>) -> Reply {
        Reply { status: 200, said: Said::Families(families) }
    }
    /// A text.
    pub fn text(status: u16, text: impl Into<String>) -> Reply {
        Reply { status, said: Said::Text(text.into()) }
    }
}

/// What looks at targets when it is asked.
pub trait Exporter: Send + Sync {
    /// Answers one question.
    fn ask(&self, question: Question) -> ViewFuture<'_, Reply>;
}
