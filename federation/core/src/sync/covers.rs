//! Whether an object in a cluster has everything that we want of it.
//!
//! A server adds to what it is given: defaults, and fields of other controllers. So the question is not
//! whether two objects are equal but whether one contains the other:
//! - a map contains another when each of its values does; what is wanted as null or empty may be missing,
//!   since servers leave such fields out;
//! - lists of maps are matched by what identifies their elements, so that an injected sidecar is no drift;
//! - all other lists must be equal in length and order: their order means something;
//! - numbers are compared by value, everything else exactly.
//!
//! A server also *changes* what it is given (`1000m` becomes `1`). Knowing every such rule was refused:
//! they are endless, and differ by version. The plan instead remembers what its last write left behind
//! (`Settled`) and does not write the same thing over the same version again.

use serde_json::{Map, Value};

/// Fields that identify the elements of a list, best first. One is used when every wanted element has it
/// and no two share it (with `protocol`, which two ports of one number may differ in).
const IDENTITIES: &[&str] = &[
    "name",
    "containerPort",
    "port",
    "mountPath",
    "devicePath",
    "key",
    "topologyKey",
    "ip",
    "type",
];

/// Whether `observed` has everything that `desired` has.
pub fn covers(observed: &Value, desired: &Value) -> bool {
    first_difference(observed, desired).is_none()
}

/// The first place, as a JSON Pointer, where `observed` lacks something that `desired` has; the empty
/// pointer when they differ altogether.
pub fn first_difference(observed: &Value, desired: &Value) -> Option<String> {
    match (observed, desired) {
        (Value::Object(observed), Value::Object(desired)) => in_maps(observed, desired),
        (Value::Array(observed), Value::Array(desired)) => in_lists(observed, desired),
        // Only a fraction is compared as one: it would make large integers equal that are not.
        (Value::Number(observed), Value::Number(desired)) if observed.is_f64() || desired.is_f64() => {
            (observed.as_f64() != desired.as_f64()).then(String::new)
        }
        _ => (observed != desired).then(String::new),
    }
}

fn in_maps(observed: &Map<String, Value>, desired: &Map<String, Value>) -> Option<String> {
    desired.iter().find_map(|(name, desired)| {
        let below = match observed.get(name) {
            Some(observed) if !(observed.is_null() && is_nothing(desired)) => first_difference(observed, desired),
            _ => (!is_nothing(desired)).then(String::new),
        };
        below.map(|below| format!("/{}{below}", name.replace('~', "~0").replace('/', "~1")))
    })
}

fn in_lists(observed: &[Value], desired: &[Value]) -> Option<String> {
    let at = |(position, below): (usize, String)| format!("/{position}{below}");
    if let Some(identity) = IDENTITIES.iter().find(|identity| identifies(desired, identity)) {
        let same = |wanted: &Value| {
            observed
                .iter()
                .find(|seen| identity_of(seen, identity) == identity_of(wanted, identity))
        };
        let missing = desired.iter().enumerate().find_map(|(position, wanted)| {
            let below = same(wanted).map_or_else(|| Some(String::new()), |seen| first_difference(seen, wanted));
            below.map(|below| (position, below))
        });
        return missing.map(at);
    }
    if observed.len() != desired.len() {
        return Some(String::new());
    }
    let pairs = observed.iter().zip(desired).enumerate();
    let different = |(position, (seen, wanted))| first_difference(seen, wanted).map(|below| (position, below));
    pairs.map(different).find_map(std::convert::identity).map(at)
}

/// What a server may leave out.
fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(fields) => fields.values().all(is_nothing),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

fn identifies(desired: &[Value], identity: &str) -> bool {
    let mut seen = Vec::with_capacity(desired.len());
    !desired.is_empty()
        && desired.iter().all(|element| match identity_of(element, identity) {
            Some(id) if !seen.contains(&id) => {
                seen.push(id);
                true
            }
            _ => false,
        })
}

/// The identifying value, with the protocol; a missing protocol is what servers make of it.
fn identity_of<'a>(element: &'a Value, identity: &str) -> Option<(&'a Value, &'a str)> {
    let id = element.as_object()?.get(identity)?;
    let numbered = matches!(identity, "containerPort" | "port");
    let protocol = element.get("protocol").and_then(Value::as_str).unwrap_or("TCP");
    Some((id, if numbered { protocol } else { "" }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(observed: Value, desired: Value, expected: Option<&str>) {
        assert_eq!(
            first_difference(&observed, &desired).as_deref(),
            expected,
            "{observed} for {desired}"
        );
        assert_eq!(covers(&observed, &desired), expected.is_none());
    }

    #[test]
    fn maps_may_have_more_but_not_less() {
        check(json!({"a": 1, "b": 2}), json!({"a": 1}), None);
        check(json!({"a": 1}), json!({"a": 1, "b": 2}), Some("/b"));
        check(
            json!({"a": {"b": {"c": 1}}}),
            json!({"a": {"b": {"c": 2}}}),
            Some("/a/b/c"),
        );
        check(
            json!({"a/b": {"c~d": 1}}),
            json!({"a/b": {"c~d": 2}}),
            Some("/a~1b/c~0d"),
        );
        check(json!({"a": [1]}), json!({"a": {"0": 1}}), Some("/a"));
        check(json!("x"), json!("y"), Some(""));
    }

    #[test]
    fn what_servers_leave_out_is_not_missing() {
        check(json!({}), json!({"a": null, "b": {}, "c": [], "d": {"e": {}}}), None);
        check(json!({"a": null}), json!({"a": {}}), None);
        check(json!({}), json!({"a": false}), Some("/a"));
        check(json!({}), json!({"a": [{}]}), Some("/a"));
    }

    #[test]
    fn numbers_are_compared_by_value_and_text_exactly() {
        check(json!({"a": 1}), json!({"a": 1.0}), None);
        check(json!({"a": u64::MAX}), json!({"a": u64::MAX - 1}), Some("/a"));
        check(json!({"cpu": "1"}), json!({"cpu": "1000m"}), Some("/cpu"));
        check(json!({"a": 1}), json!({"a": "1"}), Some("/a"));
    }

    #[test]
    fn elements_are_matched_by_what_identifies_them() {
        let desired = json!([{"name": "web", "image": "web:2"}, {"name": "log"}]);
        check(
            json!([{"name": "mesh"}, {"name": "log"}, {"name": "web", "image": "web:2"}]),
            desired.clone(),
            None,
        );
        check(
            json!([{"name": "web", "image": "web:1"}, {"name": "log"}]),
            desired.clone(),
            Some("/0/image"),
        );
        check(json!([{"name": "web", "image": "web:2"}]), desired, Some("/1"));
        // One number, two protocols.
        let dns = json!([{"port": 53}, {"port": 53, "protocol": "UDP"}]);
        check(
            json!([{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP", "nodePort": 3}]),
            dns.clone(),
            None,
        );
        check(json!([{"port": 53, "protocol": "TCP"}]), dns, Some("/1"));
        // One volume mounted twice: the name does not identify a mount, its path does.
        let mounts = json!([{"name": "v", "mountPath": "/a"}, {"name": "v", "mountPath": "/b"}]);
        check(
            json!([{"name": "v", "mountPath": "/b"}, {"name": "v", "mountPath": "/a"}]),
            mounts,
            None,
        );
    }

    #[test]
    fn other_lists_are_compared_by_position() {
        check(json!(["a", "b"]), json!(["a", "b"]), None);
        check(json!(["a", "b"]), json!(["b", "a"]), Some("/0"));
        check(json!(["a", "b"]), json!(["a"]), Some(""));
        check(json!([{"x": 1, "y": 2}]), json!([{"x": 1}]), None);
        check(json!([{"x": 1}, {"x": 2}]), json!([{"x": 1}]), Some(""));
        check(json!([{"x": 1}, {"x": 2}]), json!([{"x": 1}, {"x": 3}]), Some("/1/x"));
    }
}
