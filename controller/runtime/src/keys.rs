//! The keys of zones: followed by every replica, cared for by the leader.
//!
//! What must stay true:
//! - the order of a change: it is stored, then the private keys are installed, then the index
//!   hears of the ring. So no replica shows a key that could be lost, or signs with one it has not got;
//! - private keys of the ring before stay installed beside the new ones: answers may still be made from it;
//! - what cannot be read, or is older than what is in use, replaces nothing and is told; the leader never
//!   writes over what it could not read;
//! - without the store everything goes on with the keys that are here, also after a restart if there is a
//!   folder with copies.

pub(crate) mod care;
pub(crate) mod folder;
mod parent;
pub(crate) mod store;
pub(crate) mod stored;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use meridian_controller_index::{KeyEvent, KeyTask};
use meridian_dns_core::DnsName;
use meridian_dns_core::dnssec::rollover::{self, ParentView};
use meridian_dns_server::Signer;
use meridian_federation_core::ParentSource;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use self::care::{Cared, care};
use self::store::KeyStore;
use self::stored::StoredKeys;
use crate::clock::now;
use crate::message::Message;
use crate::shared_state::{Piece, Pieces, WriteError};

/// How often the parent is asked while keys wait for it, and otherwise.
const ASK_OFTEN: Duration = Duration::from_secs(60);
const ASK_SELDOM: Duration = Duration::from_secs(600);
/// The longest time until the keys are looked at again: the clock may have been set.
const LOOK: Duration = Duration::from_secs(30);
/// Wait after a failed write.
const RETRY: Duration = Duration::from_secs(5);

/// What the keeper of keys is made of.
#[derive(Clone)]
pub(crate) struct KeeperConfig {
    /// Where keys are stored, and who leads.
    pub(crate) store: KeyStore,
    /// Signs with the keys.
    pub(crate) signer: Signer,
}

/// Follows the keys, and cares for them while this replica leads.
pub(crate) async fn keep(config: KeeperConfig, tasks: watch::Receiver<Vec<KeyTask>>, messages: mpsc::Sender<Message>) {
    let mut watches = JoinSet::new();
    let mut pieces = config.store.watch(&mut watches);
    let mut leadership = config.store.leadership();
    let mut keeper = Keeper {
        config,
        tasks,
        messages,
        known: BTreeMap::new(),
        seen: BTreeMap::new(),
        unreadable: BTreeSet::new(),
        listed: false,
        asked: BTreeMap::new(),
        asking: JoinSet::new(),
        told: BTreeMap::new(),
    };
    keeper.read_folder().await;
    let mut next = Instant::now();
    loop {
        let mut seen = None;
        let leads = keeper.config.store.leadership().holds();
        tokio::select! {
            changed = pieces.changed() => {
                if changed.is_err() {
                    return;
                }
                let now = pieces.borrow_and_update().clone();
                keeper.take(&now).await;
            }
            changed = keeper.tasks.changed() => if changed.is_err() { return },
            Some(answer) = keeper.asking.join_next() => seen = answer.ok(),
            _ = leadership.differs_from(leads) => {}
            () = sleep_until(next) => {}
        }
        next = keeper.care_for_all(seen).await;
    }
}

/// Keys in use.
struct Known {
    keys: StoredKeys,
    /// Version of what is stored; `None` if nothing is.
    version: Option<String>,
    /// Older keys are stored.
    older: bool,
}

struct Keeper {
    config: KeeperConfig,
    tasks: watch::Receiver<Vec<KeyTask>>,
    messages: mpsc::Sender<Message>,
    known: BTreeMap<DnsName, Known>,
    /// The versions that were read.
    seen: BTreeMap<DnsName, String>,
    /// Zones whose stored keys cannot be read.
    unreadable: BTreeSet<DnsName>,
    listed: bool,
    /// When the parent of a zone was asked last.
    asked: BTreeMap<DnsName, Instant>,
    asking: JoinSet<(DnsName, Result<ParentView, String>)>,
    /// The trouble told last, by zone.
    told: BTreeMap<DnsName, String>,
}

impl Keeper {
    async fn read_folder(&mut self) {
        let Some(folder) = self.config.store.copies().cloned() else {
            return;
        };
        let read = tokio::task::spawn_blocking(move || folder.read_all()).await;
        let Ok((keys, problems)) = read else { return };
        for problem in problems {
            tracing::error!(problem, "a copy of keys cannot be used");
        }
        for keys in keys {
            self.use_keys(keys, None).await;
        }
    }

    async fn take(&mut self, pieces: &Pieces) {
        let Some(pieces) = pieces else { return };
        let is_gone = |zone: &DnsName, known: &Known| known.version.is_some() && !pieces.contains_key(zone.as_str());
        for (zone, known) in &mut self.known {
            if is_gone(zone, known) {
                tracing::warn!(%zone, "the stored keys are gone; they stay in use");
                known.version = None;
            }
        }
        self.seen.retain(|zone, _| pieces.contains_key(zone.as_str()));
        self.unreadable.retain(|zone| pieces.contains_key(zone.as_str()));
        for (name, piece) in pieces.iter() {
            match DnsName::parse(name) {
                Ok(zone) => self.take_piece(zone, piece).await,
                Err(error) => tracing::warn!(name, %error, "stored keys do not say of which zone"),
            }
        }
        if !std::mem::replace(&mut self.listed, true) {
            self.tell(KeyEvent::Listed).await;
        }
    }

    async fn take_piece(&mut self, zone: DnsName, piece: &Piece) {
        if self.seen.insert(zone.clone(), piece.version.clone()).as_ref() == Some(&piece.version) {
            return;
        }
        let keys = match StoredKeys::from_json(&piece.bytes) {
            Ok(keys) if keys.zone == zone => keys,
            other => {
                let reason = match other {
                    Ok(keys) => format!("it has keys of {}", keys.zone),
                    Err(error) => error.to_string(),
                };
                self.unreadable.insert(zone.clone());
                let problem = format!("the stored keys cannot be used: {reason}");
                tracing::error!(%zone, problem);
                self.tell(KeyEvent::Problem(zone, Some(problem))).await;
                return;
            }
        };
        self.unreadable.remove(&zone);
        self.tell(KeyEvent::Problem(zone.clone(), None)).await;
        match self.known.get_mut(&zone) {
            Some(known) if known.keys.revision > keys.revision => {
                // Of an older backup, or what we wrote last has not come back yet.
                tracing::info!(%zone, "the stored keys are older than those in use, which stay");
                known.older = true;
                known.version = Some(piece.version.clone());
            }
            _ => self.use_keys(keys, Some(piece.version.clone())).await,
        }
    }

    /// Installs the keys, lets the index know and keeps a copy.
    async fn use_keys(&mut self, keys: StoredKeys, version: Option<String>) {
        let zone = keys.zone.clone();
        let before = self.known.get(&zone);
        if before.is_none_or(|before| before.keys != keys) {
            let mut installed = match keys.signing_keys() {
                Ok(installed) => installed,
                Err(error) => {
                    tracing::error!(%zone, %error, "keys cannot be used");
                    return;
                }
            };
            let older = before
                .and_then(|before| before.keys.signing_keys().ok())
                .unwrap_or_default();
            for key in older {
                if !installed.iter().any(|new| new.public() == key.public()) {
                    installed.push(key);
                }
            }
            self.config.signer.install(&zone, installed);
            self.tell(KeyEvent::Ring(zone.clone(), keys.ring.clone())).await;
            self.copy(&keys).await;
        }
        let older = false;
        self.known.insert(zone, Known { keys, version, older });
    }

    async fn copy(&self, keys: &StoredKeys) {
        let Some(folder) = self.config.store.copies().cloned() else {
            return;
        };
        let keys = keys.clone();
        let zone = keys.zone.clone();
        let written = tokio::task::spawn_blocking(move || {
            let document = keys.to_json().map_err(|error| error.to_string())?;
            folder
                .write(keys.zone.as_str(), &document)
                .map_err(|error| error.to_string())
        });
        if let Ok(Err(reason)) = written.await {
            tracing::warn!(%zone, reason, "the copy of the keys could not be written");
        }
    }

    async fn tell(&self, event: KeyEvent) {
        // The loop ends only with the program.
        let _ = self.messages.send(Message::Keys(event)).await;
    }

    /// Takes what steps are due, if this replica leads; returns when to look again.
    async fn care_for_all(&mut self, mut seen: Option<(DnsName, Result<ParentView, String>)>) -> Instant {
        let look = Instant::now() + LOOK;
        if !self.listed || !self.config.store.leadership().holds() {
            return look;
        }
        let tasks = self.tasks.borrow_and_update().clone();
        self.asked.retain(|zone, _| tasks.iter().any(|task| task.zone == *zone));
        let mut next = look;
        for task in tasks {
            if self.unreadable.contains(&task.zone) {
                continue;
            }
            let answer = seen.take_if(|(zone, _)| *zone == task.zone).map(|(_, answer)| answer);
            next = next.min(self.care_for(&task, answer).await);
        }
        next
    }

    async fn care_for(&mut self, task: &KeyTask, answer: Option<Result<ParentView, String>>) -> Instant {
        let look = Instant::now() + LOOK;
        let view = match (&task.parent, answer) {
            (ParentSource::Told(view), _) => view.clone(),
            (ParentSource::Ask(_), Some(Ok(view))) => Some(view),
            (ParentSource::Ask(_), Some(Err(reason))) => {
                tracing::debug!(zone = %task.zone, reason, "the parent's DS cannot be seen");
                None
            }
            (ParentSource::Ask(_), None) => None,
        };
        let (before, version, older) = match self.known.get(&task.zone) {
            Some(known) => (known.keys.clone(), known.version.clone(), known.older),
            None => (StoredKeys::empty(task.zone.clone()), None, false),
        };
        let seconds = now().0 / 1000;
        let Cared { keys, events, wake } = match care(&before, &task.policy, view.as_ref(), seconds) {
            Ok(cared) => cared,
            Err(error) => {
                tracing::error!(zone = %task.zone, %error, "keys cannot be cared for");
                return look;
            }
        };
        // What is missing or older is written again, also if nothing happened.
        if keys != before || version.is_none() || older {
            match self.store(&keys, version.as_deref()).await {
                Ok(version) => {
                    tell_events(&task.zone, &events);
                    self.told.remove(&task.zone);
                    self.use_keys(keys, Some(version)).await;
                }
                // Another leader was faster: the watch tells what it wrote.
                Err(Some(WriteError::Overtaken | WriteError::NotLeading)) => return look,
                Err(error) => {
                    let reason = error.map_or("the keys cannot be written as JSON".to_owned(), |error| {
                        error.to_string()
                    });
                    if self.told.insert(task.zone.clone(), reason.clone()).as_ref() != Some(&reason) {
                        tracing::warn!(zone = %task.zone, reason, "keys could not be stored; nothing is changed without that");
                    }
                    return Instant::now() + RETRY;
                }
            }
        }
        let asks = self.ask_parent(task);
        let wake = wake.map(|wake| Instant::now() + Duration::from_secs(wake.saturating_sub(seconds)));
        [Some(look), wake, asks].into_iter().flatten().min().unwrap_or(look)
    }

    async fn store(&self, keys: &StoredKeys, version: Option<&str>) -> Result<String, Option<WriteError>> {
        let document = keys.to_json().map_err(|_| None)?;
        let store = &self.config.store;
        store.write(keys.zone.as_str(), &document, version).await.map_err(Some)
    }

    /// Asks the parent if it is time to; returns when it is next.
    fn ask_parent(&mut self, task: &KeyTask) -> Option<Instant> {
        let ParentSource::Ask(servers) = &task.parent else {
            return None;
        };
        let ring = &self.known.get(&task.zone)?.keys.ring;
        let every = if ring.waits_for_parent() { ASK_OFTEN } else { ASK_SELDOM };
        let due = self.asked.get(&task.zone).map(|asked| *asked + every);
        if due.is_some_and(|due| due > Instant::now()) {
            return due;
        }
        self.asked.insert(task.zone.clone(), Instant::now());
        let (zone, servers) = (task.zone.clone(), servers.clone());
        self.asking.spawn(async move {
            let answer = parent::ask(&zone, &servers).await;
            (zone, answer)
        });
        Some(Instant::now() + every)
    }
}

fn tell_events(zone: &DnsName, events: &[rollover::Event]) {
    for event in events {
        match event {
            rollover::Event::Changed { tag, role, part, to } => {
                tracing::debug!(%zone, tag, role = role.as_str(), part = part.as_str(), to = to.as_str(), "key");
            }
            rollover::Event::Retired { tag, role } => tracing::info!(%zone, tag, role = role.as_str(), "key retires"),
            rollover::Event::Removed { tag, role } => tracing::info!(%zone, tag, role = role.as_str(), "key removed"),
            rollover::Event::ClockWentBack => {
                tracing::warn!(%zone, "the clock was set back; keys wait anew");
            }
        }
    }
}

#[cfg(test)]
mod tests;
