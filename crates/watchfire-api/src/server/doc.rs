//! What a route's documentation says; the OpenAPI document is made from it. No text here changes what a route does.

/// The shape of a body of JSON. What it looks like stands in `openapi/shapes.json`, which a test makes from the type and holds to it:
/// making it at run time would cost half a megabyte of the binary.
#[derive(Clone, Copy)]
pub struct Shape {
    /// Makes the schema, adding what it refers to to the generator.
    #[cfg(test)]
    pub(crate) make: fn(&mut schemars::SchemaGenerator) -> schemars::Schema,
}

#[cfg(test)]
impl Shape {
    pub(crate) fn of<T: Described>() -> Shape {
        Shape { make: |generator| generator.subschema_for::<T>() }
    }
}

#[cfg(not(test))]
impl Shape {
    #[expect(clippy::extra_unused_type_parameters, reason = "in tests it is used")]
    pub(crate) fn of<T: Described>() -> Shape {
        Shape {}
    }
}

/// A type whose shape can be described; in tests it must say how.
#[cfg(test)]
pub trait Described: schemars::JsonSchema {}
#[cfg(test)]
impl<T: schemars::JsonSchema> Described for T {}

/// A type whose shape can be described; in tests it must say how.
#[cfg(not(test))]
pub trait Described {}
#[cfg(not(test))]
impl<T> Described for T {}

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
    pub schema: Option<Shape>,
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
    pub request: Option<Shape>,
    /// Its answers.
    pub answers: Vec<Answer>,
    /// Left out of the OpenAPI document (aliases, static files).
    pub hidden: bool,
}
