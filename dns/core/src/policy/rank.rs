//! Consulting a policy: the order of sites for one client, and what it depends on.
//!
//! Health has no part here. So the scope, which is the longest prefix that anything consulted depends
//! on, stays the same while sites come and go.

use super::Policy;
use super::compile::{Kind, Node, Selection, Share, several_shares};
use super::decision::PolicyDecision;
use super::key::seed;
use super::share::by_share;
use crate::answer::{Step, Trace};
use crate::place::NOWHERE;
use crate::{Client, ClientClass, ClientPlaces, RankedSite, SiteName, Sites};

/// Who asks, and what is known of them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asker<'a> {
    pub(crate) client: Client<'a>,
    pub(crate) class: &'a ClientClass,
    /// The scope within which all clients have that class.
    pub(crate) class_scope: u8,
    pub(crate) sites: &'a Sites,
    pub(crate) places: Option<&'a dyn ClientPlaces>,
}

/// A site in an order. Those with the same group are as good as each other and answer together.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Candidate<'a> {
    pub(crate) site: &'a SiteName,
    pub(crate) group: usize,
    /// Whether it is one of a group, also where the others of the group are not there.
    pub(crate) together: bool,
}

/// An order of all sites.
#[derive(Debug)]
pub(crate) struct Ranking<'a> {
    /// Every site, the best first.
    pub(crate) order: Vec<Candidate<'a>>,
    /// So many of them are named by the policy; the others are as if drained.
    pub(crate) named: usize,
    /// By how much the addresses of a group are rotated.
    pub(crate) rotation: u64,
    /// The scope prefix length within which every client has this order.
    pub(crate) scope: u8,
}

impl Policy {
    /// The order for one client.
    pub(crate) fn rank<'a>(&'a self, asker: Asker<'a>, trace: &mut impl Trace) -> Ranking<'a> {
        let rotation = if self.sticky {
            self.key.hash(asker.client.address())
        } else {
            u64::from(asker.client.rotation)
        };
        let mut made = Making {
            policy: self,
            asker,
            next_group: 0,
            ranking: Ranking {
                order: Vec::with_capacity(asker.class.order.len()),
                named: 0,
                rotation,
                scope: 0,
            },
        };
        made.node(&self.root, 0, trace);
        let mut rest: Vec<_> = asker.sites.iter().collect();
        rest.sort_by_key(|(_, site)| std::cmp::Reverse(site.weight));
        for (site, _) in rest.iter().filter(|(site, _)| self.names(site)) {
            made.push(site);
        }
        made.ranking.named = made.ranking.order.len();
        for (site, _) in rest {
            made.push(site);
        }
        made.ranking
    }
}

struct Making<'a> {
    policy: &'a Policy,
    asker: Asker<'a>,
    next_group: usize,
    ranking: Ranking<'a>,
}

impl<'a> Making<'a> {
    /// Adds a site behind the others, unless it is there or does not exist.
    fn push(&mut self, site: &'a SiteName) {
        self.push_to(site, false);
        self.next_group += 1;
    }

    fn push_to(&mut self, site: &'a SiteName, together: bool) {
        if !self.has(site) && self.asker.sites.get(site).is_some() {
            let group = self.next_group;
            self.ranking.order.push(Candidate { site, group, together });
        }
    }

    fn has(&self, site: &SiteName) -> bool {
        self.ranking.order.iter().any(|candidate| candidate.site == site)
    }

    fn depend(&mut self, scope: u8) {
        self.ranking.scope = self.ranking.scope.max(scope);
    }

    /// The number of the client's prefix; whoever asks for it depends on it.
    fn key(&mut self) -> u64 {
        let address = self.asker.client.address();
        self.depend(self.policy.key.scope(address));
        self.policy.key.hash(address)
    }

    fn node(&mut self, node: &'a Node, depth: usize, trace: &mut impl Trace) {
        let tell = |trace: &mut _, make: &dyn Fn() -> PolicyDecision| {
            Trace::step(trace, || Step::Policy {
                depth,
                name: node.name.clone(),
                decision: make(),
            });
        };
        let client = self.asker.client;
        match &node.kind {
            Kind::Site(site) => self.push(site),
            Kind::Manual(sites) => {
                tell(trace, &|| PolicyDecision::Manual(sites.clone()));
                sites.iter().for_each(|site| self.push(site));
            }
            Kind::Failover(branches) => {
                tell(trace, &|| PolicyDecision::Failover(branches.len()));
                for branch in branches {
                    self.node(branch, depth + 1, trace);
                }
            }
            Kind::RoundRobin(sites) => {
                let rotation = self.ranking.rotation;
                tell(trace, &|| PolicyDecision::RoundRobin { rotation });
                if self.policy.sticky {
                    self.key();
                }
                for (site, _) in self.asker.sites.iter().filter(|(site, _)| selected(sites, site)) {
                    self.push_to(site, true);
                }
                self.next_group += 1;
            }
            Kind::Nearest { sites, within_km, seed } => {
                let shared = self.nearest(sites, *within_km, *seed);
                let clients = shared.then(|| self.policy.key.network(client.address()));
                let within_km = *within_km;
                tell(trace, &|| PolicyDecision::Nearest { within_km, clients });
            }
            Kind::Latency { sites, matrix } => {
                // The address of a client at a site's listener says nothing: networks of pods overlap.
                let (row, scope) = match client.site {
                    None => matrix.lookup(client.address()),
                    Some(_) => (&None, 0),
                };
                self.depend(scope);
                tell(trace, &|| PolicyDecision::Latency {
                    network: row.as_ref().map(|row| row.network),
                    milliseconds: row
                        .iter()
                        .flat_map(|row| row.order.iter().cloned())
                        .map(|(time, site)| (site, time))
                        .collect(),
                });
                for (_, site) in row.iter().flat_map(|row| &row.order) {
                    if selected(sites, site) {
                        self.push(site);
                    }
                }
                let mut all = self.asker.sites.iter();
                if all.any(|(site, _)| selected(sites, site) && !self.has(site)) {
                    self.nearest(sites, None, 0);
                }
            }
            Kind::Weighted(shares) => {
                let mut order: Vec<&Share> = shares.iter().collect();
                if several_shares(shares) {
                    let key = self.key();
                    by_share(key, &mut order, |share| (share.seed, share.weight));
                } else {
                    order.sort_by_key(|share| share.weight == 0);
                }
                tell(trace, &|| PolicyDecision::Weighted {
                    clients: self.policy.key.network(client.address()),
                    order: order.iter().map(|share| (share.label.clone(), share.weight)).collect(),
                });
                for share in order {
                    self.node(&share.node, depth + 1, trace);
                }
            }
            Kind::Geo {
                conditions,
                branches,
                otherwise,
            } => {
                let address = Some(client.address()).filter(|_| client.site.is_none());
                let by_network = address.filter(|_| conditions.by_network);
                let (around, network_scope): (&[usize], u8) =
                    by_network.map_or((&[], 0), |address| conditions.networks_around(address));
                let by_place = address.filter(|_| conditions.by_place).zip(self.asker.places);
                let (place, place_scope) = by_place.map_or((&NOWHERE, 0), |(address, places)| places.place(address));
                self.depend(network_scope.max(place_scope));
                let rule = conditions.first(place, around);
                tell(trace, &|| PolicyDecision::Geo {
                    rule,
                    place: place.to_string(),
                });
                let branch = rule.and_then(|rule| branches.get(rule)).or(otherwise.as_deref());
                if let Some(branch) = branch {
                    self.node(branch, depth + 1, trace);
                }
            }
        }
    }

    /// Adds sites by distance; near-ties by the client's prefix. True if there was one.
    fn nearest(&mut self, sites: &'a Selection, within_km: Option<u32>, salt: u64) -> bool {
        self.depend(self.asker.class_scope);
        let class = self.asker.class;
        let mut rest: Vec<&'a RankedSite> = class.order.iter().filter(|one| selected(sites, &one.site)).collect();
        let mut shared = false;
        while let Some(first) = rest.first() {
            let near = |other: &&&RankedSite| match (within_km, first.distance_km, other.distance_km) {
                (Some(within), Some(nearest), Some(other)) => other.abs_diff(nearest) <= within,
                _ => false,
            };
            let ties = rest.iter().take_while(near).count().max(1);
            if ties > 1 {
                let (key, all) = (self.key(), self.asker.sites);
                let weight = |site: &SiteName| all.get(site).map_or(0, |site| site.weight);
                by_share(key, &mut rest[..ties], |one| {
                    (seed(salt, one.site.as_str()), weight(&one.site))
                });
                shared = true;
            }
            for one in rest.drain(..ties) {
                self.push(&one.site);
            }
        }
        shared
    }
}

fn selected(sites: &Selection, site: &SiteName) -> bool {
    sites.as_ref().is_none_or(|sites| sites.contains(site))
}
