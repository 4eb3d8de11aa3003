//! The server's certificate: read from its files, and read again when they change.
//!
//! What must stay true: a handshake takes the certificate of that moment from an atomic pointer;
//! files that cannot be read, or do not belong together (a new key beside an old certificate, while
//! somebody is writing them), change nothing, are told once per change, and are tried again.
//!
//! The files are looked at every few seconds. Refused: notifications of the file system. Kubernetes
//! replaces a mounted Secret by swapping a symbolic link two levels above the files, network file
//! systems notify nobody, and a certificate that is renewed days before its end does not need
//! milliseconds.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::service::{Stop, stopped};

/// How often the files are looked at.
const EVERY: Duration = Duration::from_secs(5);

/// Where the certificate is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// PEM: the server's certificate first, then those between it and the root.
    pub chain: PathBuf,
    /// PEM: its private key, PKCS #8, PKCS #1 or SEC 1.
    pub key: PathBuf,
    /// How often they are looked at.
    pub every: Duration,
}

impl CertificateFiles {
    /// These files, looked at every five seconds.
    pub fn new(chain: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        Self {
            chain: chain.into(),
            key: key.into(),
            every: EVERY,
        }
    }
}

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file cannot be read, or is not PEM.
    #[error("cannot read {path}: {reason}", path = path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The certificate or the key is of no use, or they do not belong together.
    #[error("the certificate in {chain} cannot be used with the key in {key}", chain = chain.display(), key = key.display())]
    Pair {
        /// The certificate's file.
        chain: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What TLS says.
        source: rustls::Error,
    },
    /// TLS cannot be set up.
    #[error("cannot set up TLS")]
    Tls(#[from] rustls::Error),
}

impl CertificateFiles {
    fn read(&self) -> Result<CertifiedKey, CertificateError> {
        let file = |path: &PathBuf, reason: String| CertificateError::File {
            path: path.clone(),
            reason,
        };
        let chain: Vec<_> = CertificateDer::pem_file_iter(&self.chain)
            .and_then(Iterator::collect)
            .map_err(|error| file(&self.chain, error.to_string()))?;
        if chain.is_empty() {
            return Err(file(&self.chain, "there is no certificate in it".to_owned()));
        }
        let key = PrivateKeyDer::from_pem_file(&self.key).map_err(|error| file(&self.key, error.to_string()))?;
        let provider = rustls::crypto::ring::default_provider();
        CertifiedKey::from_der(chain, key, &provider).map_err(|source| CertificateError::Pair {
            chain: self.chain.clone(),
            key: self.key.clone(),
            source,
        })
    }

    /// What tells one version of the files from the next.
    fn stamp(&self) -> [Option<(SystemTime, u64)>; 2] {
        [&self.chain, &self.key].map(|path| {
            let data = fs::metadata(path).ok()?;
            Some((data.modified().ok()?, data.len()))
        })
    }
}

/// The certificate of this moment.
#[derive(Debug)]
pub(crate) struct Certificate {
    files: CertificateFiles,
    current: ArcSwap<CertifiedKey>,
}

impl Certificate {
    pub(crate) fn load(files: CertificateFiles) -> Result<Arc<Self>, CertificateError> {
        let current = ArcSwap::from_pointee(files.read()?);
        Ok(Arc::new(Self { files, current }))
    }

    /// Looks at the files until the end.
    pub(crate) async fn watch(self: Arc<Self>, mut stop: Stop) {
        let mut seen = self.files.stamp();
        let mut good = true;
        loop {
            tokio::select! {
                () = tokio::time::sleep(self.files.every) => {}
                () = stopped(&mut stop) => return,
            }
            let this = self.clone();
            // Files may be on a slow network.
            let looked = tokio::task::spawn_blocking(move || this.look(seen, good)).await;
            (seen, good) = looked.unwrap_or((seen, good));
        }
    }

    /// Reads the files if they differ from what was seen, or were no good.
    fn look(&self, seen: [Option<(SystemTime, u64)>; 2], good: bool) -> ([Option<(SystemTime, u64)>; 2], bool) {
        let stamp = self.files.stamp();
        if stamp == seen && good {
            return (seen, good);
        }
        match self.files.read() {
            Ok(new) => {
                self.current.store(Arc::new(new));
                tracing::info!(file = %self.files.chain.display(), "a new certificate is in use");
                (stamp, true)
            }
            Err(error) => {
                if stamp != seen {
                    let reason = std::error::Error::source(&error).map(ToString::to_string);
                    tracing::warn!(%error, reason, "the certificate before stays in use");
                }
                (stamp, false)
            }
        }
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load_full())
    }
}
