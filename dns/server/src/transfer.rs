//! Zone transfers out: AXFR (RFC 5936) and IXFR (RFC 1995).
//!
//! A transfer is decided like every other reply, by [`crate::respond_in_stream`]; what differs is that it has many messages.
//! [`Transfer`] makes them one by one when the stream has taken those before, so a slow secondary holds one
//! message and the version that it began with, which all transfers of that version share.
//!
//! What must stay true:
//! - what is sent is one version of the zone's [`Journal`], from its first to its last record; the serial
//!   that answers show is never one that cannot be transferred yet;
//! - who may not transfer a zone gets REFUSED, whatever is asked; a zone that we do not have is NOTAUTH;
//! - without a journal a transfer is refused: a replica that invents a serial sends secondaries back.
//!
//! Refused: transfers over HTTPS and QUIC. No secondary asks for them, and they would need another driver.

mod message;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use hickory_proto::op::ResponseCode;
use ipnet::IpNet;
use meridian_dns_core::transfer::{Difference, Journal, SetKey, Since};
use meridian_dns_core::{DnsName, RecordSet};

use self::message::Message;
use crate::Transport;
use crate::extended_error::ExtendedError;
use crate::request::{Asked, Fault, Request};
use crate::tsig::{Signing, TsigKey};

/// IXFR (RFC 1995).
const IXFR: u16 = 251;

/// Who may transfer a zone. What is said here must all be true; an entry that says nothing is nobody.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Allowed {
    /// Its address lies in one of these networks; empty for any address.
    pub networks: Vec<IpNet>,
    /// Its query is signed with the key of this name.
    pub key: Option<DnsName>,
}

/// How a zone is given away.
#[derive(Debug, Clone, Default)]
pub struct ZoneTransfer {
    /// To whom: one entry is enough.
    pub allow: Vec<Allowed>,
    /// Also questions are answered to those alone, as fits a catalog zone (RFC 9432 section 7).
    pub hidden: bool,
    /// Its versions; without them it is refused.
    pub journal: Option<Arc<Journal>>,
}

impl ZoneTransfer {
    /// Whether this client may have the zone. The key is one whose signature was good.
    fn allows(&self, client: IpAddr, key: Option<&DnsName>) -> bool {
        self.allow.iter().any(|allowed| {
            let says_nothing = allowed.networks.is_empty() && allowed.key.is_none();
            let near = allowed.networks.is_empty() || allowed.networks.iter().any(|network| network.contains(&client));
            !says_nothing && near && (allowed.key.is_none() || allowed.key.as_ref() == key)
        })
    }
}

/// What transfers are made from: keys, permissions and journals.
#[derive(Debug, Clone, Default)]
pub struct Transfers {
    /// The keys that queries of any kind may be signed with.
    pub keys: BTreeMap<DnsName, TsigKey>,
    /// By the zone's name; a zone that is not here is given to nobody.
    pub zones: BTreeMap<DnsName, ZoneTransfer>,
}

impl Transfers {
    /// Whether the zone of that name exists for this client.
    pub(crate) fn shows(&self, zone: &DnsName, client: IpAddr, key: Option<&DnsName>) -> bool {
        let zone = self.zones.get(zone);
        zone.is_none_or(|zone| !zone.hidden || zone.allows(client, key))
    }
}

/// The transfers of this moment, shared by all listeners. Clones are the same. There is one writer, who
/// stores a new journal before the snapshot that shows its serial.
#[derive(Debug, Clone, Default)]
pub struct SharedTransfers(Arc<ArcSwap<Transfers>>);

impl SharedTransfers {
    /// Replaces all; transfers that have begun go on with what they have.
    pub fn store(&self, transfers: Transfers) {
        self.0.store(Arc::new(transfers));
    }

    /// Those of this moment.
    pub fn load(&self) -> Arc<Transfers> {
        self.0.load_full()
    }

    /// The zones whose questions are answered to those alone who may transfer them.
    pub fn hidden(&self) -> Vec<DnsName> {
        let transfers = self.load();
        let hidden = transfers.zones.iter().filter(|(_, zone)| zone.hidden);
        hidden.map(|(apex, _)| apex.clone()).collect()
    }

    /// For one short, synchronous use.
    pub(crate) fn peek(&self) -> Guard<Arc<Transfers>> {
        self.0.load()
    }
}

/// The messages of one transfer, in their order.
#[derive(Debug)]
pub struct Transfer {
    start: Start,
    plan: Plan,
    /// The set that is being sent, and how many of its records were.
    open: Option<(Arc<RecordSet>, usize)>,
    signing: Option<Signing>,
}

/// What each message begins with.
#[derive(Debug)]
struct Start {
    id: u16,
    recursion_desired: bool,
    /// As it came.
    question: Vec<u8>,
    /// The OPT record of the first message (RFC 5936 section 2.2.5).
    opt: Option<Vec<u8>>,
}

/// What is still to be sent.
#[derive(Debug)]
enum Plan {
    /// These sets.
    List(std::vec::IntoIter<Arc<RecordSet>>),
    /// The content behind that set, then what ends it.
    Whole(Arc<Journal>, Option<SetKey>, std::vec::IntoIter<Arc<RecordSet>>),
}

/// A transfer that cannot be ended.
#[derive(Debug, thiserror::Error)]
#[error("a record of {0} has no wire form in any message")]
pub struct TransferError(DnsName);

impl Transfer {
    /// Decides on a query for a transfer.
    pub(crate) fn decide(
        request: &Request<'_>,
        asked: &Asked<'_>,
        transfers: Option<&Transfers>,
        ((client, transport, in_stream), signing): ((IpAddr, Transport, bool), Option<&Signing>),
        known: bool,
    ) -> Result<Self, Fault> {
        let refused = |why| Fault::because(ResponseCode::Refused, why);
        if !known {
            // RFC 5936 section 2.2.1.
            return Err(Fault::because(ResponseCode::NotAuth, ExtendedError::NOT_AUTHORITATIVE));
        }
        let apex = &asked.question.name;
        let zone = transfers.and_then(|transfers| transfers.zones.get(apex));
        let key = signing.map(Signing::key);
        let zone = zone.filter(|zone| zone.allows(client, key));
        let zone = zone.ok_or(refused(ExtendedError::PROHIBITED))?;
        let journal = zone.journal.as_ref().ok_or(refused(ExtendedError::NOT_READY))?;
        let is_incremental = asked.question.record_type.number() == IXFR;
        let whole = || Plan::Whole(journal.clone(), None, Vec::new().into_iter());
        let (first, plan) = match (is_incremental, transport) {
            (true, _) => match (request.serial, in_stream) {
                (None, _) => return Err(Fault::new(ResponseCode::FormErr)),
                // RFC 1995 section 2: over UDP the serial alone, and the secondary comes over TCP.
                (Some(_), false) if transport == Transport::Udp => (true, Plan::List(Vec::new().into_iter())),
                (Some(_), false) => return Err(Fault::because(ResponseCode::NotImp, ExtendedError::NOT_SUPPORTED)),
                (Some(serial), true) => match journal.since(serial) {
                    Since::Current => (true, Plan::List(Vec::new().into_iter())),
                    Since::Difference(difference) => (false, Plan::List(in_order(&difference).into_iter())),
                    Since::Whole => (true, whole()),
                },
            },
            (false, _) if in_stream => (true, whole()),
            (false, _) => return Err(Fault::because(ResponseCode::NotImp, ExtendedError::NOT_SUPPORTED)),
        };
        let mut transfer = Self {
            start: Start {
                id: request.id,
                recursion_desired: request.recursion_desired,
                question: message::question(asked),
                opt: None,
            },
            plan,
            open: None,
            signing: signing.cloned(),
        };
        if first {
            transfer.open = Some((Arc::new(journal.soa()), 0));
        }
        if let Plan::Whole(_, _, end) = &mut transfer.plan {
            let soa = Arc::new(journal.soa());
            *end = journal
                .signature()
                .cloned()
                .into_iter()
                .chain([soa])
                .collect::<Vec<_>>()
                .into_iter();
        }
        Ok(transfer)
    }

    pub(crate) fn with_opt(mut self, opt: Option<Vec<u8>>) -> Self {
        self.start.opt = opt;
        self
    }

    /// Writes the next message over what was in `out`; whether there was one. `now` is in seconds since
    /// 1970.
    pub fn next(&mut self, now: u32, out: &mut Vec<u8>) -> Result<bool, TransferError> {
        let Some(first) = self.open.take().or_else(|| Some((self.plan.next()?, 0))) else {
            return Ok(false);
        };
        self.open = Some(first);
        let reserved = self.signing.as_ref().map_or(0, Signing::size);
        let mut message = Message::begin(out, &self.start, reserved);
        while let Some((set, sent)) = self.open.take() {
            let Some(data) = set.data.get(sent) else {
                self.open = self.plan.next().map(|set| (set, 0));
                continue;
            };
            if !message.push(&set, data) {
                if message.is_empty() {
                    return Err(TransferError(set.name.clone()));
                }
                self.open = Some((set, sent));
                break;
            }
            self.open = Some((set, sent + 1));
        }
        message.end(self.start.opt.take().as_deref());
        if let Some(signing) = &mut self.signing {
            signing.sign(u64::from(now), out);
        }
        Ok(true)
    }

    /// Writes the one message that says that there are too many transfers at this moment. Secondaries try
    /// again after the zone's retry time.
    pub(crate) fn refuse(mut self, now: u32, out: &mut Vec<u8>) {
        let reserved = self.signing.as_ref().map_or(0, Signing::size);
        Message::begin(out, &self.start, reserved).end(self.start.opt.as_deref());
        if let Some(flags) = out.get_mut(3) {
            *flags = *flags & 0xf0 | ResponseCode::Refused.low();
        }
        if let Some(signing) = &mut self.signing {
            signing.sign(u64::from(now), out);
        }
    }
}

impl Plan {
    fn next(&mut self) -> Option<Arc<RecordSet>> {
        match self {
            Self::List(sets) => sets.next(),
            Self::Whole(journal, at, end) => match journal.content().after(at.as_ref()) {
                Some((key, set)) => {
                    *at = Some(key.clone());
                    Some(set.clone())
                }
                None => end.next(),
            },
        }
    }
}

/// RFC 1995 section 4: the new SOA, the old SOA, what is gone, the new SOA, what is new, the new SOA.
fn in_order(difference: &Difference) -> Vec<Arc<RecordSet>> {
    let (from, to) = (&difference.from, &difference.to);
    let before = [to, from].into_iter().chain(&difference.removed);
    let after = [to].into_iter().chain(&difference.added).chain([to]);
    before.chain(after).cloned().collect()
}
