//! Static zones against a naive model that reads the RFCs' definitions word by word.
//!
//! The model scans a list of records: a name exists if a record's owner is at or below it (RFC 4592
//! section 2.2), the closest encloser is the longest name above that exists (section 3.3.1), the
//! delegation is the highest name with NS below the apex. Zones are random over few labels, `*` among
//! them, so that wildcards, empty non-terminals, delegations and aliases meet in every way.

mod support;

use meridian_dns_core::{
    Answer, Client, DnsName, Outcome, Question, RecordData, RecordSet, RecordType, StaticRecords, Zone, answer,
};
use proptest::prelude::*;
use support::{absolute, soa};

/// Names of two or three labels under the zone, and a few more to ask for.
fn any_name() -> impl Strategy<Value = DnsName> {
    prop::collection::vec(prop::sample::select(vec!["a", "b", "*"]), 0..4).prop_map(|labels| {
        labels
            .iter()
            .fold(absolute("@"), |name, label| name.prepend(label).expect("a short name"))
    })
}

fn any_data() -> impl Strategy<Value = RecordData> {
    let (a, target) = (RecordData::A([192, 0, 2, 1].into()), any_name());
    prop_oneof![
        4 => Just(a),
        1 => Just(RecordData::Aaaa(std::net::Ipv6Addr::LOCALHOST)),
        2 => target.prop_map(RecordData::Cname),
        1 => Just(RecordData::Ns(absolute("ns.elsewhere.test."))),
        1 => any_name().prop_map(RecordData::Dname),
    ]
}

/// Records that go together, in one zone.
fn any_records() -> impl Strategy<Value = Vec<RecordSet>> {
    prop::collection::vec((any_name(), any_data()), 0..12).prop_map(|all| {
        let mut kept = Vec::new();
        for (name, data) in all {
            let at_apex = name == absolute("@");
            if at_apex && matches!(data, RecordData::Ns(_)) {
                continue;
            }
            kept.push(RecordSet::new(name, 60, vec![data]));
            if StaticRecords::new(&absolute("@"), kept.clone()).is_err() {
                kept.pop();
            }
        }
        kept
    })
}

fn any_type() -> impl Strategy<Value = RecordType> {
    prop::sample::select(vec![
        RecordType::A,
        RecordType::Aaaa,
        RecordType::Cname,
        RecordType::Ns,
        RecordType::Ds,
        RecordType::Dname,
        RecordType::Soa,
    ])
}

/// What is expected or was answered: owner and type of each set, and how it ended.
#[derive(Debug, PartialEq, Eq)]
enum End {
    Data,
    NoData,
    NameError,
    Referral(DnsName),
    TooLong,
    Circle,
    Left,
}

type Told = (Vec<(DnsName, RecordType)>, End);

struct Model<'a>(&'a [RecordSet]);

impl Model<'_> {
    fn exists(&self, name: &DnsName) -> bool {
        *name == absolute("@") || self.0.iter().any(|set| set.name.is_at_or_below(name))
    }

    fn data(&self, name: &DnsName, record_type: RecordType) -> Option<&RecordData> {
        let mut sets = self.0.iter().filter(|set| set.name == *name);
        sets.find(|set| set.record_type() == Some(record_type))
            .map(|set| &set.data[0])
    }

    /// Every name from just below the apex down to this one.
    fn way_down(name: &DnsName) -> Vec<DnsName> {
        let mut way: Vec<_> = name.ancestors().take_while(|above| *above != absolute("@")).collect();
        way.reverse();
        way
    }

    fn ask(&self, question: &Question) -> Told {
        let (mut told, mut name) = (Vec::new(), question.name.clone());
        for followed in 0.. {
            if !name.is_at_or_below(&absolute("@")) || followed > 8 {
                return (told, End::Left);
            }
            if told
                .iter()
                .any(|(owner, record_type)| *owner == name && *record_type == RecordType::Cname)
            {
                return (Vec::new(), End::Circle);
            }
            match self.one(&name, question.record_type, &mut told) {
                Ok(end) => return (told, end),
                Err(target) => name = target,
            }
        }
        unreachable!("the chain ends")
    }

    /// Where one name ends, or the alias that it is.
    fn one(&self, name: &DnsName, asked: RecordType, told: &mut Vec<(DnsName, RecordType)>) -> Result<End, DnsName> {
        let mut above = vec![absolute("@")];
        above.extend(Self::way_down(name));
        for at in &above {
            let is_cut = *at != absolute("@") && self.data(at, RecordType::Ns).is_some();
            if is_cut && !(at == name && asked == RecordType::Ds) {
                return Ok(End::Referral(at.clone()));
            }
            if at != name
                && let Some(RecordData::Dname(target)) = self.data(at, RecordType::Dname)
            {
                told.push((at.clone(), RecordType::Dname));
                let below: Vec<_> = name
                    .labels()
                    .take(name.labels().count() - at.labels().count())
                    .collect();
                let labels: Vec<_> = below.into_iter().chain(target.labels()).collect();
                let Ok(renamed) = DnsName::from_labels(labels.iter().map(Vec::as_slice)) else {
                    return Ok(End::TooLong);
                };
                told.push((name.clone(), RecordType::Cname));
                return if asked == RecordType::Cname {
                    Ok(End::Data)
                } else {
                    Err(renamed)
                };
            }
        }
        let source = if self.exists(name) {
            name.clone()
        } else {
            let encloser = name
                .ancestors()
                .find(|above| self.exists(above))
                .expect("the apex exists");
            let wildcard = encloser.prepend("*").expect("a short name");
            if !self.exists(&wildcard) {
                return Ok(End::NameError);
            }
            wildcard
        };
        if asked == RecordType::Soa && source == absolute("@") || self.data(&source, asked).is_some() {
            told.push((name.clone(), asked));
            return Ok(End::Data);
        }
        if let Some(RecordData::Cname(target)) = self.data(&source, RecordType::Cname) {
            told.push((name.clone(), RecordType::Cname));
            return Err(target.clone());
        }
        Ok(End::NoData)
    }
}

fn told(answer: &Answer) -> Told {
    let sets: Vec<_> = answer
        .answers
        .iter()
        .map(|set| (set.name.clone(), set.record_type().expect("not empty")))
        .collect();
    let authority = answer.authorities.first().map(|set| (&set.name, set.record_type()));
    let end = match (answer.outcome, authority) {
        (Outcome::ServFail, _) => End::Circle,
        (Outcome::YxDomain, _) => End::TooLong,
        (Outcome::NxDomain, _) => End::NameError,
        (_, Some((cut, Some(RecordType::Ns)))) => End::Referral(cut.clone()),
        (_, Some(_)) => End::NoData,
        (_, None) => End::Data,
    };
    (sets, end)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn a_static_zone_answers_as_the_model_does(records in any_records(), name in any_name(), record_type in any_type()) {
        let question = Question { name, record_type };
        let checked = StaticRecords::new(&absolute("@"), records.clone()).expect("checked");
        let zone = Zone::new(absolute("@"), soa(), Vec::new()).with_complete(true).with_records(checked.into(), 2);
        let snapshot = meridian_dns_core::Snapshot::default().with_zone(zone);
        let got = told(&answer(&snapshot, &question, Client::at([192, 0, 2, 1].into())));
        let mut expected = Model(&records).ask(&question);
        // An answer does not say whether the rest is left to the resolver.
        if expected.1 == End::Left {
            expected.1 = End::Data;
        }
        prop_assert_eq!(got, expected);
    }

    /// Records that come and go one after the other leave the zone as if it were made anew.
    #[test]
    fn the_way_to_a_zone_does_not_matter(steps in prop::collection::vec(any_records(), 1..4), name in any_name(), record_type in any_type()) {
        let fresh = Zone::new(absolute("@"), soa(), Vec::new()).with_complete(true);
        let with = |zone: &Zone, records: &Vec<RecordSet>| {
            let checked = StaticRecords::new(&absolute("@"), records.clone()).expect("checked");
            zone.with_records(checked.into(), 2)
        };
        let changed = steps.iter().fold(fresh.clone(), |zone, records| with(&zone, records));
        let made = with(&fresh, steps.last().expect("a step"));
        let question = Question { name, record_type };
        let ask = |zone: Zone| {
            let snapshot = meridian_dns_core::Snapshot::default().with_zone(zone);
            answer(&snapshot, &question, Client::at([192, 0, 2, 1].into()))
        };
        prop_assert_eq!(changed.exists(&question.name), made.exists(&question.name));
        prop_assert_eq!(ask(changed), ask(made));
    }
}
