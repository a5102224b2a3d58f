//! Bombs and lies, against every encoding.
