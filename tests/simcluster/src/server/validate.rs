//! What makes an object invalid.
//!
//! What must stay true: everything wrong with an object is reported at once, as causes of one 422.
//! Only rules that clients of this workspace can run into are here; a full copy of Kubernetes'
//! validation is refused, since it would be as long as this crate.

use serde_json::{Value, json};

use super::kinds::{Fields, Kind};
use super::object;
use super::schema;
use super::status::{Cause, Failure, Outcome};

/// Checks a new object.
pub(crate) fn create(kind: &Kind, value: &Value) -> Outcome<()> {
    let mut causes = Vec::new();
    name(kind, object::name(value), &mut causes);
    content(kind, value, &mut causes);
    finish(kind, value, &causes)
}

/// Checks the new state of an object against the old.
pub(crate) fn update(kind: &Kind, old: &Value, new: &Value) -> Outcome<()> {
    let mut causes = Vec::new();
    content(kind, new, &mut causes);
    let mut immutable = |path: &str, pointer: &str| {
        let (old, new) = (old.pointer(pointer), new.pointer(pointer));
        if old.is_some() && old != new {
            let shown = new.cloned().unwrap_or_default();
            causes.push(Cause::invalid(path, &shown, "field is immutable"));
        }
    };
    match kind.kind.as_str() {
        "Service" if kind.group.is_empty() => {
            let headless_or_same = |value: &Value| value["spec"]["type"] != json!("ExternalName");
            if headless_or_same(old) && headless_or_same(new) {
                immutable("spec.clusterIP", "/spec/clusterIP");
            }
        }
        "Deployment" | "ReplicaSet" => immutable("spec.selector", "/spec/selector"),
        "EndpointSlice" => immutable("addressType", "/addressType"),
        "RoleBinding" | "ClusterRoleBinding" => immutable("roleRef", "/roleRef"),
        "ConfigMap" | "Secret" if old.get("immutable") == Some(&json!(true)) => {
            immutable("data", "/data");
            immutable("immutable", "/immutable");
        }
        _ => {}
    }
    if object::is_terminating(old) {
        let known = object::finalizers(old);
        if object::finalizers(new).iter().any(|name| !known.contains(name)) {
            let why = "no new finalizers can be added if the object is being deleted";
            causes.push(Cause::forbidden("metadata.finalizers", why));
        }
    }
    finish(kind, new, &causes)
}

fn finish(kind: &Kind, value: &Value, causes: &[Cause]) -> Outcome<()> {
    match causes {
        [] => Ok(()),
        causes => Err(Failure::invalid(kind, object::name(value), causes)),
    }
}

fn content(kind: &Kind, value: &Value, causes: &mut Vec<Cause>) {
    labels(value, causes);
    owners(value, causes);
    match (&kind.fields, kind.kind.as_str()) {
        (Fields::Schema(schema), _) => schema::validate(value, schema, "", causes),
        (_, "Service") => service(value, causes),
        (_, "Deployment" | "ReplicaSet") => workload(value, causes),
        (_, "Pod") => containers(value.pointer("/spec"), "spec", causes),
        (_, "EndpointSlice") if value.get("addressType").is_none() => {
            causes.push(Cause::required("addressType"));
        }
        (_, "CustomResourceDefinition") => super::crd::validate(value, causes),
        _ => {}
    }
}

fn is_label(text: &str, limit: usize, allowed: fn(char) -> bool) -> bool {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    text.len() <= limit
        && text.chars().all(|c| c.is_ascii_alphanumeric() || allowed(c))
        && edge(text.chars().next())
        && edge(text.chars().last())
}

/// An RFC 1123 subdomain, or an RFC 1035 label for the kinds that are names in DNS.
fn name(kind: &Kind, name: &str, causes: &mut Vec<Cause>) {
    let lower = !name.chars().any(|c| c.is_ascii_uppercase());
    let (ok, why) = match (kind.group.as_str(), kind.kind.as_str()) {
        ("", "Service") => (
            lower && is_label(name, 63, |c| c == '-') && name.starts_with(|c: char| c.is_alphabetic()),
            "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an \
             alphabetic character, and end with an alphanumeric character",
        ),
        ("", "Namespace") => (
            lower && is_label(name, 63, |c| c == '-'),
            "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and \
             must start and end with an alphanumeric character",
        ),
        // Names of roles are users' and Kubernetes' own, with colons in them.
        ("rbac.authorization.k8s.io", _) => (
            !name.contains(['/', '%']) && name != "." && name != "..",
            "may not be '.' or '..' and may not contain '/' or '%'",
        ),
        _ => (
            lower && name.len() <= 253 && name.split('.').all(|label| is_label(label, 253, |c| c == '-')),
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or \
             '.', and must start and end with an alphanumeric character",
        ),
    };
    if name.is_empty() {
        let mut cause = Cause::required("metadata.name");
        cause.message = "Required value: name or generateName is required".to_owned();
        causes.push(cause);
    } else if !ok {
        causes.push(Cause::invalid("metadata.name", &json!(name), why));
    }
}

fn labels(value: &Value, causes: &mut Vec<Cause>) {
    let Some(labels) = object::meta(value, "labels").and_then(Value::as_object) else {
        return;
    };
    let allowed: fn(char) -> bool = |c| matches!(c, '-' | '_' | '.');
    for (key, value) in labels {
        let key_name = key.rsplit_once('/').map_or(key.as_str(), |(_, name)| name);
        if !is_label(key_name, 63, allowed) {
            let why = "name part must consist of alphanumeric characters, '-', '_' or '.', and must \
                       start and end with an alphanumeric character";
            causes.push(Cause::invalid("metadata.labels", &json!(key), why));
        }
        let text = value.as_str().unwrap_or_default();
        if !text.is_empty() && !is_label(text, 63, allowed) {
            let why = "a valid label must be an empty string or consist of at most 63 alphanumeric \
                       characters, '-', '_' or '.', and must start and end with an alphanumeric character";
            causes.push(Cause::invalid("metadata.labels", value, why));
        }
    }
}

fn owners(value: &Value, causes: &mut Vec<Cause>) {
    for (index, owner) in object::items(object::meta(value, "ownerReferences")).enumerate() {
        for field in ["apiVersion", "kind", "name", "uid"] {
            if owner.get(field).and_then(Value::as_str).is_none_or(str::is_empty) {
                let path = format!("metadata.ownerReferences[{index}].{field}");
                causes.push(Cause::required(path));
            }
        }
    }
}

fn service(value: &Value, causes: &mut Vec<Cause>) {
    let spec = &value["spec"];
    let kinds = ["ClusterIP", "NodePort", "LoadBalancer", "ExternalName"];
    if !kinds.contains(&spec["type"].as_str().unwrap_or_default()) {
        let why = "supported values: \"ClusterIP\", \"ExternalName\", \"LoadBalancer\", \"NodePort\"";
        causes.push(Cause::invalid("spec.type", &spec["type"], why));
    }
    let ports: Vec<&Value> = object::items(spec.get("ports")).collect();
    let headless = spec["clusterIP"] == json!("None");
    if ports.is_empty() && spec["type"] != json!("ExternalName") && !headless {
        causes.push(Cause::required("spec.ports"));
    }
    for (index, port) in ports.iter().enumerate() {
        let path = format!("spec.ports[{index}]");
        let number = port.get("port").and_then(Value::as_i64).unwrap_or_default();
        if !(1..=65_535).contains(&number) {
            let why = "must be between 1 and 65535, inclusive";
            causes.push(Cause::invalid(format!("{path}.port"), &json!(number), why));
        }
        let named = port
            .get("name")
            .and_then(Value::as_str)
            .is_some_and(|name| !name.is_empty());
        if ports.len() > 1 && !named {
            causes.push(Cause::required(format!("{path}.name")));
        }
        let same =
            |other: &&&Value| other.get("port") == port.get("port") && other.get("protocol") == port.get("protocol");
        if ports[..index].iter().any(|other| same(&other)) {
            causes.push(Cause {
                reason: "FieldValueDuplicate",
                field: path,
                message: format!("Duplicate value: {port}"),
            });
        }
    }
}

fn workload(value: &Value, causes: &mut Vec<Cause>) {
    let replicas = value
        .pointer("/spec/replicas")
        .and_then(Value::as_i64)
        .unwrap_or_default();
    if replicas < 0 {
        let why = "must be greater than or equal to 0";
        causes.push(Cause::invalid("spec.replicas", &json!(replicas), why));
    }
    let selector = value.pointer("/spec/selector").cloned().unwrap_or_default();
    let empty = |name: &str| {
        selector
            .get(name)
            .is_none_or(|part| *part == json!({}) || *part == json!([]))
    };
    let labels = value
        .pointer("/spec/template/metadata/labels")
        .cloned()
        .unwrap_or_default();
    if empty("matchLabels") && empty("matchExpressions") {
        causes.push(Cause::required("spec.selector"));
    } else if !super::selectors::matches_label_selector(&selector, &labels) {
        let why = "`selector` does not match template `labels`";
        causes.push(Cause::invalid("spec.template.metadata.labels", &labels, why));
    }
    containers(value.pointer("/spec/template/spec"), "spec.template.spec", causes);
}

fn containers(spec: Option<&Value>, path: &str, causes: &mut Vec<Cause>) {
    let containers: Vec<&Value> = object::items(spec.and_then(|spec| spec.get("containers"))).collect();
    if containers.is_empty() {
        causes.push(Cause::required(format!("{path}.containers")));
    }
    for (index, container) in containers.iter().enumerate() {
        for field in ["name", "image"] {
            if container.get(field).and_then(Value::as_str).is_none_or(str::is_empty) {
                causes.push(Cause::required(format!("{path}.containers[{index}].{field}")));
            }
        }
    }
}
