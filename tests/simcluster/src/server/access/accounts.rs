//! What controllers of a real cluster make for ServiceAccounts and namespaces.
//!
//! What must stay true: this follows the history like `garbage.rs` and acts on the state it finds.
//! Every namespace that stays has a ServiceAccount `default`; a Secret of the token type has a token
//! as long as its ServiceAccount is there, and goes with it.

use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD as BASE64;
use serde_json::{Value, json};

use super::super::managed::Managers;
use super::super::store::{Key, State, Written};
use super::super::write::{self, Ownership, Target};
use super::super::{delete, object};
use super::aggregation;
use super::rbac::GROUP;
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

/// Acts on what was written.
pub(crate) fn sweep(state: &mut State, written: &[Written], material: Material<'_>) {
    let aggregated = format!("clusterroles.{GROUP}");
    if written.iter().any(|written| *written.key.resource == *aggregated) {
        aggregation::aggregate(state);
    }
    for Written { key, object, removed } in written {
        match (&*key.resource, removed) {
            ("namespaces", false) => furnish(state, &key.name, material),
            ("serviceaccounts", true) => {
                furnish(state, &key.namespace, material);
                drop_secrets(state, &key.namespace, object::uid(object).unwrap_or_default());
            }
            ("configmaps", _) if key.name == ROOT_CERTIFICATE => furnish(state, &key.namespace, material),
            ("secrets", false) => fill_secret(state, key, material),
            _ => {}
        }
    }
}

/// Makes what every namespace has.
fn furnish(state: &mut State, namespace: &str, material: Material<'_>) {
    let key = |resource: &str, namespace: &str, name: &str| Key {
        resource: resource.into(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
    };
    let stays = |namespace: &Arc<Value>| !object::is_terminating(namespace);
    if !state.get(&key("namespaces", "", namespace)).is_some_and(stays) {
        return;
    }
    let mut make = |resource: &str, name: &str, content: Value| {
        if state.get(&key(resource, namespace, name)).is_some() {
            return;
        }
        let Some(kind) = state.registry.by_qualified(resource) else {
            return;
        };
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
    let Some(secret) = state.get(key).filter(|secret| is_token(secret)).cloned() else {
        return;
    };
    let account = Key {
        resource: "serviceaccounts".into(),
        namespace: key.namespace.clone(),
        name: annotation(&secret, ACCOUNT_NAME).to_owned(),
    };
    let known_uid = annotation(&secret, ACCOUNT_UID);
    let account = state.get(&account).filter(|account| {
        let uid = object::uid(account).unwrap_or_default();
        known_uid.is_empty() || known_uid == uid
    });
    let Some(account) = account.cloned() else {
        if let Some(kind) = state.registry.by_qualified(&key.resource) {
            delete::remove(state, &kind, key);
        }
        return;
    };
    if secret.pointer("/data/token").is_some() {
        return;
    }
    let mut claims = Claims::of(&key.namespace, &account, object::clock());
    claims.private.secret = Some(Bound::to(&secret));
    let mut new = Value::clone(&secret);
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
    let Some(kind) = state.registry.by_qualified("secrets") else {
        return;
    };
    let secrets = state.list("secrets", Some(namespace));
    let orphans = secrets.filter(|(_, secret)| is_token(secret) && annotation(secret, ACCOUNT_UID) == uid);
    let orphans: Vec<Key> = orphans.map(|(key, _)| key.clone()).collect();
    for key in orphans {
        delete::remove(state, &kind, &key);
    }
}
