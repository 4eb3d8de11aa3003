//! How many connections there are, in all and per client.
//!
//! What must stay true: a connection is counted from before its first octet is read until its task has
//! ended, however it ends ([`Counted`] counts down when it is dropped); the map has no entry for a
//! client without connections, so its size is bounded by the limit on connections.
//!
//! A client is an IPv4 address or an IPv6 /56: who has one address of a /56 has all of them. Refused:
//! closing somebody else's idle connection to make room (the newcomer is as likely the attacker);
//! instead idle times and the share of a client shrink when many are open, see [`crate::StreamLimits`].

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::StreamLimits;

/// The counts.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    all: usize,
    by_client: HashMap<IpAddr, usize>,
}

/// One counted connection.
#[derive(Debug)]
pub(crate) struct Counted {
    connections: Arc<Connections>,
    client: IpAddr,
}

/// Why a connection is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Full {
    #[error("there are as many connections as there may be")]
    Server,
    #[error("the client has as many connections as it may have")]
    Client,
}

impl Connections {
    /// Counts one more, or says why not.
    pub(crate) fn count(self: &Arc<Self>, client: IpAddr, limits: &StreamLimits) -> Result<Counted, Full> {
        let client = block(client);
        let mut open = self.lock();
        if open.all >= limits.connections {
            return Err(Full::Server);
        }
        let of_client = open.by_client.get(&client).copied().unwrap_or(0);
        if of_client >= limits.per_client_with(open.all) {
            return Err(Full::Client);
        }
        open.all += 1;
        open.by_client.insert(client, of_client + 1);
        drop(open);
        Ok(Counted {
            connections: self.clone(),
            client,
        })
    }

    /// How many are open.
    pub(crate) fn open(&self) -> usize {
        self.lock().all
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut open = self.connections.lock();
        open.all = open.all.saturating_sub(1);
        match open.by_client.get_mut(&self.client) {
            Some(count) if *count > 1 => *count -= 1,
            _ => {
                open.by_client.remove(&self.client);
            }
        }
    }
}

fn block(client: IpAddr) -> IpAddr {
    match client {
        IpAddr::V4(_) => client,
        IpAddr::V6(v6) => Ipv6Addr::from(u128::from(v6) >> 72 << 72).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_limits_hold_and_ends_are_counted() {
        let limits = StreamLimits {
            connections: 3,
            connections_per_client: 2,
            ..StreamLimits::default()
        };
        let connections = Arc::new(Connections::default());
        let count = |client: &str| connections.count(client.parse().expect("an address"), &limits);
        let first = count("2001:db8::1").expect("room");
        let second = count("2001:db8:0:ff::2").expect("room");
        assert_eq!(count("2001:db8:0:80::3").map(|_| ()), Err(Full::Client));
        let third = count("192.0.2.1").expect("room");
        assert_eq!(count("192.0.2.2").map(|_| ()), Err(Full::Server));
        drop(first);
        let fourth = count("192.0.2.2").expect("room again");
        assert_eq!((connections.open(), connections.lock().by_client.len()), (3, 3));
        drop((second, third, fourth));
        assert_eq!((connections.open(), connections.lock().by_client.len()), (0, 0));
    }
}
