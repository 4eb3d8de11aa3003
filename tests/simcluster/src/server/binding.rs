//! `pods/binding`: how a scheduler puts a pod on a node.
//!
//! What must stay true: this is the only way a pod that is there gets a node, and it gets one once, not while
//! a gate holds it nor when it is being deleted. That the pod is scheduled is written down in the same write.

use serde_json::{Value, json};

use super::managed::Managers;
use super::object;
use super::status::{Cause, Failure, Outcome};
use super::store::State;
use super::write::{self, Ownership, Target};

/// Binds the pod of the target to the node that `binding` names, and tells that it is done.
pub(crate) fn bind(state: &mut State, target: &Target, binding: &Value) -> Outcome<Value> {
    let node = node(target, binding)?;
    let live = target.live(state)?;
    let conflict = |why: String| Failure::conflict(&target.kind, &target.name, &why);
    let name = &target.name;
    let uid = object::uid(&live).unwrap_or_default();
    if let Some(asked) = object::uid(binding).filter(|asked| !asked.is_empty() && *asked != uid) {
        let why = format!("Precondition failed: UID in precondition: {asked}, UID in object meta: {uid}");
        return Err(conflict(why));
    }
    if object::is_terminating(&live) {
        return Err(conflict(format!(
            "pod {name} is being deleted, cannot be assigned to a host"
        )));
    }
    if let Some(known) = live.pointer("/spec/nodeName").and_then(Value::as_str) {
        return Err(conflict(format!("pod {name} is already assigned to node {known:?}")));
    }
    if object::items(live.pointer("/spec/schedulingGates")).next().is_some() {
        return Err(conflict(format!("pod {name} has non-empty .spec.schedulingGates")));
    }
    let mut new = Value::clone(&live);
    new["spec"]["nodeName"] = json!(node);
    let others = object::items(live.pointer("/status/conditions"));
    let others = others.filter(|condition| condition["type"] != "PodScheduled").cloned();
    let scheduled = json!({"type": "PodScheduled", "status": "True", "lastTransitionTime": state.timestamp()});
    new["status"]["conditions"] = others.chain([scheduled]).collect();
    let managers = Managers::of(&live);
    write::change(state, target, &live, new, Ownership::Update(managers))?;
    Ok(json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}))
}

/// The node a binding names.
fn node<'b>(target: &Target, binding: &'b Value) -> Outcome<&'b str> {
    if binding.get("kind").is_some_and(|kind| kind != "Binding") {
        return Err(Failure::bad_request("the object provided is not a Binding"));
    }
    let name = object::name(binding);
    if !name.is_empty() && name != target.name {
        let meant = &target.name;
        let why = format!("the name of the object ({name}) does not match the name on the URL ({meant})");
        return Err(Failure::bad_request(why));
    }
    let text = |field: &str| binding["target"][field].as_str().unwrap_or_default();
    let mut causes = Vec::new();
    if !matches!(text("kind"), "" | "Node") {
        let supported = ["Node", "<empty>"];
        causes.push(Cause::not_supported("target.kind", &json!(text("kind")), &supported));
    }
    if text("name").is_empty() {
        causes.push(Cause::required("target.name"));
    }
    match causes.as_slice() {
        [] => Ok(text("name")),
        causes => Err(Failure::invalid(&target.kind, &target.name, causes)),
    }
}
