//! What a policy decided on the way to an order, for people.

use std::fmt;

use ipnet::IpNet;

use crate::SiteName;

/// What one policy of a tree decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PolicyDecision {
    /// Nearest first.
    Nearest {
        /// Sites within so many kilometres of the nearest share its clients, where that is said.
        within_km: Option<u32>,
        /// The clients that share a fate, where there is something to share.
        clients: Option<IpNet>,
    },
    /// By measured latency.
    Latency {
        /// The network it was measured from; `None` if nothing is known there.
        network: Option<IpNet>,
        /// Milliseconds to sites, fastest first.
        milliseconds: Vec<(SiteName, u32)>,
    },
    /// By shares.
    Weighted {
        /// The clients that go together.
        clients: IpNet,
        /// Branches and their weights in the order that these clients have them.
        order: Vec<(String, u32)>,
    },
    /// The first branch that serves.
    Failover(usize),
    /// All sites that serve.
    RoundRobin {
        /// By how much addresses are rotated.
        rotation: u64,
    },
    /// By place.
    Geo {
        /// The rule that applies, counted from 0.
        rule: Option<usize>,
        /// What is known of the client.
        place: String,
    },
    /// As an operator says.
    Manual(Vec<SiteName>),
}

fn list<T>(f: &mut fmt::Formatter<'_>, items: &[(T, u32)], unit: [&str; 2]) -> fmt::Result
where
    T: fmt::Display,
{
    for (index, (name, number)) in items.iter().enumerate() {
        let comma = if index == 0 { "" } else { ", " };
        write!(f, "{comma}{name} ({}{number}{})", unit[0], unit[1])?;
    }
    Ok(())
}

impl fmt::Display for PolicyDecision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nearest { within_km, clients } => {
                f.write_str("nearest first")?;
                match (within_km, clients) {
                    (Some(km), Some(clients)) => write!(
                        f,
                        "; sites within {km} km of each other share clients by weight, here {clients}"
                    ),
                    (Some(km), None) => write!(f, "; no two sites within {km} km of each other"),
                    (None, _) => Ok(()),
                }
            }
            Self::Latency {
                network: Some(network),
                milliseconds,
            } => {
                write!(f, "by latency from {network}: ")?;
                list(f, milliseconds, ["", " ms"])
            }
            Self::Latency { network: None, .. } => f.write_str("no latency known for the client; nearest first"),
            Self::Weighted { clients, order } => {
                write!(f, "by weight, for clients in {clients}: ")?;
                list(f, order, ["weight ", ""])
            }
            Self::Failover(branches) => write!(f, "failover along {branches} branches"),
            Self::RoundRobin { rotation } => write!(f, "all sites that serve, addresses rotated by {rotation}"),
            Self::Geo { rule, place } => match rule {
                Some(rule) => write!(f, "rules[{rule}] applies to a client of {place}"),
                None => write!(f, "no rule applies to a client of {place}"),
            },
            Self::Manual(sites) => {
                f.write_str("by hand:")?;
                sites.iter().try_for_each(|site| write!(f, " {site}"))
            }
        }
    }
}
