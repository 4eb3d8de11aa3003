//! Rules of what makes pods.

use serde_json::{Value, json};

use super::rules::{self, is_absent, is_empty, items, text};
use super::{cron, pods};
use crate::server::object;
use crate::server::selectors;
use crate::server::status::Cause;

/// A selector that selects the pods of the template.
fn selector(spec: &Value, kind: &str, causes: &mut Vec<Cause>) {
    let Some(selector) = spec.get("selector").filter(|selector| !selector.is_null()) else {
        causes.push(Cause::required("spec.selector"));
        return;
    };
    rules::label_selector(selector, "spec.selector", causes);
    if is_empty(selector, "matchLabels") && is_empty(selector, "matchExpressions") {
        let why = format!("empty selector is invalid for {kind}");
        causes.push(Cause::invalid("spec.selector", selector, &why));
        return;
    }
    let labels = spec.pointer("/template/metadata/labels").cloned().unwrap_or(json!({}));
    if !selectors::matches_label_selector(selector, &labels) {
        let why = "`selector` does not match template `labels`";
        causes.push(Cause::invalid("spec.template.metadata.labels", &labels, why));
    }
}

/// A template whose pods run until they are deleted.
fn template(spec: &Value, causes: &mut Vec<Cause>) {
    let pod = spec.pointer("/template/spec").unwrap_or(&Value::Null);
    if let Some(labels) = spec.pointer("/template/metadata/labels") {
        super::meta::labels(labels, "spec.template.labels", causes);
    }
    let path = "spec.template.spec";
    if matches!(text(pod, "restartPolicy"), "OnFailure" | "Never") {
        let field = format!("{path}.restartPolicy");
        causes.push(Cause::not_supported(field, &pod["restartPolicy"], &["Always"]));
    }
    if !is_absent(pod, "activeDeadlineSeconds") {
        let why = "activeDeadlineSeconds in ReplicaSet is not Supported";
        causes.push(Cause::forbidden(format!("{path}.activeDeadlineSeconds"), why));
    }
    pods::spec(pod, path, causes);
}

pub(super) fn deployment(value: &Value, causes: &mut Vec<Cause>) {
    let spec = &value["spec"];
    let numbers = [
        "replicas",
        "minReadySeconds",
        "revisionHistoryLimit",
        "progressDeadlineSeconds",
    ];
    rules::not_negative(spec, &numbers, "spec", causes);
    selector(spec, "deployment", causes);
    let number = |field: &str| spec.get(field).and_then(Value::as_i64).unwrap_or_default();
    let deadline = number("progressDeadlineSeconds");
    if deadline >= 0 && deadline <= number("minReadySeconds") && !is_absent(spec, "progressDeadlineSeconds") {
        let why = "must be greater than minReadySeconds";
        causes.push(Cause::invalid("spec.progressDeadlineSeconds", &json!(deadline), why));
    }
    let strategy = &spec["strategy"];
    let path = "spec.strategy";
    rules::one_of(strategy, "type", path, &["Recreate", "RollingUpdate"], causes);
    match text(strategy, "type") {
        "Recreate" if !is_absent(strategy, "rollingUpdate") => {
            let why = "may not be specified when strategy `type` is 'Recreate'";
            causes.push(Cause::forbidden(format!("{path}.rollingUpdate"), why));
        }
        "RollingUpdate" => rolling(&strategy["rollingUpdate"], &format!("{path}.rollingUpdate"), causes),
        _ => {}
    }
    template(spec, causes);
}

/// One of the two numbers must leave room.
fn rolling(rolling: &Value, path: &str, causes: &mut Vec<Cause>) {
    let zero = |field: &str| matches!(rolling.get(field), Some(value) if *value == json!(0) || *value == json!("0%"));
    if zero("maxUnavailable") && zero("maxSurge") {
        let why = "may not be 0 when `maxSurge` is 0";
        let field = format!("{path}.maxUnavailable");
        causes.push(Cause::invalid(field, &rolling["maxUnavailable"], why));
    }
    for field in ["maxUnavailable", "maxSurge"] {
        let percent = |text: &str| {
            text.strip_suffix('%')
                .is_some_and(|number| number.parse::<u32>().is_ok())
        };
        match rolling.get(field) {
            Some(Value::String(text)) if !percent(text) => {
                let why = "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or \
                           '93%', regex used for validation is '[0-9]+%')";
                causes.push(Cause::invalid(format!("{path}.{field}"), &json!(text), why));
            }
            _ => rules::not_negative(rolling, &[field], path, causes),
        }
    }
}

pub(super) fn replica_set(value: &Value, causes: &mut Vec<Cause>) {
    let spec = &value["spec"];
    rules::not_negative(spec, &["replicas", "minReadySeconds"], "spec", causes);
    selector(spec, "replicaset", causes);
    template(spec, causes);
}

pub(super) fn daemon_set(value: &Value, causes: &mut Vec<Cause>) {
    let spec = &value["spec"];
    rules::not_negative(spec, &["minReadySeconds", "revisionHistoryLimit"], "spec", causes);
    selector(spec, "daemonset", causes);
    let strategy = &spec["updateStrategy"];
    let path = "spec.updateStrategy";
    rules::one_of(strategy, "type", path, &["OnDelete", "RollingUpdate"], causes);
    if text(strategy, "type") == "RollingUpdate" {
        rolling(&strategy["rollingUpdate"], &format!("{path}.rollingUpdate"), causes);
    }
    template(spec, causes);
}

pub(super) fn stateful_set(value: &Value, causes: &mut Vec<Cause>) {
    let spec = &value["spec"];
    let numbers = ["replicas", "minReadySeconds", "revisionHistoryLimit"];
    rules::not_negative(spec, &numbers, "spec", causes);
    if !["OrderedReady", "Parallel"].contains(&text(spec, "podManagementPolicy")) {
        let why = "must be 'OrderedReady' or 'Parallel'";
        causes.push(Cause::invalid(
            "spec.podManagementPolicy",
            &spec["podManagementPolicy"],
            why,
        ));
    }
    let strategy = &spec["updateStrategy"];
    if !["RollingUpdate", "OnDelete"].contains(&text(strategy, "type")) {
        let why = "must be 'RollingUpdate' or 'OnDelete'";
        causes.push(Cause::invalid("spec.updateStrategy", strategy, why));
    }
    if let Some(rolling) = strategy.get("rollingUpdate") {
        rules::not_negative(rolling, &["partition"], "spec.updateStrategy.rollingUpdate", causes);
    }
    let retention = &spec["persistentVolumeClaimRetentionPolicy"];
    for field in ["whenDeleted", "whenScaled"] {
        let path = "spec.persistentVolumeClaimRetentionPolicy";
        rules::one_of(retention, field, path, &["Delete", "Retain"], causes);
    }
    selector(spec, "statefulset", causes);
    template(spec, causes);
}

pub(super) fn stateful_set_changes(old: &Value, new: &Value, causes: &mut Vec<Cause>) {
    let fixed = |value: &Value| {
        let mut spec = value["spec"].clone();
        for field in [
            "replicas",
            "ordinals",
            "template",
            "updateStrategy",
            "revisionHistoryLimit",
            "persistentVolumeClaimRetentionPolicy",
            "minReadySeconds",
        ] {
            object::object_mut(&mut spec).remove(field);
        }
        spec
    };
    if fixed(old) != fixed(new) {
        let why = "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', \
                   'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and \
                   'minReadySeconds' are forbidden";
        causes.push(Cause::forbidden("spec", why));
    }
}

/// The spec of a Job at `path`, but for its selector.
fn job_spec(spec: &Value, path: &str, causes: &mut Vec<Cause>) {
    let numbers = [
        "parallelism",
        "completions",
        "activeDeadlineSeconds",
        "backoffLimit",
        "ttlSecondsAfterFinished",
    ];
    rules::not_negative(spec, &numbers, path, causes);
    rules::one_of(spec, "completionMode", path, &["Indexed", "NonIndexed"], causes);
    if text(spec, "completionMode") == "Indexed" && is_absent(spec, "completions") {
        let why = "when completion mode is Indexed";
        causes.push(Cause::required_because(format!("{path}.completions"), why));
    }
    rules::one_of(
        spec,
        "podReplacementPolicy",
        path,
        &["Failed", "TerminatingOrFailed"],
        causes,
    );
    let pod = spec.pointer("/template/spec").unwrap_or(&Value::Null);
    let path = format!("{path}.template.spec");
    if text(pod, "restartPolicy") == "Always" {
        let why = "valid values: \"OnFailure\", \"Never\"";
        causes.push(Cause::required_because(format!("{path}.restartPolicy"), why));
    }
    pods::spec(pod, &path, causes);
}

pub(super) fn job(value: &Value, causes: &mut Vec<Cause>) {
    let spec = &value["spec"];
    job_spec(spec, "spec", causes);
    if spec.get("manualSelector") == Some(&json!(true)) {
        selector(spec, "job", causes);
        return;
    }
    let uid = object::uid(value).unwrap_or_default();
    let labels = &spec["selector"]["matchLabels"];
    let made = json!({"batch.kubernetes.io/controller-uid": uid});
    let made_before = json!({"controller-uid": uid});
    if (*labels != made && *labels != made_before) || !is_empty(&spec["selector"], "matchExpressions") {
        let why = "`selector` not auto-generated";
        causes.push(Cause::invalid("spec.selector", &spec["selector"], why));
    }
}

pub(super) fn job_changes(old: &Value, new: &Value, causes: &mut Vec<Cause>) {
    let indexed = text(&new["spec"], "completionMode") == "Indexed";
    // An indexed Job grows and shrinks with its parallelism.
    let elastic = indexed && new["spec"]["completions"] == new["spec"]["parallelism"];
    if !elastic {
        rules::immutable(old, new, "/spec/completions", causes);
    }
    rules::immutable(old, new, "/spec/selector", causes);
    let waits = old["spec"]["suspend"] == json!(true) && old.pointer("/status/startTime").is_none();
    let template = |value: &Value| {
        let mut template = value["spec"]["template"].clone();
        if waits {
            object::object_mut(&mut template).remove("metadata");
            let pod = object::object_mut(&mut template["spec"]);
            for field in ["nodeSelector", "tolerations", "schedulingGates", "affinity"] {
                pod.remove(field);
            }
        }
        template
    };
    if template(old) != template(new) {
        let shown = &new["spec"]["template"];
        causes.push(Cause::invalid("spec.template", shown, "field is immutable"));
    }
    for field in [
        "completionMode",
        "podFailurePolicy",
        "backoffLimitPerIndex",
        "managedBy",
    ] {
        rules::immutable(old, new, &format!("/spec/{field}"), causes);
    }
}

pub(super) fn cron_job(value: &Value, causes: &mut Vec<Cause>) {
    let spec = &value["spec"];
    match text(spec, "schedule") {
        "" => causes.push(Cause::required("spec.schedule")),
        schedule => {
            if let Some(why) = cron::why_not(schedule) {
                causes.push(Cause::invalid("spec.schedule", &json!(schedule), &why));
            }
        }
    }
    rules::one_of(
        spec,
        "concurrencyPolicy",
        "spec",
        &["Allow", "Forbid", "Replace"],
        causes,
    );
    let numbers = [
        "startingDeadlineSeconds",
        "successfulJobsHistoryLimit",
        "failedJobsHistoryLimit",
    ];
    rules::not_negative(spec, &numbers, "spec", causes);
    let path = "spec.jobTemplate.spec";
    let job = spec.pointer("/jobTemplate/spec").unwrap_or(&Value::Null);
    if !is_absent(job, "selector") {
        let why = "`selector` will be auto-generated";
        causes.push(Cause::invalid(format!("{path}.selector"), &job["selector"], why));
    }
    job_spec(job, path, causes);
}

pub(super) fn autoscaler(value: &Value, causes: &mut Vec<Cause>) {
    let spec = &value["spec"];
    let path = "spec.scaleTargetRef";
    for field in ["kind", "name"] {
        rules::required(&spec["scaleTargetRef"], field, path, causes);
    }
    let why = "must be greater than or equal to 1";
    rules::at_least(spec, "minReplicas", "spec", 1, why, causes);
    rules::at_least(spec, "maxReplicas", "spec", 1, "must be greater than 0", causes);
    let number = |field: &str| spec.get(field).and_then(Value::as_i64);
    if number("maxReplicas") < number("minReplicas") {
        let why = "must be greater than or equal to `minReplicas`";
        causes.push(Cause::invalid("spec.maxReplicas", &spec["maxReplicas"], why));
    }
    for (path, metric) in items(spec, "metrics", "spec") {
        let source = match text(metric, "type") {
            "Resource" => "resource",
            "Pods" => "pods",
            "Object" => "object",
            "External" => "external",
            "ContainerResource" => "containerResource",
            _ => {
                let supported = ["ContainerResource", "External", "Object", "Pods", "Resource"];
                causes.push(Cause::not_supported(
                    format!("{path}.type"),
                    &metric["type"],
                    &supported,
                ));
                continue;
            }
        };
        if is_absent(metric, source) {
            let why = "must populate information for the given metric source";
            causes.push(Cause::required_because(format!("{path}.{source}"), why));
        }
    }
}
