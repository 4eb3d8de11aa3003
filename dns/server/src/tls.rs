//! TLS for all encrypted transports: rustls with ring, one certificate, one protocol name each.
//!
//! What must stay true: the certificate is looked up at each handshake (see [`crate::certificate`]),
//! so a new one is used without a new listener; a client that names no protocol is served, one that
//! names only others is not (RFC 7301); there is no early data, which could be replayed (RFC 9250
//! section 4.5).

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::server::ResolvesServerCert;
use tokio_rustls::TlsAcceptor;

/// DNS over TLS (IANA's registry of protocol names; RFC 7858 itself has none).
pub(crate) const DOT: &[u8] = b"dot";
/// HTTP/2 (RFC 9113).
pub(crate) const H2: &[u8] = b"h2";
/// RFC 9250 section 4.1.1.
pub(crate) const DOQ: &[u8] = b"doq";

/// The configuration for one protocol. QUIC has no version of TLS before 1.3.
pub(crate) fn config(certificate: Arc<dyn ResolvesServerCert>, protocol: &[u8]) -> Result<ServerConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider);
    let builder = if protocol == DOQ {
        builder.with_protocol_versions(&[&rustls::version::TLS13])?
    } else {
        builder.with_safe_default_protocol_versions()?
    };
    let mut config = builder.with_no_client_auth().with_cert_resolver(certificate);
    config.alpn_protocols = vec![protocol.to_vec()];
    // Clients come back often, and a resumed session spares both sides the signature.
    config.ticketer = rustls::crypto::ring::Ticketer::new()?;
    Ok(config)
}

/// The same for a stream.
pub(crate) fn acceptor(
    certificate: Arc<dyn ResolvesServerCert>,
    protocol: &[u8],
) -> Result<TlsAcceptor, rustls::Error> {
    Ok(TlsAcceptor::from(Arc::new(config(certificate, protocol)?)))
}
