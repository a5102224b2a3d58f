//! What is asked for as text: `process_cpu:cpu:nanoseconds:cpu:nanoseconds{service_name="backend"}`, where either half may be missing.

use watchfire_model::matcher::Matcher;
use watchfire_model::profiles::{ProfileType, key};

use crate::promql::parse_selector;

/// The longest text that is read.
const TEXT_BYTES_MAX: usize = 16 << 10;

/// Why a text selects nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectorError {
    /// It is too long.
    #[error("the query is {0} bytes long, more than {TEXT_BYTES_MAX}")]
    Long(usize),
    /// What stands before the brace is no type.
    #[error("profile-type selection must be of the form <name>:<type>:<unit>:<period-type>:<period-unit>, not {0:?}")]
    Type(String),
    /// The rest are no matchers.
    #[error("cannot read the label selector: {0}")]
    Matchers(String),
}

/// Reads a selector with or without a type before it.
pub fn parse(text: &str) -> Result<Vec<Matcher>, SelectorError> {
    let text = text.trim();
    let (kind, selector) = text.split_at(text.find('{').unwrap_or(text.len()));
    with_type(kind.trim(), selector)
}

/// Reads a type and a selector, of which either may be empty.
pub fn with_type(kind: &str, selector: &str) -> Result<Vec<Matcher>, SelectorError> {
    if kind.len() + selector.len() > TEXT_BYTES_MAX {
        return Err(SelectorError::Long(kind.len() + selector.len()));
    }
    let mut matchers = Vec::new();
    if !kind.is_empty() {
        let known = ProfileType::parse(kind).ok_or_else(|| SelectorError::Type(watchfire_model::text::shortened(kind).into_owned()))?;
        matchers.push(Matcher::equal(key::PROFILE_TYPE, &known.to_string()));
    }
    let inner = match selector.trim() {
        "" => return Ok(matchers),
        text => text.strip_prefix('{').ok_or_else(|| SelectorError::Matchers("expected an opening brace".to_owned()))?,
    };
    // Every profile has a type; a metric's selector has to exclude something, one of profiles does not.
    let whole = format!("{{{}!=\"\",{inner}", key::PROFILE_TYPE);
    let read = parse_selector(&whole).map_err(|error| SelectorError::Matchers(error.to_string()))?;
    matchers.extend(read.into_iter().skip(1));
    Ok(matchers)
}
