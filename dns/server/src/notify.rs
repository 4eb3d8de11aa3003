//! NOTIFY out (RFC 1996): tells secondaries that there is a new version.
//!
//! What must stay true:
//! - each secondary has a task of its own, so one that is dead delays nobody;
//! - a notice is repeated, with longer and longer waits, until it is answered (section 3.6); what changes
//!   meanwhile is not queued: the next notice is of the newest serial;
//! - any reply that belongs to the notice ends it, whatever its code. What the secondary makes of it is its
//!   own affair, and it asks by itself after the zone's refresh time.
//!
//! Who is leader decides whether there is a [`Notifier`] at all.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use meridian_dns_core::{DnsName, RecordSet};
use ring::rand::{SecureRandom, SystemRandom};
use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use crate::request::tsig_of;
use crate::tsig::{Signing, TsigKey};

/// The first wait for a reply; each is twice the one before.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// RFC 1996 section 3.6 suggests a minute.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Who is told.
#[derive(Debug, Clone)]
pub struct Secondary {
    /// Where it listens.
    pub address: SocketAddr,
    /// What the notice is signed with.
    pub key: Option<TsigKey>,
}

/// The notices of one zone. Dropping it ends them.
#[derive(Debug)]
pub struct Notifier {
    newest: watch::Sender<Option<RecordSet>>,
    _tasks: JoinSet<()>,
}

impl Notifier {
    /// Tells these secondaries of the zone. Must be called in a tokio runtime.
    pub fn start(secondaries: impl IntoIterator<Item = Secondary>) -> Self {
        let newest = watch::Sender::new(None);
        let mut tasks = JoinSet::new();
        for secondary in secondaries {
            tasks.spawn(tell(secondary, newest.subscribe()));
        }
        Self { newest, _tasks: tasks }
    }

    /// There is a new version with this start of authority.
    pub fn published(&self, soa: RecordSet) {
        self.newest.send_replace(Some(soa));
    }
}

async fn tell(secondary: Secondary, mut newest: watch::Receiver<Option<RecordSet>>) {
    let mut wait = FIRST_WAIT;
    let mut told = true;
    loop {
        if told && newest.changed().await.is_err() {
            return;
        }
        let soa = newest.borrow_and_update().clone();
        let Some(soa) = soa else { continue };
        let end = Instant::now() + wait;
        tokio::select! {
            answered = exchange(&secondary, &soa, end) => match answered {
                Ok(code) => {
                    tracing::debug!(secondary = %secondary.address, zone = %soa.name, code, "notified");
                    (told, wait) = (true, FIRST_WAIT);
                }
                Err(error) => {
                    let next = (wait * 2).min(LONGEST_WAIT);
                    tracing::debug!(secondary = %secondary.address, zone = %soa.name, %error, ?next, "not notified yet");
                    tokio::time::sleep_until(end).await;
                    (told, wait) = (false, next);
                }
            },
            // A newer one. The wait stays: a secondary that is dead is not asked more often for it.
            changed = newest.changed() => {
                if changed.is_err() {
                    return;
                }
                newest.mark_changed();
                told = true;
            }
        }
    }
}

/// Sends one notice and waits for its reply; the reply's code.
async fn exchange(secondary: &Secondary, soa: &RecordSet, end: Instant) -> io::Result<u8> {
    let any: IpAddr = if secondary.address.is_ipv4() {
        Ipv4Addr::UNSPECIFIED.into()
    } else {
        Ipv6Addr::UNSPECIFIED.into()
    };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(secondary.address).await?;
    let mut id = [0; 2];
    SystemRandom::new()
        .fill(&mut id)
        .map_err(|_| io::Error::other("the system gave no random numbers"))?;
    let mut message = notice(id, &soa.name, soa);
    let mut signing = secondary.key.clone().map(Signing::of_query);
    if let Some(signing) = &mut signing {
        signing.sign(unix(), &mut message);
    }
    socket.send(&message).await?;
    let mut buffer = vec![0; 4096];
    loop {
        let length = timeout_at(end, socket.recv(&mut buffer)).await??;
        if let Some(code) = buffer.get(..length).and_then(|reply| code(reply, id, signing.as_ref())) {
            return Ok(code);
        }
    }
}

fn unix() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |age| age.as_secs())
}

/// The message (section 3.7): the question is for the SOA, and the answer section has it.
fn notice(id: [u8; 2], apex: &DnsName, soa: &RecordSet) -> Vec<u8> {
    let mut message = id.to_vec();
    // Opcode NOTIFY, AA.
    message.extend([0x24, 0, 0, 1, 0, 1, 0, 0, 0, 0]);
    message.extend(apex.to_octets());
    message.extend([0, 6, 0, 1]);
    message.extend([0xc0, 12, 0, 6, 0, 1]);
    message.extend(soa.ttl.to_be_bytes());
    let data: Vec<u8> = soa.data.iter().flat_map(|data| data.to_octets()).collect();
    // Two names and five numbers.
    message.extend(u16::try_from(data.len()).unwrap_or(u16::MAX).to_be_bytes());
    message.extend(data);
    message
}

/// The code of a reply to the notice; `None` for anything else. A reply to a signed notice that is not
/// well signed counts only if it says why.
fn code(reply: &[u8], id: [u8; 2], signing: Option<&Signing>) -> Option<u8> {
    let header = reply.first_chunk::<12>()?;
    let code = header[3] & 0x0f;
    let is_reply = header[..2] == id && header[2] & 0xf8 == 0xa0;
    let good = match (signing, tsig_of(reply)) {
        (Some(signing), Some(record)) => signing.is_reply(reply, &record, unix()),
        (Some(_), None) => false,
        (None, _) => true,
    };
    (is_reply && (good || code != 0)).then_some(code)
}
