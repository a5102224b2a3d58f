//! The keys of HTTP clients among other keys, with files looked up as this configuration looks them up. What the keys are is
//! known to `watchfire_net::client`.

use watchfire_model::document::Reader;
use watchfire_net::client::{HttpOptions, TlsOptions, read_http_options, read_tls_options};

use crate::discovery::glob::Lookup;

/// Reads the shared keys from among the keys of a job.
pub(super) fn read(reader: &Reader<'_>, lookup: &Lookup) -> HttpOptions {
    read_http_options(reader, &|path| lookup.file(path))
}

/// Reads `tls_config`.
pub(super) fn read_tls(reader: &Reader<'_>, lookup: &Lookup) -> TlsOptions {
    read_tls_options(reader, "tls_config", &|path| lookup.file(path))
}
