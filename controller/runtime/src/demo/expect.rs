//! What a client of the demo should see, checked from outside: by DNS over UDP and TCP, and by HTTP.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::rt::TokioExecutor;
use ipnet::IpNet;
use meridian_dns_core::{DnsName, Outcome, RecordData, RecordType};
use meridian_dns_server::client::{Query, Reply, Transport, query};

use super::fleet::SERVICE_PORT;

/// Limit of one DNS query or HTTP request.
const REQUEST_LIMIT: Duration = Duration::from_secs(2);
/// Pause between two looks at something that is expected to come.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// What is expected of one name.
#[derive(Debug, Clone)]
pub(super) enum Expectation {
    /// A client in the network gets addresses of that cluster, which answer by HTTP.
    LeadsTo {
        name: String,
        client: &'static str,
        cluster: &'static str,
    },
    /// The name is an alias of the other.
    Alias { name: String, target: String },
    /// The name does not exist, and the answer says so with the zone's SOA.
    Missing { name: String },
}

impl fmt::Display for Expectation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LeadsTo { name, client, cluster } => write!(f, "{name} leads {client} to {cluster}"),
            Self::Alias { name, target } => write!(f, "{name} is a CNAME of {target}"),
            Self::Missing { name } => write!(f, "{name} is NXDOMAIN with the SOA"),
        }
    }
}

/// A name that leads the clients of a network to a cluster.
pub(super) fn leads(name: &str, client: &'static str, cluster: &'static str) -> Expectation {
    Expectation::LeadsTo {
        name: name.to_owned(),
        client,
        cluster,
    }
}

/// Asks the demo's server.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asker {
    pub(super) server: SocketAddr,
}

impl Asker {
    /// One query.
    pub(super) async fn ask(
        &self,
        transport: Transport,
        name: &str,
        record_type: RecordType,
        client: Option<&str>,
    ) -> Result<Reply> {
        let mut question = Query::new(DnsName::parse(name)?, record_type);
        if let Some(client) = client {
            question = question.for_subnet(client.parse::<IpNet>()?);
        }
        Ok(query(self.server, transport, &question, REQUEST_LIMIT).await?)
    }

    /// Whether the expectation holds, by UDP and by TCP; if not, what was seen.
    pub(super) async fn holds(&self, expectation: &Expectation) -> Result<(), String> {
        for transport in [Transport::Udp, Transport::Tcp] {
            self.holds_over(transport, expectation).await?;
        }
        Ok(())
    }

    async fn holds_over(&self, transport: Transport, expectation: &Expectation) -> Result<(), String> {
        let failed = |error: anyhow::Error| format!("{transport:?}: {error:#}");
        match expectation {
            Expectation::LeadsTo { name, client, cluster } => {
                let reply = self
                    .ask(transport, name, RecordType::A, Some(client))
                    .await
                    .map_err(failed)?;
                let addresses = addresses_of(&reply);
                let Some(first) = addresses.first() else {
                    return Err(format!("{transport:?}: {name} gives {client} {}", summary(&reply)));
                };
                let body = fetch(*first)
                    .await
                    .map_err(|error| format!("{name} gives {client} {first}, which does not answer: {error:#}"))?;
                let seen: serde_json::Value = serde_json::from_str(&body).unwrap_or_default();
                if seen["cluster"] == *cluster {
                    Ok(())
                } else {
                    Err(format!("{transport:?}: {name} leads {client} to {body}"))
                }
            }
            Expectation::Alias { name, target } => {
                let reply = self
                    .ask(transport, name, RecordType::Cname, None)
                    .await
                    .map_err(failed)?;
                let wanted = DnsName::parse(target).map_err(|error| error.to_string())?;
                let is_alias = reply
                    .answers
                    .iter()
                    .any(|set| set.data.contains(&RecordData::Cname(wanted.clone())));
                if is_alias {
                    Ok(())
                } else {
                    Err(format!("{transport:?}: {name} is {}", summary(&reply)))
                }
            }
            Expectation::Missing { name } => {
                let reply = self.ask(transport, name, RecordType::A, None).await.map_err(failed)?;
                let has_soa = reply
                    .authorities
                    .iter()
                    .any(|set| set.data.iter().any(|data| data.record_type() == RecordType::Soa));
                if reply.outcome == Outcome::NxDomain && has_soa {
                    Ok(())
                } else {
                    Err(format!("{transport:?}: {name} is {}", summary(&reply)))
                }
            }
        }
    }

    /// Waits until all hold. Returns how long it took, or what was seen last instead.
    pub(super) async fn until_all_hold(
        &self,
        expectations: &[Expectation],
        limit: Duration,
    ) -> Result<Duration, String> {
        let started = Instant::now();
        for expectation in expectations {
            while let Err(seen) = self.holds(expectation).await {
                if started.elapsed() > limit {
                    return Err(seen);
                }
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        }
        Ok(started.elapsed())
    }

    /// Looks for that long whether all hold all the time.
    pub(super) async fn all_hold_for(&self, expectations: &[Expectation], time: Duration) -> Result<(), String> {
        let started = Instant::now();
        while started.elapsed() < time {
            for expectation in expectations {
                self.holds(expectation).await?;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }
}

/// The addresses of an answer.
pub(super) fn addresses_of(reply: &Reply) -> Vec<IpAddr> {
    let data = reply.answers.iter().flat_map(|set| &set.data);
    data.filter_map(|data| match data {
        RecordData::A(address) => Some(IpAddr::V4(*address)),
        RecordData::Aaaa(address) => Some(IpAddr::V6(*address)),
        _ => None,
    })
    .collect()
}

fn summary(reply: &Reply) -> String {
    let data: Vec<_> = reply
        .answers
        .iter()
        .flat_map(|set| &set.data)
        .map(|data| format!("{} {data}", data.record_type()))
        .collect();
    if data.is_empty() {
        format!("{:?} without data", reply.outcome)
    } else {
        data.join(", ")
    }
}

/// What the application at an address says.
pub(super) async fn fetch(address: IpAddr) -> Result<String> {
    let client = HttpClient::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    let uri = format!("http://{}/", SocketAddr::new(address, SERVICE_PORT)).parse()?;
    let response = tokio::time::timeout(REQUEST_LIMIT, client.get(uri))
        .await
        .context("no answer in time")??;
    let body = response.into_body().collect().await?.to_bytes();
    Ok(String::from_utf8_lossy(&body).trim().to_owned())
}
