//! The secrets of TSIG keys, read from the host by their names.
//!
//! What must stay true: a secret is in no log and in no `Debug` text; one that was read stays in use while the host
//! does not answer, and one that is gone is not used any more.
//!
//! They are read again and again. Refused: a watch of each. It would need the right to list Secrets, where this
//! needs `get` of the few that are named.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use meridian_controller_apply::{REQUEST_LIMIT, describe};
use meridian_federation_core::transfer::SecretRef;
use tokio::sync::watch;
use tokio::time::timeout;

/// How often they are read.
const EVERY: Duration = Duration::from_secs(5);

/// What stands in a Secret.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct SecretText(Arc<[u8]>);

impl SecretText {
    pub(super) fn octets(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(..)")
    }
}

/// What was read of each, or why it cannot be used.
pub(super) type Secrets = BTreeMap<SecretRef, Result<SecretText, String>>;

/// Reads what is wanted, for ever.
pub(super) async fn follow(
    host: Client,
    mut wanted: watch::Receiver<BTreeSet<SecretRef>>,
    publish: watch::Sender<Secrets>,
) {
    loop {
        let refs = wanted.borrow_and_update().clone();
        let known = publish.borrow().clone();
        let reads = refs.into_iter().map(|reference| {
            let (host, before) = (&host, known.get(&reference).cloned());
            async move {
                let read = read(host, &reference, before).await;
                (reference, read)
            }
        });
        let next: Secrets = futures::future::join_all(reads).await.into_iter().collect();
        publish.send_if_modified(|secrets| {
            let differs = *secrets != next;
            *secrets = next;
            differs
        });
        tokio::select! {
            changed = wanted.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

pub(super) async fn read(
    host: &Client,
    reference: &SecretRef,
    before: Option<Result<SecretText, String>>,
) -> Result<SecretText, String> {
    let SecretRef { namespace, name, key } = reference;
    let secrets = Api::<Secret>::namespaced(host.clone(), namespace);
    let reason = match timeout(REQUEST_LIMIT, secrets.get_opt(name)).await {
        Ok(Ok(Some(secret))) => {
            let text = secret.data.and_then(|mut data| data.remove(key));
            let missing = || format!("Secret {namespace}/{name} has no key {key}; add it");
            return text.map(|text| SecretText(text.0.into())).ok_or_else(missing);
        }
        Ok(Ok(None)) => return Err(format!("Secret {namespace}/{name} is not there; make it")),
        Ok(Err(error)) => describe(&error),
        Err(_) => "no answer in time".to_owned(),
    };
    match before {
        Some(Ok(known)) => Ok(known),
        _ => Err(format!(
            "Secret {namespace}/{name} cannot be read: {reason}; the controller needs the right to get it"
        )),
    }
}
