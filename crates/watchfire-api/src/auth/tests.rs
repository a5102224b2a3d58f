//! Tests of access: every level against every proof, log-in, sessions, the first token.
