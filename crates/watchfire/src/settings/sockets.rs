//! `statsd:`, `syslog:`, `gelf:`, `beats:`: where protocols are taken that are not HTTP, and with which certificates.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use watchfire_model::document::Reader;

use super::{Listen, parse_listen, read_listen};

/// All of them. Without an address there is none of that protocol.
#[derive(Debug)]
pub(crate) struct SocketSettings {
    pub(crate) statsd: Option<SocketAddr>,
    pub(crate) syslog: Option<SocketAddr>,
    /// Syslog over TLS, with its certificate.
    pub(crate) syslog_tls: Option<(SocketAddr, TlsPaths)>,
    pub(crate) gelf: Option<SocketAddr>,
    /// Lumberjack; the usual port only where we stand in for others.
    pub(crate) beats: Listen,
    pub(crate) beats_tls: Option<TlsPaths>,
}

/// Files of a certificate and its key, and of the authorities of clients where those must show one.
#[derive(Clone, Debug)]
pub(crate) struct TlsPaths {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    pub(crate) clients: Option<PathBuf>,
}

impl SocketSettings {
    /// Reads the sections.
    pub(super) fn read<'a>(section: impl Fn(&'static str) -> Reader<'a>, base: &Path) -> SocketSettings {
        let (syslog, beats) = (section("syslog"), section("beats"));
        let (tls, tls_listen) = (read_tls(&syslog, base), address(&syslog, "tls_listen"));
        if tls_listen.is_some() && tls.is_none() {
            syslog.error_at("tls_listen", "needs a certificate: syslog.tls with cert_file and key_file");
        }
        let settings = SocketSettings {
            statsd: only_listen(section("statsd")),
            syslog: address(&syslog, "listen"),
            syslog_tls: tls_listen.zip(tls),
            gelf: only_listen(section("gelf")),
            beats: read_listen(&beats, "listen"),
            beats_tls: read_tls(&beats, base),
        };
        syslog.finish();
        beats.finish();
        settings
    }
}

fn address(reader: &Reader<'_>, key: &'static str) -> Option<SocketAddr> {
    reader.text(key).and_then(|text| parse_listen(&text).map_err(|e| reader.error_at(key, e)).ok())
}

fn only_listen(section: Reader<'_>) -> Option<SocketAddr> {
    let address = address(&section, "listen");
    section.finish();
    address
}

fn read_tls(section: &Reader<'_>, base: &Path) -> Option<TlsPaths> {
    let tls = section.map("tls")?;
    let paths = TlsPaths {
        certificate: base.join(tls.required_text("cert_file")),
        key: base.join(tls.required_text("key_file")),
        clients: tls.text("client_ca_file").map(|path| base.join(path)),
    };
    for (key, path) in [("cert_file", Some(&paths.certificate)), ("key_file", Some(&paths.key)), ("client_ca_file", paths.clients.as_ref())] {
        if let (Some(_), Some(path)) = (tls.raw(key), path)
            && let Err(error) = std::fs::File::open(path)
        {
            tls.error_at(key, format!("cannot read {}: {error}", path.display()));
        }
    }
    tls.finish();
    Some(paths)
}
