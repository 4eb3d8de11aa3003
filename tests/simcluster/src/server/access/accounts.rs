//! What controllers of a real cluster make for ServiceAccounts and namespaces.
//!
//! What must stay true: this follows writes like `garbage.rs` and acts on the state it finds.
//! Every namespace that stays has a ServiceAccount `default`; a Secret of the token type has a token
//! as long as its ServiceAccount is there, and goes with it.

use base64::Engine;
use base64::prelude::BASE64_STANDARD as BASE64;
use serde_json::{Value, json};

use super::super::managed::Managers;
use super::super::store::{Key, State, Written};
use super::super::write::{self, Ownership, Target};
use super::super::{delete, object};
use super::aggregation;
use super::rbac::CLUSTER_ROLES;
use super::tokens::{Bound, Claims, Tokens};

const TOKEN_TYPE: &str = "kubernetes.io/service-account-token";
const ACCOUNT_NAME: &str = "kubernetes.io/service-account.name";
const ACCOUNT_UID: &str = "kubernetes.io/service-account.uid";
const ROOT_CERTIFICATE: &str = "kube-root-ca.crt";

/// What is put where workloads find it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Material<'a> {
    pub(crate) tokens: &'a Tokens,
    /// The certificate of the authority, if clients need one.
    pub(crate) certificate: Option<&'a str>,
}

/// Whether a write of this object may ask for something to be made here.
pub(crate) fn concerns(key: &Key) -> bool {
    match &*key.resource {
        "namespaces" | "serviceaccounts" | "secrets" => true,
        "configmaps" => *key.name == *ROOT_CERTIFICATE,
        other => other == CLUSTER_ROLES,
    }
}

/// Acts on what was written; returns whether there was anything.
pub(crate) fn sweep(state: &mut State, material: Material<'_>) -> bool {
    let written = state.take_written();
    if written.iter().any(|written| *written.key.resource == *CLUSTER_ROLES) {
        aggregation::aggregate(state);
    }
    for Written { key, object, removed } in &written {
        match (&*key.resource, removed) {
            ("namespaces", false) => furnish(state, &key.name, material),
            ("serviceaccounts", true) => {
                furnish(state, &key.namespace, material);
                drop_secrets(state, &key.namespace, &object.uid);
            }
            ("configmaps", _) => furnish(state, &key.namespace, material),
            ("secrets", false) => fill_secret(state, key, material),
            _ => {}
        }
    }
    !written.is_empty()
}

/// Makes what every namespace has.
fn furnish(state: &mut State, namespace: &str, material: Material<'_>) {
    let key = Key::cluster("namespaces", namespace);
    if state.get(&key).is_none_or(|namespace| namespace.terminating) {
        return;
    }
    let mut make = |resource: &str, name: &str, content: Value| {
        let Some(kind) = state.registry.by_qualified(resource) else {
            return;
        };
        if state.get(&Key::new(&kind, namespace, name)).is_some() {
            return;
        }
        let mut target = Target::own(&kind, namespace);
        target.manager = "kube-controller-manager".to_owned();
        let made = write::create(state, &target, content, Ownership::Update(Managers::default()));
        if let Err(failure) = made {
            tracing::debug!(failure = %failure.to_json(), "cannot furnish a namespace");
        }
    };
    make("serviceaccounts", "default", json!({"metadata": {"name": "default"}}));
    if let Some(certificate) = material.certificate {
        let content = json!({"metadata": {"name": ROOT_CERTIFICATE}, "data": {"ca.crt": certificate}});
        make("configmaps", ROOT_CERTIFICATE, content);
    }
}

fn annotation<'a>(object: &'a Value, name: &str) -> &'a str {
    let annotation = object::meta(object, "annotations").and_then(|annotations| annotations.get(name));
    annotation.and_then(Value::as_str).unwrap_or_default()
}

fn is_token(secret: &Value) -> bool {
    secret.get("type").and_then(Value::as_str) == Some(TOKEN_TYPE)
}

/// Puts a token into a Secret that has none; a Secret of nobody goes.
fn fill_secret(state: &mut State, key: &Key, material: Material<'_>) {
    let secret = state.get(key).map(|secret| secret.value());
    let Some(secret) = secret.filter(is_token) else {
        return;
    };
    let account = Key {
        resource: "serviceaccounts".into(),
        namespace: key.namespace.clone(),
        name: annotation(&secret, ACCOUNT_NAME).into(),
    };
    let known_uid = annotation(&secret, ACCOUNT_UID);
    let account = state.get(&account);
    let account = account.filter(|account| known_uid.is_empty() || *known_uid == *account.uid);
    let Some(account) = account.map(|account| account.value()) else {
        delete::follow(state, key, None);
        return;
    };
    if secret.pointer("/data/token").is_some() {
        return;
    }
    let mut claims = Claims::of(&key.namespace, &account, state.now());
    claims.private.secret = Some(Bound::to(&secret));
    let mut new = secret;
    let data = object::object_mut(&mut new["data"]);
    let encoded = |text: &str| json!(BASE64.encode(text));
    data.insert("token".to_owned(), encoded(&material.tokens.sign(&claims)));
    data.insert("namespace".to_owned(), encoded(&key.namespace));
    if let Some(certificate) = material.certificate {
        data.insert("ca.crt".to_owned(), encoded(certificate));
    }
    let annotations = object::object_mut(object::meta_mut(&mut new).entry("annotations").or_insert(Value::Null));
    annotations.insert(ACCOUNT_UID.to_owned(), account["metadata"]["uid"].clone());
    state.put(key.clone(), new);
}

fn drop_secrets(state: &mut State, namespace: &str, uid: &str) {
    let secrets = state.list("secrets", Some(namespace));
    let orphans = secrets.filter(|(_, secret)| {
        let secret = secret.value();
        is_token(&secret) && annotation(&secret, ACCOUNT_UID) == uid
    });
    let orphans: Vec<Key> = orphans.map(|(key, _)| key.clone()).collect();
    for key in orphans {
        delete::follow(state, &key, None);
    }
}
