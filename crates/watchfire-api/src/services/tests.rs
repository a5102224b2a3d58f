//! Tests of the face of supervision.
