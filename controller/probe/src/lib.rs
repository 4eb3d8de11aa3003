//! Probes of the data path: sockets only.
//!
//! When to probe and what a result means is decided in `federation-core` (its `health` module). Here a
//! round is carried out: connects run side by side, each with its own limit, and the round ends with the
//! first that succeeds. Nothing is sent: a completed TCP handshake with the load balancer is the proof.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use meridian_federation_core::HealthSettings;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// One round: several independent connects to each target. `None` without targets, which says nothing;
/// else whether any connect succeeded.
pub async fn round(targets: &[(IpAddr, u16)], settings: &HealthSettings) -> Option<bool> {
    if targets.is_empty() {
        return None;
    }
    let mut connects = JoinSet::new();
    for &(address, port) in targets {
        for _ in 0..settings.connects {
            connects.spawn(connect(SocketAddr::new(address, port), settings.connect_limit));
        }
    }
    while let Some(result) = connects.join_next().await {
        if result.is_ok_and(|connected| connected) {
            return Some(true);
        }
    }
    Some(false)
}

async fn connect(target: SocketAddr, limit: Duration) -> bool {
    matches!(timeout(limit, TcpStream::connect(target)).await, Ok(Ok(_)))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::net::TcpListener;

    use super::*;

    const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    /// A port that was free a moment ago.
    async fn closed_port() -> u16 {
        let listener = TcpListener::bind((LOOPBACK, 0)).await.expect("a free port");
        listener.local_addr().expect("an address").port()
    }

    #[tokio::test]
    async fn one_good_target_makes_a_good_round() {
        let listener = TcpListener::bind((LOOPBACK, 0)).await.expect("a free port");
        let open = listener.local_addr().expect("an address").port();
        let targets = [(LOOPBACK, closed_port().await), (LOOPBACK, open)];
        assert_eq!(round(&targets, &HealthSettings::default()).await, Some(true));
    }

    #[tokio::test]
    async fn a_round_fails_only_if_all_connects_fail() {
        let targets = [(LOOPBACK, closed_port().await)];
        assert_eq!(round(&targets, &HealthSettings::default()).await, Some(false));
    }

    #[tokio::test]
    async fn no_targets_say_nothing() {
        assert_eq!(round(&[], &HealthSettings::default()).await, None);
    }
}
