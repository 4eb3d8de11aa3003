//! How a DNSZone is given to plain secondaries.
//!
//! What must stay true: an entry means what it says or the object is refused. An entry that named a key that
//! is not there, or nothing at all, would allow too much or too little.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use meridian_dns_core::transfer::RoutedNames;
use meridian_dns_core::{DnsName, SiteName};
use meridian_federation_api as api;
use meridian_federation_core::transfer::{
    NotifyTarget, SecretRef, TransferAlgorithm, TransferAllowed, TransferKey, TransferPolicy,
};

use super::{ParseError, bad, domain_name, networks};

/// The port of DNS.
const DNS_PORT: u16 = 53;

/// How a zone is given away; `None` for one that is given to nobody.
pub fn transfer(object: &api::DNSZone) -> Result<Option<TransferPolicy>, ParseError> {
    let Some(spec) = &object.spec.transfer else {
        return Ok(None);
    };
    let mut keys = BTreeMap::new();
    for (index, key) in spec.keys.iter().enumerate() {
        let field = format!("spec.transfer.keys[{index}].name");
        let name = domain_name(&field, &key.name)?;
        let reference = &key.secret_ref;
        let made = TransferKey {
            algorithm: match key.algorithm {
                api::TransferAlgorithm::HmacSha256 => TransferAlgorithm::HmacSha256,
                api::TransferAlgorithm::HmacSha384 => TransferAlgorithm::HmacSha384,
                api::TransferAlgorithm::HmacSha512 => TransferAlgorithm::HmacSha512,
            },
            secret: SecretRef {
                namespace: reference.namespace.clone(),
                name: reference.name.clone(),
                key: reference.key.clone(),
            },
        };
        if keys.insert(name, made).is_some() {
            return Err(bad(field, format!("{} is there twice", key.name)));
        }
    }
    let known = |field: String, text: &Option<String>| -> Result<Option<DnsName>, ParseError> {
        let Some(text) = text else { return Ok(None) };
        let name = domain_name(&field, text)?;
        if keys.contains_key(&name) {
            Ok(Some(name))
        } else {
            Err(bad(field, format!("{text} is not in spec.transfer.keys; add it there")))
        }
    };
    let mut allow = Vec::new();
    for (index, entry) in spec.allow.iter().enumerate() {
        let field = format!("spec.transfer.allow[{index}]");
        let allowed = TransferAllowed {
            networks: networks(&format!("{field}.networks"), &entry.networks)?,
            key: known(format!("{field}.key"), &entry.key)?,
        };
        if allowed.networks.is_empty() && allowed.key.is_none() {
            return Err(bad(field, "an entry needs networks, a key or both"));
        }
        allow.push(allowed);
    }
    let mut notify = Vec::new();
    for (index, target) in spec.notify.iter().enumerate() {
        let field = format!("spec.transfer.notify[{index}]");
        notify.push(NotifyTarget {
            address: address(&format!("{field}.address"), &target.address)?,
            key: known(format!("{field}.key"), &target.key)?,
        });
    }
    let catalog = spec.catalog.as_deref();
    Ok(Some(TransferPolicy {
        catalog: catalog
            .map(|text| domain_name("spec.transfer.catalog", text))
            .transpose()?,
        routed: routed(&spec.routed_names)?,
        allow,
        notify,
        keys,
    }))
}

fn address(field: &str, text: &str) -> Result<SocketAddr, ParseError> {
    let alone = text.parse::<IpAddr>().map(|address| SocketAddr::new(address, DNS_PORT));
    alone
        .or_else(|_| text.parse())
        .map_err(|_| bad(field, format!("{text:?} is not an IP address, nor one with a port")))
}

fn routed(spec: &api::TransferRoutedNames) -> Result<RoutedNames, ParseError> {
    use api::TransferRoutedNamesType::{AllHealthy, Client, Site};
    match (spec.kind, &spec.site, &spec.client) {
        (AllHealthy, None, None) => Ok(RoutedNames::AllHealthy),
        (Site, Some(site), None) => Ok(RoutedNames::Site(SiteName::new(site.clone()))),
        (Client, None, Some(client)) => client.parse().map(RoutedNames::Client).map_err(|_| {
            let field = "spec.transfer.routedNames.client";
            bad(field, format!("{client:?} is not an IP address"))
        }),
        _ => Err(bad(
            "spec.transfer.routedNames",
            "site is for type Site, client for type Client, and each is needed there",
        )),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn parse(transfer: Value) -> Result<Option<TransferPolicy>, ParseError> {
        let object = json!({
            "apiVersion": "meridian.dev/v1alpha1", "kind": "DNSZone", "metadata": {"name": "zone"},
            "spec": {"domain": "example.test", "federation": "prod", "transfer": transfer},
        });
        super::transfer(&serde_json::from_value(object).expect("fits its type"))
    }

    fn key(name: &str) -> Value {
        json!({"name": name, "secretRef": {"namespace": "dns", "name": "tsig"}})
    }

    #[test]
    fn a_zone_says_to_whom_it_is_given_and_how() {
        let policy = parse(json!({
            "keys": [key("transfer.key")],
            "allow": [{"networks": ["192.0.2.9/24"], "key": "Transfer.Key"}, {"networks": ["2001:db8::/32"]}],
            "notify": [{"address": "192.0.2.7"}, {"address": "192.0.2.7:5353", "key": "transfer.key"},
                       {"address": "2001:db8::7"}, {"address": "[2001:db8::7]:5353"}],
            "routedNames": {"type": "Client", "client": "192.0.2.7"},
            "catalog": "catalog.test",
        }));
        let policy = policy.expect("it is right").expect("it is given away");
        let name = DnsName::parse("transfer.key").expect("a name");
        assert_eq!(policy.keys[&name].algorithm, TransferAlgorithm::HmacSha256);
        assert_eq!(policy.keys[&name].secret.to_string(), "key secret of Secret dns/tsig");
        assert_eq!(policy.allow[0].networks, ["192.0.2.0/24".parse().expect("a network")]);
        let keys: Vec<_> = policy.allow.iter().map(|entry| entry.key.clone()).collect();
        assert_eq!(keys, [Some(name), None]);
        let addresses: Vec<_> = policy.notify.iter().map(|target| target.address.to_string()).collect();
        assert_eq!(
            addresses,
            [
                "192.0.2.7:53",
                "192.0.2.7:5353",
                "[2001:db8::7]:53",
                "[2001:db8::7]:5353"
            ]
        );
        assert_eq!(policy.routed, RoutedNames::Client([192, 0, 2, 7].into()));
        assert_eq!(policy.catalog, DnsName::parse("catalog.test").ok());
        let least = parse(json!({})).expect("it is right").expect("it is given away");
        assert_eq!(least, TransferPolicy::default());
    }

    #[test]
    fn what_is_wrong_is_named_and_refused() {
        for (transfer, field) in [
            (json!({"allow": [{}]}), "spec.transfer.allow[0]"),
            (
                json!({"allow": [{"networks": ["192.0.2.0/33"]}]}),
                "spec.transfer.allow[0].networks[0]",
            ),
            (
                json!({"keys": [key("a.key")], "allow": [{"key": "b.key"}]}),
                "spec.transfer.allow[0].key",
            ),
            (
                json!({"notify": [{"address": "192.0.2.7", "key": "b.key"}]}),
                "spec.transfer.notify[0].key",
            ),
            (
                json!({"notify": [{"address": "ns.example.test"}]}),
                "spec.transfer.notify[0].address",
            ),
            (
                json!({"keys": [key("a.key"), key("A.key")]}),
                "spec.transfer.keys[1].name",
            ),
            (json!({"keys": [key("a..key")]}), "spec.transfer.keys[0].name"),
            (json!({"routedNames": {"type": "Site"}}), "spec.transfer.routedNames"),
            (
                json!({"routedNames": {"client": "192.0.2.7"}}),
                "spec.transfer.routedNames",
            ),
            (
                json!({"routedNames": {"type": "Client", "client": "x"}}),
                "spec.transfer.routedNames.client",
            ),
            (json!({"catalog": "a..b"}), "spec.transfer.catalog"),
        ] {
            let error = parse(transfer.clone()).expect_err(&transfer.to_string());
            assert_eq!(error.field, field, "{transfer}");
        }
    }
}
