//! A fleet whose zone is signed, with everything in it that a validator treats in a way of its own.
//!
//! `example.test` has the routed names of the plain fleet, static records of many types, a wildcard, an
//! empty non-terminal, aliases, a DNAME, and two delegations to zones that are served here too: `safe`
//! is signed and vouched for, `bare` is neither.

use std::net::SocketAddr;
use std::sync::Arc;

use meridian_dns_core::dnssec::{Algorithm, Denial, Dnssec, ZoneKey};
use meridian_dns_core::{
    DnsName, Liveness, NameServer, Opaque, ReadText, RecordData, RecordSet, RecordType, Snapshot, Soa, StaticRecords,
    Zone,
};
use meridian_dns_server::{DnsServer, MasterFile, Signer, SigningKey, Table};

use super::{name, snapshot, start_with};

/// One key of a zone, and what it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Signs the keys.
    Ksk,
    /// Signs all other sets.
    Zsk,
    /// Signs everything.
    Csk,
}

/// Keys that are made once and can be installed anywhere.
#[derive(Clone)]
pub(crate) struct Keys {
    pub(crate) zone: DnsName,
    made: Vec<(Role, Algorithm, Vec<u8>)>,
}

impl Keys {
    pub(crate) fn make(zone: &str, roles: &[(Role, Algorithm)]) -> Self {
        let make = |(role, algorithm): &(Role, Algorithm)| {
            let pkcs8 = SigningKey::generate(*algorithm).expect("a key");
            (*role, *algorithm, pkcs8)
        };
        Self {
            zone: name(zone),
            made: roles.iter().map(make).collect(),
        }
    }

    pub(crate) fn private(&self) -> Vec<SigningKey> {
        let of = |(role, algorithm, pkcs8): &(Role, Algorithm, Vec<u8>)| {
            SigningKey::from_pkcs8(*algorithm, *role != Role::Zsk, pkcs8).expect("a key")
        };
        self.made.iter().map(of).collect()
    }

    pub(crate) fn dnssec(&self, denial: Denial) -> Arc<Dnssec> {
        let keys = self
            .private()
            .into_iter()
            .zip(&self.made)
            .map(|(key, (role, ..))| ZoneKey {
                key: key.public().clone(),
                published: true,
                signs_keys: *role != Role::Zsk,
                signs_data: *role != Role::Ksk,
                wants_ds: *role != Role::Zsk,
            });
        Arc::new(Dnssec {
            delete_ds: false,
            key_ttl: 60,
            keys: keys.collect(),
            denial,
        })
    }

    /// Flags, algorithm and base 64 of each key that is an entry point.
    pub(crate) fn anchors(&self) -> Vec<(u8, String)> {
        let entries = self.private().into_iter().filter(|key| key.public().secure_entry_point);
        let of = |key: SigningKey| {
            let public = key.public();
            (
                public.algorithm.number(),
                data_encoding::BASE64.encode(&public.public_key),
            )
        };
        entries.map(of).collect()
    }

    fn ds(&self) -> Vec<RecordData> {
        let entries = self.private().into_iter().filter(|key| key.public().secure_entry_point);
        let of = |key: SigningKey| {
            RecordData::Opaque(Opaque {
                record_type: RecordType::Ds,
                octets: key.public().ds(&self.zone).into(),
            })
        };
        entries.map(of).collect()
    }
}

const RECORDS: &str = r#"
mail     300 IN MX 10 own
mail     300 IN TXT "v=spf1 -all" "two"
caa      300 IN CAA 0 issue "ca.example"
ptr      300 IN PTR Host.Elsewhere.test.
tlsa     300 IN TLSA 3 1 1 0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF
naptr    300 IN NAPTR 100 10 "u" "E2U+sip" "!^.*$!sip:info@Example.test!" .
svcb     300 IN SVCB 1 own alpn=h2 port=443
odd      300 IN TYPE65280 \# 4 0A000001
host     300 IN A 192.0.2.1
host     300 IN A 192.0.2.2
host     300 IN AAAA 2001:db8::1
deep.under.nothing 300 IN A 192.0.2.3
*.wild   300 IN A 192.0.2.4
*.wild   300 IN TXT "wild"
alias    300 IN CNAME alias2
alias2   300 IN CNAME web
dangling 300 IN CNAME absent
outside  300 IN CNAME www.bare
inside   300 IN CNAME www.safe
tree     300 IN DNAME wild
safe     300 IN NS ns.safe
ns.safe  300 IN A 127.0.0.1
bare     300 IN NS ns.bare
ns.bare  300 IN A 127.0.0.1
"#;

const CHILD: &str = "
www 300 IN A 192.0.2.9
ns  300 IN A 127.0.0.1
";

fn records(zone: &str, text: &str, more: Vec<RecordSet>) -> Arc<StaticRecords> {
    let zone = name(zone);
    let read = MasterFile.zone_file(&zone, 300, text).expect("records");
    let all = StaticRecords::new(&zone, read.into_iter().chain(more));
    Arc::new(all.expect("records that go together"))
}

fn child(zone: &str) -> Zone {
    let soa = Soa {
        primary: name(&format!("ns.{zone}")),
        mailbox: name("hostmaster.example.test"),
        serial: 1,
        refresh: 7200,
        retry: 600,
        expire: 86_400,
        minimum: 5,
    };
    let server = NameServer {
        name: name(&format!("ns.{zone}")),
        addresses: vec![[127, 0, 0, 1].into()],
    };
    Zone::new(name(zone), soa, vec![server])
        .with_records(records(zone, CHILD, Vec::new()), 2)
        .with_complete(true)
}

/// Keys of the two signed zones.
#[derive(Clone)]
pub(crate) struct Fleet {
    pub(crate) keys: Keys,
    pub(crate) safe: Keys,
    pub(crate) denial: Denial,
}

impl Fleet {
    pub(crate) fn new(denial: Denial, roles: &[(Role, Algorithm)]) -> Self {
        Self {
            keys: Keys::make("example.test", roles),
            safe: Keys::make("safe.example.test", &[(Role::Csk, Algorithm::EcdsaP256)]),
            denial,
        }
    }

    pub(crate) fn snapshot(&self, there: Liveness) -> Snapshot {
        let plain = snapshot(there);
        let zone = plain.zone(&self.keys.zone).expect("the zone");
        let ds = RecordSet::new(self.safe.zone.clone(), 300, self.safe.ds());
        let zone = zone
            .with_records(records("example.test", RECORDS, vec![ds]), 3_000_000_002)
            .with_dnssec(Some(self.keys.dnssec(self.denial)), 3_000_000_003);
        let safe = child("safe.example.test").with_dnssec(Some(self.safe.dnssec(self.denial)), 3);
        plain
            .with_zone(zone)
            .with_zone(safe)
            .with_zone(child("bare.example.test"))
    }

    pub(crate) fn install(&self, signer: &Signer) {
        for keys in [&self.keys, &self.safe] {
            signer.install(&keys.zone, keys.private());
        }
    }

    /// A server with all of it.
    pub(crate) async fn start(&self) -> (DnsServer, SocketAddr, Table) {
        let (server, address, table) = start_with(|config| self.install(&config.signer)).await;
        table.store(self.snapshot(Liveness::Alive));
        (server, address, table)
    }
}
