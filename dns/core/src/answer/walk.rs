//! The walk along aliases, from the question's name to its answer (RFC 1034 section 4.3.2).

use super::additional::{addresses_of_targets, target};
use super::choose::{Choice, Chooser};
use super::depends::scope;
use super::present::types_of;
use super::trace::{Step, Trace};
use super::{Answer, Finding, FindingKind, MAX_ALIASES, Outcome, Question};
use crate::dnssec::Denial;
use crate::policy::Asker;
use crate::zone::Found;
use crate::zone::node::{Node, Routed, is_routed_type};
use crate::{Client, DnsName, RecordData, RecordSet, RecordType, SiteName, Snapshot, Zone};

/// What follows a name.
enum Next {
    /// The answer is whole.
    Done,
    /// An alias to look up here, if its target is ours.
    Follow(DnsName),
    /// An alias that only the resolver follows.
    Leave(DnsName),
    /// It cannot be said what is there.
    Unknown,
}

/// How a node came to answer for a name.
#[derive(Default)]
struct Place {
    wildcard: Option<DnsName>,
    encloser: Option<DnsName>,
}

pub(super) struct Walk<'a, T> {
    snapshot: &'a Snapshot,
    question: &'a Question,
    client: Client<'a>,
    trace: &'a mut T,
    /// How the client's sites are chosen, and the scope of its view; made when the first
    /// routed name of a zone is met, since zones may have networks of their own.
    chooser: Option<(&'a DnsName, (Chooser<'a>, u8))>,
    reply: Answer,
}

impl<'a, T: Trace> Walk<'a, T> {
    pub(super) fn new(snapshot: &'a Snapshot, question: &'a Question, client: Client<'a>, trace: &'a mut T) -> Self {
        Self {
            snapshot,
            question,
            client,
            trace,
            chooser: None,
            reply: Answer::of(Outcome::NoError),
        }
    }

    pub(super) fn run(mut self) -> Answer {
        let asked = self.question.record_type;
        let mut name = self.question.name.clone();
        let Some(mut zone) = self.snapshot.zone_for(&name, asked) else {
            if !self.snapshot.zones_known() {
                self.trace.step(|| Step::NotKnownYet(name));
                return Answer::of(Outcome::ServFail);
            }
            self.trace.step(|| Step::NotOurs(name));
            return Answer::of(Outcome::Refused);
        };
        let mut aliases = 0;
        loop {
            self.trace.step(|| Step::Zone {
                name: name.clone(),
                zone: zone.apex().clone(),
            });
            let target = match self.look_up(zone, &name) {
                Next::Done => break,
                Next::Unknown => {
                    self.trace.step(|| Step::NotKnownYet(name));
                    return Answer::of(Outcome::ServFail);
                }
                Next::Leave(target) => {
                    self.trace.step(|| Step::LeftToTheResolver(target));
                    break;
                }
                Next::Follow(target) => target,
            };
            self.trace.step(|| Step::Alias(target.clone()));
            let next = self.snapshot.zone_for(&target, asked).filter(|_| aliases < MAX_ALIASES);
            let Some(next) = next else {
                self.trace.step(|| Step::LeftToTheResolver(target));
                break;
            };
            let met = |set: &RecordSet| set.name == target && set.record_type() == Some(RecordType::Cname);
            if self.reply.answers.iter().any(met) {
                self.trace.step(|| Step::Circle(target));
                return Answer::of(Outcome::ServFail);
            }
            (zone, name, aliases) = (next, target, aliases + 1);
        }
        if self.client.hides() {
            self.reply.scope = 0;
        }
        self.reply
    }

    fn look_up(&mut self, zone: &'a Zone, name: &DnsName) -> Next {
        if zone.keys_awaited() {
            return Next::Unknown;
        }
        match zone.find(name, self.question.record_type) {
            Found::Exact(node) => self.at_node(zone, name, node, Place::default()),
            Found::Wildcard { source, encloser, node } => {
                // A name nearer to the question may be one of a cluster that was not listed yet.
                if !zone.complete() {
                    return Next::Unknown;
                }
                self.trace.step(|| Step::Wildcard(source.clone()));
                let place = Place {
                    wildcard: Some(source),
                    encloser: Some(encloser),
                };
                self.at_node(zone, name, node, place)
            }
            Found::Cut { name, node } => self.refer(zone, name, node),
            Found::SubtreeAlias { owner, node } => self.subtree_alias(zone, name, &owner, node),
            Found::Missing { .. } if !zone.complete() => Next::Unknown,
            Found::Missing { encloser } => {
                self.trace.step(|| Step::NameError(name.clone()));
                self.reply.outcome = Outcome::NxDomain;
                let place = Place {
                    wildcard: None,
                    encloser: Some(encloser),
                };
                self.found(zone, name, FindingKind::NameError, place, Vec::new());
                self.negative(zone)
            }
        }
    }

    /// The type asked for. Every set of a signed zone has signatures: a question for them is one for ANY,
    /// and a single set with its own is enough (RFC 8482 section 7).
    fn asked(&self, zone: &Zone) -> RecordType {
        match self.question.record_type {
            RecordType::RRSIG if zone.dnssec().is_some() => RecordType::Any,
            asked => asked,
        }
    }

    fn at_node(&mut self, zone: &'a Zone, name: &DnsName, node: &'a Node, place: Place) -> Next {
        let asked = self.asked(zone);
        // Every name has an NSEC, an alias too (RFC 4035 section 2.5); it is made where names are denied.
        let compact = || zone.dnssec().is_some_and(|dnssec| dnssec.denial == Denial::Compact);
        if asked == RecordType::NSEC && compact() {
            return self.no_data(zone, name, node, place);
        }
        // An alias is what a question for CNAME asks for, and one of the sets that ANY does; otherwise
        // it is followed (RFC 1034 section 4.3.2 step 3a).
        if let Some((set, target)) = node.alias() {
            self.push_static(set, name);
            let ends = matches!(asked, RecordType::Cname | RecordType::Any);
            let kind = if ends { FindingKind::Data } else { FindingKind::Alias };
            self.found(zone, name, kind, place, Vec::new());
            return if ends { Next::Done } else { Next::Follow(target.clone()) };
        }
        let routed = node.routed();
        // An alias stands alone (section 3.6.2), and at the apex there are SOA and NS.
        let may_alias = *name != *zone.apex() && node.records.is_none();
        let Some(wanted) = self.wanted(zone, name, node, routed, may_alias) else {
            return self.no_data(zone, name, node, place);
        };
        if wanted == RecordType::Soa && name == zone.apex() {
            let soa = zone.soa_set();
            self.push_static(&soa, name);
        } else if let Some(set) = node.set(wanted) {
            self.push_static(set, name);
            self.add_targets(zone, set);
        } else if let Some(routed) = routed {
            return self.route(zone, name, node, (routed, may_alias, wanted), place);
        } else {
            return self.no_data(zone, name, node, place);
        }
        self.found(zone, name, FindingKind::Data, place, Vec::new());
        Next::Done
    }

    /// The type to answer: the one asked for, and for ANY a single one that is there, which is enough
    /// (RFC 8482 section 4.1) and amplifies nothing. At the apex it is SOA, elsewhere the lowest number.
    fn wanted(
        &mut self,
        zone: &'a Zone,
        name: &DnsName,
        node: &'a Node,
        routed: Option<&'a Routed>,
        may_alias: bool,
    ) -> Option<RecordType> {
        let asked = self.asked(zone);
        if asked != RecordType::Any {
            return Some(asked);
        }
        if name == zone.apex() {
            return Some(RecordType::Soa);
        }
        let written = node.sets().iter().filter_map(RecordSet::record_type);
        let chosen = routed.map(|routed| self.chooser(zone).0.types(routed, may_alias));
        written.chain(chosen.into_iter().flatten()).min()
    }

    fn route(
        &mut self,
        zone: &'a Zone,
        name: &DnsName,
        node: &'a Node,
        (routed, may_alias, wanted): (&'a Routed, bool, RecordType),
        place: Place,
    ) -> Next {
        let (chooser, view_scope) = self.chooser(zone);
        let scope = scope(self.snapshot, routed, chooser.asker, view_scope);
        self.reply.scope = self.reply.scope.max(scope);
        self.trace.step(|| Step::Class {
            address: self.client.address(),
            origin: chooser.asker.class_origin(),
        });
        let (data, next) = match chooser.choose(routed, may_alias, wanted, self.trace) {
            Choice::Data(data) if data.is_empty() => return self.no_data(zone, name, node, place),
            Choice::Data(data) => (data, Next::Done),
            // Not followed even if it is ours: at its end could be a negative answer, and another client
            // has another host name.
            Choice::HostName(host) => (vec![RecordData::Cname(host.clone())], Next::Leave(host)),
            Choice::Fallback(target) => (vec![RecordData::Cname(target.clone())], Next::Follow(target)),
        };
        let ttl = zone.served_ttl(routed.name.ttl, chooser.degraded(routed));
        if ttl != routed.name.ttl {
            self.trace.step(|| Step::Degraded {
                from: routed.name.ttl,
                to: ttl,
            });
        }
        let set = RecordSet {
            ttl,
            ..RecordSet::new(name.clone(), routed.name.ttl, data)
        };
        let is_alias = set.record_type() == Some(RecordType::Cname);
        self.add_targets(zone, &set);
        self.reply.answers.push(set);
        let ends = !is_alias || matches!(self.asked(zone), RecordType::Cname | RecordType::Any);
        let kind = if ends { FindingKind::Data } else { FindingKind::Alias };
        self.found(zone, name, kind, place, Vec::new());
        if ends { Next::Done } else { next }
    }

    fn no_data(&mut self, zone: &'a Zone, name: &DnsName, node: &'a Node, place: Place) -> Next {
        let asked = self.question.record_type;
        // A cluster that was not listed yet may route a name that so far only static records have. An
        // empty non-terminal is answered all the same: resolvers that minimise names (RFC 9156) ask for
        // it on their way to the names below.
        let may_be_routed = is_routed_type(asked) || asked == RecordType::Cname;
        let unclaimed = node.routed.is_none() && node.records.is_some() && !node.hides_routed();
        if !zone.complete() && may_be_routed && unclaimed {
            return Next::Unknown;
        }
        self.trace.step(|| Step::NoData(name.clone()));
        let types = types_of(zone, name, node, || self.chooser(zone).0);
        self.found(zone, name, FindingKind::NoData, place, types);
        self.negative(zone)
    }

    /// RFC 1034 section 4.3.2 step 3b, and RFC 2181 section 6: below a delegation we know nothing.
    fn refer(&mut self, zone: &'a Zone, cut: DnsName, node: &'a Node) -> Next {
        self.trace.step(|| Step::Delegation(cut.clone()));
        // The AA bit belongs to the first name: after an alias it is ours.
        self.reply.authoritative = !self.reply.answers.is_empty();
        if let Some(servers) = node.set(RecordType::Ns) {
            self.reply.authorities.push(servers.clone());
            self.add_targets(zone, servers);
        }
        self.reply.delegation_signer = node.set(RecordType::Ds).cloned();
        let ours = [RecordType::Ns, RecordType::Ds];
        let types = ours.into_iter().filter(|record_type| node.set(*record_type).is_some());
        self.found(zone, &cut, FindingKind::Referral, Place::default(), types.collect());
        Next::Done
    }

    /// RFC 6672 section 3.2: the DNAME, and a CNAME made of it for this name.
    fn subtree_alias(&mut self, zone: &'a Zone, name: &DnsName, owner: &DnsName, node: &'a Node) -> Next {
        let Some((set, target)) = node.subtree_alias() else {
            return Next::Unknown;
        };
        self.push_static(set, owner);
        self.found(zone, name, FindingKind::SubtreeAlias, Place::default(), Vec::new());
        let Some(target) = name.with_end(owner, target) else {
            self.reply.outcome = Outcome::YxDomain;
            return Next::Done;
        };
        let made = RecordSet::new(name.clone(), set.ttl, vec![RecordData::Cname(target.clone())]);
        self.reply.answers.push(made);
        match self.asked(zone) {
            RecordType::Cname | RecordType::Any => Next::Done,
            _ => Next::Follow(target),
        }
    }

    fn negative(&mut self, zone: &Zone) -> Next {
        self.reply.scope = 0;
        self.reply.authorities.push(zone.negative_soa_set());
        Next::Done
    }

    fn push_static(&mut self, set: &RecordSet, name: &DnsName) {
        self.trace.step(|| Step::Static {
            name: set.name.clone(),
            record_type: set.record_type().unwrap_or(RecordType::Any),
        });
        self.reply.answers.push(RecordSet {
            name: name.clone(),
            ..set.clone()
        });
    }

    fn add_targets(&mut self, zone: &'a Zone, set: &RecordSet) {
        if set.data.iter().any(|data| target(set, data).is_some()) {
            let chooser = self.chooser(zone).0;
            addresses_of_targets(self.snapshot, chooser, set, &mut self.reply.additionals);
        }
    }

    fn found(&mut self, zone: &Zone, name: &DnsName, kind: FindingKind, place: Place, types: Vec<RecordType>) {
        self.reply.findings.push(Finding {
            name: name.clone(),
            zone: zone.apex().clone(),
            kind,
            closest_encloser: place.encloser,
            wildcard: place.wildcard,
            types,
        });
    }

    fn chooser(&mut self, zone: &'a Zone) -> (Chooser<'a>, u8) {
        if let Some((_, made)) = self.chooser.filter(|(apex, _)| *apex == zone.apex()) {
            return made;
        }
        let (internal, view_scope): (&[SiteName], u8) = self.snapshot.views().lookup(&self.client);
        let asker = Asker::of(self.snapshot, zone.apex(), self.client);
        let made = (Chooser { asker, internal }, view_scope);
        self.chooser = Some((zone.apex(), made));
        made
    }
}
