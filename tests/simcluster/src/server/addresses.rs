//! Cluster addresses and node ports of Services.
//!
//! What must stay true: no two Services of a cluster have the same cluster address or node port at
//! the same time, as far as the server chose them, and a Service keeps what it was given.
//!
//! Refused: scanning all Services for a free address; the counters below wrap after 60,000
//! allocations, longer than a simulation lives, and an address is not given out twice before.

use serde_json::{Value, json};

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
            match wanted {
                true if !has_one => port["nodePort"] = json!(self.next_port()),
                false if kind == "ClusterIP" => {
                    object::object_mut(port).remove("nodePort");
                }
                _ => {}
            }
        }
    }
}

/// What an update that does not speak of addresses keeps: they belong to the Service for its life.
pub(crate) fn keep(live: &Value, new: &mut Value) {
    let Some(live) = live.get("spec") else { return };
    if new["spec"]["type"] == json!("ExternalName") {
        return;
    }
    let spec = object::object_mut(&mut new["spec"]);
    for name in ["clusterIP", "clusterIPs"] {
        let absent = spec
            .get(name)
            .is_none_or(|value| value.is_null() || *value == json!(""));
        if let Some(value) = live.get(name).filter(|_| absent) {
            spec.insert(name.to_owned(), value.clone());
        }
    }
    if spec.get("type") == Some(&json!("ClusterIP")) {
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
