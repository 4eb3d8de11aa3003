//! Static records of a zone: what an operator wrote, checked as a whole.
//!
//! Once made, the records keep the rules that every answer relies on, so that answering needs no second
//! thoughts: an alias stands alone at its name (RFC 1034 section 3.6.2, RFC 2181 section 10.1), a set
//! has one TTL (RFC 2181 section 5.2), a DS stands beside its delegation (RFC 4035 section 2.4), and
//! nothing is there that the server itself makes. A record that breaks a rule refuses them all: half a
//! zone file is worse than the one before.
//!
//! Not an error: names below a delegation. They are glue where a name server has that name, and are
//! not answered otherwise.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::zone::node::is_routed_type;
use crate::{DnsName, RecordData, RecordSet, RecordType};

/// Types whose records are made by the signer (RFC 4034, RFC 5155, RFC 7344).
const MADE_BY_THE_SIGNER: [u16; 7] = [46, 47, 48, 50, 51, 59, 60];

/// Why records cannot be served.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StaticRecordError {
    /// A name of another zone.
    #[error("{0} does not lie in the zone")]
    OutOfZone(DnsName),
    /// SOA has its own fields in a zone; others are made by the signer, or are never records.
    #[error("{0}: records of type {1} are made by the server; leave them out")]
    MadeByTheServer(DnsName, RecordType),
    /// Beside a CNAME there is other data, or a second one, or the apex with its SOA.
    #[error("{0} is an alias (CNAME), and an alias stands alone at its name")]
    AliasNotAlone(DnsName),
    /// Two DNAMEs.
    #[error("{0} has several DNAME records; there can be one")]
    SeveralDnames(DnsName),
    /// NS or DNAME at a wildcard have no defined meaning (RFC 4592 sections 4.2 and 4.4).
    #[error("{0}: a wildcard cannot have records of type {1}")]
    AtWildcard(DnsName, RecordType),
    /// A DS without a delegation, or at the apex.
    #[error("{0}: a DS record stands beside the NS records of a delegation")]
    DsWithoutDelegation(DnsName),
}

/// Checked records, by name and type.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StaticRecords(BTreeMap<DnsName, Arc<[RecordSet]>>);

impl StaticRecords {
    /// Checks the records of the zone with that name. Sets of the same name and type become one, with
    /// the lowest TTL; data given twice counts once.
    pub fn new(apex: &DnsName, records: impl IntoIterator<Item = RecordSet>) -> Result<Self, StaticRecordError> {
        let mut names: BTreeMap<DnsName, BTreeMap<RecordType, RecordSet>> = BTreeMap::new();
        for record in records {
            let Some(record_type) = record.record_type() else {
                continue;
            };
            if !record.name.is_at_or_below(apex) {
                return Err(StaticRecordError::OutOfZone(record.name));
            }
            let made = MADE_BY_THE_SIGNER.contains(&record_type.number());
            if made || record_type == RecordType::Soa || record_type.is_meta() {
                return Err(StaticRecordError::MadeByTheServer(record.name, record_type));
            }
            let sets = names.entry(record.name.clone()).or_default();
            match sets.get_mut(&record_type) {
                Some(set) => {
                    set.ttl = set.ttl.min(record.ttl);
                    set.data.extend(record.data);
                }
                None => {
                    sets.insert(record_type, record);
                }
            }
        }
        let mut checked = BTreeMap::new();
        for (name, mut sets) in names {
            for set in sets.values_mut() {
                set.data.sort();
                set.data.dedup();
                set.original_ttl = set.ttl;
            }
            check(apex, &name, &sets)?;
            checked.insert(name, sets.into_values().collect());
        }
        Ok(Self(checked))
    }

    /// The sets of a name, by type.
    pub fn get(&self, name: &DnsName) -> &[RecordSet] {
        self.0.get(name).map_or(&[], |sets| sets)
    }

    /// All names with their sets, in the order of names.
    pub fn iter(&self) -> impl Iterator<Item = (&DnsName, &Arc<[RecordSet]>)> {
        self.0.iter()
    }

    /// Whether a routed name of that name would not be answered: addresses, services or an alias are
    /// written for it, or it lies at or below a delegation, or below a DNAME.
    pub fn displaces(&self, apex: &DnsName, name: &DnsName) -> bool {
        let has = |name: &DnsName, record_type| {
            let mut sets = self.get(name).iter();
            sets.any(|set| set.record_type() == Some(record_type))
        };
        let above = || name.ancestors().take_while(|above| above.is_at_or_below(apex));
        take_the_place_of_routed(self.get(name))
            || above().any(|above| above != *apex && has(&above, RecordType::Ns))
            || above().skip(1).any(|above| has(&above, RecordType::Dname))
    }

    /// The names whose sets differ between the two.
    pub(crate) fn differing<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = &'a DnsName> {
        let gone = other.0.keys().filter(|name| !self.0.contains_key(*name));
        let set = self.0.iter().filter(|(name, sets)| other.0.get(*name) != Some(sets));
        gone.chain(set.map(|(name, _)| name))
    }
}

/// Whether the sets of a name say what a routed name would: the operator's word comes first, and two
/// sources of addresses at one name would be neither.
pub(crate) fn take_the_place_of_routed(sets: &[RecordSet]) -> bool {
    let taken = |record_type| record_type == RecordType::Cname || is_routed_type(record_type);
    sets.iter().filter_map(RecordSet::record_type).any(taken)
}

fn check(apex: &DnsName, name: &DnsName, sets: &BTreeMap<RecordType, RecordSet>) -> Result<(), StaticRecordError> {
    let of = |record_type: RecordType| sets.get(&record_type).map_or(&[][..], |set| &set.data);
    let aliases: &[RecordData] = of(RecordType::Cname);
    if !aliases.is_empty() && (aliases.len() > 1 || sets.len() > 1 || name == apex) {
        return Err(StaticRecordError::AliasNotAlone(name.clone()));
    }
    if of(RecordType::Dname).len() > 1 {
        return Err(StaticRecordError::SeveralDnames(name.clone()));
    }
    for record_type in [RecordType::Ns, RecordType::Dname] {
        if name.is_wildcard() && !of(record_type).is_empty() {
            return Err(StaticRecordError::AtWildcard(name.clone(), record_type));
        }
    }
    if !of(RecordType::Ds).is_empty() && (of(RecordType::Ns).is_empty() || name == apex) {
        return Err(StaticRecordError::DsWithoutDelegation(name.clone()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Opaque;

    fn name(text: &str) -> DnsName {
        DnsName::parse(text).expect("a valid name")
    }

    /// `owner TYPE` with data that does not matter.
    fn record(text: &str) -> RecordSet {
        let (owner, record_type) = text.split_once(' ').expect("a name and a type");
        let target = name("target.test");
        let data = match RecordType::from_mnemonic(record_type).expect("a type") {
            RecordType::Cname => RecordData::Cname(target),
            RecordType::Dname => RecordData::Dname(target),
            RecordType::Ns => RecordData::Ns(target),
            record_type => RecordData::Opaque(Opaque {
                record_type,
                octets: [1].into(),
            }),
        };
        RecordSet::new(name(owner), 60, vec![data])
    }

    #[track_caller]
    fn refused(records: &[&str], expected: &str) {
        let made = StaticRecords::new(&name("zone.test"), records.iter().map(|text| record(text)));
        assert_eq!(made.expect_err("refused").to_string(), expected);
    }

    #[test]
    fn what_breaks_a_rule_is_refused_with_its_name() {
        let alone = "a.zone.test. is an alias (CNAME), and an alias stands alone at its name";
        refused(&["a.zone.test CNAME", "a.zone.test TXT"], alone);
        refused(
            &["zone.test CNAME"],
            "zone.test. is an alias (CNAME), and an alias stands alone at its name",
        );
        refused(&["a.elsewhere.test TXT"], "a.elsewhere.test. does not lie in the zone");
        refused(
            &["*.zone.test NS"],
            "*.zone.test.: a wildcard cannot have records of type NS",
        );
        refused(
            &["*.zone.test DNAME"],
            "*.zone.test.: a wildcard cannot have records of type DNAME",
        );
        let ds = ".zone.test.: a DS record stands beside the NS records of a delegation";
        refused(&["a.zone.test DS"], &format!("a{ds}"));
        refused(&["zone.test DS", "zone.test NS"], &ds[1..]);
        for made in ["SOA", "RRSIG", "NSEC3", "DNSKEY", "TYPE41", "TYPE252"] {
            let expected = format!(
                "zone.test.: records of type {} are made by the server; leave them out",
                RecordType::from_mnemonic(made).expect("a type")
            );
            refused(&[&format!("zone.test {made}")], &expected);
        }
        let mut second = record("a.zone.test DNAME");
        second.data = vec![RecordData::Dname(name("other.test"))];
        let several = StaticRecords::new(&name("zone.test"), [record("a.zone.test DNAME"), second]);
        assert_eq!(several, Err(StaticRecordError::SeveralDnames(name("a.zone.test"))));
    }

    #[test]
    fn records_of_one_name_and_type_become_one_set() {
        let mut short = record("a.zone.test TXT");
        short.ttl = 5;
        let all = [record("a.zone.test TXT"), record("a.zone.test NS"), short];
        let records = StaticRecords::new(&name("zone.test"), all).expect("valid");
        let sets: Vec<_> = records
            .get(&name("a.zone.test"))
            .iter()
            .map(|set| (set.record_type(), set.ttl, set.original_ttl, set.data.len()))
            .collect();
        let (ns, txt) = (Some(RecordType::Ns), Some(RecordType::Other(16)));
        assert_eq!(sets, [(ns, 60, 60, 1), (txt, 5, 5, 1)]);
    }
}
