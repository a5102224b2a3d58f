//! What a route's documentation says; the OpenAPI document is made from it. No text here changes what a route does.

use schemars::{Schema, SchemaGenerator};

/// Makes the schema of a body, adding what it refers to to the generator.
pub type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// Where a parameter stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the query string (and, for form routes, in the form).
    Query,
    /// In the path.
    Path,
    /// In a header.
    Header,
}
impl Place {
    /// OpenAPI's word.
    pub fn word(self) -> &'static str {
        match self {
            Place::Query => "query",
            Place::Path => "path",
            Place::Header => "header",
        }
    }
}

/// A parameter of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// Where it stands.
    pub place: Place,
    /// Whether it must be there.
    pub required: bool,
    /// Its JSON type: `string`, `integer`, `number`, `boolean`, `array`.
    pub kind: &'static str,
    /// What it means.
    pub description: &'static str,
}

/// A possible answer.
#[derive(Clone, Copy)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// When it is given.
    pub description: &'static str,
    /// The media type of its body.
    pub content_type: &'static str,
    /// The shape of its body, if it is worth describing.
    pub schema: Option<SchemaOf>,
}

/// The documentation of a route.
#[derive(Clone, Default)]
pub struct Doc {
    /// One line.
    pub summary: &'static str,
    /// More, if there is more to say.
    pub description: &'static str,
    /// The group it belongs to.
    pub tag: &'static str,
    /// Its parameters.
    pub parameters: Vec<Parameter>,
    /// The shape of the request's body.
    pub request: Option<SchemaOf>,
    /// Its answers.
    pub answers: Vec<Answer>,
    /// Left out of the OpenAPI document (aliases, static files).
    pub hidden: bool,
}
