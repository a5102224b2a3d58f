//! The dashboards of the shipped packs, as texts in Grafana's JSON: what they mean is read where dashboards are.

use crate::packed::PackedText;

/// All dashboards, by path.
pub const BUILTIN: &[PackedText] = include!(concat!(env!("OUT_DIR"), "/dashboards.rs"));
