//! The secrets of DNS cookies: the leader makes and exchanges them, every replica uses what it sees.
//!
//! What must stay true: a replica that has never seen the shared secrets (no host, or not yet) uses one of
//! its own, and a client that meets another replica is simply given a new cookie. What cannot be read
//! changes nothing. When secrets are exchanged is `federation-core`'s `CookieRing`.

use std::time::Duration;

use meridian_dns_server::{CookieSecret, Cookies, SharedSettings};
use meridian_federation_core::{CookieKey, CookieRing, CookieStep};
use rustls::crypto::SecureRandom;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::clock::now;
use crate::shared_state::{Pieces, SharedKind, SharedState, WriteError};

const KIND: SharedKind = SharedKind {
    name: "cookie-secrets",
    secret: true,
};
/// There is one ring.
const PIECE: &str = "ring";
/// Wait after a write that failed, and for the watch to show one that did not.
const RETRY: Duration = Duration::from_secs(5);

/// Starts to follow the secrets into these settings, and to exchange them while this replica leads.
pub(crate) fn start(state: &SharedState, settings: SharedSettings, tasks: &mut JoinSet<()>) {
    let pieces = state.watch(KIND, tasks);
    tasks.spawn(use_secrets(pieces.clone(), settings));
    tasks.spawn(keep(state.clone(), pieces));
}

async fn use_secrets(mut pieces: watch::Receiver<Pieces>, settings: SharedSettings) {
    loop {
        if let Some((ring, _)) = ring_of(&pieces.borrow_and_update()) {
            let secret = |key: CookieKey| CookieSecret::new(key.0);
            settings.update(|settings| {
                let policy = settings
                    .cookies
                    .as_ref()
                    .map(|cookies| cookies.policy)
                    .unwrap_or_default();
                settings.cookies = Some(Cookies {
                    current: secret(ring.current),
                    previous: ring.other.map(secret),
                    policy,
                });
            });
        }
        if pieces.changed().await.is_err() {
            return;
        }
    }
}

/// The ring on the host and its version.
fn ring_of(pieces: &Pieces) -> Option<(CookieRing, String)> {
    let piece = pieces.as_ref()?.get(PIECE)?;
    match CookieRing::decode(&piece.bytes) {
        Ok(ring) => Some((ring, piece.version.clone())),
        Err(error) => {
            tracing::warn!(%error, "the shared cookie secrets cannot be read; those before stay in use");
            None
        }
    }
}

/// Exchanges the secrets when it is time, while this replica leads.
async fn keep(state: SharedState, mut pieces: watch::Receiver<Pieces>) {
    let mut leadership = state.leadership();
    loop {
        let known = pieces.borrow_and_update().clone();
        let leads = leadership.holds();
        let wait = match &known {
            Some(all) if leads => {
                let ring = ring_of(&known);
                match CookieRing::step(ring.as_ref().map(|(ring, _)| ring), now()) {
                    CookieStep::Wait(wait) => wait,
                    CookieStep::Write => {
                        // One that cannot be read is replaced all the same, by its version.
                        let version = all.get(PIECE).map(|piece| piece.version.as_str());
                        write(&state, ring.map(|(ring, _)| ring).as_ref(), version).await;
                        RETRY
                    }
                }
            }
            _ => Duration::MAX,
        };
        tokio::select! {
            changed = pieces.changed() => if changed.is_err() { return },
            _ = leadership.differs_from(leads) => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

async fn write(state: &SharedState, ring: Option<&CookieRing>, version: Option<&str>) {
    let mut fresh = [0; 16];
    let random: &dyn SecureRandom = rustls::crypto::ring::default_provider().secure_random;
    if random.fill(&mut fresh).is_err() {
        tracing::warn!("the system has no random numbers; the cookie secrets stay as they are");
        return;
    }
    let next = CookieRing::after(ring, CookieKey(fresh), now());
    match state.write(KIND, PIECE, &next.encode(), version).await {
        Ok(_) => tracing::debug!(staged = next.staged, "cookie secrets written"),
        Err(WriteError::NotLeading | WriteError::Overtaken) => {}
        Err(error) => tracing::warn!(%error, "the cookie secrets stay as they are for now"),
    }
}

#[cfg(test)]
mod tests {
    use meridian_dns_server::Settings;
    use meridian_federation_core::LeaseTimes;
    use meridian_simcluster::{ClusterOptions, SimCluster};

    use super::*;
    use crate::lease::{Campaign, identity};
    use crate::testing::{client_through, within};

    async fn until_shared(settings: &SharedSettings, own: &Cookies) -> Cookies {
        loop {
            let cookies = settings.load().cookies.clone().expect("cookies stay on");
            if cookies != *own {
                return cookies;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    #[tokio::test]
    async fn replicas_use_the_secret_that_the_leader_made() {
        let cluster = SimCluster::start(ClusterOptions::named("host")).await.expect("a port");
        let host = client_through(&cluster, cluster.address()).await;
        let mut replicas = Vec::new();
        for name in ["a", "b"] {
            let id = identity(Some(name.to_owned())).expect("random numbers");
            let campaign = Campaign::start(host.clone(), "meridian-system", id, LeaseTimes::default());
            let own = Cookies {
                current: CookieSecret::random().expect("random numbers"),
                previous: None,
                policy: Default::default(),
            };
            let settings = SharedSettings::new(Settings {
                cookies: Some(own.clone()),
                ..Settings::default()
            });
            let state = SharedState::new(host.clone(), "meridian-system", campaign.leadership());
            let mut tasks = JoinSet::new();
            start(&state, settings.clone(), &mut tasks);
            replicas.push((campaign, settings, own, tasks));
        }
        let mut seen = Vec::new();
        for (_, settings, own, _) in &replicas {
            seen.push(within("the shared secret", until_shared(settings, own)).await);
        }
        assert_eq!(seen[0], seen[1]);
    }
}
