//! Reads packs and catalogs and checks their shape: data about metrics, no code. It stores and serves nothing.
