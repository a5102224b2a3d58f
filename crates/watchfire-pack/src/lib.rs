//! Reads packs and catalogs and checks their shape: data about metrics, no code. It stores and serves nothing.
//!
//! A catalog declares metric families once: name, type, unit, help, labels with the values they may have, buckets, and
//! who produces them. The format is described in `docs/reference/catalogs.md`; the shipped files are in `packs/`.

pub mod catalog;
pub mod dashboards;
pub mod packed;
pub mod rules;
