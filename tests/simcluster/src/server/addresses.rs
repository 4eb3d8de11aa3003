//! Cluster addresses and node ports of Services.
//!
//! What must stay true: no two Services of a cluster have the same cluster address or node port at
//! the same time, whether the server chose them or a client, and a Service keeps what it was given. What is
//! taken is a function of the stored Services: the store tells every change of one, so an address is free again
//! with the write that gives it up, and a refused write or a dry run takes nothing.
//!
//! Refused: scanning all Services for a free address. The server goes round its ranges and takes the next
//! that nobody has, so what was just given back is not given out again at once.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::ops::RangeInclusive;

use serde_json::{Map, Value, json};

use super::object;
use super::objects::Key;
use super::status::Cause;

/// The addresses of Services, without those that are never given to one.
const NETWORK: &str = "10.96.0.0/16";
const ADDRESSES: RangeInclusive<u32> = 0x0a60_0001..=0x0a60_fffe;
/// The first of them that the server chooses: a real one has the very first itself.
const FIRST_CHOSEN: u32 = 0x0a60_000b;
const PORTS: RangeInclusive<u16> = 30_000..=32_767;

/// What Services have, and what was given out last.
#[derive(Debug, Default)]
pub(crate) struct Addresses {
    addresses: HashMap<u32, Key>,
    ports: HashMap<u16, Key>,
    last_address: Option<u32>,
    last_port: Option<u16>,
}

impl Addresses {
    /// Follows a change of a stored Service; `None` is one that is not there.
    pub(crate) fn follow(&mut self, key: &Key, before: Option<&Value>, after: Option<&Value>) {
        let spec = |service: &Value| service.get("spec").cloned().unwrap_or_default();
        let before = before.map(spec).unwrap_or_default();
        let after = after.map(spec).unwrap_or_default();
        for address in addresses_of(&before).filter_map(number) {
            self.addresses.remove(&address);
        }
        for (_, port) in ports_of(&before) {
            self.ports.remove(&port);
        }
        for address in addresses_of(&after).filter_map(number) {
            self.addresses.insert(address, key.clone());
        }
        for (_, port) in ports_of(&after) {
            self.ports.insert(port, key.clone());
        }
    }

    /// Gives a Service what its type needs and it does not have, unless it asks for what it cannot have.
    pub(crate) fn complete(&mut self, key: &Key, service: &mut Value) -> Result<(), Vec<Cause>> {
        let spec = object::object_mut(&mut service["spec"]);
        let text = |name: &str| spec.get(name).and_then(Value::as_str).unwrap_or_default();
        let kind = text("type").to_owned();
        let address = text("clusterIP").to_owned();
        if kind == "ExternalName" {
            return Ok(());
        }
        if address.is_empty() {
            let address = self.free_address()?.to_string();
            spec.insert("clusterIPs".to_owned(), json!([address]));
            spec.insert("clusterIP".to_owned(), json!(address));
        } else if !spec.contains_key("clusterIPs") {
            spec.insert("clusterIPs".to_owned(), json!([address]));
        }
        self.check(key, service)?;
        self.complete_ports(&kind, object::object_mut(&mut service["spec"]))
    }

    fn complete_ports(&mut self, kind: &str, spec: &mut Map<String, Value>) -> Result<(), Vec<Cause>> {
        let wanted = match kind {
            "NodePort" => true,
            "LoadBalancer" => spec.get("allocateLoadBalancerNodePorts") != Some(&json!(false)),
            _ => false,
        };
        // Ports that differ in their protocol alone may be one port of the nodes.
        let mut own: Vec<u16> = ports_of(&json!(spec)).map(|(_, port)| port).collect();
        let ports = spec.get_mut("ports").and_then(Value::as_array_mut);
        for port in ports.into_iter().flatten() {
            if wanted && node_port(port).is_none() {
                let free = self.free_port(&own)?;
                own.push(free);
                port["nodePort"] = json!(free);
            }
        }
        let probed = kind == "LoadBalancer" && spec.get("externalTrafficPolicy") == Some(&json!("Local"));
        if probed && !spec.contains_key("healthCheckNodePort") {
            spec.insert("healthCheckNodePort".to_owned(), json!(self.free_port(&own)?));
        }
        Ok(())
    }

    /// Refuses what is outside the ranges, or another Service's.
    fn check(&self, key: &Key, service: &Value) -> Result<(), Vec<Cause>> {
        let spec = &service["spec"];
        let mut causes = Vec::new();
        for address in addresses_of(spec) {
            let why = match number(address) {
                None => format!(
                    "the provided IP ({address}) is not in the valid range. The range of valid IPs is {NETWORK}"
                ),
                Some(number) if self.addresses.get(&number).is_some_and(|owner| owner != key) => {
                    "provided IP is already allocated".to_owned()
                }
                Some(_) => continue,
            };
            let why = format!("failed to allocate IP {address}: {why}");
            causes.push(Cause::invalid("spec.clusterIPs", &spec["clusterIPs"], &why));
        }
        for (path, port) in ports_of(spec) {
            if self.ports.get(&port).is_some_and(|owner| owner != key) {
                causes.push(Cause::invalid(path, &json!(port), "provided port is already allocated"));
            }
        }
        match causes.is_empty() {
            true => Ok(()),
            false => Err(causes),
        }
    }

    fn free_address(&mut self) -> Result<Ipv4Addr, Vec<Cause>> {
        let chosen = FIRST_CHOSEN..=*ADDRESSES.end();
        let from = self.last_address.map_or(FIRST_CHOSEN, |last| last + 1);
        let mut turn = (from..=*ADDRESSES.end()).chain(chosen);
        let free = turn.find(|address| !self.addresses.contains_key(address));
        self.last_address = free.or(self.last_address);
        let free = free.map(Ipv4Addr::from);
        free.ok_or_else(|| vec![Cause::invalid("spec.clusterIPs", &Value::Null, "range is full")])
    }

    fn free_port(&mut self, own: &[u16]) -> Result<u16, Vec<Cause>> {
        let from = self.last_port.map_or(*PORTS.start(), |last| last + 1);
        let mut turn = (from..=*PORTS.end()).chain(PORTS);
        let free = turn.find(|port| !self.ports.contains_key(port) && !own.contains(port));
        self.last_port = free.or(self.last_port);
        free.ok_or_else(|| vec![Cause::invalid("spec.ports", &Value::Null, "range is full")])
    }
}

/// The addresses a Service has or asks for; a headless one has none.
fn addresses_of(spec: &Value) -> impl Iterator<Item = &str> {
    let all = object::items(spec.get("clusterIPs")).filter_map(Value::as_str);
    all.filter(|address| !matches!(*address, "" | "None"))
}

/// An address in the range as a number.
fn number(address: &str) -> Option<u32> {
    let address = address.parse::<Ipv4Addr>().ok().map(u32::from);
    address.filter(|address| ADDRESSES.contains(address))
}

fn node_port(port: &Value) -> Option<u16> {
    let number = port.get("nodePort").and_then(Value::as_u64);
    number
        .and_then(|number| u16::try_from(number).ok())
        .filter(|port| *port > 0)
}

/// The ports of the nodes a Service has or asks for, and where it says so.
fn ports_of(spec: &Value) -> impl Iterator<Item = (String, u16)> {
    let ports = object::items(spec.get("ports")).enumerate();
    let ports = ports.filter_map(|(index, port)| Some((format!("spec.ports[{index}].nodePort"), node_port(port)?)));
    let probed = spec.get("healthCheckNodePort").and_then(Value::as_u64);
    let probed = probed
        .and_then(|port| u16::try_from(port).ok())
        .filter(|port| *port > 0);
    ports.chain(probed.map(|port| ("spec.healthCheckNodePort".to_owned(), port)))
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
    keep_node_ports(live, spec);
}

/// A port is known again by its name, as long as no other one asks for its number.
fn keep_node_ports(live: &Value, spec: &mut Map<String, Value>) {
    let asked: Vec<u16> = object::items(spec.get("ports")).filter_map(node_port).collect();
    let ports = spec.get_mut("ports").and_then(Value::as_array_mut);
    for port in ports.into_iter().flatten().filter(|port| node_port(port).is_none()) {
        let name = |port: &Value| port.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
        let known = object::items(live.get("ports")).find(|known| name(known) == name(port));
        if let Some(known) = known.and_then(node_port).filter(|known| !asked.contains(known)) {
            port["nodePort"] = json!(known);
        }
    }
    if !spec.contains_key("healthCheckNodePort")
        && let Some(known) = live.get("healthCheckNodePort")
    {
        let probed = spec.get("type") == Some(&json!("LoadBalancer"))
            && spec.get("externalTrafficPolicy") == Some(&json!("Local"));
        if probed {
            spec.insert("healthCheckNodePort".to_owned(), known.clone());
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

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u32) -> Key {
        Key::cluster("services", &number.to_string())
    }

    #[test]
    fn a_full_range_is_told_and_what_comes_back_is_given_out_again() {
        let mut addresses = Addresses::default();
        let ask = |addresses: &mut Addresses, number: u32| {
            let mut service = json!({"spec": {"type": "NodePort", "ports": [{"port": 80}]}});
            addresses.complete(&key(number), &mut service).map(|()| service)
        };
        let mut all = Vec::new();
        for number in 0..2_768 {
            let service = ask(&mut addresses, number).unwrap();
            addresses.follow(&key(number), None, Some(&service));
            all.push(service);
        }
        let causes = ask(&mut addresses, 9_999).unwrap_err();
        assert_eq!(causes[0].field, "spec.ports");
        addresses.follow(&key(700), Some(&all[700]), None);
        let service = ask(&mut addresses, 9_999).unwrap();
        assert_eq!(service["spec"]["ports"], all[700]["spec"]["ports"]);
    }
}
