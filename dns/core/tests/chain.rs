//! The NSEC and NSEC3 chains of whole zones (RFC 4034 section 4, RFC 5155 section 7.1).
//!
//! The zone is that of RFC 4035 appendix A and RFC 5155 appendix A. Its NSEC chain is published there;
//! its NSEC3 chain without salt and iterations is what BIND's `dnssec-signzone -3 - -H 0` makes.

mod support;

use std::cmp::Ordering;
use std::collections::BTreeSet;

use data_encoding::BASE32HEX_NOPAD;
use meridian_dns_core::dnssec::{ChainError, ChainNames, NameHash, nsec_chain, nsec3_chain, order};
use meridian_dns_core::{DnsName, RecordSet, RecordType};
use proptest::prelude::*;
use support::denial::{mnemonics, read_nsec, read_nsec3};

fn name(text: &str) -> DnsName {
    DnsName::parse(text).expect("a name")
}

/// Names of the zone, each with its types.
fn names(lines: &[&str]) -> ChainNames {
    let of = |line: &&str| {
        let mut words = line.split(' ');
        let owner = name(words.next().expect("a name"));
        let types = words.map(|word| RecordType::from_mnemonic(word).expect("a type"));
        (owner, types.collect())
    };
    lines.iter().map(of).collect()
}

const ZONE: [&str; 10] = [
    "example SOA NS MX DNSKEY",
    "a.example NS DS",
    "ai.example A HINFO AAAA",
    "b.example NS",
    "ns1.example A",
    "ns2.example A",
    "*.w.example MX",
    "x.w.example MX",
    "x.y.w.example MX",
    "xx.example A HINFO AAAA",
];

fn nsec_lines(sets: &[RecordSet]) -> Vec<String> {
    let line = |set| {
        let nsec = read_nsec(set).expect("an NSEC");
        format!("{} {}{}", nsec.owner, nsec.next, mnemonics(&nsec.types))
    };
    sets.iter().map(line).collect()
}

#[test]
fn rfc_4035_the_chain_of_the_published_zone() {
    let expected = [
        "example. a.example. NS SOA MX RRSIG NSEC DNSKEY",
        "a.example. ai.example. NS DS RRSIG NSEC",
        "ai.example. b.example. A HINFO AAAA RRSIG NSEC",
        "b.example. ns1.example. NS RRSIG NSEC",
        "ns1.example. ns2.example. A RRSIG NSEC",
        "ns2.example. *.w.example. A RRSIG NSEC",
        "*.w.example. x.w.example. MX RRSIG NSEC",
        "x.w.example. x.y.w.example. MX RRSIG NSEC",
        "x.y.w.example. xx.example. MX RRSIG NSEC",
        "xx.example. example. A HINFO AAAA RRSIG NSEC",
    ];
    let sets = nsec_chain(&name("example"), 3600, &names(&ZONE));
    assert_eq!(nsec_lines(&sets), expected);
    assert!(sets.iter().all(|set| (set.ttl, set.original_ttl) == (3600, 3600)));
}

#[test]
fn rfc_5155_the_hashed_chain_is_the_one_that_bind_makes() {
    let expected = [
        "3msev9usmd4br9s97v51r2tdvmr9iqo1 6cd522290vma0nr8lqu1ivtcofj94rga NS SOA MX RRSIG DNSKEY NSEC3PARAM",
        "6cd522290vma0nr8lqu1ivtcofj94rga 9js115ea61chtvgnsdgk2lldv5ceu01u NS DS RRSIG",
        "9js115ea61chtvgnsdgk2lldv5ceu01u a2bbv5g5d8ik754a2a44gdc113sc00dk",
        "a2bbv5g5d8ik754a2a44gdc113sc00dk b39f52k2414ait0pcpfjosgb4bs25jpe MX RRSIG",
        "b39f52k2414ait0pcpfjosgb4bs25jpe d8cm5m2d14ee3ci2udflrlk00604lnnk NS",
        "d8cm5m2d14ee3ci2udflrlk00604lnnk dsq717d99rrrn3n4o1o20ntk5ldjknt3 A HINFO AAAA RRSIG",
        "dsq717d99rrrn3n4o1o20ntk5ldjknt3 l76mhqg6oa3a5scu8lula061nepf70ph A RRSIG",
        "l76mhqg6oa3a5scu8lula061nepf70ph m1o89lfdo9rrf2f8r8ss42d81d09v48m A HINFO AAAA RRSIG",
        "m1o89lfdo9rrf2f8r8ss42d81d09v48m p9n5ptevjsjoskr5u50vc77gp9bdsck8 A RRSIG",
        "p9n5ptevjsjoskr5u50vc77gp9bdsck8 tf4v2jbvf5iq28bheot32e5nsh2dbof3 MX RRSIG",
        "tf4v2jbvf5iq28bheot32e5nsh2dbof3 vdec5svarlb837sln077ffsvbrj6lv0q",
        "vdec5svarlb837sln077ffsvbrj6lv0q 3msev9usmd4br9s97v51r2tdvmr9iqo1 MX RRSIG",
    ];
    let mut zone = names(&ZONE);
    zone.entry(name("example")).or_default().push(RecordType::NSEC3PARAM);
    let sets = nsec3_chain(&name("example"), 3600, &zone).expect("a chain");
    let hash = |octets: &[u8]| BASE32HEX_NOPAD.encode(octets).to_ascii_lowercase();
    let line = |set| {
        let nsec3 = read_nsec3(set).expect("an NSEC3");
        format!("{} {}{}", hash(&nsec3.hash), hash(&nsec3.next), mnemonics(&nsec3.types))
    };
    assert_eq!(sets.iter().map(line).collect::<Vec<_>>(), expected);
}

#[test]
fn a_zone_of_one_name_leads_to_itself() {
    let (apex, zone) = (name("example"), names(&["example SOA NS"]));
    let lines = nsec_lines(&nsec_chain(&apex, 60, &zone));
    assert_eq!(lines, ["example. example. NS SOA RRSIG NSEC"]);
    let sets = nsec3_chain(&apex, 60, &zone).expect("a chain");
    let nsec3 = read_nsec3(&sets[0]).expect("an NSEC3");
    assert_eq!((sets.len(), nsec3.hash), (1, nsec3.next));
}

#[test]
fn what_stands_beside_a_delegation_is_not_ours_to_show() {
    let zone = names(&["example SOA", "a.example NS TXT", "b.example", "c.elsewhere A"]);
    let lines = nsec_lines(&nsec_chain(&name("example"), 60, &zone));
    let expected = [
        "example. a.example. SOA RRSIG NSEC",
        "a.example. example. NS RRSIG NSEC",
    ];
    assert_eq!(lines, expected);
    let sets = nsec3_chain(&name("example"), 60, &zone).expect("a chain");
    assert_eq!(sets.len(), 2);
}

#[test]
fn a_zone_without_room_for_hashes_is_refused() {
    let apex = name(&["a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(30)].join("."));
    let mut zone = ChainNames::new();
    zone.insert(apex.clone(), vec![RecordType::Soa]);
    assert_eq!(
        nsec3_chain(&apex, 60, &zone),
        Err(ChainError::ZoneTooLong(apex.clone()))
    );
    assert_eq!(nsec_chain(&apex, 60, &zone).len(), 1);
}

fn any_names() -> impl Strategy<Value = Vec<DnsName>> {
    let label = prop::sample::select(vec!["a", "b", "ab", "*", "a-", "_a", "0"]);
    let relative = prop::collection::vec(label, 1..4);
    prop::collection::vec(relative, 1..12).prop_map(|all| {
        let full = all.iter().map(|labels| name(&format!("{}.example", labels.join("."))));
        full.collect()
    })
}

proptest! {
    #[test]
    fn a_chain_is_closed_and_covers_what_is_not_there_once(present in any_names(), asked in any_names()) {
        let apex = name("example");
        let mut zone: ChainNames = present.iter().map(|name| (name.clone(), vec![RecordType::A])).collect();
        zone.insert(apex.clone(), vec![RecordType::Soa]);

        let nsecs: Vec<_> = nsec_chain(&apex, 60, &zone).iter().map(|set| read_nsec(set).expect("an NSEC")).collect();
        prop_assert_eq!(nsecs.len(), zone.len());
        for (at, nsec) in nsecs.iter().enumerate() {
            let next = nsecs.get(at + 1);
            prop_assert_eq!(&nsec.next, next.map_or(&apex, |next| &next.owner));
            prop_assert!(next.is_none() || order::compare(&nsec.owner, &nsec.next) == Ordering::Less);
        }

        let sets = nsec3_chain(&apex, 60, &zone).expect("a chain");
        let nsec3s: Vec<_> = sets.iter().map(|set| read_nsec3(set).expect("an NSEC3")).collect();
        let exist: BTreeSet<_> = zone
            .keys()
            .flat_map(|name| name.ancestors().take_while(|above| *above != DnsName::root()))
            .collect();
        prop_assert_eq!(nsec3s.len(), exist.len());
        for name in present.iter().chain(&asked) {
            let hash = *NameHash::of(name).octets();
            let matching = nsec3s.iter().filter(|nsec3| nsec3.hash == hash).count();
            let covering = nsec3s.iter().filter(|nsec3| nsec3.covers(&hash)).count();
            prop_assert_eq!((matching, covering), if exist.contains(name) { (1, 0) } else { (0, 1) });
            let after = |nsec: &&support::denial::Nsec| order::compare(&nsec.owner, name) == Ordering::Less
                && (nsec.next == apex || order::compare(name, &nsec.next) == Ordering::Less);
            prop_assert_eq!(nsecs.iter().filter(after).count(), usize::from(!zone.contains_key(name)));
        }
    }
}
