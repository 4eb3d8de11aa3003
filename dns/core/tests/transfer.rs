//! Contents, journals and catalogs of zones that are transferred.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use meridian_dns_core::transfer::{
    Content, Difference, Journal, JournalError, RoutedNames, Since, Step, catalog_records,
};
use meridian_dns_core::{
    DnsName, Fallback, Liveness, NameChange, RecordData, RecordSet, RoutedName, Shard, ShardData, ShardHealth, Site,
    SiteName, Sites, Snapshot, Soa, StaticRecords, Traffic, WhenNoneHealthy, Zone,
};
use proptest::prelude::*;

fn name(text: &str) -> DnsName {
    DnsName::parse(text).expect("a valid name")
}

fn empty() -> Zone {
    let soa = Soa {
        primary: name("ns1.zone.test"),
        mailbox: name("hostmaster.zone.test"),
        serial: 1,
        refresh: 3600,
        retry: 1,
        expire: 1,
        minimum: 5,
    };
    Zone::new(name("zone.test"), soa, Vec::new()).with_complete(true)
}

fn sites(states: [(Liveness, Traffic); 2]) -> Sites {
    ["east", "west"]
        .into_iter()
        .zip(states)
        .map(|(name, (liveness, traffic))| {
            let site = Site {
                region: String::new(),
                zones: Vec::new(),
                location: None,
                networks: Vec::new(),
                internal_networks: Vec::new(),
                weight: if name == "west" { 2 } else { 1 },
                liveness,
                traffic,
            };
            (SiteName::new(name), site)
        })
        .collect()
}

const UP: (Liveness, Traffic) = (Liveness::Alive, Traffic::Active);
const DEAD: (Liveness, Traffic) = (Liveness::Dead, Traffic::Active);
const DRAINED: (Liveness, Traffic) = (Liveness::Alive, Traffic::Drained);

fn routed(fallback: Fallback) -> NameChange {
    let shard = |address: [u8; 4]| Shard::new(ShardData::Addresses(vec![address.into()]), ShardHealth::Healthy);
    NameChange::Set(Arc::new(RoutedName {
        name: name("web.zone.test"),
        ttl: 30,
        shards: BTreeMap::from([
            (SiteName::new("east"), shard([192, 0, 2, 1])),
            (SiteName::new("west"), shard([192, 0, 2, 2])),
        ]),
        fallback,
        ipv6: false,
        https: None,
        policy: None,
    }))
}

/// The records of `web` in the content.
#[track_caller]
fn check(states: [(Liveness, Traffic); 2], fallback: &Fallback, view: &RoutedNames, expected: &str) {
    let zone = empty().with(&[routed(fallback.clone())], 2);
    let snapshot = Snapshot::default().with_sites(sites(states)).with_zone(zone);
    let content = Content::of(&snapshot, &name("zone.test"), view).expect("complete");
    let data: Vec<_> = content
        .sets()
        .filter(|set| set.name == name("web.zone.test"))
        .flat_map(|set| &set.data)
        .map(|data| format!("{} {data}", data.record_type()))
        .collect();
    assert_eq!(data.join(", "), expected, "{states:?} {fallback:?} {view:?}");
}

#[test]
fn a_routed_name_has_what_serves_and_is_never_empty_by_accident() {
    let all = RoutedNames::AllHealthy;
    let open = Fallback::Policy(WhenNoneHealthy::FailOpen);
    check([UP, UP], &open, &all, "A 192.0.2.1, A 192.0.2.2");
    check([UP, DEAD], &open, &all, "A 192.0.2.1");
    check([DRAINED, UP], &open, &all, "A 192.0.2.2");
    check([DEAD, DEAD], &open, &all, "A 192.0.2.1, A 192.0.2.2");
    check([DRAINED, DEAD], &open, &all, "A 192.0.2.2");
    check([DRAINED, DRAINED], &open, &all, "A 192.0.2.1, A 192.0.2.2");
    check([DEAD, DEAD], &Fallback::Policy(WhenNoneHealthy::Empty), &all, "");
    let elsewhere = Fallback::Policy(WhenNoneHealthy::Fallback(name("else.test")));
    check([DEAD, DEAD], &elsewhere, &all, "CNAME else.test.");
    check([DEAD, UP], &elsewhere, &all, "A 192.0.2.2");
    check([DEAD, DEAD], &Fallback::Upper(name("up.test")), &all, "CNAME up.test.");
    check([DEAD, DEAD], &Fallback::Always, &all, "A 192.0.2.1, A 192.0.2.2");
}

#[test]
fn one_views_choice_is_the_answer_to_that_client() {
    let open = Fallback::Policy(WhenNoneHealthy::FailOpen);
    let (east, west) = (SiteName::new("east"), SiteName::new("west"));
    check([UP, UP], &open, &RoutedNames::Site(east.clone()), "A 192.0.2.1");
    check([UP, UP], &open, &RoutedNames::Site(west), "A 192.0.2.2");
    check([DEAD, UP], &open, &RoutedNames::Site(east), "A 192.0.2.2");
    // The heavier site comes first where nothing is known of the client.
    check(
        [UP, UP],
        &open,
        &RoutedNames::Client([198, 51, 100, 1].into()),
        "A 192.0.2.2",
    );
}

#[test]
fn a_zone_that_is_not_complete_has_no_content() {
    let snapshot = Snapshot::default().with_zone(empty().with_complete(false));
    assert_eq!(
        Content::of(&snapshot, &name("zone.test"), &RoutedNames::AllHealthy),
        None
    );
}

/// A content with these addresses at names `n0`, `n1` and so on.
fn content(addresses: &[Vec<u8>], ttl: u32) -> Content {
    let sets = addresses.iter().enumerate().filter(|(_, hosts)| !hosts.is_empty());
    let sets = sets.map(|(number, hosts)| {
        let data = hosts.iter().map(|host| RecordData::A([192, 0, 2, *host].into()));
        RecordSet::new(name(&format!("n{number}.zone.test")), ttl, data.collect())
    });
    let records = StaticRecords::new(&name("zone.test"), sets).expect("records that go together");
    let snapshot = Snapshot::default().with_zone(empty().with_records(records.into(), 3));
    Content::of(&snapshot, &name("zone.test"), &RoutedNames::AllHealthy).expect("complete")
}

fn unsigned(_: &RecordSet) -> Result<Option<RecordSet>, Infallible> {
    Ok(None)
}

fn start(content: Content, previous: u32, now: u64, limit: usize) -> Journal {
    Journal::start(name("zone.test"), content, previous, now, limit, unsigned).expect("nothing to sign")
}

fn advance(journal: &mut Journal, content: Content, now: u64) -> Step {
    journal.advance(content, now, unsigned).expect("nothing to sign")
}

#[test]
fn there_is_a_version_a_second_and_only_for_what_differs() {
    let mut journal = start(content(&[vec![1]], 30), 0, 1_700_000_000_000, 10_000);
    assert_eq!(journal.serial(), 1_700_000_000);
    let at = |after: u64| 1_700_000_000_000 + after;
    assert_eq!(
        advance(&mut journal, content(&[vec![1]], 30), at(5000)),
        Step::Unchanged
    );
    assert_eq!(
        advance(&mut journal, content(&[vec![2]], 30), at(999)),
        Step::Wait { until: at(1000) }
    );
    let published = |serial| Step::Published { serial };
    assert_eq!(
        advance(&mut journal, content(&[vec![2]], 30), at(1000)),
        published(1_700_000_001)
    );
    assert_eq!(journal.since(1_700_000_001), Since::Current);
    assert_eq!(journal.since(1_700_000_009), Since::Current);
    assert_eq!(journal.since(1_600_000_000), Since::Whole);
    // A clock that was set back stops nothing, and serials grow all the same.
    assert_eq!(
        advance(&mut journal, content(&[vec![3]], 30), 5000),
        published(1_700_000_002)
    );
    assert_eq!(start(content(&[], 30), u32::MAX, 1000, 0).serial(), 1);
}

#[test]
fn the_oldest_differences_go_when_there_are_too_many_octets() {
    let names = |last: u8| [vec![vec![1]; 50], vec![vec![last]]].concat();
    let mut journal = start(content(&names(0), 30), 0, 1000, 700);
    for second in 2..20_u8 {
        advance(&mut journal, content(&names(second), 30), u64::from(second) * 1000);
    }
    assert_eq!(journal.since(1), Since::Whole);
    let Since::Difference(last) = journal.since(18) else {
        panic!("the last difference is kept");
    };
    assert_eq!((last.removed.len(), last.added.len()), (1, 1));
}

/// What is left and new when a difference is laid over a content.
fn records<'a>(sets: impl Iterator<Item = &'a Arc<RecordSet>>) -> Vec<String> {
    let mut lines: Vec<String> = sets
        .flat_map(|set| set.data.iter().map(|data| format!("{} {} {data}", set.name, set.ttl)))
        .collect();
    lines.sort();
    lines
}

fn laid_over(before: &Content, difference: &Difference) -> Vec<String> {
    let gone = records(difference.removed.iter());
    let mut left = records(before.sets());
    for line in &gone {
        let place = left
            .iter()
            .position(|other| other == line)
            .expect("what is removed was there");
        left.remove(place);
    }
    for line in records(difference.added.iter()) {
        assert!(!left.contains(&line), "{line} is added, and was there");
        left.push(line);
    }
    left.sort();
    left
}

proptest! {
    #[test]
    fn differences_lead_from_every_version_to_the_last(
        versions in prop::collection::vec((prop::collection::vec(prop::collection::vec(0_u8..4, 0..3), 0..4), 1_u32..3), 2..6)
    ) {
        let contents: Vec<_> = versions.iter().map(|(addresses, ttl)| content(addresses, *ttl)).collect();
        let mut journal = start(contents[0].clone(), 0, 1000, 1 << 20);
        let mut serials = vec![(journal.serial(), &contents[0])];
        for (number, content) in contents.iter().enumerate().skip(1) {
            advance(&mut journal, content.clone(), 1000 * (number as u64 + 1));
            serials.push((journal.serial(), content));
        }
        for (serial, content) in serials {
            if let Since::Difference(difference) = journal.since(serial) {
                prop_assert_eq!(laid_over(content, &difference), records(journal.content().sets()));
            }
        }
        let octets = journal.to_octets();
        prop_assert_eq!(Journal::from_octets(&octets), Ok(journal));
    }

    #[test]
    fn damaged_octets_are_no_journal(place in 0_usize..400, bit in 0_u8..8) {
        let mut octets = start(content(&[vec![1, 2], vec![3]], 30), 0, 1000, 10).to_octets();
        let place = place % octets.len();
        octets[place] ^= 1 << bit;
        prop_assert!(Journal::from_octets(&octets).is_err());
        prop_assert!(Journal::from_octets(&octets[..place]).is_err());
    }
}

#[test]
fn other_octets_say_what_they_are_not() {
    let mut octets = start(content(&[], 30), 0, 1000, 10).to_octets();
    assert_eq!(Journal::from_octets(b"something else"), Err(JournalError::NotAJournal));
    octets[4] = 9;
    assert_eq!(Journal::from_octets(&octets), Err(JournalError::Version(9)));
}

#[test]
fn a_catalog_has_its_version_and_labels_that_stay() {
    let lines = |members: &[&str]| -> Vec<String> {
        let members: Vec<_> = members.iter().map(|member| name(member)).collect();
        let sets = catalog_records(&name("catalog.test"), &members).expect("short names");
        sets.iter().map(ToString::to_string).collect()
    };
    let one = lines(&["one.test"]);
    assert_eq!(one[0], "version.catalog.test. 0 IN TXT \"2\"");
    assert!(
        one[1].ends_with("zones.catalog.test. 0 IN PTR \\# 10 036F6E65047465737400"),
        "{}",
        one[1]
    );
    let both = lines(&["two.test", "one.test"]);
    assert!(both.contains(&one[1]) && both.len() == 3);
}
