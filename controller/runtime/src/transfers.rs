//! Zones that are given to plain secondaries: the leader makes their versions, every replica gives them away.
//!
//! One way for all: the leader stores a journal on the host, and each replica, the leader too, gives away what is
//! stored. Journals are in ConfigMaps: what is in them is what secondaries and resolvers are told anyway. The
//! secrets of TSIG keys stay where their owner put them, and are read by name.
//!
//! What must stay true:
//! - a version is on the host before anybody is given it, so no two replicas have two versions of one serial;
//! - permissions are in force before an answer shows a catalog, a journal before an answer shows its serial, and
//!   an answer shows a serial before anybody is notified of it;
//! - a replica without the host gives away what it has; one that has nothing refuses;
//! - what is stored for a newer program is neither used nor replaced. What is damaged is replaced by what is
//!   known, or by a version after the serial that is shown.
//!
//! What is a version is `federation-core`'s `next_version`.

mod notices;
mod secrets;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use meridian_controller_apply::describe;
use meridian_dns_core::transfer::{Journal, JournalError};
use meridian_dns_core::{DnsName, Snapshot, serial};
use meridian_dns_server::{Allowed, SharedTransfers, Signer, Table, Transfers, TsigAlgorithm, TsigKey, ZoneTransfer};
use meridian_federation_core::Timestamp;
use meridian_federation_core::transfer::{
    NextVersion, SecretRef, Stream, StreamState, Streams, TransferAlgorithm, TransferKey, TransferProblem,
    VersionInput, earliest_version, next_version,
};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc, watch};
use tokio::task::JoinSet;

use self::notices::Notices;
use self::secrets::{SecretText, Secrets};
use crate::clock::now;
use crate::controller::Change;
use crate::message::Message;
use crate::shared_state::{Pieces, SharedKind, SharedState, WriteError};

const KIND: SharedKind = SharedKind {
    name: "transfer-journals",
    secret: false,
};
/// How often signatures are looked at that run out, in milliseconds.
const SIGNATURES: u64 = 3600 * 1000;
/// Milliseconds between two looks at what is answered, and after a write that another overtook.
const APART: u64 = 1000;
/// Milliseconds after a write that failed.
const RETRY: u64 = 5000;

/// Where zones are given away.
pub(crate) struct TransferConfig {
    /// Where journals are stored.
    pub(crate) state: SharedState,
    /// Signs the versions of signed zones.
    pub(crate) signer: Signer,
    /// What the DNS server gives away.
    pub(crate) transfers: SharedTransfers,
}

/// What is known of one stream.
#[derive(Default)]
struct Known {
    journal: Option<Arc<Journal>>,
    /// What is stored on the host, by its version; `None` if nothing is.
    version: Option<String>,
    /// What is stored is not the journal.
    differs: bool,
    /// What is stored is of a newer program.
    foreign: Option<String>,
    /// Why there is no new version.
    problem: Option<String>,
    /// Of which answers the journal is, and when that was found.
    looked: Option<(Arc<Snapshot>, Timestamp)>,
    /// No new version before.
    not_before: Timestamp,
}

impl Known {
    /// Takes what is stored, if it is not what was taken last.
    fn take(&mut self, apex: &DnsName, stored: Option<(&str, &[u8])>) {
        let Some((version, bytes)) = stored else {
            self.version = None;
            return;
        };
        if self.version.as_deref() == Some(version) {
            return;
        }
        self.version = Some(version.to_owned());
        self.foreign = None;
        let journal = match Journal::from_octets(bytes) {
            Ok(journal) if journal.apex() == apex => journal,
            Err(error @ JournalError::Version(_)) => {
                tracing::error!(zone = %apex, %error, "the stored transfer journal is not used");
                self.foreign = Some(error.to_string());
                return;
            }
            other => {
                let reason = other
                    .err()
                    .map_or("of another zone".to_owned(), |error| error.to_string());
                tracing::warn!(zone = %apex, reason, "the stored transfer journal is not used");
                self.differs = true;
                return;
            }
        };
        match &self.journal {
            // From a backup, or what we wrote last has not come back yet.
            Some(own) if serial::is_newer(own.serial(), journal.serial()) => self.differs = true,
            _ => {
                self.differs = false;
                self.journal = Some(Arc::new(journal));
            }
        }
    }
}

struct Keeper {
    config: TransferConfig,
    table: Table,
    streams: watch::Receiver<Streams>,
    pieces: watch::Receiver<Pieces>,
    secrets: watch::Receiver<Secrets>,
    refs: watch::Sender<BTreeSet<SecretRef>>,
    messages: mpsc::Sender<Message>,
    known: BTreeMap<DnsName, Known>,
    told: Option<BTreeMap<DnsName, StreamState>>,
    notices: Notices,
}

/// Gives away what `streams` say, for ever.
pub(crate) async fn keep(
    config: TransferConfig,
    (host, table): (Client, Table),
    streams: watch::Receiver<Streams>,
    mut changes: broadcast::Receiver<Arc<Change>>,
    messages: mpsc::Sender<Message>,
) {
    let mut tasks = JoinSet::new();
    let (refs, wanted) = watch::channel(BTreeSet::new());
    let (publish, secrets) = watch::channel(Secrets::new());
    tasks.spawn(secrets::follow(host, wanted, publish));
    let mut leadership = config.state.leadership();
    let mut keeper = Keeper {
        pieces: config.state.watch(KIND, &mut tasks),
        config,
        table,
        streams,
        secrets,
        refs,
        messages,
        known: BTreeMap::new(),
        told: None,
        notices: Notices::default(),
    };
    loop {
        let leads = leadership.holds();
        let wait = keeper.turn(leads).await;
        tokio::select! {
            changed = keeper.pieces.changed() => if changed.is_err() { return },
            changed = keeper.streams.changed() => if changed.is_err() { return },
            changed = keeper.secrets.changed() => if changed.is_err() { return },
            change = changes.recv() => {
                if matches!(change, Err(RecvError::Closed)) {
                    return;
                }
                // What counts is what is answered now.
                while !matches!(changes.try_recv(), Err(broadcast::error::TryRecvError::Empty | broadcast::error::TryRecvError::Closed)) {}
            }
            _ = leadership.differs_from(leads) => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

impl Keeper {
    /// Does all there is to do; returns how long nothing will be.
    async fn turn(&mut self, leads: bool) -> Duration {
        let wanted = self.streams.borrow_and_update().clone();
        let secrets = self.secrets.borrow_and_update().clone();
        self.refs.send_if_modified(|refs| {
            let next: BTreeSet<_> = wanted.keys.values().map(|key| key.secret.clone()).collect();
            let differs = *refs != next;
            *refs = next;
            differs
        });
        let pieces = self.pieces.borrow_and_update().clone();
        self.known.retain(|apex, _| wanted.zones.contains_key(apex));
        if let Some(pieces) = &pieces {
            for apex in wanted.zones.keys() {
                let piece = pieces.get(apex.as_str());
                let known = self.known.entry(apex.clone()).or_default();
                known.take(apex, piece.map(|piece| (&*piece.version, &*piece.bytes)));
            }
        }
        let mut wait = SIGNATURES;
        if leads && pieces.is_some() {
            for (apex, stream) in &wanted.zones {
                let until = self.care_for(apex, stream).await;
                wait = wait.min(until.0.saturating_sub(now().0));
            }
        }
        let (streams, keys) = usable(&wanted, &secrets);
        self.give(&streams, &keys).await;
        if leads {
            let journals = |apex: &DnsName| self.known.get(apex)?.journal.clone();
            self.notices.send(&streams, &keys, journals, &self.table.load());
        } else {
            self.notices = Notices::default();
        }
        Duration::from_millis(wait)
    }

    /// Makes and stores the next version, if there is one; returns when to look again.
    async fn care_for(&mut self, apex: &DnsName, stream: &Stream) -> Timestamp {
        let Some(known) = self.known.get_mut(apex).filter(|known| known.foreign.is_none()) else {
            return Timestamp(u64::MAX);
        };
        let (time, snapshot) = (now(), self.table.load());
        let missing = known.journal.is_some() && (known.version.is_none() || known.differs);
        let current = known.looked.as_ref().filter(|(looked, at)| {
            // A clock that was set back must not stop the stream.
            Arc::ptr_eq(looked, &snapshot) && time.0.wrapping_sub(at.0) < SIGNATURES
        });
        if let Some((_, at)) = current.filter(|_| !missing) {
            return Timestamp(at.0 + SIGNATURES);
        }
        if time < known.not_before && known.not_before.0 - time.0 < SIGNATURES {
            return known.not_before;
        }
        known.not_before = Timestamp(time.0 + APART);
        let made = make(
            &self.config.signer,
            &snapshot,
            apex,
            stream,
            known.journal.clone(),
            time,
        )
        .await;
        let (journal, octets) = match made {
            Ok(Made::Nothing) if missing => {
                let Some(journal) = known.journal.clone() else {
                    return known.not_before;
                };
                let octets = journal.to_octets();
                (journal, octets)
            }
            Ok(Made::Nothing) => {
                known.problem = None;
                known.looked = Some((snapshot, time));
                return Timestamp(time.0 + SIGNATURES);
            }
            Ok(Made::Wait(until)) => {
                known.not_before = until;
                return until;
            }
            Ok(Made::Store(journal, octets)) => (journal, octets),
            Err(reason) => {
                complain(known, apex, reason);
                known.not_before = Timestamp(time.0 + RETRY);
                return known.not_before;
            }
        };
        let written = self
            .config
            .state
            .write(KIND, apex.as_str(), &octets, known.version.as_deref());
        match written.await {
            Ok(version) => {
                tracing::debug!(zone = %apex, serial = journal.serial(), octets = octets.len(), "a version for secondaries");
                known.journal = Some(journal);
                (known.version, known.differs, known.problem) = (Some(version), false, None);
                known.looked = Some((snapshot, time));
                known.not_before = earliest_version(time, octets.len());
                Timestamp(time.0 + SIGNATURES)
            }
            // The watch tells what the other wrote.
            Err(WriteError::NotLeading | WriteError::Overtaken) => known.not_before,
            Err(error) => {
                complain(known, apex, error.to_string());
                known.not_before = Timestamp(time.0 + RETRY);
                known.not_before
            }
        }
    }

    /// Puts in force what is given away, and then tells.
    async fn give(&mut self, streams: &Streams, keys: &Keys) {
        let mut states = BTreeMap::new();
        let mut transfers = Transfers {
            keys: keys
                .iter()
                .map(|(name, (key, _))| (name.clone(), key.clone()))
                .collect(),
            ..Transfers::default()
        };
        for (apex, stream) in &streams.zones {
            let known = self.known.get(apex);
            let journal = known.and_then(|known| known.journal.clone());
            let trouble = known.and_then(|known| known.foreign.as_ref().or(known.problem.as_ref()));
            let mut problems = stream.problems.clone();
            problems.extend(trouble.cloned().map(TransferProblem::Version));
            let state = StreamState {
                serial: journal.as_ref().map(|journal| journal.serial()),
                problems,
            };
            let allow = stream.allow.iter().map(|entry| Allowed {
                networks: entry.networks.clone(),
                key: entry.key.clone(),
            });
            let transfer = ZoneTransfer {
                allow: allow.collect(),
                hidden: stream.members.is_some(),
                journal,
            };
            transfers.zones.insert(apex.clone(), transfer);
            states.insert(apex.clone(), state);
        }
        self.config.transfers.store(transfers);
        if self.told.as_ref() != Some(&states) {
            self.told = Some(states.clone());
            // The loop ends only with the program.
            let _ = self.messages.send(Message::Streams(states)).await;
        }
    }
}

/// Says it once.
fn complain(known: &mut Known, apex: &DnsName, reason: String) {
    if known.problem.as_ref() != Some(&reason) {
        tracing::warn!(zone = %apex, reason, "there is no new version for secondaries; what they have stays");
        known.problem = Some(reason);
    }
}

enum Made {
    Nothing,
    Wait(Timestamp),
    Store(Arc<Journal>, Vec<u8>),
}

/// The next version, made beside what else this program does: a large zone takes a while to sign.
async fn make(
    signer: &Signer,
    snapshot: &Arc<Snapshot>,
    apex: &DnsName,
    stream: &Stream,
    before: Option<Arc<Journal>>,
    time: Timestamp,
) -> Result<Made, String> {
    let (signer, snapshot, apex, routed) = (signer.clone(), snapshot.clone(), apex.clone(), stream.routed.clone());
    let made = tokio::task::spawn_blocking(move || {
        let Some(zone) = snapshot.zone(&apex) else {
            return Ok(Made::Nothing);
        };
        let input = VersionInput {
            snapshot: &snapshot,
            apex: &apex,
            routed: &routed,
            before: before.as_deref(),
            now: time,
        };
        // Serial number arithmetic: the low 32 bits are what is wanted.
        let seconds = ((time.0 / 1000) & u64::from(u32::MAX)) as u32;
        let next = next_version(&input, |set| signer.sign(zone, set, seconds)).map_err(|error| describe(&error))?;
        Ok(match next {
            NextVersion::Nothing => Made::Nothing,
            NextVersion::Wait(until) => Made::Wait(until),
            NextVersion::Store(journal) => {
                let octets = journal.to_octets();
                Made::Store(Arc::from(journal), octets)
            }
        })
    });
    made.await.unwrap_or_else(|error| Err(error.to_string()))
}

/// Keys with their secrets: made of what was read, which tells two of them apart.
type Keys = BTreeMap<DnsName, (TsigKey, (TransferAlgorithm, SecretText))>;

/// What can be given away with the secrets that are known.
fn usable(streams: &Streams, secrets: &Secrets) -> (Streams, Keys) {
    let mut keys = Keys::new();
    let mut unusable = BTreeMap::new();
    for (name, key) in &streams.keys {
        match tsig_key(name, key, secrets) {
            Ok(made) => drop(keys.insert(name.clone(), made)),
            Err(why) => drop(unusable.insert(name.clone(), why)),
        }
    }
    (streams.without(&unusable), keys)
}

fn tsig_key(
    name: &DnsName,
    key: &TransferKey,
    secrets: &Secrets,
) -> Result<(TsigKey, (TransferAlgorithm, SecretText)), String> {
    let algorithm = match key.algorithm {
        TransferAlgorithm::HmacSha256 => TsigAlgorithm::HmacSha256,
        TransferAlgorithm::HmacSha384 => TsigAlgorithm::HmacSha384,
        TransferAlgorithm::HmacSha512 => TsigAlgorithm::HmacSha512,
    };
    let read = secrets.get(&key.secret);
    let text = match read {
        None => return Err(format!("{} was not read yet", key.secret)),
        Some(Err(why)) => return Err(why.clone()),
        Some(Ok(text)) => text,
    };
    let made = TsigKey::from_base64(name.clone(), algorithm, text.octets());
    let made = made.map_err(|error| format!("{} is no TSIG secret: {error}", key.secret))?;
    Ok((made, (key.algorithm, text.clone())))
}

#[cfg(test)]
mod tests;
