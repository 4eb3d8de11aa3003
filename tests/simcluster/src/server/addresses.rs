//! Cluster addresses and node ports of Services.
//!
//! What must stay true: no two Services of a cluster have the same cluster address or node port at
//! the same time, as far as the server chose them, and a Service keeps what it was given.
//!
//! Refused: scanning all Services for a free address; the counters below wrap after 60,000
//! allocations, longer than a simulation lives, and an address is not given out twice before.

use serde_json::{Map, Value, json};

use super::object;

/// What was given out last.
#[derive(Debug, Default)]
pub(crate) struct Addresses {
    last_address: u16,
    last_port: u16,
}

impl Addresses {
    fn next_address(&mut self) -> String {
        self.last_address = self.last_address % 65_000 + 1;
        // 10.96.0.1 is the API server's own in a real cluster; start after the first ten.
        let number = u32::from(self.last_address) + 9;
        format!("10.96.{}.{}", number / 254, number % 254 + 1)
    }

    fn next_port(&mut self) -> u16 {
        self.last_port = (self.last_port + 1) % 2_768;
        30_000 + self.last_port
    }

    /// Gives a Service what its type needs and it does not have; takes what its type cannot have.
    pub(crate) fn complete(&mut self, service: &mut Value) {
        let spec = object::object_mut(&mut service["spec"]);
        let text = |name: &str| spec.get(name).and_then(Value::as_str).unwrap_or_default();
        let kind = text("type").to_owned();
        let address = text("clusterIP").to_owned();
        if kind == "ExternalName" {
            return;
        }
        if address.is_empty() {
            let address = self.next_address();
            spec.insert("clusterIPs".to_owned(), json!([address]));
            spec.insert("clusterIP".to_owned(), json!(address));
        } else if !spec.contains_key("clusterIPs") {
            spec.insert("clusterIPs".to_owned(), json!([address]));
        }
        let wanted = match kind.as_str() {
            "NodePort" => true,
            "LoadBalancer" => spec.get("allocateLoadBalancerNodePorts") != Some(&json!(false)),
            _ => false,
        };
        let ports = spec.get_mut("ports").and_then(Value::as_array_mut);
        for port in ports.into_iter().flatten() {
            let has_one = port
                .get("nodePort")
                .and_then(Value::as_u64)
                .is_some_and(|port| port > 0);
            if wanted && !has_one {
                port["nodePort"] = json!(self.next_port());
            }
        }
        let probed = kind == "LoadBalancer" && spec.get("externalTrafficPolicy") == Some(&json!("Local"));
        if probed && !spec.contains_key("healthCheckNodePort") {
            spec.insert("healthCheckNodePort".to_owned(), json!(self.next_port()));
        }
    }
}

/// What an update that does not speak of addresses keeps: they belong to the Service for its life.
pub(crate) fn keep(live: &Value, new: &mut Value) {
    let Some(live) = live.get("spec") else { return };
    let spec = object::object_mut(&mut new["spec"]);
    drop_what_the_type_cannot_have(live, spec);
    let text = |name: &str| spec.get(name).and_then(Value::as_str).unwrap_or_default();
    let kind = text("type").to_owned();
    if kind == "ExternalName" {
        return;
    }
    // A client that knows one address only means the list as well.
    let one = text("clusterIP").to_owned();
    let changed = live.get("clusterIP").and_then(Value::as_str) != Some(one.as_str());
    if !one.is_empty() && changed && spec.get("clusterIPs") == live.get("clusterIPs") {
        spec.insert("clusterIPs".to_owned(), json!([one]));
    }
    for name in ["clusterIP", "clusterIPs"] {
        let absent = spec
            .get(name)
            .is_none_or(|value| value.is_null() || *value == json!(""));
        if let Some(value) = live.get(name).filter(|_| absent) {
            spec.insert(name.to_owned(), value.clone());
        }
    }
    if kind == "ClusterIP" {
        return;
    }
    let ports = spec.get_mut("ports").and_then(Value::as_array_mut);
    for port in ports.into_iter().flatten() {
        let same = object::items(live.get("ports"))
            .find(|known| known.get("port") == port.get("port") && known.get("protocol") == port.get("protocol"));
        let known = same.and_then(|known| known.get("nodePort"));
        if let (None, Some(known)) = (port.get("nodePort"), known) {
            port["nodePort"] = known.clone();
        }
    }
}

/// A client that changes the type alone does not mean to keep what only the old type could have.
fn drop_what_the_type_cannot_have(live: &Value, spec: &mut Map<String, Value>) {
    let kind = spec.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
    if live.get("type").and_then(Value::as_str) == Some(kind.as_str()) {
        return;
    }
    let on_nodes = matches!(kind.as_str(), "LoadBalancer" | "NodePort");
    let lost: &[(&str, bool)] = &[
        ("clusterIP", kind == "ExternalName"),
        ("clusterIPs", kind == "ExternalName"),
        ("ipFamilies", kind == "ExternalName"),
        ("ipFamilyPolicy", kind == "ExternalName"),
        ("externalTrafficPolicy", !on_nodes),
        ("healthCheckNodePort", kind != "LoadBalancer"),
        ("allocateLoadBalancerNodePorts", kind != "LoadBalancer"),
        ("loadBalancerClass", kind != "LoadBalancer"),
    ];
    for (field, lost) in lost {
        if *lost && spec.get(*field) == live.get(field) {
            spec.remove(*field);
        }
    }
    let ports = spec.get_mut("ports").and_then(Value::as_array_mut);
    for port in ports.into_iter().flatten().filter(|_| !on_nodes) {
        let known = object::items(live.get("ports")).any(|known| known.get("nodePort") == port.get("nodePort"));
        if known {
            object::object_mut(port).remove("nodePort");
        }
    }
}
