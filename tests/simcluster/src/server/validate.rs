//! What makes an object invalid.
//!
//! What must stay true: everything wrong with an object is reported at once, as causes of one 422, with
//! the paths and the words of Kubernetes, because people search for those words. What an update may not
//! change is here too, beside the rules of the same kind.
//!
//! Refused: a full copy of Kubernetes' validation, which would be longer than this crate. The rules here
//! are those that manifests and controllers run into: identity, references, numbers, immutable fields.

mod cron;
mod events;
mod meta;
mod names;
mod networking;
mod pods;
mod rules;
mod services;
mod settings;
mod workloads;

use serde_json::Value;

use super::kinds::{Fields, Kind};
use super::object;
use super::schema;
use super::status::{Cause, Failure, Outcome};

pub(crate) use self::names::{is_dns_label, is_dns_subdomain};

/// Checks a new object.
pub(crate) fn create(kind: &Kind, value: &Value) -> Outcome<()> {
    let mut causes = Vec::new();
    names::name(kind, object::name(value), &mut causes);
    meta::create(kind, value, &mut causes);
    content(kind, value, &mut causes);
    if kind.is("events.k8s.io", "Event") {
        events::new_event(value, &mut causes);
    } else if kind.is("", "Pod") {
        pods::placement(&value["spec"], &mut causes);
    }
    finish(kind, value, &causes)
}

/// Checks the new state of an object against the old.
pub(crate) fn update(kind: &Kind, old: &Value, new: &Value) -> Outcome<()> {
    let mut causes = Vec::new();
    meta::check(new, &mut causes);
    meta::update(old, new, &mut causes);
    content(kind, new, &mut causes);
    if !kind.is_custom() {
        changes(kind, old, new, &mut causes);
    }
    finish(kind, new, &causes)
}

fn finish(kind: &Kind, value: &Value, causes: &[Cause]) -> Outcome<()> {
    match causes {
        [] => Ok(()),
        causes => Err(Failure::invalid(kind, object::name(value), causes)),
    }
}

/// What holds of an object whatever it was before.
fn content(kind: &Kind, value: &Value, causes: &mut Vec<Cause>) {
    match (&kind.fields, kind.kind.as_str()) {
        (Fields::Schema(schema), _) => schema::validate(value, schema, causes),
        (_, "Service") => services::service(value, causes),
        (_, "Endpoints") => services::endpoints(value, causes),
        (_, "EndpointSlice") => services::endpoint_slice(value, causes),
        (_, "Ingress") => networking::ingress(value, causes),
        (_, "IngressClass") => networking::ingress_class(value, causes),
        (_, "NetworkPolicy") => networking::network_policy(value, causes),
        (_, "Pod") => pods::spec(&value["spec"], "spec", causes),
        (_, "Deployment") => workloads::deployment(value, causes),
        (_, "ReplicaSet") => workloads::replica_set(value, causes),
        (_, "StatefulSet") => workloads::stateful_set(value, causes),
        (_, "DaemonSet") => workloads::daemon_set(value, causes),
        (_, "Job") => workloads::job(value, causes),
        (_, "CronJob") => workloads::cron_job(value, causes),
        (_, "HorizontalPodAutoscaler") => workloads::autoscaler(value, causes),
        (_, "ConfigMap") => settings::config_map(value, causes),
        (_, "Secret") => settings::secret(value, causes),
        (_, "Lease") => settings::lease(value, causes),
        (_, "Event") => events::event(value, causes),
        (_, "Role" | "ClusterRole") => settings::role(kind, value, causes),
        (_, "RoleBinding" | "ClusterRoleBinding") => settings::role_binding(kind, value, causes),
        (_, "CustomResourceDefinition") => super::crd::validate(value, causes),
        _ => {}
    }
}

/// What may not change.
fn changes(kind: &Kind, old: &Value, new: &Value, causes: &mut Vec<Cause>) {
    let mut immutable = |pointer: &str| rules::immutable(old, new, pointer, causes);
    match kind.kind.as_str() {
        "Service" => services::service_changes(old, new, causes),
        "Deployment" | "ReplicaSet" | "DaemonSet" => immutable("/spec/selector"),
        "StatefulSet" => workloads::stateful_set_changes(old, new, causes),
        "Job" => workloads::job_changes(old, new, causes),
        "Pod" => pods::changes(old, new, causes),
        "EndpointSlice" => immutable("/addressType"),
        "IngressClass" => immutable("/spec/controller"),
        "ConfigMap" | "Secret" => settings::data_changes(old, new, causes),
        "RoleBinding" | "ClusterRoleBinding" => settings::role_binding_changes(old, new, causes),
        "CustomResourceDefinition" => super::crd::validate_changes(old, new, causes),
        _ => {}
    }
}
