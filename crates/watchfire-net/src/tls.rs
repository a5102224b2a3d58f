//! TLS on both sides with rustls and ring: what a client trusts, what a server shows. No file is watched here; whoever
//! configured a file reads it and calls again when it changed.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme};

use crate::secret::Secret;

/// What a client brings to the handshake. PEM texts, not file names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientTls {
    /// The authorities to trust instead of the system's.
    pub ca_pem: Option<Secret>,
    /// Our certificate and its key.
    pub identity_pem: Option<(Secret, Secret)>,
    /// The name that the other side must prove, instead of the host's.
    pub server_name: Option<String>,
    /// Whether anybody is believed.
    pub insecure_skip_verify: bool,
}

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A PEM text does not hold what it should.
    #[error("cannot read {what} from PEM: {reason}")]
    Pem {
        /// What was looked for.
        what: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// The parts do not fit together.
    #[error("cannot set up TLS")]
    Setup(#[from] rustls::Error),
    /// The system has no authorities to trust.
    #[error("cannot load the system's certificate authorities: {0}")]
    Roots(String),
    /// Nothing can be asked of clients.
    #[error("cannot set up the check of clients' certificates: {0}")]
    Clients(String),
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn certificates(pem: &Secret, what: &'static str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.expose().as_bytes()).collect();
    match found {
        Ok(list) if list.is_empty() => Err(TlsError::Pem { what, reason: "there is none".to_owned() }),
        Ok(list) => Ok(list),
        Err(e) => Err(TlsError::Pem { what, reason: e.to_string() }),
    }
}

fn key(pem: &Secret) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(pem.expose().as_bytes()).map_err(|e| TlsError::Pem { what: "a private key", reason: e.to_string() })
}

/// The client's side. Loads the system's authorities when no others are given, so call it only when TLS is really used.
pub fn client_config(tls: &ClientTls) -> Result<ClientConfig, TlsError> {
    let builder = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
    let builder = if tls.insecure_skip_verify {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(BelieveAnybody(provider())))
    } else {
        builder.with_root_certificates(roots(tls.ca_pem.as_ref())?)
    };
    Ok(match &tls.identity_pem {
        Some((certificate, private)) => builder.with_client_auth_cert(certificates(certificate, "a client certificate")?, key(private)?)?,
        None => builder.with_no_client_auth(),
    })
}

fn roots(ca_pem: Option<&Secret>) -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    match ca_pem {
        Some(pem) => {
            for certificate in certificates(pem, "a certificate authority")? {
                store.add(certificate)?;
            }
        }
        None => {
            let found = rustls_native_certs::load_native_certs();
            store.add_parsable_certificates(found.certs);
            if store.is_empty() {
                return Err(TlsError::Roots(found.errors.first().map_or_else(|| "there are none".to_owned(), ToString::to_string)));
            }
        }
    }
    Ok(store)
}

/// The server's side: a certificate chain and its key.
pub fn server_config(certificate_pem: &Secret, key_pem: &Secret) -> Result<ServerConfig, TlsError> {
    server_config_asking(certificate_pem, key_pem, None)
}

/// The same; where there are authorities, clients must show a certificate that one of them has signed.
pub fn server_config_asking(certificate_pem: &Secret, key_pem: &Secret, clients_pem: Option<&Secret>) -> Result<ServerConfig, TlsError> {
    let builder = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
    let builder = match clients_pem {
        None => builder.with_no_client_auth(),
        Some(pem) => {
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots(Some(pem))?), provider()).build();
            builder.with_client_cert_verifier(verifier.map_err(|e| TlsError::Clients(e.to_string()))?)
        }
    };
    let mut config = builder.with_single_cert(certificates(certificate_pem, "a certificate")?, key(key_pem)?)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// Checks signatures, so that the handshake is sound, but no name and no chain: `insecure_skip_verify`.
#[derive(Debug)]
struct BelieveAnybody(Arc<CryptoProvider>);
impl ServerCertVerifier for BelieveAnybody {
    fn verify_server_cert(
        &self,
        _certificate: &CertificateDer<'_>,
        _chain: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests;
