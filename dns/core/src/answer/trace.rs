//! The steps of an answer, for people.

use std::fmt;
use std::net::IpAddr;

use super::Answer;
use crate::geo::PositionSource;
use crate::policy::PolicyDecision;
use crate::{ClassOrigin, DnsName, NetworkOwner, RecordType, SiteName};

/// Listens to the steps of an answer.
pub trait Trace {
    /// A step is taken. It is made only if somebody listens.
    fn step(&mut self, make: impl FnOnce() -> Step);

    /// Whether anybody listens; steps that cost something to find are not looked for otherwise.
    fn listens(&self) -> bool {
        true
    }
}

/// Listens to nothing.
pub(super) struct Silent;

impl Trace for Silent {
    #[inline]
    fn step(&mut self, _: impl FnOnce() -> Step) {}

    #[inline]
    fn listens(&self) -> bool {
        false
    }
}

/// Keeps every step.
#[derive(Debug, Default)]
pub(super) struct Recorder {
    pub(super) steps: Vec<Step>,
}

impl Trace for Recorder {
    fn step(&mut self, make: impl FnOnce() -> Step) {
        self.steps.push(make());
    }
}

/// An answer and how it came about.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// In the order they were taken.
    pub steps: Vec<Step>,
    /// The answer: the same as without an explanation.
    pub answer: Answer,
}

/// Why a site was not chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PassedOver {
    /// The operator drained it.
    Drained,
    /// No branch of the policy names it.
    NotNamed,
    /// Probes found its data path dead.
    Dead,
    /// It is unhealthy for this name, and why.
    Unhealthy(String),
    /// It offers nothing that the name answers.
    Nothing,
    /// It offers nothing of the type asked for.
    NoSuchType,
}

/// One step.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// No zone of ours has the name.
    NotOurs(DnsName),
    /// The zone that answers for a name.
    Zone {
        /// The name.
        name: DnsName,
        /// The zone.
        zone: DnsName,
    },
    /// A wildcard stands in.
    Wildcard(DnsName),
    /// A delegation is at or above the name.
    Delegation(DnsName),
    /// Static records answer.
    Static {
        /// Their owner name.
        name: DnsName,
        /// Their type.
        record_type: RecordType,
    },
    /// Whom the site is chosen for.
    Class {
        /// The address.
        address: IpAddr,
        /// How its order of sites was found.
        origin: ClassOrigin,
    },
    /// One policy of the name's tree was consulted.
    Policy {
        /// How many policies are around it.
        depth: usize,
        /// The policy, if it has a name of its own.
        name: Option<String>,
        /// What it decided.
        decision: PolicyDecision,
    },
    /// A site was passed over.
    PassedOver {
        /// The site.
        site: SiteName,
        /// Kilometres from the client, if both places are known.
        distance_km: Option<u32>,
        /// Why.
        why: PassedOver,
    },
    /// A site was chosen.
    Chosen {
        /// The site.
        site: SiteName,
        /// Kilometres from the client, if both places are known.
        distance_km: Option<u32>,
        /// Whether it is healthy, alive and active, or only the best that is left.
        serves: bool,
        /// Whether the client is told its internal addresses.
        internal: bool,
    },
    /// A site was not needed: it would be next.
    InReserve {
        /// The site.
        site: SiteName,
        /// Kilometres from the client, if both places are known.
        distance_km: Option<u32>,
        /// Why it would be passed over too.
        why: Option<PassedOver>,
    },
    /// No site of the name serves.
    NoneServes(DnsName),
    /// Some of the name's sites do not serve, so its TTL is lower.
    Degraded {
        /// Seconds, as published.
        from: u32,
        /// Seconds, as sent.
        to: u32,
    },
    /// An alias is followed.
    Alias(DnsName),
    /// An alias leads out of our zones, or too far.
    LeftToTheResolver(DnsName),
    /// Aliases lead in a circle.
    Circle(DnsName),
    /// The name exists without such data.
    NoData(DnsName),
    /// The name does not exist.
    NameError(DnsName),
    /// Not every cluster is known yet, so it cannot be said what the name has.
    NotKnownYet(DnsName),
}

impl fmt::Display for PassedOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Drained => f.write_str("drained by the operator"),
            Self::NotNamed => f.write_str("its policy does not name it"),
            Self::Dead => f.write_str("its data path is dead"),
            Self::Unhealthy(reason) => write!(f, "unhealthy: {reason}"),
            Self::Nothing => f.write_str("has nothing to answer"),
            Self::NoSuchType => f.write_str("has nothing of this type"),
        }
    }
}

impl fmt::Display for ClassOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network {
                network,
                nearest_to,
                zone,
            } => {
                write!(f, "is in network {network} of ")?;
                match nearest_to {
                    NetworkOwner::Site(site) => write!(f, "site {site}")?,
                    NetworkOwner::Region(region) => write!(f, "region {region}")?,
                }
                match zone {
                    Some(zone) => write!(f, ", as zone {zone} says"),
                    None => Ok(()),
                }
            }
            Self::Listener(site) => write!(f, "asks at a listener of site {site}"),
            Self::Place { network, place, source } => {
                write!(f, "is in {network}, which the database has at {place}")?;
                match source {
                    PositionSource::Coordinates => Ok(()),
                    PositionSource::CountryCentre => f.write_str(", measured from the middle of the country"),
                }
            }
            Self::Default => f.write_str("is in no known network; sites by weight"),
        }
    }
}

/// A distance in brackets, if there is one.
struct Away(Option<u32>);

impl fmt::Display for Away {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |distance| write!(f, " ({distance} km)"))
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotOurs(name) => write!(f, "no zone here has {name}"),
            Self::Zone { name, zone } => write!(f, "{name} lies in zone {zone}"),
            Self::Wildcard(source) => write!(f, "it does not exist; wildcard {source} stands in"),
            Self::Delegation(cut) => write!(f, "{cut} is delegated to other name servers"),
            Self::Static { name, record_type } => write!(f, "static {record_type} records of {name} answer"),
            Self::Class { address, origin } => write!(f, "client {address} {origin}"),
            Self::Policy { depth, name, decision } => {
                let indent = 2 * depth;
                match name {
                    Some(name) => write!(f, "{:indent$}policy {name}: {decision}", ""),
                    None => write!(f, "{:indent$}policy: {decision}", ""),
                }
            }
            Self::PassedOver { site, distance_km, why } => {
                write!(f, "site {site}{} is passed over: {why}", Away(*distance_km))
            }
            Self::Chosen {
                site,
                distance_km,
                serves,
                internal,
            } => {
                let which = if *internal { ", internal addresses" } else { "" };
                let left = if *serves { "" } else { " as the best that is left" };
                write!(f, "site {site}{} is chosen{left}{which}", Away(*distance_km))
            }
            Self::InReserve { site, distance_km, why } => {
                write!(f, "site {site}{} is in reserve", Away(*distance_km))?;
                why.as_ref().map_or(Ok(()), |why| write!(f, ", but {why}"))
            }
            Self::NoneServes(name) => write!(f, "no site of {name} serves"),
            Self::Degraded { from, to } => write!(f, "not all sites serve: TTL {to} s instead of {from} s"),
            Self::Alias(target) => write!(f, "alias to {target}"),
            Self::LeftToTheResolver(target) => write!(f, "{target} is left to the resolver"),
            Self::Circle(target) => write!(f, "aliases lead back to {target}"),
            Self::NoData(name) => write!(f, "{name} has no such records"),
            Self::NameError(name) => write!(f, "{name} does not exist"),
            Self::NotKnownYet(name) => {
                write!(
                    f,
                    "not every cluster has been listed yet, so what {name} has is not known"
                )
            }
        }
    }
}
