//! TLS: an authority of the simulation's own, the server's certificate and those of clients.
//!
//! What must stay true: the certificate of a server is good for every loopback name, so a proxy on
//! another port needs none; a client certificate is believed only if this authority signed it, and
//! says who the client is as Kubernetes reads it: common name = user, organization = group.
//!
//! Refused: a library that reads certificates. What is read here was verified before, and of it only
//! the subject matters, which is seven steps into the structure.

use std::io;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

use super::access::user::User;

/// A certificate authority: servers that share one are trusted by the same clients.
#[derive(Clone)]
pub struct Authority {
    inner: Arc<Inner>,
}

struct Inner {
    certificate: String,
    issuer: Issuer<'static, KeyPair>,
    server: Arc<ServerConfig>,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Authority").finish_non_exhaustive()
    }
}

impl Authority {
    /// A new authority.
    pub fn new() -> io::Result<Authority> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, "simcluster-ca");
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let root = params.self_signed(&key).map_err(io::Error::other)?;
        let issuer = Issuer::new(params, key);
        let server = serving(&issuer, root.der().clone())?;
        Ok(Authority {
            inner: Arc::new(Inner {
                certificate: root.pem(),
                issuer,
                server: Arc::new(server),
            }),
        })
    }

    /// The authority's certificate in PEM.
    pub fn certificate(&self) -> &str {
        &self.inner.certificate
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        self.inner.server.clone().into()
    }

    /// A certificate and its key, in PEM, for a user who may be in a group.
    pub(crate) fn client(&self, user: &str, group: Option<&str>) -> io::Result<(String, String)> {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        if let Some(group) = group {
            params.distinguished_name.push(DnType::OrganizationName, group);
        }
        params.distinguished_name.push(DnType::CommonName, user);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let signed = params.signed_by(&key, &self.inner.issuer).map_err(io::Error::other)?;
        Ok((signed.pem(), key.serialize_pem()))
    }
}

fn serving(issuer: &Issuer<'_, KeyPair>, root: CertificateDer<'static>) -> io::Result<ServerConfig> {
    let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let mut params = CertificateParams::new(names).map_err(io::Error::other)?;
    params.distinguished_name.push(DnType::CommonName, "kube-apiserver");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let key = KeyPair::generate().map_err(io::Error::other)?;
    let certificate = params.signed_by(&key, issuer).map_err(io::Error::other)?;

    let provider = Arc::new(ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(root).map_err(io::Error::other)?;
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .allow_unauthenticated()
        .build()
        .map_err(io::Error::other)?;
    let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(io::Error::other)?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![certificate.der().clone()], key)
        .map_err(io::Error::other)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// The user a verified certificate was issued to.
pub(crate) fn user_of(certificate: &[u8]) -> Option<User> {
    const SEQUENCE: u8 = 0x30;
    const VERSION: u8 = 0xa0;
    let (_, certificate, _) = element(certificate)?;
    let (_, mut rest, _) = element(certificate)?;
    // Serial number, algorithm, issuer and validity stand before the subject; a version may stand first.
    if rest.first() == Some(&VERSION) {
        rest = element(rest)?.2;
    }
    for _ in 0..4 {
        rest = element(rest)?.2;
    }
    let (tag, mut subject, _) = element(rest)?;
    let mut name = None;
    let mut groups = Vec::new();
    while tag == SEQUENCE && !subject.is_empty() {
        let (_, part, others) = element(subject)?;
        subject = others;
        let (_, pair, _) = element(part)?;
        let (_, kind, value) = element(pair)?;
        let text = String::from_utf8(element(value)?.1.to_vec()).ok()?;
        match kind {
            [0x55, 0x04, 0x03] => name = Some(text),
            [0x55, 0x04, 0x0a] => groups.push(text),
            _ => {}
        }
    }
    Some(User::authenticated(&name.filter(|name| !name.is_empty())?, groups))
}

/// The first element of DER: its tag, its content, and what follows it.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, mut rest) = rest.split_first()?;
    let mut length = usize::from(first);
    if first & 0x80 != 0 {
        let count = usize::from(first & 0x7f);
        let (digits, tail) = rest.split_at_checked(count).filter(|_| count <= 4)?;
        length = digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit));
        rest = tail;
    }
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_says_who_its_holder_is() {
        let authority = Authority::new().unwrap();
        for (user, group) in [
            ("alice", None),
            ("system:node:n", Some("system:nodes")),
            ("ünï", Some("g")),
        ] {
            let params_pem = authority.client(user, group).unwrap().0;
            let body: String = params_pem.lines().filter(|line| !line.starts_with('-')).collect();
            let bytes = base64::Engine::decode(&base64::prelude::BASE64_STANDARD, body).unwrap();
            let wanted = User::authenticated(user, group.map(str::to_owned));
            assert_eq!(user_of(&bytes), Some(wanted));
            for end in 0..bytes.len() {
                // Cut anywhere, it is nobody's.
                assert_eq!(user_of(&bytes[..end]), None);
            }
        }
    }
}
