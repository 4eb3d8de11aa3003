//! Rules of what configures others: data, leases, events, roles.

use serde_json::{Value, json};

use super::names;
use super::rules::{self, is_absent, is_empty, items, text};
use crate::server::kinds::Kind;
use crate::server::object;
use crate::server::status::Cause;

/// The data of a ConfigMap or a Secret.
const LARGEST_DATA: usize = 1024 * 1024;

const RBAC: &str = "rbac.authorization.k8s.io";

pub(super) fn config_map(value: &Value, causes: &mut Vec<Cause>) {
    let mut size = 0;
    for field in ["data", "binaryData"] {
        for (key, content) in value.get(field).and_then(Value::as_object).into_iter().flatten() {
            let path = format!("{field}[{key}]");
            names::check(&path, key, names::config_key(key), causes);
            if field == "data" && value.pointer("/binaryData").is_some_and(|data| data.get(key).is_some()) {
                causes.push(Cause::invalid(
                    path,
                    &json!(key),
                    "duplicate of key present in binaryData",
                ));
            }
            let length = content.as_str().unwrap_or_default().len();
            size += if field == "data" { length } else { length / 4 * 3 };
        }
    }
    if size > LARGEST_DATA {
        causes.push(Cause::too_long("", LARGEST_DATA));
    }
}

pub(super) fn secret(value: &Value, causes: &mut Vec<Cause>) {
    let data = value.get("data").and_then(Value::as_object);
    let mut size = 0;
    for (key, content) in data.into_iter().flatten() {
        names::check(&format!("data[{key}]"), key, names::config_key(key), causes);
        // Base64 of it.
        size += content.as_str().unwrap_or_default().len() / 4 * 3;
    }
    if size > LARGEST_DATA {
        causes.push(Cause::too_long("data", LARGEST_DATA));
    }
    let has = |key: &str| data.is_some_and(|data| data.contains_key(key));
    let needs: &[&str] = match text(value, "type") {
        "kubernetes.io/dockercfg" => &[".dockercfg"],
        "kubernetes.io/dockerconfigjson" => &[".dockerconfigjson"],
        "kubernetes.io/ssh-auth" => &["ssh-privatekey"],
        "kubernetes.io/tls" => &["tls.crt", "tls.key"],
        "kubernetes.io/basic-auth" if !has("username") && !has("password") => &["username", "password"],
        "kubernetes.io/service-account-token" => {
            let account = "kubernetes.io/service-account.name";
            let annotations = object::meta(value, "annotations");
            if annotations.is_none_or(|annotations| text(annotations, account).is_empty()) {
                causes.push(Cause::required(format!("metadata.annotations[{account}]")));
            }
            &[]
        }
        _ => &[],
    };
    let missing = needs.iter().filter(|key| !has(key));
    causes.extend(missing.map(|key| Cause::required(format!("data[{key}]"))));
}

/// What of a ConfigMap or Secret may not change.
pub(super) fn data_changes(old: &Value, new: &Value, causes: &mut Vec<Cause>) {
    rules::immutable(old, new, "/type", causes);
    if old.get("immutable") != Some(&json!(true)) {
        return;
    }
    let why = "field is immutable when `immutable` is set";
    if new.get("immutable") != Some(&json!(true)) {
        causes.push(Cause::forbidden("immutable", why));
    }
    for field in ["data", "binaryData"] {
        let (old, new) = (old.get(field), new.get(field));
        let empty = json!({});
        if old.unwrap_or(&empty) != new.unwrap_or(&empty) {
            causes.push(Cause::forbidden(field, why));
        }
    }
}

pub(super) fn lease(value: &Value, causes: &mut Vec<Cause>) {
    let spec = &value["spec"];
    let why = "must be greater than 0";
    rules::at_least(spec, "leaseDurationSeconds", "spec", 1, why, causes);
    rules::not_negative(spec, &["leaseTransitions"], "spec", causes);
}

pub(super) fn role(kind: &Kind, value: &Value, causes: &mut Vec<Cause>) {
    for (path, rule) in items(value, "rules", "") {
        let mut require = |field: &str, why: &str| {
            if is_empty(rule, field) {
                causes.push(Cause::required_because(format!("{path}.{field}"), why));
            }
        };
        require("verbs", "verbs must contain at least one value");
        if is_empty(rule, "nonResourceURLs") {
            require("apiGroups", "resource rules must supply at least one api group");
            require("resources", "resource rules must supply at least one resource");
            continue;
        }
        let urls = &rule["nonResourceURLs"];
        let why = match kind.namespaced {
            true => "namespaced rules cannot apply to non-resource URLs",
            false if is_empty(rule, "resources") && is_empty(rule, "apiGroups") => continue,
            false => "rules cannot apply to both regular resources and non-resource URLs",
        };
        causes.push(Cause::invalid(format!("{path}.nonResourceURLs"), urls, why));
    }
}

pub(super) fn role_binding(kind: &Kind, value: &Value, causes: &mut Vec<Cause>) {
    let role = &value["roleRef"];
    let kinds: &[&str] = if kind.namespaced {
        &["ClusterRole", "Role"]
    } else {
        &["ClusterRole"]
    };
    for (field, supported) in [("apiGroup", &[RBAC][..]), ("kind", kinds)] {
        if !supported.contains(&text(role, field)) {
            let found = json!(text(role, field));
            causes.push(Cause::not_supported(format!("roleRef.{field}"), &found, supported));
        }
    }
    rules::required(role, "name", "roleRef", causes);
    for (path, subject) in items(value, "subjects", "") {
        rules::required(subject, "name", &path, causes);
        let group = match text(subject, "kind") {
            "ServiceAccount" => {
                if !kind.namespaced {
                    rules::required(subject, "namespace", &path, causes);
                }
                ""
            }
            "User" | "Group" => RBAC,
            _ => {
                let supported = ["Group", "ServiceAccount", "User"];
                causes.push(Cause::not_supported(
                    format!("{path}.kind"),
                    &subject["kind"],
                    &supported,
                ));
                continue;
            }
        };
        if !is_absent(subject, "apiGroup") && text(subject, "apiGroup") != group {
            let field = format!("{path}.apiGroup");
            causes.push(Cause::not_supported(field, &subject["apiGroup"], &[group]));
        }
    }
}

pub(super) fn role_binding_changes(old: &Value, new: &Value, causes: &mut Vec<Cause>) {
    if old.get("roleRef") != new.get("roleRef") {
        causes.push(Cause::invalid("roleRef", &new["roleRef"], "cannot change roleRef"));
    }
}
