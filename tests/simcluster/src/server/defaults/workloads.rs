//! Defaults of what makes pods.
//!
//! What must stay true: the template of a CronJob gets the defaults of a pod but not those of a Job,
//! which the Job made from it gets itself.

use serde_json::{Map, Value, json};

use super::{child, each, pods, set};
use crate::server::object::{self, object_mut};

fn spec_of(value: &mut Value) -> &mut Map<String, Value> {
    child(object_mut(value), "spec")
}

fn template(spec: &mut Map<String, Value>) {
    let template = child(spec, "template");
    pods::spec(child(template, "spec"));
}

pub(super) fn deployment(value: &mut Value) {
    let spec = spec_of(value);
    set(spec, "replicas", json!(1));
    set(spec, "revisionHistoryLimit", json!(10));
    set(spec, "progressDeadlineSeconds", json!(600));
    rolling(
        child(spec, "strategy"),
        &[("maxUnavailable", json!("25%")), ("maxSurge", json!("25%"))],
    );
    template(spec);
}

/// A strategy is to roll, and rolls by these numbers, unless it says otherwise.
fn rolling(strategy: &mut Map<String, Value>, numbers: &[(&str, Value)]) {
    set(strategy, "type", json!("RollingUpdate"));
    if strategy["type"] == json!("RollingUpdate") {
        let rolling = child(strategy, "rollingUpdate");
        for (name, number) in numbers {
            set(rolling, name, number.clone());
        }
    }
}

pub(super) fn replica_set(value: &mut Value) {
    let spec = spec_of(value);
    set(spec, "replicas", json!(1));
    template(spec);
}

pub(super) fn daemon_set(value: &mut Value) {
    let spec = spec_of(value);
    set(spec, "revisionHistoryLimit", json!(10));
    rolling(
        child(spec, "updateStrategy"),
        &[("maxUnavailable", json!(1)), ("maxSurge", json!(0))],
    );
    template(spec);
}

pub(super) fn stateful_set(value: &mut Value) {
    let spec = spec_of(value);
    set(spec, "podManagementPolicy", json!("OrderedReady"));
    rolling(child(spec, "updateStrategy"), &[("partition", json!(0))]);
    let retention = child(spec, "persistentVolumeClaimRetentionPolicy");
    set(retention, "whenDeleted", json!("Retain"));
    set(retention, "whenScaled", json!("Retain"));
    set(spec, "replicas", json!(1));
    set(spec, "revisionHistoryLimit", json!(10));
    for claim in each(spec, "volumeClaimTemplates") {
        set(claim, "apiVersion", json!("v1"));
        set(claim, "kind", json!("PersistentVolumeClaim"));
        set(child(claim, "spec"), "volumeMode", json!("Filesystem"));
        set(child(claim, "status"), "phase", json!("Pending"));
    }
    template(spec);
}

pub(super) fn job(value: &mut Value) {
    let spec = spec_of(value);
    let absent = |name: &str| spec.get(name).is_none_or(Value::is_null);
    if absent("completions") && absent("parallelism") {
        set(spec, "completions", json!(1));
    }
    set(spec, "parallelism", json!(1));
    let limit = if spec.contains_key("backoffLimitPerIndex") {
        i32::MAX
    } else {
        6
    };
    set(spec, "backoffLimit", json!(limit));
    set(spec, "completionMode", json!("NonIndexed"));
    set(spec, "suspend", json!(false));
    set(spec, "manualSelector", json!(false));
    let replacement = if spec.contains_key("podFailurePolicy") {
        "Failed"
    } else {
        "TerminatingOrFailed"
    };
    set(spec, "podReplacementPolicy", json!(replacement));
    template(spec);
    labels_of_template(value);
}

/// A Job without labels has those of its pods.
fn labels_of_template(value: &mut Value) {
    let labels = value.pointer("/spec/template/metadata/labels").cloned();
    if let Some(labels) = labels {
        set(object::meta_mut(value), "labels", labels);
    }
}

/// Makes a new Job's selector, and the labels by which it finds its pods.
pub(super) fn generate_selector(value: &mut Value) {
    if value.pointer("/spec/manualSelector") == Some(&json!(true)) {
        return;
    }
    let uid = object::uid(value).unwrap_or_default().to_owned();
    let name = object::name(value).to_owned();
    let spec = spec_of(value);
    let labels = child(child(child(spec, "template"), "metadata"), "labels");
    for prefix in ["", "batch.kubernetes.io/"] {
        set(labels, &format!("{prefix}controller-uid"), json!(uid));
        set(labels, &format!("{prefix}job-name"), json!(name));
    }
    let wanted = child(child(spec, "selector"), "matchLabels");
    set(wanted, "batch.kubernetes.io/controller-uid", json!(uid));
    labels_of_template(value);
}

pub(super) fn cron_job(value: &mut Value) {
    let spec = spec_of(value);
    set(spec, "concurrencyPolicy", json!("Allow"));
    set(spec, "suspend", json!(false));
    set(spec, "successfulJobsHistoryLimit", json!(3));
    set(spec, "failedJobsHistoryLimit", json!(1));
    template(child(child(spec, "jobTemplate"), "spec"));
}

pub(super) fn autoscaler(value: &mut Value) {
    let spec = spec_of(value);
    set(spec, "minReplicas", json!(1));
    if spec
        .get("metrics")
        .and_then(Value::as_array)
        .is_none_or(|metrics| metrics.is_empty())
    {
        let target = json!({"type": "Utilization", "averageUtilization": 80});
        let metric = json!({"type": "Resource", "resource": {"name": "cpu", "target": target}});
        spec.insert("metrics".to_owned(), json!([metric]));
    }
    let Some(behavior) = super::present(spec, "behavior") else {
        return;
    };
    let percent = json!({"type": "Percent", "value": 100, "periodSeconds": 15});
    let pods = json!({"type": "Pods", "value": 4, "periodSeconds": 15});
    let up = child(behavior, "scaleUp");
    set(up, "stabilizationWindowSeconds", json!(0));
    set(up, "selectPolicy", json!("Max"));
    set(up, "policies", json!([pods, percent]));
    let down = child(behavior, "scaleDown");
    set(down, "selectPolicy", json!("Max"));
    set(down, "policies", json!([percent]));
}
