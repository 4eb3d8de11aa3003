//! Why the server cannot listen, in words that say what to do about it.

use std::io;
use std::net::SocketAddr;

use crate::{CertificateError, Transport};

/// Why the server cannot listen, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Nothing to do.
    #[error("no address to listen on; give one with --dns, such as --dns 127.0.0.1:5353")]
    NoAddress,
    /// Another program has the port.
    #[error("cannot listen on {address} over {transport}: {os}; stop what uses the port, or choose another with --dns")]
    InUse {
        /// The address asked for.
        address: SocketAddr,
        /// Which of them.
        transport: Transport,
        /// What the operating system said.
        os: io::Error,
    },
    /// Low ports need a privilege.
    #[error(
        "cannot listen on {address} over {transport}: {os}; choose a port above 1023 with --dns, \
         or give the program the capability CAP_NET_BIND_SERVICE"
    )]
    Permission {
        /// The address asked for.
        address: SocketAddr,
        /// Which of them.
        transport: Transport,
        /// What the operating system said.
        os: io::Error,
    },
    /// The address is not one of this machine.
    #[error("cannot listen on {address} over {transport}: {os}; give an address of this machine with --dns")]
    NotLocal {
        /// The address asked for.
        address: SocketAddr,
        /// Which of them.
        transport: Transport,
        /// What the operating system said.
        os: io::Error,
    },
    /// An encrypted listener without a certificate.
    #[error(
        "cannot listen on {address} over {transport} without a certificate; give its files with --dns-certificate and --dns-key"
    )]
    NoCertificate {
        /// The address asked for.
        address: SocketAddr,
        /// What was to be spoken there.
        transport: Transport,
    },
    /// QUIC's datagrams carry no PROXY header.
    #[error("the listener on {address} speaks QUIC, which knows no PROXY header; leave the trusted senders out")]
    ProxiedQuic {
        /// The address asked for.
        address: SocketAddr,
    },
    /// There is no usable certificate.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// Anything else.
    #[error("cannot listen on {address} over {transport}: {os}")]
    Other {
        /// The address asked for.
        address: SocketAddr,
        /// Which of them.
        transport: Transport,
        /// What the operating system said.
        os: io::Error,
    },
}

impl BindError {
    pub(crate) fn new(address: SocketAddr, transport: Transport, os: io::Error) -> Self {
        match os.kind() {
            io::ErrorKind::AddrInUse => Self::InUse { address, transport, os },
            io::ErrorKind::PermissionDenied => Self::Permission { address, transport, os },
            io::ErrorKind::AddrNotAvailable => Self::NotLocal { address, transport, os },
            _ => Self::Other { address, transport, os },
        }
    }
}
