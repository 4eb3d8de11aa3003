//! Signing ahead: what is asked for often is signed before it is asked for again.
//!
//! For each hot question, the sets of today's answer and, of each routed name on its way, those of every
//! site that could be next ([`meridian_dns_core::Zone::alternatives`]), so that a failover finds its
//! signatures made. Also the head of each zone and its keys. It looks every minute, and within a second
//! when zones, keys or hot questions have changed; what is signed already costs a look into the cache.
//!
//! What must stay true:
//! - nobody waits for it, and nothing goes wrong without it: a reply makes the signatures it misses;
//! - it signs off the async workers, in steps of some milliseconds, so that a stop is noticed and a
//!   blocking thread is not kept;
//! - what it signs is bounded by the record of hot questions, which is bounded.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use meridian_dns_core::dnssec::prove;
use meridian_dns_core::{Client, FindingKind, Question, RecordSet, RecordType, Snapshot, Zone, answer};
use tokio::time::MissedTickBehavior;

use crate::service::{Service, Stop, stopped};
use crate::signed;
use crate::signer::{Hot, Payer, Signer, Use};

/// How often it looks whether something has changed.
const LOOK: Duration = Duration::from_secs(1);
/// How often it looks at everything in any case, in looks: signatures grow old.
const REPAIR: u32 = 60;
/// How often the record of hot questions fades, in looks.
const FADE: u32 = 600;
/// Questions in one step.
const STEP: usize = 16;

/// Runs until the server ends.
pub(crate) async fn sign_ahead(service: Arc<Service>, mut stop: Stop) {
    let mut looks = tokio::time::interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut hot, mut count) = (Hot::default(), 0_u32);
    let mut seen: Option<(Arc<Snapshot>, u64)> = None;
    loop {
        tokio::select! {
            () = stopped(&mut stop) => return,
            _ = looks.tick() => {}
        }
        count = count.wrapping_add(1);
        if count.is_multiple_of(FADE) {
            hot.fade();
        }
        let mut new = Vec::new();
        for question in service.signer.samples().take() {
            if hot.add(question.clone()) {
                new.push(question);
            }
        }
        let (snapshot, keys) = (service.table.load(), service.signer.generation());
        let same = |(before, generation): &(Arc<Snapshot>, u64)| Arc::ptr_eq(before, &snapshot) && *generation == keys;
        let changed = !seen.as_ref().is_some_and(same);
        let questions = if changed || count.is_multiple_of(REPAIR) {
            // The heads of zones are asked for along with everything else.
            heads(&snapshot).chain(hot.questions()).collect()
        } else {
            new
        };
        seen = Some((snapshot.clone(), keys));
        for step in questions.chunks(STEP) {
            let (service, snapshot, step) = (service.clone(), snapshot.clone(), step.to_vec());
            let now = service.clock.now().unix;
            let signing = tokio::task::spawn_blocking(move || {
                step.iter()
                    .for_each(|question| sign(&snapshot, question, &service.signer, now));
            });
            tokio::select! {
                () = stopped(&mut stop) => return,
                _ = signing => {}
            }
        }
    }
}

fn heads(snapshot: &Snapshot) -> impl Iterator<Item = Question> {
    let signed = snapshot.zones().filter(|zone| zone.dnssec().is_some());
    signed.flat_map(|zone| {
        let types = [RecordType::Soa, RecordType::Ns, RecordType::DNSKEY];
        types.map(|record_type| Question {
            name: zone.apex().clone(),
            record_type,
        })
    })
}

/// Signs what could be answered to a question.
fn sign(snapshot: &Snapshot, question: &Question, signer: &Signer, now: u32) {
    // Any client will do: what is another client's is among the alternatives.
    let found = answer(snapshot, question, Client::at(Ipv4Addr::UNSPECIFIED.into()));
    let positive = |kind| matches!(kind, FindingKind::Data | FindingKind::Alias);
    for finding in found.findings.iter().filter(|finding| positive(finding.kind)) {
        if let Some(zone) = snapshot.zone(&finding.zone).filter(|zone| zone.dnssec().is_some()) {
            for set in zone.alternatives(&finding.name, question.record_type) {
                keep(signer, zone, &set, now);
            }
        }
    }
    let proven = prove(snapshot, question, found, false);
    if let Err((zone, error)) = signed::sign(snapshot, &proven, signer, (now, Use::Keep), &mut Payer::Nobody) {
        signer.complain(&zone, &error);
    }
}

fn keep(signer: &Signer, zone: &Zone, set: &RecordSet, now: u32) {
    if let Err(error) = signer.sign_for(zone, set, now, Use::Keep, &mut Payer::Nobody) {
        signer.complain(zone.apex(), &error);
    }
}
