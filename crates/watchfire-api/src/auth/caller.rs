//! Who sent a request, as far as it was proven. Put into every request before its handler runs.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::request::Parts;

use super::level::{Level, Rights};

/// How a caller was recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Via {
    /// Not at all.
    Nothing,
    /// Authentication is off and the request comes from this machine.
    Loopback,
    /// Authentication is switched off for everybody by `--insecure-no-auth`.
    Insecure,
    /// The address lies in a trusted network.
    TrustedNetwork,
    /// A token.
    Token,
    /// A user name and password.
    Password,
    /// A session of the page.
    Session,
}
impl Via {
    /// The word in answers.
    pub fn word(self) -> &'static str {
        match self {
            Via::Nothing => "nothing",
            Via::Loopback => "loopback",
            Via::Insecure => "insecure",
            Via::TrustedNetwork => "trusted_network",
            Via::Token => "token",
            Via::Password => "password",
            Via::Session => "session",
        }
    }
}

/// Who sent a request. Handlers take it as an extractor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The name of the token or user, or a word for callers without a name.
    pub name: Arc<str>,
    /// What they may do.
    pub rights: Rights,
    /// How they were recognised.
    pub via: Via,
}
impl Caller {
    /// Somebody without any proof.
    pub fn anonymous() -> Caller {
        Caller { name: "anonymous".into(), rights: Rights::NONE, via: Via::Nothing }
    }
    /// Whether routes of a level are open to them.
    pub fn may(&self, level: Level) -> bool {
        self.rights.allow(level)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Caller, Self::Rejection> {
        Ok(parts.extensions.get::<Caller>().cloned().unwrap_or_else(Caller::anonymous))
    }
}
