//! A server with a zone of static records that is given away: hidden primary of the secondaries in the tests.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use data_encoding::BASE64;
use meridian_dns_core::dnssec::{Algorithm, Denial, ZoneKey};
use meridian_dns_core::transfer::{Content, Journal, RoutedNames, Step, signed};
use meridian_dns_core::{DnsName, Dnssec, NameServer, ReadText, RecordSet, Snapshot, Soa, StaticRecords, Zone};
use meridian_dns_server::{
    Allowed, DnsServer, MasterFile, ServerConfig, SharedTransfers, Signer, SigningKey, SigningLimits, Table, Transfers,
    TsigAlgorithm, TsigKey, ZoneTransfer,
};

use super::name;
use super::secondary::KEY;

pub(crate) struct Primary {
    pub(crate) server: DnsServer,
    pub(crate) address: SocketAddr,
    table: Table,
    transfers: SharedTransfers,
    signer: Signer,
    /// What the journals believe to be the time: each change is a second later.
    clock: u64,
}

pub(crate) fn key() -> TsigKey {
    let secret = BASE64.decode(KEY.1.as_bytes()).expect("base 64");
    TsigKey::new(name(KEY.0), TsigAlgorithm::HmacSha256, &secret)
}

pub(crate) fn zone(apex: &str, records: &str) -> Zone {
    let soa = Soa {
        primary: name("ns1").prepend("x").expect("a name"),
        mailbox: name("hostmaster.test"),
        serial: 0,
        refresh: 7200,
        retry: 600,
        expire: 86_400,
        minimum: 60,
    };
    let server = NameServer {
        name: DnsName::parse(&format!("ns1.{apex}")).expect("a name"),
        addresses: vec![[127, 0, 0, 1].into()],
    };
    let apex = name(apex);
    let sets = MasterFile.zone_file(&apex, 300, records).expect("a zone file");
    let records = StaticRecords::new(&apex, sets).expect("records that go together");
    Zone::new(apex, soa, vec![server])
        .with_records(records.into(), 1)
        .with_complete(true)
}

fn unix() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970")
        .as_secs()
}

impl Primary {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| ()).await
    }

    /// The same, with its configuration changed.
    pub(crate) async fn start_with(change: impl FnOnce(&mut ServerConfig)) -> Self {
        let table = Table::new(Snapshot::default());
        let mut config = ServerConfig::new([SocketAddr::from(([127, 0, 0, 1], 0))]);
        // One client asks for every name at once.
        config.settings.signing = SigningLimits {
            network: 1_000_000,
            all: 1_000_000,
            burst: 1,
        };
        change(&mut config);
        let (transfers, signer) = (config.transfers.clone(), config.signer.clone());
        transfers.store(Transfers {
            keys: [(name(KEY.0), key())].into(),
            ..Transfers::default()
        });
        let server = DnsServer::bind(config, table.clone()).await.expect("a free port");
        Self {
            address: server.addresses()[0],
            server,
            table,
            transfers,
            signer,
            clock: unix() * 1000,
        }
    }

    /// The serial that answers show.
    pub(crate) fn table_serial(&self, apex: &str) -> u32 {
        let snapshot = self.table.load();
        snapshot.zone(&name(apex)).expect("the zone").soa().serial
    }

    /// Makes keys for a zone, and says how it is signed from now on.
    pub(crate) fn keys(&self, apex: &DnsName, denial: Denial) -> Dnssec {
        let pkcs8 = SigningKey::generate(Algorithm::EcdsaP256).expect("random numbers");
        let key = SigningKey::from_pkcs8(Algorithm::EcdsaP256, true, &pkcs8).expect("a key");
        let public = key.public().clone();
        self.signer.install(apex, vec![key]);
        Dnssec {
            delete_ds: false,
            key_ttl: 300,
            keys: vec![ZoneKey {
                key: public,
                published: true,
                signs_keys: true,
                signs_data: true,
                wants_ds: false,
            }],
            denial,
        }
    }

    /// Publishes a version of a zone, to be transferred by who has the key; its start of authority.
    pub(crate) fn publish(&mut self, zone: Zone) -> RecordSet {
        let allow = vec![Allowed {
            networks: vec!["127.0.0.0/8".parse().expect("a network")],
            key: Some(name(KEY.0)),
        }];
        self.publish_to(zone, allow)
    }

    pub(crate) fn publish_to(&mut self, zone: Zone, allow: Vec<Allowed>) -> RecordSet {
        self.publish_as(zone, allow, false)
    }

    pub(crate) fn publish_as(&mut self, zone: Zone, allow: Vec<Allowed>, hidden: bool) -> RecordSet {
        self.clock += 1000;
        let apex = zone.apex().clone();
        let snapshot = self.table.load().as_ref().clone().with_zone(zone.clone());
        let mut all = Transfers::clone(&self.transfers.load());
        let before = all.zones.get(&apex).and_then(|zone| zone.journal.clone());
        let now = u32::try_from(unix()).expect("before 2106");
        let sign = |set: &RecordSet| self.signer.sign(&zone, set, now);
        let mut content = Content::of(&snapshot, &apex, &RoutedNames::AllHealthy).expect("a complete zone");
        if let Some(dnssec) = zone.dnssec() {
            let previous = before.as_ref().map(|journal| &**journal.content());
            content = signed(content, &apex, dnssec, previous, (now, 3600), sign).expect("signed");
        }
        let sign_soa = |soa: &RecordSet| zone.dnssec().map(|_| sign(soa)).transpose();
        let journal = match before {
            None => Journal::start(apex.clone(), content, 0, self.clock, 1 << 20, sign_soa).expect("signed"),
            Some(before) => {
                let mut journal = Journal::clone(&before);
                let step = journal.advance(content, self.clock, sign_soa).expect("signed");
                assert!(matches!(step, Step::Published { .. }), "{step:?}");
                journal
            }
        };
        let (serial, soa) = (journal.serial(), journal.soa());
        let transfer = ZoneTransfer {
            allow,
            hidden,
            journal: Some(Arc::new(journal)),
        };
        all.zones.insert(apex, transfer);
        self.transfers.store(all);
        self.table.store(snapshot.with_zone(zone.with_serial(serial)));
        soa
    }
}
