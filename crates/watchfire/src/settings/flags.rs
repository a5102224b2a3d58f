//! What the command line says, which goes before everything else. Not the flags' syntax: that is the command line's.

use super::{Context, Flags, Settings, parse_listen};

/// Puts what was given in flags into the settings.
pub(super) fn apply(settings: &mut Settings, flags: &Flags, context: &Context) {
    let server = &mut settings.server;
    if let Some(text) = &flags.listen {
        match parse_listen(text) {
            Ok(address) => (server.listen, server.listen_explicit) = (address, true),
            Err(e) => context.error(0, 0, format!("--listen {e}")),
        }
    }
    if let Some(dir) = &flags.data_dir {
        server.data_dir.clone_from(dir);
    }
    server.insecure_no_auth |= flags.insecure_no_auth;
    settings.drop_in |= flags.drop_in;
    if flags.monitoring_dir.is_some() {
        settings.monitoring_dir.clone_from(&flags.monitoring_dir);
    }
    if let Some(text) = &flags.memory_limit {
        match watchfire_model::duration::parse_bytes(text) {
            Some(limit) if limit >= 32 << 20 => settings.memory_limit = limit,
            _ => context.error(0, 0, format!("--memory-limit must be a size of at least 32MB such as 256MB, not {text:?}")),
        }
    }
}
