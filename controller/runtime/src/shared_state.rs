//! State that all replicas share: named pieces of bytes in objects of the host, written by the leader alone.
//!
//! A piece comes out with its version, and goes in with the version that it was made from: of two writers
//! one loses, reads what the other wrote, and decides again. How pieces become objects is
//! `federation-core`'s `shared_state`.
//!
//! What must stay true:
//! - a reader that loses the host keeps what it has; a version that is not whole changes nothing;
//! - before the first list nothing is known, which is not the same as "there is nothing";
//! - contents are never logged: some are secret.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use futures::StreamExt;
use k8s_openapi::ByteString;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::core::ObjectMeta;
use kube::{Api, Client, Resource, ResourceExt};
use meridian_controller_apply::{REQUEST_LIMIT, describe};
use meridian_controller_index::{Event, WatchFailure};
use meridian_federation_core::names::{FIELD_MANAGER, SHARED_PIECE_ANNOTATION, SHARED_STATE_LABEL};
use meridian_federation_core::shared_state::{self, ObjectData, PART_LIMIT};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::lease::{Leadership, make_namespace};
use crate::watch::watch as watch_objects;

/// A kind of shared state. Each is watched on its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SharedKind {
    /// The value of the label, and part of the objects' names.
    pub(crate) name: &'static str,
    /// Whether it is kept in Secrets; in ConfigMaps otherwise.
    pub(crate) secret: bool,
}

/// One piece, as it is on the host.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Piece {
    /// Its contents.
    pub(crate) bytes: Arc<[u8]>,
    /// What a write of its successor has to name.
    pub(crate) version: String,
}

impl fmt::Debug for Piece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} octets, version {}", self.bytes.len(), self.version)
    }
}

/// The pieces of one kind by name; `None` before they were listed once.
pub(crate) type Pieces = Option<Arc<BTreeMap<String, Piece>>>;

/// Why a piece was not written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WriteError {
    /// The leader alone writes.
    #[error("this replica does not lead")]
    NotLeading,
    /// Somebody else wrote the piece meanwhile: decide again from what the watch shows.
    #[error("it was written by another meanwhile")]
    Overtaken,
    /// The host refused, or did not answer.
    #[error("{object} could not be written on the host: {reason}")]
    Host {
        /// Which object.
        object: String,
        /// What the host says.
        reason: String,
    },
    /// A file could not be read or replaced.
    #[error("{file} could not be written: {reason}")]
    File {
        /// Which file.
        file: String,
        /// What the system says.
        reason: String,
    },
}

/// Access to the shared state. Clones are the same.
#[derive(Clone)]
pub(crate) struct SharedState {
    host: Client,
    namespace: Arc<str>,
    leadership: Leadership,
}

impl SharedState {
    /// State in that namespace of the host.
    pub(crate) fn new(host: Client, namespace: &str, leadership: Leadership) -> Self {
        Self {
            host,
            namespace: Arc::from(namespace),
            leadership,
        }
    }

    /// Whether this replica writes.
    pub(crate) fn leadership(&self) -> Leadership {
        self.leadership.clone()
    }

    /// Follows the pieces of a kind; the task that does so belongs to `tasks`.
    pub(crate) fn watch(&self, kind: SharedKind, tasks: &mut JoinSet<()>) -> watch::Receiver<Pieces> {
        let (publish, pieces) = watch::channel(None);
        if kind.secret {
            tasks.spawn(follow::<Secret>(self.clone(), kind, publish));
        } else {
            tasks.spawn(follow::<ConfigMap>(self.clone(), kind, publish));
        }
        pieces
    }

    /// Writes the successor of the version `after`, or the first version. Returns the new version.
    pub(crate) async fn write(
        &self,
        kind: SharedKind,
        piece: &str,
        bytes: &[u8],
        after: Option<&str>,
    ) -> Result<String, WriteError> {
        if !self.leadership.holds() {
            return Err(WriteError::NotLeading);
        }
        let written = async {
            if kind.secret {
                self.write_as::<Secret>(kind, piece, bytes, after).await
            } else {
                self.write_as::<ConfigMap>(kind, piece, bytes, after).await
            }
        };
        timeout(REQUEST_LIMIT, written).await.unwrap_or_else(|_| {
            Err(WriteError::Host {
                object: shared_state::object_name(kind.name, piece),
                reason: "no answer in time".to_owned(),
            })
        })
    }

    async fn write_as<K: Carrier>(
        &self,
        kind: SharedKind,
        piece: &str,
        bytes: &[u8],
        after: Option<&str>,
    ) -> Result<String, WriteError> {
        let api = Api::<K>::namespaced(self.host.clone(), &self.namespace);
        let head = shared_state::object_name(kind.name, piece);
        let split = shared_state::split(&head, bytes, PART_LIMIT);
        let metadata = |name: &str| ObjectMeta {
            name: Some(name.to_owned()),
            labels: Some(BTreeMap::from([(SHARED_STATE_LABEL.to_owned(), kind.name.to_owned())])),
            ..ObjectMeta::default()
        };
        for (name, data) in &split.parts {
            match self.create(&api, &K::made(metadata(name), data)).await {
                // Its name has the digest: an earlier attempt made it.
                Ok(_) | Err(WriteError::Overtaken) => {}
                Err(error) => return Err(error),
            }
        }
        let mut of_head = metadata(&head);
        of_head.annotations = Some(BTreeMap::from([(SHARED_PIECE_ANNOTATION.to_owned(), piece.to_owned())]));
        of_head.resource_version = after.map(ToOwned::to_owned);
        let object = K::made(of_head, &split.head);
        let version = match after {
            None => self.create(&api, &object).await?,
            Some(_) => settle(&head, api.replace(&head, &parameters(), &object).await)?,
        };
        if let Err(error) = self.clean(&api, kind, &head, &split.parts).await {
            tracing::debug!(
                head,
                reason = describe(&error),
                "old parts of shared state stay for now"
            );
        }
        Ok(version)
    }

    async fn create<K: Carrier>(&self, api: &Api<K>, object: &K) -> Result<String, WriteError> {
        let mut created = api.create(&parameters(), object).await;
        if matches!(&created, Err(kube::Error::Api(status)) if status.is_not_found())
            && make_namespace(&self.host, &self.namespace).await.is_ok()
        {
            created = api.create(&parameters(), object).await;
        }
        settle(&object.name_any(), created)
    }

    /// Deletes the parts of earlier versions.
    async fn clean<K: Carrier>(
        &self,
        api: &Api<K>,
        kind: SharedKind,
        head: &str,
        parts: &[(String, ObjectData)],
    ) -> Result<(), kube::Error> {
        let of_kind = ListParams::default().labels(&format!("{SHARED_STATE_LABEL}={}", kind.name));
        for object in api.list_metadata(&of_kind).await? {
            let name = object.name_any();
            if shared_state::is_part_of(&name, head) && !parts.iter().any(|(part, _)| *part == name) {
                api.delete(&name, &DeleteParams::default()).await?;
            }
        }
        Ok(())
    }
}

fn parameters() -> PostParams {
    PostParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PostParams::default()
    }
}

fn settle<K: Carrier>(object: &str, result: Result<K, kube::Error>) -> Result<String, WriteError> {
    match result {
        Ok(object) => Ok(object.resource_version().unwrap_or_default()),
        Err(kube::Error::Api(status))
            if status.is_conflict() || status.is_already_exists() || status.is_not_found() =>
        {
            Err(WriteError::Overtaken)
        }
        Err(error) => Err(WriteError::Host {
            object: object.to_owned(),
            reason: describe(&error),
        }),
    }
}

/// A Kubernetes type with bytes in it.
trait Carrier:
    Resource<Scope = NamespaceResourceScope, DynamicType = ()>
    + Serialize
    + DeserializeOwned
    + Clone
    + fmt::Debug
    + Send
    + Sync
    + 'static
{
    fn made(metadata: ObjectMeta, data: &ObjectData) -> Self;
    fn data(&self) -> Option<&BTreeMap<String, ByteString>>;
}

fn byte_strings(data: &ObjectData) -> BTreeMap<String, ByteString> {
    data.iter()
        .map(|(key, octets)| (key.clone(), ByteString(octets.clone())))
        .collect()
}

impl Carrier for Secret {
    fn made(metadata: ObjectMeta, data: &ObjectData) -> Self {
        Self {
            metadata,
            data: Some(byte_strings(data)),
            ..Self::default()
        }
    }

    fn data(&self) -> Option<&BTreeMap<String, ByteString>> {
        self.data.as_ref()
    }
}

impl Carrier for ConfigMap {
    fn made(metadata: ObjectMeta, data: &ObjectData) -> Self {
        Self {
            metadata,
            binary_data: Some(byte_strings(data)),
            ..Self::default()
        }
    }

    fn data(&self) -> Option<&BTreeMap<String, ByteString>> {
        self.binary_data.as_ref()
    }
}

/// What is known of one object.
struct Known {
    data: ObjectData,
    version: String,
    piece: Option<String>,
}

fn known<K: Carrier>(object: &K) -> Known {
    let data = object.data().into_iter().flatten();
    Known {
        data: data.map(|(key, octets)| (key.clone(), octets.0.clone())).collect(),
        version: object.resource_version().unwrap_or_default(),
        piece: object.annotations().get(SHARED_PIECE_ANNOTATION).cloned(),
    }
}

async fn follow<K: Carrier>(state: SharedState, kind: SharedKind, publish: watch::Sender<Pieces>) {
    let api = Api::<K>::namespaced(state.host.clone(), &state.namespace);
    let label = format!("{SHARED_STATE_LABEL}={}", kind.name);
    let mut events = Box::pin(watch_objects(api, &label));
    let mut objects: BTreeMap<String, Known> = BTreeMap::new();
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Apply(object)) => {
                objects.insert(object.name_any(), known(&object));
            }
            Ok(Event::Delete(object)) => {
                objects.remove(&object.name_any());
            }
            Ok(Event::Reset(all)) => {
                objects = all.iter().map(|object| (object.name_any(), known(object))).collect();
            }
            Err(failure) => {
                let (WatchFailure::Forbidden(reason) | WatchFailure::Broken(reason)) = failure else {
                    continue;
                };
                tracing::debug!(
                    kind = kind.name,
                    reason,
                    "shared state cannot be watched; what is known stays in use"
                );
                continue;
            }
        }
        let before = publish.borrow().clone();
        let next = pieces(&objects, before.as_deref());
        publish.send_if_modified(|current| {
            let differs = current.as_deref() != Some(&next);
            if differs {
                *current = Some(Arc::new(next));
            }
            differs
        });
    }
}

/// The whole pieces among the objects; one that is not whole stays as it was.
fn pieces(objects: &BTreeMap<String, Known>, before: Option<&BTreeMap<String, Piece>>) -> BTreeMap<String, Piece> {
    let mut pieces = BTreeMap::new();
    for (head, object) in objects.iter().filter(|(name, _)| !shared_state::is_part(name)) {
        let Some(name) = &object.piece else { continue };
        let old = before.and_then(|before| before.get(name));
        let piece = match old.filter(|old| old.version == object.version) {
            Some(old) => Some(old.clone()),
            None => match shared_state::join(head, |name| objects.get(name).map(|object| &object.data)) {
                Ok(bytes) => Some(Piece {
                    bytes: bytes.into(),
                    version: object.version.clone(),
                }),
                Err(shared_state::PieceError::Missing(_)) => old.cloned(),
                Err(error) => {
                    tracing::warn!(%error, "the version before stays in use");
                    old.cloned()
                }
            },
        };
        pieces.extend(piece.map(|piece| (name.clone(), piece)));
    }
    pieces
}

#[cfg(test)]
mod tests {
    use meridian_federation_core::LeaseTimes;
    use meridian_simcluster::{ClusterOptions, SimCluster};

    use super::*;
    use crate::lease::{Campaign, identity};
    use crate::testing::{client_through, within};

    async fn piece(pieces: &mut watch::Receiver<Pieces>, name: &str, bytes: &[u8]) -> Piece {
        let has = |pieces: &Pieces| {
            pieces
                .as_ref()?
                .get(name)
                .filter(|piece| *piece.bytes == *bytes)
                .cloned()
        };
        let found = within("the piece", pieces.wait_for(|pieces| has(pieces).is_some())).await;
        has(&found.expect("the watch goes on")).expect("it was there")
    }

    async fn check(secret: bool) {
        let cluster = SimCluster::start(ClusterOptions::named("host")).await.expect("a port");
        let host = client_through(&cluster, cluster.address()).await;
        let id = identity(None).expect("random numbers");
        let campaign = Campaign::start(host.clone(), "shared", id, LeaseTimes::default());
        let kind = SharedKind {
            name: "journal",
            secret,
        };
        let state = SharedState::new(host.clone(), "shared", campaign.leadership());
        let mut tasks = JoinSet::new();
        let mut pieces = state.watch(kind, &mut tasks);
        within("the lease", state.leadership().differs_from(false)).await;
        let small = state
            .write(kind, "example.test", b"first", None)
            .await
            .expect("written");
        assert_eq!(piece(&mut pieces, "example.test", b"first").await.version, small);
        // A second writer that knows of nothing, or of something older.
        for stale in [None, Some("1")] {
            let lost = state.write(kind, "example.test", b"other", stale).await;
            assert!(matches!(lost, Err(WriteError::Overtaken)), "{lost:?}");
        }
        let big: Vec<u8> = (0..3 * PART_LIMIT).map(|index| (index % 251) as u8).collect();
        let version = state
            .write(kind, "example.test", &big, Some(&small))
            .await
            .expect("written");
        let seen = piece(&mut pieces, "example.test", &big).await;
        assert_eq!(seen.version, version);
        state.write(kind, "_x.test", b"another", None).await.expect("written");
        state
            .write(kind, "example.test", b"third", Some(&version))
            .await
            .expect("written");
        piece(&mut pieces, "example.test", b"third").await;
        piece(&mut pieces, "_x.test", b"another").await;
        // The parts of the big one are gone.
        let left = if secret {
            Api::<Secret>::namespaced(host, "shared")
                .list_metadata(&ListParams::default())
                .await
                .expect("a list")
                .items
                .len()
        } else {
            let all = Api::<ConfigMap>::namespaced(host, "shared")
                .list_metadata(&ListParams::default())
                .await;
            let ours =
                |object: &&kube::core::PartialObjectMeta<ConfigMap>| object.labels().contains_key(SHARED_STATE_LABEL);
            all.expect("a list").items.iter().filter(ours).count()
        };
        assert_eq!(left, 2);
        campaign.end().await;
        let refused = state.write(kind, "example.test", b"fourth", None).await;
        assert!(matches!(refused, Err(WriteError::NotLeading)), "{refused:?}");
    }

    #[tokio::test]
    async fn secret_pieces_of_any_size_reach_every_replica() {
        check(true).await;
    }

    #[tokio::test]
    async fn public_pieces_of_any_size_reach_every_replica() {
        check(false).await;
    }
}
