//! What is taken of what is stored, and replicas that give away one stream.

use meridian_dns_core::transfer::{Content, RoutedNames};
use meridian_dns_core::{RecordData, RecordSet, Soa, StaticRecords, Zone};
use meridian_federation_core::LeaseTimes;
use meridian_simcluster::{ClusterOptions, SimCluster};

use super::*;
use crate::lease::{Campaign, identity};
use crate::testing::{client_through, within};

const APEX: &str = "example.test";

fn name(text: &str) -> DnsName {
    DnsName::parse(text).expect("a name")
}

fn snapshot(serial: u32, address: u8) -> Snapshot {
    let soa = Soa {
        primary: name("ns.example.test"),
        mailbox: name("x.example.test"),
        serial,
        refresh: 1,
        retry: 1,
        expire: 1,
        minimum: 1,
    };
    let data = RecordData::A([192, 0, 2, address].into());
    let set = RecordSet::new(name("w.example.test"), 30, vec![data]);
    let records = StaticRecords::new(&name(APEX), [set]).expect("records");
    let zone = Zone::new(name(APEX), soa, Vec::new()).with_records(records.into(), serial);
    Snapshot::default().with_zone(zone.with_complete(true))
}

fn journal(serial: u32) -> Journal {
    let content = Content::of(&snapshot(0, 1), &name(APEX), &RoutedNames::AllHealthy).expect("complete");
    let unsigned = |_: &_| Ok::<_, std::convert::Infallible>(None);
    Journal::start(name(APEX), content, serial - 1, 0, 1 << 20, unsigned).expect("not signed")
}

#[test]
fn what_is_stored_replaces_what_is_older_and_nothing_else() {
    let good = |serial| journal(serial).to_octets();
    let mut damaged = good(9);
    damaged[20] ^= 1;
    let mut newer = good(9);
    newer[4] = 99;
    // What is known, what is stored, then: what is known, whether it is to be stored again, whether it may be.
    for (own, stored, expected) in [
        (None, good(5), (Some(5), false, true)),
        (Some(4), good(5), (Some(5), false, true)),
        (Some(6), good(5), (Some(6), true, true)),
        (Some(6), damaged.clone(), (Some(6), true, true)),
        (None, damaged, (None, true, true)),
        (None, b"something else".to_vec(), (None, true, true)),
        (Some(6), newer, (Some(6), false, false)),
    ] {
        let mut known = Known {
            journal: own.map(|serial| Arc::new(journal(serial))),
            ..Known::default()
        };
        known.take(&name(APEX), Some(("1", &stored)));
        let serial = known.journal.as_ref().map(|journal| journal.serial());
        assert_eq!((serial, known.differs, known.foreign.is_none()), expected, "{own:?}");
        assert_eq!(known.version.as_deref(), Some("1"));
        known.take(&name(APEX), None);
        assert_eq!(
            (known.version, known.journal.map(|journal| journal.serial())),
            (None, serial)
        );
    }
}

/// A keeper with the test as its index: what the keeper tells is shown.
struct Replica {
    campaign: Campaign,
    table: Table,
    transfers: SharedTransfers,
    changes: broadcast::Sender<Arc<Change>>,
    told: mpsc::Receiver<Message>,
    _streams: watch::Sender<Streams>,
    _tasks: JoinSet<()>,
}

impl Replica {
    fn start(host: &Client, id: &str) -> Self {
        let id = identity(Some(id.to_owned())).expect("random numbers");
        let campaign = Campaign::start(host.clone(), "meridian-system", id, LeaseTimes::default());
        let state = SharedState::new(host.clone(), "meridian-system", campaign.leadership());
        let (table, transfers) = (Table::new(snapshot(0, 1)), SharedTransfers::default());
        let (streams, of_zones) = watch::channel(Streams {
            zones: [(name(APEX), Stream::default())].into(),
            ..Streams::default()
        });
        let (changes, receiver) = broadcast::channel(16);
        let (messages, told) = mpsc::channel(16);
        let config = TransferConfig {
            state,
            signer: Signer::default(),
            transfers: transfers.clone(),
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(keep(
            config,
            (host.clone(), table.clone()),
            of_zones,
            receiver,
            messages,
        ));
        Self {
            campaign,
            table,
            transfers,
            changes,
            told,
            _streams: streams,
            _tasks: tasks,
        }
    }

    fn answer(&self, snapshot: Snapshot) {
        self.table.store(snapshot);
        let change = Change {
            causes: Vec::new(),
            answered: std::time::Instant::now(),
        };
        let _ = self.changes.send(Arc::new(change));
    }

    /// Waits for another serial than that one, and shows it.
    async fn serial_after(&mut self, before: u32, address: u8) -> u32 {
        let told = async {
            loop {
                let Some(Message::Streams(states)) = self.told.recv().await else {
                    panic!("the keeper tells of streams alone");
                };
                let serial = states.get(&name(APEX)).and_then(|state| state.serial);
                if let Some(serial) = serial.filter(|serial| *serial != before) {
                    let given = self.transfers.load().zones[&name(APEX)].journal.clone();
                    assert_eq!(
                        given.map(|journal| journal.serial()),
                        Some(serial),
                        "in force before it is told"
                    );
                    return serial;
                }
            }
        };
        let serial = within("another version", told).await;
        self.answer(snapshot(serial, address));
        serial
    }
}

#[tokio::test]
async fn replicas_give_away_one_stream_and_the_next_leader_goes_on_with_it() {
    let cluster = SimCluster::start(ClusterOptions::named("host")).await.expect("a port");
    let host = client_through(&cluster, cluster.address()).await;
    let (mut one, mut two) = (Replica::start(&host, "a"), Replica::start(&host, "b"));
    let first = one.serial_after(0, 1).await;
    assert_eq!(two.serial_after(0, 1).await, first);
    for replica in [&one, &two] {
        replica.answer(snapshot(first, 2));
    }
    let second = one.serial_after(first, 2).await;
    assert!(serial::is_newer(second, first));
    assert_eq!(two.serial_after(first, 2).await, second);
    // Whoever leads leaves; the other goes on, and one that starts again takes what is there.
    let (gone, mut left) = if one.campaign.leadership().holds() {
        (one, two)
    } else {
        (two, one)
    };
    gone.campaign.end().await;
    drop(gone._tasks);
    left.answer(snapshot(second, 3));
    let third = left.serial_after(second, 3).await;
    assert!(serial::is_newer(third, second));
    let mut again = Replica::start(&host, "c");
    assert_eq!(again.serial_after(0, 3).await, third);
}

#[tokio::test]
async fn a_secret_is_used_as_it_is_now_and_trouble_says_what_to_do() {
    let cluster = SimCluster::start(ClusterOptions::named("host")).await.expect("a port");
    let host = client_through(&cluster, cluster.address()).await;
    let reference = SecretRef {
        namespace: "default".to_owned(),
        name: "tsig".to_owned(),
        key: "secret".to_owned(),
    };
    let key = TransferKey {
        algorithm: TransferAlgorithm::HmacSha256,
        secret: reference.clone(),
    };
    let read = async |before| secrets::read(&host, &reference, before).await;
    let usable = |read| tsig_key(&name("k"), &key, &Secrets::from([(reference.clone(), read)])).map(drop);
    let why = usable(read(None).await).expect_err("there is none");
    assert_eq!(why, "Secret default/tsig is not there; make it");
    let secrets = kube::Api::<k8s_openapi::api::core::v1::Secret>::namespaced(host.clone(), "default");
    let mut texts = Vec::new();
    for (text, expected) in [
        ("", Err("it is empty")),
        ("\"c2VjcmV0\"", Err("without quotation marks")),
        ("c2VjcmV0\n", Ok(())),
    ] {
        let object = serde_json::json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "tsig"}, "stringData": {"secret": text}});
        let apply = kube::api::PatchParams::apply("test").force();
        secrets
            .patch("tsig", &apply, &kube::api::Patch::Apply(&object))
            .await
            .expect("applied");
        let found = read(None).await;
        texts.push(format!("{found:?}"));
        match (usable(found), expected) {
            (Ok(()), Ok(())) => {}
            (Err(why), Err(part)) => assert!(
                why.contains(part) && why.contains("key secret of Secret default/tsig"),
                "{why}"
            ),
            (found, _) => panic!("{text:?}: {found:?}"),
        }
    }
    assert!(texts.iter().all(|text| text == "Ok(SecretText(..))"), "{texts:?}");
    // The host is away: what was read stays. Before, it is trouble.
    let known = read(None).await;
    let nobody = client_through(&cluster, std::net::SocketAddr::from(([127, 0, 0, 1], 1))).await;
    assert_eq!(secrets::read(&nobody, &reference, Some(known.clone())).await, known);
    let why = secrets::read(&nobody, &reference, None)
        .await
        .expect_err("nobody answers");
    assert!(
        why.contains("cannot be read") && why.contains("the right to get it"),
        "{why}"
    );
}
