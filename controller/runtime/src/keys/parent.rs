//! Which DS records the parent of a zone shows.
//!
//! What must stay true: silence, errors and servers that differ are never "has none". Only when all that
//! are asked say the same, something was seen; the caller gets nothing otherwise, and keys wait.
//!
//! Resolvers answer from caches. That is no loss: a DS that caches still hold is what keys wait for.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures::future::join_all;
use meridian_dns_core::dnssec::rollover::{ParentDs, ParentView};
use meridian_dns_core::{DnsName, Outcome, RecordData, RecordSet, RecordType};
use meridian_dns_server::client::{Query, Transport, query};

/// How long one server may take.
const LIMIT: Duration = Duration::from_secs(5);
/// Digest type SHA-256 (RFC 4509); the others are not compared.
const SHA_256: u8 = 2;
/// Where the machine's resolvers are.
const RESOLV_CONF: &str = "/etc/resolv.conf";

/// Asks all servers for the zone's DS records; the machine's resolvers if none are given.
pub(crate) async fn ask(zone: &DnsName, servers: &[SocketAddr]) -> Result<ParentView, String> {
    let found;
    let servers = if servers.is_empty() {
        let text = tokio::task::spawn_blocking(|| std::fs::read_to_string(RESOLV_CONF)).await;
        found = match text {
            Ok(Ok(text)) => resolvers(&text),
            _ => Vec::new(),
        };
        if found.is_empty() {
            return Err(format!(
                "{RESOLV_CONF} names no resolver; set spec.dnssec.parent.resolvers"
            ));
        }
        &found
    } else {
        servers
    };
    let replies = join_all(servers.iter().map(|server| ask_one(zone, *server))).await;
    let views = replies.into_iter().collect::<Result<Vec<_>, _>>()?;
    agreed(&views).ok_or_else(|| format!("the servers asked for the DS of {zone} do not agree (yet)"))
}

async fn ask_one(zone: &DnsName, server: SocketAddr) -> Result<ParentView, String> {
    let question = Query::new(zone.clone(), RecordType::Ds).with_recursion();
    let mut reply = query(server, Transport::Udp, &question, LIMIT).await;
    if reply.as_ref().is_ok_and(|reply| reply.truncated) {
        reply = query(server, Transport::Tcp, &question, LIMIT).await;
    }
    let reply = reply.map_err(|error| error.to_string())?;
    if !matches!(reply.outcome, Outcome::NoError | Outcome::NxDomain) {
        return Err(format!(
            "{server} answers {:?} to the question for the DS of {zone}",
            reply.outcome
        ));
    }
    let is_its = |set: &&RecordSet| set.name == *zone && set.record_type() == Some(RecordType::Ds);
    let set = reply.answers.iter().find(is_its);
    let mut ds: Vec<_> = set.iter().flat_map(|set| &set.data).filter_map(ds_of).collect();
    ds.sort();
    Ok(ParentView {
        ds,
        ttl: set.map(|set| set.ttl),
    })
}

fn ds_of(data: &RecordData) -> Option<ParentDs> {
    let RecordData::Opaque(data) = data else { return None };
    let (head, digest) = data.octets.split_first_chunk::<4>()?;
    let [high, low, algorithm, kind] = *head;
    Some(ParentDs {
        tag: u16::from_be_bytes([high, low]),
        digest: (kind == SHA_256).then(|| (algorithm, digest.to_vec())),
    })
}

/// What all say, with the longest TTL.
fn agreed(views: &[ParentView]) -> Option<ParentView> {
    let first = views.first()?;
    let same = views.iter().all(|view| view.ds == first.ds);
    same.then(|| ParentView {
        ds: first.ds.clone(),
        ttl: views.iter().filter_map(|view| view.ttl).max(),
    })
}

/// The name servers of a resolv.conf.
fn resolvers(text: &str) -> Vec<SocketAddr> {
    let lines = text.lines().map(str::split_whitespace).filter_map(|mut words| {
        let is_server = words.next() == Some("nameserver");
        words.next().filter(|_| is_server)
    });
    let addresses = lines.filter_map(|address| address.parse::<IpAddr>().ok());
    addresses.map(|address| SocketAddr::new(address, 53)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolvers_are_read_from_the_machines_file() {
        let text = "# a comment\nsearch example.test\nnameserver 192.0.2.1\n nameserver\t2001:db8::1 \nnameserver x\n";
        let expected = ["192.0.2.1:53", "[2001:db8::1]:53"].map(|text| text.parse().expect("an address"));
        assert_eq!(resolvers(text), expected);
    }

    #[test]
    fn servers_that_differ_say_nothing() {
        let view = |tags: &[u16], ttl| ParentView {
            ds: tags
                .iter()
                .map(|tag| ParentDs {
                    tag: *tag,
                    digest: None,
                })
                .collect(),
            ttl: Some(ttl),
        };
        assert_eq!(agreed(&[view(&[1], 5), view(&[1], 9)]), Some(view(&[1], 9)));
        assert_eq!(agreed(&[view(&[1], 5), view(&[1, 2], 5)]), None);
        assert_eq!(agreed(&[view(&[1], 5), view(&[], 5)]), None);
        assert_eq!(agreed(&[]), None);
    }
}
