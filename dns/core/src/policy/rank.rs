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
use crate::geo::Place;
use crate::{ClassOrigin, ClassTable, Client, ClientClass, DnsName, Location, SiteName, Sites, Snapshot};

/// Who asks, and what is known of them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asker<'a> {
    pub(crate) client: Client<'a>,
    /// The zone that is asked: it may have networks of its own.
    zone: &'a DnsName,
    pub(crate) class: &'a ClientClass,
    /// The scope within which all clients have that class.
    pub(crate) class_scope: u8,
    pub(crate) sites: &'a Sites,
    pub(crate) classes: &'a ClassTable,
}

impl<'a> Asker<'a> {
    /// A client who asks for a name of that zone.
    pub(crate) fn of(snapshot: &'a Snapshot, zone: &'a DnsName, client: Client<'a>) -> Self {
        let classes = snapshot.classes();
        let (class, class_scope) = classes.of(zone, &client);
        Self {
            client,
            zone,
            class,
            class_scope,
            sites: snapshot.sites(),
            classes,
        }
    }

    /// The same client, who asks for a name of that zone.
    pub(crate) fn in_zone(self, snapshot: &'a Snapshot, zone: &'a DnsName) -> Self {
        if *zone == *self.zone {
            return self;
        }
        Self::of(snapshot, zone, self.client)
    }

    /// How the class was found.
    pub(crate) fn class_origin(&self) -> ClassOrigin {
        self.classes.explain(self.zone, &self.client)
    }

    /// Where the client is taken to be, and the scope prefix length within which all clients are.
    pub(crate) fn position(&self) -> (Option<Location>, u8) {
        self.classes.position(self.zone, &self.client, self.sites)
    }

    /// Kilometres from a place to a site, if both are known.
    pub(crate) fn distance_km(&self, from: Option<Location>, site: &SiteName) -> Option<u32> {
        let to = self.sites.get(site)?.location?;
        from.map(|from| from.distance_km(&to))
    }
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
                order: Vec::with_capacity(asker.classes.default_order().len()),
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
                let (place, place_scope) = if conditions.by_place {
                    self.asker.classes.place(&client)
                } else {
                    (Place::default(), 0)
                };
                self.depend(network_scope.max(place_scope));
                let rule = conditions.first(&place, around);
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
        let asker = self.asker;
        self.depend(asker.class_scope);
        let order = asker.class.order(asker.classes.default_order());
        let mut rest: Vec<Away<'a>> = order
            .filter(|site| selected(sites, site) && asker.sites.get(site).is_some())
            .map(|site| (site, None))
            .collect();
        let nearest = rest.iter().take_while(|(site, _)| asker.class.nearest.contains(site));
        let ranked = nearest.count();
        // The class is an order of the nearest few of all sites. The distances of others, and of those the
        // differences, are not the same for all its clients.
        if within_km.is_some() || sites.is_some() && rest.len() > ranked + 1 {
            let (from, scope) = asker.position();
            self.depend(scope);
            for (site, distance) in &mut rest {
                *distance = asker.distance_km(from, site);
            }
            // Stable: of equals, and of those without a place, the default order counts.
            rest[ranked..].sort_by_key(|(_, distance)| distance.unwrap_or(u32::MAX));
        }
        let mut shared = false;
        while let Some((_, first)) = rest.first().copied() {
            let near = |(_, other): &&Away<'a>| match (within_km, first, *other) {
                (Some(within), Some(nearest), Some(other)) => other.abs_diff(nearest) <= within,
                _ => false,
            };
            let ties = rest.iter().take_while(near).count().max(1);
            if ties > 1 {
                let key = self.key();
                let weight = |site: &SiteName| asker.sites.get(site).map_or(0, |site| site.weight);
                by_share(key, &mut rest[..ties], |(site, _)| {
                    (seed(salt, site.as_str()), weight(site))
                });
                shared = true;
            }
            for (site, _) in rest.drain(..ties) {
                self.push(site);
            }
        }
        shared
    }
}

/// A site, and kilometres to it.
type Away<'a> = (&'a SiteName, Option<u32>);

fn selected(sites: &Selection, site: &SiteName) -> bool {
    sites.as_ref().is_none_or(|sites| sites.contains(site))
}
