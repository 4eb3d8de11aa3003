//! Keepers of several replicas against one simulated host.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Secret;
use kube::api::{DeleteParams, ListParams};
use kube::{Api, Client, ResourceExt};
use meridian_dns_core::dnssec::Denial;
use meridian_dns_core::dnssec::rollover::{KeyRing, Policy};
use meridian_federation_core::LeaseTimes;
use meridian_simcluster::{ClusterOptions, SimCluster};

use super::care::tests::policy;
use super::folder::KeyFolder;
use super::store::KIND;
use super::*;
use crate::lease::{Campaign, Leadership, identity};
use crate::shared_state::SharedState;
use crate::testing::{client_through, within};

struct Replica {
    signer: Signer,
    tasks: watch::Sender<Vec<KeyTask>>,
    messages: mpsc::Receiver<Message>,
    campaign: Campaign,
    keeper: tokio::task::JoinHandle<()>,
}

fn zone() -> DnsName {
    DnsName::parse("example.test").expect("a name")
}

impl Replica {
    fn start(host: &Client, copies: Option<KeyFolder>) -> Self {
        Self::with_store(host, |leadership| KeyStore::Secrets {
            state: SharedState::new(host.clone(), "shared", leadership),
            copies,
        })
    }

    fn with_store(host: &Client, store: impl FnOnce(Leadership) -> KeyStore) -> Self {
        let id = identity(None).expect("random numbers");
        let campaign = Campaign::start(host.clone(), "shared", id, LeaseTimes::default());
        let signer = Signer::default();
        let config = KeeperConfig {
            store: store(campaign.leadership()),
            signer: signer.clone(),
        };
        let (tasks, followed) = watch::channel(Vec::new());
        let (sender, messages) = mpsc::channel(64);
        Self {
            signer,
            tasks,
            messages,
            campaign,
            keeper: tokio::spawn(keep(config, followed, sender)),
        }
    }

    fn wish(&self, ring: &Arc<KeyRing>, policy: Policy) {
        self.tasks.send_replace(vec![KeyTask {
            zone: zone(),
            ring: ring.clone(),
            policy,
            parent: ParentSource::Told(None),
        }]);
    }

    /// The next ring that the index hears of; its keys can sign by then.
    async fn ring(&mut self) -> Arc<KeyRing> {
        loop {
            let message = within("news of keys", self.messages.recv())
                .await
                .expect("the keeper runs");
            if let Message::Keys(KeyEvent::Ring(of, ring)) = message {
                assert_eq!(of, zone());
                let view = ring.view(Denial::Compact).expect("keys");
                assert!(
                    self.signer.missing(&of, &view).is_empty(),
                    "a key is shown that cannot sign"
                );
                return ring;
            }
        }
    }

    async fn problem(&mut self) -> String {
        loop {
            let message = within("a problem", self.messages.recv())
                .await
                .expect("the keeper runs");
            if let Message::Keys(KeyEvent::Problem(_, Some(problem))) = message {
                return problem;
            }
        }
    }
}

async fn secret(secrets: &Api<Secret>) -> Option<String> {
    let of_keys = ListParams::default().labels("meridian.dev/shared-state=dnssec-keys");
    let list = secrets.list(&of_keys).await.expect("the host answers");
    list.items.first().map(ResourceExt::name_any)
}

#[tokio::test]
async fn the_leader_makes_keys_and_every_replica_signs_with_them() {
    let cluster = SimCluster::start(ClusterOptions::named("host")).await.expect("a port");
    let host = client_through(&cluster, cluster.address()).await;
    let folder = tempfile::tempdir().expect("a folder");
    let copies = KeyFolder::new(folder.path().to_owned());
    let mut leader = Replica::start(&host, None);
    within("the lease", leader.campaign.leadership().differs_from(false)).await;
    let mut follower = Replica::start(&host, Some(copies.clone()));
    for replica in [&leader, &follower] {
        replica.wish(&Arc::default(), policy());
    }
    let first = leader.ring().await;
    assert_eq!(first.keys.len(), 2);
    assert_eq!(follower.ring().await, first);
    // A request: one more key, first at the leader, then everywhere.
    let mut changed = policy();
    changed.requests.zone_signing = Some("now".to_owned());
    leader.wish(&first, changed);
    let second = leader.ring().await;
    assert_eq!(second.keys.len(), 3);
    assert_eq!(follower.ring().await, second);

    let secrets = Api::<Secret>::namespaced(host.clone(), "shared");
    let name = secret(&secrets).await.expect("the Secret");
    let before = secrets.get(&name).await.expect("there");
    // Deleted: the leader stores what it has, and nobody loses anything.
    secrets.delete(&name, &DeleteParams::default()).await.expect("deleted");
    let restored = async {
        while secret(&secrets).await.is_none() {
            tokio::task::yield_now().await;
        }
    };
    within("the Secret again", restored).await;
    let again = secrets
        .get(&secret(&secrets).await.expect("there"))
        .await
        .expect("there");
    assert_ne!(again.metadata.uid, before.metadata.uid);

    // A replica that starts without the host signs with its copies.
    follower.keeper.abort();
    drop(cluster);
    let mut alone = Replica::start(&host, Some(copies));
    assert_eq!(alone.ring().await, second);
}

#[tokio::test]
async fn keys_that_cannot_be_read_are_told_and_left_alone() {
    let cluster = SimCluster::start(ClusterOptions::named("host")).await.expect("a port");
    let host = client_through(&cluster, cluster.address()).await;
    let id = identity(None).expect("random numbers");
    let campaign = Campaign::start(host.clone(), "shared", id, LeaseTimes::default());
    within("the lease", campaign.leadership().differs_from(false)).await;
    let state = SharedState::new(host.clone(), "shared", campaign.leadership());
    let version = state
        .write(KIND, "example.test", b"{\"version\": 9}", None)
        .await
        .expect("written");
    campaign.end().await;
    let mut replica = Replica::start(&host, None);
    replica.wish(&Arc::default(), policy());
    let problem = replica.problem().await;
    assert!(problem.contains("version 9 of the form is not known here"), "{problem}");
    within("the lease", replica.campaign.leadership().differs_from(false)).await;
    // It leads, and still does not write over it: whoever names the version that is there may.
    let state = SharedState::new(host.clone(), "shared", replica.campaign.leadership());
    let keys = care::care(&StoredKeys::empty(zone()), &policy(), None, 1000)
        .expect("keys")
        .keys;
    let document = keys.to_json().expect("JSON");
    state
        .write(KIND, "example.test", &document, Some(&version))
        .await
        .expect("nobody wrote meanwhile");
    assert_eq!(replica.ring().await.keys, keys.ring.keys);
}

/// Nothing of the keys is on the host; the leader writes the folder, and the other replica follows it.
#[tokio::test]
async fn a_folder_that_all_replicas_see_takes_the_place_of_secrets() {
    let cluster = SimCluster::start(ClusterOptions::named("host")).await.expect("a port");
    let host = client_through(&cluster, cluster.address()).await;
    let shared = tempfile::tempdir().expect("a folder");
    let folder = || KeyFolder::new(shared.path().to_owned());
    let start = || {
        Replica::with_store(&host, |leadership| KeyStore::Folder {
            folder: folder(),
            leadership,
        })
    };
    let mut leader = start();
    within("the lease", leader.campaign.leadership().differs_from(false)).await;
    let mut follower = start();
    for replica in [&leader, &follower] {
        replica.wish(&Arc::default(), policy());
    }
    let first = leader.ring().await;
    assert_eq!((first.keys.len(), follower.ring().await), (2, first.clone()));
    let mut changed = policy();
    changed.requests.zone_signing = Some("now".to_owned());
    leader.wish(&first, changed.clone());
    let second = leader.ring().await;
    assert_eq!((second.keys.len(), follower.ring().await), (3, second.clone()));
    let secrets = Api::<Secret>::namespaced(host.clone(), "shared");
    assert_eq!(secret(&secrets).await, None);
    // A damaged file replaces nothing, and nobody writes over it.
    let file = folder().path("example.test");
    let good = std::fs::read(&file).expect("there");
    std::fs::write(&file, "{").expect("written");
    assert!(follower.problem().await.contains("the stored keys cannot be used"));
    changed.requests.zone_signing = Some("again".to_owned());
    leader.problem().await;
    leader.wish(&second, changed);
    assert_eq!(std::fs::read(&file).expect("there"), b"{");
    // Once it is repaired the leader goes on.
    std::fs::write(&file, good).expect("written");
    assert_eq!(leader.ring().await.keys.len(), 4);
}
