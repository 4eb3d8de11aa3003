//! GatewayClass, Gateway and the routes of the Gateway API.

use serde_json::{Value, json};

use super::Definition;
use super::parts::{age, anything, atomic, conditions, keyed, name, object, one_of, open, port, text, with_default};

const GROUP: &str = "gateway.networking.k8s.io";

pub(super) fn definitions() -> Vec<Value> {
    let definition = |kind, plural, short_name| Definition {
        group: GROUP,
        version: "v1",
        kind,
        plural,
        short_name,
        category: Some("gateway-api"),
        scope: "Namespaced",
        columns: json!([]),
        spec: Value::Null,
        status: Value::Null,
        required: &["spec"],
    };
    let class = Definition {
        scope: "Cluster",
        columns: json!([
            {"name": "Controller", "type": "string", "jsonPath": ".spec.controllerName"},
            {"name": "Accepted", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Accepted\")].status"},
            age(),
            {"name": "Description", "type": "string", "jsonPath": ".spec.description", "priority": 1},
        ]),
        spec: open(
            json!({
                "controllerName": {"type": "string", "maxLength": 253, "pattern": "^[a-z0-9.-]+/[A-Za-z0-9/._~%!$&'()*+,;=:-]+$"},
                "description": {"type": "string", "maxLength": 64},
            }),
            &["controllerName"],
        ),
        status: open(json!({"conditions": conditions()}), &[]),
        ..definition("GatewayClass", "gatewayclasses", "gc")
    };
    let gateway = Definition {
        columns: json!([
            {"name": "Class", "type": "string", "jsonPath": ".spec.gatewayClassName"},
            {"name": "Address", "type": "string", "jsonPath": ".status.addresses[*].value"},
            {"name": "Programmed", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Programmed\")].status"},
            age(),
        ]),
        spec: open(
            json!({
                "gatewayClassName": name(253),
                "listeners": listeners(),
                "addresses": atomic(address(&[])),
            }),
            &["gatewayClassName", "listeners"],
        ),
        status: open(
            json!({
                "addresses": atomic(address(&["value"])),
                "conditions": conditions(),
                "listeners": keyed(
                    open(
                        json!({"name": name(253), "attachedRoutes": {"type": "integer", "format": "int32"}, "conditions": conditions()}),
                        &["name"],
                    ),
                    &["name"],
                ),
            }),
            &[],
        ),
        ..definition("Gateway", "gateways", "gtw")
    };
    let hosts = json!([
        {"name": "Hostnames", "type": "string", "jsonPath": ".spec.hostnames"},
        age(),
    ]);
    let route = |kind, plural, short_name, version, match_rules: Value| {
        let on_hosts = kind != "TCPRoute";
        Definition {
            version,
            columns: if on_hosts { hosts.clone() } else { json!([age()]) },
            spec: route_spec(on_hosts, match_rules),
            status: route_status(),
            ..definition(kind, plural, short_name)
        }
    };
    let path = with_default(
        object(
            json!({
                "type": with_default(one_of(&["Exact", "PathPrefix", "RegularExpression"]), json!("PathPrefix")),
                "value": with_default(json!({"type": "string", "maxLength": 1_024}), json!("/")),
            }),
            &[],
        ),
        json!({"type": "PathPrefix", "value": "/"}),
    );
    let http = open(json!({"path": path, "method": text()}), &[]);
    let everything = json!([{"path": {"type": "PathPrefix", "value": "/"}}]);
    vec![
        class.object(),
        gateway.object(),
        route(
            "HTTPRoute",
            "httproutes",
            "",
            "v1",
            with_default(atomic(http), everything),
        )
        .object(),
        route("GRPCRoute", "grpcroutes", "", "v1", atomic(anything())).object(),
        route("TLSRoute", "tlsroutes", "", "v1alpha2", Value::Null).object(),
        route("TCPRoute", "tcproutes", "", "v1alpha2", Value::Null).object(),
    ]
}

fn listeners() -> Value {
    let from = with_default(one_of(&["All", "Selector", "Same"]), json!("Same"));
    let namespaces = with_default(
        object(json!({"from": from, "selector": anything()}), &[]),
        json!({"from": "Same"}),
    );
    let allowed = with_default(
        open(json!({"namespaces": namespaces}), &[]),
        json!({"namespaces": {"from": "Same"}}),
    );
    let tls = open(
        json!({
            "mode": with_default(one_of(&["Terminate", "Passthrough"]), json!("Terminate")),
            "certificateRefs": atomic(anything()),
        }),
        &[],
    );
    let listener = open(
        json!({
            "name": name(253),
            "hostname": name(253),
            "port": port(),
            "protocol": name(255),
            "tls": tls,
            "allowedRoutes": allowed,
        }),
        &["name", "port", "protocol"],
    );
    let mut listeners = keyed(listener, &["name"]);
    listeners["minItems"] = json!(1);
    listeners["maxItems"] = json!(64);
    listeners
}

fn address(required: &[&str]) -> Value {
    open(
        json!({"type": with_default(text(), json!("IPAddress")), "value": text()}),
        required,
    )
}

fn route_spec(on_hosts: bool, match_rules: Value) -> Value {
    let backend = open(
        json!({
            "group": with_default(json!({"type": "string", "maxLength": 253}), json!("")),
            "kind": with_default(name(63), json!("Service")),
            "name": name(253),
            "namespace": name(63),
            "port": port(),
            "weight": with_default(
                json!({"type": "integer", "format": "int32", "minimum": 0, "maximum": 1_000_000}),
                json!(1),
            ),
        }),
        &["name"],
    );
    let mut rule = json!({"name": name(253), "backendRefs": atomic(backend)});
    if !match_rules.is_null() {
        rule["matches"] = match_rules;
    }
    let mut properties = json!({
        "parentRefs": atomic(parent()),
        "rules": atomic(open(rule, &[])),
    });
    if on_hosts {
        properties["hostnames"] = json!({
            "type": "array", "maxItems": 16, "items": name(253), "x-kubernetes-list-type": "atomic",
        });
    }
    open(properties, &[])
}

/// What a route is attached to.
fn parent() -> Value {
    open(
        json!({
            "group": with_default(json!({"type": "string", "maxLength": 253}), json!(GROUP)),
            "kind": with_default(name(63), json!("Gateway")),
            "namespace": name(63),
            "name": name(253),
            "sectionName": name(253),
            "port": port(),
        }),
        &["name"],
    )
}

fn route_status() -> Value {
    let one = object(
        json!({"parentRef": parent(), "controllerName": name(253), "conditions": conditions()}),
        &["controllerName", "parentRef"],
    );
    object(json!({"parents": atomic(one)}), &["parents"])
}
