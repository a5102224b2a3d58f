//! The behaviours of supervision, each by its id.
